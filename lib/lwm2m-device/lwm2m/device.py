# What an application tells of the Device object (LwM2M 1.1 E.4): power and errors.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const

# Available Power Sources (/3/0/6).
DC = const(0)
INTERNAL_BATTERY = const(1)
EXTERNAL_BATTERY = const(2)
FUEL_CELL = const(3)
POE = const(4)
USB = const(5)
MAINS = const(6)
SOLAR = const(7)

# Error Codes (/3/0/11); 16 to 18 are firmware's.
LOW_BATTERY = const(1)
SUPPLY_OFF = const(2)
GPS_FAILURE = const(3)
LOW_SIGNAL = const(4)
OUT_OF_MEMORY = const(5)
SMS_FAILURE = const(6)
IP_FAILURE = const(7)
PERIPHERAL = const(8)

_MAX_ERRORS = const(8)  # the oldest gives way


class Device:
    """The Device object of a client. Whatever raises ValueError has changed nothing."""

    def __init__(self, client):
        self._object = client.core.objects[3]

    def source(self, n, kind, voltage=None, current=None):
        """A power source, the n-th (from 0): what it is, mV and mA; None where that is not known."""
        given = (kind, voltage, current)  # /3/0/6, 7 and 8, whose instances belong together
        for i in range(3):
            if not i or given[i] is not None:
                self._object.check(6 + i, {n: given[i]})
        for i in range(3):
            self._put(6 + i, n, given[i])

    def battery(self, level, status=None):
        """Battery Level, %, and Battery Status: 0 normal, 1 charging, 2 charged, 3 damaged, 4 low,
        5 there is none, 6 not known."""
        if status is not None:
            self._object.check(20, status)
        self._object.set(0, 9, level)
        if status is not None:
            self._object.set(0, 20, status)

    def error(self, code):
        """Something is wrong: an Error Code more, until a server executes Reset Error Code."""
        self._object.check(11, {0: code})
        old = self._object.get(0, 11, {})
        codes = [old[i] for i in sorted(old) if old[i]]  # 0 is no error
        if code and code not in codes:
            codes = codes[1 - _MAX_ERRORS :] + [code]
            self._object.set(0, 11, {i: codes[i] for i in range(len(codes))})

    def _put(self, rid, n, value):
        values = dict(self._object.get(0, rid, {}))
        values.pop(n, None)
        if value is not None:
            values[n] = value
        if values or rid in self._object.instances[0]:
            self._object.set(0, rid, values)
