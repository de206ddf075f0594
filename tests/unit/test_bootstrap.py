# heapsize: 480K
# The Bootstrap interface, client's side (LwM2M 1.1 6.1): attempts, operations, the transaction.

from ucoap import CON, DELETE, GET, POST, PUT
from ucoap.engine import SEPARATE
from lwm2m.model import INT, Object, R, W
import lwm2m
from world import (
    MASK,
    Provisioner,
    Registrar,
    World,
    account,
    dump,
    encode,
    instances,
    server,
    servers_of,
)

TEXT = 0
LINK = 40
TLV = 11542
PENDING = lwm2m.EVENT_BS_PENDING
FAILED = lwm2m.EVENT_BS_FAILED
FINISHED = lwm2m.EVENT_BS_FINISHED

REGISTERED = ["BS_FINISHED", "REG_REGISTERING 1", "REG_REGISTERED 1"]


class _Session:
    """A client with a bootstrap server account of instance id `old`, in a session."""

    def __init__(self, old=0, version="1.1", run=True, uri="coap://bs:5783", **kwargs):
        self.world = World(**kwargs)
        self.registrar = Registrar(self.world)
        self.provisioner = Provisioner(self.world)
        self.client = self.world.client(version=version)
        self.client.add_bootstrap_server(uri, lwm2m.SEC_NONE)
        security = self.client.core.objects[0]
        security.instances = {old: security.instances[0]}
        self.before = dump(self.client)
        if run:
            assert self.world.run(5, lambda: self.provisioner.requests)
            self.world.run(1)
            assert self.world.story() == ["BS_PENDING"]

    def accounts(self):
        """Write a server account with ids 1 and 0."""
        assert self.provisioner.write("/0/1", account(1)).code == 0x44
        assert self.provisioner.write("/1/0", server(1)).code == 0x44

    def registered(self):
        """Finish, and wait until the client is registered."""
        assert self.provisioner.finish().code == 0x44
        self.world.run(1)
        assert self.world.story() == REGISTERED
        return self

    def sharp(self):
        """An exchange with the bootstrap server is over after exactly one second."""
        self.client.set_coap(65535, 1000, 100, 0)


def _bootstrapped(**kwargs):
    """Bootstrapped and registered."""
    session = _Session(**kwargs)
    session.accounts()
    return session.registered()


# --- The story that the document tells


def test_story():
    session = _Session(run=False)
    world, provisioner, registrar = session.world, session.provisioner, session.registrar
    assert session.client.step(0) == lwm2m.NO_ERROR
    assert world.story() == ["BS_PENDING"]  # on the first step
    session.client.step(1)
    request = provisioner.requests[0]
    assert (request.code, request.type, request.path) == (POST, CON, "/bs")
    assert request.query == ["ep=dev", "pct=112"]
    assert request.format is None and not request.payload
    assert provisioner.delete("/").code == 0x42
    assert provisioner.write("/0/0", account(None, "coap://bs:5783")).code == 0x44
    assert provisioner.write("/0/1", account(1)).code == 0x44
    assert provisioner.write("/1/0", server(1)).code == 0x44
    assert world.story() == [] and not registrar.heard
    answer = provisioner.finish()
    assert (answer.code, answer.payload) == (0x44, b"")
    assert session.client.step(1) == lwm2m.NO_ERROR
    assert world.events[0][1].short_id == 65535
    assert world.last(lwm2m.EVENT_REG_REGISTERED).lifetime == 300
    assert world.story() == REGISTERED
    assert registrar.location == 1 and len(provisioner.requests) == 1
    # It disconnects from the bootstrap server when no doubled Finish can come any more.
    connection = world.connections[0]
    world.run(240)
    assert connection.open
    world.run(10)
    assert not connection.open and not world.statuses


def test_flow_of_the_document():
    # "Delete /, write a new bootstrap server account, write a server", whatever ids old and new
    # accounts have. Without a Discover the server cannot know the old id.
    for old in (0, 5):
        for new in (0, 1, 5, 7):
            for own in (0, 1, 5, 6):
                if own == new:
                    continue
                for bootstrap_first in (True, False):
                    session = _Session(old)
                    p = session.provisioner
                    assert p.delete("/").code == 0x42
                    values = account(None, "coap://other:5799")
                    if bootstrap_first:
                        assert p.write("/0/%d" % new, values).code == 0x44
                        assert p.write("/0/%d" % own, account(1)).code == 0x44
                    else:
                        assert p.write("/0/%d" % own, account(1)).code == 0x44
                        assert p.write("/0/%d" % new, values).code == 0x44
                    assert p.write("/1/3", server(1)).code == 0x44
                    session.registered()
                    objects = session.client.core.objects
                    assert objects[0].instances == {new: values, own: account(1)}
                    assert abs(objects[1].get(3, 12) - objects[3].get(0, 13)) < 60
                    assert servers_of(session.client) == {3: server(1)}


def test_flow_without_a_new_bootstrap_account():
    # The old one stays, and makes room where its id is wanted.
    for old in (0, 5):
        for own in (0, 1, 5):
            session = _Session(old)
            p = session.provisioner
            assert p.delete("/").code == 0x42
            assert p.write("/0/%d" % own, account(1)).code == 0x44
            assert p.write("/1/0", server(1)).code == 0x44
            session.registered()
            found = session.client.core.objects[0].instances
            assert len(found) == 2 and found[own] == account(1)
            found.pop(own)
            assert list(found.values()) == [account(None, "coap://bs:5783")]


def test_flow_in_one_write_each():
    # PUT /0 and PUT /1 with all instances at once.
    for old in (0, 1, 5):
        session = _Session(old)
        p = session.provisioner
        assert p.delete("/0").code == 0x42 and p.delete("/1").code == 0x42
        both = instances({0: account(1), 1: account(2, "coap://server:5002")})
        assert p.write("/0", both).code == 0x44
        assert p.write("/1", instances({0: server(1), 1: server(2, 60)})).code == 0x44
        Registrar(session.world, 5002)
        assert p.finish().code == 0x44
        session.world.run(1)
        assert sorted(session.world.story()) == [
            "BS_FINISHED",
            "REG_REGISTERED 1",
            "REG_REGISTERED 2",
            "REG_REGISTERING 1",
            "REG_REGISTERING 2",
        ]
        assert len(session.client.core.objects[0].instances) == 3


def test_factory_account_goes_first():
    session = _Session(run=False)
    session.client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    session.world.run(100)
    assert session.world.story() == ["REG_REGISTERING 1", "REG_REGISTERED 1"]
    assert not session.provisioner.heard


