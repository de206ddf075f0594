# A flash chip in RAM whose power can be cut at any operation, and file systems on it.
#
# An operation is the erasing of a block, or the programming of what one call gives; a memory card
# has only the writing of a sector. With `cut` = n the n-th operation, from 0, is torn:
#   NOTHING  nothing of it has happened
#   HALF     its first half has
#   GARBAGE  bits that were to change have changed or not, at random; of a card's sector, or a
#            block that was being erased, all bits are random
# From then on the device is dead: every call fails. What is in it is looked at in a copy(), as the
# finalisers of files that the "crash" has left open go on writing to this one.

import os
import vfs

NOTHING = 0
HALF = 1
GARBAGE = 2

_EIO = -5


class Flash:
    def __init__(self, block_size, blocks, card=False, data=None):
        self.block_size = block_size
        self.blocks = blocks
        self.card = card
        self.data = {} if data is None else data  # {block: bytearray}; one that is not is erased
        self.power_on()

    def copy(self):
        """Another device that has what this one has, and power."""
        data = {n: bytearray(self.data[n]) for n in self.data}
        return Flash(self.block_size, self.blocks, self.card, data)

    def power_on(self):
        self.erases = self.programs = self.ops = 0
        self.cut = None
        self.tear = NOTHING
        self.dead = False
        self.gone = False  # it takes what finalisers write, and forgets it
        self.written = set()  # blocks
        self.lose = False  # program nothing and say it was: cells that are worn out
        self.fail = None  # the operation that fails, and does nothing; others go on
        self._random = 1

    def holds(self, text):
        """Whether some block has these bytes."""
        for n in self.data:
            if text in self.data[n]:
                return True
        return False

    # --- What a file system calls

    def readblocks(self, n, buf, offset=0):
        if self.dead:
            return 0 if self.gone else _EIO
        view = memoryview(buf)
        done = 0
        while done < len(buf):
            step = min(len(buf) - done, self.block_size - offset)
            block = self.data.get(n)
            if block is None:
                view[done : done + step] = b"\xff" * step
            else:
                view[done : done + step] = memoryview(block)[offset : offset + step]
            done += step
            offset = 0
            n += 1
        return 0

    def writeblocks(self, n, buf, offset=None):
        if self.dead:  # nothing is allocated: a finaliser may be calling
            return 0 if self.gone else _EIO
        if offset is not None:
            return self._program(n, buf, offset)
        view = memoryview(buf)
        for i in range(0, len(buf), self.block_size):
            part = view[i : i + self.block_size]
            result = 0 if self.card else self._erase(n)
            if result == 0:
                result = self._program(n, part, 0)
            if result:
                return result
            n += 1
        return 0

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return self.block_size
        if op == 6:
            return self._erase(arg)
        return 0

    # --- Operations

    def _fails(self):
        if self.ops == self.fail:
            self.ops += 1
            return True
        return self.dead

    def _start(self):
        # Whether to do it all; where not, the device is dead.
        if self.ops == self.cut:
            self.dead = True
        self.ops += 1
        return not self.dead

    def _erase(self, n):
        if self._fails():
            return _EIO
        block = self._block(n)
        if self._start():
            self.erases += 1
            self.data.pop(n)
            return 0
        if self.tear == HALF:
            half = self.block_size // 2
            memoryview(block)[:half] = b"\xff" * half
        elif self.tear == GARBAGE:
            for i in range(self.block_size):
                block[i] = self._byte()
        return _EIO

    def _program(self, n, buf, offset):
        if self._fails():
            return _EIO
        size = len(buf)
        if offset + size > self.block_size:
            raise ValueError("programmed beyond the block's end")
        block = self._block(n)
        whole = self._start()
        if whole:
            self.programs += 1
        elif self.tear == HALF:
            size //= 2
        elif self.tear == NOTHING:
            size = 0
        if self.lose:
            size = 0
        end = offset + size
        if (whole or self.tear == HALF) and (self.card or block[offset:end] == b"\xff" * size):
            memoryview(block)[offset:end] = memoryview(buf)[:size]
            size = 0
        for i in range(size):
            old = block[offset + i]
            new = buf[i] if self.card else old & buf[i]  # flash only clears bits
            if not whole and self.tear == GARBAGE:
                new = self._byte() if self.card else new | (old & self._byte())
            block[offset + i] = new
        return 0 if whole else _EIO

    def _block(self, n):
        if not 0 <= n < self.blocks:
            raise ValueError("no block %d" % n)
        self.written.add(n)
        if n not in self.data:
            self.data[n] = bytearray(b"\xff" * self.block_size)
        return self.data[n]

    def _byte(self):
        self._random = self._random * 1103515245 + 12345 & 0x7FFFFFFF
        return self._random >> 16 & 0xFF


class Lfs2:
    """littlefs2 as boards mount it. progsize: 32 is ESP32's, 256 is RP2040's."""

    fat = False

    def __init__(self, progsize):
        self.name = "littlefs2, programs %d" % progsize
        self._progsize = progsize

    def format(self, blocks=48):
        flash = Flash(4096, blocks)
        vfs.VfsLfs2.mkfs(flash, progsize=self._progsize)
        return flash

    def mount(self, flash):
        vfs.mount(vfs.VfsLfs2(flash, progsize=self._progsize), "/flash")


class Fat:
    """FAT: on flash, with a sector of the size of an erase block, or on a memory card."""

    fat = True

    def __init__(self, card):
        self.name = "FAT on a card" if card else "FAT on flash"
        self._card = card

    def format(self, blocks=None):
        flash = Flash(512, blocks or 16384, True) if self._card else Flash(4096, blocks or 128)
        vfs.VfsFat.mkfs(flash)
        return flash

    def mount(self, flash):
        vfs.mount(vfs.VfsFat(flash), "/flash")


KINDS = (Lfs2(32), Lfs2(256), Fat(False), Fat(True))


class mounted:
    """with mounted(kind, flash): its files are under /flash."""

    def __init__(self, kind, flash):
        self._kind = kind
        self._flash = flash

    def __enter__(self):
        self._kind.mount(self._flash)
        return self._flash

    def __exit__(self, *exc):
        self._flash.gone = self._flash.dead
        vfs.umount("/flash")


def fill(folder):
    """Fill the file system up, with files in a new folder."""
    os.mkdir(folder)
    n = 0
    try:
        while True:
            with open("%s/%d" % (folder, n), "wb") as f:
                n += 1
                f.write(b"\x55" * 4096)
    except OSError:
        pass


def unfill(folder):
    for name in os.listdir(folder):
        os.remove(folder + "/" + name)
    os.rmdir(folder)
