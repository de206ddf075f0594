# The other end: a Bootstrap Server and a LwM2M Server.
add_library("lwm2m-lib", "../../lib")
require("lwm2m-bootstrap-server")
require("lwm2m-server")
