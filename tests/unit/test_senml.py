# SenML (RFC 8428) in JSON and in CBOR: packs and their meaning, in both directions, by hand.
# heapsize: 1M

from binascii import hexlify

from examples import DEVICE_VALUES
from format_cases import code_of, octets
import lwm2m.management as management
import lwm2m.model as model
import lwm2m.senml_cbor as senml_cbor
import lwm2m.senml_json as senml_json
from lwm2m.model import BOOL, FLOAT, INT, MULTI, OBJLNK, OPAQUE, STR, TIME, UINT, R, W

JSON, CBOR, ETCH_JSON, ETCH_CBOR = 110, 112, 320, 322
_MODULES = {
    JSON: senml_json,
    CBOR: senml_cbor,
    ETCH_JSON: senml_json,
    ETCH_CBOR: senml_cbor,
}


# Each value in a record of its own, at /9/0/1: what stands behind the name in JSON, and the label and
# the value in CBOR.
_VALUES = (
    (STR, "", '"vs":""', "03 60"),
    (STR, "Gr\u00fc\u00dfe", '"vs":"Gr\u00fc\u00dfe"', "03 67 4772c3bcc39f65"),
    (STR, 'a"b\\\n', '"vs":"a\\"b\\\\\\n"', "03 65 6122625c0a"),
    (INT, 0, '"v":0', "02 00"),
    (INT, -1, '"v":-1', "02 20"),
    (INT, 9007199254740993, '"v":9007199254740993', "02 1b 0020000000000001"),
    (INT, -9223372036854775808, '"v":-9223372036854775808', "02 3b 7fffffffffffffff"),
    (UINT, 18446744073709551615, '"v":18446744073709551615', "02 1b ffffffffffffffff"),
    (FLOAT, 21.5, '"v":21.5', "02 f9 4d60"),
    (FLOAT, 0.1, '"v":0.1', "02 fb 3fb999999999999a"),
    (FLOAT, -100000.0, '"v":-100000.0', "02 fa c7c35000"),
    (BOOL, True, '"vb":true', "04 f5"),
    (BOOL, False, '"vb":false', "04 f4"),
    (OPAQUE, b"", '"vd":""', "08 40"),
    (OPAQUE, b"\xfb\xff", '"vd":"-_8"', "08 42 fbff"),
    (OPAQUE, b"foob", '"vd":"Zm9vYg"', "08 44 666f6f62"),  # RFC 4648 10, without padding
    (TIME, 1367491215, '"v":1367491215', "02 1a 5182428f"),
    (OBJLNK, (66, 0), '"vlo":"66:0"', "63 766c6f 64 36363a30"),
    (OBJLNK, (65535, 65535), '"vlo":"65535:65535"', "63 766c6f 6b 36353533353a3635353335"),
)

# Other ways to write one, which are to be read.
_JSON_READ = (
    (STR, "\u20ac", '"vs":"\\u20aC"'),
    (STR, chr(0x1D11E), '"vs":"\\uD834\\udd1e"'),  # RFC 8259 7
    (STR, '/"\\\b\f\n\r\t', '"vs":"\\/\\"\\\\\\b\\f\\n\\r\\t"'),
    (INT, 100, '"v":1e2'),
    (INT, 1, '"v" : 1.0 '),
    (INT, 9007199254740993, '"v":9007199254740993.0'),
    (FLOAT, 21.0, '"v":21'),
    (FLOAT, 0.015, '"v":1.5E-2'),
    (OPAQUE, b"\xfb\xff", '"vd":"+/8="'),
    (OBJLNK, (66, 0), '"vs":"66:0"'),  # as Leshan has it
    (OPAQUE, b"foob", '"vd":"Zm9vYg=="'),
    (INT, 1, '"u":"Cel","v":1,"x":[{"y":[1,"]",null,true,-1e5]},{}],"ut":5,"s":9'),
)
_CBOR_READ = (
    (STR, "ab", "03 7f 6161 6162 ff"),
    (OPAQUE, b"\1\2", "08 5f 4101 4102 ff"),
    (INT, 100, "02 f9 5640"),
    (INT, 27315, "02 c4 82 00 19 6ab3"),
    (FLOAT, 273.15, "02 c4 82 21 19 6ab3"),
    (FLOAT, 21.0, "02 15"),
    (TIME, 1363896240, "02 c1 1a 514b67b0"),
)


