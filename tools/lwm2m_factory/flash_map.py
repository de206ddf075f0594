"""The map of the flash: what lies where on each board. It is the one table of that, and fixed for good.

What a device stores must stay readable by the release before and after, and nothing can move it once a
board is in the field. So no start and no size below may change; a board that needs another map is another
board. What else has to know an address is held to this table by tests/test_boards.py: the boards'
mpconfigboard.h, mpconfigboard.cmake and partitions.csv, the table in each deploy.md, firmware/rp2/_boot.py,
firmware/lock.h and firmware/device/area.py. `make firmware` refuses an image that does not fit in its
place, and `flash` one of this project that would write anywhere else.
"""

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

_K = 1024
SECTOR = 4 * _K  # what flash erases at once


@dataclass(frozen=True)
class Region:
    """A part of the flash."""

    name: str  # on an ESP32 that of its partition
    start: int  # from the beginning of the flash
    size: Optional[int]  # bytes; None where it ends with the flash, however large that is
    what: str

    @property
    def end(self) -> Optional[int]:
        return None if self.size is None else self.start + self.size


_SLOT = "for what an update brings, executed in place"
_FILES = "with the accounts in use under /lwm2m-store"
_AREA = "the lock, and the factory's accounts, twice"

# A Pico has 2 MB. MicroPython keeps its files at the end of the flash, in MICROPY_HW_FLASH_STORAGE_BYTES,
# of which the last five sectors are the factory area; MICROPY_HW_ROMFS_BYTES before that are the slots, two,
# so that an update goes to the one that is not in use.
_RPI_PICO = (
    Region("application", 0x000000, 768 * _K, "the image"),
    Region("slot A", 0x0C0000, 128 * _K, _SLOT),
    Region("slot B", 0x0E0000, 128 * _K, _SLOT),
    Region("file system", 0x100000, 1004 * _K, _FILES),
    Region("factory area", 0x1FB000, 20 * _K, _AREA),
)

# A Pico W's image cannot fit in 768 KB, which is 786,432 bytes: it has all that a Pico's has but PPP, 595,000
# bytes, and the firmware of its radio, 225,000, and the driver. 966,656 bytes are what the slots leave
# before the place where stock MicroPython keeps its files; its image takes 876,032 (1.27), Bluetooth
# included, and ours adds some 80,000 and is without Bluetooth.
_RPI_PICO_W = (
    Region("application", 0x000000, 944 * _K, "the image, with the radio's firmware"),
    Region("slot A", 0x0EC000, 128 * _K, _SLOT),
    Region("slot B", 0x10C000, 128 * _K, _SLOT),
    Region("file system", 0x12C000, 828 * _K, _FILES),
    Region("factory area", 0x1FB000, 20 * _K, _AREA),
)

# A Pico 2 has 4 MB: twice the slots, and more of all else.
_RPI_PICO2 = (
    Region("application", 0x000000, 1024 * _K, "the image"),
    Region("slot A", 0x100000, 256 * _K, _SLOT),
    Region("slot B", 0x140000, 256 * _K, _SLOT),
    Region("file system", 0x180000, 2540 * _K, _FILES),
    Region("factory area", 0x3FB000, 20 * _K, _AREA),
)

# An ESP32 has 4 MB or more; boot loader and partition table are where ESP-IDF has them, before all this.
# Two applications are as large as they can be while 300 KB are left for files. Stock MicroPython 1.27 takes
# 1,698,016 bytes and our code 70,894: upstream's partitions-4MiB-ota.csv has 1,572,864, and slots of 0x1B0000
# would have 562 bytes left. otadata tells which application starts; erased, it is ota_0. "vfs" is no entry
# of partitions.csv: MicroPython makes it when it starts, of all that is behind the last entry, so that a
# larger flash is used.
_ESP32 = (
    Region("nvs", 0x009000, 16 * _K, "Wi-Fi's calibration and the like; nothing of ours"),
    Region("otadata", 0x00D000, 8 * _K, "which application starts"),
    Region("phy_init", 0x00F000, 4 * _K, "the radio's parameters"),
    Region("ota_0", 0x010000, 1856 * _K, "the application, as it is flashed"),
    Region("ota_1", 0x1E0000, 1856 * _K, "for the application that an update brings"),
    Region("lwm2m", 0x3B0000, 20 * _K, _AREA),
    Region("vfs", 0x3B5000, None, "the file system, " + _FILES),
)

MAPS: Dict[str, Tuple[Region, ...]] = {
    "RPI_PICO_LWM2M": _RPI_PICO,
    "RPI_PICO_W_LWM2M": _RPI_PICO_W,
    "RPI_PICO2_LWM2M": _RPI_PICO2,
    "ESP32_GENERIC_LWM2M": _ESP32,
    "ESP32_GENERIC_C3_LWM2M": _ESP32,
    "ESP32_GENERIC_S3_LWM2M": _ESP32,
}

# Where images of stock MicroPython keep their files, for the bundle; on an ESP32 of 4 MB.
STOCK = {
    "RPI_PICO_W": Region("file system", 0x12C000, 848 * _K, "the bundle"),
    "ESP32_GENERIC": Region("vfs", 0x200000, 2048 * _K, "the bundle"),
}


def region(board: str, name: str) -> Region:
    """A part of a board's flash, by its name."""
    return next(each for each in MAPS[board] if each.name == name)


def application(board: str) -> Region:
    """Where a board's image has its program."""
    return next(each for each in MAPS[board] if each.name in ("application", "ota_0"))
