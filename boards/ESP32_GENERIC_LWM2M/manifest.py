# What is frozen into the image; role is one of firmware/manifests.
options.defaults(role="client")
include("../../firmware/esp32/manifest.py", role=options.role)
