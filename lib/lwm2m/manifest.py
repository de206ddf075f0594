metadata(description="LwM2M client for devices.", version="0.1.0")

require("ucoap")

# The extension packages (lwm2m-bootstrap and others) add modules to this one.
package("lwm2m", opt=3)
