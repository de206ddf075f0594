metadata(description="LwM2M client: attributes of notifications.", version="0.1.0")

require("lwm2m-instances")  # who sets attributes sees them with Discover
require("lwm2m-observe")

package("lwm2m", opt=3)
