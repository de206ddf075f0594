metadata(description="LwM2M firmware: what a board does beside the client.", version="0.1.0")

require("lwm2m-store")

# Beside the modules that every board has, those named in parts: area and lock are for images of
# this project, clock for certificates, lan and ppp for kinds of networks; monitor, power and sleep, and
# update with places, for those that have lwm2m-connectivity, lwm2m-queue, and lwm2m-update.
options.defaults(parts="area clock lan lock ppp")
package(
    "device",
    files=(
        "commands.py",
        "console.py",
        "factory.py",
        "guard.py",
        "led.py",
        "link.py",
        "port.py",
        "record.py",
        "settings.py",
        "start.py",
    )
    + tuple([name + ".py" for name in options.parts.split()]),
    base_path="..",
    opt=3,
)
module("boot.py", base_path="..", opt=3)
module("main.py", base_path="..", opt=3)
