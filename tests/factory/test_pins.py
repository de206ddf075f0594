"""Pins and UARTs: refused where a chip does not have them, before anything is noted."""

from pathlib import Path
from typing import Optional

import pytest
from harness.tool import factory
from lwm2m_factory import config, pins
from pty_board import PtyBoard
from samples import PSK, events, keys_of, load, records

PPP = PSK.replace(
    PSK[PSK.index('type = "wifi"') : PSK.index("[app]")],
    'type = "ppp"\nuart = UART\ntx = TX\nrx = RX\n\n[board]\nled = LED\nbutton = BUTTON\n\n',
)
PICO = "Raspberry Pi Pico with RP2040"
ESP32 = "Generic ESP32 module with ESP32"
C3 = "ESP32C3 module with ESP32C3"
S3 = "Generic ESP32S3 module with ESP32S3"


def text(*values: int) -> str:
    found = PPP
    for name, value in zip(("UART", "TX", "RX", "LED", "BUTTON"), values):
        found = found.replace(name, str(value))
    return found


# UART, TX, RX, LED, button; the board, and what is said.
PINS = [
    ((0, 0, 1, 25, 14), PICO, None),
    ((0, 16, 13, 25, 14), PICO, None),
    ((1, 8, 5, 0, 1), PICO, None),
    (
        (3, 0, 1, 25, 14),
        PICO,
        "line 5, column 1: network.uart is 3: an RP2040 has UARTs from 0 to 1.",
    ),
    (
        (0, 0, 99, 25, 14),
        PICO,
        "line 7, column 1: network.rx is 99: an RP2040 has no such pin to use.",
    ),
    (
        (0, 4, 1, 25, 14),
        PICO,
        "line 6, column 1: network.tx is 4: choose from 0, 12, 16, 28 for UART 0 of an RP2040.",
    ),
    (
        (1, 8, 8, 25, 14),
        PICO,
        "line 7, column 1: network.rx is 8, as network.tx: each has its own pin.",
    ),
    (
        (1, 8, 4, 25, 14),
        PICO,
        "line 7, column 1: network.rx is 4: choose from 5, 9, 21, 25 for UART 1 of an RP2040.",
    ),
    (
        (0, 0, 1, 14, 14),
        None,
        "line 11, column 1: board.button is 14, as board.led: each has its own pin.",
    ),
    (
        (0, 0, 1, 1, 14),
        None,
        "line 10, column 1: board.led is 1, as network.rx: each has its own pin.",
    ),
    (
        (0, 0, 1, 30, 14),
        PICO,
        "line 10, column 1: board.led is 30: an RP2040 has no such pin to use.",
    ),
    ((2, 17, 16, 2, 34), ESP32, None),
    (
        (2, 35, 16, 2, 0),
        ESP32,
        "line 6, column 1: network.tx is 35: that pin of an ESP32 is an input only.",
    ),
    (
        (2, 17, 16, 6, 0),
        ESP32,
        "line 10, column 1: board.led is 6: an ESP32 has no such pin to use.",
    ),
    (
        (2, 17, 16, 2, 0),
        C3,
        (
            "line 5, column 1: network.uart is 2: an ESP32-C3 has UARTs from 0 to 1.\n"
            "line 6, column 1: network.tx is 17: an ESP32-C3 has no such pin to use.\n"
            "line 7, column 1: network.rx is 16: an ESP32-C3 has no such pin to use."
        ),
    ),
    (
        (1, 4, 5, 22, 0),
        C3,
        "line 10, column 1: board.led is 22: an ESP32-C3 has no such pin to use.",
    ),
    ((2, 17, 16, 48, 0), S3, None),
    (
        (2, 17, 23, 48, 0),
        S3,
        "line 7, column 1: network.rx is 23: an ESP32-S3 has no such pin to use.",
    ),
    ((7, 99, 98, 97, 96), "another board", None),
    ((7, 99, 98, 97, 96), "ESP32C6 module with ESP32C6", None),
]


@pytest.mark.parametrize(("values", "board", "said"), PINS)
def test_pins(tmp_path: Path, values, board: Optional[str], said: Optional[str]) -> None:
    def look() -> None:
        found = load(tmp_path, text(*values))
        pins.check_board(found.source, board or "")

    if said is None:
        return look()
    with pytest.raises(config.ConfigError) as caught:
        look()
    lines = [f"{tmp_path}/factory.toml, {line}" for line in said.split("\n")]
    assert str(caught.value).split("\n") == lines


