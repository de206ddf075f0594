metadata(description="LwM2M 1.2 client: what that version adds to operations.", version="0.1.0")

require("lwm2m")
require("lwm2m-instances")

package("lwm2m", opt=3)
