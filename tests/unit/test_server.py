# The LwM2M Server: registrations by hand-written datagrams, and with the real client.
# heapsize: 800K

import gc

import lwm2m
import lwm2m.server as server
from examples import DEVICE_TLV, DEVICE_VALUES
from lwm2m.credentials import Credentials
from lwm2m.model import FLOAT, INT, MULTI, OBJLNK, OPAQUE, STR, Object, R, W
from lwm2m.objects import DEVICE
from lwm2m.remote_client import _object_list, terms
from lwm2m.texts import endpoint_of, links, printable
from servers import Peer, Session, World, idle, payload
from ucoap import ACK, CON, DELETE, GET, NON, POST, PUT, RST, Error

PORT = 5683
LIST = b'</>;rt="oma.lwm2m";ct=11542,</1/0>,</3/0>'


class Log:
    """A Server in a World, and what it tells."""

    def __init__(self, **settings):
        self.world = World()
        self.events = []
        self.answers = []
        self.server = server.Server(
            PORT,
            on_client=lambda event, client: self.events.append((event, client)),
            net=self.world,
            **settings,
        )

    def answered(self, client, code, format, payload):
        self.answers.append((client, code, format, bytes(payload)))

    def register(self, endpoint="dev", address=("10.0.0.9", 9), query="&lt=60&lwm2m=1.1&b=U"):
        peer = Peer(self.world, PORT, address)
        m = peer.ask(POST, "rd", "ep=" + endpoint + query, LIST, 40)
        assert m.code == 0x41, hex(m.code)
        return peer, "rd/" + self.server.clients[endpoint].location


def test_register_bytes():
    # Annotated by hand from RFC 7252 3 and LwM2M 1.1 6.2.1.
    log = Log()
    peer = Peer(log.world, PORT)
    peer.raw(
        b"\x42\x02\x12\x34\xaa\xbb"  # version 1, CON, token of 2; POST; message id; token
        b"\xb2rd"  # 11 Uri-Path
        b"\x11\x28"  # 12 Content-Format 40
        b"\x36ep=dev"  # 15 Uri-Query
        b"\x06lt=300"
        b"\x09lwm2m=1.1"
        b"\x03b=U"
        b"\x01Q"
        b"\xff"
        b"</1/0>"
    )
    client = log.server.clients["dev"]
    name = client.location.encode()
    # ACK, token of 2; 2.01; the message id; token; 8 Location-Path, twice.
    assert log.world.sent[0][2] == b"\x62\x41\x12\x34\xaa\xbb\x82rd" + bytes([len(name)]) + name
    assert (client.lifetime, client.version, client.binding, client.queue) == (
        300,
        "1.1",
        "U",
        True,
    )
    assert client.peer == peer.address
    assert client.links == [("/1/0", {})]
    assert log.events == [(server.REGISTERED, client)]
    # The same datagram again gets the same answer, and is no second registration (RFC 7252 4.5).
    peer.raw(b"\x42\x02\x12\x34\xaa\xbb\xb2rd")
    assert log.world.sent[1][2] == log.world.sent[0][2]
    assert len(log.events) == 1


def test_register_accepted():
    # (query, lifetime, version, binding, queue): LwM2M 1.1 6.2.1 and 1.0 5.3.1 with their
    # defaults.
    for query, lifetime, version, binding, queue in (
        ("lwm2m=1.1", 86400, "1.1", "U", False),
        ("lt=0&lwm2m=1.1", 0, "1.1", "U", False),
        ("lt=4294967295&lwm2m=1.1&b=U", 4294967295, "1.1", "U", False),
        ("lwm2m=1.1&b=UT&Q", 86400, "1.1", "UT", True),
        ("lwm2m=1.0&b=UQ&lt=20", 20, "1.0", "U", True),
        ("lwm2m=1.1&b=UQ", 86400, "1.1", "U", True),
        ("lt=5", 5, "1.0", "U", False),
        ("lwm2m=1.1&sms=1&vendor=x", 86400, "1.1", "U", False),
    ):
        log = Log()
        log.register(query="&" + query)
        client = log.server.clients["dev"]
        got = client.lifetime, client.version, client.binding, client.queue
        assert got == (lifetime, version, binding, queue), query


def test_register_refused():
    for code, query, format, body in (
        (0x80, "lwm2m=1.1", 40, LIST),  # no ep
        (0x80, "ep=&lwm2m=1.1", 40, LIST),
        (0x80, "ep&lwm2m=1.1", 40, LIST),
        (0x80, "ep=a\x1b[2Jb&lwm2m=1.1", 40, LIST),
        (0x80, "ep=dev&lt=-1&lwm2m=1.1", 40, LIST),
        (0x80, "ep=dev&lt=1.5&lwm2m=1.1", 40, LIST),
        (0x80, "ep=dev&lt=&lwm2m=1.1", 40, LIST),
        (0x80, "ep=dev&lt=12345678901&lwm2m=1.1", 40, LIST),
        (0x80, "ep=dev&b=X&lwm2m=1.1", 40, LIST),
        (0x80, "ep=dev&lwm2m=1.1", 40, b""),
        (0x80, "ep=dev&lwm2m=1.1", 40, b"</1/0>,"[:-2]),  # </1/0
        (0x80, "ep=dev&lwm2m=1.1", 40, b"1/0"),
        (0x8C, "ep=dev&lwm2m=1.3", 40, LIST),
        (0x8C, "ep=dev&lwm2m=2.0", 40, LIST),
        (0x8C, "ep=dev&lwm2m=", 40, LIST),
        (0x8F, "ep=dev&lwm2m=1.1", 0, LIST),
        (0x8D, "ep=dev&lwm2m=1.1", 40, b"</1/0>," * 20 + b"</1>"),
    ):
        log = Log(max_links=128)
        m = Peer(log.world, PORT).ask(POST, "rd", query, body, format)
        assert m.code == code, (query, body, m.code)
        assert not log.server.clients and not log.events
    log = Log(max_links=128)
    log.server.engine.on_exception = None
    m = Peer(log.world, PORT).ask(POST, "rd", "ep=dev", b"</>" + b"," * 10)
    assert m.code == 0x80 and payload(m).startswith(b"object list: ")


def test_other_requests():
    log = Log()
    peer, location = log.register()
    for code, method, path in (
        (0x84, GET, ""),
        (0x84, POST, "bs"),
        (0x84, GET, ".well-known/core"),
        (0x85, GET, "rd"),
        (0x85, DELETE, "rd"),
        (0x84, POST, "rd/none"),
        (0x84, DELETE, "rd/none"),
        (0x85, GET, location),
        (0x85, PUT, location),
        (0x84, POST, location + "/x"),
    ):
        assert peer.ask(method, path).code == code, (method, path)
    assert len(log.server.clients) == 1


def test_application_refuses():
    asked = []

    def allow(endpoint, peer):
        asked.append((endpoint, peer))
        return endpoint == "good"

    log = Log(allow=allow)
    peer = Peer(log.world, PORT)
    assert peer.ask(POST, "rd", "ep=bad", LIST, 40).code == 0x83
    assert peer.ask(POST, "rd", "ep=good", LIST, 40).code == 0x41
    assert asked == [("bad", peer.address), ("good", peer.address)]
    assert list(log.server.clients) == ["good"]


