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
#         "security": {"mode": "psk", "identity": "sensor-1", "key": "3031…"}    or left out
#       }
#     ],
#     "bootstrap": {                        left out: the client keeps the account it has
#       "uri": "coap://192.0.2.1:5783",
#       "hold_off": 0,                      s, from reset to the Bootstrap-Request; 0
#       "account_timeout": 0,               s, from Finish to the end of this account; 0 for never
#       "security": …
#     }
#   }
# }
#
# Of what stands there only "servers", "short_id" and "uri" are needed. A key is hexadecimal.

from micropython import const
from .objects import security_fault, split_uri

_PSK = const(0)  # Security Modes (/0/x/2)
_NO_SEC = const(3)


def load_accounts(source):
    """The table out of a JSON file, given as its path or open, for BootstrapServer's accounts.

    Raises OSError, or ValueError with the line, or the endpoint and field, that is wrong.
    """
    import json

    if isinstance(source, str):
        try:
            file = open(source)
        except OSError as e:
            raise OSError(e.errno, "cannot read " + source)
        with file:
            return load_accounts(file)
    try:
        table = json.load(source)
    except ValueError:
        end = source.tell()
        source.seek(0)
        line = source.read(end).count("\n") + 1
        raise ValueError("the table of accounts is not JSON: look at line %d" % line)
    check_accounts(table)
    return table


def check_accounts(table):
    """Raise ValueError, with the endpoint and field, where a table is wrong."""
    if not isinstance(table, dict):
        raise ValueError("the table of accounts must be an object: endpoint names and accounts")
    for endpoint in table:
        if not isinstance(endpoint, str) or not endpoint:
            raise ValueError("the table of accounts has an endpoint without a name")
        plan('endpoint "%s"' % endpoint, table[endpoint])


# --- Accounts as they are given, and as they are written. `where` is what a sentence about
# something wrong starts with.


def plan(where, entry):
    # The bootstrap account's values, or None, and [short id, /0 values, /1 values] of servers.
    _check_fields(where, entry, ("servers", "bootstrap"))
    servers = entry.get("servers")
    if not isinstance(servers, list) or not servers:
        raise ValueError("%sservers must be a list of one or more" % _lead(where, ": "))
    found = []
    for i in range(len(servers)):
        at = "%sservers[%d]" % (_lead(where, ": "), i)
        given = servers[i]
        _check_fields(at, given, ("short_id", "uri", "lifetime", "security", "binding"))
        account = server_account(
            at,
            given.get("short_id"),
            given.get("uri"),
            given.get("lifetime", 86400),
            given.get("security"),
            given.get("binding", "U"),
        )
        for other in found:
            if other[0] == account[0]:
                raise ValueError("%s.short_id %d is there twice" % (at, account[0]))
        found.append(account)
    given = entry.get("bootstrap")
    if given is None:
        return None, found
    at = _lead(where, ": ") + "bootstrap"
    _check_fields(at, given, ("uri", "hold_off", "account_timeout", "security"))
    values = bootstrap_account(
        at,
        given.get("uri"),
        given.get("hold_off", 0),
        given.get("account_timeout", 0),
        given.get("security"),
    )
    return values, found


def server_account(where, short_id, uri, lifetime, security, binding):
    lead = _lead(where, ".")
    check_short_id(lead, short_id)
    values = _security(where, uri, security)
    _check_seconds(lead + "lifetime", lifetime)
    if binding not in ("U", "UQ"):
        raise ValueError('%sbinding must be "U" or "UQ"' % lead)
    values[1] = False
    values[10] = short_id
    return short_id, values, {0: short_id, 1: lifetime, 6: True, 7: binding}


def bootstrap_account(where, uri, hold_off, account_timeout, security):
    lead = _lead(where, ".")
    values = _security(where, uri, security)
    _check_seconds(lead + "hold_off", hold_off)
    _check_seconds(lead + "account_timeout", account_timeout)
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
    mode = _NO_SEC
    identity = key = b""
    if security is not None:
        _check_fields(lead + "security", security, ("mode", "identity", "key"))
        lead += "security."
        name = security.get("mode")
        if name not in ("none", "psk"):
            raise ValueError('%smode must be "none" or "psk"' % lead)
        if name == "psk":
            mode = _PSK
            identity = security.get("identity")
            if isinstance(identity, str):
                identity = identity.encode()
            if not isinstance(identity, bytes) or not identity:
                raise ValueError("%sidentity must be a string that is not empty" % lead)
            key = _key(lead, security.get("key"))
        elif len(security) > 1:
            raise ValueError('%smode "none" has no identity and no key' % lead)
    values = {0: uri, 2: mode, 3: identity, 4: b"", 5: key}
    fault = security_fault(values, (_PSK, _NO_SEC))
    if fault:
        raise ValueError(_lead(where, ": ") + fault)
    return values


def _key(lead, key):
    # No word of the key itself gets into an error.
    if isinstance(key, str):
        from binascii import unhexlify

        try:
            key = unhexlify(key)
        except ValueError:
            key = None
    if not isinstance(key, bytes) or not key:
        raise ValueError("%skey must be hexadecimal digits, two a byte" % lead)
    return key


def check_short_id(lead, value):
    if type(value) is not int or not 0 < value < 65535:
        raise ValueError("%sshort_id must be a whole number from 1 to 65534" % lead)


def _check_seconds(name, value):
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise ValueError("%s must be a whole number of seconds" % name)


def _check_fields(where, value, names):
    if not isinstance(value, dict):
        raise ValueError("%s must be an object" % (where or "the account"))
    for name in value:
        if name not in names:
            raise ValueError('%s: there is no field "%s"' % (where or "the account", name))


def _lead(where, mark):
    return where and where + mark
