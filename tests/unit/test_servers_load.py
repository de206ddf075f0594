# What one peer can do to the servers, or a thousand: places, bytes, work; and the clock.
# heapsize: 8M

import gc

import lwm2m.bootstrap_server as bs
import lwm2m.server as server
from lwm2m.credentials import Credentials
from lwm2m.peers import gives_way, host
from servers import Peer, Session, World
from ucoap import ACK, CON, DELETE, GET, POST, URI_QUERY, Writer, path_options

PORT = 5683
BS_PORT = 5783
LIST = b'</>;rt="oma.lwm2m",</1/0>,</3/0>'
ACCOUNTS = {"*": {"servers": [{"short_id": 1, "uri": "coap://10.0.0.2", "lifetime": 300}]}}
FRESH = b"</>;lwm2m=1.1,</0/0>,</1>,</3/0>"

RATE = 8192  # bytes a second, all together, to addresses that have not answered yet
BURST = 4 * RATE  # and at once, after seconds without


class Case:
    """Both servers in a World, and what they tell."""

    def __init__(self, clients=64, sessions=32, start=0, **settings):
        self.world = World(start=start)
        self.events = []
        self.answers = []
        self.server = server.Server(
            PORT,
            on_client=lambda event, client: self.events.append((event, client.endpoint)),
            net=self.world,
            max_clients=clients,
            **settings,
        )
        self.bootstrap = bs.BootstrapServer(
            BS_PORT,
            on_event=lambda event, session: self.events.append((event, session.endpoint)),
            accounts=ACCOUNTS,
            net=self.world,
            max_sessions=sessions,
        )

    def answered(self, client, code, format, payload):
        self.answers.append((client.endpoint, code))

    def forget(self):
        """Let go what was sent and told: lists of a thousand find no room in a heap in pieces."""
        self.world.sent.clear()
        self.world.left.clear()
        self.events.clear()

    def peer(self, port, address="10.0.0.9", number=9):
        return Peer(self.world, port, (address, number))

    def register(self, endpoint, address="10.0.0.9", number=9, query="&lt=60&lwm2m=1.1"):
        """A peer that asks to be registered, and the code of the answer."""
        peer = self.peer(PORT, address, number)
        return peer, peer.ask(POST, "rd", "ep=" + endpoint + query, LIST, 40).code

    def bootstrap_request(self, endpoint, address="10.0.0.9", number=9):
        peer = self.peer(BS_PORT, address, number)
        code = peer.ask(POST, "bs", "ep=" + endpoint).code
        peer.seen -= 1  # the first operation is yet to be got
        return peer, code

    def finish(self, peer):
        """Let a client do all of what the Bootstrap Server asks; whether it has its accounts."""
        while True:
            found = peer.got()
            if not found:
                break
            m = found[-1]
            peer.answer(m, 0x45 if m.code == GET else 0x44, FRESH if m.code == GET else b"")
        return self.events[-1][0] == bs.FINISHED


# --- Who makes way


def test_host():
    assert host(("10.0.0.1", 5)) == host(("10.0.0.1", 6)) != host(("10.0.0.2", 5))
    # struct sockaddr_in and sockaddr_in6 (ip(7), ipv6(7)): family, port, …
    one = b"\x02\x00\x16\x33\x0a\x00\x00\x01" + bytes(8)
    assert host(one) == host(one[:2] + b"\x99\x99" + one[4:])
    assert host(one) != host(one[:7] + b"\x02" + one[8:])
    one = b"\x0a\x00\x16\x33" + bytes(4) + bytes(range(16)) + bytes(4)
    assert host(one) == host(one[:2] + b"\x99\x99" + one[4:16] + bytes(12))  # of the same /64
    assert host(one) != host(one[:15] + b"\x99" + one[16:])


