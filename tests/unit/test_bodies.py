# heapsize: 1M
#
# Bodies that a part of a client takes block by block: who is asked, when, what the server is
# answered, and that a megabyte takes no more heap than a few kilobytes.

import gc
from ucoap import POST, PUT, Error
from ucoap.engine import Engine
from lwm2m.model import INT, OPAQUE, R, W, Object, path_of
from world import Registrar, World, account, server

MB = 1 << 20
KB4 = 4096


def stream(at, n):
    """n bytes of an endless body, from `at` on."""
    out = bytearray()
    for i in range(at >> 4, (at + n >> 4) + 1):
        out.extend(b"%15d\n" % i)
    return bytes(memoryview(out)[at & 15 : (at & 15) + n])


class Source:
    def __init__(self, n, size=None):
        self.n = n
        self.size = size

    def read(self, at, n):
        return stream(at, max(min(n, self.n - at), 0))


class Sink:
    """Takes that body, up to `most` bytes, and looks at the heap now and then."""

    def __init__(self, most=MB):
        self.at = 0
        self.most = most
        self.told = []
        self.held = []

    def write(self, data):
        assert self.told == []
        assert bytes(data) == stream(self.at, len(data)), "not what comes next"
        if self.at + len(data) > self.most:
            raise Error(0x8D, "over %d bytes" % self.most, self.most)
        self.at += len(data)
        if self.at & 0xFFFF == 0 or self.at == 3072:
            gc.collect()
            self.held.append(gc.mem_alloc())

    def close(self, whole):
        self.told.append(whole)


class Part:
    """Has sinks for /5000/0/0 of a client."""

    def __init__(self):
        self.begun = []  # (short id, Size1) of each
        self.sinks = []
        self.whole = []  # payloads
        self.fault = None

    def begin(self, account, m, now):
        if path_of(m) != (5000, 0, 0):
            return None
        self.begun.append((account.short_id, m.uint(60)))
        if self.fault:
            raise self.fault
        self.sinks.append(Sink())
        return self.sinks[-1]

    def handle(self, account, m, payload, reply, now):
        if isinstance(payload, Sink):
            self.whole.append(payload)
            return 0x44
        return 0

    def poll(self, now):
        pass

    def next_ms(self, now, least):
        return least

    def changed(self, oid, iid, rid):
        pass

    def moved(self, account):
        pass


def begun(seed=1, servers=1):
    """A client that has registered, its servers, and a Part of it."""
    world = World(seed)
    registrars = [Registrar(world, 5683 + i) for i in range(servers)]
    client = world.client()
    part = Part()
    client.core.parts.append(part)
    client.core.may = None  # who may do what with several servers is test_access's
    client.add_object(Object(5000, (0, W | OPAQUE, 1, R | INT, 2, W | OPAQUE), {0: {1: 1}}))
    for i in range(servers):
        client.core.objects[0].instances[i] = account(i + 1, "coap://server:%d" % (5683 + i))
        client.core.objects[1].instances[i] = server(i + 1)
    assert world.run(30, lambda: all(r.location for r in registrars))
    return world, registrars, part


def test_a_megabyte():
    # It takes as much heap as one of 4 KB does: both ends are in this heap, and what is in flight.
    world, (registrar,), part = begun()
    most = []
    registrar.receive = registrar.engine.receive  # it notes nothing of what it hears
    for n in (4096, 4096, MB):
        for known in (n, None):
            gc.collect()
            idle = gc.mem_alloc()
            answer = registrar.ask(PUT, "/5000/0/0", Source(n, known), 42)
            assert (answer.code, answer.payload) == (0x44, b"")
            sink = part.sinks.pop()
            assert (sink.at, sink.told) == (n, [True])
            assert part.whole.pop() is sink
            assert part.begun.pop() == (1, known)
            most.append(max(sink.held) - idle)
            assert len(sink.held) == 1 + n // 65536
            del sink
    assert max(most[4:]) < KB4 + 2 * 1152, most
    assert max(most[4:]) - max(most[2:4]) < 1152, most


def test_pieces_that_are_lost_doubled_and_late():
    whole = 0
    for seed in range(8):
        world, (registrar,), part = begun(seed + 1)
        world.loss = 20
        world.double = 20
        world.delay = (5, 3000)
        answer = registrar.ask(PUT, "/5000/0/0", Source(20000, (None, 20000)[seed & 1]), 42)
        (sink,) = part.sinks or (Sink(),)
        if answer.code == 0x44:
            assert (sink.at, sink.told) == (20000, [True])
            whole += 1
        else:
            assert answer.code == 0 or answer.code == 0x88, answer.code
            world.run(600)
            assert sink.told in ([], [False])
    assert whole >= 4, whole


