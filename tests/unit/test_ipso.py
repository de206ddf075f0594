# heapsize: 4M
#
# IPSO objects: what they are by definition, measured, counted, written by servers, and kept.

from boards import board, refused
from lwm2m.ipso import Ipso, Sensor, definition
from lwm2m.model import BOOL, FLOAT, INT, OPAQUE, STR, TIME, E, M, Object, R, W
from observed import Case
from ucoap import POST, PUT

# --- What OMA's registry says, by hand: (version, {resource id: type and operations}). tests/board has
# the registry itself, which as JSON does not tell operations.

_RW = R | W
_AT = {5518: TIME | R, 5750: STR | _RW, 6050: FLOAT | R}
_QUALITY = {6042: INT | R, 6049: INT | R}
_RANGES = {5601: FLOAT | R, 5602: FLOAT | R, 5603: FLOAT | R, 5604: FLOAT | R, 5605: E}


def _all(*parts, **more):
    found = {}
    for part in parts:
        found.update(part)
    return found


_S = _all(_AT, _QUALITY, _RANGES, {5700: FLOAT | R | M, 5701: STR | R})
_S_5821 = _all(_S, {5821: FLOAT | _RW})
_BUTTON = _all(_AT, {5500: BOOL | R | M, 5501: INT | R})
_TIMES = {5852: INT | _RW, 5854: INT | _RW}

DEFINED = {
    3200: _all(
        _BUTTON,
        {5502: BOOL | _RW, 5503: INT | _RW, 5504: INT | _RW, 5505: E, 5751: STR | R},
    ),
    3201: _all(_AT, {5550: BOOL | _RW | M, 5551: BOOL | _RW}),
    3202: _all(_AT, _QUALITY, _RANGES, {5600: FLOAT | R | M, 5751: STR | R}),
    3203: _all(_AT, {5603: FLOAT | R, 5604: FLOAT | R, 5650: FLOAT | _RW | M}),
    3300: _all(_S, {5751: STR | R}),
    3301: _S,
    3303: _S,
    3304: _S,
    3306: _all(_AT, {5850: BOOL | _RW | M, 5851: INT | _RW, 5852: INT | _RW, 5853: STR | _RW}),
    3315: _S,
    3336: _all(
        _AT,
        _QUALITY,
        {5517: OPAQUE | R, 5705: FLOAT | R},
        {6051: FLOAT | R | M, 6052: FLOAT | R | M, 6053: FLOAT | R},
    ),
    3342: _all(_BUTTON, _TIMES),
    3343: _all(_TIMES, {5548: FLOAT | _RW | M, 5750: STR | _RW}),
    3346: _S_5821,
    3347: _BUTTON,
}
for _id in range(3316, 3331):
    DEFINED[_id] = _S_5821


def test_definitions():
    for id in range(3000, 3500):
        if id not in DEFINED:
            assert "describe it" in refused(ValueError, definition, id)
            continue
        version, resources = definition(id)
        assert version == {3336: "2.0", 3343: None}.get(id, "1.1"), id
        found = {resources[i]: resources[i + 1] for i in range(0, len(resources), 2)}
        assert found == DEFINED[id], id
        ids = [resources[i] for i in range(0, len(resources), 2)]
        assert ids == sorted(found), id  # ascending, as Object wants them


# --- At work


class _Case(Case):
    def told(self):
        """What notifications have said so far; it is forgotten."""
        self.world.run(2)
        found = [answer.text for answer in self.answers]
        self.answers.clear()
        return found


class _Probe:
    def __init__(self, value):
        self.value = value
        self.count = 0

    def __call__(self):
        self.count += 1
        return self.value


