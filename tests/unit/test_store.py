# heapsize: 2M
#
# What the store writes and reads, what it makes of files that are damaged, and of a full or failing
# file system.

import io
import os
import struct
from binascii import crc32, unhexlify
from accounts import AGAIN, BOOTSTRAPPED, ENDPOINT, FACTORY, KEYS, PURGED, stored
from flash import KINDS, Fat, Lfs2, fill, mounted, unfill
from lwm2m.store import Store, pack

FOLDER = "/flash/lwm2m"
FILES = [FOLDER + name for name in ("/0/accounts", "/1/accounts", "/factory/accounts")]
LFS2 = Lfs2(256)
HEAD = 12


def get(path):
    with open(path, "rb") as f:
        return f.read()


def put(path, data):
    with open(path, "wb") as f:
        f.write(data)


def load(endpoint=ENDPOINT):
    return Store(FOLDER).load(endpoint)


def with_flash(kind=LFS2, *states):
    """with it: a device that was provisioned with the first state and has committed the others."""
    flash = kind.format()
    with mounted(kind, flash):
        store = Store(FOLDER)
        for i, state in enumerate(states):
            (store.commit if i else store.provision)(ENDPOINT, state)
    flash.power_on()
    return mounted(kind, flash)


def refused(error, f, *args):
    """The text of the error that a call raises."""
    try:
        f(*args)
    except error as e:
        return str(e)
    raise AssertionError("it was not refused")


def envelope(body, seq=0, version=1):
    """A file with that body, and a CRC that is right."""
    head = b"LwA" + struct.pack(">BHH", version, seq, len(body))
    return head + struct.pack(">I", crc32(head, crc32(body))) + body


# --- The form of a file

# From the description at the top of store.py, by hand: a body, and what it means to the endpoint
# "ep" (02 6570). A record: object, instance, resource, resource instance, kind and type, length,
# value. Types (low four bits) are tlv's: str 1, int 2, float 4, bool 5, bytes 6, object link 8.
BODIES = (
    """026570""",
    {},
    """026570
    0001 0000 0000 0000 00 0000 # /1/0, without resources""",
    {1: {0: {}}},
    """026570
    0001 0000 0000 0000 00 0000 # /1/0
    0001 0000 0001 0000 12 0002 012C # /1/0/1 = 300
    0001 0000 0007 0000 11 0001 55 # /1/0/7 = U""",
    {1: {0: {1: 300, 7: "U"}}},
    """026570
    0000 0003 0000 0000 00 0000 # /0/3
    0000 0003 0001 0000 15 0001 01 # /0/3/1 = true
    0000 0003 0005 0000 16 0002 00FF # /0/3/5
    0000 0003 000A 0000 12 0001 FF # /0/3/10 = -1
    0000 0003 0011 0000 18 0004 0015 0007 # /0/3/17 = 21:7""",
    {0: {3: {1: True, 5: b"\x00\xff", 10: -1, 17: (21, 7)}}},
    """026570
    0000 0000 0000 0000 00 0000 # /0/0
    0000 0000 0010 0000 10 0000 # /0/0/16, multiple
    0000 0000 0010 0000 22 0004 0000C0A8 # /0/0/16/0 = 49320, four bytes because of the sign
    0000 0000 0010 FFFF 24 0004 3FC00000 # /0/0/16/65535 = 1.5""",
    {0: {0: {16: {0: 0xC0A8, 65535: 1.5}}}},
    """026570
    0001 0002 0000 0000 00 0000 # /1/2: sorted
    FFFF 0000 0000 0000 00 0000
    FFFF 0000 0000 0000 12 0008 0000010000000000 # 2^40""",
    {65535: {0: {0: 1 << 40}}, 1: {2: {}}},
    """026570
    0007 0000 0000 0000 00 0000 # /7/0
    0007 0000 0001 0000 12 0008 7FFFFFFFFFFFFFFF # 2^63 - 1
    0007 0000 0002 0000 40 0008 8000000000000000 # 2^63, which wants no sign
    0007 0000 0003 0000 40 0008 FFFFFFFFFFFFFFFF
    0007 0000 0004 0000 12 0008 8000000000000000 # -2^63
    0007 0000 0005 0000 10 0000
    0007 0000 0005 0009 80 0008 8000000000000001""",
    {
        7: {
            0: {
                1: (1 << 63) - 1,
                2: 1 << 63,
                3: (1 << 64) - 1,
                4: -1 << 63,
                5: {9: (1 << 63) + 1},
            }
        }
    },
)


