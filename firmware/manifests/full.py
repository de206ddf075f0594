# Every package there is.
include("client.py")
include("station.py")
require("lwm2m-credentials")
require("lwm2m-dtls-server")
require("lwm2m-pull")
require("lwm2m-update")
include("../device/manifest.py", parts="area clock lan lock ppp update")
