# heapsize: 4M
#
# A board's flash from release to release: each boots from what those before it have left there
# (tests/data/store, a folder each), and the one before boots from what this one writes.

import os
import struct
from binascii import crc32
import dumps  # first, as it finds firmware's modules
import device.area as area
import device.settings as settings
from dumps import ENDPOINT, FACTORY, KEY, SLOTS
from flash import Flash, Lfs2, mounted
from lwm2m.context import EVENT_STORE
from lwm2m.credentials import Credentials
from lwm2m.store import Store, pack
from world import Registrar, World

FOLDER = "/flash/lwm2m"
FILES = [FOLDER + name + "/accounts" for name in ("/0", "/1", "/factory")]
DATA = __file__.rsplit("/", 2)[0] + "/data/store/"
KIND = Lfs2(256)


def releases():
    """Their versions, the oldest first."""
    return sorted(os.listdir(DATA), key=lambda version: [int(n) for n in version.split(".")])


def dump(version, name):
    with open("%s%s/%s.bin" % (DATA, version, name), "rb") as f:
        return f.read()


def put(path, data):
    """A file of that size, as a store makes it."""
    for end in range(len("/flash/"), len(path)):
        if path[end] == "/":
            try:
                os.mkdir(path[:end])
            except OSError:
                pass
    with open(path, "wb") as f:
        f.write(data + bytes(4096 - len(data)))


def credentials():
    """The keys of the dumps that are elsewhere."""
    found = Credentials()
    found.create(dumps.BS_PEER, (0, dumps.IDENTITY, b"", dumps.BS_KEY))
    found.create(dumps.PEER, (0, dumps.IDENTITY, b"", KEY))
    return found


KEYS = {
    "psk": (0, dumps.IDENTITY, None, KEY),
    "elsewhere": (0, dumps.IDENTITY, b"", KEY),
    "x509": (2, dumps.CERTIFICATE, dumps.SERVER_CERTIFICATE, dumps.PRIVATE_KEY),
    "nosec": (3, b"", b"", b""),
}


def boots(name, state):
    """A client starts from the slots as they are, and registers."""
    world = World(modes=(0, 1, 2, 3))
    for port in (5683, 5684):
        Registrar(world, port)
    client = world.client(
        ENDPOINT,
        store=Store(FOLDER),
        credentials=credentials() if name == "elsewhere" else None,
    )
    assert world.last(EVENT_STORE) is None, name
    assert client.core.objects[0].instances == state[0]
    assert client.core.objects[1].instances == state[1]
    assert client.core.objects[2].instances == state.get(2, {})
    assert world.run(100, lambda: client.core.accounts and client.core.accounts[0].location), name
    assert client.core.keys(client.core.accounts[0]) == KEYS[name]


def test_each_release_s_slots_boot():
    for version in releases():
        for i in range(0, len(SLOTS), 2):
            with mounted(KIND, KIND.format()):
                for slot in (0, 1):
                    put(FILES[slot], dump(version, SLOTS[i]))
                boots(SLOTS[i], SLOTS[i + 1])
                # One of them is as good.
                for slot in (0, 1):
                    put(FILES[slot], dump(version, SLOTS[i]))
                    put(FILES[1 - slot], b"")
                    boots(SLOTS[i], SLOTS[i + 1])


def test_each_release_s_factory_copy_boots():
    settings.FOLDER = FOLDER
    settings.area = lambda: None
    for version in releases():
        with mounted(KIND, KIND.format()):
            put(FILES[2], dump(version, "factory"))
            copy = settings.load()
            assert copy.endpoint == ENDPOINT and copy.values == dumps.SETTINGS
            assert copy.state == {0: FACTORY[0]}
            assert Store(FOLDER).load(ENDPOINT) == (FACTORY, None)
            # What a factory reset has left.
            put(FILES[0], dump(version, "reset"))
            assert Store(FOLDER).load(ENDPOINT) == (FACTORY, None)
            # The area of an image of ours, one copy or the other.
            for block in (1, 3):
                flash = Flash(4096, 5)
                area._device = lambda: flash
                there = dump(version, "area")
                flash.data[block] = bytearray(there + b"\xff" * (4096 - len(there)))
                assert Store(FOLDER + "x", area.open).load(ENDPOINT) == (FACTORY, None)


def test_this_release_s_dumps_are_there():
    # Where this fails, something else is written than the last release has: the head of store.py says
    # what may be, and make_store_dumps.py makes the dumps of the release that is to come.
    version = releases()[-1]
    found = dumps.written()
    assert sorted(name + ".bin" for name in found) == sorted(os.listdir(DATA + version))
    for name in found:
        assert found[name] == dump(version, name), name


