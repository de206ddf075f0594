"""Serial ports: which there are, what is at them, and which look like boards."""

import os
import time
from typing import List, Optional

from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from . import FactoryError

# Who makes boards, and the USB bridges on boards. A device of anybody else, such as a GPS receiver, is
# opened only where its port is named: to be spoken to may not do it good.
_MAKERS = {
    0x0403: "FTDI, a bridge",
    0x10C4: "Silicon Labs, a bridge",
    0x1A86: "WCH, a bridge",
    0x1B4F: "SparkFun",
    0x2341: "Arduino",
    0x239A: "Adafruit",
    0x2E8A: "Raspberry Pi",
    0x303A: "Espressif",
    0xF055: "MicroPython",
}


def _all() -> List[ListPortInfo]:
    return sorted(list_ports.comports(), key=lambda port: port.device)


def _is_like_a_board(port: ListPortInfo) -> bool:
    return port.vid in _MAKERS


def ports() -> List[str]:
    """The serial ports at which there is what looks like a board."""
    return [port.device for port in _all() if _is_like_a_board(port)]


def is_there(port: str) -> bool:
    """Whether there is a port of that name; on Windows it is no path."""
    return os.path.exists(port) or any(port == each.device for each in _all())


def only_port(named: Optional[str]) -> str:
    """The port that was named, or the only one that there is."""
    if named:
        return named
    found = ports()
    if not found:
        others = [port.device for port in _all() if port.vid is not None]
        raise FactoryError(
            "No board is there: plug one in, with a cable that has data lines, or name its port with "
            "--port."
            + (f" What is at {', '.join(others)} does not look like a board." if others else "")
        )
    if len(found) > 1:
        raise FactoryError(f"There are several ports: choose with --port from {', '.join(found)}.")
    return found[0]


def wait_for(port: str, seconds: float = 2) -> None:
    """Wait until a port that has just appeared may be opened: udev sets its owner a little later."""
    end = time.monotonic() + seconds
    while (
        os.path.exists(port) and not os.access(port, os.R_OK | os.W_OK) and time.monotonic() < end
    ):
        time.sleep(0.05)


def listed() -> "List[dict]":
    """What is at each port, as USB tells it, and whether it looks like a board."""
    found = []
    for port in _all():
        usb = None if port.vid is None else f"{port.vid:04x}:{port.pid:04x}"
        found.append(
            {
                "port": port.device,
                "board": _is_like_a_board(port),
                "usb": usb,
                "maker": port.manufacturer or _MAKERS.get(port.vid),
                "product": port.product,
                "serial_number": port.serial_number,
            }
        )
    return found
