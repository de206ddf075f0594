"""The library itself as an update, on stock MicroPython: a bundle in littlefs under the unix port, as a process
that restarts, packages of the factory tool, and our server, which pushes them.
"""

import hashlib
import json
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Dict

import pytest
from builds import bundle
from builds.steps import ROOT
from harness.awaited import PATIENCE_S
from harness.lines import Lines
from harness.micropython import UNIT, command, micropython
from lwm2m_factory import image, package
from managed import Servers
from test_update import push, running, state
from updates import KEYS, TARGET, settings

SLOT = "/lwm2m-store/update/%d"
UPDATING = {f"lwm2m/{name}.mpy" for name in ("p256", "package", "slots", "update")}
UPDATING |= {f"device/{name}.mpy" for name in ("launch", "main", "places", "update")}
SIZE = 2048 * 1024  # of the file system, as a stock ESP32 has it

# What is hardware, in place of the end of device/port.py; both versions are for this board.
CHIP = """
def _get(name):
    try:
        with open("/chip/" + name, "rb") as f:
            return f.read()
    except OSError:
        return None
def _put(name, data):
    with open("/chip/" + name, "wb") as f:
        f.write(data)
def load():
    return int.from_bytes(_get("word") or b"", "big")
def save(word):
    _put("word", word.to_bytes(4, "big"))
def cause(kept):
    return 0 if _get("word") is None else int(_get("cause") or 2)
def watchdog():
    _put("watched", b"")
def reset():
    import os
    _put("cause", b"2")
    print("RESET")
    os.system("kill -9 $PPID")
def button(pin):
    return lambda: int(_get("pressed") is None)
def serial_number():
    return "e66038b713952135"
"""

# Tells which version runs, from where all of its modules have come, and what is in its heap.
APP = """\
import gc, sys
from lwm2m.model import INT, R, STR, Object
def folders():
    found = set()
    for name in sys.modules:
        package = name.split(".")[0]
        if package in ("lwm2m", "device", "ucoap"):
            module = sys.modules[name]
            path = getattr(module, "__file__", None) or module.__path__ + "/"
            found.add(path[: path.find("/" + package + "/")])
    return " ".join(sorted(found))
def heap():
    gc.collect()
    return gc.mem_alloc()
def setup(client, settings):
    values = {5501: %d, 5750: folders, 5700: heap}
    client.add_object(Object(3200, (5501, R | INT, 5750, R | STR, 5700, R | INT), {0: values}))
"""


def library(**changed: str) -> Dict[str, bytes]:
    """What a bundle has in lib/, for this board. changed: what modules end with; __ stands for /."""
    full, client = (bundle.make(role) / "board" / "lib" for role in ("full", "client"))
    needed = {path.relative_to(client).as_posix() for path in client.rglob("*.mpy")} | UPDATING
    found = {name: (full / name).read_bytes() for name in needed}
    sources = {
        "device/port": ROOT / "firmware/device/port.py",
        "device/main": ROOT / "firmware/main.py",
        "device/guard": ROOT / "firmware/device/guard.py",
        "lwm2m/store": ROOT / "lib/lwm2m-store/lwm2m/store.py",
    }
    for name, text in {"device__port": "", **changed}.items():
        name = name.replace("__", "/")
        del found[f"{name}.mpy"]
        text = (CHIP if name == "device/port" else "") + text
        found[f"{name}.py"] = sources[name].read_bytes() + text.encode()
    return found


def made(number: int, lib: Dict[str, bytes], app: str = APP) -> bytes:
    files = {"app.py": (app % number).encode() if "%d" in app else app.encode(), **lib}
    terms = package.Terms(TARGET, number, f"{number}.0")
    return package.signed(package.build(sorted(files.items()), terms), KEYS[0])