def test_version_1_0():
    session = _Session(version="1.0")
    assert session.provisioner.requests[0].query == ["ep=dev"]
    answer = session.provisioner.read("/", LINK)
    assert answer.text == 'lwm2m="1.0",</0/0>,</1>,</2>,</3/0>'
    session.accounts()
    answer = session.provisioner.read("/", LINK)
    assert answer.text == 'lwm2m="1.0",</0/0>,</0/1>;ssid=1,</1/0>;ssid=1,</2>,</3/0>'
    assert session.provisioner.read("/1").code == 0x85  # Bootstrap-Read is 1.1's
    session.registered()
    assert session.registrar.requests[0].query[2:] == ["lwm2m=1.0", "b=U"]


def test_version_1_2():
    session = _Session(version="1.2")
    assert session.provisioner.requests[0].path == "/bspack"  # which it has not
    assert session.provisioner.requests[1].query == ["ep=dev", "pct=112"]
    session.accounts()
    answer = session.provisioner.read("/1", LINK)
    assert answer.text == "</>;lwm2m=1.2,</1>;ver=1.1,</1/0>;ssid=1"
    session.registered()
    assert session.registrar.requests[0].query[2:] == ["lwm2m=1.2", "b=U"]


def test_uri_with_path_and_query():
    session = _Session(uri="coap://bs:5783/tenant/4?a=b&c")
    request = session.provisioner.requests[0]
    assert request.path == "/tenant/4/bs"
    assert request.query == ["a=b", "c", "ep=dev", "pct=112"]
    session.accounts()
    session.registered()  # Finish is POST /bs all the same


# --- Attempts


def test_hold_off():
    session = _Session(run=False)
    session.client.set_hold_off(30)
    session.world.run(29)
    assert session.world.story() == ["BS_PENDING"] and not session.provisioner.heard
    session.world.run(2)
    assert session.provisioner.requests


def test_hold_off_is_no_busy_loop():
    session = _Session(run=False)
    session.client.set_hold_off(3600)
    session.client.add_object(Object(1000, (0, INT | R)))
    session.world.run(1)
    assert session.client.next_ms() > 3590000


def test_preferred_format_refused():
    # A server of LwM2M 1.0 may not know pct: one retry without it.
    for code in (0x80, 0x82, 0x8F):
        session = _Session(run=False)
        answers = [code, 0x44]
        session.provisioner.answer = lambda request, reply: answers.pop(0)
        session.world.run(1)
        queries = [r.query for r in session.provisioner.requests]
        assert queries == [["ep=dev", "pct=112"], ["ep=dev"]]
        assert session.world.story() == ["BS_PENDING"]
        session.accounts()
        session.registered()


def test_refused():
    for code, requests, version in ((0x80, 2, "1.1"), (0x80, 1, "1.0"), (0xA3, 1, "1.1")):
        session = _Session(run=False, version=version)

        def answer(request, reply):
            reply.payload = b"never heard of you"
            return code

        session.provisioner.answer = answer
        session.world.run(1)
        assert len(session.provisioner.requests) == requests
        event = session.world.last(FAILED)
        assert (event.short_id, event.code, event.internal) == (65535, code, False)
        assert event.text == "never heard of you"
        assert session.world.story() == ["BS_PENDING", "BS_FAILED", "BS_PENDING"]
        # Attempts that follow keep to what was learned about pct.
        assert session.world.run(76, lambda: len(session.provisioner.requests) == requests + 1)


def test_words_that_are_not_text():
    session = _Session(run=False)

    def answer(request, reply):
        reply.payload = b"\xff\xfe"
        return 0x83

    session.provisioner.answer = answer
    session.world.run(1)
    event = session.world.last(FAILED)
    assert (event.code, event.text) == (0x83, None)


def test_malformed_answer():
    for code in (0x41, 0x45, 0x5F):
        session = _Session(run=False)
        session.provisioner.accepted = code
        session.world.run(1)
        event = session.world.last(FAILED)
        assert (event.code, event.internal) == (0x86, True)


