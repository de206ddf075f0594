metadata(description="LwM2M client: accounts in flash, keys where they are safe.", version="0.1.0")

require("lwm2m")
require("lwm2m-consistency")
require("lwm2m-tlv")

package("lwm2m", opt=3)
