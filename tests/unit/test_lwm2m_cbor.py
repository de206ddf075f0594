# LwM2M CBOR (LwM2M 1.2 7.4.7): maps and their meaning, in both directions, by hand.


from format_cases import code_of, octets
import lwm2m.management as management
import lwm2m.model as model
from lwm2m.lwm2m_cbor import Cursor, Sink
from lwm2m.model import BOOL, FLOAT, INT, MULTI, OBJLNK, OPAQUE, STR, TIME, R, W

_RESOURCES = (0, STR | R | W, 1, INT | R | W, 2, TIME | R | W, 3, OBJLNK | R | W)
_RESOURCES += (4, OPAQUE | R | W, 5, FLOAT | R | W, 6, INT | R | W | MULTI, 7, BOOL | R | W)
_VALUES = {0: "x", 1: -5, 2: 1367491215, 3: (66, 0), 4: b"\1", 5: 21.5, 6: {0: 1, 300: 5}, 7: True}


class _Reply:
    pass


def _decode(data, path, instances=None):
    cursor = Cursor(data, path, 11544)
    found = model.decode({9: model.Object(9, _RESOURCES)}, path, cursor, True)
    return found.get(9, {})


def _answer(instances, path, flags=0):
    reply = _Reply()
    management.answer(model.Object(9, _RESOURCES, instances), path, flags, 11544, reply)
    assert reply.content_format == 11544
    return bytes(reply.payload)


# What is written for what is read, and what it means.
_WRITTEN = (
    ((9, 0, 1), {0: {1: -5}}, "bf 82 09 00 bf 01 24 ff ff"),
    ((9, 0, 6), {0: {6: {0: 1, 300: 5}}}, "bf 82 09 00 bf 06 bf 00 01 19 012c 05 ff ff ff"),
    ((9, 0, 6, 300), {0: {6: {300: 5}}}, "bf 82 09 00 bf 06 bf 19 012c 05 ff ff ff"),
    (
        (9, 0),
        {0: _VALUES},
        """bf 82 09 00 bf 00 61 78 01 24 02 c1 1a 5182428f 03 64 36363a30 04 41 01 05 f9 4d60
        06 bf 00 01 19 012c 05 ff 07 f5 ff ff""",
    ),
    (
        (9,),
        {0: {6: {0: 1}}, 7: {6: {1: 2}, 7: False}},
        "bf 82 09 00 bf 06 bf 00 01 ff ff 82 09 07 bf 06 bf 01 02 ff 07 f4 ff ff",
    ),
)


def test_written():
    for path, instances, text in _WRITTEN:
        data = octets(text)
        flags = INT | R | MULTI if len(path) > 2 and path[2] == 6 else 0
        assert _answer(instances, path, flags) == data, (path, _answer(instances, path, flags))
        assert _decode(data, path) == instances
        for cut in range(len(data)):
            assert code_of(_decode, data[:cut], path) == 0x80, (text, cut)
        for rubbish in (b"\0", b"\xff", b"\xa0"):
            assert code_of(_decode, data + rubbish, path) == 0x80
    for instances in ({}, {0: {}}, {0: {6: {}}}):
        assert _answer(instances, (9,)) == b"\xa0"


def test_the_same_otherwise():
    # 7.4.7: keys of one id or of several, depths that are mixed, definite lengths and not.
    for path, text, instances in (
        ((9, 0), "a1 83 09 00 00 61 78", {0: {0: "x"}}),
        ((9, 0), "a1 09 a1 00 a1 00 61 78", {0: {0: "x"}}),
        ((9, 0), "a1 9f 09 00 ff bf 81 00 61 78 ff", {0: {0: "x"}}),
        ((9, 0), "a2 82 09 00 a1 00 61 78 83 09 00 01 18 64", {0: {0: "x", 1: 100}}),
        ((9,), "a1 09 a2 82 00 00 61 78 82 01 01 24", {0: {0: "x"}, 1: {1: -5}}),
        ((9, 0), "a1 83 09 00 06 a2 00 01 01 05", {0: {6: {0: 1, 1: 5}}}),
        ((9, 0), "a2 84 09 00 06 00 01 84 09 00 06 01 05", {0: {6: {0: 1, 1: 5}}}),
        ((9, 0, 6, 1), "a1 82 09 00 a1 06 a1 01 05", {0: {6: {1: 5}}}),
        ((9, 0, 6), "a1 83 09 00 06 a0", {0: {6: {}}}),
        ((9,), "a1 82 09 05 a0", {5: {}}),
        ((9,), "a0", {}),
        ((9,), "bf ff", {}),
        ((9, 0), "a1 83 09 00 02 c1 1a 5182428f", {0: {2: 1367491215}}),
        ((9, 0), "a1 83 09 00 02 1a 5182428f", {0: {2: 1367491215}}),
        (
            (9, 0),
            "a1 83 09 00 02 c0 74 323031332d30332d32315432303a30343a30305a",
            {0: {2: 1363896240}},
        ),
        ((9, 0), "a1 83 09 00 18 63 61 78", {0: {}}),  # no such resource
    ):
        assert _decode(octets(text), path) == instances, text


