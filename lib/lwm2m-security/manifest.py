metadata(description="LwM2M: what the keys of an account have to be.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
