# The watchdog, the reasons of resets, and failed starts.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# A start counts as failed until it has lasted for five minutes, or somebody has asked for the reset
# that ends it. The count is in the port's word, so that it wears no flash, and a power cut clears
# it. After three there is safe mode: no network, no application, and another try after 15 minutes,
# then 30, …, a day. The word: 0x2A55 (14 bits), whether somebody has broken in (at bit 15: until power
# goes, or a start was good, starts are not counted, as somebody tries out an application), whether
# somebody was at the REPL in this start, this start's reason (4), the next one's (4), whether there is a
# watchdog, whether the modem's PIN was refused, the count (4).

import sys
from micropython import const
import device.port
from ucoap.engine import diff

_MAGIC = const(0x2A55)
_MAGIC_AT = const(16)
_THIS_AT = const(10)
_NEXT_AT = const(6)
_TOUCHED = const(0x4000)
_WATCHED = const(0x20)
_REFUSED = const(0x10)
_TRIED_OUT = const(0x8000)

_FAILED = const(3)  # starts, from which on there is safe mode
_GOOD = const(5)  # minutes
_SAFE = const(15)  # minutes, at first
_BROKEN_IN = const(10)  # minutes
_DAY = const(1440)  # minutes
_WRITES = const(8)  # of the network's faults in a start, as flash wears

TICK_MS = const(100)
_LOOKUP_MS = const(60000)  # how long a name may take

# Reasons of a reset: device.port's, and what reset() is told. Module record has their names.
_WATCHDOG = const(1)
_CRASH = const(3)
ASKED = const(4)
_RETRY = const(5)
SLEPT = const(8)


