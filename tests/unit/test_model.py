# What a registered server may do with objects (LwM2M 1.1 6.3), and the codes of what it may not.

from ucoap import DELETE, POST, PUT, Error
from lwm2m.model import (
    BOOL,
    FLOAT,
    INT,
    OBJLNK,
    OPAQUE,
    STR,
    TIME,
    UINT,
    E,
    M,
    MULTI,
    Object,
    R,
    W,
)
from lwm2m.text import arguments
import lwm2m
from world import Registrar, World, dump, encode, instances

TEXT = 0
LINK = 40
OCTETS = 42
TLV = 11542
OLD_TLV = 1542

_RESOURCES = (
    (0, STR | R | W | M)
    + (1, INT | R | W, 2, FLOAT | R, 3, BOOL | R | W, 4, OPAQUE | R | W, 5, TIME | R | W)
    + (6, OBJLNK | R | W, 7, INT | R | W | MULTI, 8, E, 9, STR | W, 10, UINT | R | W)
    + (11, INT | R, 12, OPAQUE | R | MULTI, 13, E, 14, INT | R | W, 15, FLOAT | W)
)


class _Case:
    """A client with objects 1000 and 1001, registered with a server."""

    def __init__(self):
        self.executed = []
        values = {0: "a", 1: 1, 2: 21.5, 3: True, 4: b"\x01\x02", 5: 1000, 6: (3, 0)}
        values.update({7: {0: 10, 2: 30}, 8: self.executed.append, 9: "w", 11: lambda: 42})
        values.update({12: {0: b"x"}, 14: lambda: 7})
        self.values = values
        self.obj = Object(1000, _RESOURCES, {0: dict(values)}, multiple=True)
        fixed = Object(1001, (0, INT | R, 1, INT | R | W), {0: {0: 1, 1: 2}}, version="1.1")
        self.world = World()
        self.server = Registrar(self.world)
        self.client = self.world.client()
        self.client.add_object(self.obj)
        self.client.add_object(fixed)
        self.client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
        assert self.world.run(5, lambda: self.server.location)
        self.world.run(1)
        self.world.story()
        self.server.paths()

    def reset(self):
        self.obj.instances = {0: dict(self.values)}

    def state(self):
        return {iid: dict(self.obj.instances[iid]) for iid in self.obj.instances}


# --- Read

_ALL = (  # of /1000/0, what is readable; by hand from the values above
    b"\xc1\x00a"
    b"\xc1\x01\x01"
    b"\xc4\x02\x41\xac\x00\x00"  # 21.5 is 1.34375 * 2**4
    b"\xc1\x03\x01"
    b"\xc2\x04\x01\x02"
    b"\xc2\x05\x03\xe8"
    b"\xc4\x06\x00\x03\x00\x00"
    b"\x86\x07\x41\x00\x0a\x41\x02\x1e"
    b"\xc1\x0b\x2a"
    b"\x83\x0c\x41\x00x"
    b"\xc1\x0e\x07"
)

