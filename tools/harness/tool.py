"""The project's tools as their users run them: each a process, in a folder of its own."""

import os
import subprocess
import sys
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


def factory(folder: Path, *args: object) -> subprocess.CompletedProcess:
    """Run the command lwm2m-factory in a folder, where its files are."""
    return run("lwm2m_factory", *args, cwd=folder, COLUMNS="100")
