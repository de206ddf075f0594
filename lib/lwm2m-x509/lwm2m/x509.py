# X.509 certificates for DTLS (RFC 5280 4.1, RFC 7925 4.4): as much as tls does not tell of them.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# dtls and dtls_server load it for who has certificates, so that pre-shared keys do without.

import time
import tls
from micropython import const

# Certificate Usage (/0/x/15; RFC 6698 2.1.1).
_CA_CONSTRAINT = const(0)
_SERVICE_CONSTRAINT = const(1)
_TRUST_ANCHOR = const(2)
_DOMAIN_ISSUED = const(3)

_REFUSED = const(-0x3000)  # what a verify_callback returns

# A clock before this has not been set since power came: it tells nothing about a certificate.
_EARLIEST = const("20260101000000")


def clock():
    """The date and time as certificates have it: "YYYYMMDDhhmmss", of UTC."""
    return "%04d%02d%02d%02d%02d%02d" % time.gmtime()[:6]


# --- What is in a certificate


def _items(der, start, end):
    # The DER elements in a part of a certificate: (tag, start of the value, its end) each.
    items = []
    while start < end:
        tag = der[start]
        n = der[start + 1]
        start += 2
        if n & 0x80:
            size = n & 0x7F
            n = int.from_bytes(der[start : start + size], "big")
            start += size
        items.append((tag, start, start + n))
        start += n
    return items


def _fields(der):
    # Serial number, algorithm, issuer, validity, subject, key, and what is optional.
    _, start, end = _items(der, 0, len(der))[0]
    _, start, end = _items(der, start, end)[0]
    fields = _items(der, start, end)
    return fields[1:] if fields[0][0] == 0xA0 else fields  # without the version


def _part(der, item):
    return der[item[1] : item[2]]


def common_name(der):
    """The most specific one of the subject (RFC 6125 6.4.4), bytes, or None."""
    name = None
    for _, start, end in _items(der, *_fields(der)[4][1:]):
        for _, start, end in _items(der, start, end):
            oid, value = _items(der, start, end)
            if _part(der, oid) == b"\x55\x04\x03":
                name = _part(der, value)
    return name


def _dns_names(der, fields):
    # The names in the subjectAltName, or the common name where there is none (RFC 6125 6.4).
    for tag, start, end in fields[6:]:
        if tag != 0xA3:
            continue
        for _, start, end in _items(der, *_items(der, start, end)[0][1:]):
            extension = _items(der, start, end)
            if _part(der, extension[0]) == b"\x55\x1d\x11":
                names = _items(der, *_items(der, *extension[-1][1:])[0][1:])
                return [_part(der, name) for name in names if name[0] == 0x82]
    return [common_name(der)]


def _is_named(der, fields, host):
    host = host.lower().encode()
    for name in _dns_names(der, fields):
        if name:
            name = name.lower()
            if name == host or (name[:2] == b"*." and host[host.find(b".") :] == name[1:]):
                return True
    return False


def _date_fault(der, fields, now):
    # What is wrong with a certificate's dates.
    dates = []
    for tag, start, end in _items(der, fields[3][1], fields[3][2]):
        text = str(der[start:end], "utf-8")
        if tag == 0x17:  # UTCTime: two digits of the year
            text = ("20" if text < "5" else "19") + text
        dates.append(text[:14])
    if now < dates[0]:
        return "is not valid yet"
    return "has expired" if now > dates[1] else None


def _digest(data, matching):
    # A certificate as the Matching Type (/0/x/13) compares it.
    if matching == 0:
        return data
    import hashlib

    name = ("sha256", "sha384", "sha512")[matching - 1]
    if hasattr(hashlib, name):
        return getattr(hashlib, name)(data).digest()
    from .sha512 import digest

    return digest(data, 256 + 128 * (matching - 1))


# --- A client's trust in its server


def begin(session, context, keys, security, host, trust):
    """Prepare a client's session and its context for certificates; dtls.connect() says of what.

    keys: (certificate, what the account expects of the server's, private key). Returns what is
    wrong in words, or None; and the name for tls to ask for, or None.
    """
    public, expected, secret = keys
    name = security.get(14)
    fault = _trust(session, context, security, expected, name or host, trust)
    if fault:
        return fault, None
    context.verify_callback = session.check.verify
    try:
        context.load_cert_chain(bytes(public), bytes(secret))
    except (ValueError, OSError):
        return "this client's certificate or its key cannot be read", None
    # An address is no name for SNI (RFC 6066 3), but tls wants what to look for.
    if not name and (context.verify_mode == tls.CERT_REQUIRED or not _is_address(host)):
        name = host
    return None, name


