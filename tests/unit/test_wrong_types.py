# heapsize: 2M
#
# Wrong types and values out of range, in each argument of each call of the READMEs' tables: ValueError in
# words, and nothing has changed.

import lwm2m
from lwm2m.bootstrap_server import BootstrapServer
from lwm2m.clients import credentials_of
from lwm2m.credentials import Credentials
from lwm2m.device import Device
from lwm2m.ipso import Ipso, Sensor
from lwm2m.location import Location
from lwm2m.model import BOOL, FLOAT, INT, MULTI, STR, E, Object, R, W
from lwm2m.server import Server, encode, values
import servers
from servers import Peer
from ucoap import POST
from world import World, dump

URI = "coap://server"
NONE = lwm2m.SEC_NONE

ID = (None, "5", 1.5, b"5", [5], {}, ())
INT_ = ID + (True,)
STR_ = (None, 5, b"x", ["x"], (), {})
PATH = STR_ + ("", "x", "3/0", "/x", "/70000", "/-1", "//", "/1/2/3/4/5")
DICT = (5, "x", [5], b"x", (1,), True)
FUNCTION = (5, "print", [], b"")
FLAG = (None, 5, "x", [])


def _fault(f, args, kwargs):
    """What is wrong with how a call refuses its arguments, or None."""
    try:
        f(*args, **kwargs)
    except ValueError as e:
        text = e.args[0] if e.args else ""
        if isinstance(text, str) and len(text) > 10 and " " in text:
            return None
        return "ValueError(%r)" % (text,)
    except Exception as e:
        return repr(e)
    return "it is taken"


def _all(faults, make, name, good, wrong, look=None, **more):
    """Try each wrong value in place of the good one.

    make(): (what has the method of that name, or is to be called where that is None, …). look(it): what
    must not change. wrong: {index or name of an argument: values}.
    """

    def call(it):
        return getattr(it, name) if name else it

    what = name or "constructor"
    for key in wrong:
        for value in wrong[key]:
            args = list(good)
            kwargs = dict(more)
            if isinstance(key, int):
                args[key] = value
            else:
                kwargs[key] = value
            it = make()
            before = look(it) if look else None
            fault = _fault(call(it), args, kwargs)
            if not fault and look and look(it) != before:
                fault = "something has changed"
            if fault:
                faults.append("%s(%s=%r): %s" % (what, key, value, fault))
    it = make()
    try:
        call(it)(*good, **more)
    except Exception as e:
        faults.append("%s: the good ones: %r" % (what, e))


def _said(faults):
    assert not faults, "\n".join(faults)


# --- lwm2m: Client


def _client():
    client = World(modes=(0, 3)).client()
    client.add_bootstrap_server(URI, NONE)
    client.add_server(1, URI, NONE)
    client.add_object(Object(1000, (0, INT | R)))
    return client


def _state(client):
    core = client.core
    return (
        dump(client),
        sorted(core.objects),
        [account.short_id for account in core.accounts],
        [account.settings for account in core.accounts],
        dict(core.coap),
        core.bootstrap.timeout,
        len(core.parts),
        len(client.net.roles),
        client.net.datagrams,
    )


def test_client():
    world = World()
    faults = []
    wrong = {
        0: STR_ + ("", "a b", "x" * 253),
        "device": (5, "x", (5,), {99: 1}, {"0": "x"}, {0: 5}, {9: 101}, {4: 5}, {5: "x"}),
        "on_event": FUNCTION[:2] + (True, [5]),
        "version": INT_ + ("1.3", 1.1),
    }
    _all(
        faults, lambda: lwm2m.Client, None, ("dev",), wrong, lambda it: len(world.roles), net=world
    )
    _said(faults)


def test_client_calls():
    faults = []

    def case(name, good, wrong, **more):
        _all(faults, _client, name, good, wrong, _state, **more)

    case("step", (0,), {0: INT_})
    case("close", (1,), {0: INT_})
    case("add_object", (Object(1001, (0, INT | R)),), {0: (None, 5, "x", [], {}, Object)})
    case("remove_object", (1000,), {0: INT_ + (-1, 0, 1, 2, 3, 99, 1 << 40)})
    _said(faults)


