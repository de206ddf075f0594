# Observations: a server's GETs with Observe, the notifications, and the events of both.

import lwm2m
import lwm2m.observe as observe
from lwm2m.model import FLOAT, STR, Object, R
from ucoap import GET
from world import Registrar, World, account, server

_OBSERVE = 6


class _Case:
    """A client with a sensor, registered with a server that observes."""

    def __init__(self, **settings):
        self.sensor = Object(
            3303, (5700, R | FLOAT, 5701, R | STR), {0: {5700: 1.0, 5701: "Cel"}}, multiple=True
        )
        self.world = World()
        self.server = Registrar(self.world)
        self.client = self.world.client()
        self.client.add_object(self.sensor)
        self.client.core.objects[0].instances[0] = account(1)
        self.client.core.objects[1].instances[0] = server(1)
        for rid in settings:
            self.client.core.objects[1].instances[0][int(rid[1:])] = settings[rid]
        assert self.world.run(5, lambda: self.server.location)
        self.world.run(1)
        self.world.events.clear()
        self.answers = []

    def observe(self, path, value=0):
        more = ((_OBSERVE, value),)
        x = self.server.start(GET, path, callback=self.answers.append, more=more)
        assert self.world.run(5, lambda: self.answers)
        return x

    def events(self):
        """[(type, path, counter)] so far; they are forgotten. Reads are not of interest."""
        found = [(e.type, e.path, e.counter) for _, e in self.world.events]
        self.world.events.clear()
        return found


_PATH = (3303, 0, 5700)


def test_the_package_has_its_events():
    assert lwm2m.EVENT_OBSERVATION_STARTED is observe.EVENT_OBSERVATION_STARTED
    assert lwm2m.EVENT_OBSERVATION_CANCELED == 18


def test_a_change_is_notified():
    case = _Case()
    case.observe("/3303/0/5700")
    first = case.answers[0]
    assert (first.code, first.format, first.text, first.observe) == (0x45, 0, "1.0", 0)
    assert case.events() == [(lwm2m.EVENT_OBSERVATION_STARTED, _PATH, 0)]
    case.sensor.set(0, 5700, 2.5)
    case.world.run(1)
    assert [a.text for a in case.answers] == ["1.0", "2.5"]
    assert case.answers[1].observe == 1  # a greater one is newer (RFC 7641 3.4)
    assert case.events() == [
        (lwm2m.EVENT_OBSERVATION_NOTIFICATION, _PATH, 1),
        (lwm2m.EVENT_OBSERVATION_NOTIFICATION_ACKED, _PATH, 1),
    ]
    case.sensor.set(0, 5701, "K")  # another resource
    case.world.run(1)
    assert len(case.answers) == 2


def test_an_instance_and_an_object():
    case = _Case()
    case.observe("/3303/0")
    case.observe("/3303")
    case.answers.clear()
    case.sensor.set(0, 5701, "K")
    case.world.run(1)
    assert len(case.answers) == 2
    case.sensor.add(1, {5700: 3.0, 5701: "K"})  # is of the object alone
    case.world.run(1)
    assert len(case.answers) == 3


def test_the_minimum_period_gathers_changes():
    # /1/x/2, Default Minimum Period: 10 s.
    case = _Case(_2=10)
    case.observe("/3303/0/5700")
    start = case.world.time
    for value in (2.0, 3.0, 4.0):
        case.sensor.set(0, 5700, value)
        case.world.run(2)
    assert len(case.answers) == 1
    assert case.world.run(10, lambda: len(case.answers) == 2)
    assert 9000 <= case.world.time - start <= 12000
    assert case.answers[1].text == "4.0"
    event = case.world.last(lwm2m.EVENT_OBSERVATION_NOTIFICATION)
    assert (event.min_period, event.max_period) == (10, 0)


