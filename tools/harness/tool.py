"""The project's tools as their users run them: each a process, in a folder of its own."""

import atexit
import functools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Dict, List

from builds.steps import ROOT

TIMEOUT_S = 600  # of one that hangs: an emulated board takes its time


def command(module: str, *args: object) -> List[str]:
    """What runs a module of tools/: lwm2m_factory, builds.bundle, …; in environment()."""
    return [sys.executable, "-m", module, *map(str, args)]


def environment(**more: str) -> Dict[str, str]:
    """With the tools in its path. more: further variables."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "tools"), **more}


def run(
    module: str, *args: object, cwd: Path = ROOT, timeout: float = TIMEOUT_S, **more: str
) -> subprocess.CompletedProcess:
    """Run it to its end, with nobody at its keyboard. more: of its environment."""
    return subprocess.run(
        command(module, *args),
        cwd=cwd,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


class _Factory:
    """forked.py: run() is one command of the factory tool, as of a process of its own."""

    def __init__(self):
        # In a session of its own: what hangs is ended with its children.
        self._process = subprocess.Popen(
            command("harness.forked", "lwm2m_factory", "lwm2m_factory.cli"),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._one = threading.Lock()
        atexit.register(self._close)

    def run(self, folder: Path, args: List[str]) -> subprocess.CompletedProcess:
        with self._one, tempfile.TemporaryDirectory() as files:
            out, err = Path(files, "out"), Path(files, "err")
            for path in (out, err):
                path.touch()
            told = {
                "args": args,
                "folder": str(folder),
                "environment": environment(COLUMNS="100"),
                "out": str(out),
                "err": str(err),
            }
            self._process.stdin.write(json.dumps(told) + "\n")
            self._process.stdin.flush()
            if not select.select([self._process.stdout], [], [], TIMEOUT_S)[0]:
                os.killpg(self._process.pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(args, TIMEOUT_S, out.read_text(), err.read_text())
            status = int(self._process.stdout.readline())
            return subprocess.CompletedProcess(args, status, out.read_text(), err.read_text())

    def _close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


_forked = functools.lru_cache()(_Factory)  # one in each process, from its first command on


def factory(folder: Path, *args: object) -> subprocess.CompletedProcess:
    """Run the command lwm2m-factory in a folder, where its files are; see forked.py.

    That it starts by itself, and is interrupted and killed, is for those tests that start command().
    """
    return _forked().run(folder, [str(arg) for arg in args])
