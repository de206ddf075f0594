# What the Bootstrap Server and the LwM2M Server have in common: a port, and who its peers may be.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import gc
import sys
from micropython import const
from ucoap import Error
from ucoap.engine import diff
import lwm2m.model as model
from .crowd import Crowd, table
from .management import format_module
from .peers import gives_way, host
from .texts import endpoint_of, print_exception

# Content-Formats (LwM2M 1.1 7.4).
TEXT = const(0)
LINK = const(40)
OCTETS = const(42)
TLV = const(11542)

_MASK = const(0x3FFFFFFF)
_MAX_SLEEP_MS = const(86400000)  # far below the six days that a difference of times can tell
_MAX_SECONDS = const(0x0FFFFFFF)  # eight years, which leaves room in a small int

# Anybody can send in the name of an address. All those together from which no answer has come yet
# are sent so many bytes a second, and that of four seconds at once (RFC 7252 11.3): far more than
# devices that begin need, and far less than what would be worth to have sent to somebody else.
_UNHEARD = const(8192)
_UNHEARD_AT_ONCE = const(4)

# s for which one that has not answered yet keeps its place where there is none left: RFC 7252
# 4.8's ACK_TIMEOUT, after which it would be asked again.
_PATIENCE = const(2)

_HALF_OPEN = const(16)  # DTLS handshakes under way, or one for four of many sessions

_PSK = const(0)  # a Security Mode

_UNAVAILABLE = const(0xA3)


