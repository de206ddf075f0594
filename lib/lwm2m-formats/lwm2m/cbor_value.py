# One value in CBOR (LwM2M 1.1 7.4.5), Content-Format 60, and times as CBOR has them.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import Error
from .cbor import Reader, bad, fit, head, put

_TAG = const(6)  # a major type
_EPOCH = const(1)  # a tag

_TIME = const(7)  # of model's data types
_TYPE = const(15)


def encode(out, flags, value):
    """Append a value; a time has the tag that tells it from a number (RFC 8949 3.4.2)."""
    if flags & _TYPE == _TIME:
        head(out, _TAG, _EPOCH)
    put(out, flags, value)


def decode(flags, value):
    """What was read as a value of its data type; a time may be text, as tag 0 has it."""
    if flags & _TYPE == _TIME and type(value) is str:
        try:
            return _seconds(value)
        except (IndexError, ValueError):
            bad()
    return fit(flags, value)


def _seconds(text):
    # RFC 3339, in s since 1970. With slices, as MicroPython keeps a character of a str for good.
    if text[10:11].lower() != "t":
        raise ValueError
    year, month, day = [int(part) for part in text[:10].split("-")]
    hour, minute, seconds = [int(part) for part in text[11:19].split(":")]
    if month < 3:
        year -= 1
        month += 12
    day += year * 365 + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 - 719469
    seconds += (day * 24 + hour) * 3600 + minute * 60
    zone = text[19:]
    if zone[:1] == ".":
        zone = zone.lstrip(".0123456789")
    if zone in ("Z", "z"):
        return seconds
    hour, minute = zone[1:].split(":")
    offset = int(hour) * 3600 + int(minute) * 60
    return seconds - offset if zone[:1] == "+" else seconds + offset


class Sink:
    """Writes the value to a bytearray, as tlv's Sink does."""

    def __init__(self, out, format=None):
        self._out = out

    def value(self, oid, iid, rid, riid, flags, value):
        encode(self._out, flags, value)

    def end(self):
        pass


class Cursor:
    """The value that was written to a path, as tlv's Cursor gives it."""

    def __init__(self, data, path, format=None):
        if len(path) < 3:
            raise Error(0x8F, "CBOR is one value")
        self._data = data
        self.oid, self.iid, self.rid = path[:3]
        self.riid = path[3] if len(path) > 3 else -1
        self.leaf = False

    def next(self):
        if self.leaf:
            return False
        self.leaf = True
        return True

    def value(self, flags):
        reader = Reader(self._data)
        value = reader.value()
        reader.end()
        return decode(flags, value)
