"""What a board says of itself, in lines."""

import datetime
from typing import List

from .accounts import NAMES


def describe(status: dict) -> List[str]:
    """status: as device.factory.status() has it."""
    lines = [
        _line("Board", status["board"]),
        _line("Chip", status["chip_id"] + (f", MAC {status['mac']}" if status["mac"] else "")),
        _line(
            "Firmware",
            f"{status['firmware'] or '?'}, library {status['library'] or '?'}, MicroPython "
            f"{status['micropython']}"
            + (", an image of this project" if status["image"] == "ours" else ", stock"),
        ),
        _line("Endpoint", status["endpoint"] or "none: the factory has given it nothing yet"),
    ]
    for account in status["accounts"]:
        who = "bootstrap" if account["short_id"] is None else account["short_id"]
        mode = NAMES.get(account["mode"], account["mode"])
        lines.append(_line("Account", f"{who}: {account['uri']} ({mode})"))
    lines.append(_line("Locked", "yes" if status["locked"] else "no"))
    if status.get("fault"):
        lines.append(_line("Fault", status["fault"]))
    if status.get("registered") is not None:
        lines += _running(status)
    for name, value in (status.get("guard") or {}).items():
        value = ", ".join(map(str, value)) if isinstance(value, list) else value
        lines.append(
            _line(name.replace("_", " ").capitalize(), "none" if value is None else value)
        )
    return lines


def duration(seconds: int) -> str:
    """Hours, minutes and seconds, behind days where there are any."""
    return str(datetime.timedelta(seconds=seconds))


def _running(status: dict) -> List[str]:
    # What a program that runs knows.
    lines = []
    since = status.get("since") or []
    for n, short_id in enumerate(status["registered"]):
        lasts = f" for {duration(since[n])}" if n < len(since) else ""
        lines.append(_line("Server", f"{short_id}: registered{lasts}"))
    if not lines:
        lines.append(_line("Server", "registered with none"))
    if "uptime" in status:
        lines.insert(0, _line("Running", f"for {duration(status['uptime'])}"))
        lines.append(_line("Error", status["error"]))
    if status.get("signal") is not None:
        lines.append(_line("Signal", f"{status['signal']} dBm"))
    return lines


def _line(name: str, value: object) -> str:
    return f"{name:<9} {'none' if value is None else value}"
