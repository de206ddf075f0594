# DTLS 1.2 (RFC 6347, RFC 7925) with pre-shared keys, with rpk raw public keys, and with x509
# certificates, over MicroPython's tls module.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Nothing blocks: tls takes one datagram, or looks at its timers, whenever a session is driven. It
# has no call that tells whether a handshake is over or what alert has come. So sessions read the
# headers of the records that pass.

import io
import tls
from micropython import const
from ucoap.engine import diff
from . import optional

_MASK = const(0x3FFFFFFF)
_PLAIN = const(1280)  # bytes, the largest datagram taken out of a record
_DATAGRAM = const(1648)  # a flight fills the buffer that mbedTLS has with mbedtls_lwm2m.h

# tls sends a flight again 1, 3, 7, 15, 31 s after it, when it is driven (RFC 6347 4.2.4.1).
_TICK_MS = const(250)

# How long a handshake may take. All five repetitions fall in it, and one of a peer that waits
# 9 s, as RFC 7925 11 has it. It is CoAP's own patience, too: MAX_TRANSMIT_SPAN (RFC 7252 4.8.2).
HANDSHAKE_MS = const(45000)

_PSK = const(0)
_RAW_PUBLIC_KEY = const(1)
_CERTIFICATE = const(2)

_UNAUTHORIZED = const(0x81)
_INTERNAL = const(0xA0)
_UNAVAILABLE = const(0xA3)

# Content types of records (RFC 6347 4.1; RFC 9146 4).
_ALERT = const(21)
_HANDSHAKE = const(22)
_WITH_ID = const(25)  # and the true type is encrypted

# What tls raises.
_INVALID_MAC = const(-0x7180)
_INVALID_RECORD = const(-0x7200)
_WRONG_SIGNATURE = const(-0x4E00)
_BAD_CERTIFICATE = const(-0x7A00)
_BAD_POINTS = const((-0x4C80, -0x4E80, -0x4F80))
_BAD_KEY = const(-0x3E00)  # above it and up to _UNKNOWN_CURVE, what is wrong with a key's DER
_UNKNOWN_CURVE = const(-0x3A00)
_FATAL_ALERT = const(-0x7780)
_NOT_VERIFIED = const(-0x2700)
_REFUSED = const(-0x3000)  # also what a verify_callback returns
_TIMEOUT = const(-0x6800)
_NO_MEMORY = const(12)

# Cipher suites by their IANA numbers, as preferred (RFC 7925 4.2 and 4.4, LwM2M 1.1). A client
# offers two of a kind, the third where /0/x/16 names it.
_CIPHERS = const(("AES-128-CCM-8", "AES-128-CBC-SHA256", "AES-128-GCM-SHA256"))
_OFFERED = const((0xC0A8, 0x00AE, 0xC0AE, 0xC02B))
_PSK_SUITES = const((0xC0A8, 0, 0x00AE, 1, 0x00A8, 2))
_CERTIFICATE_SUITES = const((0xC0AE, 0, 0xC02B, 2, 0xC023, 1))

# DTLS came with MicroPython 1.25. A context knows pre-shared keys from 1.29 on; its class does not
# tell.
_HAS_DTLS = hasattr(tls, "PROTOCOL_DTLS_CLIENT")
_HAS_PSK = _HAS_DTLS and hasattr(tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT), "psk_key")


def is_supported(mode):
    """Whether accounts of a Security Mode (/0/x/2) are taken, of those that are not NoSec.

    Raw public keys (1) are kept for a port whose tls can use them; they fail here when a session
    is to begin.
    """
    if mode == _PSK:
        return _HAS_PSK
    if not _HAS_DTLS or mode > _CERTIFICATE:
        return False
    return bool(optional("x509") if mode == _CERTIFICATE else optional("rpk"))


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


# --- Reasons


def _alert_text(alert, peer, what):
    if alert in (20, 51):  # bad_record_mac, decrypt_error
        return "the %s takes the key for wrong" % peer
    if alert == 115:  # unknown_psk_identity
        return "the %s does not know the identity" % peer
    if 41 <= alert <= 46 or alert in (48, 49):  # from no_certificate to access_denied
        return "the %s does not accept the %s (alert %d)" % (peer, what, alert)
    if alert == 40:  # handshake_failure
        return "the %s accepts none of the cipher suites, or not the key (alert 40)" % peer
    return "the %s has ended the session with alert %d" % (peer, alert)


# --- Sessions


