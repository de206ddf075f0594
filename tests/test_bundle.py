"""Stock MicroPython with the bundle: what is in it, its file system, and both in one flash.

The images are stood for by files that are built alike (stock_images.py). What a stock image makes of
it is in tests/board/test_stock.py.
"""

import functools
import hashlib
import http.server
import json
import os
import random
import re
import struct
import subprocess
import sys
import threading
from pathlib import Path

import listing
import littlefs
import pytest
import stock_images
from harness.awaited import PATIENCE_S
from builds import build_firmware, bundle, stage
from builds.steps import BUILD, ROOT, SOURCE
from harness import tool
from harness.micropython import micropython
from lwm2m_factory import FactoryError, firmware, flash, flash_map
from lwm2m_factory import image as provisioning
from pty_board import PtyBoard

ROLES = sorted(path.stem for path in stage.ROLES.glob("*.py"))


@pytest.fixture(scope="module")
def minimal() -> Path:
    return bundle.make("minimal")


def names(board: Path) -> "set[str]":
    return {path.relative_to(board).as_posix() for path in bundle.files(board)}


# --- What is in it


def test_roles() -> None:
    # README and the Makefile's help speak of these.
    assert ROLES == ["client", "full", "managed", "minimal", "sensor", "station"]


@pytest.mark.parametrize("role", ROLES)
def test_bundle_is_what_the_manifests_list(role) -> None:
    out = bundle.make(role)
    listed = {module.target for module in stage.modules(stage.ROLES / f"{role}.py")}
    listed |= {module.target for module in stage.modules(ROOT / "lib/lwm2m-x509/manifest.py")}
    listed |= {module.target for module in stage.modules(ROOT / "lib/lwm2m-store/manifest.py")}
    # The area and the lock are of this project's images only.
    device = {path.name for path in (ROOT / "firmware/device").glob("*.py")}
    listed |= {f"device/{name}" for name in device - {"manifest.py"}}
    listed -= {"boot.py", "main.py", "device/area.py", "device/lock.py"}
    if role == "full":
        listed |= {"device/main.py"}  # main.py chooses between it and an update's
    else:
        own = ("launch", "monitor", "places", "power", "sleep", "stack", "update")
        listed -= {f"device/{name}.py" for name in own}
    wanted = {f"lib/{target[:-3]}.mpy" for target in listed} | {"boot.py", "main.py"}
    assert names(out / "board") == wanted
    # mip's package has all of that, at the same place: it puts things below /lib.
    package = json.loads((out / "package.json").read_text())
    assert package.keys() == {"version", "urls", "deps"} and package["deps"] == []
    assert package["version"] == "0.1.0"
    targets = {os.path.normpath(f"/lib/{target}"): source for target, source in package["urls"]}
    assert len(targets) == len(package["urls"])
    assert targets == {f"/{name}": f"board/{name}" for name in wanted}
    for source in targets.values():
        assert (out / source).stat().st_size > 0
    # .mpy version 6.3, without native code, is what 1.23 to 1.29 load.
    for path in (out / "board/lib").rglob("*.mpy"):
        assert path.read_bytes()[:3] == b"M\x06\x00", path
    assert "__version__ = '0.1.0'" in (out / "board/main.py").read_text()


def test_unknown_role() -> None:
    with pytest.raises(stage.StageError, match=r"There is no role 'maximal': choose from client"):
        bundle.make("maximal")


# --- Its file system

