"""What a firmware file is for: its chip, its version, and where MicroPython's file system will lie.

A file for an RP2040 or RP2350 is a UF2, an ESP32's the .bin with boot loader, partition table and application.
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from . import FactoryError, flash_map

BLOCK = flash_map.SECTOR  # littlefs's, too

_UF2 = struct.Struct("<8I")
_UF2_MAGIC = 0x0A324655, 0x9E5D5157, 0x0AB16F30
_UF2_HAS_FAMILY = 0x2000
_UF2_PAGE = 256  # data of a block
_XIP = 0x10000000  # where an RP2040 and an RP2350 see their flash

# The chips of Picos, as board.json's "mcu" has them, and the families of their UF2s. An RP2350 has more
# than this one, which is for its ARM cores in secure mode.
FAMILIES = {"rp2040": 0xE48BFF56, "rp2350": 0xE48BFF59}

# The SDK's binary information (pico/binary_info): pointers to entries, found by these marks.
_BI_MARKS = 0x7188EBF2, 0xE71AA390
_BI_IN = 1024  # bytes from the start of the image
_BI_BLOCK_DEVICE = 7

# Espressif's chips by the number in their images: name, and where the ROM looks for the image.
CHIPS = {
    0: ("esp32", 0x1000),
    2: ("esp32s2", 0x1000),
    5: ("esp32c3", 0),
    9: ("esp32s3", 0),
    12: ("esp32c2", 0),
    13: ("esp32c6", 0),
    16: ("esp32h2", 0),
    18: ("esp32p4", 0x2000),
    23: ("esp32c5", 0x2000),
}
_ESP_TABLE = 0x8000  # address of the partition table
_ESP_PARTITION = struct.Struct("<2sBBII16sI")

_OLDEST = 1, 25  # has DTLS, and loads the bundle's .mpy files
_PSK = 1, 29


@dataclass(frozen=True)
class Stock:
    """What there is to know of an image of stock MicroPython."""

    chip: str  # as board.json's "mcu" has it: rp2040, rp2350, esp32, …
    version: Tuple[int, int]
    start: int  # of the file system, from the beginning of the flash
    size: Optional[int]  # its bytes; None where it ends with the flash

    @property
    def program(self) -> int:
        """What the port programs at once, for littlefs."""
        return 256 if self.chip in FAMILIES else 32

    @property
    def lacks(self) -> Optional[str]:
        """Sentences of what it cannot do, if there is anything."""
        old = "This is MicroPython %d.%d: pre-shared keys need 1.29." % self.version
        small = (
            "Certificates need more memory than an ESP32 without PSRAM has with stock MicroPython."
        )
        if self.version >= _PSK:
            return small if self.chip == "esp32" else None
        if self.chip == "esp32":
            return f"{old} {small} Servers without DTLS work."
        return f"{old} Certificates, and servers without DTLS, work."


def stock(path: Path, data: bytes) -> Stock:
    """What a stock image is; FactoryError where it is none that can carry the bundle."""
    if is_uf2(path):
        chip = check_uf2(path, data)
        memory = _memory(data)
        start, size = _rp2_storage(path, memory)
        data = bytes(memory)
    else:
        chip, place = esp_chip(path, data)
        start, size = _esp_storage(path, data, place)
    banner = re.search(rb"MicroPython v?(\d+)\.(\d+)[^\0]{0,40} on \d{4}-\d\d-\d\d", data)
    if not banner:
        raise FactoryError(f"{path} has no MicroPython in it that tells its version.")
    if b"(LwM2M) with " in data:
        raise FactoryError(
            f"{path} is an image of this project: it has all that the bundle has. Flash it alone."
        )
    version = int(banner[1]), int(banner[2])
    if version < _OLDEST:
        raise FactoryError(
            "%s is MicroPython %d.%d: the bundle needs 1.25 or newer, and pre-shared keys 1.29."
            % (path, *version)
        )
    if b"getaddrinfo" not in data:
        raise FactoryError(
            f"{path} has no network, so that nothing of LwM2M can run on it. For a Raspberry Pi Pico "
            "without W there is this project's own image, RPI_PICO_LWM2M."
        )
    return Stock(chip, version, start, size)


def check_map(path: Path, data: bytes) -> None:
    """FactoryError where an image of this project does not keep to the map of its board's flash."""
    program = bytes(_memory(data)) if is_uf2(path) else data
    # MicroPython has the board's name in it, as sys.implementation._build.
    board = next((name for name in flash_map.MAPS if name.encode() + b"\0" in program), None)
    if board:
        wrong = _off_rp2_map(board, data) if is_uf2(path) else _off_esp_map(path, board, data)
        if wrong:
            raise FactoryError(
                f"{path} is for {board}, and {wrong}: take what make firmware BOARD={board} has built."
            )


