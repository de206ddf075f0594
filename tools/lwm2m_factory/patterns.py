"""Texts with {name}s, which each board has its own values for, and what may come of them."""

import re
from typing import Dict, List, Optional

# What every board has by itself; a CSV adds its columns.
BOARD_VALUES = ("chip_id", "mac")

KEY_BYTES = range(16, 65)  # at most 64: RFC 4279 5.3 and the images' mbedTLS
_MAX_ENDPOINT = 252  # bytes, as Client has it

# Spaces, and what a terminal acts on: the characters of lwm2m.objects.acts(), as Client has them.
_NOT_IN_ENDPOINT = re.compile(r"[\x00- \x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def names_in(pattern: str) -> List[str]:
    return re.findall(r"\{(\w*)\}", pattern)


def fill(pattern: str, values: Dict[str, str]) -> str:
    """The pattern with each {name} replaced; KeyError for a name that is not there."""
    return re.sub(r"\{(\w*)\}", lambda match: values[match[1]], pattern)


def endpoint_fault(endpoint: str) -> Optional[str]:
    if not 0 < len(endpoint.encode()) <= _MAX_ENDPOINT:
        return f"must have from 1 to {_MAX_ENDPOINT} bytes."
    if _NOT_IN_ENDPOINT.search(endpoint):
        return "must not have spaces or control characters."
    return None


def key_fault(text: str) -> Optional[str]:
    """What is wrong with a key in hexadecimal: a sentence without it."""
    if not re.fullmatch(r"[0-9a-fA-F]*", text):
        return "must be hexadecimal."
    if len(text) % 2:
        return f"has {len(text)} digits: two make a byte, so the number must be even."
    if len(text) // 2 not in KEY_BYTES:
        return (
            f"has {len(text) // 2} bytes: a key has from {KEY_BYTES[0]} to {KEY_BYTES[-1]} "
            f"bytes, which are {2 * KEY_BYTES[0]} to {2 * KEY_BYTES[-1]} hexadecimal digits."
        )
    return None
