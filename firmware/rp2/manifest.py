# What is frozen into an image for an RP2040: the port's own modules, but for _boot.py, and ours.
options.defaults(role="client", network="lan ppp")
module("rp2.py", base_path="$(PORT_DIR)/modules")
module("_boot.py")
include("$(MPY_DIR)/extmod/asyncio")
include("../manifest.py", role=options.role, network=options.network)
