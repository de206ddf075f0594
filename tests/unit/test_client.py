# heapsize: 600K
#
# The client as an application holds it: refusals, events, step().

import random
import time

from ucoap import Error
from ucoap.engine import Engine
from lwm2m.model import INT, Object, R, W
from lwm2m.net import Net, now
import lwm2m
from world import NAMES, Provisioner, Registrar, World, account, dump, server

URI = "coap://server"
NONE = lwm2m.SEC_NONE


def _refused(code, f, *args, **kwargs):
    """f() is ValueError, with a sentence that starts with the code."""
    try:
        f(*args, **kwargs)
    except ValueError as e:
        text = e.args[0]
        assert text.startswith(code + " ") and len(text) > 15, text
    else:
        raise AssertionError("not refused: %s %s" % (args, kwargs))


# --- Refusals


def test_endpoint_names():
    for name in (
        "a",
        "urn:dev:ops:32473-x",
        "\u00e9" * 126,
        "x" * 252,
        "a&b=c/d?e",
        "\u00a1\u2013",
    ):
        assert World().client(name).core.endpoint == name
    for name in ("", "x" * 253, "\u00e9" * 127, "a b", "a\n", "a\x00", "\x7f", b"dev", None, 5):
        _refused("4.00", World().client, name)
    # C0, C1, separators of lines, and what turns the direction of writing (Bidi_Control of Unicode):
    # a list of clients is to read as it is. What stands beside them is no worse than other names.
    for first, last in (
        (0, 31),
        (127, 159),
        (0x061C, 0x061C),
        (0x200E, 0x200F),
        (0x2028, 0x202E),
        (0x2066, 0x2069),
    ):
        for n in range(first, last + 1):
            _refused("4.00", World().client, "de" + chr(n) + "v")
        for n in (first - 1, last + 1):
            if n > 32:
                name = "de" + chr(n) + "v"
                assert World().client(name).core.endpoint == name
    _refused("4.00", World().client, "dev", version="1.3")


def test_wrong_types():
    client = World().client()
    client.add_server(1, URI, NONE)
    for code, f, args in (
        ("4.00", client.add_server, (2, URI, NONE, "5")),
        ("4.00", client.add_server, (2, URI, NONE, 1.5)),
        ("4.03", client.add_server, ("2", URI, NONE)),
        ("4.03", client.add_server, (1.5, URI, NONE)),
        ("4.06", client.add_server, (2, b"coap://server", NONE)),
        ("4.06", client.add_server, (2, URI, "3")),
        ("4.00", client.add_server, (2, URI, NONE, 0, False, 5)),
        ("4.00", client.add_server, (2, URI, NONE, 0, False, {"5": b""})),
        ("4.00", client.set_server, (1, 5)),
        ("4.00", client.set_server, (1, {"17": 1})),
        ("4.00", client.set_coap, (1, "5")),
        ("4.04", client.remove_server, ("1",)),
        ("4.00", client.add_object, (3303,)),
        ("4.04", client.remove_object, ("3303",)),
        ("4.00", client.step, (0.02,)),
        ("4.00", client.step, ("1",)),
    ):
        _refused(code, f, *args)
    assert client.servers() == [1]


def test_device_resources():
    try:
        World().client(device={99: 1})
    except ValueError as e:
        assert "99" in e.args[0]
    else:
        raise AssertionError("not refused")


