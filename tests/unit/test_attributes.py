# Attributes: Write-Attributes and Discover, and the notifications that go out or do not for them.

import gc
import micropython
import os

import lwm2m
from lwm2m.model import BOOL, FLOAT, INT, MULTI, STR, E, Object, R, W
from ucoap import GET, PUT, Error, Message, Writer
from world import Random, Registrar, World, account, server

_LINK = 40
_OBSERVE = 6
_QUERY = 15

_COUNT = int(os.getenv("FUZZ_COUNT") or 20000)

_RESOURCES = (
    (110, R | W | STR)
    + (120, R | W | INT)
    + (130, R | W | FLOAT)
    + (140, R | BOOL)
    + (150, W | INT)
    + (160, E)
    + (1120, R | INT | MULTI)
)
_POWER = {6: {0: 1, 1: 5}, 7: {0: 3800, 1: 5000}, 8: {0: 125, 1: 900}, 9: 100}


def _queries(text):
    return tuple([(_QUERY, part) for part in text.split("&")]) if text else ()


class Case:
    """A client, registered with a server that sets attributes and observes."""

    def __init__(self, version="1.1", device=_POWER, **settings):
        values = {110: "a", 120: 0, 130: 0.0, 140: False, 150: 0, 1120: {0: 1, 1: 2}}
        self.object = Object(3442, _RESOURCES, {0: values}, multiple=True)
        self.object.instances[0][160] = lambda argument: None
        self.world = World()
        self.server = Registrar(self.world)
        self.client = self.world.client(version=version, device=device)
        self.core = self.client.core
        self.client.add_object(self.object)
        self.core.objects[0].instances[0] = account(1)
        self.core.objects[1].instances[0] = server(1)
        for rid in settings:
            self.core.objects[1].instances[0][int(rid[1:])] = settings[rid]
        assert self.world.run(5, lambda: self.server.location)
        self.world.run(1)
        self.world.events.clear()
        self.answers = []  # (ms since the first one, Answer)
        self.start = 0

    def write(self, path, attributes, server=None):
        """Write-Attributes: its answer's code and words."""
        answer = (server or self.server).ask(PUT, path, more=_queries(attributes))
        return answer.code, str(answer.payload, "utf-8")

    def discover(self, path, server=None):
        """Links of Discover, each as (path, set of its attributes), in their order."""
        answer = (server or self.server).ask(GET, path, accept=_LINK)
        assert answer.code == 0x45 and answer.format == _LINK
        found = []
        for link in answer.text.split(","):
            parts = link.split(";")
            found.append((parts[0][1:-1], set(parts[1:])))
            assert len(parts) - 1 == len(found[-1][1])
        return found

    def answered(self, answer):
        if not self.answers:
            self.start = self.world.time
        self.answers.append((self.world.time - self.start, answer))

    def observe(self, path, attributes=""):
        """The exchange of an observation; it begins at a whole second of the client's."""
        self.world.run_ms(1000 - self.core._ms)
        seen = len(self.answers)
        more = ((_OBSERVE, 0),) + _queries(attributes)
        x = self.server.start(GET, path, callback=self.answered, more=more)
        assert self.world.run(5, lambda: len(self.answers) > seen)
        return x

    def texts(self):
        return [answer.text for _, answer in self.answers]

    def set(self, rid, value, iid=0):
        self.object.set(iid, rid, value)


# --- Write-Attributes

