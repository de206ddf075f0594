# heapsize: 800K
# The LwM2M Server's composite operations, by their bytes and with the real client; and Send, from
# hand-written datagrams and from the real client.

from binascii import unhexlify

import lwm2m
import lwm2m.pack as pack
import lwm2m.server as server
from lwm2m.model import FLOAT, OBJLNK, OPAQUE, STR, BOOL, INT, MULTI, Object, R, W
from servers import Peer, World, payload
from ucoap import CON, GET, POST, PUT

PORT = 5683
FETCH = 5
IPATCH = 7
LIST = b'</>;rt="oma.lwm2m";ct=112,</1/0>,</3/0>,</3303/0>,</9>'
JSON_LIST = LIST.replace(b"112", b'"60 110"')


class Log:
    """A Server in a World, and what it tells."""

    def __init__(self, **settings):
        self.world = World()
        self.answers = []
        self.sent = []
        self.server = server.Server(
            PORT,
            net=self.world,
            on_send=lambda client, values: self.sent.append((client.endpoint, values)),
            **settings,
        )

    def answered(self, client, code, format, payload):
        self.answers.append((code, format, payload))

    def register(self, endpoint="dev", address=("10.0.0.9", 9), list=LIST):
        peer = Peer(self.world, PORT, address)
        assert peer.ask(POST, "rd", "ep=%s&lt=600&lwm2m=1.1" % endpoint, list, 40).code == 0x41
        return peer, self.server.clients[endpoint]


def _bytes(text):
    return unhexlify(text.replace(" ", "").replace("\n", ""))


# By hand from RFC 8428 6 and RFC 8790: /3/0/9 and /3303/0.
_NAMES = b"\x82\xa1\x00\x66/3/0/9\xa1\x00\x67/3303/0"
_JSON_NAMES = b'[{"n":"/3/0/9"},{"n":"/3303/0"}]'
_ANSWER = (
    b"\x83\xa3\x21\x65/3/0/\x00\x619\x02\x18\x64"  # /3/0/9 100
    b"\xa3\x21\x68/3303/0/\x00\x645700\x02\xf9\x4d\x60"  # /3303/0/5700 21.5
    b"\xa2\x00\x645701\x03\x63Cel"
)
_VALUES = {"/3/0/9": 100, "/3303/0/5700": 21.5, "/3303/0/5701": "Cel"}


def _options(m):
    o = m.options
    return [(o[n], m.data[o[n + 1] : o[n + 1] + o[n + 2]]) for n in range(0, m.count, 3)]