class Guard:
    """What watches over a start.

    port: as device.port is one. minute_ms: what counts as a minute.
    """

    def __init__(self, port, minute_ms=60000):
        word = port.load()
        if word >> _MAGIC_AT != _MAGIC:
            word = 0
        self.failed = word & 15  # starts
        self.refused = bool(word & _REFUSED)  # the modem's PIN was wrong: not to be tried again
        self._tried_out = bool(word & _TRIED_OUT)
        self.reason = word >> _THIS_AT & 15  # of the reset before this start
        self._next = word >> _NEXT_AT & 15
        self._watched = bool(word & _WATCHED)
        self._touched = bool(word & _TOUCHED)
        self._kept = word != 0
        self._writes = _WRITES
        self._port = port
        self.minute_ms = minute_ms
        self._watchdog = None
        self.led = None  # a Led, which has the same timer
        self._interrupted = False  # whether Ctrl-C has come in a tick
        self._left = 0  # ticks for which the timer is to feed it
        self._since = None  # ms, of the first turn(); -1 when the start was found to be good

    def why(self):
        """The reason of the reset before this start, until begin() makes it `reason`."""
        cause = self._port.cause(self._kept and not self._touched)
        # A start may have ended before its begin(), where an update's library hangs as it is loaded.
        return cause if cause == _WATCHDOG else self._next or cause

    def begin(self):
        """Count a start. Returns how long safe mode is to last, ms; 0 where there is none."""
        self.reason = self.why()
        self._next = 0
        self._watched = self._touched = False
        wait = 0
        if self.failed >= _FAILED and self.reason != _RETRY:
            wait = min(_SAFE << self.failed - _FAILED, _DAY) * self.minute_ms
        elif not self._tried_out:
            self.failed = min(self.failed + 1, 15)
        self._save()
        return wait

    def watch(self):
        """Start the watchdog."""
        self._watchdog = self._port.watchdog()
        self._watched = self._watchdog is not None
        self._save()

    def tick(self, timer=None):
        """The timer's call, each TICK_MS."""
        try:
            if self._left > 0:
                self._left -= 1
                self._feed()
            if self.led:
                self.led.tick()
        except KeyboardInterrupt:  # what a callback raises, MicroPython prints, and no more
            self._interrupted = True

    def check(self):
        """Raise the KeyboardInterrupt that a tick has got."""
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt

    def hold(self, ms):
        """Let the timer feed the watchdog for that long; 0: no more."""
        self._feed()
        self._left = ms // TICK_MS

    def patient(self, f):
        """A function that does what f does, while a name's look-up is let take its time."""

        def held(*args):
            self.hold(_LOOKUP_MS)
            try:
                return f(*args)
            finally:
                self.hold(0)

        return held

    def turn(self, now):
        """The loop's call: it is alive. now: ms, masked to 30 bits. Raises as check()."""
        self.check()
        self._feed()
        if self._since is None:
            self._since = now
        elif self._since >= 0 and diff(now, self._since) >= _GOOD * self.minute_ms:
            self._since = -1
            self.failed = 0
            self._tried_out = False
            self._save()

    def refuse(self):
        """The modem's PIN is wrong; it is not tried again until power goes, or break_in()."""
        self.refused = True
        self._save()

    def break_in(self):
        """Somebody is at the REPL: all starts anew, and there are ten minutes until a reset."""
        self.refused = False
        self.failed = 0
        self._touched = self._tried_out = True
        self._save()
        self.hold(_BROKEN_IN * self.minute_ms)

    def crashed(self, e):
        """Keep what is left of an exception for a report, and say it (returns list of str)."""
        self._next = _CRASH
        self._save()
        try:
            return _record().crashed(e)
        except Exception:  # there is no memory for it, or flash fails
            return [type(e).__name__]

    def network_failed(self, e):
        """Keep why an attempt to connect has failed, for a report. Returns that in words, and what of it
        is for who is at the console only, or None."""
        try:
            text, said, written = _record().network_failed(e, self._writes > 0)
        except Exception:  # as in crashed()
            return type(e).__name__, None
        self._writes -= written
        return text, said

    def reset(self, reason, reset=None):
        """Restart, as ASKED, as a CRASH, to RETRY, or as it has SLEPT; by reset(), where it is given."""
        self._next = reason
        if reason in (ASKED, SLEPT):
            self.failed = 0
        self._save()
        (reset or self._port.reset)()

    def error_code(self):
        """For /3/0/11 (LwM2M 1.1 E.4): what ended the start before this one, 0 for nothing bad.

        5 out of memory; 16 a crash, 17 the watchdog, 18 safe mode, 19 a panic of the chip, or a reset
        of the application's own, 20 a brownout, of those that are the device's.
        """
        if self.reason == _CRASH:
            lines = _record().crash()[0]
            return 5 if lines and lines[0].startswith("MemoryError") else 16
        return (0, 17, 0, 0, 0, 18, 19, 20, 0)[self.reason]

    def _feed(self):
        if self._watchdog:
            self._watchdog.feed()

    def _save(self):
        word = _MAGIC << _MAGIC_AT | self.reason << _THIS_AT | self._next << _NEXT_AT
        word |= self._watched * _WATCHED | self.refused * _REFUSED | self.failed
        word |= self._touched * _TOUCHED | self._tried_out * _TRIED_OUT
        self._port.save(word)


def boot():
    """Of boot.py: a soft reset has ended the timer, but not the watchdog. At a raw REPL, no main.py
    will feed it."""
    guard = Guard(device.port)
    if device.port.watched(guard._watched):
        guard.watch()
        device.port.every(TICK_MS, guard.tick)
        guard.hold(_BROKEN_IN * 60000)


def _record():
    # What a start that goes well does not need; with the last of it its heap is given back.
    import device.record as record

    forget("record")
    return record


def optional(module):
    """Module device.<module>, or None where this image lacks it, or what it needs. One that is broken raises."""
    try:
        return __import__("device." + module, None, None, ("",))
    except ImportError as e:
        if "no module" not in str(e):
            raise
        return None


def forget(module):
    """Give back the heap of module device.<module>, which is loaded again when it is asked for."""
    sys.modules.pop("device." + module, None)  # where memory ran out, it is no object
    package = sys.modules["device"]
    if hasattr(package, module):
        delattr(package, module)
