"""The map of the flash (tools/lwm2m_factory/flash_map.py) on an emulated RP2040: what lies where, looked
at from the board and in its flash."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

from builds import build_firmware
import littlefs
import pytest
from harness.board import BOARD, HOST_S, Board
from lwm2m_factory import flash_map, image
from managed import Servers

XIP = 0x10000000  # where an RP2040 sees its flash
SLOTS = [flash_map.region(BOARD, name) for name in ("slot A", "slot B")]

# One of both slots, by its number: what a ROMFS may be mounted from, and what erases and programs it.
SLOT = """\
import os, sys, vfs
SIZE = 131072
class Slot:
    def __init__(self, n):
        self._rom = vfs.rom_ioctl(2, 0)
        self._first = n * (SIZE // 4096)
        self.memory = memoryview(self._rom)[n * SIZE : n * SIZE + SIZE]
    def erase(self):
        for block in range(SIZE // 4096):
            self._rom.ioctl(6, self._first + block)
    def program(self, at, data):
        self._rom.writeblocks(self._first + at // 4096, data, at % 4096)
"""


def content(slot: int) -> bytes:
    """128 KB that differ in each page and between the slots."""
    return b"".join(struct.pack(">BxH", 0xA0 + slot, page) * 64 for page in range(512))


def test_slots_take_128_kb_each_and_nothing_else_changes(board, flash) -> None:
    board.run("import os\nwith open('kept', 'w') as f: f.write('x' * 5000)\nos.sync()\n")
    board.run("import device.area as area; area.write(b'from the factory')")
    before = flash.read_bytes()
    out = board.run(
        SLOT + "import struct\n"
        "print(vfs.rom_ioctl(1), vfs.rom_ioctl(2, 0).ioctl(4, 0), hasattr(vfs, 'VfsRom'))\n"
        "for n in (0, 1):\n"
        "    slot = Slot(n)\n"
        "    slot.erase()\n"
        "    blank = b'\\xff' * 4096\n"
        "    print(all(slot.memory[at : at + 4096] == blank for at in range(0, SIZE, 4096)))\n"
        "    for at in range(0, SIZE, 4096):\n"
        "        pages = range(at // 256, at // 256 + 16)\n"
        "        data = b''.join([struct.pack('>BxH', 0xA0 + n, page) * 64 for page in pages])\n"
        "        slot.program(at, data)\n"
        "        if slot.memory[at : at + 4096] != data: print('not kept', at)\n",
        timeout=120,
    )
    assert out.splitlines() == ["1 64 True", "True", "True"]
    wanted = bytearray(before)
    for n, slot in enumerate(SLOTS):
        wanted[slot.start : slot.end] = content(n)
    after = flash.read_bytes()
    assert [
        n for n in range(0, len(after), 4096) if after[n : n + 4096] != wanted[n : n + 4096]
    ] == []
    board.reset()
    board.wait_for("usb", 2)
    assert board.run("print(len(open('kept').read()))") == "5000\r\n"
    assert flash.read_bytes() == after  # nor did the start


TINY = """\
TABLE = %r
def answer():
    return %d
"""


def romfs(folder: Path, n: int) -> bytes:
    """What mpremote makes of a module, which is compiled, and a file."""
    (folder / "files").mkdir()
    (folder / "files/tiny.py").write_text(TINY % (bytes([n]) * 4096, 42 + n))
    (folder / "files/text").write_text(f"slot {n}")
    command = [sys.executable, "-m", "mpremote", "romfs", "-o", folder / "romfs"]
    done = subprocess.run([*command, "build", folder / "files"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "romfs").read_bytes()


def test_romfs_is_executed_in_place_from_both_slots(board, tmp_path) -> None:
    code = SLOT + "import gc, uctypes\n"
    for n in (0, 1):
        (tmp_path / str(n)).mkdir()
        data = romfs(tmp_path / str(n), n)
        board.run(
            SLOT + f"slot = Slot({n})\nslot.erase()\n"
            f"data = {data!r}\n"
            "for at in range(0, len(data), 256):\n"
            "    part = data[at : at + 256]\n"
            "    slot.program(at, part + bytes(256 - len(part)))\n"
        )
        code += (
            f"vfs.mount(vfs.VfsRom(Slot({n}).memory), '/slot{n}')\n"
            f"sys.path.insert(0, '/slot{n}')\n"
            "sys.modules.pop('tiny', None)\n"
            "gc.collect(); before = gc.mem_alloc()\n"
            "import tiny\n"
            "gc.collect(); took = gc.mem_alloc() - before\n"
            "print(tiny.__file__, tiny.answer(), tiny.TABLE[0], uctypes.addressof(tiny.TABLE), took)\n"
            f"print(sorted(os.listdir('/slot{n}')), open('/slot{n}/text').read())\n"
        )
    out = board.run(code).splitlines()
    for n, slot in enumerate(SLOTS):
        name, answer, first, address, took = out[2 * n].split()
        assert (name, answer, first) == (f"/slot{n}/tiny.mpy", str(42 + n), str(n))
        assert slot.start <= int(address) - XIP < slot.end
        assert int(took) < 1024  # and not the table's 4 KB
        assert out[2 * n + 1] == f"['text', 'tiny.mpy'] slot {n}"


# --- What a board of the field has, by the addresses of today

FILES = 0x100000, 1004 * 1024
AREA = 0x1FB000
ENDPOINT = "urn:dev:ops:32473-1"
APP = "def setup(client, settings):\n    print('app has', settings['key'])\n"


@pytest.fixture
def servers():
    servers = Servers("10.64.0.1")
    yield servers
    servers.close()


def field_flash(server: str) -> bytes:
    """2 MB of a board that another image of this project has run on: its files and the factory's accounts,
    and something of that image in what are the slots now."""
    flash = bytearray(b"\xff" * 0x200000)
    flash[: FILES[0]] = b"\x11" * FILES[0]
    fs = littlefs.LittleFS(
        block_size=4096,
        block_count=FILES[1] // 4096,
        read_size=32,
        prog_size=256,
        cache_size=1024,
        lookahead_size=32,
    )
    with fs.open("/app.py", "w") as file:
        file.write(APP)
    flash[FILES[0] : sum(FILES)] = fs.context.buffer
    accounts = {0: {0: server, 1: True, 2: 3, 3: b"", 4: b"", 5: b"", 11: 0}}
    network = {"type": "ppp", "uart": 0, "tx": 0, "rx": 1, "chat": []}
    data = image.pack(ENDPOINT, {0: accounts}, {"network": network, "app": {"key": "its key"}})
    # As device/area.py says it: the lock's sector, and two copies of two sectors.
    head = b"LwF1" + struct.pack(">HH", 1, len(data))
    copy = head + struct.pack(">I", zlib.crc32(head, zlib.crc32(data))) + data
    for sector in (1, 3):
        at = AREA + sector * 4096
        flash[at : at + len(copy)] = copy
    return bytes(flash)


def test_board_of_the_field_keeps_its_accounts_and_files(servers, tmp_path) -> None:
    flash = tmp_path / "flash.bin"
    before = field_flash(servers.uri)
    flash.write_bytes(before)
    with Board(flash, build_firmware.image(BOARD)) as board:
        board.expect("app has its key")
        servers.said.wait_for("registered " + ENDPOINT, HOST_S)
    after = flash.read_bytes()
    program = flash_map.application(BOARD)
    assert after[: program.end] != before[: program.end]
    assert after[program.end : FILES[0]] == before[program.end : FILES[0]]
    assert after[AREA:] == before[AREA:]
