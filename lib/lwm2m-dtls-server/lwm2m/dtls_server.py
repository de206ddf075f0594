# DTLS for servers: many clients on one UDP socket.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import os
import tls
from micropython import const
from ucoap.engine import diff
from .crowd import table
from .dtls import HANDSHAKE_MS, Session, is_supported, suites
from .peers import gives_way, host

_IDLE_SCAN_MS = const(60000)
_HALF_SCAN_MS = const(50)  # tls repeats a flight after a second

# Before a half-open session may make way for another one of the same host: for five seconds, or many
# that begin at once would throw each other out; as long as most handshakes go nowhere, for half of
# one, which is more than they need that do go on.
_PATIENCE_MS = const(5000)
_SHORT_PATIENCE_MS = const(500)
_MANY_VAIN = const(32)

_PSK = const(0)
_RAW_PUBLIC_KEY = const(1)
_CERTIFICATE = const(2)
_UNAUTHORIZED = const(0x81)
_UNAVAILABLE = const(0xA3)
_REFUSED = const(-0x3000)  # what a verify_callback returns

# What tls raises.
_HELLO_VERIFY = const(-0x6A80)
_UNKNOWN_IDENTITY = const(-0x6C80)
_NO_CERTIFICATE = const(-0x7480)

_MASK = const(0x3FFFFFFF)

_VERSION = b"\xfe\xfd"  # of a record

# Content types of records (RFC 6347 4.1; RFC 9146 4).
_HANDSHAKE = const(22)
_DATA = const(23)
_WITH_ID = const(25)

_ID_SIZE = const(6)  # bytes of a connection id, all of them random: nobody is to guess one


class ClientSession(Session):
    """A Listener's session with one client. The role gets it for the peer."""

    peer = "client"

    # Many have nothing else for these, and are smaller so.
    key = None  # the Listener's own
    newest = b""  # epoch and number of the newest record with an id

    def __init__(self, listener, address, hello, role, now, limit_ms):
        super().__init__(listener.sock, role, now, limit_ms)
        self.account = self
        self.listener = listener
        self.address = self.key = address  # as it was last heard of
        self.hello = hello  # the random bytes of the ClientHello that it began with
        self.identity = None  # bytes: of its key, or its certificate's common name

    def write(self, buf):
        try:
            if not self.up:
                self._scan(buf, True)
            self.sock.sendto(buf, self.address)
        except (OSError, MemoryError):
            pass  # a lost datagram
        return len(buf)

    def _arise(self, now):
        self.up = True
        self.last = now
        self.listener.arisen(self, now)

    def _settle(self, now):
        if self.text is not None and self._role is not None:
            self._role = None
            self.listener.ended(self)

    def _fail(self, e):
        n = e.args[0]
        if n == _HELLO_VERIFY:  # it has got its cookie; it is not known yet
            self._role = None
            self.close()
        elif n == _UNKNOWN_IDENTITY or n == _NO_CERTIFICATE:
            self.silent = True
            text = "unknown identity"
            if n == _NO_CERTIFICATE:
                text = "the client has no " + self.what
            self.end(_UNAUTHORIZED, text)
        else:
            super()._fail(e)


