# What lies in the file system of a board with stock MicroPython: the packages of a role, DTLS with
# certificates, as there are no pre-shared keys before 1.29, keys and flash, and the device's own code.
options.defaults(role="minimal")
include("manifests/" + options.role + ".py")
require("lwm2m-x509")
include("device/manifest.py")
