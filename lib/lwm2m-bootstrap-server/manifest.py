metadata(description="LwM2M Bootstrap Server.", version="0.1.0")

require("lwm2m-security")
require("lwm2m-server-core")

package("lwm2m", opt=3)
