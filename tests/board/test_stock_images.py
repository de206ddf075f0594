"""Real images of stock MicroPython 1.27 and the bundle: a Pico W's runs on an emulated RP2040, and of an
ESP32's flash is looked at what lies where.

builds.stock has fetched them. The emulated Pico W has no radio: its driver fails, and what is beyond that
is not tested.
"""

import subprocess

import listing
import pytest
from builds import bundle, stock
from builds.steps import ROOT
from esp_idf_defs.partitions import PartitionTable
from harness import tool
from harness.board import Board
from lwm2m_factory import FactoryError, firmware, flash, flash_map
from test_bundle import ESPTOOL, check_file_system, files, flashed_by_boot_rom

UNPROVISIONED = "the factory has given this board nothing yet"
HELD_MS = 20  # between two Ctrl-C
CONFIG = """\
endpoint = "urn:dev:ops:32473-{serial}"

[network]
type = "wifi"
ssid = "line 3"
password = "correct horse"

[[server]]
short_id = 1
uri = "coap://192.0.2.1"
security.mode = "none"
"""


def make(*args: object) -> subprocess.CompletedProcess:
    command = ["make", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def waits(board: Board) -> None:
    # While the radio's driver tries, nothing hears Ctrl-C; an emulated second may take ten. Behind the third
    # failure it lets four pass before it tries again.
    for _ in range(3):
        board.expect("Network: OSError 1")


def test_pico_w_in_one_go(tmp_path) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    (drive / "INFO_UF2.TXT").write_text("UF2 Bootloader v3.0\nBoard-ID: RPI-RP2\n")
    image = stock.image("RPI_PICO_W")
    done = make("flash", "BOARD=RPI_PICO_W", f"IMAGE={image}", f"DRIVE={drive}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "This is MicroPython 1.27: pre-shared keys need 1.29." in done.stdout
    memory = flashed_by_boot_rom((drive / image.name).read_bytes())
    (tmp_path / "flash.bin").write_bytes(memory)

    def factory(*args: str, status: int = 0) -> str:
        done = tool.factory(tmp_path, *args, "--port", board.port)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stderr if status else done.stdout

    with Board(tmp_path / "flash.bin") as board:
        board.expect(UNPROVISIONED)
        board.expect(">>> ")
        found = sorted(board.run(listing.PROGRAM).splitlines())
        assert found == listing.of_bundle(bundle.folder("minimal") / "board")
        (tmp_path / "factory.toml").write_text(CONFIG.replace("{serial}", "{mac}"))
        text = factory("provision", "factory.toml", status=1)
        assert "needs {mac}, which this board does not have" in text
        (tmp_path / "factory.toml").write_text(CONFIG)
        text = factory("provision", "factory.toml", "--serial", "1")
        assert "Raspberry Pi Pico W with RP2040" in text and "MicroPython 1.27.0, stock" in text
        assert "Endpoint  urn:dev:ops:32473-1" in text
        waits(board)
        assert "is as it should be" in factory("verify")
        # There is no radio. It goes on, and who asks later is told.
        waits(board)
        board.kill()
        board.start()
        waits(board)
        assert "Network fault OSError 1" in factory("status")
        assert "is back to the factory's accounts" in factory("reset")
        factory("erase", "--yes")
        assert "nothing yet" in factory("status")


def test_pico_w_by_mip(tmp_path) -> None:
    package = bundle.make("minimal") / "package.json"
    with Board(tmp_path / "flash.bin", stock.image("RPI_PICO_W")) as board:
        board.wait_for("usb")
        assert board.mpremote("romfs", "query").strip() == "ROMFS is not enabled on this device"
        board.mpremote("mip", "install", str(package))
        board.mpremote("reset")
        board.wait_for("usb", 2)
        board.expect(UNPROVISIONED)
        board.expect(">>> ")
        found = sorted(board.run(listing.PROGRAM).splitlines())
        assert found == listing.of_bundle(package.parent / "board")
        # Ctrl-C, as often as a tool may send it, ends main.py and never boot.py, which feeds a watchdog.
        board.expect(">>> ")
        begin = len(board.output)
        board.send(b"\x04")
        board.expect("soft reboot")
        while b">>> " not in board.output[begin + 4 :]:
            board.send(b"\x03")
            board.live(HELD_MS / 1000)
        assert b"boot.py" not in board.output[begin:]


# --- ESP32: what its own partition table says

ESP32 = [name for name in stock.IMAGES if name.startswith("ESP32")]


@pytest.mark.parametrize("name", ESP32)
def test_esp32_in_one_go(name, tmp_path, monkeypatch) -> None:
    image = stock.image(name)
    data = image.read_bytes()
    about = firmware.stock(image, data)
    chip, place = firmware.esp_chip(image, data)
    assert chip == name.replace("_GENERIC", "").replace("_", "").lower()
    table = PartitionTable.from_binary(data[0x8000 - place : 0x8C00 - place])
    table.verify()
    # MicroPython makes its file system behind the last one; on 4 MB it is the map's.
    where = flash_map.STOCK["ESP32_GENERIC"]
    assert about.version == (1, 27) and about.size is None
    assert about.start == max(part.offset + part.size for part in table) == where.start
    assert where.end == 0x400000
    app = next(part for part in table if part.name == "factory")
    size = place + len(data) - app.offset
    assert size <= app.size
    if name + "_LWM2M" in flash_map.MAPS:  # ours has all of that, and at most so much more
        assert size + 96 * 1024 <= flash_map.application(name + "_LWM2M").size
    # The flash, as esptool merges what we give it, read by MicroPython. 0x1640EF: a chip of 4 MB.
    (tmp_path / "esptool").mkdir()
    (tmp_path / "esptool/__init__.py").touch()
    code = ESPTOOL.replace("8MB", "4MB") % 0x1640EF
    (tmp_path / "esptool/__main__.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("FLASH", str(tmp_path / "flash.bin"))
    board = bundle.make("minimal")
    flash.flash(image, "/dev/none", None, False, files(board))
    memory = (tmp_path / "flash.bin").read_bytes()
    assert len(memory) == 0x400000 and memory[place:].startswith(data)
    check_file_system(board / "board", tmp_path / "flash.bin", where.start, where.size, "")


@pytest.mark.parametrize(
    ("board", "name", "words"),
    [
        ("ESP32_GENERIC", "ESP32_GENERIC_C3", "is for the esp32c3, and ESP32_GENERIC_LWM2M has"),
        ("ESP32_GENERIC_C3", "ESP32_GENERIC_C6", "is for the esp32c6, and ESP32_GENERIC_C3_LWM2M"),
        ("ESP32_GENERIC", "RPI_PICO_W", "it takes a .bin file"),
        ("RPI_PICO_W", "ESP32_GENERIC", "it takes a .uf2 file"),
        ("RPI_PICO2", "RPI_PICO_W", "is for the rp2040, and RPI_PICO2_LWM2M has the rp2350"),
        ("ESP32_GENERIC_S3", "1.24", "is MicroPython 1.24: the bundle needs 1.25 or newer"),
        ("ESP32_GENERIC", "1.21", "is MicroPython 1.21: the bundle needs 1.25 or newer"),
        (
            "ESP32_GENERIC_C6",
            "ESP32_GENERIC_C6",
            "There is no board 'ESP32_GENERIC_C6': choose from",
        ),
    ],
)
def test_what_does_not_fit_is_refused(board, name, words) -> None:
    done = make("flash", f"BOARD={board}", f"IMAGE={stock.image(name)}", "PORT=/dev/none")
    assert done.returncode and words in done.stderr, done.stdout + done.stderr


def test_a_part_of_an_image_is_refused(tmp_path) -> None:
    # What an update over the air takes, and a download that was cut.
    data = stock.image("ESP32_GENERIC").read_bytes()
    for n, cut in enumerate((data[0xF000:], data[:0x6000])):
        image = tmp_path / f"{n}.bin"
        image.write_bytes(cut)
        with pytest.raises(FactoryError):
            firmware.stock(image, cut)
    uf2 = stock.image("RPI_PICO_W").read_bytes()
    for cut in (uf2[:-512], uf2[:-1], uf2[512:]):
        with pytest.raises(FactoryError, match=r"is no whole UF2|is not whole"):
            firmware.check_uf2(tmp_path / "a.uf2", cut)
