"""What make bench measures on the emulated RP2040: flash, heap, and instructions.

The board is provisioned, boots its image's own main.py, and is bootstrapped and registered over DTLS with
pre-shared keys. Instructions are those that the emulated core executes, waiting for interrupts left out;
cycles are the emulator's for them, one to two each, as if all code were in the flash's cache and flash
were erased and programmed in no time.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Dict, List

from builds import build_firmware
from builds.steps import ROOT
from harness import keys
from harness.board import BOARD, Board, Gone
from harness.from_factory import ENDPOINT, exported, provision
from harness.processes import Servers

from . import size_board

_ROLE = "client"
_NAMED = "device-1"  # the common name of the tests' certificate
_TIMEZONE = "/3/0/15"
_PATHS = (  # name, method of our server, path, arguments
    ("write", "write", _TIMEZONE, "Europe/Berlin"),
    ("blocks", "write", _TIMEZONE, "x" * 2000),
    ("blocks_read", "read", "/3/0"),
    ("notify", "observe", _TIMEZONE),
)
_PPP = """
import network, time
from machine import UART, Pin
ppp = network.PPP(UART(0, 115200, tx=Pin(0), rx=Pin(1), rxbuf=4096, txbuf=2048))
ppp.connect()
while not ppp.isconnected():
    time.sleep_ms(10)
"""
_CLIENT = """
import lwm2m
client = lwm2m.Client({!r})
client.add_server(1, "coaps://10.64.0.1:{}", lwm2m.SEC_CERTIFICATE, security={!r})
client.step(-1)
"""
_READS = 5
FORMATS = {110: "SenML JSON", 112: "SenML CBOR", 11542: "TLV", 11544: "LwM2M CBOR"}  # of an object
_PERIOD_S = 2  # of notifications
_ANSWERS = 3  # steps, at most, in which the write before and the observation are served
_TIMEOUT_S = 20  # to be registered; it takes two or three
_PATIENCE_S = 120  # for a notification: an emulated second may be ten
# The longest step of an update: to verify a signature, here a wrong one, which takes as long.
_VERIFY = """
from machine import mem32
key = _G[0].to_bytes(32, "big") + _G[1].to_bytes(32, "big")
digest, signature = bytes(range(9, 41)), bytes(range(100, 164))
verify(digest, signature, key)
before = mem32[0x40070004]
verify(digest, signature, key)
print(mem32[0x40070004] - before & 0x3FFFFFFF)
"""


def said(board: Board, *names: str, seconds: float = _TIMEOUT_S) -> dict:
    """The next thing that the board's application (programs/board.py) says under one of the names."""
    found = board.expect(r'\{"(?:%s)": .*\}\r\n' % "|".join(names), seconds)
    return json.loads(found[0])


def works(flash: Path, ballast: int) -> bool:
    """Whether it is bootstrapped and registers with so many KB of its heap taken away."""
    with tempfile.TemporaryDirectory() as folder:
        with Board(Path(shutil.copy(flash, folder))) as board:
            board.word(ballast)
            try:
                said(board, "EVENT_REG_REGISTERED", "EVENT_REG_FAILED", "EVENT_BS_FAILED")
                said(board, "free")
            except Gone:
                return False
            # A board that has had to begin anew, or try again, has had too little.
            failed = b"FAILED" in board.output or b"Error" in board.output
            return not failed and board.stats()["resets"] == 0


def least_heap(flash: Path, heap: int) -> int:
    """Bytes of heap in which it works, to the KB."""
    fine, wrong = 0, heap // 1024
    while wrong - fine > 1:
        middle = (fine + wrong) // 2
        if works(flash, middle):
            fine = middle
        else:
            wrong = middle
    return heap - fine * 1024


def verifying(flash: Path) -> int:
    """Cycles that a board takes to verify a signature."""
    source = (ROOT / "lib" / "lwm2m-update" / "lwm2m" / "p256.py").read_text()
    with Board(flash) as board:
        return int(board.run(source + _VERIFY))


