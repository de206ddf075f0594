metadata(description="LwM2M client: whether accounts fit together.", version="0.1.0")

require("lwm2m")
require("lwm2m-security")

package("lwm2m", opt=3)
