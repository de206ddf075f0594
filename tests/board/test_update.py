"""Updates over the air on an emulated RP2040: the image of role full, PPP, DTLS; packages of the factory
tool, pushed and pulled, of files and of ROMFS images; applications that are no good; and a power cut in
each phase."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from builds.steps import MPY_CROSS
from cryptography.hazmat.primitives import serialization
from harness.board import BOARD, HOST_S, Board
from harness.from_factory import ENDPOINT, exported, provision
from harness.leshan import SERVER_AND_CLIENT, Leshan
from harness.ports import free_port
from harness.processes import Servers
from lwm2m_factory import flash_map, package
from managed import Servers as PlainServers
from test_device import provision as provision_plainly
from test_proof import needs_leshan
from updates import APP, CRASHES, KEYS, TARGET, Depot, made, settings

FILLING = "# " + "0123456789abcdef" * 400 + "\n"  # more than a sector of flash


@pytest.fixture
def flash(of_full: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(of_full, tmp_path / "flash.bin"))


def comes_up(board: Board, servers: Servers, says: str = "") -> None:
    if says:
        board.expect("Update: " + says)
    servers.wait_event("REGISTERED", HOST_S, endpoint=ENDPOINT)


def read(servers: Servers, path: str) -> str:
    return servers.call("read", ENDPOINT, path)["text"]


def update(board: Board, execute) -> None:
    """execute(): lets a server execute /5/0/2; the code of its answer."""
    board.expect("Update: a package is there", HOST_S)
    resets = len([event for event in board.events if event["event"] == "reset"])
    assert execute() == "2.04"
    board.wait_for("reset", resets + 1)


def test_push_roll_back_and_pull(flash, tmp_path) -> None:
    folder = tmp_path
    app = folder / "app.py"
    app.write_text(APP.format(number=1, more=""))
    public = (
        KEYS[0]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (folder / "one.pem").write_bytes(public)
    more = f'[update]\ntarget = "{TARGET}"\nkeys = ["one.pem"]\nnumber = 1\n'
    servers = Servers({}, {})
    with Board(flash) as board:
        provision(board, folder, servers.bootstrap_port, servers.port, app, more)
        board.kill()
        accounts, clients = exported(folder)
        with servers.know(accounts, clients):
            servers.accounts(accounts)
            board.start()
            comes_up(board, servers)
            assert read(servers, "/3200/0/5501") == "1"

            def execute() -> str:
                return servers.call("execute", ENDPOINT, "/5/0/2")["code"]

            def push(data: bytes) -> str:
                (folder / "package").write_bytes(data)
                name = str(folder / "package")
                answer = servers.call("write", ENDPOINT, "/5/0/0", {"file": name})
                return answer["code"] + " " + answer["text"]

            assert push(made(2, target="other")) == "4.00 for another target"
            assert push(made(2, CRASHES)) == "2.04 "
            # Behind bootstrap, handshakes, a push and the check of its signature.
            assert 1536 <= int(read(servers, "/26300/0/11")) < 8192
            update(board, execute)
            board.wait_for("reset", 2)
            comes_up(board, servers, "it crashed")
            assert read(servers, "/3200/0/5501") == "1"
            assert read(servers, "/5/0/3") + read(servers, "/5/0/5") == "08"

            assert push(made(2)) == "2.04 "
            update(board, execute)
            comes_up(board, servers)
            board.expect("Update: the new application is kept")
            assert read(servers, "/3200/0/5501") == "2"
            assert read(servers, "/5/0/3") + read(servers, "/5/0/5") == "01"

            depot = Depot(made(3, FILLING))
            uri = f"coap://10.64.0.1:{depot.port}/app"
            assert servers.call("write", ENDPOINT, "/5/0/1", uri)["code"] == "2.04"
            update(board, execute)
            comes_up(board, servers)
            board.expect("Update: the new application is kept")
            assert read(servers, "/3200/0/5501") == "3"


PSK = "board-1", bytes(range(0x51, 0x61))


@contextmanager
def file_server(folder: Path):
    """aiocoap's file server of a folder, for the device: how its URIs begin."""
    pytest.importorskip("aiocoap", reason="aiocoap needs Python 3.10: not tested with it")
    port = free_port()
    program = [sys.executable, "-m", "aiocoap.cli.fileserver", "--bind", f"127.0.0.1:{port}"]
    env = dict(os.environ, AIOCOAP_SERVER_TRANSPORT="simplesocketserver")
    process = subprocess.Popen([*program, str(folder)], env=env)
    try:
        yield f"coap://10.64.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()


@needs_leshan
def test_leshan_pushes_and_has_pulled(flash, tmp_path) -> None:
    Leshan.build()
    identity, key = PSK
    depot = file_server(tmp_path)
    with Leshan(SERVER_AND_CLIENT) as server, Board(flash) as board, depot as uri_of_depot:

        def call(command: str, path: str, **args):
            return server.call(command, endpoint=ENDPOINT, path=path, **args)

        def updated(number: int) -> None:
            update(board, lambda: call("execute", "/5/0/2")["code"])
            server.wait_event("registered", HOST_S, endpoint=ENDPOINT)
            board.expect("Update: the new application is kept")
            assert call("read", "/3200/0/5501")["content"] == number
            assert [call("read", f"/5/0/{rid}")["content"] for rid in (3, 5)] == [0, 1]

        port = server.call("start_server", models={"3200": {"5501": "INTEGER R"}})["secure_port"]
        server.call("secure", endpoint=ENDPOINT, identity=identity, key=key.hex())
        uri = f"coaps://10.64.0.1:{port}"
        account = {0: uri, 1: False, 2: 0, 3: identity.encode(), 4: b"", 5: key, 10: 1}
        state = {0: {0: account}, 1: {0: {0: 1, 1: 300, 6: True, 7: "U"}}}
        app = APP.format(number=1, more="")
        provision_plainly(board, None, app, state=state, update=settings())
        server.wait_event("registered", HOST_S, endpoint=ENDPOINT)
        pushed = call("write", "/5/0/0", value={"hex": made(2).hex()}, timeout_ms=HOST_S * 1000)
        assert pushed["code"] == "2.04"
        updated(2)
        (tmp_path / "app.lwp").write_bytes(made(3, FILLING))
        assert call("write", "/5/0/1", value=uri_of_depot + "app.lwp")["code"] == "2.04"
        updated(3)


