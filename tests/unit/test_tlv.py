# TLV (LwM2M 1.1 7.4.3): tables of hex and meaning, read in both directions.
# heapsize: 2M

from binascii import hexlify, unhexlify

from examples import DEVICE_TLV, DEVICE_VALUES
from ucoap import Error
import lwm2m.management as management
import lwm2m.model as model
import lwm2m.tlv as tlv
from lwm2m.model import BOOL, FLOAT, INT, OBJLNK, OPAQUE, STR, TIME, UINT
from lwm2m.objects import base_objects

# Kinds of entries.
INSTANCE = 0
RESOURCE_INSTANCE = 1
MULTIPLE = 2
RESOURCE = 3

# A path at which each kind may stand by itself.
_PATHS = {INSTANCE: (9,), RESOURCE: (9, 0), MULTIPLE: (9, 0), RESOURCE_INSTANCE: (9, 0, 1, 2)}


def _bytes(text):
    return unhexlify(text.replace(" ", "").replace("\n", ""))


def _hex(data):
    return str(hexlify(data), "ascii")


def _code(f, *args):
    """The code of the Error that f raises, 0 where it raises none."""
    try:
        f(*args)
    except Error as e:
        return e.code
    return 0


# The head of an entry by 7.4.3's table of the type byte: bits 7-6 kind, bit 5 id of 16 bits, bits
# 4-3 bytes of length, bits 2-0 the length where those are 0.
_HEADS = (
    ("00 00", INSTANCE, 0, 0),  # 00 0 00 000
    ("07 ff", INSTANCE, 255, 7),
    ("08 01 08", INSTANCE, 1, 8),  # 00 0 01 000
    ("20 0100", INSTANCE, 256, 0),  # 00 1 00 000
    ("41 00", RESOURCE_INSTANCE, 0, 1),  # 01 0 00 001
    ("61 0136", RESOURCE_INSTANCE, 310, 1),
    ("86 06", MULTIPLE, 6, 6),  # 10 0 00 110
    ("88 07 08", MULTIPLE, 7, 8),
    ("c0 05", RESOURCE, 5, 0),  # 11 0 00 000
    ("c7 05", RESOURCE, 5, 7),
    ("c8 05 08", RESOURCE, 5, 8),
    ("c8 05 ff", RESOURCE, 5, 255),
    ("d0 05 0100", RESOURCE, 5, 256),  # 11 0 10 000
    ("d0 05 ffff", RESOURCE, 5, 65535),
    ("d8 05 010000", RESOURCE, 5, 65536),  # 11 0 11 000
    ("e1 1644", RESOURCE, 5700, 1),  # 5700 is 0x1644
    ("f0 1644 0100", RESOURCE, 5700, 256),  # 11 1 10 000
    ("f8 fffe 010000", RESOURCE, 65534, 65536),
)


class _Entry:
    """The first entry of a TLV, as the cursor has it."""

    def __init__(self, data, kind):
        cursor = tlv.Cursor(data, _PATHS[kind])
        assert cursor.next()
        self.leaf = cursor.leaf
        ids = {INSTANCE: cursor.iid, RESOURCE_INSTANCE: cursor.riid}
        self.id = ids.get(kind, cursor.rid)
        self.value = cursor.value(OPAQUE) if cursor.leaf else None
        self.more = cursor.next() if cursor.leaf else None


def test_heads():
    for head, kind, id, length in _HEADS:
        head = _bytes(head)
        out = bytearray(b"before")
        at = tlv.begin(out, kind, id)
        out.extend(bytes(length))
        tlv.end(out, at)
        assert bytes(out) == b"before" + head + bytes(length), head
        data = bytes(out[6:])
        entry = _Entry(data, kind)
        leaf = kind in (RESOURCE, RESOURCE_INSTANCE)
        assert (entry.leaf, entry.id) == (leaf, id), head
        if leaf:
            assert entry.value == bytes(length) and entry.more is False
        # One byte less is too few, and so is less of the head.
        for cut in (len(data) - 1, len(head) - 1, 1):
            if 0 < cut < len(data):
                assert _code(_Entry, data[:cut], kind) == 0x80, (head, cut)
    # An id that is none (LwM2M 1.1 7.1).
    for text, kind in (
        ("20 ffff", INSTANCE),
        ("e0 ffff", RESOURCE),
        ("60 ffff", RESOURCE_INSTANCE),
    ):
        assert _code(_Entry, _bytes(text), kind) == 0x80, text


def test_head_other_than_shortest():
    # A length in more bytes than it needs, and a short id in 16 bits, are well formed.
    for text in ("c8 05 01 2a", "d0 05 0001 2a", "d8 05 000001 2a", "e1 0005 2a"):
        entry = _Entry(_bytes(text), RESOURCE)
        assert (entry.id, entry.value, entry.more) == (5, b"\x2a", False)