def test_requests():
    # What each call sends: code, options (6 Observe, 12 Content-Format, 17 Accept) and payload.
    log = Log()
    s = log.server
    for list, call, code, options, body in (
        (
            LIST,
            lambda c: s.read_composite(c, ["/3/0/9", "/3303/0"], log.answered),
            FETCH,
            [(12, b"\x70"), (17, b"\x70")],
            _NAMES,
        ),
        (
            JSON_LIST,
            lambda c: s.read_composite(c, ["/3/0/9", "/3303/0"], log.answered),
            FETCH,
            [(12, b"\x6e"), (17, b"\x6e")],
            _JSON_NAMES,
        ),
        (
            LIST,
            lambda c: s.read_composite(c, ["/3/0/9", "/3303/0"], log.answered, accept=11544),
            FETCH,
            [(12, b"\x70"), (17, b"\x2d\x18")],
            _NAMES,
        ),
        (
            LIST,
            lambda c: s.read_composite(c, ["/"], log.answered),
            FETCH,
            [(12, b"\x70"), (17, b"\x70")],
            b"\x81\xa1\x00\x61/",
        ),
        (
            LIST,
            lambda c: s.observe_composite(c, ["/3/0/9", "/3303/0"], log.answered),
            FETCH,
            [(6, b""), (12, b"\x70"), (17, b"\x70")],
            _NAMES,
        ),
        (
            LIST,
            lambda c: s.write_composite(c, {"/3/0/15": "x", "/1/0/6": True, "/1/0/1": 61}),
            IPATCH,
            [(12, b"\x70")],
            (
                b"\x83\xa3\x21\x65/1/0/\x00\x611\x02\x18\x3d\xa2\x00\x616\x04\xf5"
                b"\xa3\x21\x65/3/0/\x00\x6215\x03\x61x"
            ),
        ),
        (
            JSON_LIST,
            lambda c: s.write_composite(c, {"/16/0/0": {0: "a", 2: "b"}, "/16/0/0/1": None}),
            IPATCH,
            [(12, b"\x01\x40")],
            b'[{"bn":"/16/0/","n":"0/0","vs":"a"},{"n":"0/1","v":null},{"n":"0/2","vs":"b"}]',
        ),
        (
            LIST,
            lambda c: s.write_composite(c, {"/16/0/0/1": None}),
            IPATCH,
            [(12, b"\x01\x42")],
            b"\x81\xa3\x21\x66/16/0/\x00\x630/1\x02\xf6",
        ),
        (
            LIST,
            lambda c: s.write_composite(c, {"/9/0/1": (3, 0), "/9/0/2": b"\1"}, format=11544),
            IPATCH,
            [(12, b"\x2d\x18")],
            _bytes("bf 82 09 00 bf 01 63 333a30 02 41 01 ff ff"),
        ),
        # An alternate path stands before it all (LwM2M 1.0 5.3.1).
        (
            b'</lwm2m>;rt="oma.lwm2m",</lwm2m/3/0>',
            lambda c: s.read_composite(c, ["/"], log.answered),
            FETCH,
            [(11, b"lwm2m"), (12, b"\x70"), (17, b"\x70")],
            b"\x81\xa1\x00\x61/",
        ),
    ):
        peer, client = log.register(list=list)
        peer.got()
        call(client)
        m = peer.got()[-1]
        assert (m.type, m.code, _options(m), payload(m)) == (CON, code, options, body), payload(m)
        peer.answer(m, 0x84)
        assert not client.operations


def test_answers_are_values():
    log = Log()
    peer, client = log.register()
    for code, format, data, answer in (
        (0x45, 112, _ANSWER, (0x45, 112, _VALUES)),
        # No Content-Format: what was asked for.
        (0x45, None, _ANSWER, (0x45, None, _VALUES)),
        (
            0x45,
            110,
            (
                b'[{"n":"/3/0/9","v":100},{"bn":"/3303/0/","n":"5700","v":2.15e1},'
                b'{"n":"5701","vs":"Cel"}]'
            ),
            (0x45, 110, _VALUES),
        ),
        (
            0x45,
            110,
            (
                b'[{"bn":"/9/0/","n":"1","vlo":"3:0"},{"n":"2","vd":"AQ"},{"n":"3/7","vb":false},'
                b'{"n":"4","v":9007199254740993},{"n":"5","v":2.0}]'
            ),
            (
                0x45,
                110,
                {
                    "/9/0/1": (3, 0),
                    "/9/0/2": b"\1",
                    "/9/0/3/7": False,
                    "/9/0/4": 9007199254740993,
                    "/9/0/5": 2,
                },
            ),
        ),
        (
            0x45,
            11544,
            _bytes("a2 82 03 00 a1 09 18 64 83 19 0ce7 00 19 1644 f9 4d60"),
            (0x45, 11544, {"/3/0/9": 100, "/3303/0/5700": 21.5}),
        ),
        (0x45, 112, b"\x80", (0x45, 112, {})),
        (0x81, None, b"no right", (0x81, None, b"no right")),
        (0x85, None, b"", (0x85, None, b"")),
        # What is no answer is our own 5.00, in words.
        (0x45, 112, b"\x81", (0xA0, None, b"malformed CBOR")),
        (0x45, 112, b"\x81\xa1\x00\x62/3", (0xA0, None, b"a name without a value")),
        (0x45, 112, b"\x81\xa1\x00\x66/3/0/9", (0xA0, None, b"a name without a value")),
        (0x45, 12345, b"x", (0xA0, None, b"no Content-Format 12345")),
    ):
        log.server.read_composite(client, ["/3/0/9", "/3303/0"], log.answered)
        peer.answer(peer.got()[-1], code, data, format)
        assert log.answers.pop() == answer, (data, answer)
        assert not client.operations