def test_bad_maps():
    for path, text in (
        ((9,), "80"),
        ((9,), "01"),
        ((9,), "a1"),
        ((9,), "a1 09"),
        ((9,), "a1 09 01"),  # a value of an object
        ((9,), "a1 82 09 00 01"),  # of an instance
        ((9,), "a1 80 a1 83 09 00 01 01"),  # a key without ids
        ((9,), "a1 9f ff a1 83 09 00 01 01"),
        ((9,), "a1 85 09 00 06 00 00 01"),  # five ids
        ((9,), "a1 84 09 00 06 00 a1 00 01"),
        ((9,), "a1 82 09 00 a1 06 a1 00 a1 00 01"),
        ((9,), "a1 83 09 00 19 ffff 01"),  # 65535
        ((9,), "a1 83 09 00 1a 00010000 01"),
        ((9,), "a1 83 09 00 20 01"),  # negative
        ((9,), "a1 83 09 00 61 31 01"),  # text
        ((9,), "a1 83 09 00 f4 01"),
        ((9,), "a1 83 09 00 f9 3c00 01"),  # a float
        ((9,), "a1 83 09 00 81 01 01"),  # an array in it
        ((9,), "a1 a1 00 01 01"),  # a map
        ((9,), "a1 83 08 00 01 01"),  # another object
        ((9, 1), "a1 83 09 00 01 01"),  # another instance
        ((9, 0, 2), "a1 83 09 00 01 01"),  # another resource
        ((9, 0, 6, 1), "a1 84 09 00 06 02 01"),  # and another of its instances
        ((9, 0), "a2 83 09 00 01 01 83 09 00 01 02"),  # twice
        ((9, 0), "a2 82 09 00 a1 01 01 83 09 00 01 02"),
        ((9, 0), "a1 83 09 00 06 a2 00 01 00 02"),
        ((9, 0), "a1 83 09 00 06 01"),  # single
        ((9, 0), "a1 84 09 00 01 00 01"),  # multiple
        ((9, 0), "a1 83 09 00 01 a0"),
        ((9, 0), "a1 83 09 00 01 f6"),  # null
        ((9, 0), "a1 83 09 00 01 f7"),
        ((9, 0), "a1 83 09 00 01 61 31"),
        ((9, 0), "a1 83 09 00 01 80"),
        ((9, 0), "a1 83 09 00 01 1b ffffffffffffffff"),
        ((9, 0), "a1 83 09 00 02 60"),
        ((9, 0), "a1 83 09 00 04 5b ffffffffffffffff"),
        ((9,), "bb ffffffffffffffff"),
        ((9,), "ba 00ffffff" + "a0" * 100),
        ((9,), "a1" * 2000),
        ((9,), "bf 9f" + "09" * 2000),
        ((9,), "bf" + "a1 00" * 2000),
    ):
        assert code_of(_decode, octets(text), path) == 0x80, text[:80]


def test_a_composite():
    # Of several objects, one after the other; with no path nothing is told but values.
    out = bytearray()
    sink = Sink(out, 11544)
    sink.value(3, 0, 9, -1, INT, 100)
    sink.value(3303, 0, 5700, -1, FLOAT, 21.5)
    sink.value(3303, 1, 5700, -1, FLOAT, 22.5)
    sink.end()
    assert bytes(out) == octets(
        """bf 82 03 00 bf 09 18 64 ff 82 19 0ce7 00 bf 19 1644 f9 4d60 ff
        82 19 0ce7 01 bf 19 1644 f9 4da0 ff ff"""
    )
    cursor = Cursor(bytes(out), (), 11544)
    seen = []
    while cursor.next():
        assert cursor.leaf
        seen.append((cursor.oid, cursor.iid, cursor.rid, cursor.riid, cursor.value(FLOAT)))
    assert seen == [(3, 0, 9, -1, 100.0), (3303, 0, 5700, -1, 21.5), (3303, 1, 5700, -1, 22.5)]