def test_power_fails_in_each_phase(flash, tmp_path) -> None:
    depot = Depot(made(2, FILLING, deflated=False))
    servers = PlainServers("10.64.0.1", HOST_S)

    def up() -> int:
        servers.said.wait_for("registered " + ENDPOINT, HOST_S)
        return int(servers.tell("read", "/3200/0/5501")[7:-1])

    def state() -> str:
        return "".join(servers.tell("read", f"/5/0/{rid}")[7:-1] for rid in (3, 5))

    def pull() -> None:
        uri = f"coap://10.64.0.1:{depot.port}/app"
        assert servers.tell("write", "/5/0/1", uri).startswith("2.04")

    def operations() -> int:
        found = board.stats()
        return found["erases"] + found["programs"]

    def power() -> None:
        board.wait_cut(HOST_S)
        board.start()

    try:
        with Board(flash) as board:
            app = APP.format(number=1, more="")
            provision_plainly(board, servers, app, update=settings())
            assert up() == 1

            # A download.
            board.cut(9)
            pull()
            power()
            assert (up(), state()) == (1, "00")

            # An installation, at its beginning.
            pull()
            board.expect("Update: a package is there", HOST_S)
            board.cut(3)
            assert servers.tell("execute", "/5/0/2").startswith("2.04")
            power()
            assert (up(), state()) == (1, "00")

            # The whole of it, to know how many operations it has; then the start of the trial.
            pull()
            board.expect("Update: a package is there", HOST_S)
            before = operations()
            assert servers.tell("execute", "/5/0/2").startswith("2.04")
            board.wait_for("reset")
            count = operations() - before
            board.cut(0, "garbage")
            power()
            assert up() == 2

            # Its end.
            board.cut(0)
            power()
            assert up() == 2
            board.expect("Update: the new application is kept")
            assert state() == "01"

            # The switch, which is the last of an installation but for its package's removal.
            depot.data = made(3, FILLING, deflated=False)
            pull()
            board.expect("Update: a package is there", HOST_S)
            board.cut(count - 4)
            assert servers.tell("execute", "/5/0/2").startswith("2.04")
            power()
            assert up() in (2, 3)
    finally:
        servers.close()


IN_PLACE = """
    import gc, uctypes
    gc.collect()
    print("TABLE", uctypes.addressof(TABLE), TABLE[0])
"""


def romfs(folder: Path, number: int, more: str = IN_PLACE) -> bytes:
    """A package of a ROMFS image with an application that has a table of 4 KB."""
    text = f"TABLE = {bytes([number]) * 4096!r}\n" + APP.format(number=number, more=more)
    (folder / "app.py").write_text(text)
    subprocess.run([MPY_CROSS, folder / "app.py", "-o", folder / "app.mpy"], check=True)
    terms = package.Terms(TARGET, number, f"{number}.0")
    made = package.romfs([("app.mpy", (folder / "app.mpy").read_bytes())], terms)
    return package.signed(made, KEYS[0])


def test_romfs_images_are_executed_in_place(flash, tmp_path) -> None:
    servers = PlainServers("10.64.0.1", HOST_S)

    def up() -> int:
        servers.said.wait_for("registered " + ENDPOINT, HOST_S)
        return int(servers.tell("read", "/3200/0/5501")[7:-1])

    def install(data: bytes) -> None:
        (tmp_path / "package").write_bytes(data)
        said = servers.tell("push", "/5/0/0", tmp_path / "package")
        assert said == "2.04 b''", said
        resets = len([event for event in board.events if event["event"] == "reset"])
        assert servers.tell("execute", "/5/0/2").startswith("2.04")
        board.wait_for("reset", resets + 1)

    try:
        with Board(flash) as board:
            app = APP.format(number=1, more="")
            provision_plainly(board, servers, app, update=settings())
            assert up() == 1
            for number, name in ((2, "slot A"), (3, "slot B")):
                before = board.stats()
                install(romfs(tmp_path, number))
                after = board.stats()
                print({what: after[what] - before[what] for what in ("erases", "programs")})
                found = board.expect(r"TABLE (\d+) (\d+)")
                slot = flash_map.region(BOARD, name)
                assert slot.start <= int(found[1]) - 0x10000000 < slot.end
                assert int(found[2]) == number
                assert up() == number
                board.expect("Update: the new application is kept")
            # One that is no good, in slot A again; of its starts each has programmed a word.
            install(romfs(tmp_path, 4, CRASHES))
            board.expect("Update: it crashed")
            assert up() == 3
            slot = flash_map.region(BOARD, "slot A")
            assert flash.read_bytes()[slot.start : slot.start + 8] == bytes(4) + b"\xff" * 4
            # Power fails while one comes: the one that is kept goes on.
            data = romfs(tmp_path, 5)
            (tmp_path / "package").write_bytes(data)
            board.cut(9)
            stdin = servers.said.process.stdin
            stdin.write(f"push /5/0/0 {tmp_path / 'package'}\n".encode())
            stdin.flush()
            board.wait_cut(HOST_S)
            board.start()
            assert up() == 3
    finally:
        servers.close()