def test_observe_and_cancel():
    log = Log()
    peer, client = log.register()
    paths = ["/3/0/9", "/3303/0"]
    handle = log.server.observe_composite(client, paths, log.answered)
    first = peer.got()[-1]
    peer.answer(first, 0x45, _ANSWER, 112, observe=1)
    assert handle.active and log.answers == [(0x45, 112, _VALUES)]
    peer.answer(first, 0x45, _ANSWER[:13].replace(b"\x83", b"\x81"), 112, observe=2, type=CON)
    # Anew: what was there before ends, and is reset when it comes.
    other = log.server.observe_composite(client, paths, log.answered)
    peer.answer(peer.got()[-1], 0x45, _ANSWER, 112, observe=1)
    assert other.active and not handle.active and client.operations == [other]
    log.server.cancel(other, log.answered)
    m = peer.got()[-1]
    assert (m.code, m.token) == (FETCH, other.exchange.token)
    assert _options(m) == [(6, b"\1"), (12, b"\x70"), (17, b"\x70")] and payload(m) == _NAMES
    peer.answer(m, 0x45, _ANSWER, 112)
    assert log.answers[-1] == (0x45, 112, _VALUES) and not client.operations


def test_wrong_arguments():
    log = Log()
    peer, client = log.register()
    s = log.server
    for call in (
        lambda: s.read_composite(client, [], None),
        lambda: s.read_composite(client, ["3/0"], None),
        lambda: s.read_composite(client, "/3/0", None),
        lambda: s.read_composite(client, ["/3/0", "/1/2/3/4/5"], None),
        lambda: s.read_composite(client, ["/3"], None, accept=11542),
        lambda: s.read_composite(client, ["/3"], None, accept=0),
        lambda: s.write_composite(client, {}),
        lambda: s.write_composite(client, {"/3/0": 1}),
        lambda: s.write_composite(client, {"/3/0/1": [1]}),
        lambda: s.write_composite(client, {"/3/0/1/0": {0: 1}}),
        lambda: s.write_composite(client, {"/3/0/1": {}}),
        lambda: s.write_composite(client, {"/3/0/1": 1}, format=11542),
        lambda: s.observe_composite(client, [""], None),
    ):
        try:
            call()
            raise AssertionError
        except ValueError as e:
            assert str(e)
    assert not client.operations and not peer.got()


