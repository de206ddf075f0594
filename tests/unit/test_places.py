# heapsize: 4M
#
# Images: of ROMFS, in slots of flash that are executed in place, and of a whole program, in the two
# partitions of an ESP32, which partitions.py stands in for. Power is cut at each operation.

import os
import device.places
import lwm2m.package
import sys
import vfs
from device.places import FOLDER as MOUNTED
from device.places import Image, Romfs
from flash import GARBAGE, HALF, NOTHING, Flash
from lwm2m.package import Fault
from lwm2m.slots import Slots, _remove
from packages import KEYS, TARGET, package
from partitions import ABORTED, PENDING, VALID, Chip, image

# test_p256.py is about signatures, and they take long.
lwm2m.package.verify = lambda digest, signature, key: True

FOLDER = "/tmp/lwm2m-places-%d" % id(object())
SLOT = 32 * 1024


def _romfs(files):
    """A ROMFS image, as MicroPython's vfs_rom.c has it: records of kind, length and content."""
    body = b"".join([_record(5, _number(len(n)) + n + _record(2, files[n])) for n in files])
    return b"\xd2\xcd\x31" + _number(len(body), 4) + body


def _number(n, least=1):
    out = bytes((n & 0x7F,))
    while n > 127 or len(out) < least:
        n >>= 7
        out = bytes((n & 0x7F | 0x80,)) + out
    return out


def _record(kind, data):
    return _number(kind) + _number(len(data)) + data


def rom_package(number, text=b"", **more):
    files = {b"version": b"%d" % number, b"text": text or bytes(range(256)) * 40}
    return package(_romfs(files), number, kind=2, **more)


# Where VfsRom finds a slot: real memory, which a class has not.
device.places.memoryview = lambda rom: memoryview(rom.whole())


