metadata(description="LwM2M firmware: what a board does beside the client.", version="0.1.0")

require("lwm2m-store")

# This folder's modules; one that is missing here is not in the images.
package("device", files=("factory.py", "settings.py"), base_path="..", opt=3)