def test_bounded():
    log = Log(max_clients=2)
    log.register("a", ("10.0.0.1", 1))
    log.register("b", ("10.0.0.2", 1))
    peer = Peer(log.world, PORT, ("10.0.0.3", 1))
    assert peer.ask(POST, "rd", "ep=c&lwm2m=1.1", LIST, 40).code == 0xA3
    log.register("a", ("10.0.0.1", 1))  # a known one may come again
    assert sorted(log.server.clients) == ["a", "b"]
    log.server.close()
    assert not log.world.servers and not log.world.roles


def test_update():
    log = Log()
    peer, location = log.register()
    client = log.server.clients["dev"]
    m = peer.ask(POST, location)
    assert m.code == 0x44 and not payload(m)
    assert (client.lifetime, client.queue) == (60, False)
    assert peer.ask(POST, location, "lt=90&b=UQ").code == 0x44
    assert (client.lifetime, client.binding, client.queue) == (90, "U", True)
    assert peer.ask(POST, location, "b=U").code == 0x44
    assert (client.lifetime, client.queue) == (90, False)
    assert peer.ask(POST, location, "", b"</>;ct=110,</5>;ver=1.1", 40).code == 0x44
    assert client.links == [("/5", {"ver": "1.1"})]
    # A bad one changes nothing.
    for query, body in (("lt=x", b"</6>"), ("b=?", b"</6>"), ("lt=1", b"<")):
        assert peer.ask(POST, location, query, body, 40).code == 0x80
        assert client.lifetime == 90 and client.links == [("/5", {"ver": "1.1"})]
    assert log.events == [(server.REGISTERED, client)] + [(server.UPDATED, client)] * 4


def test_deregister():
    log = Log()
    peer, location = log.register()
    client = log.server.clients["dev"]
    log.server.read(client, "/3/0", log.answered)
    request = peer.got()[-1]
    assert peer.ask(DELETE, location).code == 0x42
    assert log.answers == [(client, 0xA3, None, b"")]
    assert log.events[1:] == [(server.DEREGISTERED, client)]
    assert not log.server.clients
    assert peer.ask(DELETE, location).code == 0x84
    assert peer.ask(POST, location).code == 0x84
    peer.answer(request, 0x45, b"late")
    log.world.wait(120)  # nothing is sent any more
    assert not peer.got() and len(log.answers) == 1
    try:
        log.server.read(client, "/3/0", log.answered)
        raise AssertionError
    except ValueError as e:
        assert "dev is not registered" in str(e)


def test_registers_again():
    log = Log()
    peer, old = log.register(query="&lt=60&lwm2m=1.1&b=UT")
    client = log.server.clients["dev"]
    log.server.read(client, "/3/0", log.answered)
    log.server.read(client, "/3/1", log.answered)
    other, new = log.register(address=("10.0.0.8", 8), query="&lwm2m=1.0&lt=10")
    assert new != old and log.server.clients["dev"] is client
    assert len(log.server.clients) == 1
    assert (client.lifetime, client.version, client.peer) == (10, "1.0", other.address)
    assert client.binding == "U"  # nothing of the old one stays
    # What was asked of it before has no answer any more.
    assert [answer[1] for answer in log.answers] == [0xA3, 0xA3]
    assert other.ask(POST, old).code == 0x84
    assert other.ask(POST, new).code == 0x44
    peer.got()
    log.world.wait(9)
    assert not peer.got()
    assert [event for event, c in log.events] == [1, 1, 2]
    # One that is refused leaves the old one as it is.
    assert other.ask(POST, "rd", "ep=dev&lt=x", LIST, 40).code == 0x80
    assert other.ask(POST, new).code == 0x44


def test_lifetime():
    # Days of fake time, in which the clock of 2 ** 30 ms (12.4 days) wraps, twice.
    day = 86400
    log = Log(allow=lambda endpoint, peer: True)
    log.world.time = 0x3FFFFFFF - 5000
    peer, location = log.register("a", ("10.0.0.1", 1), "&lt=%d" % (30 * day))
    log.register("b", ("10.0.0.2", 1), "&lt=0")
    log.register("c", ("10.0.0.3", 1), "&lt=60")
    log.register("d", ("10.0.0.4", 1), "&lt=4000000000")
    keeper, kept = log.register("e", ("10.0.0.5", 1), "&lt=10")
    assert log.server.next_ms() == 10000
    log.world.wait(8)
    assert keeper.ask(POST, kept).code == 0x44  # which begins its lifetime anew
    log.world.wait(9)
    assert "e" in log.server.clients
    log.world.wait(3)
    assert "e" not in log.server.clients and keeper.ask(POST, kept).code == 0x84
    # Not a millisecond too early, when it has not begun with a whole second.
    log.world.time += 999
    log.server.poll(log.world.now())
    log.register("f", ("10.0.0.6", 1), "&lt=2")
    log.world.time += 1999
    log.server.poll(log.world.now())
    assert "f" in log.server.clients
    log.world.wait(1)
    assert "f" not in log.server.clients
    log.world.wait(34)
    assert "c" in log.server.clients  # 57.998 s
    log.world.wait(4)
    assert "c" not in log.server.clients
    log.world.wait(30 * day - 120)
    assert "a" in log.server.clients
    log.world.wait(120)
    assert "a" not in log.server.clients
    assert [(e, c.endpoint) for e, c in log.events if e == server.EXPIRED] == [
        (server.EXPIRED, "e"),
        (server.EXPIRED, "f"),
        (server.EXPIRED, "c"),
        (server.EXPIRED, "a"),
    ]
    log.world.wait(1000 * day)
    assert sorted(log.server.clients) == ["b", "d"]


def test_clients_address_is_followed():
    log = Log()
    peer, location = log.register()
    client = log.server.clients["dev"]
    handle = log.server.observe(client, "/3/0/9", log.answered)
    peer.answer(peer.got()[-1], 0x45, b"1", 0, observe=1)
    log.server.read(client, "/3/0/1", log.answered)  # is under way
    token = peer.got()[-1].token
    moved = Peer(log.world, PORT, ("10.0.0.99", 7))
    assert moved.ask(POST, location).code == 0x44
    assert client.peer == moved.address
    moved.got()
    log.world.wait(3)  # the read is sent again, to the new address
    request = moved.got()[0]
    assert request.token == token and not peer.got()
    moved.answer(request, 0x45, b"x", 0)
    request.token = handle.exchange.token
    moved.answer(request, 0x45, b"2", 0, observe=2, type=NON)
    assert [answer[3] for answer in log.answers] == [b"1", b"x", b"2"]


