"""GPIO numbers and UARTs of the configuration: what no board can have, and what the board that is there has.

An ESP32 routes a UART to any pin (its GPIO matrix); an RP2040 has four pins a group for one of its two.
"""

from typing import Dict, Iterator, NamedTuple, Optional, Set, Tuple

from .faults import Fault, Source

_UART = ("tx", "rx", "cts", "rts")  # by an RP2040's order
_OUT = ("tx", "rts", "led")
_PLACES = {**dict.fromkeys(_UART, "network"), "led": "board", "button": "board", "pin": "sleep"}


class Chip(NamedTuple):
    """What a chip has."""

    name: str
    pins: Set[int]
    uarts: int
    inputs: Set[int] = frozenset()  # that cannot be written
    wakes: Set[int] = frozenset()  # out of deep sleep; none: it has no such sleep


# By what MicroPython calls them, at the end of a board's name (sys.implementation._machine). Left out is
# where the flash is.
_CHIPS: Dict[str, Chip] = {
    "RP2040": Chip("RP2040", set(range(30)), 2),  # its datasheet, 1.4.3
    "ESP32": Chip(
        "ESP32",
        {*range(6), *range(12, 40)} - {20, 24, *range(28, 32)},
        3,
        {*range(34, 40)},
        {0, 2, 4, *range(12, 16), *range(25, 28), *range(32, 40)},
    ),
    "ESP32C3": Chip("ESP32-C3", {*range(12), *range(18, 22)}, 2, wakes={*range(6)}),
    "ESP32S3": Chip("ESP32-S3", {*range(22), *range(33, 49)}, 3, wakes={*range(22)}),
}


def _used(table: dict) -> "Iterator[Tuple[str, int]]":
    for name, section in _PLACES.items():
        inside = table.get(section)
        if not isinstance(inside, dict) or (section == "network" and inside.get("type") != "ppp"):
            continue
        if type(inside.get(name)) is int:
            yield name, inside[name]


def check(table: dict) -> Iterator[Fault]:
    """What is wrong where a pin is there for two things. table: the configuration, as TOML has it."""
    seen: Dict[int, str] = {}
    for name, pin in _used(table):
        if pin in seen:
            other = seen[pin]
            yield (
                (_PLACES[name], name),
                f"is {pin}, as {_PLACES[other]}.{other}: each has its own pin.",
            )
        seen[pin] = name


def chip_of(board: str) -> Optional[Chip]:
    """The chip of a board by its name; None where it is not known."""
    return _CHIPS.get(board.rpartition(" with ")[2].replace("-", ""))


def check_board(source: Source, board: str) -> None:
    """ConfigError where a board cannot do what the configuration says. board: its name."""
    chip = chip_of(board)
    found = list(_off_chip(source.table, chip)) if chip else []
    if found:
        raise source.error(*found)


def _off_chip(table: dict, chip: Chip) -> Iterator[Fault]:
    uart = table["network"].get("uart") if table["network"]["type"] == "ppp" else None
    if uart is not None and uart >= chip.uarts:
        yield (
            ("network", "uart"),
            f"is {uart}: an {chip.name} has UARTs from 0 to {chip.uarts - 1}.",
        )
    if uart == 1 and chip.name == "ESP32":  # machine_uart.c
        for name, pin in (("tx", 10), ("rx", 9)):
            if table["network"].get(name) is None:
                yield (
                    ("network", name),
                    f"is missing: UART 1 of an ESP32 would take {pin}, where its flash is.",
                )
    deep = table.get("sleep", {}).get("mode") == "deep"
    if deep and not chip.wakes:
        yield (
            ("sleep", "mode"),
            f'is "deep", which an {chip.name} does not have: choose "light".',
        )
    for name, pin in _used(table):
        place = _PLACES[name], name
        if deep and name == "pin" and chip.wakes and pin not in chip.wakes:
            listed = ", ".join(map(str, sorted(chip.wakes)))
            yield place, f"is {pin}: only {listed} wake an {chip.name} that sleeps."
        elif pin not in chip.pins:
            yield place, f"is {pin}: an {chip.name} has no such pin to use."
        elif name in _OUT and pin in chip.inputs:
            yield place, f"is {pin}: that pin of an {chip.name} is an input only."
        elif chip.name == "RP2040" and name in _UART and uart < chip.uarts:
            # As MicroPython's machine_uart.c has it too.
            fits = [
                n
                for n in sorted(chip.pins)
                if n % 4 == _UART.index(name) and (n + 4) // 8 % 2 == uart
            ]
            if pin not in fits:
                listed = ", ".join(map(str, fits))
                yield place, f"is {pin}: choose from {listed} for UART {uart} of an RP2040."
