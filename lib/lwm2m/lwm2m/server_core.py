# What the Bootstrap Server and the LwM2M Server have in common: a port, and what peers send.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import sys
from micropython import const
from ucoap import URI_QUERY, Error
from ucoap.engine import Engine, diff
import lwm2m.model as model

_MAX_SLEEP_MS = const(86400000)  # far below the six days that a difference of times can tell
_MAX_SECONDS = const(0x0FFFFFFF)  # eight years, which leaves room in a small int


class Port:
    """A server's socket, the exchanges on it, and its time in seconds.

    role: the server. handler, engine: as Engine has them. net: a Net, or what stands for one:
        bind(role, host, port) -> socket, unbind(socket), sendto(socket, peer, datagram),
        add(role), remove(role), now() -> ms, rng() -> 30 random bits. None makes a Net.
    """

    def __init__(self, role, handler, net, host, port, **engine):
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
        self._socket = net.bind(role, host, port)
        net.add(role)

    def _send(self, peer, datagram):
        self.net.sendto(self._socket, peer, datagram)

    def close(self, role):
        self.net.remove(role)
        self.net.unbind(self._socket)

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
        """Milliseconds until poll() has something to do; at most a day."""
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
        raise Error(0x80, "ep, the endpoint name, is missing")
    for c in endpoint:
        if ord(c) < 32 or ord(c) == 127:  # it is going to be printed
            raise Error(0x80, "control characters in ep")
    return endpoint


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


def encode(resources, values):
    """The TLV of an instance. resources: as Object has them. values: {resource id: value}."""
    obj = model.Object(0, resources, {0: values})
    for rid in values:
        if not obj.flags(rid):
            raise ValueError("the object has no resource %d" % rid)
    out = bytearray()
    model.encode_instance(out, obj, 0, 0x0F)
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
