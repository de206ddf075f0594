# heapsize: 480K
# What happens when memory runs out, and what an idle step takes of it.

import gc
import micropython

from starving import starve  # first, while there is memory in one piece
from ucoap import DELETE, POST, PUT, Error
from lwm2m.management import format_module
from lwm2m.model import INT, OPAQUE, STR, TIME, Object, R, W, M, MULTI
import lwm2m
import lwm2m.consistency  # as frozen modules take next to no memory to load
import lwm2m.text
import lwm2m.tlv
import lwm2m.transaction
from lwm2m.objects import split_uri
from world import (
    Provisioner,
    Registrar,
    World,
    account,
    datagram,
    encode,
    instances,
    server,
)

TEXT = 0
CBOR = 60
SENML_JSON = 110
TLV = 11542


class _Starved:
    """Requests to a client that has little memory; what it sends is only looked at."""

    def __init__(self, world, client, peer):
        self.world = world
        self.client = client
        self.peer = peer
        self.mid = 1000
        self.codes = set()  # of all sweeps
        client.core.on_event = None  # the recorder takes memory itself
        client.core.engine.on_exception = None
        world.quiet = True

    def ask(self, request, blocks, collect):
        """The response code, -1 where there was none."""
        self.mid += 1
        self.data = datagram(0, request[0], self.mid, *request[1:])
        self.world.code = -1
        starve(self._receive, blocks, collect)
        return self.world.code

    def _receive(self):
        self.client.core.receive(self.peer, self.data, self.world.now())

    def sweep(self, request, done, reset, state):
        """With ever more memory: 5.00 or nothing at all, and nothing has changed; until it
        succeeds."""
        for collect, stride in ((False, 2), (True, 9)):
            codes = set()
            blocks = 0
            while done not in codes:
                reset()
                before = state()
                code = self.ask(request, blocks, collect)
                changed = state() != before
                assert code in (-1, 0xA0, done), (request, blocks, code)
                assert changed == (code == done), (request, blocks, collect, code)
                codes.add(code)
                blocks += stride
                assert blocks < 500
            self.codes.update(codes)


def test_operations_of_a_server():
    world = World()
    registrar = Registrar(world)
    client = world.client()
    values = {0: "a", 1: 1, 2: b"", 3: {0: 10, 2: 30}}
    resources = (0, STR | R | W | M, 1, INT | R | W, 2, OPAQUE | R | W, 3, INT | R | W | MULTI)
    obj = Object(1000, resources, {0: dict(values)}, multiple=True)
    client.add_object(obj)
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    assert world.run(5, lambda: registrar.location)
    world.run(1)
    own = client.core.objects[1].instances[0]
    starved = _Starved(world, client, client.core.accounts[0])
    attributes = client.core.parts[0].attributes

    def reset():
        attributes.sets.clear()
        obj.instances = {0: dict(values)}
        client.core.objects[1].instances[0] = dict(own)

    def state():
        found = {iid: dict(obj.instances[iid]) for iid in obj.instances}
        sets = {id: dict(attributes.sets[id]) for id in attributes.sets}
        return found, dict(client.core.objects[1].instances[0]), sets

    for request, done in (
        ((PUT, "/1000/0", encode({0: "new", 1: 2, 2: b"opaque"}), TLV), 0x44),
        ((POST, "/1000/0", b"\x86\x03\x41\x05\x01\x41\x06\x02", TLV), 0x44),
        ((PUT, "/1000/0/0", b"another value", TEXT), 0x44),
        ((POST, "/1000", instances({5: {0: "e", 1: 2}}), TLV), 0x41),
        ((DELETE, "/1000/0"), 0x42),
        ((PUT, "/1/0/1", b"600", TEXT), 0x44),
        ((PUT, "/1000/0/1", b"", None, None, b"tk", "gt=5&epmin=7"), 0x44),
    ):
        starved.sweep(request, done, reset, state)
    assert 0xA0 in starved.codes