def test_a_sensor_that_is_set():
    sensor = Sensor(3303, "Cel")
    case = _Case(sensor)
    assert "</3303>;ver=1.1,</3303/0>" in case.client.core.accounts[0].links
    for rid in (5700, 5601, 5602):
        assert case.text("/3303/0/%d" % rid) == 0x84  # nothing is measured yet
    assert case.text("/3303/0/5701") == "Cel"
    for value in (21.5, 19, 23.25, 20.5):
        sensor.set(0, 5700, value)
    assert [case.text("/3303/0/%d" % rid) for rid in (5700, 5601, 5602)] == ["20.5", "19", "23.25"]
    assert refused(ValueError, sensor.set, 0, 5700, "21") == "/3303/x/5700 must be a number"
    sensor.set(0, 5700, float("nan"))
    assert (sensor.get(0, 5601), sensor.get(0, 5602)) == (19, 23.25)


def test_a_sensor_with_a_function():
    probe = _Probe(21.5)
    sensor = Sensor(3303, "Cel", read=probe)
    case = _Case(sensor)
    assert probe.count == 0  # it is asked when somebody wants to know
    assert case.text("/3303/0/5700") == "21.5"
    probe.value = 20.0
    assert case.text("/3303/0/5700") == "20.0"
    assert [case.text("/3303/0/%d" % rid) for rid in (5601, 5602)] == ["20.0", "21.5"]
    case.observe("/3303/0/5700")
    probe.value = 22.0
    assert sensor.measure() == probe.value
    assert case.told() == ["22.0"]
    assert sensor.measure() == probe.value
    assert case.told() == []
    probe.value = "warm"
    case.client.core.engine.on_exception = None
    assert case.text("/3303/0/5700") == 0xA0
    probe.value = 22.0
    assert [case.text("/3303/0/%d" % rid) for rid in (5700, 5601)] == ["22.0", "20.0"]


def test_an_equal_value_notifies_nobody():
    sensor = Sensor(3303, "Cel")
    sensor.set(0, 5700, 21.5)
    case = _Case(sensor)
    for path in ("/3303/0/5700", "/3303"):
        case.observe(path)
    case.world.events.clear()
    for _ in range(3):
        sensor.set(0, 5700, 21.5)
        sensor.set(0, 5701, "Cel")
    assert case.told() == []
    sensor.set(0, 5700, 21.75)
    case.world.run(2)
    assert len(case.answers) == 2


def test_what_else_is_set_and_equal():
    # A dict that is the same one, and a function, may have other values; those of an equal one are none.
    told = []
    obj = Object(26241, (0, INT | R | 0x80, 1, INT | R), {0: {0: {0: 1}}})
    obj.on_change = lambda *path: told.append(path[2])
    same = obj.get(0, 0)
    obj.set(0, 0, {0: 1})
    assert told == []
    same = obj.get(0, 0)
    same[0] = 2
    obj.set(0, 0, same)
    assert told == [0]
    for _ in range(2):
        obj.set(0, 1, len)
    assert told == [0, 1, 1]


def test_reset_of_minimum_and_maximum():
    for probe in (None, _Probe(20.5)):
        sensor = Sensor(3303, "Cel", read=probe)
        case = _Case(sensor)
        if probe is None:
            assert case.server.execute("/3303/0/5605").code == 0x44
            assert case.text("/3303/0/5601") == 0x84
            sensor.set(0, 5700, 20.5)
        sensor.instances[0].update({5601: -5.0, 5602: 40.0})
        case.observe("/3303/0/5601")
        # OMA's registry has no arguments for it.
        answer = case.server.execute("/3303/0/5605", b"0")
        assert (answer.code, answer.payload) == (0x80, b"no arguments here")
        assert (sensor.get(0, 5601), sensor.get(0, 5602)) == (-5.0, 40.0)
        assert case.server.execute("/3303/0/5605").code == 0x44
        assert (sensor.get(0, 5601), sensor.get(0, 5602)) == (20.5, 20.5)
        assert case.told() == ["20.5"]


