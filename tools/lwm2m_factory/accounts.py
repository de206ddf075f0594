"""The accounts of a board: [bootstrap], [[server]] and [[bootstrap.server]] of the configuration."""

import hashlib
from typing import Annotated, Any, Dict, List, Literal, Optional, Union

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field, PlainValidator, ValidationInfo, WithJsonSchema, field_validator

from . import FactoryError, certificates, image
from .fields import (
    IdentityPattern,
    KeyPattern,
    Seconds,
    Table,
    must,
    says,
    whole,
    wrong,
)
from .patterns import KEY_BYTES

# Security Modes (/0/x/2), by their names here.
MODES = {"psk": 0, "rpk": 1, "certificate": 2, "none": 3}
NAMES = {value: name for name, value in MODES.items()}
MATCHING = ("exact", "sha256", "sha384", "sha512")  # Matching Types (/0/x/13)


def _uri_fault(text: str) -> Optional[str]:
    if image.objects.split_uri(text) and len(text.encode()) <= 255:
        return None
    return "must be coap://host:port or coaps://host:port."


Uri = Annotated[str, must(_uri_fault)]
Suite = Annotated[
    int, Field(ge=0, le=0xFFFF), says("must be one of IANA's numbers, such as 0xC0A8.")
]


def _named(read):
    # A field that names a file, and is what is in it.
    def check(value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str) or not value:
            raise wrong("must name a file.")
        try:
            return read(info.context.files, value)
        except FactoryError as e:
            raise wrong(str(e)) from None

    return PlainValidator(check)


_NAME = WithJsonSchema({"type": "string", "minLength": 1})
PublicKeyFile = Annotated[bytes, _named(lambda files, name: files.public_key(name)), _NAME]
CertificateFile = Annotated[
    x509.Certificate, _named(lambda files, name: files.certificate(name)), _NAME
]
KeyFile = Annotated[ec.EllipticCurvePrivateKey, _named(lambda files, name: files.key(name)), _NAME]


class _Secured(Table):
    """What accounts with DTLS have in common."""

    cipher_suites: List[Suite] = Field(
        [], description="/0/x/16, the best one first; IANA's numbers"
    )

    def resources(self) -> Dict[int, object]:
        """The resources of /0 that are optional."""
        return {16: dict(enumerate(self.cipher_suites))} if self.cipher_suites else {}


class Psk(_Secured):
    """A pre-shared key."""

    mode: Literal["psk"] = Field(description="how the account is secured")
    identity: IdentityPattern = Field(
        "{endpoint}", description="by which the server finds the key"
    )
    key: KeyPattern = Field(
        "random", description="or hexadecimal, or a column of the CSV: {key}", repr=False
    )
    key_bytes: whole(KEY_BYTES[0], KEY_BYTES[-1]) = Field(16, description="of a random key")


class Rpk(_Secured):
    """Raw public keys: a pair of P-256 is made for each board, whose public key the server has to know."""

    mode: Literal["rpk"] = Field(description="how the account is secured")
    server_public_key: PublicKeyFile = Field(
        description="by which boards know the server; of P-256"
    )


class Certificate(_Secured):
    """X.509: a key and a certificate are made for each board."""

    mode: Literal["certificate"] = Field(description="how the account is secured")
    ca_certificate: CertificateFile = Field(description="the CA's; signs the boards' certificates")
    ca_key: KeyFile = Field(description="the CA's; a password is asked for", repr=False)
    valid_days: whole(1, 36499) = Field(7300, description="of the boards' certificates")
    server_certificate: CertificateFile = Field(description="by which boards know the server")
    certificate_usage: whole(0, 3) = Field(
        3, description="/0/x/15: 0 and 2 name a CA, 1 and 3 the server itself"
    )
    matching_type: Literal["exact", "sha256", "sha384", "sha512"] = Field(
        "exact", description="/0/x/13: what boards keep of server_certificate"
    )
    sni: Optional[str] = Field(
        None, description="/0/x/14: the name that the server is asked for by"
    )

    @field_validator("ca_certificate")
    @classmethod
    def _is_authority(cls, found: x509.Certificate) -> x509.Certificate:
        if not certificates.is_authority(found):
            raise wrong("is not that of a CA.")
        return found

    @field_validator("ca_key")
    @classmethod
    def _belongs(
        cls, key: ec.EllipticCurvePrivateKey, info: ValidationInfo
    ) -> ec.EllipticCurvePrivateKey:
        ca = info.data.get("ca_certificate")
        if ca and not certificates.same_key(ca, key):
            raise wrong("does not belong to ca_certificate.")
        return key

    @field_validator("valid_days")
    @classmethod
    def _ends_before(cls, days: int, info: ValidationInfo) -> int:
        ca = info.data.get("ca_certificate")
        left = certificates.days_left(ca) if ca else days
        if days > left:
            raise wrong(f"would outlive the CA's own certificate, which ends in {left} days.")
        return days

    @field_validator("matching_type")
    @classmethod
    def _is_whole(cls, matching: str, info: ValidationInfo) -> str:
        if matching != "exact" and info.data.get("certificate_usage") == 2:
            raise wrong("must be exact where certificate_usage is 2: a trust anchor.")
        return matching

    @property
    def authority(self) -> certificates.Authority:
        return certificates.Authority(self.ca_certificate, self.ca_key, self.valid_days)

    def expected(self) -> bytes:
        """What the board knows the server by (/0/x/4)."""
        data = certificates.der(self.server_certificate)
        return (
            data
            if self.matching_type == "exact"
            else hashlib.new(self.matching_type, data).digest()
        )

    def resources(self) -> Dict[int, object]:
        found = {15: self.certificate_usage, **super().resources()}
        if self.matching_type != "exact":
            found[13] = MATCHING.index(self.matching_type)
        if self.sni is not None:
            found[14] = self.sni
        return found


