metadata(description="LwM2M Bootstrap Server.", version="0.1.0")

require("lwm2m-security")
require("lwm2m-server-core")
require("lwm2m-tlv")

package("lwm2m", opt=3)
