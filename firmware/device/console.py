# The console, which is the serial line where the REPL is: what was told there last, and a few commands
# that are taken while the program runs.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Each answer is one line of JSON, as device.factory has them. What is no command gets no answer, so that
# noise does not keep the device busy. A locked device has this instead of a REPL: firmware/lock.c keeps
# that closed, whatever comes over the line. On another one Ctrl-C still gets the REPL.

import select
import sys
from device.guard import forget
from micropython import const, kbd_intr
from ucoap.engine import diff

_LINE = const(64)  # bytes of a command
_TURN = const(256)  # bytes that are looked at in one turn
_LOG = const(1024)  # bytes
_LINES = const(32)  # of the log, that are told
_WIDTH = const(160)  # characters of each
_LF = const(10)

_COMMANDS = const(b"status;log;selftest;reset;reboot;unlock and wipe")


class Console:
    """Takes commands; module commands does them.

    guard: a Guard. running(): a dict of what device.factory.status() is to say of the program. now: ms,
    masked to 30 bits. area: that of a locked device, as device.area is one, or None. line: what has
    read(n) and can be polled.
    """

    def __init__(self, guard, running, now, area=None, line=None):
        self.guard = guard
        self.running = running
        self.area = area
        if area:
            kbd_intr(-1)  # as lock.c has it already
        self.seconds = 0  # since the start
        self._then = now  # ms
        # What was told last, as a ring of bytes: lines, each with its end.
        self._log = bytearray(_LOG)
        self._log[_LOG - 1] = _LF  # of what is before the first one
        self._at = 0
        self._line = line or sys.stdin.buffer
        self._poller = select.poll()
        self._poller.register(self._line, select.POLLIN)
        self._heard = b""
        self._whole = True  # whether the line has had nothing but text, and is not too long

    def keep(self, text):
        """Keep a line (str) for the log, in place of the oldest."""
        for byte in ("%d %s\n" % (self.seconds, text[:_WIDTH])).encode():
            self._log[self._at] = byte
            self._at = (self._at + 1) % _LOG

    def poll(self, now):
        """Read what has come, and do what it says. Returns whether there may be more."""
        passed = diff(now, self._then) // 1000
        self.seconds += passed
        self._then = self._then + passed * 1000 & 0x3FFFFFFF
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
        if command not in _COMMANDS.split(b";"):
            return
        try:
            from device.commands import run

            run(self, str(command, "utf-8"))
        except MemoryError:
            print('{"ok": false, "error": "the board is out of memory"}')
        # On stock boards they are more than a client can spare.
        for name in ("commands", "factory", "record"):
            forget(name)

    def lines(self):
        """The log: a list of str, each with the seconds from the start to it."""
        log, at = self._log, self._at
        # Of the oldest only its end may be left.
        kept = log[at:] + log[:at]
        return str(kept[kept.find(b"\n") + 1 :], "utf-8").split("\n")[-1 - _LINES : -1]
