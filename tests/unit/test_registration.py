# heapsize: 800K
# Registrations (LwM2M 1.1 6.2): what goes out when, and what becomes of it.

from ucoap import CON, POST, PUT
from ucoap.engine import SEPARATE
from lwm2m.model import INT, Object, R, W
import lwm2m
from world import MASK, Provisioner, Registrar, World

TEXT = 0
FAILED = lwm2m.EVENT_REG_FAILED
REGISTERING = lwm2m.EVENT_REG_REGISTERING
UPDATE_FAILED = lwm2m.EVENT_REG_UPDATE_FAILED

# ct lists the formats of this build; /0 is never listed (LwM2M 1.1 6.2.1).
# Of an image that has SenML CBOR; of LwM2M 1.0, which has not, without ct.
LINKS = b'</>;rt="oma.lwm2m";ct=112,</1/0>,</3/0>'


def _registered(lifetime=300, **kwargs):
    """A world with a registrar and a client that has just registered."""
    world = World(**kwargs)
    registrar = Registrar(world)
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, lifetime)
    assert world.run(5, lambda: registrar.location)
    world.run(0.5)
    return world, registrar, client


def _sharp(client, short_id=1):
    # An exchange is over after exactly one second: ACK_TIMEOUT 1 s, no jitter, no retransmission.
    client.set_coap(short_id, 1000, 100, 0)


# --- The request


def test_register():
    world, registrar, client = _registered()
    assert world.story() == ["REG_REGISTERING 1", "REG_REGISTERED 1"]
    request = registrar.requests[0]
    assert (request.code, request.type, request.path, request.format) == (2, CON, "/rd", 40)
    assert request.query == ["ep=dev", "lt=300", "lwm2m=1.1", "b=U"]
    assert request.payload == LINKS
    assert len(registrar.requests) == 1


def test_register_version_1_0():
    world = World()
    registrar = Registrar(world)
    client = world.client(version="1.0")
    client.add_server(7, "coap://server", lwm2m.SEC_NONE, 60, queue=True)
    assert world.run(5, lambda: registrar.location)
    assert registrar.requests[0].query == ["ep=dev", "lt=60", "lwm2m=1.0", "b=UQ"]
    assert registrar.requests[0].payload == b'</>;rt="oma.lwm2m",</1/0>,</3/0>'


class _Versed(Registrar):
    """A server of some versions of LwM2M, which refuses the others as 6.2.1 says."""

    versions = ()

    def answer(self, request, reply):
        self.registered = 0x8C
        for version in self.versions:
            if "lwm2m=" + version in request.query:
                self.registered = 0x41
        return super().answer(request, reply)


def test_a_server_that_has_not_the_version_is_told_the_one_before():
    plain = b'</>;rt="oma.lwm2m",</1/0>,</3/0>'
    newer = LINKS[:-13] + b"</1>;ver=1.1,</1/0>,</3>;ver=1.1,</3/0>"
    for version, known, told in (
        ("1.2", ("1.2", "1.1"), ["1.2"]),
        ("1.2", ("1.1", "1.0"), ["1.2", "1.1"]),
        ("1.2", ("1.0",), ["1.2", "1.1", "1.0"]),
        ("1.1", ("1.2", "1.0"), ["1.1", "1.0"]),
        ("1.0", ("1.0",), ["1.0"]),
        ("1.1", (), ["1.1", "1.0"]),
        ("1.0", (), ["1.0"]),
    ):
        world = World()
        registrar = _Versed(world)
        registrar.versions = known
        client = world.client(version=version)
        client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300, queue=True)
        client.set_server(1, {17: 1})
        done = lwm2m.EVENT_REG_REGISTERED if known else FAILED
        assert world.run(10, lambda: world.last(done))
        assert [r.query[2] for r in registrar.requests] == ["lwm2m=" + v for v in told], told
        for request, v in zip(registrar.requests, told):
            assert request.query[3:] == (["b=UQ"] if v == "1.0" else ["b=U", "Q"])
            expected = newer if version == "1.2" else LINKS
            if v == "1.0":
                expected = plain if version != "1.2" else newer.replace(b";ct=112", b"")
            assert request.payload == expected, (version, v)
        story = world.story()
        assert story[: len(told)] == ["REG_REGISTERING 1"] * len(told)
        assert story[len(told) :][0] == ("REG_REGISTERED 1" if known else "REG_FAILED 1")
        if known:
            world.run(1)
            # It stays so, and a change of what there is is told in that form.
            registrar.requests.clear()
            client.add_object(Object(1000, (0, INT | R), {0: {0: 1}}))
            world.run(10)
            assert registrar.requests[0].payload == expected + b",</1000/0>"
            registrar.updated = 0x84
            world.run(300)
            again = [r for r in registrar.requests if r.path == "/rd"]
            assert again and again[0].query[2] == "lwm2m=" + told[-1]


def test_another_refusal_is_none_of_the_version():
    for code in (0x80, 0x81, 0x83, 0x84, 0xA3):
        world = World()
        registrar = Registrar(world)
        registrar.registered = code
        client = world.client()
        client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
        world.run(10)
        assert len(registrar.requests) == 1, code


def test_register_queue_mode():
    world = World()
    registrar = Registrar(world)
    client = world.client()
    client.add_server(7, "coap://server", lwm2m.SEC_NONE, 60, queue=True)
    assert world.run(5, lambda: registrar.location)
    assert registrar.requests[0].query == ["ep=dev", "lt=60", "lwm2m=1.1", "b=U", "Q"]


