metadata(description="LwM2M: packages of an update that the device fetches.", version="0.1.0")

require("lwm2m-update")
package("lwm2m", files=["pull.py"], opt=3)
