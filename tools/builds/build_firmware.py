"""Build a board's image: build/firmware/<board>/firmware.uf2 or .bin.

The boards are the folders of boards/. RPI_PICO_LWM2M and RPI_PICO2_LWM2M are built from Debian's
sources, or from an upstream checkout named by MICROPYTHON in the environment; the others need the
checkout, as Debian does not have what they are built from, and ESP32 boards need the user's ESP-IDF too.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional

from lwm2m_factory import firmware, flash_map

from . import build_unix, sources, stage, steps
from .steps import BUILD, ROOT, SOURCE, rel

BOARDS = ROOT / "boards"
_FIRMWARE = ROOT / "firmware"

# What is built from Debian's sources alone.
_FROM_DEBIAN = ("RPI_PICO_LWM2M", "RPI_PICO2_LWM2M")

_RP2_PROGRAMS = ("cmake", "ninja", "arm-none-eabi-gcc")

# Submodules of a checkout that a board's port needs.
_RP2_SUBMODULES = ("mbedtls", "micropython-lib", "pico-sdk", "tinyusb", "lwip")
_ESP32_SUBMODULES = ("micropython-lib", "berkeley-db-1.xx")


def boards() -> List[str]:
    """The boards that there are."""
    return sorted(path.parent.name for path in BOARDS.glob("*/board.json"))


def mcu(board: str) -> str:
    """The chip that a board has: rp2040, rp2350, esp32, esp32c3, …"""
    return json.loads((BOARDS / board / "board.json").read_text())["mcu"]


def is_rp2(board: str) -> bool:
    """Whether it is a Pico of some kind, with a UF2 for its image."""
    return mcu(board) in firmware.FAMILIES


def folder(board: str, role: str = "client") -> Path:
    """Where a board's image is built."""
    return BUILD / "firmware" / (board if role == "client" else f"{board}-{role}")


def image(board: str, role: str = "client") -> Path:
    """A board's image."""
    name = "firmware.uf2" if is_rp2(board) else "firmware.bin"
    return folder(board, role) / name


def _lacks_newlib() -> Dict[str, str]:
    """The parts of the compiler that Debian has in packages of their own, and that are not there."""
    missing = {}
    for library, package in (
        ("libc.a", "libnewlib-arm-none-eabi"),
        ("libstdc++.a", "libstdc++-arm-none-eabi-newlib"),
    ):
        command = ["arm-none-eabi-gcc", "-mcpu=cortex-m0plus", f"-print-file-name={library}"]
        found = subprocess.run(command, capture_output=True, text=True)
        if found.stdout.strip() == library:  # as it answers what it does not find
            missing[f"{library} for ARM"] = f"apt-get install {package}"
    return missing


def _manifest(board: str, role: str) -> Path:
    """A manifest that includes the board's, with this role."""
    path = folder(board, role) / "manifest.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f'include("{BOARDS / board / "manifest.py"}", role="{role}")\n'
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def _state(board: str, role: str, libraries: str) -> str:
    """What an image is made from."""
    files = [
        path
        for pattern in (f"boards/{board}/*", "firmware/**/*", "lib/**/*.py")
        for path in sorted(ROOT.glob(pattern))
        if path.is_file() and path.suffix != ".pyc"
    ]
    # ROOT is in the manifest that it writes: a folder that was moved is another one.
    config = _config(board, libraries)
    return sources.digest(str(ROOT), config, role, *map(rel, files), *files)


def _config(board: str, libraries: str) -> str:
    """What a tree of objects is made with, whatever the role; with another value it is made anew."""
    files = [
        path
        for pattern in (f"boards/{board}/*", "firmware/*.[ch]", "firmware/rp2/*.[ch]*")
        for path in sorted(ROOT.glob(pattern))
    ]
    return sources.digest(sources.source_id(), libraries, *files, Path(__file__))


