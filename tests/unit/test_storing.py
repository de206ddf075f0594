# Notification storing (/1/x/6): what is kept while a server is away, in which order and with which times
# it comes, and what is dropped.

import lwm2m
from lwm2m.model import FLOAT, STR, Object, R
from lwm2m.pack import records
from ucoap import GET
from world import Registrar, World, account, server

_OBSERVE = 6
_NOW = 1800000000  # s since 1970, that the client's clock stands at


class _Case:
    """A client with a sensor, registered with a server that observes it.

    _1, _6, …: resources of /1/0. clock: what /3/0/13 is; None: it is not there.
    """

    def __init__(self, clock=None, version="1.1", **settings):
        self.world = World()
        self.server = Registrar(self.world)
        self.client = self.world.client(version=version)
        self.core = self.client.core
        device = self.core.objects[3].instances[0]
        device.pop(13, None)
        if clock is not None:
            device[13] = clock
        self.sensor = Object(3303, (5700, R | FLOAT, 5701, R | STR), {0: {5700: 1.0, 5701: "Cel"}})
        self.client.add_object(self.sensor)
        self.core.objects[0].instances[0] = account(1)
        self.core.objects[1].instances[0] = server(1, 86400)
        for rid in settings:
            value = settings[rid]
            self.core.objects[1].instances[0].pop(int(rid[1:]), None)
            if value is not None:
                self.core.objects[1].instances[0][int(rid[1:])] = value
        assert self.world.run(5, lambda: self.server.location)
        self.world.run(1)
        self.answers = []

    @property
    def storing(self):
        return self.core.parts[0].storing

    def observe(self, path="/3303/0/5700", accept=112, more=()):
        seen = len(self.answers)
        more = ((_OBSERVE, 0),) + more
        x = self.server.start(GET, path, accept=accept, callback=self.answers.append, more=more)
        assert self.world.run(5, lambda: len(self.answers) > seen)
        return x

    def set(self, value, seconds=10):
        """The sensor has another value, and time passes."""
        self.sensor.set(0, 5700, value)
        self.world.run(seconds)

    def away(self, *values, seconds=10):
        """The server is not heard of for so long as these values are there."""
        self.server.silent = True
        for value in values:
            self.set(value, seconds)
        self.server.silent = False
        self.answers.clear()

    def back(self, count=1, seconds=5000):
        """Let notifications come, that many; [(value, s from the last one's time)] of them together."""
        assert self.world.run(seconds, lambda: len(self.answers) >= count), len(self.answers)
        self.world.run(5)
        found = []
        for answer in self.answers:
            for path, value, time in records(answer.payload, answer.format):
                assert path == "/3303/0/5700"
                found.append((value, time))
        last = found[-1][1]
        return [(value, time - last) for value, time in found]

    def again(self):
        """The server has forgotten the client, which registers anew."""
        count = self.server.count
        self.server.updated = 0x84
        self.core.accounts[0].action = 8
        assert self.world.run(60, lambda: self.server.count > count)
        self.server.updated = 0x44
        self.world.run(1)


def test_all_that_was_missed_comes_in_order_with_its_times():
    for accept in (110, 112):
        for clock, first in ((None, -25), (_NOW, _NOW - 25)):
            case = _Case(clock)
            case.observe(accept=accept)
            case.away(2.0, 3.0, 4.0)
            # Three times 10 s. The first is repeated until 45 to 93 s after it was sent, and then waits
            # for 30 s and a quarter; or it arrives with one of its repetitions.
            assert case.world.run(200, lambda: len(case.answers) >= 1)
            case.world.run(5)
            times = []
            values = []
            for answer in case.answers:
                assert answer.format == accept
                for path, value, time in records(answer.payload, answer.format):
                    values.append(value)
                    times.append(time)
            assert values == [2.0, 3.0, 4.0], values
            # The first one was sent as it is, and has none; the others have, and are 10 s apart.
            assert times[2] - times[1] == 10, times
            assert (times[2] > 1 << 28) == (clock is not None), times
            assert (
                case.storing._kept == [] and case.storing._size == 0 and not case.storing.dropped
            )