def _read_one(format, data, flags, path=(9, 0, 1)):
    cursor = _MODULES[format].Cursor(data, path, format)
    assert cursor.next() and cursor.leaf
    assert cursor.path() == (9, 0, 1)
    value = cursor.value(flags)
    assert not cursor.next() and not cursor.next()
    return value


def _written(format, flags, value, riid=-1):
    out = bytearray(b"x")
    sink = _MODULES[format].Sink(out, format)
    sink.value(9, 0, 1, riid, flags, value)
    sink.end()
    assert out[:1] == b"x"
    return bytes(out[1:])


def test_a_value_of_each_type():
    for flags, value, text, hex in _VALUES:
        json = ('[{"bn":"/9/0/","n":"1",%s}]' % text).encode()
        cbor = octets("81 a3 21 65 2f392f302f 00 61 31" + hex)
        for format, data in ((JSON, json), (CBOR, cbor)):
            assert _written(format, flags, value) == data, (value, _written(format, flags, value))
            got = _read_one(format, data, flags)
            assert got == value and type(got) is type(value), data


def test_other_forms_are_read():
    for flags, value, text in _JSON_READ:
        data = (' [ {"n": "/9/0/1" ,%s}\r\n]\t' % text).encode()
        got = _read_one(JSON, data, flags)
        assert got == value and type(got) is type(value), data
        assert _read_one(JSON, bytearray(data), flags) == value
    for flags, value, hex in _CBOR_READ:
        for around in ("81 a2 00 66 2f392f302f31 %s", "9f bf 00 66 2f392f302f31 %s ff ff"):
            data = octets(around % hex)
            got = _read_one(CBOR, data, flags)
            assert got == value and type(got) is type(value), data


# LwM2M 1.1 7.4.4, table of the answer to GET /3/0 of the example client, and its CBOR by hand.
_DEVICE_RESOURCES = (
    (0, STR | R, 1, STR | R, 2, STR | R, 3, STR | R, 6, INT | R | MULTI, 7, INT | R | MULTI)
    + (8, INT | R | MULTI, 9, INT | R, 10, INT | R, 11, INT | R | MULTI, 13, TIME | R | W)
    + (14, STR | R | W, 16, STR | R)
)
_DEVICE_JSON = (
    '[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},'
    '{"n":"1","vs":"Lightweight M2M Client"},{"n":"2","vs":"345000123"},{"n":"3","vs":"1.0"},'
    '{"n":"6/0","v":1},{"n":"6/1","v":5},{"n":"7/0","v":3800},{"n":"7/1","v":5000},'
    '{"n":"8/0","v":125},{"n":"8/1","v":900},{"n":"9","v":100},{"n":"10","v":15},'
    '{"n":"11/0","v":0},{"n":"13","v":1367491215},{"n":"14","vs":"+02:00"},{"n":"16","vs":"U"}]'
)
_DEVICE_CBOR = """
90
a3 21 65 2f332f302f 00 61 30 03 74 4f70656e204d6f62696c6520416c6c69616e6365
a2 00 61 31 03 76 4c69676874776569676874204d324d20436c69656e74
a2 00 61 32 03 69 333435303030313233
a2 00 61 33 03 63 312e30
a2 00 63 362f30 02 01
a2 00 63 362f31 02 05
a2 00 63 372f30 02 19 0ed8
a2 00 63 372f31 02 19 1388
a2 00 63 382f30 02 18 7d
a2 00 63 382f31 02 19 0384
a2 00 61 39 02 18 64
a2 00 62 3130 02 0f
a2 00 64 31312f30 02 00
a2 00 62 3133 02 1a 5182428f
a2 00 62 3134 03 66 2b30323a3030
a2 00 62 3136 03 61 55
"""


def _device(instances):
    return model.Object(3, _DEVICE_RESOURCES, instances)


class _Reply:
    pass


def _decode(obj, format, data, path):
    cursor = _MODULES[format].Cursor(data, path, format)
    return model.decode({obj.id: obj}, path, cursor, True).get(obj.id, {})


def test_the_device_of_the_specification():
    for format, data in ((JSON, _DEVICE_JSON.encode()), (CBOR, octets(_DEVICE_CBOR))):
        reply = _Reply()
        management.answer(_device({0: DEVICE_VALUES}), (3, 0), 0, format, reply)
        assert reply.content_format == format
        assert bytes(reply.payload) == data, reply.payload
        assert _decode(_device({}), format, data, (3, 0)) == {0: DEVICE_VALUES}
        assert _decode(_device({}), format, data, (3,)) == {0: DEVICE_VALUES}
        for rubbish in (b"0", b"]", b"\xff", b"\0"):
            assert code_of(_decode, _device({}), format, data + rubbish, (3, 0)) == 0x80
        for cut in range(len(data)):
            assert code_of(_decode, _device({}), format, data[:cut], (3, 0)) == 0x80, cut


