# What the factory has given this board: its endpoint name, its accounts, and settings.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# The factory copy holds them, a file of lwm2m.store's form. In an image of this project it lies in
# an area of its own (module area), on stock MicroPython in the file FOLDER/factory/accounts.
#
# A new one comes as FOLDER/new. When it was found to be right it is renamed to FOLDER/ready, and
# from that moment it counts: finish() clears what the client has stored, puts the new copy in its
# place and removes it, and whatever power cut comes in between, it is done again at the next start.

import json
import os
from lwm2m.store import Store

FOLDER = "/lwm2m-store"  # the Store's own


class Settings:
    """What the factory copy says.

    endpoint: str, the endpoint name. state: the accounts, as a Store has them. values: dict, the
    settings: "network" and others.
    """

    def __init__(self, endpoint, state, values):
        self.endpoint = endpoint
        self.state = state
        self.values = values


def area():
    """The module with the reserved area, None on stock MicroPython."""
    try:
        import device.area as area
    except ImportError:
        return None
    return area if area.available() else None


def store():
    """The Store for this board's client."""
    reserved = area()
    return Store(FOLDER, reserved.open if reserved else None)


def load():
    """The Settings, None where the factory has given none.

    Completes an installation that was cut. Raises ValueError, in words, where the factory copy is
    damaged, OSError where flash fails.
    """
    finish()
    remove("/new")  # cut while it was sent
    return parse(store().factory())


def parse(copy):
    """The Settings in (endpoint, state) of a factory copy, None for None. Raises ValueError."""
    if not copy:
        return None
    endpoint, state = copy
    if not endpoint:
        raise ValueError("the factory copy has no endpoint name")
    try:
        values = json.loads(state.pop(65535)[1][0])
        values["network"]["type"]
    except (KeyError, TypeError, ValueError):
        raise ValueError("the factory copy has no settings")
    return Settings(endpoint, state, values)


def finish():
    """Complete an installation, if one has been begun. Raises OSError."""
    if not exists("/ready"):
        return
    remove("/0/accounts")
    remove("/1/accounts")
    reserved = area()
    if reserved:
        with open(FOLDER + "/ready", "rb") as f:
            reserved.write(f.read())
        os.remove(FOLDER + "/ready")
    else:
        try:
            os.mkdir(FOLDER + "/factory")
        except OSError:  # it is there; if not, rename() tells
            pass
        os.rename(FOLDER + "/ready", FOLDER + "/factory/accounts")


def exists(name):
    """Whether FOLDER has that file."""
    try:
        os.stat(FOLDER + name)
        return True
    except OSError:
        return False


def remove(name):
    """Remove a file of FOLDER, if it is there. Raises OSError."""
    if exists(name):
        os.remove(FOLDER + name)
