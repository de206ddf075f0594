# text/plain and octet-stream (LwM2M 1.1 7.4.1, 7.4.2): one value of a resource or resource instance; and
# what comes with an Execute.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from binascii import a2b_base64, b2a_base64
from micropython import const
from ucoap import Error

_OCTETS = const(42)

# Data types, as model has them.
_STR = const(1)
_FLOAT = const(4)
_BOOL = const(5)
_OPAQUE = const(6)
_OBJLNK = const(8)

_TYPE = const(15)


def encode(flags, value):
    """A value as the bytes of text/plain."""
    t = flags & _TYPE
    if t == _OPAQUE:
        return b2a_base64(value).strip()
    if t == _OBJLNK:
        value = "%d:%d" % value
    elif t == _BOOL:
        value = int(value)
    return str(value).encode()


def decode(flags, data):
    """The value that text/plain stands for; raises Error 4.00."""
    t = flags & _TYPE
    try:
        if t == _OPAQUE:
            value = a2b_base64(data)
            # What is no base64 at all is skipped by some ports.
            if b2a_base64(value).strip() != bytes(data):
                raise ValueError
            return value
        value = str(data, "utf-8")
        if t == _STR:
            return value
        for c in data:  # ints, as MicroPython keeps a character of a str for good
            if c not in b"0123456789+-.eE" and (c != 58 or t != _OBJLNK):
                raise ValueError
        if value[:1] == "+":
            raise ValueError
        if t == _FLOAT:
            value = float(value)
            if value - value:  # 1e400 is infinite
                raise ValueError
            return value
        if t == _OBJLNK:
            oid, iid = value.split(":")
            return int(oid), int(iid)
        value = int(value)
        if t == _BOOL:
            if value >> 1:
                raise ValueError
            return value == 1
        return value
    except ValueError:
        raise Error(0x80, "no value of that type")


def arguments(data):
    """What an Execute carries (LwM2M 1.1 6.3.5): {digit: its value, as bytes, b"" where it has none}.

    Raises Error 4.00.
    """
    found = {}
    while data:
        n = data[0] - 48
        value = b""
        rest = bytes(data[1:])
        if rest[:2] == b"='":
            end = rest.find(b"'", 2)
            if end < 0:
                n = end
            value = rest[2:end]
            rest = rest[end + 1 :]
        wrong = not 0 <= n <= 9 or n in found or (rest and (rest[:1] != b"," or len(rest) == 1))
        for c in value:
            wrong = wrong or not 32 < c < 127 or c in b'"\\'
        if wrong:
            raise Error(0x80, "no arguments of an Execute")
        found[n] = value
        data = rest[1:]
    return found


class Sink:
    """Writes the value to a bytearray, as tlv's Sink does."""

    def __init__(self, out, format):
        self._out = out
        self._format = format

    def value(self, oid, iid, rid, riid, flags, value):
        if self._format != _OCTETS:
            value = encode(flags, value)
        elif flags & _TYPE != _OPAQUE:
            raise Error(0x86, "only opaque resources can be read as octets")
        self._out.extend(value)

    def end(self):
        pass


class Cursor:
    """The value that was written to a path, as tlv's Cursor gives it."""

    def __init__(self, data, path, format):
        if len(path) < 3:
            raise Error(0x8F, "text and octets are one value")
        self._data = data
        self._format = format
        self.oid, self.iid, self.rid = path[:3]
        self.riid = path[3] if len(path) > 3 else -1
        self.leaf = False

    def next(self):
        if self.leaf:
            return False
        self.leaf = True
        return True

    def value(self, flags):
        if self._format != _OCTETS:
            return decode(flags, self._data)
        if flags & _TYPE != _OPAQUE:
            raise Error(0x8F, "only opaque resources can be written as octets")
        return bytes(self._data)
