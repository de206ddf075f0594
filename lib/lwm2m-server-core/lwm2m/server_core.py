# What the Bootstrap Server and the LwM2M Server have in common: a port, and what peers send.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import sys
from micropython import const
from ucoap import URI_QUERY, Error
from ucoap.engine import Engine, diff
import lwm2m.model as model
from .management import TLV, format_module

_MAX_SLEEP_MS = const(86400000)  # far below the six days that a difference of times can tell
_MAX_SECONDS = const(0x0FFFFFFF)  # eight years, which leaves room in a small int

_PSK = const(0)  # a Security Mode
_BAD_REQUEST = const(0x80)


class Port:
    """A server's socket, the exchanges on it, who its peers may be, and its time in seconds.

    role: the server. handler, engine: as Engine has them. net: a Net, or what stands for one:
        bind(role, host, port) -> socket; with DTLS bind(role, host, port, options) -> Listener;
        unbind(socket), sendto(socket, peer, datagram), add(role), remove(role),
        next_ms(now) -> ms, now() -> ms, rng() -> 30 random bits. None makes a Net.
    credentials, certificate, identities, on_refused: as Server has them. With one of the first
        two, peers are DTLS sessions. others: whether an identity that identities does not have may
        be the endpoint of its own name, where that is nobody else's.
    sessions: how many of them. idle: s, after which a silent one is dropped.
    """

    def __init__(
        self,
        role,
        handler,
        net,
        host,
        port,
        credentials=None,
        certificate=None,
        identities=None,
        others=False,
        on_refused=None,
        sessions=64,
        idle=86400,
        **engine,
    ):
        if net is None:
            from .net import Net

            net = Net()
        self.net = net
        self.engine = Engine(self._send, handler, net.rng, **engine)
        self.engine.on_exception = sys.print_exception
        self.seconds = 0  # since the start
        self._ms = 0  # and the rest of it
        self._now = None  # ms, of the last call
        self._due = -1  # s, the earliest time that alarm() was told, -1 for none
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
            self._socket = net.bind(role, host, port, options)
            self._socket.on_refused = self.refused
        else:
            if identities is not None:
                raise ValueError("identities are of keys: give credentials or a certificate")
            self._socket = net.bind(role, host, port)
        net.add(role)

    def _send(self, peer, datagram):
        self.net.sendto(self._socket, peer, datagram)

    def close(self, role):
        self.net.remove(role)
        self.net.unbind(self._socket)

    # --- Who a peer is

    @property
    def secure(self):
        return self._names is not None

    def get(self, identity):
        """The pre-shared key of an identity, or None; for the Listener."""
        answer = self.call(self._read, identity)
        if answer and not answer[0] and answer[1][0] == _PSK:
            return answer[1][3]

    def refused(self, address, identity, text):
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
            self.refused(peer.address, peer.identity, "endpoint %s is not its own" % endpoint)
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

    def drop(self, session):
        """Forget a DTLS session and what was exchanged over it."""
        self._socket.drop(session)
        self.engine.drop(session)

    # --- Time

    def tick(self, now):
        """Let the time in seconds keep up with now (ms, masked to 30 bits)."""
        if self._now is None:
            self._now = now
        self._ms += diff(now, self._now)
        self._now = now
        if self._ms >= 1000:
            self.seconds += self._ms // 1000
            self._ms %= 1000

    def after(self, seconds):
        """The time in seconds, that many from now, rounded up to a whole one."""
        return self.seconds + min(seconds, _MAX_SECONDS) + (self._ms > 0)

    def alarm(self, due):
        """Let poll() return True at that time in seconds."""
        if self._due < 0 or due < self._due:
            self._due = due

    def poll(self, now):
        """Do what is due. Returns whether an alarm was; all that are left are to be set again."""
        self.tick(now)
        self.engine.poll(now)
        if not 0 <= self._due <= self.seconds:
            return False
        self._due = -1
        return True

    def next_ms(self, now):
        """Milliseconds until poll() has something to do; at most a day.

        With now None, until any role of the net has: DTLS has sessions there.
        """
        if now is None:
            return self.net.next_ms(self.net.now())
        self.tick(now)
        least = self.engine.next_ms(now)
        if self._due >= 0:
            # Capped in seconds first, as ms of a long lifetime would not fit in a small int.
            ms = min(self._due - self.seconds, _MAX_SLEEP_MS // 1000) * 1000 - self._ms
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


def queries(m):
    """{name: value} of a request's Uri-Query; the value is "" where there is no "="."""
    found = {}
    for query in m.strings(URI_QUERY):
        name, _, value = query.partition("=")
        found[name] = value
    return found


def endpoint_of(found):
    """The endpoint name among a request's queries(); raises Error 4.00."""
    endpoint = found.get("ep")
    if not endpoint:
        raise Error(_BAD_REQUEST, "ep, the endpoint name, is missing")
    for c in endpoint:
        if ord(c) < 32 or ord(c) == 127:  # it is going to be printed
            raise Error(_BAD_REQUEST, "control characters in ep")
    return endpoint


def _names(identities):
    # {identity: endpoint name, or a list of them}, with identities as bytes and names as tuples.
    found = {}
    for identity in identities:
        names = identities[identity]
        if isinstance(names, str):
            names = (names,)
        found[identity.encode() if isinstance(identity, str) else identity] = tuple(names)
    return found


def links(data):
    """Yield (path, {attribute: value}) for each link of link-format (RFC 6690 2), given as bytes.

    Values are str, without quotes, and "" where there is none. What stands before the first
    link, as in `lwm2m="1.0",</0/0>` (LwM2M 1.0 5.2.7.3), comes with path None. Raises ValueError.
    """
    end = len(data)
    i = 0
    while i < end:
        path = None
        attributes = {}
        if data[i] == 0x3C:  # <
            close = data.find(b">", i)
            if close < 0:
                raise ValueError("a link without its end")
            path = str(data[i + 1 : close], "utf-8")
            i = close + 1
            if i < end and data[i] == 0x3B:  # ;
                i += 1
            elif i < end and data[i] != 0x2C:  # ,
                raise ValueError("a link that is not followed by ; or ,")
        elif i:
            raise ValueError("attributes without a link")
        while i < end and data[i] != 0x2C:
            start = i
            while i < end and data[i] not in b'=;,"<':
                i += 1
            name = str(data[start:i], "utf-8")
            value = ""
            if i < end and data[i] == 0x3D:  # =
                start = i = i + 1
                if i < end and data[i] == 0x22:  # "
                    start = i + 1
                    close = data.find(b'"', start)
                    if close < 0:
                        raise ValueError("a quoted string without its end")
                    i = close + 1
                else:
                    close = start
                    while close < end and data[close] not in b';,"<':
                        close += 1
                    i = close
                value = str(data[start:close], "utf-8")
            if not name or (i < end and data[i] not in b";,"):
                raise ValueError("a malformed attribute")
            attributes[name] = value
            if i < end and data[i] == 0x3B:
                i += 1
        if path is None and not attributes:
            raise ValueError("an empty link")
        yield path, attributes
        i += 1
        while 0 < i < end and data[i] in b" \r\n":  # as in the examples of LwM2M 1.0
            i += 1


def encode(resources, values, path="/0/0", format=TLV):
    """The bytes of an instance. resources: as Object has them. values: {resource id: value}.

    path: where it is to be, which all formats but TLV say.
    """
    oid, iid = check_path(path, 2, 2)
    obj = model.Object(oid, resources, {iid: values})
    for rid in values:
        if not obj.flags(rid):
            raise ValueError("the object has no resource %d" % rid)
    out = bytearray()
    model.encode(format_module(format).Sink(out, format), obj, (oid, iid), 0x0F)
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
