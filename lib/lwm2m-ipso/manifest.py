metadata(description="LwM2M: the IPSO objects of sensors and actuators.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
