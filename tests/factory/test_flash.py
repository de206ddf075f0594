"""Flashing: a drive that stands for a boot loader's, and esptool on a port where no ESP32 is."""

import os
import struct
import sys
from pathlib import Path

import pytest
import stock_images
from lwm2m_factory import FactoryError, firmware, flash, flash_map
from builds.steps import ROOT
from harness.tool import factory

needs_esptool = pytest.mark.skipif(sys.version_info < (3, 10), reason="esptool needs Python 3.10")


def uf2(blocks: int = 5, family: int = 0xE48BFF56, flags: int = 0x2000) -> bytes:
    """A UF2, as its specification has it: 512 bytes a block, 256 of them data."""
    out = b""
    for n in range(blocks):
        head = (0x0A324655, 0x9E5D5157, flags, 0x10000000 + 256 * n, 256, n, blocks, family)
        out += struct.pack("<8I", *head) + bytes([n]) * 256 + bytes(220)
        out += struct.pack("<I", 0x0AB16F30)
    return out


# Of the drives of an RP2040 and of an RP2350.
INFO = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n"
INFO_2350 = "UF2 Bootloader v1.0\r\nModel: Raspberry Pi RP2350\r\nBoard-ID: RP2350\r\n"


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive/INFO_UF2.TXT").write_text(INFO)
    return tmp_path / "drive"


def test_uf2(tmp_path: Path, drive: Path) -> None:
    image = tmp_path / "firmware.uf2"
    image.write_bytes(uf2())
    assert flash.flash(image, None, drive, False) == f"firmware.uf2 is on the board at {drive}."
    assert (drive / "firmware.uf2").read_bytes() == uf2()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is no whole UF2: its size is no multiple of 512 bytes."),
        (uf2()[:-1], "is no whole UF2: its size is no multiple of 512 bytes."),
        (uf2()[:-512], "is not whole: block 0 says 0 of 5."),
        (uf2()[512:], "is not whole: block 0 says 1 of 5."),
        (uf2()[:512] + bytes(512) + uf2()[1024:], "is no UF2: block 1 lacks its marks."),
        # The RP2350's RISC-V cores, which MicroPython's images for it are not for.
        (uf2(family=0xE48BFF5A), "is for another chip than the RP2040 and the RP2350."),
        (
            uf2()[:512] + uf2(family=0xE48BFF59)[512:],
            "is for several chips: give one for a single chip.",
        ),
        (uf2(flags=0), "does not say for which chip it is: a boot loader ignores it."),
    ],
    ids=("empty", "cut", "end", "beginning", "marks", "family", "families", "none"),
)
def test_wrong_uf2(tmp_path: Path, drive: Path, data: bytes, sentence: str) -> None:
    image = tmp_path / "firmware.uf2"
    image.write_bytes(data)
    with pytest.raises(FactoryError) as caught:
        flash.flash(image, None, drive, False)
    assert str(caught.value) == f"{image} {sentence}"
    assert os.listdir(drive) == ["INFO_UF2.TXT"]


@pytest.mark.parametrize(
    ("family", "info", "said"),
    [
        (0xE48BFF56, INFO_2350, "(RP2350), and firmware.uf2 is for the RP2040.\n"),
        (0xE48BFF59, INFO, "(RPI-RP2), and firmware.uf2 is for the RP2350.\n"),
        (
            0xE48BFF56,
            "UF2 Bootloader 0.6\r\nBoard-ID: nRF52840-\x1b[2Jx\r\n",
            "(nRF52840-\\x1b[2Jx), and firmware.uf2 is for the RP2040.\n",
        ),
        (
            0xE48BFF56,
            "UF2 Bootloader v3.0\n",
            "(it has no name), and firmware.uf2 is for the RP2040.\n",
        ),
    ],
)
def test_drive_of_another_chip(
    tmp_path: Path, drive: Path, family: int, info: str, said: str
) -> None:
    (drive / "INFO_UF2.TXT").write_text(info)
    (tmp_path / "firmware.uf2").write_bytes(uf2(family=family))
    done = factory(tmp_path, "flash", "firmware.uf2", "--drive", "drive")
    said = f"drive is the drive of another chip {said}"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    assert os.listdir(drive) == ["INFO_UF2.TXT"]


def test_no_boot_loader(tmp_path: Path) -> None:
    image = tmp_path / "firmware.uf2"
    image.write_bytes(uf2())
    with pytest.raises(FactoryError, match="is not the drive of a board in its boot loader"):
        flash.flash(image, None, tmp_path, False)
    with pytest.raises(FactoryError, match="No board is in its boot loader: hold BOOTSEL"):
        flash.flash(image, None, None, False)
    with pytest.raises(FactoryError, match=r"There is no port /dev/none: is the board plugged in"):
        flash.flash(image, "/dev/none", None, False)


