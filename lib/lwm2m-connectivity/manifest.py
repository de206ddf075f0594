metadata(description="LwM2M: Connectivity Monitoring, Location, Statistics.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
