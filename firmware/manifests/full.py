# Every package there is.
include("client.py")
include("station.py")
require("lwm2m-access")
require("lwm2m-attributes")
require("lwm2m-bootstrap-pack")
require("lwm2m-connectivity")
require("lwm2m-composite")
require("lwm2m-credentials")
require("lwm2m-debug")
require("lwm2m-device")
require("lwm2m-diagnostics")
require("lwm2m-dtls-server")
require("lwm2m-ipso")
require("lwm2m-pull")
require("lwm2m-queue")
require("lwm2m-resume")
require("lwm2m-storing")
require("lwm2m-update")
require("lwm2m-v12")
include(
    "../device/manifest.py",
    parts="area clock lan lock monitor places ppp power sleep stack update",
)
