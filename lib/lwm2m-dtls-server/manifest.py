metadata(description="LwM2M servers over DTLS.", version="0.1.0")

require("lwm2m-dtls")
require("lwm2m-server-core")

package("lwm2m", opt=3)
