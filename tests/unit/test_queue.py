# Queue mode, and clients that end and go on: when there is time to sleep, what a wake-up sends, and
# what becomes of contexts that are lost, damaged or old.

import struct
from binascii import crc32
from lwm2m.diagnostics import Diagnostics
from lwm2m.model import FLOAT, STR, Object, R
from ucoap import GET, POST, PUT
from world import Registrar, World, account, server

_OBSERVE = 6
_FAILED = 17  # EVENT_OBSERVATION_NOTIFICATION_FAILED


class _Case:
    """A client with a sensor, registered with a server that it tells of queue mode."""

    def __init__(self, binding="UQ", lifetime=3600, start=0, version="1.1"):
        self.world = World(start=start)
        self.server = Registrar(self.world)
        self.settings = server(1, lifetime, binding)
        self.endpoint = "dev"
        self.version = version
        self.secret = b""
        self.second = None  # a server more
        self.notified = []
        self.other = False  # whether there is an object more
        self.begin(1.0)
        assert self.world.run(5, lambda: self.server.location)
        self.world.run(1)
        self.server.paths()

    def begin(self, value):
        # As a board starts: all that it knows is what the factory and the sensor say.
        self.sensor = Object(
            3303, (5700, R | FLOAT, 5701, R | STR), {0: {5700: value, 5701: "Cel"}}, multiple=True
        )
        self.client = self.world.client(self.endpoint, version=self.version)
        self.client.add_object(self.sensor)
        if self.other:
            self.client.add_object(Object(3304, (5700, R | FLOAT), {0: {5700: 0.5}}))
        self.core = self.client.core
        self.core.objects[0].instances[0] = account(1)
        self.core.objects[0].instances[0][5] = self.secret
        self.core.objects[1].instances[0] = dict(self.settings)
        if self.second:
            self.core.objects[0].instances[1] = account(2, "coap://server:5684")
            self.core.objects[1].instances[1] = server(2, 3600, "UQ")

    def observe(self, path="/3303/0/5700", query=()):
        more = [(_OBSERVE, 0)] + [(15, each) for each in query]
        self.server.start(GET, path, callback=self.notified.append, more=more)
        count = len(self.notified)
        assert self.world.run(5, lambda: len(self.notified) > count)
        self.notified.clear()

    def wake(self, seconds, value=1.0, data=None, run=2):
        """End it, let time pass, and let a new one go on. Returns whether it does."""
        data = self.client.suspend() if data is None else data
        self.world.sleep(seconds)
        self.world.datagrams = self.world.bytes = 0
        self.begin(value)
        good = self.client.resume(data, seconds)
        self.world.run(run)
        return good

    def told(self):
        found = [answer.text for answer in self.notified]
        self.notified.clear()
        return found


# --- When there is time to sleep


def test_it_listens_for_max_transmit_wait_after_each_message():
    case = _Case()
    case.client.sleep_ms()
    case.world.run(91)
    assert case.client.sleep_ms() == (0, "awake")
    case.server.read("/3/0/0")  # which begins it anew
    case.world.run(91)
    assert case.client.sleep_ms() == (0, "awake")
    case.world.run(3)
    ms, why = case.client.sleep_ms()
    assert (
        why == "update" and 3600000 - 93000 - 96000 - 91000 - 4000 < ms < 3600000 - 93000 - 182000
    )


def test_the_time_is_settable_and_the_application_wakes():
    case = _Case()
    case.client.sleep_ms()
    case.world.run(3)
    assert case.client.sleep_ms(60000, 10) == (0, "awake")
    assert case.client.sleep_ms(60000, 2) == (60000, "application")
    assert case.client.sleep_ms(0, 2) == (0, "awake")
    assert case.client.sleep_ms(-1, 2)[1] == "update"


def test_who_is_told_of_no_queue_mode_may_ask_at_any_time():
    case = _Case("U")
    case.client.sleep_ms()
    case.world.run(200)
    assert case.client.sleep_ms() == (0, "awake")


def test_a_period_wakes():
    case = _Case()
    case.settings[3] = 100
    case.core.objects[1].instances[0][3] = 100  # Default Maximum Period, s
    case.observe()
    case.client.sleep_ms()
    case.world.run(3)
    ms, why = case.client.sleep_ms(-1, 2)
    assert why == "report" and 95000 < ms <= 98000