def annotated(text):
    """The bytes of hex digits in groups; what stands behind a # says what they are."""
    return unhexlify("".join([line.split("#")[0] for line in text.split("\n")]).replace(" ", ""))


def crc_by_bits(data):
    # CRC-32 of IEEE 802.3, by its definition: reflected, from all ones, inverted at the end.
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_form():
    with mounted(LFS2, LFS2.format()):
        for i in range(0, len(BODIES), 2):
            n = i // 2
            text, state = BODIES[i : i + 2]
            body = annotated(text)
            assert Store(FOLDER).commit("ep", state)
            # "LwA", version 1; the number goes up from 0; the length; the CRC; zeros to the end.
            head = b"LwA\x01" + bytes((0, n, 0, len(body)))
            head += crc_by_bits(body + head).to_bytes(4, "big")
            for path in FILES[:2]:
                data = get(path)
                assert data[:HEAD] == head, text
                assert data[HEAD : HEAD + len(body)] == body, text
                assert len(data) == 4096 and not any(data[HEAD + len(body) :])
            assert load("ep") == (state, None)


def test_values():
    # All types, as they were: a bool is not an int, an empty str no bytes.
    values = {
        0: "",
        1: "\u00fc\u20ac" * 100,
        2: b"",
        3: bytes(range(256)) * 3,
        4: True,
        5: False,
        6: 0,
        7: (1 << 63) - 1,
        8: -1 << 63,
        9: 1,
        10: 0.1,
        11: -1e300,
        12: (0, 65535),
        13: {},
        14: {3: "x", 1: b"y", 2: (1, 2)},
        15: 1 << 63,
        16: (1 << 64) - 1,
        65535: float("inf"),
    }
    with with_flash():
        Store(FOLDER).commit("\u00e9", {7: {9: values}, 1: {}})
        state, text = load("\u00e9")
        assert state == {7: {9: values}} and text is None
        for rid in values:
            assert type(state[7][9][rid]) is type(values[rid]), rid
        # The order in which they were put in does not matter.
        turned = {rid: values[rid] for rid in sorted(values, reverse=True)}
        assert not Store(FOLDER).commit("\u00e9", {7: {9: turned}})
        # What only a resource of type FLOAT can have, which takes an int too.
        Store(FOLDER).commit("\u00e9", {7: {9: {0: 1 << 64, 1: -(1 << 63) - 1, 2: 10**40}}})
        assert load("\u00e9")[0] == {7: {9: {0: 2.0**64, 1: -(2.0**63), 2: 1e40}}}


def test_what_cannot_be_stored_is_refused():
    with with_flash(LFS2, FACTORY):
        store = Store(FOLDER)
        for value in (None, [1], bytearray(KEYS[1]), {1: None}, {1: {2: 3}}, len):
            text = refused(ValueError, store.commit, ENDPOINT, {0: {0: {5: value}}})
            assert "cannot be stored" in text and "first" not in text
            assert store.load(ENDPOINT) == (stored(FACTORY), None)
        # Longer than the two bytes of the length can say: error 27, EFBIG.
        long = {0: {0: {5: b"k" * 40000, 3: b"k" * 40000}}}
        assert "27" in refused(OSError, store.commit, ENDPOINT, long)
        assert load() == (stored(FACTORY), None)


def test_nothing_there():
    for kind in KINDS:
        with mounted(kind, kind.format()):
            assert load() == (None, None)


# --- Commits


