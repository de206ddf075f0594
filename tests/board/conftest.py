"""Boards for tests/board: `make test-board` has built the image and the emulator."""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from builds import build_firmware
from harness.board import BOARD, Board
from harness.lines import Process
from harness.micropython import UNIT
from harness.ports import free_port


@pytest.fixture(scope="session")
def programmed(tmp_path_factory) -> Path:
    """The flash of a board that was flashed and has started once: its file system is formatted."""
    flash = tmp_path_factory.mktemp("board") / "flash.bin"
    with Board(flash, build_firmware.image(BOARD)) as board:
        board.wait_for("usb")
    return flash


@pytest.fixture(scope="session")
def of_full(tmp_path_factory) -> Path:
    """The same with the image of role full."""
    flash = tmp_path_factory.mktemp("update") / "flash.bin"
    image = build_firmware.build(BOARD, "full", "make test-board")
    with Board(flash, image) as board:
        board.wait_for("usb")
    return flash


@pytest.fixture
def flash(programmed: Path, tmp_path: Path) -> Path:
    """A copy of that flash, for one test."""
    return Path(shutil.copy(programmed, tmp_path / "flash.bin"))


@pytest.fixture
def board(flash: Path):
    """A board that starts with that flash."""
    with Board(flash) as board:
        yield board


@contextmanager
def _dtls_echo(**options):
    """Our Listener in the unix port, which sends back what it gets: its port and its process."""
    options["port"] = free_port()
    peer = UNIT.parent / "dtls_peer.py"
    with Process(peer, "echo", json.dumps(options), heap="2M") as process:
        process.wait_for("ready")
        yield options["port"], process


@pytest.fixture
def dtls_echo():
    """A Listener that has a key: (its port, the key, its process)."""
    key = bytes(range(0x41, 0x51))
    with _dtls_echo(psk={"device-1": "x:" + key.hex()}, cert=None) as (port, process):
        yield port, key, process


@pytest.fixture
def dtls_certificates_echo():
    """A Listener that has a certificate: (its port, its process)."""
    # An emulated board takes its time, and more on a busy machine.
    with _dtls_echo(psk=None, cert="c:SERVER", limit_ms=600000) as (port, process):
        yield port, process
