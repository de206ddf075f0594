"""Certificates: what the authority makes for a board, and what is wrong with the files of its own."""

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from lwm2m_factory import config, identity, image
from samples import CERTIFICATE, VALUES, check_refused, load, make_authority


def test_certificate(authority: Path) -> None:
    found = load(authority, CERTIFICATE)
    made = identity.make(found, VALUES)
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
    assert image.unpack(identity.make(found, VALUES).data).state[0][0][5] != account[5]


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_digest_of_the_server_certificate(authority: Path, name: str) -> None:
    text = CERTIFICATE + f'matching_type = "{name}"\n'
    account = image.unpack(identity.make(load(authority, text), VALUES).data).state[0][0]
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


# What is replaced in CERTIFICATE, and the sentence behind the file's name.
WRONG = [
    (
        "ca.pem",
        "none.pem",
        (
            "line 10, column 1: server[1].security.ca_certificate FOLDER/none.pem "
            "cannot be read: No such file or directory."
        ),
    ),
    (
        '"ca.pem"',
        '"ca.key"',
        (
            "line 10, column 1: server[1].security.ca_certificate FOLDER/ca.key "
            "is no certificate in PEM or DER."
        ),
    ),
    (
        '"ca.pem"',
        '"server.pem"',
        ("line 10, column 1: server[1].security.ca_certificate is not that of a CA."),
    ),
    (
        '"ca.key"',
        '"other.key"',
        ("line 11, column 1: server[1].security.ca_key does not belong to ca_certificate."),
    ),
    (
        "1000",
        "5000",
        (
            "line 13, column 1: server[1].security.valid_days would outlive the CA's "
            "own certificate, which ends in 3999 days."
        ),
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "sentence"), WRONG, ids=[row[2].split(" ", 2)[2] for row in WRONG]
)
def test_wrong(authority: Path, old: str, new: str, sentence: str) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (authority / "other.key").write_bytes(other)
    check_refused(authority, CERTIFICATE, old, new, sentence)