_READS = (
    # path, Accept, response code, Content-Format, payload
    ("/1000/0/0", None, 0x45, TEXT, b"a"),
    ("/1000/0/0", TEXT, 0x45, TEXT, b"a"),
    ("/1000/0/0", TLV, 0x45, TLV, b"\xc1\x00a"),
    ("/1000/0/0", OLD_TLV, 0x45, OLD_TLV, b"\xc1\x00a"),
    ("/1000/0/0", OCTETS, 0x86, None, None),
    ("/1000/0/0", 60, 0x45, 60, b"\x61a"),
    ("/1000/0/0", 110, 0x45, 110, b'[{"bn":"/1000/0/","n":"0","vs":"a"}]'),
    ("/1000/0/0", 112, 0x45, 112, b"\x81\xa3\x21\x68/1000/0/\0\x610\3\x61a"),
    ("/1000/0/0", 11544, 0x45, 11544, b"\xbf\x82\x19\3\xe8\0\xbf\0\x61a\xff\xff"),
    ("/1000/0/0", 320, 0x86, None, None),
    ("/1000/0/0", 322, 0x86, None, None),
    ("/1000/0/0", 11543, 0x86, None, None),
    ("/1000/0/1", None, 0x45, TEXT, b"1"),
    ("/1000/0/2", None, 0x45, TEXT, b"21.5"),
    ("/1000/0/2", TLV, 0x45, TLV, b"\xc4\x02\x41\xac\x00\x00"),
    ("/1000/0/3", None, 0x45, TEXT, b"1"),
    ("/1000/0/4", None, 0x45, OCTETS, b"\x01\x02"),
    ("/1000/0/4", OCTETS, 0x45, OCTETS, b"\x01\x02"),
    ("/1000/0/4", TEXT, 0x45, TEXT, b"AQI="),  # base64 (LwM2M 1.1 7.4.1)
    ("/1000/0/5", None, 0x45, TEXT, b"1000"),
    ("/1000/0/6", None, 0x45, TEXT, b"3:0"),
    ("/1000/0/6", TLV, 0x45, TLV, b"\xc4\x06\x00\x03\x00\x00"),
    ("/1000/0/7", None, 0x45, TLV, b"\x86\x07\x41\x00\x0a\x41\x02\x1e"),
    ("/1000/0/7", TEXT, 0x86, None, None),
    ("/1000/0/7", 60, 0x86, None, None),
    (
        "/1000/0/7",
        110,
        0x45,
        110,
        b'[{"bn":"/1000/0/","n":"7/0","v":10},{"n":"7/2","v":30}]',
    ),
    ("/1000/0/7/2", None, 0x45, TEXT, b"30"),
    ("/1000/0/7/2", TLV, 0x45, TLV, b"\x41\x02\x1e"),
    ("/1000/0/7/1", None, 0x84, None, None),
    ("/1000/0/0/0", None, 0x85, None, None),  # of a single resource
    ("/1000/0/8", None, 0x85, None, None),  # executable
    ("/1000/0/13", None, 0x85, None, None),
    ("/1000/0/9", None, 0x85, None, None),  # for writing only
    ("/1000/0/10", None, 0x84, None, None),  # the instance does not have it
    ("/1000/0/99", None, 0x84, None, None),  # nor does the object
    ("/1000/0/11", None, 0x45, TEXT, b"42"),  # a function's
    ("/1000/0/12/0", None, 0x45, OCTETS, b"x"),
    ("/1000/0/12", OCTETS, 0x86, None, None),
    ("/1000/0", None, 0x45, TLV, _ALL),
    ("/1000/0", TLV, 0x45, TLV, _ALL),
    ("/1000/0", TEXT, 0x86, None, None),
    ("/1000/0", OCTETS, 0x86, None, None),
    ("/1000", None, 0x45, TLV, b"\x08\x00" + bytes([len(_ALL)]) + _ALL),
    ("/1000", 60, 0x86, None, None),
    ("/1000", 11543, 0x86, None, None),
    ("/1000/1", None, 0x84, None, None),
    ("/1000/1/0", None, 0x84, None, None),
    ("/1001", None, 0x45, TLV, b"\x06\x00\xc1\x00\x01\xc1\x01\x02"),
    ("/2000", None, 0x84, None, None),
    ("/2000/0/0", None, 0x84, None, None),
    # What is no path of LwM2M.
    ("/rd", None, 0x85, None, None),
    ("/1000/x", None, 0x85, None, None),
    ("/1000/-1", None, 0x85, None, None),
    ("/1000/0/0/0/0", None, 0x85, None, None),
    ("/65535", None, 0x85, None, None),
    ("/65536/0", None, 0x85, None, None),
    ("/100000000000000000000", None, 0x85, None, None),
    ("/", None, 0x85, None, None),
    # The Security object is a bootstrap server's alone (LwM2M 1.1 E.1).
    ("/0", None, 0x81, None, None),
    ("/0/0", None, 0x81, None, None),
    ("/0/0/0", None, 0x81, None, None),
    ("/0/0/5", OCTETS, 0x81, None, None),
    ("/0/7", None, 0x81, None, None),
    ("/0", LINK, 0x81, None, None),
    ("/21", None, 0x81, None, None),
    ("/21/0/1", None, 0x81, None, None),
    # The Server object: 300 is 0x012c.
    ("/1/0", None, 0x45, TLV, b"\xc1\x00\x01\xc2\x01\x01\x2c\xc1\x06\x01\xc1\x07U\xc1\x17\x00"),
    ("/1/0/1", None, 0x45, TEXT, b"300"),
    ("/1/0/6", None, 0x45, TEXT, b"1"),
    ("/1/0/8", None, 0x85, None, None),
    ("/1/0/16", None, 0x84, None, None),
)


def test_read():
    case = _Case()
    for path, accept, code, format, payload in _READS:
        answer = case.server.read(path, accept)
        assert answer.code == code, (path, accept, answer.code, answer.payload)
        if code == 0x45:
            assert (answer.format, answer.payload) == (format, payload), (path, accept)
        else:
            assert answer.format is None


def test_read_events():
    case = _Case()
    case.server.read("/1000/0/0")
    case.server.read("/1000")
    case.server.read("/1000/0/99")
    case.server.read("/1000", LINK)
    read = [e.path for _, e in case.world.events if e.type == lwm2m.EVENT_READ]
    assert read == [(1000, 0, 0), (1000,)]


def test_read_not_operable():
    # /1/x/13 to 20 are not operable by a server in version 1.1 of the object.
    case = _Case()
    case.client.set_server(1, {13: 1, 14: 2, 15: False, 16: True, 17: 5, 18: 60, 19: 86400, 20: 1})
    for rid in range(13, 21):
        assert case.server.read("/1/0/%d" % rid).code == 0x85
        assert case.server.ask(PUT, "/1/0/%d" % rid, b"1", TEXT).code == 0x85
    assert case.server.read("/1/0").payload == _READS[-5][4]