def test_accounts():
    faults = []

    def case(name, good, wrong, **more):
        _all(faults, _client, name, good, wrong, _state, **more)

    security = DICT + (
        {"5": b""},
        {2: 0},
        {5: "x"},
        {5: 5},
        {99: b""},
        {13: 4},
        {14: 5},
        {5: None},
    )
    uri = STR_ + ("", "server", "http://server", "coap://", "coap://s:0", "coap://s:70000")
    mode = (None, "3", 1.5, [3], (3,), {}, -1, 4, 255)
    number = INT_ + (-1, 1 << 31, 1 << 40)
    case(
        "add_server",
        (2, URI, NONE),
        {
            0: INT_ + (-1, 0, 1, 65535, 65536, 1 << 40),
            1: uri + ("coaps://server",),
            2: mode,
            "lifetime": number,
            "security": security,
        },
    )
    secure = {3: b"id", 5: b"key"}
    case(
        "add_server",
        (2, "coaps://server", lwm2m.SEC_PRE_SHARED_KEY),
        {
            1: (URI,),
            2: mode + (NONE,),
            "security": security + ({}, None, {3: b"id"}, {5: b"key"}),
        },
        security=secure,
    )
    case("remove_server", (1,), {0: ID + (-1, 0, 2, 65536, 1 << 40)})

    def without():
        client = World(modes=(0, 3)).client()
        client.add_server(1, URI, NONE)
        return client

    _all(
        faults,
        without,
        "add_bootstrap_server",
        (URI, NONE),
        {0: uri + ("coaps://server",), 1: mode, "security": security},
        _state,
    )
    case("set_hold_off", (5,), {0: number})
    case("set_bootstrap_timeout", (5,), {0: number + (0, 86401)})
    case(
        "set_server",
        (1, {17: 1}),
        {
            0: ID + (-1, 0, 2, 65535, 1 << 40),
            1: DICT
            + (None, {"17": 1}, {12: 1}, {21: 1}, {None: 1}, {17: "1"}, {17: 0}, {17: 1.5})
            + ({15: 1}, {16: None}, {13: -1}, {14: 1 << 40}, {(): 1}),
        },
    )
    case(
        "set_coap",
        (1, 2000, 150, 4),
        {
            0: ID + (-1, 0, 2, 1 << 40),
            1: INT_ + (-1, 0, 1 << 40),
            2: INT_ + (-1, 99, 1 << 40),
            3: INT_ + (-1, 11, 1 << 40),
        },
    )
    _said(faults)


def test_send_and_sleep():
    faults = []

    def case(name, good, wrong, **more):
        _all(faults, _client, name, good, wrong, _state, **more)

    case(
        "send",
        (["/3/0/0"],),
        {
            0: (
                None,
                5,
                [],
                [5],
                [None],
                [b"/3"],
                ["3"],
                ["/"],
                ["/x"],
                ["/99"],
                ["/0"],
                "/3/0/0",
                {},
            ),
            "callback": FUNCTION,
            "server": ("1", 1.5, [], {}),
        },
    )
    case("sleep_ms", (), {"most": ("5", 1.5, None, []), "awake": INT_})
    case("resume", (b"",), {0: (None, 5, "x", []), "seconds": ("5", 1.5, [], b"")})
    _said(faults)


# --- lwm2m: Object


def _object():
    resources = (0, R | W | INT, 1, R | STR, 2, E, 3, R | MULTI | FLOAT, 4, R | BOOL)
    return Object(1000, resources, {0: {0: 5, 3: {0: 1.0}}})


def test_object():
    faults = []

    def case(name, good, wrong, **more):
        _all(faults, _object, name, good, wrong, lambda it: str(it.instances), **more)

    ids = (None, "0", 1.5, [], {}, -1, 9, 65535, 65536)
    wrong = {0: ID, 1: (None, 5, (0,), "x", {}), 2: (5, "x", [5], (1,))}
    _all(faults, lambda: Object, None, (1000, (0, INT | R), {}), wrong)
    case(
        "add",
        (1, {0: 5}),
        {0: ids[:-3] + (0, 65535), 1: DICT + ({"0": 5}, {9: 5}, {0: "5"}, {0: None})},
    )
    case("get", (0, 0), {0: ids})
    case("remove", (0,), {0: ids})
    case("set", (0, 0, 7), {0: ids})
    case("set", (0, 0, 7), {1: ids, 2: (None, "5", 1.5, [], {}, True, 1 << 64)})
    case("set", (0, 1, "x"), {2: (None, 5, 1.5, [], {}, b"x", True)})
    case("set", (0, 3, {0: 1}), {2: (None, 5, 1.5, [], {"0": 1}, {-1: 1}, {65535: 1}, {0: "x"})})
    case("set", (0, 4, True), {2: (None, 5, "x", 1.5, [])})
    case("check", (0, 7), {0: ids, 1: (None, "5", 1.5, [], {}, True, 1 << 64)})
    _said(faults)


