# Read-, Write- and Observe-Composite: a server's FETCH and iPATCH, and the notifications. The numbers are
# those of the enabler test specification (LightweightM2M-1.1-int-N).

from binascii import unhexlify

import lwm2m
import lwm2m.senml_cbor as senml_cbor
import lwm2m.senml_json as senml_json
from lwm2m.model import FLOAT, INT, MULTI, OPAQUE, STR, E, M, Object, R, W
from ucoap import Error
from world import Registrar, World, account, dump, server

FETCH = 5
IPATCH = 7
JSON = 110
CBOR = 112
ETCH_JSON = 320
ETCH_CBOR = 322
LWM2M_CBOR = 11544
OBSERVE = 6

_SENSOR = (5601, FLOAT | R, 5605, E, 5700, FLOAT | R, 5701, STR | R)
_PORTFOLIO = (0, STR | R | W | MULTI | M, 1, E, 2, OPAQUE | R | MULTI, 3, INT | R)


def _bytes(text):
    return unhexlify(text.replace(" ", "").replace("\n", ""))


class _Case:
    """A client with a sensor and a Portfolio, registered with a server."""

    def __init__(self, version="1.1", **settings):
        self.world = World()
        self.server = Registrar(self.world)
        self.client = self.world.client(device={0: "M", 4: lambda: None}, version=version)
        self.sensor = Object(3303, _SENSOR, {0: {5605: None, 5700: 21.5, 5701: "Cel"}})
        self.portfolio = Object(16, _PORTFOLIO, {0: {0: {0: "a", 1: "b"}}}, multiple=True)
        self.client.add_object(self.sensor)
        self.client.add_object(self.portfolio)
        core = self.client.core
        core.objects[0].instances[0] = account(1)
        core.objects[1].instances[0] = server(1)
        for rid in settings:
            core.objects[1].instances[0][int(rid[1:])] = settings[rid]
        assert self.world.run(5, lambda: self.server.location)
        self.world.run(1)
        self.world.events.clear()
        self.answers = []

    def fetch(self, payload, format=JSON, accept=None, more=()):
        return self.server.ask(FETCH, "/", payload, format, accept, more)

    def patch(self, payload, format=JSON):
        return self.server.ask(IPATCH, "/", payload, format)

    def observe(self, payload, format=JSON, more=((OBSERVE, 0),)):
        n = len(self.answers)
        x = self.server.start(FETCH, "/", payload, format, None, self.answers.append, more)
        assert self.world.run(5, lambda: len(self.answers) > n)
        return x


def _names(*paths):
    return ("[%s]" % ",".join(['{"n":"%s"}' % path for path in paths])).encode()


def _named(payload, format=JSON):
    """The paths of an answer."""
    module = senml_json if format == JSON else senml_cbor
    cursor = module.Cursor(payload, (), format)
    found = []
    while cursor.next():
        assert cursor.leaf
        found.append("/".join([""] + [str(id) for id in cursor.path()]))
    return found


# --- Read

# 280: /3/0/16, /3/0/11/0, /1/0; by hand from RFC 8428 5 and 6, and LwM2M 1.2 7.4.7.
_280_JSON = (
    b'[{"bn":"/1/0/","n":"0","v":1},{"n":"1","v":300},{"n":"6","vb":true},{"n":"7","vs":"U"},'
    b'{"bn":"/3/0/","n":"11/0","v":0},{"n":"16","vs":"U"}]'
)
_280_CBOR = _bytes("""86 a3 21 65 2f312f302f 00 61 30 02 01  a2 00 61 31 02 19 012c
    a2 00 61 36 04 f5  a2 00 61 37 03 61 55
    a3 21 65 2f332f302f 00 64 31312f30 02 00  a2 00 62 3136 03 61 55""")
_280_LWM2M = _bytes("""bf 82 01 00 bf 00 01 01 19 012c 06 f5 07 61 55 ff
    82 03 00 bf 0b bf 00 00 ff 10 61 55 ff ff""")
_280_NAMES = _bytes("""83 a1 00 67 2f332f302f3136 a1 00 69 2f332f302f31312f30 a1 00 64 2f312f30""")