def test_unchanged_writes_nothing():
    for kind in KINDS:
        with with_flash(kind, FACTORY, BOOTSTRAPPED) as flash:
            store = Store(FOLDER)
            assert store.load(ENDPOINT) == (stored(BOOTSTRAPPED), None)
            assert not store.commit(ENDPOINT, BOOTSTRAPPED)
            assert not Store(FOLDER).commit(ENDPOINT, BOOTSTRAPPED)
            store.provision(ENDPOINT, FACTORY)  # the state differs, the factory copy does not
            flash.power_on()
            store.provision(ENDPOINT, FACTORY)
            assert flash.ops == 0


def test_operations_of_a_commit():
    # A slot is one block of littlefs, and an entry in its directory; on FAT its sectors and its
    # directory's. Two slots.
    for kind in KINDS:
        with with_flash(kind, FACTORY) as flash:
            assert Store(FOLDER).commit(ENDPOINT, BOOTSTRAPPED)
            print("commit, %s: %d erases, %d programs" % (kind.name, flash.erases, flash.programs))
            assert flash.erases == (0 if flash.card else 4 if kind.fat else 2)
            assert flash.programs <= (18 if flash.card else 4 if kind.fat else 66)


def test_many_commits():
    # The directories' logs of littlefs fill up meanwhile, the number wraps.
    for kind in (LFS2, Fat(False)):
        with with_flash(kind, FACTORY) as flash:
            store = Store(FOLDER)
            store.load(ENDPOINT)
            store._seq = 0xFF00
            for n in range(300):
                assert store.commit(ENDPOINT, {1: {0: {1: n}}})
                if n % 50 == 0 or 250 < n < 260:
                    store = Store(FOLDER)
                    assert store.load(ENDPOINT) == ({1: {0: {1: n}}}, None)
            print("300 commits, %s: %d erases" % (kind.name, flash.erases))


def test_newest():
    # Numbers of the slots, and which is the newer one; they wrap after 65535.
    for zero, one, newest in (
        (0, 1, 1),
        (1, 0, 0),
        (0xFFFF, 0, 1),
        (0, 0xFFFF, 0),
        (0x7FFF, 0x8000, 1),
        (0x8000, 0x7FFF, 0),
        (7, 7, 0),
    ):
        with with_flash(LFS2, FACTORY):
            for slot, seq in enumerate((zero, one)):
                body = b"\x02ep" + struct.pack(">4HBHB", 1, 0, 0, 0, 0x12, 1, slot)
                put(FILES[slot], envelope(body, seq))
            assert load("ep") == ({1: {0: {0: newest}}}, None)
            # The other slot followed, and the next commit is the newest.
            assert get(FILES[0])[:HEAD] == get(FILES[1])[:HEAD]
            assert Store(FOLDER).commit("ep", FACTORY)
            assert load("ep") == (stored(FACTORY), None)


def test_longer_than_a_slot():
    long = {0: {0: {5: b"k" * 20000}}}
    for kind in KINDS:
        with with_flash(kind, FACTORY):
            assert Store(FOLDER).commit(ENDPOINT, long)
            assert load() == (long, None)
            assert Store(FOLDER).commit(ENDPOINT, BOOTSTRAPPED)
            assert load() == (stored(BOOTSTRAPPED), None)


# --- The factory copy


def reset(store):
    store.load(ENDPOINT)
    store.factory_reset()


def test_factory_reset():
    for kind in KINDS:
        with with_flash(kind, FACTORY, BOOTSTRAPPED, AGAIN):
            before = get(FILES[2])
            reset(Store(FOLDER))
            assert load() == (stored(FACTORY), None)
            assert load() == (stored(FACTORY), None)
            # Another one, and a bootstrap after it.
            reset(Store(FOLDER))
            assert load() == (stored(FACTORY), None)
            assert Store(FOLDER).commit(ENDPOINT, BOOTSTRAPPED)
            assert load() == (stored(BOOTSTRAPPED), None)
            assert get(FILES[2]) == before


def test_factory_reset_is_refused_where_the_copy_is_damaged():
    with with_flash(LFS2, FACTORY, BOOTSTRAPPED):
        data = bytearray(get(FILES[2]))
        data[20] ^= 1
        put(FILES[2], data)
        assert refused(ValueError, reset, Store(FOLDER)) == "the factory copy is damaged"
        assert load() == (stored(BOOTSTRAPPED), None)


