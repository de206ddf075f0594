metadata(description="LwM2M over DTLS: certificates.", version="0.1.0")

require("lwm2m-dtls")

package("lwm2m", files=("x509.py", "sha512.py"), base_path="../lwm2m", opt=3)