def test_read_280():
    case = _Case()
    names = _names("/3/0/16", "/3/0/11/0", "/1/0")
    for format, payload, accept, answered, wanted in (
        (JSON, names, None, JSON, _280_JSON),
        (CBOR, _280_NAMES, None, CBOR, _280_CBOR),
        (ETCH_JSON, names, None, JSON, _280_JSON),
        (ETCH_CBOR, _280_NAMES, None, CBOR, _280_CBOR),
        (JSON, names, CBOR, CBOR, _280_CBOR),
        (CBOR, _280_NAMES, JSON, JSON, _280_JSON),
        (CBOR, _280_NAMES, LWM2M_CBOR, LWM2M_CBOR, _280_LWM2M),
    ):
        answer = case.fetch(payload, format, accept)
        assert (answer.code, answer.format) == (0x45, answered)
        assert answer.payload == wanted, answer.payload
    read = [e.path for _, e in case.world.events if e.type == lwm2m.EVENT_READ]
    assert read[:3] == [(1, 0), (3, 0, 11, 0), (3, 0, 16)]


def test_what_cannot_be_read_is_left_out():
    case = _Case()
    for names, wanted in (
        # 281: an executable one. 236: what is not there. 229: some of it twice, once as a whole.
        (("/1/0/1", "/1/0/7", "/1/0/8"), ["/1/0/1", "/1/0/7"]),
        (("/3/0/16", "/3339/0/5522", "/3353/0/6030"), ["/3/0/16"]),
        (("/1/0/1", "/1/0/1", "/1/0", "/1/0/7"), ["/1/0/0", "/1/0/1", "/1/0/6", "/1/0/7"]),
        (("/0/0/0", "/3/0/16", "/21", "/0"), ["/3/0/16"]),
        (("/3/0/16/0", "/16/0/0/1", "/16/0/0/7", "/16/1"), ["/16/0/0/1"]),
        (("/3303/0/5601", "/3303/0/9", "/3303/9/5700"), []),
        (("/3303",), ["/3303/0/5700", "/3303/0/5701"]),
        (("/16/0/0",), ["/16/0/0/0", "/16/0/0/1"]),
    ):
        answer = case.fetch(_names(*names))
        assert answer.code == 0x45 and _named(answer.payload) == wanted, (names, answer.payload)
    for format, accept, nothing in (
        (JSON, None, b"[]"),
        (JSON, CBOR, b"\x80"),
        (JSON, LWM2M_CBOR, b"\xa0"),
    ):
        answer = case.fetch(_names("/9/0", "/3303/4"), format, accept)
        assert (answer.code, answer.payload) == (0x45, nothing)


def test_read_of_everything_235():
    case = _Case()
    for payload in (_names("/"), _names("/", "/3/0/9", "/0")):
        answer = case.fetch(payload)
        assert answer.code == 0x45
        found = _named(answer.payload)
        roots = {path.split("/")[1] for path in found}
        assert roots == {"1", "3", "16", "3303"} and len(set(found)) == len(found)
        assert "/1/0/8" not in found and "/3/0/4" not in found and "/16/0/0/1" in found


def test_read_of_20_paths_in_blocks():
    # 20 texts of 90 bytes do not fit in a datagram; the rest of them is fetched (RFC 7959).
    case = _Case()
    own = Object(9, (1, STR | R), {i: {1: "%02d" % i * 45} for i in range(20)})
    case.client.add_object(own)
    payload = _names(*["/9/%d/1" % i for i in range(20)])
    for format in (JSON, CBOR, LWM2M_CBOR):
        answer = case.fetch(payload, JSON, format)
        assert (answer.code, answer.format) == (0x45, format)
        assert len(answer.payload) > 1800
        for i in range(20):
            assert b"%02d" % i * 45 in answer.payload
    assert _named(case.fetch(payload).payload) == ["/9/%d/1" % i for i in range(20)]


def test_rights_of_a_read():
    # may is asked for each path. 4.01 only where nothing at all may be read.
    case = _Case()
    asked = []

    def may(account, oid, iid, operation):
        asked.append((account.short_id, oid, iid, operation))
        return oid != 3303

    case.client.core.may = may
    answer = case.fetch(_names("/3303/0/5700", "/3/0/16", "/9"))
    assert (answer.code, _named(answer.payload)) == (0x45, ["/3/0/16"])
    assert asked == [(1, 3, 0, 1), (1, 3303, 0, 1)]
    for names in (("/3303/0/5700",), ("/3303",), ("/3303/0", "/9"), ("/0/0/0",), ("/0", "/21")):
        answer = case.fetch(_names(*names))
        assert (answer.code, answer.text) == (0x81, "no right to read any of that"), names
    answer = case.fetch(_names("/"))
    assert "/3303/0/5700" not in _named(answer.payload)
    # What may be asked for and is not to be read is no lack of a right.
    assert case.fetch(_names("/3303/0/5700", "/1/0/8")).payload == b"[]"


