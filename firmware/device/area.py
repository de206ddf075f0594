# The factory area: what the factory wrote, outside of the file system.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Images of this project reserve five blocks of 4,096 bytes for it: on an RP2040 those behind the
# file system, the last of the flash, which no formatting reaches; on an ESP32 the data partition
# "lwm2m". Stock images of MicroPython have none.
#
# Block 0 is the lock, which firmware/lock.c reads at each start before Python does: LOCK at its
# beginning means that there is no REPL. Blocks 1 and 2 are one copy of the factory's file, 3 and 4
# the other. A copy, big-endian: "LwF1", sequence number (2), length (2), CRC-32 of the data and of
# what stands before the CRC (4); the data.
#
# What is written goes to the older copy, is read back, and then goes to the other copy too: so one
# of the two is whole at any moment, and no key that was replaced stays in the flash.

import struct
import sys
from binascii import crc32
from io import BytesIO
from micropython import const

_BLOCK = const(4096)
_BLOCKS = const(5)  # as the map of the flash has it: tools/lwm2m_factory/flash_map.py
_PAGE = const(256)  # what an RP2040 programs at once
_HEAD = const(12)
_MAGIC = const(b"LwF1")
_LOCK = const(b"LwM2M: locked \r\n")  # as in firmware/lock.h

_ENOENT = const(2)
_EIO = const(5)

_SIZE = const(8180)  # bytes that the factory's file may have


def available():
    """Whether this is an image of ours, which has the area."""
    return "_LWM2M" in getattr(sys.implementation, "_build", "")


def open():
    """Returns the factory's file as open(path, "rb") would: for Store(factory=area.open).

    Raises OSError(ENOENT) where nothing has been written.
    """
    device = _device()
    copy = _newest(device)[0]
    if copy < 0:
        raise OSError(_ENOENT)
    data = bytearray(_seq(device, copy, True))
    _read(device, copy, _HEAD, data)
    return BytesIO(data)


def write(data):
    """Replace the factory's file with data (bytes).

    A power cut leaves what was there, or this. Raises ValueError where it is more than 8180 bytes,
    and OSError where the flash does not keep what was written; then the board is no good.
    """
    if len(data) > _SIZE:
        raise ValueError("%d bytes are more than the factory area's %d" % (len(data), _SIZE))
    device = _device()
    copy, seq = _newest(device)
    seq = seq + 1 & 0xFFFF
    for copy in (int(copy == 0), int(copy != 0)):
        _write(device, copy, seq, data)


def erase():
    """Erase the factory's file; a power cut leaves it, or nothing. The lock stays as it is."""
    device = _device()
    copy = _newest(device)[0]
    for copy in (int(copy == 0), int(copy != 0)):
        _erase(device, copy)


def locked():
    """Whether the lock is set, as firmware/lock.c will see it."""
    word = bytearray(len(_LOCK))
    _device().readblocks(0, word, 0)
    return word == _LOCK


def lock():
    """Set the lock: from the next line at a REPL on there is none, until unlock(). Raises OSError."""
    if not locked():
        _erase_block(_device(), 0)
        _program(_device(), 0, 0, _LOCK)
        if not locked():
            raise OSError(_EIO)


def unlock():
    """Take the lock away. Raises OSError."""
    _erase_block(_device(), 0)
    if locked():
        raise OSError(_EIO)


def _device():
    # What has readblocks, writeblocks and ioctl, and begins with the area.
    if sys.platform == "rp2":
        from rp2 import Flash

        return Flash(start=(Flash().ioctl(4, 0) - _BLOCKS) * _BLOCK)
    from esp32 import Partition

    return Partition.find(Partition.TYPE_DATA, label="lwm2m")[0]


def _read(device, copy, at, data):
    at += _first(copy) * _BLOCK
    device.readblocks(at // _BLOCK, data, at % _BLOCK)


def _first(copy):
    return 1 + 2 * copy


def _seq(device, copy, size=False):
    # The sequence number of a copy that is whole, or -1; or its size.
    head = bytearray(_HEAD)
    _read(device, copy, 0, head)
    magic, seq, left, crc = struct.unpack(">4sHHI", head)
    if magic != _MAGIC or left > _SIZE:
        return -1
    if size:
        return left
    check = 0
    at = _HEAD
    data = bytearray(64)
    while left:
        if left < 64:
            data = bytearray(left)
        _read(device, copy, at, data)
        check = crc32(data, check)
        at += len(data)
        left -= len(data)
    return seq if crc32(memoryview(head)[:8], check) == crc else -1


def _newest(device):
    # Which copy is whole and the newest, and its sequence number; (-1, -1) where none is.
    a = _seq(device, 0)
    b = _seq(device, 1)
    newer = a < 0 or (b >= 0 and 0 < b - a & 0xFFFF < 0x8000)
    seq = b if newer else a
    return (int(newer) if seq >= 0 else -1), seq


def _write(device, copy, seq, data):
    head = _MAGIC + struct.pack(">HH", seq, len(data))
    head += struct.pack(">I", crc32(head, crc32(data)))
    _erase(device, copy)
    # The page with the head comes last.
    for at in range((_HEAD + len(data) - 1) // _PAGE * _PAGE, -1, -_PAGE):
        part = data[at - _HEAD : at + _PAGE - _HEAD] if at else head + data[: _PAGE - _HEAD]
        _program(device, _first(copy) + at // _BLOCK, at % _BLOCK, part)
    back = bytearray(_HEAD)
    _read(device, copy, 0, back)
    if back != head or _seq(device, copy) != seq:
        raise OSError(_EIO)


def _program(device, block, at, data):
    if device.writeblocks(block, data + b"\xff" * (_PAGE - len(data)), at):
        raise OSError(_EIO)


def _erase(device, copy):
    for block in range(_first(copy), _first(copy) + 2):
        _erase_block(device, block)


def _erase_block(device, block):
    if device.ioctl(6, block):
        raise OSError(_EIO)
