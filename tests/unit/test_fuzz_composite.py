# heapsize: 600K
# Seeded mutants of the payloads of FETCH and iPATCH, in each format, at a client in a live session: nothing
# is raised, what is refused has words and has changed nothing, and no memory is lost. FUZZ=10 in the
# environment makes ten times as many.

from binascii import unhexlify

import lwm2m.lwm2m_cbor  # noqa: F401  # loaded late, and would be taken for a loss of memory
from fuzz import SLACK, TIMES, Case, heap
from ucoap import Writer
from world import Random

FETCH = 5
IPATCH = 7
JSON = 110
CBOR = 112
ETCH_JSON = 320
ETCH_CBOR = 322
LWM2M_CBOR = 11544

_COUNT = 6000 * TIMES  # of each format and method

_NAMES = (
    b'[{"n":"/1/0/1"},{"n":"/1000/0/4/0"},{"bn":"/3/0/","n":"11"}]',
    b'[{"n":"/"}]',
    b'[{"n":"/1000"},{"n":"/1"},{"n":"/9/9"}]',
)
_CBOR_NAMES = (
    b"\x83\xa1\x00\x66/1/0/1\xa1\x00\x6b/1000/0/4/0\xa2\x21\x65/3/0/\x00\x6211",
    b"\x81\xa1\x00\x61/",
    b"\x9f\xbf\x00\x65/1000\xff\xa1\x00\x62/1\xff",
)
_RECORDS = (
    b'[{"n":"/1/0/2","v":61},{"n":"/1000/0/0","vs":"x"},{"n":"/1000/0/2","v":1e2}]',
    b'[{"bn":"/1000/0/4/","n":"0","v":7},{"n":"300","v":-9},{"n":"5","v":null}]',
    b'[{"n":"/1000/0/3","vd":"AAE"},{"n":"/1/0/6","vb":false}]',
)
_CBOR_RECORDS = (
    b"\x83\xa2\x00\x66/1/0/2\x02\x18\x3d\xa2\x00\x69/1000/0/0\x03\x61x\xa2\x00\x69/1000/0/2\x02\xf9\x4d\x60",
    b"\x82\xa3\x21\x6b/1000/0/4/\x00\x610\x02\x07\xa2\x00\x613\x02\xf6",
    b"\x81\xa2\x00\x69/1000/0/3\x08\x42\x00\x01",
)
_MAPS = tuple(
    [
        unhexlify(text.replace(" ", ""))
        for text in (
            "a2 82 01 00 a1 02 18 3d 82 19 03e8 00 a2 00 61 78 02 f9 4d60",
            "bf 82 19 03e8 00 bf 04 bf 00 07 19 012c 28 05 f6 ff ff ff",
            "a1 83 19 03e8 00 03 42 00 01",
        )
    ]
)


def _request(n, code, format, payload):
    w = Writer(1280)
    w.start(0, code, n & 0xFFFF, b"tk")
    if n % 3 == 0 and code == FETCH:
        w.option(6, n % 2)
    w.option(12, format)
    w.payload(payload)
    return w.message()


def _mutant(random, pool):
    data = bytearray(pool[random.below(len(pool))])
    for _ in range(random.below(4)):
        n = len(data)
        i = random.below(n) if n else 0
        kind = random.below(6)
        if kind < 2 and n:
            data[i] ^= 1 << random.below(8)
        elif kind == 2:
            data = data[:i]
        elif kind == 3:
            data = data[:i] + bytes([random.below(256)]) + data[i:]
        elif kind == 4 and n:
            # Ids and digits, so that it goes on meaning something.
            data[i] = b"0123456789/-"[random.below(12)]
        else:
            other = pool[random.below(len(pool))]
            data = data[:i] + other[random.below(len(other)) :]
    return bytes(data[:1200])


def _state(case):
    found = case.state()
    own = case.obj.instances
    found.append({iid: {rid: repr(own[iid][rid]) for rid in own[iid]} for iid in own})
    return found


def _run(seed, code, format, pool):
    case = Case(seed)
    case.settle()
    random = Random(seed + 7 * TIMES)
    codes = {}
    heaps = [0, 0, 0]  # the first one, and the last two
    for n in range(_COUNT):
        before = _state(case)
        case.world.sent.clear()
        case.feed(case.core.accounts[0], _request(n, code, format, _mutant(random, pool)))
        data = case.world.sent[0]
        codes[data[1]] = codes.get(data[1], 0) + 1
        if data[1] != 0x44:
            assert _state(case) == before
        else:
            assert code == IPATCH
            case.reset()
        if data[1] >= 0x80:
            assert data[1] in (0x80, 0x81, 0x84, 0x85) and b"\xff" in data, hex(data[1])
        if n % 50 == 49:
            case.world.run(1)
        if n % 2000 == 1999:
            case.settle()
            heaps[1] = heaps[2]
            heaps[2] = heap()
            heaps[0] = heaps[0] or heaps[2]
    # One of the last, as a stale word on the stack may keep something for a moment.
    assert min(heaps[1:]) <= heaps[0] + SLACK, heaps
    assert codes[0x80] > _COUNT // 10, codes
    assert codes[0x44 if code == IPATCH else 0x45] > _COUNT // 10, codes


def test_read_in_json():
    _run(1, FETCH, JSON, _NAMES)


def test_read_in_cbor():
    _run(2, FETCH, ETCH_CBOR, _CBOR_NAMES)


def test_write_in_json():
    _run(3, IPATCH, JSON, _RECORDS)
    _run(4, IPATCH, ETCH_JSON, _RECORDS)


def test_write_in_cbor():
    _run(5, IPATCH, CBOR, _CBOR_RECORDS)
    _run(6, IPATCH, ETCH_CBOR, _CBOR_RECORDS)


def test_write_in_lwm2m_cbor():
    _run(7, IPATCH, LWM2M_CBOR, _MAPS)
