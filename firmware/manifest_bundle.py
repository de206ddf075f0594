# What lies in the file system of a board with stock MicroPython: the packages of a role, DTLS with
# certificates, as there are no pre-shared keys before 1.29, keys and flash, the device's own code, and,
# with updates, what chooses between that and one of them.
options.defaults(role="minimal")
include("manifests/" + options.role + ".py")
require("lwm2m-x509")
include("device/manifest.py")
package("device", files=("launch.py",), opt=3)
module("launch.py", opt=3)
