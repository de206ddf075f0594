"""What can be told of the boards' folders without building them: tables, options, headers, manifests.

RPI_PICO_LWM2M is built, and runs in tests/board; RPI_PICO2_LWM2M is built.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from builds import build_firmware, stage
from builds.build_firmware import BOARDS
from builds.steps import ROOT, SOURCE, StepFailed
from harness.micropython import micropython
from lwm2m_factory import flash_map

ALL = build_firmware.boards()
PICOS = [board for board in ALL if build_firmware.is_rp2(board)]
ESP32 = [board for board in ALL if board not in PICOS]

FIRMWARE = ROOT / "firmware"
FLASH_SIZE = 4 * 1024 * 1024
PICO_FLASH_SIZE = {"rp2040": 2 * 1024 * 1024, "rp2350": 4 * 1024 * 1024}
XIP = 0x10000000  # where a Pico sees its flash

# What sdkconfigs may set, and to what: of components/mbedtls/Kconfig, components/esptool_py and
# components/partition_table (Kconfig.projbuild) of ESP-IDF 5. A misspelt symbol is ignored silently.
BOOL = ("y", "n")
SYMBOLS = {
    "CONFIG_MBEDTLS_SSL_PROTO_DTLS": BOOL,
    "CONFIG_MBEDTLS_PSK_MODES": BOOL,
    "CONFIG_MBEDTLS_KEY_EXCHANGE_PSK": BOOL,  # depends on MBEDTLS_PSK_MODES
    "CONFIG_MBEDTLS_KEY_EXCHANGE_ECDHE_ECDSA": BOOL,
    "CONFIG_MBEDTLS_CCM_C": BOOL,
    "CONFIG_MBEDTLS_ASYMMETRIC_CONTENT_LEN": BOOL,
    "CONFIG_MBEDTLS_SSL_IN_CONTENT_LEN": range(512, 16385),  # depend on …ASYMMETRIC_CONTENT_LEN
    "CONFIG_MBEDTLS_SSL_OUT_CONTENT_LEN": range(512, 16385),
    "CONFIG_ESPTOOLPY_FLASHSIZE_4MB": BOOL,
    "CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE": BOOL,  # of components/bootloader (Kconfig.projbuild)
    "CONFIG_PARTITION_TABLE_CUSTOM": BOOL,
    "CONFIG_PARTITION_TABLE_CUSTOM_FILENAME": None,  # a path
}


def test_there_are_the_six_boards() -> None:
    assert ALL == [
        "ESP32_GENERIC_C3_LWM2M",
        "ESP32_GENERIC_LWM2M",
        "ESP32_GENERIC_S3_LWM2M",
        "RPI_PICO2_LWM2M",
        "RPI_PICO_LWM2M",
        "RPI_PICO_W_LWM2M",
    ]


@pytest.mark.parametrize("board", ALL)
def test_folder_has_configuration_only(board) -> None:
    names = {path.name for path in (BOARDS / board).iterdir()}
    wanted = {"board.json", "deploy.md", "manifest.py", "mpconfigboard.cmake", "mpconfigboard.h"}
    if board in ESP32:
        wanted |= {"partitions.csv", "sdkconfig.board"}
    assert names == wanted
    # As MicroPython's own boards have it, which its tools read.
    about = json.loads((BOARDS / board / "board.json").read_text())
    stock = json.loads((SOURCE / "ports/rp2/boards/RPI_PICO/board.json").read_text())
    assert stock.keys() <= about.keys()


def macros_of(board: str, *options: str) -> "dict[str, str]":
    """What a board's header defines. The preprocessor resolves the paths and the redefinitions, in the
    tree that is compiled."""
    header = BOARDS / board / "mpconfigboard.h"
    command = ["gcc", "-E", "-dM", "-Wall", "-Werror", *options, f"-I{SOURCE}", "-x", "c"]
    done = subprocess.run([*command, str(header)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^#define (\w+)(?:\([^)]*\))? (.*)$", done.stdout, re.M))


@pytest.mark.parametrize("board", ALL)
def test_header_is_the_stock_boards_with_ours(board) -> None:
    macros = macros_of(board)
    assert "(LwM2M)" in macros["MICROPY_HW_BOARD_NAME"]
    assert "EXEC_FLAG_NO_INTERRUPT" in macros["MICROPY_BOARD_BEFORE_PYTHON_EXEC"]
    assert "lwm2m_reset" in macros["MICROPY_BOARD_AFTER_PYTHON_EXEC"]
    if board in PICOS:
        assert macros["MICROPY_PY_NETWORK"].strip("()") == "1"
    else:
        stock = board.replace("_LWM2M", "")
        text = (SOURCE / "ports/esp32/boards" / stock / "mpconfigboard.h").read_text()
        name = re.search(r'MICROPY_HW_MCU_NAME\s+("\w+")', text)[1]
        assert macros["MICROPY_HW_MCU_NAME"] == name


@pytest.mark.parametrize("board", ALL)
def test_cmake_file_names_files_that_exist(board) -> None:
    port = "rp2" if board in PICOS else "esp32"
    text = (BOARDS / board / "mpconfigboard.cmake").read_text()
    text += (FIRMWARE / port / "lwm2m.cmake").read_text()
    folders = {
        "${MICROPY_BOARD_DIR}": BOARDS / board,
        "${MICROPY_PORT_DIR}": SOURCE / "ports" / port,
        "${LWM2M_DIR}": FIRMWARE,
    }
    found = 0
    for path in re.findall(r"[^\s()\"]+\.(?:cmake|py|csv|h|c|board|lwm2m)\b", text):
        for variable, folder in folders.items():
            path = path.replace(variable, str(folder))
        if "$" not in path and "/" in path:  # otherwise in a comment, or made by cmake
            path = path if path.startswith("/") else str(SOURCE / "ports" / port / path)
            assert Path(path).exists(), path
            found += 1
    assert found >= 4
    if board in ESP32:
        assert f"include(boards/{board.replace('_LWM2M', '')}/mpconfigboard.cmake)" in text


@pytest.mark.parametrize("role", ["client", "minimal", "station"])
@pytest.mark.parametrize("board", ALL)
def test_manifest_freezes_a_role_and_the_device(board, role, tmp_path) -> None:
    manifest = tmp_path / "manifest.py"
    manifest.write_text(f'include("{BOARDS / board / "manifest.py"}", role="{role}")\n')
    port = "rp2" if board in PICOS else "esp32"
    listed = stage.modules(manifest, port)
    targets = [module.target for module in listed]
    assert len(targets) == len(set(targets))
    wanted = {module.target for module in stage.modules(stage.ROLES / f"{role}.py")}
    wanted |= {"lwm2m/dtls.py", "lwm2m/store.py", "main.py", "_boot.py", "asyncio/core.py"}
    assert wanted <= set(targets)
    assert ("lwm2m/bootstrap.py" in targets) == (role == "client")
    assert ("lwm2m/x509.py" in targets) == (role != "minimal")
    # The device's own: certificates' clock and the lock's console are not for minimal, and the kinds
    # of networks are those of the board; updates, sleep, object 4 and the C stack's count are of role full; launch is
    # for stock boards.
    absent = {"lan"} if board in PICOS else set()
    if board == "RPI_PICO_W_LWM2M":
        absent = {"ppp"}
    absent |= {"clock", "lock"} if role == "minimal" else set()
    absent |= {"launch", "monitor", "places", "power", "sleep", "stack", "update"}
    device = {path.stem for path in (FIRMWARE / "device").glob("*.py")} - {"manifest"}
    assert {f"device/{name}.py" for name in device - absent} == {
        target for target in targets if target.startswith("device/")
    }
    boot = next(module.source for module in listed if module.target == "_boot.py")
    assert boot == (FIRMWARE / "rp2/_boot.py" if port == "rp2" else boot)


# --- The map of the flash


PICO = {
    "application": (0x000000, 768 * 1024),
    "slot A": (0x0C0000, 128 * 1024),
    "slot B": (0x0E0000, 128 * 1024),
    "file system": (0x100000, 1004 * 1024),
    "factory area": (0x1FB000, 5 * 4096),
}
PICO_W = {
    "application": (0x000000, 944 * 1024),
    "slot A": (0x0EC000, 128 * 1024),
    "slot B": (0x10C000, 128 * 1024),
    "file system": (0x12C000, 828 * 1024),
    "factory area": (0x1FB000, 5 * 4096),
}
PICO2 = {
    "application": (0x000000, 1024 * 1024),
    "slot A": (0x100000, 256 * 1024),
    "slot B": (0x140000, 256 * 1024),
    "file system": (0x180000, 2540 * 1024),
    "factory area": (0x3FB000, 5 * 4096),
}
ESP32_4MB = {
    "nvs": (0x9000, 0x4000),
    "otadata": (0xD000, 0x2000),
    "phy_init": (0xF000, 0x1000),
    "ota_0": (0x10000, 0x1D0000),
    "ota_1": (0x1E0000, 0x1D0000),
    "lwm2m": (0x3B0000, 5 * 4096),
    "vfs": (0x3B5000, None),
}


def test_map_is_what_it_always_was() -> None:
    # Boards in the field have it: this says once more what may never change.
    fixed = {"RPI_PICO_LWM2M": PICO, "RPI_PICO_W_LWM2M": PICO_W, "RPI_PICO2_LWM2M": PICO2}
    fixed.update(dict.fromkeys(ESP32, ESP32_4MB))
    assert fixed == {
        board: {each.name: (each.start, each.size) for each in regions}
        for board, regions in flash_map.MAPS.items()
    }
    assert sorted(flash_map.MAPS) == ALL


@pytest.mark.parametrize("board", ALL)
def test_map_has_no_gap_and_no_overlap(board) -> None:
    regions = flash_map.MAPS[board]
    assert all(before.end == after.start for before, after in zip(regions, regions[1:]))
    assert all(each.start % flash_map.SECTOR == 0 for each in regions)
    assert regions[-1].end == (PICO_FLASH_SIZE.get(build_firmware.mcu(board)))


@pytest.mark.parametrize("board", PICOS)
def test_pico_is_built_with_the_map(board) -> None:
    parts = {each.name: each for each in flash_map.MAPS[board]}
    slots = parts["slot A"].size + parts["slot B"].size
    storage = parts["file system"].size + parts["factory area"].size
    assert PICO_FLASH_SIZE[build_firmware.mcu(board)] - storage == parts["file system"].start
    wanted = {"MICROPY_HW_ROMFS_BYTES": slots, "MICROPY_HW_FLASH_STORAGE_BYTES": storage}
    # From 1.29 on what the .cmake file says comes to the compiler, too.
    for options in ([], [f"-D{name}={size}" for name, size in wanted.items()]):
        macros = macros_of(board, *options)
        assert {name: eval(macros[name]) for name in wanted} == wanted
    text = (BOARDS / board / "mpconfigboard.cmake").read_text()
    found = re.findall(r"^set\((MICROPY_HW_\w+_BYTES) (\d+)\)$", text, re.M)
    assert {name: int(size) for name, size in found} == wanted


@pytest.mark.parametrize("board", ALL)
def test_deploy_shows_the_map(board) -> None:
    base, digits = (XIP, 8) if board in PICOS else (0, 6)
    wanted = ["| from | bytes | name | what |", "|---|---|---|---|"]
    for each in flash_map.MAPS[board]:
        size = "the rest" if each.size is None else f"{each.size // 1024:,} K"
        wanted.append(f"| 0x{base + each.start:0{digits}X} | {size} | {each.name} | {each.what} |")
    text = (BOARDS / board / "deploy.md").read_text()
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert [table for table in tables if table[0] == wanted[0]] == [wanted]


def test_modules_agree_on_the_numbers_that_they_repeat() -> None:
    # As private constants, which take no place.
    found = {}
    for path in FIRMWARE.rglob("*.py"):
        for name, value in re.findall(r"^_?([A-Z_]+) = const\((\d+)\)", path.read_text(), re.M):
            found.setdefault(name, {})[path.stem] = int(value)
    for name in ("ASKED", "CRASH", "LOOKUP_MS", "RETRY", "SLEPT", "TICK_MS", "WATCHDOG"):
        assert len(set(found[name].values())) == 1, (name, found[name])
    shown = re.findall(r"# (\d), (?:an )?(\w+)", (FIRMWARE / "device/led.py").read_text())
    shown = {word.upper(): int(number) for number, word in shown}
    for name in ("OFF", "UNPROVISIONED", "CONNECTING", "REGISTERED", "ERROR", "SAFE"):
        for module in {"main", "start"} & found[name].keys():
            assert found[name][module] == shown[name], (name, module)


def test_all_agree_on_the_area() -> None:
    header = (FIRMWARE / "lock.h").read_text()
    area = (FIRMWARE / "device/area.py").read_text()
    boot = (FIRMWARE / "rp2/_boot.py").read_text()
    for board in ALL:
        size = flash_map.region(board, "factory area" if board in PICOS else "lwm2m").size
        assert f"LWM2M_AREA_BYTES ({size})" in header
        assert f"_AREA = {size} " in boot
        assert f"_BLOCK = const({flash_map.SECTOR})" in area
        assert f"_BLOCKS = const({size // flash_map.SECTOR})" in area
    word = re.search(r'LWM2M_LOCK_WORD ("[^"]+")', header)[1]
    assert f"_LOCK = const(b{word})" in area
    assert len(eval(word)) == 16


def test_image_that_is_too_large_is_refused() -> None:
    build_firmware.check_size("RPI_PICO_LWM2M", 768 * 1024)
    build_firmware.check_size("RPI_PICO_W_LWM2M", 944 * 1024)
    with pytest.raises(StepFailed) as caught:
        build_firmware.check_size("RPI_PICO_LWM2M", 768 * 1024 + 1)
    assert str(caught.value) == (
        "The image of RPI_PICO_LWM2M has 786,433 bytes, 1 more than its place in the map of the flash "
        "(tools/lwm2m_factory/flash_map.py): choose a smaller ROLE=, or freeze less."
    )


def test_lock_compiles_for_an_esp32(tmp_path) -> None:
    # With what it uses of ESP-IDF 5 declared as there (esp_partition.h, esp_system.h), as that is
    # not here; the RP2040's half is compiled in earnest.
    (tmp_path / "esp_partition.h").write_text(
        "#include <stddef.h>\n"
        "typedef int esp_err_t;\n"
        "#define ESP_OK 0\n"
        "typedef struct { int type; } esp_partition_t;\n"
        "typedef enum { ESP_PARTITION_TYPE_DATA = 1 } esp_partition_type_t;\n"
        "typedef enum { ESP_PARTITION_SUBTYPE_ANY = 0xff } esp_partition_subtype_t;\n"
        "const esp_partition_t *esp_partition_find_first(\n"
        "    esp_partition_type_t, esp_partition_subtype_t, const char *);\n"
        "esp_err_t esp_partition_read(const esp_partition_t *, size_t, void *, size_t);\n"
    )
    (tmp_path / "esp_system.h").write_text("void esp_restart(void) __attribute__((noreturn));\n")
    unix = ROOT / "build/unix/obj/micropython"
    folders = [tmp_path, SOURCE, SOURCE / "ports/unix", unix, FIRMWARE / "unix"]
    done = subprocess.run(
        ["gcc", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]
        + [f"-I{folder}" for folder in folders]
        + [str(FIRMWARE / "lock.c")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


# --- ESP32: options and partitions


@pytest.mark.parametrize("board", ESP32)
def test_sdkconfig_has_known_symbols_and_what_mbedtls_needs(board) -> None:
    cmake = (FIRMWARE / "esp32/lwm2m.cmake").read_text()
    lines = (FIRMWARE / "esp32/sdkconfig.lwm2m").read_text().splitlines()
    lines += (BOARDS / board / "sdkconfig.board").read_text().splitlines()
    lines += re.findall(r"(CONFIG_PARTITION\w+=.*?)\\n", cmake)
    values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for name, value in values.items():
        allowed = SYMBOLS[name]
        if allowed is not None:
            assert (value if allowed is BOOL else int(value)) in allowed, name
    # Those that are there for other symbols' sake.
    assert values["CONFIG_MBEDTLS_PSK_MODES"] == "y"
    assert values["CONFIG_MBEDTLS_ASYMMETRIC_CONTENT_LEN"] == "y"
    assert values["CONFIG_PARTITION_TABLE_CUSTOM"] == "y"
    assert values["CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE"] == "y"
    # The same records as on the other boards.
    header = (FIRMWARE / "mbedtls_lwm2m.h").read_text()
    for name in ("MBEDTLS_SSL_IN_CONTENT_LEN", "MBEDTLS_SSL_OUT_CONTENT_LEN"):
        assert f"#define {name} ({values['CONFIG_' + name]})" in header


def partitions(board):
    """The partition table of a board, as ESP-IDF's own tool reads it; verified."""
    esp_idf = pytest.importorskip("esp_idf_defs.partitions")
    table = esp_idf.PartitionTable.from_csv((BOARDS / board / "partitions.csv").read_text())
    table.verify()
    table.verify_size_fits(FLASH_SIZE)
    return table