def _is_address(host):
    return ":" in host or host.replace(".", "").isdigit()


def _trust(session, context, security, expected, name, trust):
    # Certificate Usage: 0 and 2 name the CA of the server's certificate, 1 and 3 itself; 0 and 1
    # also want a chain to a CA of the device's trust, where it has any. Chains, names and dates
    # count, but with 3 the name only where the account says it (/0/x/14), and the dates only where
    # the clock is set. tls checks chains and names where it has a CA; without one it takes any
    # certificate, and _Check knows the one.
    usage = security.get(15, _DOMAIN_ISSUED)
    matching = security.get(13, 0)
    now = clock()
    if now < _EARLIEST:
        now = None
        if usage != _DOMAIN_ISSUED:
            return "the clock is not set, which Certificate Usage %d needs" % usage
    if usage > _DOMAIN_ISSUED or matching > 3:
        return "Certificate Usage %d or Matching Type %d is not known" % (usage, matching)
    anchors = trust if usage <= _SERVICE_CONSTRAINT else ()
    if not anchors and not usage & 1:
        if matching:
            return "a CA is known by its digest only, which is not enough to trust it"
        anchors = (expected,)
        usage = _TRUST_ANCHOR
    context.verify_mode = tls.CERT_OPTIONAL
    if anchors:
        context.verify_mode = tls.CERT_REQUIRED
        try:
            for anchor in anchors:
                context.load_verify_locations(bytes(anchor))
        except (ValueError, OSError):
            return "the account's Server Public Key is no certificate"
    elif not security.get(14):  # what is pinned may have any name, unless the account says one
        name = None
    session.check = _Check(usage, matching, expected, name, now)
    return None


class _Check:
    # What an account asks of its server's certificate, beside what tls checks by itself.

    def __init__(self, usage, matching, expected, name, now):
        self.usage = usage
        self.matching = matching
        self.expected = expected  # /0/x/4: the certificate, the CA's, or the digest of one
        self.name = name  # that it must have; None for any
        self.now = now  # None where the clock is not set
        self.passed = False
        self.found = False  # whether a CA of the chain is the expected one
        self.text = None  # what is wrong

    def verify(self, certificate, depth):
        # tls calls it for each certificate of the chain, the server's own comes last. An
        # exception must not leave it: it would jump out of the middle of mbedTLS.
        try:
            if not self.text:
                self.text = self._fault(bytes(certificate), depth)
        except Exception:  # MemoryError, if anything
            self.text = "the server's certificate could not be checked"
        return _REFUSED if self.text else 0

    def _fault(self, der, depth):
        fields = _fields(der)
        pinned = self.usage & 1
        if depth and pinned:
            return None  # the server's own certificate is all that counts
        fault = self.now and _date_fault(der, fields, self.now)
        if fault:
            return ("the CA's" if depth else "the server's") + " certificate " + fault
        equal = _digest(der, self.matching) == self.expected
        if depth:
            self.found = self.found or equal
            return None
        if not pinned:
            if _part(der, fields[2]) == _part(der, fields[4]):
                return "the server's certificate is self-signed, where a CA is asked for"
            if self.usage == _CA_CONSTRAINT and not self.found:
                return "the server's certificate is not from the account's CA"
        elif not equal:
            return "the server's certificate is not the account's"
        elif self.name and not _is_named(der, fields, self.name):
            return "the server's certificate is for another name than " + self.name
        self.passed = True
        return None


def verify_text(text, peer, name):
    """What is wrong with a certificate of a peer, in mbedTLS's own words, in ours.

    name: what it was to be for.
    """
    for words, fault in (
        ("CN", "is for another name than %s" % name),
        ("expired", "has expired"),
        ("future", "is not valid yet"),
        ("signed by", "is not signed by the CA"),
    ):
        if words in text:
            return "the %s's certificate %s" % (peer, fault)
    return "the %s's certificate: %s" % (peer, text.strip())
