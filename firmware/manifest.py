# What every image of this project has frozen, beside its port's own modules: the packages of a role
# (one of manifests/), keys and flash, and the device's own code.
import os

options.defaults(role="client")
include("manifests/" + options.role + ".py")
require("lwm2m-dtls")
require("lwm2m-store")
package("device", opt=3)
if os.path.exists("main.py"):
    module("main.py", opt=3)
