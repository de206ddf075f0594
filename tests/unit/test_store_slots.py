# heapsize: 4M
#
# What a client makes of slots that are whole and wrong, and which values a store takes.

import struct
from binascii import crc32

import lwm2m.tlv as tlv
from boards import BS_KEY, BS_URI, FOLDER, KEY, Board, add_bootstrap_server, board, psk
from lwm2m.credentials import Credentials
from lwm2m.model import FLOAT, INT, M, MULTI, OBJLNK, OPAQUE, R, STR, TIME, UINT, Object
from lwm2m.store import Store, pack
from world import Random, server


# --- Values that a store takes


def test_finish_takes_what_a_write_takes():
    # The largest and the least of each type; once 2^63 made every later Finish fail with 5.00.
    wide = (0, INT | R, 1, UINT | R, 2, FLOAT | R, 3, STR | R, 4, OPAQUE | R, 5, OBJLNK | R)
    wide += (6, TIME | R, 7, UINT | R | MULTI)
    b = board()
    b.client.add_object(Object(70, wide, bootstrap=True))
    b.bootstrap()
    for rid, t, values in (
        (0, INT, ((1 << 63) - 1, -1 << 63, 0)),
        (1, UINT, ((1 << 63) - 1, 1 << 63, (1 << 64) - 1, 0)),
        (2, FLOAT, (float("inf"), -float("inf"), 1e300, 5e-324, -0.0, 1.5)),
        (3, STR, ("", "\u00e9" * 400, "\0")),
        (4, OPAQUE, (b"", bytes(900))),
        (5, OBJLNK, ((0, 0), (65535, 65535))),
        (6, TIME, ((1 << 63) - 1, -1 << 63)),
    ):
        for value in values:
            data = bytearray()
            at = tlv.begin(data, 3, rid)
            tlv.encode(data, t, value)
            tlv.end(data, at)
            assert b.provisioner.ask(3, "/70/0/%d" % rid, bytes(data), 11542).code == 0x44, value
            assert b.provisioner.finish().code == 0x44, value
            obj = Object(70, wide, bootstrap=True)
            b.power_on(obj)
            assert obj.instances[0][rid] == value and not b.texts()
            b.registered()
            assert b.registrar.execute("/1/1/9").code == 0x44
            b.request()
    # A number that a resource of type FLOAT has from the application.
    obj.instances[0][2] = 1 << 100
    assert b.provisioner.finish().code == 0x44
    obj = Object(70, wide, bootstrap=True)
    b.power_on(obj)
    assert obj.instances[0][2] == 2.0**100


def test_finish_at_any_time():
    # /3/0/13 goes into /1/x/12, Last Bootstrapped; accounts must not be lost to a wrong clock. One that
    # is not set tells no time: then nobody is told one.
    def fails():
        raise OSError(5)

    for time, stored in (
        (0, 0),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (1 << 32, None),
        ((1 << 63) - 1, None),
        (-1, None),
        ("now", None),
        (1.5, None),
        (None, None),
        (fails, None),
    ):
        b = board(device={13: time if callable(time) else lambda: time})
        b.bootstrap()
        b.finish()
        b.power_on()
        assert not b.texts() and sorted(b.client.servers()) == [1, 65535]
        assert b.client.core.objects[1].get(1, 12) == stored
        b.registered()
        answer = b.registrar.read("/1/1/12")
        assert answer.code == 0x84 if stored is None else answer.text == str(stored)
    # As a server sets it.
    b = board()
    b.bootstrap()
    b.finish()
    for time, code in ((1 << 32, 0x80), ((1 << 63) - 1, 0x80), (0xFFFFFFFF, 0x44), (0, 0x44)):
        assert b.registrar.ask(3, "/3/0/13", b"%d" % time, 0).code == code
        assert b.registrar.execute("/1/1/9").code == 0x44
        b.provisioner.requests.clear()
        b.bootstrap()
        b.client.core.objects[3].get(0, 13)
        b.finish()
        b.power_on()
        assert not b.texts() and sorted(b.client.servers()) == [1, 65535]
        b.registered()


# --- Slots that are whole, and wrong

_GOOD = {
    0: {0: psk(None, BS_KEY, BS_URI), 1: psk(1, KEY)},
    1: {0: server(1)},
}


def record(oid, iid, rid, riid, t, value=b""):
    """A record as the head of store.py describes it."""
    return struct.pack(">4HBH", oid, iid, rid, riid, t, len(value)) + value


def slot(body, seq):
    """A file with that body, whose length and CRC are right."""
    head = b"LwA" + struct.pack(">BHH", 1, seq, len(body))
    return head + struct.pack(">I", crc32(head, crc32(body))) + body


def with_value(oid, iid, rid, value):
    """The body of the good state, but for one value."""
    state = {o: {i: dict(_GOOD[o][i]) for i in _GOOD[o]} for o in _GOOD}
    state.setdefault(oid, {}).setdefault(iid, {})[rid] = value
    return bytes(pack("dev", state)[12:])


