# What an account's keys, Security Mode and URI have to be to go together (LwM2M 1.1 5.2, E.1). It is
# loaded where accounts are changed or checked, and given back then.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from lwm2m import optional
from lwm2m.objects import split_uri

_NO_SEC = const(3)


class Modes:
    """Contains the Security Modes (/0/x/2) that this image can do."""

    # lwm2m-dtls is loaded when it is asked for, so that what does without costs no heap.

    def __contains__(self, mode):
        if mode == _NO_SEC:
            return True
        dtls = optional("dtls")
        return bool(dtls) and dtls.is_supported(mode)


def security_fault(values, modes):
    """What is wrong with a /0 instance by itself: a str without any key in it, or None.

    values: {resource id: value} with the mandatory ones. modes: contains the Security Modes
    that this device can do, as Net.modes does.
    """
    parts = split_uri(values[0])
    mode = values[2]
    identity, server_key, key = values.get(3), values.get(4), values.get(5)
    if not parts:
        return "no coap:// or coaps:// URI"
    if parts[0] == "coap":
        if mode != 3:
            return "coap:// without NoSec"
        if identity or server_key or key:
            return "coap:// with keys"
        return None
    if mode == 3:
        return "coaps:// with NoSec"
    if not identity or not key:
        return "no Secret Key" if identity else "no Public Key or Identity"
    if mode not in modes:
        return "Security Mode %s is not supported" % mode
    if mode == 0:  # ThingsBoard's bootstrap server writes a Server Public Key too
        return None
    for value in (identity, server_key, key):
        # A DER SEQUENCE; or by the Matching Type the digest of one.
        digest = value is server_key and values.get(13)
        if not value or (value[0] != 0x30 and not digest):
            return "keys and certificates must be DER"
    rpk = optional("rpk") if mode == 1 else None
    return rpk and rpk.fault(identity, server_key, key)
