"""What `make run` gives the servers and the client to know each other by: none, psk, rpk or cert.

The bootstrap server knows the client by the pre-shared key of the client's example, by its raw
public key, or by a certificate. The server's key for the client is new on each run, and so are all
key pairs and certificates.
"""

import datetime
import json
import secrets
from pathlib import Path
from typing import Dict, List, Optional

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lwm2m_factory.files import private, private_folder

MODES = ("psk", "rpk", "cert", "none")
ENDPOINT = "IOWA_Client"
SERVER_NAME = "server.example.org"  # what the servers' certificate is for
# Of lib/lwm2m/examples/secure_client.py; the identity is not the endpoint name.
IDENTITY = "IOWA_CLIENT"
KEY = b"0123456789"

_TRUST_ANCHOR = 2  # Certificate Usage (/0/x/15)


class Security:
    """Files for one run that others cannot read, and what to tell each process."""

    def __init__(self, mode: str, folder: Path) -> None:
        self.mode = mode
        self.scheme = "coap" if mode == "none" else "coaps"
        self.client: "List[object]" = []  # arguments behind the URI
        self.server: "List[object]" = []  # behind port and host
        self.bootstrap_server: "List[object]" = []
        self._folder = folder
        private_folder(folder)
        folder.chmod(0o700)
        self._given: "Optional[Dict[str, object]]" = None  # security of the client's account
        self._bootstrap: "Optional[Dict[str, object]]" = (
            None  # of its account of the bootstrap server
        )
        self._entry: "Dict[str, object]" = {}  # of the client in the bootstrap server's table
        if mode == "psk":
            self._psk()
        elif mode == "rpk":
            self._raw_public_keys()
        elif mode == "cert":
            self._certificates()

    def accounts(self, uri: str, lifetime: int, bootstrap_uri: Optional[str] = None) -> Path:
        """The bootstrap server's table: one server at that URI, and a new bootstrap account."""
        server: "Dict[str, object]" = {"short_id": 1, "uri": uri, "lifetime": lifetime}
        if self._given:
            server["security"] = self._given
        entry: "Dict[str, object]" = {**self._entry, "servers": [server]}
        if bootstrap_uri:
            bootstrap: "Dict[str, object]" = {"uri": bootstrap_uri}
            if self._bootstrap:
                bootstrap["security"] = self._bootstrap
            entry["bootstrap"] = bootstrap
        return self._json("accounts.json", {ENDPOINT: entry})

    def _json(self, name: str, value: object) -> Path:
        return self._file(name, json.dumps(value, indent=2).encode() + b"\n")

    def _file(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        with private(path) as f:
            f.write(data)
        return path

    def _psk(self) -> None:
        self.client = ["psk"]
        self._bootstrap = {"mode": "psk", "identity": IDENTITY, "key": KEY.hex()}
        self._entry = {"security": self._bootstrap}
        self._given = {"mode": "psk", "identity": ENDPOINT, "key": secrets.token_hex(16)}
        self.server = [self._json("clients.json", {ENDPOINT: {"security": self._given}})]

    def _raw_public_keys(self) -> None:
        files: "Dict[str, bytes]" = {}
        for name in ("server", "client"):
            key = ec.generate_private_key(ec.SECP256R1())
            files[f"{name}.pub"] = key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            files[f"{name}.key"] = _private(key)
        for name, data in files.items():
            self._file(name, data)
        public = files["client.pub"].hex()
        self._entry = {"security": {"mode": "rpk", "public_key": public}}
        self._given = {
            "mode": "rpk",
            "public_key": public,
            "server_public_key": files["server.pub"].hex(),
            "key": files["client.key"].hex(),
        }
        self._bootstrap = self._given
        own = [self._folder / name for name in ("server.pub", "server.key")]
        self.client = ["rpk", self._folder]
        self.server = [self._json("clients.json", {ENDPOINT: self._entry}), *own]
        self.bootstrap_server = own

    def _certificates(self) -> None:
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca = _certificate("CA of make run", ca_key, None, ca_key)
        files = {"ca.crt": _der(ca)}
        for name, common_name in (("server", SERVER_NAME), ("client", ENDPOINT)):
            key = ec.generate_private_key(ec.SECP256R1())
            files[f"{name}.crt"] = _der(_certificate(common_name, key, ca, ca_key))
            files[f"{name}.key"] = _private(key)
        for name, data in files.items():
            self._file(name, data)
        own = [self._folder / name for name in ("server.crt", "server.key", "ca.crt")]
        self.client = ["cert", self._folder, SERVER_NAME]
        self.server = ["-", *own]
        self.bootstrap_server = own
        self._given = {
            "mode": "certificate",
            "certificate": files["client.crt"].hex(),
            "server_certificate": files["ca.crt"].hex(),
            "key": files["client.key"].hex(),
            "usage": _TRUST_ANCHOR,
            "sni": SERVER_NAME,
        }
        self._bootstrap = self._given


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    ca: Optional[x509.Certificate],
    ca_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.subject if ca else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca is None, path_length=None), critical=True)
    )
    if ca and "." in name:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        )
    return builder.sign(ca_key, hashes.SHA256())


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