def test_no_sleep_while_something_is_under_way():
    case = _Case()
    case.observe()
    case.client.sleep_ms()
    case.server.silent = True
    case.sensor.set(0, 5700, 2.0)
    case.world.run(40)
    assert case.client.sleep_ms(-1, 2) == (0, "awake")  # it is being repeated
    assert case.world.run(100, lambda: case.world.last(_FAILED))
    ms, why = case.client.sleep_ms(-1, 2)
    assert why == "report" and 20000 < ms < 40000, (ms, why)  # its next attempt


def test_resets_of_what_needs_no_answer_are_not_waited_for():
    case = _Case()
    assert case.server.ask(PUT, "/3303/0/5700", more=((15, "con=0"),)).code == 0x44
    case.observe()
    case.client.sleep_ms()
    case.sensor.set(0, 5700, 2.0)
    case.world.run(3)
    assert case.told() == ["2.0"]
    ms, why = case.client.sleep_ms(-1, 2)
    assert why == "update" and ms > 3400000


def test_no_server_yet():
    world = World()
    client = world.client()
    assert client.sleep_ms(5000) == (0, "awake")
    client.core.objects[0].instances[0] = account(1)
    client.core.objects[1].instances[0] = server(1)
    client.step(1)
    assert client.sleep_ms() == (0, "awake")  # it is registering
    assert world.run(100, lambda: client.core.accounts[0].attempts)
    ms, why = client.sleep_ms(500000)
    assert why == "connect" and 40000 < ms < 80000, (ms, why)  # /1/x/18


# --- What a wake-up sends


def test_nothing_else_than_an_update():
    case = _Case()
    assert case.wake(3507)
    assert case.server.paths() == ["POST /rd/1"] and case.world.datagrams == 2
    case.world.run(3)
    assert case.server.count == 1
    assert case.server.read("/3303/0/5700").text == "1.0"


def test_nothing_at_all():
    case = _Case()
    case.observe()
    assert case.wake(900)
    assert case.world.datagrams == 0 and case.client.sleep_ms(-1, 2)[0] > 0
    # And the update comes when it would have come.
    ms = case.client.sleep_ms(-1, 2)[0]
    assert 3507000 - 905000 - 15000 < ms < 3507000 - 900000, ms


def test_nothing_at_all_with_two_servers():
    # Their Access Control (object 2) is among what they have been told of.
    case = _Case()
    case.second = Registrar(case.world, 5684)
    assert case.wake(60)
    assert case.world.run(100, lambda: case.second.location)
    case.world.run(5)
    assert 2 in case.core.objects and case.core.objects[2].instances
    assert case.wake(60)
    assert case.world.datagrams == 0 and case.core.objects[2].instances


def test_one_notification():
    case = _Case()
    assert case.server.ask(PUT, "/3303/0/5700", more=((15, "con=0"),)).code == 0x44
    case.observe()
    for n in range(1, 4):
        assert case.wake(60, n + 1.0)
        assert [(a.text, a.observe) for a in case.notified] == [("%d.0" % (n + 1), n)]
        assert case.world.datagrams == 1 and case.world.bytes < 24
        case.notified.clear()
    assert case.server.paths() == []


def test_a_confirmed_notification_is_two_datagrams():
    case = _Case()
    case.observe()
    assert case.wake(60, 2.0)
    assert case.told() == ["2.0"] and case.world.datagrams == 2


def test_an_update_that_is_soon_due_goes_along():
    case = _Case()
    assert case.server.ask(PUT, "/3303/0/5700", more=((15, "con=0"),)).code == 0x44
    case.observe()
    sent = []
    for n in range(16):
        assert case.wake(900, n + 2.0)
        sent.append(case.world.datagrams)
        case.notified.clear()
        case.client.sleep_ms(900000, 2)
    # Each report wakes; an update is never a wake-up of its own.
    assert sent == [1, 1, 3] * 5 + [1], sent
    assert set(case.server.paths()) == {"POST /rd/1"}


