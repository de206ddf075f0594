# What every image of this project has frozen, beside its port's own modules: the packages of a role
# (one of manifests/), keys and flash, and the device's own code.
options.defaults(role="client")
include("manifests/" + options.role + ".py")
require("lwm2m-dtls")
require("lwm2m-store")
include("device/manifest.py")
