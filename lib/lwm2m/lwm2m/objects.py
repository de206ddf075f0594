# The objects that every client has: Security, Server and Device (LwM2M 1.1 E.1, E.2, E.4).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import Error
from lwm2m.model import Object

# The values of tlv and model, again: only a module's own constants fold into a tuple in flash.
_STR = const(1)
_INT = const(2)
_UINT = const(3)
_BOOL = const(5)
_OPAQUE = const(6)
_TIME = const(7)
_OBJLNK = const(8)
_R = const(0x10)
_W = const(0x20)
_RW = const(0x30)
_E = const(0x40)
_MULTI = const(0x80)
_M = const(0x100)

# fmt: off
# A regular server reads and writes nothing of it. 3 to 5 are mandatory there, yet with NoSec
# some servers leave them out: who lacks a key is found at Finish instead.
SECURITY = (
    0, _STR | _M,  # LwM2M Server URI
    1, _BOOL | _M,  # Bootstrap-Server
    2, _INT | _M,  # Security Mode
    3, _OPAQUE,  # Public Key or Identity
    4, _OPAQUE,  # Server Public Key
    5, _OPAQUE,  # Secret Key
    10, _INT,  # Short Server ID
    11, _INT,  # Client Hold Off Time, s
    12, _INT,  # Bootstrap-Server Account Timeout, s
    13, _UINT,  # Matching Type
    14, _STR,  # SNI
    15, _UINT,  # Certificate Usage
    16, _UINT | _MULTI,  # DTLS/TLS Ciphersuite
    17, _OBJLNK,  # OSCORE Security Mode
)

# 13 to 20 are not operable by a server in version 1.1 of the object.
SERVER = (
    0, _INT | _R | _M,  # Short Server ID
    1, _INT | _RW | _M,  # Lifetime, s
    2, _INT | _RW,  # Default Minimum Period, s
    3, _INT | _RW,  # Default Maximum Period, s
    4, _E,  # Disable
    5, _INT | _RW,  # Disable Timeout, s
    6, _BOOL | _RW | _M,  # Notification Storing When Disabled or Offline
    7, _STR | _RW | _M,  # Binding
    8, _E | _M,  # Registration Update Trigger
    9, _E,  # Bootstrap-Request Trigger
    12, _TIME | _R,  # Last Bootstrapped, s since 1970
    13, _UINT,  # Registration Priority Order
    14, _UINT,  # Initial Registration Delay Timer, s
    15, _BOOL,  # Registration Failure Block
    16, _BOOL,  # Bootstrap on Registration Failure
    17, _UINT,  # Communication Retry Count
    18, _UINT,  # Communication Retry Timer, s
    19, _UINT,  # Communication Sequence Delay Timer, s
    20, _UINT,  # Communication Sequence Retry Count
    23, _BOOL | _RW,  # Mute Send; it is muted where this is absent
)

DEVICE = (
    0, _STR | _R,  # Manufacturer
    1, _STR | _R,  # Model Number
    2, _STR | _R,  # Serial Number
    3, _STR | _R,  # Firmware Version
    4, _E | _M,  # Reboot
    5, _E,  # Factory Reset
    6, _INT | _R | _MULTI,  # Available Power Sources
    7, _INT | _R | _MULTI,  # Power Source Voltage, mV
    8, _INT | _R | _MULTI,  # Power Source Current, mA
    9, _INT | _R,  # Battery Level, %
    10, _INT | _R,  # Memory Free, KB
    11, _INT | _R | _MULTI | _M,  # Error Code
    12, _E,  # Reset Error Code
    13, _TIME | _RW,  # Current Time, s since 1970
    14, _STR | _RW,  # UTC Offset
    15, _STR | _RW,  # Timezone
    16, _STR | _R | _M,  # Supported Binding and Modes
    17, _STR | _R,  # Device Type
    18, _STR | _R,  # Hardware Version
    19, _STR | _R,  # Software Version
    20, _INT | _R,  # Battery Status
    21, _INT | _R,  # Memory Total, KB
)
# fmt: on