# --- Write


def test_write_230():
    case = _Case()
    payload = (
        b'[{"n":"/1/0/1","v":61},{"n":"/1/0/6","vb":false},{"bn":"/16/0/0/","n":"0","vs":"x"},'
        b'{"n":"1","vs":"y"},{"n":"2","vs":"z"}]'
    )
    answer = case.patch(payload)
    assert (answer.code, answer.payload) == (0x44, b"")
    own = case.client.core.objects[1].instances[0]
    assert (own[1], own[6], own[7]) == (61, False, "U")
    assert case.portfolio.instances[0][0] == {0: "x", 1: "y", 2: "z"}
    case.world.run(1)
    assert case.server.requests[-1].query == ["lt=61"]  # an Update tells of it
    answer = case.fetch(_names("/1/0/1", "/1/0/6", "/16/0"))
    assert (
        answer.payload == b'[{"bn":"/1/0/","n":"1","v":61},{"n":"6","vb":false},'
        b'{"bn":"/16/0/","n":"0/0","vs":"x"},{"n":"0/1","vs":"y"},{"n":"0/2","vs":"z"}]'
    )


def test_write_257_in_each_format():
    cbor = _bytes("""83 a2 00 66 2f312f302f32 02 18 65  a2 00 66 2f312f302f36 04 f5
        a2 00 67 2f332f302f3133 02 00""")
    json = b'[{"n":"/1/0/2","v":101},{"n":"/1/0/6","vb":true},{"n":"/3/0/13","v":0}]'
    lwm2m_cbor = _bytes("a2 82 01 00 a2 02 18 65 06 f5 83 03 00 0d c1 00")
    for format, payload in (
        (JSON, json),
        (ETCH_JSON, json),
        (CBOR, cbor),
        (ETCH_CBOR, cbor),
        (LWM2M_CBOR, lwm2m_cbor),
    ):
        case = _Case(_6=False)
        answer = case.patch(payload, format)
        assert answer.code == 0x44, (format, answer.text)
        own = case.client.core.objects[1].instances[0]
        assert (own[2], own[6]) == (101, True)
        assert case.client.core.objects[3].get(0, 13) in (0, 1)


def test_write_of_resource_instances():
    # What is not named stays, what is not there is made; null deletes, in RFC 8790's formats only.
    case = _Case()
    assert case.patch(b'[{"n":"/16/0/0/7","vs":"new"}]').code == 0x44
    assert case.portfolio.instances[0][0] == {0: "a", 1: "b", 7: "new"}
    payload = b'[{"bn":"/16/0/0/","n":"7","v":null},{"n":"9","v":null},{"n":"1","vs":"B"}]'
    assert case.patch(payload).code == 0x80
    assert case.portfolio.instances[0][0] == {0: "a", 1: "b", 7: "new"}
    assert case.patch(payload, ETCH_JSON).code == 0x44
    assert case.portfolio.instances[0][0] == {0: "a", 1: "B"}
    payload = _bytes("81 a2 00 69 2f31362f302f302f30 02 f6")
    assert case.patch(payload, ETCH_CBOR).code == 0x44
    assert case.portfolio.instances[0][0] == {1: "B"}
    assert case.patch(_bytes("a1 84 10 00 00 01 f6"), LWM2M_CBOR).code == 0x44
    assert case.portfolio.instances[0][0] == {}


def test_the_application_hears_of_a_write_once():
    case = _Case()
    told = []
    own = Object(9, (1, INT | R | W, 2, STR | R | W), {0: {1: 1, 2: "a"}, 1: {1: 2}})
    own.on_write = lambda iid, values: told.append((iid, dict(values)))
    case.client.add_object(own)
    payload = b'[{"n":"/9/0/1","v":7},{"n":"/9/1/2","vs":"c"},{"n":"/9/0/2","vs":"b"}]'
    assert case.patch(payload).code == 0x44
    assert sorted(told, key=lambda each: each[0]) == [(0, {1: 7, 2: "b"}), (1, {2: "c"})]
    assert own.instances == {0: {1: 7, 2: "b"}, 1: {1: 2, 2: "c"}}

    def on_check(iid, values):
        if values.get(1) == 13:
            raise Error(0x80, "not thirteen")

    own.on_check = on_check
    answer = case.patch(b'[{"n":"/1/0/1","v":61},{"n":"/9/0/2","vs":"x"},{"n":"/9/1/1","v":13}]')
    assert (answer.code, answer.text) == (0x80, "not thirteen")
    assert own.instances == {0: {1: 7, 2: "b"}, 1: {1: 2, 2: "c"}} and len(told) == 2
    assert case.client.core.objects[1].instances[0][1] == 300


