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

_SIGNED = const(100)

_FILES = const(1)  # kinds
_IMAGE = const(3)

# Update Result (/5/0/5).
_INTEGRITY = const(5)
_TYPE = const(6)


class Fault(Exception):
    """Why a package is of no use. args: the result (/5/0/5), and a sentence without its end."""


class Package:
    """What a header says. Raises Fault where it is none of this form, not for this device, or from
    nobody that it trusts.

    data: the header. keys: up to two, of 64 bytes. revoked: a bit for each that is not to be
    trusted. target: str, what packages for this device say.
    """

    def __init__(self, data, keys, revoked, target):
        magic, self.kind, self.flags, key, self.revoked, self.number, self.size, self.whole = (
            struct.unpack(">4s4B3I", data)
        )
        # What costs least first; nothing of it is believed before the signature is.
        if magic != b"LwP\1" or not _FILES <= self.kind <= _IMAGE:
            raise Fault(_TYPE, "no package of this form")
        if data[20:36].rstrip(b"\0") != target.encode():
            raise Fault(_TYPE, "for another target")
        if key >= len(keys) or revoked >> key & 1:
            raise Fault(_INTEGRITY, "signed by nobody that is trusted")
        if not verify(sha256(data[:_SIGNED]).digest(), data[_SIGNED:], keys[key]):
            raise Fault(_INTEGRITY, "its signature is wrong")
        self.name, self.version = [
            str(data[at : at + 16].rstrip(b"\0"), "utf-8") for at in (36, 52)
        ]
        self.digest = data[68:_SIGNED]
