# What lies in the file system of a board with stock MicroPython: the packages of a role, DTLS, keys
# and flash, and the device's own code.
options.defaults(role="minimal")
include("manifests/" + options.role + ".py")
require("lwm2m-dtls")
include("device/manifest.py")
