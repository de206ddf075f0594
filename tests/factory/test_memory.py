"""A stock ESP32 without PSRAM is given no certificates, and is told so before anything is written."""

from pathlib import Path

import pytest
from harness.tool import factory
from lwm2m_factory import FactoryError, memory
from pty_board import PtyBoard
from samples import CERTIFICATE, PSK, events, load, make_authority
from test_pins import MAIN

ESP32 = "Generic ESP32 module with ESP32"
SMALL = 208_000  # bytes, of a heap without PSRAM
WORDS = (
    "The board on PORT is an ESP32 with stock MicroPython and without PSRAM, which has too little memory "
    "for certificates: give it servers of another security mode, or take a board with PSRAM."
)


def status(board: str, image: str = "stock", heap: "int | None" = SMALL) -> dict:
    return {"board": board, "image": image, "memory": heap}


REFUSED = (
    status(ESP32),
    status("TinyPICO with ESP32-PICO-D4"),
    {"board": ESP32, "image": "stock"},  # of a bundle that does not tell yet
)
TAKEN = (
    status(ESP32, heap=2_000_000),
    status("Generic ESP32 module with SPIRAM with ESP32", heap=2_000_000),
    status(ESP32, "ours"),
    status("Generic ESP32S3 module with ESP32S3"),
    status("ESP32C3 module with ESP32C3"),
    status("Raspberry Pi Pico W with RP2040", heap=190_000),
)


def test_whom_it_concerns(tmp_path: Path) -> None:
    make_authority(tmp_path)
    certificates = load(tmp_path, CERTIFICATE)
    for each in REFUSED:
        with pytest.raises(FactoryError) as caught:
            memory.check("PORT", certificates, each)
        assert str(caught.value) == WORDS
        memory.check("PORT", load(tmp_path, PSK), each)
    for each in TAKEN:
        memory.check("PORT", certificates, each)


def test_nothing_is_written(tmp_path: Path) -> None:
    make_authority(tmp_path)
    (tmp_path / "factory.toml").write_text(CERTIFICATE)
    heap = f"import device.factory\ndevice.factory.memory = lambda: (0, {SMALL})\n"
    main = heap + MAIN.replace("BOARD", ESP32)
    with PtyBoard(tmp_path / "board", main=main) as board:
        port = ("--port", board.port)
        done = factory(tmp_path, "provision", "factory.toml", "--serial", "1", *port)
        assert (done.returncode, done.stderr) == (1, WORDS.replace("PORT", str(board.port)) + "\n")
        assert not events(tmp_path, "assigned")
        done = factory(tmp_path, "status", *port)
        assert "Endpoint  none" in done.stdout