MOUNT = """\
import os, sys, vfs
class Flash:
    def __init__(self, path, start, size):
        self._f, self._start, self._size = open(path, "r+b"), start, size
    def readblocks(self, n, buf, offset=0):
        self._f.seek(self._start + n * 4096 + offset)
        self._f.readinto(buf)
    def writeblocks(self, n, buf, offset=0):
        self._f.seek(self._start + n * 4096 + offset)
        self._f.write(buf)
    def ioctl(self, op, arg):
        if op == 6:
            self._f.seek(self._start + arg * 4096)
            self._f.write(b"\\xff" * 4096)
        return {4: self._size // 4096, 5: 4096}.get(op, 0)
files = vfs.VfsLfs2(Flash(%r, %d, %d)%s)
vfs.umount("/")
vfs.mount(files, "/")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib"]
"""
# As a board starts: the library loads, and main.py ends where the factory has given nothing.
START = """\
import lwm2m, lwm2m.core, lwm2m.dtls, device.factory
print(lwm2m.__file__, lwm2m.SEC_NONE)
exec(open("boot.py").read())
exec(open("main.py").read())
device.factory.lock()
with open("kept", "w") as f: f.write("x" * 10000)
print(os.statvfs("/")[2])
"""


def on_unix(image: Path, start: int, size: int, options: str, code: str) -> "list[str]":
    done = micropython("-c", MOUNT % (str(image), start, size, options) + code)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return done.stdout.splitlines()