def with_records(*records):
    """The body of the good state, and records behind it."""
    return bytes(pack("dev", _GOOD)[12:]) + b"".join(records)


_WRONG = (
    # Types: a value where another belongs, a dict where a value belongs, and the other way round.
    ("/0/1/0 must be a str", with_value(0, 1, 0, b"coaps://server")),
    ("/0/1/0 must be a str", with_value(0, 1, 0, {})),
    ("/0/1/1 must be a bool", with_value(0, 1, 1, 0)),
    ("/0/1/2 must be a whole number", with_value(0, 1, 2, "0")),
    ("/0/1/2 must be a whole number", with_value(0, 1, 2, False)),
    ("/0/1/3 must be bytes", with_value(0, 1, 3, "dev")),
    ("/0/1/5 must be bytes", with_value(0, 1, 5, {0: KEY})),
    ("/0/1/10 must be a whole number", with_value(0, 1, 10, 1.0)),
    ("/0/1/10 must be a whole number", with_value(0, 1, 10, (0, 1))),
    ("/0/0/12 must be a whole number", with_value(0, 0, 12, "3600")),
    ("/0/1/16 must be a dict", with_value(0, 1, 16, 0xC0A8)),
    ("/0/1/16 must be a whole number", with_value(0, 1, 16, {0: "x"})),
    ("/0/1/16 has a wrong resource instance", with_value(0, 1, 16, {65535: 7})),
    ("/0/1/17 must be an object link", with_value(0, 1, 17, 21)),
    ("/0/x/65535 must be a str", with_value(0, 1, 65535, 7)),
    ("/0/x/65535 must be a str", with_value(0, 1, 65535, {})),
    ("/0/x/65535 must be a str", with_value(0, 1, 65535, b"name")),
    ("/1/0/1 must be a whole number", with_value(1, 0, 1, "300")),
    ("/1/0/1 must be a whole number", with_value(1, 0, 1, {0: 300})),
    ("/1/0/1 must be a whole number", with_value(1, 0, 1, 1 << 63)),
    ("/1/0/1 must be a whole number", with_value(1, 0, 1, -1)),
    ("/1/0/6 must be a bool", with_value(1, 0, 6, 1)),
    ("/1/0/7 must be a str", with_value(1, 0, 7, b"U")),
    ("/1/0/7 has an unknown binding", with_value(1, 0, 7, "U&ep=other")),
    ("/1/0/12 must be a whole number", with_value(1, 0, 12, b"")),
    ("/1/0/4 must be left out", with_value(1, 0, 4, 7)),  # it is to be executed
    # Ids that there are not, and instances that have nothing.
    ("/0/65535: no such id", with_value(0, 65535, 0, "coap://x")),
    ("/1/65535: no such id", with_value(1, 65535, 0, 2)),
    ("/0/7: resource 0 is missing", with_records(record(0, 7, 0, 0, 0))),
    ("/1/7: resource 0 is missing", with_records(record(1, 7, 0, 0, 0))),
    ("/1/7: resource 0 is missing", with_records(record(1, 7, 99, 0, 0x12, b"\1"))),
    # What no value can be, and what has no place.
    ("is damaged", with_records(record(0, 1, 1, 0, 0x15, b"\2"))),
    ("is damaged", with_records(record(1, 0, 1, 0, 0x12, b"\0\0\1"))),
    ("is damaged", with_records(record(1, 0, 7, 0, 0x11, b"U\xff"))),
    ("is damaged", with_records(record(0, 1, 17, 0, 0x18, b"\0\1\0"))),
    ("is damaged", with_records(record(1, 0, 9, 0, 0x14, b"\0\0\0\0\0"))),
    ("is damaged", with_records(record(1, 0, 1, 3, 0x22, b"\1"))),
    ("is damaged", with_records(record(0, 1, 16, 3, 0x22, b"\1"))),
    ("is damaged", with_records(b"\0\1\0")),
    ("is damaged", with_records(record(9, 0, 0, 0, 0x16, b"key"))[:-1]),
    # An endpoint that is no text, is not there, is another.
    ("is damaged", b"\3de\xff"),
    ("is damaged", b"\4dev"),
    ("is damaged", b""),
    ("is of endpoint dew", b"\3dew"),
    # Nothing at all can be: then the factory is asked.
    (None, b"\0"),
)

# What is nothing that this release knows, and does no harm.
_STRANGE = (
    record(9999, 0, 0, 0, 0),
    record(9999, 65535, 65535, 0, 0x11, b"unknown object"),
    record(16, 0, 3, 0, 0x11, b"an object that may come"),
    record(0, 1, 99, 0, 0x11, b"unknown resource"),
    record(1, 0, 99, 0, 0x10),
    record(0, 1, 1, 0, 0x15, b"\0"),  # a record twice
    record(0, 1, 0, 0, 0x19, b"unknown type"),
    record(0, 1, 0, 0, 0x30, b"unknown kind"),
    record(1, 0, 1, 0, 0x02, b"\1"),
    record(1, 0, 1, 1, 0x20),
    record(0, 1, 2, 0, 0xFF, bytes(300)),
)


