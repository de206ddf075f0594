metadata(description="LwM2M client: queue mode, and sleep that outlasts a reset.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