# --- lwm2m-ipso, lwm2m-device, lwm2m-connectivity


def test_ipso():
    faults = []

    def case(name, good, wrong, **more):
        def make():
            return Sensor(3303, "Cel", read=lambda: 21.5)

        _all(faults, make, name, good, wrong, lambda it: len(it.instances), **more)

    ids = (None, "0", 1.5, [], {}, -1, 65535, 65536)
    wrong = {0: (None, "3303", 3303.5, [], {}, -1, 3, 3306, 99999), "units": (5, b"Cel", [], 1.5)}
    _all(faults, lambda: Sensor, None, (3303,), dict(wrong, read=FUNCTION))
    wrong = {0: (None, "3306", 3306.5, [], {}, -1, 3, 99999), "write": FUNCTION}
    wrong["values"] = DICT + ({"5850": True}, {5850: 5}, {99: 5}, {5851: 1.5}, {5850: None})
    _all(faults, lambda: Ipso, None, (3306,), wrong)
    case("another", (1,), {0: ids + (0,), "units": (5, b"Cel", []), "read": FUNCTION})
    case("set", (0, 5700, 1.5), {1: ids + (9,), 2: (None, "5", [], {}, True, b"5")})
    _said(faults)


def test_device_objects():
    faults = []

    def device():
        return Device(_client())

    def look(it):
        instance = it._object.instances[0]
        return str([instance.get(rid) for rid in (6, 7, 8, 9, 11, 20)])

    ids = (None, "0", 1.5, -1, 65535, 65536)
    numbers = ("5", 1.5, [], {}, True, 1 << 64)
    _all(
        faults,
        device,
        "source",
        (0, 5),
        {
            0: ids,
            1: (None, -1, 8) + numbers,
            "voltage": numbers,
            "current": numbers,
        },
        look,
    )
    level = numbers + (-1,)
    _all(faults, device, "battery", (17,), {0: level + (None, 101), "status": level + (7,)}, look)
    _all(faults, device, "error", (1,), {0: numbers + (None,)}, look)
    degree = (None, "5", [], {}, True, b"5")
    _all(
        faults,
        Location,
        "move",
        (48.0, 16.0, 1790000000),
        {
            0: degree + (-90.5, 91, float("nan")),
            1: degree + (-180.5, 181, float("nan")),
            2: INT_ + (-1, 1 << 32),
            "altitude": degree[1:],
            "radius": degree[1:],
            "velocity": ("x", 5, []),
            "speed": degree[1:],
        },
        lambda it: str(it.instances),
    )
    _said(faults)


# --- lwm2m-credentials, the tables of the servers


def test_credentials():
    faults = []
    data = (0, b"id", b"", b"key")
    _all(
        faults,
        Credentials,
        "create",
        (b"id", data),
        {
            0: (None, 5, []),
            1: (None, 5, "x", (), (0,), (4,) + data[1:], ("0",) + data[1:], (None,) + data[1:])
            + ((0, "id", b"", b"key"), (0, b"id", b"", 16)),
        },
        lambda it: it.read(b"id"),
    )
    table = {"a": {"security": {"mode": "psk", "key": "31"}}}
    security = (5, "x", [], {}, {"mode": 5}, {"mode": "psk"}, {"mode": "psk", "key": 5})
    wrong = [{"a": {"security": each}} for each in security]
    _all(faults, lambda: credentials_of, None, (table,), {0: wrong + [{5: table["a"]}]})
    _said(faults)


# --- lwm2m-server


def _server():
    world = servers.World()
    server = Server(5683, net=world, max_clients=2)
    peer = Peer(world, 5683)
    query = "ep=dev&lt=60&lwm2m=1.1"
    assert peer.ask(POST, "rd", query, b"</1/0>,</3/0>", 40).code == 0x41
    server.dev = server.clients["dev"]
    return server


def test_server():
    world = servers.World()
    wrong = {
        0: ("5683", 1.5, [], None, -1, 65536),
        1: (5, b"x", [], None),
        "on_client": FUNCTION,
        "allow": FUNCTION,
        "max_clients": INT_ + (-1, 0, 1 << 20),
        "max_links": INT_ + (-1,),
        "on_send": FUNCTION,
        "awake": INT_ + (-1,),
        "wait": INT_ + (-1,),
        "credentials": (5, "x", {}),
        "certificate": (5, "x", (), (b"1", b"2")),
        "raw_public_key": (5, "x", (), (b"1",)),
        "identities": (5, "x", [], {"a": "b"}),
        "on_refused": FUNCTION,
        "size": INT_ + (-1, 0),
        "body": INT_ + (-1, 0),
    }
    faults = []

    def look(it):
        return len(world.roles), len(world.servers), len(getattr(world, "promised", ()))

    _all(faults, lambda: Server, None, (5683, "127.0.0.1"), wrong, look, net=world, max_clients=2)
    _said(faults)


