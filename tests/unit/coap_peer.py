# For the tests of ucoap.engine: one engine whose datagrams are looked at, or two and a network
# between them.

from ucoap import Message, Writer
from ucoap.engine import Engine

CON = 0
NON = 1
ACK = 2
RST = 3

MASK = 0x3FFFFFFF

LIFETIME = 247000  # EXCHANGE_LIFETIME, ms

ETAG = 4
OBSERVE = 6
PATH = 11
FORMAT = 12
QUERY = 15
ACCEPT = 17
BLOCK2 = 23
BLOCK1 = 27
SIZE1 = 60

_message = Message()


def msg(type, code, mid, token=b"", options=(), payload=b""):
    """A datagram; what this writes, test_ucoap_codec.py checks byte by byte."""
    w = Writer(2000)
    w.start(type, code, mid, token)
    for number, value in options:
        w.option(number, value)
    w.payload(payload)
    return w.message()


def show(data):
    """A datagram as (type, code, mid, token, ((number, value), ...), payload)."""
    m = _message
    assert m.parse(data) is True, data
    options = []
    for n in range(0, m.count, 3):
        options.append((m.options[n], data[m.options[n + 1] :][: m.options[n + 2]]))
    return m.type, m.code, m.mid, m.token, tuple(options), data[m.payload :]


class Rng:
    """30 random bits a call, the same ones for the same seed."""

    def __init__(self, seed):
        self.x = seed

    def __call__(self):
        self.x = self.x * 1103515245 + 12345 & 0x7FFFFFFF
        high = self.x >> 16
        self.x = self.x * 1103515245 + 12345 & 0x7FFFFFFF
        return (high << 15 | self.x >> 16) & MASK

    def below(self, n):
        return self() % n


class End:
    """An engine, what it has sent, which requests it was asked and what callbacks said."""

    def __init__(self, rng=None, handler=None, **kwargs):
        self.sent = []  # (peer, datagram)
        self.asked = []  # (peer, code, path, payload)
        self.said = []  # (code, payload)
        self.raised = []
        self.mid = 0  # the last one of get()
        self.handler = handler
        self.engine = Engine(self._send, self._handle, rng or Rng(1), **kwargs)
        self.engine.on_exception = self.raised.append

    def _send(self, peer, data):
        assert isinstance(data, bytes)
        self.sent.append((peer, data))

    def _handle(self, peer, m, payload, reply, now):
        if not hasattr(payload, "close"):  # a sink
            payload = bytes(payload)
        self.asked.append((peer, m.code, m.strings(11), payload))
        if self.handler:
            return self.handler(peer, m, payload, reply, now)
        return 0x44

    def callback(self, x, code, m, payload):
        self.said.append((code, bytes(payload)))

    def take(self):
        """What has been sent since the last time, each as show() has it; all to peer "a"."""
        found = []
        for peer, data in self.sent:
            assert peer == "a", peer
            found.append(show(data))
        self.sent = []
        return found

    def one(self):
        found = self.take()
        assert len(found) == 1, found
        return found[0]

    def receive(self, data, now=0, peer="a"):
        return self.engine.receive(peer, data, now)

    def request(self, now=0, code=1, options=((11, "x"),), payload=b"", peer="a", **kwargs):
        return self.engine.request(now, peer, code, options, payload, self.callback, **kwargs)


