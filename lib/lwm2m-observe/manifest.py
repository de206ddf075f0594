metadata(description="LwM2M client: Observe and notifications.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