# Path, query, the response code, and what its words have to name.
_REFUSED = (
    ("/3442/0/120", "pmin=a", 0x80, "pmin"),
    ("/3442/0/120", "pmin=-1", 0x80, "pmin"),
    ("/3442/0/120", "pmin=1.5", 0x80, "pmin"),
    ("/3442/0/120", "pmin=2147483648", 0x80, "pmin"),
    ("/3442/0/120", "pmin=99999999999999999999999999", 0x80, "pmin"),
    ("/3442/0/120", "pmax=+5", 0x80, "pmax"),
    ("/3442/0/120", "pmax= 5", 0x80, "pmax"),
    ("/3442/0/120", "epmin=x", 0x80, "epmin"),
    ("/3442/0/120", "epmax=-3", 0x80, "epmax"),
    ("/3442/0/120", "epmin=5&epmax=5", 0x80, "epmin"),
    ("/3442/0/120", "epmin=6&epmax=5", 0x80, "epmin"),
    ("/3442/0/120", "con=2", 0x80, "con"),
    ("/3442/0/120", "con=true", 0x80, "con"),
    ("/3442/0/120", "gt=nan", 0x80, "gt"),
    ("/3442/0/120", "gt=inf", 0x80, "gt"),
    ("/3442/0/120", "gt=1e999", 0x80, "gt"),
    ("/3442/0/120", "gt=1e", 0x80, "gt"),
    ("/3442/0/120", "gt=--1", 0x80, "gt"),
    ("/3442/0/120", "gt=.", 0x80, "gt"),
    ("/3442/0/120", "gt=1_0", 0x80, "gt"),
    ("/3442/0/120", "gt=0x10", 0x80, "gt"),
    ("/3442/0/120", "gt=" + "1" * 200, 0x80, "gt"),
    ("/3442/0/120", "lt=\u0661", 0x80, "lt"),
    ("/3442/0/120", "st=-1", 0x80, "st"),
    ("/3442/0/120", "st=-0.5", 0x80, "st"),
    ("/3442/0/120", "lt=7&gt=6", 0x80, "lt"),
    ("/3442/0/120", "lt=6&gt=6", 0x80, "lt"),
    ("/3442/0/120", "lt=1&gt=6&st=2.5", 0x80, "lt + 2 * st"),
    ("/3442/0/120", "lt=1&gt=6&st=3", 0x80, "lt + 2 * st"),
    ("/3442/0/130", "lt=0.7&gt=0.9&st=0.1", 0x80, "lt + 2 * st"),  # 0.1 is not exact in binary
    ("/3442/0/140", "gt=1", 0x80, "gt"),
    ("/3442/0/110", "gt=1", 0x80, "gt"),
    ("/3442/0/110", "lt=1", 0x80, "lt"),
    ("/3442/0/110", "st=1", 0x80, "st"),
    ("/3442/0", "gt=1", 0x80, "gt"),
    ("/3442", "st=1", 0x80, "st"),
    ("/3442/0/120", "pmim=1", 0x80, "pmim"),
    ("/3442/0/120", "PMIN=1", 0x80, "PMIN"),
    ("/3442/0/120", "dim=1", 0x80, "dim"),
    ("/3442/0/120", "=1", 0x80, "unknown"),
    ("/3442/0/120", "pmin=1&pmin=2", 0x80, "pmin twice"),
    ("/3442/0/120", "pmin=1&pmax=x", 0x80, "pmax"),
    ("/3442/0/150", "pmin=1", 0x85, ""),  # not readable
    ("/3442/0/160", "pmin=1", 0x85, ""),
    ("/3442/0/120/0", "pmin=1", 0x85, ""),  # a single resource
    ("/3442/0/1120/2", "pmin=1", 0x84, ""),
    ("/3442/0/121", "pmin=1", 0x84, ""),
    ("/3442/1", "pmin=1", 0x84, ""),
    ("/3443", "pmin=1", 0x84, ""),
    ("/0", "pmin=30&pmax=45", 0x81, ""),  # ETS 221
    ("/0/0", "pmin=30", 0x81, ""),
    ("/3442/0/120/0/0", "pmin=1", 0x85, ""),
)


# Of a server of LwM2M 1.2, which has edge and hqmax, and of one of 1.1, which has not.
_REFUSED_12 = (
    ("/3442/0/120", "edge=1", 0x80, "edge is for booleans"),
    ("/3442/0", "edge=1", 0x80, "edge is for booleans"),
    ("/3442/0/140", "edge=2", 0x80, "edge must be 0 or 1"),
    ("/3442/0/140", "edge=x", 0x80, "edge must be 0 or 1"),
    ("/3442/0/120", "hqmax=x", 0x80, "hqmax must be a whole number"),
    ("/3442/0/120", "hqmax=-1", 0x80, "hqmax must be a whole number"),
    ("/3442/0/120", "hqmax=1.5", 0x80, "hqmax must be a whole number"),
    ("/3442/0/120", "hqmax=2147483648", 0x80, "hqmax must be a whole number"),
    ("/3442/0/120", "hqmax=1&hqmax=2", 0x80, "hqmax twice"),
)
_REFUSED_11 = (
    ("/3442/0/140", "edge=1", 0x80, "unknown attribute edge"),
    ("/3442/0/140", "edge", 0x80, "unknown attribute edge"),
    ("/3442/0", "hqmax=1", 0x80, "unknown attribute hqmax"),
)


def test_refused():
    for version, rows in (("1.1", _REFUSED + _REFUSED_11), ("1.2", _REFUSED + _REFUSED_12)):
        case = Case(version)
        assert case.write("/3442/0/120", "pmin=3&gt=100&lt=1") == (0x44, "")
        assert case.write("/3442/0", "epmax=9") == (0x44, "")
        before = case.discover("/3442/0")
        for path, attributes, code, words in rows:
            answer = case.write(path, attributes)
            assert answer[0] == code and words in answer[1], (path, attributes, answer)
            assert case.discover("/3442/0") == before, attributes
    for path, attributes in (
        ("/3442/0/140", "edge=1"),
        ("/3442", "hqmax=0"),
        ("/3442/0", "hqmax=9"),
    ):
        assert case.write(path, attributes) == (0x44, "")
        assert attributes in case.discover(path)[0][1]
    # What is there counts too: gt is 100, lt 1.
    assert case.write("/3442/0/120", "lt=100")[0] == 0x80
    assert case.write("/3442/0/120", "st=49.5")[0] == 0x80
    assert case.write("/3442/0/120", "st=49.4")[0] == 0x44
    assert case.server.ask(PUT, "/3442/0/120", b"5", 0, more=_queries("pmin=1")).code == 0x80
    assert case.object.get(0, 120) == 0
    for query in (b"pmin=1\xff", b"\xff=1"):
        answer = case.server.ask(PUT, "/3442/0/120", more=((_QUERY, query),))
        assert answer.code == 0x82