class Session(io.IOBase):
    """A DTLS session with the server of an account; module dtls_server has its own, with one client each.

    It is what tls reads and writes records through, too.
    """

    datagram = _DATAGRAM
    peer = "server"  # who is at the other end
    listener = None  # a server's

    # Many have nothing else for these, and are smaller so.
    id = b""  # of a server's client: what its records have, where roams is True
    roams = False  # whether the client may change its address: its records have an id
    silent = False  # whether the end is not told to the peer, which cannot read it

    def __init__(self, sock, role, now, limit_ms):
        self.sock = sock
        self.up = False
        self.last = now  # ms, when the peer was last heard of for certain
        self.code = 0  # of the end, a CoAP code
        self.text = None  # why it has ended
        self.account = None  # for whom its role takes it
        self.tls = None
        self.check = None
        self.what = "certificate"  # what shows who is who, where that is no pre-shared key
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
            if not self.up:
                self._scan(buf, True)
            self.sock.send(buf)
        except (OSError, MemoryError):
            pass  # a lost datagram
        return len(buf)

    def ioctl(self, request, arg):
        return 0

    def _scan(self, data, ours):
        # Note what the records of a handshake's datagram are; ours: whether we send it. Returns the
        # length of the whole records.
        client = ours == (self.listener is None)  # who has sent it
        i = 0
        while i + 13 < len(data):
            kind = data[i]
            n = i + 13
            end = n + (data[n - 2] << 8 | data[n - 1])
            if kind == _WITH_ID:
                if ours:  # the peer's id, of whatever length, is in the last record of a flight
                    end = len(data)
                    self.roams = self.roams or client
                else:
                    n += len(self.id)
                    if n >= len(data) or not self.id or data[i + 11 : n - 2] != self.id:
                        break
                    end = n + (data[n - 2] << 8 | data[n - 1])
                    self.roams = True
            if end > len(data):
                break
            if not self.up:
                if data[i + 4]:  # in epoch 1
                    if kind == _HANDSHAKE or kind == _WITH_ID:
                        self._finished = 1 if client else 2
                elif kind == _ALERT and not ours:
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
            n = self._scan(data, False)
            if not n:
                return
            if n < len(data):
                data = data[:n]
            self._heard = True
        self._in = data
        cut = False  # whether what comes next is the rest of what was too long
        while self.tls is not None:
            try:
                data = self.tls.recv(_PLAIN + 1)
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
            if self.listener:
                self.listener.heard(self)
            rest = cut
            cut = len(data) > _PLAIN
            if self.tls is not None and self.up and not (cut or rest):
                self._role.receive(self.account, data, now)
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
        """End the session, and tell the peer."""
        if self.text is None:
            self.code = code
            self.text = text
        self.close()

    def disconnected(self, account, code, text, now):
        """Net's word that it has no connection any more."""
        self.end(code, text)

    def close(self):
        if self.tls is not None:
            try:
                if self.up and not self.silent:
                    self.tls.close_notify()  # RFC 5246 7.2.1, where this port has it
            except Exception:  # OSError, MemoryError, AttributeError
                pass
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
        try:
            self._role.connected(self.account, now)
        except MemoryError:
            self.end(_INTERNAL, "out of memory")

    def _settle(self, now):
        # Tell of the end, once.
        if self.text is not None and self._role is not None:
            role = self._role
            self._role = None
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
        peer = self.peer
        self.silent = True
        n = e.args[0]
        if n == _TIMEOUT:
            return self._expire()
        code = _UNAUTHORIZED
        if self.check and self.check.text:
            text = self.check.text
        elif isinstance(e, ValueError):
            from .x509 import verify_text  # it is only certificates that tls has these for

            text = verify_text(str(n), peer, self.check and self.check.name)
        elif n == _NOT_VERIFIED or n == _REFUSED:
            text = "the %s's certificate is not from the CA, or for another name" % peer
        elif n in (_INVALID_MAC, _WRONG_SIGNATURE) and not self.up:
            text = "wrong key"
        elif n == _FATAL_ALERT and self._alert >= 0:
            text = _alert_text(self._alert, peer, self.what)
        elif not self.up and (
            n == _BAD_CERTIFICATE or n in _BAD_POINTS or _BAD_KEY < n <= _UNKNOWN_CURVE
        ):
            text = "the %s has no %s that can be used here" % (peer, self.what)
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
    if not is_supported(mode):
        return "Security Mode %d is not supported" % mode
    context = tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT)
    if mode == _RAW_PUBLIC_KEY and not hasattr(context, "raw_public_keys"):
        return "this port's DTLS has no raw public keys (Security Mode 1)"
    if not public or not secret or (mode and not server_public):
        return "the account has no keys"
    wanted = security.get(16)
    names = suites(context, mode, wanted.values() if wanted else _OFFERED)
    if not names:
        return "none of the cipher suites of /0/x/16 can be had here"
    context.set_ciphers(names)
    name = None
    if mode == _PSK:
        name = security.get(14)
        context.verify_mode = tls.CERT_NONE
        try:
            context.psk_identity = public
            context.psk_key = secret
        except OSError:
            return "the pre-shared key or its identity is too long for this port"
    elif mode == _RAW_PUBLIC_KEY:
        from .rpk import begin

        context.verify_mode = tls.CERT_REQUIRED
        fault = begin(session, context, keys[1:])
        if fault:
            return fault
    else:
        from .x509 import begin

        fault, name = begin(session, context, keys[1:], security, host, trust)
        if fault:
            return fault
    if hasattr(context, "dtls_cid"):
        context.dtls_cid = b""  # RFC 9146 3: ids for the server, as it likes, none for us
    session.tls = context.wrap_socket(
        session, do_handshake_on_connect=False, server_hostname=name or None
    )
    return None
