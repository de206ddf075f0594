"""A locked board: device.console instead of a REPL. Its flash and resets are stood for here."""

import subprocess
from pathlib import Path

from harness import tool
from harness.awaited import PATIENCE_S
from harness.tool import factory
from pty_board import PtyBoard
from samples import PSK

MAIN = """\
import os, sys, time, rawrepl, device.settings as settings
class Area:
    def open(self):
        return open("/area", "rb")
    def write(self, data):
        with open("/area", "wb") as f: f.write(data)
    def erase(self):
        os.remove("/area")
    def lock(self):
        open("/locked", "wb").close()
    def unlock(self):
        os.remove("/locked")
    def locked(self):
        return "locked" in os.listdir("/")
class Board:
    def hold(self, ms): pass
    def reset(self, reason): raise SystemExit
area, board = Area(), Board()
settings.area = lambda: area
while not area.locked():
    print(">>> ", end="")
    if not area.locked(): rawrepl.run()
import device.console, device.lock, lwm2m
device.lock.wipe = lambda: None
console = device.console.Console(board, dict, 0, area)
print("a client of ours says something\\n>>> ", end="")
while True:
    try:
        console.poll(lwm2m.Net.now())
    except SystemExit:
        while not area.locked(): rawrepl.run()
    time.sleep_ms(20)
"""


def run(folder: Path, board: PtyBoard, *args: str) -> subprocess.CompletedProcess:
    return factory(folder, *args, "--port", board.port)


def test_locked(tmp_path: Path) -> None:
    (tmp_path / "factory.toml").write_text(PSK)
    provision = ("provision", "factory.toml", "--serial", "1")
    with PtyBoard(tmp_path / "board", main=MAIN) as board:
        done = run(tmp_path, board, *provision)
        assert done.returncode == 0, done.stderr
        assert "an image of this project" in done.stdout
        done = run(tmp_path, board, "lock", "--yes")
        assert done.returncode == 0, done.stderr
        board.power_off()
        board.plug()
        done = run(tmp_path, board, "status")
        assert done.returncode == 0, done.stderr
        assert "Locked    yes" in done.stdout and "urn:dev:ops:32473-1" in done.stdout
        for command in ("verify", "reset", "verify"):
            done = run(tmp_path, board, command)
            assert done.returncode == 0, done.stderr
        for args in (provision, ("erase", "--yes"), ("lock", "--yes")):
            done = run(tmp_path, board, *args)
            assert done.returncode == 1
            assert f"The board on {board.port} is locked: it only tells its status" in done.stderr
        done = run(tmp_path, board, "unlock", "--yes")
        assert done.returncode == 0, done.stderr
        done = run(tmp_path, board, "status")
        assert "Locked    no" in done.stdout and "Endpoint  none" in done.stdout, done.stderr
        done = run(tmp_path, board, "unlock", "--yes")
        assert done.returncode == 1 and "is not locked." in done.stderr


def test_a_board_that_restarts_as_it_is_locked(tmp_path: Path) -> None:
    # It went with the answer, and is there again: locked, not silent.
    (tmp_path / "factory.toml").write_text(PSK)
    closed = 'open("/locked", "wb").close()'
    main = MAIN.replace(closed, f'{closed}; os.system("kill -9 $PPID")')
    with PtyBoard(tmp_path / "board", main=main) as board:
        done = run(tmp_path, board, "provision", "factory.toml", "--serial", "1")
        assert done.returncode == 0, done.stderr
        process = subprocess.Popen(
            tool.command("lwm2m_factory", "lock", "--yes", "--port", board.port),
            cwd=tmp_path,
            env=tool.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        board.end()
        board.plug()
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
        assert out.startswith(f"urn:dev:ops:32473-1 on {board.port} is locked;")
        assert "Locked    yes" in run(tmp_path, board, "status").stdout