# A sequence of writes to /3442/0/120 (an integer) and what is there then.
_ACCEPTED = (
    ("pmin=10", {"pmin=10"}),
    ("pmax=5", {"pmin=10", "pmax=5"}),  # below pmin: ignored, no error
    ("pmin", {"pmax=5"}),
    ("pmin", {"pmax=5"}),
    ("pmin=&pmax=0", {"pmax=0"}),
    ("pmax", set()),
    ("gt=-4&lt=-10.5&st=1", {"gt=-4", "lt=-10.5", "st=1"}),
    ("gt=+7&st", {"gt=7", "lt=-10.5"}),
    ("gt=9223372036854775807", {"gt=9223372036854775807", "lt=-10.5"}),
    ("gt=1e3&lt", {"gt=1000.0"}),
    ("gt&epmin=1&epmax=2&con=0", {"epmin=1", "epmax=2", "con=0"}),
    ("epmin&con=1", {"epmax=2", "con=1"}),
    ("epmax&con", set()),
    ("pmin=2147483647", {"pmin=2147483647"}),
)


def test_accepted():
    case = Case()
    for attributes, there in _ACCEPTED:
        assert case.write("/3442/0/120", attributes) == (0x44, ""), attributes
        assert case.discover("/3442/0/120") == [("/3442/0/120", there)], attributes


def test_a_server_has_a_bounded_number_of_paths():
    case = Case()
    for iid in range(1, 40):
        case.object.add(iid, {110: "a"})
    case.world.run(5)
    for iid in range(32):
        assert case.write("/3442/%d" % iid, "pmin=1")[0] == 0x44
    assert case.write("/3442/33", "pmin=1")[0] == 0xA0
    assert case.write("/3442/3", "pmax=1")[0] == 0x44
    assert case.write("/3442/4", "pmin")[0] == 0x44
    assert case.write("/3442/33", "pmin=1")[0] == 0x44


def test_a_reader_only_sets_attributes():
    # Right R is needed, for an instance and below (management, 2).
    case = Case()
    case.core.may = lambda account, oid, iid, operation: operation != 1
    assert case.write("/3442/0", "pmin=1")[0] == 0x81
    assert case.write("/3442", "pmin=1")[0] == 0x44


def test_rubbish():
    # Seeded mutants of good queries, as a request has them: a set of numbers or Error 4.00 or 4.02,
    # nothing else is raised; what is taken can be shown and compared, and no memory is lost.
    from lwm2m.attributes import parse

    random = Random(5)
    good = []
    for attributes, _ in _ACCEPTED:
        good.append(attributes)
    for path, attributes, code, _ in _REFUSED:
        good.append(attributes)
    message = Message()
    writer = Writer(1152)
    codes = {}
    heap = 0
    for n in range(_COUNT):
        data = bytearray(good[random.below(len(good))].encode())
        for _ in range(random.below(4)):
            i = random.below(len(data) + 1)
            other = good[random.below(len(good))].encode()
            data = data[:i] + (other[i:] if random.below(3) else bytes([random.below(256)]))
        writer.start(0, PUT, n & 0xFFFF)
        for part in bytes(data).split(b"&"):
            writer.option(_QUERY, part)
        assert message.parse(writer.message())
        code = 0
        try:
            found = parse(message, 3, R | FLOAT)
            for value in found:
                assert value is None or value - value == 0
        except Error as e:
            code = e.code
        codes[code] = codes.get(code, 0) + 1
        if n % 5000 == 4999:
            gc.collect()
            used = gc.mem_alloc()
            assert not heap or used <= heap + 512
            heap = heap or used
    assert set(codes) == {0, 0x80, 0x82} and min(codes.values()) > _COUNT // 100, codes


# --- Discover