def test_factory_reset_without_a_copy():
    # The application has accounts of its own, or none.
    with with_flash():
        Store(FOLDER).commit(ENDPOINT, BOOTSTRAPPED)
        reset(Store(FOLDER))
        assert load() == (None, None)


def test_factory_copy_elsewhere():
    with with_flash(LFS2, FACTORY):
        data = get(FILES[2])
    with with_flash():
        put("/flash/partition", data)
        for factory in ("/flash/partition", lambda: io.BytesIO(data)):
            store = Store(FOLDER, factory)
            assert store.load(ENDPOINT) == (stored(FACTORY), None)
            store.commit(ENDPOINT, BOOTSTRAPPED)
            assert Store(FOLDER, factory).load(ENDPOINT) == (stored(BOOTSTRAPPED), None)
            reset(Store(FOLDER, factory))
            assert Store(FOLDER, factory).load(ENDPOINT) == (stored(FACTORY), None)
        text = refused(ValueError, store.provision, ENDPOINT, AGAIN)
        assert text == "the factory copy is read by a function: write it where that looks"
        assert store.load(ENDPOINT) == (stored(FACTORY), None)


# --- Damage


def used(slot):
    return "slot %d is damaged; slot %d is used" % (slot, 1 - slot)


def damage(slot, data, state, text):
    """Load with that in a slot; it is mended then."""
    put(FILES[slot], data)
    assert load() == (state, text), (slot, text)
    assert load() == (state, None)


def test_every_byte_flipped():
    for kind in (LFS2, Fat(False)):
        with with_flash(kind, FACTORY, BOOTSTRAPPED):
            good = get(FILES[0])
            end = HEAD + struct.unpack(">H", good[6:8])[0]
            for slot in (0, 1):
                for i in range(0, end, 13 if kind.fat else 1):
                    for bits in (0x01, 0xFF) if i < HEAD else (1 << i % 8,):
                        data = bytearray(good)
                        data[i] ^= bits
                        damage(slot, data, stored(BOOTSTRAPPED), used(slot))
                # Behind the body nothing counts.
                data = bytearray(good)
                data[end] ^= 1
                damage(slot, data, stored(BOOTSTRAPPED), None)


def test_truncated_at_every_length():
    for kind in (LFS2, Fat(False)):
        with with_flash(kind, FACTORY, BOOTSTRAPPED):
            good = get(FILES[0])
            end = HEAD + struct.unpack(">H", good[6:8])[0]
            for slot in (0, 1):
                for n in range(0, end, 13 if kind.fat else 1):
                    text = used(slot) if n else None  # an empty file was never written
                    damage(slot, good[:n], stored(BOOTSTRAPPED), text)
                os.remove(FILES[slot])
                assert load() == (stored(BOOTSTRAPPED), None)


def test_both_slots_damaged():
    with with_flash(LFS2, FACTORY, BOOTSTRAPPED):
        good = get(FILES[0])
        end = HEAD + struct.unpack(">H", good[6:8])[0]
        for i in range(end):
            for slot in (0, 1):
                data = bytearray(good)
                data[i] ^= 0x80 >> i % 8
                put(FILES[slot], data)
            text = "slot 0 is damaged; slot 1 is damaged; the factory copy is used"
            assert load() == (stored(FACTORY), text)
        factory = get(FILES[2])
        end = HEAD + struct.unpack(">H", factory[6:8])[0]
        for n in range(1, end):
            put(FILES[2], factory[:n])
            text = "slot 0 is damaged; slot 1 is damaged; the factory copy is damaged"
            assert load() == (None, text + "; there are no accounts")
        os.remove(FILES[2])
        text = "slot 0 is damaged; slot 1 is damaged; there are no accounts"
        assert load() == (None, text)
        # It goes on from there.
        assert Store(FOLDER).commit(ENDPOINT, AGAIN)
        assert load() == (stored(AGAIN), None)


