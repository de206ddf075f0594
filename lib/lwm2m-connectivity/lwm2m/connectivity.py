# Connectivity Monitoring (LwM2M 1.1 E.5, object 4 version 1.2).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from .model import Object

_STR = const(1)  # of model's flags
_INT = const(2)
_R = const(0x10)
_MULTI = const(0x80)
_M = const(0x100)

_NONE = ("0.0.0.0", "::", "")  # what an interface without an address says

# Bearers that a board of ours may have; 0 to 20 are cellular, which the modem knows.
CELLULAR = const(0)  # GSM, or not known
WLAN = const(21)
ETHERNET = const(41)

# fmt: off
CONNECTIVITY = (
    0, _INT | _R | _M,  # Network Bearer
    1, _INT | _R | _MULTI | _M,  # Available Network Bearer
    2, _INT | _R | _M,  # Radio Signal Strength, dBm
    3, _INT | _R,  # Link Quality
    4, _STR | _R | _MULTI | _M,  # IP Addresses
    5, _STR | _R | _MULTI,  # Router IP Addresses
    6, _INT | _R,  # Link Utilization, %
    7, _STR | _R | _MULTI,  # APN
    8, _INT | _R,  # Cell ID
    9, _INT | _R,  # SMNC
    10, _INT | _R,  # SMCC
    11, _INT | _R,  # SignalSNR, dB
    12, _INT | _R,  # LAC
)
# fmt: on


class Connectivity(Object):
    """What the board's network interface knows, asked at each Read.

    bearer: /4/0/0, WLAN, ETHERNET, CELLULAR or another number of it. nic: what module network has for
    it (WLAN, LAN, PPP, …); None where there is none, as on the unix port: addresses are what set()
    says then. signal: f() -> dBm, where the nic has no status("rssi"), as of a modem. Without either it
    is 0, which stands for nothing known.
    """

    def __init__(self, bearer, nic=None, signal=None):
        self.nic = nic  # may be replaced by another one
        self._signal = signal or self._rssi
        self._told = None  # of the last update()
        values = {0: bearer, 1: {0: bearer}, 2: self._signal, 4: {}}
        if nic:
            values.update({4: self._addresses, 5: self._routers})
        super().__init__(4, CONNECTIVITY)
        self.add(0, values)

    def update(self):
        """Tell who observes it what has changed since the last call; once a minute is a good rate."""
        now = [self.get(0, rid) for rid in (2, 4, 5)]
        told = self._told or (None, None, None)
        self._told = now
        for i in range(3):
            if now[i] != told[i]:
                self._changed(0, (2, 4, 5)[i])

    def _rssi(self):
        try:
            return self.nic.status("rssi")
        except (
            AttributeError,
            OSError,
            TypeError,
            ValueError,
        ):  # of no radio, or one that is down
            return 0

    def _addresses(self):
        addresses = [self.nic.ifconfig()[0]]
        try:
            for entry in self.nic.ipconfig("addr6"):  # (address, state, …) each
                addresses.append(entry[0])
        except (AttributeError, OSError, ValueError):  # a port without IPv6, or before ipconfig()
            pass
        return _numbered(addresses)

    def _routers(self):
        return _numbered([self.nic.ifconfig()[2]])


def _numbered(addresses):
    found = {}
    for address in addresses:
        if address not in _NONE:
            found[len(found)] = address
    return found
