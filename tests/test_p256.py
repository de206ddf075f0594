"""The device's ECDSA beside cryptography's, and at the places where arithmetic on a curve goes wrong,
which plain arithmetic here finds.
"""

import hashlib
import subprocess
from typing import List, Optional, Tuple

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from harness.micropython import UNIT, command, environment, lib_dir

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

Point = Optional[Tuple[int, int]]  # None is infinity
Case = Tuple[str, bytes, bytes, bytes, bool]  # name, digest, signature, key, whether it is right


def inverse(a: int, m: int) -> int:
    return pow(a, m - 2, m)


def add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * inverse(2 * a[1], P)
    else:
        slope = (b[1] - a[1]) * inverse(b[0] - a[0], P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k: int, a: Point) -> Point:
    total = None
    for bit in bin(k % N)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, a)
    return total


def pair(a: int, b: int) -> bytes:
    return a.to_bytes(32, "big") + b.to_bytes(32, "big")


def sign(d: int, e: int, k: int) -> Tuple[int, int]:
    r = times(k, G)[0] % N
    return r, inverse(k, N) * (e + r * d) % N


def random_cases() -> List[Case]:
    """Signatures of cryptography's, and the same with a bit of something else."""
    found = []
    for i in range(40):
        private = ec.generate_private_key(ec.SECP256R1())
        numbers = private.public_key().public_numbers()
        message = f"message {i}".encode()
        digest = hashlib.sha256(message).digest()
        signed = private.sign(message, ec.ECDSA(hashes.SHA256()))
        parts = [digest, pair(*utils.decode_dss_signature(signed)), pair(numbers.x, numbers.y)]
        found.append((f"random {i}", *parts, True))
        for n in range(3):
            bad = [bytearray(part) for part in parts]
            bad[n][i % len(bad[n])] ^= 1 << i % 8
            found.append((f"random {i}, bit of {n}", *map(bytes, bad), False))
    return found


def special_cases() -> List[Case]:
    found = []

    def case(name: str, d: int, e: int, k: int, good: bool = True) -> None:
        found.append((name, e.to_bytes(32, "big"), pair(*sign(d, e, k)), pair(*times(d, G)), good))

    e = int.from_bytes(hashlib.sha256(b"x").digest(), "big")
    case("the key is G: a doubling in the sum", 1, e, 77)
    case("the key is -G: their sum is infinity", N - 1, e, 78)
    case("the key is 2G", 2, e, 79)
    case("the key is -2G", N - 2, e, 80)
    case("k is 1", 5, e, 1)
    case("k is n - 1", 5, e, N - 1)
    case("a digest of 0", 6, 0, 81)
    case("a digest of n", 6, N, 82)
    case("a digest of all ones", 6, 2**256 - 1, 83)
    # e + r d = 0, so that the sum is infinity, whatever s is.
    d, r = 12345, 67890
    key = pair(*times(d, G))
    found.append(("infinity", (-r * d % N).to_bytes(32, "big"), pair(r, 4711), key, False))
    # The point's x is between n and p, so that r is x - n: its key follows from r, s and e.
    r = 1
    while True:
        x = N + r
        square = (x**3 - 3 * x + B) % P
        y = pow(square, (P + 1) // 4, P)
        if y * y % P == square:
            break
        r += 1
    s = 424242
    point = add(times(s, (x, y)), times(N - e % N, G))
    key = pair(*times(inverse(r, N), point))
    found.append(("x above n", e.to_bytes(32, "big"), pair(r, s), key, True))
    found.append(("x above n, r as large", e.to_bytes(32, "big"), pair(x, s), key, False))
    # Not of this curve: y of a curve with another b, a point of P-256 with x + p where that fits.
    good = sign(9, e, 84)
    x, y = times(9, G)
    for name, bad in (
        ("wrong curve", pair(x, (y + 1) % P)),
        ("-y", pair(x, P - y)),
        ("swapped", pair(y, x)),
        ("x is p", pair(P, y)),
        ("y is p", pair(x, P)),
    ):
        found.append((name, e.to_bytes(32, "big"), pair(*good), bad, False))
    secp256k1 = ec.derive_private_key(9, ec.SECP256K1()).public_key().public_numbers()
    found.append(
        (
            "secp256k1",
            e.to_bytes(32, "big"),
            pair(*good),
            pair(secp256k1.x, secp256k1.y),
            False,
        )
    )
    return found


def said_by_cryptography(digest: bytes, signature: bytes, key: bytes) -> bool:
    try:
        public = ec.EllipticCurvePublicNumbers(
            int.from_bytes(key[:32], "big"), int.from_bytes(key[32:], "big"), ec.SECP256R1()
        ).public_key()
        der = utils.encode_dss_signature(
            int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        )
        public.verify(der, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        return True
    except (ValueError, InvalidSignature):
        return False


@pytest.mark.parametrize("flavour", ["src", "mpy"])
@pytest.mark.parametrize("cases", [random_cases, special_cases])
def test_beside_cryptography(flavour, cases):
    listed = cases()
    lines = "".join(" ".join(part.hex() for part in case[1:4]) + "\n" for case in listed)
    done = subprocess.run(
        command(UNIT / "verify_lines.py"),
        env=environment(lib_dir(flavour), UNIT),
        input=lines,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    said = [line == "1" for line in done.stdout.split()]
    assert len(said) == len(listed)
    for (name, digest, signature, key, good), answer in zip(listed, said):
        assert said_by_cryptography(digest, signature, key) == good, name
        assert answer == good, name
