# What a device knows of its own health, for who has to find out from afar why it fails: an object of
# this project, which 26300.xml defines.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Nothing here is secret: of events the log has the kind, the code and words of this library, none of a
# peer's; what is more is the application's own.

import gc
from micropython import const
from ucoap import Error
import lwm2m.words as words
from .model import Object
from .objects import split_uri

ID = const(26300)  # of the private range

# Log levels.
NONE = const(0)
FAILURES = const(1)
EVENTS = const(2)
DEBUG = const(3)

_STR = const(1)  # of model's flags
_INT = const(2)
_R = const(0x10)
_RW = const(0x30)
_M = const(0x100)

# fmt: off
DIAGNOSTICS = (
    0, _STR | _R,  # Last Crash
    1, _STR | _R,  # Reset Reason
    2, _INT | _R | _M,  # Uptime, s
    3, _INT | _R,  # Least Free Heap, B
    4, _INT | _R,  # Largest Free Block, B
    5, _INT | _R,  # Retransmissions
    6, _INT | _R,  # Handshakes
    7, _INT | _R,  # Commits to Flash
    8, _INT | _R,  # Dropped Notifications
    9, _INT | _RW | _M,  # Log Level
    10, _STR | _R | _M,  # Log
    11, _INT | _R,  # Least Free Stack, B
)
# fmt: on

_LEVEL = const(9)
_LOG = const(10)
_LINES = const(16)  # of the log
_WIDTH = const(80)  # characters of each
_LONG = const(400)  # characters of the last crash
_MINUTE = const(60)
_MESSAGES = const(8)  # confirmable ones that are remembered, to know one that goes out again
_GRAIN = const(256)  # bytes that the largest block may be larger

_NOTIFICATION_FAILED = const(17)  # Event.type


class Diagnostics(Object):
    """Counts what goes over a net, and is to be made before the Client that has it; start() does the rest.

    log(level, text): a line of the application's own.
    """

    def __init__(self, net):
        super().__init__(ID, DIAGNOSTICS)
        self.persist = (_LEVEL,)
        self._open, self._send = net.open, net.send
        net.open, net.send = self._opened, self._sent
        self._core = None
        self._on_event = None  # the application's
        self._store = None
        self._least = gc.mem_free()  # bytes
        self._due = 0  # s, when the heap is looked at again
        self._mids = [-1] * _MESSAGES  # message ids; a ring
        self._next = 0  # its oldest place
        self._lines = []
        self.retransmissions = self.handshakes = self.dropped = 0

    def start(self, client, store=None, crash=None, reset=None, stack=None):
        """Let servers see it, and follow the client's events.

        store: the client's. crash: list of str, the words that the last crash has left, without
        secrets. reset: str, why the board has started. stack(): bytes of the C stack that nothing has used
        since it was given.
        """
        self._core = core = client.core
        self._store = store
        values = {
            2: lambda: core.seconds,
            3: self._heap,
            4: _largest,
            5: lambda: self.retransmissions,
            6: lambda: self.handshakes,
            8: self._dropped,
            _LEVEL: FAILURES,
            _LOG: lambda: "\n".join(self._lines),
        }
        if crash:
            values[0] = "\n".join(crash)[:_LONG]
        if reset:
            values[1] = reset
        if stack:
            values[11] = stack
        if store:
            values[7] = lambda: store.commits
        self.add(0, values)
        self._on_event = core.on_event
        core.on_event = self._event
        core.parts.append(self)
        client.add_object(self)

    def log(self, level, text):
        """Keep a line, if the log level is that or higher; the oldest gives way."""
        if level <= self.get(0, _LEVEL):
            self._lines.append(("%d %s" % (self._core.seconds, text))[:_WIDTH])
            if len(self._lines) > _LINES:
                self._lines.pop(0)
            self._changed(0, _LOG)

    def on_check(self, iid, values):
        if not NONE <= values.get(_LEVEL, NONE) <= DEBUG:
            raise Error(0x80, "/%d/0/%d must be from %d to %d" % (ID, _LEVEL, NONE, DEBUG))

    # --- What is counted

    def _opened(self, core, account, now, *begin):
        # With what begins it given it is a session that goes on, without a handshake.
        if not begin and split_uri(account.uri)[0] == "coaps":
            self.handshakes += 1
        return self._open(core, account, now, *begin)

    def _sent(self, account, datagram):
        # A confirmable message that goes out again has the message id that it had (RFC 7252 4.2).
        if not datagram[0] & 0x30:
            mid = datagram[2] << 8 | datagram[3]
            if mid in self._mids:
                self.retransmissions += 1
            else:
                self._mids[self._next] = mid
                self._next = (self._next + 1) % _MESSAGES
        self._send(account, datagram)

    def _event(self, event):
        if event.type == _NOTIFICATION_FAILED and not event.value:
            self.dropped += 1
        level = words.level(event)
        if level < DEBUG:  # or a Read of the log would be in it
            self.log(level, words.words(event, False))
        if self._on_event:
            self._on_event(event)

    def _dropped(self):
        # With what package lwm2m-storing could not keep.
        count = self.dropped
        for part in self._core.parts:
            storing = getattr(part, "storing", None)
            if storing:
                count += storing.dropped
        return count

    def _heap(self):
        # What is free when nothing is left that could be collected.
        gc.collect()
        self._least = min(self._least, gc.mem_free())
        return self._least

    # --- What a part has, as module account says

    def handle(self, account, m, payload, reply, now):
        return 0

    def poll(self, now):
        if self._due <= self._core.seconds:
            self._due = self._core.seconds + _MINUTE
            self._heap()

    def next_ms(self, now, least):
        return least  # nothing is worth waking up for

    def changed(self, oid, iid, rid):
        pass

    def moved(self, account):
        pass


def _largest():
    # Bytes, by trying, as MicroPython has no call that tells; about ten collections.
    gc.collect()
    least, most = 0, gc.mem_free()
    gc.disable()  # or each that fails would collect
    try:
        while most - least > _GRAIN:
            n = (least + most) // 2
            if _fits(n):
                least = n
                gc.collect()
            else:
                most = n
    finally:
        gc.enable()
    return least


def _fits(n):
    try:
        bytearray(n)
        return True
    except MemoryError:
        return False
