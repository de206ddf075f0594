metadata(description="LwM2M client: composite operations and Send.", version="0.1.0")

require("lwm2m")
require("lwm2m-formats", formats="senml_cbor")

package("lwm2m", opt=3)
