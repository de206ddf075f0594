# Updates of the application over the air, where the factory has given keys for them.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import sys
from binascii import unhexlify
import device.settings as settings
from device.places import places
from device.guard import ASKED
from lwm2m.slots import Slots
from lwm2m.update import Update
from micropython import const

# What ends a trial by the way that a start has ended.
_WATCHDOG = const(1)  # of module guard
_CRASH = const(3)
_FAULTS = {_CRASH: "it crashed", _WATCHDOG: "the watchdog ended it"}


class Updates:
    """The application's slots, beside the accounts.

    given: dict, [update] of the factory's configuration.
    """

    def __init__(self, given):
        keys = [unhexlify(key) for key in given["keys"]]
        folder = settings.FOLDER + "/update"
        self.slots = Slots(folder, keys, given["target"], given.get("number", 0), places())
        self.folder = None  # of the update that runs

    def choose(self, reason, started=None):
        """Let `import app` find what is to be run. reason: guard's, of the reset before this start.
        started: what device.launch has chosen already, where it runs. Returns whether that is an update,
        which has to have an app.
        """
        if started:
            self.folder, counted = started
            if self.slots.on_trial() and not counted:  # it does not run, and must not be kept
                self.slots.fail("flash does not count its starts")
        else:
            self.folder = self.slots.start(_FAULTS.get(reason))
            if self.folder:
                sys.path.insert(0, self.folder)
        return bool(self.folder)

    def take(self, client, app, guard):
        """Let a client take updates. app: the module that runs, or None."""
        if self.slots.on_trial():
            selftest = getattr(app, "selftest", None)
            fault = selftest and selftest()
            folder = self.folder
            if folder and not getattr(app, "__file__", "").startswith(folder + "/"):
                fault = "it has no app"  # that is another one
            if fault:
                self.slots.fail(fault)
                guard.reset(ASKED)
        update = Update(client, self.slots, getattr(app, "may_update", None))
        on_update = getattr(app, "on_update", None)
        if on_update:
            on_update(update)