def test_add_server():
    client = World().client()
    client.add_server(1, URI, NONE)
    client.add_server(65534, "coap://[::1]:7", NONE, 60, queue=True)
    objects = client.core.objects
    assert objects[0].instances == {
        0: account(1, URI),
        1: account(65534, "coap://[::1]:7"),
    }
    # Lifetime 0 is a day; the binding follows from the scheme. Without Mute Send it would be muted.
    wanted = {0: server(1, 86400), 1: server(65534, 60, "UQ")}
    wanted[0][23] = wanted[1][23] = False
    assert objects[1].instances == wanted
    before = dump(client)
    add = client.add_server
    for short_id in (0, 65535, -1, 65536):
        _refused("4.03", add, short_id, URI, NONE)
    _refused("4.03", add, 1, URI, NONE)
    _refused("4.00", add, 2, URI, NONE, -1)
    for uri in (
        "",
        "server",
        "coap://",
        "http://server",
        "coap+tcp://server",
        "coap://s:0",
        None,
        b"coap://s",
    ):
        _refused("4.06", add, 2, uri, NONE)
    # Scheme against mode, and secure accounts that need keys nobody has given.
    _refused("4.06", add, 2, "coaps://server", NONE)
    for mode in (lwm2m.SEC_PRE_SHARED_KEY, lwm2m.SEC_RAW_PUBLIC_KEY, lwm2m.SEC_CERTIFICATE):
        _refused("4.06", add, 2, URI, mode)
        _refused("4.06", add, 2, "coaps://server", mode)
    assert dump(client) == before


def test_remove_server():
    client = World().client()
    client.add_bootstrap_server("coap://bs", NONE)
    client.add_server(1, URI, NONE)
    client.add_server(2, URI, NONE)
    before = dump(client)
    _refused("4.03", client.remove_server, 0)
    _refused("4.04", client.remove_server, 3)
    assert dump(client) == before
    client.remove_server(1)
    _refused("4.04", client.remove_server, 1)
    client.remove_server(65535)  # all but the bootstrap server
    assert sorted(dump(client)) == [(0, 0), (3, 0)]
    client.remove_server(65535)
    assert sorted(dump(client)) == [(0, 0), (3, 0)]


def test_bootstrap_server():
    client = World().client()
    _refused("4.04", client.remove_bootstrap_server)
    _refused("4.04", client.set_hold_off, 5)
    client.add_bootstrap_server("coap://bs", NONE)
    assert client.core.objects[0].instances == {0: account(None, "coap://bs")}
    _refused("4.03", client.add_bootstrap_server, "coap://other", NONE)
    _refused("4.00", client.set_hold_off, -1)
    client.set_hold_off(5)
    assert client.core.objects[0].instances[0][11] == 5
    client.remove_bootstrap_server()
    assert sorted(dump(client)) == [(3, 0)]
    for uri in ("", "bs", "coap://"):
        _refused("4.06", client.add_bootstrap_server, uri, NONE)
    _refused("4.06", client.add_bootstrap_server, "coaps://bs", NONE)
    _refused("4.06", client.add_bootstrap_server, "coap://bs", lwm2m.SEC_PRE_SHARED_KEY)
    assert sorted(dump(client)) == [(3, 0)]


def test_registration_behaviour():
    client = World().client()
    client.add_server(1, URI, NONE)
    before = dump(client)
    _refused("4.04", client.set_server, 2, {17: 1})
    for rid, value in ((12, 1), (21, 1), (1, 60), (17, 0), (20, 0), (14, -1), (18, -1), (19, -1)):
        _refused("4.00", client.set_server, 1, {rid: value})
    assert dump(client) == before
    values = {13: 0, 14: 0, 15: True, 16: False, 17: 1, 18: 0, 19: 0, 20: 1}
    client.set_server(1, values)
    found = client.core.objects[1].instances[0]
    for rid in values:
        assert found[rid] == values[rid]


def test_coap_settings():
    client = World().client()
    _refused("4.04", client.set_coap, 1)
    _refused("4.04", client.set_coap, 65535)
    client.add_server(1, URI, NONE)
    client.add_bootstrap_server("coap://bs", NONE)
    for values in ((0, 150, 4), (2000, 99, 4), (2000, 150, -1), (2000, 150, 11)):
        _refused("4.00", client.set_coap, 1, *values)
    # 2 ** 29 ms is six days; 2 ** 25 doubled four times is that.
    _refused("4.00", client.set_coap, 1, 1 << 25, 100, 4)
    client.set_coap(1, (1 << 25) - 1, 100, 4)
    client.set_coap(1, 3000, 100, 4)
    client.set_coap(65535)


