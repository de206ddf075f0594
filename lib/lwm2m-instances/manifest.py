metadata(description="LwM2M client: Discover, Create and Delete.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
