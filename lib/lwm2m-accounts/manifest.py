metadata(description="LwM2M client: accounts given by the application.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