def _look_server(server):
    return len(server.net.sent), len(server.dev.operations), len(server._calls)


def test_server_operations():
    faults = []
    server = None

    def case(name, good, wrong, **more):
        # The first argument is the client, and the same one.
        nonlocal server
        server = _server()
        wrong = {key + 1 if isinstance(key, int) else key: wrong[key] for key in wrong}
        wrong[0] = (None, 5, "dev")
        _all(faults, lambda: server, name, (server.dev,) + good, wrong, _look_server, **more)

    def answered(client, code, format, payload):
        pass

    formats = ("110", 1.5, [], b"", -1, 1 << 16)
    case("read", ("/3/0", answered), {0: PATH + ("/",), 1: FUNCTION, "accept": formats})
    case(
        "write",
        ("/3/0/15", "x"),
        {
            0: PATH + ("/", "/3"),
            1: (None, [], {}, ()),
            "callback": FUNCTION,
            "format": formats,
        },
    )
    case(
        "execute",
        ("/3/0/4",),
        {0: PATH + ("/3/0",), "callback": FUNCTION, "arguments": (None, 5, [], {})},
    )
    case(
        "discover",
        ("/3", answered),
        {0: PATH + ("/",), 1: FUNCTION, "depth": ("1", 1.5, [], -1, 4)},
    )
    case(
        "create",
        ("/16", b""),
        {0: PATH + ("/16/0",), 1: (None, 5, "x", [], {}), "callback": FUNCTION, "format": formats},
    )
    case("delete", ("/16/0",), {0: PATH + ("/16", "/16/0/0"), "callback": FUNCTION})
    attributes = DICT + ({5: 5}, {"pmin": []}, {"pmin": "x" * 2000})
    case(
        "write_attributes",
        ("/3/0", {"pmin": 5}),
        {0: PATH + ("/",), 1: attributes + (None,), "callback": FUNCTION},
    )
    case(
        "observe",
        ("/3/0/9", answered),
        {0: PATH + ("/",), 1: FUNCTION, "accept": formats, "attributes": attributes},
    )
    paths = (None, 5, "/3/0", [], [5], [None], [b"/3"], ["3"], ["/x"], ["/70000"])
    case(
        "read_composite",
        (["/3/0/9"], answered),
        {0: paths, 1: FUNCTION, "accept": formats + (0,)},
    )
    case(
        "write_composite",
        ({"/1/0/1": 5},),
        {
            0: DICT
            + (None, {}, {5: 5}, {"x": 5}, {"/3/0": 5}, {"/3/0/15": []})
            + (
                {"/1/0/1": 1 << 64},
                {"/1/0/1": -(1 << 63) - 1},
                {"/1/0/1": (1,)},
                {"/1/0/1": ("a", 1)},
            ),
            "callback": FUNCTION,
            "format": formats + (0,),
        },
    )
    case(
        "observe_composite",
        (["/3/0/9"], answered),
        {0: paths, 1: FUNCTION, "accept": formats + (0,), "attributes": attributes},
    )
    _all(
        faults,
        _server,
        "cancel",
        (server.observe(server.dev, "/3", answered),),
        {0: (None, 5, "x")},
    )
    _all(faults, _server, "step", (0,), {0: INT_})
    _said(faults)


def test_wrong_observation_lets_the_old_one_be():
    server = _server()
    world = server.net
    peer = Peer(world, 5683)
    seen = []
    handle = server.observe(server.dev, "/3/0/9", lambda *answer: seen.append(answer))
    peer.answer(peer.got()[-1], 0x45, b"100", 0, observe=1)
    assert handle.active and len(seen) == 1
    for attributes in (5, {"pmin": "x" * 2000}):
        assert _fault(server.observe, (server.dev, "/3/0/9", print, None, attributes), {}) is None
        assert handle.active and server.dev.operations == [handle]


def test_server_values():
    faults = []
    resources = (0, R | INT)
    _all(
        faults,
        lambda: values,
        None,
        (resources, "/3/0", 11542, b""),
        {
            0: (None, 5, "x", (0,)),
            1: PATH + ("/",),
            2: ("0", -1, [], 1.5),
            3: (None, 5, "x", [], b"\xff"),
        },
    )
    _all(
        faults,
        lambda: encode,
        None,
        (resources, {0: 5}),
        {
            0: (None, 5, "x", (0,)),
            1: DICT + (None, {"0": 5}, {9: 5}, {0: "5"}, {0: None}, {0: 1.5}),
            "path": PATH + ("/", "/3"),
            "format": ("0", 1.5, [], -1),
        },
    )
    _said(faults)