def test_ets_260():
    case = Case()
    assert case.write("/3", "pmin=10&pmax=200") == (0x44, "")
    links = case.discover("/3/0")
    assert links[0] == ("/3/0", {"pmin=10", "pmax=200"})
    found = dict(links)
    for rid in (6, 7, 8):
        assert found["/3/0/%d" % rid] == {"dim=2"}
    assert found["/3/0/9"] == set()
    assert case.write("/3/0/7", "lt=1&gt=6&st=1") == (0x44, "")
    found = dict(case.discover("/3/0"))
    assert found["/3/0"] == {"pmin=10", "pmax=200"}
    assert found["/3/0/7"] == {"dim=2", "lt=1", "gt=6", "st=1"}
    assert found["/3/0/6"] == found["/3/0/8"] == {"dim=2"}
    links = case.discover("/3/0/7")
    assert links == [
        ("/3/0/7", {"dim=2", "lt=1", "gt=6", "st=1", "pmin=10", "pmax=200"}),
        ("/3/0/7/0", set()),
        ("/3/0/7/1", set()),
    ]
    links = case.discover("/3")
    assert links[:2] == [("/3", {"pmin=10", "pmax=200"}), ("/3/0", set())]


def test_ets_261():
    case = Case()
    assert case.write("/3", "pmin=10&pmax=200")[0] == 0x44
    assert case.write("/3/0", "pmax=320")[0] == 0x44
    assert case.write("/3/0/11/0", "pmax=100&epmin=1&epmax=20")[0] == 0x44
    answer = case.server.ask(GET, "/3/0/11", accept=_LINK)
    assert answer.text == (
        "</3/0/11>;dim=1;pmin=10;pmax=320,</3/0/11/0>;pmax=100;epmin=1;epmax=20"
    )


def test_ets_951_each_server_has_its_own():
    case = Case()
    other = Registrar(case.world, 5002)
    case.client.add_server(2, "coap://server:5002", lwm2m.SEC_NONE, 300)
    assert case.world.run(5, lambda: other.location)
    case.world.run(1)
    assert case.write("/3/0", "pmin=2&pmax=10")[0] == 0x44
    assert case.write("/3/0", "pmin=15&pmax=50", other)[0] == 0x44
    assert case.discover("/3/0")[0] == ("/3/0", {"pmin=2", "pmax=10"})
    assert case.discover("/3/0", other)[0] == ("/3/0", {"pmin=15", "pmax=50"})


def test_how_long_they_last():
    # They are permanent: a registration ends and begins, they stay; with the instance or the account
    # they go.
    case = Case()
    case.object.add(1, {110: "a"})
    assert case.write("/3442/1", "pmin=5")[0] == 0x44
    assert case.write("/3442/0", "pmin=6")[0] == 0x44
    case.server.updated = 0x84
    case.server.execute("/1/0/8")
    assert case.world.run(5, lambda: case.server.count == 2)
    case.server.updated = 0x44
    case.world.run(1)
    assert case.discover("/3442/0")[0][1] == {"pmin=6"}
    case.object.remove(1)
    case.world.run(1)
    case.object.add(1, {110: "a"})
    assert case.discover("/3442/1")[0][1] == set()
    assert case.discover("/3442/0")[0][1] == {"pmin=6"}
    case.client.remove_object(3442)
    case.world.run(1)
    case.client.add_object(case.object)
    case.world.run(1)
    assert case.discover("/3442/0")[0][1] == set()
    assert case.write("/3442/0", "pmin=7")[0] == 0x44
    case.client.remove_server(1)
    case.world.run(5)
    case.client.add_server(1, "coap://server:5683", lwm2m.SEC_NONE, 300)
    assert case.world.run(5, lambda: case.server.count == 3)
    case.world.run(1)
    assert case.discover("/3442/0")[0][1] == set()


# --- Notifications

