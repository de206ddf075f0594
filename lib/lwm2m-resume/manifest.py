metadata(description="LwM2M over DTLS: sessions that outlast sleep.", version="0.1.0")

require("lwm2m-dtls")

package("lwm2m", opt=3)