def test_the_specification_other_way_of_names():
    # The same in other orders, with base names that are replaced, and whole names.
    for text in (
        '[{"n":"/3/0/9","v":100},{"n":"/3/0/6/1","v":5},{"n":"/3/0/6/0","v":1}]',
        '[{"v":5,"n":"1","bn":"/3/0/6/"},{"n":"0","v":1},{"bn":"/3/0/9","v":100}]',
        '[{"bn":"/3/","n":"0/9","v":100},{"bn":"","n":"/3/0/6/0","v":1},{"bn":"/3/0/6/1","v":5}]',
        (
            '[{"bn":"/3/0/","bver":10,"bt":1e9,"n":"9","v":100,"t":-5},{"n":"6/0","v":1},'
            '{"n":"6/1","v":5}]'
        ),
    ):
        got = _decode(_device({}), JSON, text.encode(), (3, 0))
        assert got == {0: {9: 100, 6: {0: 1, 1: 5}}}, text


def test_objects_and_nothing():
    obj = model.Object(9, (1, INT | R, 2, FLOAT | R | MULTI), {0: {1: 5}, 7: {1: -1, 2: {3: 0.5}}})
    json = b'[{"bn":"/9/0/","n":"1","v":5},{"bn":"/9/7/","n":"1","v":-1},{"n":"2/3","v":0.5}]'
    cbor = octets("""83 a3 21 65 2f392f302f 00 61 31 02 05 a3 21 65 2f392f372f 00 61 31 02 20
        a2 00 63 322f33 02 f93800""")
    for format, data, nothing in ((JSON, json, b"[]"), (CBOR, cbor, b"\x80")):
        reply = _Reply()
        management.answer(obj, (9,), 0, format, reply)
        assert bytes(reply.payload) == data, reply.payload
        assert _decode(model.Object(9, obj.resources), format, data, (9,)) == obj.instances
        for instances in ({}, {0: {}}, {0: {2: {}}}):
            management.answer(model.Object(9, obj.resources, instances), (9,), 0, format, reply)
            assert bytes(reply.payload) == nothing
        assert _decode(obj, format, nothing, (9,)) == {}
    assert _decode(obj, CBOR, b"\x9f\xff", (9,)) == {}
    # More records than the shortest head of an array counts.
    many = model.Object(9, (2, INT | R | MULTI), {0: {2: {i: i for i in range(300)}}})
    management.answer(many, (9, 0, 2), MULTI, CBOR, reply)
    assert bytes(reply.payload[:3]) == b"\x99\x01\x2c"
    assert _decode(many, CBOR, bytes(reply.payload), (9, 0, 2)) == many.instances


def test_times():
    # RFC 8428 4.5.3: a base time holds until it is replaced, and times are added to it.
    text = (
        b'[{"bn":"/9/0/","bt":1700000000,"n":"1","v":1},{"n":"1","t":-5,"v":2},'
        b'{"n":"1","bt":1800000000,"t":0.5,"v":3},{"n":"1","v":4}]'
    )
    cursor = senml_json.Cursor(text, (9,), JSON)
    times = []
    while cursor.next():
        times.append(cursor.time)
    assert times == [1700000000, 1699999995, 1800000000.5, 1800000000]
    json = (
        b'[{"bn":"/9/0/","bt":1700000000,"n":"1","v":1},{"bt":1700000060,"n":"1","v":2},'
        b'{"n":"2","v":3}]'
    )
    cbor = octets("""83 a4 21 65 2f392f302f 22 1a 6553f100 00 61 31 02 01
        a3 22 1a 6553f13c 00 61 31 02 02 a2 00 61 32 02 03""")
    for format, data in ((JSON, json), (CBOR, cbor)):
        out = bytearray()
        sink = _MODULES[format].Sink(out, format)
        sink.time = 1700000000
        sink.value(9, 0, 1, -1, INT, 1)
        sink.time = 1700000060
        sink.value(9, 0, 1, -1, INT, 2)
        sink.value(9, 0, 2, -1, INT, 3)
        sink.end()
        assert bytes(out) == data, out


