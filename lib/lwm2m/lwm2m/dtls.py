# DTLS 1.2 (RFC 6347, RFC 7925) with pre-shared keys or certificates, over MicroPython's tls module.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Nothing blocks: tls takes one datagram, or looks at its timers, whenever a session is driven. It
# has no call that tells whether a handshake is over, what alert has come or what a certificate
# lacks, and none that sends an alert. So sessions read the headers of the records that pass, and
# look at certificates themselves.

import io
import time
import tls
from micropython import const
from ucoap.engine import diff

_MASK = const(0x3FFFFFFF)
_PLAIN = const(1280)  # bytes, the largest datagram taken out of a record
_DATAGRAM = const(1616)  # a flight fills the buffer that mbedTLS has with mbedtls_lwm2m.h

# tls sends a flight again 1, 3, 7, 15, 31 s after it, when it is driven (RFC 6347 4.2.4.1).
_TICK_MS = const(250)

# How long a handshake may take. All five repetitions fall in it, and one of a peer that waits
# 9 s, as RFC 7925 11 has it. It is CoAP's own patience, too: MAX_TRANSMIT_SPAN (RFC 7252 4.8.2).
HANDSHAKE_MS = const(45000)

_PSK = const(0)
_RAW_PUBLIC_KEY = const(1)
_CERTIFICATE = const(2)

# Certificate Usage (/0/x/15; RFC 6698 2.1.1).
_CA_CONSTRAINT = const(0)
_SERVICE_CONSTRAINT = const(1)
_TRUST_ANCHOR = const(2)
_DOMAIN_ISSUED = const(3)

_UNAUTHORIZED = const(0x81)
_INTERNAL = const(0xA0)
_UNAVAILABLE = const(0xA3)

# Content types of records (RFC 6347 4.1).
_ALERT = const(21)
_HANDSHAKE = const(22)

# What tls raises.
_HELLO_VERIFY = const(-0x6A80)
_UNKNOWN_IDENTITY = const(-0x6C80)
_INVALID_MAC = const(-0x7180)
_INVALID_RECORD = const(-0x7200)
_WRONG_SIGNATURE = const(-0x4E00)
_NO_CERTIFICATE = const(-0x7480)
_FATAL_ALERT = const(-0x7780)
_NOT_VERIFIED = const(-0x2700)
_REFUSED = const(-0x3000)  # also what a verify_callback returns
_TIMEOUT = const(-0x6800)
_NO_MEMORY = const(12)

# Cipher suites by their IANA numbers, as preferred (RFC 7925 4.2 and 4.4, LwM2M 1.1). A client
# offers two of a kind, the third where /0/x/16 names it.
_CIPHERS = ("AES-128-CCM-8", "AES-128-CBC-SHA256", "AES-128-GCM-SHA256")
_OFFERED = (0xC0A8, 0x00AE, 0xC0AE, 0xC02B)
_PSK_SUITES = (0xC0A8, 0, 0x00AE, 1, 0x00A8, 2)
_CERTIFICATE_SUITES = (0xC0AE, 0, 0xC02B, 2, 0xC023, 1)

# A clock before this has not been set since power came: it tells nothing about a certificate.
_EARLIEST = "20260101000000"

# Security Modes (/0/x/2) of accounts that are taken. Raw public keys (1) are kept for a port whose
# tls can use them, and fail here when a session is to begin. A context knows pre-shared keys from
# MicroPython 1.29 on, its class does not tell.
MODES = (1, 2, 3)
if hasattr(tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT), "psk_key"):
    MODES = (0, 1, 2, 3)


def clock():
    """The date and time as certificates have it: "YYYYMMDDhhmmss", of UTC."""
    return "%04d%02d%02d%02d%02d%02d" % time.gmtime()[:6]


def suites(context, mode, wanted=None):
    """The names, for set_ciphers(), of the suites of a Security Mode that this mbedTLS has.

    wanted: IANA numbers; None for all.
    """
    table = _CERTIFICATE_SUITES if mode else _PSK_SUITES
    names = []
    for i in range(0, len(table), 2):
        if wanted is None or table[i] in wanted:
            try:
                kind = "ECDHE-ECDSA" if mode else "PSK"
                name = "TLS-%s-WITH-%s" % (kind, _CIPHERS[table[i + 1]])
                context.set_ciphers((name,))
                names.append(name)
            except OSError:
                pass  # it was built without it
    return names


# --- Certificates (RFC 5280 4.1): as much as tls does not tell of them


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


# --- Reasons


def _verify_text(text, peer, name):
    # mbedTLS's own words of what is wrong with a certificate.
    for words, fault in (
        ("CN", "is for another name than %s" % name),
        ("expired", "has expired"),
        ("future", "is not valid yet"),
        ("signed by", "is not signed by the CA"),
    ):
        if words in text:
            return "the %s's certificate %s" % (peer, fault)
    return "the %s's certificate: %s" % (peer, text.strip())