# What: resource, attributes, what it is at first; (s, value) as the application sets it; (s, text) of
# each notification that there has to be, within a second, and of no other.
_BIG = 9007199254740992  # 2 ** 53: with doubles, the next one is it too
_NOTIFIED = (
    ("any change", 120, "", 5, ((1, 6), (2, 7)), ((1, "6"), (2, "7"))),
    # The example of Zephyr's client.
    (
        "gt",
        120,
        "gt=4200",
        3500,
        ((1, 3000), (2, 4100), (3, 4400), (4, 4300), (5, 4100)),
        ((3, "4400"), (5, "4100")),
    ),
    ("lt", 120, "lt=10", 20, ((1, 12), (2, 9), (3, 8), (4, 11)), ((2, "9"), (4, "11"))),
    # Greater than gt, less than lt: the threshold itself is neither.
    ("gt, on it", 120, "gt=10", 10, ((1, 9), (2, 10), (3, 11), (4, 10)), ((3, "11"), (4, "10"))),
    ("lt, on it", 120, "lt=10", 10, ((1, 11), (2, 10), (3, 9), (4, 10)), ((3, "9"), (4, "10"))),
    (
        "gt and lt",
        130,
        "gt=25.5&lt=-2.5",
        20.0,
        ((1, 25.5), (2, 25.6), (3, 24.0), (4, -2.5), (5, -2.6), (6, 0.5)),
        ((2, "25.6"), (3, "24.0"), (5, "-2.6"), (6, "0.5")),
    ),
    (
        "st",
        120,
        "st=3",
        10,
        ((1, 12), (2, 13), (3, 11), (4, 10), (5, 9)),
        ((2, "13"), (4, "10")),
    ),
    (
        "st of decimal fractions",
        130,
        "st=0.1",
        0.2,
        ((1, 0.3), (2, 0.35), (3, 0.4), (4, 0.45), (5, 0.31), (6, 0.3)),
        ((1, "0.3"), (3, "0.4"), (6, "0.3")),
    ),
    # It is what was reported that counts, not what came in between.
    ("st, slowly", 120, "st=3", 0, ((1, 1), (2, 2), (3, 3), (4, 4)), ((3, "3"),)),
    ("st=0", 120, "st=0", 1, ((1, 1), (2, 2)), ((2, "2"),)),
    (
        "any of several",
        120,
        "gt=100&st=10",
        95,
        ((1, 99), (2, 101), (3, 105), (4, 111)),
        ((2, "101"), (4, "111")),
    ),
    (
        "integers that floats cannot tell apart",
        120,
        "gt=%d" % (_BIG + 1),
        _BIG,
        ((1, _BIG + 1), (2, _BIG + 2), (3, _BIG + 3), (4, _BIG)),
        ((2, str(_BIG + 2)), (4, str(_BIG))),
    ),
    ("a step of them", 120, "st=2", _BIG, ((1, _BIG + 1), (2, _BIG + 2)), ((2, str(_BIG + 2)),)),
    ("edge up", 140, "edge=1", False, ((1, True), (2, False), (3, True)), ((1, "1"),)),
    ("edge down", 140, "edge=0", True, ((1, False), (2, True), (3, False)), ((1, "0"),)),
    # pmin gathers; what is current when it is over counts.
    ("pmin", 120, "pmin=10", 1, ((2, 2), (4, 3)), ((10, "3"),)),
    ("pmin and gt", 120, "pmin=10&gt=50", 1, ((2, 60), (4, 40), (12, 70)), ((12, "70"),)),
    ("pmin and gt, still", 120, "pmin=10&gt=50", 1, ((2, 60), (4, 61)), ((10, "61"),)),
    ("pmax", 120, "pmax=5", 1, ((12, 2),), ((5, "1"), (10, "1"), (12, "2"), (17, "2"))),
    ("pmax below pmin", 120, "pmin=10&pmax=5", 1, ((2, 2), (25, 3)), ((10, "2"), (25, "3"))),
    ("pmax as pmin", 120, "pmin=5&pmax=5", 1, ((6, 2), (7, 3)), ((5, "1"), (10, "3"), (15, "3"))),
    ("pmax=0", 120, "pmax=0", 1, ((15, 2),), ((15, "2"),)),
    # A report by pmax is one: the next value is compared with it.
    (
        "pmax and gt",
        120,
        "pmax=10&gt=50",
        1,
        ((2, 30), (12, 60), (13, 55)),
        ((10, "30"), (12, "60")),
    ),
    ("pmax and st", 120, "pmax=10&st=10", 1, ((8, 8), (12, 17)), ((10, "8"),)),
    # epmin: not looked at again before. 60 comes and goes unseen, and 70.
    (
        "epmin",
        120,
        "epmin=8&gt=50",
        1,
        ((2, 60), (4, 40), (10, 70), (11, 71)),
        ((16, "71"),),
    ),
    ("epmin, any change", 120, "epmin=8", 1, ((2, 2), (3, 3), (12, 4)), ((8, "3"), (16, "4"))),
    # Text: any change that the application tells.
    ("text", 110, "pmin=3", "a", ((1, "b"), (2, "c")), ((3, "c"),)),
)


def _run(case, changes, rid=None):
    # Let changes happen at their seconds and 200 ms, and twenty seconds in all.
    for s, value in changes:
        case.world.run_ms(case.start + 1000 * s + 200 - case.world.time)
        if rid is None:
            value()
        else:
            case.set(rid, value)
    case.world.run_ms(max(case.start + 19900 - case.world.time, 1000))


def _check(what, case, wanted):
    got = case.answers[1:]
    seen = what, [(ms, answer.text) for ms, answer in got]
    assert len(got) >= len(wanted), seen
    for i in range(len(wanted)):
        s, text = wanted[i]
        assert got[i][1].text == text and 1000 * s <= got[i][0] <= 1000 * s + 1300, seen
    # The table need not tell of all that pmax still brings.
    end = 1000 * wanted[-1][0] if wanted else 0
    assert not [1 for ms, _ in got[len(wanted) :] if ms < end + 2000], seen


def test_notified():
    for what, rid, attributes, first, changes, wanted in _NOTIFIED:
        case = Case("1.2" if "edge" in attributes else "1.1")
        case.set(rid, first)
        path = "/3442/0/%d" % rid
        if attributes:
            assert case.write(path, attributes) == (0x44, ""), what
        case.observe(path)
        _run(case, changes, rid)
        _check(what, case, wanted)
        if "pmax" not in attributes:
            assert len(case.answers) == 1 + len(wanted), what