def test_requests():
    # What each call sends: code, and options by LwM2M 1.1 6.3 and RFC 7252 5.10.
    log = Log()
    peer, location = log.register()
    s = log.server
    c = s.clients["dev"]
    cb = log.answered
    path3 = [(11, b"3"), (11, b"0"), (11, b"13")]
    for call, code, options, body in (
        # Without Accept some clients answer in SenML, which is not read here.
        (lambda: s.read(c, "/3/0/13", cb), GET, path3 + [(17, b"")], b""),
        (lambda: s.read(c, "/3/0/13/1", cb), GET, path3 + [(11, b"1"), (17, b"")], b""),
        (lambda: s.read(c, "/3/0", cb), GET, path3[:2] + [(17, b"\x2d\x16")], b""),
        (lambda: s.read(c, "/3", cb), GET, [(11, b"3"), (17, b"\x2d\x16")], b""),
        (lambda: s.read(c, "/3", cb, accept=110), GET, [(11, b"3"), (17, b"\x6e")], b""),
        (lambda: s.write(c, "/3/0/13", 42), PUT, path3 + [(12, b"")], b"42"),
        (lambda: s.write(c, "/3/0/13", True), PUT, path3 + [(12, b"")], b"1"),
        (lambda: s.write(c, "/3/0/13", "a b"), PUT, path3 + [(12, b"")], b"a b"),
        (lambda: s.write(c, "/3/0/13", b"\x00\x01"), PUT, path3 + [(12, b"\x2a")], b"\x00\x01"),
        (lambda: s.write(c, "/3/0/13", 42, None, 60), PUT, path3 + [(12, b"\x3c")], b"\x18\x2a"),
        (
            lambda: s.write(c, "/3/0/13", True, None, 110),
            PUT,
            path3 + [(12, b"\x6e")],
            b'[{"bn":"/3/0/","n":"13","vb":true}]',
        ),
        (
            lambda: s.write(c, "/3/0", b"\xc1\x01a", replace=False),
            POST,
            path3[:2] + [(12, b"\x2d\x16")],
            b"\xc1\x01a",
        ),
        (lambda: s.execute(c, "/3/0/13"), POST, path3, b""),
        (lambda: s.execute(c, "/3/0/13", cb, "0='x'"), POST, path3 + [(12, b"")], b"0='x'"),
        (lambda: s.discover(c, "/3/0", cb), GET, path3[:2] + [(17, b"\x28")], b""),
        (
            lambda: s.create(c, "/3", b"\xc1\x01a"),
            POST,
            [(11, b"3"), (12, b"\x2d\x16")],
            b"\xc1\x01a",
        ),
        (lambda: s.delete(c, "/3/0"), DELETE, path3[:2], b""),
        (
            lambda: s.write_attributes(c, "/3/0", {"pmin": 10}),
            PUT,
            path3[:2] + [(15, b"pmin=10")],
            b"",
        ),
        (lambda: s.write_attributes(c, "/3/0", {"gt": None}), PUT, path3[:2] + [(15, b"gt")], b""),
        (
            lambda: s.write_attributes(c, "/3/0/13/0", {"con": True}, cb),
            PUT,
            path3 + [(11, b"0"), (15, b"con=1")],
            b"",
        ),
        (
            lambda: s.write_attributes(c, "/3/0/13", {"lt": -2.5}, cb),
            PUT,
            path3 + [(15, b"lt=-2.5")],
            b"",
        ),
        (lambda: s.observe(c, "/3/0/13", cb), GET, [(6, b"")] + path3 + [(17, b"")], b""),
        (
            lambda: s.observe(c, "/3/0", cb),
            GET,
            [(6, b"")] + path3[:2] + [(17, b"\x2d\x16")],
            b"",
        ),
    ):
        call()
        m = peer.got()[-1]
        o = m.options
        sent = [(o[n], m.data[o[n + 1] : o[n + 1] + o[n + 2]]) for n in range(0, m.count, 3)]
        assert (m.type, m.code, sent, payload(m)) == (CON, code, options, body)
        peer.answer(m, 0x84)
    assert not c.operations


def test_wrong_arguments():
    log = Log()
    log.register()
    s = log.server
    c = s.clients["dev"]
    for call in (
        lambda: s.read(c, "3/0", None),
        lambda: s.read(c, "/", None),
        lambda: s.read(c, "", None),
        lambda: s.read(c, "/3//1", None),
        lambda: s.read(c, "/3/x", None),
        lambda: s.read(c, "/3/-1", None),
        lambda: s.read(c, "/65536", None),
        lambda: s.read(c, "/1/2/3/4/5", None),
        lambda: s.write(c, "/3", b""),
        lambda: s.write(c, "/3/0/1", "x", format=42),
        lambda: s.write(c, "/3/0", {0: 1}),
        lambda: s.write(c, "/3/0", 1, format=110),
        lambda: s.write(c, "/3/0/1", 1, format=11543),
        lambda: s.write(c, "/3/0/1", None),
        lambda: s.execute(c, "/3/0"),
        lambda: s.create(c, "/3/0", b""),
        lambda: s.delete(c, "/3"),
        lambda: s.write_attributes(c, "/", {"pmin": 1}),
        lambda: s.write_attributes(c, "/1/2/3/4/5", {"pmin": 1}),
    ):
        try:
            call()
        except ValueError as e:
            assert str(e)
        else:
            raise AssertionError
    assert not c.operations
    try:
        server.Server(PORT, net=World(), size=64)
        raise AssertionError
    except ValueError:
        pass


def test_answers():
    log = Log()
    peer, location = log.register()
    s = log.server
    c = s.clients["dev"]
    s.read(c, "/3/0/1", log.answered)
    s.create(c, "/3", b"", log.answered)
    s.execute(c, "/3/0/4", log.answered)
    first = peer.got()
    assert len(first) == 1  # one at a time (RFC 7252 4.7)
    peer.answer(first[0], 0x45, b"hello", 0)
    second = peer.got()
    assert len(second) == 1
    # 2.01, Location-Path 3 and 7, by hand.
    head = bytes([0x60 | len(second[0].token), 0x41]) + second[0].mid.to_bytes(2, "big")
    peer.raw(head + second[0].token + b"\x813\x017")
    third = peer.got()[0]
    peer.empty(ACK, third.mid)  # a separate response (RFC 7252 5.2.2)
    peer.answer(third, 0x85, b"not allowed", type=CON)
    assert [m.type for m in peer.got()] == [ACK]
    assert log.answers == [
        (c, 0x45, 0, b"hello"),
        (c, 0x41, None, b"/3/7"),
        (c, 0x85, None, b"not allowed"),
    ]
    assert not c.operations


def test_resources_of_several_values_are_asked_for_in_tlv():
    # Text carries one value: after 4.06 the same is asked for in TLV, and that is the end of it.
    log = Log()
    peer, location = log.register()
    s = log.server
    c = s.clients["dev"]
    s.read(c, "/3/0/11", log.answered)
    handle = s.observe(c, "/3/0/6", log.answered)
    s.read(c, "/3/0/7", log.answered, accept=0)  # the application's own choice
    for path, accept, code in (
        ("11", 0, 0x86),
        ("6", 0, 0x86),
        ("7", 0, 0x86),
        ("11", 11542, 0x45),
        ("6", 11542, 0x45),
    ):
        m = peer.got()[0]
        assert m.strings(11) == ["3", "0", path] and m.uint(17) == accept
        assert m.uint(6) == (0 if path == "6" else None)
        peer.answer(m, code, b"x", accept, observe=1 if path == "6" and code == 0x45 else None)
    assert [answer[1] for answer in log.answers] == [0x86, 0x45, 0x45]
    assert handle.active and c.operations == [handle]
    s.cancel(handle)
    m = peer.got()[0]
    assert m.uint(17) == 11542
    peer.answer(m, 0x45)
    # It refuses that as well.
    s.read(c, "/3/0/11", log.answered)
    for accept in (0, 11542):
        m = peer.got()[0]
        assert m.uint(17) == accept
        peer.answer(m, 0x86)
    assert [answer[1] for answer in log.answers] == [0x86, 0x45, 0x45, 0x86]
    assert not peer.got() and not c.operations