def test_the_maximum_period_notifies_without_a_change():
    # /1/x/3, Default Maximum Period: 60 s.
    case = _Case(_3=60)
    case.observe("/3303/0/5700")
    case.world.run(200)
    assert len(case.answers) == 4
    assert case.world.last(lwm2m.EVENT_OBSERVATION_NOTIFICATION).max_period == 60


def test_cancelled_by_a_get():
    # RFC 7641 3.6: Observe 1 with the token of the observation.
    case = _Case()
    x = case.observe("/3303/0/5700")
    case.events()
    more = [(_OBSERVE, 1), (11, "3303"), (11, "0"), (11, "5700")]
    answers = []

    def answered(x, code, m, payload):
        answers.append((code, m.uint(_OBSERVE)))

    case.server.engine.cancel(x)
    case.server.engine.request(
        case.world.now(), case.server.connection, GET, more, b"", answered, token=x.token
    )
    assert case.world.run(5, lambda: answers)
    assert answers == [(0x45, None)]
    assert case.events() == [(lwm2m.EVENT_OBSERVATION_CANCELED, _PATH, 0)]
    case.sensor.set(0, 5700, 2.0)
    case.world.run(2)
    assert case.events() == []


def test_cancelled_by_a_reset():
    case = _Case()
    x = case.observe("/3303/0/5700")
    case.events()
    case.server.engine.cancel(x)  # the next notification is of an unknown token
    case.sensor.set(0, 5700, 2.0)
    case.world.run(2)
    assert case.events() == [
        (lwm2m.EVENT_OBSERVATION_NOTIFICATION, _PATH, 1),
        (lwm2m.EVENT_OBSERVATION_CANCELED, _PATH, 1),
    ]
    case.sensor.set(0, 5700, 3.0)
    case.world.run(2)
    assert case.events() == []


# --- Issue 9 A1: a device that is registered must not go silent


def test_a1_values_flow_again_after_an_outage():
    # RFC 7641 4.5 lets an observation end whose notification times out. The server would not know.
    for outage in (30, 60, 600, 3600):
        case = _Case(_1=86400)
        case.observe("/3303/0/5700")
        case.server.silent = True
        case.sensor.set(0, 5700, 2.0)
        case.world.run(outage)
        case.server.silent = False
        # Where nothing changes meanwhile, what nobody has got is sent again by itself, after at
        # most as long as the outage took, and a quarter of that; or the hour that is the most.
        assert case.world.run(outage * 5 // 4 + 100, lambda: case.answers[-1].text == "2.0"), (
            outage
        )
        case.sensor.set(0, 5700, 3.0)
        assert case.world.run(5, lambda: case.answers[-1].text == "3.0"), outage
        assert case.server.count == 1  # the registration has not been touched
        orders = [a.observe for a in case.answers]
        assert orders == sorted(orders) and len(case.client.core.parts[0].observations) == 1


def test_a1_values_flow_again_after_five_days():
    # All attempts to update and to register have failed meanwhile. The server observes anew after a
    # registration, as every LwM2M server does.
    case = _Case(_1=300)
    case.observe("/3303/0/5700")
    case.server.silent = True
    for hour in range(5 * 24):
        case.sensor.set(0, 5700, float(hour))
        case.world.run(3600)
        for grows in (case.server.heard, case.world.events, case.world.statuses):
            grows.clear()
        case.world.connections.clear()
    case.server.silent = False
    count = case.server.count
    assert case.world.run(1800, lambda: case.server.count > count)
    case.world.run(1)
    case.observe("/3303/0/5700")
    case.sensor.set(0, 5700, 500.0)
    assert case.world.run(5, lambda: case.answers[-1].text == "500.0")


def test_a1_the_server_is_heard_again():
    # Whatever tells that the server is there ends the wait: here the answer to an update.
    case = _Case(_1=86400)
    case.observe("/3303/0/5700")
    case.server.silent = True
    case.sensor.set(0, 5700, 2.0)
    case.world.run(2000)
    case.server.silent = False
    case.client.core.accounts[0].action = 8  # Registration Update Trigger
    assert case.world.run(2, lambda: case.answers[-1].text == "2.0")


