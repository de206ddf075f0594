# The Bootstrap Server's table: what account each client is given, and how it is written.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# The table is JSON: an object whose names are endpoint names, "*" being every other one.
#
# {
#   "sensor-1": {
#     "servers": [
#       {
#         "short_id": 1,                    from 1 to 65534
#         "uri": "coap://192.0.2.1:5683",   coap:// or coaps://
#         "lifetime": 300,                  s, 0 for ever; 86400 where it is left out
#         "binding": "U",                   or "UQ", for a client that sleeps; "U"
#         "store_notifications": true,      keep them while this server cannot be reached; true
#         "mute_send": false,               whether the client may not send unasked (LwM2M 1.1); false
#         "security": …                     left out for coap://, see below
#       }
#     ],
#     "bootstrap": {                        left out: the client keeps the account it has
#       "uri": "coap://192.0.2.1:5783",
#       "hold_off": 0,                      s, from reset to the Bootstrap-Request; 0
#       "account_timeout": 0,               s, from Finish to the end of this account; 0 for never
#       "security": …
#     },
#     "security": …                         how the client proves to this server who it is: as
#   }                                       module clients says, with the same endpoint names
# }
#
# Of what stands there only "servers", "short_id" and "uri" are needed.
#
# The "security" of an account that a client is given, and what is written of it to /0/x:
#
# {"mode": "psk",
#  "identity": "sensor-1",                  3
#  "key": "3031…"}                          5, hexadecimal
# {"mode": "certificate",
#  "certificate": "MIIB…",                  3, the client's own
#  "server_certificate": "MIIB…",           4, the server's, a CA's, or the digest of it
#  "key": "3081…",                          5, the client's, PKCS #8
#  "matching": 0,                           13, 1 to 3 where the digest is SHA-256, 384 or 512
#  "sni": "server.example.org",             14, the name that the server's certificate must have
#  "usage": 3,                              15, Certificate Usage: 0 or 2 a CA's, 1 or 3 its own
#  "ciphers": [49326]}                      16, IANA's numbers of cipher suites
# {"mode": "rpk", "public_key": …, "server_public_key": …, "key": …}        3, 4, 5
# {"mode": "none"}                          the same as no "security"
#
# Certificates, and keys other than pre-shared ones, are DER in hexadecimal digits or base64; a
# digest is hexadecimal. 13 to 16 are not written where they are left out.

from .clients import (
    check_fields,
    check_table,
    credentials_of,
    der,
    load,
    mode_of,
    octets,
    psk,
    text,
)
from .model import INT, fault
from .objects import split_uri
from .security import security_fault

_WHAT = "the table of accounts"
_SERVER = (
    "short_id",
    "uri",
    "lifetime",
    "security",
    "binding",
    "store_notifications",
    "mute_send",
)
_MODES = ("psk", "rpk", "certificate", "none")  # by their numbers (/0/x/2)
_FIELDS = {
    "psk": ("identity", "key"),
    "rpk": ("public_key", "server_public_key", "key"),
    "certificate": (
        "certificate",
        "server_certificate",
        "key",
        "usage",
        "matching",
        "sni",
        "ciphers",
    ),
    "none": (),
}


def load_accounts(source):
    """The table out of a JSON file, given as its path or open, for BootstrapServer's accounts.

    Raises OSError, or ValueError with the line, or the endpoint and field, that is wrong.
    """
    table = load(_WHAT, source)
    check_accounts(table)
    return table


def check_accounts(table):
    """Raise ValueError, with the endpoint and field, where a table is wrong."""
    check_table(_WHAT, table)
    for endpoint in table:
        plan('endpoint "%s"' % endpoint, table[endpoint])
    credentials_of(table)


# --- Accounts as they are given, and as they are written. `where` is what a sentence about
# something wrong starts with.