def test_retry_rules():
    # As /1/x/17 and 18 are by default: 5 attempts, 60, 120, 240 and 480 s apart, give or take a
    # quarter.
    session = _Session(run=False)
    session.sharp()
    session.provisioner.silent = True
    assert session.client.step(2000) == lwm2m.SERVICE_UNAVAILABLE
    found = [ms // 1000 for ms in session.provisioner.heard]
    assert len(found) == 5
    for n in range(4):
        wait = 60 << n
        assert wait * 3 // 4 <= found[n + 1] - found[n] - 1 <= wait * 5 // 4 + 1, found
    event = session.world.last(FAILED)
    assert (event.code, event.internal) == (0xA3, True)
    assert session.world.story() == ["BS_PENDING", "BS_FAILED"] * 5
    # Called again it starts afresh.
    session.provisioner.silent = False
    assert session.client.step(10) == lwm2m.NO_ERROR
    assert session.world.story() == ["BS_PENDING"]
    session.accounts()
    session.registered()


def test_no_connection():
    session = _Session(run=False)
    session.world.up = OSError(113)
    assert session.client.step(2000) == lwm2m.SERVICE_UNAVAILABLE
    assert session.world.time // 1000 in range(675, 1130)
    event = session.world.last(FAILED)
    assert (event.code, event.internal, event.text) == (0xA3, True, "no connection")
    assert session.world.story() == ["BS_PENDING", "BS_FAILED"] * 5


def test_slow_connection():
    session = _Session(run=False)
    world = session.world
    world.up = False
    world.run(10)
    assert not session.provisioner.heard
    core = session.client.core
    core.connected(core.bootstrap.account, world.now())
    world.run(1)
    assert len(session.provisioner.requests) == 1
    session.accounts()
    session.registered_later = session.provisioner.finish()
    assert session.registered_later.code == 0x44
    world.run(1)
    core.connected(core.accounts[0], world.now())
    world.run(1)
    assert world.story()[1:] == REGISTERED


def test_connection_that_fails():
    session = _Session(run=False)
    world = session.world
    world.up = False
    world.run(1)
    core = session.client.core
    core.disconnected(core.bootstrap.account, 0x81, "no such key", world.now())
    event = world.last(FAILED)
    assert (event.code, event.internal, event.text) == (0x81, True, "no such key")
    assert world.story() == ["BS_PENDING", "BS_FAILED", "BS_PENDING"]


def test_request_that_does_not_fit():
    session = _Session(run=False, uri="coap://bs:5783/" + "/".join(["p" * 250] * 5))
    session.world.run(1)
    event = session.world.last(FAILED)
    assert (event.code, event.internal) == (0xA0, True) and event.text


def test_another_timeout():
    session = _Session()
    for bad in (0, -1, 86401, 1.5, "9", None):
        try:
            session.client.set_bootstrap_timeout(bad)
            raise AssertionError(bad)
        except ValueError as e:
            assert str(e).startswith("4.00 ")
    session = _Session(run=False)
    session.client.set_bootstrap_timeout(20)
    session.world.run(1)
    assert session.world.story()[-1:] != ["BS_FAILED"]
    session.world.run(21)
    event = session.world.last(FAILED)
    assert (event.code, event.internal, event.text) == (0xA3, True, "no operation in time")


def test_no_operation_in_time():
    # EXCHANGE_LIFETIME, 247 s, after the last one; then the next attempt, 60 s later.
    session = _Session()
    session.world.run(245)
    assert session.world.story() == []
    session.world.run(3)
    event = session.world.last(FAILED)
    assert (event.code, event.internal, event.text) == (0xA3, True, "no operation in time")
    assert session.world.story() == ["BS_FAILED", "BS_PENDING"]
    assert session.world.run(62, lambda: len(session.provisioner.requests) == 2)
    # Each operation starts the time anew, one that is refused as well.
    session.world.run(1)
    for _ in range(3):
        session.world.run(240)
        assert session.provisioner.delete("/0/77").code == 0x80
    session.world.run(240)
    assert session.world.story() == []
    session.world.run(8)
    assert session.world.story() == ["BS_FAILED", "BS_PENDING"]


def test_operations_before_the_answer():
    # The answer to /bs comes late, or never, or is a refusal: operations count as the answer.
    for late in (0x44, None, 0x80):
        session = _Session(run=False)
        provisioner, world = session.provisioner, session.world
        provisioner.answer = lambda request, reply: SEPARATE
        world.run(1)
        assert len(provisioner.requests) == 1 and world.story() == ["BS_PENDING"]
        session.accounts()
        if late:
            request = provisioner.requests[0]
            provisioner.engine.respond(world.now(), provisioner.connection, late, request.token)
            world.run(1)
        session.registered()
        world.run(1000)
        assert "BS_FAILED" not in world.story()


def test_answer_that_was_lost():
    # All acknowledgements and answers of the first seconds are lost, operations are not.
    session = _Session(run=False)
    provisioner, world = session.provisioner, session.world

    def answer(request, reply):
        world.flight = [f for f in world.flight if not f[2]]
        return 0x44

    provisioner.answer = answer
    send = provisioner.engine._send
    provisioner.engine._send = lambda connection, data: (
        send(connection, data) if data[0] >> 4 & 3 == CON else None
    )
    assert world.run(5, lambda: provisioner.requests)
    assert provisioner.delete("/").code == 0x42
    provisioner.engine._send = send
    assert world.story() == ["BS_PENDING"]
    session.accounts()
    session.registered()


# --- Going back to bootstrap


def test_fallback_when_a_server_refuses():
    session = _Session()
    session.registrar.registered = 0x83
    session.accounts()
    assert session.provisioner.finish().code == 0x44
    session.world.run(1)
    assert session.world.story() == [
        "BS_FINISHED",
        "REG_REGISTERING 1",
        "REG_FAILED 1",
        "BS_PENDING",
    ]
    assert len(session.provisioner.requests) == 2 and not session.world.statuses
    session.registrar.registered = 0x41
    session.registered()


def test_fallback_when_a_server_does_not_answer():
    session = _bootstrapped()
    session.registrar.silent = True
    session.client.set_coap(1, 1000, 100, 0)
    session.world.run(207 + 910)
    assert session.world.story() == (
        ["REG_UPDATING 1", "REG_UPDATE_FAILED 1"]
        + ["REG_REGISTERING 1"] * 5
        + ["REG_FAILED 1", "BS_PENDING"]
    )
    assert len(session.provisioner.requests) == 2 and not session.world.statuses


def test_no_fallback_where_it_is_forbidden():
    # /1/x/16 false
    session = _bootstrapped()
    session.client.set_server(1, {16: False, 17: 1})
    session.registrar.silent = True
    assert session.client.step(1000) == lwm2m.SERVICE_UNAVAILABLE
    assert session.world.story()[-1] == "REG_FAILED 1"
    assert len(session.provisioner.requests) == 1


def _two(first_wants, second_wants):
    # A session that has given accounts of two servers, of which the first refuses to register.
    session = _Session()
    second = Registrar(session.world, 5002)
    session.accounts()
    p = session.provisioner
    assert p.write("/0/2", account(2, "coap://server:5002")).code == 0x44
    assert p.write("/1/1", server(2)).code == 0x44
    assert p.write("/1/0/16", encode({16: first_wants})).code == 0x44
    assert p.write("/1/1/16", encode({16: second_wants})).code == 0x44
    session.registrar.registered = 0x83
    assert p.finish().code == 0x44
    return session, second, p


def test_fallback_when_the_one_that_fails_does_not_want_it():
    session, second, p = _two(False, True)
    session.world.run(2000)
    assert len(p.requests) == 1 and second.location  # the second one is usable
    second.silent = True
    assert session.world.run(2000, lambda: len(p.requests) == 2)
    assert not session.world.statuses


def _forget(session, second):
    # What grows while days pass.
    world = session.world
    for peer in (session.provisioner, session.registrar, second):
        peer.heard.clear()
        peer.requests.clear()
    world.events.clear()
    world.connections.clear()


def test_b9_a_dead_server_beside_a_healthy_one():
    # /1/x/16: a bootstrap follows when *that* registration fails. Where it does not help, the next
    # ones are ever further apart, and the healthy server stays registered, with its observations.
    session, second, p = _two(True, True)
    world = session.world
    sensor = Object(3303, (5700, INT | R), {0: {5700: 1}})
    session.client.add_object(sensor)
    p.silent = True
    assert world.run(100, lambda: world.last(FAILED))
    attempts = 1
    heard = []
    more = ((6, 0),)
    second.start(GET, "/3303/0/5700", callback=lambda answer: heard.append(answer.text), more=more)
    world.run(1)
    assert heard == ["1"]
    world.events.clear()
    for hour in range(5 * 24):
        world.run(3600)
        attempts += len(world.times(lwm2m.EVENT_BS_FAILED))
        _forget(session, second)
    # At once, then after 10 minutes, 20, … a day.
    assert 6 <= attempts <= 16, attempts
    assert second.count == 1 and not world.statuses
    sensor.set(0, 5700, 2)
    world.run(2)
    assert heard[-1] == "2"
    # Bootstraps that pass and do not help are as far apart.
    p.silent = False
    p.requests.clear()
    passed = 0
    for hour in range(5 * 24):
        if world.run(3600, lambda: p.requests):
            world.run(1)
            assert p.finish().code == 0x44
            passed += 1
            p.requests.clear()
        _forget(session, second)
    assert 1 <= passed <= 16, passed
    # The first server is there again: then everything begins anew.
    session.registrar.registered = 0x41
    for hour in range(2 * 24):
        if world.run(3600, lambda: session.registrar.location):
            break
        _forget(session, second)
    assert session.registrar.location


def test_fallback_does_not_run_in_circles():
    # The bootstrap passes, the server refuses: the waits grow as those of other attempts, and at
    # last there is no server to be had.
    session = _Session()
    session.registrar.registered = 0x83
    times = []
    while True:
        times.append(session.world.time // 1000)
        session.accounts()
        assert session.provisioner.finish().code == 0x44
        n = len(session.provisioner.requests)
        again = session.world.run(
            1000, lambda: len(session.provisioner.requests) > n or session.world.statuses
        )
        assert again
        if session.world.statuses:
            break
        session.world.run(1)
    assert session.world.statuses[0][1] == 0xA3
    waits = [times[i + 1] - times[i] for i in range(len(times) - 1)]
    assert len(times) == 5
    for wait, wanted in zip(waits, (0, 60, 120, 240)):
        assert wanted * 3 // 4 <= wait <= wanted * 5 // 4 + 3, waits
    # Afresh: the account that is there, and then the bootstrap server again.
    session.world.story()
    session.registrar.registered = 0x41
    assert session.client.step(5) == lwm2m.NO_ERROR
    assert session.world.story() == ["REG_REGISTERING 1", "REG_REGISTERED 1"]


def test_trigger():
    session = _bootstrapped()
    p = session.provisioner
    before = dump(session.client)
    assert session.registrar.execute("/1/0/9").code == 0x44
    session.world.run(1)
    assert session.world.story() == ["BS_PENDING"] and len(p.requests) == 2
    assert dump(session.client) == before
    # While the session lasts the server is not served.
    assert session.registrar.read("/3/0/0").code == 0xA3
    assert p.delete("/").code == 0x42
    assert p.write("/0/3", account(9)).code == 0x44
    assert p.write("/1/4", server(9, 60)).code == 0x44
    assert p.finish().code == 0x44
    session.world.run(1)
    assert session.world.story() == ["BS_FINISHED", "REG_REGISTERING 9", "REG_REGISTERED 9"]


def test_trigger_that_leads_nowhere():
    # One failed attempt leads back to the servers as they were.
    for how in ("silent", "refused", "no operation", "lost"):
        session = _bootstrapped()
        p, world = session.provisioner, session.world
        session.sharp()
        before = dump(session.client)
        p.silent = how == "silent"
        p.accepted = 0x80 if how == "refused" else 0x44
        assert session.registrar.execute("/1/0/9").code == 0x44
        world.run(1)
        if how == "no operation":
            assert p.delete("/").code == 0x42
            world.run(250)
        if how == "lost":
            assert p.delete("/").code == 0x42
            core = session.client.core
            core.disconnected(core.bootstrap.account, 0xA3, "closed", world.now())
        world.run(5)
        # It is registered as it was; in 250 s an update is due.
        story = world.story()
        updated = ["REG_UPDATING 1", "REG_REGISTERED 1"] if how == "no operation" else []
        assert story == ["BS_PENDING", "BS_FAILED"] + updated, (how, story)
        assert session.registrar.count == 1
        assert dump(session.client) == before
        world.run(1000)
        assert "BS_PENDING" not in world.story() and not world.statuses


# --- Operations: Discover and Read


def test_discover():
    session = _Session(5)
    p = session.provisioner
    session.client.add_object(Object(1000, (0, INT | R), {3: {0: 1}}, version="2.0"))
    session.client.add_object(Object(1001, (0, INT | R)))
    assert p.read("/", LINK).text == (
        '</>;lwm2m=1.1,</0/5>;uri="coap://bs:5783",</1>,</2>,</3/0>,</1000>;ver=2.0,</1000/3>,</1001>'
    )
    session.accounts()
    answer = p.read("/", LINK)
    assert (answer.code, answer.format) == (0x45, LINK)
    assert answer.text == (
        '</>;lwm2m=1.1,</0/1>;ssid=1;uri="coap://server:5683",</0/5>;uri="coap://bs:5783",'
        "</1/0>;ssid=1,</2>,</3/0>,</1000>;ver=2.0,</1000/3>,</1001>"
    )
    assert p.read("/0", LINK).text == (
        '</>;lwm2m=1.1,</0/1>;ssid=1;uri="coap://server:5683",</0/5>;uri="coap://bs:5783"'
    )
    assert p.read("/1", LINK).text == "</>;lwm2m=1.1,</1/0>;ssid=1"
    assert p.read("/3", LINK).text == "</>;lwm2m=1.1,</3/0>"
    for path, code in (("/0/5", 0x80), ("/1/0/1", 0x80), ("/2000", 0x84), ("/2000/0", 0x84)):
        assert p.read(path, LINK).code == code, path


def test_read():
    session = _Session()
    session.accounts()
    p = session.provisioner
    one = b"\xc1\x00\x01\xc2\x01\x01\x2c\xc1\x06\x01\xc1\x07U"  # 300 is 0x012c
    for path, accept, code, payload in (
        ("/1", None, 0x45, b"\x08\x00\x0d" + one),
        ("/1", TLV, 0x45, b"\x08\x00\x0d" + one),
        ("/1/0", TLV, 0x45, one),
        ("/1/0", 0, 0x86, None),
        ("/1", 11543, 0x86, None),
        ("/1", 322, 0x86, None),
        ("/1/0", 60, 0x86, None),
        ("/1/1", None, 0x84, None),
        ("/1/0/1", None, 0x80, None),
        ("/2", None, 0x45, b""),
        ("/2/0", None, 0x84, None),
        ("/0", None, 0x81, None),
        ("/0/1", None, 0x81, None),
        ("/0/1/5", None, 0x80, None),
        ("/3", None, 0x85, None),
        ("/3/0", None, 0x85, None),
        ("/", None, 0x85, None),
        ("/x", None, 0x85, None),
    ):
        answer = p.read(path, accept)
        assert answer.code == code, (path, accept, answer.code)
        if code == 0x45:
            assert (answer.format, answer.payload) == (TLV, payload)


# --- Operations: Write and Delete

_REFUSED = (
    # method, path, Content-Format, payload, response code; of a client with the bootstrap server
    # account 0, server accounts /0/1 and /1/0, and object 1000 of an application.
    (PUT, "/", TLV, instances({0: account(2)}), 0x80),
    (PUT, "/0/2/0/0", TEXT, b"x", 0x80),
    (PUT, "/0/2", TEXT, b"x", 0x8F),
    (PUT, "/0/2", None, encode(account(2)), 0x80),  # no Content-Format
    (PUT, "/0/2", TEXT, encode(account(2)), 0x8F),
    (PUT, "/0/2", 60, encode(account(2)), 0x8F),
    (PUT, "/0/2", 110, b"[]", 0x80),
    (PUT, "/0", 112, b"\x80", 0x80),
    (PUT, "/0/2/0", 60, b"\5", 0x80),
    (PUT, "/0/2/0", 322, b"\x81\xa2\0\x66/0/2/0\3\x61x", 0x8F),
    (PUT, "/0/2", 11543, b"{}", 0x8F),
    (PUT, "/0/2/0", 42, b"x", 0x8F),
    (PUT, "/0/2/99", TEXT, b"x", 0x80),
    (PUT, "/0/2/7", TEXT, b"x", 0x80),  # SMS is not there
    (PUT, "/1/0/8", TEXT, b"x", 0x80),  # executable
    (PUT, "/1/0/1", TEXT, b"x", 0x80),
    (PUT, "/1/0/1", TLV, b"\xc1\x02\x05", 0x80),
    (PUT, "/1/0/1", TLV, b"\xc3\x01\0\0\0", 0x80),
    (PUT, "/3/0", TLV, encode({16: "U"}), 0x80),
    (PUT, "/3/0/0", TEXT, b"x", 0x80),
    (PUT, "/1000/0", TLV, encode({0: 5}), 0x80),
    (PUT, "/1000", TLV, instances({0: {0: 5}}), 0x80),
    (PUT, "/2000/0", TLV, encode({0: 5}), 0x80),
    (PUT, "/2000", TLV, b"", 0x80),
    (PUT, "/0/65535", TLV, encode(account(2)), 0x85),
    (PUT, "/0", TLV, instances({65535: account(2)}), 0x80),
    (PUT, "/x/0", TLV, encode(account(2)), 0x85),
    # Mandatory resources are missing: all, or one of each.
    (PUT, "/0/2", TLV, b"", 0x80),
    (PUT, "/0", TLV, b"", 0x80),
    (PUT, "/0/2", TLV, encode({1: False, 2: 3, 10: 2}), 0x80),
    (PUT, "/0/2", TLV, encode({0: "coap://x", 2: 3, 10: 2}), 0x80),
    (PUT, "/0/2", TLV, encode({0: "coap://x", 1: False, 10: 2}), 0x80),
    (PUT, "/1/1", TLV, encode({1: 60, 6: True, 7: "U"}), 0x80),
    (PUT, "/1/1", TLV, encode({0: 2, 6: True, 7: "U"}), 0x80),
    (PUT, "/1/1", TLV, encode({0: 2, 1: 60, 7: "U"}), 0x80),
    (PUT, "/1/1", TLV, encode({0: 2, 1: 60, 6: True}), 0x80),
    # One of two instances is at fault: neither is written.
    (PUT, "/1", TLV, instances({1: server(2), 2: {0: 3, 1: 60, 6: True}}), 0x80),
    # Not what the path says, and malformed.
    (PUT, "/0/2", TLV, instances({3: account(2)}), 0x80),
    (PUT, "/0/2", TLV, instances({2: account(2), 3: account(3)}), 0x80),
    (PUT, "/0/2", TLV, encode(account(2))[:-1], 0x80),
    (PUT, "/0/2", TLV, encode(account(2)) + b"\xff", 0x80),
    (PUT, "/0/2", TLV, encode(account(2)) + b"\xc1\x01\x02", 0x80),  # a bool of 2
    # The bootstrap server account: a second one, and a server account in its place.
    (PUT, "/0/2", TLV, encode(account(None)), 0x80),
    (PUT, "/0", TLV, instances({2: account(None)}), 0x80),
    (PUT, "/0/1", TLV, encode(account(None)), 0x80),
    (PUT, "/0/1/1", TEXT, b"1", 0x80),
    (PUT, "/0/0", TLV, encode(account(2)), 0x80),
    (PUT, "/0/0/1", TEXT, b"0", 0x80),
    (PUT, "/0/0/1", TLV, b"\xc1\x01\x00", 0x80),
    (DELETE, "/0/0", None, b"", 0x80),
    (DELETE, "/0/9", None, b"", 0x80),
    (DELETE, "/3/0", None, b"", 0x80),
    (DELETE, "/1000/0", None, b"", 0x80),
    (DELETE, "/1000/4", None, b"", 0x80),
    (DELETE, "/2000", None, b"", 0x80),
    (DELETE, "/2000/0", None, b"", 0x80),
    (DELETE, "/1/0/1", None, b"", 0x80),
    (DELETE, "/0/1/0/0", None, b"", 0x80),
    (DELETE, "/x", None, b"", 0x85),
    (POST, "/0", TLV, instances({2: account(2)}), 0x85),
    (POST, "/1/0", TLV, encode({1: 60}), 0x85),
    (POST, "/1/0/8", None, b"", 0x85),
    (POST, "/3/0/4", None, b"", 0x85),
    (POST, "/", None, b"", 0x85),
    (POST, "/bs/1", None, b"", 0x85),
    (PUT, "/bs", None, b"", 0x85),
    (5, "/1/0", TLV, b"", 0x85),  # FETCH
    (7, "/1/0", TLV, b"", 0x85),  # iPATCH
)


def test_in_each_format():
    # Server accounts as other servers write them: all of /1, an instance, a resource.
    session = _Session()
    session.accounts()
    p = session.provisioner
    one = b'[{"bn":"/1/1/","n":"0","v":2},{"n":"1","v":60},{"n":"6","vb":true},{"n":"7","vs":"U"}]'
    assert p.ask(PUT, "/1", one, 110).code == 0x44
    assert servers_of(session.client)[1] == server(2, 60)
    one = (
        b"\x84\xa3\x21\x65/1/1/\0\x610\2\3\xa2\0\x611\2\x18\x3d\xa2\0\x616\4\xf5\xa2\0\x617\3\x61U"
    )
    assert p.ask(PUT, "/1/1", one, 112).code == 0x44
    assert servers_of(session.client)[1] == server(3, 61)
    assert p.ask(PUT, "/1", b"\xa1\x82\1\1\xa4\0\4\1\x18\x3e\6\xf5\7\x61U", 11544).code == 0x44
    assert servers_of(session.client)[1] == server(4, 62)
    assert p.ask(PUT, "/1/1/0", b"\2", 60).code == 0x44
    assert servers_of(session.client)[1] == server(2, 62)
    read = p.read("/1/1", 110)
    assert read.payload == (
        b'[{"bn":"/1/1/","n":"0","v":2},{"n":"1","v":62},{"n":"6","vb":true},{"n":"7","vs":"U"}]'
    )
    assert p.read("/1/1", 112).payload[:8] == b"\x84\xa3\x21\x65/1/1"


def test_refusals():
    for version in ("1.1", "1.0"):
        session = _Session(version=version)
        session.client.add_object(Object(1000, (0, INT | R | W), {0: {0: 1}}, multiple=True))
        session.accounts()
        before = dump(session.client)
        for method, path, format, payload, code in _REFUSED:
            answer = session.provisioner.ask(method, path, payload, format)
            assert answer.code == code, (method, path, payload, answer.code, answer.text)
            assert dump(session.client) == before, (method, path, payload)
        session.registered()


def test_refusals_say_why():
    session = _Session()
    p = session.provisioner
    for answer in (
        p.write("/0/2", account(None)),
        p.write("/0/2", {1: False, 2: 3}),
        p.write("/0/0", account(1)),
        p.delete("/0/0"),
        p.delete("/3/0"),
        p.write("/3/0", {16: "U"}),
        p.write("/2000/0", {0: 1}),
    ):
        assert answer.code == 0x80 and len(answer.text) > 10


def test_write_at_three_depths():
    for version in ("1.1", "1.0"):
        session = _Session(version=version)
        p = session.provisioner
        own = session.client.core.objects[1]
        # PUT /o creates what is missing, replaces what it lists, and leaves the others.
        assert p.write("/1", instances({0: server(1), 4: server(2)})).code == 0x44
        assert own.instances == {0: server(1), 4: server(2)}
        assert p.write("/1", instances({4: server(3, 60, "UQ"), 6: server(4)})).code == 0x44
        assert own.instances == {0: server(1), 4: server(3, 60, "UQ"), 6: server(4)}
        # PUT /o/i drops what it does not send; with and without the instance's own head.
        values = server(5)
        values[2] = 7
        assert p.write("/1/0", values).code == 0x44
        assert own.instances[0] == values
        assert p.write("/1/0", instances({0: server(6)})).code == 0x44
        assert own.instances[0] == server(6)
        # PUT /o/i/r changes one, and creates the instance; read-only ones are writable.
        assert p.write("/1/0/0", encode({0: 7})).code == 0x44
        assert p.ask(PUT, "/1/0/1", b"55", TEXT).code == 0x44
        assert p.ask(PUT, "/1/0/17", b"2", TEXT).code == 0x44
        values = server(7, 55)
        values[17] = 2
        assert own.instances[0] == values
        assert p.ask(PUT, "/1/9/0", b"8", None).code == 0x44
        assert own.instances[9] == {0: 8}
        # The old number of TLV's Content-Format is understood too.
        assert p.ask(PUT, "/1/9", encode(server(8)), 1542).code == 0x44
        assert own.instances[9] == server(8)
        # 2.04 always, never 2.01; /0 in the same ways.
        assert p.write("/0", instances({3: account(7)})).code == 0x44
        assert p.ask(PUT, "/0/3/5", b"\x01\x02", 42).code == 0x44
        assert p.ask(PUT, "/0/3/3", b"AQI=", TEXT).code == 0x44
        found = session.client.core.objects[0].instances
        assert sorted(found) == [0, 3] and found[3][5] == found[3][3] == b"\x01\x02"


def test_unknown_resources_are_ignored():
    # Optional ones that this client does not have (LwM2M 1.1 6.1.7.5), executable ones too.
    session = _Session()
    values = dict(account(1))
    values.update({6: 3, 7: b"\x01", 8: b"key", 9: "5", 99: {0: 1}})
    assert session.provisioner.write("/0/1", values).code == 0x44
    assert session.client.core.objects[0].instances[1] == account(1)
    values = dict(server(1))
    values.update({8: "", 9: "", 10: b"\0\1\0\2", 22: "U", 30000: 1})
    assert session.provisioner.write("/1/0", values).code == 0x44
    assert session.client.core.objects[1].instances[0] == server(1)
    session.registered()


def test_resources_written_one_by_one():
    # A server account and a bootstrap server account, resource after resource, over old ones.
    for old in (0, 1):
        session = _Session(old)
        p = session.provisioner
        assert p.delete("/").code == 0x42
        for iid, values in ((0, account(1)), (1, account(None, "coap://other:5799"))):
            for rid in values:
                path = "/0/%d/%d" % (iid, rid)
                assert p.write(path, encode({rid: values[rid]})).code == 0x44, path
        own = server(1)
        for rid in own:
            assert p.write("/1/0/%d" % rid, encode({rid: own[rid]})).code == 0x44
        session.registered()
        assert session.client.core.objects[0].instances == {
            0: account(1),
            1: account(None, "coap://other:5799"),
        }


def test_delete():
    for path in ("/", "/0", "/1"):
        session = _Session()
        p = session.provisioner
        fixed = Object(1000, (0, INT | R | W), {0: {0: 1}}, multiple=True)
        given = Object(1001, (0, INT | R | W), {0: {0: 1}, 3: {0: 2}}, bootstrap=True)
        session.client.add_object(fixed)
        session.client.add_object(given)
        session.accounts()
        before = dump(session.client)
        assert p.delete(path).code == 0x42
        after = dump(session.client)
        gone = [key for key in sorted(before) if key not in after]
        assert (
            gone
            == {"/": [(0, 1), (1, 0), (1001, 0), (1001, 3)], "/0": [(0, 1)], "/1": [(1, 0)]}[path]
        )
        for key in after:
            assert after[key] == before[key]
        # Again, and on objects whose instances are the device's own: nothing is left to do.
        for again in (path, "/3", "/1000", "/"):
            assert p.delete(again).code == 0x42
        assert sorted(dump(session.client)) == [(0, 0), (3, 0), (1000, 0)]


def test_delete_one_instance():
    session = _Session()
    session.accounts()
    p = session.provisioner
    assert p.write("/0/2", account(2)).code == 0x44
    assert p.delete("/0/1").code == 0x42
    assert p.delete("/0/1").code == 0x80
    assert sorted(session.client.core.objects[0].instances) == [0, 2]


def test_discover_tells_the_id_of_the_account():
    # After a Discover a server knows the old account's id: a server account there is a mistake,
    # while a new bootstrap server account may go there, or after a Delete anywhere.
    session = _Session(5)
    p = session.provisioner
    assert p.delete("/").code == 0x42
    assert 'uri="coap://bs:5783"' in p.read("/0", LINK).text
    assert p.write("/0/5", account(1)).code == 0x80
    assert p.write("/0/6", account(None, "coap://bs:1")).code == 0x44
    assert p.write("/0/7", account(None, "coap://bs:2")).code == 0x80  # now there is one again
    assert p.write("/0/6", account(None, "coap://bs:2")).code == 0x44
    assert p.write("/0/5", account(1)).code == 0x44
    assert p.write("/1/0", server(1)).code == 0x44
    session.registered()
    assert sorted(session.client.core.objects[0].instances) == [5, 6]


def test_add_bootstrap_server_as_the_reference_does():
    # It overwrites the instance that Discover lists without ssid, and deletes nothing.
    session = _Session(5)
    session.accounts()
    values = account(None, "coap://other:5799")
    values.update({11: 10, 12: 500})
    assert session.provisioner.write("/0/5", values).code == 0x44
    # The old account stays in use until Finish: the session goes on.
    session.registered()
    assert session.client.core.objects[0].instances == {1: account(1), 5: values}


def test_new_bootstrap_account_is_used():
    session = _Session()
    other = Provisioner(session.world, 5799)
    session.accounts()
    assert session.provisioner.write("/0/0", account(None, "coap://bs:5799")).code == 0x44
    session.registered()
    assert session.registrar.execute("/1/0/9").code == 0x44
    session.world.run(1)
    assert len(other.requests) == 1 and len(session.provisioner.requests) == 1


# --- The transaction


def _change_everything(session):
    p = session.provisioner
    session.accounts()
    assert p.delete("/").code == 0x42
    assert p.write("/0/3", account(3)).code == 0x44
    assert p.write("/1/3", server(3)).code == 0x44
    assert p.write("/0/7", account(None, "coap://evil:1")).code == 0x44
    assert p.ask(PUT, "/1/3/1", b"5", TEXT).code == 0x44
    assert dump(session.client) != session.before


def _sessions():
    """A session of a client that knows a bootstrap server only, and one of a triggered client
    with a server account; what there was before is in .before."""
    first = _Session(5)
    second = _bootstrapped(old=2)
    second.before = dump(second.client)
    assert second.registrar.execute("/1/0/9").code == 0x44
    second.world.run(1)
    second.world.story()
    return first, second


def test_rollback():
    def time_out(session):
        session.world.run(250)

    def failed_finish(session):
        assert session.provisioner.delete("/1").code == 0x42
        assert session.provisioner.finish().code == 0x86
        session.world.run(250)

    def lost(session):
        core = session.client.core
        core.disconnected(core.bootstrap.account, 0xA3, "closed", session.world.now())

    def close(session):
        session.client.close()

    def clock(session):
        session.world.sleep(-10)
        session.world.run(1)

    def stop(session):
        session.client.core.bootstrap.stop()

    for end in (time_out, failed_finish, lost, close, clock, stop):
        for session in _sessions():
            _change_everything(session)
            end(session)
            assert dump(session.client) == session.before, end


def test_rollback_between_any_two_operations():
    # Whatever had been done when the connection was lost.
    operations = (
        lambda p: p.delete("/"),
        lambda p: p.write("/0/0", account(None, "coap://other:5799")),
        lambda p: p.write("/0/1", account(1)),
        lambda p: p.write("/1/0", server(1)),
        lambda p: p.write("/1/0/1", encode({1: 77})),
        lambda p: p.delete("/0/1"),
        lambda p: p.finish(),
    )
    for old in (0, 3):
        for n in range(1, len(operations) + 1):
            session = _Session(old)
            codes = [f(session.provisioner).code for f in operations[:n]]
            assert codes == [0x42, 0x44, 0x44, 0x44, 0x44, 0x42, 0x86][:n]
            core = session.client.core
            core.disconnected(core.bootstrap.account, 0xA3, "closed", session.world.now())
            assert dump(session.client) == session.before
            # The next attempt works as if nothing had been.
            session.provisioner.requests.clear()
            assert session.world.run(76, lambda: session.provisioner.requests)
            session.world.run(1)
            session.world.story()
            session.accounts()
            session.registered()


def test_server_closes_when_it_has_its_answer():
    # No event, and nothing is undone: the answer to Finish is there, so the connection is, too, at
    # its end.
    for wait in (False, True):
        session = _Session()
        session.accounts()
        assert session.provisioner.finish().code == 0x44
        core = session.client.core
        account = core.bootstrap.account
        if wait:
            session.world.run(20)
        core.disconnected(account, 0xA3, "the peer has closed the session", session.world.now())
        assert account.connection is None and core.bootstrap.account is None
        session.world.run(5)
        assert session.world.story() == REGISTERED
        assert (1, 0) in dump(session.client)


def test_session_of_an_old_connection():
    # What arrives late over a connection that is gone changes nothing.
    session = _Session()
    p = session.provisioner
    session.world.delay = (3000, 3000)
    p.start(PUT, "/0/1", encode(account(1)), TLV)
    core = session.client.core
    core.disconnected(core.bootstrap.account, 0xA3, "closed", session.world.now())
    session.world.run(200)
    assert dump(session.client) == session.before


def test_remove_bootstrap_server_in_a_session():
    session = _Session(5)
    _change_everything(session)
    session.client.remove_bootstrap_server()
    assert sorted(dump(session.client)) == [(3, 0)]
    session.world.run(300)
    assert session.world.story() == [] and not session.world.statuses


def test_servers_added_and_removed_in_a_session():
    # The application's word goes before the session, which is undone.
    session = _Session(5)
    _change_everything(session)
    session.client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
    before = dump(session.client)
    assert sorted(before) == [(0, 0), (0, 5), (1, 0), (3, 0)]
    session.world.run(1)
    assert session.world.story() == ["REG_REGISTERING 1", "REG_REGISTERED 1"]
    session.world.run(300)
    assert dump(session.client) == before
    session = _sessions()[1]
    _change_everything(session)
    session.client.remove_server(1)
    assert sorted(dump(session.client)) == [(0, 2), (3, 0)]
    session.world.run(1)
    assert session.world.story() == ["BS_PENDING"]


def test_servers_are_not_served_in_a_session():
    session = _bootstrapped()
    registrar = session.registrar
    core = session.client.core
    old = core.accounts[0]
    assert registrar.execute("/1/0/9").code == 0x44
    session.world.run(1)
    for method, path in ((GET, "/3/0/0"), (PUT, "/1/0/1"), (POST, "/1/0/8"), (DELETE, "/3/0")):
        answer = registrar.ask(method, path, b"5" if method == PUT else b"", 0)
        assert (answer.code, answer.text) == (0xA3, "bootstrapping")
    # When it has passed, the client registers afresh.
    assert session.provisioner.finish().code == 0x44
    session.world.run(1)
    assert core.accounts[0] is not old and not old.connection and registrar.count == 2
    # And the bootstrap server is nobody outside of one.
    session = _bootstrapped()
    before = dump(session.client)
    for method, path, payload, format in (
        (DELETE, "/", b"", None),
        (PUT, "/0/4", encode(account(4)), TLV),
        (POST, "/bs", b"", None),
        (GET, "/1", b"", None),
    ):
        answer = session.provisioner.ask(method, path, payload, format)
        assert answer.code == 0x81, path
    assert dump(session.client) == before
    session.world.run(5)
    assert "BS_FINISHED" not in session.world.story()


# --- Finish


def test_finish_that_is_doubled():
    # Its acknowledgement was lost: the same message again gets the same answer, while the
    # registration goes on; and it is not executed twice.
    session = _Session()
    world, p = session.world, session.provisioner
    session.accounts()
    captured = []
    send = p.engine._send

    def capture(connection, data):
        captured.append((connection, bytes(data)))
        send(connection, data)

    p.engine._send = capture
    assert p.finish().code == 0x44
    finish = captured[-1]
    # ACK, a token of four bytes, 2.04, the same message id and token.
    answer = b"\x64\x44" + finish[1][2:8]
    assert answer in world.sent
    for wait in (0, 1, 50, 180):
        world.run(wait)
        world.sent.clear()
        world.post(finish[0], True, finish[1])
        world.run_ms(20)
        assert answer in world.sent, wait
    story = world.story()
    assert story[:3] == REGISTERED and story.count("BS_FINISHED") == 1
    assert session.registrar.count == 1


def test_finish_unacknowledged_for_long():
    # The server hears nothing for a minute and sends Finish again and again.
    session = _Session()
    session.accounts()
    p, world = session.provisioner, session.world
    answers = []
    p.silent = True
    p.start(POST, "/bs", callback=answers.append)
    world.run(20)
    assert world.story() == REGISTERED
    p.silent = False
    assert world.run(60, lambda: answers)
    assert answers[0].code == 0x44
    assert world.story() == []


def test_finish_and_mend():
    session = _Session()
    p = session.provisioner
    answer = p.finish()
    assert (answer.code, answer.text) == (0x86, "only a bootstrap server account")
    assert p.write("/0/1", account(1)).code == 0x44
    answer = p.finish()
    assert answer.code == 0x86 and "short server id 1" in answer.text
    assert p.write("/1/0", server(2)).code == 0x44
    assert p.finish().code == 0x86
    assert session.world.story() == [] and not session.registrar.heard
    assert p.write("/1/0", server(1)).code == 0x44
    session.registered()


def test_account_time_out():
    # /0/x/12: so many seconds after Finish the account is purged; 0 is never.
    for seconds in (1, 100, 0):
        session = _Session(5)
        p = session.provisioner
        session.accounts()
        assert p.ask(PUT, "/0/5/12", str(seconds).encode(), TEXT).code == 0x44
        session.registered()
        session.world.run(max(seconds - 3, 0))
        if seconds != 1:
            assert 5 in session.client.core.objects[0].instances
        session.world.run(4 if seconds else 5000)
        left = sorted(session.client.core.objects[0].instances)
        assert left == ([1] if seconds else [1, 5]), seconds
        session.world.story()
        assert session.registrar.execute("/1/0/9").code == (0x85 if seconds else 0x44)


def test_account_time_out_of_a_failed_session():
    session = _Session(5)
    assert session.provisioner.ask(PUT, "/0/5/12", b"1", TEXT).code == 0x44
    session.world.run(260)
    assert dump(session.client) == session.before


def test_account_time_out_is_not_another_account_s():
    session = _Session(5)
    session.accounts()
    assert session.provisioner.ask(PUT, "/0/5/12", b"100", TEXT).code == 0x44
    session.registered()
    session.client.remove_bootstrap_server()
    session.client.add_bootstrap_server("coap://other:5799", lwm2m.SEC_NONE)
    session.world.run(200)
    assert session.client.core.bootstrap.account_iid() >= 0


def test_purged_while_a_session_lasts():
    # The time-out waits for the end of a session that began before it.
    session = _Session(5)
    p = session.provisioner
    session.accounts()
    assert p.ask(PUT, "/0/5/12", b"10", TEXT).code == 0x44
    session.registered()
    assert session.registrar.execute("/1/0/9").code == 0x44
    session.world.run(30)
    assert 5 in session.client.core.objects[0].instances
    session.world.story()
    assert p.ask(PUT, "/0/5/12", b"0", TEXT).code == 0x44
    session.registered()
    session.world.run(100)
    assert 5 in session.client.core.objects[0].instances


# --- Time


def _history(start):
    session = _Session(run=False, seed=5, start=start)
    world, p = session.world, session.provisioner
    p.silent = True
    world.run(100)
    p.silent = False
    assert world.run(100, lambda: p.requests)
    world.run(300)
    assert world.run(300, lambda: len(p.requests) == 2)
    session.accounts()
    assert p.ask(PUT, "/0/0/12", b"60", TEXT).code == 0x44
    assert p.finish().code == 0x44
    world.run(300)
    return [(ms, e.type) for ms, e in world.events], world.datagrams


def test_the_clock_wraps():
    plain = _history(0)
    assert len(plain[0]) > 8
    moments = {1, 5, 10, 30000}
    for ms, _ in plain[0]:
        moments.update((ms, ms + 1, max(ms - 1, 1), ms + 20, ms + 100000))
    for ms in moments:
        if ms:
            assert _history(MASK + 1 - ms) == plain, ms


def test_an_application_that_raises():
    session = _Session(run=False)
    reported = []
    session.client.core.engine.on_exception = reported.append

    def watch(event):
        raise RuntimeError("a bug")

    session.world.watch = watch
    session.world.run(1)
    session.accounts()
    session.registered_code = session.provisioner.finish().code
    session.world.run(1)
    assert session.world.story()[1:] == REGISTERED and len(reported) == 4


def test_an_application_that_acts_in_its_callback():
    # It removes the account when the bootstrap has failed, and adds another one.
    session = _Session(run=False)
    session.sharp()
    session.provisioner.silent = True
    other = Provisioner(session.world, 5799)

    def watch(event):
        if event.type == FAILED:
            session.client.remove_bootstrap_server()
            session.client.add_bootstrap_server("coap://other:5799", lwm2m.SEC_NONE)

    session.world.watch = watch
    session.world.run(5)
    assert session.world.story() == ["BS_PENDING", "BS_FAILED", "BS_PENDING"]
    assert len(other.requests) == 1


# --- As servers that are out there do it


def test_d9_thingsboard():
    # Discover /, a Delete of the account of the bootstrap server, which is refused with 4.00; a Write
    # of that instance and of the server's; Finish. With a pre-shared key it writes its own public
    # key to /0/x/4, too, which means nothing there.
    session = _Session(modes=(0, 3))
    p = session.provisioner
    found = p.ask(GET, "/", accept=40)
    assert found.code == 0x45 and "</0/0>" in found.text
    assert p.delete("/0/0").code == 0x80
    own = account(None, "coaps://bs:5784", 0)
    own.update({3: b"dev", 4: b"\x30\x59", 5: b"a key", 11: 1, 12: 0})
    assert p.write("/0/0", own).code == 0x44
    given = account(1, "coaps://server:5683", 0)
    given.update({3: b"dev", 4: b"\x30\x59", 5: b"another key"})
    assert p.write("/0/1", given).code == 0x44
    assert p.write("/1/0", server(1)).code == 0x44
    session.registered()
    security = session.client.core.objects[0].instances
    assert sorted(security) == [0, 1] and security[0][5] == b"a key"
