"""Updates over the air as a whole: firmware/main.py as a process that restarts, packages of the factory
tool, and our server, which pushes them.
"""

import os
import signal
from pathlib import Path

import pytest
from builds.steps import ROOT
from cryptography.hazmat.primitives.asymmetric import ec
from harness.lines import Process
from harness.ports import free_port
from lwm2m_factory import package
from managed import Servers
from test_firmware import REGISTERED, Board
from updates import APP, CRASHES, FAILS, HANGS, KEYS, TARGET, Depot, made, settings

ROLLOUT = ROOT / "lib" / "lwm2m-server" / "examples" / "rollout.py"


@pytest.fixture
def servers():
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture
def board(tmp_path, servers):
    with Board(tmp_path / "board") as board:
        board.provision(servers.uri, update=settings())
        board.app(APP.format(number=1, more=""))
        start(board, servers)
        yield board


def start(board: Board, servers: Servers, says: str = "") -> None:
    board.start(60000)
    if says:
        board.said.wait_for("Update: " + says)
    servers.said.wait_for("registered ")
    board.said.wait_for(f"LED {REGISTERED}")


def push(servers: Servers, folder: Path, data: bytes) -> str:
    path = folder / "package"
    path.write_bytes(data)
    return servers.tell("push", "/5/0/0", path)


def running(servers: Servers) -> str:
    return servers.tell("read", "/3200/0/5501")


def state(servers: Servers) -> str:
    return "".join(servers.tell("read", f"/5/0/{rid}")[7:-1] for rid in (3, 5))


def install(board: Board, servers: Servers, folder: Path, data: bytes) -> None:
    assert push(servers, folder, data) == "2.04 b''"
    board.said.wait_for("Update: a package is there")
    assert servers.tell("execute", "/5/0/2").startswith("2.04")
    assert board.ended() == -signal.SIGKILL
    assert board.said.lines[-1] == "RESET"


@pytest.mark.parametrize("deflated", [False, True])
def test_restarts_as_version_2(board, servers, tmp_path, deflated):
    assert running(servers) == "2.05 b'1'"
    assert servers.tell("read", "/5/0/7") == "2.05 b''"
    install(board, servers, tmp_path, made(2, deflated=deflated))
    start(board, servers)
    board.said.wait_for("Update: the new application is kept")
    assert running(servers) == "2.05 b'2'"
    assert state(servers) == "01"
    assert servers.tell("read", "/5/0/7") == "2.05 b'2.0'"
    assert servers.tell("read", "/3/0/3") == "2.05 b'2.0'"
    # Over a power cut too, and on to the next one.
    board.lose_power()
    start(board, servers)
    assert running(servers) == "2.05 b'2'"
    install(board, servers, tmp_path, made(3, deflated=deflated))
    start(board, servers)
    assert running(servers) == "2.05 b'3'"
    # A factory reset is back at the factory's; what is older than the last stays refused.
    board.said.wait_for("Update: the new application is kept")
    assert servers.tell("execute", "/3/0/5").startswith("2.04")
    assert board.ended() == -signal.SIGKILL
    start(board, servers)
    assert running(servers) == "2.05 b'1'"
    assert push(servers, tmp_path, made(2)) == "4.00 b'older than what is installed'"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (CRASHES, "it crashed"),
        ("    import no_such_module\n", "it crashed"),
        ("\nsetup = None\n", "it crashed"),
        (FAILS, "the sensor is silent"),
    ],
)
def test_a_bad_application_rolls_back(board, servers, tmp_path, more, reason):
    install(board, servers, tmp_path, made(2, more))
    board.start(60000)
    assert board.ended() == -signal.SIGKILL
    start(board, servers, reason)
    assert running(servers) == "2.05 b'1'"
    assert state(servers) == "08"
    assert servers.tell("read", "/5/0/7") == "2.05 b''"
    # It is not tried again, until it is written anew.
    assert servers.tell("execute", "/5/0/2").startswith("4.05")
    install(board, servers, tmp_path, made(2))
    start(board, servers)
    assert running(servers) == "2.05 b'2'"


@pytest.mark.parametrize("there", [True, False])
def test_a_package_without_an_application(board, servers, tmp_path, there):
    # Whether the factory has given one or not, which is none of its own.
    terms = package.Terms(TARGET, 2, "2.0")
    data = package.signed(package.build([("other.py", b"")], terms), KEYS[0])
    install(board, servers, tmp_path, data)
    app = board.folder / "app.py"
    text = app.read_text()
    if not there:
        app.unlink()
    board.start(60000)
    assert board.ended() == -signal.SIGKILL
    app.write_text(text)
    start(board, servers, "it has no app" if there else "it crashed")
    assert running(servers) == "2.05 b'1'" and state(servers) == "08"