def test_the_same_without_an_end():
    # Light sleep: the client stays, and time passes.
    case = _Case()
    assert case.server.ask(PUT, "/3303/0/5700", more=((15, "con=0"),)).code == 0x44
    case.observe()
    case.client.sleep_ms()
    case.world.run(5)
    sent = []
    for n in range(6):
        ms, why = case.client.sleep_ms(900000, 2)
        assert why == "application", (n, ms, why)
        case.world.sleep(ms // 1000)
        case.world.datagrams = 0
        case.sensor.set(0, 5700, n + 2.0)
        case.world.run(5)
        sent.append(case.world.datagrams)
    assert sent == [1, 1, 3] * 2, sent
    assert case.server.count == 1


def test_a_send():
    case = _Case()
    case.settings[23] = False
    assert case.wake(60)
    answers = []
    case.client.send(["/3303/0/5700"], lambda *answer: answers.append(answer))
    case.server.answer = lambda request, reply: 0x44
    assert case.world.run(5, lambda: answers)
    assert answers == [(1, 0x44, None)] and case.world.datagrams == 2


# --- What is kept


def test_periods_and_attributes_go_on():
    case = _Case()
    for query in ("pmin=100", "st=2"):
        assert case.server.ask(PUT, "/3303/0/5700", more=((15, query),)).code == 0x44
    case.observe()
    assert case.wake(30, 4.5)  # which is soon
    assert case.told() == []
    assert case.wake(30, 4.5) and case.told() == []
    assert case.wake(50, 4.5) and case.told() == ["4.5"]
    assert case.wake(200, 6.0) and case.told() == []  # it is no step
    assert case.wake(200, 6.5) and case.told() == ["6.5"]
    links = case.server.read("/3303", accept=40).text
    assert "</3303/0/5700>;pmin=100;st=2.0" in links or ";st=2" in links, links


def test_floats_to_their_last_bit():
    case = _Case()
    case.observe()
    value = 0.1 + 0.2
    assert case.wake(30, value) and len(case.told()) == 1
    for _ in range(3):
        assert case.wake(30, value) and case.told() == []


def test_composite_observations_go_on():
    case = _Case()
    body = b'[{"n":"/3303/0/5700"},{"n":"/3/0/0"}]'
    more = ((_OBSERVE, 0),)
    case.server.start(5, "/", body, 110, 110, case.notified.append, more)
    assert case.world.run(5, lambda: case.notified)
    case.notified.clear()
    assert case.wake(30) and case.told() == []
    assert case.wake(30, 7.5)
    assert b'"v":7.5' in case.notified[0].payload


def test_attributes_of_an_observation_alone_go_on():
    case = _Case(version="1.2")
    case.observe(query=("gt=10",))
    assert case.wake(30, 9.0) and case.told() == []
    assert case.wake(30, 11.0) and case.told() == ["11.0"]


def test_what_is_not_yet_acknowledged_is_told_again():
    case = _Case()
    case.observe()
    case.world.loss = 100
    case.sensor.set(0, 5700, 2.0)
    case.world.run(1)
    case.world.loss = 0
    assert case.wake(30, 2.0)
    assert [(a.text, a.observe) for a in case.notified] == [("2.0", 2)]


def test_message_ids_go_on():
    case = _Case()
    mids = []
    for _ in range(3):
        before = case.core.engine.mid
        assert case.wake(3507)
        mids.append(case.core.engine.mid - before & 0xFFFF)
    assert mids == [1, 1, 1]


def test_a_request_that_comes_again_is_answered_as_before():
    case = _Case()
    posts = []
    case.core.objects[3].on_execute = lambda *args: posts.append(args)
    case.server.execute("/3/0/12")
    request = None
    for when, connection, up, data in case.world.flight:
        assert False
    engine = case.core.engine
    (entries,) = engine.seen.values()
    mid, when, answer = entries[-1]
    assert case.wake(30)
    sent = len(case.world.sent)
    request = bytes((0x40, POST, mid >> 8, mid & 255)) + b"\xb13\x010\x0212"
    case.world.sent.clear()
    case.core.receive(case.core.accounts[0], request, case.world.now())
    assert case.world.sent == [answer], (sent, case.world.sent)
    assert case.wake(300)  # by then it is over
    assert not case.core.engine.seen


def test_the_clock_that_a_server_has_set_goes_on():
    case = _Case()
    case.server.ask(PUT, "/3/0/13", b"1000", 0)
    assert case.wake(30)
    assert 1000 <= int(case.server.read("/3/0/13").text) <= 1010


def test_what_is_another_now_goes_out_with_an_update():
    case = _Case()
    case.settings[1] = 7200
    assert case.wake(60)
    assert case.server.paths() == ["POST /rd/1?lt=7200"]
    assert case.wake(60)
    assert case.server.paths() == []
    case.other = True
    assert case.wake(60)
    (request,) = case.server.requests
    assert request.path == "/rd/1" and b"</3304/0>" in request.payload
    case.server.paths()
    assert case.wake(60)
    assert case.server.paths() == []


def test_attempts_with_another_server_go_on():
    case = _Case()
    case.second = Registrar(case.world, 5684)
    case.second.silent = True
    assert case.wake(60)
    assert case.world.run(100, lambda: case.core.accounts[1].attempts)
    due = case.core.accounts[1].due
    assert 40 < due - case.core.seconds < 80  # /1/x/18
    case.second.heard.clear()
    assert case.wake(10)
    assert case.core.accounts[1].attempts == 1 and case.core.accounts[1].due == due
    assert not case.second.heard
    assert case.world.run(100, lambda: case.second.heard)
    assert due <= case.core.seconds < due + 2


def test_one_that_was_on_its_way_begins_anew():
    # An update of the second server was not answered yet. It waits for no other server.
    case = _Case()
    case.second = Registrar(case.world, 5684)
    assert case.wake(60) and case.world.run(5, lambda: case.second.count)
    case.second.silent = True
    case.core.objects[1].set(1, 1, 7200)
    assert case.world.run(5, lambda: case.core.accounts[1].state == 5)
    case.second.silent = False
    case.server.silent = True
    assert case.wake(10)
    assert case.world.run(5, lambda: case.second.count == 2)
    assert case.server.count == 1


def test_parts_are_left_as_they_were():
    # What a part has to do when the client would have gone on is not put off where it does not.
    case = _Case()
    diagnostics = Diagnostics(case.world)
    data = case.client.suspend()
    case.settings[1] = 60
    case.begin(1.0)
    diagnostics.start(case.client)
    assert not case.client.resume(data, 100000)
    case.core.tick(case.world.now())
    for part in case.core.parts:
        part.poll(case.world.now())
    assert diagnostics._due <= case.core.seconds + 60


def test_the_net_is_left_as_it_was():
    case = _Case()
    lookup = case.world.lookup
    peer = case.core.accounts[0].peer
    case.world.port = 50000
    assert case.wake(60)
    assert case.core.accounts[0].peer == peer  # from where the server knows it
    assert case.world.port == 50000 and case.world.lookup == lookup


# --- Contexts that are no good: a clean registration, never a wrong one


def _registers(case, good):
    assert not good
    assert case.world.run(5, lambda: case.core.accounts and case.core.accounts[0].location)
    assert case.server.paths() == ["POST /rd?ep=%s&lt=%d&lwm2m=1.1&b=U&Q" % (case.endpoint, 3600)]
    case.world.run(1)
    assert case.server.read("/3303/0/5700").code == 0x45


def test_a_context_that_is_damaged():
    case = _Case()
    case.observe()
    data = case.client.suspend()
    for n in range(0, len(data), 7):
        case.begin(1.0)
        client = case.client
        for bad in (data[:n], data[:n] + bytes((data[n] ^ 1 << n % 8,)) + data[n + 1 :], data[n:]):
            if bad != data:
                assert client.resume(bad, 10) is False, n
        assert client.resume(b"", 10) is False and not client.core.accounts
        assert client.core.seconds == 0
        case.world.remove(client.core)
    _registers(case, case.wake(10, data=data + b"\0"))


def test_a_context_of_another_format():
    # Of version 1: that byte, a CRC-32, and a length ahead of the text. And 4 bytes that are right of
    # a text that is not there.
    case = _Case()
    text = case.client.suspend()[4:]
    framed = struct.pack(">H", len(text)) + text
    first = struct.pack(">BI", 1, crc32(framed)) + framed
    case.begin(1.0)
    reported = []
    case.core.engine.on_exception = reported.append
    assert not case.client.resume(first, 10) and not reported
    for version in range(4):
        assert not case.client.resume(struct.pack(">I", version), 10)
    assert [type(e) for e in reported] == [ValueError]
    assert not case.core.accounts and case.core.seconds == 0


def test_a_context_of_a_registration_that_is_over():
    for seconds, good in ((3595, True), (3605, False)):
        case = _Case()
        data = case.client.suspend()
        if good:
            assert case.wake(seconds, data=data)
            assert case.server.paths() == ["POST /rd/1"]
        else:
            _registers(case, case.wake(seconds, data=data))


def test_a_clock_that_went_back():
    case = _Case()
    _registers(case, case.wake(-10))


def test_another_endpoint_key_or_server():
    for change in ("endpoint", "key", "server"):
        case = _Case()
        data = case.client.suspend()
        if change == "endpoint":
            case.endpoint = "other"
        elif change == "key":
            case.secret = b"k"
        else:
            case.settings[0] = 2
            case.begin(1.0)
            case.core.objects[0].instances[0] = account(2)
            assert not case.client.resume(data, 10)
            continue
        _registers(case, case.wake(10, data=data))


def test_one_that_is_used_twice():
    # As another start in between has registered again: the update is refused, and there is a new one.
    case = _Case()
    case.observe()
    data = case.client.suspend()
    case.begin(1.0)
    assert case.world.run(5, lambda: case.server.count == 2)
    case.world.run(1)
    case.world.remove(case.core)
    case.server.paths()
    assert case.wake(3500, data=data, run=10)
    assert [path[:10] for path in case.server.paths()] == ["POST /rd/1", "POST /rd?e"]


def test_no_network():
    case = _Case()
    data = case.client.suspend()
    case.world.up = OSError(113)
    case.begin(1.0)
    assert not case.client.resume(data, 10)
    case.world.up = True
    assert case.world.run(5, lambda: case.server.count == 2)


def test_late_or_without_anything():
    case = _Case()
    data = case.client.suspend()
    case.begin(1.0)
    case.world.run(1)
    assert not case.client.resume(data, 10)  # it has begun already
    case.client.core.close(case.world.now())
    assert case.client.suspend() == b""


def test_the_server_has_forgotten_it():
    # Restarted: it resets the notification, and gets a registration; one, though an Update gets 4.04, too.
    for seconds, asked in ((60, []), (3520, ["POST /rd/1"])):
        case = _Case()
        case.observe()
        data = case.client.suspend()
        case.world.servers.clear()
        server = Registrar(case.world)
        server.count = 7
        server.location = 7
        for connection in case.world.connections:
            connection.server = server
        case.server = server
        assert case.wake(seconds, 2.0, data)
        case.world.run(10)
        paths = [path[:10] for path in server.paths()]
        assert paths == asked + ["POST /rd?e"] and server.count == 8, paths
        assert case.world.time < (seconds + 20) * 1000  # within that wake-up


def test_the_server_does_not_answer():
    case = _Case()
    case.observe()
    case.server.silent = True
    assert case.wake(60, 2.0)
    assert case.world.run(100, lambda: case.world.last(_FAILED))
    ms, why = case.client.sleep_ms(-1, 2)
    assert why == "report" and 20000 < ms < 40000
    # It waits for that long, also asleep; and then longer.
    assert case.wake(10, 2.0, run=1)
    assert case.world.datagrams == 0
    left, why = case.client.sleep_ms(-1, 2)
    assert why == "report" and ms - 13000 < left < ms - 10000, (ms, left)
    case.world.events.clear()
    assert case.wake(30, 2.0)
    assert case.world.run(100, lambda: case.world.last(_FAILED))
    ms, why = case.client.sleep_ms(-1, 2)
    assert why == "report" and 40000 < ms < 80000, (ms, why)
    case.server.silent = False
    assert case.wake(80, 2.0, run=5)
    assert case.told() == ["2.0"]


def test_size():
    # For 2,048 bytes of RTC memory.
    case = _Case()
    for path in ("/3303/0/5700", "/3303/0/5701", "/3303", "/3/0", "/1/0/1"):
        case.observe(path)
    case.server.ask(PUT, "/3303/0/5700", more=((15, "pmin=10"), (15, "pmax=600"), (15, "st=0.5")))
    for _ in range(16):
        case.server.ask(PUT, "/1/0/2", b"5", 0)
    data = case.client.suspend()
    assert len(data) < 1500, len(data)  # and a DTLS session is 310


def test_cycles():
    case = _Case()
    case.observe()
    asked = 0
    updates = 0
    for n in range(1000):
        assert case.wake(300, n + 2.0)
        asked += len(case.told())
        updates += len(case.server.paths())
        case.world.events.clear()
        case.server.heard.clear()
    assert asked == 1000 and case.server.count == 1
    assert 1000 * 300 // 3507 <= updates <= 1000 * 300 // 3000, updates
