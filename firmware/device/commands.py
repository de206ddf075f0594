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
            _unlock(console)
    else:
        if command == "reset":  # the client is to start with what is stored now
            factory.reset()
        console.guard.reset(_ASKED)


def _unlock(console):
    area, guard = console.area, console.guard
    try:
        from device.lock import wipe
    except ImportError:
        return _answer({"ok": False, "error": "this image's role cannot be unlocked"})
    # The keys go first: a power cut leaves a locked device with less in it, to be told again.
    guard.hold(600000)  # an RP2040 takes 12 s for each MB
    try:
        area.erase()
        wipe()
        area.unlock()
        _answer({"ok": True})
    except OSError as e:
        _answer({"ok": False, "error": "flash fails: %r" % e})
    guard.reset(_ASKED)


def _answer(found):
    print(json.dumps(found))
