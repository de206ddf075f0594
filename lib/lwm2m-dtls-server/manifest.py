metadata(description="LwM2M servers over DTLS.", version="0.1.0")

require("lwm2m-dtls")

package("lwm2m", files=("dtls_server.py",), base_path="../lwm2m", opt=3)