def check_file_system(board: Path, image: Path, start: int, size: int, options: str) -> None:
    """MicroPython mounts it, as the port's _boot.py does, reads all of it back, and starts."""
    read = on_unix(image, start, size, options, listing.PROGRAM)
    assert sorted(read) == listing.of_bundle(board)
    said = on_unix(image, start, size, options, START)
    assert said[0] == "/lib/lwm2m/__init__.mpy 3"
    assert said[1] == "the factory has given this board nothing yet"
    answer = json.loads(said[2])
    assert not answer["ok"] and answer["error"].startswith("stock MicroPython cannot be locked")
    assert said[3] == str(size // 4096)
    # And what was written is there at the next start.
    code = "print(len(open('kept').read()), 'lib' in os.listdir('/'))"
    assert on_unix(image, start, size, options, code) == ["10000 True"]


def flashed_by_boot_rom(uf2: bytes, blocks=None) -> bytearray:
    """2 MB of flash that had something else in it, after the RP2040's boot ROM has got a UF2.

    As its source has it (virtual_disk.c): a block has a family and 256 bytes for whole pages; the
    sector of the first one that comes of each 16, by number, is erased; programming clears bits.
    """
    memory = bytearray(b"\x11" * 0x200000)
    total = len(uf2) // 512
    erased = set()
    for n in blocks or range(total):
        block = uf2[512 * n : 512 * n + 512]
        _, _, flags, address, size, number, count, family = struct.unpack_from("<8I", block)
        assert (flags, size, number, count, family) == (0x2000, 256, n, total, 0xE48BFF56)
        assert 0x10000000 <= address < 0x10200000 and address % 256 == 0
        at = address - 0x10000000
        if number // 16 not in erased:
            erased.add(number // 16)
            memory[at // 4096 * 4096 : at // 4096 * 4096 + 4096] = b"\xff" * 4096
        for i in range(256):
            memory[at + i] &= block[32 + i]
    return memory


def test_file_system_for_a_stock_pico_w(minimal, tmp_path) -> None:
    text = (SOURCE / "ports/rp2/boards/RPI_PICO_W/mpconfigboard.h").read_text()
    size = eval(re.search(r"FLASH_STORAGE_BYTES\s+(\(.*\))", text)[1])
    where = flash_map.STOCK["RPI_PICO_W"]
    assert (0x200000 - size, size) == (where.start, where.size)
    path = minimal / "RPI_PICO_W-files.uf2"
    firmware.check_uf2(path, path.read_bytes())
    image = tmp_path / "flash.bin"
    memory = flashed_by_boot_rom(path.read_bytes())
    assert memory[: 0x200000 - size] == b"\x11" * (0x200000 - size)
    image.write_bytes(memory)
    check_file_system(minimal / "board", image, 0x200000 - size, size, ", progsize=256")


def test_file_system_for_a_stock_esp32(minimal, tmp_path) -> None:
    partitions = pytest.importorskip("esp_idf_defs.partitions").PartitionTable
    where = flash_map.STOCK["ESP32_GENERIC"]
    text = (SOURCE / "ports/esp32/partitions-4MiBplus.csv").read_text()
    start = max(entry.offset + entry.size for entry in partitions.from_csv(text))
    assert (start, 0x400000 - start) == (where.start, where.size)
    image = tmp_path / "files.bin"
    image.write_bytes((minimal / "ESP32-4MB-files.bin").read_bytes())
    check_file_system(minimal / "board", image, 0, 0x400000 - start, "")


def test_too_little_room(minimal) -> None:
    with pytest.raises(bundle.BundleError, match="does not fit in 64 KB"):
        bundle.file_system(minimal / "board", 0x10000, 256)


INSTALL = """\
import device.factory
os.mkdir("/lwm2m-store")
with open("/lwm2m-store/new", "wb") as f: f.write(%r)
device.factory.install("/lwm2m-store/new", %r)
"""


def test_access_control_needs_the_package(tmp_path) -> None:
    account = {0: "coap://server", 1: False, 2: 3, 3: b"", 4: b"", 5: b"", 10: 1}
    state = {0: {0: account}, 1: {0: {0: 1, 1: 300, 6: True, 7: "U"}}}
    state[2] = {0: {0: 3, 1: 0, 2: {1: 15}, 3: 1}}
    data = provisioning.pack("device", state, {"network": {"type": "none"}})
    size = 512 * 1024
    image = tmp_path / "files.bin"
    image.write_bytes(bundle.file_system(bundle.make("client") / "board", size, 32))
    code = INSTALL % (data, hashlib.sha256(data).hexdigest())
    assert json.loads(on_unix(image, 0, size, "", code)[0]) == {
        "ok": False,
        "error": "there is Access Control, and no package lwm2m-access here",
    }


@pytest.mark.parametrize("role", ["minimal", "client"])
def test_bootstrap_account_needs_the_role(role, tmp_path) -> None:
    account = {0: "coap://bs", 1: True, 2: 3, 3: b"", 4: b"", 5: b""}
    data = provisioning.pack("device", {0: {0: account}}, {"network": {"type": "none"}})
    size = 512 * 1024
    image = tmp_path / "files.bin"
    image.write_bytes(bundle.file_system(bundle.make(role) / "board", size, 32))
    code = INSTALL % (data, hashlib.sha256(data).hexdigest())
    answer = json.loads(on_unix(image, 0, size, "", code)[0])
    if role == "minimal":
        assert answer == {
            "ok": False,
            "error": "there is a bootstrap server account only, and no package lwm2m-bootstrap here",
        }
    else:
        assert answer["ok"] and answer["endpoint"] == "device"


# --- With a stock image


def files(minimal: Path):
    return lambda size, program: bundle.file_system(minimal / "board", size, program)


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive/INFO_UF2.TXT").write_text("UF2 Bootloader v3.0\nBoard-ID: RPI-RP2\n")
    return tmp_path / "drive"


@pytest.mark.parametrize("size", [20000, 256 * 130])  # the last sector whole or not
def test_pico_w_in_one_go(minimal, tmp_path, drive, size) -> None:
    stock = stock_images.pico_w(size=size)
    image = tmp_path / "stock.uf2"
    image.write_bytes(stock)
    said = flash.flash(image, None, drive, False, files(minimal))
    assert said == f"stock.uf2 is on the board at {drive}."
    uf2 = (drive / "stock.uf2").read_bytes()
    firmware.check_uf2(drive / "stock.uf2", uf2)
    memory = flashed_by_boot_rom(uf2)
    program = b"".join(stock[at + 32 : at + 288] for at in range(0, len(stock), 512))
    sectors = -(-len(program) // 4096) * 4096
    assert memory[:sectors] == program.ljust(sectors, b"\xff")
    assert memory[sectors:0x12C000] == b"\x11" * (0x12C000 - sectors)  # left alone
    # A host may write the file in any order.
    blocks = list(range(len(uf2) // 512))
    random.Random(1).shuffle(blocks)
    assert flashed_by_boot_rom(uf2, blocks) == memory
    flashed = tmp_path / "flash.bin"
    flashed.write_bytes(memory)
    check_file_system(minimal / "board", flashed, 0x12C000, 848 * 1024, ", progsize=256")


# In place of esptool, as no chip is here: it tells the size of the flash as the real one does, and the
# flash after a write is what the real one's merge-bin makes of the same files and addresses.
ESPTOOL = """\
import os, subprocess, sys
env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
args = sys.argv[1:]
if args[-1] == "flash-id":
    code = "from esptool.cmds import print_flash_id\\n"
    code += "class Chip:\\n    def flash_id(self, cache): return %s\\n"
    code += "print_flash_id(Chip())"
    command = ["-c", code]
else:
    n = args.index("write-flash")
    command = ["-m", "esptool", *args[:2], "merge-bin", "--output", os.environ["FLASH"]]
    command += ["--pad-to-size", "8MB", *args[n + 1:]]
sys.exit(subprocess.run([sys.executable, *command], env=env).returncode)
"""


@pytest.fixture
def esptool(tmp_path, monkeypatch):
    pytest.importorskip("esptool")

    def stand_in(flash_id: int) -> Path:
        (tmp_path / "esptool").mkdir()
        (tmp_path / "esptool/__init__.py").touch()
        (tmp_path / "esptool/__main__.py").write_text(ESPTOOL % flash_id)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("FLASH", str(tmp_path / "flash.bin"))
        return tmp_path / "flash.bin"

    return stand_in


VFS = "nvs,data,nvs,0x9000,0x6000\nfactory,app,factory,0x10000,0x1F0000\nvfs,data,fat,0x300000,0x80000\n"


@pytest.mark.parametrize(
    ("number", "place", "table", "start", "size"),
    [
        (0, 0x1000, "partitions-4MiBplus.csv", 0x200000, 0x600000),
        (9, 0, "partitions-8MiBplus-ota.csv", 0x4F0000, 0x310000),
        (5, 0, VFS, 0x300000, 0x80000),
    ],
)
def test_esp32_in_one_go(minimal, tmp_path, esptool, number, place, table, start, size) -> None:
    flashed = esptool(0x1740EF)  # a Winbond chip of 8 MB
    image = tmp_path / "stock.bin"
    image.write_bytes(stock_images.esp32(number, place, table=table))
    said = flash.flash(image, "/dev/none", None, False, files(minimal))
    chip = firmware.CHIPS[number][0]
    assert said == (
        f"stock.bin is on the {chip} at /dev/none, from {place:#x} on, "
        f"its files from {start:#x} on, and was verified."
    )
    memory = flashed.read_bytes()
    assert memory[place:].startswith(image.read_bytes())
    check_file_system(minimal / "board", flashed, start, size, "")


def test_flash_of_unknown_size(minimal, tmp_path, esptool) -> None:
    esptool(0x0140EF)
    image = tmp_path / "stock.bin"
    image.write_bytes(stock_images.esp32())
    with pytest.raises(FactoryError, match=r"flash of the esp32 at /dev/none does not tell its s"):
        flash.flash(image, "/dev/none", None, False, files(minimal))
    assert not (tmp_path / "flash.bin").exists()


def test_flash_without_room(minimal, tmp_path, esptool) -> None:
    esptool(0x1540EF)  # 2 MB
    image = tmp_path / "stock.bin"
    image.write_bytes(stock_images.esp32())
    with pytest.raises(FactoryError, match="has no room for files"):
        flash.flash(image, "/dev/none", None, False, files(minimal))


# --- make flash, and what it says


def make_flash(*args: object) -> subprocess.CompletedProcess:
    return tool.run("builds.flash_board", "--for", "make flash", *args)


def refusal(*args: object) -> str:
    done = make_flash(*args)
    assert done.returncode == 1, done.stdout + done.stderr
    # Another test's build may hold the lock.
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Waiting for ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_refusals(tmp_path, drive) -> None:
    boards = ", ".join(build_firmware.boards())
    assert refusal() == f"make flash needs BOARD=, one of {boards}."
    assert refusal("PICO") == f"There is no board 'PICO': choose from {boards}."
    if not build_firmware.image("RPI_PICO_W_LWM2M").exists():
        assert refusal("RPI_PICO_W") == (
            "build/firmware/RPI_PICO_W_LWM2M/firmware.uf2 is not built: run make firmware "
            "BOARD=RPI_PICO_W_LWM2M, or name an image of stock MicroPython with IMAGE=."
        )

    def given(name: str, data: bytes, board: str, *more: object) -> str:
        path = tmp_path / name
        path.write_bytes(data)
        return refusal(board, "--image", path, *more).replace(f"{tmp_path}/", "")

    pico = ("RPI_PICO_W", "--drive", drive)
    assert refusal(*pico, "--image", tmp_path / "none.uf2") == (
        f"{tmp_path}/none.uf2 cannot be read: No such file or directory."
    )
    for name, data, words in (
        ("a.bin", b"", "a.bin is no file for RPI_PICO_W_LWM2M: it takes a .uf2 file."),
        (
            "a.uf2",
            stock_images.pico_w(family=0xE48BFF59),
            "a.uf2 is for the rp2350, and RPI_PICO_W_LWM2M has the rp2040.",
        ),
        (
            "a.uf2",
            stock_images.pico_w(version=(1, 24)),
            "a.uf2 is MicroPython 1.24: the bundle needs 1.25 or newer, and pre-shared keys 1.29.",
        ),
        (
            "a.uf2",
            stock_images.pico_w(network=False),
            (
                "a.uf2 has no network, so that nothing of LwM2M can run on it. For a Raspberry Pi "
                "Pico without W there is this project's own image, RPI_PICO_LWM2M."
            ),
        ),
        (
            "a.uf2",
            stock_images.pico_w(board="Raspberry Pi Pico W (LwM2M)"),
            "a.uf2 is an image of this project: it has all that the bundle has. Flash it alone.",
        ),
        (
            "a.uf2",
            stock_images.pico_w(storage=(0x2000, 0x100000)),
            "a.uf2 says that its file system begins where its program is.",
        ),
        (
            "a.uf2",
            stock_images.pico_w().replace(struct.pack("<I", 0x7188EBF2), b"none"),
            "a.uf2 does not tell where its file system lies: is it MicroPython's?",
        ),
        (
            "a.uf2",
            stock_images.pico_w().replace(b"MicroPython v", b"CircuitPyt  v"),
            "a.uf2 has no MicroPython in it that tells its version.",
        ),
    ):
        assert given(name, data, *pico) == words
    assert os.listdir(drive) == ["INFO_UF2.TXT"]
    (drive / "INFO_UF2.TXT").unlink()
    assert given("a.uf2", stock_images.pico_w(), *pico) == (
        "drive is not the drive of a board in its boot loader: no INFO_UF2.TXT."
    )


def test_refusals_for_esp32(tmp_path) -> None:
    pytest.importorskip("esp_idf_defs.partitions")
    path = tmp_path / "a.bin"

    def given(data: bytes, *more: object) -> str:
        path.write_bytes(data)
        said = refusal("ESP32_GENERIC_C3", "--image", path, *more)
        return said.replace(f"{tmp_path}/", "")

    port = ("--port", "/dev/none")
    c3 = stock_images.esp32(5, 0)
    assert given(c3) == (
        "make flash needs PORT=, where the ESP32_GENERIC_C3_LWM2M is: PORT=/dev/ttyUSB0."
    )
    assert given(stock_images.esp32(), *port) == (
        "a.bin is for the esp32, and ESP32_GENERIC_C3_LWM2M has the esp32c3."
    )
    assert given(b"\x7fELF" + bytes(100), *port) == (
        "a.bin is neither a UF2 nor an image for an ESP32 (it lacks 0xE9)."
    )
    assert given(c3[:0x8000], *port) == given(bytes(c3[:100]) + bytes(0x20000), *port)
    assert given(c3[:0x8000], *port) == (
        "a.bin has no partition table: take the whole image, .bin, and not .app-bin."
    )
    ffat = VFS.replace("vfs", "ffat")
    assert given(stock_images.esp32(5, 0, table=ffat), *port) == (
        "a.bin keeps its files in FAT: take an image without TinyUF2."
    )
    if sys.version_info >= (3, 10):
        assert "esptool could not ask for the size of the flash over /dev/none" in given(c3, *port)


def test_make_flash(tmp_path, drive) -> None:
    image = tmp_path / "stock.uf2"
    image.write_bytes(stock_images.pico_w(version=(1, 27)))
    done = make_flash("RPI_PICO_W", "--image", image, "--drive", drive)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        (
            "This is MicroPython 1.27: pre-shared keys need 1.29. Certificates, and servers without "
            "DTLS, work."
        ),
        f"stock.uf2 is on the board at {drive}.",
        "Its file system is new: the factory has given it nothing yet.",
    ]
    made = littlefs.LittleFS(block_size=4096, block_count=848 // 4, mount=False)
    made.context.buffer = flashed_by_boot_rom((drive / "stock.uf2").read_bytes())[0x12C000:]
    made.mount()
    assert sorted(made.listdir("/lib")) == ["device", "lwm2m", "ucoap"]
    assert not (BUILD / "bundle/minimal/src").exists()


SMALL = "Certificates need more memory than an ESP32 without PSRAM has with stock MicroPython."


@pytest.mark.parametrize(
    ("number", "place", "version", "said"),
    [
        (
            0,
            0x1000,
            (1, 27),
            f"This is MicroPython 1.27: pre-shared keys need 1.29. {SMALL} Servers without DTLS work.",
        ),
        (0, 0x1000, (1, 29), SMALL),
        (5, 0, (1, 29), None),
    ],
)
def test_what_a_stock_esp32_lacks(tmp_path, number, place, version, said) -> None:
    image = tmp_path / "stock.bin"
    image.write_bytes(stock_images.esp32(number, place, version))
    assert firmware.stock(image, image.read_bytes()).lacks == said
    # It is said before anything is written: here that fails, as nobody is at the port.
    board = "ESP32_GENERIC" if number == 0 else "ESP32_GENERIC_C3"
    done = make_flash(board, "--image", image, "--port", "/dev/none")
    assert done.returncode == 1 and done.stdout.splitlines() == ([said] if said else [])


# --- mip


def test_mip(minimal, tmp_path) -> None:
    with PtyBoard(tmp_path / "board", ours=False) as board:
        command = [sys.executable, "-m", "mpremote", "connect", str(board.port), "mip", "install"]
        done = subprocess.run(
            [*command, str(minimal / "package.json")],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        board.power_off()
        read = board.run(
            "for name in ('rom',): vfs.umount('/' + name)\n" + listing.PROGRAM
        ).splitlines()
    assert sorted(read) == listing.of_bundle(minimal / "board")


# --- The index for mip


@pytest.fixture
def files_at(tmp_path):
    """files_at(folder): the URL of a server of its files, on loopback."""
    servers = []

    def serve(folder: Path) -> str:
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_mip_installs_a_package_by_name(tmp_path, files_at) -> None:
    # With all that it requires, and nothing else: and it runs.
    index = bundle.make_index()
    names = {path.name for path in (index / "package" / "6").iterdir()}
    assert names == {path.parent.name for path in ROOT.glob("lib/*/manifest.py")}
    with PtyBoard(tmp_path / "board", ours=False) as board:
        done = subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", str(board.port), "mip", "install"]
            + ["--index", files_at(index), "lwm2m-store"],
            env=tool.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        board.power_off()
        read = board.run("vfs.umount('/rom')\n" + listing.PROGRAM).splitlines()
        said = board.run("import lwm2m\nprint(lwm2m.Store('accounts').factory())")
    listed = stage.modules(ROOT / "lib" / "lwm2m-store" / "manifest.py")
    wanted = {f"/lib/{module.target[:-3]}.mpy" for module in listed}
    assert {line.split()[0] for line in read} == wanted
    assert said == "None\n"