def test_operations_of_one_of_two_servers():
    # What is created has an instance of Access Control, or is not there.
    world = World()
    registrars = [Registrar(world, port) for port in (5683, 5684)]
    client = world.client()
    obj = Object(1000, (0, STR | R | W | M), {0: {0: "a"}}, multiple=True)
    client.add_object(obj)
    for n in (0, 1):
        client.add_server(n + 1, "coap://server:%d" % (5683 + n), lwm2m.SEC_NONE, 300)
    assert world.run(5, lambda: registrars[0].location and registrars[1].location)
    world.run(1)
    access = client.core.objects[2]
    own = dict(access.instances)
    k = max(own)
    assert own[k] == {0: 1000, 1: 65535, 2: {1: 16}, 3: 65535} and own[k - 1][1] == 0
    starved = _Starved(world, client, client.core.accounts[0])

    def reset():
        obj.instances = {0: {0: "a"}}
        access.instances = dict(own)
        world.run(0)

    def state():
        return dict(obj.instances), dict(access.instances)

    for request, done in (
        ((POST, "/1000", instances({5: {0: "e"}}), TLV), 0x41),
        ((POST, "/1000", instances({5: {0: "e"}, 6: {0: "f"}}), TLV), 0x41),
        ((DELETE, "/1000/0"), 0x42),
        ((PUT, "/2/%d/2" % (k - 1), encode({2: {0: 1, 2: 3}}), TLV), 0x44),
    ):
        starved.sweep(request, done, reset, state)
    assert 0xA0 in starved.codes


def test_operations_of_a_bootstrap_server():
    world = World()
    provisioner = Provisioner(world)
    client = world.client()
    client.add_bootstrap_server("coap://bs:5783", lwm2m.SEC_NONE)
    assert world.run(5, lambda: provisioner.requests)
    world.run(1)
    assert provisioner.write("/0/1", account(1)).code == 0x44
    assert provisioner.write("/1/0", server(1)).code == 0x44
    world.run(1)
    objects = client.core.objects
    bootstrap = client.core.bootstrap
    given = objects[0].instances, objects[1].instances
    copy = [{iid: dict(obj[iid]) for iid in obj} for obj in given]
    starved = _Starved(world, client, bootstrap.account)
    running = bootstrap.state

    def reset():
        assert [{iid: dict(obj[iid]) for iid in obj} for obj in given] == copy  # never in place
        objects[0].instances, objects[1].instances = given
        bootstrap.covered = 0
        bootstrap.state = running

    def state():
        found = [
            {iid: dict(o.instances[iid]) for iid in o.instances} for o in (objects[0], objects[1])
        ]
        return found, bootstrap.covered, bootstrap.state

    for request, done in (
        ((PUT, "/0/2", encode(account(2)), TLV), 0x44),
        ((PUT, "/0", instances({1: account(3), 2: account(2)}), TLV), 0x44),
        ((PUT, "/1/0", encode(server(1, 900)), TLV), 0x44),
        ((PUT, "/1/0/1", b"900", TEXT), 0x44),
        ((DELETE, "/"), 0x42),
        ((DELETE, "/1/0"), 0x42),
        ((POST, "/bs"), 0x44),
    ):
        starved.sweep(request, done, reset, state)
    assert 0xA0 in starved.codes


def test_idle_step_takes_nothing():
    world = World()
    registrars = [Registrar(world, port) for port in (5683, 5684)]
    provisioner = Provisioner(world)
    client = world.client()
    client.add_bootstrap_server("coap://bs:5783", lwm2m.SEC_NONE)
    core = client.core
    # Registered with two servers, one of which observes; a third one has failed for a day.
    assert world.run(5, lambda: provisioner.requests)
    for n, port in ((1, 5683), (2, 5684), (3, 5685)):
        uri = "coap://server:%d" % port
        assert provisioner.write("/0/%d" % n, account(n, uri)).code == 0x44
        assert provisioner.write("/1/%d" % n, server(n, 86400)).code == 0x44
    assert provisioner.write("/1/3/17", encode({17: 1})).code == 0x44
    assert provisioner.write("/1/3/16", encode({16: False})).code == 0x44
    assert provisioner.finish().code == 0x44
    world.run(100)  # the third's only attempt is over after 93 s at most
    assert registrars[0].location and registrars[1].location
    assert [e.short_id for _, e in world.events if e.type == lwm2m.EVENT_REG_FAILED] == [3]
    registrars[0].ask(1, "/1/0/1", more=((6, 0),))
    world.run(600)  # and nothing is to be forgotten any more
    assert not world.statuses
    now = world.now()
    for ms in (0, 1, 999, 1000, 60000):
        micropython.heap_lock()
        try:
            for _ in range(3):
                now = now + ms & 0x3FFFFFFF
                status = core.poll(now)
                wait = core.next_ms(now)
        finally:
            micropython.heap_unlock()
        assert status == 0 and wait > 0


