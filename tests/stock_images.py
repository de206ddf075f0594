"""Files that are built as MicroPython's stock images are, with nothing in them that could run."""

import struct

from builds.steps import SOURCE

BANNER = "MicroPython v%d.%d.0 on 2026-08-01"


def texts(version, board="Board", network=True, build="BOARD"):
    """The strings of an image that are looked for."""
    return b"\0".join(
        [
            b"",
            (BANNER % version).encode(),
            b"; %s with CHIP" % board.encode(),
            build.encode(),
            b"getaddrinfo" if network else b"no network",
            b"",
        ]
    )


def pico_w(version=(1, 29), storage=(0x12C000, 848 * 1024), size=20000, family=0xE48BFF56, **more):
    """A UF2. Its binary information is as the SDK's pico/binary_info/structure.h has it."""
    xip = 0x10000000
    memory = bytearray(b"\x5a" * 0x100)  # the second stage
    info = xip + 0x100
    # Marker, start and end of the pointers, mapping table, marker; then pointers to two entries.
    memory += struct.pack("<5I", 0x7188EBF2, info + 20, info + 28, info, 0xE71AA390)
    memory += struct.pack("<2I", info + 28, info + 40)
    # An id and a string (type 6), and a block device (type 7): name, address, size.
    memory += struct.pack("<2H2I", 6, 0x5052, 0x02031C86, info + 64)
    start, length = storage
    memory += struct.pack("<2H4IH", 7, 0x504D, info + 64, xip + start, length, 0, 3)
    memory += b"\0" * (0x100 + 64 - len(memory)) + b"MicroPython\0" + texts(version, **more)
    memory += b"\xa5" * (size - len(memory))
    blocks = []
    total = (len(memory) + 255) // 256
    for n in range(total):
        head = (0x0A324655, 0x9E5D5157, 0x2000, xip + 256 * n, 256, n, total, family)
        page = bytes(memory[256 * n : 256 * n + 256]).ljust(256, b"\0")
        end = bytes(220) + struct.pack("<I", 0x0AB16F30)
        blocks.append(struct.pack("<8I", *head) + page + end)
    return b"".join(blocks)


def esp32(number=0, place=0x1000, version=(1, 29), table="partitions-4MiBplus.csv", **more):
    """A .bin of boot loader, partition table and application."""
    from esp_idf_defs.partitions import PartitionTable

    text = (SOURCE / "ports/esp32" / table).read_text() if table.endswith(".csv") else table
    boot = bytes([0xE9, 1, 2, 0x20]) + bytes(8) + struct.pack("<H", number) + bytes(100)
    made = boot.ljust(0x8000 - place, b"\xff") + PartitionTable.from_csv(text).to_binary()
    return made.ljust(0x10000 - place, b"\xff") + b"\xe9" + texts(version, **more) + bytes(3000)