def test_register_uri_with_path_and_query():
    world = World()
    registrar = Registrar(world, 7000)
    client = world.client("a&b=c")  # one Uri-Query option, in which & means nothing
    client.add_server(1, "coap://[2001:db8::1]:7000/of/lwm2m?tenant=4&x", lwm2m.SEC_NONE)
    assert world.run(5, lambda: registrar.location)
    request = registrar.requests[0]
    assert request.path == "/of/lwm2m/rd"
    assert request.query == ["tenant=4", "x", "ep=a&b=c", "lt=86400", "lwm2m=1.1", "b=U"]
    world.run(1)
    client.close()
    world.run(1)
    assert registrar.requests[1].path == "/rd/1"  # the location is the server's own


def test_d6_register_uri_with_percent_encoding():
    # RFC 7252 6.4: divided at "/" and "&" first, then decoded.
    world = World()
    registrar = Registrar(world)
    client = world.client()
    client.add_server(1, "coap://server/a%2Fb/c%20d?x%26y=%c3%a9", lwm2m.SEC_NONE)
    assert world.run(5, lambda: registrar.requests)
    request = registrar.requests[0]
    assert request.path == "/a/b/c d/rd" and request.segments[0] == "a/b"
    assert request.query[0] == "x&y=\u00e9"


def test_d7_version_1_0_has_not_what_came_with_1_1():
    world = World()
    registrar = Registrar(world)
    client = world.client(version="1.0")
    client.add_server(1, "coap://server", lwm2m.SEC_NONE)
    client.set_server(1, {17: 3})  # the client keeps these to itself
    client.core.objects[1].instances[0][12] = 1700000000
    assert world.run(5, lambda: registrar.location)
    assert registrar.read("/1/0/12").code == 0x84
    assert registrar.execute("/1/0/9").code == 0x84
    assert b"\xc4\x0c" not in registrar.read("/1/0").payload
    assert "/1/0/9" not in registrar.read("/1/0", 40).text


def test_register_object_list():
    world = World()
    registrar = Registrar(world)
    client = world.client()
    client.add_object(Object(21, (0, INT | R), {0: {0: 1}}))  # OSCORE, as secret as /0
    client.add_object(Object(5, (0, INT | R)))
    client.add_object(Object(1000, (0, INT | R), {7: {0: 1}, 3: {0: 1}}))
    client.add_object(Object(1001, (0, INT | R), {0: {0: 1}}, version="1.1"))
    client.add_object(Object(1002, (0, INT | R), version="2.0"))
    client.add_server(1, "coap://server", lwm2m.SEC_NONE)
    assert world.run(5, lambda: registrar.location)
    assert registrar.requests[0].payload == (
        LINKS + b",</5>,</1000/3>,</1000/7>,</1001>;ver=1.1,</1001/0>,</1002>;ver=2.0"
    )


# --- Updates


def test_update_before_the_lifetime_ends():
    # lifetime - min(lifetime / 2, MAX_TRANSMIT_WAIT), which is 93 s.
    for lifetime, wanted in ((2, 1), (60, 30), (100, 50), (186, 93), (300, 207), (86400, 86307)):
        world, registrar, client = _registered(lifetime)
        for _ in range(3):
            start = registrar.requests[-1].time
            n = len(registrar.requests)
            assert world.run(lifetime, lambda: len(registrar.requests) > n)
            request = registrar.requests[-1]
            assert (request.code, request.path, request.type) == (2, "/rd/1", CON)
            assert not request.query and request.format is None and not request.payload
            assert wanted - 1.1 < (request.time - start) / 1000 <= wanted + 0.1, request.time
        world.run(0.5)
        story = world.story()
        assert story[2:4] == ["REG_UPDATING 1", "REG_REGISTERED 1"] and len(story) == 8


def test_update_for_months():
    world, registrar, client = _registered(86400)
    client.core.on_event = None  # the story would be long
    world.run(90 * 86400)
    # One every 86307 s, rounded down a little.
    assert len(registrar.requests) == 1 + 90 * 86400 // 86307
    assert not world.statuses


def test_infinite_lifetime():
    world, registrar, client = _registered()
    assert registrar.ask(PUT, "/1/0/1", b"0", TEXT).code == 0x44
    world.run(1)
    assert registrar.requests[-1].query == ["lt=0"]
    assert world.last(lwm2m.EVENT_REG_REGISTERED).lifetime == 0
    n = len(registrar.requests)
    world.run(40 * 86400)
    assert len(registrar.requests) == n


def test_lifetime_that_is_huge():
    world, registrar, client = _registered()
    for value in (
        b"2147483648",
        b"99999999999",
        b"9223372036854775807",
    ):  # no server counts so far
        assert registrar.ask(PUT, "/1/0/1", value, TEXT).code == 0x80
    assert registrar.ask(PUT, "/1/0/1", b"2147483647", TEXT).code == 0x44
    world.run(1)
    assert registrar.requests[-1].query == ["lt=2147483647"]
    world.run(30 * 86400)
    assert len(registrar.requests) == 2