def test_inherited():
    # Where it is set, what is observed, and the least and most seconds between its notifications.
    for where, path, bounds in (
        (("/3442?pmin=3&pmax=8",), "/3442/0/120", (3, 8)),
        (("/3442?pmin=3&pmax=8", "/3442/0?pmax=5"), "/3442/0/120", (3, 5)),
        (("/3442?pmin=3&pmax=8", "/3442/0?pmax=5", "/3442/0/120?pmin=4"), "/3442/0/120", (4, 5)),
        (("/3442?pmin=3&pmax=8", "/3442/0/1120/1?pmax=4"), "/3442/0/1120/1", (3, 4)),
        # What is set below has no effect (OMA issue 478), nor what is set elsewhere.
        (("/3442?pmin=3&pmax=8", "/3442/0/120?pmin=1&pmax=4"), "/3442/0", (3, 8)),
        (("/3442/0?pmin=3&pmax=8", "/3442/0/130?pmax=4", "/3?pmax=1"), "/3442/0/120", (3, 8)),
        # The defaults of /1/0/2 and 3 stand behind all of them.
        (("/3442/0?con=1",), "/3442/0/120", (2, 6)),
        (("/3442/0?pmin=4",), "/3442/0/120", (4, 6)),
        (("/3442/0?pmax=0",), "/3442/0/120", (2, None)),
        (("/3442/0?pmin=7",), "/3442/0/120", (7, None)),  # pmax, by default 6, is below
    ):
        case = Case(_2=2, _3=6)
        for write in where:
            assert case.write(*write.split("?"))[0] == 0x44
        case.observe(path)
        least, most = bounds
        case.world.run(20)
        quiet = [ms for ms, _ in case.answers[1:]]
        if most is None:
            assert quiet == [], (where, quiet)
        else:
            assert 1000 * most <= quiet[0] <= 1000 * most + 1300, (where, quiet)
        event = case.world.last(lwm2m.EVENT_OBSERVATION_STARTED)
        assert event.min_period == least
        seen = len(case.answers)
        for i in range(40):
            if path.count("/") == 4:
                case.set(1120, {0: i, 1: i})
            else:
                case.set(120, i)
            case.world.run_ms(500)
        times = [ms for ms, _ in case.answers[seen:]]
        for i in range(1, len(times)):
            # A response takes 5 ms each way.
            assert times[i] - times[i - 1] >= 1000 * least - 20, (where, times)
            assert times[i] - times[i - 1] <= 1000 * least + 2000, (where, times)


def test_in_force_at_once():
    case = Case()
    case.observe("/3442/0/120")
    assert case.write("/3442/0", "pmin=8")[0] == 0x44
    case.set(120, 1)
    case.world.run(5)
    assert case.texts() == ["0"]  # eight seconds from the report before
    assert case.world.run(5, lambda: len(case.answers) == 2)
    assert case.write("/3442/0", "pmin")[0] == 0x44
    case.set(120, 2)
    assert case.world.run(1, lambda: len(case.answers) == 3)
    assert case.write("/3442/0/120", "pmax=5")[0] == 0x44
    assert case.world.run(7, lambda: len(case.answers) == 4)
    assert case.write("/3442/0/120", "pmax&gt=50")[0] == 0x44
    case.set(120, 49)  # v0 is known although nobody had asked for thresholds
    case.world.run(2)
    case.set(120, 51)
    case.world.run(2)
    assert case.texts() == ["0", "1", "2", "2", "51"]
    # Likewise the defaults of the account, which are settings of a server.
    assert case.server.ask(PUT, "/1/0/3", b"4", 0).code == 0x44
    assert case.world.run(6, lambda: len(case.answers) == 6)


def test_a_multiple_resource():
    # gt, lt and st of a multiple resource are for its instances; of itself any change is told.
    case = Case()
    assert case.write("/3442/0/1120", "gt=10")[0] == 0x44
    case.observe("/3442/0/1120/0")
    case.observe("/3442/0/1120")
    seen = len(case.answers)
    case.set(1120, {0: 5, 1: 2})
    case.world.run(1)
    assert len(case.answers) == seen + 1
    case.set(1120, {0: 11, 1: 2})
    case.world.run(1)
    assert len(case.answers) == seen + 3


