"""Make build/venv, where pytest, ruff and codespell run: tools/requirements.txt, all of it by its SHA-256.

Debian's python3 comes without ensurepip, so the environment is made without pip and the system's
pip fills it.
"""

import argparse
import hashlib
import re
import subprocess
import sys
from typing import Dict

from . import steps

VENV = steps.BUILD / "venv"
PYTHON = VENV / "bin" / "python"
_REQUIREMENTS = steps.ROOT / "tools" / "requirements.txt"
_STAMP = VENV / "stamp"


def _wanted() -> str:
    # sys.version: an environment does not survive its interpreter's upgrade.
    about = f"{sys.base_prefix} {sys.version} {VENV}".encode()
    return hashlib.sha256(about + _REQUIREMENTS.read_bytes()).hexdigest()


def is_ready() -> bool:
    return _STAMP.exists() and _STAMP.read_text() == _wanted() and PYTHON.exists()


def missing() -> Dict[str, str]:
    """What making it needs that is not there, each with what installs it."""
    if is_ready():
        return {}
    command = [sys.executable, "-m", "pip", "--version"]
    pip = subprocess.run(command, capture_output=True, text=True)
    if pip.returncode:
        return {"pip": "apt-get install python3-pip"}
    version = re.match(r"pip (\d+)\.(\d+)", pip.stdout)
    if version is None or (int(version[1]), int(version[2])) < (22, 3):
        # Before 22.3 it cannot install into another environment (--python).
        return {"pip 22.3 or newer": "python3 -m pip install --upgrade pip"}
    return {}


def make() -> str:
    log = steps.BUILD / "log" / "venv.log"
    _STAMP.unlink(missing_ok=True)
    steps.run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)], log)
    pip = [sys.executable, "-m", "pip", "--python", str(PYTHON), "--disable-pip-version-check"]
    install = [*pip, "install", "--require-hashes", "--no-build-isolation", "-r"]
    # esptool comes as source. In an environment of its own for that, pip would have any setuptools
    # build it, unchecked; so the one that is listed is there first.
    builder = VENV / "setuptools.txt"
    listed = re.search(r"^setuptools==(?:.*\\\n)*.*", _REQUIREMENTS.read_text(), re.M)
    builder.write_text(listed[0] + "\n")
    steps.run([*install, str(builder)], log, append=True)
    steps.run([*install, str(_REQUIREMENTS)], log, append=True)
    _STAMP.write_text(_wanted())
    return "build/venv"


def plan(todo: steps.Steps) -> None:
    """Add the steps that are to be done, if any."""
    if not is_ready():
        todo.add("Installing the test tools (tools/requirements.txt)", make)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--for", dest="job", default="This", help="whose name to say")
    job = parser.parse_args().job
    with steps.locked("build"):
        steps.refuse_if_missing(job, missing())
        todo = steps.Steps()
        plan(todo)
        todo.run()


if __name__ == "__main__":
    steps.main(main)
