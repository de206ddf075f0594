# Send: values that the client gives its servers without being asked, and Mute Send (/1/x/23). 306, 307 and
# 311 are cases of the enabler test specification (LightweightM2M-1.1-int-N).

import lwm2m
from lwm2m.model import FLOAT, STR, E, Object, R
from world import Registrar, World, account, server

_SENSOR = (5605, E, 5700, FLOAT | R, 5701, STR | R)

# By hand from RFC 8428 6.
_VALUE = b"\x81\xa3\x21\x68/3303/0/\x00\x645700\x02\xf9\x4d\x60"
_311 = (
    b"\x82\xa3\x21\x65/1/0/\x00\x611\x02\x19\x01\x2c"  # /1/0/1 300
    b"\xa3\x21\x65/3/0/\x00\x6411/0\x02\x00"  # /3/0/11/0 0
)


class _Collector(Registrar):
    """A server that is sent values. answer: code and words."""

    def __init__(self, world, port=5683):
        super().__init__(world, port)
        self.sent = []  # (Content-Format, payload)
        self.code = 0x44
        self.words_of_send = b""

    def answer(self, request, reply):
        if request.path.endswith("/dp"):
            assert request.code == 2
            self.sent.append((request.format, request.payload))
            reply.payload = self.words_of_send
            return self.code
        return super().answer(request, reply)


class _Case:
    """A client with a sensor, registered with as many servers as there are values of Mute Send."""

    def __init__(self, *mutes, mode=3, **kwargs):
        self.world = World(modes=(mode,))
        self.servers = [_Collector(self.world, 5683 + i) for i in range(len(mutes))]
        self.client = self.world.client(**kwargs)
        self.sensor = Object(3303, _SENSOR, {0: {5605: None, 5700: 21.5, 5701: "Cel"}})
        self.client.add_object(self.sensor)
        objects = self.client.core.objects
        for i in range(len(mutes)):
            objects[0].instances[i] = account(
                i + 1, "coap%s://server:%d" % ("" if mode == 3 else "s", 5683 + i), mode
            )
            objects[1].instances[i] = server(i + 1)
            if mutes[i] is not None:
                objects[1].instances[i][23] = mutes[i]
        assert self.world.run(5, lambda: all(each.location for each in self.servers))
        self.world.run(1)
        self.told = []

    def answered(self, short_id, code, text):
        self.told.append((short_id, code, text))

    def send(self, *paths, **kwargs):
        return self.client.send(paths, self.answered, **kwargs)


def test_send_306_and_311():
    case = _Case(False)
    assert case.send("/3303/0/5700") == [1]
    case.world.run(1)
    assert case.servers[0].sent == [(112, _VALUE)]
    assert case.told == [(1, 0x44, None)]
    case.send("/1/0/1", "/3/0/11/0")
    case.world.run(1)
    assert case.servers[0].sent[1] == (112, _311)
    # An instance and an object: all that can be read of it.
    case.send("/3303/0")
    case.send("/3303")
    case.world.run(1)
    assert case.servers[0].sent[2] == case.servers[0].sent[3]
    assert case.servers[0].sent[2][1][:1] == b"\x82"
    assert len(case.told) == 4
    # Nobody wants to know.
    assert case.client.send(["/3303/0/5700"]) == [1]
    case.world.run(1)
    assert len(case.servers[0].sent) == 5 and len(case.told) == 4


def test_muted_307():
    # Absent is muted.
    case = _Case(None, True, False)
    assert case.send("/3303/0/5700") == [3]
    case.world.run(1)
    assert [len(each.sent) for each in case.servers] == [0, 0, 1]
    for i, value in ((0, b"0"), (2, b"1")):
        assert case.servers[i].ask(3, "/1/%d/23" % i, value, 0).code == 0x44
    assert case.send("/3303/0/5700") == [1]
    assert case.send("/3303/0/5700", server=3) == []
    case.world.run(1)
    assert [len(each.sent) for each in case.servers] == [1, 0, 1]


def test_accounts_of_the_application_and_the_factory_are_not_muted():
    world = World()
    collector = _Collector(world)
    client = world.client()
    client.add_server(1, "coap://server", lwm2m.SEC_NONE)
    assert client.core.objects[1].instances[0][23] is False
    assert client.send(["/3/0/16"]) == []  # it is not registered yet
    assert world.run(5, lambda: collector.location)
    world.run(1)
    assert client.send(["/3/0/16"]) == [1]


def test_what_a_server_refuses_is_told():
    case = _Case(False, False)
    case.servers[0].code = 0x84
    case.servers[0].words_of_send = b"no such object"
    assert case.send("/3303/0/5700") == [1, 2]
    case.world.run(1)
    assert sorted(case.told) == [(1, 0x84, "no such object"), (2, 0x44, None)]
    assert case.client.core.parts[-1]._sends == []


def test_no_answer_and_no_connection():
    case = _Case(False)
    case.servers[0].silent = True
    case.send("/3303/0/5700")
    case.world.run(100)
    assert case.told == [(1, 0xA3, "no answer")]
    case.send("/3303/0/5700")
    case.client.core.disconnect(case.client.core.accounts[0], 5)
    case.world.run(1)
    assert case.told[1:] == [(1, 0xA3, "the connection has ended")]
    assert case.send("/3303/0/5700") == []
    case.servers[0].silent = False
    assert case.world.run(60, lambda: case.client.core.accounts[0].state == 4)
    case.world.run(1)
    assert case.send("/3303/0/5700") == [1]
    case.world.run(1)
    assert case.told[2:] == [(1, 0x44, None)]


