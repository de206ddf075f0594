# Every package there is.
include("client.py")
include("station.py")