def test_who_makes_way():
    # ([(owner, silent for so long)], newcomer, the one that makes way): patience is 5.
    for entries, newcomer, expected in (
        ("", "a", None),
        ("b1 b2 b3", "a", "b3"),  # whoever has most, its oldest
        ("b1 b2 c9", "a", "b2"),
        ("b1 c2 c1", "c", None),  # no more of its own, unless they do not go on
        ("b1 c2 c6", "c", "c6"),
        ("b1 c1", "a", None),  # all have the same
        ("b1 c5", "a", "c5"),
        ("b1 b2 a1", "a", None),  # it would have as many as the other
        ("b1 b2 b3 a1", "a", "b3"),
        ("a9 b1 b2 b3", "a", "b3"),
    ):
        found = gives_way(entries.split(), lambda e: e[0], lambda e: int(e[1:]), newcomer, 5)
        assert found == expected, (entries, newcomer, found)


def test_bootstrap_requests_of_one_address_do_not_block():
    # 32 of 12 bytes, each from a port of its own, took all places for 93 s.
    case = Case()
    for i in range(32):
        data = b"\x40\x02%c%c\xb2bs\x44ep=%c" % (i, i, 65 + i)
        assert len(data) == 12
        case.world.servers[BS_PORT].receive(("10.6.6.6", i + 1), data, case.world.now())
    assert len(case.bootstrap.sessions) == 32
    # Others get in at once, as many as there may be, and are not in each other's way.
    peers = []
    for i in range(16):
        peer, code = case.bootstrap_request("good-%d" % i, "10.0.1.%d" % i)
        assert code == 0x44, i
        peers.append(peer)
    assert len(case.bootstrap.sessions) == 32
    for i in range(64):  # it goes on meanwhile
        case.bootstrap_request("bad-%d" % i, "10.6.6.6", 100 + i)
    for peer in peers:
        assert case.finish(peer)
    # Who has answered keeps the place.
    case = Case(sessions=2)
    peer, code = case.bootstrap_request("good")
    found = peer.got()
    peer.answer(found[-1], 0x45, FRESH)
    for i in range(100):
        case.world.time += 100
        case.bootstrap_request("bad-%d" % i, "10.6.6.%d" % i)
    assert case.finish(peer)


def test_bootstrap_requests_of_many_addresses_do_not_block():
    # Nobody can tell forged addresses from others: those that do not answer have two seconds.
    case = Case()
    for i in range(32):
        assert case.bootstrap_request("x%d" % i, "10.6.6.%d" % i)[1] == 0x44
    assert case.bootstrap_request("good")[1] == 0xA3
    case.world.wait(2)
    peer, code = case.bootstrap_request("good")
    assert code == 0x44 and case.finish(peer)


def test_registrations_do_not_block():
    # 64 that never end, of clients that nobody knows; of one address, and of many.
    for one in (True, False):
        case = Case()
        for i in range(64):
            address = "10.6.6.6" if one else "10.6.6.%d" % i
            assert case.register("x%d" % i, address, 1 + i, "&lt=0")[1] == 0x41
        if not one:
            assert case.register("good")[1] == 0xA3
            case.world.wait(2)
        for i in range(8):
            peer, code = case.register("good-%d" % i, "10.0.1.%d" % i)
            assert code == 0x41
        assert len(case.server.clients) == 64
        expired = [endpoint for event, endpoint in case.events if event == server.EXPIRED]
        assert len(expired) == 8 and all(endpoint[0] == "x" for endpoint in expired)


def test_who_has_answered_keeps_the_registration():
    case = Case(clients=8)
    s = case.server
    # By an answer to what was asked, and by an Update, as only that address knows the location.
    peer, code = case.register("read")
    s.read(s.clients["read"], "/3/0", None)
    peer.answer(peer.got()[-1], 0x45, b"")
    peer, code = case.register("updated", "10.0.0.8")
    assert peer.ask(POST, "rd/" + s.clients["updated"].location).code == 0x44
    for i in range(500):
        case.world.time += 100
        case.register("x%d" % i, "10.6.%d.%d" % (i >> 8, i & 255), 1 + i, "&lt=0")
    assert "read" in s.clients and "updated" in s.clients and len(s.clients) == 8
    # A location cannot be guessed: 30 bits.
    found = [int(client.location, 16) for client in s.clients.values()]
    assert max(found) >> 24


