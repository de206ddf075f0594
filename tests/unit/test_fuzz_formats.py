# heapsize: 400K
# Seeded mutants of valid payloads at each decoder, on the way that a Write takes: a value or Error,
# nothing else is raised, and no memory is lost. tests/README.md says how to run more of them.

import gc

from fuzz import SLACK, TIMES, damaged
from ucoap import Error
import lwm2m.management as management
import lwm2m.model as model
from lwm2m.model import BOOL, FLOAT, INT, MULTI, OBJLNK, OPAQUE, STR, TIME, R, W
from world import Random

_COUNT = 50000 * TIMES  # of each decoder

_RESOURCES = (0, STR | R | W, 1, INT | R | W, 2, FLOAT | R | W, 3, BOOL | R | W)
_RESOURCES += (4, OPAQUE | R | W, 5, TIME | R | W, 6, OBJLNK | R | W, 7, INT | R | W | MULTI)
_VALUES = {0: "a\u00e9\n", 1: -300, 2: 0.1, 3: True, 4: b"\1\xff", 5: 1700000000, 6: (3, 0)}
_VALUES[7] = {0: 1, 300: 70000}


class _Reply:
    pass


def _run(format, pool, seed, path=(9, 0), count=_COUNT):
    random = Random(seed + 1000 * TIMES)
    objects = {9: model.Object(9, _RESOURCES)}
    module = management.format_module(format)
    good = heap = 0
    for n in range(count):
        data = bytes(damaged(random, pool))
        try:
            found = model.decode(objects, path, module.Cursor(data, path, format))
            good += 1
            for values in found.get(9, {}).values():
                for rid in values:
                    objects[9].check(rid, values[rid])
        except Error as e:
            assert 0x80 <= e.code < 0xA0 and e.text
        found = None
        if n == count // 10 or n == count - 1:
            gc.collect()
            if heap:
                assert gc.mem_alloc() <= heap + SLACK
            heap = gc.mem_alloc()
    assert 0 < good < count


def _pool(format):
    # What the sinks write, whole and value by value; the tests of each format know that it is right.
    obj = model.Object(9, _RESOURCES, {0: _VALUES, 1: {1: 1}})
    reply = _Reply()
    pool = []
    for path in [(9, 0), (9,)] + [(9, 0, rid) for rid in range(8)]:
        flags = obj.flags(path[2]) if len(path) > 2 else 0
        try:
            management.answer(obj, path, flags, format, reply)
            pool.append(bytes(reply.payload))
        except Error:
            pass
    return pool


def test_cbor():
    pool = _pool(60) + [b"\xc4\x82\x21\x19\x6a\xb3", b"\x5f\x41\1\x42\1\2\xff", b"\xd9\xd9\xf7\0"]
    pool += [b"\xc0\x742013-03-21T20:04:00Z", b"\x7f\x61a\x61b\xff"]
    for rid, seed in ((0, 1), (2, 2), (5, 3), (6, 4)):
        _run(60, pool, seed, (9, 0, rid), _COUNT // 4)


def test_senml_cbor():
    pool = _pool(112) + [
        b"\x9f\xbf\0\x66/9/0/1\x02\xc4\x82\x00\x01\x61x\xa1\x9f\xff\x82\1\2\xff\xff"
    ]
    _run(112, pool, 5)


def test_senml_json():
    pool = _pool(110)
    pool.append(
        b'[ {"bn":"/9/0/","bt":1.5e9,"n":"0","vs":"\\u00e9\\ud834\\udd1e"},{"n":"1","v":1e2}]'
    )
    pool.append(b'[{"n":"/9/0/1","v":1,"x":[{"y":[1,"]",null,true]},{}],"u":"Cel","t":-5}]')
    _run(110, pool, 6)


def test_lwm2m_cbor():
    pool = _pool(11544) + [
        b"\xa2\x82\x09\0\xa1\0\x61x\x83\x09\0\1\x18\x64",
        b"\xa1\x83\x09\0\7\xa0",
    ]
    _run(11544, pool, 7)
