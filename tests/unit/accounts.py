# States as a client stores them: {object id: {instance id: {resource id: value}}}, with short keys
# that are easily found in a dump, and certificates' sizes.


def _key(name, size=16):
    return (name * size)[:size].encode()


def bootstrap(key, uri="coaps://bs.example.org:5684"):
    return {0: uri, 1: True, 2: 0, 3: b"factory identity", 4: b"", 5: key, 11: 10, 12: 3600}


def server(short_id, key):
    uri = "coaps://server%d.example.org" % short_id
    return {0: uri, 1: False, 2: 0, 3: b"identity", 4: b"", 5: key, 10: short_id}


def registration(short_id):
    return {0: short_id, 1: 86400, 6: True, 7: "U", 16: False}


ENDPOINT = "urn:dev:ops:32473-device-1"
KEYS = [_key(name) for name in ("factory-", "first/", "second+", "third=")]

FACTORY = {0: {0: bootstrap(KEYS[0])}, 1: {}}

BOOTSTRAPPED = {
    0: {0: bootstrap(KEYS[0]), 1: server(101, KEYS[1])},
    1: {0: registration(101)},
    65535: {0: {0: 1795000000, 1: True}},  # last bootstrapped, to be purged
}

# Another bootstrap server, a certificate, an Access Control instance, two cipher suites.
AGAIN = {
    0: {
        0: bootstrap(KEYS[2], "coaps://other.example.org"),
        5: {
            0: "coaps://server.example.org",
            1: False,
            2: 2,
            3: b"\x30\x82" + bytes(range(256)) * 2,
            4: b"\x30\x82" + bytes(range(255, -1, -1)) * 2,
            5: b"\x30\x81" + KEYS[3] * 8,
            10: 7,
            14: "server.example.org",
            16: {0: 0xC0AE, 1: 0xC0AC},
            17: (21, 0),
        },
    },
    1: {3: registration(7)},
    2: {0: {0: 3, 1: 0, 2: {7: 15}, 3: 7}},
    65535: {0: {0: 1795000999, 1: True}},
}

PURGED = {
    0: {1: BOOTSTRAPPED[0][1]},
    1: BOOTSTRAPPED[1],
    65535: {0: {0: 1795000000, 1: False}},
}


def stored(state):
    """The state as load() gives it: an object without instances is not there."""
    return {oid: state[oid] for oid in state if state[oid]}