def test_full_drive(tmp_path: Path, drive: Path) -> None:
    # /dev/full takes nothing, as a drive whose board went.
    image = tmp_path / "firmware.uf2"
    image.write_bytes(uf2())
    (drive / "firmware.uf2").symlink_to("/dev/full")
    with pytest.raises(FactoryError, match=r"was not written whole .* start again"):
        flash.flash(image, None, drive, False)


def esp(chip: int) -> bytes:
    return bytes([0xE9, 1, 2, 0x20]) + bytes(8) + struct.pack("<H", chip) + bytes(100)


def test_wrong_esp_image(tmp_path: Path) -> None:
    image = tmp_path / "firmware.bin"
    for data, sentence in (
        (b"\x7fELF" + bytes(100), r"is neither a UF2 nor an image for an ESP32 \(it lacks 0xE9\)"),
        (esp(77), r"is for a chip that this tool does not know \(77\)"),
        (esp(0), r"Name the port of the ESP32 with --port"),
    ):
        image.write_bytes(data)
        with pytest.raises(FactoryError, match=sentence):
            flash.flash(image, None, None, False)


@needs_esptool
def test_esptool_without_an_esp32(tmp_path: Path) -> None:
    image = tmp_path / "firmware.bin"
    image.write_bytes(esp(9))
    with pytest.raises(FactoryError) as caught:
        flash.flash(image, "/dev/none", None, False)
    text = str(caught.value)
    assert text.startswith("esptool could not flash firmware.bin over /dev/none («")
    assert "Could not open /dev/none" in text and "is it the esp32s3's port" in text


# --- Images of this project keep to the map of their board's flash

CHIPS = {"": (0, 0x1000), "_C3": (5, 0), "_S3": (9, 0)}  # numbers and places, as in firmware.CHIPS


def ours(kind: str, **more) -> bytes:
    board = f"ESP32_GENERIC{kind}_LWM2M"
    table = (ROOT / "boards" / board / "partitions.csv").read_text()
    return stock_images.esp32(*CHIPS[kind], **{"table": table, "build": board, **more})


@needs_esptool
@pytest.mark.parametrize("kind", CHIPS)
def test_esp32_image_of_ours(tmp_path: Path, kind: str) -> None:
    image = tmp_path / "firmware.bin"
    _, place = CHIPS[kind]
    good = ours(kind)

    def refused(data: bytes, words: str) -> None:
        image.write_bytes(data)
        with pytest.raises(FactoryError) as caught:
            flash.flash(image, "/dev/none", None, False)
        board = f"ESP32_GENERIC{kind}_LWM2M"
        assert str(caught.value) == (
            f"{image} is for {board}, and {words}: take what make firmware BOARD={board} has built."
        )

    # What it has for otadata is blank, so that the boot loader starts ota_0, where it goes.
    firmware.check_map(image, good)
    assert good[0xD000 - place : 0xF000 - place] == b"\xff" * 0x2000
    firmware.check_map(image, good.ljust(0x1E0000 - place, b"\xff"))
    refused(
        good.ljust(0x1E0001 - place, b"\xff"), "reaches beyond its application's place, 0x1e0000"
    )
    used = bytearray(good)
    used[0xD000 - place] = 2  # sequence number 2: ota_1
    refused(
        bytes(used),
        "has been in use: its otadata may name another application than the one in it",
    )
    gone = bytearray(good)
    gone[0x10000 - place] = 0xFF
    refused(bytes(gone), "has no application")
    other = ours(kind, table="partitions-4MiB-ota.csv")
    refused(other, "its partition ota_0 is not where that board has it")
    nothing = "nvs,data,nvs,0x9000,0x4000\n"
    refused(ours(kind, table=nothing), "its partition table is not that board's")
    # An image that is not ours has what map it likes.
    firmware.check_map(image, ours(kind, table=nothing, build="ESP32_GENERIC"))


@pytest.mark.parametrize("board", ["RPI_PICO_LWM2M", "RPI_PICO_W_LWM2M", "RPI_PICO2_LWM2M"])
def test_pico_image_of_ours(tmp_path: Path, drive: Path, board: str) -> None:
    image = tmp_path / "firmware.uf2"
    place = flash_map.region(board, "application")
    family = 0xE48BFF56
    if board == "RPI_PICO2_LWM2M":
        family = 0xE48BFF59
        (drive / "INFO_UF2.TXT").write_text("Board-ID: RP2350\n")
    image.write_bytes(stock_images.pico_w(size=place.size, build=board, family=family))
    flash.flash(image, None, drive, False)
    (drive / image.name).unlink()
    image.write_bytes(stock_images.pico_w(size=place.size + 1, build=board, family=family))
    with pytest.raises(FactoryError) as caught:
        flash.flash(image, None, drive, False)
    assert str(caught.value) == (
        f"{image} is for {board}, and would write {0x10000000 + place.size:#x}, where its program does "
        f"not belong: take what make firmware BOARD={board} has built."
    )
    assert os.listdir(drive) == ["INFO_UF2.TXT"]
    other = stock_images.pico_w(size=place.size + 1, build="RPI_PICO_W", family=family)
    image.write_bytes(other)
    flash.flash(image, None, drive, False)