def test_pins_that_nobody_has_named(tmp_path: Path) -> None:
    # An ESP32's UART 1 has those of its flash then.
    given = text(1, 17, 16, 2, 0).replace("rx = 16\n", "")
    found = load(tmp_path, given)
    pins.check_board(found.source, S3)
    with pytest.raises(config.ConfigError) as caught:
        pins.check_board(found.source, ESP32)
    assert str(caught.value).partition(": ")[2] == (
        "network.rx is missing: UART 1 of an ESP32 would take 9, where its flash is."
    )


SLEEPS = [
    ("light", 9, PICO, None),
    ("light", 33, PICO, "sleep.pin is 33: an RP2040 has no such pin to use."),
    ("light", 5, PICO, "sleep.pin is 5, as board.led: each has its own pin."),
    ("deep", 9, PICO, 'sleep.mode is "deep", which an RP2040 does not have: choose "light".'),
    ("deep", 33, ESP32, None),
    (
        "deep",
        21,
        ESP32,
        (
            "sleep.pin is 21: only 0, 2, 4, 12, 13, 14, 15, 25, 26, 27, 32, 33, 34, 35, 36, 37, 38, 39 "
            "wake an ESP32 that sleeps."
        ),
    ),
    ("light", 21, ESP32, None),
    ("deep", 9, C3, "sleep.pin is 9: only 0, 1, 2, 3, 4, 5 wake an ESP32-C3 that sleeps."),
    ("deep", 9, "another board", None),
]


@pytest.mark.parametrize(("mode", "pin", "board", "said"), SLEEPS)
def test_what_wakes(tmp_path: Path, mode: str, pin: int, board: str, said: Optional[str]) -> None:
    def look() -> None:
        more = f'[sleep]\nmode = "{mode}"\npin = {pin}\n\n[board]\nled = 5\n\n[app]'
        server = '[[server]]\nshort_id = 1\nuri = "coap://s"\nqueue = true\n'
        given = 'endpoint = "x"\n[network]\ntype = "none"\n' + server + more
        found = load(tmp_path, given)
        pins.check_board(found.source, board)

    if said is None:
        return look()
    with pytest.raises(config.ConfigError) as caught:
        look()
    assert str(caught.value).partition(": ")[2] == said


# What stands for a board is the name only.
MAIN = """\
import device.factory
def named(thing, name, *other, found=getattr):
    return "BOARD" if name == "_machine" else found(thing, name, *other)
device.factory.getattr = named
try:
    import rawrepl
    while True:
        rawrepl.run()
except ImportError:
    pass
"""


def test_refused_before_anything_is_given(tmp_path: Path) -> None:
    (tmp_path / "factory.toml").write_text(text(0, 4, 1, 25, 14))
    with PtyBoard(tmp_path / "board", main=MAIN.replace("BOARD", PICO)) as board:
        args = ("provision", "factory.toml", "--serial", "1", "--port", board.port)
        done = factory(tmp_path, *args)
        assert (done.returncode, done.stderr) == (
            1,
            (
                "factory.toml, line 6, column 1: network.tx is 4: choose from 0, 12, 16, 28 for UART 0 of an "
                "RP2040.\n"
            ),
        )
        assert not events(tmp_path, "assigned")
        (tmp_path / "factory.toml").write_text(text(0, 0, 1, 25, 14).replace('"ppp"', '"none"'))
        done = factory(tmp_path, "status", "--port", board.port)
        assert "Board     Raspberry Pi Pico with RP2040" in done.stdout
        assert "Endpoint  none" in done.stdout


# What the firmware says of pins on a board that the tool does not know.
UNKNOWN = [
    ((0, 0, 99, 25, 14), "network.rx is 99: invalid pin"),
    ((3, 0, 1, 25, 14), "network.uart is 3: UART(3) doesn't exist"),
    ((0, 4, 1, 25, 14), "network.uart is 0: bad TX pin"),
    ((0, 0, 1, 25, 30), "board.button is 30: invalid pin"),
]


def test_refused_by_the_firmware(tmp_path: Path) -> None:
    with PtyBoard(tmp_path / "board", main=MAIN.replace("BOARD", "another board")) as board:
        port = ("--port", board.port)
        args = ("provision", "factory.toml", "--serial", "1", *port)
        for values, said in UNKNOWN:
            (tmp_path / "factory.toml").write_text(text(*values))
            done = factory(tmp_path, *args)
            said = f"The board on {board.port} refuses: {said}.\n"
            assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
        # It has nothing yet; what was noted for it is what it gets when that is mended.
        (record,) = records(tmp_path)
        (tmp_path / "factory.toml").write_text(text(0, 0, 1, 25, 14))
        done = factory(tmp_path, *args)
        assert done.returncode == 0, done.stderr
        assert keys_of(records(tmp_path)[0]) == keys_of(record)
    noted = [event.event for event in events(tmp_path)]
    assert noted[:2] == ["assigned", "failed"] and noted[-1] == "done"