def test_newer_version():
    with with_flash(LFS2, FACTORY, BOOTSTRAPPED):
        good = get(FILES[0])
        newer = envelope(b"a body that nobody here knows", 9, 2)
        # One slot: what a commit of a newer firmware leaves that was cut in between. It is left for
        # that, until there is something to store.
        put(FILES[1], newer)
        text = "slot 1 is of another version; slot 0 is used"
        assert load() == (stored(BOOTSTRAPPED), text)
        assert not Store(FOLDER).commit(ENDPOINT, BOOTSTRAPPED)
        assert load() == (stored(BOOTSTRAPPED), text) and get(FILES[1]) == newer
        # Two of them.
        put(FILES[0], newer)
        text = (
            "slot 0 is of another version; slot 1 is of another version; the factory copy is used"
        )
        assert load() == (stored(FACTORY), text)
        assert get(FILES[0]) == newer and get(FILES[1]) == newer
        assert Store(FOLDER).commit(ENDPOINT, AGAIN)
        assert load() == (stored(AGAIN), None)
        # That is the newest then, for the newer firmware too: 10 comes after 9.
        assert get(FILES[0])[4:6] == b"\x00\x0a"
        assert good[4:6] != b"\x00\x0a"


def test_other_endpoint():
    with with_flash(LFS2, FACTORY, BOOTSTRAPPED):
        good = get(FILES[0])
        text = "%s is of endpoint " + ENDPOINT
        names = ("slot 0", "slot 1", "the factory copy")
        text = "; ".join([text % name for name in names]) + "; there are no accounts"
        assert load("other") == (None, text)
        assert load() == (stored(BOOTSTRAPPED), None)
        # In one slot only.
        Store(FOLDER).commit("other", AGAIN)
        assert load("other") == (stored(AGAIN), None)
        other = get(FILES[0])
        put(FILES[1], good)
        assert load("other") == (stored(AGAIN), None)  # it is older, and was not looked into
        assert get(FILES[1]) == other
        put(FILES[0], other)
        put(FILES[1], good)
        assert load() == (stored(BOOTSTRAPPED), "slot 0 is of endpoint other; slot 1 is used")
        # It is whole, and left until there is something to store.
        assert get(FILES[0]) == other
        assert Store(FOLDER).commit(ENDPOINT, AGAIN)
        assert load() == (stored(AGAIN), None)


# --- What is whole, and of no use


def record(oid, iid, rid, riid, t, value=b""):
    """A record as the head of store.py describes it."""
    return struct.pack(">4HBH", oid, iid, rid, riid, t, len(value)) + value


def body_of(path):
    """The body of a file, without the zeros behind it."""
    data = get(path)
    return data[HEAD : HEAD + struct.unpack(">H", data[6:8])[0]]


def lifetime_missing(state):
    """A check as the owner of a store has one."""
    return None if 1 in state.get(1, {}).get(0, {}) else "/1/0/1 is missing"


def checked():
    return Store(FOLDER).load("ep", lifetime_missing)


def test_state_that_is_of_no_use():
    good, bad = {1: {0: {1: 300}}}, {1: {0: {}}}
    fault = "slot %d is of no use: /1/0/1 is missing"
    with mounted(LFS2, LFS2.format()):
        Store(FOLDER).provision("ep", good)
        assert checked() == (good, None)
        for slot, seq in ((0, 7), (1, 8), (0, 0xFFFF)):
            newest = pack("ep", bad, seq + 1)
            put(FILES[slot], newest)
            put(FILES[1 - slot], pack("ep", good, seq))
            # The older one is used; the other may be right for another firmware ...
            text = fault % slot + "; slot %d is used" % (1 - slot)
            for _ in range(2):
                assert checked() == (good, text)
            store = Store(FOLDER)
            store.load("ep", lifetime_missing)
            assert not store.commit("ep", good)
            assert get(FILES[slot]) == newest
            # ... and goes when there is something to store.
            assert store.commit("ep", {1: {0: {1: seq}}})
            assert checked() == ({1: {0: {1: seq}}}, None)
            assert get(FILES[slot])[4:6] == struct.pack(">H", seq + 2 & 0xFFFF)


