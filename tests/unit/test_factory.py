# heapsize: 4M
#
# What the factory tool calls on a board: installing a provisioning file, power cut at every block
# operation of it, and the sentences for what is wrong.

import hashlib
import io
import json
import os
import sys
import vfs
from binascii import hexlify
from chip import Module
from accounts import AGAIN, ENDPOINT, FACTORY, KEYS, stored
from flash import GARBAGE, HALF, NOTHING, Flash, Lfs2, fill, unfill
from lwm2m.store import pack
import device.factory as factory
import device.settings as settings
import rp2040_pins

settings.FOLDER = FOLDER = "/flash/lwm2m"
KINDS = (Lfs2(32), Lfs2(256))
BLOCKS = 48
NEW_ENDPOINT = "urn:dev:ops:32473-device-2"
NEW = {0: {0: AGAIN[0][0], 1: AGAIN[0][5]}, 1: {0: AGAIN[1][3]}}
VALUES = {"network": {"type": "wifi", "ssid": "x", "password": "key/pass"}, "led": 25}


class Area:
    """A reserved area as device.area is one: the block behind the file system's.

    It is overwritten in place, so that a power cut leaves nothing of it, where the images' own
    keeps the old or the new: settings has to get along with less.
    """

    def __init__(self, flash):
        self.flash = flash
        self._locked = False

    def open(self):
        if BLOCKS not in self.flash.data:
            raise OSError(2)
        return io.BytesIO(bytes(self.flash.data[BLOCKS]))

    def write(self, data):
        if self.flash.writeblocks(BLOCKS, data + b"\0" * (4096 - len(data))):
            raise OSError(5)

    def erase(self):
        if self.flash.ioctl(6, BLOCKS):
            raise OSError(5)

    def lock(self):
        self._locked = True

    def locked(self):
        return self._locked


class Partition:
    """The part of a flash that the file system has."""

    def __init__(self, flash):
        self._flash = flash
        self.readblocks = flash.readblocks
        self.writeblocks = flash.writeblocks

    def ioctl(self, op, arg):
        return BLOCKS if op == 4 else self._flash.ioctl(op, arg)


class board:
    """with board(kind, flash, ours): a board whose files are there; its flash."""

    def __init__(self, kind, flash=None, ours=False):
        self._kind = kind
        self.flash = flash or Flash(4096, BLOCKS + 1)
        if not flash:
            vfs.VfsLfs2.mkfs(Partition(self.flash), progsize=kind._progsize)
        self._ours = ours

    def __enter__(self):
        part = Partition(self.flash)
        vfs.mount(vfs.VfsLfs2(part, progsize=self._kind._progsize), "/flash")
        area = Area(self.flash) if self._ours else None
        settings.area = lambda: area
        return self.flash

    def __exit__(self, *exc):
        self.flash.gone = self.flash.dead
        vfs.umount("/flash")


def provisioning_file(endpoint, state, values=VALUES):
    state = dict(state)
    if values is not None:
        state[65535] = {1: {0: json.dumps(values)}}
    return bytes(pack(endpoint, state))


def sha256(data):
    return str(hexlify(hashlib.sha256(data).digest()), "utf-8")


def send(data):
    """As the tool does: the file under its temporary name."""
    try:
        os.mkdir(FOLDER)
    except OSError:
        pass
    with open(FOLDER + "/new", "wb") as f:
        f.write(data)


def call(f, *args):
    """The JSON that a function of factory prints; no key is in it."""
    lines = []
    factory.print = lines.append
    f(*args)
    assert len(lines) == 1
    for key in KEYS:
        assert str(key, "utf-8") not in lines[0] and str(hexlify(key), "utf-8") not in lines[0]
    assert "key/pass" not in lines[0]
    return json.loads(lines[0])


def install(data):
    send(data)
    return call(factory.install, FOLDER + "/new", sha256(data))


