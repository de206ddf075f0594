# OMA LwM2M TLV (LwM2M 1.1 7.4.3): a sink that values go into, a cursor that they come from.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import struct
from micropython import const

# What an entry holds: bits 7-6 of its type byte.
_INSTANCE = const(0)  # an object instance, with resources in it
_RESOURCE_INSTANCE = const(1)
_MULTIPLE = const(2)  # a resource with resource instances in it
_RESOURCE = const(3)

# Data types, as model has them.
_STR = const(1)
_UINT = const(3)
_FLOAT = const(4)
_BOOL = const(5)
_OPAQUE = const(6)
_OBJLNK = const(8)

_TYPE = const(15)
_MAX_ID = const(65535)  # of nothing (LwM2M 1.1 7.1)


def bad():
    from ucoap import Error

    raise Error(0x80, "malformed TLV")


# --- Values


def encode(out, flags, value):
    """Append the bytes of a value's data type to the bytearray out."""
    t = flags & _TYPE
    if t == _STR:
        value = value.encode()
    elif t == _FLOAT:
        data = struct.pack(">f", value)
        value = data if struct.unpack(">f", data)[0] == value else struct.pack(">d", value)
    elif t == _OBJLNK:
        value = struct.pack(">HH", value[0], value[1])
    elif t != _OPAQUE:  # an integer, of 1, 2, 4 or 8 bytes, in two's complement; a bool is one
        n = 1
        while n < 8 and not -1 << 8 * n - 1 <= value < 1 << 8 * n - 1:
            n *= 2
        while n:
            n -= 1
            out.append(value >> 8 * n & 255)
        return
    out.extend(value)


def decode(flags, data):
    """The value that bytes stand for; raises Error 4.00 where they are none of that type."""
    t = flags & _TYPE
    n = len(data)
    if t == _OPAQUE:
        return bytes(data) or b""  # the empty one takes no memory
    if t == _STR:
        try:
            return str(data, "utf-8")
        except ValueError:
            bad()
    if t == _FLOAT:
        if n != 4 and n != 8:
            bad()
        return struct.unpack(">f" if n == 4 else ">d", data)[0]
    if t == _OBJLNK:
        if n != 4:
            bad()
        return struct.unpack(">HH", data)
    if t == _BOOL:
        if n != 1 or data[0] > 1:
            bad()
        return data[0] == 1
    if n not in (1, 2, 4, 8):
        bad()
    value = int.from_bytes(data, "big")
    if data[0] & 0x80 and t != _UINT:
        value -= 1 << 8 * n
    return value


# --- Out


def begin(out, kind, id):
    """Append the head of an entry, but for its length; end() is to be given what it returns."""
    at = len(out)
    wide = id > 255
    out.append(kind << 6 | wide << 5)
    if wide:
        out.append(id >> 8)
    out.append(id & 255)
    return at


def end(out, at):
    """What was appended since is the entry's value: put its length in the head."""
    start = at + 2 + (out[at] >> 5 & 1)
    n = len(out) - start
    if n > 7:
        size = 1 if n < 256 else 2 if n < 65536 else 3
        out[start:start] = n.to_bytes(size, "big")
        n = size << 3
    out[at] |= n


class Sink:
    """Writes values to a bytearray, and the containers around them."""

    def __init__(self, out, format=None):
        self._out = out

    def open(self, iid, rid):
        """An object instance begins, or with a rid of 0 or more a multiple resource.

        Returns what close() is to be given at its end.
        """
        return begin(self._out, _INSTANCE if rid < 0 else _MULTIPLE, iid if rid < 0 else rid)

    def close(self, at):
        end(self._out, at)

    def value(self, oid, iid, rid, riid, flags, value):
        """A value of a resource; with a riid of 0 or more, of a resource instance."""
        out = self._out
        at = begin(out, _RESOURCE if riid < 0 else _RESOURCE_INSTANCE, rid if riid < 0 else riid)
        encode(out, flags, value)
        end(out, at)

    def end(self):
        """Nothing more comes."""


# --- In


class Cursor:
    """The values of a TLV that was written to a path, one after the other.

    After each next() that returns True, oid, iid, rid and riid are where it is, -1 for what is not
    said, and leaf tells whether it is at a value(), or where a container begins: an object
    instance, or a multiple resource. Both raise Error 4.00.
    """

    def __init__(self, data, path, format=None):
        self._data = data
        self._depth = len(path)
        self.oid = path[0]
        self.iid = path[1] if self._depth > 1 else -1
        self.rid = path[2] if self._depth > 2 else -1
        self.riid = -1
        self.leaf = False
        self._start = 0  # of the value
        self._next = 0  # where the next entry begins
        self._instance = 0  # where the instance around it ends; 0: there is none
        self._multiple = 0  # and the multiple resource
        self._first = -1  # the kind of the first entry

    def next(self):
        i = self._next
        if i == self._multiple:
            self._multiple = 0
        if i == self._instance and not self._multiple:
            self._instance = 0
        data = self._data
        end = self._multiple or self._instance or len(data)
        if i >= end:
            return False
        head = data[i]
        size = head >> 3 & 3
        start = i + 2 + (head >> 5 & 1) + size
        if start > end:
            bad()
        id = data[i + 1]
        if head & 0x20:
            id = id << 8 | data[i + 2]
        n = head & 7
        if size:
            n = 0
            for i in range(start - size, start):
                n = n << 8 | data[i]
        if start + n > end or id == _MAX_ID:
            bad()
        self._enter(head >> 6, id, start, start + n)
        return True

    def _enter(self, kind, id, start, end):
        # Each kind has its place: instances on top, and then nothing else; resources in them or,
        # of one instance, on top; resource instances in a multiple resource or, of one, on top.
        depth = self._depth
        top = not (self._instance or self._multiple)
        if top:
            if self._first < 0:
                self._first = kind
            if (kind == _INSTANCE) != (self._first == _INSTANCE):
                bad()
        self._start = start
        self._next = end
        self.leaf = bool(kind & 1)
        if kind == _RESOURCE_INSTANCE:
            if not self._multiple and depth < 4:
                bad()
            self.riid = id
            return
        if depth > 3 or self._multiple:
            bad()
        self.riid = -1
        if kind == _INSTANCE:
            if not top or depth > 2:
                bad()
            self.iid = id
            self.rid = -1
            self._instance = end
        else:
            self.rid = id
            if kind == _MULTIPLE:
                self._multiple = end
        if not self.leaf:
            self._next = start

    def value(self, flags):
        """What stands there, as a value of the type in a resource's flags."""
        return decode(flags, self._data[self._start : self._next])
