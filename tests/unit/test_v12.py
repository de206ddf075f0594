# What LwM2M 1.2 adds to the operations of servers: Discover to a depth, Delete of a resource instance; and
# that a server of 1.1 gets what it got before.

import lwm2m.server as server_module
import lwm2m
from lwm2m.model import INT, MULTI, STR, E, Object, R, W
from ucoap import DELETE, GET, Error
from world import Registrar, World, account, server

import servers

_LINK = 40

# 0 single, 1 multiple and writable, 2 multiple and readable only, 3 executable, 4 multiple of a function.
# fmt: off
_RESOURCES = (
    0, R | W | STR,
    1, R | W | STR | MULTI,
    2, R | INT | MULTI,
    3, E,
    4, R | W | INT | MULTI,
)
# fmt: on


class _Case:
    def __init__(self, version="1.2"):
        self.world = World()
        self.server = Registrar(self.world)
        self.client = self.world.client(version=version)
        self.object = Object(
            1000,
            _RESOURCES,
            {0: {0: "a", 1: {0: "x", 3: "y", 7: "z"}, 2: {0: 1}, 3: None, 4: lambda: {0: 5}}},
            version="2.1",
            multiple=True,
        )
        self.client.add_object(self.object)
        self.object.add(2, {0: "b", 1: {}})
        core = self.client.core
        core.objects[0].instances[0] = account(1)
        core.objects[1].instances[0] = server(1)
        assert self.world.run(5, lambda: self.server.location)
        self.world.run(1)
        self.world.events.clear()

    def discover(self, path, *queries):
        more = tuple([(15, query) for query in queries])
        return self.server.ask(GET, path, accept=_LINK, more=more)


# --- Discover

_OBJECT = ["</1000>;ver=2.1"]
_INSTANCES = ["</1000/0>", "</1000/2>"]
_AT_0 = [
    "</1000/0/0>",
    "</1000/0/1>;dim=3",
    "</1000/0/2>;dim=1",
    "</1000/0/3>",
    "</1000/0/4>;dim=1",
]
_AT_2 = ["</1000/2/0>", "</1000/2/1>;dim=0"]
_OF_1 = ["</1000/0/1/0>", "</1000/0/1/3>", "</1000/0/1/7>"]
_ALL_0 = _AT_0[:2] + _OF_1 + [_AT_0[2], "</1000/0/2/0>", _AT_0[3], _AT_0[4], "</1000/0/4/0>"]

# (path, depth, links)
_DEPTHS = (
    ("/1000", "0", _OBJECT),
    ("/1000", "1", _OBJECT + _INSTANCES),
    ("/1000", "2", _OBJECT + _INSTANCES[:1] + _AT_0 + _INSTANCES[1:] + _AT_2),
    ("/1000", "3", _OBJECT + _INSTANCES[:1] + _ALL_0 + _INSTANCES[1:] + _AT_2),
    ("/1000", None, _OBJECT + _INSTANCES[:1] + _AT_0 + _INSTANCES[1:] + _AT_2),
    ("/1000/0", "0", _INSTANCES[:1]),
    ("/1000/0", "1", _INSTANCES[:1] + _AT_0),
    ("/1000/0", "2", _INSTANCES[:1] + _ALL_0),
    ("/1000/0", "3", _INSTANCES[:1] + _ALL_0),
    ("/1000/0", None, _INSTANCES[:1] + _AT_0),
    ("/1000/0/1", "0", _AT_0[1:2]),
    ("/1000/0/1", "1", _AT_0[1:2] + _OF_1),
    ("/1000/0/1", "3", _AT_0[1:2] + _OF_1),
    ("/1000/0/1", None, _AT_0[1:2] + _OF_1),
    ("/1000/0/0", "3", _AT_0[:1]),
    ("/1000/0/3", "1", _AT_0[3:4]),
)


