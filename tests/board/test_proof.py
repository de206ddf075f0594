"""The whole way of a board on an emulated RP2040: provisioned by lwm2m-factory over its serial port, it
brings PPP up, is bootstrapped and registered over DTLS, managed, and cut off from power meanwhile."""

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from builds.steps import ROOT
from harness.board import HOST_S, Board
from harness.from_factory import ENDPOINT, exported, for_leshan, keys, provision
from harness.leshan import BOOTSTRAP_SERVER, SERVER_AND_CLIENT, Leshan
from harness.processes import Servers
from harness.udp_relay import UdpRelay
from test_resume import hellos

# In one process, as a board is provisioned once for both.
together = pytest.mark.xdist_group("proof")

CUTS = 13


class Factory(NamedTuple):
    """A board that has left the factory, and the servers that were told of it."""

    flash: Path  # of the board, powered off; to be copied
    accounts: dict  # what the bootstrap server was told
    clients: dict  # what the server was told
    servers: Servers


@pytest.fixture(scope="module")
def left_factory(programmed: Path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("factory")
    flash = Path(shutil.copy(programmed, folder / "flash.bin"))
    servers = Servers({}, {})
    with Board(flash) as board:
        provision(board, folder, servers.bootstrap_port, servers.port)
    tables = exported(folder)
    with servers.know(*tables):
        yield Factory(flash, *tables, servers)


@pytest.fixture
def fresh(left_factory: Factory, tmp_path: Path):
    """Such a board, powered on, and its servers; it asks to be bootstrapped."""
    left_factory.servers.accounts(left_factory.accounts)
    left_factory.servers.clients(left_factory.clients)
    with Board(Path(shutil.copy(left_factory.flash, tmp_path / "flash.bin"))) as board:
        yield board, left_factory


def comes_up(servers: Servers, bootstrapped: bool = True) -> None:
    """Wait until the board has registered, after it was bootstrapped."""
    if bootstrapped:
        servers.wait_event("BS_STARTED", HOST_S, endpoint=ENDPOINT)
        servers.wait_event("BS_FINISHED", HOST_S, endpoint=ENDPOINT)
    found = servers.wait_event("REGISTERED", HOST_S, endpoint=ENDPOINT)
    assert found["lifetime"] == 120 and "/3303/0" in found["links"]


def other_key(table: dict) -> dict:
    """The same table, with the next key for the board's account with the server."""
    table = json.loads(json.dumps(table))
    entry = table[ENDPOINT]
    security = (entry["servers"][0] if "servers" in entry else entry)["security"]
    security["key"] = bytes(byte ^ 0xFF for byte in bytes.fromhex(security["key"])).hex()
    return table


@together
def test_from_the_factory_to_its_server_and_back(fresh) -> None:
    board, (_, accounts, clients, servers) = fresh
    comes_up(servers)
    device = servers.call("read", ENDPOINT, "/3/0")["values"]
    assert device["0"] == "MicroPython" and len(device["2"]) == 16
    security = servers.call("read", ENDPOINT, "/0/0/5")
    assert security["code"] == "4.01"

    # Its temperature is observed: notified each second, as it does not change here.
    assert servers.call("write", ENDPOINT, "/1/0/3", 1)["code"] == "2.04"
    assert servers.call("observe", ENDPOINT, "/3303/0/5700")["text"].startswith("2")
    for _ in range(3):
        said = servers.wait_event("NOTIFICATION", HOST_S, path="/3303/0/5700")
        assert 20 < float(said["text"]) < 30
    servers.call("cancel", ENDPOINT, "/3303/0/5700")

    # The server has it bootstrapped again, with another key. The one before opens nothing any more.
    servers.accounts(other_key(accounts))
    servers.clients(other_key(clients))
    assert servers.call("execute", ENDPOINT, "/1/0/9")["code"] == "2.04"
    comes_up(servers)
    board.kill()
    board.start()
    comes_up(servers, bootstrapped=False)  # what it was given is kept

    # The factory's accounts are back, and it begins anew.
    servers.accounts(accounts)
    servers.clients(clients)
    assert servers.call("execute", ENDPOINT, "/3/0/5")["code"] == "2.04"
    comes_up(servers)
    assert servers.call("read", ENDPOINT, "/3/0/0")["text"] == "MicroPython"


@together
def test_power_fails_while_it_stores_what_it_was_given(left_factory: Factory, tmp_path) -> None:
    # In a flash operation of the commit that Bootstrap-Finish makes; nothing else writes.
    servers = left_factory.servers
    servers.accounts(left_factory.accounts)
    servers.clients(left_factory.clients)
    flash = tmp_path / "flash.bin"
    shutil.copy(left_factory.flash, flash)
    with Board(flash) as board:
        comes_up(servers)
        found = board.stats()
        count = found["erases"] + found["programs"]
        assert count >= CUTS
        seen = []
        for n in range(CUTS):
            operation = n * (count - 1) // (CUTS - 1)  # the first, the last, and between
            tear = ("half", "garbage", "nothing")[n % 3]
            board.kill()
            shutil.copy(left_factory.flash, flash)
            board.start()
            board.cut(operation, tear)
            board.wait_cut()
            before = len(servers.events)
            board.start()
            servers.wait_event("REGISTERED", HOST_S, endpoint=ENDPOINT)
            names = [event["event"] for event in servers.events[before:]]
            seen.append("old" if "BS_STARTED" in names else "new")
            assert "REFUSED" not in names
    # Once the new accounts are there, they stay.
    assert seen == sorted(seen, reverse=True) and set(seen) == {"old", "new"}


def test_factory_tests_of_any_board(board) -> None:
    # Those of tests/factory, which otherwise run with the unix port.
    board.wait_for("usb")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/factory", "-k", "any_board", "-q", "-n", "0"],
        cwd=ROOT,
        env=dict(os.environ, FACTORY_PORT=board.port),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


needs_leshan = pytest.mark.skipif(
    not (shutil.which("java") and shutil.which("mvn")),
    reason="Leshan needs java and mvn: apt-get install default-jdk-headless maven",
)


@needs_leshan
def test_leshan(board, tmp_path) -> None:
    Leshan.build()
    with ExitStack() as stack:
        bootstrap = stack.enter_context(Leshan(BOOTSTRAP_SERVER))
        server = stack.enter_context(Leshan(SERVER_AND_CLIENT))
        port = bootstrap.call("start")["secure_port"]
        server_port = server.call("start_server", models=MODELS)["secure_port"]
        relay = stack.enter_context(UdpRelay(server_port))
        provision(board, tmp_path, port, relay.port)
        bootstrap.call("configure", endpoint=ENDPOINT, config=for_leshan(tmp_path))
        for process, key in zip((bootstrap, server), keys(tmp_path)):
            process.call("secure", endpoint=ENDPOINT, identity=ENDPOINT, key=key)
        board.reset()
        bootstrap.wait_event("session_finished", HOST_S, endpoint=ENDPOINT)
        found = server.wait_event("registered", HOST_S, endpoint=ENDPOINT)
        assert found["lifetime"] == 120
        of = {"endpoint": ENDPOINT}
        assert server.call("read", path="/3/0", **of)["content"]["0"] == "MicroPython"
        written = server.call("write", path="/1/0/3", value=1, **of)
        assert written["code"] == "2.04"
        assert server.call("observe", path="/3303/0/5700", **of)["code"] == "2.05"
        for _ in range(2):
            said = server.wait_event("notification", HOST_S, path="/3303/0/5700", **of)
            assert 20 < said["content"] < 30

        # The link goes and comes back: one Update, over the session that there is, and what is observed
        # still is.
        again = threading.Event()
        board.ppp.on_up = again.set
        board.ppp.begin_anew()
        assert again.wait(HOST_S)
        server.clear_events()
        server.wait_event("notification", HOST_S, path="/3303/0/5700", **of)
        assert server.call("execute", path="/1/0/8", **of)["code"] == "2.04"
        server.wait_event("updated", HOST_S, **of)
        assert not server.events("registered", "updated")
        assert hellos(relay) == 1


MODELS = {"3303": {"5700": "FLOAT R", "5701": "STRING R"}}