# UF2.


def is_uf2(path: Path) -> bool:
    return path.suffix.lower() == ".uf2"


def check_uf2(path: Path, data: bytes) -> str:
    """The chip that a UF2 is for, of FAMILIES; FactoryError where it is none, or not whole."""
    chips = {family: chip for chip, family in FAMILIES.items()}
    found = None
    count = len(data) // 512
    if not data or len(data) % 512:
        raise FactoryError(f"{path} is no whole UF2: its size is no multiple of 512 bytes.")
    for number in range(count):
        block = data[512 * number : 512 * number + 512]
        first, second, flags, _, _, place, total, family = _UF2.unpack(block[:32])
        if (first, second, *struct.unpack("<I", block[-4:])) != _UF2_MAGIC:
            raise FactoryError(f"{path} is no UF2: block {number} lacks its marks.")
        if not flags & _UF2_HAS_FAMILY:
            raise FactoryError(
                f"{path} does not say for which chip it is: a boot loader ignores it."
            )
        chip = chips.get(family)
        if chip is None:
            raise FactoryError(f"{path} is for another chip than the RP2040 and the RP2350.")
        if found and chip != found:
            raise FactoryError(f"{path} is for several chips: give one for a single chip.")
        found = chip
        if place != number or total != count:
            raise FactoryError(f"{path} is not whole: block {number} says {place} of {total}.")
    assert found
    return found


def uf2(parts: List[Tuple[int, bytes]], chip: str = "rp2040") -> bytes:
    """A UF2 for a chip of FAMILIES: addresses from the beginning of the flash, and what to have there.

    Each begins at a sector of 4 KB, and is filled up to the end of one. That, and one file for all
    parts, is what the RP2040's boot ROM needs: it erases the sector of whichever block is the first to
    come of each 16, by their numbers, and it restarts when it has all blocks that the first one tells
    of.
    """
    pages = []
    for start, data in parts:
        data += b"\xff" * (-len(data) % BLOCK)
        for at in range(0, len(data), _UF2_PAGE):
            pages.append((_XIP + start + at, data[at : at + _UF2_PAGE]))
    out = bytearray()
    for number, (address, page) in enumerate(pages):
        head = (*_UF2_MAGIC[:2], _UF2_HAS_FAMILY, address, _UF2_PAGE, number, len(pages))
        out += (_UF2.pack(*head, FAMILIES[chip]) + page).ljust(508, b"\0") + struct.pack(
            "<I", _UF2_MAGIC[2]
        )
    return bytes(out)


