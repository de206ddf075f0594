# heapsize: 4M
#
# A client whose accounts are in flash, and whose keys may be elsewhere: what it is after its power
# has gone.

import sys

import dtls_certs as certs
import lwm2m
from boards import (
    BS_KEY,
    BS_URI,
    FOLDER,
    KEY,
    KEY_2,
    MODES,
    PSK,
    URI,
    Board,
    add_bootstrap_server,
    board,
    psk,
    refused,
)
from lwm2m.credentials import Credentials
from lwm2m.model import INT, R, W, Object
from lwm2m.store import Store
from world import World, account, dump, encode, instances, server, servers_of


# --- Accounts


def test_security_of_accounts():
    client = World(modes=MODES).client()
    client.add_server(1, URI, PSK, security={3: b"me", 5: KEY, 14: "name", 16: {0: 0xC0A8}})
    assert client.core.objects[0].instances == {
        0: {
            0: URI,
            1: False,
            2: 0,
            3: b"me",
            4: b"",
            5: KEY,
            10: 1,
            14: "name",
            16: {0: 0xC0A8},
        }
    }
    assert client.core.keys(client.core.accounts[0] if client.core.accounts else _first(client))
    for uri, mode, security, text in (
        (URI, lwm2m.SEC_NONE, None, "4.06 coaps:// with NoSec"),
        ("coap://x", PSK, {3: b"me", 5: KEY}, "4.06 coap:// without NoSec"),
        ("coap://x", lwm2m.SEC_NONE, {5: KEY}, "4.06 coap:// with keys"),
        (URI, PSK, None, "4.06 no Public Key or Identity"),
        (URI, PSK, {3: b"me"}, "4.06 no Secret Key"),
        (URI, PSK, {3: b"me", 5: KEY, 10: 7}, "4.00 /0/x/10 is not for security"),
        (URI, 4, {3: b"me", 5: KEY}, "4.06 Security Mode 4 is not supported"),
        (URI, 2, {3: b"0a", 5: b"0b"}, "4.06 keys and certificates must be DER"),
        (URI, 1, {3: b"0a", 4: b"0b", 5: b"c"}, "4.06 keys and certificates must be DER"),
    ):
        assert refused(ValueError, client.add_server, 2, uri, mode, security=security) == text
        assert refused(ValueError, client.add_bootstrap_server, uri, mode, security) == text
    assert client.servers() == [1]


def _first(client):
    from lwm2m.core import Account

    return Account(client.core.objects[0].instances[0], 1)


def test_bootstrap_is_one_commit():
    b = board()
    first = b.seq()
    b.bootstrap()
    assert b.seq() == first
    b.finish()
    assert b.seq() == first + 1
    assert b.keys == [(0, b"factory", b"", BS_KEY), (0, b"dev", b"", KEY)]
    before = dump(b.client)
    assert {oid for oid, _ in before} == {0, 1, 3}
    b.power_on()
    assert dump(b.client) == before
    assert sorted(b.client.servers()) == [1, 65535]
    b.registered()
    assert not b.provisioner.requests and b.keys == [(0, b"dev", b"", KEY)]
    assert b.world.story() == ["REG_REGISTERING 1", "REG_REGISTERED 1"]
    b.world.run(3600)
    assert b.seq() == first + 1  # nothing was written that is not new


def test_no_finish_nothing_stored():
    b = board()
    before = b.stored()
    b.bootstrap()
    b.power_on()
    assert b.stored() == before and b.client.servers() == [65535]
    b.request()


def test_accounts_of_the_application():
    b = Board()
    client = b.client
    assert client.servers() == []
    add_bootstrap_server(client)
    client.set_hold_off(5)
    client.add_server(1, URI, PSK, security={3: b"dev", 5: KEY})
    client.add_server(2, URI, PSK, security={3: b"dev", 5: KEY_2})
    client.set_server(2, {18: 30})
    client.remove_server(1)
    before = dump(client)
    seq = b.seq()
    client = b.power_on()
    assert dump(client) == before and b.seq() == seq
    assert client.core.objects[0].get(0, 11) == 5
    assert servers_of(client) == {1: {0: 2, 1: 86400, 6: True, 7: "U", 18: 30, 23: False}}
    assert refused(ValueError, client.add_server, 2, URI, PSK).startswith("4.03")
    client.remove_server(65535)
    client.remove_bootstrap_server()
    assert b.power_on().servers() == []


