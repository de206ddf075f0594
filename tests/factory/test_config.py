"""The configuration: what it makes of a board, and the sentence for everything that is wrong."""

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from samples import CERTIFICATE, PSK, VALUES, make_authority

from lwm2m_factory import FactoryError, config, image


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    make_authority(tmp_path)
    return tmp_path


def load(folder: Path, text: str, **kwargs) -> config.Config:
    path = folder / "factory.toml"
    path.write_text(text)
    return config.load(path, **kwargs)


def test_pre_shared_keys(tmp_path: Path) -> None:
    found = load(tmp_path, PSK)
    made = config.identity(found, VALUES)
    endpoint, state, settings = image.unpack(made.data)
    assert endpoint == made.endpoint == "urn:dev:ops:32473-0001"
    keys = [state[0][iid].pop(5) for iid in (0, 1)]
    assert [len(key) for key in keys] == [16, 32]
    assert state == {
        0: {
            0: {
                0: "coaps://bs.example.org",
                1: True,
                2: 0,
                3: b"urn:dev:ops:32473-0001",
                4: b"",
                11: 5,
                12: 0,
            },
            1: {
                0: "coaps://server.example.org",
                1: False,
                2: 0,
                3: b"e66038b713952135",
                4: b"",
                10: 101,
            },
        },
        1: {0: {0: 101, 1: 300, 6: True, 7: "UQ"}},
    }
    assert settings == {
        "network": {
            "type": "wifi",
            "ssid": "line 3",
            "password": "correct horse",
            "country": "DE",
            "address": "dhcp",
        },
        "led": 25,
        "app": {"interval": 60},
    }
    record = made.record
    assert [each["security"]["key"] for each in record["accounts"]] == [k.hex() for k in keys]
    later = record["given"][0]
    assert later["short_id"] == 7 and len(later["security"]["key"]) == 32
    for key in (*keys, bytes.fromhex(later["security"]["key"])):
        assert key.hex() not in repr(made) and key not in repr(made).encode()
    json.dumps(record)

    # Other boards get other keys; the same board, given again, keeps its own.
    other = config.identity(found, dict(VALUES, serial="0002"))
    assert not set(_keys(other.record)) & set(_keys(record))
    again = config.identity(found, VALUES, record)
    assert _keys(again.record) == _keys(record)
    assert again.data == made.data


def _keys(record: dict) -> "list[str]":
    return [each["security"]["key"] for each in record["accounts"] + record["given"]]


def test_given_key(tmp_path: Path) -> None:
    text = PSK.replace("key_bytes = 32", 'key = "{psk}"')
    found = load(tmp_path, text, columns=("serial", "psk"))
    assert found.names() == ["serial", "psk"]
    made = config.identity(found, dict(VALUES, psk="00112233445566778899AABBCCDDEEFF"))
    key = image.unpack(made.data).state[0][1][5]
    assert key == bytes.fromhex("00112233445566778899aabbccddeeff")
    with pytest.raises(FactoryError) as caught:
        config.identity(found, dict(VALUES, psk="00112233"))
    assert str(caught.value).startswith("server[1].security.key has 4 bytes: a key has from 16 to")
    with pytest.raises(FactoryError, match=r"security.key needs \{psk\}: it is not given"):
        config.identity(found, VALUES)


def test_certificate(authority: Path) -> None:
    found = load(authority, CERTIFICATE)
    made = config.identity(found, VALUES)
    account = image.unpack(made.data).state[0][0]
    certificate = x509.load_der_x509_certificate(account[3])
    key = serialization.load_der_private_key(account[5], None)
    ca = x509.load_pem_x509_certificate((authority / "ca.pem").read_bytes())
    certificate.verify_directly_issued_by(ca)
    assert certificate.subject.rfc4514_string() == "CN=sensor-0001"
    assert isinstance(key.curve, ec.SECP256R1)
    assert key.public_key() == certificate.public_key()
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 1000
    server = x509.load_pem_x509_certificate((authority / "server.pem").read_bytes())
    assert account[4] == server.public_bytes(serialization.Encoding.DER)
    assert (account[2], account[14], account[15], account[16]) == (
        2,
        "server.example.org",
        3,
        {0: 0xC0AE},
    )
    # The private key is in the board's file only.
    assert account[5].hex() not in json.dumps(made.record)
    assert image.unpack(config.identity(found, VALUES).data).state[0][0][5] != account[5]


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_digest_of_the_server_certificate(authority: Path, name: str) -> None:
    text = CERTIFICATE + f'matching_type = "{name}"\n'
    account = image.unpack(config.identity(load(authority, text), VALUES).data).state[0][0]
    server = x509.load_pem_x509_certificate((authority / "server.pem").read_bytes())
    assert account[4] == server.fingerprint(getattr(hashes, name.upper())())
    assert account[13] == {"sha256": 1, "sha384": 2, "sha512": 3}[name]


