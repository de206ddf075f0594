# Objects 4, 6 and 7: what the board's network knows, where it is, and what is sent and received.

from boards import refused
from lwm2m.connectivity import CELLULAR, WLAN, Connectivity
from lwm2m.location import Location
from lwm2m.model import Object
from lwm2m.statistics import Statistics
from observed import Case
from ucoap import POST, PUT
from world import World


class _Case(Case):
    def count(self):
        """How many notifications there were; they are forgotten."""
        self.world.run(2)
        n = len(self.answers)
        self.answers.clear()
        return n


class _Nic:
    """As network.WLAN is of an RP2040."""

    def __init__(self):
        self.address = "0.0.0.0"
        self.addresses = []
        self.rssi = None

    def ifconfig(self):
        return self.address, "255.255.255.0", "192.0.2.1", "192.0.2.1"

    def ipconfig(self, what):
        if what != "addr6":
            raise ValueError("unknown config param")
        return self.addresses

    def status(self, what):
        if self.rssi is None:
            raise OSError(-1)
        return self.rssi


class _Wired:
    """An older interface: no ipconfig(), no radio."""

    def ifconfig(self):
        return "192.0.2.9", "255.255.255.0", "192.0.2.1", "192.0.2.1"

    def status(self):
        return 3


# --- Object 4


def test_a_radio():
    nic = _Nic()
    obj = Connectivity(WLAN, nic)
    case = _Case(obj)
    assert [case.text("/4/0/%d" % rid) for rid in (0, 2)] == ["21", "0"]  # nothing is known yet
    assert (obj.get(0, 1), obj.get(0, 4)) == ({0: 21}, {})
    nic.rssi = -61
    nic.address = "192.0.2.7"
    nic.addresses = [("fe80::1", 48, 0, 0), ("::", 0, 0, 0), ("2001:db8::7", 48, 0, 0)]
    assert case.text("/4/0/2") == "-61"
    assert obj.get(0, 4) == {0: "192.0.2.7", 1: "fe80::1", 2: "2001:db8::7"}
    assert obj.get(0, 5) == {0: "192.0.2.1"}
    assert case.server.read("/4/0").code == 0x45


def test_what_changes_is_told():
    nic = _Nic()
    obj = Connectivity(WLAN, nic)
    case = _Case(obj)
    case.observe("/4/0/2")
    obj.update()
    case.count()
    for rssi, n in ((-61, 1), (-61, 0), (-70, 1)):
        nic.rssi = rssi
        obj.update()
        assert case.count() == n
    nic.address = "192.0.2.8"  # another resource
    obj.update()
    assert case.count() == 0


def test_what_has_no_radio():
    obj = Connectivity(CELLULAR, _Wired())
    assert (obj.get(0, 2), obj.get(0, 4)) == (0, {0: "192.0.2.9"})
    assert Connectivity(CELLULAR, _Wired(), lambda: -97).get(0, 2) == -97
    obj = Connectivity(41)
    assert (obj.get(0, 2), obj.get(0, 4), obj.get(0, 5)) == (0, {}, None)
    obj.set(0, 4, {0: "192.0.2.7"})
    assert obj.get(0, 4) == {0: "192.0.2.7"}
    assert "must be a whole number" in refused(ValueError, Connectivity, "WLAN")


# --- Object 6


def test_a_fix():
    place = Location()
    case = _Case(place)
    assert "</6>" in case.client.core.accounts[0].links
    assert case.text("/6/0/0") == 0x84
    place.move(48.5, 16.25, 1790000000, radius=12)
    case.world.run(2)
    assert "</6/0>" in case.client.core.accounts[0].links
    assert [case.text("/6/0/%d" % rid) for rid in (0, 1, 3, 5)] == [
        "48.5",
        "16.25",
        "12",
        "1790000000",
    ]
    case.observe("/6/0/1")
    place.move(48.75, 16.25, 1790000060)  # the longitude is as it was
    assert case.count() == 0
    assert case.text("/6/0/3") == 0x84
    place.move(48.75, -16.25, 1790000120, altitude=171.5, velocity=b"\0\1\2\3", speed=1)
    assert case.count() == 1
    assert place.instances[0] == {
        0: 48.75,
        1: -16.25,
        2: 171.5,
        4: b"\0\1\2\3",
        5: 1790000120,
        6: 1,
    }


