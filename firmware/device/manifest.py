metadata(description="LwM2M firmware: what a board does beside the client.", version="0.1.0")

require("lwm2m-store")

# This folder's modules; one that is missing here is not in the images.
package(
    "device",
    files=(
        "area.py",
        "clock.py",
        "factory.py",
        "guard.py",
        "led.py",
        "link.py",
        "lock.py",
        "port.py",
        "settings.py",
    ),
    base_path="..",
    opt=3,
)
module("boot.py", base_path="..", opt=3)
module("main.py", base_path="..", opt=3)