def test_values_of_functions_are_looked_at_as_told():
    # epmin, epmax (s), and how often a function is called in 60 s in which the application says once a
    # second that its value may be another one; whether it says so at all.
    for attributes, told, least, most in (
        ("gt=50", True, 59, 61),
        ("gt=50&epmin=10", True, 5, 6),
        ("gt=50&epmin=5&epmax=20", True, 11, 12),
        ("gt=50&epmax=20", False, 2, 3),
        ("epmax=10", False, 5, 6),
        ("pmin=5", False, 0, 0),
        ("pmin=15&epmax=5", False, 9, 10),  # nothing could be sent before
    ):
        case = Case()
        looks = []

        def value():
            looks.append(1)
            return 7

        case.object.instances[0][120] = value
        assert case.write("/3442/0/120", attributes)[0] == 0x44
        case.observe("/3442/0/120")
        looks.clear()
        for _ in range(60):
            if told:
                case.core.changed(3442, 0, 120)
            case.world.run(1)
        assert least <= len(looks) <= most, (attributes, len(looks))
        assert len(case.answers) == 1


def test_what_changes_untold_is_seen_at_epmax():
    # Of a number, a text, an instance; and once for each notification.
    for path, rid, value, other, attributes in (
        ("/3442/0/120", 120, 7, 8, "epmax=5"),
        ("/3442/0/120", 120, 7, 60, "epmax=5&gt=50"),
        ("/3442/0/110", 110, "seven", "eight", "epmax=5"),
        ("/3442/0", 110, "seven", "eight", "epmax=5"),
        ("/3442", 110, "seven", "eight", "epmax=5"),
        ("/3442/0/1120", 1120, {0: 1}, {0: 2}, "epmax=5"),
    ):
        case = Case()
        values = [value]
        looks = []

        def look():
            looks.append(1)
            return values[0]

        case.object.instances[0][rid] = look
        assert case.write(path, attributes)[0] == 0x44
        case.observe(path)
        case.world.run(12)
        assert len(case.answers) == 1, path
        values[0] = other
        looks.clear()
        assert case.world.run(7, lambda: len(case.answers) == 2), path
        assert len(looks) == 1  # what is judged is what is sent
        case.world.run(20)
        assert len(case.answers) == 2, path


def test_the_event_of_evaluation_periods():
    case = Case()
    assert lwm2m.EVENT_EVALUATION_PERIOD == 20
    for attributes, periods in (
        ("epmin=5", (5, None)),
        ("epmax=60&pmin=3", (5, 60)),
        ("pmin=4", None),
        ("epmin", (None, 60)),
        ("epmax", (None, None)),
    ):
        case.world.events.clear()
        assert case.write("/3442/0", attributes)[0] == 0x44
        found = [
            (e.short_id, e.path, e.min_period, e.max_period)
            for _, e in case.world.events
            if e.type == lwm2m.EVENT_EVALUATION_PERIOD
        ]
        assert found == ([(1, (3442, 0)) + periods] if periods else []), attributes


def test_a_value_that_raises():
    # As without attributes: an event, and at the next look another try.
    case = Case()
    reported = []
    case.core.engine.on_exception = reported.append
    assert case.write("/3442/0/120", "epmax=5&gt=50")[0] == 0x44
    case.observe("/3442/0/120")

    def broken():
        raise OSError(5)

    case.object.instances[0][120] = broken
    case.world.events.clear()
    case.world.run(12)
    failed = case.world.times(lwm2m.EVENT_OBSERVATION_NOTIFICATION_FAILED)
    assert 2 <= len(failed) <= 3 and len(reported) == len(failed)
    case.object.instances[0][120] = 60
    assert case.world.run(7, lambda: case.texts()[-1] == "60")


def test_what_nobody_has_got_is_sent_again():
    # A notification that was not acknowledged: the value is as when it went out, and still news.
    case = Case(_1=86400)
    assert case.write("/3442/0/120", "gt=50&epmin=2")[0] == 0x44
    case.observe("/3442/0/120")
    case.server.silent = True
    case.set(120, 60)
    case.world.run(100)
    case.server.silent = False
    assert case.world.run(200, lambda: case.texts()[-1] == "60")
    seen = len(case.answers)
    case.set(120, 61)
    case.world.run(100)
    assert len(case.answers) == seen


def test_what_must_not_fail_needs_no_memory():
    # A write that is done is not to be answered 5.00 for what follows from it.
    case = Case()
    assert case.write("/3442", "pmin=2&pmax=50&epmax=20")[0] == 0x44
    assert case.write("/3442/0/120", "gt=2.5&epmin=3&con=0")[0] == 0x44
    assert case.write("/3442/0/1120", "pmin=1")[0] == 0x44
    for path in ("/3442/0/120", "/3442/0/1120/1", "/3442"):
        case.observe(path)
    account = case.core.accounts[0]
    part = case.core.parts[0]
    case.world.run(1)
    now = case.world.now()
    micropython.heap_lock()
    try:
        for _ in range(2):
            case.core.changed(1, 1, 3)
            case.core.changed(1, 1, -1)
            part.moved(account)
            wait = part.next_ms(now, -1)
            part.poll(now)
            rest = part.next_ms(now, -1)
    finally:
        micropython.heap_unlock()
    assert wait == 0 and rest > 0