def test_depth():
    for path, depth, links in _DEPTHS:
        case = _Case()
        answer = case.discover(path, *(("depth=" + depth,) if depth else ()))
        assert (answer.code, answer.format) == (0x45, _LINK), (path, depth)
        assert answer.text.split(",") == links, (path, depth, answer.text)


def test_a_server_of_1_1_has_no_depth():
    # It is ignored, as it was.
    for version in ("1.0", "1.1"):
        case = _Case(version)
        whole = case.discover("/1000").text
        for query in ("depth=0", "depth=3", "depth=x"):
            answer = case.discover("/1000", query)
            assert (answer.code, answer.text) == (0x45, whole)
        assert case.server.ask(DELETE, "/1000/0/1/3").code == 0x85


def test_attributes_are_shown():
    case = _Case()
    for path, query in (("/1000", "pmin=5"), ("/1000/0", "pmax=50"), ("/1000/0/1/3", "epmin=3")):
        assert case.server.ask(3, path, more=((15, query),)).code == 0x44
    assert case.discover("/1000/0", "depth=0").text == "</1000/0>;pmin=5;pmax=50"
    links = case.discover("/1000/0", "depth=2").text.split(",")
    assert links[0] == "</1000/0>;pmin=5;pmax=50" and "</1000/0/1/3>;epmin=3" in links
    assert "</1000/0/1/0>" in links
    assert case.discover("/1000/0", "x=y").text == case.discover("/1000/0").text  # no depth
    assert case.discover("/1000", "depth=1").text.split(",")[1] == "</1000/0>;pmax=50"


# (path, queries, code)
_WRONG = (
    ("/1000", ("depth=4",), 0x80),
    ("/1000", ("depth=-1",), 0x80),
    ("/1000", ("depth=",), 0x80),
    ("/1000", ("depth",), 0x80),
    ("/1000", ("depth=01",), 0x80),
    ("/1000", ("depth=a",), 0x80),
    ("/1000", ("depth=99999999999999999999",), 0x80),
    ("/1000", ("depth=1", "depth=1"), 0x80),
    ("/1001", ("depth=1",), 0x84),
    ("/1000/1", ("depth=1",), 0x84),
    ("/1000/0/9", ("depth=1",), 0x84),
    ("/1000/2/3", ("depth=0",), 0x84),  # it has the object, not the instance
    ("/1000/0/1/0", ("depth=0",), 0x85),
    ("/0", ("depth=0",), 0x81),
    ("/", ("depth=0",), 0x85),
    ("/x", ("depth=0",), 0x85),
)


def test_wrong_depths():
    case = _Case()
    for path, queries, code in _WRONG:
        answer = case.discover(path, *queries)
        assert answer.code == code, (path, queries, answer.code)


# --- Delete of a resource instance

# (path, code, what /1000/0/1 is then)
_ALL = {0: "x", 3: "y", 7: "z"}
_DELETES = (
    ("/1000/0/1/3", 0x42, {0: "x", 7: "z"}),
    ("/1000/0/1/5", 0x84, _ALL),
    ("/1000/0/0/0", 0x85, _ALL),  # a single resource
    ("/1000/0/2/0", 0x85, _ALL),  # not to be written
    ("/1000/0/3/0", 0x85, _ALL),
    ("/1000/0/4/0", 0x85, _ALL),  # what a function gives
    ("/1000/0/9/0", 0x84, _ALL),
    ("/1000/1/1/0", 0x84, _ALL),
    ("/1001/0/1/0", 0x84, _ALL),
    ("/1000/0/1", 0x85, _ALL),
    ("/1000", 0x85, _ALL),
    ("/0/0/16/0", 0x81, _ALL),
    ("/1000/0/1/3/0", 0x85, _ALL),
    ("/1000/0/1/65535", 0x85, _ALL),
)


