metadata(description="LwM2M: power and errors of the Device object.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
