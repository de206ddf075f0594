metadata(description="LwM2M client: accounts given by the application.", version="0.1.0")

require("lwm2m")
require("lwm2m-security")

package("lwm2m", opt=3)