@pytest.mark.parametrize("board", ESP32)
def test_partitions(board) -> None:
    table = partitions(board)
    app, data = 0, 1
    kinds = {
        "nvs": (data, 2),
        "otadata": (data, 0),
        "phy_init": (data, 1),
        "ota_0": (app, 0x10),
        "ota_1": (app, 0x11),
        "lwm2m": (data, 6),
    }
    # MicroPython makes the file system behind the last one, as there is no "vfs".
    *wanted, files = flash_map.MAPS[board]
    assert files.name == "vfs"
    assert [(e.name, (e.type, e.subtype), e.offset, e.size) for e in table] == [
        (each.name, kinds[each.name], each.start, each.size) for each in wanted
    ]
    # Up to the first application it is upstream's table for updates.
    stock = (SOURCE / "ports/esp32/partitions-4MiB-ota.csv").read_text()
    below = re.findall(r"^(\w+),.*, *(0x\w+), *(0x\w+),", stock, re.M)[:3]
    assert [(each.name, each.start, each.size) for each in wanted[:3]] == [
        (name, int(offset, 16), int(size, 16)) for name, offset, size in below
    ]
    again = type(table).from_binary(table.to_binary())
    assert [(e.name, e.offset, e.size) for e in again] == [
        (e.name, e.offset, e.size) for e in table
    ]


