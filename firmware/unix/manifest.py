# Nothing of ours is frozen: tests load lib/ as source and as .mpy files.
include("$(MPY_DIR)/extmod/asyncio")
module("ssl.py")
