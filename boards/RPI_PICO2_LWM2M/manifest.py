# What is frozen into the image; role is one of firmware/manifests.
options.defaults(role="client")
include("../../firmware/rp2/manifest.py", role=options.role, network="ppp")