class NoSec(Table):
    """No DTLS, with a coap:// URI; so it is without the table too."""

    mode: Literal["none"] = Field("none", description="how the account is secured")


Security = Annotated[Union[Psk, Rpk, Certificate, NoSec], Field(discriminator="mode")]


class Account(Table):
    """An account as all boards have it."""

    uri: Uri = Field(description="coap://host:port or coaps://host:port")
    security: Security = Field(NoSec(), description="a table; of each mode its own")


class Given(Account):
    """A server's account that is not in the board: what the bootstrap server is to give it."""

    short_id: whole(1, 65534) = Field(description="of the server, /1/x/0")
    lifetime: Seconds = Field(86400, description="s")
    queue: bool = Field(False, description="whether the board sleeps between its messages")
    store_notifications: bool = Field(True, description="while the server cannot be reached")
    mute_send: bool = Field(False, description="whether the board may not send unasked, /1/x/23")

    def resources(self) -> Dict[int, object]:
        """The resources of /1."""
        return {
            0: self.short_id,
            1: self.lifetime,
            6: self.store_notifications,
            7: "UQ" if self.queue else "U",
            23: self.mute_send,  # absent, it would be in force
        }


class Server(Given):
    """A server's account in the board."""

    min_period: Optional[Seconds] = Field(None, description="s, /1/x/2")
    max_period: Optional[Seconds] = Field(None, description="s, /1/x/3")
    disable_timeout: Optional[Seconds] = Field(None, description="s, /1/x/5")
    priority: Optional[Seconds] = Field(None, description="/1/x/13")
    delay: Optional[Seconds] = Field(None, description="s, /1/x/14")
    block: Optional[bool] = Field(None, description="/1/x/15")
    bootstrap_on_failure: Optional[bool] = Field(None, description="/1/x/16")
    retry_count: Optional[Seconds] = Field(None, description="/1/x/17")
    retry_timer: Optional[Seconds] = Field(None, description="s, /1/x/18")
    sequence_delay: Optional[Seconds] = Field(None, description="s, /1/x/19")
    sequence_count: Optional[Seconds] = Field(None, description="/1/x/20")

    def resources(self) -> Dict[int, object]:
        found = super().resources()
        for name, rid in OPTIONAL.items():
            value = getattr(self, name)
            if value is not None:
                found[rid] = value
        return found


# Resources of /1 that may be left out, by their names here.
OPTIONAL = {
    "min_period": 2,
    "max_period": 3,
    "disable_timeout": 5,
    "priority": 13,
    "delay": 14,
    "block": 15,
    "bootstrap_on_failure": 16,
    "retry_count": 17,
    "retry_timer": 18,
    "sequence_delay": 19,
    "sequence_count": 20,
}


class Bootstrap(Account):
    """The bootstrap server's account."""

    hold_off: Seconds = Field(0, description="s")
    account_timeout: Seconds = Field(0, description="s, 0 for never")
    # It is asked for here, and not when the boards are in their boxes.
    server: List[Given] = Field(
        description="what the bootstrap server is to give boards: `export` hands it over; [] where "
        "that is none of this tool's business"
    )