class Listener:
    """A server's socket: sessions with many clients. Made by listen.bind_dtls().

    psk: an object with get(identity: bytes) -> key or None. cert, key: the server's certificate
    and its private key, DER. ca: the certificate of the CA of clients, DER, or a list of them.
    raw: the server's raw public key and its private key, DER; beside cert it has to be the key of
    that. known: f(identity) -> whether a client with that raw public key is taken.
    sessions, half_open: how many there may be. idle: s, after which a silent session is dropped.
    Where there are too many, whoever has most of them gives way: of those half-open a host, of
    the others an identity, which may have places(identity) of them if the role has that.
    """

    datagram = Session.datagram

    def __init__(
        self,
        sock,
        role,
        psk=None,
        cert=None,
        key=None,
        ca=None,
        raw=None,
        known=None,
        sessions=64,
        half_open=16,
        idle=86400,
        limit_ms=HANDSHAKE_MS,
    ):
        self.sock = sock
        self.on_refused = None  # f(address, identity, text): a handshake that has failed
        self._role = role
        self._psk = psk
        self._known = known if raw else None
        self._what = "certificate"
        if raw:
            self._what = "certificate or raw public key" if cert else "raw public key"
        self._sessions = sessions
        self._half_open = half_open
        self._idle_ms = min(idle, 400000) * 1000
        self._limit_ms = limit_ms
        self._live = table(sessions)  # {id, or the address of one without: ClientSession}
        self._half = table(half_open)  # {address: ClientSession}: whose handshake is under way
        # One more for each handshake that has gone nowhere, half for each that has not.
        self._vain = 0
        self._driven = None  # whose handshake tls is at work on
        self._from = None  # the address of the datagram that tls is at work on,
        self._number = None  # and its number, where it is one record with an id
        self._then = None  # ms, of the last call
        self._half_due = 0  # ms, when the half-open ones are to be looked at
        self._scanned = None  # ms, when idle sessions were last looked for
        self._faulty = []  # sessions that have ended while something was sent
        if not hasattr(tls, "PROTOCOL_DTLS_SERVER"):
            raise ValueError("this port has no DTLS: it needs MicroPython 1.25")
        self._context = context = tls.SSLContext(tls.PROTOCOL_DTLS_SERVER)
        names = []
        if psk is not None:
            if not is_supported(_PSK):
                raise ValueError("this port has no pre-shared keys: it needs MicroPython 1.29")
            names += suites(context, _PSK)
        if cert is not None:
            if not is_supported(_CERTIFICATE):
                raise ValueError("certificates need package lwm2m-x509")
            if not ca:
                raise ValueError("certificates need the CA of the clients: give ca")
            try:
                for one in ca if isinstance(ca, (list, tuple)) else (ca,):
                    context.load_verify_locations(one)
            except (ValueError, OSError):
                raise ValueError(
                    "the certificate of the clients' CA cannot be read: give it as DER"
                )
        if raw is not None:
            if not is_supported(_RAW_PUBLIC_KEY):
                raise ValueError("raw public keys need package lwm2m-rpk")
            if not hasattr(context, "raw_public_keys"):
                raise ValueError("this port's DTLS has no raw public keys")
            from .rpk import fault

            text = fault(raw[0], *raw)
            if text:
                raise ValueError("the server's raw public key: " + text)
            context.raw_public_keys = True
            if cert is None:
                cert, key = raw
            elif raw[0] not in cert:  # tls sends the certificate's own to who wants a raw one
                raise ValueError("the certificate is not of the server's raw public key")
        if cert is not None:
            names += suites(context, _CERTIFICATE)
            context.verify_mode = tls.CERT_REQUIRED
            context.verify_callback = self._verify
            try:
                context.load_cert_chain(cert, key)
            except (ValueError, OSError):
                raise ValueError(
                    "the server's %s or its key cannot be read: give it as DER" % self._what
                )
        if not names:
            raise ValueError("a server needs keys: give psk, raw, or cert, key and ca")
        context.set_ciphers(names)
        if psk is not None:
            context.server_psk_keys = self

    # What tls calls; no exception may leave _verify().

    def get(self, identity):
        self._driven.identity = identity
        return self._psk.get(identity)

    def _verify(self, certificate, depth):
        if depth == 0:
            session = self._driven
            try:
                certificate = bytes(certificate)
                if self._known:
                    from .rpk import identity

                    session.identity = identity(certificate)
                    if session.identity:
                        if self._known(session.identity):
                            return 0
                        session.code = _UNAUTHORIZED
                        session.text = "unknown raw public key"
                        return _REFUSED
                from .x509 import common_name

                session.identity = common_name(certificate)
            except Exception:
                return _REFUSED
        return 0

    # What Net and the role call.

    def receive(self, address, data, now):
        """Take a datagram from a client's address."""
        self._look_at_clock(now)
        self._number = None
        if len(data) < 14:
            return
        half = self._half.get(address)
        session = self._live.get(address)
        plain = not data[3] and not data[4]  # epoch 0: anybody can send it
        id = _id_of(data)
        if plain and data[0] == _HANDSHAKE and data[13] == 1:  # ClientHello
            if not half or half.hello != data[27:59]:
                return self._hello(address, data, now)
            session = half
        elif id:  # from whatever address
            session = self._live.get(id)
            if half and half.id == id:
                session = half
            n = 13 + _ID_SIZE
            if data[0] == _WITH_ID and len(data) > n:
                if len(data) == n + (data[n - 2] << 8 | data[n - 1]):
                    self._number = data[3:11]
                    self._from = address
        elif half and (plain or data[0] != _DATA or not session):
            session = half
        if session:
            self._driven = session
            session.receive(None, data, now)

    def sendto(self, datagram, session):
        """Send a datagram to a session's client; as a socket has it."""
        session.send(datagram)
        if session.text is not None:
            self._faulty.append(session)

    def drop(self, session):
        """End a session, without a word to the role."""
        session._role = None
        session.close()
        for sessions in (self._live, self._half):
            if sessions.get(session.key) is session:
                sessions.pop(session.key)
                if sessions is self._half:
                    self._vain = min(self._vain + 1, 2 * _MANY_VAIN)

    def close(self):
        for sessions in (self._live, self._half):
            for key in list(sessions):
                self.drop(sessions[key])

    def poll(self, now):
        self._look_at_clock(now)
        if self._half and diff(now, self._half_due) >= 0:
            for session in list(self._half.values()):
                self._driven = session
                session.poll(now)
            self._half_due = now + self._least(now) & _MASK
        while self._faulty:
            self._faulty.pop().poll(now)
        if self._scanned is None or diff(now, self._scanned) >= _IDLE_SCAN_MS:
            self._scanned = now
            self._vain = 0
            for session in list(self._live.values()):
                if diff(now, session.last) >= self._idle_ms:
                    session.end(_UNAVAILABLE, "idle for too long")
                session.poll(now)

    def next_ms(self, now):
        """Milliseconds until poll() has something to do, or -1 for never."""
        if self._faulty:
            return 0
        least = -1
        if self._live:
            least = 0
            if self._scanned is not None:
                least = max(_IDLE_SCAN_MS - diff(now, self._scanned), 0)
        if self._half:
            ms = max(diff(self._half_due, now), 0)
            if least < 0 or ms < least:
                least = ms
        return least

    def _least(self, now):
        # Until a half-open session has something to do; they are not looked at more often than is
        # good, as there may be many.
        least = _IDLE_SCAN_MS
        for address in self._half:
            ms = self._half[address].next_ms(now)
            if 0 <= ms < least:
                least = ms
        return max(least, _HALF_SCAN_MS)

    def _look_at_clock(self, now):
        # One that is set back, or on by more than six days, which looks the same: all begins anew.
        if self._then is not None and diff(now, self._then) < 0:
            for sessions in (self._live, self._half):
                for session in sessions.values():
                    session.last = session._start = session._driven = now
            self._scanned = self._half_due = now
        self._then = now

    def _hello(self, address, data, now):
        # A ClientHello that belongs to no handshake under way (RFC 6347 4.2.1). Without the right
        # cookie tls answers it with one, and nothing is kept. A session that the address has
        # stays until a new one is up: anybody can send a ClientHello in its name.
        n = 60 + data[59] if len(data) > 60 else len(data)
        if n >= len(data):
            return
        way = self._half.get(address)
        if way is None and len(self._half) >= self._half_open and data[n]:
            way = self._half_that_gives_way(address, now)
            if way is None:
                return  # it is sent again
        if data[1:3] != _VERSION:  # RFC 5246 E.1: of a ClientHello it does not matter
            data = data[:1] + _VERSION + data[3:]
        session = ClientSession(self, address, data[27:59], self._role, now, self._limit_ms)
        session.what = self._what
        self._driven = session
        try:
            if hasattr(self._context, "dtls_cid"):
                session.id = self._context.dtls_cid = os.urandom(_ID_SIZE)
            session.tls = self._context.wrap_socket(
                session,
                server_side=True,
                do_handshake_on_connect=False,
                client_id=repr(address).encode(),
            )
            session.receive(None, data, now)
        except (OSError, MemoryError):  # out of memory: the client tries again
            session.close()
        if session.tls is not None:
            if way:
                self.drop(way)
            if not self._half:
                self._half_due = now + _HALF_SCAN_MS & _MASK
            self._half[address] = session

    def _half_that_gives_way(self, address, now):
        return gives_way(
            self._half.values(),
            lambda session: host(session.address),
            lambda session: diff(now, session.last),
            host(address),
            _PATIENCE_MS if self._vain < _MANY_VAIN else _SHORT_PATIENCE_MS,
        )

    # What sessions call.

    def arisen(self, session, now):
        address = session.address
        if self._half.get(address) is session:
            self._half.pop(address)
        if session.roams:
            session.key = session.id
        self._vain //= 2
        old = self._live.get(address) or self._live_that_gives_way(session, now)
        if old:
            old.silent = old.address == address  # who is there now has other keys
            old.end(_UNAVAILABLE, "another session has taken its place")
            old.poll(now)
        self._live[session.key] = session

    def heard(self, session):
        """A record of a session was authentic; where it has an id, the client may have moved."""
        if self._number and self._number > session.newest:  # RFC 9146 6
            session.newest = self._number
            session.address = self._from

    def _live_that_gives_way(self, new, now):
        # One of the same client, where it has begun anew, or the identity has all that it may have;
        # where there are too many, one of whoever has most.
        places = getattr(self._role, "places", None)
        identity = new.identity
        count = 0
        oldest = None
        for session in self._live.values():
            if session.identity == identity:
                if session.address == new.address:
                    return session
                count += 1
                if oldest is None or diff(oldest.last, session.last) > 0:
                    oldest = session
        if places and count >= places(identity):
            return oldest
        if len(self._live) < self._sessions:
            return None
        return gives_way(
            self._live.values(),
            lambda session: session.identity or b"",
            lambda session: diff(now, session.last),
            identity or b"",
            0,
        )

    def ended(self, session):
        self.drop(session)
        if session.up:
            disconnected = getattr(self._role, "disconnected", None)
            if disconnected:
                disconnected(session)
        elif self.on_refused and session.text:
            self.on_refused(session.address, session.identity, session.text)


def _id_of(data):
    # The connection id in a datagram, or None. A handshake's last flight has it in its last record,
    # behind those of epoch 0.
    i = 0
    while i + 13 < len(data):
        if data[i] == _WITH_ID:
            return data[i + 11 : i + 11 + _ID_SIZE]
        if data[i + 3] or data[i + 4]:
            break
        i += 13 + (data[i + 11] << 8 | data[i + 12])