def test_read_device():
    case = _Case()
    server = case.server
    assert server.read("/3/0/0").text == "MicroPython"
    assert server.read("/3/0/16").text == "U"
    assert int(server.read("/3/0/10").text) * 1024 <= int(server.read("/3/0/21").text) * 1024
    assert int(server.read("/3/0/13").text) > 1700000000
    assert server.read("/3/0/11").payload == b"\x83\x0b\x41\x00\x00"
    assert server.read("/3/0/2").code == 0x84  # nobody has told its serial number
    # Current Time is set, and goes on.
    assert server.ask(PUT, "/3/0/13", b"1000000000", TEXT).code == 0x44
    assert 1000000000 <= int(server.read("/3/0/13").text) < 1000000100
    assert server.ask(PUT, "/3/0/14", b"+02:00", TEXT).code == 0x44
    assert server.read("/3/0/14").text == "+02:00"
    # Reset Error Code empties the list to one 0.
    case.client.core.objects[3].set(0, 11, {0: 7, 1: 8})
    assert server.read("/3/0/11").payload == b"\x86\x0b\x41\x00\x07\x41\x01\x08"
    assert server.execute("/3/0/12").code == 0x44
    assert server.read("/3/0/11").payload == b"\x83\x0b\x41\x00\x00"


# --- Discover

_DISCOVERS = (
    (
        "/1000",
        (
            "</1000>,</1000/0>,</1000/0/0>,</1000/0/1>,</1000/0/2>,</1000/0/3>,</1000/0/4>,"
            "</1000/0/5>,</1000/0/6>,</1000/0/7>;dim=2,</1000/0/8>,</1000/0/9>,</1000/0/11>,"
            "</1000/0/12>;dim=1,</1000/0/14>"
        ),
    ),
    ("/1001", "</1001>;ver=1.1,</1001/0>,</1001/0/0>,</1001/0/1>"),
    ("/1001/0", "</1001/0>,</1001/0/0>,</1001/0/1>"),
    ("/1000/0/0", "</1000/0/0>"),
    ("/1000/0/8", "</1000/0/8>"),
    ("/1000/0/7", "</1000/0/7>;dim=2,</1000/0/7/0>,</1000/0/7/2>"),
    (
        "/1/0",
        ("</1/0>,</1/0/0>,</1/0/1>,</1/0/4>,</1/0/6>,</1/0/7>,</1/0/8>,</1/0/9>,</1/0/23>"),
    ),
)


def test_discover():
    case = _Case()
    for path, text in _DISCOVERS:
        answer = case.server.read(path, LINK)
        assert (answer.code, answer.format, answer.text) == (0x45, LINK, text), answer.text
    for path, code in (
        ("/1000/0/10", 0x84),
        ("/1000/0/13", 0x84),  # executable, but nothing is there to be executed
        ("/1000/0/99", 0x84),
        ("/1000/1", 0x84),
        ("/2000", 0x84),
        ("/1000/0/7/0", 0x85),
        ("/", 0x85),
    ):
        assert case.server.read(path, LINK).code == code, path


# --- Write

