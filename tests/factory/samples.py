"""Configurations for the factory tool's tests, and a certification authority."""

import datetime
from pathlib import Path
from typing import Optional

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lwm2m_factory import config, ledger

PSK = """\
endpoint = "urn:dev:ops:32473-{serial}"

[network]
type = "wifi"
ssid = "line 3"
password = "correct horse"
country = "DE"

[board]
led = 25

[app]
interval = 60

[bootstrap]
uri = "coaps://bs.example.org"
hold_off = 5

[bootstrap.security]
mode = "psk"

[[bootstrap.server]]
short_id = 7
uri = "coaps://later.example.org"
security.mode = "psk"

[[server]]
short_id = 101
uri = "coaps://server.example.org"
lifetime = 300
queue = true

[server.security]
mode = "psk"
identity = "{chip_id}"
key_bytes = 32
"""

CERTIFICATE = """\
endpoint = "sensor-{serial}"
network.type = "none"

[[server]]
short_id = 1
uri = "coaps://server.example.org"

[server.security]
mode = "certificate"
ca_certificate = "ca.pem"
ca_key = "ca.key"
server_certificate = "server.pem"
valid_days = 1000
sni = "server.example.org"
cipher_suites = [0xC0AE]
"""

VALUES = {"serial": "0001", "chip_id": "e66038b713952135", "mac": "28cdc1000001"}


def load(folder: Path, text: str, **kwargs) -> config.Config:
    """The configuration that a text is, in a file there."""
    path = folder / "factory.toml"
    path.write_text(text)
    return config.load(path, **kwargs)


def open_ledger(folder: Path) -> ledger.Ledger:
    """The ledger beside the configuration of a folder."""
    return ledger.Ledger(folder / ledger.NAME)


def records(folder: Path) -> "list[dict]":
    """What the boards were given, with their keys."""
    with open_ledger(folder) as kept:
        return list(kept.records())


def events(folder: Path, kind: Optional[str] = None) -> "list[ledger.Event]":
    """What is in the ledger of a folder, or all of a kind."""
    if not (folder / ledger.NAME).exists():
        return []
    found = []
    with open_ledger(folder) as kept:
        while True:
            page = kept.events(found[-1].id if found else 0)
            if not page:
                return [each for each in found if kind in (None, each.event)]
            found += page


def keys_of(record: dict) -> "list[str]":
    accounts = record["accounts"] + record["given"]
    return [each["security"]["key"] for each in accounts if "key" in each["security"]]


def check_refused(folder: Path, text: str, old: str, new: str, sentence: str) -> None:
    """That what has new in place of old is refused, with that sentence behind the file's name.

    FOLDER in it stands for the folder. Several sentences are lines.
    """
    assert old in text
    with pytest.raises(config.ConfigError) as caught:
        load(folder, text.replace(old, new, 1))
    sentence = sentence.replace("FOLDER", str(folder))
    lines = [f"{folder}/factory.toml, {line}" for line in sentence.split("\n")]
    assert str(caught.value).split("\n") == lines


def make_authority(folder: Path, password: bytes = b"", days: int = 4000) -> None:
    """ca.pem, ca.key and server.pem in a folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Factory CA")])
    now = datetime.datetime.now(datetime.timezone.utc)

    def sign(subject, public_key, ca):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + datetime.timedelta(days))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .sign(key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server.example.org")])
    server_key = ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(sign(name, key.public_key(), True))
    (folder / "server.pem").write_bytes(sign(server, server_key.public_key(), False))
    (folder / "ca.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password)
            if password
            else serialization.NoEncryption(),
        )
    )
