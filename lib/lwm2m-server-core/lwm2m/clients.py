# How clients prove to a server who they are: the field "security" of each in a table of clients.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# The table is JSON: an object whose names are endpoint names.
#
# {
#   "sensor-1": {"security": {
#     "mode": "psk",
#     "identity": "id-1",         left out: the endpoint name
#     "key": "3031…"              hexadecimal
#   }},
#   "sensor-2": {"security": {
#     "mode": "certificate",
#     "name": "sensor-2"          the common name of its certificate; left out: the endpoint name
#   }},
#   "sensor-3": {"security": {
#     "mode": "rpk",
#     "public_key": "3059…"       its SubjectPublicKeyInfo, DER in hexadecimal digits or base64
#   }}
# }

from micropython import const

from . import optional

_PSK = const(0)  # a Security Mode (/0/x/2)
_WHAT = "the table of clients"
_FIELDS = {"psk": ("identity", "key"), "certificate": ("name",), "rpk": ("public_key",)}


def load_clients(source):
    """The table out of a JSON file, given as its path or open, for credentials_of().

    Raises OSError, or ValueError with the line, or the endpoint and field, that is wrong.
    """
    table = load(_WHAT, source)
    check_table(_WHAT, table)
    for endpoint in table:
        at = 'endpoint "%s"' % endpoint
        check_fields(at, table[endpoint], ("security",))
        if table[endpoint].get("security") is None:
            raise ValueError("%s: security is missing" % at)
    credentials_of(table)
    return table


def credentials_of(table):
    """Who the clients of a table are: (credentials, identities), as servers take them.

    table: {endpoint name: {"security": …}}; what has none, and other fields, are let be.
    credentials is a Credentials with the pre-shared keys, None where there are none; identities
    is {identity: endpoint name}. Raises ValueError.
    """
    credentials = None
    identities = {}
    for endpoint in table:
        given = table[endpoint].get("security")
        if given is None:
            continue
        at = 'endpoint "%s": security' % endpoint
        if endpoint == "*":
            raise ValueError(at + " is of one endpoint, not of every other one")
        identity, key = _security(at, endpoint, given)
        if identity in identities:
            raise ValueError('%s is that of endpoint "%s" too' % (at, identities[identity]))
        identities[identity] = endpoint
        if key:
            if credentials is None:
                from .credentials import Credentials

                credentials = Credentials()
            credentials.create(identity, (_PSK, identity, b"", key))
    return credentials, identities


def load_der(path):
    """A certificate or a key out of a DER file. Raises OSError."""
    with _open(path, "rb") as file:
        return file.read()


def _open(path, mode="r"):
    try:
        return open(path, mode)
    except OSError as e:
        raise OSError(e.errno, "cannot read " + path)


def _security(at, endpoint, given):
    # (identity, pre-shared key or None)
    mode = mode_of(at, given, _FIELDS)
    if mode == "rpk":
        rpk = optional("rpk")
        if not rpk:
            raise ValueError(at + " needs package lwm2m-rpk")
        identity = rpk.identity(der(at, "public_key", given))
        if not identity:
            raise ValueError(at + ".public_key must be a SubjectPublicKeyInfo of P-256")
        return identity, None
    field = "identity" if mode == "psk" else "name"
    identity = text(at, field, given.get(field, endpoint))
    return identity, psk(at, given.get("key")) if mode == "psk" else None


# --- Parts of tables. `at` is what a sentence about something wrong starts with; no key gets in one.


def load(what, source):
    """What a JSON file has, given as its path or open. Raises OSError or ValueError."""
    import json

    if isinstance(source, str):
        with _open(source) as file:
            return load(what, file)
    try:
        if source.read(1) != "\ufeff":  # which editors put before UTF-8
            source.seek(0)
        return json.load(source)
    except ValueError:
        end = source.tell()
        source.seek(0)
        line = source.read(end).count("\n") + 1
        raise ValueError("%s is not JSON: look at line %d" % (what, line))


def check_table(what, table):
    if not isinstance(table, dict):
        raise ValueError(what + " must be an object, whose names are endpoint names")
    for endpoint in table:
        if not isinstance(endpoint, str) or not endpoint:
            raise ValueError(what + " has an endpoint without a name")


def check_fields(at, value, names):
    if not isinstance(value, dict):
        raise ValueError("%s must be an object" % (at or "the account"))
    for name in value:
        if name not in names:
            raise ValueError('%s: there is no field "%s"' % (at or "the account", name))


def mode_of(at, given, modes):
    """The mode of a "security" field. modes: {mode: its other fields}."""
    if not isinstance(given, dict):
        raise ValueError(at + " must be an object")
    mode = given.get("mode")
    if mode not in list(modes):
        raise ValueError("%s.mode must be one of: %s" % (at, ", ".join(sorted(modes))))
    check_fields(at, given, ("mode",) + modes[mode])
    return mode


def text(at, field, value):
    """A str or bytes as bytes."""
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes) or not value:
        raise ValueError("%s.%s must be a string that is not empty" % (at, field))
    return value


def psk(at, value):
    """A pre-shared key, given as bytes or hexadecimal."""
    value = octets(value)
    if not value:
        raise ValueError("%s.key must be hexadecimal digits, two a byte" % at)
    return value


def der(at, field, given):
    """A key or certificate of a table, as bytes, hexadecimal or base64."""
    # DER starts with 0x30, which is "30" or "M".
    value = given.get(field)
    if isinstance(value, str) and value[:1] == "M":
        from binascii import a2b_base64

        try:
            value = a2b_base64(value)
        except ValueError:
            value = None
    value = octets(value)
    if not value or value[0] != 0x30:
        raise ValueError("%s.%s must be DER, in hexadecimal digits or base64" % (at, field))
    return value


def octets(value):
    """Bytes, given as such or hexadecimal, or None."""
    if isinstance(value, str):
        from binascii import unhexlify

        try:
            value = unhexlify(value)
        except ValueError:
            return None
    return value if isinstance(value, bytes) else None