def test_coap_settings_are_used():
    # IOWA's: 3 s without jitter, doubled, 4 retransmissions: 0, 3, 9, 21 and 45 s.
    world = World()
    registrar = Registrar(world)
    registrar.silent = True
    client = world.client()
    client.add_server(1, URI, NONE)
    client.set_coap(1, 3000, 100, 4)
    world.run(93)
    assert [ms // 1000 for ms in registrar.heard] == [0, 3, 9, 21, 45]
    # By default 2 to 3 s, doubled.
    world = World()
    registrar = Registrar(world)
    registrar.silent = True
    client = world.client()
    client.add_server(1, URI, NONE)
    world.run(93)
    heard = registrar.heard
    assert len(heard) == 5
    first = heard[1] - heard[0]
    assert 2000 <= first <= 3000
    for n in range(1, 4):
        assert heard[n + 1] - heard[n] == first << n


def test_objects():
    client = World().client()
    obj = Object(1000, (0, INT | R), {0: {0: 1}})
    client.add_object(obj)
    _refused("4.06", client.add_object, obj)
    for oid in (0, 1, 3):
        _refused("4.06", client.add_object, Object(oid, (0, INT | R)))
        _refused("4.04", client.remove_object, oid)
    _refused("4.04", client.remove_object, 1001)
    client.remove_object(1000)
    _refused("4.04", client.remove_object, 1000)


def test_names_of_the_package():
    assert lwm2m.Object is Object and lwm2m.Net is Net
    assert lwm2m.NO_ERROR == 0 and lwm2m.SERVICE_UNAVAILABLE == 0xA3
    assert sorted(NAMES) == list(range(1, 22))
    for number in NAMES:
        assert getattr(lwm2m, "EVENT_" + NAMES[number]) == number
    try:
        lwm2m.Nothing
    except AttributeError:
        pass
    else:
        raise AssertionError("no AttributeError")


# --- Events

_DETAILS = (
    "lifetime",
    "code",
    "internal",
    "path",
    "value",
    "text",
    "counter",
    "min_period",
    "max_period",
)


def test_events_and_details():
    # Each event of the client (those of observations have a test of their own), and of each what
    # the table lists; an attribute that does not belong to it is None.
    world = World()
    registrar = Registrar(world)
    provisioner = Provisioner(world)
    client = world.client()
    client.add_object(Object(1000, (0, INT | R | W), {0: {0: 1}}, multiple=True))
    client.add_bootstrap_server("coap://bs:5783", NONE)
    provisioner.accepted = 0xA0
    world.run(5)
    provisioner.accepted = 0x44
    assert world.run(100, lambda: len(provisioner.requests) == 2)
    world.run(1)
    assert provisioner.write("/0/1", account(7)).code == 0x44
    assert provisioner.write("/1/0", server(7, 120)).code == 0x44
    assert provisioner.finish().code == 0x44
    world.run(1)
    registrar.read("/3/0/0")
    assert registrar.ask(3, "/1/0/2", b"5", 0).code == 0x44
    assert registrar.ask(2, "/1000").code == 0x41
    assert registrar.ask(4, "/1000/0").code == 0x42
    registrar.updated = 0x84
    registrar.registered = 0x83
    registrar.words = b"blocked"
    assert world.run(100, lambda: world.last(lwm2m.EVENT_REG_FAILED))
    world.run(1)
    registrar.registered = 0x41
    assert provisioner.finish().code == 0x44
    world.run(1)
    client.close()
    wanted = {
        "REG_UNREGISTERED": {"lifetime": 120},
        "REG_REGISTERING": {"lifetime": 120},
        "REG_REGISTERED": {"lifetime": 120},
        "REG_UPDATING": {"lifetime": 120},
        "REG_FAILED": {"lifetime": 120, "code": 0x83, "internal": False, "text": "blocked"},
        "REG_UPDATE_FAILED": {"lifetime": 120, "code": 0x84, "internal": False},
        "BS_PENDING": {},
        "BS_FINISHED": {},
        "BS_FAILED": {"code": 0xA0, "internal": False},
        "OBJECT_INSTANCE_CREATED": {"path": (1000, 1)},
        "OBJECT_INSTANCE_DELETED": {"path": (1000, 0)},
        "READ": {"path": (3, 0, 0)},
        "SERVER_SETTING_CHANGED": {"path": (1, 0, 2), "value": 5},
    }
    seen = set()
    for _, event in world.events:
        name = NAMES[event.type]
        seen.add(name)
        assert event.short_id == (65535 if name.startswith("BS_") else 7), name
        for detail in _DETAILS:
            assert getattr(event, detail) == wanted[name].get(detail), (name, detail)
    assert seen == set(wanted)


# --- The Device object


def test_device_values_given():
    world = World()
    registrar = Registrar(world)
    client = world.client(device={0: "Maker", 2: "SN1", 9: lambda: 80, 6: {0: 1}})
    client.add_server(1, URI, NONE)
    world.run(1)
    assert registrar.read("/3/0/0").text == "Maker"
    assert registrar.read("/3/0/2").text == "SN1"
    assert registrar.read("/3/0/9").text == "80"
    assert registrar.read("/3/0/6/0").text == "1"


def test_reboot():
    # The answer goes out before; then step() returns and calls it.
    world = World()
    registrar = Registrar(world)
    done = []
    client = world.client(
        device={4: lambda: done.append("reboot"), 5: lambda: done.append("factory")}
    )
    client.add_server(1, URI, NONE)
    assert client.step(1) == lwm2m.NO_ERROR
    answers = []
    for rid, what in ((4, "reboot"), (5, "factory")):
        registrar.start(2, "/3/0/%d" % rid, callback=answers.append)
        assert client.step(-1) == lwm2m.NO_ERROR  # for ever, but for this
        assert done.pop() == what
        world.run(1)
        assert answers.pop().code == 0x44


def test_reboot_of_a_host():
    # It has no reset, and none was given.
    world = World()
    registrar = Registrar(world)
    client = world.client()
    client.add_server(1, URI, NONE)
    world.run(1)
    assert registrar.execute("/3/0/4").code == 0x84
    assert registrar.execute("/3/0/5").code == 0x84


# --- step(), on this clock and with sockets


def test_step():
    world = World()
    registrar = Registrar(world)
    client = world.client()
    assert client.step(0) == lwm2m.NO_ERROR and client.step(3) == lwm2m.NO_ERROR  # no account
    assert world.time == 3000
    client.add_server(1, URI, NONE, 60)
    client.step(0)
    assert world.story() == ["REG_REGISTERING 1"] and world.time == 3000
    assert client.step(10) == lwm2m.NO_ERROR
    assert world.time == 13000 and registrar.location
    # A callback ends one that is without an end.
    world.watch = lambda event: client.stop() if event.type == lwm2m.EVENT_REG_UPDATING else None
    assert client.step(-1) == lwm2m.NO_ERROR
    assert 30 <= world.time // 1000 <= 34
    world.watch = None
    # An error comes back at once, not when the seconds are over.
    registrar.updated = 0x84
    registrar.registered = 0x83
    client.set_server(1, {17: 1})
    assert client.step(10000) == lwm2m.SERVICE_UNAVAILABLE
    assert world.time < 100000


class _Peer:
    """A registrar of a few lines at a real socket, in the client's own loop."""

    def __init__(self, net):
        self.code = 0x41
        self.requests = 0
        self.engine = Engine(self._send, self._handle, net.rng)
        while True:
            self.port = 20000 + random.getrandbits(15)
            try:
                self.sock = net.bind(self, "127.0.0.1", self.port)
            except OSError:
                continue
            break
        self.net = net
        net.add(self)

    def _send(self, peer, datagram):
        self.net.sendto(self.sock, peer, datagram)

    def _handle(self, peer, m, payload, reply, now):
        self.requests += 1
        reply.location = ("rd", "1")
        return self.code

    def receive(self, peer, data, now):
        self.engine.receive(peer, data, now)

    def poll(self, now):
        self.engine.poll(now)
        return 0

    def next_ms(self, now):
        ms = self.engine.next_ms(now)
        return ms if ms >= 0 else 86400000


def _ms(f, *args):
    start = time.ticks_ms()
    result = f(*args)
    return result, time.ticks_diff(time.ticks_ms(), start)


class _Poller:
    """A Net's poller, and how long it was to wait at most, ms, each time."""

    def __init__(self, poller):
        self.poller = poller
        self.waits = []

    def register(self, sock, flags):
        self.poller.register(sock, flags)

    def unregister(self, sock):
        self.poller.unregister(sock)

    def ipoll(self, ms):
        self.waits.append(ms)
        return self.poller.ipoll(ms)


def _waits(net):
    """What a net waits for from now on, of its own poller."""
    net._poller = _Poller(net._poller)
    return net._poller.waits


def test_step_with_sockets():
    net = Net()
    peer = _Peer(net)
    events = []
    client = lwm2m.Client("dev", events.append, net=net)
    client.add_server(1, "coap://127.0.0.1:%d" % peer.port, NONE, 60)
    waits = _waits(net)
    assert client.step(0) == 0 and waits == [0]
    while len(events) < 2:
        status, ms = _ms(client.step, 1)
        assert status == 0 and ms >= 1000
    assert max(waits) <= 1000
    names = [NAMES[event.type] for event in events]
    assert names == ["REG_REGISTERING", "REG_REGISTERED"] and peer.requests == 1
    # The update comes at half of the lifetime.
    assert 0 < client.next_ms() <= 30000
    # stop() in a callback, of the first pass too, ends what would last for ever.
    client.core.objects[1].set(0, 1, 120)
    client.core.on_event = lambda event: client.stop()
    assert client.step(-1) == 0
    client.core.on_event = None
    client.close()
    # So does a status.
    peer.code = 0x83
    client = lwm2m.Client("dev", None, net=net)
    client.add_server(1, "coap://127.0.0.1:%d" % peer.port, NONE, 60)
    client.set_server(1, {17: 1})
    assert client.step(-1) == lwm2m.SERVICE_UNAVAILABLE
    client.close()
    net.remove(peer)
    net.unbind(peer.sock)


def test_host_that_there_is_not():
    # .invalid never resolves (RFC 6761): an attempt fails, and nothing is raised.
    net = Net()
    events = []
    client = lwm2m.Client("dev", events.append, net=net)
    client.add_server(1, "coap://there-is-not.invalid", NONE, 60)
    client.set_server(1, {17: 1})
    assert client.step(20) == lwm2m.SERVICE_UNAVAILABLE
    assert [NAMES[event.type] for event in events] == ["REG_FAILED"]
    assert events[0].internal and events[0].code == 0xA3
    client.close()


def test_clock():
    # Masked to 30 bits, as on boards.
    assert 0 <= now() <= 0x3FFFFFFF


def test_closed_socket_of_the_peer():
    # An ICMP error is not to be believed: the exchange goes on until its time is over.
    net = Net()
    client = lwm2m.Client("dev", None, net=net)
    client.add_server(1, "coap://127.0.0.1:9", NONE, 60)
    client.set_coap(1, 100, 100, 1)  # 100 ms, and 200 ms more
    client.set_server(1, {17: 1})
    status, ms = _ms(client.step, -1)
    assert status == lwm2m.SERVICE_UNAVAILABLE and ms >= 290
    client.close()


def test_error():
    e = Error(0x86, "why")
    assert (e.code, e.text) == (0x86, "why") and Error(0x84).text == ""
