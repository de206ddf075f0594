"""verify --register: a board whose main.py runs, with our own server, at its end registered or in words."""

import contextlib
from pathlib import Path
from typing import Iterator

import pytest
from harness.awaited import PATIENCE_S
from harness.ports import free_port
from harness.tool import factory
from managed import Servers
from pty_board import PtyBoard

CHIP = "e66038b713952135"
CONFIG = """\
endpoint = "urn:dev:ops:32473-{serial}"
network.type = "none"

[[server]]
short_id = 1
uri = "%s"
"""
PROVED = (
    "factory copy, accounts, no crash, what was given, its servers, its registration with server 1"
)
# After a soft reset main.py runs, as on a board; a REPL comes back behind it. Its chip is stood for.
MAIN = """\
import rawrepl, sys
import device.port as port
port.load = lambda: 0
port.save = lambda word: None
port.cause = lambda kept: 0
port.reset = lambda: None
port.watchdog = lambda: None
port.serial_number = lambda: "1"
APP
import main
while True:
    rawrepl.run()
    main.run(port)
"""
APP = """\
class app:
    runs = 0
    def setup(client, settings): app.runs += 1
    def turn(client):
        if app.runs > 1: raise ValueError("secret")
sys.modules["app"] = app
"""


@contextlib.contextmanager
def provisioned(folder: Path, uri: str, app: str = "", more: str = "") -> "Iterator[PtyBoard]":
    (folder / "factory.toml").write_text(CONFIG % uri + more)
    with PtyBoard(folder / "board", CHIP, main=MAIN.replace("APP", app)) as board:
        done = factory(folder, "provision", "factory.toml", "--serial", "1", "--port", board.port)
        assert done.returncode == 0, done.stderr
        # What has been started behind it runs: it is interrupted when it is spoken to next.
        yield board


def test_registered(tmp_path: Path) -> None:
    servers = Servers()
    try:
        with provisioned(tmp_path, f"coap://127.0.0.1:{servers.port}") as board:
            done = factory(tmp_path, "verify", "--register", PATIENCE_S, "--port", board.port)
            assert (done.returncode, done.stdout.splitlines()) == (
                0,
                [
                    f"urn:dev:ops:32473-1 on {board.port} is as it should be: {PROVED}.",
                    "Not looked at: nothing.",
                ],
            ), done.stderr
    finally:
        servers.close()


@pytest.mark.parametrize(
    ("app", "more", "seconds", "said"),
    [
        (
            "",
            "",
            3,
            "has not registered within 3 s; the last that it said is: server 1: registering.",
        ),
        (
            "",
            "[board]\nconsole = 0\n",
            3,
            (
                "has not registered within 3 s, and has said nothing of it, as it does where "
                "board.console is below 2."
            ),
        ),
        # Not as soon as it was provisioned, but when it is waited for.
        (APP, "", PATIENCE_S, "has crashed as it ran (ValueError): `status` shows where."),
    ],
)
def test_not_registered(tmp_path: Path, app: str, more: str, seconds: float, said: str) -> None:
    with provisioned(tmp_path, f"coap://127.0.0.1:{free_port()}", app, more) as board:
        done = factory(tmp_path, "verify", "--register", seconds, "--port", board.port)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines()[-1] == f"The board on {board.port} {said}"
