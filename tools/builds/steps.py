"""What the build helpers share: the project's folders, progress lines, and sentences for what is missing.

Runs before build/venv exists, on Python 3.9 with nothing but the standard library.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
SOURCE = BUILD / "src" / "micropython"  # a tree of our own, or a link to the user's checkout
MPY_CROSS = BUILD / "unix" / "mpy-cross"
MICROPYTHON = BUILD / "unix" / "micropython"

# The Debian package that has a program, where the two differ in name.
_PACKAGES = {
    "apt-get": "apt",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "coap-server-gnutls": "libcoap3-bin",
    "dpkg-deb": "dpkg",
    "javac": "default-jdk-headless",
    "mvn": "maven",
    "ninja": "ninja-build",
    "node": "nodejs",
}


def rel(path: Path) -> str:
    """A path as it is read best: relative to the project."""
    return os.path.relpath(path, ROOT)


def missing_programs(names: Sequence[str]) -> Dict[str, str]:
    """The programs of these that are not there, each with what installs it."""
    return {
        name: "apt-get install " + _PACKAGES.get(name, name)
        for name in names
        if shutil.which(name) is None
    }


def refuse_if_missing(job: str, missing: Dict[str, str]) -> None:
    """Say by name what a job needs and end, before anything is started."""
    if missing:
        raise SystemExit("\n".join(f"{job} needs {name}: {how}" for name, how in missing.items()))


class StepFailed(Exception):
    """A step's command failed; `log` has what it printed."""

    def __init__(self, sentence: str, log: Optional[Path] = None):
        super().__init__(sentence)
        self.log = log


def run(command: Sequence[str], log: Path, append: bool = False, **popen) -> None:
    """Run a command with its output in a log file; StepFailed if it fails.

    Interrupted, it is stopped and waited for, so that make can remove what is half written.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab" if append else "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, **popen)
        try:
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if status:
        raise StepFailed(f"{command[0]} ended with status {status}.", log)


class Steps:
    """Jobs that are done in order, each with a line of progress: "[3/7] Compiling … 24 s"."""

    def __init__(self) -> None:
        self._steps: List[Tuple[str, Callable[[], Optional[str]]]] = []

    def add(self, title: str, work: Callable[[], Optional[str]]) -> None:
        """Add a step; what `work` returns, if anything, is shown behind its time."""
        self._steps.append((title, work))

    def run(self) -> None:
        for number, (title, work) in enumerate(self._steps, 1):
            print(f"[{number}/{len(self._steps)}] {title} … ", end="", flush=True)
            started = time.monotonic()
            try:
                note = work()
            except StepFailed as failure:
                print("failed", flush=True)
                raise SystemExit(_explain(failure)) from None
            except KeyboardInterrupt:
                print("stopped", flush=True)
                raise
            print(f"{time.monotonic() - started:.0f} s{f' ({note})' if note else ''}", flush=True)


def _explain(failure: StepFailed) -> str:
    if failure.log is None:
        return str(failure)
    lines = failure.log.read_text(errors="replace").splitlines()[-25:]
    return "\n".join([*lines, f"{failure} The whole log is {rel(failure.log)}"])


def locked(name: str):
    """A file lock on build/: a second make waits for the first instead of building into it."""
    BUILD.mkdir(exist_ok=True)
    lock = open(BUILD / f".{name}.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Waiting for another build in this folder to end …", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock  # closing it releases the lock


def main(job: Callable[[], None]) -> None:
    """Run a tool's main function; Ctrl-C, kill and a closed pipe end it without a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        job()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        sys.stdout.flush()  # before the sentence that SystemExit prints
