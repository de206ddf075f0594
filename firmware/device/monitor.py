# Object 4 of the network that module link keeps up, for images with lwm2m-connectivity.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from lwm2m.connectivity import CELLULAR, ETHERNET, WLAN, Connectivity

_SIGNAL = 2  # resources of object 4
_SMNC = 9
_SMCC = 10


def watch(client, found, link, kind):
    """The network is up. found: the Connectivity that this returned before, or None; it is None, too,
    where the application has an object 4 of its own. kind: the setting "type" of the network (str).
    """
    nic = link.nic()
    if nic is None:
        return found
    if found:
        found.nic = nic
    elif 4 in client.core.objects:
        return None
    else:
        found = Connectivity({"wifi": WLAN, "ethernet": ETHERNET}.get(kind, CELLULAR), nic)
        client.add_object(found)
    if kind == "ppp":
        said = link.said()
        found.set(0, _SIGNAL, signal(said.get("AT+CSQ", b"")))
        code = operator(said.get("AT+COPS?", b""))
        if code:
            found.set(0, _SMCC, code[0])
            found.set(0, _SMNC, code[1])
    found.update()
    return found


def signal(said):
    """dBm, of a modem's answer to AT+CSQ (bytes; 3GPP TS 27.007 8.5); 0 where it does not know."""
    at = said.find(b"+CSQ:")
    try:
        level = int(said[at + 5 :].split(b",")[0])
    except ValueError:
        return 0
    return 2 * level - 113 if at >= 0 and 0 <= level <= 31 else 0


def operator(said):
    """(country code, network code), of an answer to AT+COPS? in numeric format, which AT+COPS=3,2 sets
    (3GPP TS 27.007 7.3); None where it tells neither."""
    parts = said[max(said.find(b"+COPS:"), 0) :].split(b'"')
    if len(parts) < 3 or not parts[1].isdigit() or not 5 <= len(parts[1]) <= 6:
        return None
    return int(parts[1][:3]), int(parts[1][3:])