def test_slots_that_are_wrong():
    # The older slot is used, or the factory copy, and words say why; nothing raises.
    factory = {0: {0: psk(None, BS_KEY, BS_URI)}}
    for text, body in _WRONG:
        for credentials in (None, Credentials()):
            b = Board(credentials)
            b.store.provision("dev", factory)
            b.put(0, slot(body, 9))
            b.put(1, slot(body, 9))
            b.power_on()
            assert b.client.servers() == [65535], (text, body)
            if text:
                fault = "slot 0 %s" % text if text.startswith("is ") else text
                assert fault in b.texts()[0] and "the factory copy is used" in b.texts()[0], (
                    text,
                    b.texts(),
                )
            else:
                assert not b.texts()
            b.request()
        # One slot, and an older one.
        if text:
            for n in (0, 1):
                b.put(n, slot(body, 9))
                b.put(1 - n, bytes(pack("dev", _GOOD, 8)))
                b.credentials = None
                b.power_on()
                assert sorted(b.client.servers()) == [1, 65535], (text, body)
                assert b.texts()[0].endswith("slot %d is used" % (1 - n))
                b.registered()
        # The factory copy too: no accounts, and the application may give some.
        for n in (0, 1, 2) if text else ():
            b.put(n, slot(body, 0))
        if text:
            b.power_on()
            assert b.client.servers() == [] and "there are no accounts" in b.texts()[0]
            add_bootstrap_server(b.client)
            b.request()


def test_slots_that_are_strange():
    b = Board()
    for strange in _STRANGE + (b"".join(_STRANGE),):
        for n in (0, 1):
            b.put(n, slot(with_records(strange), 9))
        b.power_on()
        assert sorted(b.client.servers()) == [1, 65535] and not b.texts(), strange
        b.registered()
        # It outlasts a commit, as another firmware may know it.
        b.client.set_hold_off(3)
        for n in (0, 1):
            with open(Store(FOLDER)._files[n], "rb") as f:
                data = f.read()
            for one in _STRANGE if strange not in _STRANGE else (strange,):
                assert one in data, one


def test_mutants_of_a_slot():
    # With a right CRC: whatever is in it, a client begins.
    random = Random(7)
    good = with_records()
    b = Board()
    b.store.provision("dev", {0: {0: psk(None, BS_KEY, BS_URI)}})
    kept = fallen = 0
    for _ in range(400):
        body = bytearray(good)
        for _ in range(1 + random.below(3)):
            i = random.below(len(body))
            body[i] = random.below(256) if random.below(2) else body[i] ^ 1 << random.below(8)
        for n in (0, 1):
            b.put(n, slot(bytes(body), 9))
        b.power_on()
        b.world.run_ms(100)
        if b.texts():
            assert b.client.servers() == [65535], body
            fallen += 1
        else:
            kept += 1
    assert kept > 50 and fallen > 50


def test_objects_that_are_wrong():
    # What is stored of an object that the application adds: the object stays as it is given.
    resources = (0, INT | R | M, 1, STR | R, 2, INT | R | MULTI)
    for values, text in (
        ({0: 1, 1: "x", 2: {3: 4}}, None),
        ({0: 1, 99: b"unknown"}, None),
        ({0: "1"}, "/70/0/0 must be a whole number"),
        ({0: {}}, "/70/0/0 must be a whole number"),
        ({0: 1, 1: b"x"}, "/70/0/1 must be a str"),
        ({0: 1, 2: 3}, "/70/0/2 must be a dict"),
        ({0: 1, 2: {3: "4"}}, "/70/0/2 must be a whole number"),
        ({1: "x"}, "/70/0: resource 0 is missing"),
    ):
        b = Board()
        b.store.commit("dev", {70: {0: values}})
        given = {5: {0: 7}}
        obj = Object(70, resources, dict(given), bootstrap=True)
        b.power_on(obj)
        if text:
            assert obj.instances == given
            assert b.texts()[0].startswith("what is stored is not used: " + text), b.texts()
        else:
            assert obj.instances == {0: values} and not b.texts()
        add_bootstrap_server(b.client)
        obj = Object(70, resources, bootstrap=True)
        b.power_on(obj)
        assert obj.instances == ({5: {0: 7}} if text else {0: values}) and not b.texts()
    # An instance id that there is not.
    b.store.commit("dev", {70: {65535: {0: 1}}})
    obj = Object(70, resources, bootstrap=True)
    b.power_on(obj)
    assert obj.instances == {} and "/70/65535: no such id" in b.texts()[0]
