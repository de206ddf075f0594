# What a board carries: a client that is bootstrapped and observed.
include("minimal.py")
require("lwm2m-bootstrap")
require("lwm2m-observe")
