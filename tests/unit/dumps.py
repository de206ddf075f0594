# What a release leaves in a board's flash, to be kept in tests/data/store/<version>: make_store_dumps.py
# runs this, dumps.py FOLDER, and test_store_releases.py knows what is in them. The states never
# change, so that the dumps of all releases can be compared; a new kind of content gets a new name.

import json
import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0] + "/firmware")  # tests/unit has a device.py too

import device.area as area
from flash import Flash, Lfs2, mounted
from lwm2m.store import Store

ENDPOINT = "urn:dev:ops:32473-dump-\u00e9"
BS_URI = "coaps://bs.example.org:5684"
URI = "coaps://server.example.org/path?query"

IDENTITY = b"identity \x00\xff"
BS_KEY = b"the bootstrap server's key"
KEY = b"a key of sixteen"
CERTIFICATE = b"\x30\x82" + bytes(range(200))
SERVER_CERTIFICATE = b"\x30\x81" + bytes(range(255, 99, -1))
PRIVATE_KEY = b"\x30\x77" + bytes(range(119))

_SERVER = {0: 101, 1: 86400, 2: 1, 3: 3600, 5: 600, 6: True, 7: "UQ", 12: 1795000000, 16: False}
_BOOTSTRAP = {0: BS_URI, 1: True, 2: 0, 3: IDENTITY, 4: b"", 5: BS_KEY, 11: 10, 12: 3600}

# A bootstrapped client with pre-shared keys, and an instance of Access Control.
PSK = {
    0: {
        0: _BOOTSTRAP,
        7: {0: URI, 1: False, 2: 0, 3: IDENTITY, 5: KEY, 10: 101, 16: {0: 0xC0A8, 5: 0xAE}},
    },
    1: {300: _SERVER},
    2: {0: {0: 3, 1: 0, 2: {101: 15, 102: 1}, 3: 101}},
}

X509 = {
    0: {
        1: {
            0: URI,
            1: False,
            2: 2,
            3: CERTIFICATE,
            4: SERVER_CERTIFICATE,
            5: PRIVATE_KEY,
            10: 101,
            13: 0,
            14: "server.example.org",
            15: 3,
            17: (21, 65535),
        },
    },
    1: {0: _SERVER},
}

NOSEC = {
    0: {0: {0: "coap://[2001:db8::1]:5683", 1: False, 2: 3, 3: b"", 4: b"", 5: b"", 10: 65534}},
    1: {0: {0: 65534, 1: 0, 6: False, 7: "U", 13: 0, 14: 5, 15: True, 18: 0x7FFFFFFF}},
}

# Keys in a place of their own, under these names.
BS_PEER = BS_URI
PEER = URI + "#1"
ELSEWHERE = {
    0: {
        0: {0: BS_URI, 1: True, 2: 0, 65535: BS_PEER},
        1: {0: URI, 1: False, 2: 0, 10: 101, 65535: PEER},
    },
    1: {0: _SERVER},
}

# What Factory Reset leaves: nobody's, and nothing.
RESET = {}

SETTINGS = {"network": {"type": "wifi", "ssid": "\u00e9\u20ac", "password": "secret"}, "led": 25}
FACTORY = {0: {0: _BOOTSTRAP}, 65535: {1: {0: json.dumps(SETTINGS)}}}

SLOTS = ("psk", PSK, "x509", X509, "nosec", NOSEC, "elsewhere", ELSEWHERE)


def written():
    """{name: bytes} of what this release writes: slots and the factory's file without the zeros
    behind them, a copy in the factory's area without what is erased behind it."""
    found = {}
    kind = Lfs2(256)
    for i in range(0, len(SLOTS), 2):
        with mounted(kind, kind.format()):
            Store("/flash/lwm2m").commit(ENDPOINT, SLOTS[i + 1])
            found[SLOTS[i]] = _file("/flash/lwm2m/0/accounts")
    with mounted(kind, kind.format()):
        store = Store("/flash/lwm2m")
        store.provision(ENDPOINT, FACTORY)
        found["factory"] = _file("/flash/lwm2m/factory/accounts")
        store.factory_reset()
        found["reset"] = _file("/flash/lwm2m/0/accounts")
    flash = Flash(4096, 5)
    area._device = lambda: flash
    area.write(found["factory"])
    found["area"] = bytes(flash.data[1]).rstrip(b"\xff")
    return found


def _file(path):
    with open(path, "rb") as f:
        data = f.read()
    return data[: 12 + (data[6] << 8 | data[7])]


if __name__ == "__main__":
    found = written()
    for name in found:
        with open("%s/%s.bin" % (sys.argv[1], name), "wb") as f:
            f.write(found[name])