def test_no_fix():
    place = Location()
    for bad, text in (
        ((91, 0, 0), "no place on earth"),
        ((0, -180.5, 0), "no place on earth"),
        ((float("nan"), 0, 0), "no place on earth"),
        ((0, 0, -1), "/6/x/5 must be a whole number from 0"),
        ((0, 0, None), "/6/x/5"),
        ((None, 0, 0), "/6/x/0 must be a number"),
        ((0, 0, 0, "high"), "/6/x/2 must be a number"),
    ):
        assert text in refused(ValueError, place.move, *bad), bad
    assert place.instances == {}


# --- Object 7


def test_nothing_is_counted_before_start():
    world = World()
    obj = Statistics(world)
    case = _Case(obj, world=world)
    assert [case.text("/7/0/%d" % rid) for rid in (2, 3, 4, 5, 8)] == ["0"] * 5
    assert case.text("/7/0/0") == 0x84  # no SMS here
    assert obj.sent == obj.received == 0


def test_start_and_stop():
    world = World()
    obj = Statistics(world)
    text = Object(26241, (0, 1 | 0x30), {0: {0: "x" * 900}})
    case = _Case(obj, text, world=world)
    for _ in range(2):
        assert case.server.execute("/7/0/6").code == 0x44
        world.run(1)
        datagrams, size = world.datagrams, world.bytes
        for _ in range(5):
            assert len(case.server.read("/26241/0/0").payload) == 900
        datagrams = world.datagrams - datagrams + 1  # the answer to Start
        assert obj.sent + obj.received == datagrams
        size = world.bytes - size
        # Of the answer to Start there are 4 to 12 bytes.
        for rid, least in ((2, 5 * 900 // 1024), (3, 0)):
            assert case.text("/7/0/%d" % rid) == str(least)
        most = int(case.text("/7/0/4"))
        assert 900 < most < 925
        average = int(case.text("/7/0/5"))
        assert 100 < average < size // datagrams
    assert case.server.execute("/7/0/7").code == 0x44
    sent = obj.sent
    case.server.read("/26241/0/0")
    assert obj.sent == sent


def test_collection_period():
    world = World()
    obj = Statistics(world)
    case = _Case(obj, world=world)
    assert case.server.ask(PUT, "/7/0/8", b"60", 0).code == 0x44
    assert case.server.execute("/7/0/6").code == 0x44
    world.run(50)
    case.text("/3/0/0")
    sent = obj.sent
    assert sent == 2  # and the answer to Start
    world.run(20)
    case.text("/3/0/0")
    assert obj.sent == sent
    for bad in (b"-1", b"268435456"):
        answer = case.server.ask(PUT, "/7/0/8", bad, 0)
        assert answer.code == 0x80
        assert answer.payload == b"/7/0/8 must be from 0 to 268435455"
    assert case.text("/7/0/8") == "60"
    # A replace with nothing takes the period away: until Stop, then.
    assert case.server.ask(PUT, "/7/0", b"", 11542).code == 0x44
    assert case.server.execute("/7/0/6").code == 0x44
    world.run(10000)
    case.text("/3/0/0")
    assert obj.sent > 2


def test_arguments_are_refused():
    world = World()
    obj = Statistics(world)
    case = _Case(obj, world=world)
    case.server.execute("/7/0/6")
    for rid in (6, 7):
        answer = case.server.ask(POST, "/7/0/%d" % rid, b"0", 0)
        assert (answer.code, answer.payload) == (0x80, b"no arguments here")
    assert obj.sent > 0


def test_observers_do_not_count_themselves():
    world = World()
    obj = Statistics(world)
    case = _Case(obj, world=world)
    case.observe("/7/0/5")
    case.server.execute("/7/0/6")
    assert case.count() == 1
    world.run(60)
    assert case.count() == 0
