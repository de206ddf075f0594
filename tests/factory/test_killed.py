"""The tool is killed before each of its steps: no half board, none that is not noted, and it goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest
from harness import tool
from pty_board import PtyBoard
from samples import PSK, records

PROGRAM = Path(__file__).with_name("killable.py")
STEP = int(os.environ.get("KILL_STEP", "9"))  # 1 in `make soak`
# What it starts with: its endpoint name, and each account's key.
GIVEN = """\
import json, device.settings as settings
copy = settings.load()
state = copy and settings.store().load(copy.endpoint)[0]
print(json.dumps(copy and [copy.endpoint, [state[0][iid][5].hex() for iid in sorted(state[0])]]))
"""


class Tool:
    """killable.py: run() is one command of it."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, PROGRAM],
            env=tool.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, step: int, folder: Path, *args: object) -> int:
        told = {"step": step, "folder": str(folder), "args": list(map(str, args))}
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def killable() -> Iterator[Tool]:
    found = Tool()
    yield found
    found.close()


def on(board: PtyBoard) -> "list | None":
    """What a board has, which is plugged in again then."""
    board.power_off()
    try:
        return json.loads(board.run(GIVEN))
    finally:
        board.plug()


def noted(folder: Path) -> "list | None":
    """The same, as the ledger has it."""
    if not (folder / "factory.ledger").exists():
        return None
    found = records(folder)
    assert len(found) < 2
    for record in found:
        keys = [each["security"]["key"] for each in record["accounts"]]
        return [record["endpoint"], keys]
    return None


def test_before_each_step(tmp_path: Path, killable: Tool) -> None:
    counts = {"none": 0, "noted": 0, "whole": 0}
    with PtyBoard(tmp_path / "board") as board:
        blank = board.flash.read_bytes()
        args = ("provision", "factory.toml", "--serial", "1", "--port", board.port)
        step, status = 1, -9
        while status:
            folder = tmp_path / str(step)
            folder.mkdir()
            (folder / "factory.toml").write_text(PSK)
            board.power_off()
            board.flash.write_bytes(blank)
            board.plug()
            status = killable.run(step, folder, *args)
            assert status in (0, -9)
            there, known = on(board), noted(folder)
            assert there in (None, known), step  # nothing, or all of what is noted
            state = "whole" if there else "noted" if known else "none"
            counts[state] += status != 0
            # The same command goes on: what was noted is what the board gets.
            assert killable.run(0, folder, *args) == 0
            assert on(board) == noted(folder)
            assert noted(folder)[0] == "urn:dev:ops:32473-1"
            assert known in (None, noted(folder)), step
            step += STEP
    print(f"killed before {sum(counts.values())} of its steps: {counts}")
    assert all(counts.values())