def test_lt_0_of_an_unknown_client_has_an_end():
    day = 86400
    case = Case()
    peer, code = case.register("a", query="&lt=0")
    client = case.server.clients["a"]
    assert client.lifetime == 0
    case.world.wait(day - 1)
    assert peer.ask(POST, "rd/" + client.location).code == 0x44  # which begins it anew
    case.world.wait(day - 1)
    assert "a" in case.server.clients
    case.world.wait(2)
    assert "a" not in case.server.clients and case.events[-1] == (server.EXPIRED, "a")
    # Whom the application or a key knows may stay for ever.
    case = Case(allow=lambda endpoint, peer: True)
    case.register("a", query="&lt=0")
    case.world.wait(1000 * day)
    assert "a" in case.server.clients
    keys = Credentials()
    keys.create(b"a", (0, b"a", b"", b"key"))
    case = Case(credentials=keys)
    peer = Peer(case.world, PORT, Session(b"a"))
    assert peer.ask(POST, "rd", "lt=0&lwm2m=1.1", LIST, 40).code == 0x41
    case.world.wait(1000 * day)
    assert "a" in case.server.clients


def test_blocks_take_no_place_before_path_and_right_are_known():
    # RFC 7959 2.5: the first of several blocks (27 Block1: number 0, more, 16 bytes).
    def first_block(case, port, path, query, address):
        w = Writer(200)
        w.start(CON, POST, 7, b"tk")
        for number, value in path_options(path):
            w.option(number, value)
        for number, value in path_options(query, URI_QUERY):
            w.option(number, value)
        w.option(27, 0x08)
        w.payload(b"x" * 16)
        peer = Peer(case.world, port, address)
        peer.raw(w.message())
        return peer.got()[0].code

    case = Case()
    for port, path, query, code, role in (
        (PORT, "nothing", "", 0x84, case.server),
        (PORT, "rd/nobody", "", 0x84, case.server),
        (PORT, "rd", "", 0x80, case.server),
        (PORT, "rd", "ep=a\x9b", 0x80, case.server),
        (BS_PORT, "nothing", "", 0x84, case.bootstrap),
        (BS_PORT, "bs", "ep=dev", 0x8D, case.bootstrap),
    ):
        assert first_block(case, port, path, query, ("10.0.0.9", 9)) == code, (path, query)
        assert not role.engine.incoming and not role.entries
        case.world.time += 1000000  # another message id
        role.poll(case.world.now())
    assert first_block(case, PORT, "rd", "ep=dev", ("10.0.0.9", 9)) == 0x5F
    assert len(case.server.engine.incoming) == 1
    # Whom an identity does not let be that client.
    keys = Credentials()
    keys.create(b"a", (0, b"a", b"", b"key"))
    case = Case(credentials=keys)
    session = Session(b"a")
    peer = Peer(case.world, PORT, session)
    assert peer.ask(POST, "rd", "lwm2m=1.1", LIST, 40).code == 0x41
    location = "rd/" + case.server.clients["a"].location
    for path, query in (("rd", "ep=b"), (location, "")):
        assert first_block(case, PORT, path, query, Session(b"c")) == 0x83
        assert not case.server.engine.incoming
    assert first_block(case, PORT, location, "", session) == 0x5F


# --- Bytes to addresses that have not answered yet (RFC 7252 11.3)


def spent(world, start=0):
    """[bytes sent in each second] to clients."""
    return sum(len(data) for source, target, data in world.sent[start:])