_WRITES = (
    # method, path, Content-Format, payload, response code, {resource id: new value}
    (PUT, "/1000/0/0", TEXT, b"b", 0x44, {0: "b"}),
    (PUT, "/1000/0/0", None, b"b", 0x44, {0: "b"}),
    (PUT, "/1000/0/0", TEXT, b"", 0x44, {0: ""}),
    (PUT, "/1000/0/0", TEXT, b"\xc3\xa9", 0x44, {0: "\u00e9"}),
    (PUT, "/1000/0/0", TEXT, b"\xff", 0x80, {}),
    (PUT, "/1000/0/0", TLV, b"\xc1\x00b", 0x44, {0: "b"}),
    (PUT, "/1000/0/0", OLD_TLV, b"\xc1\x00b", 0x44, {0: "b"}),
    (PUT, "/1000/0/0", TLV, b"", 0x80, {}),
    (PUT, "/1000/0/0", TLV, b"\xc1\x01\x05", 0x80, {}),  # another resource
    (PUT, "/1000/0/0", TLV, b"\xc1\x00b\xc1\x01\x05", 0x80, {}),  # that too
    (PUT, "/1000/0/0", TLV, b"\x03\x00\xc1\x00b", 0x80, {}),  # an instance
    (PUT, "/1000/0/0", TLV, b"\xc2\x00b", 0x80, {}),  # cut
    (PUT, "/1000/0/0", OCTETS, b"b", 0x8F, {}),
    (PUT, "/1000/0/0", 60, b"\x61b", 0x44, {0: "b"}),
    (PUT, "/1000/0/0", 60, b"\x61bc", 0x80, {}),
    (PUT, "/1000/0/0", 60, b"\5", 0x80, {}),
    (PUT, "/1000/0/0", 110, b'[{"n":"/1000/0/0","vs":"b"}]', 0x44, {0: "b"}),
    (PUT, "/1000/0/0", 112, b"\x81\xa2\0\x69/1000/0/0\3\x61b", 0x44, {0: "b"}),
    (PUT, "/1000/0/0", 11544, b"\xa1\x83\x19\3\xe8\0\0\x61b", 0x44, {0: "b"}),
    (PUT, "/1000/0/0", 110, b"[]", 0x80, {}),
    (PUT, "/1000/0/0", 110, b'[{"n":"/1000/0/1","v":5}]', 0x80, {}),
    (PUT, "/1000/0/0", 110, b'[{"n":"/1000/0/0"}]', 0x80, {}),
    (PUT, "/1000/0/0", 320, b'[{"n":"/1000/0/0","vs":"b"}]', 0x8F, {}),
    (PUT, "/1000/0/0", 322, b"\x81\xa2\0\x69/1000/0/0\3\x61b", 0x8F, {}),
    (PUT, "/1000/0/0", 11543, b'{"e":[{"n":"/1000/0/0","sv":"b"}]}', 0x8F, {}),
    (PUT, "/1000/0/7", 60, b"\5", 0x8F, {}),
    (PUT, "/1000/0/7/2", 60, b"\5", 0x44, {7: {0: 10, 2: 5}}),
    (PUT, "/1000/0/7", 110, b'[{"n":"/1000/0/7/1","v":5}]', 0x44, {7: {1: 5}}),
    (PUT, "/1000/0/7", 110, b'[{"n":"/1000/0/7/1"}]', 0x80, {}),
    (POST, "/1000/0", 60, b"\5", 0x8F, {}),
    (
        POST,
        "/1000/0",
        110,
        b'[{"bn":"/1000/0/","n":"1","v":5},{"n":"7/1","v":6}]',
        0x44,
        {1: 5, 7: {0: 10, 1: 6, 2: 30}},
    ),
    (POST, "/1000/0", 110, b'[{"n":"/1000/0/1","v":5},{"n":"/1000/0/11","v":6}]', 0x85, {}),
    (POST, "/1000/0", 110, b'[{"n":"/1000/0/1","v":5},{"n":"/1000/0/8","v":6}]', 0x85, {}),
    (POST, "/1000/0", 110, b'[{"n":"/1000/0/1","v":5},{"n":"/1000/0/14","vs":"6"}]', 0x80, {}),
    (POST, "/1000/0", 110, b'[{"n":"/1000/0/1","v":5},{"n":"/1000/0/999","v":6}]', 0x44, {1: 5}),
    (POST, "/1000/0", TLV, b"\xc1\x01\5\xc1\x01\6", 0x80, {}),  # twice
    (PUT, "/1000/0/0", LINK, b"b", 0x8F, {}),
    (PUT, "/1000/0/1", TEXT, b"-5", 0x44, {1: -5}),
    (PUT, "/1000/0/1", TEXT, b"-9223372036854775808", 0x44, {1: -1 << 63}),
    (PUT, "/1000/0/1", TEXT, b"9223372036854775808", 0x80, {}),
    (PUT, "/1000/0/1", TEXT, b"-9223372036854775809", 0x80, {}),
    (PUT, "/1000/0/1", TEXT, b"x", 0x80, {}),
    (PUT, "/1000/0/1", TEXT, b"1.5", 0x80, {}),
    (PUT, "/1000/0/1", TEXT, b"", 0x80, {}),
    (PUT, "/1000/0/1", TLV, b"\xc2\x01\xff\x7f", 0x44, {1: -129}),
    (PUT, "/1000/0/1", TLV, b"\xc3\x01\0\0\0", 0x80, {}),
    # What int() and a2b_base64() would take, and is no value (issue 9 B6).
    (PUT, "/1000/0/1", TEXT, b" 7 ", 0x80, {}),
    (PUT, "/1000/0/1", TEXT, b"1_000", 0x80, {}),
    (PUT, "/1000/0/1", TEXT, b"+5", 0x80, {}),
    (PUT, "/1000/0/1", TEXT, b"0x10", 0x80, {}),
    (PUT, "/1000/0/1", TEXT, b"7\n", 0x80, {}),
    (PUT, "/1000/0/1", TEXT, "\u0667".encode(), 0x80, {}),
    (PUT, "/1000/0/15", TEXT, b"-1.5e3", 0x44, {15: -1500.0}),
    (PUT, "/1000/0/15", TEXT, b"7", 0x44, {15: 7.0}),
    (PUT, "/1000/0/15", TEXT, b"nan", 0x80, {}),
    (PUT, "/1000/0/15", TEXT, b"inf", 0x80, {}),
    (PUT, "/1000/0/15", TEXT, b"-infinity", 0x80, {}),
    (PUT, "/1000/0/15", TEXT, b"1e400", 0x80, {}),
    (PUT, "/1000/0/15", TEXT, b" 1.5", 0x80, {}),
    (PUT, "/1000/0/15", TEXT, b"1_0.5", 0x80, {}),
    (PUT, "/1000/0/15", TEXT, b"+1.5", 0x80, {}),
    (PUT, "/1000/0/4", TEXT, b"!!!!", 0x80, {}),
    (PUT, "/1000/0/4", TEXT, b"A AAA", 0x80, {}),
    (PUT, "/1000/0/4", TEXT, b"AAEC/w==junk", 0x80, {}),
    (PUT, "/1000/0/4", TEXT, b"AAEC/w==", 0x44, {4: b"\0\x01\x02\xff"}),
    (PUT, "/1000/0/4", TEXT, b"AAEC/x==", 0x80, {}),  # bits that belong to nothing
    (PUT, "/1000/0/6", TEXT, b"3: 1", 0x80, {}),
    (PUT, "/1000/0/6", TEXT, b"+3:1", 0x80, {}),
    (PUT, "/1000/0/3", TEXT, b"0", 0x44, {3: False}),
    (PUT, "/1000/0/3", TEXT, b"2", 0x80, {}),
    (PUT, "/1000/0/3", TEXT, b"-1", 0x80, {}),
    (PUT, "/1000/0/3", TEXT, b"true", 0x80, {}),
    (PUT, "/1000/0/3", TLV, b"\xc1\x03\x02", 0x80, {}),
    (PUT, "/1000/0/4", OCTETS, b"\xff\x00", 0x44, {4: b"\xff\x00"}),
    (PUT, "/1000/0/4", TEXT, b"/wA=", 0x44, {4: b"\xff\x00"}),
    (PUT, "/1000/0/4", TEXT, b"/wA", 0x80, {}),
    (PUT, "/1000/0/5", TEXT, b"1700000000", 0x44, {5: 1700000000}),
    (PUT, "/1000/0/6", TEXT, b"3:1", 0x44, {6: (3, 1)}),
    (PUT, "/1000/0/6", TEXT, b"3", 0x80, {}),
    (PUT, "/1000/0/6", TEXT, b"3:x", 0x80, {}),
    (PUT, "/1000/0/6", TEXT, b"65536:0", 0x80, {}),
    (PUT, "/1000/0/6", TEXT, b"0:-1", 0x80, {}),
    (PUT, "/1000/0/6", TLV, b"\xc4\x06\xff\xff\xff\xff", 0x44, {6: (65535, 65535)}),
    (PUT, "/1000/0/10", TEXT, b"200", 0x44, {10: 200}),  # it was not there before
    (PUT, "/1000/0/10", TLV, b"\xc1\x0a\xc8", 0x44, {10: 200}),
    (PUT, "/1000/0/10", TEXT, b"18446744073709551615", 0x44, {10: (1 << 64) - 1}),
    (PUT, "/1000/0/10", TEXT, b"18446744073709551616", 0x80, {}),
    (PUT, "/1000/0/10", TEXT, b"-1", 0x80, {}),
    (PUT, "/1000/0/9", TEXT, b"v", 0x44, {9: "v"}),
    # Multiple resources: PUT replaces all instances, POST and a path to one keep the others.
    (PUT, "/1000/0/7", TLV, b"\x83\x07\x41\x01\x05", 0x44, {7: {1: 5}}),
    (PUT, "/1000/0/7", TLV, b"\x80\x07", 0x44, {7: {}}),
    (POST, "/1000/0/7", TLV, b"\x83\x07\x41\x01\x05", 0x44, {7: {0: 10, 1: 5, 2: 30}}),
    (PUT, "/1000/0/7", TLV, b"\xc1\x07\x05", 0x80, {}),
    (PUT, "/1000/0/7", TEXT, b"5", 0x8F, {}),
    (PUT, "/1000/0/7/2", TEXT, b"31", 0x44, {7: {0: 10, 2: 31}}),
    (PUT, "/1000/0/7/2", TLV, b"\x41\x02\x07", 0x44, {7: {0: 10, 2: 7}}),
    (PUT, "/1000/0/7/2", TLV, b"\x41\x04\x07", 0x80, {}),
    (PUT, "/1000/0/7/2", TLV, b"\xc1\x02\x07", 0x80, {}),
    (PUT, "/1000/0/7/5", TLV, b"\x41\x05\x07", 0x84, {}),  # one that is not there
    (PUT, "/1000/0/0/0", TLV, b"\x41\x00\x07", 0x85, {}),  # nor can be
    (PUT, "/1000/0/0/0", TEXT, b"x", 0x85, {}),
    (PUT, "/1000/0/9/3", TEXT, b"x", 0x85, {}),
    (PUT, "/1000/0/7/2", OCTETS, b"\x07", 0x8F, {}),
    # Refusals by what the resource is.
    (PUT, "/1000/0/2", TEXT, b"1", 0x85, {}),
    (PUT, "/1000/0/8", TEXT, b"1", 0x85, {}),
    (PUT, "/1000/0/11", TEXT, b"1", 0x85, {}),
    (PUT, "/1000/0/12/0", OCTETS, b"1", 0x85, {}),
    (PUT, "/1000/0/14", TEXT, b"1", 0x85, {}),  # writable, but a function's value
    (PUT, "/1000/0/99", TEXT, b"1", 0x84, {}),
    (PUT, "/1000/1/0", TEXT, b"1", 0x84, {}),
    (PUT, "/1000/1", TLV, b"\xc1\x00b", 0x84, {}),
    (PUT, "/2000/0/0", TEXT, b"1", 0x84, {}),
    (POST, "/1000/0/0", TEXT, b"1", 0x85, {}),  # POST on a single resource is Execute
    (PUT, "/1000", TLV, b"\x03\x00\xc1\x00b", 0x85, {}),
    (PUT, "/", TLV, b"", 0x85, {}),
    (PUT, "/0/0/0", TEXT, b"coap://x", 0x81, {}),
    (PUT, "/0/0", TLV, b"\xc1\x00b", 0x81, {}),
    (POST, "/0", TLV, b"\xc1\x00b", 0x81, {}),
    # An instance, partial update: only what is sent changes.
    (POST, "/1000/0", TLV, b"\xc1\x01\x09", 0x44, {1: 9}),
    (POST, "/1000/0", TLV, b"\x03\x00\xc1\x01\x09", 0x44, {1: 9}),
    (POST, "/1000/0", TLV, b"\x83\x07\x41\x01\x05", 0x44, {7: {0: 10, 1: 5, 2: 30}}),
    (POST, "/1000/0", TLV, b"", 0x44, {}),
    (POST, "/1000/0", TLV, b"\x03\x01\xc1\x01\x09", 0x80, {}),  # another instance's
    (POST, "/1000/0", TLV, b"\x03\x00\xc1\x01\x09\x03\x01\xc1\x01\x09", 0x80, {}),
    (POST, "/1000/0", TEXT, b"9", 0x8F, {}),
    (POST, "/1000/0", None, b"\xc1\x01\x09", 0x80, {}),  # no Content-Format
    (POST, "/1000/0", TEXT, b"", 0x8F, {}),
    # All or nothing: the first resource of each could have been written.
    (POST, "/1000/0", TLV, b"\xc1\x01\x09\xc4\x02\0\0\0\0", 0x85, {}),
    (POST, "/1000/0", TLV, b"\xc1\x01\x09\xc1\x08\x01", 0x85, {}),
    (POST, "/1000/0", TLV, b"\xc1\x01\x09\xc1\x0e\x01", 0x85, {}),
    (POST, "/1000/0", TLV, b"\xc1\x01\x09\xc1\x03\x07", 0x80, {}),
    (POST, "/1000/0", TLV, b"\xc1\x01\x09\xc1", 0x80, {}),
    # What the object does not have is left out (LwM2M 1.1 6.3.3).
    (POST, "/1000/0", TLV, b"\xc1\x01\x09\xc1\x63\x01", 0x44, {1: 9}),
    (POST, "/1000/0", TLV, b"\xc1\x01\x09\x83\x63\x41\x00\x01", 0x44, {1: 9}),
)