def test_an_application_that_hangs(board, servers, tmp_path):
    # A watchdog would end it: here power does, and each start is counted.
    install(board, servers, tmp_path, made(2, HANGS))
    for _ in range(3):
        board.start(60000)
        board.said.wait_for("HANGS")
        board.lose_power()
    start(board, servers, "it did not last")
    assert running(servers) == "2.05 b'1'" and state(servers) == "08"


def test_the_watchdog_ends_a_trial(board, servers, tmp_path):
    # At its first bite, as main.py is told of it.
    install(board, servers, tmp_path, made(2, HANGS))
    board.start(60000)
    board.said.wait_for("HANGS")
    board.stop()
    (board.folder / "cause").write_text("1")
    start(board, servers, "the watchdog ended it")
    assert running(servers) == "2.05 b'1'" and state(servers) == "08"


def test_packages_that_are_refused(board, servers, tmp_path):
    good = made(2)
    wrong = package.signed(good, ec.generate_private_key(ec.SECP256R1()))
    for data, words in (
        (wrong, "its signature is wrong"),
        (good[:-1] + bytes((good[-1] ^ 1,)), "its content is not what was signed"),
        (made(2, target="other"), "for another target"),
        (made(0), "older than what is installed"),
        (b"rubbish" * 100, "no package of this form"),
    ):
        assert push(servers, tmp_path, data) == f"4.00 b'{words}'"
        board.said.wait_for(f"Update: refused: {words}")
        assert state(servers)[0] == "0"
    assert running(servers) == "2.05 b'1'"
    # By the other key, which takes the first one's trust away.
    install(board, servers, tmp_path, made(2, key=1, revoked=1))
    start(board, servers)
    board.said.wait_for("Update: the new application is kept")
    assert push(servers, tmp_path, made(3)) == "4.00 b'signed by nobody that is trusted'"
    install(board, servers, tmp_path, made(3, key=1))
    start(board, servers)
    assert running(servers) == "2.05 b'3'"


def test_power_cuts_by_the_process(board, servers, tmp_path):
    # Killed while a package comes, and while it is installed: the old one goes on.
    data = made(2, "# " + os.urandom(20000).hex() + "\n", deflated=False)
    path = tmp_path / "package"
    path.write_bytes(data)
    stdin = servers.said.process.stdin
    stdin.write(f"push /5/0/0 {path}\n".encode())
    stdin.flush()
    servers.said.wait_for("progress 1")
    board.lose_power()
    start(board, servers)
    assert running(servers) == "2.05 b'1'"
    assert push(servers, tmp_path, data) == "2.04 b''"
    assert servers.tell("execute", "/5/0/2").startswith("2.04")
    board.said.wait_for("Update: it is installed")
    board.lose_power()
    start(board, servers)
    assert running(servers) == "2.05 b'1'"
    install(board, servers, tmp_path, data)
    start(board, servers)
    assert running(servers) == "2.05 b'2'"


def test_pull(board, servers, tmp_path):
    depot = Depot(made(2, deflated=False))
    uri = f"coap://127.0.0.1:{depot.port}/app"
    assert servers.tell("write", "/5/0/1", uri).startswith("2.04")
    board.said.wait_for("Update: a package is there")
    assert servers.tell("execute", "/5/0/2").startswith("2.04")
    assert board.ended() == -signal.SIGKILL
    start(board, servers)
    assert running(servers) == "2.05 b'2'"


def test_rollout(tmp_path):
    # The example of our server: one after another, progress, and an end of it when one fails.
    port = free_port()
    (tmp_path / "package").write_bytes(made(2, "# " + os.urandom(9000).hex() + "\n"))
    boards = [Board(tmp_path / name) for name in ("a", "b", "c", "d")]
    security = {0: f"coap://127.0.0.1:{port}", 1: False, 2: 3, 3: b"", 4: b"", 5: b"", 10: 1}
    state = {0: {0: security}, 1: {0: {0: 1, 1: 300, 6: True, 7: "U"}}}
    for board, target in zip(boards, (TARGET, TARGET, "other", TARGET)):
        board.install(state, {"update": settings(target)}, board.folder.name)
        board.app(APP.format(number=1, more=""))
    with Process(ROLLOUT, tmp_path / "package", port, "127.0.0.1", 1, 30, heap="2M") as said:

        def percent(name: str) -> list:
            return [x for x in said.lines if x.startswith(name + ": ") and x.endswith(" %")]

        said.wait_for("Listening")
        for board in boards:
            board.start(60000)
            said.says(f"{board.folder.name}: waiting")
        said.says("a: installing")
        assert len(percent("a")) > 3 and not percent("b")  # in turn
        assert boards[0].ended() == -signal.SIGKILL
        boards[0].start(60000)
        said.says("a: done")
        said.says("b: installing")
        assert boards[1].ended() == -signal.SIGKILL
        boards[1].start(60000)
        said.says("b: done")
        said.says("c: failed, 4.00 for another target")
        said.says("Stopped: 1 of 3 have failed")
        assert not percent("d")
    for board in boards:
        board.stop()
