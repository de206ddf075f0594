# ECDSA over P-256, the verifying half (FIPS 186-5 6.4.2), as MicroPython's tls has none of it.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# What is verified is public, so that it may take as long as it likes: about a second on an RP2040.
# Points are Jacobian, (x, y, z) for x/z^2 and y/z^3; z is 0 at infinity.

_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    1,
)


def verify(digest, signature, key):
    """Whether a signature (64 bytes, r and s) of a SHA-256 digest is that of a key (64 bytes, x and y)."""
    if len(digest) != 32 or len(signature) != 64 or len(key) != 64:
        return False
    r, s = _two(signature)
    x, y = _two(key)
    if not (0 < r < _N and 0 < s < _N and x < _P and y < _P):
        return False
    if (y * y - (x * x - 3) * x - _B) % _P:  # not on the curve, on which infinity has no x and y
        return False
    w = pow(s, _N - 2, _N)
    u = (int.from_bytes(digest, "big") * w % _N).to_bytes(32, "big")
    v = (r * w % _N).to_bytes(32, "big")
    q = x, y, 1
    sums = (None, _G, q, _add(_G, q))  # both multiplications in one pass (Shamir's way)
    point = 1, 1, 0
    for i in range(256):
        point = _double(point)
        bit = 7 - i & 7
        which = (u[i >> 3] >> bit & 1) | (v[i >> 3] >> bit & 1) << 1
        if which:
            point = _add(point, sums[which])
    x, y, z = point
    # x/z^2 mod n is r: without a division, for the two numbers below p that it can be.
    z = z * z % _P
    return bool(z) and (x == r * z % _P or (r + _N < _P and x == (r + _N) * z % _P))


def _two(data):
    return int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big")


def _double(a):
    # No point of this curve has y 0.
    x, y, z = a
    zz = z * z % _P
    yy = y * y % _P
    b = 4 * x * yy % _P
    m = 3 * (x - zz) * (x + zz) % _P
    x = (m * m - 2 * b) % _P
    return x, (m * (b - x) - 8 * yy * yy) % _P, 2 * y * z % _P


def _add(a, b):
    x, y, z = a
    u, v, w = b
    if not z:
        return b
    if not w:
        return a
    zz = z * z % _P
    ww = w * w % _P
    x = x * ww % _P
    y = y * w * ww % _P
    h = (u * zz - x) % _P
    r = (v * z * zz - y) % _P
    if not h:
        return (1, 1, 0) if r else _double(a)
    hh = h * h % _P
    x = x * hh % _P
    hh = h * hh % _P
    u = (r * r - hh - 2 * x) % _P
    return u, (r * (x - u) - y * hh) % _P, h * z * w % _P