def base_objects(device, version="1.1"):
    """{0: Security, 1: Server, 3: Device}. device: {resource id: value} of /3/0, or None."""
    instance = {11: {0: 0}, 16: "U"}
    instance.update(device or {})
    obj = Object(3, DEVICE, {0: instance})
    for rid in instance:
        obj.check(rid, instance[rid])
    security = Object(0, SECURITY, bootstrap=True)
    # 1.0 has neither 9, 12 nor 23.
    server = Object(1, SERVER if version != "1.0" else SERVER[:18] + SERVER[22:-2], bootstrap=True)
    server.on_check = _check_server
    if version == "1.2":  # whose own are 1.2
        server.version = obj.version = "1.1"
    return {0: security, 1: server, 3: obj}


def _check_server(iid, values):
    # What a server may not set its own account to: it would be lost with it.
    if "U" not in values.get(7, "U"):
        raise Error(0x80, "this device has binding U only")


def server_id(obj, iid):
    """The short server id of an instance of object 0 or 1; 65535 for a bootstrap account."""
    values = obj.instances[iid]
    if obj.id == 0:
        return 65535 if values.get(1) else values.get(10)
    return values.get(0)


def object_links(objects, attributes=None):
    """The object list of a registration, link-format without its root (LwM2M 1.1 6.2.1).

    attributes(obj, iid): what to tell of an instance; with it all objects are listed.
    """
    links = []
    for oid in sorted(objects):
        obj = objects[oid]
        # Access Control, as long as there is no instance, says nothing (LwM2M 1.1 8.1).
        if not attributes and (oid in (0, 21) or (oid == 2 and not obj.instances)):
            continue
        if obj.version or not obj.instances:
            links.append("</%d>" % oid + (";ver=" + obj.version if obj.version else ""))
        for iid in sorted(obj.instances):
            links.append("</%d/%d>" % (oid, iid) + (attributes(obj, iid) if attributes else ""))
    return ",".join(links)


def acts(n):
    """Whether a terminal or a log acts on a character: C0, DEL and C1, separators of lines, and what
    turns the direction of writing (UAX 9, 2)."""
    return (
        n < 32
        or 127 <= n < 160
        or n in (0x061C, 0x200E, 0x200F)
        or 0x2028 <= n <= 0x202E
        or 0x2066 <= n <= 0x2069
    )


def unquote(text):
    """Percent-encoded text (RFC 3986 2.1) decoded. Raises ValueError."""
    if "%" not in text:
        return text
    from binascii import unhexlify

    parts = text.encode().split(b"%")
    out = parts[0]
    for part in parts[1:]:
        out += unhexlify(part[:2]) + part[2:]
        if len(part) < 2:
            raise ValueError
    return str(out, "utf-8")


def split_uri(uri):
    """(scheme, host, port, path and query) of a coap or coaps URI (RFC 7252 6), or None.

    Path and query are as they are there, percent-encoded.
    """
    for c in uri.encode():  # ints, as MicroPython keeps a character of a str for good
        if c <= 32 or c in b'"#<>@':  # no user, no fragment, and nothing to break link-format
            return None
    scheme, _, rest = uri.partition("://")
    scheme = scheme.lower()
    rest, mark, query = rest.partition("?")
    host, _, path = rest.partition("/")
    bracket = "]"
    if host.startswith("["):  # an IPv6 address
        host, bracket, port = host[1:].partition("]")
        if port and not port.startswith(":"):
            return None
        port = port[1:]
    else:
        host, _, port = host.partition(":")
    port = port or ("5684" if scheme == "coaps" else "5683")
    if scheme not in ("coap", "coaps") or not host or not bracket or not port.isdigit():
        return None
    try:
        unquote(path + query)
        host = unquote(host)  # the zone of an IPv6 address comes behind %25 (RFC 6874)
    except ValueError:
        return None
    return (scheme, host, int(port), path + mark + query) if 0 < int(port) < 65536 else None
