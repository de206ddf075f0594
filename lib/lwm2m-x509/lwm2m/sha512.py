# SHA-384 and SHA-512 (FIPS 180-4), which hashlib does not have on boards.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# For the Matching Types 2 and 3 of a certificate (/0/x/13): a few hundred bytes, once a handshake.

_WORD = (1 << 64) - 1


def _root(p, n):
    # The first 64 bits of the fraction of the nth root of p, n 2 or 3 (FIPS 180-4 4.2.3, 5.3).
    square = n == 2
    a = p << (128 if square else 192)
    x = 1 << 70
    while True:
        y = (x + a // x) // 2 if square else (2 * x + a // (x * x)) // 3
        if y >= x:
            return x & _WORD
        x = y


def _primes(count):
    primes = []
    n = 2
    while len(primes) < count:
        for p in primes:
            if n % p == 0:
                break
        else:
            primes.append(n)
        n += 1
    return primes


def _turn(x, n):
    return (x >> n | x << 64 - n) & _WORD


def digest(data, bits):
    """The digest of bytes; bits: 384 or 512."""
    primes = _primes(80)
    constants = [_root(p, 3) for p in primes]
    state = [_root(p, 2) for p in (primes[8:16] if bits == 384 else primes[:8])]
    padding = 128 - (len(data) + 17) % 128 & 127
    data = bytes(data) + b"\x80" + bytes(padding + 8) + (8 * len(data)).to_bytes(8, "big")
    for at in range(0, len(data), 128):
        w = [int.from_bytes(data[i : i + 8], "big") for i in range(at, at + 128, 8)]
        a, b, c, d, e, f, g, h = state
        for i in range(80):
            if i >= 16:
                x, y = w[1], w[14]
                x = _turn(x, 1) ^ _turn(x, 8) ^ x >> 7
                y = _turn(y, 19) ^ _turn(y, 61) ^ y >> 6
                w.append(w.pop(0) + x + w[8] + y & _WORD)
                k = w[15]
            else:
                k = w[i]
            k += h + (_turn(e, 14) ^ _turn(e, 18) ^ _turn(e, 41)) + (e & f ^ ~e & g)
            k += constants[i]
            m = (_turn(a, 28) ^ _turn(a, 34) ^ _turn(a, 39)) + (a & b ^ a & c ^ b & c)
            h, g, f, e, d, c, b, a = g, f, e, d + k & _WORD, c, b, a, k + m & _WORD
        state = [x + y & _WORD for x, y in zip(state, (a, b, c, d, e, f, g, h))]
    return b"".join([x.to_bytes(8, "big") for x in state])[: bits // 8]
