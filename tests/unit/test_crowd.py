# The servers' engine: all that holds for an engine, and work that does not grow with the peers.
# heapsize: 1M

import gc

import coap_peer
import test_ucoap_block as blocks
import test_ucoap_engine as exchanges
import test_ucoap_streams as streams
from coap_peer import End
from lwm2m.crowd import Crowd, Exchanges, table


class Listed(Exchanges):  # noqa: PLW1641 - it is no key
    """Exchanges that an engine's tests can look at as a list."""

    def list(self):
        return [x for peer in self.of for x in self.of[peer]]

    def __iter__(self):
        return iter(self.list())

    def __len__(self):
        return len(self.list())

    def __getitem__(self, i):
        return self.list()[i]

    def __eq__(self, other):
        return self.list() == other


class Tested(Crowd):
    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self._exchanges = Listed(settings.get("seen", 16))


coap_peer.Engine = Tested
exchanges.Engine = Tested
streams.Engine = Tested


def every(module, but=()):
    """Run all tests of a module."""
    ran = 0
    for name in dir(module):
        if name.startswith("test_") and name not in but:
            gc.collect()
            getattr(module, name)()
            ran += 1
    assert ran > 20


def test_what_holds_for_an_engine():
    every(exchanges)


def test_what_holds_for_bodies_in_blocks():
    # Two want a heap that is full soon.
    every(blocks, ("test_block1_without_memory", "test_block2_without_memory"))


def test_what_holds_for_streams():
    every(streams)


# --- Many peers


class Counted(Exchanges):
    """Exchanges that count how often they are gone through as a whole."""

    def __init__(self, peers):
        self.looks = 0
        self._of = table(peers)

    @property
    def of(self):
        return Looked(self)


class Looked:
    def __init__(self, counted):
        self.counted = counted
        self.dict = counted._of

    def __iter__(self):
        self.counted.looks += 1
        return iter(self.dict)

    def __getitem__(self, peer):
        return self.dict[peer]

    def get(self, peer, default):
        return self.dict.get(peer, default)

    def setdefault(self, peer, default):
        return self.dict.setdefault(peer, default)

    def pop(self, peer):
        return self.dict.pop(peer)


def test_all_exchanges_are_looked_at_seldom():
    # 300 peers at once, a request to each; a turn of the loop for each datagram. Who is answered
    # need not be the one whose time is over first: then nobody else is looked at.
    e = End(seen=300)
    e.engine._exchanges = counted = Counted(300)
    now = 0
    for i in range(300):
        now += 1
        e.request(peer="p%d" % i, now=now)
        e.engine.poll(now)
        assert 0 < e.engine.next_ms(now) <= 3000
    assert counted.looks == 0
    sent = dict(e.sent)
    for i in range(300):
        now += 1
        data = sent["p%d" % i]
        e.receive(b"\x64\x45" + data[2:8], now, "p%d" % i)
        e.engine.poll(now)
        e.engine.next_ms(now)
    assert len(e.said) == 300
    assert counted.looks < 30, counted.looks
    assert e.engine.next_ms(now) == -1
    # Nobody answers: each time that something is due, and no more.
    counted.looks = 0
    e.sent.clear()
    for i in range(300):
        e.request(peer="p%d" % i, now=now)
    sent = 0
    for _ in range(4000):
        now += 25
        e.engine.poll(now)
        sent += len(e.sent)
        e.sent.clear()
    assert len(e.said) == 600 and sent == 1500
    assert counted.looks <= 1500, counted.looks


def test_a_table_has_its_room():
    # As much as is said, from the start: nothing is allocated for a key, and misses end soon.
    import micropython

    for n in (1, 16, 64, 300, 1000):
        made = table(n)
        assert made == {}
        micropython.heap_lock()
        try:
            for i in range(n):
                made[i * 7919] = None
        finally:
            micropython.heap_unlock()
        assert len(made) == n