class Rom(Flash):
    def __init__(self, data=None):
        super().__init__(4096, 2 * SLOT // 4096, data=data)

    def copy(self):
        return Rom({n: bytearray(self.data[n]) for n in self.data})

    def whole(self):
        data = bytearray(2 * SLOT)
        self.readblocks(0, data)
        return data


class Board:
    """A device: its files, and a chip's places."""

    def __init__(self, rom=None, chip=None):
        self.rom = rom
        self.chip = chip
        self.version = None  # of the application that runs

    def slots(self):
        places = {}
        if self.rom:
            places[2] = Romfs(self.rom)
        if self.chip:
            places[3] = Image(self.chip.Partition)
        return Slots(FOLDER, KEYS, TARGET, places=places)

    def start(self, fault=None):
        slots = self.slots()
        unmount()
        folder = slots.start(fault)
        self.version = None
        if folder:
            try:
                with open(folder + "/version", "rb") as f:
                    self.version = int(f.read())
            except OSError:
                self.version = -1
        unmount()
        return slots

    def install(self, data, piece=860):
        slots = self.slots()
        try:
            slots.begin()
            for at in range(0, len(data), piece):
                slots.write(data[at : at + piece])
            slots.end()
            assert slots.unpack()
            slots.switch()
        finally:
            slots.drop()
        return slots


def unmount():
    try:
        vfs.umount(MOUNTED)
    except OSError:
        pass


def board(**more):
    _remove(FOLDER)
    return Board(**more)


def refused(board, result, words, data):
    try:
        board.install(data)
    except Fault as e:
        assert e.args[0] == result and words in e.args[1], e.args
        return
    raise AssertionError("it was taken: " + words)


# --- ROMFS


def test_a_romfs_image_in_turn_in_both_slots():
    b = board(rom=Rom())
    assert b.start().installed() == ("", "") and b.version is None
    for number in (2, 3, 4, 5):
        for piece in (1000,) if number < 5 else (1, 255, 256, 257, 100000):
            data = rom_package(number)
            before = b.version
            b.install(data, piece)
            slot = (number & 1) * SLOT
            assert b.rom.whole()[slot + 256 : slot + 256 + len(data) - 164] == data[164:]
            slots = b.start()
            assert b.version == number and slots.on_trial()
            assert slots.installed() == ("app", "%d.0" % number)
            if piece not in (1, 255, 256, 257):
                slots.keep()
            else:
                slots.fail("again")
                b.start()
                assert b.version == before
    slots = b.start()
    assert b.version == 5 and slots.result() == (1, "") and not slots.on_trial()
    slots.factory_reset()
    b.start()
    assert b.version is None


def test_romfs_and_files():
    b = board(rom=Rom())
    b.install(rom_package(2))
    b.start().keep()
    slots = b.slots()
    slots.begin()
    slots.write(package({"version": b"3"}, 3))
    slots.end()
    while not slots.unpack():
        pass
    slots.switch()
    b.start().keep()
    assert b.version == 3
    b.install(rom_package(4))
    b.start().fail("no")
    b.start()
    assert b.version == 3


def test_each_start_of_a_trial_programs_a_word():
    b = board(rom=Rom())
    b.install(rom_package(2))
    b.start().keep()
    b.install(rom_package(3))
    for n in range(1, 4):
        b.rom.power_on()
        b.start()
        assert b.version == 3 and (b.rom.erases, b.rom.programs) == (0, 1)
        page = b.rom.whole()[SLOT : SLOT + 256]
        assert page == bytes(4 * n) + b"\xff" * (256 - 4 * n)
    slots = b.start()
    assert b.version == 2 and slots.result() == (8, "it did not last")
    # It is erased with the next image.
    b.install(rom_package(3))
    b.start()
    assert b.version == 3


def test_romfs_images_that_are_refused():
    b = board(rom=Rom())
    refused(b, 5, "content", rom_package(2)[:-1] + b"x")
    refused(b, 5, "too soon", rom_package(2)[:-1])
    refused(b, 5, "longer", rom_package(2) + b"x")
    refused(b, 6, "no place for", package(image(2), kind=3))
    b.rom.power_on()
    try:
        b.install(package(bytes(SLOT - 255), kind=2))
        raise AssertionError("it was taken")
    except OSError as e:
        assert e.errno == 28 and not b.rom.ops
    b.install(package(bytes(SLOT - 256), kind=2))
    # That is no ROMFS: it is not mounted, whoever imports it fails, and it goes back.
    b.start()
    assert b.version == -1
    b.start("it crashed")
    assert b.version is None


def test_flash_that_does_not_hold_an_image():
    b = board(rom=Rom())
    b.rom.lose = True
    refused(b, 5, "content", rom_package(2))
    for at in range(3):
        b = board(rom=Rom())
        b.rom.fail = at
        try:
            b.install(rom_package(2))
            raise AssertionError("it was taken")
        except OSError:
            pass
        b.start()
        assert b.version is None


def test_power_cuts_while_a_romfs_image_comes_and_starts():
    b = board(rom=Rom())
    b.install(rom_package(2, b"x" * 5000))
    b.start().keep()
    base = b.rom
    data = rom_package(3, b"y" * 5000)
    whole = b.rom = base.copy()
    b.install(data)
    b.slots().fail("")
    cuts = 0
    for cut in range(whole.ops):
        for tear in (NOTHING, HALF, GARBAGE):
            b.rom = base.copy()
            b.rom.cut = cut
            b.rom.tear = tear
            try:
                b.install(data)
                raise AssertionError("power has not failed")
            except OSError:
                pass
            b.rom = b.rom.copy()
            b.start()
            assert b.version == 2, (cut, tear)
            cuts += 1
    # And in the word of each start: what is not counted never runs, and there are three at most.
    for tear in (NOTHING, HALF, GARBAGE):
        b.rom = whole.copy()
        b.install(data)
        ran = 0
        for n in range(8):
            b.rom = b.rom.copy()
            b.rom.cut = 0 if n & 1 else None
            b.rom.tear = tear
            b.start()
            cuts += n & 1
            if b.rom.dead:
                assert b.version != 3
            else:
                assert b.version in (2, 3)
                ran += b.version == 3
        assert 1 <= ran <= 3, (tear, ran)
        b.rom = b.rom.copy()
        b.start("")
        b.slots().fail("")
    print("ROMFS slots: %d cuts, the old application each time, whole" % cuts)


# --- A whole program


def test_a_program_that_is_kept():
    b = board(chip=Chip())
    for version in (2, 3, 4):
        b.install(package(image(version), version, kind=3))
        assert b.chip.running == version & 1
        assert b.chip.reset() == version
        assert b.chip.states[b.chip.running] == PENDING
        slots = b.start()
        assert slots.on_trial() and slots.installed() == ("app", "%d.0" % version)
        slots.keep()
        assert b.chip.states[b.chip.running] == VALID
        for _ in range(3):
            assert b.chip.reset() == version
            slots = b.start()
            assert not slots.on_trial() and slots.result() == (1, "")
            assert slots.installed() == ("app", "%d.0" % version)
    refused(b, 8, "older", package(image(3), 3, kind=3))
    # The application's numbers are others.
    slots = b.slots()
    slots.begin()
    slots.write(package({"version": b"1"}, 1))
    slots.end()


def test_a_program_that_is_not():
    # By any reset before it is kept, whatever its cause; and when it says so.
    for how in ("reset", "crash", "fail"):
        b = board(chip=Chip())
        b.install(package(image(2), 2, kind=3))
        assert b.chip.reset() == 2
        slots = b.start("of the one before")
        assert slots.on_trial()
        if how == "fail":
            slots.fail("the sensor is silent")
        assert b.chip.reset() == 1 and b.chip.states[1] == ABORTED
        slots = b.start("it crashed" if how == "crash" else None)
        words = {"reset": "it did not last", "crash": "it crashed", "fail": "the sensor is silent"}
        assert slots.result() == (8, words[how]) and not slots.on_trial()
        assert slots.installed() == ("", "")
        # Another one may come.
        b.install(package(image(3), 3, kind=3))
        assert b.chip.reset() == 3
        b.start().keep()
        assert b.chip.reset() == 3


def test_a_program_beside_an_application():
    b = board(rom=Rom(), chip=Chip())
    b.install(rom_package(2))
    b.start().keep()
    b.install(package(image(7), 7, kind=3))
    assert b.chip.reset() == 7
    slots = b.start()
    assert b.version == 2 and slots.on_trial()
    slots.keep()
    b.install(rom_package(3))
    b.start().fail("no")
    b.start()
    assert b.version == 2 and b.chip.reset() == 7
    slots = b.slots()
    slots.factory_reset()
    b.start()
    assert b.version is None and b.chip.reset() == 7  # of programs there is no factory's any more


def test_programs_that_are_refused():
    b = board(chip=Chip())
    refused(b, 5, "content", package(image(2), kind=3)[:-1] + b"x")
    refused(b, 6, "no place for", rom_package(2))
    try:
        b.install(package(bytes(64 * 1024 + 1), kind=3))
        raise AssertionError("it was taken")
    except OSError as e:
        assert e.errno == 28
    # Rightly signed, and no program: the boot loader's own look at it. Nothing has changed.
    try:
        b.install(package(b"\xe9" * 20000, kind=3))
        raise AssertionError("it was taken")
    except OSError as e:
        assert e.errno == -5379
    assert not b.start().on_trial()
    assert b.chip.reset() == 1


def test_power_cuts_while_a_program_comes():
    b = board(chip=Chip())
    data = package(image(2), 2, kind=3)
    b.install(data)
    ops = b.chip.flash[1].ops
    for cut in range(ops):
        for tear in (NOTHING, HALF, GARBAGE):
            b = board(chip=Chip())
            flash = b.chip.flash[1]
            flash.cut = cut
            flash.tear = tear
            try:
                b.install(data)
                raise AssertionError("power has not failed")
            except OSError:
                pass
            b.chip.flash[1] = flash.copy()
            assert b.chip.reset() == 1
            assert not b.start().on_trial()
    b.install(data)
    assert b.chip.reset() == 2
    print("a program's partition: %d cuts, the old program each time" % (3 * ops))


def test_power_cut_between_the_note_and_the_switch():
    # What was noted was never tried: it is told, and is no reason to think that it is bad.
    b = board(chip=Chip())
    place = b.chip.Partition.set_boot

    def dead(self):
        raise SystemExit

    b.chip.Partition.set_boot = dead
    try:
        b.install(package(image(2), 2, kind=3))
    except SystemExit:
        pass
    b.chip.Partition.set_boot = place
    assert b.chip.reset() == 1
    slots = b.start()
    assert not slots.on_trial() and slots.result() == (8, "it did not last")
    _remove(FOLDER)


def test_what_a_board_has():
    assert device.places.places() == {}  # the unix port
    sys.modules["esp32"] = Chip()
    assert list(device.places.places()) == [3]
    sys.modules.pop("esp32")
    assert os.listdir("/tmp")