def test_no_answer():
    log = Log()
    peer, location = log.register(query="&lt=1000")
    s = log.server
    c = s.clients["dev"]
    s.read(c, "/3/0/1", log.answered)
    s.read(c, "/3/0/2", log.answered)
    log.world.wait(93)  # MAX_TRANSMIT_WAIT, RFC 7252 4.8.2
    assert log.answers == [(c, 0xA3, None, b"")]
    sent = peer.got()
    assert [payload(m) for m in sent[:5]] == [b""] * 5  # once, and MAX_RETRANSMIT times again
    assert len({m.mid for m in sent[:5]}) == 1
    peer.empty(RST, sent[-1].mid)
    assert log.answers[1:] == [(c, 0xA3, None, b"")]
    assert not c.operations and c.endpoint in s.clients


def test_observe():
    log = Log()
    peer, location = log.register()
    s = log.server
    c = s.clients["dev"]
    handle = s.observe(c, "/3303/0/5700", log.answered, accept=0)
    m = peer.got()[0]
    token = m.token
    assert m.uint(6) == 0 and not handle.active
    peer.answer(m, 0x45, b"20", 0, observe=5)
    assert handle.active and c.operations == [handle]
    peer.answer(m, 0x45, b"21", 0, observe=6, type=NON)
    peer.answer(m, 0x45, b"22", 0, observe=7, type=CON)
    assert [m.type for m in peer.got()] == [ACK]
    peer.answer(m, 0x45, b"19", 0, observe=4, type=NON)  # overtaken (RFC 7641 3.4)
    assert [a[3] for a in log.answers] == [b"20", b"21", b"22"]
    # Other operations do not wait for an observation.
    s.read(c, "/3/0/1", log.answered)
    peer.answer(peer.got()[0], 0x45, b"x", 0)
    # It is ended actively: same token, same options but Observe 1 (RFC 7641 3.6).
    s.cancel(handle, log.answered)
    end = peer.got()[0]
    assert not handle.active and handle not in c.operations
    assert (end.code, end.uint(6), end.token, end.uint(17)) == (GET, 1, token, 0)
    assert end.strings(11) == ["3303", "0", "5700"]
    peer.answer(end, 0x45, b"23", 0)
    assert log.answers[-1] == (c, 0x45, 0, b"23") and not c.operations
    # Another notification is one that nobody asked for.
    n = len(log.answers)
    peer.answer(m, 0x45, b"24", 0, observe=9, type=CON)
    assert [m.type for m in peer.got()] == [RST] and len(log.answers) == n
    s.cancel(handle)  # over already
    assert not peer.got()


def test_observe_ends():
    log = Log()
    peer, location = log.register()
    s = log.server
    c = s.clients["dev"]
    # Refused: a plain answer.
    handle = s.observe(c, "/3/0/1", log.answered)
    peer.answer(peer.got()[0], 0x45, b"1", 0)
    assert not handle.active and not c.operations
    # Refused with an error.
    handle = s.observe(c, "/3/0/1", log.answered)
    peer.answer(peer.got()[0], 0x84)
    assert not handle.active and not c.operations
    # Ended by the client, with an error (RFC 7641 4.2).
    handle = s.observe(c, "/3/0/1", log.answered)
    m = peer.got()[0]
    peer.answer(m, 0x45, b"2", 0, observe=1)
    peer.answer(m, 0x84, type=CON)
    assert not handle.active and not c.operations
    assert [a[1:] for a in log.answers] == [
        (0x45, 0, b"1"),
        (0x84, None, b""),
        (0x45, 0, b"2"),
        (0x84, None, b""),
    ]
    # Cancelled before the first value: that is not told, and what follows is reset.
    peer.got()
    handle = s.observe(c, "/3/0/1", log.answered)
    m = peer.got()[0]
    s.cancel(handle)
    peer.answer(m, 0x45, b"3", 0, observe=1)
    peer.answer(m, 0x45, b"4", 0, observe=2, type=CON)
    assert [m.type for m in peer.got()] == [RST]
    assert len(log.answers) == 4 and not c.operations
    # To observe a path again ends what was there.
    first = s.observe(c, "/3/0/1", log.answered)
    peer.answer(peer.got()[0], 0x45, b"5", 0, observe=1)
    second = s.observe(c, "/3/0/1", log.answered)
    peer.answer(peer.got()[0], 0x45, b"6", 0, observe=1)
    assert not first.active and second.active and c.operations == [second]
    # The client goes: the observation has its last word.
    assert peer.ask(DELETE, location).code == 0x42
    assert log.answers[-1] == (c, 0xA3, None, b"") and not second.active


def test_long_notification():
    # RFC 7959 2.6: the first block comes by itself, the rest is fetched, without Observe.
    log = Log()
    peer, location = log.register()
    c = log.server.clients["dev"]
    log.server.observe(c, "/3", log.answered)
    m = peer.got()[0]
    peer.answer(m, 0x45, b"short", 42, observe=1)
    w = b"\x54\x45\x20\x01" + m.token  # NON, 2.05
    # 6 Observe 2; 12 Content-Format 42; 23 Block2 number 0, more, 16 bytes
    peer.raw(w + b"\x61\x02\x61\x2a\xb1\x08\xff" + b"0123456789abcdef")
    follow = peer.got()[0]
    assert follow.code == GET and follow.uint(23) == 0x10 and follow.uint(6) is None
    head = bytes([0x60 | len(follow.token), 0x45]) + follow.mid.to_bytes(2, "big")
    peer.raw(head + follow.token + b"\xc1\x2a\xb1\x10\xff" + b"ghi")
    assert [a[1:] for a in log.answers] == [
        (0x45, 42, b"short"),
        (0x45, 42, b"0123456789abcdefghi"),
    ]
    assert c.operations[0].active


def test_callbacks_that_raise():
    raised = []
    world = World()

    def fail(*args):
        raise KeyError(args[0])

    s = server.Server(PORT, on_client=fail, net=world)
    s.engine.on_exception = raised.append
    peer = Peer(world, PORT)
    assert peer.ask(POST, "rd", "ep=dev", LIST, 40).code == 0x41
    assert len(raised) == 1
    s.engine.on_exception = None  # nobody wants to know
    assert peer.ask(POST, "rd", "ep=dev", LIST, 40).code == 0x41
    assert len(raised) == 1
    s.engine.on_exception = raised.append
    s.read(s.clients["dev"], "/3", fail)
    s.read(s.clients["dev"], "/3", fail)
    peer.answer(peer.got()[0], 0x45)
    assert len(raised) == 2
    assert peer.ask(DELETE, "rd/" + s.clients["dev"].location).code == 0x42
    assert len(raised) == 4  # the second read, and DEREGISTERED
    s.allow = fail
    assert peer.ask(POST, "rd", "ep=dev", LIST, 40).code == 0xA0 and not s.clients