class Role:
    """A server on one UDP port, driven by step(). Both servers take these settings:

    port, host: where it listens; OSError where it cannot. "::" is IPv6.
    net: shared by roles that are to run in one loop; a Net by default.
    credentials, certificate, raw_public_key: each makes the port one of coaps, with DTLS; all may
        be given.
        credentials: a Credentials, or what has its read(identity): pre-shared keys.
        certificate: (the server's certificate, its private key, the CA of the clients), DER; the
        CAs may be several, in a list. raw_public_key: (the server's, its private key), DER; that of
        the certificate where there is one. ValueError where this build lacks what they need.
    identities: {identity of a key, common name of a certificate, or SHA-256 of a raw public key as
        rpk.identity() gives it: its endpoint name, or a list of them}; who is not in there is
        refused. With None an identity can only be the endpoint of the same name, and raw public
        keys are all refused. Other names are refused before anything else is looked at.
    on_refused(address, identity, text): a handshake that has failed, or a name that was refused;
        identity is None or bytes, as anybody may have sent them.
    size: bytes of the largest datagram sent. body: of the largest value in blocks, either way.

    engine.settings are CoAP's times, engine.on_exception gets what the application's functions
    raise; it prints it by default. withheld is how many datagrams were not sent, as too much went
    to addresses that have not answered yet; net.dropped how many came that were over 1,280 bytes.

    All places are known at the start: ValueError says what heap they need where it is not there.
    Who does not answer at a port without DTLS gives its place up where there is none left.
    """

    # A subclass has _handle() and _begin(), as Engine has them, _expire(entry, text), and _lost(entry)
    # for one whose DTLS session has ended.
    #
    # entries: {endpoint: what there is of that client}, each with these attributes: endpoint; peer,
    # its address or DTLS session; heard, whether an answer has come from there; last, the time in
    # seconds when it was last heard of; due, the time in seconds at which it expires, -1 for never.
    #
    # places: how many there may be. each: bytes of heap that one takes, with words of 32 bits.
    # sessions: how many of DTLS. others: whether an identity that identities does not have may be the
    # endpoint of its own name, where that is nobody else's.
    #
    # In place of a Net it takes what has bind(role, host, port) -> socket; with DTLS
    # bind(role, host, port, options) -> Listener; unbind(socket), sendto(socket, peer, datagram),
    # add(role), remove(role), next_ms(now) -> ms, now() -> ms, rng() -> 30 random bits.

    session_idle = 86400  # s, after which a silent DTLS session is dropped

    def __init__(
        self,
        port,
        host,
        net,
        places,
        each,
        sessions,
        others=False,
        credentials=None,
        certificate=None,
        raw_public_key=None,
        identities=None,
        on_refused=None,
        size=1152,
        body=4096,
    ):
        check_number("port", port, 0, 65535)
        check_number("size", size, 1, 65535)
        check_number("body", body, 1, _MAX_SECONDS)
        check_function("on_refused", on_refused)
        if not isinstance(host, str):
            raise ValueError("the host is a str")
        if not isinstance(identities or {}, dict):
            raise ValueError("identities are {identity: endpoint name}")
        if net is None:
            from .net import Net

            net = Net()
        if sys.maxsize >> 31:  # words of 64 bits
            each *= 2
        self._each = each
        _look_for_heap(places, each, getattr(net, "promised", ()))
        self.net = net
        self.engine = Crowd(
            self._send,
            self._handle,
            net.rng,
            size,
            body,
            places,
            begin=self._begin,
        )
        self.engine.on_exception = print_exception
        self.status = 0  # net's own
        self.entries = table(places)
        self.withheld = 0
        self.seconds = 0  # since the start
        self._places = places
        self._at = table(places)  # {peer: a tuple of the entries that are there}
        self._ms = 0  # of the time, beside the seconds
        self._then = None  # ms, what net's clock said then
        self._now = 0  # ms, what the engine is told
        self._alarm = -1  # s, the earliest time at which an entry may expire, -1 for none
        self._left = 0  # bytes that may go to addresses that have not answered yet
        self._filled = -_UNHEARD_AT_ONCE  # s, when there were more of them
        self._calls = []  # (function, argument …), to be called when the answer has gone out
        self._names = None  # {identity: endpoint names} with DTLS
        self._others = others or identities is None
        self._on_refused = on_refused
        if credentials is not None or certificate is not None or raw_public_key is not None:
            options = {"sessions": sessions, "idle": self.session_idle}
            options["half_open"] = max(_HALF_OPEN, sessions // 4)
            if credentials is not None:
                if not hasattr(credentials, "read"):
                    raise ValueError("credentials are a Credentials, or what has its read()")
                self._read = credentials.read
                options["psk"] = self
            if certificate is not None:
                if not isinstance(certificate, (tuple, list)) or len(certificate) != 3:
                    raise ValueError("certificate must be (certificate, key, the clients' CA)")
                options["cert"], options["key"], options["ca"] = certificate
            if raw_public_key is not None:
                if not isinstance(raw_public_key, (tuple, list)) or len(raw_public_key) != 2:
                    raise ValueError("raw_public_key must be (public key, private key)")
                options["raw"] = raw_public_key
                options["known"] = self._knows
            self._names = _names(identities or {})
            self._owned = {name for names in self._names.values() for name in names}
            self._socket = net.bind(self, host, port, options)
            self._socket.on_refused = self._refused
        else:
            if identities is not None:
                raise ValueError(
                    "identities are of keys: give credentials, certificate or raw_public_key"
                )
            self._socket = net.bind(self, host, port)
        net.add(self)
        # Of the roles on this net: whoever comes later leaves room for their places.
        net.promised = list(getattr(net, "promised", ())) + [self]

    # --- The loop

    def step(self, seconds=0):
        """Run for that many seconds, an int; one pass where 0, for ever where negative. Returns 0."""
        check_number("seconds", seconds, -_MAX_SECONDS, _MAX_SECONDS)
        return self.net.step(self, seconds)

    def stop(self):
        """Let the step() under way return; for a callback to call."""
        self.net.stop()

    def close(self):
        """Close the socket; the clients are forgotten, without a word to them."""
        self.net.remove(self)
        self.net.promised.remove(self)
        self.net.unbind(self._socket)
        self.entries.clear()
        self._at.clear()

    def receive(self, peer, data, now):
        """Take a datagram."""
        self.engine.receive(peer, data, self._tick(now))
        self._tell()

    def poll(self, now):
        """Do what is due."""
        self.engine.poll(self._tick(now))
        while 0 <= self._alarm <= self.seconds:
            # One by one: a list of them all might find no room.
            self._alarm = -1
            over = None
            for entry in self.entries.values():
                if 0 <= entry.due <= self.seconds:
                    over = entry
                elif entry.due >= 0:
                    self._set_alarm(entry.due)
            if over:
                self._set_alarm(self.seconds)
                self._expire(over, None)
                self._tell()
        self._tell()
        return 0

    def next_ms(self, now=None):
        """Milliseconds until step() has something to do if nothing comes; at most a day."""
        if now is None:  # an application asks: of all roles of the net, as DTLS has sessions there
            return self.net.next_ms(self.net.now())
        if self._calls:
            return 0
        least = self.engine.next_ms(self._tick(now))
        if self._alarm >= 0:
            # Capped in seconds first, as ms of a long lifetime would not fit in a small int.
            ms = min(self._alarm - self.seconds, _MAX_SLEEP_MS // 1000) * 1000 - self._ms
            if least < 0 or ms < least:
                least = max(ms, 0)
        return _MAX_SLEEP_MS if least < 0 else min(least, _MAX_SLEEP_MS)

    def call(self, f, *args):
        """Call a function of the application; what it raises is reported and goes no further."""
        if f:
            try:
                return f(*args)
            except Exception as e:
                self.report(e)

    def report(self, e):
        if self.engine.on_exception:
            self.engine.on_exception(e)

    def _send(self, peer, datagram):
        if self._names is None:
            at = self._at.get(peer)
            if not (at and at[0].heard) and not self._spend(len(datagram)):
                self.withheld += 1
                return
        self.net.sendto(self._socket, peer, datagram)

    def _spend(self, size):
        # Whether so many bytes may go to an address that has not answered yet.
        passed = self.seconds - self._filled
        if passed:
            self._filled = self.seconds
            passed = min(passed, _UNHEARD_AT_ONCE)
            self._left = min(self._left + passed * _UNHEARD, _UNHEARD_AT_ONCE * _UNHEARD)
        if size > self._left:
            return False
        self._left -= size
        return True

    def _tell(self):
        while self._calls:
            self.call(*self._calls.pop(0))

    # --- Time

    def now(self):
        """ms, as the engine takes them."""
        return self._tick(self.net.now())

    def _tick(self, now):
        # Let the time keep up with net's (ms, masked to 30 bits). One that is set back, or on by
        # more than six days, which looks the same, goes on from there: all that waits goes on to.
        if self._then is None:
            self._then = self._now = now
        passed = diff(now, self._then)
        self._then = now
        if passed > 0:
            self._now = self._now + passed & _MASK
            self._ms += passed
            if self._ms >= 1000:
                self.seconds += self._ms // 1000
                self._ms %= 1000
        return self._now

    def expire_after(self, entry, seconds):
        """Let an entry expire that many seconds from now, rounded up to a whole one."""
        entry.due = self.seconds + min(seconds, _MAX_SECONDS) + (self._ms > 0)
        self._set_alarm(entry.due)

    def _set_alarm(self, due):
        if self._alarm < 0 or due < self._alarm:
            self._alarm = due

    # --- Where clients are

    def _enter(self, entry, peer):
        # It is at that peer from now on, of which has yet to be heard.
        self._depart(entry)
        at = self._at.get(peer, ())
        self._at[peer] = at + (entry,)
        self.entries[entry.endpoint] = entry
        entry.peer = peer
        entry.heard = len(at) > 0 and at[0].heard
        entry.last = self.seconds

    def _depart(self, entry):
        at = self._at.pop(entry.peer, ())
        if len(at) > 1 or (at and at[0] is not entry):
            self._at[entry.peer] = tuple([one for one in at if one is not entry])

    def heard(self, entry):
        """An entry's client has said something that only who is at its address can know."""
        entry.last = self.seconds
        if not entry.heard:
            for one in self._at.get(entry.peer, ()):
                one.heard = True

    def _make_room(self, peer):
        # Let there be a place for a newcomer, or raise Error 5.03. In the name of an address
        # anybody can send, so those that have not answered make way. With DTLS nobody can.
        if len(self.entries) < self._places:
            return
        if self._names is None:
            entry = gives_way(
                self.entries.values(),
                lambda entry: None if entry.heard else host(entry.peer),
                lambda entry: self.seconds - entry.last,
                host(peer),
                _PATIENCE,
            )
            if entry:
                return self._expire(entry, "another client needs its place")
        raise Error(_UNAVAILABLE, "too many clients")

    def disconnected(self, session):
        """A DTLS session has ended; its clients have yet to come back."""
        for entry in self._at.pop(session, ()):
            self._lost(entry)
        self.engine.drop(session)

    # --- Who a peer is

    @property
    def secure(self):
        return self._names is not None

    def get(self, identity):
        """The pre-shared key of an identity, or None; for the Listener."""
        answer = self.call(self._read, identity)
        if answer and not answer[0] and answer[1][0] == _PSK:
            return answer[1][3]

    def _knows(self, identity):
        # Whether a raw public key is taken; for the Listener.
        return identity in self._names

    def _refused(self, address, identity, text):
        self.call(self._on_refused, address, identity, text)

    def places(self, identity):
        """How many DTLS sessions an identity may have; for the Listener.

        Twice what it needs, as a client that has restarted begins before its old one is gone.
        """
        return 2 * len(self._names_of(identity)) + 2

    def endpoint(self, found, peer, code):
        """The endpoint name among a request's queries(), if it is one of the peer's.

        LwM2M 1.1 6.2.1: it may be left out where the session's identity tells it. Raises Error:
        4.00 for what is no name, code for one that is not the peer's.
        """
        names = None
        if self.secure:
            names = self._names_of(peer.identity)
            if len(names) == 1:
                found.setdefault("ep", names[0])
        endpoint = endpoint_of(found)
        if names is not None and endpoint not in names:
            self._refused(peer.address, peer.identity, "endpoint %s is not its own" % endpoint)
            raise Error(code, "the endpoint name does not belong to the DTLS identity")
        return endpoint

    def _names_of(self, identity):
        if identity is None:  # a certificate without a common name
            return ()
        names = self._names.get(identity)
        if names is None and self._others:
            try:
                name = str(identity, "utf-8")
            except ValueError:
                return ()
            return () if name in self._owned else (name,)
        return names or ()

    def _drop(self, session):
        # Forget a DTLS session and what was exchanged over it.
        self._socket.drop(session)
        self.engine.drop(session)


def _look_for_heap(places, each, servers):
    # servers: the other roles of the net, whose places that are free have their room to come.
    gc.collect()
    free = gc.mem_free()
    for other in servers:
        free -= (other._places - len(other.entries)) * other._each
    if free < places * each:
        raise ValueError(
            "%d clients need %d KB of heap, and %d KB are free: let there be fewer, or a larger heap"
            % (places, places * each // 1024, max(free, 0) // 1024)
        )


def _names(identities):
    # {identity: endpoint name, or a list of them}, with identities as bytes and names as tuples.
    found = {}
    for identity in identities:
        names = identities[identity]
        if isinstance(names, str):
            names = (names,)
        found[identity.encode() if isinstance(identity, str) else identity] = tuple(names)
    return found


def encode(resources, values, path="/0/0", format=TLV):
    """The bytes of an instance. resources: as Object has them. values: {resource id: value}.

    path: where it is to be, which all formats but TLV say.
    """
    oid, iid = check_path(path, 2, 2)
    check_format(format)
    if not isinstance(resources, (tuple, list)) or not isinstance(values, dict):
        raise ValueError("resources are a tuple of ids and flags, values {resource id: value}")
    obj = model.Object(oid, resources, {iid: values})
    for rid in values:
        obj.check(rid, values[rid])
    out = bytearray()
    try:
        model.encode(format_module(format).Sink(out, format), obj, (oid, iid), 0x0F)
    except Error as e:
        raise ValueError(e.text)
    return out


# --- What arguments may be: each raises ValueError, in words.


def check_number(name, value, least, most):
    if type(value) is not int or not least <= value <= most:
        raise ValueError("%s must be a whole number from %d to %d" % (name, least, most))


def check_function(name, value):
    if value is not None and not callable(value):
        raise ValueError("%s must be a function, or None" % name)


def check_format(value):
    if value is not None:
        check_number("a Content-Format", value, 0, 65535)


def check_path(path, least, most):
    """The numbers of a path such as /3/0/9, as a list of that length; raises ValueError."""
    if not isinstance(path, str):
        raise ValueError("a path is a str, such as /3/0")
    parts = path.split("/")[1:] if path != "/" else []
    if path[:1] != "/" or not least <= len(parts) <= most:
        raise ValueError("the path %s must have %d to %d numbers" % (path, least, most))
    for part in parts:
        if not part.isdigit() or len(part) > 5 or int(part) > 65535:
            raise ValueError("the path %s must be of numbers from 0 to 65535" % path)
    return [int(part) for part in parts]
