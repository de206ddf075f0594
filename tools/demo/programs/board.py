# firmware/main.py on this machine, under the unix port: board.py FOLDER APP install PATH SHA256, or
# board.py FOLDER APP run. FOLDER is the board's flash, APP the folder with app.py. What touches a chip
# (module device.port) is replaced; a reset ends the process, and who has started it starts it again.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import os
import sys

import device.port as port
import device.settings as settings

_FOLDER, _APP, _COMMAND = sys.argv[1:4]
_WORD = _FOLDER + "/word"  # what outlasts a reset

settings.FOLDER = _FOLDER + "/lwm2m-store"


def _load():
    try:
        with open(_WORD) as f:
            return int(f.read())
    except (OSError, ValueError):
        return 0


def _save(word):
    with open(_WORD, "w") as f:
        f.write(str(word))


def _reset():
    os.system("kill -9 $PPID")  # nothing less is like one


port.load = _load
port.save = _save
port.reset = _reset
port.watchdog = lambda: None
port.led = lambda pin: lambda value: None
port.button = lambda pin: lambda: 1
port.serial_number = lambda: "0" * 16

if _COMMAND == "install":
    import device.factory as factory

    factory.install(*sys.argv[4:])
else:
    sys.path[0] = _APP
    import main

    main.run(port)
