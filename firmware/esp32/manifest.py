# What is frozen into an image for an ESP32: the port's own modules, and ours.
options.defaults(role="client")
freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
include("../manifest.py", role=options.role)