# Values by LwM2M 1.1 C: integers are big-endian two's complement of 1, 2, 4 or 8 bytes.
_VALUES = (
    (INT, 0, "00"),
    (INT, 1, "01"),
    (INT, 127, "7f"),
    (INT, 128, "0080"),
    (INT, -1, "ff"),
    (INT, -128, "80"),
    (INT, -129, "ff7f"),
    (INT, 32767, "7fff"),
    (INT, 32768, "00008000"),
    (INT, -32768, "8000"),
    (INT, -32769, "ffff7fff"),
    (INT, 2147483647, "7fffffff"),
    (INT, 2147483648, "0000000080000000"),
    (INT, -2147483648, "80000000"),
    (INT, -2147483649, "ffffffff7fffffff"),
    (INT, (1 << 63) - 1, "7fffffffffffffff"),
    (INT, -1 << 63, "8000000000000000"),
    (TIME, 1367491215, "5182428f"),  # the specification's example: 2013-05-02T10:40:15Z
    (TIME, 4102444800, "00000000f4865700"),  # 2100-01-01, beyond 32 bits with a sign
    (UINT, 0, "00"),
    (UINT, 127, "7f"),
    (UINT, 200, "00c8"),  # not c8, which a reader of signed ones would take for -56
    (UINT, (1 << 64) - 1, "ffffffffffffffff"),
    (BOOL, False, "00"),
    (BOOL, True, "01"),
    # IEEE 754: sign, exponent + 127 in 8 bits (+ 1023 in 11), fraction.
    (FLOAT, 0.0, "00000000"),
    (FLOAT, 1.0, "3f800000"),
    (FLOAT, -2.5, "c0200000"),
    (FLOAT, 21.25, "41aa0000"),  # 1.328125 * 2**4
    (FLOAT, 0.1, "3fb999999999999a"),  # no 32-bit float is as near
    (FLOAT, float("inf"), "7f800000"),
    (STR, "", ""),
    (STR, "U", "55"),
    (STR, "\u00e9\u20ac", "c3a9e282ac"),
    (OPAQUE, b"", ""),
    (OPAQUE, b"\x00\xff", "00ff"),
    (OBJLNK, (66, 1), "00420001"),
    (OBJLNK, (65535, 65535), "ffffffff"),  # the null link
)


def test_values():
    for type, value, text in _VALUES:
        # Other flags of a resource do not matter.
        for flags in (type, type | model.R | model.W | model.M):
            data = bytearray()
            tlv.encode(data, flags, value)
            assert _hex(data) == text, (type, value, data)
            back = tlv.decode(flags, _bytes(text))
            assert back == value and back.__class__ is value.__class__, (type, text, back)


def test_values_longer_than_needed():
    # A peer may use any of the four lengths, and a long float for any number.
    for type, text, value in (
        (INT, "0001", 1),
        (INT, "ffffffff", -1),
        (INT, "ffffffffffffffff", -1),
        (INT, "0000000000000080", 128),
        (TIME, "000000005182428f", 1367491215),
        (UINT, "c8", 200),  # unsigned (LwM2M 1.1 C)
        (UINT, "ffff", 65535),
        (UINT, "00000080", 128),
        (FLOAT, "3ff0000000000000", 1.0),
    ):
        assert tlv.decode(type, _bytes(text)) == value, text


def test_values_refused():
    for type, text in (
        (INT, ""),
        (INT, "000001"),  # 3, 5, 6, 7 and 9 bytes are no length of an integer
        (INT, "0000000001"),
        (INT, "000000000001"),
        (INT, "00000000000001"),
        (INT, "000000000000000001"),
        (UINT, ""),
        (TIME, "000001"),
        (BOOL, ""),
        (BOOL, "02"),
        (BOOL, "ff"),
        (BOOL, "0001"),
        (FLOAT, ""),
        (FLOAT, "00"),
        (FLOAT, "000000"),
        (FLOAT, "0000000000"),
        (OBJLNK, ""),
        (OBJLNK, "0042"),
        (OBJLNK, "0042000100"),
        (STR, "ff"),
        (STR, "c3"),
    ):
        assert _code(tlv.decode, type, _bytes(text)) == 0x80, (type, text)


# --- The specification's own examples

# 7.4.3.2: GET /2, two Access Control instances; 310 (0x0136) needs an id of 16 bits.
_ACCESS = """
08 00 0e
  c1 00 01
  c1 01 00
  83 02 41 7f 07
  c1 03 7f
08 02 12
  c1 00 03
  c1 01 00
  87 02 41 7f 07 61 0136 01
  c1 03 7f
"""
_ACCESS_OBJECT = model.Object(
    2, (0, INT | model.R, 1, INT | model.R, 2, INT | model.R | model.MULTI, 3, INT | model.R)
)
_ACCESS_VALUES = {
    0: {0: 1, 1: 0, 2: {127: 7}, 3: 127},
    2: {0: 3, 1: 0, 2: {127: 7, 310: 1}, 3: 127},
}

