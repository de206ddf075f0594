metadata(description="LwM2M 1.2 client: Bootstrap-Pack.", version="0.1.0")

require("lwm2m-bootstrap")
require("lwm2m-formats", formats="senml_cbor")

package("lwm2m", opt=3)