def test_update_of_lifetime_and_binding():
    world, registrar, client = _registered()
    world.story()
    assert registrar.ask(PUT, "/1/0/1", b"600", TEXT).code == 0x44
    world.run(1)
    assert registrar.paths()[1:] == ["POST /rd/1?lt=600"]
    assert world.story() == ["SERVER_SETTING_CHANGED 1", "REG_UPDATING 1", "REG_REGISTERED 1"]
    assert registrar.ask(PUT, "/1/0/7", b"UQ", TEXT).code == 0x44
    world.run(1)
    assert registrar.paths() == ["POST /rd/1?b=U&Q"]
    # What is written and stays the same needs no update.
    assert registrar.ask(PUT, "/1/0/1", b"600", TEXT).code == 0x44
    world.run(1)
    assert registrar.paths() == []
    # The new lifetime counts: 600 - 93.
    start = world.time
    assert world.run(600, lambda: registrar.requests)
    assert 500000 < world.time - start < 510000


def test_update_of_the_object_list():
    world, registrar, client = _registered()
    obj = Object(1000, (0, INT | R | W), {0: {0: 1}}, multiple=True)
    for change, links in (
        (lambda: client.add_object(obj), LINKS + b",</1000/0>"),
        (lambda: obj.add(4, {0: 2}), LINKS + b",</1000/0>,</1000/4>"),
        (lambda: obj.remove(0), LINKS + b",</1000/4>"),
        (lambda: registrar.ask(2, "/1000", b"", None), LINKS + b",</1000/0>,</1000/4>"),
        (lambda: registrar.ask(4, "/1000/4"), LINKS + b",</1000/0>"),
        (lambda: client.remove_object(1000), LINKS),
    ):
        registrar.paths()
        change()
        world.run(1)
        request = registrar.requests[-1]
        assert len(registrar.requests) == 1 and request.path == "/rd/1" and not request.query
        assert (request.format, request.payload) == (40, links)
    obj.set(0, 0, 5)  # it is no concern of the client's any more
    registrar.paths()
    world.run(1)
    assert registrar.paths() == []


def test_changes_while_registering_are_not_lost():
    world = World()
    registrar = Registrar(world)
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    assert world.run(5, lambda: registrar.requests)
    client.add_object(Object(1000, (0, INT | R)))  # the answer is on its way
    world.run(1)
    assert [r.payload for r in registrar.requests] == [LINKS, LINKS + b",</1000>"]


def test_update_refused():
    for code in (0x84, 0x80, 0xA0):
        world, registrar, client = _registered()
        registrar.updated = code
        world.story()
        world.run(208)
        event = world.last(UPDATE_FAILED)
        assert (event.code, event.internal, event.lifetime) == (code, False, 300)
        assert world.story() == [
            "REG_UPDATING 1",
            "REG_UPDATE_FAILED 1",
            "REG_REGISTERING 1",
            "REG_REGISTERED 1",
        ]
        assert registrar.paths()[-1] == "POST /rd?ep=dev&lt=300&lwm2m=1.1&b=U"
        assert registrar.location == 2 and not world.statuses


def test_update_after_the_server_forgot():
    world, registrar, client = _registered()
    registrar.location = 7  # as after its restart
    world.run(208)
    assert registrar.location == registrar.count == 2
    # It answers over the connection that there is: no new handshake is needed.
    assert len(world.connections) == 1 and world.connections[0].open


def test_update_unanswered():
    world, registrar, client = _registered()
    registrar.silent = True
    _sharp(client)
    world.story()
    assert world.run(210, lambda: world.last(UPDATE_FAILED))
    event = world.last(UPDATE_FAILED)
    assert (event.code, event.internal) == (0xA3, True)
    registrar.silent = False
    then = world.time
    assert world.run(20, lambda: registrar.location == 2)
    # Over a new connection, and not at once, as others have lost theirs too.
    assert 6000 <= world.time - then <= 12000 and len(world.connections) == 2
    world.run(1)
    assert world.story() == [
        "REG_UPDATING 1",
        "REG_UPDATE_FAILED 1",
        "REG_REGISTERING 1",
        "REG_REGISTERED 1",
    ]


# --- Attempts that fail


def test_retry_rules():
    # /1/x/17: 5 attempts, with 60, 120, 240 and 480 s (/1/x/18) between them; each is over a
    # second after it began. Times are kept in seconds, so each may be up to one late.
    world = World()
    registrar = Registrar(world)
    registrar.silent = True
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    _sharp(client)
    assert world.run(2000, lambda: world.statuses)
    found = world.times(REGISTERING)
    assert len(found) == 5
    for n in range(4):  # give or take a quarter
        wait = 60 << n
        assert wait * 3 // 4 <= found[n + 1] - found[n] - 1 <= wait * 5 // 4 + 1, found
    assert len(registrar.heard) == 5
    event = world.last(FAILED)
    assert (event.short_id, event.code, event.internal) == (1, 0xA3, True)
    assert world.times(FAILED) == [found[4] + 1]  # once
    assert world.statuses[0][1] == 0xA3
    assert world.story() == ["REG_REGISTERING 1"] * 5 + ["REG_FAILED 1"]


def test_retry_rules_with_retransmissions():
    # By default an attempt takes 31 times ACK_TIMEOUT, 62 to 93 s, in five transmissions; the next
    # ones 3 times it, in two.
    world = World()
    registrar = Registrar(world)
    registrar.silent = True
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    assert world.run(2000, lambda: world.statuses)
    assert len(registrar.heard) == 5 + 4 * 2
    assert 675 + 62 + 4 * 6 <= world.times(FAILED)[0] <= 1125 + 93 + 4 * 9 + 5