def test_a_long_outage():
    # Ten minutes, until the last repetition has failed.
    case = _Case()
    case.observe()
    case.storing.limit = 8192
    case.away(*[float(n) for n in range(2, 62)])
    found = case.back()
    assert [value for value, _ in found] == [float(n) for n in range(2, 62)]
    times = [time for _, time in found]
    assert times == sorted(times) and times[-2] - times[1] in (569, 570, 571), found
    assert len(case.answers) == 2, len(case.answers)  # of up to 768 bytes
    assert case.server.count == 1


def test_pmin_is_kept_and_nothing_is_kept_twice():
    case = _Case(_2=60)
    case.observe()
    case.world.run(61)
    case.server.silent = True
    case.set(2.0, 10)
    case.set(3.0, 10)
    case.set(4.0, 280)  # within pmin of the first: once it is over, the newest
    case.set(4.0, 100)  # no change at all
    case.server.silent = False
    case.answers.clear()
    assert [value for value, _ in case.back()] == [2.0, 4.0]


def test_the_maximum_period_is_kept():
    case = _Case(_2=10, _3=60)
    case.observe()
    case.world.run(11)
    case.server.silent = True
    case.world.run(600)
    case.server.silent = False
    case.answers.clear()
    found = case.back()
    assert [value for value, _ in found] == [1.0] * len(found)
    steps = [found[i + 1][1] - found[i][1] for i in range(1, len(found) - 2)]
    assert len(found) >= 9 and min(steps) >= 59 and max(steps) <= 61, steps


def test_formats_without_times_have_the_last_value():
    for accept in (None, 0, 60, 11542, 11544):
        case = _Case()
        case.observe(accept=accept)
        case.away(2.0, 3.0, 4.0, seconds=100)
        assert case.world.run(3600, lambda: case.answers)
        case.world.run(5)
        assert len(case.answers) == 1
        assert case.storing._kept == [] and not case.storing.dropped
        if not accept:
            assert case.answers[0].text == "4.0"


# (the resource /1/0/6, what is kept)
_SETTINGS = ((True, [2.0, 3.0, 4.0]), (None, [2.0, 3.0, 4.0]), (False, [4.0]))


def test_the_setting():
    for given, wanted in _SETTINGS:
        case = _Case(_6=given)
        case.observe()
        case.away(2.0, 3.0, 4.0, seconds=100)
        assert [value for value, _ in case.back()] == wanted, given
        assert not case.storing.dropped
    # False while there is something: it goes.
    case = _Case()
    case.observe()
    case.away(2.0, 3.0, 4.0, seconds=100)
    assert len(case.storing._kept) == 3
    case.core.objects[1].set(0, 6, False)
    assert [value for value, _ in case.back()] == [4.0]
    assert case.storing.dropped == 3


def test_the_oldest_gives_way():
    case = _Case()
    case.observe()
    case.storing.limit = 500
    case.server.silent = True
    for n in range(2, 50):
        case.set(float(n))
        assert case.storing._size <= 500
    kept = len(case.storing._kept)
    assert 3 < kept < 6 and case.storing.dropped == 48 - kept
    case.server.silent = False
    case.answers.clear()
    found = [value for value, _ in case.back()]
    assert found == [float(n) for n in range(50 - kept, 50)], found
    # Not even one finds a place: as without the package.
    case = _Case()
    case.observe()
    case.storing.limit = 10
    case.away(2.0, 3.0, seconds=100)
    assert case.storing._kept == []
    assert [value for value, _ in case.back()] == [3.0]


