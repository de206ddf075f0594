# What the console's commands do.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import json
import device.factory as factory
from micropython import const

_ASKED = const(4)  # of module guard


def run(console, command):
    """Do a command (str) of a Console, and print its answer."""
    if command == "log":
        _answer({"ok": True, "seconds": console.seconds, "lines": console.lines()})
    elif command == "status":
        factory.status(console.running())
    elif command == "selftest":
        factory.selftest()
    elif command == "unlock and wipe":
        if console.area:
            try:
                from device.lock import unlock
            except ImportError:
                _answer({"ok": False, "error": "this image's role cannot be unlocked"})
                return
            _answer(unlock(console.area, console.guard))
            console.guard.reset(_ASKED)
    else:
        if command == "reset":  # the client is to start with what is stored now
            factory.reset()
        console.guard.reset(_ASKED)


def _answer(found):
    print(json.dumps(found))
