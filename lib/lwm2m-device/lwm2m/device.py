# What an application tells of the Device object (LwM2M 1.1 E.4): power and errors.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const

_MAX_ERRORS = const(8)  # the oldest gives way


class Device:
    """The Device object of a client. Whatever raises ValueError has changed nothing."""

    def __init__(self, client):
        self._object = client.core.objects[3]

    def source(self, n, kind, voltage=None, current=None):
        """A power source, the n-th (from 0): its kind, mV and mA; None where that is not known.

        kind: 0 DC, 1 internal battery, 2 external battery, 3 fuel cell, 4 Power over Ethernet, 5 USB,
        6 mains, 7 solar (/3/0/6).
        """
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
        """Something is wrong: an Error Code more, until a server executes Reset Error Code.

        code: 1 low battery, 2 external supply off, 3 GPS, 4 low signal, 5 out of memory, 6 SMS, 7 IP,
        8 peripheral (/3/0/11); 16 to 20 are the firmware's.
        """
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
