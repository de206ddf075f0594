metadata(description="LwM2M client for devices.", version="0.1.0")

require("ucoap")

# The extension packages (lwm2m-bootstrap and others) take their modules from this folder too, so
# the files are listed.
package(
    "lwm2m",
    files=(
        "__init__.py",
        "client.py",
        "core.py",
        "model.py",
        "net.py",
        "objects.py",
        "tlv.py",
    ),
    opt=3,
)