def test_with_the_client():
    log = Log()
    world, s = log.world, log.server
    flags = (1, FLOAT | R | W, 2, STR | R | W | MULTI, 3, OPAQUE | R | W, 4, OBJLNK | R | W)
    flags += (5, BOOL | R | W, 6, INT | R | W)
    values = {1: 21.5, 2: {0: "a", 7: "b"}, 3: b"\0\xff", 4: (3, 0), 5: True, 6: -1 << 40}
    own = Object(9, flags, {0: values})
    client = lwm2m.Client("dev", net=world)
    client.add_object(own)
    client.add_server(1, "coap://10.0.0.2:%d" % PORT, lwm2m.SEC_NONE, lifetime=3600)
    assert world.run(lambda: "dev" in s.clients, 10)
    c = s.clients["dev"]

    def ask(call, *args, **more):
        n = len(log.answers)
        call(c, *args, callback=log.answered, **more)
        assert world.run(lambda: len(log.answers) > n, 5)
        return log.answers[-1]

    wanted = {
        "/1/0/1": 3600,
        "/9/0/1": 21.5,
        "/9/0/2/0": "a",
        "/9/0/2/7": "b",
        "/9/0/3": b"\0\xff",
        "/9/0/4": (3, 0),
        "/9/0/5": True,
        "/9/0/6": -1 << 40,
    }
    for accept in (None, 110, 112, 11544):
        if accept == 11544:
            wanted["/9/0/4"] = "3:0"  # where only a definition would tell
        code, format, got = ask(s.read_composite, ["/9", "/1/0/1", "/77/0"], accept=accept)
        assert (code, format, got) == (0x45, accept or 112, wanted), got
    new = {"/9/0/1": 3, "/9/0/2": {0: "c"}, "/9/0/3": b"", "/9/0/4": (1, 0), "/9/0/5": False}
    for format in (None, 110, 112):
        own.instances[0] = dict(values)
        assert ask(s.write_composite, new, format=format)[0] == 0x44
        assert own.instances[0][2] == {0: "c", 7: "b"} and own.instances[0][4] == (1, 0)
        assert own.instances[0][1] == 3 and own.instances[0][5] is False
    assert ask(s.write_composite, {"/9/0/2/7": None, "/9/0/6": 5})[0] == 0x44
    assert own.instances[0][2] == {0: "c"} and own.instances[0][6] == 5
    code, _, words = ask(s.write_composite, {"/9/0/6": 6, "/3/0/0": "x"})
    assert (code, words) == (0x85, b"/3/0/0: is not to be written")
    assert own.instances[0][6] == 5
    # Observe, until it is cancelled.
    handle = s.observe_composite(c, ["/9/0/6", "/1/0/1"], log.answered)
    assert world.run(lambda: handle.active, 5)
    assert log.answers[-1][2] == {"/9/0/6": 5, "/1/0/1": 3600}
    n = len(log.answers)
    own.set(0, 6, 7)
    assert world.run(lambda: len(log.answers) > n, 5)
    assert log.answers[-1][2] == {"/9/0/6": 7, "/1/0/1": 3600}
    s.cancel(handle)
    world.wait(1)
    assert client.core.parts[0].observations == []
    # Send.
    told = []
    assert client.send(["/9/0/6", "/9/0/2"], lambda *args: told.append(args)) == [1]
    assert world.run(lambda: told, 5)
    assert told == [(1, 0x44, None)]
    assert log.sent == [("dev", [("/9/0/6", 7, 0), ("/9/0/2/0", "c", 0)])]
    # One in blocks: nobody but who has registered may begin one.
    text = "0123456789" * 200
    own.set(0, 2, {0: text})
    assert client.send(["/9/0/2"], lambda *args: told.append(args)) == [1]
    assert world.run(lambda: len(told) > 1, 5)
    assert told[1] == (1, 0x44, None) and log.sent[1] == ("dev", [("/9/0/2/0", text, 0)])
    s.clients["dev"].list = b"</1/0>"
    assert client.send(["/9/0/2"], lambda *args: told.append(args)) == [1]
    assert world.run(lambda: len(told) > 2, 5)
    assert told[2] == (1, 0x84, "/9/0 is not registered")
    code, format, got = ask(s.read_composite, ["/9/0", "/1/0/1"])
    assert code == 0x45 and got["/9/0/2/0"] == text
    client.close()


# --- Send

_SENT = b"\x81\xa3\x21\x68/3303/0/\x00\x645700\x02\xf9\x4d\x60"


def test_send_is_told():
    log = Log()
    peer, client = log.register()
    for format, data, values in (
        (112, _SENT, [("/3303/0/5700", 21.5, 0)]),
        # Times, since 1970 and from now: each value has its own.
        (
            110,
            b'[{"bn":"/3303/0/","bt":1700000000,"n":"5700","v":20},{"n":"5700","t":60,"v":20.5}]',
            [("/3303/0/5700", 20, 1700000000), ("/3303/0/5700", 20.5, 1700000060)],
        ),
        (
            110,
            b'[{"n":"/3303/0/5700","t":-60,"v":20},{"n":"/3/0/9","v":100}]',
            [("/3303/0/5700", 20, -60), ("/3/0/9", 100, 0)],
        ),
        (
            11544,
            _bytes("a1 82 03 00 a2 09 18 64 0b a1 00 00"),
            [("/3/0/9", 100, 0), ("/3/0/11/0", 0, 0)],
        ),
    ):
        m = peer.ask(POST, "dp", "", data, format)
        assert (m.code, payload(m)) == (0x44, b""), payload(m)
        assert log.sent.pop() == ("dev", values)
    log.server.on_send = None
    assert peer.ask(POST, "dp", "", _SENT, 112).code == 0x44 and not log.sent