def test_change_in_a_session_does_not_store_it():
    b = board()
    before = b.stored()[0][0]
    b.bootstrap()
    b.client.set_hold_off(3)
    before[11] = 3
    assert b.stored() == {0: {0: before}}
    b.world.run(30)
    assert b.power_on().servers() == [65535]


def test_written_by_a_server():
    b = board()
    b.bootstrap()
    b.finish()
    seq = b.seq()
    assert b.registrar.ask(3, "/1/1/1", b"600", 0).code == 0x44
    assert b.registrar.ask(3, "/1/1", encode({1: 600, 6: True, 7: "U"}), 11542).code == 0x44
    b.world.run(15)
    assert b.seq() == seq + 1
    b.power_on()
    assert b.client.core.objects[1].get(1, 1) == 600


def test_purge():
    purged(board())


def test_purge_where_no_clock_tells_the_time():
    b = board(device={13: lambda: None})
    purged(b)
    assert b.client.core.objects[1].get(1, 12) is None


def purged(b):
    b.request()
    values = psk(None, BS_KEY, BS_URI)
    values[12] = 100
    assert b.provisioner.delete("/0").code == 0x42
    assert b.provisioner.write("/0/0", values).code == 0x44
    b.write(1, KEY, 1)
    b.finish()
    b.world.run(60)
    b.power_on()  # it begins again, as nobody knows how long it was off
    assert sorted(b.client.servers()) == [1, 65535]
    b.world.run(90)
    assert sorted(b.client.servers()) == [1, 65535]
    b.world.run(20)
    assert b.client.servers() == [1]
    assert b.power_on().servers() == [1]
    b.world.run(200)
    assert b.client.servers() == [1]


def test_account_time_out_waits_for_finish():
    # /0/x/12 counts from a successful Finish, not from the factory.
    b = Board()
    values = psk(None, BS_KEY, BS_URI)
    values[12] = 1
    b.store.provision("dev", {0: {0: values}})
    b.power_on()
    b.request()
    b.world.run(100)
    assert b.client.servers() == [65535]


def test_factory_reset():
    b = Board()
    factory = {0: {0: psk(None, BS_KEY, BS_URI)}}
    b.store.provision("dev", factory)
    b.power_on()
    b.bootstrap()
    b.finish()
    assert b.registrar.execute("/3/0/5").code == 0x44
    b.client.step(0)
    assert b.client.servers() == [65535] and b.stored() == factory
    for slot in (0, 1):
        with open("%s/%d/accounts" % (FOLDER, slot), "rb") as f:
            assert KEY not in f.read()
    b.provisioner.requests.clear()
    b.request()
    b.power_on()
    b.request()


def test_what_else_the_factory_has_stored_stays_in_its_copy():
    b = Board()
    b.store.provision("dev", {0: {0: psk(None, BS_KEY, BS_URI)}, 65535: {1: {0: "password"}}})
    b.power_on()
    b.bootstrap()
    b.finish()
    assert sorted(b.stored()) == [0, 1]
    assert b.store.factory()[1][65535] == {1: {0: "password"}}


def test_factory_reset_is_refused_without_its_copy():
    b = Board()
    b.store.provision("dev", {0: {0: psk(None, BS_KEY, BS_URI)}})
    with open(FOLDER + "/factory/accounts", "r+b") as f:
        f.seek(40)
        f.write(b"?")
    b.power_on()
    b.bootstrap()
    b.finish()
    before = dump(b.client)
    assert b.registrar.execute("/3/0/5").code == 0x44
    b.client.step(0)
    assert b.texts() == ["no factory reset: the factory copy is damaged"]
    assert dump(b.client) == before
    b.registered()


def test_factory_reset_of_the_application():
    called = []
    b = board(device={5: lambda: called.append(1)})
    b.bootstrap()
    b.finish()
    assert b.registrar.execute("/3/0/5").code == 0x44
    b.client.step(0)
    assert called == [1] and sorted(b.client.servers()) == [1, 65535]


# --- What is wrong with flash


class Broken:
    """A store that cannot be written while `broken`, an exception, is set."""

    def __init__(self, store):
        self.store = store
        self.broken = None

    def commit(self, *args):
        if self.broken:
            raise self.broken
        return self.store.commit(*args)

    def mirror(self):
        self.store.mirror()