def test_names_of_a_composite_request():
    # RFC 8790: names without values; here, and only here, of any depth.
    json = b'[{"n":"/3/0/9"},{"bn":"/3303","n":"/0"},{"n":"/1/5700"},{"n":""},{"bn":"/","n":""}]'
    cbor = octets("""85 a1 00 66 2f332f302f39 a2 21 65 2f33333033 00 62 2f30 a1 00 67 2f312f35373030
        a1 00 60 a2 21 61 2f 00 60""")
    for format, data in ((JSON, json), (ETCH_JSON, json), (CBOR, cbor), (ETCH_CBOR, cbor)):
        cursor = _MODULES[format].Cursor(data, (), format)
        paths = []
        while cursor.next():
            assert not cursor.leaf
            paths.append(cursor.path())
        assert paths == [(3, 0, 9), (3303, 0), (3303, 1, 5700), (3303,), ()]
        assert code_of(_decode, _device({}), format, data, (3, 0)) == 0x80


def test_null_deletes_in_etch_only():
    for format, data in (
        (ETCH_JSON, b'[{"n":"/9/0/1/5","v":null},{"n":"/9/0/1/6","v":7}]'),
        (ETCH_CBOR, octets("82 a2 00 68 2f392f302f312f35 02 f6 a2 00 68 2f392f302f312f36 02 07")),
    ):
        cursor = _MODULES[format].Cursor(data, (), format)
        assert cursor.next() and cursor.leaf and cursor.value(INT) is None
        assert cursor.path() == (9, 0, 1, 5)
        assert cursor.next() and cursor.value(INT) == 7
        assert not cursor.next()
        plain = JSON if format == ETCH_JSON else CBOR
        assert code_of(_MODULES[plain].Cursor(data, (), plain).next) == 0x80


# --- Bad input, each for an object 9 with an INT 1, a STR 2 and a multiple INT 3, written to /9/0.

_RESOURCES = (1, INT | R | W, 2, STR | R | W, 3, INT | R | W | MULTI, 4, OBJLNK | R | W)
_RESOURCES += (5, OPAQUE | R | W, 6, FLOAT | R | W, 7, BOOL | R | W)