def _alert_text(alert, peer):
    if alert in (20, 51):  # bad_record_mac, decrypt_error
        return "the %s takes the key for wrong" % peer
    if alert == 115:  # unknown_psk_identity
        return "the %s does not know the identity" % peer
    if 41 <= alert <= 46 or alert in (48, 49):  # from no_certificate to access_denied
        return "the %s does not accept the certificate (alert %d)" % (peer, alert)
    if alert == 40:  # handshake_failure
        return "the %s accepts none of the cipher suites, or not the key (alert 40)" % peer
    return "the %s has ended the session with alert %d" % (peer, alert)


# --- Sessions


class Session(io.IOBase):
    """A DTLS session with the server of an account, or with one client of a Listener.

    It is what tls reads and writes records through, too. A server's role gets it for the peer.
    """

    datagram = _DATAGRAM

    def __init__(self, sock, role, now, limit_ms):
        self.sock = sock
        self.address = None  # of a Listener's client
        self.identity = None  # bytes, of a client: of its key, or its certificate's common name
        self.up = False
        self.last = now  # ms, when the peer was last heard of for certain
        self.code = 0  # of the end, a CoAP code
        self.text = None  # why it has ended
        self.account = None
        self.listener = None
        self.hello = None  # the random bytes of the ClientHello that it began with
        self.tls = None
        self.check = None
        self._role = role  # None when it has been told of the end
        self._start = now
        self._limit_ms = limit_ms
        self._driven = now - _TICK_MS & _MASK
        self._in = None  # the datagram that tls is to read
        self._kept = None  # what could not be sent while the handshake was not over after all
        self._heard = False
        self._alert = -1  # that came in the clear
        self._finished = 0  # 1: the client's Finished has passed, 2: the server's

    # What tls calls. An exception must not leave these: it would jump out of mbedTLS.

    def readinto(self, buf):
        data = self._in
        if data is None:
            return None
        self._in = None
        n = len(data)
        try:
            if n <= len(buf):
                buf[:n] = data
                return n
        except MemoryError:
            pass
        return None

    def write(self, buf):
        try:
            self._scan(buf, self.listener is None)
            if self.address is None:
                self.sock.send(buf)
            else:
                self.sock.sendto(buf, self.address)
        except (OSError, MemoryError):
            pass  # a lost datagram
        return len(buf)

    def ioctl(self, request, arg):
        return 0

    def _scan(self, data, client):
        # Note what the records of a handshake's datagram are; client: who has sent it. Returns
        # the length of the whole records.
        i = 0
        while i + 13 < len(data):
            end = i + 13 + (data[i + 11] << 8 | data[i + 12])
            if end > len(data):
                break
            if not self.up:
                if data[i] == _HANDSHAKE and data[i + 4]:  # in epoch 1
                    self._finished = 1 if client else 2
                elif (
                    data[i] == _ALERT and not data[i + 4] and client == (self.listener is not None)
                ):
                    self._alert = data[end - 1]
            i = end
        return i

    # What owners call.

    def receive(self, peer, data, now):
        """Take a datagram from the network; with None, let tls look at its timers."""
        self._driven = now
        if data is not None:
            # mbedTLS takes a scrap behind a record for an error of its own and ends the session:
            # anybody could do that with one datagram.
            n = self._scan(data, self.listener is not None)
            if not n:
                return
            if n < len(data):
                data = data[:n]
            self._heard = True
        self._in = data
        while self.tls is not None:
            try:
                data = self.tls.recv(_PLAIN)
            except MemoryError:
                self._in = None
                raise
            except (OSError, ValueError) as e:
                self._fail(e)
                break
            if data == b"":
                self.end(_UNAVAILABLE, "the peer has closed the session")
                break
            if not self.up and (data or self._finished == 2):
                self._arise(now)
            if data is None:
                break
            self.last = now
            if self.tls is not None and self.up:
                self._role.receive(self.account or self, data, now)
        self._in = None
        if self._kept is not None:
            data = self._kept
            self._kept = None
            self.send(data)
        self._settle(now)

    def send(self, datagram):
        """Send a datagram."""
        if self.tls is None:
            return
        try:
            if self.tls.write(datagram) is None:
                self._kept = bytes(datagram)
        except (OSError, ValueError) as e:
            self._fail(e)  # poll() tells the role, which is busy

    def poll(self, now):
        if self.tls is not None and self._unfinished():
            if diff(now, self._start) >= self._limit_ms:
                self._expire()
            elif diff(now, self._driven) >= _TICK_MS:
                self.receive(None, None, now)
        self._settle(now)

    def next_ms(self, now):
        """Milliseconds until poll() has something to do, or -1 for never."""
        if self.text is not None and self._role is not None:
            return 0
        if self.tls is None or not self._unfinished():
            return -1
        due = min(self._limit_ms - diff(now, self._start), _TICK_MS - diff(now, self._driven))
        return max(due, 0)

    def end(self, code, text):
        """End the session, without a word to the peer: tls has none for it."""
        if self.text is None:
            self.code = code
            self.text = text
        self.close()

    def close(self):
        if self.tls is not None:
            self.tls.close()
            self.tls = None
        self._in = self._kept = None

    def _unfinished(self):
        return not self.up or self._kept is not None

    def _arise(self, now):
        # The handshake is over; or somebody has forged a Finished: then send() keeps what it gets.
        if self.check and not self.check.passed:
            return
        self.up = True
        self.last = now
        if self.listener is not None:
            self.listener.arisen(self, now)
        else:
            try:
                self._role.connected(self.account, now)
            except MemoryError:
                self.end(_INTERNAL, "out of memory")

    def _settle(self, now):
        # Tell of the end, once.
        if self.text is not None and self._role is not None:
            role = self._role
            self._role = None
            if self.listener is not None:
                self.listener.ended(self)
            else:
                try:
                    role.disconnected(self.account, self.code, self.text, now)
                except MemoryError:
                    self._role = role  # it is told again
                    raise

    def _expire(self):
        text = "no answer"
        if self._heard:
            text = "the DTLS handshake was not finished in time"
        if self._heard and self._finished == 1:
            text = "the server does not answer, it may not know this client's certificate or key"
            if not self.check:
                text = "wrong pre-shared key or identity, or no answer any more"
        self.end(_UNAVAILABLE, text)

    def _fail(self, e):
        # Put what tls has raised in words.
        peer = "server" if self.listener is None else "client"
        n = e.args[0]
        if n == _HELLO_VERIFY:  # the client has got its cookie; it is not known yet
            self._role = None
            return self.close()
        if n == _TIMEOUT:
            return self._expire()
        code = _UNAUTHORIZED
        if self.check and self.check.text:
            text = self.check.text
        elif isinstance(e, ValueError):
            text = _verify_text(str(n), peer, self.check and self.check.name)
        elif n == _NOT_VERIFIED or n == _REFUSED:
            text = "the %s's certificate is not from the CA, or for another name" % peer
        elif n == _UNKNOWN_IDENTITY:
            text = "unknown identity"
        elif n in (_INVALID_MAC, _WRONG_SIGNATURE) and not self.up:
            text = "wrong key"
        elif n == _NO_CERTIFICATE:
            text = "the client has no certificate"
        elif n == _FATAL_ALERT and self._alert >= 0:
            text = _alert_text(self._alert, peer)
        else:
            code = _UNAVAILABLE
            text = "DTLS failed (%d)" % n
            if n == _FATAL_ALERT:
                text = "the %s has ended the session with an alert" % peer
            elif n == _INVALID_RECORD and not self.up:
                text = "a message of the handshake is too long for this device"
            elif n == _NO_MEMORY:
                code = _INTERNAL
                text = "out of memory"
        self.end(code, text)


