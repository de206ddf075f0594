# The Device object: what an application tells of power and errors, and a clock that was not set.

import sys

import device.port as port
import lwm2m.client as client_module
from boards import refused
from lwm2m.device import Device
from ucoap import GET, PUT
from world import Registrar, World, account, encode, server

_TLV = 11542
_USB = 5  # kinds of /3/0/6
_SOLAR = 7
_LOW_BATTERY = 1  # codes of /3/0/11
_GPS_FAILURE = 3
_RESET_S = 946684800  # the first second that a fresh ESP32 tells, since 1970
_NOW_S = 1800000000


class _Case:
    def __init__(self, **kwargs):
        self.world = World()
        self.server = Registrar(self.world)
        self.client = self.world.client(**kwargs)
        self.client.core.objects[0].instances[0] = account(1)
        self.client.core.objects[1].instances[0] = server(1)
        assert self.world.run(5, lambda: self.server.location)
        self.world.run(1)

    def tlv(self, rid):
        answer = self.server.read("/3/0/%d" % rid, _TLV)
        return answer.payload if answer.code == 0x45 else answer.code

    def text(self, path):
        answer = self.server.read(path)
        return answer.text if answer.code == 0x45 else answer.code


# --- Power and errors


def test_power_sources():
    case = _Case()
    device = Device(case.client)
    assert case.tlv(6) == 0x84
    device.source(0, _USB, voltage=5000, current=120)
    device.source(1, _SOLAR)
    device.source(2, 1, voltage=3700)
    assert case.tlv(6) == encode({6: {0: 5, 1: 7, 2: 1}})
    assert case.tlv(7) == encode({7: {0: 5000, 2: 3700}})
    assert case.tlv(8) == encode({8: {0: 120}})
    device.source(0, _USB)  # no more is known of it
    assert case.tlv(7) == encode({7: {2: 3700}})
    for bad in ((0, 8), (0, -1), (0, "USB"), (0, _USB, 5.0), (65535, _USB), (0, None)):
        text = refused(ValueError, device.source, *bad)
        assert text.startswith("/3/x/"), text
    assert case.tlv(6) == encode({6: {0: 5, 1: 7, 2: 1}})


def test_battery():
    case = _Case()
    device = Device(case.client)
    answers = []
    device.battery(80)
    case.server.start(GET, "/3/0/9", callback=answers.append, more=((6, 0),))
    case.world.run(2)
    for level in (80, 79, 79):
        device.battery(level, 1)
        case.world.run(2)
    assert [answer.text for answer in answers] == ["80", "79"]
    assert case.text("/3/0/20") == "1"
    for bad, text in (
        ((101,), "/3/x/9 must be a whole number from 0 to 100"),
        ((-1,), "/3/x/9 must be a whole number from 0 to 100"),
        ((50, 7), "/3/x/20 must be a whole number from 0 to 6"),
    ):
        assert refused(ValueError, device.battery, *bad) == text
    assert (case.text("/3/0/9"), case.text("/3/0/20")) == ("79", "1")


def test_error_codes():
    # LwM2M 1.1 E.4: the first error replaces 0, and each further one is an instance more.
    case = _Case()
    device = Device(case.client)
    codes = case.client.core.objects[3]
    assert codes.get(0, 11) == {0: 0}
    for code in (_LOW_BATTERY, _GPS_FAILURE, _LOW_BATTERY, 0):
        device.error(code)
    assert case.tlv(11) == encode({11: {0: 1, 1: 3}})
    assert case.server.execute("/3/0/12").code == 0x44
    assert case.tlv(11) == encode({11: {0: 0}})
    for code in range(20, 40):
        device.error(code)
    assert codes.get(0, 11) == {n: 32 + n for n in range(8)}
    assert refused(ValueError, device.error, "low").startswith("/3/x/11 must be")


# --- The clock


class _Time:
    """Module time on a board of which nobody has set the clock, where LwM2M's epoch is the port's."""

    def __init__(self, seconds):
        self.seconds = seconds

    def time(self):
        return self.seconds


def _at(seconds, test):
    kept = client_module.time, client_module._EPOCH
    client_module.time, client_module._EPOCH = _Time(seconds), 0
    try:
        test(client_module.time)
    finally:
        client_module.time, client_module._EPOCH = kept


def test_a_clock_that_was_not_set():
    def test(clock):
        case = _Case()
        assert case.text("/3/0/13") == 0x84
        payload = case.server.read("/3/0", _TLV).payload
        assert bytes((0xC4, 13)) not in payload and bytes((0xC8, 13)) not in payload
        clock.seconds = _NOW_S  # SNTP has come
        case.client.step(0)
        assert case.text("/3/0/13") == str(_NOW_S)

    _at(_RESET_S, test)


def test_a_clock_that_a_server_sets():
    def test(clock):
        case = _Case()
        assert case.server.ask(PUT, "/3/0/13", b"1767225700", 0).code == 0x44
        clock.seconds += 50
        assert case.text("/3/0/13") == "1767225750"
        case.client.step(0)
        clock.seconds = _NOW_S  # SNTP knows better
        assert case.text("/3/0/13") == str(_NOW_S)
        assert case.server.ask(PUT, "/3/0/13", b"1900000000", 0).code == 0x44
        clock.seconds += 5
        assert case.text("/3/0/13") == "1900000005"  # but a server can be of another mind

    _at(_RESET_S, test)


def test_a_clock_that_was_set():
    def test(clock):
        assert _Case().text("/3/0/13") == str(_NOW_S)
        assert _Case(device={13: 5}).text("/3/0/13") == "5"

    _at(_NOW_S, test)


# --- Memory


def test_memory_is_that_of_now():
    case = _Case()
    before = int(case.text("/3/0/21"))
    assert 0 < int(case.text("/3/0/10")) <= before
    assert callable(case.client.core.objects[3].instances[0][21])


class _Esp32:
    HEAP_DATA = 4
    regions = [(200000, 30000, 20000, 10000), (100000, 2000, 1000, 500)]

    def idf_heap_info(self, kind):
        assert kind == self.HEAP_DATA
        return self.regions


def test_the_smaller_of_two_heaps():
    free, size = port.memory()
    assert 0 < free < size
    kept = port._ESP32
    port._ESP32 = True
    sys.modules["esp32"] = esp32 = _Esp32()
    try:
        assert port.memory() == (32000, 300000)
        esp32.regions = [(1 << 30, 1 << 29, 0, 0)]
        assert port.memory()[1] < 1 << 29
    finally:
        port._ESP32 = kept
        sys.modules.pop("esp32")
