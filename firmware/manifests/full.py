# Every package there is.
include("client.py")
include("station.py")
require("lwm2m-attributes")
require("lwm2m-composite")
require("lwm2m-credentials")
require("lwm2m-dtls-server")
include("../device/manifest.py")