def test_a_new_registration_gets_what_was_kept():
    # The session is lost, and the registration with it; when the server observes the path again, by any
    # token, it gets what it has missed.
    case = _Case()
    case.observe()
    case.core.disconnect(case.core.accounts[0], 100)
    for value in (2.0, 3.0, 4.0):
        case.set(value)
    assert case.world.run(200, lambda: case.server.count == 2)
    case.world.run(10)
    case.answers.clear()
    case.observe()
    assert records(case.answers[0].payload, 112) == [("/3303/0/5700", 4.0, 0)]  # what is now
    case.answers.clear()
    found = case.back()
    assert [value for value, _ in found] == [2.0, 3.0, 4.0], found
    assert [time for _, time in found] == [-20, -10, 0]
    assert case.storing.asleep == [] and case.storing._kept == [] and not case.storing.dropped
    # From then on it is an observation as any other.
    case.answers.clear()
    case.set(5.0)
    assert records(case.answers[0].payload, 112) == [("/3303/0/5700", 5.0, 0)]


def test_while_the_network_is_away():
    # Nobody polls the client then; what it is told of is kept with its time all the same.
    case = _Case()
    case.observe()
    case.client.offline()
    for value in (2.0, 3.0):
        case.sensor.set(0, 5700, value)
        case.world.sleep(3600)
    case.client.online()
    assert case.world.run(60, lambda: case.server.count == 2)
    case.world.run(1)
    case.observe()
    case.answers.clear()
    found = case.back()
    assert [value for value, _ in found] == [2.0, 3.0] and found[0][1] == -3600, found


def test_a_server_that_was_disabled():
    case = _Case(_5=600)
    case.observe()
    assert case.server.execute("/1/0/4").code == 0x44
    case.world.run(5)
    for value in (2.0, 3.0):
        case.set(value, 100)
    assert case.world.run(600, lambda: case.server.count == 2)
    case.world.run(1)
    case.observe()
    case.answers.clear()
    assert [value for value, _ in case.back()] == [2.0, 3.0]


def test_what_nobody_asks_for_is_dropped():
    # (what the server does after it has registered the client anew, what becomes of two values)
    case = _Case()
    case.observe()
    case.core.disconnect(case.core.accounts[0], 30)
    case.set(2.0)
    case.set(3.0)
    assert case.world.run(200, lambda: case.server.count == 2)
    case.world.run(310)
    assert case.storing.asleep == [] and case.storing._kept == [] and case.storing.dropped == 2
    # It observes in a format that has no times.
    case = _Case()
    case.observe()
    case.core.disconnect(case.core.accounts[0], 30)
    case.set(2.0)
    case.set(3.0)
    assert case.world.run(200, lambda: case.server.count == 2)
    case.world.run(1)
    case.observe(accept=0)
    assert case.storing.asleep == [] and case.storing._kept == [] and case.storing.dropped == 2
    # The account goes.
    case = _Case()
    case.observe()
    case.core.disconnect(case.core.accounts[0], 30)
    case.set(2.0)
    case.client.remove_server(1)
    case.world.run(1)
    assert case.storing.asleep == [] and case.storing._kept == []


def test_what_the_server_ends_is_forgotten():
    case = _Case()
    x = case.observe()
    case.away(2.0, 3.0, seconds=100)
    case.server.engine.cancel(x)  # it resets the next notification
    case.world.run(3600)
    assert case.storing._kept == [] and not case.storing.dropped
    assert case.core.parts[0].observations == []
    # What was observed goes: the last notification says so.
    case = _Case()
    case.observe()
    case.away(2.0, 3.0, seconds=100)
    case.sensor.remove(0)
    assert case.world.run(3600, lambda: case.answers)
    assert case.answers[-1].code == 0x84 and case.storing._kept == []


def test_composite():
    import lwm2m.pack as pack

    case = _Case()
    answers = []
    x = case.core.engine  # the server's own request, by hand
    options = [(_OBSERVE, 0), (12, 112), (17, 112)]
    body = pack.names(("/3303/0/5700", "/3303/0/5701"), 112)

    def answered(x, code, m, payload):
        answers.append(pack.records(bytes(payload), 112))

    x = case.server.engine.request(
        case.world.now(), case.server.connection, 5, options, body, answered
    )
    assert case.world.run(5, lambda: answers) and x
    case.server.silent = True
    for value in (2.0, 3.0, 4.0):
        case.set(value, 100)
    case.server.silent = False
    answers.clear()
    assert case.world.run(3600, lambda: answers)
    case.world.run(5)
    values = [value for path, value, _ in answers[0] if path == "/3303/0/5700"]
    assert values == [2.0, 3.0, 4.0] and len(answers[0]) == 6


