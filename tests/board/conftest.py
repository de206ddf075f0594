"""Boards for tests/board: `make test-board` has built the image and the emulator."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import build_firmware
import pytest
import stage
from board import Board
from steps import MICROPYTHON, ROOT

BOARD = "RPI_PICO_LWM2M"


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


@pytest.fixture
def dtls_echo():
    """Our Listener in the unix port, which sends back what it gets: (its port, its key, its stdout)."""
    key = bytes(range(0x41, 0x51))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = [str(stage.stage("full")[1]), str(ROOT / "tests" / "unit"), ".frozen"]
    options = {"port": port, "psk": {"device-1": "x:" + key.hex()}, "cert": None}
    process = subprocess.Popen(
        [MICROPYTHON, ROOT / "tests" / "dtls_peer.py", "echo", json.dumps(options)],
        env=dict(os.environ, MICROPYPATH=os.pathsep.join(path)),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    yield port, key, process.stdout
    process.kill()
    process.wait()
