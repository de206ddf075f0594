"""The tool, killed at a step that is chosen: one process that has it imported forks for each run.

A line of its standard input is a step, a folder and a command line, as JSON: {"step": 7, "folder": …,
"args": […]}. A step is a statement to the ledger, the end of a transaction, or what is written to a
board; before that of this number, from 1, the tool is killed. 0: before none. It says for each line how it
ended, a signal as a negative number.
"""

import json
import os
import signal
import sys
import traceback

import serial
import sqlalchemy as sa
from lwm2m_factory import cli


def count(last: int) -> None:
    """Kill this process before that step."""
    steps = 0

    def step(*args, **kwargs) -> None:
        nonlocal steps
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("before_cursor_execute", "commit"):
        sa.event.listen(sa.Engine, name, step)
    write = serial.Serial.write

    def counted(self, data: bytes) -> int:
        step()
        return write(self, data)

    serial.Serial.write = counted


def run(step: int, folder: str, args: "list[str]") -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.chdir(folder)
            os.dup2(2, 1)  # what it says is not what this program does
            count(step)
            status = cli.main(args)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


for line in sys.stdin:
    print(run(**json.loads(line)), flush=True)
