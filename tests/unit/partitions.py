# esp32.Partition, its partitions ota_0 and ota_1, and the boot loader that chooses between them, as they
# were measured on an emulated ESP32 (stock MicroPython 1.27):
#
# set_boot(), reset: the other one starts. A reset without a mark: the one before is back. With
# mark_app_valid_cancel_rollback() it stays. set_boot() of a damaged image is OSError(-5379), and changes
# nothing. ESP-IDF's states of otadata are 0 new, 1 to be verified, 2 valid, 4 aborted.

from flash import Flash
from hashlib import sha256

SIZE = 64 * 1024  # of a partition

NEW = 0
PENDING = 1
VALID = 2
ABORTED = 4


def image(version, size=20000):
    """A program: magic, its version, and its digest at the end, as esptool appends it."""
    body = b"\xe9" + bytes((version,)) * (size - 33)
    return body + sha256(body).digest()


class Chip:
    """The flash, and what the boot loader knows. Partition is its esp32.Partition."""

    def __init__(self):
        self.flash = [Flash(4096, SIZE // 4096) for _ in range(2)]
        self.flash[0].writeblocks(0, _whole(image(1)))
        self.states = [VALID, None]
        self.boot = 0  # what starts next
        self.running = 0
        chip = self

        class Partition:
            BOOT = 0
            RUNNING = 1
            TYPE_APP = 0

            def __init__(self, which):
                self.index = which if isinstance(which, Index) else None
                index = which.n if self.index else (chip.boot if which == 0 else chip.running)
                self._index = index
                self._flash = chip.flash[index]

            def info(self):
                n = self._index
                return (0, 0x10 + n, 0x10000 + n * SIZE, SIZE, "ota_%d" % n, False)

            def get_next_update(self):
                return Partition(Index(1 - self._index))

            def readblocks(self, n, buf, at=0):
                return self._flash.readblocks(n, buf, at)

            def writeblocks(self, n, buf, at=None):
                if self._index == chip.running:
                    raise ValueError("the program that runs")
                return self._flash.writeblocks(n, buf, at)

            def ioctl(self, op, arg):
                return self._flash.ioctl(op, arg)

            def set_boot(self):
                if not chip.sound(self._index):
                    raise OSError(-5379)
                chip.boot = self._index
                chip.states[self._index] = NEW

            @classmethod
            def mark_app_valid_cancel_rollback(cls):
                chip.states[chip.running] = VALID

        self.Partition = Partition

    def content(self, index, size=20000):
        data = bytearray(size)
        self.flash[index].readblocks(0, data)
        return data

    def sound(self, index):
        data = self.content(index)
        return data[0] == 0xE9 and sha256(data[:-32]).digest() == data[-32:]

    def reset(self):
        """The boot loader's part of a start."""
        if self.states[self.boot] == PENDING:
            self.states[self.boot] = ABORTED
            self.boot = 1 - self.boot
        elif self.states[self.boot] == NEW:
            self.states[self.boot] = PENDING
        self.running = self.boot
        return self.content(self.running)[1]  # the version that runs


class Index:
    def __init__(self, n):
        self.n = n


def _whole(data):
    return data + b"\xff" * (-len(data) % 4096)