# --- A whole flash, put together on the host, and read by the device's own code

DEVICE = """
import sys, os, vfs
sys.path.insert(0, %(firmware)r)
import device.area as area

class Part:
    # A range of a file, as a board's flash gives it.
    def __init__(self, path, start, size):
        self.f, self.start, self.size = open(path, "r+b"), start, size
    def readblocks(self, n, buf, offset=0):
        self.f.seek(self.start + n * 4096 + offset)
        self.f.readinto(buf)
    def writeblocks(self, n, buf, offset=None):
        if offset is None:
            self.ioctl(6, n)
        self.f.seek(self.start + n * 4096 + (offset or 0))
        self.f.write(buf)
    def ioctl(self, op, arg):
        if op == 4:
            return self.size // 4096
        if op == 5:
            return 4096
        if op == 6:
            self.f.seek(self.start + arg * 4096)
            self.f.write(b"\\xff" * 4096)
        if op == 3:
            self.f.flush()
        return 0
"""


def run(code: str, **values) -> str:
    text = DEVICE % {"firmware": str(FIRMWARE)} + code % values
    done = micropython("-c", text)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("board", ESP32)
def test_merged_flash_is_read_by_the_device(board, tmp_path) -> None:
    littlefs = pytest.importorskip("littlefs")
    pytest.importorskip("esptool")
    table = partitions(board)
    area = next(entry for entry in table if entry.name == "lwm2m")
    (tmp_path / "table.bin").write_bytes(table.to_binary())

    # The factory area, as the device writes it.
    (tmp_path / "area.bin").write_bytes(b"\xff" * area.size)
    run(
        "area._device = lambda: part\npart = Part(%(path)r, 0, %(size)d)\n"
        "area.write(b'from the factory' * 100)\narea.lock()\npart.f.flush()\n",
        path=str(tmp_path / "area.bin"),
        size=area.size,
    )

    # A file system, as MicroPython's esp32 port makes and mounts it: what is left of the flash.
    start = flash_map.region(board, "vfs").start
    assert start == area.offset + area.size
    fs = littlefs.LittleFS(
        block_size=4096, block_count=(FLASH_SIZE - start) // 4096, prog_size=32, read_size=32
    )
    fs.mkdir("/lib")
    with fs.open("/lib/there.py", "w") as file:
        file.write("VALUE = 42\n" * 1000)
    (tmp_path / "vfs.bin").write_bytes(fs.context.buffer)

    flash = tmp_path / "flash.bin"
    offsets = {"table.bin": 0x8000, "area.bin": area.offset, "vfs.bin": start}
    command = [sys.executable, "-m", "esptool", "--chip", build_firmware.mcu(board), "merge-bin"]
    command += ["--output", str(flash), "--pad-to-size", "4MB"]
    for name, offset in offsets.items():
        command += [hex(offset), str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert flash.stat().st_size == FLASH_SIZE

    out = run(
        "area._device = lambda: Part(%(path)r, %(area)d, %(size)d)\n"
        "with area.open() as f: print(f.read(8000) == b'from the factory' * 100, area.locked())\n"
        "part = Part(%(path)r, %(vfs)d, %(rest)d)\n"
        "vfs.mount(vfs.VfsLfs2(part), '/flash')\n"
        "print(len(open('/flash/lib/there.py').read()), os.statvfs('/flash')[2])\n"
        "with open('/flash/new', 'w') as f: f.write('written by the device')\n"
        "vfs.umount('/flash')\n"
        "part.f.flush()\n",
        path=str(flash),
        area=area.offset,
        size=area.size,
        vfs=start,
        rest=FLASH_SIZE - start,
    )
    assert out.splitlines() == ["True True", f"11000 {(FLASH_SIZE - start) // 4096}"]

    back = littlefs.LittleFS(
        block_size=4096, block_count=(FLASH_SIZE - start) // 4096, mount=False
    )
    back.context.buffer = bytearray(flash.read_bytes()[start:])
    back.mount()
    with back.open("/new") as file:
        assert file.read() == "written by the device"