def test_amplification_is_bounded():
    # 17 bytes in, 194 out with retransmissions: to forged addresses, a hundred a second.
    for port, data in (
        (BS_PORT, b"\x40\x02%c%c\xb2bs\x49ep=%06d"),
        (PORT, b"\x40\x02%c%c\xb2rd\x49ep=%06d\xff</1/0>"),
        (PORT, b"\x40\x01%c%c\xb4none"),
        (PORT, b"\x40\x00%c%c"),
    ):
        case = Case(clients=500, sessions=500)
        world = case.world
        s = case.server
        s.on_client = lambda event, client: event == 1 and s.read(client, "/3/0", None)
        case.bootstrap.on_event = None
        n = 0
        total = 0
        for second in range(60):
            for _ in range(400 if second == 30 else 100):
                n += 1
                sent = data % ((n >> 8, n & 255, n) if data.count(b"%") > 2 else (n >> 8, n & 255))
                world.servers[port].receive(
                    ("10.6.%d.%d" % (n >> 8, n & 255), 1), sent, world.now()
                )
            world.left.clear()
            for _ in range(10):
                world.time += 100
                case.server.poll(world.now())
                case.bootstrap.poll(world.now())
            now = spent(world)
            assert now <= BURST + RATE * (second + 1), (second, now)
            world.sent.clear()
            world.left.clear()
            total += now
            assert total <= BURST + RATE * (second + 1), (second, total)
        assert total > 1000


def test_who_has_answered_is_not_bounded():
    case = Case(clients=100)
    s = case.server
    peer, code = case.register("good", query="&lt=0")
    client = s.clients["good"]
    s.read(client, "/3/0", None)
    peer.answer(peer.got()[-1], 0x45, b"")
    # A flood uses all of it up.
    flood = case.peer(PORT, "10.6.6.6")
    for i in range(2500):
        flood.send(POST, "rd")  # whose answer has words
        case.world.sent.clear()
        case.world.left.clear()
    flood.seen = peer.seen = 0
    flood.send(POST, "rd")
    assert not case.world.sent and s.withheld > 1000
    s.read(client, "/3/0", case.answered)
    peer.answer(peer.got()[-1], 0x45, b"")
    assert case.answers == [("good", 0x45)]
    assert peer.ask(POST, "rd/" + client.location).code == 0x44
    # A second later others are answered again.
    case.world.wait(1)
    assert case.register("new", "10.0.0.8")[1] == 0x41


def test_an_answer_proves_its_address_only():
    # The client moves: what goes to the new address counts until something of there answers.
    case = Case()
    s = case.server
    peer, code = case.register("good")
    client = s.clients["good"]
    s.read(client, "/3/0", None)
    assert not client.heard
    peer.answer(peer.got()[-1], 0x45, b"")
    assert client.heard
    moved = case.peer(PORT, "10.0.0.10")
    assert moved.ask(POST, "rd/" + client.location).code == 0x44
    assert not client.heard and client.peer == moved.address
    assert moved.ask(POST, "rd/" + client.location).code == 0x44
    assert client.heard
    # An acknowledgement without a token proves nothing, as message ids can be guessed.
    case = Case()
    s = case.server
    peer, code = case.register("bad")
    s.read(s.clients["bad"], "/3/0", None)
    peer.empty(ACK, peer.got()[-1].mid)
    assert not s.clients["bad"].heard


# --- Operations


def test_operations_of_a_client_are_bounded():
    # It acknowledges all of them, and answers none.
    case = Case()
    s = case.server
    peer, code = case.register("dev", query="&lt=100000")
    client = s.clients["dev"]
    handle = s.observe(client, "/3/0/9", case.answered)
    peer.answer(peer.got()[-1], 0x45, b"1", 0, observe=1)
    case.answers.clear()
    for i in range(40):
        s.read(client, "/3/0/%d" % i, case.answered)
        m = peer.got()[-1:]
        if m and m[0].type == CON:
            peer.empty(ACK, m[0].mid)
    case.world.wait(0)
    assert case.answers == [("dev", 0xA3)] * 8  # at once, and the other 32 later
    assert len(client.operations) == 33 and handle.active
    case.world.wait(250)
    assert case.answers == [("dev", 0xA3)] * 40
    assert client.operations == [handle]
    # And then it is asked again.
    s.read(client, "/3/0/0", case.answered)
    peer.answer(peer.got()[-1], 0x45, b"")
    assert case.answers[-1] == ("dev", 0x45)
    # Observations that are there do not count.
    for i in range(50):
        s.observe(client, "/3/0/%d" % (100 + i), case.answered)
        peer.answer(peer.got()[-1], 0x45, b"1", 0, observe=1)
    assert case.answers[-50:] == [("dev", 0x45)] * 50