def test_a_write_in_blocks():
    case = _Case()
    text = "%03d" % 7 * 500
    payload = b'[{"n":"/1/0/1","v":61},{"n":"/16/0/0/0","vs":"%s"}]' % text.encode()
    assert case.patch(payload).code == 0x44
    assert case.portfolio.instances[0][0][0] == text
    assert case.client.core.objects[1].instances[0][1] == 61
    assert case.patch(payload.replace(b"/1/0/1", b"/1/0/0")).code == 0x85


# --- Bad input. Of a write, the first record of each could have been written by itself.

_GOOD = '{"n":"/1/0/1","v":61},'
_BAD_WRITES = (
    # (records after the good one, code, words)
    ('{"n":"/0/0/0","vs":"coap://x"}', 0x81, "/0/0/0: is not to be written"),
    ('{"n":"/21/0/0","vs":"x"}', 0x81, "/21/0/0: is not to be written"),
    ('{"n":"/9/0/1","v":1}', 0x84, "/9/0/1: is not there"),
    ('{"n":"/3/1/15","vs":"x"}', 0x84, "/3/1/15: is not there"),
    ('{"n":"/3/0/99","vs":"x"}', 0x84, "/3/0/99: is not there"),
    ('{"n":"/3/0/0","vs":"x"}', 0x85, "/3/0/0: is not to be written"),
    ('{"n":"/3/0/4","vs":"x"}', 0x85, "/3/0/4: is not to be written"),
    ('{"n":"/3/0/11/0","v":1}', 0x85, "/3/0/11/0: is not to be written"),
    ('{"n":"/16/0/0","vs":"x"}', 0x80, "/16/0/0: single or multiple?"),
    ('{"n":"/3/0/15/0","vs":"x"}', 0x80, "/3/0/15/0: single or multiple?"),
    ('{"n":"/3/0/15","v":5}', 0x80, "/3/0/15: no value of that type"),
    ('{"n":"/1/0/2","v":0.5}', 0x80, "/1/0/2: must be a whole number from 0 to 2147483647"),
    ('{"n":"/1/0/3","v":-1}', 0x80, "/1/0/3: must be a whole number from 0 to 2147483647"),
    ('{"n":"/1/0/7","vs":"X"}', 0x80, "/1/0/7: has an unknown binding"),
    ('{"n":"/1/0/7","vs":"T"}', 0x80, "this device has binding U only"),
    ('{"n":"/1/0/1","v":62}', 0x80, "/1/0/1: a value twice"),
    ('{"n":"/3/0/15"}', 0x80, "/3/0/15: no value"),
    ('{"n":"/3/0"}', 0x80, "/3/0: no value"),
    ('{"n":"/3/0","v":5}', 0x80, "a value of no resource"),
    ('{"n":"/","v":5}', 0x80, "a value of no resource"),
    ('{"n":"/3/0/15/0/0","vs":"x"}', 0x80, "a name is no path"),
    ('{"n":"/3/0/65535","vs":"x"}', 0x80, "a name is no path"),
    ('{"n":"3/0/15","vs":"x"}', 0x80, "a name is no path"),
    ('{"n":"/3//15","vs":"x"}', 0x80, "a name is no path"),
    ('{"n":"/3/0/x","vs":"x"}', 0x80, "a name is no path"),
    ('{"n":"","vs":"x"}', 0x80, "a name is no path"),
    ('{"n":"/3/0/15","vs":"x","v":1}', 0x80, "two values in a record"),
    ('{"n":"/3/0/15","vs":"x","vs":"y"}', 0x80, "a label twice"),
    ('{"n":"/3/0/15","vs":"x","y_":1}', 0x80, "y_ is not understood"),
    ('{"n":"/3/0/15","vs":["x"]}', 0x80, "malformed JSON"),
    ('{"n":"/3/0/15","vs":"x"', 0x80, "malformed JSON"),
    ('{"n":"/3/0/15","vs":null}', 0x80, "null"),
    ('{"n":"/16/0/0/0","vs":"x"},{"n":"/16/0/0/0","vs":"y"}', 0x80, "/16/0/0/0: a value twice"),
)


