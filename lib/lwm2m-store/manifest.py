metadata(description="LwM2M client: accounts in flash.", version="0.1.0")

require("lwm2m")

package("lwm2m", files=("store.py",), base_path="../lwm2m", opt=3)
