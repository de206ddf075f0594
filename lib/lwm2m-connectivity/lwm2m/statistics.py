# Connectivity Statistics (LwM2M 1.1 E.8, object 7): what a client sends and receives.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import Error
from .model import Object

_INT = const(2)  # of model's flags
_R = const(0x10)
_RW = const(0x30)
_E = const(0x40)
_M = const(0x100)

_KB = const(1024)
_START = const(6)
_MAX_PERIOD = const(0x0FFFFFFF)  # s, eight years, as core counts

# fmt: off
STATISTICS = (
    0, _INT | _R,  # SMS Tx Counter
    1, _INT | _R,  # SMS Rx Counter
    2, _INT | _R,  # Tx Data, KB
    3, _INT | _R,  # Rx Data, KB
    4, _INT | _R,  # Max Message Size
    5, _INT | _R,  # Average Message Size
    6, _E | _M,  # Start
    7, _E | _M,  # Stop
    8, _INT | _RW,  # Collection Period, s
)
# fmt: on


class Statistics(Object):
    """Counts the datagrams that go over a net: Net, or what has its methods.

    It must be made before the Client that has that net, and puts itself before net's open() and
    send(): without it, nothing is counted and nothing slower. Counted are bytes of CoAP; with DTLS 29
    bytes a datagram (CCM_8) and the handshakes come on top, with UDP and IPv4 28.

    sent, received: datagrams. Counting begins with the first Start (/7/0/6).
    """

    def __init__(self, net):
        super().__init__(7, STATISTICS)
        self._open, self._send = net.open, net.send
        net.open, net.send = self._opened, self._sent
        self._core = None  # the client's, of the first connection
        self._collects = False
        self._due = -1  # s, of core's, when it is over; -1 for never
        self._clear()
        self.add(
            0,
            {
                2: lambda: self._tx // _KB,
                3: lambda: self._rx // _KB,
                4: lambda: self._most,
                5: self._average,
                8: 0,
            },
        )

    def _clear(self):
        self.sent = self.received = 0
        self._tx = self._rx = self._most = 0

    def _average(self):
        n = self.sent + self.received
        return (self._tx + self._rx) // n if n else 0

    # What stands before the net, and before the core.

    def _opened(self, core, account, now, *begin):
        if core is not self._core:
            self._core = core
            self._receive = core.receive
            core.receive = self._received
        return self._open(core, account, now, *begin)

    def _sent(self, account, datagram):
        if self._counts(datagram):
            self.sent += 1
            self._tx += len(datagram)
        self._send(account, datagram)

    def _received(self, account, datagram, now):
        if self._counts(datagram):
            self.received += 1
            self._rx += len(datagram)
        self._receive(account, datagram, now)

    def _counts(self, datagram):
        if self._collects and 0 <= self._due <= self._core.seconds:
            self._collects = False
        if self._collects:
            self._most = max(self._most, len(datagram))
        return self._collects

    # What servers do.

    def on_check(self, iid, values):
        if not 0 <= values.get(8, 0) <= _MAX_PERIOD:
            raise Error(0x80, "/7/0/8 must be from 0 to %d" % _MAX_PERIOD)

    def on_execute(self, iid, rid, argument):
        if argument:
            raise Error(0x80, "no arguments here")
        self._collects = rid == _START
        if self._collects:
            self._clear()
            self._due = self._core.after(self.get(0, 8) or -1)
        for value in (2, 3, 4, 5):
            self._changed(0, value)
