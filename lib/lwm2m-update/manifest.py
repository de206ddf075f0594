metadata(description="LwM2M: updates of the application, signed, in two slots.", version="0.1.0")

require("lwm2m")
require("lwm2m-store")
package("lwm2m", files=["p256.py", "package.py", "slots.py", "update.py"], opt=3)
