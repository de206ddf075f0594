"""Stage what a role's manifest lists: build/stage/<role>/src as source, build/stage/<role>/mpy compiled.

A role is a file of firmware/manifests. MicroPython's own manifestfile.py reads it. In lib/ each
package's folder has its own modules, so that no module runs where it lies: src is a tree of links to
them, build/lib the one of all packages, for editors and for a REPL. What is compiled is made as a board
build or mip makes it: optimised as the manifest says, with __version__ added.
"""

import argparse
import hashlib
import importlib.util
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Dict, List, Tuple

from . import steps
from .steps import BUILD, MPY_CROSS, ROOT, SOURCE, rel

ROLES = ROOT / "firmware" / "manifests"
LIB = BUILD / "lib"  # all packages, merged
_WHOLE = "full"  # the role that has them


class StageError(Exception):
    """A manifest or a module cannot be staged; the sentence says why."""


@dataclass(frozen=True)
class Module:
    """A file that a manifest lists."""

    source: Path
    target: str  # its path on the device: lwm2m/core.py
    opt: int  # mpy-cross's -O
    metadata: object  # manifestfile's, of the package that lists it
    own: bool  # listed by the manifest itself, not by one that it requires

    def text(self) -> str:
        """The source with __version__ added."""
        with _manifestfile().tagged_py_file(str(self.source), self.metadata) as tagged:
            return Path(tagged).read_text()


def _manifestfile() -> ModuleType:
    path = SOURCE / "tools" / "manifestfile.py"
    if not path.exists():
        raise StageError("MicroPython is not built yet: run make build first.")
    spec = importlib.util.spec_from_file_location("manifestfile", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def modules(manifest: Path, port: str = "unix") -> List[Module]:
    """What a manifest lists, its own and what it requires, in its order."""
    manifestfile = _manifestfile()
    variables = {
        "MPY_DIR": str(SOURCE),
        "MPY_LIB_DIR": str(SOURCE / "lib/micropython-lib"),
        "PORT_DIR": str(SOURCE / "ports" / port),
        "BOARD_DIR": None,
    }
    reader = manifestfile.ManifestFile(manifestfile.MODE_FREEZE, variables)
    reader.add_library("lwm2m-lib", str(ROOT / "lib"))  # a role does this too, a package does not
    try:
        reader.execute(str(manifest))
    except manifestfile.ManifestFileError as error:
        sentence = str(error).replace(f"{ROOT}/", "")
        absent = re.search(r"Cannot stat (\S+)$", sentence)
        if absent:
            sentence = f"{rel(manifest)} lists {absent[1]}, which does not exist."
        raise StageError(sentence) from None
    return [
        Module(
            Path(found.full_path),
            found.target_path,
            found.opt or 0,
            found.metadata,
            found.metadata is reader.metadata(),
        )
        for found in reader.files()
    ]


def compile_module(source: Path, module: Module, out: Path, compiler: Path = MPY_CROSS) -> Path:
    """Compile a staged source to out/<target>, as .mpy."""
    if not compiler.exists():
        raise StageError("MicroPython is not built yet: run make build first.")
    mpy = (out / module.target).with_suffix(".mpy")
    mpy.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [compiler, f"-O{module.opt}", "-s", module.target, "-o", mpy, source],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise StageError(f"{rel(module.source)} does not compile:\n{done.stderr.strip()}")
    return mpy


def merge(listed: List[Module], folder: Path) -> None:
    """Make a folder of links to modules, each where it is imported from.

    StageError where two packages have one path.
    """
    merged: Dict[str, Path] = {}
    shutil.rmtree(folder, ignore_errors=True)
    for module in listed:
        other = merged.setdefault(module.target, module.source)
        if other != module.source:
            raise StageError(f"{rel(other)} and {rel(module.source)} are both {module.target}.")
        link = folder / module.target
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():  # a package that two others require is listed twice
            link.symlink_to(module.source.resolve())


def compiled(listed: List[Module], folder: Path) -> None:
    """Compile modules into a folder, each where it is imported from."""
    with tempfile.TemporaryDirectory() as tagged:
        for module in listed:
            source = Path(tagged, "source.py")
            source.write_text(module.text())
            compile_module(source, module, folder)


def stage(role: str) -> Tuple[Path, Path]:
    """Stage a role, if anything has changed since; the folders of source and of .mpy files."""
    manifest = ROLES / f"{role}.py"
    if not manifest.exists():
        roles = ", ".join(sorted(path.stem for path in ROLES.glob("*.py")))
        raise StageError(f"There is no role {role}: choose from {roles}.")
    folder = BUILD / "stage" / role
    src, mpy, stamp = folder / "src", folder / "mpy", folder / "stamp"
    listed = modules(manifest)
    state = hashlib.sha256(str(ROOT).encode())  # the links lead to it
    if MPY_CROSS.exists():
        compiler = MPY_CROSS.stat()
        state.update(f"{compiler.st_size} {compiler.st_mtime_ns}".encode())
    for module in listed:
        state.update(f"{module.target} {module.opt} {module.metadata}\n".encode())
        state.update(module.source.read_bytes())

    def is_there() -> bool:
        try:
            return stamp.read_text() == state.hexdigest()
        except FileNotFoundError:
            return False

    if is_there():  # and nobody is waited for who stages another role
        return src, mpy
    with steps.locked("stage"):
        if is_there():
            return src, mpy
        # The stamp goes first and comes last: a stage that was interrupted is made anew.
        shutil.rmtree(folder, ignore_errors=True)
        merge(listed, src)
        compiled(listed, mpy)
        if role == _WHOLE:
            merge(listed, LIB)
        stamp.write_text(state.hexdigest())
    return src, mpy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("roles", nargs="+", metavar="ROLE", help="a file of firmware/manifests")
    for role in parser.parse_args().roles:
        try:
            src, mpy = stage(role)
        except StageError as error:
            raise SystemExit(str(error)) from None
        print(f"{role}: {rel(src)}, {rel(mpy)}")


if __name__ == "__main__":
    steps.main(main)