def test_write():
    case = _Case()
    for method, path, format, payload, code, changes in _WRITES:
        case.reset()
        wanted = dict(case.values)
        wanted.update(changes)
        answer = case.server.ask(method, path, payload, format)
        assert answer.code == code, (path, payload, answer.code, answer.text)
        assert case.state() == {0: wanted}, (path, payload, case.state())


def test_write_replace():
    # PUT on an instance: writable resources that are not sent go, unless they are the application's
    # own functions; what is not writable stays; a mandatory one must be sent.
    case = _Case()
    answer = case.server.ask(PUT, "/1000/0", encode({1: 9}), TLV)
    assert (answer.code, answer.text) == (0x80, "resource 0 is missing")
    assert case.state() == {0: case.values}
    answer = case.server.ask(PUT, "/1000/0", encode({0: "z", 1: 9}), TLV)
    assert answer.code == 0x44
    wanted = {0: "z", 1: 9}
    for rid in (2, 8, 11, 12, 14):
        wanted[rid] = case.values[rid]
    assert case.state() == {0: wanted}
    # A multiple resource is replaced with it.
    case.reset()
    assert case.server.ask(PUT, "/1000/0", b"\xc1\x00z\x83\x07\x41\x05\x01", TLV).code == 0x44
    assert case.state()[0][7] == {5: 1} and case.state()[0][0] == "z"