def plan(where, entry):
    # The bootstrap account's values, or None, and [short id, /0 values, /1 values] of servers.
    check_fields(where, entry, ("servers", "bootstrap", "security"))
    servers = entry.get("servers")
    if not isinstance(servers, list) or not servers:
        raise ValueError("%sservers must be a list of one or more" % _lead(where, ": "))
    found = []
    for i in range(len(servers)):
        at = "%sservers[%d]" % (_lead(where, ": "), i)
        given = servers[i]
        check_fields(at, given, _SERVER)
        account = server_account(
            at,
            given.get("short_id"),
            given.get("uri"),
            given.get("lifetime", 86400),
            given.get("security"),
            given.get("binding", "U"),
            given.get("store_notifications", True),
            given.get("mute_send", False),
        )
        for other in found:
            if other[0] == account[0]:
                raise ValueError("%s.short_id %d is there twice" % (at, account[0]))
        found.append(account)
    given = entry.get("bootstrap")
    if given is None:
        return None, found
    at = _lead(where, ": ") + "bootstrap"
    check_fields(at, given, ("uri", "hold_off", "account_timeout", "security"))
    values = bootstrap_account(
        at,
        given.get("uri"),
        given.get("hold_off", 0),
        given.get("account_timeout", 0),
        given.get("security"),
    )
    return values, found


def server_account(where, short_id, uri, lifetime, security, binding, storing=True, mute=False):
    """The Short Server ID, the values of /0/x and those of /1/x; 23 of them is not of LwM2M 1.0."""
    lead = _lead(where, ".")
    check_short_id(lead, short_id)
    values = _security(where, uri, security)
    _check(lead + "lifetime", 1, 1, lifetime)
    if binding not in ("U", "UQ"):
        raise ValueError('%sbinding must be "U" or "UQ"' % lead)
    for name, value in (("store_notifications", storing), ("mute_send", mute)):
        if type(value) is not bool:
            raise ValueError("%s%s must be true or false" % (lead, name))
    values[1] = False
    values[10] = short_id
    return short_id, values, {0: short_id, 1: lifetime, 6: storing, 7: binding, 23: mute}


def bootstrap_account(where, uri, hold_off, account_timeout, security):
    lead = _lead(where, ".")
    values = _security(where, uri, security)
    _check(lead + "hold_off", 0, 11, hold_off)
    _check(lead + "account_timeout", 0, 12, account_timeout)
    values[1] = True
    values[11] = hold_off
    if account_timeout:
        values[12] = account_timeout
    return values


def _security(where, uri, security):
    # /0/x/0 and 2 to 5.
    lead = _lead(where, ".")
    if not isinstance(uri, str) or not split_uri(uri):
        raise ValueError("%suri must be coap://host[:port] or coaps://host[:port]" % lead)
    mode = "none"
    values = {0: uri, 3: b"", 4: b"", 5: b""}
    if security is not None:
        at = lead + "security"
        mode = mode_of(at, security, _FIELDS)
        if mode == "psk":
            values[3] = text(at, "identity", security.get("identity"))
            values[5] = psk(at, security.get("key"))
        elif mode == "rpk":
            values[3] = der(at, "public_key", security)
            values[4] = der(at, "server_public_key", security)
            values[5] = der(at, "key", security)
        elif mode == "certificate":
            _certificate(at, security, values)
    values[2] = _MODES.index(mode)
    wrong = security_fault(values, (0, 1, 2, 3))
    if wrong:
        raise ValueError(_lead(where, ": ") + wrong)
    return values


def _certificate(at, security, values):
    # /0/x/3 to 5, and 13 to 16 where they are given.
    values[3] = der(at, "certificate", security)
    values[5] = der(at, "key", security)
    matching = _number(at, "matching", security, values, 13)
    _number(at, "usage", security, values, 15)
    if matching:
        size = 16 + 16 * matching
        values[4] = octets(security.get("server_certificate"))
        if not values[4] or len(values[4]) != size:
            raise ValueError(
                "%s.server_certificate must be a digest of %d bytes, hexadecimal" % (at, size)
            )
    else:
        values[4] = der(at, "server_certificate", security)
    if "sni" in security:
        values[14] = str(text(at, "sni", security["sni"]), "utf-8")
    ciphers = security.get("ciphers")
    if ciphers is not None:
        values[16] = {}
        for cipher in ciphers if isinstance(ciphers, list) else (-1,):
            if fault(0, 16, INT, cipher):
                raise ValueError("%s.ciphers must be a list of IANA's numbers of suites" % at)
            values[16][len(values[16])] = cipher


def _number(at, field, security, values, rid):
    value = security.get(field)
    if value is not None:
        _check("%s.%s" % (at, field), 0, rid, value)
        values[rid] = value
    return value


def check_short_id(lead, value):
    _check(lead + "short_id", 1, 0, value)


def _check(name, oid, rid, value):
    # What a number may be says the resource that it is written to.
    text = fault(oid, rid, INT, value)
    if text:
        raise ValueError("%s %s" % (name, text))


def _lead(where, mark):
    return where and where + mark
