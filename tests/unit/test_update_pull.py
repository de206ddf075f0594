# heapsize: 4M
#
# Object 5, packages that the device fetches: from where, with whose keys, over a bad network, and what
# it says where none comes.

from lwm2m.slots import _remove
from packages import package
from test_update import FILES, FOLDER, GOOD, Device
from ucoap import GET, PUT, URI_PATH, Message, Writer
from ucoap.engine import Reply
from world import Server

BIG = package({"app.py": b"VERSION = 2\n" * 3000})


class Depot(Server):
    """Has packages, by path."""

    def __init__(self, world, port=5700, **files):
        super().__init__(world, port)
        self.files = {"/" + name: files[name] for name in files}

    def answer(self, request, reply):
        assert isinstance(reply, Reply)
        if request.path not in self.files:
            return 0x84
        reply.content_format = 42
        reply.payload = self.files[request.path]
        return 0x45


class Keeper(Depot):
    """Answers any block of a package, by itself, with an ETag (RFC 7959 2.4)."""

    def __init__(self, world, etag=b"1", size=256, **files):
        super().__init__(world, **files)
        self.etag = etag
        self.size = size
        self.asked = []  # where each block that was asked for begins
        self.lose = ()  # blocks of which the answer is lost

    def receive(self, connection, data, now):
        m = Message()
        m.parse(data)
        if self.silent or m.code != GET:
            return
        self.connection = connection
        body = self.files["/" + "/".join(m.strings(URI_PATH))]
        block = m.uint(23) or 0
        at = (block >> 4) * (16 << (block & 7)) if block else 0
        self.asked.append(at)
        if at in self.lose:
            return
        w = Writer(1152)
        w.start(2, 0x45, m.mid, m.token)
        if self.etag:
            w.option(4, self.etag)
        w.option(23, at // self.size << 4 | (at + self.size < len(body)) << 3 | 4)
        w.payload(body[at : at + self.size])
        self._send(connection, w.message())


def order(d, uri, code=0x44):
    answer = d.registrar.ask(PUT, "/5/0/1", uri.encode(), 0)
    assert answer.code == code, (hex(answer.code), answer.payload)


def value(d, rid):
    return d.core.objects[5].instances[0][rid]


def test_a_package():
    # ETS 771, of one block and of many.
    for data in (package({"a.py": b"1"}), BIG):
        d = Device()
        depot = Depot(d.world, a=data)
        order(d, "coap://depot:5700/a?v=2")
        assert d.registrar.read("/5/0/1", 0).text == "coap://depot:5700/a?v=2"
        assert d.run(60, lambda: value(d, 3) == 2)
        assert d.state() == (2, 0)
        assert depot.requests[0].query == ["v=2"]
        assert not depot.connection.open and not d.core.leaving
        d.execute()
        assert d.run(60, lambda: d.restarts)
        d = Device(False)
        assert d.run(9, lambda: d.slots.result()[0] == 1)
        assert d.state() == (0, 1)
        assert d.registrar.read("/5/0/7", 0).text == "2.0"


def test_state_while_it_comes():
    d = Device()
    Depot(d.world, a=BIG)
    order(d, "coap://depot:5700/a")
    assert d.state() == (1, 0)
    d.push(GOOD, 0x80)
    order(d, "coap://depot:5700/b", 0x80)
    d.execute(0x85)
    # A reset ends it.
    order(d, "")
    assert d.state() == (0, 0) and value(d, 1) == "" and not d.core.leaving
    d.run(600)
    assert d.state() == (0, 0)
    d.push(GOOD)
    assert d.state() == (2, 0)


def test_uris_that_are_none():
    # ETS 778, 780: the Write is 2.04, and the result says it.
    for uri, result in (
        ("coap://", 7),
        ("coap:/depot/a", 7),
        ("rubbish", 7),
        ("coap://depot:0/a", 7),
        ("coap://depot:99999/a", 7),
        ("coap://de pot/a", 7),
        ("coaps://depot/a", 7),  # there are no keys for it
        ("http://depot/a", 9),
        ("https://depot/a", 9),
        ("coap+tcp://depot/a", 9),
    ):
        d = Device()
        order(d, uri)
        assert d.state() == (0, result), uri
        assert d.registrar.read("/5/0/1", 0).text == uri
        d.push(GOOD)
        assert d.state() == (2, 0)


def test_with_the_keys_of_an_account():
    d = Device()
    d.world.modes = (0, 3)
    depot = Depot(d.world, 5701, a=BIG)
    keys = {0: "coaps://depot:5701", 1: False, 2: 0, 3: b"id", 5: b"key", 10: 7}
    d.core.objects[0].instances[5] = keys
    opened = []
    world_open = d.world.open

    def watched(role, account, now):
        opened.append((account.uri, role.keys(account)))
        return world_open(role, account, now)

    d.world.open = watched
    for uri in ("coaps://depot/a", "coaps://other:5701/a", "coaps://depot:5702/a"):
        order(d, uri)
        assert d.state() == (0, 7) and not opened, uri
    order(d, "coaps://depot:5701/a")
    assert d.run(60, lambda: value(d, 3) == 2)
    assert opened == [("coaps://depot:5701/a", (0, b"id", None, b"key"))]
    assert depot.requests


def test_there_is_no_such_package():
    d = Device()
    depot = Depot(d.world)
    order(d, "coap://depot:5700/a")
    assert d.run(60, lambda: value(d, 3) == 0)
    assert d.state() == (0, 7) and len(depot.requests) == 1 and not d.core.leaving


def test_packages_that_are_refused():
    for data, result in (
        (b"rubbish" * 1000, 6),
        (GOOD[:-1], 5),
        (BIG[:-1] + b"x", 5),
        (BIG + b"x", 5),
        (package(FILES, secret=3), 5),
        (package(FILES, target="other"), 6),
    ):
        d = Device()
        depot = Depot(d.world, a=data)
        order(d, "coap://depot:5700/a")
        assert d.run(60, lambda: value(d, 3) == 0)
        assert d.state() == (0, result)
        assert len(depot.requests) == 1 and not d.core.leaving
        d.run(1000)
        assert len(depot.requests) == 1


def test_over_a_bad_network():
    good = 0
    for seed in range(6):
        d = Device()
        d.world.random.state = 77 + seed
        Depot(d.world, a=BIG)
        order(d, "coap://depot:5700/a")
        d.world.loss = 20
        d.world.double = 20
        d.world.delay = (5, 2000)
        assert d.run(4000, lambda: value(d, 3) != 1)
        good += value(d, 3) == 2
        assert (value(d, 3), value(d, 5)) in ((2, 0), (0, 4))
    assert good >= 4, good


def test_nobody_is_there():
    # It is tried five times, further and further apart.
    d = Device()
    opened = len(d.world.connections)
    order(d, "coap://depot:5700/a")
    assert d.run(3000, lambda: value(d, 3) == 0)
    assert d.state() == (0, 4)
    assert len(d.world.connections) - opened == 5
    assert not d.core.leaving and not d.world.connections[-1].open


def test_a_depot_that_goes_in_the_middle():
    d = Device()
    depot = Depot(d.world, a=BIG)
    order(d, "coap://depot:5700/a")
    assert d.run(60, lambda: d.slots.at > 10000)
    depot.silent = True
    assert not d.run(100, lambda: value(d, 3) != 1)
    depot.silent = False
    assert d.run(600, lambda: value(d, 3) == 2)
    assert d.state() == (2, 0)


def test_a_depot_that_goes_at_every_block():
    # Before it hears of it, or its answer does not arrive. It comes back in time, or too late: then the
    # next order succeeds. The device stays registered all the while.
    body = GOOD
    blocks = -(-len(body) // 256)
    for n in range(blocks):
        for heard in (False, True):
            for back in (True, False):
                where = (n, heard, back)
                d = Device()
                depot = Keeper(d.world, a=body)
                receive = depot.receive

                def watched(connection, data, now):
                    if len(depot.asked) == n and not depot.silent:
                        if heard:
                            depot.lose = (n * 256,)
                            receive(connection, data, now)
                            depot.lose = ()
                        depot.silent = True
                    receive(connection, data, now)

                depot.receive = watched
                order(d, "coap://depot:5700/a")
                assert d.run(60, lambda: depot.silent), where
                assert d.run(100, lambda: value(d, 3) != 1) is False, where
                assert len(depot.asked) == n + heard
                if not back:
                    assert d.run(4000, lambda: value(d, 3) == 0), where
                    assert d.state() == (0, 4) and not d.core.leaving, where
                depot.receive = receive
                depot.silent = False
                assert d.core.accounts[0].state == 4
                if not back:
                    order(d, "coap://depot:5700/a")
                assert d.run(600, lambda: value(d, 3) == 2), where
                assert d.state() == (2, 0), where
                d.execute()
                assert d.run(60, lambda: d.restarts), where
    assert blocks > 30


def test_a_package_that_changes_on_the_way():
    # Another ETag: it begins anew, and what is there is one of the two.
    d = Device()
    depot = Depot(d.world, a=BIG)
    order(d, "coap://depot:5700/a")
    assert d.run(60, lambda: d.slots.at > 10000)
    depot.engine.outgoing.clear()
    assert d.run(600, lambda: value(d, 3) == 2)
    assert len(depot.requests) == 2


def test_the_connection_is_lost():
    d = Device()
    Depot(d.world, a=BIG)
    order(d, "coap://depot:5700/a")
    assert d.run(60, lambda: d.slots.at > 10000)
    (account,) = d.core.leaving
    d.core.disconnected(account, 0xA3, "gone", d.world.now())
    assert value(d, 3) == 1
    assert d.run(600, lambda: value(d, 3) == 2)
    # And when none can be opened.
    d = Device()
    d.world.up = OSError(5)
    order(d, "coap://depot:5700/a")
    assert d.run(3000, lambda: value(d, 3) == 0)
    assert value(d, 5) == 4
    d.world.up = True
    assert not d.core.leaving


def half(etag=b"1"):
    """A device that has half a package, and its depot."""
    d = Device()
    keeper = Keeper(d.world, etag, a=BIG)
    order(d, "coap://depot:5700/a")
    assert d.run(60, lambda: d.slots.at > len(BIG) // 2)
    return d, keeper


def lose(d):
    (account,) = d.core.leaving
    d.core.disconnected(account, 0xA3, "gone", d.world.now())
    d.world.deaf()


def test_it_goes_on_behind_what_has_come():
    # RFC 7959 2.4: by the ETag, over another connection, which is lost or is told nothing.
    for silent in (False, True):
        d, keeper = half()
        if silent:
            keeper.silent = True
            d.run(100)
            keeper.silent = False
        else:
            lose(d)
        assert d.run(600, lambda: value(d, 3) == 2)
        assert d.state() == (2, 0) and d.slots.at == d.slots._package.size
        assert keeper.asked.count(0) == 1
        at = sorted(keeper.asked)
        assert len(at) - len(set(at)) <= (5 if silent else 1)
        d.execute()
        assert d.run(60, lambda: d.restarts)


def test_it_begins_anew_with_another_etag_or_none():
    for before, after in ((b"1", b"2"), (b"", b""), (b"", b"1"), (b"1", b"")):
        d, keeper = half(before)
        other = keeper.files["/a"] = package({"app.py": b"VERSION = 3\n" * 3000}, number=3)
        keeper.etag = after
        lose(d)
        assert d.run(600, lambda: value(d, 3) == 2), (before, after)
        assert d.state() == (2, 0) and keeper.asked.count(0) == 2
        assert d.slots._package.number == 3
        with open(FOLDER + "/new", "rb") as f:
            assert f.read() == other[164:]


def test_a_link_that_is_lost_again_and_again():
    # Each time something more has come: then it is no reason to give up.
    d, keeper = half()
    for _ in range(9):
        at = d.slots.at
        lose(d)
        assert d.run(100, lambda: d.slots.at > at + 256)
    assert d.run(600, lambda: value(d, 3) == 2)
    assert keeper.asked.count(0) == 1
    # Where nothing does, it is.
    d, keeper = half()
    at = max(keeper.asked) + 256
    keeper.lose = (at, at + 256)
    assert d.run(4000, lambda: value(d, 3) == 0)
    assert d.state() == (0, 4) and not d.core.leaving


def test_a_reset_while_it_waits():
    d, keeper = half()
    lose(d)
    order(d, "")
    count = len(keeper.asked)
    d.run(600)
    assert d.state() == (0, 0) and len(keeper.asked) == count


def test_a_depot_that_asks_for_something():
    # It has no right to anything.
    d = Device()
    depot = Depot(d.world, a=BIG)
    order(d, "coap://depot:5700/a")
    assert d.run(60, lambda: depot.connection)
    for path in ("/3/0/0", "/5/0/3", "/0"):
        assert depot.read(path).code == 0x81
    assert depot.ask(PUT, "/5/0/0", GOOD, 42).code == 0x81
    assert d.run(60, lambda: value(d, 3) == 2)
    _remove(FOLDER)
