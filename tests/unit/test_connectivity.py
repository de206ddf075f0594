# Objects 4, 6 and 7: what the board's network knows, where it is, and what is sent and received.

import device.monitor as monitor
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


# --- What module device.monitor makes of a network


class _Link:
    """What the monitor asks of a Link."""

    def __init__(self, nic, said=None):
        self._nic = nic
        self._said = said or {}

    def nic(self):
        return self._nic

    def said(self):
        return self._said


def test_answers_of_modems():
    for said, dbm in (
        (b"AT+CSQ\r\r\n+CSQ: 17,99\r\n\r\nOK", -79),  # 2 * 17 - 113 (3GPP TS 27.007 8.5)
        (b"+CSQ: 0,0\r\nOK", -113),
        (b"\r\n+CSQ:31,99\r\n\r\nOK", -51),
        (b"+CSQ: 99,99\r\nOK", 0),
        (b"+CSQ: 32,99\r\nOK", 0),
        (b"+CSQ: -1,99\r\nOK", 0),
        (b"+CSQ: \xff,99\r\nOK", 0),
        (b"17,99\r\nOK", 0),
        (b"OK", 0),
        (b"", 0),
    ):
        assert monitor.signal(said) == dbm, said
    for said, code in (
        (b'AT+COPS?\r\r\n+COPS: 0,2,"26201",7\r\n\r\nOK', (262, 1)),
        (b'+COPS: 0,2,"310410"\r\nOK', (310, 410)),
        (b'+COPS: 1,2,"00101",9\r\nOK', (1, 1)),
        (b'+COPS: 0,0,"Telekom.de",7\r\nOK', None),  # AT+COPS=3,2 was not sent
        (b'+COPS: 0,2,"2620",7\r\nOK', None),
        (b"+COPS: 0\r\nOK", None),  # in no network
        (b'+COPS: 0,2,"26201', None),
        (b"", None),
    ):
        assert monitor.operator(said) == code, said


def test_monitor_of_a_modem():
    case = _Case()
    nic = _Nic()
    assert monitor.watch(case.client, None, _Link(None), "ppp") is None
    said = {"AT+CSQ": b"+CSQ: 17,99\r\nOK", "AT+COPS?": b'+COPS: 0,2,"26201",7\r\nOK'}
    found = monitor.watch(case.client, None, _Link(nic, said), "ppp")
    case.world.run(2)
    for rid, text in ((0, "0"), (2, "-79"), (9, "1"), (10, "262")):
        assert case.text("/4/0/%d" % rid) == text
    case.observe("/4/0/2")
    # It dials anew; what is not known is 0.
    assert monitor.watch(case.client, found, _Link(_Nic(), {}), "ppp") is found
    assert case.count() == 1
    assert case.text("/4/0/2") == "0" and case.text("/4/0/10") == "262"


def test_monitor_of_wifi():
    case = _Case()
    nic = _Nic()
    nic.rssi = -61
    found = monitor.watch(case.client, None, _Link(nic), "wifi")
    case.world.run(2)
    assert (case.text("/4/0/0"), case.text("/4/0/2")) == (str(WLAN), "-61")
    other = _Nic()
    other.rssi = -70
    assert monitor.watch(case.client, found, _Link(other), "wifi") is found
    assert case.text("/4/0/2") == "-70"
    # The application has one of its own.
    case = _Case(Object(4, (), {0: {}}))
    assert monitor.watch(case.client, None, _Link(nic), "wifi") is None
