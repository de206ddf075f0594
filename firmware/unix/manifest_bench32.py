# As on a board: the client is frozen, so that only its data is on the heap.
include("manifest.py")
include("../manifests/client.py")