# --- The client's side


def connect(role, account, sock, host, now, limit_ms, trust):
    """Begin a session over a connected socket. Returns it; what is wrong, poll() tells the role.

    role: core.Core. host: of the account's URI. trust: DER certificates of CAs that Certificate
    Usage 0 and 1 (/0/x/15) want besides, where there are any.
    """
    session = Session(sock, role, now, limit_ms)
    session.account = account
    fault = _begin(session, role.keys(account), account.security, host, trust)
    if fault:
        session.end(_UNAUTHORIZED, fault)
    return session


def _begin(session, keys, security, host, trust):
    mode, public, server_public, secret = keys
    if mode == _RAW_PUBLIC_KEY:
        return "this port's DTLS has no raw public keys (Security Mode 1)"
    if mode not in MODES:
        return "Security Mode %d is not supported" % mode
    if not public or not secret or (mode == _CERTIFICATE and not server_public):
        return "the account has no keys"
    context = tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT)
    wanted = security.get(16)
    names = suites(context, mode, wanted.values() if wanted else _OFFERED)
    if not names:
        return "none of the cipher suites of /0/x/16 can be had here"
    context.set_ciphers(names)
    name = security.get(14)
    if mode == _PSK:
        context.verify_mode = tls.CERT_NONE
        try:
            context.psk_identity = public
            context.psk_key = secret
        except OSError:
            return "the pre-shared key or its identity is too long for this port"
    else:
        fault = _trust(session, context, security, server_public, name or host, trust)
        if fault:
            return fault
        context.verify_callback = session.check.verify
        try:
            context.load_cert_chain(bytes(public), bytes(secret))
        except (ValueError, OSError):
            return "this client's certificate or its key cannot be read"
        # An address is no name for SNI (RFC 6066 3), but tls wants what to look for.
        if not name and (context.verify_mode == tls.CERT_REQUIRED or not _is_address(host)):
            name = host
    session.tls = context.wrap_socket(
        session, do_handshake_on_connect=False, server_hostname=name or None
    )
    return None


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