def test_both_slots_are_of_no_use():
    good, bad = {1: {0: {1: 300}}}, {1: {0: {}}}
    faults = "".join(["slot %d is of no use: /1/0/1 is missing; " % slot for slot in (0, 1)])
    with mounted(LFS2, LFS2.format()):
        Store(FOLDER).provision("ep", good)
        Store(FOLDER).commit("ep", bad)
        # Slot 1 is as new as slot 0, which is looked into first then.
        assert checked() == (good, faults + "the factory copy is used")
        fault = "the factory copy is of no use: /1/0/1 is missing"
        put(FILES[2], pack("ep", bad))
        assert checked() == (None, faults + fault + "; there are no accounts")
        # A factory reset to that is refused, and changes nothing.
        store = Store(FOLDER)
        store.commit("ep", good)
        assert refused(ValueError, store.factory_reset, lifetime_missing) == fault
        assert checked() == (good, None)
        put(FILES[2], pack("ep", {1: {0: {1: 600}}}))
        store.factory_reset(lifetime_missing)
        assert checked() == ({1: {0: {1: 600}}}, None)


def test_slot_that_cannot_be_read_stays():
    # It may be the newest one.
    newest = pack(ENDPOINT, AGAIN, 99)
    with with_flash(LFS2, FACTORY, BOOTSTRAPPED):
        put(FILES[1], newest)
        for e in (OSError(5), MemoryError()):

            def fails():
                raise e

            store = Store(FOLDER)
            store._files[1] = fails
            text = "slot 1 cannot be read: %r; slot 0 is used" % e
            assert store.load(ENDPOINT) == (stored(BOOTSTRAPPED), text)
            assert get(FILES[1]) == newest
        assert load() == (stored(AGAIN), None)


def test_records_of_a_newer_release():
    # Each kind and type that there is not, wherever it stands: it is skipped, and carried along as
    # it is until a factory reset.
    known = [0x00] + list(range(0x10, 0x19)) + list(range(0x21, 0x29)) + [0x40, 0x80]
    records = [
        record(1, 0, 0, 0, 0x00),
        record(1, 0, 1, 0, 0x12, b"\x07"),
        record(1, 0, 2, 0, 0x10),
        record(1, 0, 2, 3, 0x22, b"\x08"),
    ]
    state = {1: {0: {1: 7, 2: {3: 8}}}}
    with mounted(LFS2, LFS2.format()):
        Store(FOLDER).commit("ep", {})
        for t in range(256):
            if t in known:
                continue
            place = t % 5
            new = record(65535, t, 1, place, t, bytes(range(t))) + record(1, 0, 1, 0, t)
            body = b"\x02ep" + b"".join(records[:place] + [new] + records[place:])
            put(FILES[0], envelope(body, 5))
            put(FILES[1], b"")
            store = Store(FOLDER)
            assert store.load("ep") == (state, None), (t, place)
            assert get(FILES[1]) == get(FILES[0]) + bytes(4096 - HEAD - len(body))  # mended
            if t % 16:
                continue
            for n in (1, 2):
                assert store.commit("ep", {1: {0: {1: n}}})
                for path in FILES[:2]:
                    assert (
                        body_of(path)
                        == b"\x02ep" + records[0] + records[1][:-1] + bytes((n,)) + new
                    )
                store = Store(FOLDER)
                assert store.load("ep") == ({1: {0: {1: n}}}, None)
            assert not store.commit("ep", {1: {0: {1: n}}})
            store.factory_reset()
            assert store.commit("ep", state)
            for path in FILES[:2]:
                assert body_of(path) == b"\x02ep" + b"".join(records)


def test_order_and_repetition():
    # A record that comes before what it is in, and two for the same.
    instance = record(1, 0, 0, 0, 0x00)
    multiple = record(1, 0, 2, 0, 0x10)
    part = record(1, 0, 2, 3, 0x22, b"\x08")
    for records, state in (
        ([record(1, 0, 1, 0, 0x12, b"\x07"), instance], {1: {0: {1: 7}}}),
        ([record(1, 0, 1, 0, 0x12, b"\x07")], {1: {0: {1: 7}}}),
        ([instance, multiple, part, instance], {1: {0: {2: {3: 8}}}}),
        ([instance, multiple, part, multiple], {1: {0: {2: {}}}}),
        ([record(1, 0, 1, 0, 0x12, b"\x07"), record(1, 0, 1, 0, 0x11, b"x")], {1: {0: {1: "x"}}}),
        ([multiple, part, record(1, 0, 2, 3, 0x22, b"\x09")], {1: {0: {2: {3: 9}}}}),
        ([part], None),
        ([part, multiple], None),
        ([record(1, 0, 2, 0, 0x12, b"\x07"), part], None),
    ):
        with mounted(LFS2, LFS2.format()):
            Store(FOLDER).commit("ep", {})
            put(FILES[0], envelope(b"\x02ep" + b"".join(records), 5))
            text = None
            if state is None:
                state, text = {}, "slot 0 is damaged; slot 1 is used"
            assert load("ep") == (state, text), (records, load("ep"))


