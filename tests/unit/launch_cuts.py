# Power cuts at every block operation of what device.launch does with a library in a slot, as
# test_slots_cuts.py has them of an application: after each the device starts with the old library or the
# new one, whole, or with the factory's. tests/test_launch.py runs this over a bundle's modules.

import sys

import device.launch as launch
import device.port as port
import device.settings as settings
import test_slots_cuts as cuts
from packages import KEYS, TARGET, package
from test_slots_cuts import install, keep, run, sweep

settings.FOLDER = "/flash/lwm2m-store"
cuts.FOLDER = settings.FOLDER + "/update"


def library(n):
    text = b"VERSION = %d\n" % n
    names = ("app.py", "device/main.py", "lwm2m/__init__.py", "lwm2m/core.py", "ucoap/__init__.py")
    return {name: text * (10 + 90 * (name == "lwm2m/core.py")) for name in names}


OLD, NEW = library(2), library(3)
cuts.OLD, cuts.NEW = OLD, NEW
cuts.PACKAGES = PACKAGES = package(OLD, 2), package(NEW, 3, flags=1)

# The guard's word (device/guard.py): what it is by its magic, and the reason of the next start, a crash.
CRASHED = 0x2A55 << 16 | 3 << 6


def provision():
    from binascii import hexlify
    import json

    keys = [str(hexlify(key), "utf-8") for key in KEYS]
    given = {"network": {"type": "none"}, "update": {"target": TARGET, "keys": keys, "number": 1}}
    account = {0: "coap://server", 1: False, 2: 3, 3: b"", 4: b"", 5: b"", 10: 1}
    state = {0: {0: account}, 65535: {1: {0: json.dumps(given)}}}
    settings.store().provision("stock", state)


def choose(word=0):
    """As main.py's start does: (folder, whether on trial)."""
    path = sys.path[:]
    port.load = lambda: word
    try:
        return launch.choose()
    finally:
        sys.path[:] = path


def started(kind, flash):
    """(what is run, whether on trial, result), and it is a library, whole, or the factory's."""
    with cuts.mounted(kind, flash):
        found = choose()
        if not found:
            return "nothing provisioned", None, 0
        folder, trial = found
        try:
            if folder and not launch._has_library(folder):
                return "no library", trial, 0
            return cuts.content(folder), trial, cuts.slots().result()[0]
        except (OSError, UnicodeError) as e:
            return e, trial, 0


cuts.started = started
KEPT = (provision, install(PACKAGES[0]), keep)
ON_TRIAL = KEPT + (install(PACKAGES[1]),)


def test_installation():
    sweep("library, installation", KEPT, install(PACKAGES[1]), ((OLD, False), (NEW, True)))


def test_start_of_a_trial():
    sweep("library, start on trial", ON_TRIAL, choose, ((NEW, True),))


def test_crash():
    outcomes = ((NEW, True), (OLD, False))
    sweep("library, roll-back after a crash", ON_TRIAL, lambda: choose(CRASHED), outcomes)


def test_last_start():
    sweep("library, trial used up", ON_TRIAL + (choose,) * 3, choose, ((OLD, False),))


def test_giving_up():
    # What was kept does not start any more.
    outcomes = ((OLD, False), (None, False))
    sweep("library, given up", KEPT, launch.give_up, outcomes)


def test_a_start_that_cannot_be_counted():
    # Flash that refuses an operation of a start on trial: then it is the old library that runs, and what
    # main.py makes of the new one is that it has failed, though flash is well again.
    from device.update import Updates

    for kind in cuts.KINDS[:2]:
        base = cuts.prepared(kind, *ON_TRIAL)
        whole = base.copy()
        assert run(kind, whole, choose)
        uncounted = 0
        for at in range(whole.ops):
            flash = base.copy()
            flash.fail = at
            with cuts.mounted(kind, flash):
                found = choose()
                updates = Updates(settings.load().values["update"])
                assert updates.choose(0, found)
                if found[1]:
                    assert cuts.content(found[0]) == NEW and updates.slots.on_trial()
                    continue
                uncounted += 1
                assert cuts.content(found[0]) == OLD and updates.folder == found[0]
                assert not updates.slots.on_trial()
                assert updates.slots.result() == (8, "flash does not count its starts")
            assert started(kind, flash)[:2] == (OLD, False)
        assert uncounted, kind.name