_BAD_JSON = (
    # half records
    "",
    "[",
    "{}",
    "[{]",
    "[{}]",
    '[{"n":"/9/0/1"}]',
    '[{"n":"/9/0/1","v"}]',
    '[{"n":"/9/0/1","v":}]',
    '[{"n":"/9/0/1","v":1},]',
    '[{"n":"/9/0/1","v":1,}]',
    '[,{"n":"/9/0/1","v":1}]',
    '[{"n":"/9/0/1" "v":1}]',
    '[{"n":"/9/0/1","v":1}{"n":"/9/0/2","vs":""}]',
    '[{"n":"/9/0/1","v":1}}',
    '[["n","/9/0/1"]]',
    '{"n":"/9/0/1","v":1}',
    '[{"v":1}]',
    '[{n:"/9/0/1","v":1}]',
    "[1]",
    "[null]",
    # values
    '[{"n":"/9/0/1","v":1,"vs":"1"}]',
    '[{"n":"/9/0/1","v":1,"v":1}]',
    '[{"n":"/9/0/1","n":"/9/0/1","v":1}]',
    '[{"bn":"/9","bn":"/9","n":"/0/1","v":1}]',
    '[{"n":"/9/0/1","v":null}]',
    '[{"n":"/9/0/1","v":"1"}]',
    '[{"n":"/9/0/1","vs":"1"}]',
    '[{"n":"/9/0/1","v":1.5}]',
    '[{"n":"/9/0/1","v":true}]',
    '[{"n":"/9/0/1","v":9223372036854775808}]',
    '[{"n":"/9/0/1","v":1e19}]',
    '[{"n":"/9/0/1","v":1e999999999}]',
    '[{"n":"/9/0/1","v":1%s}]' % ("0" * 3000),
    '[{"n":"/9/0/1","v":+1}]',
    '[{"n":"/9/0/1","v":.5}]',
    '[{"n":"/9/0/1","v":0x10}]',
    '[{"n":"/9/0/1","v":1 1}]',
    '[{"n":"/9/0/1","v":NaN}]',
    '[{"n":"/9/0/6","v":1e400}]',
    '[{"n":"/9/0/6","v":1e399}]',
    '[{"n":"/9/0/6","v":-}]',
    '[{"n":"/9/0/1","v":[1]}]',
    '[{"n":"/9/0/1","v":{}}]',
    '[{"n":"/9/0/2","v":1}]',
    '[{"n":"/9/0/2","vs":1}]',
    '[{"n":"/9/0/2","vs":"a\nb"}]',
    '[{"n":"/9/0/2","vs":"\\x"}]',
    '[{"n":"/9/0/2","vs":"\\u12"}]',
    '[{"n":"/9/0/2","vs":"\\u12g4"}]',
    '[{"n":"/9/0/2","vs":"\\u +12"}]',
    '[{"n":"/9/0/2","vs":"\\ud834"}]',
    '[{"n":"/9/0/2","vs":"\\ud834\\u0041"}]',
    '[{"n":"/9/0/2","vs":"\\udd1e"}]',
    '[{"n":"/9/0/4","vlo":"66"}]',
    '[{"n":"/9/0/4","vlo":"66:"}]',
    '[{"n":"/9/0/4","vlo":"66:-1"}]',
    '[{"n":"/9/0/4","vlo":"66:65536"}]',
    '[{"n":"/9/0/4","vlo":66}]',
    '[{"n":"/9/0/5","vd":"A"}]',
    '[{"n":"/9/0/5","vd":"A?=="}]',
    '[{"n":"/9/0/5","vd":"AB=C"}]',
    '[{"n":"/9/0/5","vd":5}]',
    '[{"n":"/9/0/7","vb":1}]',
    '[{"n":"/9/0/7","vb":"true"}]',
    '[{"n":"/9/0/7","vb":truex}]',
    # names
    '[{"n":5,"v":1}]',
    '[{"bn":null,"n":"/9/0/1","v":1}]',
    '[{"n":"9/0/1","v":1}]',
    '[{"n":"/9/0/1/","v":1}]',
    '[{"n":"//9/0/1","v":1}]',
    '[{"n":"/9/0/-1","v":1}]',
    '[{"n":"/9/0/+1","v":1}]',
    '[{"n":"/9/0/1x","v":1}]',
    '[{"n":"/9/0/65535","v":1}]',
    '[{"n":"/9/0/1/2/3","v":1}]',
    '[{"n":"/9/0","v":1}]',
    '[{"n":"/9","v":1}]',
    '[{"n":"/","v":1}]',
    '[{"n":"/9/0/3","v":1}]',  # multiple
    '[{"n":"/9/0/1/0","v":1}]',  # single
    '[{"n":"/9/1/1","v":1}]',  # outside
    '[{"n":"/8/0/1","v":1}]',
    '[{"bn":"/9/0/","n":"1","v":1},{"n":"/9/0/2","vs":""}]',
    '[{"bn":"/9/0/","n":"1","v":1},{"bn":"/8/0/","n":"1","v":1}]',
    '[{"bn":"/9/0/0/0/0/0/0/0/0/0/0/0/0/0/","n":"1","v":1}]',
    '[{"n":"/9/0/1","v":1},{"n":"/9/0/1","v":2}]',
    '[{"n":"/9/0/3/1","v":1},{"n":"/9/0/3/1","v":2}]',
    '[{"bn":"%s","n":"1","v":1}]' % ("/9" * 2000),
    # labels, versions, times
    '[{"n":"/9/0/1","v":1,"new_":1}]',
    '[{"n":"/9/0/1","v":1,"_":1}]',
    '[{"bver":11,"n":"/9/0/1","v":1}]',
    '[{"bver":"10","n":"/9/0/1","v":1}]',
    '[{"bv":1,"n":"/9/0/1","v":1}]',
    '[{"bt":"1","n":"/9/0/1","v":1}]',
    '[{"t":null,"n":"/9/0/1","v":1}]',
    # what is skipped
    '[{"n":"/9/0/1","v":1,"x":%s}]' % ("[" * 3000),
    '[{"n":"/9/0/1","v":1,"x":%s%s}]' % ("[" * 9, "]" * 9),
    '[{"n":"/9/0/1","v":1,"x":[}]',
    '[{"n":"/9/0/1","v":1,"x":%s}]' % ("1" * 50),
    "[" * 3000,
    '[{"n":' * 600,
)

