"""What is the same though it is written in other ways: chip numbers, MACs, and the rows of a CSV.

A number of a chip, and a MAC, is what its hexadecimal digits are. A serial number that has only
digits is a number, so that 0001 is 1, as a spreadsheet makes it; case counts everywhere else, as it
does in endpoint names (RFC 7252 5.4.1: bytes).
"""

import json
import re
from typing import Callable, Dict, Optional, Sequence

from .patterns import BOARD_VALUES, names_in

SERIAL = "serial"  # the column that names a row, if it is there


def hexadecimal(text: str) -> str:
    """A chip's number or a MAC: 28:CD:C1:00:00:01, 28cd.c100.0001 and 0x28cdc1000001 are the same."""
    return re.sub(r"^0x|[\s:.-]", "", text.strip().lower())


def number(text: str) -> str:
    return str(int(text)) if text.isascii() and text.isdigit() else text


def row_name(
    endpoint: str,
    values: Dict[str, str],
    used: Sequence[str],
    digest: Callable[[bytes], str],
    keys: Sequence[str] = (),
) -> Optional[str]:
    """What identifies a row: what it says, wherever it stands. None where there is nothing in it.

    endpoint: the pattern; used: the names that patterns have, keys: those in which case does not count. It is the endpoint name that the row
    leads to, and where that has no column in it, its serial number, or else a digest of what boards
    get from the row, as there may be a key in it.
    """
    own = [name for name in names_in(endpoint) if name not in BOARD_VALUES]
    serial = values.get(SERIAL, "")
    if not own and not serial:
        told = {name: values[name] for name in used if name in values} or dict(values)
        for name in (*BOARD_VALUES, *keys):
            if values.get(name):
                told[name] = hexadecimal(values[name])
        if not told:
            return None
        text = json.dumps(told, sort_keys=True, ensure_ascii=False)
        return "row " + digest(text.encode())[:32]

    def put(match: "re.Match[str]") -> str:
        name = match[1]
        return match[0] if name in BOARD_VALUES else number(values.get(name, ""))

    name = re.sub(r"\{(\w*)\}", put, endpoint)
    return name if SERIAL in own or not serial else f"{name} {number(serial)}"