def given():
    """(endpoint, what the client starts with, settings) of the board, as its start has it."""
    copy = settings.load()
    if not copy:
        return None
    state, text = settings.store().load(copy.endpoint)
    assert text is None
    state.pop(65535, None)
    return copy.endpoint, state, copy.values


OLD_GIVEN = ENDPOINT, stored(FACTORY), VALUES
NEW_VALUES = {"network": {"type": "none"}}
NEW_GIVEN = NEW_ENDPOINT, stored(NEW), NEW_VALUES


def test_install():
    for kind in KINDS:
        for ours in (False, True):
            with board(kind, None, ours):
                status = call(factory.status)
                assert status["ok"] and status["endpoint"] is None and status["sha256"] is None
                assert status["image"] == ("ours" if ours else "stock")
                assert given() is None
                data = provisioning_file(ENDPOINT, FACTORY)
                answer = install(data)
                assert answer == {"ok": True, "endpoint": ENDPOINT, "sha256": sha256(data)}
                assert given() == OLD_GIVEN
                assert sorted(os.listdir(FOLDER)) == ([] if ours else ["factory"])
                status = call(factory.status)
                assert status["ok"] and status["endpoint"] == ENDPOINT and not status["locked"]
                assert status["sha256"] == sha256(data) and status["fault"] is None
                uri = FACTORY[0][0][0]
                assert status["accounts"] == [{"short_id": None, "uri": uri, "mode": 0}]
                answer = call(factory.selftest)
                assert answer["ok"] and answer["tested"] == ["factory copy", "accounts"]
                # What a bootstrap brings is told, and cleared by the next one.
                settings.store().commit(ENDPOINT, AGAIN)
                ids = [each["short_id"] for each in call(factory.status)["accounts"]]
                assert ids == [None, 7]
                data = provisioning_file(NEW_ENDPOINT, NEW, NEW_VALUES)
                assert install(data)["ok"]
                assert given() == NEW_GIVEN


def test_same_endpoint_again():
    # Accounts that the client has stored do not outlive the factory copy that they came after.
    with board(KINDS[0]):
        assert install(provisioning_file(ENDPOINT, FACTORY))["ok"]
        settings.store().commit(ENDPOINT, AGAIN)
        assert install(provisioning_file(ENDPOINT, NEW, NEW_VALUES))["ok"]
        assert given() == (ENDPOINT, stored(NEW), NEW_VALUES)


def test_reset_and_erase():
    for ours in (False, True):
        with board(KINDS[1], None, ours):
            for f in (factory.reset, factory.selftest):
                answer = call(f)
                assert answer == {
                    "ok": False,
                    "error": "the factory has given this board nothing yet",
                }
            assert call(factory.erase) == {"ok": True}
            assert install(provisioning_file(ENDPOINT, FACTORY))["ok"]
            settings.store().commit(ENDPOINT, AGAIN)
            assert call(factory.reset) == {"ok": True, "endpoint": ENDPOINT}
            assert given() == OLD_GIVEN
            with open(settings.FOLDER + "/crash", "w") as f:
                f.write("[]")
            assert call(factory.erase) == {"ok": True}
            assert given() is None
            assert not settings.exists("/crash")
            assert call(factory.status)["endpoint"] is None


def test_lock():
    with board(KINDS[0]):
        install(provisioning_file(ENDPOINT, FACTORY))
        answer = call(factory.lock)
        assert not answer["ok"] and "stock MicroPython cannot be locked" in answer["error"]
        assert given() == OLD_GIVEN
    with board(KINDS[0], None, True):
        answer = call(factory.lock)
        assert not answer["ok"] and "nothing yet" in answer["error"]
        install(provisioning_file(ENDPOINT, FACTORY))
        assert call(factory.lock) == {"ok": True, "endpoint": ENDPOINT, "locked": True}
        assert given() == OLD_GIVEN
        assert call(factory.status)["locked"]


