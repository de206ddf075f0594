# heapsize: 2M
#
# firmware/device/area.py on a flash in RAM, whose power is cut at every operation.

import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0] + "/firmware")  # tests/unit has a device.py too

import device.area as area
import lwm2m.store as store
from accounts import ENDPOINT, FACTORY, stored
from flash import GARBAGE, HALF, NOTHING, Flash
from lwm2m.store import Store

OLD = b"old" * 1500  # two blocks
NEW = bytes(range(256)) * 31
LONG = b"\x01" * 8180  # the most that it takes


def on(flash):
    area._device = lambda: flash
    return flash


def fresh():
    return on(Flash(4096, 5))


def content():
    try:
        with area.open() as f:
            return f.read(10000)
    except OSError as e:
        assert e.errno == 2
        return None


def raises(kind, call, *args):
    try:
        call(*args)
    except kind as e:
        return e
    raise AssertionError("nothing was raised")


def test_what_is_written_is_read():
    fresh()
    assert content() is None
    for data in (OLD, b"", NEW, LONG, b"x", bytes(244), bytes(245), bytes(500), bytes(4084)):
        area.write(data)
        assert content() == data


def test_file_is_read_in_pieces():
    fresh()
    area.write(NEW)
    for size in (1, 12, 64, 4095, 4096, 5000):
        with area.open() as f:
            got = b""
            while True:
                part = f.read(size)
                if not part:
                    break
                got += part
            assert got == NEW
            f.seek(300)
            assert f.read(7) == NEW[300:307]


def test_too_much_is_refused():
    fresh()
    area.write(OLD)
    e = raises(ValueError, area.write, LONG + b"\x01")
    assert "8181 bytes are more than the factory area's 8180" in str(e)
    assert content() == OLD


def test_sequence_number_wraps():
    flash = fresh()
    area.write(OLD)
    for copy in (0, 1):
        area._write(flash, copy, 0xFFFF, OLD)
    area.write(NEW)
    assert content() == NEW
    assert area._newest(flash)[1] == 0
    # As a cut between the two copies leaves it.
    area._write(flash, 0, 0xFFFF, OLD)
    assert content() == NEW


def cuts(action, *allowed):
    """Cut the action at each operation, in each way, and look at what is there then."""
    whole = on(fresh_old())
    action()
    assert whole.ops >= 4
    seen = set()
    for cut in range(whole.ops):
        for tear in (NOTHING, HALF, GARBAGE):
            flash = on(fresh_old())
            flash.cut = cut
            flash.tear = tear
            raises(OSError, action)
            flash = on(flash.copy())
            got = content()
            assert got in allowed, (cut, tear, got)
            seen.add(allowed.index(got))
            # And what was cut can be done again.
            action()
            assert content() == allowed[1]
    assert seen == {0, 1}


def fresh_old():
    flash = fresh()
    area.write(OLD)
    flash.power_on()
    return flash


def test_cut_write_leaves_old_or_new():
    cuts(lambda: area.write(NEW), OLD, NEW)


def test_cut_erase_leaves_old_or_nothing():
    cuts(area.erase, OLD, None)


def test_nothing_of_the_old_stays():
    for action in (lambda: area.write(NEW), area.erase):
        flash = on(fresh_old())
        action()
        assert not flash.holds(b"oldold")


def test_worn_out_flash_is_told():
    flash = on(fresh_old())
    flash.lose = True
    assert raises(OSError, area.write, NEW).errno == 5
    flash.lose = False
    assert content() == OLD


def test_lock():
    flash = fresh()
    area.write(OLD)
    assert not area.locked()
    area.lock()
    assert area.locked()
    assert bytes(flash.data[0][:16]) == b"LwM2M: locked \r\n"
    area.write(NEW)
    area.erase()
    assert area.locked()
    flash.power_on()
    area.lock()  # it is: nothing is written
    assert flash.ops == 0
    area.unlock()
    assert not area.locked()


def test_remains_of_other_firmware_are_no_lock_and_no_file():
    flash = fresh()
    for block in range(5):
        for byte in (0, 0x4C, 0xFF):
            flash.data[block] = bytearray(bytes((byte,)) * 4096)
            assert not area.locked()
            assert content() is None
    area.write(NEW)
    assert content() == NEW


def test_store_reads_its_factory_copy_there():
    # The file that a factory would send: the same bytes as a store's own factory copy.
    fresh()
    area.write(store.pack(ENDPOINT, FACTORY))
    there = Store("/nowhere/that/is", factory=area.open)
    assert there.load(ENDPOINT) == (stored(FACTORY), None)
    area.erase()
    assert there.load(ENDPOINT) == (None, None)


def test_stock_image_has_none():
    assert not area.available()