def test_password_of_the_authority(tmp_path: Path) -> None:
    make_authority(tmp_path, b"secret")
    asked = []

    def ask(path: Path) -> str:
        asked.append(path.name)
        return "secret"

    load(tmp_path, CERTIFICATE, ask=ask)
    assert asked == ["ca.key"]
    with pytest.raises(config.ConfigError, match=r"ca.key has another password\."):
        load(tmp_path, CERTIFICATE, ask=lambda path: "other")
    with pytest.raises(
        config.ConfigError, match=r"ca.key has a password, and nobody can be asked"
    ):
        load(tmp_path, CERTIFICATE)


NETWORKS = [
    ('type = "none"', {"type": "none"}),
    ('type = "wifi"\nssid = "x"', {"type": "wifi", "ssid": "x", "address": "dhcp"}),
    (
        (
            'type = "ppp"\nuart = 1\ntx = 4\nrx = 5\napn = "iot"\npin = "0000"\n'
            'chat = [["AT", "OK", 2], ["ATD*99#", "CONNECT", 30.5]]'
        ),
        {
            "type": "ppp",
            "uart": 1,
            "tx": 4,
            "rx": 5,
            "baud": 115200,
            "apn": "iot",
            "pin": "0000",
            "chat": [["AT", "OK", 2], ["ATD*99#", "CONNECT", 30.5]],
        },
    ),
    (
        (
            'type = "ethernet"\nmdc = 23\nphy = "LAN8720"\n[network.address]\nip = "192.0.2.7"\n'
            'mask = "255.255.255.0"\ngateway = "192.0.2.1"\ndns = "192.0.2.2"'
        ),
        {
            "type": "ethernet",
            "mdc": 23,
            "phy": "LAN8720",
            "address": {
                "ip": "192.0.2.7",
                "mask": "255.255.255.0",
                "gateway": "192.0.2.1",
                "dns": "192.0.2.2",
            },
        },
    ),
]
SERVER = '[[server]]\nshort_id = 1\nuri = "coap://127.0.0.1"\n'


@pytest.mark.parametrize(("text", "network"), NETWORKS)
def test_network(tmp_path: Path, text: str, network: dict) -> None:
    found = load(tmp_path, f'endpoint = "x"\n[network]\n{text}\n{SERVER}')
    assert found.settings == {"network": network}
    assert image.unpack(config.identity(found, {}).data).settings == {"network": network}