class StockBoard:
    """A board's folder, and the process that runs on it."""

    def __init__(self, folder: Path, uri: str):
        self.folder = folder
        self.process = None
        files = folder / "files"
        for name, data in library().items():
            path = files / "lib" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for name in bundle.ROOT_FILES:
            shutil.copy(bundle.make("full") / "board" / name, files)
        (files / "app.py").write_text(APP % 1)
        (folder / "flash").write_bytes(bundle.file_system(files, SIZE, 256))
        security = {0: uri, 1: True, 2: 3, 3: b"", 4: b"", 5: b"", 11: 0}
        given = {"network": {"type": "none"}, "update": settings(), "button": 2}
        data = image.pack("stock", {0: {0: security}}, given)
        (folder / "given").write_bytes(data)
        answer = self.run(
            "import os, device.factory\n"
            "os.mkdir('/lwm2m-store')\n"
            "with open('/lwm2m-store/new', 'wb') as f: f.write(open('/chip/given', 'rb').read())\n"
            f"device.factory.install('/lwm2m-store/new', '{hashlib.sha256(data).hexdigest()}')\n"
        )
        assert json.loads(answer)["ok"], answer

    def run(self, program: str) -> str:
        """What a program prints that runs in place of main.py."""
        path = self.folder / "program"
        path.write_text(program)
        args = command(UNIT / "stock_board.py", self.folder, path)
        done = subprocess.run(args, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
        return done.stdout[: -len("REPL\n")]

    def start(self) -> None:
        self.stop()
        self.process = subprocess.Popen(
            command(UNIT / "stock_board.py", self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.said = Lines(self.process.stdout)

    def registered(self, servers: Servers, says: str = "") -> None:
        self.start()
        if says:
            self.said.wait_for("Update: " + says)
        servers.said.wait_for("registered ")
        self.said.wait_for("server 1: registered")

    def was_reset(self) -> None:
        assert self.process.wait(PATIENCE_S) == -signal.SIGKILL, self.said.lines
        self.said.join()
        assert self.said.lines[-1] == "RESET", self.said.lines

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(PATIENCE_S)
            self.said.join()
            self.process.stdout.close()
            self.process = None

    def lose_power(self) -> None:
        self.stop()
        (self.folder / "word").unlink(missing_ok=True)


@pytest.fixture
def servers():
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture
def board(tmp_path, servers):
    (tmp_path / "board").mkdir()
    board = StockBoard(tmp_path / "board", servers.uri)
    try:
        board.registered(servers)
        assert where(servers) == "/lib" and running(servers) == "2.05 b'1'"
        yield board
    finally:
        board.stop()


def where(servers: Servers) -> str:
    return servers.tell("read", "/3200/0/5750")[7:-1]


def heap(servers: Servers) -> int:
    return int(servers.tell("read", "/3200/0/5700")[7:-1])


def install(board: StockBoard, servers: Servers, folder: Path, data: bytes) -> None:
    assert push(servers, folder, data) == "2.04 b''"
    board.said.wait_for("Update: a package is there")
    assert servers.tell("execute", "/5/0/2").startswith("2.04")
    board.was_reset()


def test_restarts_as_version_2_of_the_library(board, servers, tmp_path):
    before = heap(servers)
    install(board, servers, tmp_path, made(2, library()))
    board.registered(servers)
    board.said.wait_for("Update: the new application is kept")
    assert (board.folder / "watched").exists()
    assert running(servers) == "2.05 b'2'" and where(servers) == SLOT % 0
    assert state(servers) == "01"
    assert servers.tell("read", "/3/0/3") == "2.05 b'2.0'"
    # Of the factory's modules nothing is left in the heap.
    assert heap(servers) - before < 2048
    # Over a power cut, and on to an application for the factory's library, and to the next library.
    board.lose_power()
    board.registered(servers)
    assert running(servers) == "2.05 b'2'" and where(servers) == SLOT % 0
    install(board, servers, tmp_path, made(3, {}))
    board.registered(servers)
    board.said.wait_for("Update: the new application is kept")
    assert running(servers) == "2.05 b'3'" and where(servers) == "/lib"
    install(board, servers, tmp_path, made(4, library()))
    board.registered(servers)
    board.said.wait_for("Update: the new application is kept")
    assert running(servers) == "2.05 b'4'" and where(servers) == SLOT % 0
    assert push(servers, tmp_path, made(3, library())) == "4.00 b'older than what is installed'"
    # A factory reset is back at the copy that came over the cable; what is older stays refused.
    assert servers.tell("execute", "/3/0/5").startswith("2.04")
    board.was_reset()
    board.registered(servers)
    assert running(servers) == "2.05 b'1'" and where(servers) == "/lib"
    assert push(servers, tmp_path, made(3, library())) == "4.00 b'older than what is installed'"
    install(board, servers, tmp_path, made(4, library()))
    board.registered(servers)
    assert running(servers) == "2.05 b'4'"


BROKEN = {
    "no .mpy file": ({}, "it crashed"),
    "an import that fails": ({"lwm2m__store": "import no_such_module\n"}, "it crashed"),
    "what comes before the guard": ({"device__guard": "Guard = None\n"}, "it crashed"),
    "no run()": ({"device__main": "del run\n"}, "it crashed"),
    "what the guard finds": ({"device__main": "Link = None\n"}, "it crashed"),
    "a port that is another": (
        {"device__port": "def load():\n    raise OSError(5)\n"},
        "it crashed",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_library_rolls_back(board, servers, tmp_path, what):
    changed, reason = BROKEN[what]
    lib = library(**changed)
    if not changed:
        lib["device/main.mpy"] = b"M\x05 of another release"
    install(board, servers, tmp_path, made(2, lib))
    board.start()
    board.was_reset()
    assert "LwM2M: crashed" in board.said.lines
    board.registered(servers, reason)
    assert running(servers) == "2.05 b'1'" and where(servers) == "/lib"
    assert state(servers) == "08"
    # It is not tried again, and the next one is.
    assert servers.tell("execute", "/5/0/2").startswith("4.05")
    install(board, servers, tmp_path, made(3, library()))
    board.registered(servers)
    assert running(servers) == "2.05 b'3'" and where(servers) == SLOT % 0


def test_back_to_the_library_before(board, servers, tmp_path):
    # Which is another update's.
    install(board, servers, tmp_path, made(2, library()))
    board.registered(servers)
    board.said.wait_for("Update: the new application is kept")
    lib = library(lwm2m__store="raise ValueError('no good')\n")
    install(board, servers, tmp_path, made(3, lib))
    board.start()
    board.was_reset()
    board.registered(servers, "it crashed")
    assert running(servers) == "2.05 b'2'" and where(servers) == SLOT % 0
    assert state(servers) == "08"
    assert servers.tell("read", "/5/0/7") == "2.05 b'2.0'"


HANGS = "print('HANGS')\nwhile True:\n    pass\n"


def test_a_library_that_hangs(board, servers, tmp_path):
    lib = library(lwm2m__store=HANGS)
    install(board, servers, tmp_path, made(2, lib))
    # The watchdog runs before anything of it does, and ends the trial at its first bite.
    board.start()
    board.said.wait_for("HANGS")
    assert (board.folder / "watched").exists()
    board.stop()
    (board.folder / "cause").write_text("1")
    board.registered(servers, "the watchdog ended it")
    assert running(servers) == "2.05 b'1'" and state(servers) == "08"
    # Where power ends it, each start was counted.
    install(board, servers, tmp_path, made(3, lib))
    for _ in range(3):
        board.start()
        board.said.wait_for("HANGS")
        board.lose_power()
    board.registered(servers, "it did not last")
    assert running(servers) == "2.05 b'1'" and state(servers) == "08"


def test_a_kept_library_that_breaks(board, servers, tmp_path):
    # Flash that has lost it: three starts, then it is the factory's, and says so.
    install(board, servers, tmp_path, made(2, library()))
    board.registered(servers)
    board.said.wait_for("Update: the new application is kept")
    board.lose_power()
    board.run(f"with open('{SLOT % 0}/device/main.mpy', 'wb') as f: f.write(b'worn')\n")
    for _ in range(4):
        board.start()
        board.was_reset()
    board.registered(servers, "it does not start any more")
    assert running(servers) == "2.05 b'1'" and where(servers) == "/lib"
    assert state(servers) == "08"
    assert servers.tell("read", "/5/0/7") == "2.05 b''"


def test_power_cuts():
    lib = bundle.make("full") / "board" / "lib"
    done = micropython(UNIT / "run.py", "launch_cuts", lib=lib, heap="4M", timeout=600)
    assert re.findall(r"^(PASS|FAIL) ", done.stdout, re.M) == ["PASS"] * 6, (
        done.stdout + done.stderr
    )


def test_the_button_brings_the_factorys_back(board, servers, tmp_path):
    install(board, servers, tmp_path, made(2, library()))
    board.registered(servers)
    board.said.wait_for("Update: the new application is kept")
    board.stop()
    (board.folder / "pressed").touch()
    board.start()
    board.said.wait_for("The factory's accounts are back.")
    board.was_reset()
    (board.folder / "pressed").unlink()
    board.registered(servers)
    assert running(servers) == "2.05 b'1'" and where(servers) == "/lib"
