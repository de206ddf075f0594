# What a board carries: a client that is bootstrapped and observed, over DTLS, with its accounts in
# flash.
include("minimal.py")
require("lwm2m-accounts")
require("lwm2m-bootstrap")
require("lwm2m-dtls")
require("lwm2m-instances")
require("lwm2m-keys")
require("lwm2m-observe")
require("lwm2m-store")
require("lwm2m-rpk")
require("lwm2m-x509")
require("lwm2m-formats")