def test_hostile_bodies():
    # With a CRC that is right: records cut at every byte, lengths and types of all sorts, rubbish.
    # Whatever comes out has the shape of a state, and nothing is raised.
    seed = 1

    def random(n):
        nonlocal seed
        seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
        return (seed >> 8) % n

    with with_flash(LFS2, FACTORY, BOOTSTRAPPED):
        good = get(FILES[0])
        n = struct.unpack(">H", good[6:8])[0]
        good = bytes(good[HEAD : HEAD + n])
        bodies = [
            b"",
            b"\x00",
            b"\xff",
            b"\x01\xff",
            b"\x02ep" + b"\xff" * 10,
            b"\x02ep" + b"\xff" * 11,
        ]
        bodies += [good[:i] for i in range(n)]
        bodies += [good + b"\x00" * i for i in (1, 10, 11, 12)]
        # A resource instance of no resource, and of one that is not multiple.
        bodies.append(b"\x02ep" + struct.pack(">4HBH", 1, 0, 7, 0, 0x22, 1) + b"\x00")
        bodies.append(
            b"\x02ep"
            + struct.pack(">4HBHB", 1, 0, 7, 0, 0x12, 1, 5)
            + struct.pack(">4HBHB", 1, 0, 7, 0, 0x22, 1, 6)
        )
        read = 0
        count = len(bodies) + 1500
        for i in range(count):
            if i < len(bodies):
                body = bodies[i]
            else:
                body = bytearray(good)
                for _ in range(1 + random(4)):
                    body[random(n)] = random(256)
            data = envelope(bytes(body), 3)
            put(FILES[0], data)
            put(FILES[1], data)
            state, text = load()
            if text is None:
                read += 1
            else:
                assert text.endswith("the factory copy is used") and state == stored(FACTORY)
            for oid in state:
                for iid in state[oid]:
                    assert isinstance(state[oid][iid], dict) and isinstance(iid, int)
        assert 100 < read < count - 100  # mutants that differ in a value are good ones


# --- File systems that are full, or fail


def test_full_file_system():
    # littlefs writes a block anew before it frees the old one: a full file system takes no commit.
    # On FAT a slot is overwritten, and takes one.
    for kind in KINDS:
        if kind.fat and kind.format().card:
            continue  # 8 MB would take long to fill
        with with_flash(kind, FACTORY, BOOTSTRAPPED):
            fill("/flash/big")
            assert load() == (stored(BOOTSTRAPPED), None)
            for state in (AGAIN, PURGED):
                if kind.fat:
                    assert Store(FOLDER).commit(ENDPOINT, state)
                    assert load() == (stored(state), None)
                else:
                    text = refused(OSError, Store(FOLDER).commit, ENDPOINT, state)
                    assert "28" in text  # ENOSPC
                    refused(OSError, reset, Store(FOLDER))
                    assert load() == (stored(BOOTSTRAPPED), None)
            unfill("/flash/big")
            assert Store(FOLDER).commit(ENDPOINT, AGAIN)
            assert load() == (stored(AGAIN), None)
        # A state that makes FAT's files grow.
        long = {0: {0: {5: b"k" * 20000}}}
        with with_flash(kind, FACTORY, BOOTSTRAPPED):
            fill("/flash/big")
            assert "28" in refused(OSError, Store(FOLDER).commit, ENDPOINT, long)
            assert load()[0] == stored(BOOTSTRAPPED)
        # The first write of all.
        with with_flash(kind):
            fill("/flash/big")
            refused(OSError, Store(FOLDER).provision, ENDPOINT, FACTORY)
            assert load()[0] is None
            unfill("/flash/big")
            Store(FOLDER).provision(ENDPOINT, FACTORY)
            assert load() == (stored(FACTORY), None)