def with_files(path: Path, data: bytes, about: Stock, files: bytes) -> bytes:
    """One UF2 of a stock UF2 and of its file system."""
    pages: Dict[int, bytes] = dict(_pages(data))
    if max(pages) + _UF2_PAGE > about.start:
        raise FactoryError(f"{path} says that its file system begins where its program is.")
    sectors = sorted({address // BLOCK for address in pages})
    blank = b"\xff" * _UF2_PAGE
    parts = [
        (
            sector * BLOCK,
            b"".join(
                pages.get(sector * BLOCK + at, blank).ljust(_UF2_PAGE, b"\xff")
                for at in range(0, BLOCK, _UF2_PAGE)
            ),
        )
        for sector in sectors
    ]
    return uf2([*parts, (about.start, files)], about.chip)


def _pages(data: bytes) -> Iterator[Tuple[int, bytes]]:
    # Address from the beginning of the flash, and data, of a UF2's blocks.
    for at in range(0, len(data), 512):
        address, size = struct.unpack_from("<2I", data, at + 12)
        yield address - _XIP, data[at + 32 : at + 32 + size]


def _off_rp2_map(board: str, data: bytes) -> Optional[str]:
    # What is wrong with where a UF2 writes.
    end = flash_map.application(board).end
    beyond = [address for address, _ in _pages(data) if not 0 <= address < end]
    return (
        f"would write {_XIP + max(beyond):#x}, where its program does not belong"
        if beyond
        else None
    )


def _memory(data: bytes) -> bytearray:
    # The flash up to the last byte of a UF2.
    memory = bytearray()
    for address, page in _pages(data):
        if not 0 <= address < 1 << 24:
            continue
        memory += b"\xff" * (address + len(page) - len(memory))
        memory[address : address + len(page)] = page
    return memory


def _rp2_storage(path: Path, memory: bytes) -> Tuple[int, int]:
    # As the image says it, in what picotool reads too.
    def words(address: int, count: int) -> Tuple[int, ...]:
        return struct.unpack_from(f"<{count}I", memory, address - _XIP)

    try:
        for at in range(_XIP, _XIP + _BI_IN, 4):
            first, start, end, _, last = words(at, 5)
            if (first, last) == _BI_MARKS:
                break
        else:
            raise ValueError
        for entry in words(start, (end - start) // 4):
            if words(entry, 1)[0] & 0xFFFF == _BI_BLOCK_DEVICE:
                _, name, address, size = words(entry, 4)
                name -= _XIP
                if memory[name : name + 12] == b"MicroPython\0":
                    return address - _XIP, size
    except (struct.error, ValueError):
        pass
    raise FactoryError(f"{path} does not tell where its file system lies: is it MicroPython's?")


# ESP32.


def esp_chip(path: Path, data: bytes) -> Tuple[str, int]:
    """The chip that an image is for, and the address that it is written to."""
    if len(data) < 24 or data[0] != 0xE9:
        raise FactoryError(f"{path} is neither a UF2 nor an image for an ESP32 (it lacks 0xE9).")
    number = struct.unpack("<H", data[12:14])[0]
    if number not in CHIPS:
        raise FactoryError(f"{path} is for a chip that this tool does not know ({number}).")
    return CHIPS[number]


def _esp_partitions(data: bytes, place: int) -> Iterator[Tuple[str, int, int]]:
    # Label, start and size.
    for at in range(_ESP_TABLE - place, len(data) - 32, 32):
        magic, _, _, offset, size, label, _ = _ESP_PARTITION.unpack_from(data, at)
        if magic != b"\xaa\x50":
            break
        yield label.rstrip(b"\0").decode("latin-1"), offset, size


def _off_esp_map(path: Path, board: str, data: bytes) -> Optional[str]:
    # What is wrong with a whole image. It begins with the boot loader and goes into ota_0, so that it
    # blanks otadata on its way, which has the boot loader start ota_0, whatever ran before.
    place = esp_chip(path, data)[1]
    parts = {each.name: each for each in flash_map.MAPS[board]}
    for label, start, size in _esp_partitions(data, place):
        if label not in parts or (parts[label].start, parts[label].size) != (start, size):
            return f"its partition {label} is not where that board has it"
        parts.pop(label)
    if parts.keys() != {"vfs"}:
        return "its partition table is not that board's"
    otadata, first = (flash_map.region(board, name) for name in ("otadata", "ota_0"))
    if data[first.start - place : first.start - place + 1] != b"\xe9":
        return "has no application"
    if place + len(data) > first.end:
        return f"reaches beyond its application's place, {first.end:#x}"
    if data[otadata.start - place : otadata.end - place].strip(b"\xff"):
        return "has been in use: its otadata may name another application than the one in it"
    return None


def _esp_storage(path: Path, data: bytes, place: int) -> Tuple[int, Optional[int]]:
    # As MicroPython's start has it (ports/esp32/main.c): the partition "vfs", or else what is left of
    # the flash behind the last partition.
    end = 0
    for label, offset, size in _esp_partitions(data, place):
        if label == "vfs":
            return offset, size
        if label == "ffat":
            raise FactoryError(f"{path} keeps its files in FAT: take an image without TinyUF2.")
        end = max(end, offset + size)
    if not end:
        raise FactoryError(
            f"{path} has no partition table: take the whole image, .bin, and not .app-bin."
        )
    return end, None
