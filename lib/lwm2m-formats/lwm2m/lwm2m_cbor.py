# LwM2M CBOR (LwM2M 1.2 7.4.7), Content-Format 11544: maps of ids, the last of which leads to a value.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from .cbor import ARRAY, MAP, Reader, bad, head
from .cbor_value import decode, encode

_BEGIN = const(0xBF)  # a map of indefinite length, and its end
_END = const(0xFF)
_EMPTY = const(0xA0)

_MAX_ID = const(65535)  # of nothing (LwM2M 1.1 7.1)


class Sink:
    """Writes values to a bytearray, as tlv's Sink does: {[object, instance]: {resource: value}}."""

    def __init__(self, out, format=None):
        self._out = out
        self._oid = self._iid = -1  # of the map that is open
        self._rid = -1  # of the multiple resource whose map is open in it

    def open(self, iid, rid):
        return 0

    def close(self, at):
        pass

    def _leave(self):
        if self._rid >= 0:
            self._out.append(_END)
            self._rid = -1

    def value(self, oid, iid, rid, riid, flags, value):
        out = self._out
        if rid != self._rid or iid != self._iid or oid != self._oid:
            self._leave()
        if iid != self._iid or oid != self._oid:
            out.append(_BEGIN if self._oid < 0 else _END)
            head(out, ARRAY, 2)
            head(out, 0, oid)
            head(out, 0, iid)
            out.append(_BEGIN)
            self._oid = oid
            self._iid = iid
        if riid >= 0 and self._rid < 0:
            head(out, 0, rid)
            out.append(_BEGIN)
            self._rid = rid
        head(out, 0, rid if riid < 0 else riid)
        encode(out, flags, value)

    def end(self):
        self._leave()
        out = self._out
        if self._oid < 0:
            out.append(_EMPTY)
        else:
            out.append(_END)
            out.append(_END)


class Cursor:
    """The values of the maps, one after the other, as tlv's Cursor gives them.

    Of an instance or a multiple resource that has a map of its own, that one is told first.
    """

    def __init__(self, data, path, format=None):
        self._reader = Reader(data)
        self._depth = len(path)
        # Of each map around: what is left in it, and how many ids lead there.
        self._left = [self._reader.open(MAP)]
        self._starts = [0]
        self._ids = [-1, -1, -1, -1]
        self._value = None
        self.oid = self.iid = self.rid = self.riid = -1
        self.leaf = False

    def next(self):
        r = self._reader
        left = self._left
        while left:
            if not r.more(left[-1]):
                left.pop()
                self._starts.pop()
                continue
            left[-1] -= 1
            n = self._key(self._starts[-1])
            self.oid, self.iid, self.rid, self.riid = self._ids
            self.leaf = r.kind() != MAP
            if self.leaf:
                if n < 3:
                    bad("a value of no resource")
                self._value = r.value()
                return True
            if n > 3:
                bad("a map below a resource instance")
            left.append(r.open(MAP))
            self._starts.append(n)
            if n > 1 and 0 < self._depth <= n:
                return True
        r.end()
        return False

    def _key(self, n):
        # Read a key, an id or an array of ids, that follows n ids. Returns how many there are then.
        r = self._reader
        left = 1
        start = n
        if r.kind() == ARRAY:
            left = r.open(ARRAY)
        while r.more(left):
            left -= 1
            id = r.value()
            if type(id) is not int or not 0 <= id < _MAX_ID or n > 3:
                bad("a key is no id")
            self._ids[n] = id
            n += 1
        if n == start:
            bad("a key without an id")
        for i in range(n, 4):
            self._ids[i] = -1
        return n

    def value(self, flags):
        """The value, of the type in a resource's flags; None for null."""
        return decode(flags, self._value)