def _read(servers: Servers, board: Board, format: int) -> int:
    """Instructions of the step that serves a Read of /3; the format's module has been loaded before."""
    counts = []
    for _ in range(_READS):
        servers.call("read", ENDPOINT, "/3", accept=format)
        counts.append(said(board, "busy")["busy"])
    return sorted(counts[1:])[len(counts) // 2]


def _notification(servers: Servers, board: Board) -> int:
    """Instructions of the step that sends one of /3/0/13, as text."""
    servers.call("write", ENDPOINT, "/1/0/3", _PERIOD_S)
    servers.call("observe", ENDPOINT, "/3/0/13")
    counts = [said(board, "busy", seconds=_PATIENCE_S)["busy"] for _ in range(_ANSWERS + _READS)]
    return sorted(counts[_ANSWERS:])[_READS // 2]


def figures() -> Dict[str, object]:
    """The image has been built, and the emulator made."""
    found: Dict[str, object] = {
        "flash": sum(size_board.parts(BOARD, _ROLE).values()),
        "prompt": size_board.free_heap(BOARD, _ROLE),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flash = folder / "flash.bin"
        servers = Servers({}, {})
        with Board(flash, build_firmware.image(BOARD, _ROLE)) as board:
            app = Path(__file__).with_name("programs") / "board.py"
            provision(board, folder, servers.bootstrap_port, servers.port, app)
        left = Path(shutil.copy(flash, folder / "left.bin"))
        accounts, clients = exported(folder)
        with servers.know(accounts, clients):
            servers.accounts(accounts)
            with Board(flash) as board:
                board.wait_for("usb")
                board.paint()
                handshakes = [said(board, "handshake")["handshake"] for _ in range(2)]
                found["handshake"] = max(handshakes)
                found["registered"] = said(board, "EVENT_REG_REGISTERED")["EVENT_REG_REGISTERED"]
                found["free"] = said(board, "free")["free"]
                heap = said(board, "heap")["heap"]
                found["stack"] = board.stats()["stack"]
                found["idle"] = said(board, "idle")["idle"]
                board.paint()
                reads: List[int] = []
                for _ in range(_READS):
                    servers.call("read", ENDPOINT, "/3/0")
                    reads.append(said(board, "busy")["busy"])
                found["read"] = sorted(reads)[_READS // 2]
                found["stack_read"] = board.stats()["stack"]
                for format in FORMATS:
                    found[f"read_{format}"] = _read(servers, board, format)
                found["notification"] = _notification(servers, board)
                lines = bytes(board.output).decode().splitlines()
                longest = [json.loads(line) for line in lines if line.startswith('{"longest"')]
                found["longest"], found["after"] = longest[-1]["longest"]
                collected = [
                    json.loads(line) for line in lines if line.startswith('{"collecting"')
                ]
                found["collecting"] = collected[-1]["collecting"]
                finish = [json.loads(line) for line in lines if line.startswith('{"finish"')]
                found["finish"] = finish[-1]["finish"]
                # Behind that, as PPP takes its bytes in interrupts: a block's are more than the client's work.
                for name, call, path, *args in _PATHS:
                    board.paint()
                    answer = servers.call(call, ENDPOINT, path, *args)
                    assert answer["code"] in ("2.04", "2.05"), answer
                    if call == "observe":  # the write that follows is notified
                        servers.call("write", ENDPOINT, path, "Europe/Paris")
                        servers.wait_event("NOTIFICATION", path=path)
                    found["stack_" + name] = board.stats()["stack"]
            found["peak"] = least_heap(left, heap)
        (folder / "empty.bin").touch()
        with Board(folder / "empty.bin", build_firmware.image(BOARD, _ROLE)) as board:
            board.wait_for("usb")
        found["verifying"] = verifying(folder / "empty.bin")
    found["stack_x509"] = stack_with_certificates()
    return found


def stack_with_certificates() -> int:
    """Bytes of C stack that stay free while it registers with a server by certificates."""
    known = keys.x509()
    values = {int(rid): value for rid, value in known.account.items() if rid != "2"}
    values = {rid: bytes.fromhex(value["hex"]) for rid, value in values.items()}
    with tempfile.TemporaryDirectory() as folder:
        with Servers({}, {_NAMED: known}) as servers:
            with Board(Path(folder) / "flash.bin", build_firmware.image(BOARD, _ROLE)) as board:
                board.wait_for("usb")
                board.run(_PPP)
                board.paint()
                board.begin(_CLIENT.format(_NAMED, servers.port, values))
                servers.wait_event("REGISTERED", endpoint=_NAMED)
                return board.stats()["stack"]


if __name__ == "__main__":
    print(json.dumps(figures(), indent=1))