def check_size(board: str, size: int) -> None:
    """StepFailed where a program of that many bytes does not fit in its place in a board's flash.

    An ESP32's is held to its partition by ESP-IDF and MicroPython; a Pico's linker takes all of the
    flash up to 1.28.
    """
    place = flash_map.application(board).size
    if size > place:
        raise steps.StepFailed(
            f"The image of {board} has {size:,} bytes, {size - place:,} more than its place in the map "
            f"of the flash ({rel(Path(flash_map.__file__))}): choose a smaller ROLE=, or freeze less."
        )


def _rp2(board: str, role: str, state: str, config: str) -> str:
    """Compile with cmake, and put the image together."""
    out, tree = folder(board, role), folder(board)
    manifest = _manifest(board, role)
    return _compile_rp2(out, tree, BOARDS / board, mcu(board), manifest, state, config)


def _compile_rp2(
    out: Path, tree: Path, board: Path, chip: str, manifest: Path, state: str, config: str
) -> str:
    # Roles share a board's tree: what is frozen is all that is another.
    objects = tree / "obj"
    log = BUILD / "log" / f"firmware-{out.name}.log"
    # As in build_unix: it is there only while no build is at work in the tree.
    marker = tree / "config"
    if not marker.exists() or marker.read_text() != config:
        shutil.rmtree(objects, ignore_errors=True)
    marker.unlink(missing_ok=True)
    (objects / "frozen_content.c").unlink(missing_ok=True)
    # They are compiled anew by their sources' times only, not where a manifest's version changes.
    shutil.rmtree(objects / "frozen_mpy", ignore_errors=True)
    env = {**sources.environment(), "MICROPY_MPYCROSS": str(steps.MPY_CROSS)}
    configure = [
        "cmake",
        "-G",
        "Ninja",
        f"-S{SOURCE / 'ports' / 'rp2'}",
        f"-B{objects}",
        "-DPICO_NO_PICOTOOL=1",
        f"-DMICROPY_BOARD={board.name}",
        f"-DMICROPY_BOARD_DIR={board}",
        f"-DMICROPY_FROZEN_MANIFEST={manifest}",
        f"-DPython3_EXECUTABLE={sys.executable}",
    ]
    steps.run(configure, log, env=env)
    try:
        steps.run(["ninja", "-C", str(objects)], log, append=True, env=env)
    except steps.StepFailed:
        marker.write_text(config)
        raise
    marker.write_text(config)
    if board.name in flash_map.MAPS:  # and no image for a test
        check_size(board.name, (objects / "firmware.bin").stat().st_size)
    to_uf2 = [sys.executable, str(SOURCE / "tools/uf2conv.py"), "-b", "0x10000000"]
    to_uf2 += ["-f", hex(firmware.FAMILIES[chip])]
    new = out / "firmware.new"
    steps.run([*to_uf2, "-c", "-o", str(new), str(objects / "firmware.bin")], log, append=True)
    for name in ("firmware.elf", "firmware.elf.map"):
        shutil.copy2(objects / name, out / name)
    new.replace(out / "firmware.uf2")
    (out / "stamp").write_text(state)
    return rel(out / "firmware.uf2")


def _esp32(board: str, role: str, state: str) -> str:
    """Compile with the user's ESP-IDF."""
    out = folder(board, role)
    log = BUILD / "log" / f"firmware-{out.name}.log"
    command = [
        "make",
        f"--directory={SOURCE / 'ports' / 'esp32'}",
        f"BOARD={board}",
        f"BOARD_DIR={BOARDS / board}",
        f"BUILD={out / 'obj'}",
        f"FROZEN_MANIFEST={_manifest(board, role)}",
    ]
    env = {**sources.environment(), "MICROPY_MPYCROSS": str(steps.MPY_CROSS)}
    steps.run(command, log, env=env)
    shutil.copy2(out / "obj" / "firmware.bin", out / "firmware.bin")
    (out / "stamp").write_text(state)
    return rel(out / "firmware.bin")


