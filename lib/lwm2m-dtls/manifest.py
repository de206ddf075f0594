metadata(description="LwM2M over DTLS: pre-shared keys.", version="0.1.0")

require("lwm2m")

package("lwm2m", opt=3)
