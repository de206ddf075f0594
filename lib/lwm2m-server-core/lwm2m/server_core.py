# What the Bootstrap Server and the LwM2M Server have in common: a port, and who its peers may be.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import Error
from ucoap.engine import Engine, diff
import lwm2m.model as model
import lwm2m.tlv as tlv
from .texts import endpoint_of, print_exception

_MAX_SLEEP_MS = const(86400000)  # far below the six days that a difference of times can tell
_MAX_SECONDS = const(0x0FFFFFFF)  # eight years, which leaves room in a small int

_PSK = const(0)  # a Security Mode


class Role:
    """A server on one UDP port, driven by step(). Both servers take these settings:

    port, host: where it listens; OSError where it cannot. "::" is IPv6.
    net: shared by roles that are to run in one loop; a Net by default.
    credentials, certificate: either makes the port one of coaps, with DTLS; both may be given.
        credentials: a Credentials, or what has its read(identity): pre-shared keys.
        certificate: (the server's certificate, its private key, the CA of the clients), DER; the
        CAs may be several, in a list. ValueError where this build lacks what they need.
    identities: {identity of a key, or common name of a certificate: its endpoint name, or a list
        of them}; who is not in there is refused. With None an identity can only be the endpoint of
        the same name. Other names are refused before anything else is looked at.
    on_refused(address, identity, text): a handshake that has failed, or a name that was refused;
        identity is None or bytes, as anybody may have sent them.
    size: bytes of the largest datagram sent. body: of the largest value in blocks, either way.

    engine.settings are CoAP's times, engine.on_exception gets what the application's functions
    raise; it prints it by default.
    """

    # A subclass has _handle(), as Engine's handler, and _expire(entry).
    #
    # entries: {endpoint: what there is of that client}, each with an attribute due: the time in
    # seconds at which it expires, -1 for never. places: how many there may be. sessions: how many
    # of DTLS. idle: s, after which a silent one is dropped. others: whether an identity that
    # identities does not have may be the endpoint of its own name, where that is nobody else's.
    #
    # In place of a Net it takes what has bind(role, host, port) -> socket; with DTLS
    # bind(role, host, port, options) -> Listener; unbind(socket), sendto(socket, peer, datagram),
    # add(role), remove(role), next_ms(now) -> ms, now() -> ms, rng() -> 30 random bits.

    def __init__(
        self,
        port,
        host,
        net,
        places,
        sessions,
        idle=86400,
        others=False,
        credentials=None,
        certificate=None,
        identities=None,
        on_refused=None,
        size=1152,
        body=4096,
    ):
        if net is None:
            from .net import Net

            net = Net()
        self.net = net
        self.engine = Engine(
            self._send, self._handle, net.rng, size=size, body=body, seen=places, bodies=4
        )
        self.engine.on_exception = print_exception
        self.status = 0  # net's own
        self.entries = {}
        self.seconds = 0  # since the start
        self._ms = 0  # and the rest of it
        self._then = None  # ms, when that was
        self._alarm = -1  # s, the earliest time that alarm() was told, -1 for none
        self._calls = []  # (function, argument …), to be called when the answer has gone out
        self._names = None  # {identity: endpoint names} with DTLS
        self._others = others or identities is None
        self._on_refused = on_refused
        if credentials is not None or certificate is not None:
            options = {"sessions": sessions, "idle": idle}
            if credentials is not None:
                self._read = credentials.read
                options["psk"] = self
            if certificate is not None:
                if len(certificate) != 3:
                    raise ValueError("certificate must be (certificate, key, the clients' CA)")
                options["cert"], options["key"], options["ca"] = certificate
            self._names = _names(identities or {})
            self._socket = net.bind(self, host, port, options)
            self._socket.on_refused = self._refused
        else:
            if identities is not None:
                raise ValueError("identities are of keys: give credentials or a certificate")
            self._socket = net.bind(self, host, port)
        net.add(self)

    # --- The loop

    def step(self, seconds=0):
        """Run for that many seconds; one pass where 0, for ever where negative. Returns 0."""
        return self.net.step(self, seconds)

    def stop(self):
        """Let the step() under way return; for a callback to call."""
        self.net.stop()

    def close(self):
        """Close the socket; the clients are forgotten, without a word to them."""
        self.net.remove(self)
        self.net.unbind(self._socket)
        self.entries.clear()

    def receive(self, peer, data, now):
        """Take a datagram."""
        self._tick(now)
        self.engine.receive(peer, data, now)
        self._tell()

    def poll(self, now):
        """Do what is due."""
        self._tick(now)
        self.engine.poll(now)
        if 0 <= self._alarm <= self.seconds:
            self._alarm = -1
            for entry in list(self.entries.values()):
                if entry.due < 0:
                    continue
                if entry.due <= self.seconds:
                    self._expire(entry)
                else:
                    self._set_alarm(entry.due)
        self._tell()
        return 0

    def next_ms(self, now=None):
        """Milliseconds until step() has something to do if nothing comes; at most a day."""
        if now is None:  # an application asks: of all roles of the net, as DTLS has sessions there
            return self.net.next_ms(self.net.now())
        if self._calls:
            return 0
        self._tick(now)
        least = self.engine.next_ms(now)
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
        self.net.sendto(self._socket, peer, datagram)

    def _tell(self):
        while self._calls:
            self.call(*self._calls.pop(0))

    # --- Time

    def _tick(self, now):
        # Let the time in seconds keep up with now (ms, masked to 30 bits).
        if self._then is None:
            self._then = now
        self._ms += diff(now, self._then)
        self._then = now
        if self._ms >= 1000:
            self.seconds += self._ms // 1000
            self._ms %= 1000

    def expire_after(self, entry, seconds):
        """Let an entry expire that many seconds from now, rounded up to a whole one."""
        entry.due = self.seconds + min(seconds, _MAX_SECONDS) + (self._ms > 0)
        self._set_alarm(entry.due)

    def _set_alarm(self, due):
        if self._alarm < 0 or due < self._alarm:
            self._alarm = due

    # --- Who a peer is

    @property
    def secure(self):
        return self._names is not None

    def get(self, identity):
        """The pre-shared key of an identity, or None; for the Listener."""
        answer = self.call(self._read, identity)
        if answer and not answer[0] and answer[1][0] == _PSK:
            return answer[1][3]

    def _refused(self, address, identity, text):
        self.call(self._on_refused, address, identity, text)

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
            for names in self._names.values():
                if name in names:
                    return ()
            return (name,)
        return names or ()

    def _drop(self, session):
        # Forget a DTLS session and what was exchanged over it.
        self._socket.drop(session)
        self.engine.drop(session)


def _names(identities):
    # {identity: endpoint name, or a list of them}, with identities as bytes and names as tuples.
    found = {}
    for identity in identities:
        names = identities[identity]
        if isinstance(names, str):
            names = (names,)
        found[identity.encode() if isinstance(identity, str) else identity] = tuple(names)
    return found


def encode(resources, values):
    """The TLV of an instance. resources: as Object has them. values: {resource id: value}."""
    obj = model.Object(0, resources, {0: values})
    for rid in values:
        if not obj.flags(rid):
            raise ValueError("the object has no resource %d" % rid)
    out = bytearray()
    model.encode(tlv.Sink(out), obj, (0, 0), 0x0F)
    return out


def check_path(path, least, most):
    """The numbers of a path such as /3/0/9, as a list of that length; raises ValueError."""
    parts = path.split("/")[1:] if path != "/" else []
    if path[:1] != "/" or not least <= len(parts) <= most:
        raise ValueError("the path %s must have %d to %d numbers" % (path, least, most))
    for part in parts:
        if not part.isdigit() or len(part) > 5 or int(part) > 65535:
            raise ValueError("the path %s must be of numbers from 0 to 65535" % path)
    return [int(part) for part in parts]
