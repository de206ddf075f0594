metadata(description="LwM2M: what a device knows of its own health.", version="0.1.0")

require("lwm2m")
require("lwm2m-words")

package("lwm2m", opt=3)