def test_not_confirmable():
    # One datagram, whether it arrives or not; and its answer.
    for silent, told in ((False, (1, 0x44, None)), (True, (1, 0xA3, "no answer"))):
        case = _Case(False)
        case.servers[0].silent = silent
        case.world.datagrams = 0
        case.world.sent.clear()
        assert case.send("/3303/0/5700", confirmable=False) == [1]
        case.world.run(100)
        assert case.told == [told]
        assert [d[0] >> 4 & 3 for d in case.world.sent] == [1] and case.world.sent[0][1] == 2
        assert case.world.datagrams == (1 if silent else 2)
        assert case.servers[0].sent == ([] if silent else [(112, _VALUE)])
        assert case.client.core.parts[-1]._sends == [] == case.client.core.engine._exchanges
    # The caller's choice each time: by default it is repeated.
    case.world.datagrams = 0
    case.send("/3303/0/5700")
    case.world.run(100)
    assert case.world.datagrams == 5
    # A long one, in blocks; and with nobody who wants to know.
    case = _Case(False)
    case.sensor.set(0, 5701, "0123456789" * 200)
    assert case.client.send(["/3303/0/5701"], confirmable=False) == [1]
    case.world.run(2)
    assert b"0123456789" * 200 in case.servers[0].sent[0][1]


def test_a_server_has_four_to_answer_at_most():
    case = _Case(False, False)
    case.servers[0].silent = True
    for wanted in ([1, 2], [1, 2], [1, 2], [1, 2], [2], [2]):
        assert case.send("/3303/0/5700") == wanted
        case.world.run_ms(100)
    case.servers[0].silent = False
    assert case.world.run(20, lambda: len(case.told) == 10)
    assert len(case.servers[0].sent) == 4 and case.send("/3303/0/5700") == [1, 2]


def test_rights_and_what_the_server_knows():
    case = _Case(False, False)
    case.client.core.may = lambda account, oid, iid, operation: account.short_id == 1 or oid == 3
    assert case.send("/3303/0/5700", "/3/0/11/0") == [1, 2]
    assert case.send("/3303/0/5700") == [1]
    case.world.run(1)
    assert case.servers[1].sent == [(112, b"\x81\xa3\x21\x65/3/0/\x00\x6411/0\x02\x00")]
    # An instance that the server has not been told of yet.
    case.sensor.add(1, {5700: 1.0})
    assert case.send("/3303/1/5700") == []
    case.world.run(1)  # by an Update
    assert case.send("/3303/1/5700") == [1]


def test_a_long_one_goes_in_blocks():
    case = _Case(False)
    case.sensor.set(0, 5701, "0123456789" * 200)
    case.send("/3303/0/5701")
    case.world.run(2)
    assert case.told == [(1, 0x44, None)]
    assert b"0123456789" * 200 in case.servers[0].sent[0][1]


def test_wrong_arguments():
    case = _Case(False)
    for paths, words in (
        ([], "4.00 there are no paths to send"),
        (["3303/0"], "4.00 3303/0 is no path, such as /3303/0/5700"),
        ([""], "4.00  is no path, such as /3303/0/5700"),
        (["/"], "4.00 / is no path, such as /3303/0/5700"),
        (["/3303/x"], "4.00 /3303/x is no path, such as /3303/0/5700"),
        (["/3/0/1/2/3"], "4.00 /3/0/1/2/3 is no path, such as /3303/0/5700"),
        (["/3/0/16", "/9"], "4.04 /9 cannot be read"),
        (["/3/0/16", "/3303/7"], "4.04 /3303/7 cannot be read"),
        (["/0/0/0"], "4.01 /0/0/0 cannot be read"),
        (["/3303/0/5605"], "4.05 /3303/0/5605 cannot be read"),
    ):
        try:
            case.client.send(paths)
            raise AssertionError(paths)
        except ValueError as e:
            assert str(e) == words, e
    case.world.run(1)
    assert case.servers[0].sent == []
    old = _Case(False, version="1.0")
    try:
        old.client.send(["/3/0/16"])
        raise AssertionError
    except ValueError as e:
        assert str(e) == "5.01 LwM2M 1.0 has no Send"


def test_a_callback_that_raises():
    case = _Case(False)
    raised = []
    case.client.core.engine.on_exception = raised.append

    def fail(*args):
        raise KeyError

    case.client.send(["/3303/0/5700"], fail)
    case.world.run(1)
    assert len(raised) == 1
    assert case.send("/3303/0/5700") == [1]
    case.world.run(1)
    assert case.told == [(1, 0x44, None)]


def test_idle_takes_nothing():
    case = _Case(False)
    case.send("/3303/0/5700")
    case.world.run(1)
    case.send("/3303/0/5700")
    case.world.run(1)
    core = case.client.core
    assert core.next_ms(case.world.now()) > 10000


def test_a_session_that_the_server_does_not_know_any_more():
    # Nothing tells of it, so that an Update is to find out; without DTLS there is nothing to find out.
    for mode, confirmable, updates in ((0, True, 1), (0, False, 0), (3, True, 0)):
        case = _Case(False, mode=mode)
        collector = case.servers[0]
        collector.silent = True
        case.send("/3303/0/5700", confirmable=confirmable)
        assert case.world.run(100, lambda: case.told)
        assert case.told == [(1, 0xA3, "no answer")]
        collector.silent = False
        collector.paths()
        case.world.run(10)
        assert collector.paths() == ["POST /rd/1"] * updates, (mode, confirmable)
