# ECDSA over P-256: vectors of others, and what must not pass. tests/test_p256.py has more of them, as
# cryptography and plain arithmetic make them.

from binascii import unhexlify
from hashlib import sha256
from lwm2m.p256 import verify

_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

# RFC 6979 A.2.5: one key; of each message r and s.
RFC6979_KEY = (
    "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
)
RFC6979 = (
    (
        b"sample",
        (
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
            "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
        ),
    ),
    (
        b"test",
        (
            "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
            "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"
        ),
    ),
)

# Project Wycheproof's ecdsa_secp256r1_sha256_p1363, "small r and s" and its neighbours: key, r, s and
# whether that is a signature of 313233343030 (hexadecimal).
WYCHEPROOF = (
    # 124
    (
        "5a7c8825e85691cce1f5e7544c54e73f14afc010cb731343262ca7ec5a77f5bf"
        "ef6edf62a4497c1bd7b147fb6c3d22af3c39bfce95f30e13a16d3d7b2812f813"
    ),
    5,
    5,
    True,
    # 126
    (
        "cbe0c29132cd738364fedd603152990c048e5e2fff996d883fa6caca7978c737"
        "70af6a8ce44cb41224b2603606f4c04d188e80bff7cc31ad5189d4ab0d70e8c1"
    ),
    5,
    6,
    True,
    # 128
    (
        "2ef747671c97d9c7f9cb2f6a30d678c3d84757ba241ef7183d51a29f52d87c2e"
        "a8fb2ea635b761baefc1c4ded2099281b844e13e044c328553bbbafa337d8a76"
    ),
    6,
    1,
    True,
    # 130
    (
        "931cc49cda4d87d25b1601c56c3b83b4f45e44971998f2d3e7d3c55152214edf"
        "058dc140abbba42fc1ddbf30dab8eb9b46ee7338b3f7ee96242bf45e1df5e995"
    ),
    6,
    3,
    True,
    # 132
    (
        "899a4af61867e3f3c190dbb48f8bc9fc74b70a467a4a1f06477b3af2f39ab8ed"
        "47ac000f9ea8a3034939bf48ad5d061a69fc8495ae4df2dbec7effa03a0062b3"
    ),
    6,
    6,
    True,
    # 134, and 136: r is larger than n
    (
        "d03eb09913cc20c6a8d0070f0d8d2a7f63527fafa44117fce6bd1ef2aa4ae3c4"
        "6d5df3f45ac58fa334c6d102381b3120b7a2455600dcaff3d1a845514f12bf46"
    ),
    6,
    7,
    True,
    (
        "d03eb09913cc20c6a8d0070f0d8d2a7f63527fafa44117fce6bd1ef2aa4ae3c4"
        "6d5df3f45ac58fa334c6d102381b3120b7a2455600dcaff3d1a845514f12bf46"
    ),
    _N + 6,
    7,
    False,
    # 137: s is larger than n
    (
        "3a72476291571193b4d109b2c37b59f2807e8fe9cffd804eacded903e77ca0da"
        "592dbc74fee0ca7508cc7bc282b0c51a143286ff53c60131668e7a0929e4ed04"
    ),
    6,
    _N + 0x12D687,
    False,
)


def signature(r, s):
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_rfc_6979():
    key = unhexlify(RFC6979_KEY)
    for message, text in RFC6979:
        digest = sha256(message).digest()
        good = unhexlify(text)
        assert verify(digest, good, key)
        assert not verify(sha256(message + b" ").digest(), good, key)
        for i in range(0, 64, 9):
            for part in (good, key):
                bad = bytearray(part)
                bad[i] ^= 1
                pair = (bad, key) if part is good else (good, bad)
                assert not verify(digest, pair[0], pair[1]), i


def test_wycheproof():
    digest = sha256(unhexlify("313233343030")).digest()
    for i in range(0, len(WYCHEPROOF), 4):
        key, r, s, good = WYCHEPROOF[i : i + 4]
        assert verify(digest, signature(r, s), unhexlify(key)) == good, (r, s)


def test_what_is_no_number_or_no_point():
    key = unhexlify(RFC6979_KEY)
    message, text = RFC6979[0]
    digest = sha256(message).digest()
    good = unhexlify(text)
    r = int.from_bytes(good[:32], "big")
    s = int.from_bytes(good[32:], "big")
    # n - s is a signature too, as FIPS 186-5 has it.
    assert verify(digest, signature(r, _N - s), key)
    for wrong in (0, _N, _N + 1, (1 << 256) - 1):
        assert not verify(digest, signature(wrong, s), key)
        assert not verify(digest, signature(r, wrong), key)
        assert not verify(digest, signature(wrong, wrong), key)
    for bad in (bytes(64), b"\xff" * 64, key[:32] + bytes(32), bytes(32) + key[32:]):
        assert not verify(digest, good, bad)
    for n in (0, 1, 63, 65):
        assert not verify(digest, (good + b"\0")[:n], key)
        assert not verify(digest, good, (key + b"\0")[:n])
    assert not verify(digest[:31], good, key) and not verify(digest + b"\0", good, key)
