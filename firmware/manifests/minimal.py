# A client without lwm2m-bootstrap: its accounts come from the factory.
add_library("lwm2m-lib", "../../lib")
require("lwm2m")
require("lwm2m-text")
require("lwm2m-tlv")
require("lwm2m-words")