# --- Confirmable or not


def _types(case, count):
    # The types of so many notifications, 0 confirmable.
    types = []
    for i in range(count):
        case.world.sent.clear()
        seen = len(case.answers)
        case.set(120, case.object.get(0, 120) + 1)
        assert case.world.run(2, lambda: len(case.answers) > seen)
        types.append(case.world.sent[0][0] >> 4 & 3)
        case.world.run(1)
    return types


def test_confirmable_or_not():
    for attributes, settings, type in (
        ("", {}, 0),
        ("con=1", {}, 0),
        ("con=0", {}, 1),
        ("", {"_26": 0}, 1),  # Default Notification Mode
        ("", {"_26": 1}, 0),
        ("con=1", {"_26": 0}, 0),
        ("con=0", {"_26": 1}, 1),
    ):
        case = Case(**settings)
        if attributes:
            assert case.write("/3442", attributes)[0] == 0x44
        case.observe("/3442/0/120")
        assert _types(case, 3) == [type] * 3, (attributes, settings)


def test_one_a_day_is_confirmable():
    # RFC 7641 4.5; of any pace.
    for minutes in (60, 7 * 60, 25 * 60):
        case = Case(_1=86400 * 30)
        assert case.write("/3442/0/120", "con=0")[0] == 0x44
        case.observe("/3442/0/120")
        last = 0
        types = []
        for i in range(4 * 24 * 60 // minutes):
            for grows in (case.answers, case.world.events, case.server.heard):
                grows.clear()
            case.world.run(60 * minutes)
            types += _types(case, 1)
            if not types[-1]:
                last = case.world.time
            assert case.world.time - last <= 86400000 or types[-1] == 0
        assert 0 in types
        assert (1 in types) == (minutes < 12 * 60)


def test_not_confirmable_and_reset():
    # RFC 7641 3.6: a reset ends it, of the last notification at least.
    case = Case()
    assert case.write("/3442/0/120", "con=0")[0] == 0x44
    x = case.observe("/3442/0/120")
    case.set(120, 1)
    case.world.run(1)
    case.server.engine.cancel(x)
    case.world.events.clear()
    case.set(120, 2)
    case.world.run(1)
    types = [e.type for _, e in case.world.events]
    assert types == [lwm2m.EVENT_OBSERVATION_NOTIFICATION, lwm2m.EVENT_OBSERVATION_CANCELED]
    assert case.core.parts[0].observations == []


def test_not_confirmable_and_silence():
    # Nobody acknowledges, nobody is missed: no event, no retransmission, no wait; what is kept of it
    # is gone after MAX_TRANSMIT_WAIT.
    case = Case(_1=86400)
    assert case.write("/3442/0/120", "con=0")[0] == 0x44
    case.observe("/3442/0/120")
    case.server.silent = True
    case.world.events.clear()
    case.world.datagrams = 0
    for i in range(5):
        case.set(120, i + 1)
        case.world.run(10)
    assert case.world.datagrams == 5 and len(case.core.engine._exchanges) == 1
    case.world.run(100)
    assert case.world.datagrams == 5 and case.core.engine._exchanges == []
    types = {e.type for _, e in case.world.events}
    assert types == {lwm2m.EVENT_OBSERVATION_NOTIFICATION}
    case.server.silent = False
    case.set(120, 9)
    assert case.world.run(1, lambda: case.texts()[-1] == "9")


# --- Attributes in the Observe query (LwM2M 1.2)


def test_of_one_observation():
    case = Case("1.2", _2=2)
    assert case.write("/3442/0/120", "pmin=30&pmax=60&gt=7")[0] == 0x44
    case.observe("/3442/0/120", "pmax=10")
    event = case.world.last(lwm2m.EVENT_OBSERVATION_STARTED)
    assert (event.min_period, event.max_period) == (
        2,
        10,
    )  # the default counts, the written do not
    case.set(120, 1)
    assert case.world.run(3, lambda: len(case.answers) == 2)
    assert case.world.run(12, lambda: len(case.answers) == 3)
    assert case.discover("/3442/0/120")[0][1] == {"pmin=30", "pmax=60", "gt=7"}
    for bad in ("pmin=a", "lt=3&gt=2", "hello", "st=-1"):
        answer = case.server.ask(GET, "/3442/0/120", more=((_OBSERVE, 0),) + _queries(bad))
        assert (answer.code, answer.observe) == (0x80, None), bad
    assert len(case.core.parts[0].observations) == 1
    # A server of 1.1 has none there (LwM2M 1.2 6.4.1: who does not know them rejects the Observe).
    case = Case()
    answer = case.server.ask(GET, "/3442/0/120", more=((_OBSERVE, 0),) + _queries("pmax=10"))
    assert (answer.code, answer.observe, answer.text) == (0x80, None, "no attributes here")
    assert case.core.parts[0].observations == []