# What is replaced in PSK or CERTIFICATE, and the sentence behind the file's name.
WRONG = [
    (PSK, 'endpoint = "urn', 'endpont = "urn', "line 1: endpoint is missing."),
    (
        PSK,
        "{serial}",
        "{serail}",
        ("line 1: endpoint has {serail}: choose from {chip_id}, {mac}, {serial}."),
    ),
    (PSK, "{serial}", "{serial", "line 1: endpoint has a brace that is no {name}."),
    (PSK, "ops:", "ops: ", "line 1: endpoint must not have spaces or control characters."),
    (PSK, "ssid = ", "sid = ", "line 3: network.ssid is missing."),
    (PSK, '"line 3"', "3", "line 5: network.ssid must be a text in quotes."),
    (PSK, '"line 3"', '""', "line 5: network.ssid is empty."),
    (
        PSK,
        "correct horse",
        "horse",
        ("line 6: network.password must have from 8 to 63 characters (WPA)."),
    ),
    (PSK, '"DE"', '"de"', 'line 7: network.country must be two capital letters, such as "DE".'),
    (
        PSK,
        '"wifi"',
        '"wiffi"',
        ('line 4: network.type must be one of wifi, ppp, ethernet, none; did you mean "wifi"?'),
    ),
    (PSK, 'country = "DE"', 'address = "static"', "line 7: network.address must be one of dhcp."),
    (
        PSK,
        'country = "DE"',
        'address = { ip = "1.2.3" }',
        "line 7: network.address.mask is missing.",
    ),
    (PSK, "led = 25", "led = true", "line 10: board.led must be a whole number."),
    (PSK, "led = 25", "led = 256", "line 10: board.led must be from 0 to 255."),
    (PSK, "led = 25", "leds = 25", "line 10: board.leds is unknown: did you mean led?"),
    (
        PSK,
        "interval = 60",
        "interval = 1979-05-27",
        ("line 13: app.interval must be made of texts, numbers, true and false."),
    ),
    (
        PSK,
        "hold_off = 5",
        "hold_off = -1",
        ("line 17: bootstrap.hold_off must be from 0 to 2147483647."),
    ),
    (
        PSK,
        "hold_off = 5",
        "hold_of = 5",
        ("line 17: bootstrap.hold_of is unknown: did you mean hold_off?"),
    ),
    (
        PSK,
        "coaps://bs.",
        "coap://bs.",
        ("line 20: bootstrap.security.mode must be none with a coap:// URI; or make it coaps://."),
    ),
    (
        PSK,
        "coaps://bs.",
        "http://bs.",
        ("line 16: bootstrap.uri must be coap://host:port or coaps://host:port."),
    ),
    (
        PSK,
        "short_id = 101",
        "short_id = 65535",
        ("line 28: server[1].short_id must be from 1 to 65534."),
    ),
    (
        PSK,
        'mode = "psk"\nid',
        'mode = "none"\nid',
        ("line 34: server[1].security.mode must be psk or certificate with a coaps:// URI."),
    ),
    (
        PSK,
        "key_bytes = 32",
        "key_bytes = 8",
        ("line 36: server[1].security.key_bytes must be from 16 to 64."),
    ),
    (
        PSK,
        "key_bytes = 32",
        'key = "0011"',
        (
            "line 36: server[1].security.key has 2 bytes: a key "
            "has from 16 to 64 bytes, which are 32 to 128 hexadecimal digits."
        ),
    ),
    (
        PSK,
        "key_bytes = 32",
        'key = "001"',
        (
            "line 36: server[1].security.key has 3 digits: two "
            "make a byte, so the number must be even."
        ),
    ),
    (
        PSK,
        "key_bytes = 32",
        'key = "secret!!"',
        ("line 36: server[1].security.key must be hexadecimal."),
    ),
    (
        PSK,
        "{chip_id}",
        "{psk}",
        (
            "line 35: server[1].security.identity has {psk}: choose from "
            "{chip_id}, {mac}, {serial}, {endpoint}."
        ),
    ),
    (
        PSK,
        "[[server]]",
        '[[server]]\nshort_id = 101\nuri = "coap://x"\n[[server]]',
        "line 31: server[2].short_id 101 is there twice.",
    ),
    (
        PSK,
        "[server.security]",
        "[servers.security]",
        ("line 27: server[1].security must be psk or certificate with a coaps:// URI."),
    ),
    (PSK, "lifetime = 300", "lifetime = 300 s", "line 30, column 16: this is no TOML."),
    (
        CERTIFICATE,
        "ca.pem",
        "none.pem",
        (
            "line 10: server[1].security.ca_certificate FOLDER/none.pem "
            "cannot be read: No such file or directory."
        ),
    ),
    (
        CERTIFICATE,
        '"ca.pem"',
        '"ca.key"',
        (
            "line 10: server[1].security.ca_certificate FOLDER/ca.key "
            "is no certificate in PEM or DER."
        ),
    ),
    (
        CERTIFICATE,
        '"ca.pem"',
        '"server.pem"',
        ("line 10: server[1].security.ca_certificate is not that of a CA."),
    ),
    (
        CERTIFICATE,
        '"ca.key"',
        '"other.key"',
        ("line 11: server[1].security.ca_key does not belong to ca_certificate."),
    ),
    (
        CERTIFICATE,
        "1000",
        "5000",
        (
            "line 13: server[1].security.valid_days would outlive the CA's "
            "own certificate, which ends in 3999 days."
        ),
    ),
    (
        CERTIFICATE,
        "[0xC0AE]",
        '["x"]',
        ("line 15: server[1].security.cipher_suites must be IANA's numbers, such as 0xC0A8."),
    ),
    (
        CERTIFICATE,
        "sni",
        "key",
        "line 14: server[1].security.key is unknown: did you mean ca_key?",
    ),
]


@pytest.mark.parametrize(
    ("text", "old", "new", "sentence"), WRONG, ids=[row[3].split(":")[1] for row in WRONG]
)
def test_wrong(authority: Path, text: str, old: str, new: str, sentence: str) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (authority / "other.key").write_bytes(other)
    assert text.count(old) >= 1
    with pytest.raises(config.ConfigError) as caught:
        load(authority, text.replace(old, new, 1))
    sentence = sentence.replace("FOLDER", str(authority))
    assert str(caught.value) == f"{authority}/factory.toml, {sentence}"


def test_endpoint_needs_what_the_board_lacks(tmp_path: Path) -> None:
    found = load(tmp_path, PSK.replace("{serial}", "{mac}"))
    with pytest.raises(FactoryError, match=r"needs \{mac\}, which this board does not have\."):
        config.identity(found, dict(VALUES, mac=""))


def test_too_long(tmp_path: Path) -> None:
    found = load(tmp_path, PSK.replace("interval = 60", f'text = "{"x" * 4000}"'))
    with pytest.raises(FactoryError, match="a board has 4096 for it"):
        config.identity(found, VALUES)


def test_damaged_file(tmp_path: Path) -> None:
    data = config.identity(load(tmp_path, PSK), VALUES).data
    for i in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[i] ^= 4
        with pytest.raises(FactoryError, match="damaged"):
            image.unpack(bytes(damaged))
        with pytest.raises(FactoryError, match="damaged"):
            image.unpack(data[:i])
