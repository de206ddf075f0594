# For the tests of ucoap.engine: one engine whose datagrams are looked at, or two and a network
# between them.

from ucoap import Message, Writer
from ucoap.engine import Engine

CON = 0
NON = 1
ACK = 2
RST = 3

MASK = 0x3FFFFFFF

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
        self.handler = handler
        self.engine = Engine(self._send, self._handle, rng or Rng(1), **kwargs)
        self.engine.on_exception = self.raised.append

    def _send(self, peer, data):
        assert isinstance(data, bytes)
        self.sent.append((peer, data))

    def _handle(self, peer, m, payload, reply, now):
        self.asked.append((peer, m.code, m.strings(11), bytes(payload)))
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