def test_more_of_a_kind():
    first = _Probe(1.0)
    sensor = Sensor(3316, "V", read=first)
    sensor.another(7, "mV", read=_Probe(3300))
    case = _Case(sensor)
    assert "</3316/0>,</3316/7>" in case.client.core.accounts[0].links
    assert [case.text(path) for path in ("/3316/0/5700", "/3316/7/5700")] == ["1.0", "3300"]
    assert case.server.execute("/3316/7/5605").code == 0x44
    assert (sensor.get(0, 5601), sensor.get(7, 5601)) == (1.0, 3300)


def test_what_is_no_sensor():
    assert "is no sensor" in refused(ValueError, Sensor, 3306)
    assert refused(ValueError, Sensor, 3202, "V") == "object 3202 has no resource 5701"
    assert "describe it" in refused(ValueError, Ipso, 9999)


def test_a_counter():
    button = Sensor(3347)
    case = _Case(button)
    case.observe("/3347/0/5501")
    for state in (False, True, True, False, True):
        button.set(0, 5500, state)
    assert case.text("/3347/0/5501") == "2"
    assert case.told() == ["2"]


def test_edges_of_an_input():
    # 5504: 1 falling, 2 rising, 3 both.
    for edges, count in ((None, 2), (1, 1), (2, 2), (3, 3)):
        level = Sensor(3200)
        if edges:
            level.set(0, 5504, 3)
        case = _Case(level)
        if edges:
            for bad in (0, 4, -1):
                answer = case.server.ask(PUT, "/3200/0/5504", b"%d" % bad, 0)
                assert answer.code == 0x80
                assert answer.payload == b"/3200/x/5504 must be from 1 to 3"
            assert case.server.ask(PUT, "/3200/0/5504", b"%d" % edges, 0).code == 0x44
        for state in (False, True, True, False, True):
            level.set(0, 5500, state)
        assert level.get(0, 5501) == count, edges
        assert case.server.execute("/3200/0/5505").code == 0x44
        assert case.text("/3200/0/5501") == "0"


def test_servers_write():
    written = []
    light = Ipso(3306, {5850: False, 5851: 100}, lambda iid, values: written.append(values))
    case = _Case(light)
    assert case.server.ask(PUT, "/3306/0/5850", b"1", 0).code == 0x44
    assert written == [{5850: True}]
    for bad in (b"-1", b"101"):
        answer = case.server.ask(PUT, "/3306/0/5851", bad, 0)
        assert (answer.code, answer.payload) == (0x80, b"/3306/x/5851 must be from 0 to 100")
    assert case.server.ask(PUT, "/3306/0/5851", b"40", 0).code == 0x44
    assert (light.get(0, 5851), len(written)) == (40, 2)
    output = Ipso(3203, {5650: 0.0})
    case = _Case(output)
    assert case.server.ask(PUT, "/3203/0/5650", b"1.5", 0).code == 0x80
    assert case.server.ask(PUT, "/3203/0/5650", b"0.5", 0).code == 0x44
    assert refused(ValueError, output.set, 0, 5650, "x") == "/3203/x/5650 must be a number"


def test_a_place():
    place = Ipso(3336, {6051: 48.2, 6052: 16.37})
    case = _Case(place)
    place.set(0, 6053, 3)
    assert [case.text("/3336/0/%d" % rid) for rid in (6051, 6053)] == ["48.2", "3"]
    assert case.server.ask(POST, "/3336", b"", 11542).code == 0x85  # servers create none


# --- Kept


def test_minimum_and_maximum_are_kept():
    b = board()
    probe = _Probe(21.5)
    sensor = Sensor(3303, "Cel", read=probe, persist=True)
    b.client.add_object(sensor)
    for value in (21.5, 18.5, 25.5):
        probe.value = value
        sensor.measure()
    b.world.run(15)
    assert b.stored()[3303] == {0: {5601: 18.5, 5602: 25.5}}
    probe.value = 22.0
    sensor = Sensor(3303, "Cel", read=probe, persist=True)
    b.power_on(sensor)
    assert (sensor.get(0, 5601), sensor.get(0, 5602)) == (18.5, 25.5)
    assert (sensor.get(0, 5701), sensor.get(0, 5700)) == ("Cel", 22.0)
    # Without it they are "since power ON", as the registry has it, and what is stored stays.
    sensor = Sensor(3303, "Cel", read=probe)
    b.power_on(sensor)
    assert sensor.get(0, 5601) is None
    assert b.stored()[3303] == {0: {5601: 18.5, 5602: 25.5}}