def test_attributes_hold_while_it_is_away():
    # (attribute, values each 8 s, so that the first arrives with a repetition; what comes: with what
    # was kept, the value of now)
    for query, values, wanted in (
        ("st=2", (2.0, 3.0, 4.0, 5.0, 5.5), [3.0, 5.0, 5.5]),
        ("gt=3.5", (3.0, 4.0, 5.0, 2.0, 2.0), [4.0, 2.0]),
        ("lt=1.5", (2.0, 3.0, 1.2, 1.3, 9.0), [2.0, 1.2, 9.0]),
        ("pmin=20", (2.0, 3.0, 4.0, 5.0, 6.0), [2.0, 4.0, 6.0]),
    ):
        case = _Case()
        assert case.server.ask(3, "/3303/0/5700", more=((15, query),)).code == 0x44
        case.observe()
        case.world.run(21)
        case.away(*values, seconds=8)
        found = [value for value, _ in case.back(2)]
        assert found == wanted, (query, found)


def test_hqmax():
    # LwM2M 1.2 7.3.2: the most that are kept, the oldest of which give way; only with /1/x/6 true.
    for most, wanted in (("3", [11.0, 12.0, 13.0]), ("0", [13.0]), ("99", None)):
        case = _Case(version="1.2")
        case.observe(more=((15, "hqmax=" + most),))
        case.away(*[float(n) for n in range(2, 14)], seconds=100)
        found = [value for value, _ in case.back()]
        assert found == (wanted or [float(n) for n in range(2, 14)]), (most, found)
    case = _Case(version="1.2", _6=False)
    case.observe(more=((15, "hqmax=5"),))
    case.away(2.0, 3.0, seconds=100)
    assert [value for value, _ in case.back()] == [3.0]


def test_events_and_diagnostics():
    from lwm2m.diagnostics import Diagnostics

    case = _Case()
    diagnostics = Diagnostics(case.world)
    diagnostics.start(case.client)
    case.observe()
    case.storing.limit = 400
    case.away(*[float(n) for n in range(2, 22)], seconds=30)
    event = case.world.last(lwm2m.EVENT_OBSERVATION_NOTIFICATION_FAILED)
    assert event.value is True and event.path == (3303, 0, 5700)  # it is kept
    assert case.storing.dropped > 10
    assert diagnostics.get(0, 8) == case.storing.dropped
    # Of one without times, the value that has failed is dropped.
    case = _Case()
    diagnostics = Diagnostics(case.world)
    diagnostics.start(case.client)
    case.observe(accept=0)
    case.away(2.0, seconds=100)
    event = case.world.last(lwm2m.EVENT_OBSERVATION_NOTIFICATION_FAILED)
    assert event.value is False and diagnostics.get(0, 8) == 1


def test_no_memory():
    case = _Case()
    case.observe()
    case.server.silent = True
    case.set(2.0, 100)
    look = case.core.parts[0].look

    def starved(*args):
        case.core.parts[0].look = look
        raise MemoryError

    case.core.parts[0].look = starved
    case.set(3.0)
    case.set(4.0)
    case.server.silent = False
    case.answers.clear()
    assert [value for value, _ in case.back()] == [2.0, 4.0]
    assert case.storing.dropped == 1


def test_it_comes_to_rest():
    # Nothing is due that is not done: the client sleeps, and polls for nothing.
    case = _Case(_2=10, _3=60)
    case.observe()
    case.world.run(11)
    case.core.disconnect(case.core.accounts[0], 2000)
    case.world.run(1000)  # World itself fails where next_ms() stays 0
    assert case.core.next_ms(case.world.now()) > 1000
    assert case.storing.asleep[0].kept > 10