def _break(b, e):
    broken = Broken(b.store)
    b.client.core.context._store = broken
    broken.broken = e
    return broken


def test_finish_that_cannot_be_stored():
    for e in (OSError(28), ValueError("it cannot be stored"), MemoryError()):
        for credentials in (None, Credentials()):
            b = board(credentials)
            before = b.stored()
            broken = _break(b, e)
            b.bootstrap()
            answer = b.provisioner.finish()
            assert answer.code == 0xA0 and "cannot be stored" in answer.text
            assert b.texts() == [answer.text]
            assert b.stored() == before
            if credentials:
                assert sorted(credentials._data) == [BS_URI + "#1"]
            broken.broken = None
            b.finish()  # the session goes on
            assert b.keys[-1] == (0, b"dev", b"", KEY)
            assert sorted(b.power_on().servers()) == [1, 65535]


def test_session_that_cannot_be_stored_is_undone():
    b = board()
    before = dump(b.client)
    _break(b, OSError(28))
    b.bootstrap()
    assert b.provisioner.finish().code == 0xA0
    b.world.run(300)
    assert dump(b.client) == before
    assert "BS_FAILED" in b.world.story()


def test_change_of_the_application_that_cannot_be_stored():
    b = board()
    b.bootstrap()
    b.finish()
    client = b.client
    before = dump(client)
    _break(b, OSError(28))
    for f, args in (
        (client.add_server, (2, URI, PSK, 0, False, {3: b"dev", 5: KEY})),
        (client.remove_server, (1,)),
        (client.remove_server, (65535,)),
        (client.remove_bootstrap_server, ()),
        (client.set_hold_off, (7,)),
        (client.set_server, (1, {17: 3})),
    ):
        refused(OSError, f, *args)
        assert dump(client) == before
    assert client.core.accounts[0].state == 4  # registered as it was
    assert "REG_UNREGISTERED 1" not in b.world.story()


def test_write_that_cannot_be_stored():
    b = board()
    b.bootstrap()
    b.finish()
    broken = _break(b, OSError(28))
    assert b.registrar.ask(3, "/1/1/1", b"600", 0).code == 0x44
    b.world.run(3000)
    assert len(b.texts()) == 1
    b.world.run(3600)
    assert len(b.texts()) == 2
    broken.broken = None
    b.world.run(3600)  # it is tried once an hour
    assert len(b.texts()) == 2
    assert b.power_on().core.objects[1].get(1, 1) == 600


def test_damaged_slots():
    b = Board()
    b.store.provision("dev", {0: {0: psk(None, BS_KEY, BS_URI)}})
    b.power_on()
    b.bootstrap()
    b.finish()
    for slot in (0, 1):
        with open("%s/%d/accounts" % (FOLDER, slot), "r+b") as f:
            f.seek(60)
            f.write(b"?")
    b.power_on()
    assert b.texts() == ["slot 1 is damaged; slot 0 is damaged; the factory copy is used"] or (
        b.texts() == ["slot 0 is damaged; slot 1 is damaged; the factory copy is used"]
    )
    assert b.client.servers() == [65535]
    b.request()


def test_accounts_that_this_build_cannot_use():
    # Firmware without DTLS, on accounts of one with it.
    plain = {0: {0: account(None, "coap://bs:5784")}}
    for factory, servers, words in (
        (plain, [65535], "the factory copy is used"),
        ({0: {0: psk(None, BS_KEY, BS_URI)}}, [], "there are no accounts"),
    ):
        b = Board()
        b.store.provision("dev", factory)
        b.store.commit("dev", {0: {0: psk(1, KEY)}, 1: {0: server(1)}})
        b.world.modes = (3,)
        client = b.world.client(store=Store(FOLDER))
        assert client.servers() == servers
        assert "/0/0: Security Mode 0 is not supported" in b.texts()[0] and words in b.texts()[0]
        b.power_on()
        assert b.client.servers() == [1]  # and the build before still has them


def test_half_an_account_is_none():
    for state in (
        {0: {0: psk(1, KEY)}},
        {1: {0: server(1)}},
        {0: {0: psk(1, KEY)}, 1: {0: {0: 1}}},
        {0: {0: {2: 3}}, 1: {}},
    ):
        b = Board()
        b.store.commit("dev", state)
        b.power_on()
        assert b.client.servers() == [] and len(b.texts()) == 1
        add_bootstrap_server(b.client)
        b.request()


