# heapsize: 4M
#
# A pull that the device's own end cuts off: power fails at each block that is asked for, on littlefs and
# FAT, and into a place of flash. It goes on behind what is noted to be there, with the same ETag only.

import lwm2m.package
import test_update
from device.places import Romfs
from flash import KINDS, mounted
from packages import package
from test_places import SLOT, Rom, rom_package
from test_update import Device
from test_update_pull import Keeper, order, value

# test_p256.py is about signatures, and they take long.
lwm2m.package.verify = lambda digest, signature, key: True

test_update.FOLDER = "/flash/update"
FILES = {"app.py": b"VERSION = 2\n" * 1200}
DATA = package(FILES)
ROM = rom_package(2, bytes(range(251)) * 40)
OTHER = package({"app.py": b"VERSION = 3\n" * 1200}, number=3)


def begun(kind, flash, blocks, data=DATA, etag=b"1"):
    """Power fails when that many blocks have been asked for. Returns where they began."""
    with mounted(kind, flash):
        d = Device(False)
        keeper = Keeper(d.world, etag, a=data)
        order(d, "coap://depot:5700/a")
        assert d.run(60, lambda: len(keeper.asked) > blocks)
        return keeper.asked


def ended(kind, flash, data, etag=b"1"):
    """The device after that. Returns (state, number, where the blocks began)."""
    with mounted(kind, flash):
        d = Device(False)
        keeper = Keeper(d.world, etag, a=data)
        assert value(d, 3) in (0, 1)
        if value(d, 3) == 0:  # nothing was noted yet
            assert d.state() == (0, 0)
            return d.state(), 0, []
        assert d.registrar.read("/5/0/1", 0).text == "coap://depot:5700/a"
        assert d.run(600, lambda: value(d, 3) == 2)
        assert "pull" not in test_update.listed()
        found = d.state(), d.slots._package.number, keeper.asked
        d.execute()
        assert d.run(60, lambda: d.restarts)
        return found


def test_power_fails_at_each_block():
    for kind in (KINDS[0], next(k for k in KINDS if k.fat)):
        resumed = 0
        blocks = len(DATA) // 256
        for n in range(1, blocks + 1):
            flash = kind.format(96 if not kind.fat else None)
            asked = begun(kind, flash, n)
            at = (asked[-1] - 164) // 4096 * 4096
            state, number, asked = ended(kind, flash.copy(), DATA)
            assert state == ((2, 0) if at else (0, 0)), n
            if at:
                assert number == 2 and asked[0] == at and asked == sorted(asked), (n, asked)
                assert len(asked) == (len(DATA) - at + 255) // 256
                resumed += 1
        print("%s: power failed at %d blocks, went on %d times" % (kind.name, blocks, resumed))
        assert resumed > blocks // 2


def test_another_etag_or_none():
    kind = KINDS[0]
    for before, after in ((b"1", b"2"), (b"1", b""), (b"", b"1"), (b"", b"")):
        flash = kind.format(96)
        begun(kind, flash, 40, etag=before)
        state, number, asked = ended(kind, flash.copy(), OTHER, after)
        if before:
            assert state == (2, 0) and number == 3
            assert asked[0] == 8192 and asked[1] == 0 and asked.count(0) == 1
        else:
            assert state == (0, 0) and not asked


def test_a_note_that_is_damaged():
    kind = KINDS[0]
    flash = kind.format(96)
    begun(kind, flash, 40)
    with mounted(kind, flash):
        with open("/flash/update/pull", "rb") as f:
            note = f.read()
        for at in range(0, len(note), 9):
            with open("/flash/update/pull", "wb") as f:
                f.write(note[:at] + bytes((note[at] ^ 1,)) + note[at + 1 :])
            d = Device(False, register=False)
            assert value(d, 3) == 0 and "new" not in test_update.listed()
        for part in (b"", note[:8], note[:100]):
            with open("/flash/update/pull", "wb") as f:
                f.write(part)
            d = Device(False, register=False)
            assert value(d, 3) == 0 and not d.update.pull


def test_no_more_of_it_when_it_is_given_up():
    kind = KINDS[0]
    for how in ("reset", "gone", "push"):
        flash = kind.format(96)
        begun(kind, flash, 40)
        with mounted(kind, flash):
            d = Device(False)
            depot = Keeper(d.world, a=DATA)
            assert value(d, 3) == 1
            if how == "gone":
                depot.silent = True
                assert d.run(4000, lambda: value(d, 3) == 0)
                assert d.state() == (0, 4)
            else:
                order(d, "")
                if how == "push":
                    d.push(OTHER)
            assert "pull" not in test_update.listed()
            d = Device(False)
            assert value(d, 3) == 0 and "new" not in test_update.listed()


def test_into_a_place_of_flash():
    # At each block; pages that are behind the note are programmed once more, with the same.
    kind = KINDS[0]
    blocks = len(ROM) // 256
    resumed = 0
    for n in range(1, blocks + 1, 3):
        flash = kind.format(96)
        rom = Rom()
        starts = test_update.Slots
        test_update.Slots = lambda folder, keys, target: starts(
            folder, keys, target, places={2: Romfs(rom)}
        )
        try:
            asked = begun(kind, flash, n, ROM)
            at = (asked[-1] - 164) // 4096 * 4096
            rom = rom.copy()
            state, number, asked = ended(kind, flash.copy(), ROM)
            if at:
                assert state == (2, 0) and number == 2 and asked[0] == at, (n, at, state, asked)
                resumed += 1
                assert rom.whole()[256 : 256 + len(ROM) - 164] == ROM[164:]
                assert len(ROM) < SLOT
        finally:
            test_update.Slots = starts
    assert resumed > 5
