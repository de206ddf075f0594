# What an update comes in: a signed header, and files or an image behind it.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# The header has 164 bytes, big-endian:
#   "LwP", version 1 of this form; kind (1 byte): 1 files of an application, 2 a ROMFS image of them,
#   3 an image of the whole program; flags (1): 1 deflated (zlib, window of 4 KB at most; of files
#   only), 2 it may be older than what it replaces; the vendor key that
#   signed it (1), 0 or 1; the keys that are not to be trusted any more once it is kept (1), a bit
#   each; its number (4), larger in each release; bytes behind the header (4), and of the same
#   inflated (4); target, name and version (16 each), UTF-8 and zeros; SHA-256 of what is behind the
#   header (32); ECDSA signature with P-256 and SHA-256 of all that stands before it (64), r and s.
# Behind it, of files, perhaps deflated, for each: length of its name (1), its length (4), name, content.

import struct
from hashlib import sha256
from micropython import const
from .p256 import verify

HEAD = const(164)
_SIGNED = const(100)

_FILES = const(1)
_IMAGE = const(3)
_DEFLATED = const(1)
_OLDER = const(2)

# Update Result (/5/0/5).
_INTEGRITY = const(5)
_TYPE = const(6)
_FAILED = const(8)


class Fault(Exception):
    """Why a package is of no use. result: for /5/0/5. text: a sentence without its end."""

    def __init__(self, result, text):
        self.result = result
        self.text = text


class Package:
    """What a header says. Raises Fault where it is none of this form."""

    def __init__(self, data):
        (
            magic,
            version,
            self.kind,
            flags,
            self.key,
            self.revoked,
            self.number,
            self.size,
            self.whole,
        ) = struct.unpack(">3s5B3I", data)
        if magic != b"LwP":
            raise Fault(_TYPE, "no package of this form")
        if version != 1 or not _FILES <= self.kind <= _IMAGE:
            raise Fault(_TYPE, "a package of another version or kind")
        self.deflated = flags & _DEFLATED
        if self.deflated and self.kind != _FILES:
            raise Fault(_TYPE, "a deflated image")
        self.older = flags & _OLDER
        try:
            self.target = _text(data[20:36])
            self.name = _text(data[36:52])
            self.version = _text(data[52:68])
        except ValueError:
            raise Fault(_TYPE, "a name is no UTF-8")
        self.digest = bytes(data[68:_SIGNED])

    def check(self, data, keys, revoked, target, number):
        """Raise Fault where it is not for this device, from nobody it trusts, or too old.

        data: the header. keys: up to two, of 64 bytes. revoked: a bit for each that is not to be
        trusted. number: of what is installed.
        """
        # What costs least first; nothing of it is believed before the signature is.
        if self.target != target:
            raise Fault(_TYPE, "for another target")
        if self.number < number and not self.older:
            raise Fault(_FAILED, "older than what is installed")
        if self.key >= len(keys) or revoked >> self.key & 1:
            raise Fault(_INTEGRITY, "signed by nobody that is trusted")
        if not verify(sha256(data[:_SIGNED]).digest(), data[_SIGNED:HEAD], keys[self.key]):
            raise Fault(_INTEGRITY, "its signature is wrong")


def _text(data):
    return str(data.rstrip(b"\0"), "utf-8")