# --- Other objects


def test_objects_that_are_added_later():
    def make():
        return Object(1000, (0, INT | R, 1, INT | R, 3, INT | R | W), bootstrap=True)

    b = board()
    obj = make()
    b.client.add_object(obj)
    b.bootstrap()
    assert b.provisioner.write("/1000", instances({0: {0: 1, 1: 1, 3: 1}})).code == 0x44
    b.finish()
    b.power_on()
    assert 1000 not in b.client.core.objects
    b.client.set_server(1, {17: 3})  # a commit keeps what is stored of it
    obj = make()
    b.power_on(obj)
    assert obj.instances == {0: {0: 1, 1: 1, 3: 1}}
    obj.set(0, 3, 7)
    b.world.run(15)
    obj = make()
    b.power_on(obj)
    assert obj.instances == {0: {0: 1, 1: 1, 3: 7}}


# --- Credentials


def test_keys_are_in_the_credentials_alone():
    b = board(Credentials())
    b.bootstrap()
    b.finish()
    for values in b.client.core.objects[0].instances.values():
        assert not (values.get(3) or values.get(4) or values.get(5))
    for key in (KEY, BS_KEY, b"factory"):
        assert not b.flash.holds(key)
    assert b.keys == [(0, b"factory", b"", BS_KEY), (0, b"dev", b"", KEY)]
    b.power_on()
    b.registered()
    assert b.keys == [(0, b"dev", b"", KEY)]
    assert b.registrar.execute("/1/1/9").code == 0x44
    b.request()
    assert b.keys[-1] == (0, b"factory", b"", BS_KEY)


def test_replaced_key_of_one_uri():
    b = board(Credentials())
    b.bootstrap()
    b.finish()
    for key in (KEY_2, KEY, KEY_2):
        b.registrar.execute("/1/1/9")
        b.provisioner.requests.clear()
        b.bootstrap(key)
        b.finish()
        assert b.keys[-1] == (0, b"dev", b"", key)
        assert len(b.credentials._data) == 2
        b.power_on()
        b.registered()
        assert b.keys == [(0, b"dev", b"", key)]


def test_two_accounts_with_one_uri():
    b = board(Credentials())
    b.bootstrap()
    b.write(2, KEY_2, 2)
    b.finish()
    b.world.run(2)
    assert [keys[3] for keys in b.keys] == [BS_KEY, KEY, KEY_2]
    b.power_on()
    b.world.run(2)
    assert sorted(keys[3] for keys in b.keys) == [KEY, KEY_2]
    b.client.remove_server(1)
    assert sorted(data[3] for data in b.credentials._data.values()) == [BS_KEY, KEY_2]


def test_one_resource_of_a_key():
    b = board(Credentials())
    b.bootstrap()
    b.finish()
    b.registrar.execute("/1/1/9")
    b.provisioner.requests.clear()
    b.request()
    assert b.provisioner.ask(3, "/0/1/5", KEY_2, 42).code == 0x44
    b.finish()
    assert b.keys[-1] == (0, b"dev", b"", KEY_2)


class Failing(Credentials):
    """Credentials whose n-th operation from now fails, with a status or an exception."""

    def __init__(self):
        super().__init__()
        self.left = -1
        self.status = 0xA0

    def _fails(self):
        self.left -= 1
        if self.left == -1 and isinstance(self.status, Exception):
            raise self.status
        return self.left == -1

    def create(self, peer, data):
        return self.status if self._fails() else super().create(peer, data)

    def delete(self, peer):
        return self.status if self._fails() else super().delete(peer)


def test_create_that_fails():
    for status in (0xA0, OSError(5)):
        for left in (0, 1):
            b = board(Failing())
            b.client.core.engine.on_exception = lambda e: None
            before = b.stored()
            names = sorted(b.credentials._data)
            b.bootstrap()
            b.write(2, KEY_2, 2)
            b.credentials.left = left
            b.credentials.status = status
            assert b.provisioner.finish().code == 0xA0
            assert b.stored() == before and sorted(b.credentials._data) == names
            b.finish()


