# Which library and firmware a board with stock MicroPython runs: the factory's in /lib, or an update's.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# boot.py, main.py and /lib come over the cable, and no update changes them. So it is the factory's
# modules that choose here: what lwm2m.slots keeps in flash has to be such that they can read it, as it
# is with accounts. An update has a library where there is a device/main in its slot: then everything of
# /lib is forgotten, its own is loaded in its place, and device.main.run(port, minute_ms, started) called.
# What is raised there is told as a crash, which ends a trial.

import gc
import os
import sys
from micropython import const

_CRASH = const(3)  # of module guard
_OURS = const(("device", "lwm2m", "ucoap"))


def run(minute_ms=60000):
    """Run the factory's or an update's. minute_ms: what the guard's minutes last."""
    started = choose()
    folder, trial = started or (None, False)
    if not (folder and _has_library(folder)):
        folder = None  # there may be an application
    try:
        if folder:
            _forget(trial)
        import device.main
        import device.port

        device.main.run(device.port, minute_ms, started)
    except Exception as e:
        if not folder:
            raise
        _crashed(e, folder, trial)


def choose():
    """(folder, whether it is on trial) of the update that is to be run, the folder None for the factory's
    version; None where the factory wants no updates. Called once in a start, as that counts it.
    """
    from device.guard import Guard
    import device.port as port

    updates = _updates()
    if updates:
        updates.choose(Guard(port).why())
        return updates.folder, updates.slots.on_trial()


def _updates():
    try:
        import device.settings as settings
        from device.update import Updates

        copy = settings.load()
        given = copy and copy.values.get("update")
        return Updates(given) if given else None
    except (ImportError, ValueError, OSError):
        return None  # not in this role, or what device.main tells


def _has_library(folder):
    try:
        return any(name.startswith("main.") for name in os.listdir(folder + "/device"))
    except OSError:
        return False


def _forget(watched=False):
    # The modules of ours, so that they are loaded from what comes first in sys.path. watched: by a
    # watchdog from now on, as those may hang before they start it themselves.
    import device.port as port

    port.every(0, None)  # boot.py's timer calls one of them
    if watched:
        port.watchdog()
    for name in list(sys.modules):
        if name.split(".")[0] in _OURS:
            del sys.modules[name]
    del port
    gc.collect()


def _crashed(e, folder, trial):
    # The factory's modules are what is left to tell it.
    sys.path.remove(folder)
    _forget()
    from device.guard import Guard
    import device.port as port

    guard = Guard(port)
    safe = guard.begin()
    print("LwM2M: crashed")
    for line in guard.crashed(e):
        print(line)
    if safe and not trial:
        give_up()
        guard.failed = 0  # the factory's has not failed
    guard.reset(_CRASH)


def give_up():
    """Go back to the factory's version, as what was kept does not start any more."""
    slots = _updates().slots
    try:
        slots.factory_reset()
    except OSError:  # the next start tries again
        return
    slots.fail("it does not start any more")