def test_idle_step_allocates_nothing():
    log = Log()
    peer, location = log.register()
    handle = log.server.observe(log.server.clients["dev"], "/3/0/1", log.answered)
    peer.answer(peer.got()[0], 0x45, b"1", 0, observe=1)
    assert handle.active
    assert idle(log.server, log.world.now()) == 60000


def test_links():
    def read(data):
        return list(links(data))

    assert read(b"") == []
    assert read(b"</1/0>") == [("/1/0", {})]
    assert read(b'</>;rt="oma.lwm2m";ct="60 110";x,</1>,\r\n </2/0>;ssid=3') == [
        ("/", {"rt": "oma.lwm2m", "ct": "60 110", "x": ""}),
        ("/1", {}),
        ("/2/0", {"ssid": "3"}),
    ]
    # Within quotes anything may stand.
    assert read(b'</0/1>;uri="coap://a,b;c=<d>"') == [("/0/1", {"uri": "coap://a,b;c=<d>"})]
    assert read(b'lwm2m="1.0",</0>') == [(None, {"lwm2m": "1.0"}), ("/0", {})]
    for bad in (
        b"<",
        b"</1",
        b"</1>x",
        b"</1>;;",
        b"</1>;=1",
        b"</1>,x=1",
        b",</1>",
        b'</1>;a="b',
        b'</1>;a="b"c',
        b"</1>;a=b=c"[:-2] + b"<",
        b"\xff",
        b"<\xff>",
    ):
        try:
            got = read(bad)
        except ValueError:
            continue
        raise AssertionError((bad, got))


def test_object_list():
    log = Log()
    peer = Peer(log.world, PORT)
    for body, root, formats, found in (
        (b"</1/0>,</5>", "", (), [("/1/0", {}), ("/5", {})]),
        (b'</>;rt="oma.lwm2m";ct=11542,</1/0>', "", (11542,), [("/1/0", {})]),
        (b'</>;ct="60 110";rt="oma.lwm2m",</1/0>', "", (60, 110), [("/1/0", {})]),
        # An alternate path (LwM2M 1.0 5.3.1).
        (b'</lwm2m>;rt="oma.lwm2m",</lwm2m/1/0>,</x>', "/lwm2m", (), [("/1/0", {})]),
    ):
        assert peer.ask(POST, "rd", "ep=dev", body, 40).code == 0x41
        c = log.server.clients["dev"]
        assert (c.root, c.formats, c.links) == (root, formats, found)
    log.server.read(c, "/3/0", None)
    assert peer.got()[-1].strings(11) == ["lwm2m", "3", "0"]


def test_alternate_paths_that_are_no_good_are_refused():
    # Every request would have to carry it: with 1,200 bytes of it read() raised.
    for root in (
        "/" + "a" * 1200,
        "/" + "a" * 64,
        "/a/" * 22,
        "lwm2m",
        "coap://h/a",
        "/a?b",
        "//a",
    ):
        log = Log()
        body = ('<%s>;rt="oma.lwm2m",</1/0>' % root).encode()
        m = Peer(log.world, PORT).ask(POST, "rd", "ep=dev&lwm2m=1.1", body, 40)
        assert m.code == 0x80 and b"alternate path" in payload(m), root
        assert not log.server.clients
        peer, location = log.register()
        m = peer.ask(POST, location, "", body, 40)
        assert m.code == 0x80 and log.server.clients["dev"].root == ""
    # The longest one, with the longest of all that goes with it, in the smallest datagram.
    log = Log(size=128)
    root = "/" + "a" * 31 + "/" + "b" * 31
    body = ('<%s>;rt="oma.lwm2m",<%s/1/0>' % (root, root)).encode()
    peer = Peer(log.world, PORT)
    assert peer.ask(POST, "rd", "ep=dev&lwm2m=1.1", body, 40).code == 0x41
    c = log.server.clients["dev"]
    log.server.observe(c, "/65534/65534/65534/65534", log.answered, accept=11542)
    assert peer.got()[-1].strings(11) == ["a" * 31, "b" * 31] + ["65534"] * 4


def test_what_does_not_fit_is_a_wrong_argument():
    log = Log(size=128)
    log.register()
    c = log.server.clients["dev"]
    try:
        log.server.write_attributes(c, "/3/0", {"x" * 200: 1})
        raise AssertionError
    except ValueError as e:
        assert "128 bytes" in str(e)
    assert not c.operations


OTHER = (0, OPAQUE, 1, FLOAT, 2, OBJLNK, 3, INT | MULTI, 4, STR)


def test_values():
    instance = b"\x08\x00" + bytes([len(DEVICE_TLV)]) + DEVICE_TLV
    assert len(DEVICE_TLV) == 121  # the example says so
    for resources, path, format, data, expected in (
        (DEVICE, "/3/0", 11542, DEVICE_TLV, DEVICE_VALUES),
        (DEVICE, "/3/0", 11542, instance, DEVICE_VALUES),
        (DEVICE, "/3", 11542, instance, {0: DEVICE_VALUES}),
        (DEVICE, "/3", 11542, b"", {}),
        (DEVICE, "/3/0/9", 11542, b"\xc1\x09\x64", {9: 100}),
        (DEVICE, "/3/0/9", 0, b"100", {9: 100}),
        (DEVICE, "/3/0/9", None, b"100", {9: 100}),
        (DEVICE, "/3/0/9", 60, b"\x18\x64", {9: 100}),
        (DEVICE, "/3/0/9", 110, b'[{"bn":"/3/0/9","v":100}]', {9: 100}),
        (DEVICE, "/3/0/9", 110, b"[]", {}),
        (DEVICE, "/3/0/9", 112, b"\x81\xa2\x21\x66/3/0/9\2\x18\x64", {9: 100}),
        (DEVICE, "/3/0/9", 11544, b"\xa1\x83\3\0\x09\x18\x64", {9: 100}),
        (DEVICE, "/3/0/6/1", 11544, b"\xa1\x84\3\0\6\1\5", {6: {1: 5}}),
        (
            DEVICE,
            "/3/0/6",
            110,
            b'[{"n":"/3/0/6/0","v":1},{"n":"/3/0/6/1","v":5}]',
            {6: {0: 1, 1: 5}},
        ),
        (
            DEVICE,
            "/3",
            110,
            b'[{"bn":"/3/0/","n":"9","v":100},{"n":"0","vs":"x"}]',
            {0: {9: 100, 0: "x"}},
        ),
        (DEVICE, "/3/0/6", 11542, b"\x86\x06\x41\x00\x01\x41\x01\x05", {6: {0: 1, 1: 5}}),
        (DEVICE, "/3/0/6/1", 11542, b"\x83\x06\x41\x01\x05", {6: {1: 5}}),
        (DEVICE, "/3/0/6/1", 11542, b"\x41\x01\x05", {6: {1: 5}}),
        (DEVICE, "/3/0/6/1", 0, b"5", {6: {1: 5}}),
        (DEVICE, "/3/0", 11542, b"\xe1\x27\x10\x01" + b"\xc1\x09\x64", {9: 100}),  # no 10000
        (OTHER, "/9/0/0", 42, b"\x00\xff", {0: b"\x00\xff"}),
        (OTHER, "/9/0/0", 0, b"AP8=", {0: b"\x00\xff"}),
        (OTHER, "/9/0/1", 0, b"1.5", {1: 1.5}),
        (OTHER, "/9/0/2", 0, b"3:0", {2: (3, 0)}),
    ):
        assert server.values(resources, path, format, data) == expected, path
    for resources, path, format, data in (
        (DEVICE, "/3/0", 11542, DEVICE_TLV[:-1]),
        (DEVICE, "/3", 11542, DEVICE_TLV),
        (DEVICE, "/3/0", 11542, b"\x08"),
        (DEVICE, "/3/0/9", 0, b"many"),
        (DEVICE, "/3/0", 0, b"x"),
        (DEVICE, "/3/0/9", 11543, b"{}"),
        (DEVICE, "/3/0/9", 110, b'[{"n":"/3/0/10","v":1}]'),
        (DEVICE, "/3/0", 60, b"\1"),
        (DEVICE, "/3/0/99", 0, b"x"),
        (DEVICE, "3/0", 0, b"x"),
        (OTHER, "/9/0/0", 0, b"AP8"),
    ):
        try:
            server.values(resources, path, format, data)
        except ValueError as e:
            assert path in str(e)
        else:
            raise AssertionError(path)
    for n in range(len(DEVICE_TLV)):  # cut anywhere
        try:
            got = server.values(DEVICE, "/3/0", 11542, DEVICE_TLV[:n])
        except ValueError:
            continue
        assert all(got[rid] == DEVICE_VALUES[rid] for rid in got) and len(got) < 13


