"""The network of a board: [network] of the configuration."""

import ipaddress
import math
import re
from typing import Optional

from .sections import Section


def read(section: Optional[Section], top: Section) -> dict:
    """The settings of [network]; top: the file, where it is missing."""
    if section is None:
        raise top.error("network", 'is missing: give a [network]; its type may be "none".')
    kind = section.choice("type", ("wifi", "ppp", "ethernet", "none"))
    found = {"type": kind}
    if kind == "wifi":
        found.update(_wifi(section))
        known = ("type", "ssid", "password", "country", "address")
    elif kind == "ppp":
        found.update(_ppp(section))
        known = ("type", "uart", "tx", "rx", "rts", "cts", "baud", "apn", "pin", "chat")
        known += ("user", "password", "auth")
    elif kind == "ethernet":
        found["address"] = _address(section)
        found.update(section.rest())  # they differ from chip to chip
        known = ()
    else:
        known = ("type",)
    section.done(known)
    return found


def _wifi(section: Section) -> dict:
    found = {"ssid": section.take("ssid", str)}
    if not 1 <= len(found["ssid"].encode()) <= 32:
        raise section.error("ssid", "must have from 1 to 32 bytes.")
    if section.has("password"):
        password = section.take("password", str)
        if not 8 <= len(password.encode()) <= 63 and not re.fullmatch(
            r"[0-9a-fA-F]{64}", password
        ):
            raise section.error("password", "must have from 8 to 63 characters (WPA).")
        found["password"] = password
    if section.has("country"):
        found["country"] = section.take("country", str)
        if not re.fullmatch(r"[A-Z]{2}", found["country"]):
            raise section.error("country", 'must be two capital letters, such as "DE".')
    found["address"] = _address(section)
    return found


def _address(section: Section):
    if not section.has_table("address"):
        section.choice("address", ("dhcp",), "dhcp")
        return "dhcp"
    inner = section.section("address")
    names = ("ip", "mask", "gateway", "dns")
    found = {name: inner.take(name, str) for name in names}
    for name, value in found.items():
        try:
            ipaddress.IPv4Address(value)
        except ValueError:
            raise inner.error(name, 'must be an IPv4 address, such as "192.0.2.7".') from None
    inner.done(names)
    try:
        net = ipaddress.IPv4Network((found["ip"], found["mask"]), strict=False)
    except ValueError:
        raise inner.error("mask", 'must be a mask, such as "255.255.255.0".') from None
    if ipaddress.IPv4Address(found["gateway"]) not in net:
        raise inner.error("gateway", f"is not in the board's network, {net}.")
    return found


def _ppp(section: Section) -> dict:
    found = {"uart": section.take("uart", int, within=range(8))}
    for name in ("tx", "rx", "rts", "cts"):
        if section.has(name):
            found[name] = section.take(name, int, within=range(256))
    found["baud"] = section.take("baud", int, 115200, range(1200, 4000001))
    if section.has("apn"):
        found["apn"] = section.take("apn", str)
    if section.has("pin"):
        found["pin"] = section.take("pin", str)
        if not re.fullmatch(r"\d{4,8}", found["pin"]):
            raise section.error("pin", "must be 4 to 8 digits, in quotes.")
    if section.has("user"):
        found["user"] = section.take("user", str)
        found["password"] = section.take("password", str) if section.has("password") else ""
        found["auth"] = section.choice("auth", ("pap", "chap"), "pap")
        for name in ("user", "password"):
            if len(found[name].encode()) > 255:  # RFC 1334 2.2.1
                raise section.error(name, "must have at most 255 bytes.")
    else:
        for name in ("password", "auth"):
            if section.has(name):
                raise section.error(name, "needs a user beside it.")
    if section.has("chat"):
        found["chat"] = section.take("chat", list)
        for step in found["chat"]:
            if not (
                isinstance(step, list)
                and [type(part) for part in step[:2]] == [str, str]
                and len(step) == 3
                and type(step[2]) in (int, float)
                and 0 < step[2] < math.inf
            ):
                raise section.error("chat", 'must be a list of ["send", "expect", seconds].')
    return found