def test_a1_waits_are_bounded():
    case = _Case(_1=86400 * 30)
    for path in ("/3303/0/5700", "/3303/0", "/3303"):
        case.observe(path)
    case.server.silent = True
    case.world.datagrams = 0
    for _ in range(24 * 60):
        case.sensor.set(0, 5700, 2.0 + _)
        case.world.run(60)
    # Each attempt is five datagrams; of three observations at most one attempt an hour each, but
    # for the first ones.
    assert case.world.datagrams < 5 * 3 * (24 + 10), case.world.datagrams


def test_a1_no_memory_for_a_notification():
    case = _Case()
    case.observe("/3303/0/5700")
    case.events()
    engine = case.client.core.engine
    respond = engine.respond

    def starved(*args):
        engine.respond = respond
        raise MemoryError

    engine.respond = starved
    case.sensor.set(0, 5700, 2.0)
    case.world.run(3)
    assert case.answers[-1].text == "2.0"
    assert [e[0] for e in case.events()] == [
        lwm2m.EVENT_OBSERVATION_NOTIFICATION_FAILED,
        lwm2m.EVENT_OBSERVATION_NOTIFICATION,
        lwm2m.EVENT_OBSERVATION_NOTIFICATION_ACKED,
    ]


def test_a2_order_numbers_never_go_back():
    # RFC 7641 3.4. The same token asks again, by a new GET or by one that comes twice.
    case = _Case()
    x = case.observe("/3303/0/5700")
    for value in (2.0, 3.0, 4.0):
        case.sensor.set(0, 5700, value)
        case.world.run(1)
    again = []
    more = [(_OBSERVE, 0), (11, "3303"), (11, "0"), (11, "5700")]

    def answered(x, code, m, payload):
        if m:
            again.append(m.uint(_OBSERVE))

    case.server.engine.cancel(x)
    case.server.engine.request(
        case.world.now(), case.server.connection, GET, more, b"", answered, token=x.token
    )
    assert case.world.run(5, lambda: again)
    assert again[0] > 3
    case.sensor.set(0, 5700, 5.0)
    case.world.run(1)
    assert again[1] > again[0] and len(case.client.core.parts[0].observations) == 1


def test_a3_what_tells_observations_apart_is_the_token():
    # RFC 7641 4.1: another token, and another Accept, is a second one; Observe 1 with a token that
    # observes nothing cancels nothing.
    case = _Case()
    case.observe("/3303/0/5700")
    tlv = []
    case.server.start(
        GET, "/3303/0/5700", accept=11542, callback=tlv.append, more=((_OBSERVE, 0),)
    )
    case.world.run(1)
    stranger = case.server.ask(GET, "/3303/0/5700", more=((_OBSERVE, 1),))
    assert (stranger.code, stranger.observe) == (0x45, None)
    refused = case.server.ask(GET, "/3303/0/5700", accept=11543, more=((_OBSERVE, 0),))
    assert refused.code == 0x86
    case.sensor.set(0, 5700, 2.0)
    case.world.run(1)
    assert case.answers[-1].text == "2.0"
    assert (tlv[-1].format, tlv[-1].payload) == (11542, b"\xe4\x16\x44\x40\x00\x00\x00")


def test_a3_a_server_that_has_forgotten_its_observations():
    # The hundred and first time that it observes a path, it is still told of changes.
    case = _Case()
    for _ in range(101):
        x = case.observe("/3303/0/5700")
        case.server.engine.cancel(x)
    case.answers.clear()
    case.observe("/3303/0/5700")
    assert case.answers[0].observe is not None
    case.sensor.set(0, 5700, 2.0)
    case.world.run(5)
    assert case.answers[-1].text == "2.0"