def test_left_behind_by_a_power_cut():
    # 4.06 for a name that no account has: those keys are replaced.
    credentials = Credentials()
    b = board(credentials)
    b.bootstrap()
    credentials.create(URI + "#1", (0, b"old", b"", b"old"))
    b.finish()
    assert b.keys[-1] == (0, b"dev", b"", KEY)
    credentials.create("coaps://elsewhere#3", (0, b"old", b"", b"old"))
    credentials.create("coaps://elsewhere", (0, b"mine", b"", b"mine"))
    b.power_on()
    names = ["coaps://elsewhere", URI + "#1", BS_URI + "#1"]
    assert sorted(credentials._data) == sorted(names)


def test_keys_of_the_application():
    # As the reference's second program has it: created, used and deleted by the application.
    credentials = Credentials()
    credentials.create(BS_URI, (0, b"IOWA_CLIENT", b"", BS_KEY))
    b = Board(credentials)
    text = refused(ValueError, b.client.add_bootstrap_server, BS_URI + "/", PSK)
    assert text == "4.06 no Public Key or Identity"  # another URI
    b.client.add_bootstrap_server(BS_URI, PSK)
    b.bootstrap()
    b.finish()
    assert b.keys == [(0, b"IOWA_CLIENT", b"", BS_KEY), (0, b"dev", b"", KEY)]
    b.client.remove_server(65535)
    b.client.remove_bootstrap_server()
    b.client.close()
    assert list(credentials._data) == [BS_URI]
    assert credentials.delete(BS_URI) == 0


def test_keys_of_the_factory_outlast_a_bootstrap():
    credentials = Credentials()
    credentials.create(BS_URI, (0, b"factory", b"", BS_KEY))
    b = Board(credentials)
    values = account(None, BS_URI, 0)
    for rid in (3, 4, 5):
        values.pop(rid)
    values[65535] = BS_URI
    b.store.provision("dev", {0: {0: values}})
    b.power_on()
    b.request()
    assert b.provisioner.delete("/0").code == 0x42
    assert b.provisioner.write("/0/0", psk(None, KEY_2, "coaps://new:5784")).code == 0x44
    b.write(1, KEY, 1)
    b.finish()
    names = [BS_URI, URI + "#1", "coaps://new:5784#1"]
    assert sorted(credentials._data) == sorted(names)
    b.registrar.execute("/3/0/5")
    b.client.step(0)
    assert list(credentials._data) == [BS_URI]
    b.provisioner.requests.clear()
    b.request()
    assert b.keys[-1] == (0, b"factory", b"", BS_KEY)


def test_credentials_that_are_gone():
    b = board(Credentials())
    b.bootstrap()
    b.finish()
    b.credentials._data.clear()
    b.power_on()
    assert b.client.servers() == []
    assert "no Public Key or Identity" in b.texts()[0]


def test_credentials_that_cannot_be_read():
    # A bus that fails once: the accounts are not used, and nothing of them is lost.
    b = board(Element())
    b.bootstrap()
    b.finish()
    b.credentials.bus = False
    b.power_on()
    assert b.client.servers() == [] and "no Public Key or Identity" in b.texts()[0]
    b.credentials.bus = True
    b.power_on()
    assert not b.texts()
    b.registered()


def test_raw_public_key_is_stored():
    for credentials in (None, Credentials()):
        b = board(credentials)
        b.bootstrap()
        values = account(2, "coaps://rpk:5684", 1)
        keys = certs.CLIENT_PUBLIC, certs.SERVER_PUBLIC, certs.CLIENT_KEY
        values.update({3: keys[0], 4: keys[1], 5: keys[2]})
        assert b.provisioner.write("/0/2", values).code == 0x44
        assert b.provisioner.write("/1/2", server(2)).code == 0x44
        b.finish()
        b.power_on()
        b.world.run(2)
        assert (1,) + keys in b.keys


# --- The secure element of examples/


class Chip:
    """Four slots that keep what they have."""

    slots = 4

    def __init__(self):
        self.records = [b""] * 4

    def read(self, slot):
        return self.records[slot]

    def write(self, slot, record):
        self.records[slot] = bytes(record)