# --- The release before, 0.1.0, by the description that it had of its files


def number(data, signed=False):
    n = 0
    for byte in data:
        n = n << 8 | byte
    return n - (1 << 8 * len(data)) if signed and data[0] & 0x80 else n


def value_0_1_0(t, data):
    # What it writes again where it mends the other slot, which fails for a whole number that is
    # longer than 8 bytes with a sign.
    if t == 0:
        return {}
    if t == 1:
        return str(data, "utf-8")
    if t == 4:
        return struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
    if t == 5:
        assert data in (b"\0", b"\1")
        return data == b"\1"
    if t == 6:
        return data
    if t == 8:
        assert len(data) == 4
        return number(data[:2]), number(data[2:])
    assert len(data) in (1, 2, 4, 8)
    assert t != 3 or not data[0] & 0x80
    return number(data, True)


def read_0_1_0(data):
    """(endpoint, state) of a file; AssertionError where that release took it for damaged."""
    assert data[:3] == b"LwA" and data[3] == 1
    body = data[12 : 12 + number(data[6:8])]
    assert number(data[8:12]) == crc32(data[:8], crc32(body))
    at = 1 + body[0]
    endpoint = str(body[1:at], "utf-8")
    state = {}
    while at < len(body):
        oid, iid, rid, riid = [number(body[i : i + 2]) for i in range(at, at + 8, 2)]
        kind = body[at + 8]
        start = at + 11
        at = start + number(body[start - 2 : start])
        assert at <= len(body)
        value = value_0_1_0(kind & 15, body[start:at])
        values = state.setdefault(oid, {}).setdefault(iid, {})
        if kind & 0x10:
            values[rid] = value
        elif kind & 0x20:
            values[rid][riid] = value
    return endpoint, state


def test_the_release_before_boots_from_what_this_one_writes():
    found = dumps.written()
    for i in range(0, len(SLOTS), 2):
        assert read_0_1_0(found[SLOTS[i]]) == (ENDPOINT, SLOTS[i + 1])
    assert read_0_1_0(found["factory"]) == (ENDPOINT, FACTORY)
    assert read_0_1_0(found["reset"]) == ("", {})
    assert found["area"][:4] == b"LwF1" and found["area"][12:] == found["factory"]
    # All that a model takes.
    values = {
        0: [0, 1, -1, 127, 128, -128, -129, 32767, 32768, (1 << 31) - 1, 1 << 31, -1 << 31],
        1: [(1 << 63) - 1, -1 << 63],
        2: ["", "\u20ac", "x" * 300],
        3: [b"", b"\x00\xff", bytes(700)],
        4: [0.0, 0.1, -1.5, 1e300, float("inf")],
        5: [True, False],
        6: [(0, 0), (65535, 65535)],
    }
    state = {70: {}}
    for iid in values:
        one = values[iid]
        state[70][iid] = {rid: one[rid] for rid in range(len(one))}
        state[70][iid][99] = state[70][iid].copy()
        state[70][iid][100] = {}
    assert read_0_1_0(bytes(pack(ENDPOINT, state, 65535))) == (ENDPOINT, state)
    # A number from 2^63 on, of which that release has none: it does without.
    more = dict(state)
    more[71] = {0: {0: 1 << 63, 1: 7, 2: {3: (1 << 64) - 1, 4: 8}}}
    state[71] = {0: {1: 7, 2: {4: 8}}}
    assert read_0_1_0(bytes(pack(ENDPOINT, more))) == (ENDPOINT, state)
    types = [type(value) for value in read_0_1_0(bytes(pack("", state)))[1][70][5].values()]
    assert types == [bool, bool, dict, dict]


def test_the_release_before_boots_from_what_this_one_carries_along():
    # A record of a release to come, as the head of store.py wants it: the release before takes it
    # for an instance of nothing.
    new = struct.pack(">4HBH", 65535, 7, 8, 9, 0xC0, 300) + bytes(range(250)) + bytes(50)
    state = SLOTS[1]
    data = pack(ENDPOINT, state, 1, new)
    with mounted(KIND, KIND.format()):
        for path in FILES[:2]:
            put(path, data)
        boots("psk", state)
        store = Store(FOLDER)
        store.load(ENDPOINT)
        state = dict(state)
        state[1] = {300: dict(state[1][300])}
        state[1][300][1] = 600
        assert store.commit(ENDPOINT, state)
        with open(FILES[0], "rb") as f:
            data = f.read()
    assert new in data
    endpoint, found = read_0_1_0(data)
    assert found.pop(65535) == {7: {}}
    assert found == state
