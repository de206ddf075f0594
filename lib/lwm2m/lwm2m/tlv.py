# OMA LwM2M TLV (LwM2M 1.1 7.4.3) and the values in it.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import struct
from micropython import const
from ucoap import Error

# What an entry holds: bits 7-6 of its type byte.
INSTANCE = const(0)  # an object instance, with resources in it
RESOURCE_INSTANCE = const(1)
MULTIPLE = const(2)  # a resource with resource instances in it
RESOURCE = const(3)

# Data types: the low four bits of a resource's flags (LwM2M 1.1 C).
STR = const(1)
INT = const(2)
UINT = const(3)
FLOAT = const(4)
BOOL = const(5)
OPAQUE = const(6)
TIME = const(7)
OBJLNK = const(8)

_TYPE = const(15)


def bad():
    raise Error(0x80, "malformed TLV")


def read(data, i, end):
    """Read the entry at offset i. Returns (kind, id, start of its value, end of its value).

    Raises Error 4.00 where it does not end before `end`.
    """
    head = data[i]
    size = head >> 3 & 3
    wide = head >> 5 & 1
    start = i + 2 + wide + size
    if start > end:
        bad()
    id = data[i + 1]
    if wide:
        id = id << 8 | data[i + 2]
    length = head & 7
    if size:
        length = int.from_bytes(data[start - size : start], "big")
    if start + length > end:
        bad()
    return head >> 6, id, start, start + length


def write(out, kind, id, value):
    """Append an entry to the bytearray out. value: bytes."""
    n = len(value)
    size = 0 if n < 8 else 1 if n < 256 else 2 if n < 65536 else 3
    wide = id > 255
    out.append(kind << 6 | wide << 5 | size << 3 | (0 if size else n))
    out.extend(id.to_bytes(1 + wide, "big"))
    out.extend(n.to_bytes(size, "big") if size else b"")
    out.extend(value)


def encode(flags, value):
    """A value as the bytes of its data type."""
    t = flags & _TYPE
    if t == STR:
        return value.encode()
    if t == OPAQUE:
        return value
    if t == BOOL:
        return b"\x01" if value else b"\0"
    if t == FLOAT:
        data = struct.pack(">f", value)
        return data if struct.unpack(">f", data)[0] == value else struct.pack(">d", value)
    if t == OBJLNK:
        return struct.pack(">HH", value[0], value[1])
    n = 1
    while n < 8 and not -1 << 8 * n - 1 <= value < 1 << 8 * n - 1:
        n *= 2
    return (value & (1 << 8 * n) - 1).to_bytes(n, "big")


def decode(flags, data):
    """The value that bytes stand for; raises Error 4.00 where they are none of that type."""
    t = flags & _TYPE
    n = len(data)
    if t == OPAQUE:
        return bytes(data)
    if t == STR:
        try:
            return str(data, "utf-8")
        except ValueError:
            bad()
    if t == FLOAT:
        if n != 4 and n != 8:
            bad()
        return struct.unpack(">f" if n == 4 else ">d", data)[0]
    if t == OBJLNK:
        if n != 4:
            bad()
        return struct.unpack(">HH", data)
    if t == BOOL:
        if n != 1 or data[0] > 1:
            bad()
        return data[0] == 1
    if n not in (1, 2, 4, 8):
        bad()
    value = int.from_bytes(data, "big")
    if data[0] & 0x80 and t != UINT:
        value -= 1 << 8 * n
    return value