def test_delete():
    for path, code, left in _DELETES:
        case = _Case()
        answer = case.server.ask(DELETE, path)
        assert answer.code == code, (path, answer.code)
        assert case.object.get(0, 1) == left, path
    # All of them, one by one: the resource stays, with none.
    case = _Case()
    for riid in (0, 3, 7):
        assert case.server.ask(DELETE, "/1000/0/1/%d" % riid).code == 0x42
    assert case.object.get(0, 1) == {}
    assert case.discover("/1000/0/1").text == "</1000/0/1>;dim=0"


def test_delete_and_the_application():
    case = _Case()
    told = []

    def check(iid, values):
        if 7 not in values[1]:
            raise Error(0x81, "7 has to stay")

    case.object.on_check = check
    case.object.on_write = lambda iid, values: told.append((iid, values))
    assert case.server.ask(DELETE, "/1000/0/1/7").code == 0x81
    assert case.object.get(0, 1) == _ALL and told == []
    assert case.server.ask(DELETE, "/1000/0/1/0").code == 0x42
    assert told == [(0, {1: {3: "y", 7: "z"}})]


def test_delete_and_rights():
    # It is the right to delete that counts (LwM2M 1.2 8.2).
    case = _Case()
    for rights, code in ((2, 0x81), (1, 0x81), (8, 0x42)):
        case.client.core.may = lambda account, oid, iid, operation: bool(operation & rights)
        assert case.server.ask(DELETE, "/1000/0/1/3").code == code, rights


def test_who_observes_is_told():
    case = _Case()
    answers = []
    case.server.start(GET, "/1000/0/1", callback=answers.append, more=((6, 0),))
    case.world.run(1)
    assert case.server.ask(DELETE, "/1000/0/1/3").code == 0x42
    case.world.run(2)
    assert len(answers) == 2 and b"y" not in answers[1].payload


# --- With our server


def test_with_our_server():
    world = servers.World()
    role = server_module.Server(5683, net=world)
    client = lwm2m.Client("dev", net=world, version="1.2")
    obj = Object(1000, (0, R | INT, 1, R | W | STR | MULTI), {0: {0: 1, 1: {0: "x", 3: "y"}}})
    client.add_object(obj)
    client.add_server(1, "coap://10.0.0.2:5683", lwm2m.SEC_NONE)
    assert world.run(lambda: "dev" in role.clients, 5)
    remote = role.clients["dev"]
    assert remote.version == "1.2"
    answers = []

    def answered(client, code, format, payload):
        answers.append((code, payload))

    def ask(call, *args, **kwargs):
        answers.clear()
        call(remote, *args, **kwargs)
        assert world.run(lambda: answers, 5)
        return answers[0]

    assert ask(role.discover, "/1000", answered, depth=1) == (0x45, b"</1000>,</1000/0>")
    assert ask(role.delete, "/1000/0/1/3", answered)[0] == 0x42
    assert obj.get(0, 1) == {0: "x"}
    assert ask(role.observe, "/1000/0/0", answered, attributes={"pmax": 7, "con": True})[0] == 0x45
    observation = client.core.parts[0].observations[0]
    assert observation.attributes[1] == 7 and observation.attributes[4] == 1
    answers.clear()
    assert world.run(lambda: answers, 9)  # the period is over
    values = ask(role.observe_composite, ["/1000"], answered, attributes={"pmin": 3})[1]
    assert values == {"/1000/0/0": 1, "/1000/0/1/0": "x"}
    assert ask(role.observe, "/1000/0", answered, attributes={"pmin": -1})[0] == 0x80
    for call, text in (
        (lambda: role.discover(remote, "/1000", answered, depth=4), "depth must be"),
        (lambda: role.delete(remote, "/1000/0/1"), "must have 4 to 4 numbers"),
        (lambda: role.delete(remote, "/1000"), "must have 2 to 4 numbers"),
    ):
        try:
            call()
            raise AssertionError(text)
        except ValueError as e:
            assert text in str(e), e