def test_afresh_after_5_03():
    world = World()
    registrar = Registrar(world)
    registrar.silent = True
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    _sharp(client)
    assert client.step(5000) == lwm2m.SERVICE_UNAVAILABLE
    assert world.time < 1000000
    assert client.step(5000) == lwm2m.SERVICE_UNAVAILABLE
    assert world.story() == ["REG_REGISTERING 1"] * 5 + ["REG_FAILED 1"] + [
        "REG_REGISTERING 1",  # once; it has had its attempts
        "REG_FAILED 1",
    ]
    registrar.silent = False
    assert client.step(10) == lwm2m.NO_ERROR
    assert world.story() == ["REG_REGISTERING 1", "REG_REGISTERED 1"]


def test_f1_waits_grow_to_a_bound():
    # With a server that is away for a day: 10 minutes in the end, a quarter more or less, and
    # two datagrams each time. With the first answer all is as before.
    world = World()
    registrar = Registrar(world)
    registrar.silent = True
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    end = world.time + 86400 * 1000
    began = []
    while world.time < end:
        client.step((end - world.time) // 1000 + 1)
        began += world.times(REGISTERING)
        world.events.clear()
        world.connections.clear()
    began = began[5:]
    waits = [began[i] - began[i - 1] for i in range(1, len(began))]
    for i in range(len(waits)):
        wait = min(1 << i + 1, 600)
        assert wait - wait // 4 + 6 <= waits[i] <= wait + wait // 4 + 11, (i, waits[i])
    assert max(waits) - min(waits[10:]) > 200
    heard = [ms for ms in registrar.heard if ms > end - 43200 * 1000]
    assert 2 * 43200 // 761 <= len(heard) <= 2 * 43200 // 456
    registrar.silent = False
    end = world.time + 1200 * 1000
    while world.time < end and not registrar.location:
        client.step(1)
    assert registrar.location
    registrar.silent = True
    registrar.heard.clear()
    world.events.clear()
    assert client.step(600) == 0 and len(world.times(REGISTERING)) >= 2
    assert len(registrar.heard) >= 5 + 2 + 2  # Update, Register, Register


def test_f1_who_changes_accounts_need_not_wait():
    world = World()
    registrar = Registrar(world)
    client = world.client()
    client.add_server(1, "coap://nobody:1", lwm2m.SEC_NONE, 300)
    end = world.time + 43200 * 1000
    while world.time < end:
        client.step((end - world.time) // 1000 + 1)
        world.events.clear()
        world.connections.clear()
    while client.step(30) == 0:
        pass
    client.add_server(2, "coap://server", lwm2m.SEC_NONE, 300)
    assert world.run(2, lambda: registrar.location)


def test_sequences():
    # /1/x/20 sequences, /1/x/19 s apart.
    world = World()
    Registrar(world).silent = True
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    _sharp(client)
    client.set_server(1, {17: 2, 18: 10, 20: 3, 19: 1000})
    assert world.run(5000, lambda: world.statuses)
    found = world.times(REGISTERING)
    assert len(found) == 6
    for n in range(5):
        wait = 1000 if n & 1 else 10
        assert wait * 3 // 4 <= found[n + 1] - found[n] - 1 <= wait * 5 // 4 + 1, found
    assert len(world.times(FAILED)) == 1


def test_attempts_count_anew_after_success():
    world = World()
    registrar = Registrar(world)
    registrar.silent = True
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    _sharp(client)
    client.set_server(1, {17: 3, 18: 10})
    world.run(15)  # two attempts have failed
    registrar.silent = False
    assert world.run(60, lambda: registrar.location)
    world.run(1)
    registrar.silent = True
    world.story()
    assert world.run(1000, lambda: world.statuses)
    assert world.story() == (
        ["REG_UPDATING 1", "REG_UPDATE_FAILED 1"] + ["REG_REGISTERING 1"] * 3 + ["REG_FAILED 1"]
    )


def test_refused_ends_at_once():
    # Where a bootstrap server can give another account (/1/x/16).
    for code in (0x80, 0x83, 0x8C):  # 4.00, 4.03, 4.12
        world = World()
        registrar = Registrar(world)
        registrar.registered = code
        registrar.words = b"not you"
        provisioner = Provisioner(world)
        client = world.client()
        client.add_bootstrap_server("coap://bs:5783", lwm2m.SEC_NONE)
        client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
        assert world.run(10, lambda: provisioner.requests)
        event = world.last(FAILED)
        assert (event.code, event.internal, event.text) == (code, False, "not you")
        assert event.lifetime == 300
        attempts = 2 if code == 0x8C else 1  # the other one is with 1.0
        registering = ["REG_REGISTERING 1"] * attempts
        assert world.story() == registering + ["REG_FAILED 1", "BS_PENDING"]


def test_b9_refused_without_bootstrap_is_tried_again():
    # Where there is no bootstrap server, or /1/x/16 is false, the retry rules hold for 4.xx too.
    for code, with_bootstrap in ((0x81, False), (0x83, True)):
        world = World()
        registrar = Registrar(world)
        registrar.registered = code
        client = world.client()
        client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
        if with_bootstrap:
            client.add_bootstrap_server("coap://bs:5783", lwm2m.SEC_NONE)
            client.set_server(1, {16: False})
        assert client.step(2000) == lwm2m.SERVICE_UNAVAILABLE
        event = world.last(FAILED)
        assert (event.code, event.internal, event.text) == (code, False, None)
        assert world.story() == ["REG_REGISTERING 1"] * 5 + ["REG_FAILED 1"]


def test_server_error_is_tried_again():
    world = World()
    registrar = Registrar(world)
    registrar.registered = 0xA3
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    world.run(50)
    assert world.story() == ["REG_REGISTERING 1"]
    registrar.registered = 0x41
    world.run(20)
    assert world.story() == ["REG_REGISTERING 1", "REG_REGISTERED 1"]


class _Strange(Registrar):
    """Answers a registration with something else than 2.01 and a location."""

    def __init__(self, world, code, location):
        super().__init__(world)
        self.given = code, location

    def answer(self, request, reply):
        reply.location = self.given[1]
        return self.given[0]


def test_malformed_answers():
    for code, location in ((0x41, ()), (0x44, ("rd", "1")), (0x45, ()), (0x5F, ())):
        world = World()
        _Strange(world, code, location)
        client = world.client()
        client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
        client.set_server(1, {17: 2, 18: 10})
        assert client.step(100) == lwm2m.SERVICE_UNAVAILABLE
        event = world.last(FAILED)
        assert (event.code, event.internal) == (0x86, True), (code, event.code)
        assert world.story() == ["REG_REGISTERING 1"] * 2 + ["REG_FAILED 1"]


def test_location_that_is_not_text():
    # A Location-Path of the bytes ff ff.
    world = World()
    registrar = Registrar(world)
    registrar.silent = True
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    client.set_server(1, {17: 1})
    world.run(1)
    message = world.sent[-1]
    # ACK with its token of four bytes and 2.01; option 8, two bytes long.
    answer = b"\x64\x41" + message[2:8] + b"\x82\xff\xff"
    client.core.receive(client.core.accounts[0], answer, world.now())
    assert world.run(10, lambda: world.statuses)
    event = world.last(FAILED)
    assert (event.code, event.internal) == (0x86, True)


def test_words_that_are_not_text():
    world = World()
    registrar = Registrar(world)
    registrar.registered = 0x83
    registrar.words = b"\xff\xfe"
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    client.set_server(1, {17: 1})
    assert client.step(10) == lwm2m.SERVICE_UNAVAILABLE
    event = world.last(FAILED)
    assert (event.code, event.text) == (0x83, None)


def test_reset():
    world = World()
    registrar = Registrar(world)
    registrar.silent = True
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    client.set_server(1, {17: 1})
    world.run(1)
    client.core.receive(client.core.accounts[0], b"\x70\x00" + world.sent[-1][2:4], world.now())
    assert world.run(10, lambda: world.statuses)
    event = world.last(FAILED)
    assert (event.code, event.internal) == (0xA3, True)


def test_no_connection():
    world = World()
    registrar = Registrar(world)
    world.up = OSError(113)
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    client.set_server(1, {17: 3, 18: 10})
    assert world.run(100, lambda: world.statuses)
    # Attempts fail at once: at 0, 10 and 30 s, give or take a quarter.
    assert 22 <= world.time // 1000 <= 40
    event = world.last(FAILED)
    assert (event.code, event.internal, event.text) == (0xA3, True, "no connection")
    assert world.story() == ["REG_FAILED 1"]
    world.up = True
    world.run(2)
    assert registrar.location == 1


def test_no_memory_for_a_connection():
    world = World()
    world.up = MemoryError()
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    client.set_server(1, {17: 1})
    assert world.run(10, lambda: world.statuses)
    event = world.last(FAILED)
    assert event.internal and event.code in (0xA0, 0xA3)


def test_request_that_does_not_fit():
    world = World()
    Registrar(world)
    client = world.client()
    uri = "coap://server/" + "/".join(["p" * 250] * 5)  # a datagram has 1152 bytes
    client.add_server(1, uri, lwm2m.SEC_NONE, 300)
    client.set_server(1, {17: 1})
    assert world.run(10, lambda: world.statuses)
    event = world.last(FAILED)
    assert (event.code, event.internal) == (0xA0, True)
    assert event.text


def test_slow_connection():
    # As with DTLS: the network says later that a connection is up, or that it is not.
    world = World()
    registrar = Registrar(world)
    world.up = False
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    world.run(100)
    assert not registrar.heard and world.story() == []
    account = client.core.accounts[0]
    client.core.connected(account, world.now())
    world.run(1)
    assert world.story() == ["REG_REGISTERING 1", "REG_REGISTERED 1"]
    # The peer closes it: the client registers again (facts, section 3).
    client.core.disconnected(account, 0xA3, "closed", world.now())
    assert world.run(12, lambda: account.state == 1)
    client.core.connected(account, world.now())
    world.run(1)
    assert world.story() == ["REG_REGISTERING 1", "REG_REGISTERED 1"]
    assert registrar.location == 2
    # It cannot be set up: an attempt has failed.
    client.core.disconnected(account, 0xA3, "closed", world.now())
    client.set_server(1, {17: 1})
    assert world.run(12, lambda: account.state == 1)
    client.core.disconnected(account, 0x81, "no such key", world.now())
    world.run(1)
    event = world.last(FAILED)
    assert (event.code, event.internal, event.text) == (0x81, True, "no such key")


# --- Several servers


def test_several_servers():
    world = World()
    first = Registrar(world, 5001)
    second = Registrar(world, 5002)
    third = Registrar(world, 5003)
    second.silent = True
    third.registered = 0x83
    client = world.client()
    for n, lifetime in ((1, 100), (2, 200), (3, 400)):
        client.add_server(n, "coap://server:%d" % (5000 + n), lwm2m.SEC_NONE, lifetime)
    _sharp(client, 2)
    world.run(1300)
    # The first one is usable all the time, so step() tells no error.
    assert not world.statuses
    assert sorted([e.short_id for _, e in world.events if e.type == FAILED]) == [2, 3]
    # Registered with the first, each update after 50 s.
    assert first.location == 1 and 25 <= len(first.requests) - 1 <= 27
    assert first.requests[0].query[1] == "lt=100" and third.requests[0].query[1] == "lt=400"
    # Each connection is its server's own: what one asks is not what another may.
    assert first.read("/1/0/0").text == "1" and first.read("/1/1/0").code == 0x81
    client.remove_server(1)
    world.run(1)
    assert not first.location
    assert world.statuses == [(world.statuses[0][0], 0xA3)]  # now none is left that is usable


def test_server_added_and_removed_later():
    world, registrar, client = _registered()
    second = Registrar(world, 5002)
    client.add_server(2, "coap://server:5002", lwm2m.SEC_NONE, 60)
    world.run(1)
    assert second.location == 1
    links = LINKS[:-7] + b",</1/1>,</2/0>,</2/1>,</2/2>,</2/3>,</3/0>"  # Access Control's too
    assert second.requests[0].payload == links
    assert registrar.requests[-1].payload == links
    world.story()
    client.remove_server(1)
    world.run(1)
    assert world.story() == ["REG_UNREGISTERED 1", "REG_UPDATING 2", "REG_REGISTERED 2"]
    assert registrar.requests[-1].type == CON and registrar.requests[-1].path == "/rd/1"
    assert second.requests[-1].payload == LINKS[:-13] + b"</1/1>,</2/0>,</2/2>,</2/3>,</3/0>"
    client.remove_server(65535)
    world.run(1)
    assert not second.location
    assert not client.core.accounts and not client.core.objects[0].instances
    assert client.step(10) == lwm2m.NO_ERROR  # no server is configured, which is no error
    client.add_server(1, "coap://server", lwm2m.SEC_NONE)
    world.run(1)
    assert registrar.location == registrar.count == 2


def test_initial_delay():
    # /1/x/14
    world = World()
    registrar = Registrar(world)
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    client.set_server(1, {14: 30})
    assert world.run(60, lambda: registrar.requests)
    assert 30 <= world.time // 1000 <= 31


def test_priority_order():
    # /1/x/13: lower ones first, one after another; those without an order do not wait.
    world = World()
    registrars = [Registrar(world, 5001 + n) for n in range(4)]
    registrars[0].silent = True
    client = world.client()
    for n in (1, 2, 3, 4):
        client.add_server(n, "coap://server:%d" % (5000 + n), lwm2m.SEC_NONE, 300)
        if n < 4:
            client.set_server(n, {13: n})
    _sharp(client, 1)
    client.set_server(1, {17: 2, 18: 60})
    world.run(50)
    assert [bool(r.location) for r in registrars] == [False, False, False, True]
    world.run(20)  # the second attempt at 61 s was the last one
    assert [bool(r.location) for r in registrars] == [False, True, True, True]
    order = [e.short_id for _, e in world.events if e.type == lwm2m.EVENT_REG_REGISTERED]
    assert order == [4, 2, 3]


def test_priority_order_block():
    # /1/x/15: one that fails bars those behind it.
    world = World()
    registrars = [Registrar(world, 5001 + n) for n in range(3)]
    registrars[1].registered = 0x83
    client = world.client()
    for n in (1, 2, 3):
        client.add_server(n, "coap://server:%d" % (5000 + n), lwm2m.SEC_NONE, 300)
        client.set_server(n, {13: n, 15: True})
    world.run(50)
    assert [bool(r.location) for r in registrars] == [True, False, False]
    assert not registrars[2].heard and not world.statuses


# --- What a server triggers


class _Order(Registrar):
    """Notes what comes in which order: answers as their codes, requests as paths."""

    def __init__(self, world):
        super().__init__(world)
        self.order = []

    def answer(self, request, reply):
        self.order.append(request.path)
        return super().answer(request, reply)

    def trigger(self, path):
        self.order.clear()
        self.start(2, path, callback=lambda answer: self.order.append(answer.code))


def _order():
    world = World()
    registrar = _Order(world)
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    world.run(1)
    world.story()
    return world, registrar, client


def test_update_trigger():
    world, registrar, client = _order()
    registrar.trigger("/1/0/8")
    world.run(1)
    assert registrar.order == [0x44, "/rd/1"]
    assert world.story() == ["REG_UPDATING 1", "REG_REGISTERED 1"]


def test_disable():
    world, registrar, client = _order()
    assert registrar.ask(PUT, "/1/0/5", b"100", TEXT).code == 0x44
    world.run(1)
    world.story()
    registrar.trigger("/1/0/4")
    world.run(90)
    assert registrar.order == [0x44, "/rd/1"] and registrar.requests[-1].code == 4
    assert world.story() == ["REG_UNREGISTERED 1"]
    assert not world.statuses  # disabled is not failed
    world.run(12)
    assert world.story() == ["REG_REGISTERING 1", "REG_REGISTERED 1"]


def test_disable_for_a_day():
    # /1/x/5 is 86400 s by default.
    world, registrar, client = _order()
    registrar.trigger("/1/0/4")
    world.run(86390)
    assert world.story() == ["REG_UNREGISTERED 1"]
    world.run(15)
    assert world.story() == ["REG_REGISTERING 1", "REG_REGISTERED 1"]


def test_disable_unanswered():
    # The De-register is lost, or the connection is: disabled it is all the same.
    for lost in (False, True):
        world, registrar, client = _order()
        registrar.ask(PUT, "/1/0/5", b"1000", TEXT)
        world.run(1)
        world.story()
        registrar.trigger("/1/0/4")
        world.run(1, lambda: 0x44 in registrar.order)
        registrar.silent = True
        world.flight.clear()
        if lost:
            account = client.core.accounts[0]
            client.core.disconnected(account, 0xA3, "closed", world.now())
        world.run(900)
        assert world.story() == ["REG_UNREGISTERED 1"]
        registrar.silent = False
        world.run(220)
        assert world.story() == ["REG_REGISTERING 1", "REG_REGISTERED 1"]


def test_bootstrap_trigger():
    # Without a bootstrap server account it is refused; with one, the answer goes out before.
    world, registrar, client = _order()
    assert registrar.execute("/1/0/9").code == 0x85
    provisioner = Provisioner(world)
    client.add_bootstrap_server("coap://bs:5783", lwm2m.SEC_NONE)
    world.run(100)
    assert world.story() == [] and not provisioner.heard
    registrar.trigger("/1/0/9")
    world.run(1)
    assert registrar.order == [0x44]
    assert world.story() == ["BS_PENDING"]
    assert provisioner.requests[0].path == "/bs"


def test_requests_before_the_answer():
    # A server may ask as soon as it has answered, and its answer may come later.
    world = World()

    class Eager(Registrar):
        def answer(self, request, reply):
            self.connection = request.connection
            self.start(1, "/3/0/16", callback=answers.append)
            return super().answer(request, reply)

    answers = []
    Eager(world)
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    world.run(1)
    assert answers[0].text == "U"
    assert world.story() == ["REG_REGISTERING 1", "READ 1", "REG_REGISTERED 1"]


def test_requests_when_disabled():
    # Once the client has de-registered, it serves nobody.
    world, registrar, client = _order()
    registrar.trigger("/1/0/4")
    world.run(1, lambda: 0x44 in registrar.order)
    registrar.answer = lambda request, reply: SEPARATE  # the De-register is not answered yet
    answers = []
    registrar.start(1, "/3/0/16", callback=answers.append)
    assert world.run(5, lambda: answers)
    assert answers[0].code == 0x81


# --- Leaving


def test_close():
    world, registrar, client = _registered()
    world.story()
    start = world.time
    client.close()
    # LwM2M 1.1 6.2.3, confirmable; it is over when that is answered.
    assert world.story() == ["REG_UNREGISTERED 1"]
    assert world.time - start == 10  # there and back
    assert not [c for c in world.connections if c.open]
    request = registrar.requests[-1]
    assert (request.code, request.path, request.type) == (4, "/rd/1", CON)
    assert not registrar.location and not world.roles
    client.close()  # again, which does nothing
    assert world.story() == []


def test_close_waits_for_the_last_answer():
    # And only close() does: a step() under way goes on, whoever leaves.
    world = World()
    registrars = [Registrar(world, 5001 + n) for n in range(3)]
    client = world.client()
    for n in range(3):
        client.add_server(1 + n, "coap://server:%d" % (5001 + n), lwm2m.SEC_NONE)
    assert world.run(5, lambda: all(r.location for r in registrars))
    world.run(1)
    client.remove_server(3)
    start = world.time
    assert client.step(2) == 0 and world.time - start >= 2000
    assert not registrars[2].location and not client.core.leaving
    registrars[0].silent = True
    start = world.time
    client.close(3)
    assert 3000 <= world.time - start <= 4000 and not registrars[1].location and not world.roles


def test_close_is_heard_where_datagrams_are_lost():
    for seed in range(20):
        world, registrar, client = _registered(seed=seed)
        world.loss = 30
        client.close(50)  # MAX_TRANSMIT_SPAN
        assert not registrar.location and not world.roles


def test_close_has_an_end():
    world, registrar, client = _registered()
    registrar.silent = True
    start = world.time
    client.close(3)
    assert 3000 <= world.time - start <= 4000
    assert not [c for c in world.connections if c.open] and not world.roles


def test_close_before_anything():
    world = World()
    Registrar(world)
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE)
    client.close()
    assert world.story() == [] and not world.datagrams


# --- Time


def _history(start):
    """What happens to a client in a rich half hour: [(ms, event type, short id)]."""
    world = World(seed=3, start=start)
    first = Registrar(world, 5001)
    second = Registrar(world, 5002)
    second.silent = True
    client = world.client()
    client.add_server(1, "coap://server:5001", lwm2m.SEC_NONE, 100)
    client.add_server(2, "coap://server:5002", lwm2m.SEC_NONE, 300)
    world.run(400)
    second.silent = False
    world.run(400)
    first.silent = True
    world.run(800)
    first.silent = False
    first.location = 9
    world.run(400)
    return [(ms, e.type, e.short_id) for ms, e in world.events], world.datagrams


def test_the_clock_wraps():
    # The same must happen wherever the 30 bits of now start anew: in an exchange, between its
    # retransmissions, in a wait, at the very moment something is due.
    plain = _history(0)
    assert len(plain[0]) > 30
    moments = {1, 5, 10}
    for ms, _, _ in plain[0]:
        moments.update((ms, ms + 1, max(ms - 1, 1), ms + 1500))
    for ms in moments:
        assert _history(MASK + 1 - ms) == plain, ms


def test_long_sleep():
    # Nobody called step() for three days: the update is late, the server has forgotten, and the
    # client registers again.
    world, registrar, client = _registered(86400)
    world.sleep(3 * 86400)
    registrar.location = 5
    world.story()
    world.run(1)
    assert world.story() == [
        "REG_UPDATING 1",
        "REG_UPDATE_FAILED 1",
        "REG_REGISTERING 1",
        "REG_REGISTERED 1",
    ]


def test_clock_that_goes_backwards():
    # Six days of sleep cannot be told from a clock that went backwards: 5.00, and afresh.
    for seconds in (-1, -3600, 7 * 86400):
        world, registrar, client = _registered(86400)
        world.story()
        world.sleep(seconds)
        assert client.step(1) == 0xA0
        assert client.step(1) == lwm2m.NO_ERROR
        assert world.story() == ["REG_REGISTERING 1", "REG_REGISTERED 1"]


def test_clock_that_goes_backwards_in_an_exchange():
    world = World()
    registrar = Registrar(world)
    registrar.silent = True
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    world.run(2)
    world.sleep(7 * 86400)
    registrar.silent = False
    assert client.step(1) == 0xA0
    assert client.step(1) == lwm2m.NO_ERROR
    assert world.story()[-1] == "REG_REGISTERED 1"


def test_next_ms():
    world, registrar, client = _registered(300)
    world.run(60)
    # Registered at 0 s, the update is due at 207 s.
    assert 145000 <= client.next_ms() <= 147000
    registrar.ask(PUT, "/1/0/1", b"0", TEXT)
    world.run(300)
    assert client.next_ms() == 86400000  # never, in slices of a day
    client.remove_server(1)
    world.run(1)
    assert client.next_ms() == 86400000


def test_an_application_that_raises():
    # Its exception is reported, and the client goes on as if nothing had happened.
    world = World()
    registrar = Registrar(world)
    client = world.client()
    reported = []
    client.core.engine.on_exception = reported.append

    def watch(event):
        raise RuntimeError("a bug")

    world.watch = watch
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    world.run(400)
    assert registrar.location == 1 and len(registrar.requests) == 2
    assert len(reported) == len(world.events) == 4


def test_no_callback():
    world = World()
    registrar = Registrar(world)
    client = lwm2m.Client("dev", None, net=world)
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    world.run(400)
    assert registrar.location == 1 and len(registrar.requests) == 2
    registrar.read("/3/0")
    client.close()
    world.run(1)
    assert not registrar.location


# --- Issue 9 B7: nothing that a server writes makes a client send more than a few requests a second


def _rate(world, registrar, seconds=60):
    """Requests that a server hears in a second, over that many."""
    registrar.heard.clear()
    end = world.time + seconds * 1000
    while world.time < end:
        world.run(1)
        world.events.clear()
        world.statuses.clear()
        world.connections.clear()
        registrar.requests.clear()
    return len(registrar.heard) / seconds


def test_b7_no_time_between_attempts():
    # /1/x/17 to 20 as a bootstrap server may write them.
    for refusal in (0xA0, 0x83):
        for settings in (
            {17: 0x7FFFFFFF, 18: 0},
            {17: 1, 18: 0, 19: 0, 20: 0x7FFFFFFF},
            {17: 2, 18: 0, 19: 0, 20: 2},
        ):
            world = World()
            registrar = Registrar(world)
            registrar.registered = refusal
            client = world.client()
            client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
            settings[16] = False
            client.set_server(1, settings)
            assert _rate(world, registrar) <= 3, (refusal, settings)


def test_b7_disabled_for_no_time():
    # Disable Timeout (/1/x/5) 0, and a server that disables as soon as somebody has registered.
    world, registrar, client = _registered()
    assert registrar.ask(PUT, "/1/0/5", b"0", TEXT).code == 0x44
    count = registrar.count
    end = world.time + 30000
    while world.time < end:
        registrar.start(POST, "/1/0/4")
        world.run(0.2)
    assert 5 <= registrar.count - count <= 31


def test_b7_a_trigger_whose_update_is_refused():
    world, registrar, client = _registered()
    registrar.updated = 0x84
    count = registrar.count
    end = world.time + 30000
    while world.time < end:
        registrar.start(POST, "/1/0/8")
        world.run(0.2)
    assert 5 <= registrar.count - count <= 31


def test_b7_a_session_that_cannot_even_begin():
    # No bootstrap server, one attempt, and step() called again and again, as a board does.
    world = World()
    Registrar(world)
    world.up = OSError(113)
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    client.set_server(1, {17: 1})
    failed = 0
    end = world.time + 60000
    while world.time < end:
        client.step(1)
        failed += len(world.times(FAILED))
        world.events.clear()
    assert 6 <= failed <= 7  # after 0 s, 1, 3, 7, 15, 31 and 63, a quarter more or less


def test_f1_every_wait_is_spread():
    # Twenty clients that fail at the same time do not try again at the same time.
    second = []
    for seed in range(20):
        world = World(seed=seed)
        registrar = Registrar(world)
        registrar.registered = 0xA3
        client = world.client()
        client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
        assert world.run(100, lambda: len(registrar.requests) == 2)
        second.append(registrar.requests[1].time // 1000)
    assert len(set(second)) >= 10 and min(second) >= 45 and max(second) <= 76, second


def test_b3_the_last_second():
    # The clock goes on behind the last time that can be told; and is set back to before 1970.
    world, registrar, client = _registered()
    assert registrar.ask(PUT, "/3/0/13", b"4294967295", TEXT).code == 0x44
    for seconds, told in ((1, "4294967295"), (-9999999999, "0")):
        client._clock += seconds
        assert registrar.read("/3/0/13").text == told
        assert registrar.read("/3/0").code == 0x45
