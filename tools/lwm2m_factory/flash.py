"""Flashing an image: UF2 to the drive of a Pico in its boot loader, others with esptool."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, List, Optional

from . import FactoryError, firmware
from .board import restart_in_boot_loader
from .text import printable

_INFO = "INFO_UF2.TXT"  # on a boot loader's drive
_BOARD_IDS = {"rp2040": "RPI-RP2", "rp2350": "RP2350"}  # there, by their boot ROMs
_DRIVE_S = 15  # until a board in its boot loader shows as a drive

_FLASH_SIZE = re.compile(r"Detected flash size: (\d+)(K|M)B")

# Makes the file system of a stock image: its bytes, and what its port programs at once.
Files = Callable[[int, int], bytes]


def flash(
    image: Path,
    port: Optional[str],
    drive: Optional[Path],
    erase: bool,
    files: Optional[Files] = None,
) -> str:
    """Flash an image; which way is seen from the file. Returns a sentence.

    files: for an image of stock MicroPython, its file system, which is written with it.
    """
    data = read(image)
    about = firmware.stock(image, data) if files else None
    if firmware.is_uf2(image):
        if erase:
            raise FactoryError(
                "--erase is for ESP32: a UF2 leaves the rest of the flash as it is."
            )
        chip = firmware.check_uf2(image, data)
        firmware.check_map(image, data)
        if about:
            made = files(about.size, about.program)
            data = firmware.with_files(image, data, about, made)
        return printable(copy_uf2(image, data, chip, port, drive))
    firmware.check_map(image, data)
    return printable(write_esp(image, data, port, erase, about, files))


def read(image: Path) -> bytes:
    """An image's bytes."""
    try:
        return image.read_bytes()
    except OSError as e:
        raise FactoryError(f"{image} cannot be read: {e.strerror}.") from None


# UF2.


def drives() -> List[Path]:
    """The drives of boards in their boot loaders."""
    if os.name == "nt":
        roots = [Path(f"{letter}:/") for letter in "DEFGHIJKLMNOPQRSTUVWXYZ"]
    else:
        patterns = ("/media/*", "/media/*/*", "/run/media/*/*", "/Volumes/*", "/mnt/*")
        roots = [path for pattern in patterns for path in Path("/").glob(pattern[1:])]
    return [root for root in roots if _is_boot_loader(root)]


def _is_boot_loader(folder: Path) -> bool:
    return _board_id(folder) is not None


def _board_id(folder: Path) -> Optional[str]:
    # What a drive says it belongs to, "" where it does not; None where it is no boot loader's.
    try:
        with open(folder / _INFO, "rb") as f:
            text = f.read(4096).decode(errors="backslashreplace")
    except OSError:
        return None
    found = re.search(r"^Board-ID:[ \t]*(\S+)", text, re.M)
    return found[1] if found else ""


def copy_uf2(
    image: Path, data: bytes, chip: str, port: Optional[str], drive: Optional[Path]
) -> str:
    if drive and not _is_boot_loader(drive):
        raise FactoryError(f"{drive} is not the drive of a board in its boot loader: no {_INFO}.")
    found = [drive] if drive else drives()
    if not found and port:
        restart_in_boot_loader(port)
        end = time.monotonic() + _DRIVE_S
        while not found and time.monotonic() < end:
            time.sleep(0.2)
            found = drives()
    others = [each for each in found if _board_id(each) != _BOARD_IDS[chip]]
    if others and len(others) == len(found):
        raise FactoryError(
            f"{others[0]} is the drive of another chip ({_board_id(others[0]) or 'it has no name'}), and "
            f"{image} is for the {chip.upper()}."
        )
    found = [each for each in found if each not in others]
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


def write_esp(
    image: Path,
    data: bytes,
    port: Optional[str],
    erase: bool,
    about: Optional[firmware.Stock] = None,
    files: Optional[Files] = None,
) -> str:
    chip, place = firmware.esp_chip(image, data)
    if port is None:
        raise FactoryError("Name the port of the ESP32 with --port.")
    if importlib.util.find_spec("esptool") is None:
        raise FactoryError("esptool is not installed: it needs Python 3.10 or newer.")
    with tempfile.TemporaryDirectory() as folder:
        parts = [hex(place), str(image)]
        if about and files:
            size = about.size
            if size is None:
                size = _flash_size(chip, port) - about.start
                if size < 16 * firmware.BLOCK:
                    raise FactoryError(
                        f"The flash at {port} has no room for files behind {image}."
                    )
            made = Path(folder) / "files.bin"
            made.write_bytes(files(size, about.program))
            parts += [hex(about.start), str(made)]
        _esptool(
            chip,
            port,
            f"flash {image.name}",
            *["--baud", "460800", "write-flash"],
            *["--erase-all"] * erase,
            *parts,
        )
    behind = f", its files from {about.start:#x} on" if about else ""
    return (
        f"{image.name} is on the {chip} at {port}, from {place:#x} on{behind}, and was verified."
    )


def _flash_size(chip: str, port: str) -> int:
    # What the chip tells, as MicroPython's start asks it too: littlefs wants to know it exactly.
    found = _FLASH_SIZE.search(_esptool(chip, port, "ask for the size of the flash", "flash-id"))
    if not found:
        raise FactoryError(f"The flash of the {chip} at {port} does not tell its size.")
    return int(found[1]) << (20 if found[2] == "M" else 10)


def _esptool(chip: str, port: str, what: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "esptool", "--chip", chip, "--port", port, *args],
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
            f"esptool could not {what} over {port} («{said}»): is it the {chip}'s "
            "port, and free? Hold BOOT while it connects, if the board has no auto-reset."
        )
    return done.stdout
