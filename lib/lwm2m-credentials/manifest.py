metadata(description="LwM2M security data in RAM, for clients and servers.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
