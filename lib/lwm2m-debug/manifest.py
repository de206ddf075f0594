metadata(description="LwM2M: each message in a line.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