# --- lwm2m-bootstrap-server


TABLE = {"dev": {"servers": [{"short_id": 1, "uri": "coap://server"}]}}


def test_bootstrap_server():
    world = servers.World()

    def servers_(**change):
        entry = dict(TABLE["dev"]["servers"][0])
        entry.update(change)
        return {"dev": {"servers": [entry]}}

    wrong = {
        0: ("5783", 1.5, [], None, -1, 65536),
        1: (5, b"x", [], None),
        "on_request": FUNCTION,
        "on_event": FUNCTION,
        "accounts": DICT
        + (
            {"": TABLE["dev"]},
            {5: TABLE["dev"]},
            {"dev": 5},
            {"dev": {}},
            {"dev": {"servers": []}},
        )
        + tuple(servers_(short_id=each) for each in INT_ + (-1, 0, 65535))
        + tuple(servers_(uri=each) for each in STR_ + ("server",))
        + tuple(servers_(lifetime=each) for each in INT_ + (-1, 1 << 31))
        + tuple(servers_(binding=each) for each in STR_ + ("T",))
        + tuple(servers_(mute_send=each) for each in FLAG)
        + tuple(servers_(security=each) for each in DICT + ({}, {"mode": 5}, {"mode": []})),
        "max_sessions": INT_ + (-1, 0),
        "credentials": (5, "x", {}),
        "certificate": (5, "x", (), (b"1", b"2")),
        "raw_public_key": (5, "x", (), (b"1",)),
        "identities": (5, "x", [], {"a": "b"}),
        "on_refused": FUNCTION,
        "size": INT_ + (-1, 0),
        "body": INT_ + (-1, 0),
    }
    faults = []

    def look(it):
        return len(world.roles), len(world.servers), len(getattr(world, "promised", ()))

    _all(
        faults,
        lambda: BootstrapServer,
        None,
        (5783, "127.0.0.1"),
        wrong,
        look,
        net=world,
        max_sessions=2,
    )
    _said(faults)


def _session():
    world = servers.World()
    found = []
    BootstrapServer(5783, on_request=lambda s: found.append(s) or True, net=world, max_sessions=2)
    assert Peer(world, 5783).ask(POST, "bs", "ep=dev").code == 0x44
    world.wait(1)
    return found[0]


def test_session():
    faults = []

    def look(session):
        return len(session._server.net.sent), len(session.queue)

    def case(name, good, wrong, **more):
        wrong["callback"] = FUNCTION
        _all(faults, _session, name, good, wrong, look, **more)

    uri = STR_ + ("", "server", "http://server", "coap://", "coaps://server")
    number = INT_ + (-1, 1 << 31)
    security = DICT[:3] + (
        {},
        {"mode": 5},
        {"mode": []},
        {"mode": "psk"},
        {"mode": "psk", "key": 5},
    )
    case(
        "add_server",
        (1, "coap://server"),
        {
            0: INT_ + (-1, 0, 65535, 1 << 40),
            1: uri,
            "lifetime": number,
            "security": security,
            "binding": STR_ + ("", "T"),
            "store_notifications": FLAG,
            "mute_send": FLAG,
        },
    )
    case("remove_server", (1,), {0: ID + (-1, 0, 65535, 1 << 40)})
    case(
        "add_bootstrap_server",
        ("coap://server",),
        {0: uri, "hold_off": number, "account_timeout": number, "security": security},
    )
    case("remove_bootstrap_server", (), {})
    case("apply", (TABLE["dev"],), {0: DICT + (None, {}, {"servers": 5}, {"servers": [5]})})
    case("discover", (), {"path": PATH + ("/3/0",)})
    case("read", ("/1",), {0: PATH + ("/", "/1/0/0")})
    case(
        "write",
        ("/3/0", b""),
        {0: PATH + ("/",), 1: (None, 5, "x", [], {}, 1.5), "format": ("0", 1.5, [], -1, 1 << 16)},
    )
    case("write", ("/0/0", {0: "coap://server"}), {1: ({"0": "x"}, {0: 5}, {99: 5}, {2: "x"})})
    case("delete", (), {"path": PATH + ("/1/0/0",)})
    case("finish", (), {})
    _said(faults)