def test_one_of_several_blocks_only():
    world, (registrar,), part = begun()
    assert registrar.ask(PUT, "/5000/0/0", stream(0, 1000), 42).code == 0x44
    assert part.begun == [] and part.whole == []
    # A buffer for a path that no part has a sink for.
    assert registrar.ask(PUT, "/5000/0/2", stream(0, 3000), 42).code == 0x44
    assert registrar.ask(PUT, "/5000/0/2", stream(0, 5000), 42).code == 0x8D
    assert part.begun == [] and part.whole == []


def test_what_is_asked_before():
    # Presence, the operation and the right; the part is not bothered.
    world, (registrar,), part = begun()
    core = world.roles[0]
    for path, code in (("/5000/0/1", 0x85), ("/5000/1/0", 0x84), ("/5001/0/0", 0x84)):
        assert registrar.ask(PUT, path, Source(5000), 42).code == code, path
    core.may = lambda account, oid, iid, operation: operation == 1
    assert registrar.ask(PUT, "/5000/0/0", Source(5000), 42).code == 0x81
    assert part.begun == []
    core.may = None
    part.fault = Error(0x80, "not now")
    answer = registrar.ask(PUT, "/5000/0/0", Source(5000), 42)
    assert (answer.code, answer.payload) == (0x80, b"not now")
    assert len(part.begun) == 1 and part.sinks == [] and not core.engine.incoming


def test_too_large():
    world, (registrar,), part = begun()
    answer = registrar.ask(PUT, "/5000/0/0", Source(MB + 1), 42)
    assert answer.code == 0x8D and answer.text == "over %d bytes" % MB
    assert part.sinks[0].told == [False] and part.sinks[0].at == MB


def test_restart_in_the_middle():
    # A server that begins anew gets another sink; the first one hears that the rest will not come.
    world, (registrar,), part = begun()
    registrar.start(POST, "/5000/0/0", Source(50000), 42)
    assert world.run(60, lambda: part.sinks and part.sinks[0].at > 20000)
    registrar.engine = Engine(registrar._send, registrar._handle, world.rng)
    assert registrar.ask(POST, "/5000/0/0", Source(50000), 42).code == 0x44
    first, second = part.sinks
    assert first.told == [False] and 20000 < first.at < 50000
    assert (second.at, second.told) == (50000, [True])


def test_a_block_out_of_turn():
    # RFC 7959 2.5: 4.08, and what was under way is as it was.
    world, (registrar,), part = begun()
    registrar.start(PUT, "/5000/0/0", Source(50000), 42)
    assert world.run(60, lambda: part.sinks and part.sinks[0].at > 20000)
    codes = []
    for number in (3000, 9):  # ahead, and long ago
        mid = 60000 + number
        m = bytes((0x40, 3, mid >> 8, mid & 255)) + b"\xb45000\x010\x010\x11\x2a\xd2\x02"
        m += (number << 4 | 14).to_bytes(2, "big") + b"\xff" + stream(number * 1024, 1024)
        world.post(registrar.connection, True, m)
        world.run_ms(20)
        codes += [data[1] for data in world.sent if data[2:4] == m[2:4]]
    assert codes == [0x88, 0x88]
    assert world.run(60, lambda: part.whole)
    assert (part.sinks[0].at, part.sinks[0].told) == (50000, [True])


def test_two_servers_at_once():
    world, (one, other), part = begun(servers=2)
    answers = []
    one.start(PUT, "/5000/0/0", Source(9000), 42, callback=answers.append)
    other.start(PUT, "/5000/0/0", Source(7000), 42, callback=answers.append)
    assert world.run(60, lambda: len(answers) == 2)
    assert sorted(sink.at for sink in part.sinks) == [7000, 9000]
    assert sorted(short_id for short_id, _ in part.begun) == [1, 2]


def test_a_server_that_goes():
    # The registration ends in the middle: the sink hears of it.
    world, (registrar,), part = begun()
    registrar.start(PUT, "/5000/0/0", Source(50000), 42)
    assert world.run(60, lambda: part.sinks and part.sinks[0].at > 20000)
    world.roles[0].restart()
    assert part.sinks[0].told == [False]