def test_encode():
    assert server.encode(DEVICE, {9: 100, 0: "MP", 6: {1: 5}}) == (
        b"\xc2\x00MP\x83\x06\x41\x01\x05\xc1\x09\x64"
    )
    values = {9: 100, 6: {1: 5}}
    assert server.encode(DEVICE, values, "/3/0", 110) == (
        b'[{"bn":"/3/0/","n":"6/1","v":5},{"n":"9","v":100}]'
    )
    assert server.encode(DEVICE, values, "/3/7", 11544) == (
        b"\xbf\x82\3\7\xbf\6\xbf\1\5\xff\x09\x18\x64\xff\xff"
    )
    try:
        server.encode(DEVICE, {99: 1})
        raise AssertionError
    except ValueError as e:
        assert "99" in str(e)


# What a terminal or a log acts on: C0, DEL, C1, separators of lines and paragraphs, and what turns
# the direction of writing (Unicode 16, UAX 9, 2).
NOT_PRINTED = "\0\a\n\r\x1b\x7f\x80\x9b\x9f\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069"
PRINTED = " ~\xa0°é\u061b\u061d\u200d\u2010\u2027\u202f\u2065\u206a\u4e00\U0001f600"


def test_endpoint_names_with_controls_are_refused():
    assert endpoint_of({"ep": "a b"}) == "a b"
    assert endpoint_of({"ep": PRINTED}) == PRINTED
    for name in ["", NOT_PRINTED] + ["a%sb" % c for c in NOT_PRINTED]:
        try:
            endpoint_of({"ep": name})
        except Error as e:
            assert e.code == 0x80 and "ep" in e.text
        else:
            raise AssertionError(name)
        log = Log()
        peer = Peer(log.world, PORT)
        m = peer.ask(POST, "rd", "ep=%s&lwm2m=1.1" % name, LIST, 40)
        assert m.code == 0x80 and payload(m), name
        assert not log.server.clients and not log.events


def test_printable():
    assert printable("") == ""
    assert printable(PRINTED) == PRINTED
    assert printable("a\x1b]0;b\x07c") == "a\\x1b]0;b\\x07c"
    assert printable("\u202etxt\u2066") == "\\u202etxt\\u2066"
    assert printable(b"a\r\n") == "a\\x0d\\x0a"
    assert printable(b"\xff\x9b1m\xc3") == "\\xff\\x9b1m\\xc3"
    for c in NOT_PRINTED:
        for text in ("a%sb" % c, ("a%sb" % c).encode(), c * 100):
            found = printable(text)
            assert c not in found and "\\" in found


def test_with_the_client():
    log = Log()
    world, s = log.world, log.server
    sensor = Object(
        3303, (5700, R | FLOAT, 5701, R | W | STR), {0: {5700: 20.5, 5701: "Cel"}}, multiple=True
    )
    client = lwm2m.Client("dev", net=world)
    client.add_object(sensor)
    client.add_server(1, "coap://10.0.0.2:%d" % PORT, lwm2m.SEC_NONE, lifetime=3600)
    assert world.run(lambda: "dev" in s.clients, 10)
    c = s.clients["dev"]
    assert [path for path, _ in c.links] == ["/1/0", "/3/0", "/3303/0"] and c.formats == (112,)

    def ask(call, *args, **more):
        n = len(log.answers)
        call(c, *args, callback=log.answered, **more)
        assert world.run(lambda: len(log.answers) > n, 5)
        return log.answers[-1][1:]

    code, format, data = ask(s.read, "/3303/0")
    values = server.values(sensor.resources, "/3303/0", format, data)
    assert code == 0x45 and values == {5700: 20.5, 5701: "Cel"}
    assert ask(s.write, "/3303/0/5701", "F") == (0x44, None, b"")
    assert sensor.get(0, 5701) == "F"
    assert ask(s.write, "/3303/0/5700", 1.0)[0] == 0x85
    for format in (110, 112, 11544, 11542):
        assert ask(s.write, "/3303/0/5701", "K%d" % format, format=format) == (0x44, None, b"")
        code, got, data = ask(s.read, "/3303/0", accept=format)
        assert (code, got) == (0x45, format)
        values = server.values(sensor.resources, "/3303/0", format, data)
        assert values == {5700: 20.5, 5701: "K%d" % format}
    code, format, data = ask(s.discover, "/3303/0")
    assert [path for path, _ in links(data)] == ["/3303/0", "/3303/0/5700", "/3303/0/5701"]
    value = server.encode(sensor.resources, {5700: 1.5, 5701: "K"})
    assert ask(s.create, "/3303", value) == (0x41, None, b"/3303/1")
    assert ask(s.delete, "/3303/1")[0] == 0x42
    assert ask(s.execute, "/1/0/8")[0] == 0x44
    assert ask(s.read, "/0")[0] == 0x81
    # An observation, until it is cancelled.
    assert world.run(lambda: not c.operations, 5)
    handle = s.observe(c, "/3303/0/5700", log.answered)
    assert world.run(lambda: handle.active, 5)
    n = len(log.answers)
    sensor.set(0, 5700, 21.5)
    assert world.run(lambda: len(log.answers) > n, 5)
    assert log.answers[-1][1:] == (0x45, 0, b"21.5")
    s.cancel(handle)
    world.wait(1)
    n = len(log.answers)
    sensor.set(0, 5700, 22.5)
    world.wait(60)
    assert len(log.answers) == n
    # It updates before its lifetime ends, for days, and says good-bye.
    world.wait(3 * 86400)
    assert (server.EXPIRED, c) not in log.events
    client.close()
    world.deliver()
    assert log.events[-1] == (server.DEREGISTERED, c) and not s.clients