def wrong(key, values):
    account = dict(FACTORY[0][0])
    account[key] = values
    return {0: {0: account}, 1: {}}


def test_refused():
    # Nothing has changed then.
    good = provisioning_file(ENDPOINT, FACTORY)
    psk = provisioning_file(ENDPOINT, NEW)
    cases = (
        (good[:-1], "the file is damaged"),
        (good[:40] + b"x" + good[41:], "the file is damaged"),
        (b"LwA\x02" + good[4:], "the file is damaged"),  # the head is in the CRC
        (b"", "the file is empty"),
        (provisioning_file(ENDPOINT, FACTORY, None), "the factory copy has no settings"),
        (provisioning_file(ENDPOINT, FACTORY, {}), "the factory copy has no settings"),
        (provisioning_file(ENDPOINT, {0: {}, 1: {}}), "no account"),
        (
            provisioning_file(ENDPOINT, wrong(0, "coap://x")),
            "/0/0: coap:// without NoSec",
        ),
        (provisioning_file(ENDPOINT, wrong(5, b"")), "/0/0: no Secret Key"),
        (
            provisioning_file(ENDPOINT, {0: NEW[0], 1: {}}),
            "/0/1: short server id 7 has no pair",
        ),
        (provisioning_file(ENDPOINT, {0: {0: NEW[0][1]}, 1: NEW[1]}), ""),
    )
    for ours in (False, True):
        with board(KINDS[0], None, ours):
            assert install(good)["ok"]
            settings.store().commit(ENDPOINT, AGAIN)
            before = given()
            for data, text in cases:
                answer = install(data)
                if text == "":
                    assert answer["ok"], answer
                    install(good)
                    settings.store().commit(ENDPOINT, AGAIN)
                    continue
                assert not answer["ok"], text
                text = text and text.replace("the factory copy", "the file")
                assert not text or answer["error"] == text, (answer, text)
                assert given() == before
                assert not settings.exists("/new")  # a start clears it
            send(psk)
            answer = call(factory.install, FOLDER + "/new", sha256(good))
            assert answer["error"] == "the file has not arrived as it was sent"
            assert given() == before


def ppp(**more):
    return {"network": dict({"type": "ppp", "uart": 0}, **more)}


# Settings, and what is said of their pins: the port's own words, or why two are one.
WIRED = (
    (ppp(tx=0, rx=1, cts=2, rts=3), None),
    (ppp(tx=16, rx=13), None),
    (ppp(), None),
    (ppp(uart=3), "network.uart is 3: UART(3) doesn't exist"),
    (ppp(tx=0, rx=99), "network.rx is 99: invalid pin"),
    (ppp(tx=4, rx=1), "network.uart is 0: bad TX pin"),
    (ppp(uart=1, tx=8, rx=13), "network.uart is 1: bad RX pin"),
    (ppp(uart=1, cts=5), "network.uart is 1: bad CTS pin"),
    (ppp(tx=0, rx=0), "network.rx is 0: that is network.tx"),
    (ppp(pin="0000", chat=[]), None),  # of a SIM
    (dict(VALUES, button=25), "board.button is 25: that is board.led"),
    (dict(VALUES, led=30), "board.led is 30: invalid pin"),
    (dict(VALUES, sleep={"mode": "off", "pin": 25}), "sleep.pin is 25: that is board.led"),
    (
        {"network": {"type": "ethernet", "mdc": 23, "mdio": 32, "power": None}},
        "network.mdio is 32: invalid pin",
    ),
    (dict(VALUES, app={"tx": 99}), None),
)


def test_pins():
    # Refused before anything has changed, and nothing has been opened.
    kept = factory.machine
    factory.machine = rp2040_pins
    good = provisioning_file(ENDPOINT, FACTORY)
    try:
        with board(KINDS[0]):
            for values, text in WIRED:
                assert install(good)["ok"]
                before = given()
                answer = install(provisioning_file(NEW_ENDPOINT, NEW, values))
                assert answer.get("error") == text, answer
                assert (given() == before) == bool(text)
    finally:
        factory.machine = kept