def test_a_client_that_starved_recovers():
    # Wherever memory runs out, in poll() or while an answer is taken: nothing is stuck, and with
    # memory the client goes on. What a step() would tell of it is 5.00, and not an exception.
    world = World()
    registrar = Registrar(world)
    provisioner = Provisioner(world)
    client = world.client()
    core = client.core
    core.on_event = None
    core.engine.on_exception = None
    client.add_bootstrap_server("coap://bs:5783", lwm2m.SEC_NONE)
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    given = dict(core.objects[1].instances)
    arrived = []

    def poll():
        try:
            core.poll(world.now())
        except MemoryError:
            pass

    def receive():
        core.receive(*arrived)

    def answer():
        # Take what is in flight to the client as the next thing it gets.
        while not (world.flight and world.flight[0][2]):
            assert world.run_ms(100, lambda: world.flight and world.flight[0][2])
        when, connection, up, data = world.flight.pop(0)
        arrived[:] = [connection.account, data, world.now()]

    def registered():
        return core.accounts and core.accounts[0].location

    for blocks in range(0, 130, 3):
        core.restart()
        starve(poll, blocks, blocks & 1)  # registers
        assert world.run(400, registered), blocks
        world.run(1)
        core.restart()
        world.run_ms(0)
        answer()  # to Register
        starve(receive, blocks, blocks & 1)
        assert world.run(400, registered), blocks
        world.run(1)
        core.accounts[0].action = 8
        starve(poll, blocks, blocks & 1)  # updates
        world.run(200)
        assert registered(), blocks
        core.accounts[0].action = 4
        core.objects[1].instances[0][5] = 10
        starve(poll, blocks, blocks & 1)  # disables
        assert world.run(400, registered), blocks
        # A bootstrap, to its Finish.
        core.restart()
        core.objects[1].instances = {}
        starve(poll, blocks, blocks & 1)
        n = len(provisioner.requests)
        assert world.run(400, lambda: len(provisioner.requests) > n), blocks
        answer()  # to the Bootstrap-Request
        starve(receive, blocks, blocks & 1)
        assert world.run(400, lambda: core.bootstrap.state == 4), blocks
        world.run(1)
        assert provisioner.write("/1/0", given[0]).code == 0x44
        assert provisioner.finish().code == 0x44
        core.bootstrap.vain = 0
        assert world.run(400, registered), blocks
        core.restart()
        core.objects[1].instances = {0: dict(given[0])}
        for one in (registrar, provisioner):
            one.requests.clear()
            one.heard.clear()
        world.connections.clear()
        world.statuses.clear()


def test_text_of_peers_is_not_kept():
    # MicroPython makes a name of each character that is taken out of a str, and keeps it for good:
    # with a million characters to choose from a peer could fill the heap.
    world = World()
    registrar = Registrar(world)
    client = world.client()
    client.core.on_event = None
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    assert world.run(5, lambda: registrar.location)
    heap = 0
    for n in range(600):
        c = bytes((0xE4 + n % 5, 0x80 + n % 50, 0x80 + n % 64))  # of UTF-8
        text = b"coap://" + c + b":" + c
        for path, payload in (("/1/0/7", c), ("/1/0/7", b"U" + c), ("/1/0/1", b"1" + c)):
            answer = registrar.ask(PUT, path, payload, TEXT)
            assert answer.code == 0x80, (path, payload)
        assert split_uri(str(text, "utf-8")) is None
        assert split_uri(str(b"coap://[::1]" + c, "utf-8")) is None
        if n % 100 == 99:
            world.run(400)
            registrar.requests.clear()
            registrar.heard.clear()
            gc.collect()
            heap = heap or gc.mem_alloc()
            # Such a name takes 18 bytes, and there were 100.
            assert gc.mem_alloc() < heap + 500, (n, gc.mem_alloc() - heap)


def _read(format, data, flags):
    # What a record or a value is read as, or None.
    cursor = format_module(format).Cursor(data, (9, 0, 0), format)
    try:
        cursor.next()
        return cursor.value(flags)
    except Error:
        return None


def test_text_in_other_formats_is_not_kept():
    heap = 0
    for n in range(600):
        code = 0x4E00 + n * 5
        c = bytes((0xE0 | code >> 12, 0x80 | code >> 6 & 63, 0x80 | code & 63))  # of UTF-8
        record = b'[{"n":"/9/0/0","vs":"\\u%04x"}]' % code
        assert _read(SENML_JSON, record, STR).encode() == c
        # A time with such a character between date and hour, and one in place of its zone.
        for text in (b"2026-11-28" + c + b"20:00:00Z", b"2026-11-28T20:00:00" + c + b"01:00"):
            _read(CBOR, b"\xc0" + bytes((0x78, len(text))) + text, TIME)
        if n % 100 == 99:
            gc.collect()
            heap = heap or gc.mem_alloc()
            assert gc.mem_alloc() < heap + 500, (n, gc.mem_alloc() - heap)
