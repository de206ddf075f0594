metadata(description="LwM2M: values as TLV.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
