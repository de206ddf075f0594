# Every package there is.
include("client.py")
include("station.py")
require("lwm2m-connectivity")
require("lwm2m-credentials")
require("lwm2m-device")
require("lwm2m-dtls-server")
require("lwm2m-ipso")
include("../device/manifest.py")