def _upstream(board: str) -> Optional[Path]:
    """The user's checkout, if it is named; ends with a sentence where the board cannot do without."""
    if is_rp2(board):
        wifi = (
            "MICROPY_PY_NETWORK_CYW43 ON" in (BOARDS / board / "mpconfigboard.cmake").read_text()
        )
        upstream = sources.checkout("rp2", (*_RP2_SUBMODULES, *(["cyw43-driver"] * wifi)))
    else:
        upstream = sources.checkout("esp32", _ESP32_SUBMODULES)
    if upstream is None and board not in _FROM_DEBIAN:
        raise SystemExit(
            f"Debian does not have the sources that {board} is built from: give a checkout of "
            f"MicroPython 1.29 or newer with make firmware BOARD={board} MICROPYTHON=/path"
            + ("" if is_rp2(board) else ", after '. export.sh' of your ESP-IDF.")
        )
    if not is_rp2(board) and shutil.which("idf.py") is None:
        raise SystemExit(
            f"{board} needs Espressif's ESP-IDF, and idf.py is not found: install the version that "
            "ports/esp32/README.md of your MicroPython names, and run '. export.sh' in its folder."
        )
    return upstream


def build(board: str, role: str, job: str) -> Path:
    """Build a board's image if it is not up to date; ends with a sentence if it cannot."""
    if board not in boards():
        raise SystemExit(f"There is no board {board!r}: choose from {', '.join(boards())}.")
    if not (stage.ROLES / f"{role}.py").exists():
        roles = ", ".join(sorted(path.stem for path in stage.ROLES.glob("*.py")))
        raise SystemExit(f"There is no role {role!r}: choose from {roles}.")
    upstream = _upstream(board)
    rp2 = is_rp2(board)
    missing = steps.missing_programs(_RP2_PROGRAMS if rp2 else ())
    if rp2 and "arm-none-eabi-gcc" not in missing:
        missing.update(_lacks_newlib())
    steps.refuse_if_missing(job, missing)
    build_unix.build([], job)  # mpy-cross, and MicroPython's sources
    with steps.locked("build"):
        todo = steps.Steps()
        libraries = rp2 and upstream is None
        if libraries and not sources.rp2_ready():
            if sources.cached(sources.RP2) is None:
                steps.refuse_if_missing(job, steps.missing_programs(["apt-get", "dpkg-deb"]))
                server = sources.debian_server()
                todo.add(
                    "Fetching the sources of lwip, pico-sdk and tinyusb from Debian",
                    lambda: sources.fetch(server, sources.RP2),
                )
            todo.add("Unpacking the sources of lwip, pico-sdk and tinyusb", sources.rp2_unpack)
            todo.run()
            todo = steps.Steps()
        others = sources.rp2_id() if libraries else ""
        state = _state(board, role, others)
        stamp = folder(board, role) / "stamp"
        path = image(board, role)
        if not path.exists() or not stamp.exists() or stamp.read_text() != state:
            config = _config(board, others)
            todo.add(
                f"Compiling {board} with role {role}",
                lambda: _rp2(board, role, state, config) if rp2 else _esp32(board, role, state),
            )
            todo.run()
    return path


def build_stock(board: Path, job: str) -> Path:
    """Build an RP2040's image with nothing of this project in it, for tests; board: a folder as boards/
    has."""
    build("RPI_PICO_LWM2M", "client", job)  # its sources are what this one needs too
    out = BUILD / "firmware" / board.name
    files = sorted(path for path in board.iterdir() if path.is_file())
    state = sources.digest(sources.source_id(), sources.rp2_id(), *files, Path(__file__))
    stamp = out / "stamp"
    with steps.locked("build"):
        if not stamp.exists() or stamp.read_text() != state:
            out.mkdir(parents=True, exist_ok=True)
            todo = steps.Steps()
            manifest = board / "manifest.py"
            todo.add(
                f"Compiling {board.name}",
                lambda: _compile_rp2(out, out, board, "rp2040", manifest, state, state),
            )
            todo.run()
    return out / "firmware.uf2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("board", nargs="?", help="a folder of boards/")
    parser.add_argument("--role", default="client", help="a file of firmware/manifests")
    parser.add_argument("--for", dest="job", default="This", help="whose name to say")
    args = parser.parse_args()
    if not args.board:
        raise SystemExit(f"{args.job} needs BOARD=, one of {', '.join(boards())}.")
    path = build(args.board, args.role, args.job)
    print(f"{rel(path)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    steps.main(main)