class Net:
    """Two Ends, "a" and "b", and datagrams on their way between them; a clock in ms.

    fate(n, data) -> delays in ms of the copies of the n-th datagram that arrive, () is lost.
    """

    def __init__(self, a, b, fate=None, now=0):
        self.ends = {"a": a, "b": b}
        self.now = now
        self.fate = fate
        self.count = 0
        self.largest = 0
        self.flying = []  # [ms left, to, from, data]

    def pump(self):
        """Let what was sent fly."""
        for name in self.ends:
            end = self.ends[name]
            for peer, data in end.sent:
                delays = self.fate(self.count, data) if self.fate else (1,)
                self.count += 1
                self.largest = max(self.largest, len(data))
                for ms in delays:
                    self.flying.append([ms, peer, name, data])
            end.sent = []

    def step(self):
        """Go on to what is next, an arrival or a timer. Returns False where there is nothing."""
        self.pump()
        wait = -1
        for name in self.ends:
            ms = self.ends[name].engine.next_ms(self.now)
            if ms >= 0 and (wait < 0 or ms < wait):
                wait = ms
        for f in self.flying:
            if wait < 0 or f[0] < wait:
                wait = f[0]
        if wait < 0:
            return False
        self.now = self.now + wait & MASK
        arrived = []
        for f in self.flying:
            f[0] -= wait
            if f[0] <= 0:
                arrived.append(f)
        self.flying = [f for f in self.flying if f[0] > 0]
        for _, to, sender, data in arrived:
            self.ends[to].engine.receive(sender, data, self.now)
        for name in self.ends:
            self.ends[name].engine.poll(self.now)
        return True

    def run(self, steps=5000):
        while self.step():
            steps -= 1
            assert steps, "it does not end"


# --- Bodies in blocks


def block(number, more, size):
    """A Block option's value."""
    szx = 0
    while 16 << szx < size:
        szx += 1
    assert 16 << szx == size
    return number << 4 | more << 3 | szx


def uint(value):
    """The bytes of an option's value."""
    out = b""
    while value:
        out = bytes((value & 255,)) + out
        value >>= 8
    return out


def put(e, number, more, size, body, mid, peer="a", now=0, **change):
    """Send e one block of a PUT on /f. Returns code and options of the answer."""
    code = change.get("code", 3)
    path = change.get("path", "f")
    options = ((PATH, path), (FORMAT, change.get("format", 0)))
    if "query" in change:
        options += ((QUERY, change["query"]),)
    options += ((BLOCK1, block(number, more, size)),)
    e.receive(msg(CON, code, mid, b"\1", options, body), now, peer)
    (to, data), e.sent = e.sent[0], e.sent[1:]
    assert to == peer and not e.sent
    type, answer, got, token, options, words = show(data)
    assert (type, got, token) == (ACK, mid, b"\1")
    return answer, options


def get(e, value=None, mid=None, code=1, now=0, payload=b"", peer="a", **change):
    """e's answer to a request for block `value` of /s; a new message, but where mid is given."""
    if mid is None:
        e.mid += 1
        mid = e.mid
    options = ((OBSERVE, change["observe"]),) if "observe" in change else ()
    options += ((PATH, change.get("path", "s")),)
    if "format" in change:
        options += ((FORMAT, change["format"]),)
    if "query" in change:
        options += ((QUERY, change["query"]),)
    if "accept" in change:
        options += ((ACCEPT, change["accept"]),)
    if value is not None:
        options += ((BLOCK2, value),)
    e.receive(msg(change.get("type", CON), code, mid, b"\1", options, payload), now, peer)
    (to, data), e.sent = e.sent[0], e.sent[1:]
    assert to == peer and not e.sent
    return show(data)


def fetch_all(e, size, first=None, **change):
    """The whole of /s in blocks of that size, and its ETag, as a patient peer gets it."""
    got = get(e, block(0, 0, size), **change) if first is None else first
    body = got[5]
    tag = got[4][0][1]
    assert got[4][0][0] == ETAG
    number = 0
    while got[4][-1][1][-1] & 8:
        number += 1
        change.pop("observe", None)
        got = get(e, block(number, 0, size), **change)
        assert got[1] == 0x45 and got[4][0] == (ETAG, tag), got
        assert got[4][-1][1][-1] & 7 == block(0, 0, size)
        body += got[5]
    return body, tag


def rough(rng, loss=30):
    """Loses that many percent, doubles and delays some so that they are overtaken."""

    def fate(n, data):
        delays = []
        if rng.below(100) >= loss:
            delays.append(1 + (rng.below(3000) if rng.below(4) == 0 else rng.below(50)))
        if rng.below(10) == 0:
            delays.append(1 + rng.below(9000))
        return delays

    return fate