def test_a3_places_are_each_server_s_own():
    case = _Case()
    for _ in range(20):
        case.observe("/3303/0/5700")
    other = Registrar(case.world, 5002)
    case.client.add_server(2, "coap://server:5002", lwm2m.SEC_NONE, 300)
    assert case.world.run(5, lambda: other.location)
    case.world.run(1)
    answer = other.ask(GET, "/3303/0/5700", more=((_OBSERVE, 0),))
    assert (answer.code, answer.observe) == (0x45, 0)


def test_a4_values_that_raise():
    case = _Case()
    reported = []
    case.client.core.engine.on_exception = reported.append
    case.observe("/3303/0/5700")

    def broken():
        raise OSError(5)

    for value in (broken, lambda: "warm", lambda: None, lambda: (1, 2)):
        case.events()
        case.sensor.instances[0][5700] = value
        case.client.core.changed(3303, 0, 5700)
        case.world.run(2)
        assert [e[0] for e in case.events()] == [lwm2m.EVENT_OBSERVATION_NOTIFICATION_FAILED]
        assert case.server.read("/3303/0/5700", 11542).code == 0xA0
        assert reported
        reported.clear()
        # At the next change it is tried again.
        case.sensor.set(0, 5700, 2.0)
        case.world.run(2)
        assert case.answers[-1].text == "2.0"
    before = case.sensor.instances[0][5700]
    for wrong in ("warm", None, b"", (1, 2), True):
        try:
            case.sensor.set(0, 5700, wrong)
        except ValueError as e:
            assert "/3303/x/5700 must be a number" in str(e)
        else:
            raise AssertionError(wrong)
    assert case.sensor.get(0, 5700) == before


def test_what_is_observed_goes():
    # RFC 7641 4.2: the last notification says why, and has no Observe option.
    case = _Case()
    case.observe("/3303/0/5700")
    case.events()
    case.sensor.remove(0)
    case.world.run(2)
    assert (case.answers[-1].code, case.answers[-1].observe) == (0x84, None)
    assert (lwm2m.EVENT_OBSERVATION_CANCELED, _PATH, 1) in case.events()
    assert case.client.core.parts[0].observations == []


def test_a_refused_one_is_none():
    case = _Case()
    case.observe("/3303/0/1")
    assert (case.answers[0].code, case.answers[0].observe) == (0x84, None)
    assert case.client.core.parts[0].observations == []
    assert case.events() == []


def test_no_more_than_sixteen():
    case = _Case()
    for iid in range(1, 20):
        case.sensor.add(iid, {5700: 0.0, 5701: "Cel"})
    case.world.run(5)
    for iid in range(20):
        case.answers.clear()
        case.observe("/3303/%d" % iid)
    # The seventeenth and later are plain reads.
    assert (case.answers[0].code, case.answers[0].observe) == (0x45, None)
    assert len(case.client.core.parts[0].observations) == 16


def test_a_new_registration_drops_them():
    case = _Case()
    case.observe("/3303/0/5700")
    case.server.updated = 0x84  # the server has forgotten the client
    case.server.execute("/1/0/8")
    case.world.run(5)
    assert case.server.count == 2
    assert case.client.core.parts[0].observations == []


def test_a_notification_of_several_blocks():
    # Its value is another one at every look. The server fetches the rest by itself, and what it puts
    # together is one of them; a Read of it likewise.
    case = _Case()
    looks = []

    def value():
        looks.append("%d" % len(looks) * 3000)
        return looks[-1]

    case.client.add_object(Object(1000, (1, STR | R), {0: {1: value}}))
    case.world.run(1)
    case.observe("/1000/0/1")
    assert case.answers[0].text == looks[-1]
    for _ in range(3):
        case.client.core.changed(1000, 0, 1)
        seen = len(case.answers)
        count = len(looks)
        assert case.world.run(5, lambda: len(case.answers) > seen)
        assert case.answers[-1].text == looks[-1]
        assert len(looks) == count + 1
    assert case.server.read("/1000/0/1").text == looks[-1]