def test_write_is_checked_before_and_told_afterwards():
    # on_check may refuse, in words, and then nothing is stored, and on_write hears nothing of it.
    case = _Case()
    checked = []
    written = []

    def on_check(iid, values):
        checked.append((iid, dict(values)))
        if values.get(1) == 13:
            raise Error(0x80, "not thirteen")

    def on_write(iid, values):
        written.append((iid, dict(values)))
        if 1 in values:
            assert case.obj.instances[iid][1] == values[1]  # it is there by now

    case.obj.on_check = on_check
    case.obj.on_write = on_write
    assert case.server.ask(PUT, "/1000/0/1", b"12", TEXT).code == 0x44
    answer = case.server.ask(POST, "/1000/0", encode({0: "x", 1: 13}), TLV)
    assert (answer.code, answer.text) == (0x80, "not thirteen")
    # All of a write in one call.
    assert case.server.ask(POST, "/1000/0", encode({0: "a", 1: 12}), TLV).code == 0x44
    # A function's value is the owner's to set.
    assert case.server.ask(PUT, "/1000/0/14", b"5", TEXT).code == 0x44
    assert written == [(0, {1: 12}), (0, {0: "a", 1: 12}), (0, {14: 5})]
    assert checked == [(0, {1: 12}), (0, {0: "x", 1: 13}), (0, {0: "a", 1: 12}), (0, {14: 5})]
    # Nor is an instance made that is refused.
    assert case.server.ask(POST, "/1000", instances({3: {0: "x", 1: 13}}), TLV).code == 0x80
    assert case.server.ask(POST, "/1000", instances({3: {0: "x", 1: 14}}), TLV).code == 0x41
    assert sorted(case.state()) == [0, 3] and written[3:] == [(3, {0: "x", 1: 14})]
    assert case.state()[0][0] == "a" and case.state()[0][1] == 12 and callable(case.state()[0][14])