_BAD_CBOR = (
    "",
    "81",
    "80 00",
    "a0",
    "81 80",
    "81 a0",
    "81 01",
    "81 f6",
    "9f",
    "9f a2 00 66 2f392f302f31 02 01",  # no break
    "82 a2 00 66 2f392f302f31 02 01",  # a record less than it says
    "80 a2 00 66 2f392f302f31 02 01",  # and one more
    "81 a1 00 66 2f392f302f31",  # no value
    "81 a1 02 01",  # no name
    "81 a3 00 66 2f392f302f31 02 01",  # a pair less
    "81 bf 00 66 2f392f302f31 02 ff",  # half a pair
    "81 a3 00 66 2f392f302f31 02 01 03 61 31",  # two values
    "81 a3 00 66 2f392f302f31 02 01 02 01",  # a label twice
    "81 a3 00 66 2f392f302f31 00 66 2f392f302f31 02 01",
    "81 a2 00 66 2f392f302f31 02 f6",  # null
    "81 a2 00 66 2f392f302f31 02 f7",  # undefined
    "81 a2 00 66 2f392f302f31 02 f5",
    "81 a2 00 66 2f392f302f31 02 61 31",
    "81 a2 00 66 2f392f302f31 02 41 31",
    "81 a2 00 66 2f392f302f31 02 f9 3e00",  # 1.5
    "81 a2 00 66 2f392f302f31 02 f9 7e00",  # not a number
    "81 a2 00 66 2f392f302f31 02 f9 7c00",  # infinite
    "81 a2 00 66 2f392f302f31 02 1b 8000000000000000",
    "81 a2 00 66 2f392f302f31 02 80",
    "81 a2 00 66 2f392f302f31 02 c2 41 01",  # a bignum
    "81 a2 00 66 2f392f302f31 02 c4 82 20 05",  # 0.5
    "81 a2 00 66 2f392f302f31 02 c4 82 19 0fff 01",
    "81 a2 00 66 2f392f302f31 02 5b ffffffffffffffff",
    "81 a2 00 46 2f392f302f31 02 01",  # the name as bytes
    "81 a2 00 01 02 01",
    "81 a2 00 7a ffffffff 02 01",
    "81 a2 00 64 2f392f30 02 01",  # /9/0
    "81 a2 00 66 2f392f302f33 02 01",  # /9/0/3, multiple
    "81 a2 00 66 2f382f302f31 02 01",  # /8/0/1
    "81 a3 00 66 2f392f302f31 02 01 62 785f 01",  # x_
    "81 a3 00 66 2f392f302f31 02 01 20 0b",  # version 11
    "81 a3 00 66 2f392f302f31 02 01 24 01",  # a base value
    "81 a3 00 66 2f392f302f31 02 01 06 61 31",  # a time that is text
    "81 a3 00 66 2f392f302f31 02 01 61 78" + "81" * 9 + "80",
    "81 a3 00 66 2f392f302f31 02 01 80 01",  # an array for a label
    "9b ffffffffffffffff",
    "9a 00ffffff" + "a0" * 100,
    "81 bb ffffffffffffffff",
    "c1" * 1000,
    "9f" * 1000,
    "81 bf" + "5f" * 1000,
)


def test_bad_packs():
    for format, table in ((JSON, _BAD_JSON), (CBOR, _BAD_CBOR)):
        for text in table:
            data = text.encode() if format == JSON else octets(text)
            obj = model.Object(9, _RESOURCES, {0: {1: 1}})
            assert code_of(_decode, obj, format, data, (9, 0)) == 0x80, text[:80]
    assert code_of(_decode, obj, JSON, b'[{"n":"/9/0/2","vs":"\xff"}]', (9, 0)) == 0x80
    assert code_of(_decode, obj, JSON, b'[{"n":"/9/0/2","vs":"\xed\xa0\x80', (9, 0)) == 0x80
    assert code_of(_decode, obj, JSON, b"\xef\xbb\xbf[]", (9, 0)) == 0x80


def test_what_json_cannot_say():
    for value in (float("nan"), float("inf"), float("-inf")):
        assert code_of(_written, JSON, FLOAT, value) == 0x86
    assert hexlify(_written(CBOR, FLOAT, float("inf"))) == b"81a321652f392f302f00613102f97c00"


def test_a_float_comes_back():
    from world import Random
    import struct

    random = Random(5)
    for _ in range(2000):
        data = bytearray(8)
        for i in range(8):
            data[i] = random.below(256)
        value = struct.unpack(">d", data)[0]
        if value - value:
            continue
        for format in (JSON, CBOR):
            assert _read_one(format, _written(format, FLOAT, value), FLOAT) == value
