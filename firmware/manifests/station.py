# The other end: a Bootstrap Server and a LwM2M Server, with DTLS and keys.
add_library("lwm2m-lib", "../../lib")
require("lwm2m-bootstrap-server")
require("lwm2m-formats")
require("lwm2m-server")
require("lwm2m-dtls-server")
require("lwm2m-credentials")
require("lwm2m-x509")
require("lwm2m-text")
