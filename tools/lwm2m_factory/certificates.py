"""Certificates: the servers' that boards trust, and the authority that signs the boards' own.

They are read from the files that the configuration names, in PEM or DER.
"""

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Optional, Tuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from . import FactoryError

Ask = Callable[[Path], str]  # asks for the password of a key's file


def der(certificate: x509.Certificate) -> bytes:
    """A certificate as boards have it."""
    return certificate.public_bytes(serialization.Encoding.DER)


@dataclass
class Authority:
    """A CA whose key signs the boards' certificates."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    valid_days: int

    def issue(self, endpoint: str) -> Tuple[bytes, bytes]:
        """A new key, and a certificate for it that the CA signs: DER, and PKCS#8 DER.

        The common name is the endpoint's, as Leshan and RFC 7925 4.4.2 have it.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, endpoint)])
        except ValueError:
            raise FactoryError(
                f"The endpoint name {endpoint} is too long for a certificate: 64 characters at most."
            ) from None
        start = _now().replace(microsecond=0) - datetime.timedelta(1)  # clocks differ
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(self.valid_days))
            .sign(self.key, hashes.SHA256())
        )
        return der(certificate), private_der(key)


def make_pair() -> Tuple[bytes, bytes]:
    """A pair of keys of P-256: SubjectPublicKeyInfo (RFC 7250 3), and PKCS#8, both DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    return public_der(key.public_key()), private_der(key)


def public_der(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def private_der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_of(private: bytes) -> bytes:
    """The public key that belongs to a private one, both DER."""
    return public_der(serialization.load_der_private_key(private, None).public_key())


class Files:
    """Reads what fields of a configuration in that folder name; a key's password is asked for once.

    What is wrong with a file is a FactoryError that begins with its name.
    """

    def __init__(self, folder: Path, ask: Optional[Ask]):
        self.folder = folder
        self._ask = ask
        self._keys: Dict[Path, ec.EllipticCurvePrivateKey] = {}

    def certificate(self, name: str) -> x509.Certificate:
        path, data = self.read(name)
        pem = b"-----BEGIN" in data
        try:
            return (x509.load_pem_x509_certificate if pem else x509.load_der_x509_certificate)(
                data
            )
        except ValueError:
            raise FactoryError(f"{path} is no certificate in PEM or DER.") from None

    def public_key(self, name: str) -> bytes:
        """A public key, as boards have it."""
        path, data = self.read(name)
        pem = b"-----BEGIN" in data
        parse = serialization.load_pem_public_key if pem else serialization.load_der_public_key
        try:
            found = parse(data)
        except ValueError:
            raise FactoryError(f"{path} is no public key in PEM or DER.") from None
        if not isinstance(found, ec.EllipticCurvePublicKey) or found.curve.name != "secp256r1":
            raise FactoryError(f"{path} must be a key of P-256, as boards have.")
        return public_der(found)

    def key(self, name: str) -> ec.EllipticCurvePrivateKey:
        path, data = self.read(name)
        if path not in self._keys:
            found = self._parse_key(path, data)
            if not isinstance(found, ec.EllipticCurvePrivateKey):
                raise FactoryError(f"{path} must be an elliptic curve key, as boards have.")
            self._keys[path] = found
        return self._keys[path]

    def _parse_key(self, path: Path, data: bytes):
        pem = b"-----BEGIN" in data
        parse = serialization.load_pem_private_key if pem else serialization.load_der_private_key
        try:
            return parse(data, None)
        except TypeError:  # it is encrypted
            if self._ask is None:
                raise FactoryError(f"{path} has a password, and nobody can be asked.") from None
        except ValueError:
            raise FactoryError(f"{path} is no private key in PEM or DER.") from None
        try:
            return parse(data, self._ask(path).encode())
        except ValueError:
            raise FactoryError(f"{path} has another password.") from None

    def read(self, name: str) -> Tuple[Path, bytes]:
        path = self.folder / name
        try:
            return path, path.read_bytes()
        except OSError as e:
            raise FactoryError(f"{path} cannot be read: {e.strerror}.") from None


def is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def days_left(certificate: x509.Certificate) -> int:
    """Whole days for which it is valid yet."""
    return (certificate.not_valid_after_utc - _now()).days


def same_key(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
