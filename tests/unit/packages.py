# Packages as lwm2m-factory makes them, signed here, for devices under test.

import os
import struct
from hashlib import sha256
from lwm2m.p256 import _G, _N, _P, _add, _double

TARGET = "board"


def _times(k):
    point = (1, 1, 0)
    for i in range(255, -1, -1):
        point = _double(point)
        if k >> i & 1:
            point = _add(point, _G)
    z = pow(point[2], _P - 2, _P)
    return point[0] * z * z % _P, point[1] * z * z * z % _P


def _two(a, b):
    return a.to_bytes(32, "big") + b.to_bytes(32, "big")


SECRETS = (1234567, 7654321)  # vendors' private keys
KEYS = [_two(*_times(secret)) for secret in SECRETS]


def signature(data, secret):
    e = int.from_bytes(sha256(data).digest(), "big")
    k = (e | 1) >> 3
    r = _times(k)[0] % _N
    return _two(r, pow(k, _N - 2, _N) * (e + r * secret) % _N)


def content(files):
    out = b""
    for name in sorted(files):
        data = files[name]
        out += bytes((len(name),)) + len(data).to_bytes(4, "big") + name.encode() + data
    return out


def deflated(data):
    """zlib of a window of 4 KB that stores (RFC 1950, RFC 1951 3.2.4): this port has no compressor."""
    out = b"\x48\x0d"
    for at in range(0, len(data), 1000):
        part = data[at : at + 1000]
        n = len(part)
        out += bytes((at + n == len(data),)) + struct.pack("<HH", n, n ^ 0xFFFF) + part
    a, b = 1, 0
    for c in data:
        a = (a + c) % 65521
        b = (b + a) % 65521
    return out + struct.pack(">HH", b, a)


def package(
    files, number=2, version=None, target=TARGET, key=0, secret=None, name="app", **change
):
    """change: of size, whole, digest, body, flags, revoked, kind, form, magic."""
    whole = files if isinstance(files, bytes) else content(files)
    flags = change.get("flags", 0)
    body = change.get("body", deflated(whole) if flags & 1 else whole)
    head = struct.pack(
        ">3s5B3I16s16s16s32s",
        change.get("magic", b"LwP"),
        change.get("form", 1),
        change.get("kind", 1),
        flags,
        key,
        change.get("revoked", 0),
        number,
        change.get("size", len(body)),
        change.get("whole", len(whole)),
        target.encode(),
        name.encode(),
        (version or "%d.0" % number).encode(),
        change.get("digest", sha256(body).digest()),
    )
    if secret is None:
        secret = SECRETS[key] if key < 2 else 1
    return head + signature(head, secret) + body


def files(folder):
    """{name: content} in it."""
    found = {}
    for name in os.listdir(folder):
        path = folder + "/" + name
        if os.stat(path)[0] & 0x4000:
            inner = files(path)
            found.update({name + "/" + each: inner[each] for each in inner})
        else:
            with open(path, "rb") as f:
                found[name] = f.read()
    return found
