# Where updates go that are no files: a ROMFS image, executed in place, to one of two slots of the
# flash; a whole image to that one of an ESP32's two partitions which does not run.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# What lwm2m.slots wants of such a place:
#   spare(slot)       its own slot for the next one; slot: of the application that is not run
#   open(slot, size, at)  a file to write it to, from `at` on, a multiple of a page: what is before
#                     that is there; raises OSError ENOSPC where it is too large
#   read(slot, size)  a file to read it from, as it is in flash
#   switch(slot)      it is to be tried from the next start on, as is noted by now; may raise OSError
#   start(slot)       whether its trial has one more start, which is this one; may raise OSError
#   keep(slot)        its trial is over; may raise OSError
#   path(slot)        the folder of its files
#
# Flash is written as it comes, a page of 256 bytes at a time, and a sector is erased before its first
# one. So what a server was told to be there is in flash.

from micropython import const

_SECTOR = const(4096)
_PAGE = const(256)
_ERASE = const(6)  # of ioctl()
_COUNT = const(4)
_STARTS = const(3)
_EIO = const(5)
_ENOSPC = const(28)
_OTA = const(0x10)  # subtype of ota_0

FOLDER = "/update"  # where a ROMFS image is mounted


def _program(flash, sector, page, at):
    if flash.writeblocks(sector, page, at):
        raise OSError(_EIO)


class _Written:
    """A file that is written to sectors of flash; on: whether another one has begun it."""

    def __init__(self, flash, at, on):
        self._flash = flash
        self._at = at  # bytes, of the next page
        # The sector that is to be erased next. One that is gone on with may have more in it than is
        # known, which is the same: programming that again changes nothing.
        self._erased = (at + (_SECTOR - 1 if on else 0)) // _SECTOR
        self._page = bytearray(_PAGE)
        self._n = 0  # bytes of it that are there

    def write(self, data):
        done = 0
        while done < len(data):
            n = min(_PAGE - self._n, len(data) - done)
            self._page[self._n : self._n + n] = data[done : done + n]
            self._n += n
            done += n
            if self._n == _PAGE:
                self._program()

    def _program(self):
        sector = self._at // _SECTOR
        self._n = 0
        if sector == self._erased:
            if self._flash.ioctl(_ERASE, sector):
                raise OSError(_EIO)
            self._erased += 1
        _program(self._flash, sector, self._page, self._at % _SECTOR)
        self._at += _PAGE

    def close(self):
        if self._n:
            for i in range(self._n, _PAGE):
                self._page[i] = 0xFF
            self._program()


class _Read:
    """A file that is read from flash."""

    def __init__(self, flash, at, size):
        self._flash = flash
        self._at = at
        self._end = at + size

    def read(self, n):
        data = bytearray(min(n, self._end - self._at))
        if data:
            self._flash.readblocks(self._at // _SECTOR, data, self._at % _SECTOR)
            self._at += len(data)
        return data

    def close(self):
        pass


class Romfs:
    """Two slots for applications, in what the port has of flash for ROMFS.

    rom: vfs.rom_ioctl(2, 0). A slot begins with a page of its own, so that MicroPython mounts
    nothing of slot A by itself. In that a word is programmed to zero for each start of a trial,
    which needs no erased sector: power that fails at each start does not let a trial go on for ever.
    """

    def __init__(self, rom):
        self._rom = rom
        self._size = rom.ioctl(_COUNT, 0) // 2 * _SECTOR

    def spare(self, slot):
        return slot

    def open(self, slot, size, at):
        if size > self._size - _PAGE:
            raise OSError(_ENOSPC)
        return _Written(self._rom, slot * self._size + _PAGE + at, at)

    def read(self, slot, size):
        return _Read(self._rom, slot * self._size + _PAGE, size)

    def switch(self, slot):
        pass

    def start(self, slot):
        page = _Read(self._rom, slot * self._size, _PAGE).read(_PAGE)
        for i in range(0, 4 * _STARTS, 4):
            if any(page[i : i + 4]):
                page[i : i + 4] = bytes(4)
                _program(self._rom, slot * self._size // _SECTOR, page, 0)
                return True
        return False

    def keep(self, slot):
        pass

    def path(self, slot):
        import vfs

        at = slot * self._size
        try:
            memory = memoryview(self._rom)[at + _PAGE : at + self._size]
            vfs.mount(vfs.VfsRom(memory), FOLDER)
        except OSError:  # there is none: what imports it, fails
            pass
        return FOLDER


class Image:
    """The two partitions of an ESP32 for its program; Partition: esp32's. Raises OSError where it has
    one only.

    The boot loader starts a new one once. Unless that is kept, the next reset brings back the old one,
    by itself (CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE, as MicroPython has it).
    """

    def __init__(self, Partition):
        self._partition = Partition
        running = Partition(Partition.RUNNING)
        self._running = running.info()[1] - _OTA
        self._other = running.get_next_update()

    def spare(self, slot):
        return self._other.info()[1] - _OTA

    def open(self, slot, size, at):
        if size > self._other.info()[3]:
            raise OSError(_ENOSPC)
        return _Written(self._other, at, at)

    def read(self, slot, size):
        return _Read(self._other, 0, size)

    def switch(self, slot):
        self._other.set_boot()  # which looks at its digest once more

    def start(self, slot):
        return slot == self._running

    def keep(self, slot):
        self._partition.mark_app_valid_cancel_rollback()


def places():
    """What lwm2m.slots is given: {kind of package: its place}, of those that this board has."""
    found = {}
    try:
        import vfs

        found[2] = Romfs(vfs.rom_ioctl(2, 0))
    except (ImportError, AttributeError):  # no ROMFS, or an error's number in its place
        pass
    try:
        from esp32 import Partition

        found[3] = Image(Partition)
    except (ImportError, OSError):
        pass
    return found
