# What every image of this project has frozen, beside its port's own modules: the packages of a role
# (one of manifests/), keys and flash, and the device's own code. network: the kinds that a board's
# port has drivers for, lan (Wi-Fi and Ethernet) and ppp.
options.defaults(role="client", network="lan ppp")
include("manifests/" + options.role + ".py")
require("lwm2m-dtls")
require("lwm2m-store")
parts = "area " + options.network
if options.role != "minimal":
    parts += " clock lock"
include("device/manifest.py", parts=parts)