def test_damaged_copy_is_told_and_replaced():
    with board(KINDS[0]):
        data = provisioning_file(ENDPOINT, FACTORY)
        install(data)
        with open(FOLDER + "/factory/accounts", "wb") as f:
            f.write(data[:-1])
        status = call(factory.status)
        assert status["ok"] and status["fault"] == "the factory copy is damaged"
        assert status["endpoint"] is None
        for f in (factory.selftest, factory.reset):
            assert call(f) == {"ok": False, "error": "the factory copy is damaged"}
        assert install(data)["ok"]
        assert given() == OLD_GIVEN


def test_copy_without_a_name_or_settings():
    with board(KINDS[0]):
        install(provisioning_file(ENDPOINT, FACTORY))
        before = given()
        for endpoint, values, text in (
            ("", VALUES, "no endpoint name"),
            (ENDPOINT, None, "no settings"),
            (ENDPOINT, [1], "no settings"),
            (ENDPOINT, {"network": "wifi"}, "no settings"),
        ):
            answer = install(provisioning_file(endpoint, FACTORY, values))
            assert answer == {"ok": False, "error": "the file has " + text}
            assert given() == before


def test_accounts_of_wrong_types():
    # Slots whose CRC is right are told of, and not used; nor does a reset lead to such a copy.
    with board(KINDS[0]):
        install(provisioning_file(ENDPOINT, FACTORY))
        bad = {0: {0: dict(FACTORY[0][0])}}
        bad[0][0][0] = b"no str"
        settings.store().commit(ENDPOINT, bad)
        status = call(factory.status)
        assert "/0/0/0 must be a str" in status["fault"]
        assert status["fault"].endswith("the factory copy is used")
        assert [each["uri"] for each in status["accounts"]] == [FACTORY[0][0][0]]
        settings.store().commit(ENDPOINT, AGAIN)
        with open(FOLDER + "/factory/accounts", "wb") as f:
            f.write(provisioning_file(ENDPOINT, bad))
        answer = call(factory.reset)
        assert answer["error"] == "the factory copy is of no use: /0/0/0 must be a str"
        ids = [each["short_id"] for each in call(factory.status)["accounts"]]
        assert ids == [None, 7]
        for slot in (0, 1):
            os.remove(FOLDER + "/%d/accounts" % slot)
        status = call(factory.status)
        assert status["accounts"] == [] and status["fault"].endswith("there are no accounts")


def test_full_file_system():
    for ours in (False, True):
        with board(KINDS[0], None, ours):
            install(provisioning_file(ENDPOINT, FACTORY))
            send(provisioning_file(NEW_ENDPOINT, NEW, NEW_VALUES))
            fill("/flash/full")
            with open(FOLDER + "/new", "rb") as f:
                data = f.read()
            answer = call(factory.install, FOLDER + "/new", sha256(data))
            # A rename may need a block that is not there; then nothing has changed.
            if not answer["ok"]:
                assert answer["error"] == "the file system is full"
            unfill("/flash/full")
            assert given() == (NEW_GIVEN if answer["ok"] else OLD_GIVEN)


def test_the_application_tests_itself():
    with board(KINDS[0]):
        install(provisioning_file(ENDPOINT, FACTORY))
        sys.path.insert(0, "/flash")
        try:
            for text, answer in (
                ("def selftest():\n    return None\n", None),
                ("", None),
                ("def selftest():\n    return 'the sensor is silent'\n", "the sensor is silent"),
                ("def selftest():\n    1 // 0\n", "ZeroDivisionError('divide by zero',)"),
            ):
                with open("/flash/app.py", "w") as f:
                    f.write(text)
                sys.modules.pop("app", None)
                found = call(factory.selftest)
                assert found["ok"] == (answer is None)
                if answer:
                    assert found["error"] == "the application: " + answer
            with open("/flash/app.py", "w") as f:
                f.write("import nothing_of_that_name\n")
            sys.modules.pop("app", None)
            answer = call(factory.selftest)["error"]
            assert (
                answer == "the application does not start: no module named 'nothing_of_that_name'"
            )
        finally:
            sys.path.pop(0)
            sys.modules.pop("app", None)


