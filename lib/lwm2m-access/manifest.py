metadata(description="LwM2M client: which server may do what.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
