# CBOR (RFC 8949): the reader and the writers that the formats made of it share, and what JSON's has in
# common with them.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import struct
from micropython import const
from ucoap import Error

# Major types.
_UINT = const(0)
_NEGATIVE = const(1)
_BYTES = const(2)
_TEXT = const(3)
ARRAY = const(4)
MAP = const(5)
_TAG = const(6)
_SIMPLE = const(7)

_BREAK = const(0xFF)
_INDEFINITE = const(31)
_DEPTH = const(8)  # of what is skipped

_FRACTION = const(4)  # a tag
_FLOATS = const((">e", ">f", ">d"))

# Data types, as model has them.
_STR = const(1)
_FLOAT = const(4)
_BOOL = const(5)
_OPAQUE = const(6)
_OBJLNK = const(8)
_TYPE = const(15)


def bad(text="malformed CBOR"):
    raise Error(0x80, text)


# --- Numbers, as peers write them


def number(text):
    """The number of a decimal text: an int where it is whole and has at most 64 bits, else a float.

    Raises ValueError, for one of over 40 characters, and what no float can be, too.
    """
    if len(text) > 40:
        raise ValueError
    mantissa, e, exponent = text.lower().partition("e")
    whole, _, rest = mantissa.partition(".")
    exponent = int(exponent if e else 0) - len(rest)
    n = int(whole + rest) * 10 ** max(0, min(exponent, 25))
    power = 10 ** max(0, min(-exponent, 40))
    if not n % power and n // power >> 64 in (0, -1):
        return n // power
    value = float(text)
    if value - value:
        raise ValueError
    return value


def fit(flags, value):
    """A value as its data type has it, where a peer may write it otherwise (LwM2M 1.1 C)."""
    t = flags & _TYPE
    given = type(value)
    if given is int and t == _FLOAT:
        value = float(value)
    elif given is float and t != _FLOAT and not value % 1:
        value = int(value)
    elif given is str and t == _OBJLNK:
        oid, _, iid = value.partition(":")
        if len(value) < 12 and oid.isdigit() and iid.isdigit():
            value = int(oid), int(iid)
    return value


# --- In


class Reader:
    """Items of CBOR in a buffer, one after the other. All raise Error 4.00.

    What is claimed to be there and is not is neither read nor allocated.
    """

    def __init__(self, data):
        self.data = data
        self.at = 0
        self._info = 0  # of the last head(): the low five bits
        self._arg = 0  # and its argument, -1 for an indefinite length

    def head(self):
        """Read the head of an item. Returns its major type."""
        data = self.data
        at = self.at
        end = len(data)
        if at >= end:
            bad()
        info = data[at] & 31
        major = data[at] >> 5
        at += 1
        arg = info
        if info == _INDEFINITE:
            if not _BYTES <= major <= MAP:
                bad()
            arg = -1
        elif info > 27:
            bad()
        elif info > 23:
            n = 1 << info - 24
            if at + n > end:
                bad()
            arg = int.from_bytes(data[at : at + n], "big")
            at += n
        if _BYTES <= major <= MAP and arg > end - at:
            bad()
        self.at = at
        self._info = info
        self._arg = arg
        return major

    def open(self, kind):
        """Enter an ARRAY or a MAP. Returns what more() is to be given first."""
        while True:
            major = self.head()
            if major == kind:
                return self._arg
            if major != _TAG:
                bad()

    def more(self, left, kind=0):
        """Whether there is one more item, or pair of them; left is to be 1 less each time."""
        if left >= 0:
            return left > 0
        if self.at >= len(self.data) or self.data[self.at] != _BREAK:
            return True
        self.at += 1
        return False

    def kind(self):
        """The major type of the item that comes; it is not read yet."""
        return self.data[self.at] >> 5 if self.at < len(self.data) else -1

    def end(self):
        """Raise Error where anything is left."""
        if self.at < len(self.data):
            bad("bytes behind the end")

    def value(self, label=0):
        """Read an item that is one value: an int, a float, str, bool, bytes, or None for null.

        Of tags only that of a decimal fraction matters here.
        """
        tag = -1
        major = self.head()
        while major == _TAG:
            tag = self._arg
            major = self.head()
        arg = self._arg
        if major < _BYTES:
            return -1 - arg if major else arg
        if major < ARRAY:
            data = self._string(major, arg)
            if major == _BYTES:
                return data
            try:
                return str(data, "utf-8")
            except ValueError:
                bad()
        if major == _SIMPLE:
            info = self._info
            if 24 < info:  # a float of 2, 4 or 8 bytes
                i = info - 25
                return struct.unpack(_FLOATS[i], self.data[self.at - (2 << i) : self.at])[0]
            if 19 < info < 23:
                return None if info == 22 else info == 21
        elif major == ARRAY and tag == _FRACTION:  # [exponent, mantissa] (RFC 8949 3.4.4)
            parts = []
            while len(parts) < 3 and self.more(arg):
                arg -= 1
                if self.kind() > _NEGATIVE:
                    bad()
                parts.append(self.value())
            try:
                return number("%de%d" % (parts[1], parts[0] if len(parts) < 3 else ""))
            except (IndexError, TypeError, ValueError):
                pass
        bad()

    def _string(self, major, n):
        if n < 0:
            data = bytearray()
            while self.more(n):
                if self.head() != major or self._arg < 0:
                    bad()
                data.extend(self._string(major, self._arg))
            return bytes(data)
        at = self.at
        self.at += n
        return bytes(self.data[at : self.at])

    label = value  # a key of a record

    def skip(self):
        """Pass over an item, whatever it is."""
        left = [1]  # items in each container around it, negative where it is not known
        while left:
            if not self.more(left[-1]):
                left.pop()
                continue
            left[-1] -= 1
            major = self.head()
            n = self._arg
            if major == _TAG:
                left[-1] += 1
            elif major == ARRAY or major == MAP or n < 0:
                if len(left) > _DEPTH:
                    bad("nested too deep")
                left.append(n * 2 if major == MAP and n > 0 else n)
            elif major == _BYTES or major == _TEXT:
                self.at += n


# --- Out


def head(out, major, n):
    """Append the head of an item, as short as it can be."""
    major <<= 5
    if n < 24:
        out.append(major | n)
        return
    size = 0
    while n >> (8 << size):
        size += 1
    out.append(major | 24 + size)
    out.extend(n.to_bytes(1 << size, "big"))


def put(out, flags, value):
    """Append a value of the type in a resource's flags, or None, as a number."""
    t = flags & _TYPE
    if t == _BOOL:
        out.append(0xF5 if value else 0xF4)
    elif t == _FLOAT:
        value = float(value)
        for i in range(3):
            data = struct.pack(_FLOATS[i], value)
            if struct.unpack(_FLOATS[i], data)[0] == value:
                break
        out.append(0xF9 + i)
        out.extend(data)
    elif t == _STR or t == _OPAQUE or t == _OBJLNK:
        if t == _OBJLNK:
            value = "%d:%d" % value
        if t != _OPAQUE:
            value = value.encode()
        head(out, _BYTES if t == _OPAQUE else _TEXT, len(value))
        out.extend(value)
    elif value is None:
        out.append(0xF6)
    elif value < 0:
        head(out, _NEGATIVE, -1 - value)
    else:
        head(out, _UINT, value)
