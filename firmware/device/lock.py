# The serial line of a locked device: instead of a REPL, a few commands.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Only an image of ours can be locked: firmware/lock.c keeps the REPL closed, whatever comes over
# the line. Each answer is one line of JSON, as device.factory has them. What is no command gets no
# answer, so that noise does not keep the device busy.

import json
import select
import sys
from micropython import const, kbd_intr
from device.guard import ASKED

_LINE = const(64)  # bytes of a line
_TURN = const(256)  # bytes that are looked at in one turn

UNLOCK = b"unlock and wipe"


class Console:
    """Takes commands: status, selftest, reset, reboot, unlock and wipe.

    area: as device.area is one. guard: a Guard. command(name): does what device.factory has under
    that name. line: what has read(n) and can be polled.
    """

    def __init__(self, area, guard, command, line=None):
        kbd_intr(-1)  # as lock.c has it already
        self._area = area
        self._guard = guard
        self._command = command
        self._line = line or sys.stdin.buffer
        self._poller = select.poll()
        self._poller.register(self._line, select.POLLIN)
        self._heard = b""
        self._whole = True  # whether the line has had nothing but text, and is not too long

    def poll(self):
        """Read what has come, and do what it says. Returns whether there may be more."""
        for n in range(_TURN):
            ready = self._poller.poll(0)
            if not ready or not ready[0][1] & select.POLLIN:
                return n > 0
            byte = self._line.read(1)
            if not byte:
                self._poller.unregister(self._line)  # there is no line any more
                return False
            if byte in b"\r\n":
                if self._whole and self._heard:
                    self._do(self._heard)
                self._heard = b""
                self._whole = True
            elif len(self._heard) >= _LINE or not 32 <= byte[0] < 127:
                self._whole = False
            else:
                self._heard += byte
        return True

    def _do(self, command):
        if command == b"reboot":
            self._guard.reset(ASKED)
        elif command == UNLOCK:
            self._unlock()
        elif command in (b"status", b"selftest", b"reset"):
            self._command(str(command, "utf-8"))
            if command == b"reset":  # the client is to start with what is stored now
                self._guard.reset(ASKED)

    def _unlock(self):
        # The keys go first: a power cut leaves a locked device with less in it, to be told again.
        self._guard.hold(600000)  # an RP2040 takes 12 s for each MB
        try:
            self._area.erase()
            wipe()
            self._area.unlock()
            print(json.dumps({"ok": True}))
        except OSError as e:
            print(json.dumps({"ok": False, "error": "flash fails: %r" % e}))
        self._guard.reset(ASKED)


def wipe():
    """Erase each block of the file system, as a removed file leaves its keys in the flash."""
    import os
    import vfs

    if sys.platform == "rp2":
        from rp2 import Flash

        device = Flash()
        blocks = os.statvfs("/")[2]  # those behind are the factory area's
    else:
        from flashbdev import bdev as device

        blocks = device.ioctl(4, 0)
    vfs.umount("/")
    for n in range(blocks):
        device.ioctl(6, n)
