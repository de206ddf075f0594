# Raw public keys for DTLS (RFC 7250, Security Mode 1): of P-256, as RFC 7925 4.3 has them.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# dtls and dtls_server load it for who has such keys, and the check of accounts for those of mode 1.

from micropython import const

_SIZE = const(91)  # bytes of a SubjectPublicKeyInfo: _HEAD, x and y
_REFUSED = const(-0x3000)  # what a verify_callback returns

# What a SubjectPublicKeyInfo of P-256 begins with (RFC 5480 2): the algorithm, the curve, and that
# both coordinates follow.
_CURVE = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
_POINT = b"\x03\x42\x00\x04"
_HEAD = b"\x30\x59" + _CURVE + _POINT

# What is before the secret number in a private key (RFC 5915 3).
_SECRET = const(b"\x02\x01\x01\x04\x20")

# The curve (SEC 2 2.4.2): y^2 = x^3 - 3 x + _B modulo _P.
_P = (1 << 256) - (1 << 224) + (1 << 192) + (1 << 96) - 1
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def identity(key):
    """Whom a SubjectPublicKeyInfo is of: its SHA-256 in hexadecimal digits, bytes.

    None for what is none of P-256, such as a certificate.
    """
    if len(key) != _SIZE or key[: len(_HEAD)] != _HEAD:
        return None
    from binascii import hexlify
    from hashlib import sha256

    return hexlify(sha256(key).digest())


def fault(public, server_public, secret):
    """What is wrong with /0/x/3 to 5 in words, without any key in them, or None."""
    for name, value in (("Public Key", public), ("Server Public Key", server_public)):
        if not _is_key(value):
            return "the %s is no SubjectPublicKeyInfo of P-256" % name
    # Its DER is as long as it says, it is of the curve, and where the public key is in it, too,
    # that is the account's.
    size = 0
    if len(secret) > 2:
        size = secret[1] + 2 if secret[1] < 0x80 else secret[2] + 3
    if len(secret) != size or _SECRET not in secret or _CURVE[11:] not in secret:
        return "the Secret Key is no PKCS #8 of P-256"
    at = secret.rfind(_POINT)
    if at > 0 and secret[at + 4 : at + 68] != public[27:]:
        return "the Secret Key is of another Public Key"


def _is_key(key):
    if len(key) != _SIZE or key[: len(_HEAD)] != _HEAD:
        return False
    x = int.from_bytes(key[27:59], "big")
    y = int.from_bytes(key[59:], "big")
    return x < _P and y < _P and (y * y - x * x * x + 3 * x - _B) % _P == 0


# --- A client's trust in its server


def begin(session, context, keys):
    """Prepare a client's session and its context; what is wrong in words, or None.

    keys: (public key, the server's, private key).
    """
    public, expected, secret = keys
    session.check = _Pin(expected)
    session.what = "raw public key"
    context.raw_public_keys = True
    context.verify_callback = session.check.verify
    try:
        context.load_cert_chain(bytes(public), bytes(secret))
    except (ValueError, OSError):
        return "this client's raw public key or its private key cannot be read"


class _Pin:
    # The one key that an account takes of its server: /0/x/4.

    name = None

    def __init__(self, expected):
        self.expected = expected
        self.passed = False
        self.text = None  # what is wrong

    def verify(self, key, depth):
        # tls calls it in the middle of mbedTLS: no exception may leave it.
        try:
            if _is_equal(key, self.expected):
                self.passed = True
                return 0
            self.text = "the server's raw public key is not the account's"
        except Exception:  # MemoryError, if anything
            self.text = "the server's raw public key could not be checked"
        return _REFUSED


def _is_equal(a, b):
    # In a time that does not tell where they differ.
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return not difference
