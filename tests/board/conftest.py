"""Boards for tests/board: `make test-board` has built the image and the emulator."""

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import build_firmware
import pytest
import stage
from board import Board
from steps import MICROPYTHON, ROOT

BOARD = "RPI_PICO_LWM2M"
UNIT = ROOT / "tests" / "unit"
sys.path += [str(UNIT), str(ROOT / "tests" / "interop")]  # dtls_certs, processes


@pytest.fixture(scope="session")
def programmed(tmp_path_factory) -> Path:
    """The flash of a board that was flashed and has started once: its file system is formatted."""
    flash = tmp_path_factory.mktemp("board") / "flash.bin"
    with Board(flash, build_firmware.image(BOARD)) as board:
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
    """Our Listener in the unix port, which sends back what it gets: its port and its stdout."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        options["port"] = free.getsockname()[1]
    path = [str(stage.stage("full")[1]), str(UNIT), ".frozen"]
    process = subprocess.Popen(
        [MICROPYTHON, UNIT.parent / "dtls_peer.py", "echo", json.dumps(options)],
        env=dict(os.environ, MICROPYPATH=os.pathsep.join(path)),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield options["port"], process.stdout
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def dtls_echo():
    """A Listener that has a key: (its port, the key, its stdout)."""
    key = bytes(range(0x41, 0x51))
    with _dtls_echo(psk={"device-1": "x:" + key.hex()}, cert=None) as (port, out):
        yield port, key, out


@pytest.fixture
def dtls_certificates_echo():
    """A Listener that has a certificate: (its port, its stdout)."""
    # An emulated board takes its time, and more on a busy machine.
    with _dtls_echo(psk=None, cert="c:SERVER", limit_ms=600000) as (port, out):
        yield port, out
