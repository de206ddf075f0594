# The table of clients, and their keys.

import io
import os
import time
from binascii import b2a_base64, hexlify
from hashlib import sha256

import dtls_certs as certs
from lwm2m.clients import credentials_of, load_clients, load_der

TABLE = """{
  "sensor-1": {"security": {"mode": "psk", "identity": "id-1", "key": "30313233"}},
  "sensor-2": {"security": {"mode": "psk", "key": "34"}},
  "sensor-3": {"security": {"mode": "certificate", "name": "cn-3"}},
  "sensor-4": {"security": {"mode": "certificate"}},
  "sensor-5": {"security": {"mode": "rpk", "public_key": "%s"}},
  "sensor-6": {"security": {"mode": "rpk", "public_key": "%s"}}
}"""
TABLE %= (
    str(hexlify(certs.CLIENT_PUBLIC), "ascii"),
    str(b2a_base64(certs.SERVER_PUBLIC), "ascii").strip(),
)


def sha256_of(key):
    return hexlify(sha256(key).digest())


def refused(error, f, *args):
    """The text of the error that a call raises."""
    try:
        f(*args)
    except error as e:
        return str(e)
    raise AssertionError("it was not refused")


def test_table():
    credentials, identities = credentials_of(load_clients(io.StringIO(TABLE)))
    assert identities == {
        b"id-1": "sensor-1",
        b"sensor-2": "sensor-2",
        b"cn-3": "sensor-3",
        b"sensor-4": "sensor-4",
        sha256_of(certs.CLIENT_PUBLIC): "sensor-5",
        sha256_of(certs.SERVER_PUBLIC): "sensor-6",
    }
    assert credentials.read(b"id-1") == (0, (0, b"id-1", b"", b"0123"))
    assert credentials.read(b"sensor-2") == (0, (0, b"sensor-2", b"", b"4"))
    for identity in (b"sensor-1", b"cn-3", b"sensor-3", b"sensor-4"):
        assert credentials.read(identity) == (0x84, None)


def test_byte_order_mark():
    # As editors write it, before UTF-8: in a file, and in what is open.
    path = "/tmp/test_clients_%d.json" % time.time_ns()
    with open(path, "w") as f:
        f.write("\ufeff" + TABLE.replace("\n", "\r\n"))
    try:
        assert load_clients(path) == load_clients(io.StringIO(TABLE))
        with open(path, "w") as f:
            f.write("\ufeff" + TABLE.replace('"cn-3"', "cn-3"))
        assert "is not JSON: look at line 4" in refused(ValueError, load_clients, path)
    finally:
        os.remove(path)


def test_no_keys():
    assert credentials_of({}) == (None, {})
    assert credentials_of({"a": {"servers": []}, "*": {"security": None}}) == (None, {})
    table = {"a": {"security": {"mode": "certificate"}}}
    assert credentials_of(table) == (None, {b"a": "a"})


def test_errors():
    psk = '{"mode": "psk", "key": "00"}'
    for text, words in (
        ('{"a":\ntru}', "the table of clients is not JSON: look at line 2"),
        ("[]", "the table of clients must be an object, whose names are endpoint names"),
        ('{"": {"security": %s}}' % psk, "the table of clients has an endpoint without a name"),
        ('{"a": []}', 'endpoint "a" must be an object'),
        ('{"a": {}}', 'endpoint "a": security is missing'),
        ('{"a": {"security": null}}', 'endpoint "a": security is missing'),
        ('{"a": {"servers": []}}', 'endpoint "a": there is no field "servers"'),
        ('{"a": {"security": 5}}', 'endpoint "a": security must be an object'),
        (
            '{"a": {"security": {"mode": "none"}}}',
            'endpoint "a": security.mode must be one of: certificate, psk, rpk',
        ),
        (
            '{"a": {"security": {"mode": "rpk"}}}',
            ('endpoint "a": security.public_key must be DER, in hexadecimal digits or base64'),
        ),
        (
            '{"a": {"security": {"mode": "rpk", "public_key": "3001"}}}',
            'endpoint "a": security.public_key must be a SubjectPublicKeyInfo of P-256',
        ),
        (
            '{"a": {"security": {"mode": "psk", "key": "5ecret"}}}',
            'endpoint "a": security.key must be hexadecimal digits, two a byte',
        ),
        (
            '{"*": {"security": %s}}' % psk,
            'endpoint "*": security is of one endpoint, not of every other one',
        ),
    ):
        assert refused(ValueError, load_clients, io.StringIO(text)) == words
    assert "cannot read /no/such" in refused(OSError, load_clients, "/no/such")
    assert "cannot read /no/such" in refused(OSError, load_der, "/no/such")
