metadata(description="What the LwM2M servers have in common.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