def test_noise():
    # Nothing that comes raises, and nothing is kept of it.
    log = Log(max_clients=4)
    raised = []
    log.server.engine.on_exception = raised.append
    world = log.world
    peer, location = log.register("dev", ("10.0.0.1", 1), "&lt=1000000")
    good = world.sent[0][2]
    c = log.server.clients["dev"]
    log.server.observe(c, "/3/0/1", log.answered)
    request = peer.got()[-1]
    register = (
        b"\x42\x02\x12\x34\xaa\xbb\xb2rd\x11\x28\x36ep=dev\x06lt=300\x09lwm2m=1.1\x03b=U\xff"
        b'</>;rt="oma.lwm2m";ct="60 110",</1/0>;ver="1.1"'
    )
    answer = (
        bytes([0x64, 0x45]) + request.mid.to_bytes(2, "big") + request.token + b"\x61\x01\xffx"
    )
    for i in range(6000):
        base = bytearray((register, answer, good)[i % 3])
        for _ in range(1 + world.rng() % 3):
            base[world.rng() % len(base)] = world.rng() >> 8 & 0xFF
        data = bytes(base[: len(base) - (world.rng() >> 8) % 8])
        log.server.receive(("10.0.0.%d" % (i % 250), 1), data, world.now())
        if i % 500 == 499:
            for client in list(log.server.clients.values()):
                client.due = log.server.seconds
            log.server._set_alarm(0)
            world.time += 250000
            log.server.poll(world.now())
            world.sent.clear()
            world.left.clear()
            log.events.clear()
            log.answers.clear()
            gc.collect()
            if i == 2999:  # what grows once has grown: tables, names
                used = gc.mem_alloc()
    assert not log.server.clients and not raised
    assert gc.mem_alloc() - used < 1000


# --- DTLS: peers are sessions with an identity


KEYS = {b"dev": b"key 1", b"other": b"key 2"}


class Secure(Log):
    """A Log of a server with keys."""

    def __init__(self, certificate=None, **settings):
        self.refused = []
        keys = Credentials()
        for identity in KEYS:
            keys.create(identity, (0, identity, b"", KEYS[identity]))
        keys.create(b"certified", (2, b"0", b"0", b"0"))
        super().__init__(
            credentials=keys,
            certificate=certificate,
            on_refused=lambda *args: self.refused.append(args),
            **settings,
        )
        self.listener = self.world.listeners[PORT]

    def peer(self, identity, address=("10.0.0.9", 9)):
        return Peer(self.world, PORT, Session(identity, address))

    def ask(self, identity, query="lwm2m=1.1", code=POST, path="rd"):
        return self.peer(identity).ask(code, path, query, LIST, 40)


def test_secure_port():
    log = Secure(("certificate", "key", "ca"), max_clients=7)
    options = log.listener.options
    assert (options["cert"], options["key"], options["ca"]) == ("certificate", "key", "ca")
    assert options["sessions"] > 7
    # Keys are looked up by identity; data of another Security Mode is none.
    keys = options["psk"]
    assert keys.get(b"dev") == b"key 1" and keys.get(b"other") == b"key 2"
    for identity in (b"de", b"devi", b"", b"certified", b"\xff"):
        assert keys.get(identity) is None, identity
    # Without keys, without a certificate: as before.
    assert "psk" not in Log(certificate=("a", "b", "c")).world.listeners[PORT].options
    assert not Log().world.listeners
    try:
        Log(identities={"dev": "dev"})
        raise AssertionError
    except ValueError as e:
        assert "give credentials" in str(e)


def test_how_many_sessions_an_identity_may_have():
    # For each of its endpoint names one, and another one while it begins anew; and two besides.
    s = Secure(identities={"dev": "a", "gw": ["a", "b", "c"], "none": []}).server
    for identity, expected in ((b"dev", 4), (b"gw", 8), (b"none", 2), (b"other", 2), (None, 2)):
        assert s.places(identity) == expected
    assert Secure().server.places(b"other") == 4
    # Of many sessions more handshakes may be under way at once.
    assert Secure().listener.options["half_open"] == 20
    assert Secure(max_clients=4).listener.options["half_open"] == 16


def test_credentials_fail():
    # A secure element that cannot be asked, or whose driver raises.
    class Broken:
        def read(self, peer):
            if peer == b"raises":
                raise OSError(5)
            return 0xA0, None

    raised = []
    log = Log(credentials=Broken())
    log.server.engine.on_exception = raised.append
    keys = log.world.listeners[PORT].options["psk"]
    assert keys.get(b"dev") is None and not raised
    assert keys.get(b"raises") is None and len(raised) == 1


def test_identity_is_the_endpoint():
    for identity, query, code in (
        (b"dev", "ep=dev", 0x41),
        (b"dev", "", 0x41),  # LwM2M 1.1 6.2.1
        ("gerät".encode(), "ep=gerät", 0x41),
        (b"dev", "ep=other", 0x83),
        (b"dev", "ep=dev2", 0x83),
        (b"dev", "ep=de", 0x83),
        (b"dev", "ep=Dev", 0x83),
        (b"dev", "ep=", 0x80),
        (b"\xff", "ep=dev", 0x83),  # no text
        (b"\xff", "", 0x80),
        (None, "ep=dev", 0x83),  # a certificate without a name
        (None, "ep=None", 0x83),
        (None, "", 0x80),
        (b"a\x1b", "", 0x80),
    ):
        log = Secure()
        m = log.ask(identity, query + "&lwm2m=1.1" if query else "lwm2m=1.1")
        assert m.code == code, (identity, query, hex(m.code))
        assert len(log.server.clients) == len(log.events) == (code == 0x41)
        assert len(log.refused) == (code == 0x83)
        if code == 0x41:
            client = next(iter(log.server.clients.values()))
            assert client.identity == identity and client.endpoint.encode() == identity
    log = Secure()
    m = log.ask(b"dev", "ep=other")
    # The owner is told who it was, the peer nothing of the other.
    assert log.refused == [(("10.0.0.9", 9), b"dev", "endpoint other is not its own")]
    assert payload(m) == b"the endpoint name does not belong to the DTLS identity"


def test_identities():
    table = {"dev": "sensor-1", b"other": ["gw-1", "gw-2"], "none": []}
    for identity, query, code, endpoint in (
        (b"dev", "ep=sensor-1&", 0x41, "sensor-1"),
        (b"dev", "", 0x41, "sensor-1"),
        (b"dev", "ep=dev&", 0x83, None),
        (b"dev", "ep=gw-1&", 0x83, None),
        (b"other", "ep=gw-1&", 0x41, "gw-1"),
        (b"other", "ep=gw-2&", 0x41, "gw-2"),
        (b"other", "ep=gw-3&", 0x83, None),
        (b"other", "", 0x80, None),  # which of them?
        (b"none", "ep=none&", 0x83, None),
        # Who is not in there.
        (b"x", "ep=x&", 0x83, None),
        (b"sensor-1", "ep=sensor-1&", 0x83, None),
        (b"x", "", 0x80, None),
        (None, "ep=sensor-1&", 0x83, None),
    ):
        log = Secure(identities=table)
        m = log.ask(identity, query + "lwm2m=1.1")
        assert m.code == code, (identity, query, hex(m.code))
        assert list(log.server.clients) == ([endpoint] if endpoint else [])


