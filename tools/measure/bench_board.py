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
from harness.board import BOARD, Board, Gone
from harness.from_factory import ENDPOINT, exported, provision
from harness.processes import Servers

from . import size_board

_ROLE = "client"
_READS = 5
FORMATS = {110: "SenML JSON", 112: "SenML CBOR", 11542: "TLV", 11544: "LwM2M CBOR"}  # of an object
_PERIOD_S = 2  # of notifications
_TIMEOUT_S = 20  # to be registered; it takes two or three


def said(board: Board, *names: str) -> dict:
    """The next thing that the board's application (programs/board.py) says under one of the names."""
    found = board.expect(r'\{"(?:%s)": .*\}\r\n' % "|".join(names), _TIMEOUT_S)
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


def _read(servers: Servers, board: Board, format: int) -> int:
    """Instructions of the step that serves a Read of /3; the format's module has been loaded before."""
    counts = []
    for _ in range(_READS):
        servers.call("read", ENDPOINT, "/3", accept=format)
        counts.append(said(board, "busy")["busy"])
    return sorted(counts[1:])[len(counts) // 2]


def _notification(servers: Servers, board: Board) -> int:
    """Instructions of the step that sends one of /3/0/13, as text; others get its acknowledgement."""
    servers.call("write", ENDPOINT, "/1/0/3", _PERIOD_S)
    said(board, "busy")
    servers.call("observe", ENDPOINT, "/3/0/13")
    said(board, "busy")
    return max(said(board, "busy")["busy"] for _ in range(_READS))


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
            found["peak"] = least_heap(left, heap)
    return found


if __name__ == "__main__":
    print(json.dumps(figures(), indent=1))