def test_full_while_mending():
    with with_flash(LFS2, FACTORY, BOOTSTRAPPED):
        put(FILES[0], b"rubbish that is no slot, but longer than a header")
        fill("/flash/big")
        state, text = load()
        assert state == stored(BOOTSTRAPPED)
        why = "slot 0 is damaged; slot 0 cannot be written: OSError(28,)"
        assert text == why + "; slot 1 is used"
        unfill("/flash/big")
        assert load() == (stored(BOOTSTRAPPED), used(0))
        assert load() == (stored(BOOTSTRAPPED), None)


def test_every_amount_of_space():
    # Blocks left free, one after another: a commit is there whole, or was refused and is not.
    seen = set()
    for blocks in range(8, 24):
        with mounted(LFS2, LFS2.format(blocks)):
            try:
                Store(FOLDER).provision(ENDPOINT, FACTORY)
            except OSError:
                seen.add(0)
                assert load()[0] in (None, stored(FACTORY))
                continue
            done = True
            try:
                Store(FOLDER).commit(ENDPOINT, AGAIN)
            except OSError:
                done = False
            assert load()[0] == stored(AGAIN if done else FACTORY)
            seen.add(2 if done else 1)
    assert 0 in seen and 2 in seen


def test_cells_that_are_worn_out():
    # They take nothing, and say they did. littlefs reads back and goes elsewhere; FAT does not, but
    # the store reads back what it has written.
    for kind in KINDS:
        flash = kind.format()
        with mounted(kind, flash):
            Store(FOLDER).provision(ENDPOINT, FACTORY)
            flash.lose = True
            refused(OSError, Store(FOLDER).commit, ENDPOINT, AGAIN)
            flash.lose = False
        with mounted(kind, flash):
            assert load()[0] == stored(FACTORY)


# --- Keys


def tree(path):
    names = []
    for name in os.listdir(path):
        child = path + "/" + name
        if os.stat(child)[0] & 0x4000:
            names += tree(child)
        else:
            names.append(child)
    return sorted(names)


def test_keys_that_were_replaced_are_gone():
    # In no file, and there are no other files. On FAT nowhere at all; littlefs erases a block
    # when it needs it, not when it frees it.
    for kind in KINDS:
        with with_flash(kind, FACTORY, BOOTSTRAPPED) as flash:
            assert KEYS[1] in get(FILES[0]) and KEYS[1] in get(FILES[1])
            Store(FOLDER).commit(ENDPOINT, AGAIN)
            assert tree("/flash") == sorted(FILES)
            for key, places in zip(KEYS, (1, 0, 2, 2)):
                assert sum(key in get(path) for path in FILES) == places
            assert not (kind.fat and flash.holds(KEYS[1]))
            assert flash.holds(KEYS[2])
            reset(Store(FOLDER))
            for key, places in zip(KEYS, (1, 0, 0, 0)):
                assert sum(key in get(path) for path in FILES) == places
            assert not (kind.fat and (flash.holds(KEYS[2]) or flash.holds(KEYS[3])))


def test_keys_are_in_no_text():
    with with_flash(LFS2, FACTORY, BOOTSTRAPPED):
        texts = [repr(Store(FOLDER))]
        good = get(FILES[0])
        for i in range(1, 600, 7):
            put(FILES[0], good[:i])
            put(FILES[1], envelope(good[HEAD : HEAD + i], 5))
            texts.append(load()[1])
        store = Store(FOLDER)
        for state in (
            {0: {0: {5: [KEYS[1]]}}},
            {0: {0: {5: {0: bytearray(KEYS[1])}}}},
        ):
            texts.append(refused(ValueError, store.commit, ENDPOINT, state))
        for text in texts:
            for key in KEYS:
                assert str(key, "utf-8") not in str(text)