def test_endpoint_is_checked_first():
    # Neither what is wrong with the rest, nor whether there is room, is told to somebody else.
    for query, settings in (
        ("ep=other&lwm2m=2.0", {}),
        ("ep=other&lt=x", {}),
        ("ep=other", {"max_clients": 1}),
        ("ep=other", {"max_links": 1}),
        ("ep=other", {"allow": lambda endpoint, peer: 1 // 0}),
    ):
        log = Secure(**settings)
        log.server.clients["there"] = server.RemoteClient("there")
        assert log.ask(b"dev", query).code == 0x83, query


def test_others_registration():
    log = Secure()
    peer = log.peer(b"dev")
    assert peer.ask(POST, "rd", "ep=dev&lwm2m=1.1&lt=60", LIST, 40).code == 0x41
    client = log.server.clients["dev"]
    location = "rd/" + client.location
    for method in (POST, DELETE):
        for identity in (b"other", b"de", None):
            m = log.peer(identity, ("10.0.0.7", 7)).ask(method, location, "lt=5")
            assert m.code == 0x83 and b"dev" not in payload(m)
    # Nor does a registration under another name help.
    other = log.peer(b"other", ("10.0.0.7", 7))
    assert other.ask(POST, "rd", "ep=other&lwm2m=1.1", LIST, 40).code == 0x41
    assert other.ask(DELETE, location).code == 0x83
    assert client.lifetime == 60 and client.peer is peer.address and "dev" in log.server.clients
    assert [event for event, c in log.events] == [1, 1]
    assert peer.ask(POST, location).code == 0x44
    assert peer.ask(DELETE, location).code == 0x42


def secure_client(log):
    """A registered client with an observation and a read under way: (Peer, location)."""
    peer = log.peer(b"dev")
    assert peer.ask(POST, "rd", "ep=dev&lwm2m=1.1&lt=60", LIST, 40).code == 0x41
    client = log.server.clients["dev"]
    log.server.observe(client, "/3/0/9", log.answered)
    peer.answer(peer.got()[-1], 0x45, b"80", 0, observe=1)
    log.server.read(client, "/3/0/1", log.answered)
    assert [answer[1] for answer in log.answers] == [0x45]
    return peer, "rd/" + client.location


def test_session_ends():
    log = Secure()
    peer, location = secure_client(log)
    client = log.server.clients["dev"]
    log.server.disconnected(peer.address)
    assert log.server.next_ms() == 0
    log.world.wait(0)
    # It is registered, but cannot be asked.
    assert [answer[1] for answer in log.answers] == [0x45, 0xA3, 0xA3]
    assert client.peer is None and log.server.clients["dev"] is client
    assert not log.server.engine._exchanges.of and peer.address not in log.server.engine.seen
    handle = log.server.read(client, "/3/0/1", log.answered)
    assert len(log.answers) == 3  # not before read() has returned
    log.world.wait(0)
    assert log.answers[3:] == [(client, 0xA3, None, b"")]
    log.server.cancel(handle)
    # It comes back with a session of its own: Update is enough, as Leshan has it.
    again = log.peer(b"dev", ("10.0.0.9", 10))
    assert again.ask(POST, location).code == 0x44
    assert client.peer is again.address
    log.server.read(client, "/3/0/1", log.answered)
    assert len(again.got()) == 1
    # Or its lifetime ends.
    log.server.disconnected(again.address)
    log.world.wait(61)
    assert log.events[-1] == (server.EXPIRED, client) and not log.server.clients


def test_update_over_a_new_session():
    # The old one is still there, as nobody has told that the client has restarted.
    log = Secure()
    peer, location = secure_client(log)
    again = log.peer(b"dev", ("10.0.0.9", 10))
    assert again.ask(POST, location, "lt=90").code == 0x44
    client = log.server.clients["dev"]
    assert client.peer is again.address and client.lifetime == 90
    assert log.listener.dropped == [peer.address]
    assert [answer[1] for answer in log.answers] == [0x45, 0xA3, 0xA3]
    # What is left of the old session does not matter.
    log.server.disconnected(peer.address)
    assert client.peer is again.address
    assert again.ask(POST, location).code == 0x44 and len(log.listener.dropped) == 1


def test_registers_again_over_a_new_session():
    log = Secure()
    peer, old = secure_client(log)
    again = log.peer(b"dev")  # even from the same address
    assert again.ask(POST, "rd", "ep=dev&lwm2m=1.1", LIST, 40).code == 0x41
    client = log.server.clients["dev"]
    assert client.peer is again.address
    assert log.listener.dropped == [peer.address]
    assert [answer[1] for answer in log.answers] == [0x45, 0xA3, 0xA3]
    assert again.ask(POST, old).code == 0x84
    # Over the same session it is not dropped.
    assert again.ask(POST, "rd", "ep=dev&lwm2m=1.1", LIST, 40).code == 0x41
    assert len(log.listener.dropped) == 1 and client.peer is again.address


def test_two_clients_of_a_session():
    # A gateway: its session stays while one of them is there.
    log = Secure(identities={"dev": ["a", "b"]})
    first, second = log.peer(b"dev"), log.peer(b"dev")
    for name in ("a", "b"):
        assert first.ask(POST, "rd", "ep=%s&lwm2m=1.1" % name, LIST, 40).code == 0x41
    assert second.ask(POST, "rd", "ep=a&lwm2m=1.1", LIST, 40).code == 0x41
    assert not log.listener.dropped
    assert second.ask(POST, "rd", "ep=b&lwm2m=1.1", LIST, 40).code == 0x41
    assert log.listener.dropped == [first.address]
    log.server.disconnected(second.address)
    assert [client.peer for client in log.server.clients.values()] == [None, None]


def test_next_ms_of_the_net():
    # What a loop of the application sleeps: other roles of the net have a say too, such as a
    # Listener with a handshake under way.
    class Busy:
        def next_ms(self, now):
            return 250

    log = Log()
    assert log.server.next_ms() == 86400000
    log.world.add(Busy())
    assert log.server.next_ms() == 250
    assert log.server.next_ms(log.world.now()) == 86400000
    log.register(query="&lwm2m=1.1&lt=60")
    assert log.server.next_ms() == 250
    log.world.roles.pop()
    assert log.server.next_ms() == 60000


def test_text_of_clients_is_not_kept():
    # MicroPython keeps a character that is taken out of a str for good, and whoever sends one need
    # not be known.
    heap = 0
    for n in range(600):
        code = 0x4E00 + n * 5
        c = str(bytes((0xE0 | code >> 12, 0x80 | code >> 6 & 63, 0x80 | code & 63)), "utf-8")
        assert printable(c) is c and endpoint_of({"ep": c}) is c
        assert printable(c + "\x07") == c + "\\x07"
        assert printable("\u202e" + c) == "\\u202e" + c
        path = b"<" + c.encode() + b'>;rt="oma.lwm2m"'
        for f, args in (
            (endpoint_of, ({"ep": c + "\x07"},)),
            (terms, (None, {"b": "U" + c}, b"", 2048)),
            (_object_list, (path,)),
        ):
            try:
                f(*args)
            except (Error, ValueError):
                pass
            else:
                raise AssertionError(args)
        if n % 100 == 99:
            gc.collect()
            heap = heap or gc.mem_alloc()
            assert gc.mem_alloc() < heap + 500, (n, gc.mem_alloc() - heap)