# 7.4.3.3: object links. /65/0/0 holds 66:0 and 66:1; each /66 instance one of its own.
_LINKS = """
88 00 0c 44 00 00420000 44 01 00420001
c8 01 0d 38363133383030373535353030
c4 02 12345678
"""
_LINKS_OBJECT = model.Object(
    65, (0, OBJLNK | model.R | model.MULTI, 1, STR | model.R, 2, INT | model.R)
)
_LINKS_VALUES = {0: {0: (66, 0), 1: (66, 1)}, 1: "8613800755500", 2: 0x12345678}
_LINKED = """
08 00 26
  c8 00 0b 6d79536572766963652031
  c8 01 0f 496e7465726e65742e31352e323334
  c4 02 00430000
08 01 26
  c8 00 0b 6d79536572766963652032
  c8 01 0f 496e7465726e65742e31352e323335
  c4 02 ffffffff
"""
_LINKED_OBJECT = model.Object(66, (0, STR | model.R, 1, STR | model.R, 2, OBJLNK | model.R))
_LINKED_VALUES = {
    0: {0: "myService 1", 1: "Internet.15.234", 2: (67, 0)},
    1: {0: "myService 2", 1: "Internet.15.235", 2: (65535, 65535)},
}


class _Reply:
    pass


def _decode(obj, data, path):
    """{instance id: values} of what is written to a path."""
    found = model.decode({obj.id: obj}, path, tlv.Cursor(data, path), True)
    return found.get(obj.id, {})


def _examples():
    device = base_objects(None)[3]
    return (
        (DEVICE_TLV, device, {0: DEVICE_VALUES}, (3, 0)),
        (_bytes(_ACCESS), _ACCESS_OBJECT, _ACCESS_VALUES, (2,)),
        (_bytes(_LINKS), _LINKS_OBJECT, {0: _LINKS_VALUES}, (65, 0)),
        (_bytes(_LINKED), _LINKED_OBJECT, _LINKED_VALUES, (66,)),
    )


def test_examples_written():
    for data, obj, instances, path in _examples():
        obj.instances = instances
        reply = _Reply()
        management.answer(obj, path, 0, None, reply)
        assert reply.content_format == 11542
        assert bytes(reply.payload) == data, path


def test_examples_read():
    for data, obj, instances, path in _examples():
        assert _decode(obj, data, path) == instances


def _ends(data):
    # Where top entries end, by their heads.
    ends = [0]
    while ends[-1] < len(data):
        i = ends[-1]
        head = data[i]
        i += 2 + (head >> 5 & 1)
        size = head >> 3 & 3
        n = int.from_bytes(data[i : i + size], "big") if size else head & 7
        ends.append(i + size + n)
    return ends


def test_examples_cut():
    # Cut inside an entry it is malformed; at the end of one it is what came before.
    for data, obj, instances, path in _examples():
        ends = _ends(data)
        for cut in range(1, len(data)):
            try:
                found = _decode(obj, data[:cut], path)
            except Error as e:
                assert e.code == 0x80 and cut not in ends, (path, cut)
                continue
            assert cut in ends, (path, cut)
            assert len(found if len(path) == 1 else found[0]) == ends.index(cut), (path, cut)
            for iid in found:
                for rid in found[iid]:
                    assert found[iid][rid] == instances[iid][rid]


def test_examples_rubbish_behind():
    # ff: a resource with an id and a length that are not there; 00: an instance without its id;
    # c0 00 05: a resource, and one byte more.
    for data, obj, instances, path in _examples():
        for rubbish in (b"\xff", b"\x00", b"\xff\xff\xff\xff", b"\xc0\x00\x05", b"\x08\x09"):
            assert _code(_decode, obj, data + rubbish, path) == 0x80


def test_nesting_refused():
    for text in (
        "41 00 01",  # a resource instance by itself
        "08 00 03 41 00 01",  # in an instance
        "86 06 c1 00 01 c1 01 05",  # resources in a multiple resource
        "83 09 41 00 64",  # a multiple one of a single resource
        "c1 06 01",  # a single one of a multiple resource
        "08 00 03 c1 09 64 c1 09 64",  # a resource behind an instance
        "c1 09 64 08 00 03 c1 09 64",  # an instance behind a resource
        "08 00 05 08 00 03 c1 09 64",  # an instance in an instance
        "86 06 82 07 41 00 41 00 01",  # a multiple resource in a multiple resource
    ):
        obj = base_objects(None)[3]
        assert _code(_decode, obj, _bytes(text), (3, 0)) == 0x80, text


def test_containers():
    # Where an instance and a multiple resource begin is told, empty ones too.
    data = _bytes("08 01 08 86 06 41 00 01 41 01 05 00 02 02 03 80 07")
    cursor = tlv.Cursor(data, (3,))
    seen = []
    while cursor.next():
        seen.append((cursor.iid, cursor.rid, cursor.riid, cursor.leaf))
    assert seen == [
        (1, -1, -1, False),
        (1, 6, -1, False),
        (1, 6, 0, True),
        (1, 6, 1, True),
        (2, -1, -1, False),
        (3, -1, -1, False),
        (3, 7, -1, False),
    ]


def test_a_cursor_goes_on_without_heap():
    import micropython

    cursor = tlv.Cursor(_bytes("08 00 0b c1 00 05 d0 01 0002 0101 80 03"), (3,))
    entries = 0
    micropython.heap_lock()
    try:
        while cursor.next():
            entries += 1
    finally:
        micropython.heap_unlock()
    assert entries == 4 and cursor.rid == 3
