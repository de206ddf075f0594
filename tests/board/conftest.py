"""Boards for tests/board: `make test-board` has built the image and the emulator."""

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from builds import build_firmware, steps
from harness.board import BOARD, Board
from harness.lines import Process
from harness.micropython import UNIT
from harness.ports import free_port


def _started_once(tmp_path_factory, name: str, image: Path) -> Path:
    """The flash of a board that was flashed and has started once: its file system is formatted. Processes
    that tests are shared out among have one for all."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    flash = folder / f"{name}.bin"
    with steps.locked("flash"):
        if not flash.exists():
            new = folder / f"{name}.new"
            new.unlink(missing_ok=True)
            with Board(new, image) as board:
                board.wait_for("usb")
            new.rename(flash)
    return flash


@pytest.fixture(scope="session")
def programmed(tmp_path_factory) -> Path:
    return _started_once(tmp_path_factory, "programmed", build_firmware.image(BOARD))


@pytest.fixture(scope="session")
def of_full(tmp_path_factory) -> Path:
    """The same with the image of role full."""
    image = build_firmware.build(BOARD, "full", "make test-board")
    return _started_once(tmp_path_factory, "full", image)


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