# --- The clock


def test_a_clock_that_jumps():
    day = 86400000
    for jump in (-1, -5000, -day, -5 * day, 7 * day, 10 * day, -(1 << 29), 1 << 29):
        case = Case(start=6 * day)
        world, s = case.world, case.server
        peer, code = case.register("dev", query="&lt=100")
        waiting, code = case.bootstrap_request("other", "10.0.0.8")
        s.read(s.clients["dev"], "/3/0", case.answered)
        world.wait(40)
        peer.got()
        waiting.got()
        world.time = world.time + jump & 0x3FFFFFFF
        assert 0 <= s.next_ms(world.now()) <= 100000
        # What was under way goes on from there: requests are given up 62 to 93 s after they were
        # sent first (RFC 7252 4.8), the lifetime ends when it does.
        world.wait(20)
        assert "dev" in s.clients and case.answers == [], (jump, case.answers)
        world.wait(34)
        assert case.register("new", "10.0.0.7", query="&lt=20")[1] == 0x41
        assert case.answers == [("dev", 0xA3)] and "dev" in s.clients, jump
        assert not case.bootstrap.sessions and (bs.FAILED, "other") in case.events
        world.wait(7)
        assert "dev" not in s.clients and "new" in s.clients, jump
        peer, code = case.bootstrap_request("other", "10.0.0.8")
        assert case.finish(peer)
        world.wait(60)
        assert not s.clients


def test_a_clock_that_goes_on_by_days():
    # Within six days it is time that has passed, as while the machine slept.
    case = Case()
    case.register("dev", query="&lt=100000")
    case.register("kept", "10.0.0.8", query="&lt=1000000")
    case.world.time += 5 * 86400000
    case.server.poll(case.world.now())
    assert list(case.server.clients) == ["kept"]


# --- Many at once


def test_a_new_client_after_a_burst_of_a_thousand():
    case = Case(clients=1000, sessions=1000)
    peers = []
    for i in range(1000):
        number = i // 250, i % 250
        peer, code = case.bootstrap_request("dev-%d" % i, "10.1.%d.%d" % number)
        assert code == 0x44
        peers.append(peer)
        case.forget()
        peer.seen = 0
    assert len(case.bootstrap.sessions) == 1000
    # All places are taken by who has been asked just now: nobody can be let in yet.
    assert case.bootstrap_request("new", "10.2.0.1")[1] == 0xA3
    del peers
    gc.collect()
    case.world.wait(2)
    peer, code = case.bootstrap_request("new", "10.2.0.1")
    assert code == 0x44 and case.finish(peer)
    # The server itself, when the thousand have registered and gone.
    case.bootstrap.close()
    case.forget()
    for turn in range(2):
        for i in range(1000):
            peer, code = case.register("dev-%d" % i, "10.1.%d.%d" % (i // 250, i % 250))
            assert code == 0x41, (turn, i, hex(code))
            case.forget()
        assert len(case.server.clients) == 1000
        for i in range(1000):
            peer = case.peer(PORT, "10.1.%d.%d" % (i // 250, i % 250))
            location = case.server.clients["dev-%d" % i].location
            peer.send(DELETE, "rd/" + location)
            case.forget()
        peer, code = case.register("new", "10.2.0.1")
        assert code == 0x41
        case.server.read(case.server.clients["new"], "/3/0", case.answered)
        peer.answer(peer.got()[-1], 0x45, b"")
        assert case.answers.pop() == ("new", 0x45)
        assert peer.ask(DELETE, "rd/" + case.server.clients["new"].location).code == 0x42
        case.world.wait(4)