def test_what_servers_write_is_kept_and_comes_again():
    b = board()
    light = Ipso(3306, {5850: False}, persist=True)
    b.client.add_object(light)
    b.bootstrap()
    b.finish()
    assert b.registrar.ask(PUT, "/3306/0/5850", b"1", 0).code == 0x44
    b.world.run(15)
    assert b.stored()[3306] == {0: {5850: True}}
    written = []
    light = Ipso(3306, {5850: False}, lambda iid, values: written.append((iid, values)), True)
    b.power_on(light)
    assert light.get(0, 5850) is True
    assert written == [(0, {5850: True})]
    assert not b.texts()


def test_own_objects_are_kept():
    def make():
        flags = (0, INT | _RW | M, 1, STR | _RW, 2, INT | R, 3, OPAQUE | _RW)
        values = {0: {0: 1, 2: len, 3: bytes(300)}}
        return Object(26241, flags, values, multiple=True, persist=True)

    b = board()
    obj = make()
    b.client.add_object(obj)
    obj.set(0, 0, 5)
    obj.add(4, {0: 7, 1: "seven"})  # as a server's Create does
    b.world.run(15)
    # What is a function's, and what is long, is not kept.
    assert b.stored()[26241] == {0: {0: 5}, 4: {0: 7, 1: "seven"}}
    obj = make()
    b.power_on(obj)
    assert obj.instances == {0: {0: 5, 2: len, 3: bytes(300)}, 4: {0: 7, 1: "seven"}}
    obj.remove(4)
    b.world.run(15)
    obj = make()
    b.power_on(obj)
    assert sorted(obj.instances) == [0]


def test_what_is_stored_and_cannot_be_any_more():
    b = board()
    obj = Object(26241, (0, INT | _RW, 1, INT | _RW), {0: {0: 5, 1: 6}}, persist=True)
    b.client.add_object(obj)
    b.world.run(15)
    other = Object(26241, (0, STR | _RW, 1, INT | _RW), {0: {0: "five", 1: 0}}, persist=True)

    def refuse(iid, values):
        raise ValueError("no more")

    b.power_on(other)  # another release has other types
    assert other.instances == {0: {0: "five", 1: 6}}
    other = Object(26241, (1, INT | _RW), {0: {1: 0}}, persist=True)
    other.on_check = refuse
    b.power_on(other)
    assert other.instances == {0: {1: 0}}
    assert len(b.texts()) == 1 and "/26241/0" in b.texts()[0]


def test_what_applications_keep_wears_no_flash():
    # A new minimum each minute, and a network that goes with each: a dozen commits, then one an hour.
    b = board()
    b.bootstrap()
    b.finish()
    sensor = Sensor(3303, "Cel", persist=True)
    b.client.add_object(sensor)
    b.world.run(3600 * 2)
    seq = b.seq()
    for minute in range(12 * 60):
        sensor.set(0, 5700, -minute)
        b.world.run(60)
    assert 11 <= b.seq() - seq <= 13
    for minute in range(12 * 60):
        sensor.set(0, 5700, -10000 - minute)
        b.client.offline()
        b.client.online()
        b.world.run(60)
    assert b.seq() - seq <= 12 + 25
    # They do not keep an account's changes waiting.
    sensor.set(0, 5700, -99999)
    seq = b.seq()
    b.client.set_hold_off(7)
    assert b.seq() == seq + 1
