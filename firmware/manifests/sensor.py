# A sensor that is managed: its accounts come from the factory, its keys are pre-shared; it is observed
# with attributes, in TLV and SenML CBOR.
include("minimal.py")
require("lwm2m-attributes")
require("lwm2m-dtls")
require("lwm2m-formats", formats="senml_cbor")
require("lwm2m-instances")
require("lwm2m-ipso")
require("lwm2m-store")
