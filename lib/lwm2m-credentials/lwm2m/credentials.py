# Keys and certificates in RAM, beside the accounts; for clients and servers.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const

# DER of P-256: the algorithm and the curve (RFC 5480 2), and what is before the coordinates.
_CURVE = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
_POINT = b"\x03\x42\x00\x04"

_NOT_FOUND = const(0x84)
_NOT_ACCEPTABLE = const(0x86)
_INTERNAL = const(0xA0)


def raw_keys(x, y, secret=None):
    """A raw public key as IOWA has it, coordinates and the secret number of 32 bytes each, as DER.

    Returns (SubjectPublicKeyInfo, PKCS #8), as /0/x/3 and 5 have them; of a server's key, whose secret
    is not known here, the first is what /0/x/4 has.
    """
    for part in (x, y, secret or x):
        if len(part) != 32:
            raise ValueError("x, y and the secret number of P-256 have 32 bytes each")
    point = _POINT + x + y
    private = None
    if secret:  # RFC 5208 5, and in it RFC 5915 3
        private = b"\x30\x81\x87\x02\x01\x00" + _CURVE
        private += b"\x04\x6d\x30\x6b\x02\x01\x01\x04\x20" + secret + b"\xa1\x44" + point
    return b"\x30\x59" + _CURVE + point, private


class Credentials:
    """Security data by peer: iowa_system_security_data() in Python's manner.

    Whatever has these methods may take its place, such as one that asks a secure element; keep()
    may be left out there.

    peer: for a client the URI of the server, a str; for a server the identity of a client's
    pre-shared key, bytes. Whole names are compared. data is (mode, public, server_public, secret)
    as /0/x/2 to 5 have it (LwM2M 1.1 E.1), an int and bytes:
        pre-shared key   (0, identity, b"", key)
        raw public key   (1, public key, the server's, private key); raw_keys() makes both forms
        certificate      (2, certificate, the server's or the CA's, private key)
    Statuses are CoAP codes: 0; 4.04 (0x84), nothing is there; 4.06 (0x86), something is there
    already; 5.00 (0xA0), it cannot be told or kept, as memory or a secure element has failed.
    """

    def __init__(self):
        self._data = {}

    def read(self, peer):
        """Returns (status, data); data is None where the status is not 0."""
        data = self._data.get(peer)
        return (_NOT_FOUND, None) if data is None else (0, data)

    def create(self, peer, data):
        """Returns 0, 4.06 or 5.00. Raises ValueError for what is no security data."""
        good = isinstance(data, (tuple, list)) and len(data) == 4 and data[0] in (0, 1, 2)
        for value in data[1:] if good else ():  # bytes(16) would be a key of zeros
            good = good and not isinstance(value, (int, str))
        if not good or not isinstance(peer, (str, bytes)):
            raise ValueError("data must be (mode 0 to 2, public, server_public, secret), bytes")
        if peer in self._data:
            return _NOT_ACCEPTABLE
        try:
            # Copies of what may be a view of a datagram; /0/x/3 to 5 are None where left out.
            public, server_public, secret = [bytes(value or b"") for value in data[1:]]
            self._data[peer] = data[0], public, server_public, secret
        except MemoryError:
            return _INTERNAL
        return 0

    def delete(self, peer):
        """Returns 0 or 4.04."""
        return 0 if self._data.pop(peer, None) else _NOT_FOUND

    def check(self, peer, mode):
        """Whether data of that Security Mode is there: 0 or 4.04."""
        return 0 if self._data.get(peer, (mode - 1,))[0] == mode else _NOT_FOUND

    def keep(self, peers):
        """Forget whoever is not among peers and has a "#" in the name.

        A client's transaction names the keys that it has been sent "uri#n": who calls this names
        those that the accounts still have.
        """
        for peer in list(self._data):
            if isinstance(peer, str) and "#" in peer and peer not in peers:
                self._data.pop(peer)