def test_secure_element():
    sys.path.append(__file__.rsplit("/", 3)[0] + "/lib/lwm2m-keys/examples")
    from secure_element import SecureElement

    chip = Chip()
    element = SecureElement(chip)
    assert element.create(BS_URI, (0, b"factory", b"", BS_KEY)) == 0
    assert element.create(BS_URI, (0, b"factory", b"", KEY)) == 0x86
    b = Board(element)
    b.client.add_bootstrap_server(BS_URI, PSK)
    for key in (KEY, KEY_2, KEY):
        b.provisioner.requests.clear()
        b.bootstrap(key)
        b.finish()
        assert b.keys[-1] == (0, b"dev", b"", key)
        b.power_on()
        b.registered()
        assert b.keys == [(0, b"dev", b"", key)]
        assert not b.flash.holds(key) and not b.flash.holds(BS_KEY)
        for values in b.client.core.objects[0].instances.values():
            assert not (values.get(3) or values.get(4) or values.get(5))
        b.registrar.execute("/1/1/9")
    b.request()
    assert b.keys[-1] == (0, b"factory", b"", BS_KEY)
    # Two slots are taken: a second new account finds no place, and all is as before.
    records = list(chip.records)
    b.write(1, KEY_2, 1)
    for n in (2, 3):
        b.write(n, KEY_2, n)
    assert b.provisioner.finish().code == 0xA0
    assert chip.records == records
    assert element.delete(BS_URI) == 0 and element.delete(BS_URI) == 0x84


# --- Power cuts between any two steps


class Element(Credentials):
    """A secure element whose power goes with its n-th operation, before or after it is done."""

    def __init__(self, data=None, cut=-1, after=False):
        super().__init__()
        self._data = data or {}
        self.cut = cut
        self.after = after
        self.flash = None
        self.ops = 0
        self.bus = True

    def _do(self, f, *args):
        self.ops += 1
        if self.ops - 1 == self.cut:
            if self.after:
                f(*args)
            self.flash.dead = True
            self._data = dict(self._data)  # what comes later is lost
            self.kept = dict(self._data)
        return f(*args)

    def read(self, peer):
        return super().read(peer) if self.bus else (0xA0, None)

    def create(self, peer, data):
        return self._do(super().create, peer, data)

    def delete(self, peer):
        return self._do(super().delete, peer)


def test_power_cuts_between_keys_and_accounts():
    # Re-bootstrap with a new key for the same server, a second server for the same URI, and a new
    # key of the bootstrap server: cut at each operation of the element and each of the flash.
    base = board(Element())
    base.bootstrap()
    base.finish()
    base.power_off()
    flash, element = base.flash, base.credentials._data

    def run(cut=-1, after=False, flash_cut=None):
        b = Board(Element(dict(element), -1, after), flash.copy())
        b.credentials.flash = b.flash
        b.client.core.engine.on_exception = lambda e: None
        b.registered()
        b.registrar.execute("/1/1/9")
        b.request()
        assert b.provisioner.delete("/0").code == 0x42
        assert b.provisioner.delete("/1").code == 0x42
        assert b.provisioner.write("/0/0", psk(None, b"new bs", BS_URI)).code == 0x44
        b.write(1, KEY_2, 1)
        b.write(2, KEY, 2)
        b.credentials.ops = 0
        b.credentials.cut = cut
        b.flash.ops = 0
        b.flash.cut = flash_cut
        code = b.provisioner.finish().code
        b.power_off()
        return b, code

    b, code = run()
    assert code == 0x44
    element_ops, flash_ops = b.credentials.ops, b.flash.ops
    assert element_ops == 5 and flash_ops > 4  # three created, two deleted
    cuts = [(n, after, None) for n in range(element_ops) for after in (False, True)]
    cuts += [(-1, False, n) for n in range(flash_ops)]
    olds = 0
    for cut in cuts:
        b, code = run(*cut)
        assert b.flash.dead, cut
        kept = getattr(b.credentials, "kept", b.credentials._data)
        again = Board(Element(dict(kept)), b.flash.copy())
        assert not again.texts(), (cut, again.texts())
        again.world.run(3)
        keys = sorted(keys[3] for keys in again.keys)
        old = keys == [KEY]
        assert old or keys == sorted((KEY, KEY_2)), (cut, keys)
        olds += old
        assert len(again.credentials._data) == (2 if old else 3), cut
        # Of two servers at one address, the one that was heard last.
        again.registrar.execute("/1/%d/9" % again.registrar.connection.account.server_iid)
        again.request()
        assert again.keys[-1][3] == (BS_KEY if old else b"new bs"), cut
        again.power_off()
    assert 0 < olds < len(cuts)
    print("keys and accounts: %d cuts, %d with the old state, 0 lost" % (len(cuts), olds))
