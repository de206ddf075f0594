"""Power fails at every flash operation of an update on an emulated RP2040, from its URI until it is kept, in
three ways each: `make soak`. test_update.py has one a phase.

CUTS=10 tries so many of the operations, spread over all.
"""

import os
import shutil
from pathlib import Path

import pytest
from harness.board import HOST_S, Board, Gone
from managed import Servers
from test_device import provision
from test_update import ENDPOINT, FILLING
from updates import APP, Depot, made, settings

CUTS = int(os.environ.get("CUTS", "1000000"))
KEPT = "Update: the new application is kept"


def operations(board: Board) -> int:
    found = board.stats()
    return found["erases"] + found["programs"]


@pytest.fixture(scope="module")
def registered(of_full, tmp_path_factory):
    """A board's flash with version 1, a function that starts it, and the server that it registers with."""
    flash = tmp_path_factory.mktemp("soak") / "flash.bin"
    shutil.copy(of_full, flash)
    servers = Servers("10.64.0.1", HOST_S)
    with Board(flash) as board:
        provision(board, servers, APP.format(number=1, more=""), update=settings())
        servers.said.wait_for("registered " + ENDPOINT, HOST_S)
    yield flash, servers
    servers.close()


def update(board: Board, servers: Servers, depot: Depot) -> None:
    """From the URI to the end of the trial; Gone where power has failed. Answers are not waited for."""

    def order(what: str) -> None:
        servers.said.process.stdin.write(what.encode() + b"\n")
        servers.said.process.stdin.flush()

    order(f"write /5/0/1 coap://10.64.0.1:{depot.port}/app")
    board.expect("Update: a package is there", HOST_S)
    order("execute /5/0/2")
    board.expect(KEPT, HOST_S)


@pytest.mark.parametrize("tear", ["nothing", "half", "garbage"])
def test_power_fails_at_each_operation(registered, tmp_path, tear) -> None:
    base, servers = registered
    depot = Depot(made(2, FILLING, deflated=False))

    def up(start) -> object:
        """What start() returns, when the board has registered since."""
        line = "registered " + ENDPOINT
        before = sum(each.startswith(line) for each in servers.said.lines)
        board = start()
        servers.said.says(line, HOST_S, before + 1)
        return board

    def started() -> Board:
        return up(lambda: Board(Path(shutil.copy(base, tmp_path / "flash.bin"))))

    with started() as board:
        before = operations(board)
        update(board, servers, depot)
        count = operations(board) - before
    seen = {1: 0, 2: 0}
    for cut in range(0, count, max(count // CUTS, 1)):
        with started() as board:
            board.cut(cut, tear)
            with pytest.raises(Gone):
                update(board, servers, depot)
            board.wait_cut()
            up(board.start)
            said = servers.tell("read", "/3200/0/5501")
            assert said in ("2.05 b'1'", "2.05 b'2'"), (cut, said)
            seen[int(said[7:-1])] += 1
    print(f"{tear}: {count} operations, {sum(seen.values())} cuts, versions {seen}")