def test_write_server_object():
    case = _Case()
    case.server.ask(PUT, "/1/0/2", b"1", TEXT)
    before = dump(case.client)
    for path, value, code in (
        ("/1/0/0", b"2", 0x85),
        ("/1/0/1", b"-1", 0x80),
        ("/1/0/2", b"-1", 0x80),
        ("/1/0/3", b"-1", 0x80),
        ("/1/0/5", b"-1", 0x80),
        ("/1/0/7", b"T", 0x80),
        ("/1/0/4", b"", 0x85),
        ("/3/0/0", b"x", 0x85),
    ):
        assert case.server.ask(PUT, path, value, TEXT).code == code, path
    assert dump(case.client) == before
    assert case.server.ask(PUT, "/1/0/3", b"60", TEXT).code == 0x44
    changed = [e for _, e in case.world.events if e.type == lwm2m.EVENT_SERVER_SETTING_CHANGED]
    assert [(e.short_id, e.path, e.value) for e in changed] == [
        (1, (1, 0, 2), 1),
        (1, (1, 0, 3), 60),
    ]


# --- Execute


def test_execute():
    case = _Case()
    assert case.server.execute("/1000/0/8").code == 0x44
    assert case.server.execute("/1000/0/8", b"0='on'").code == 0x44
    assert case.executed == [b"", b"0='on'"]
    for path, code in (
        ("/1000/0/13", 0x84),
        ("/1000/0/0", 0x85),
        ("/1000/0/8/0", 0x85),
        ("/1000/1/8", 0x84),
        ("/1000/0/99", 0x84),
        ("/0/0/5", 0x81),
    ):
        assert case.server.execute(path).code == code, path
    called = []
    case.obj.on_execute = lambda iid, rid, argument: called.append((iid, rid, argument))
    assert case.server.execute("/1000/0/13", b"1").code == 0x44
    assert called == [(0, 13, b"1")]
    assert case.server.read("/1000/0/13", LINK).text == "</1000/0/13>"


# What stands in LwM2M 1.1 6.3.5: arg *("," arg), a digit, or a digit and ='value'.
ARGUMENTS = [
    (b"", {}),
    (b"0", {0: b""}),
    (b"5='a'", {5: b"a"}),
    (b"0,1='',9='x,1=y!'", {0: b"", 1: b"", 9: b"x,1=y!"}),
    (b"0='http://www.example.org/?a=[1]'", {0: b"http://www.example.org/?a=[1]"}),
    (b"2,1", {2: b"", 1: b""}),
    (b",", None),
    (b"0,", None),
    (b"0,,1", None),
    (b"10", None),
    (b"a", None),
    (b"0=", None),
    (b"0=x", None),
    (b"0='", None),
    (b"0='a", None),
    (b"0='ab", None),
    (b"0='a'b", None),
    (b"0='a' ,1", None),
    (b"0='a''", None),
    (b"0='a b'", None),
    (b"0='a\"'", None),
    (b"0='a\\'", None),
    (b"0='\xc3\xa4'", None),
    (b"0='\x00'", None),
    (b"1,1", None),
    (b"\xff", None),
    (b" 0", None),
]


def test_arguments_of_execute():
    case = _Case()
    for data, found in ARGUMENTS:
        answer = case.server.execute("/1000/0/8", data)
        assert answer.code == (0x80 if found is None else 0x44), data
        if found is None:
            assert answer.text == "no arguments of an Execute"
        else:
            assert arguments(data) == found
    assert case.executed == [data for data, found in ARGUMENTS if found is not None]
    # In another format than text they are not looked at (4.15).
    assert case.server.ask(POST, "/1000/0/8", b"0", TLV).code == 0x8F


def test_execute_that_fails():
    case = _Case()
    reported = []
    case.client.core.engine.on_exception = reported.append

    def refuse(argument):
        raise Error(0x80, "not now")

    def fail(argument):
        raise RuntimeError("a bug")

    case.obj.instances[0][8] = refuse
    answer = case.server.execute("/1000/0/8")
    assert (answer.code, answer.text) == (0x80, "not now")
    case.obj.instances[0][8] = fail
    assert case.server.execute("/1000/0/8").code == 0xA0
    assert [e.args for e in reported] == [("a bug",)]


# --- Create and Delete


def test_create():
    case = _Case()
    server = case.server
    answer = server.ask(POST, "/1000", instances({5: {0: "e", 1: 2}}), TLV)
    assert (answer.code, answer.location) == (0x41, "/1000/5")
    answer = server.ask(POST, "/1000", encode({0: "f"}), TLV)  # the client chooses the id
    assert (answer.code, answer.location) == (0x41, "/1000/1")
    state = case.state()
    assert sorted(state) == [0, 1, 5] and state[5] == {0: "e", 1: 2} and state[1] == {0: "f"}
    # What the object does not have is left out.
    assert server.ask(POST, "/1000", instances({7: {0: "x", 99: 1}}), TLV).code == 0x41
    assert case.state()[7] == {0: "x"}
    case.obj.remove(7)
    created = [
        e.path for _, e in case.world.events if e.type == lwm2m.EVENT_OBJECT_INSTANCE_CREATED
    ]
    assert created == [(1000, 5), (1000, 1), (1000, 7)]
    for path, format, payload, code in (
        ("/1000", TLV, instances({5: {0: "x"}}), 0x80),  # is there
        ("/1000", TLV, instances({7: {1: 2}}), 0x80),  # resource 0 is mandatory
        ("/1000", TLV, encode({1: 2}), 0x80),
        ("/1000", TLV, b"", 0x80),
        ("/1000", None, b"", 0x80),
        ("/1000", TLV, instances({7: {0: "x"}, 8: {1: 1}}), 0x80),  # one of them is at fault
        ("/1000", TLV, instances({7: {0: "x"}, 5: {0: "y"}}), 0x80),
        ("/1000", None, instances({7: {0: "x"}}), 0x80),  # no Content-Format
        ("/1000", TEXT, b"", 0x8F),
        ("/1000", TLV, instances({65535: {0: "x"}}), 0x80),
        ("/1000", TLV, instances({7: {0: "x", 1: b"\0\0\0"}}), 0x80),
        ("/1000", TEXT, b"x", 0x8F),
        ("/1001", TLV, instances({1: {0: 1}}), 0x85),
        ("/1", TLV, instances({1: {0: 2, 1: 3, 6: True, 7: "U"}}), 0x85),
        ("/3", TLV, instances({1: {16: "U"}}), 0x85),
        ("/2000", TLV, instances({0: {0: "x"}}), 0x84),
        ("/0", TLV, instances({1: {0: "coap://x"}}), 0x81),
    ):
        answer = server.ask(POST, path, payload, format)
        assert answer.code == code, (path, payload, answer.code)
    assert case.state() == state


