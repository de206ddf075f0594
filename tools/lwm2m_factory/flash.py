"""Flashing an image: UF2 to the drive of an RP2040 in its boot loader, others with esptool."""

import importlib.util
import os
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import List, Optional

from . import FactoryError
from .board import restart_in_boot_loader

_UF2_MAGIC = 0x0A324655, 0x9E5D5157, 0x0AB16F30
_UF2_HAS_FAMILY = 0x2000
_RP2040 = 0xE48BFF56
_INFO = "INFO_UF2.TXT"  # on a boot loader's drive
_DRIVE_S = 15  # until a board in its boot loader shows as a drive

# Espressif's chips by the number in their images: name, and where the ROM looks for the image.
_CHIPS = {
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


def flash(image: Path, port: Optional[str], drive: Optional[Path], erase: bool) -> str:
    """Flash an image; which way is seen from the file. Returns a sentence."""
    try:
        data = image.read_bytes()
    except OSError as e:
        raise FactoryError(f"{image} cannot be read: {e.strerror}.") from None
    if image.suffix.lower() == ".uf2":
        if erase:
            raise FactoryError(
                "--erase is for ESP32: a UF2 leaves the rest of the flash as it is."
            )
        check_uf2(image, data)
        return copy_uf2(image, data, port, drive)
    return write_esp(image, data, port, erase)


# UF2.


def check_uf2(path: Path, data: bytes) -> None:
    """FactoryError where it is no whole UF2 for an RP2040."""
    count = len(data) // 512
    if not data or len(data) % 512:
        raise FactoryError(f"{path} is no whole UF2: its size is no multiple of 512 bytes.")
    for number in range(count):
        block = data[512 * number : 512 * number + 512]
        first, second, flags, _, _, place, total, family = struct.unpack("<8I", block[:32])
        if (first, second, *struct.unpack("<I", block[-4:])) != _UF2_MAGIC:
            raise FactoryError(f"{path} is no UF2: block {number} lacks its marks.")
        if flags & _UF2_HAS_FAMILY and family != _RP2040:
            raise FactoryError(f"{path} is for another chip than the RP2040.")
        if place != number or total != count:
            raise FactoryError(f"{path} is not whole: block {number} says {place} of {total}.")


def drives() -> List[Path]:
    """The drives of boards in their boot loaders."""
    if os.name == "nt":
        roots = [Path(f"{letter}:/") for letter in "DEFGHIJKLMNOPQRSTUVWXYZ"]
    else:
        patterns = ("/media/*", "/media/*/*", "/run/media/*/*", "/Volumes/*", "/mnt/*")
        roots = [path for pattern in patterns for path in Path("/").glob(pattern[1:])]
    return [root for root in roots if _is_boot_loader(root)]


def _is_boot_loader(folder: Path) -> bool:
    try:
        return (folder / _INFO).is_file()
    except OSError:
        return False


def copy_uf2(image: Path, data: bytes, port: Optional[str], drive: Optional[Path]) -> str:
    if drive and not _is_boot_loader(drive):
        raise FactoryError(f"{drive} is not the drive of a board in its boot loader: no {_INFO}.")
    found = [drive] if drive else drives()
    if not found and port:
        restart_in_boot_loader(port)
        end = time.monotonic() + _DRIVE_S
        while not found and time.monotonic() < end:
            time.sleep(0.2)
            found = drives()
    if not found:
        raise FactoryError(
            "No board is in its boot loader: hold BOOTSEL while you plug it in, name its drive "
            "with --drive, or its --port if it runs MicroPython."
        )
    if len(found) > 1:
        listed = ", ".join(map(str, found))
        raise FactoryError(
            f"Several boards are in their boot loaders: choose with --drive {listed}."
        )
    target = found[0] / image.name
    written = 0
    try:
        with open(target, "wb", buffering=0) as f:
            while written < len(data):
                written += f.write(data[written : written + 4096])
            os.fsync(f.fileno())
    except OSError as e:
        # Having got the last block the board restarts, and its drive goes.
        if written < len(data) or _is_boot_loader(found[0]):
            raise FactoryError(
                f"{image} was not written whole to {found[0]} ({e.strerror}): the board is still "
                "in its boot loader, or will be; start again."
            ) from None
    return f"{image.name} is on the board at {found[0]}."


# ESP32.


def write_esp(image: Path, data: bytes, port: Optional[str], erase: bool) -> str:
    if len(data) < 24 or data[0] != 0xE9:
        raise FactoryError(f"{image} is neither a UF2 nor an image for an ESP32 (it lacks 0xE9).")
    number = struct.unpack("<H", data[12:14])[0]
    if number not in _CHIPS:
        raise FactoryError(f"{image} is for a chip that this tool does not know ({number}).")
    chip, place = _CHIPS[number]
    if port is None:
        raise FactoryError("Name the port of the ESP32 with --port.")
    if importlib.util.find_spec("esptool") is None:
        raise FactoryError("esptool is not installed: it needs Python 3.10 or newer.")
    command = [sys.executable, "-m", "esptool", "--chip", chip, "--port", port]
    command += ["--baud", "460800", "write-flash"] + ["--erase-all"] * erase
    done = subprocess.run(
        [*command, hex(place), str(image)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        said = next(
            (line for line in lines if "error" in line.lower()), (lines or ["nothing"])[-1]
        )
        raise FactoryError(
            f"esptool could not flash {image.name} over {port} («{said}»): is it the {chip}'s "
            "port, and free? Hold BOOT while it connects, if the board has no auto-reset."
        )
    return f"{image.name} is on the {chip} at {port}, from {place:#x} on, and was verified."