def test_bad_writes_change_nothing():
    case = _Case()
    before = dump(case.client)
    for records, code, words in _BAD_WRITES:
        answer = case.patch(("[" + _GOOD + records + "]").encode())
        assert (answer.code, answer.text) == (code, words), (records, answer.code, answer.text)
        assert dump(case.client) == before, records
    assert case.patch(b"[" + _GOOD[:-1].encode() + b"]").code == 0x44


def test_other_bad_writes_change_nothing():
    case = _Case()
    before = dump(case.client)
    cbor = "82 a2 00 66 2f312f302f31 02 18 3d "
    lwm2m_cbor = "a2 82 01 00 a1 01 18 3d "  # /1/0/1 = 61, and
    for format, payload, code in (
        (JSON, b"", 0x80),
        (JSON, b"[]", 0x80),
        (CBOR, b"\x80", 0x80),
        (CBOR, b"\x9f\xff", 0x80),
        (LWM2M_CBOR, b"\xa0", 0x80),
        (CBOR, b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", 0x80),
        (CBOR, b"\x81" * 2000, 0x80),
        (CBOR, _bytes(cbor + "a2 00 67 2f332f302f3135 03 7a 00ffffff"), 0x80),
        (CBOR, _bytes(cbor + "a2 00 67 2f332f302f3135 03 c6 82 01 02"), 0x80),
        (CBOR, _bytes("81 a2 00 66 2f312f302f31 02 18 3d 00"), 0x80),
        (ETCH_JSON, b'[{"n":"/1/0/1","v":61},{"n":"/1/0/2","v":null}]', 0x80),
        (LWM2M_CBOR, _bytes(lwm2m_cbor + "82 03 00 a1 00 61 78"), 0x85),
        (LWM2M_CBOR, _bytes(lwm2m_cbor + "82 03 00 a1 0f a1 00 61 78"), 0x80),
        (LWM2M_CBOR, _bytes(lwm2m_cbor + "82 03 00 61 78"), 0x80),
        (LWM2M_CBOR, _bytes(lwm2m_cbor + "83 03 00 0f f6"), 0x80),
        (LWM2M_CBOR, _bytes(lwm2m_cbor + "83 03 09 0f 61 78"), 0x84),
        (LWM2M_CBOR, _bytes("a1" * 2000), 0x80),
        (None, b'[{"n":"/1/0/1","v":61}]', 0x80),
        (0, b"61", 0x8F),
        (60, b"\x18\x3d", 0x8F),
        (40, b"</1>", 0x8F),
        (11542, b"\xc1\x01\x3d", 0x8F),
        (11543, b"{}", 0x8F),
    ):
        answer = case.patch(payload, format)
        assert answer.code == code and answer.text, (format, payload, answer.code)
        assert dump(case.client) == before
    # Elsewhere than at the root; with attributes.
    for path in ("/1", "/1/0", "/1/0/1", "/9"):
        for code in (FETCH, IPATCH):
            answer = case.server.ask(code, path, b'[{"n":"/1/0/1","v":61}]', JSON)
            assert (answer.code, answer.text) == (0x85, "a composite operation has no Uri-Path")
    answers = []
    for code in (FETCH, IPATCH):
        case.server.engine.request(
            case.world.now(),
            case.server.connection,
            code,
            [(12, JSON), (15, "pmin=5")],
            _names("/1/0/1"),
            lambda x, code, m, payload: answers.append((code, bytes(payload))),
        )
    assert case.world.run(5, lambda: len(answers) == 2)
    assert answers == [(0x80, b"no attributes here")] * 2
    assert dump(case.client) == before


def test_bad_reads():
    case = _Case()
    only = "a value where there is to be a name only"
    for format, payload, accept, code, words in (
        (None, _names("/3"), None, 0x80, "no Content-Format"),
        (0, b"/3", None, 0x8F, "0 cannot carry that"),
        (11542, b"", None, 0x8F, "11542 cannot carry that"),
        (LWM2M_CBOR, b"\xa0", None, 0x8F, "11544 cannot carry that"),
        (JSON, _names("/3"), 0, 0x86, "0 cannot carry that"),
        (JSON, _names("/3"), 40, 0x86, "40 cannot carry that"),
        (JSON, _names("/3"), 60, 0x86, "60 cannot carry that"),
        (JSON, _names("/3"), 320, 0x86, "320 cannot carry that"),
        (JSON, _names("/3"), 11542, 0x86, "11542 cannot carry that"),
        (JSON, b"", None, 0x80, "malformed JSON"),
        (JSON, b"[]", None, 0x80, "no paths"),
        (CBOR, b"\x80", None, 0x80, "no paths"),
        (JSON, b"[{}]", None, 0x80, "a name is no path"),
        (JSON, _names("/3/0/0/0/0"), None, 0x80, "a name is no path"),
        (JSON, _names("/3/0", "/65535"), None, 0x80, "a name is no path"),
        (JSON, _names("/bs"), None, 0x80, "a name is no path"),
        (JSON, b'[{"n":"/3/0/0","vs":"x"}]', None, 0x80, only),
        (ETCH_JSON, b'[{"n":"/3/0/0","v":null}]', None, 0x80, only),
        (JSON, b'[{"n":"/3"},[]]', None, 0x80, "malformed JSON"),
        (CBOR, b"\xff", None, 0x80, "malformed CBOR"),
        (CBOR, b"\x82\xa1\x00\x62/3", None, 0x80, "malformed CBOR"),
        (CBOR, b"\x81\xa1\x00\x7b\0\0\0\x01\0\0\0\0", None, 0x80, "malformed CBOR"),
        (JSON, _names(*["/3/0/%d" % i for i in range(33)]), None, 0x80, "over 32 paths"),
    ):
        for more in ((), ((OBSERVE, 0),), ((OBSERVE, 1),)):
            answer = case.fetch(payload, format, accept, more)
            assert (answer.code, answer.text) == (code, words), (payload, answer.code, answer.text)
    assert case.client.core.parts[0].observations == []
    answer = case.fetch(_names(*["/3/0/%d" % i for i in range(32)]))
    assert answer.code == 0x45


def test_an_image_without_the_package():
    case = _Case()
    case.client.core.parts.pop(1)
    for code in (FETCH, IPATCH):
        assert case.server.ask(code, "/", _names("/3"), JSON).code == 0x85


# --- Rights of a write


def test_rights_of_a_write():
    case = _Case()
    asked = []

    def may(account, oid, iid, operation):
        asked.append((oid, iid, operation))
        return oid != 16

    before = dump(case.client)
    case.client.core.may = may
    answer = case.patch(b'[{"n":"/1/0/1","v":61},{"n":"/16/0/0/0","vs":"x"}]')
    assert (answer.code, answer.text) == (0x81, "/16/0/0/0: no right to do that")
    assert asked == [(1, 0, 2), (16, 0, 2)] and dump(case.client) == before


# --- Observe


def _events(case):
    found = [(e.type, e.path) for _, e in case.world.events if 14 <= e.type <= 18]
    case.world.events.clear()
    return found


def test_observe_304_and_cancel_305():
    case = _Case()
    names = _names("/1/0/1", "/3/0/11/0", "/3303/0/5700")
    x = case.observe(names)
    first = case.answers[0]
    assert (first.code, first.format, first.observe) == (0x45, JSON, 0)
    assert _named(first.payload) == ["/1/0/1", "/3/0/11/0", "/3303/0/5700"]
    assert _events(case) == [(lwm2m.EVENT_OBSERVATION_STARTED, ())]
    case.sensor.set(0, 5701, "K")  # is of none of them
    case.world.run(2)
    assert len(case.answers) == 1
    case.sensor.set(0, 5700, 22.5)  # all of them are told
    case.world.run(1)
    assert case.answers[1].observe == 1
    assert case.answers[1].payload == (
        b'[{"bn":"/1/0/","n":"1","v":300},{"bn":"/3/0/","n":"11/0","v":0},'
        b'{"bn":"/3303/0/","n":"5700","v":22.5}]'
    )
    case.client.core.objects[3].set(0, 11, {0: 2})
    case.world.run(1)
    assert b'"n":"11/0","v":2' in case.answers[2].payload
    assert _events(case)[:2] == [
        (lwm2m.EVENT_OBSERVATION_NOTIFICATION, ()),
        (lwm2m.EVENT_OBSERVATION_NOTIFICATION_ACKED, ()),
    ]
    # 305: FETCH with Observe 1, the same token and the same paths.
    answers = []
    engine = case.server.engine
    engine.cancel(x)

    def answered(x, code, m, payload):
        answers.append((code, m.uint(OBSERVE), bytes(payload)))

    options = [(OBSERVE, 1), (12, JSON)]
    engine.request(
        case.world.now(), case.server.connection, FETCH, options, names, answered, token=x.token
    )
    assert case.world.run(5, lambda: answers)
    assert answers[0][:2] == (0x45, None) and b"22.5" in answers[0][2]
    assert _events(case) == [(lwm2m.EVENT_OBSERVATION_CANCELED, ())]
    case.sensor.set(0, 5700, 23.5)
    case.world.run(2)
    assert _events(case) == [] and len(case.answers) == 3


def test_observe_cancelled_by_a_reset():
    case = _Case()
    x = case.observe(_names("/3303/0/5700", "/9"))
    case.server.engine.cancel(x)
    case.sensor.set(0, 5700, 2.0)
    case.world.run(2)
    assert case.client.core.parts[0].observations == []


def test_observe_created_308_and_deleted_309():
    # What is not there yet appears when it is, and vanishes again.
    case = _Case()
    case.observe(_names("/16/0", "/16/1"))
    assert _named(case.answers[0].payload) == ["/16/0/0/0", "/16/0/0/1"]
    case.portfolio.add(1, {0: {0: "c"}})
    case.world.run(1)
    assert _named(case.answers[1].payload) == ["/16/0/0/0", "/16/0/0/1", "/16/1/0/0"]
    case.portfolio.remove(1)
    case.world.run(1)
    assert _named(case.answers[2].payload) == ["/16/0/0/0", "/16/0/0/1"]
    assert len(case.client.core.parts[0].observations) == 1


def test_observe_periods_310():
    # /1/x/3, Default Maximum Period: 60 s. Of everything; in CBOR, as the first answer was.
    case = _Case(_3=60)
    case.observe(_bytes("81 a1 00 61 2f"), CBOR)
    case.world.run(200)
    assert len(case.answers) == 4
    for answer in case.answers:
        assert answer.format == CBOR and "/3303/0/5700" in _named(answer.payload, CBOR)


def _observe_with(attributes, *paths, **kwargs):
    # A case with attributes written to paths, whose observation begins at a whole second.
    case = _Case(**kwargs)
    for path, query in attributes:
        more = [(15, part) for part in query.split("&")]
        assert case.server.ask(3, path, more=more).code == 0x44
    case.world.run_ms(1000 - case.client.core._ms)
    case.observe(_names(*paths))
    return case


def _times(case, seconds):
    # The ms from now on at which notifications come.
    start = case.world.time
    times = []
    while case.world.time - start < 1000 * seconds:
        n = len(case.answers)
        if case.world.run_ms(
            start + 1000 * seconds - case.world.time, lambda: len(case.answers) > n
        ):
            times.append(case.world.time - start)
    return times


def test_observe_304_with_attributes():
    paths = "/1/0/1", "/3/0/11/0", "/3/0/16"
    case = _observe_with((("/1/0/1", "pmin=30&pmax=45"),), *paths)
    times = _times(case, 100)
    assert len(times) == 2 and 45000 <= times[0] <= 46300 and 90000 <= times[1] <= 92600, times
    case.client.core.objects[3].set(0, 11, {0: 2})
    times = _times(case, 40)
    assert len(times) == 1 and 20000 <= times[0] <= 31000, times  # pmin of the one before


def test_observe_308_with_attributes():
    case = _observe_with((("/16/0", "pmin=30&pmax=45"),), "/16/0", "/16/1")
    case.portfolio.add(1, {0: {0: "c"}})
    times = _times(case, 40)
    assert len(times) == 1 and 30000 <= times[0] <= 31300
    assert _named(case.answers[1].payload) == ["/16/0/0/0", "/16/0/0/1", "/16/1/0/0"]


def test_observe_310_with_attributes():
    case = _observe_with((), "/1/0/1", "/3/0")
    assert case.server.ask(3, "/3", more=((15, "pmax=5"),)).code == 0x44
    times = _times(case, 18)
    assert len(times) == 3
    for i in range(3):
        assert 4000 + 5000 * i <= times[i] <= 6000 + 5000 * i, times


def test_attributes_of_several_paths():
    # What holds is the greatest pmin, the least pmax that counts at its path, con where one has it.
    for attributes, least, most, type in (
        ((("/16/0", "pmin=2&pmax=9"), ("/3303/0", "pmin=3&pmax=8")), 3, 8, 0),
        ((("/16/0", "pmin=9&pmax=4"), ("/3303/0", "pmax=20")), 9, 20, 0),  # 4 is ignored there
        ((("/16", "pmax=0&con=0"), ("/3303", "pmin=1")), 1, 0, 1),
        ((("/16", "con=0"), ("/3303", "con=1")), 0, 0, 0),
        ((("/3303/0/5700", "pmin=9&gt=50"),), 0, 0, 0),  # below what is observed
    ):
        case = _observe_with(attributes, "/16/0", "/3303/0")
        event = case.world.last(lwm2m.EVENT_OBSERVATION_STARTED)
        assert (event.min_period, event.max_period) == (least, most), attributes
        case.world.run(10)
        case.world.sent.clear()
        case.sensor.set(0, 5700, case.sensor.get(0, 5700) + 1)
        case.world.run(10)
        assert [d[0] >> 4 & 3 for d in case.world.sent if d[1] == 0x45][:1] == [type], attributes


def test_attributes_in_the_query():
    # LwM2M 1.2: of this observation, in place of what is written.
    case = _observe_with((("/3303/0", "pmin=30&pmax=60"),), "/3", version="1.2")
    observe = (OBSERVE, 0)
    case.observe(_names("/16/0", "/3303/0"), more=(observe, (15, "pmin=3"), (15, "pmax=7")))
    event = case.world.last(lwm2m.EVENT_OBSERVATION_STARTED)
    assert (event.min_period, event.max_period) == (3, 7)
    assert len(_times(case, 16)) == 2
    count = len(case.client.core.parts[0].observations)
    for more in ((observe, (15, "pmin=a")), (observe, (15, "gt=5")), ((15, "pmin=3"),)):
        assert case.fetch(_names("/16/0"), more=more).code == 0x80, more
    assert len(case.client.core.parts[0].observations) == count
    old = _observe_with((), "/3")  # LwM2M 1.1
    assert old.fetch(_names("/16/0"), more=(observe, (15, "pmin=3"))).code == 0x80
    assert case.server.ask(IPATCH, "/", b"[]", JSON, more=((15, "pmin=3"),)).code == 0x80


def test_a_composite_is_looked_at_each_epmax():
    case = _observe_with((("/3303/0", "epmax=5"),), "/16/0", "/3303/0")
    values = [21.5]
    case.sensor.instances[0][5700] = lambda: values[0]
    case.world.run(12)
    assert len(case.answers) == 1
    values[0] = 22.5
    case.world.run(6)
    assert len(case.answers) == 2 and b"22.5" in case.answers[1].payload
    case.world.run(12)
    assert len(case.answers) == 2


def test_observe_of_two_tokens_and_of_one_again():
    case = _Case()
    first = case.observe(_names("/3303/0/5700", "/1/0/1"))
    case.observe(_names("/16", "/1/0/1"))
    observations = case.client.core.parts[0].observations
    assert [o.paths for o in observations] == [
        ((1, 0, 1), (3303, 0, 5700)),
        ((1, 0, 1), (16,)),
    ]
    # The same token, another list: it replaces what was observed, and its order goes on.
    case.server.engine.cancel(first)
    again = []

    def answered(x, code, m, payload):
        again.append((m.uint(OBSERVE), bytes(payload)))

    options = [(OBSERVE, 0), (12, JSON)]
    payload = _names("/3303/0/5701")
    case.server.engine.request(
        case.world.now(),
        case.server.connection,
        FETCH,
        options,
        payload,
        answered,
        token=first.token,
    )
    assert case.world.run(5, lambda: again)
    assert again[0] == (1, b'[{"bn":"/3303/0/","n":"5701","vs":"Cel"}]')
    assert len(observations) == 2 and observations[0].paths == ((3303, 0, 5701),)


def test_observe_without_a_right_waits():
    case = _Case()
    case.observe(_names("/3303/0/5700"))
    case.client.core.may = lambda account, oid, iid, operation: False
    case.sensor.set(0, 5700, 1.0)
    case.world.run(5)
    assert len(case.answers) == 1
    case.client.core.may = None
    case.sensor.set(0, 5700, 2.0)
    case.world.run(5)
    assert len(case.answers) == 2 and b'"v":2.0' in case.answers[1].payload


def test_a_long_notification_is_fetched_in_blocks():
    case = _Case()
    own = Object(9, (1, STR | R), {i: {1: "%02d" % i * 45} for i in range(20)})
    case.client.add_object(own)
    case.observe(_names("/9", "/3303/0/5700"))
    assert len(case.answers[0].payload) > 1800
    case.sensor.set(0, 5700, 7.5)
    assert case.world.run(20, lambda: len(case.answers) > 1)
    assert case.answers[1].payload.endswith(b'"n":"5700","v":7.5}]')
    assert len(_named(case.answers[1].payload)) == 21