def test_b5_create_several_and_what_is_not_the_server_s():
    case = _Case()
    answer = case.server.ask(POST, "/1000", instances({7: {0: "x"}, 8: {0: "y", 1: 2}}), TLV)
    assert (answer.code, answer.location) == (0x41, "/")
    assert case.state()[7] == {0: "x"} and case.state()[8] == {0: "y", 1: 2}
    # A read-only resource is the application's to set: what is sent for it is not stored.
    answer = case.server.ask(POST, "/1000", instances({9: {0: "x", 11: 5}}), TLV)
    assert answer.code == 0x41 and case.state()[9] == {0: "x"}

    # on_check may give what the server has not.
    def on_check(iid, values):
        values.setdefault(0, "default")
        values[11] = 42

    case.obj.on_check = on_check
    assert case.server.ask(POST, "/1000", instances({10: {1: 1}}), TLV).code == 0x41
    assert case.state()[10] == {0: "default", 1: 1, 11: 42}


def test_create_without_mandatory():
    case = _Case()
    case.client.add_object(Object(1002, (0, STR | R | W), multiple=True))
    case.world.run(1)
    answer = case.server.ask(POST, "/1002")
    assert (answer.code, answer.location) == (0x41, "/1002/0")


def test_delete():
    case = _Case()
    server = case.server
    for path, code in (
        ("/1000", 0x85),
        ("/1000/0/0", 0x85),
        ("/1000/9", 0x84),
        ("/1001/0", 0x85),
        ("/1/0", 0x85),
        ("/3/0", 0x85),
        ("/", 0x85),
        ("/0", 0x81),
        ("/0/0", 0x81),
    ):
        assert server.ask(DELETE, path).code == code, path
    assert sorted(case.state()) == [0]
    assert server.ask(DELETE, "/1000/0").code == 0x42
    assert case.state() == {}
    gone = [e.path for _, e in case.world.events if e.type == lwm2m.EVENT_OBJECT_INSTANCE_DELETED]
    assert gone == [(1000, 0)]


def test_other_methods():
    case = _Case()
    for code in (5, 6, 7, 8, 31):  # FETCH, PATCH, iPATCH (RFC 8132), and codes of nothing
        assert case.server.ask(code, "/1000/0").code == 0x85
        assert case.server.ask(code, "/1000/0/0").code == 0x85


def test_c3_a_body_that_would_be_refused_takes_no_place():
    # RFC 7959: the first of several blocks, to what cannot be written, is answered at once.
    case = _Case()
    block = ((27, 0x0E),)  # Block1: number 0, more follow, 1,024 bytes
    for path, code in (
        ("/nothing", 0x85),
        ("/2000/0/0", 0x84),
        ("/1000/0/2", 0x85),
        ("/0/0/5", 0x81),
        ("/1000/0/4", 0x5F),  # 2.31 Continue
    ):
        answer = case.server.ask(PUT, path, bytes(1024), OCTETS, more=block)
        assert answer.code == code, (path, answer.code)
        assert bool(case.client.core.engine.incoming) == (code == 0x5F)


def test_long_values_in_blocks():
    # RFC 7959: more than a datagram holds, written and read.
    case = _Case()
    data = bytes(i & 0xFF for i in range(3000))
    assert case.server.ask(PUT, "/1000/0/4", data, OCTETS).code == 0x44
    assert case.state()[0][4] == data
    assert case.server.read("/1000/0/4").payload == data


def test_object_of_an_application():
    obj = Object(1002, (0, INT | R), {0: {0: 1}})
    for f in (lambda: obj.add(0, {}), lambda: obj.set(0, 9, 1), lambda: Object(1, (0, INT, 1))):
        try:
            f()
        except ValueError as e:
            assert e.args[0]
        else:
            raise AssertionError("nothing was raised")
    changes = []
    obj.on_change = lambda *change: changes.append(change)
    obj.add(1, {0: 5})
    obj.set(1, 0, 6)
    assert obj.get(1, 0) == 6 and obj.get(1, 9, "none") == "none"
    obj.remove(1)
    assert changes == [(1002, 1, -1), (1002, 1, 0), (1002, 1, -1)]
