metadata(description="LwM2M client: values as text and as octets.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