def test_send_is_refused():
    log = Log()
    peer, client = log.register()
    nobody = Peer(log.world, PORT, ("10.0.0.7", 7))
    for who, method, data, format, code, words in (
        (nobody, POST, _SENT, 112, 0x84, b"nobody has registered from there"),
        (nobody, POST, b"", None, 0x84, b"nobody has registered from there"),
        (peer, GET, b"", None, 0x85, b""),
        (peer, PUT, _SENT, 112, 0x85, b""),
        (peer, POST, _SENT, None, 0x80, b"Send has Content-Format 110, 112 or 11544"),
        (peer, POST, b"x", 0, 0x80, b"Send has Content-Format 110, 112 or 11544"),
        (peer, POST, _SENT, 322, 0x80, b"Send has Content-Format 110, 112 or 11544"),
        (peer, POST, b"\xc1\0\1", 11542, 0x80, b"Send has Content-Format 110, 112 or 11544"),
        (peer, POST, b"\x80", 112, 0x80, b"no values"),
        (peer, POST, b"", 112, 0x80, b"malformed CBOR"),
        (peer, POST, _SENT[:-1], 112, 0x80, b"malformed CBOR"),
        (peer, POST, _SENT + b"\0", 112, 0x80, b"bytes behind the end"),
        (peer, POST, b"\x81" * 1000, 112, 0x80, b"malformed CBOR"),
        (peer, POST, _NAMES, 112, 0x80, b"a name without a value"),
        (peer, POST, b'[{"n":"/3/0/9","v":null}]', 110, 0x80, b"null"),
        (peer, POST, b'[{"n":"/3/0","v":1}]', 110, 0x80, b"a value of no resource"),
        (peer, POST, b'[{"n":"/3/1/9","v":1}]', 110, 0x84, b"/3/1 is not registered"),
        (peer, POST, b'[{"n":"/9/0/1","v":1}]', 110, 0x84, b"/9/0 is not registered"),
        (
            peer,
            POST,
            b'[{"n":"/3/0/9","v":1},{"n":"/4/0/9","v":1}]',
            110,
            0x84,
            b"/4/0 is not registered",
        ),
    ):
        m = who.ask(method, "dp", "", data, format)
        assert (m.code, payload(m)) == (code, words), (data, payload(m))
    assert log.sent == []
    assert nobody.ask(POST, "dp/x", "", _SENT, 112).code == 0x84
    # Two clients behind one address: whose it is cannot be told.
    log.register("other", peer.address)
    m = peer.ask(POST, "dp", "", _SENT, 112)
    assert (m.code, payload(m)) == (0x80, b"several clients have registered from there")
    assert log.sent == []


def test_what_the_application_raises_harms_nobody():
    log = Log()
    raised = []
    log.server.engine.on_exception = raised.append
    peer, client = log.register()

    def fail(*args):
        raise KeyError

    log.server.on_send = fail
    assert peer.ask(POST, "dp", "", _SENT, 112).code == 0x44
    log.server.read_composite(client, ["/3"], fail)
    peer.answer(peer.got()[-1], 0x45, _ANSWER, 112)
    assert len(raised) == 2 and not client.operations


def test_noise():
    # Whatever comes as an answer or a Send: nothing is raised.
    log = Log()
    raised = []
    log.server.engine.on_exception = raised.append
    peer, client = log.register()
    world = log.world
    codes = set()
    for i in range(3000):
        base = bytearray((_SENT, _ANSWER)[i % 2])
        for _ in range((world.rng() >> 8) % 4):
            c = world.rng() >> 8 & 0xFF
            base[(world.rng() >> 8) % len(base)] = c if i % 3 else 0x30 + c % 10
        if i % 4 == 0:
            base = base[: (world.rng() >> 8) % len(base)]
        codes.add(peer.ask(POST, "dp", "", bytes(base), 112).code)
        log.server.read_composite(client, ["/3/0/9"], log.answered)
        peer.answer(peer.got()[-1], 0x45, bytes(base), 112)
        codes.add(log.answers.pop()[0])
        log.sent.clear()
        world.sent.clear()
        peer.seen = 0
        world.left.clear()
    assert codes == {0x44, 0x45, 0x80, 0x84, 0xA0} and not raised, (codes, raised)


def test_pack_keeps_what_is_given():
    # What writing() makes records() reads, in each format.
    values = {"/9/0/1": "\u00e9", "/9/0/2": 1.5, "/9/0/3": -7, "/9/0/4": True, "/9/1/5/2": b"x"}
    for format in (110, 112, 11544):
        data, got = pack.writing(values, format)
        assert got == format
        assert {path: value for path, value, _ in pack.records(data, format)} == values
