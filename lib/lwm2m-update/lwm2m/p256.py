# ECDSA over P-256, the verifying half (FIPS 186-5 6.4.2), as MicroPython's tls has none of it.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# What is verified is public, so that it may take as long as it likes: about a second on an RP2040.
# Points are Jacobian, (x, y, z) for x/z^2 and y/z^3; z is 0 at infinity.

_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    1,
)


def verify(digest, data, key):
    """Whether data (64 bytes, r and s) is the signature of a SHA-256 digest by a key.

    key: 64 bytes, x and y. It is the device's own, so that who gives it sees to it that it is a
    point of the curve, as lwm2m-factory does.
    """
    r, s = _two(data)
    if not (0 < r < _N and 0 < s < _N):
        return False
    w = pow(s, _N - 2, _N)
    u = int.from_bytes(digest, "big") * w % _N
    w = r * w % _N
    q = _two(key) + (1,)
    none = point = 1, 1, 0
    sums = (none, _G, q, _add(_G, q))  # both multiplications in one pass (Shamir's way)
    for i in range(255, -1, -1):
        point = _add(_double(point), sums[(u >> i & 1) | (w >> i & 1) << 1])
    x, u, z = point
    # x/z^2 mod n is r: without a division, for the two numbers below p that it can be.
    z = z * z % _P
    return z > 0 and (x == r * z % _P or (r + _N < _P and x == (r + _N) * z % _P))


def _two(data):
    return int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big")


def _double(a):
    # No point of this curve has y 0.
    x, y, z = a
    w = z * z % _P
    h = y * y % _P
    u = 4 * x * h % _P
    w = 3 * (x - w) * (x + w) % _P
    x = (w * w - 2 * u) % _P
    return x, (w * (u - x) - 8 * h * h) % _P, 2 * y * z % _P


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
    if not (h or r):
        return _double(a)
    z = h * z * w % _P  # 0 where only the signs of y differ
    w = h * h % _P
    x = x * w % _P
    w = h * w % _P
    u = (r * r - w - 2 * x) % _P
    return u, (r * (x - u) - y * w) % _P, z
