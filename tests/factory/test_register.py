"""verify --register: a board whose main.py runs, with our own servers, at its end registered or in words."""

import contextlib
import json
import re
from pathlib import Path
from typing import Iterator

import pytest
from builds.steps import ROOT
from harness.awaited import PATIENCE_S
from harness.certs import certs
from harness.lines import Process
from harness.ports import free_port, free_ports
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
RAW_KEYS = """\
endpoint = "urn:dev:ops:32473-{serial}"
network.type = "none"

[bootstrap]
uri = "coaps://127.0.0.1:%d"
security = { mode = "rpk", server_public_key = "SERVER_PUBLIC" }

[[bootstrap.server]]
short_id = 1
uri = "coaps://127.0.0.1:%d"
lifetime = 60
security = { mode = "rpk", server_public_key = "SERVER_PUBLIC" }
"""
PROGRAMS = (
    ROOT / "lib/lwm2m-bootstrap-server/examples/bootstrap_server.py",
    ROOT / "lib/lwm2m-server/examples/server.py",
)
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
def provisioned(folder: Path, config: str, app: str = "") -> "Iterator[PtyBoard]":
    (folder / "factory.toml").write_text(config)
    with PtyBoard(folder / "board", CHIP, main=MAIN.replace("APP", app)) as board:
        done = factory(folder, "provision", "factory.toml", "--serial", "1", "--port", board.port)
        assert done.returncode == 0, done.stderr
        # What has been started behind it runs: it is interrupted when it is spoken to next.
        yield board


def test_registered(tmp_path: Path) -> None:
    servers = Servers()
    try:
        with provisioned(tmp_path, CONFIG % f"coap://127.0.0.1:{servers.port}") as board:
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


def test_raw_public_keys(tmp_path: Path) -> None:
    # The pairs are the tool's, in the board and in what it exports; both servers are our own.
    for name in ("SERVER_PUBLIC", "SERVER_KEY"):
        (tmp_path / name).write_bytes(getattr(certs, name))
    own = (tmp_path / "SERVER_PUBLIC", tmp_path / "SERVER_KEY")
    bs_port, port = free_ports(2)
    with provisioned(
        tmp_path, RAW_KEYS % (bs_port, port)
    ) as board, contextlib.ExitStack() as ended:
        started = []
        for to, args in (
            ("bootstrap-server", ("{table}", bs_port, "127.0.0.1")),
            ("server", (port, "127.0.0.1", "{table}")),
        ):
            table = tmp_path / f"{to}.json"
            done = factory(tmp_path, "export", "--to", to, "-o", table)
            assert done.returncode == 0, done.stderr
            args = [table if each == "{table}" else each for each in args]
            process = Process(PROGRAMS[len(started)], *args, *own, role="station")
            started.append(ended.enter_context(process))
            process.says("Listening")
        done = factory(tmp_path, "verify", "--register", PATIENCE_S, "--port", board.port)
        assert done.returncode == 0, done.stderr
        assert "its registration with server 1.\n" in done.stdout
        bootstrap, server = started
        bootstrap.says("urn:dev:ops:32473-1 has its accounts")
        server.says("urn:dev:ops:32473-1 has registered for 60 s")


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
    config = CONFIG % f"coap://127.0.0.1:{free_port()}" + more
    with provisioned(tmp_path, config, app) as board:
        done = factory(tmp_path, "verify", "--register", seconds, "--port", board.port)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines()[-1] == f"The board on {board.port} {said}"


def test_status_and_log_while_it_runs(tmp_path: Path) -> None:
    servers = Servers()
    try:
        with provisioned(tmp_path, CONFIG % f"coap://127.0.0.1:{servers.port}") as board:
            servers.said.wait_for("registered")
            # Asked again and again: its program goes on, with the registration that it has.
            done = factory(tmp_path, "status", "--port", board.port)
            assert done.returncode == 0 and not done.stderr, done.stderr
            said = done.stdout.splitlines()
            assert said[4] == f"Account   1: coap://127.0.0.1:{servers.port} (none)"
            running, server, error = [line.partition(" for ") for line in said[6:9]]
            assert running[0] == "Running  " and server[0] == "Server    1: registered"
            times = [re.fullmatch(r"0:(\d\d):(\d\d)", each[2]) for each in (running, server)]
            times = [int(found[1]) * 60 + int(found[2]) for found in times]
            assert 0 <= times[1] <= times[0]
            assert error[0] == "Error     none"
            done = factory(tmp_path, "status", "--json", "--port", board.port)
            assert json.loads(done.stdout)["registered"] == [1], done.stderr
            done = factory(tmp_path, "log", "--port", board.port)
            assert done.returncode == 0 and not done.stderr, done.stderr
            said = [line.strip().partition("  ") for line in done.stdout.splitlines()]
            assert [text for _, _, text in said] == [
                "Network: up",
                "server 1: registering",
                "server 1: registered, lifetime 86400 s",
                "now",
            ]
            assert servers.tell("read", "/3/0/2") == "2.05 b'1'"
            assert len([line for line in servers.said.lines if "registered" in line]) == 1
    finally:
        servers.close()


def test_log_does_not_interrupt(tmp_path: Path) -> None:
    with PtyBoard(tmp_path / "board", CHIP) as board:
        done = factory(tmp_path, "log", "--port", board.port)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"No program answers on {board.port}: the board is starting, asleep, at its REPL, or has "
            "other firmware. `status` interrupts it and tells.\n"
        )
