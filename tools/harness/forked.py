"""A command of ours for many tests: one process that has it imported forks for each command line.

forked.py MODULE IMPORTED: as python -m MODULE; to import IMPORTED takes more than most command lines do.
A line of standard input is one of them, as JSON: {"args": […], "folder": …, "environment": {…}, "out": …,
"err": …}; the last two are the files that get what it prints. Nobody is at its keyboard. A line for each
says how it ended, a signal as a negative number.
"""

import importlib
import json
import os
import runpy
import sys
from typing import Dict, List


def begin(args: List[str], folder: str, environment: Dict[str, str], out: str, err: str) -> None:
    """Let this process be as one that was just started."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for stream, path in enumerate((os.devnull, out, err)):
        file = os.open(path, os.O_RDWR)
        os.dup2(file, stream)
        os.close(file)
    sys.argv[1:] = args


def main(module: str, imported: str) -> None:
    importlib.import_module(imported)
    commands = open(0, "rb", buffering=0)  # reads no further: sys.stdin is the child's
    for line in commands:
        child = os.fork()
        if child == 0:
            begin(**json.loads(line))
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