def sweep(name, prepare, action, old, new):
    """Cut an action at each block operation; then the board starts."""
    for kind in KINDS:
        for ours in (False, True):
            with board(kind, None, ours) as flash:
                prepare()
            flash.power_on()
            base = flash
            whole = copy_of(base)
            with board(kind, whole, ours):
                action()
                assert given() == new
            olds = 0
            for cut in range(whole.ops):
                for tear in (NOTHING, HALF, GARBAGE):
                    flash = copy_of(base)
                    flash.cut = cut
                    flash.tear = tear
                    with board(kind, flash, ours):
                        try:
                            action()
                        except (OSError, AssertionError):
                            pass
                    flash = copy_of(flash)
                    with board(kind, flash, ours):
                        found = given()
                        where = (name, kind.name, ours, cut, tear, found)
                        assert found == old or found == new, where
                        olds += found == old
                        assert not settings.exists("/new") and not settings.exists("/ready")
                        action()
                        assert given() == new, where
            assert olds
            print(
                "%s, %s, %s: %d cuts, %d with the old configuration, 0 lost"
                % (name, kind.name, "area" if ours else "file", whole.ops * 3, olds)
            )


def copy_of(flash):
    return flash.copy()


def test_cut_first_install():
    data = provisioning_file(NEW_ENDPOINT, NEW, NEW_VALUES)
    sweep("first install", lambda: None, lambda: _must(install(data)), None, NEW_GIVEN)


def test_cut_install_over_another():
    def prepare():
        install(provisioning_file(ENDPOINT, FACTORY))
        settings.store().commit(ENDPOINT, AGAIN)

    data = provisioning_file(NEW_ENDPOINT, NEW, NEW_VALUES)
    old = ENDPOINT, stored({oid: AGAIN[oid] for oid in (0, 1, 2)}), VALUES
    sweep("install over another", prepare, lambda: _must(install(data)), old, NEW_GIVEN)


def test_cut_install_of_the_same_endpoint():
    def prepare():
        install(provisioning_file(ENDPOINT, FACTORY))
        settings.store().commit(ENDPOINT, AGAIN)

    data = provisioning_file(ENDPOINT, NEW, NEW_VALUES)
    old = ENDPOINT, stored({oid: AGAIN[oid] for oid in (0, 1, 2)}), VALUES
    new = ENDPOINT, stored(NEW), NEW_VALUES
    sweep("install of the same endpoint", prepare, lambda: _must(install(data)), old, new)


def _must(answer):
    assert answer["ok"], answer


class Wlan:
    """The Wi-Fi interface of a Pico W: it has no MAC until it was active."""

    def __init__(self, mac):
        self.mac = bytes(6)
        self._real = mac
        self.calls = []

    def config(self, name):
        assert name == "mac"
        return self.mac

    def active(self, on):
        self.calls.append(on)
        if on:
            self.mac = self._real


def test_mac():
    real = bytes((0x28, 0xCD, 0xC1, 0, 0, 1))
    for mac, before, told, calls in (
        (real, bytes(6), "28cdc1000001", [True, False]),
        (real, real, "28cdc1000001", []),  # an ESP32's, or one that is in use
        (bytes(6), bytes(6), None, [True, False]),  # a chip that does not answer
    ):
        nic = Wlan(mac)
        nic.mac = before
        sys.modules["network"] = Module(STA_IF=0, WLAN=lambda which: nic)
        try:
            with board(KINDS[0]):
                assert call(factory.status)["mac"] == told
        finally:
            sys.modules.pop("network")
        assert nic.calls == calls
