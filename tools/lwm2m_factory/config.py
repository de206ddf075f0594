"""The configuration that boards get, in TOML, and what one board's part of it is.

endpoint = "urn:dev:ops:32473-{serial}"  # {chip_id}, {mac}, {serial}, or a column of the CSV

[network]
type = "wifi"                  # wifi, ppp, ethernet, none
ssid = "line 3"
password = "…"                 # left out: an open network
country = "DE"
address = "dhcp"               # or { ip = "…", mask = "…", gateway = "…", dns = "…" }
# ppp: uart, tx, rx, rts, cts, baud, apn, pin, chat = [["AT", "OK", 2], …]

[board]                        # all may be left out
led = 25                       # GPIO numbers
button = 14
ntp = "pool.ntp.org"
locked = false

[app]                          # whatever the application wants to be told
interval = 60

[bootstrap]                    # the bootstrap server account
uri = "coaps://bs.example.org"
hold_off = 0                   # s
account_timeout = 0            # s, 0 for never

[bootstrap.security]           # none without one
mode = "psk"
identity = "{endpoint}"        # that is the default
key = "random"                 # the default; or hexadecimal, or a CSV column: "{key}"
key_bytes = 16                 # of a random one

[[bootstrap.server]]           # not for the board: what the bootstrap server is to give it,
short_id = 1                   # as [[server]]; `export` hands it over

[[server]]                     # a server account in the board, as many as are wanted
short_id = 1
uri = "coaps://server.example.org"
lifetime = 86400               # s
queue = false
# and by their names: min_period, max_period, disable_timeout, store_notifications,
# priority, delay, block, bootstrap_on_failure, retry_count, retry_timer, sequence_delay,
# sequence_count

[server.security]
mode = "certificate"
ca_certificate = "ca.pem"      # signs the board's, which is made for it; paths are relative
ca_key = "ca.key"              # to this file
valid_days = 7300
server_certificate = "server.pem"
certificate_usage = 3          # /0/x/15
sni = "server.example.org"
cipher_suites = [0xC0AE]       # /0/x/16
"""

import datetime
import difflib
import hashlib
import ipaddress
import json
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import tomlkit
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tomlkit.exceptions import ParseError

from . import FactoryError, image

PSK, CERTIFICATE, NONE = 0, 2, 3  # Security Modes (/0/x/2)
MODES = {"psk": PSK, "certificate": CERTIFICATE, "none": NONE}
MATCHING = ("exact", "sha256", "sha384", "sha512")  # Matching Types (/0/x/13)
NAMES = {value: name for name, value in MODES.items()}

# What every board has by itself; a CSV adds its columns.
BOARD_VALUES = ("chip_id", "mac")

KEY_BYTES = range(16, 65)  # at most 64: RFC 4279 5.3 and the images' mbedTLS
_MAX_IDENTITY = 128  # bytes, RFC 4279 5.1
_MAX_ENDPOINT = 252  # bytes, as Client has it
_SECONDS = range(1 << 31)
_MARK = "\0"  # stands in no TOML
_REQUIRED = object()

# Resources of /1 by the names that they have here, with their type and range.
_SERVER_OPTIONS = {
    "min_period": (2, int),
    "max_period": (3, int),
    "disable_timeout": (5, int),
    "priority": (13, int),
    "delay": (14, int),
    "block": (15, bool),
    "bootstrap_on_failure": (16, bool),
    "retry_count": (17, int),
    "retry_timer": (18, int),
    "sequence_delay": (19, int),
    "sequence_count": (20, int),
}

_TYPES = {str: "a text in quotes", int: "a whole number", bool: "true or false", list: "a list"}


class ConfigError(FactoryError):
    """The configuration is wrong: names file, line and field."""


class Section:
    """A table of the file, from which fields are taken; what is left at the end is unknown."""

    def __init__(self, path: Path, document, table, name: str = ""):
        self.path = path
        self.name = name
        self._document = document
        self._table = table
        self._left = list(table)

    def _line(self, item) -> Optional[int]:
        # tomlkit keeps the text as it was, so a mark in an item's comment shows where it ends.
        trivia = item.trivia
        kept = trivia.comment
        trivia.comment = _MARK
        text = self._document.as_string()
        trivia.comment = kept
        before, mark, _ = text.partition(_MARK)
        lines = item.as_string().count("\n") if not hasattr(item, "items") else 0
        return before.count("\n") + 1 - lines if mark else None

    def _line_of(self, key: Optional[str]) -> int:
        items = [self._table] if key not in self._table else [self._item(key), self._table]
        items += [self._item(k) for k in self._table]  # of a table without a header
        for item in items:
            line = self._line(item) if hasattr(item, "trivia") else None
            if line:
                return line
        return 1

    def _item(self, key: str):
        return self._table.item(key) if hasattr(self._table, "item") else self._table[key]

    def error(self, key: Optional[str], sentence: str) -> ConfigError:
        """What is wrong with a field of this section, or with all of it."""
        name = ".".join(part for part in (self.name, key) if part) or "the file"
        return ConfigError(f"{self.path}, line {self._line_of(key)}: {name} {sentence}")

    def has(self, key: str) -> bool:
        return key in self._table

    def has_table(self, key: str) -> bool:
        return self.has(key) and hasattr(self._item(key), "items")

    def take(self, key: str, kind: type, default=_REQUIRED, within: Optional[range] = None):
        """A field's value. ConfigError where it is missing, of another type, or out of range."""
        if key in self._left:
            self._left.remove(key)
        if key not in self._table:
            if default is _REQUIRED:
                raise self.error(key, "is missing.")
            return default
        value = self._table[key]
        value = value.unwrap() if hasattr(value, "unwrap") else value
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(key, f"must be {_TYPES[kind]}.")
        if kind is str and not value and default is _REQUIRED:
            raise self.error(key, "is empty.")
        if within is not None and value not in within:
            raise self.error(key, f"must be from {within[0]} to {within[-1]}.")
        return value

    def choice(self, key: str, choices: Sequence[str], default=_REQUIRED) -> str:
        value = self.take(key, str, default)
        if value not in choices:
            near = difflib.get_close_matches(value, choices, 1)
            hint = f'; did you mean "{near[0]}"?' if near else "."
            raise self.error(key, f"must be one of {', '.join(choices)}{hint}")
        return value

    def section(self, key: str) -> "Optional[Section]":
        if key in self._left:
            self._left.remove(key)
        if key not in self._table:
            return None
        if not self.has_table(key):
            raise self.error(key, f"must be a table: [{key}].")
        return self._inner(self._item(key), key)

    def sections(self, key: str) -> "List[Section]":
        if key in self._left:
            self._left.remove(key)
        if key not in self._table:
            return []
        items = self._item(key)
        if not isinstance(items, list) or not all(hasattr(item, "items") for item in items):
            raise self.error(key, f"must be a list of tables: [[{key}]].")
        return [self._inner(item, f"{key}[{n}]") for n, item in enumerate(items, 1)]

    def _inner(self, item, key: str) -> "Section":
        name = f"{self.name}.{key}" if self.name else key
        return Section(self.path, self._document, item, name)

    def rest(self) -> dict:
        """All fields that were not taken, as they are; they have to fit into JSON."""
        found = {}
        for key in self._left:
            value = self._table[key]
            value = value.unwrap() if hasattr(value, "unwrap") else value
            try:
                json.dumps(value)
            except TypeError:
                raise self.error(key, "must be made of texts, numbers, true and false.") from None
            found[key] = value
        self._left.clear()
        return found

    def done(self, known: Sequence[str]) -> None:
        """ConfigError where a field is left that nobody has asked for."""
        for key in self._left:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}."
            raise self.error(key, f"is unknown: {hint}")


# Patterns.


def names_in(pattern: str) -> List[str]:
    return re.findall(r"\{(\w*)\}", pattern)


def fill(pattern: str, values: Dict[str, str]) -> str:
    """The pattern with each {name} replaced; KeyError for a name that is not there."""
    return re.sub(r"\{(\w*)\}", lambda match: values[match[1]], pattern)


def endpoint_fault(endpoint: str) -> Optional[str]:
    if not 0 < len(endpoint.encode()) <= _MAX_ENDPOINT:
        return f"must have from 1 to {_MAX_ENDPOINT} bytes."
    if any(ord(c) <= 32 or ord(c) == 127 for c in endpoint):
        return "must not have spaces or control characters."
    return None


def key_fault(text: str) -> Optional[str]:
    """What is wrong with a key in hexadecimal: a sentence without it."""
    if not re.fullmatch(r"[0-9a-fA-F]*", text):
        return "must be hexadecimal."
    if len(text) % 2:
        return f"has {len(text)} digits: two make a byte, so the number must be even."
    if len(text) // 2 not in KEY_BYTES:
        return (
            f"has {len(text) // 2} bytes: a key has from {KEY_BYTES[0]} to {KEY_BYTES[-1]} "
            f"bytes, which are {2 * KEY_BYTES[0]} to {2 * KEY_BYTES[-1]} hexadecimal digits."
        )
    return None


# What the file says.


@dataclass
class Security:
    """How an account is secured."""

    mode: int = NONE
    identity: str = ""  # a pattern
    key: str = field(default="", repr=False)  # "random", hexadecimal, or a pattern
    key_bytes: int = 16
    ca: Optional[x509.Certificate] = None
    ca_key: Optional[ec.EllipticCurvePrivateKey] = field(default=None, repr=False)
    valid_days: int = 0
    server_certificate: bytes = b""  # DER, or the digest of it
    options: dict = field(default_factory=dict)  # further resources of /0


@dataclass
class Account:
    """An account as all boards have it."""

    section: Section
    short_id: Optional[int]  # None: the bootstrap server's
    uri: str
    security: Security
    timers: Tuple[int, int] = (0, 0)  # s: hold-off, account time-out
    server: dict = field(default_factory=dict)  # the resources of /1


@dataclass
class Config:
    """A configuration file that was found to be right."""

    path: Path
    endpoint: str  # a pattern
    accounts: List[Account]
    given: List[Account]  # by the bootstrap server, later
    settings: dict = field(repr=False)
    section: Section

    def names(self) -> List[str]:
        """The names in its patterns that are not a board's own."""
        found = names_in(self.endpoint)
        for account in self.accounts + self.given:
            found += names_in(account.security.identity) + names_in(account.security.key)
        return [name for name in found if name not in (*BOARD_VALUES, "endpoint")]


Ask = Callable[[Path], str]  # asks for the password of a key's file


def load(path: Path, columns: Sequence[str] = ("serial",), ask: Optional[Ask] = None) -> Config:
    """Read a configuration. ConfigError names the line and field that are wrong.

    columns: what patterns may name beside what a board has itself.
    """
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise ConfigError(f"{path} cannot be read: {e.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not in UTF-8.") from None
    except ParseError as e:
        # Its words may quote the text, where a key may stand.
        raise ConfigError(f"{path}, line {e.line}, column {e.col + 1}: this is no TOML.") from None
    top = Section(path, document, document)
    reader = _Reader((*BOARD_VALUES, *columns), ask)
    endpoint = top.take("endpoint", str)
    reader.check_names(top, "endpoint", endpoint)
    text = endpoint_fault(re.sub(r"\{\w*\}", "x", endpoint))
    if text:
        raise top.error("endpoint", text)
    accounts, given = [], []
    bootstrap = top.section("bootstrap")
    if bootstrap:
        accounts.append(reader.bootstrap(bootstrap))
        given = [reader.server(each, False) for each in bootstrap.sections("server")]
        bootstrap.done(("uri", "hold_off", "account_timeout", "security", "server"))
    accounts += [reader.server(each) for each in top.sections("server")]
    if not accounts:
        raise top.error("server", "is missing: give a [[server]] or a [bootstrap].")
    _check_short_ids(accounts)
    _check_short_ids(given)
    settings = {"network": _network(top.section("network"), top)}
    board = top.section("board")
    if board:
        for name, kind, within in (
            ("led", int, range(256)),
            ("button", int, range(256)),
            ("ntp", str, None),
            ("locked", bool, None),
        ):
            if board.has(name):
                settings[name] = board.take(name, kind, within=within)
        board.done(("led", "button", "ntp", "locked"))
    app = top.section("app")
    if app:
        settings["app"] = app.rest()
    top.done(("endpoint", "network", "board", "app", "bootstrap", "server"))
    return Config(path, endpoint, accounts, given, settings, top)


def _check_short_ids(accounts: List[Account]) -> None:
    seen = set()
    for account in accounts:
        if account.short_id in seen:
            raise account.section.error("short_id", f"{account.short_id} is there twice.")
        seen.add(account.short_id)


class _Reader:
    """Reads accounts."""

    def __init__(self, names: Sequence[str], ask: Optional[Ask]):
        self._names = names
        self._ask = ask
        self._keys: Dict[Path, ec.EllipticCurvePrivateKey] = {}

    def check_names(self, section: Section, key: str, pattern: str, *more: str) -> None:
        known = (*self._names, *more)
        for name in names_in(pattern):
            if name not in known:
                choices = ", ".join(f"{{{each}}}" for each in known)
                raise section.error(key, f"has {{{name}}}: choose from {choices}.")
        if re.search(r"[{}]", re.sub(r"\{\w+\}", "", pattern)):
            raise section.error(key, "has a brace that is no {name}.")

    def bootstrap(self, section: Section) -> Account:
        timers = (
            section.take("hold_off", int, 0, _SECONDS),
            section.take("account_timeout", int, 0, _SECONDS),
        )
        uri = self._uri(section)
        return Account(section, None, uri, self._security(section, uri), timers)

    def server(self, section: Section, own: bool = True) -> Account:
        short_id = section.take("short_id", int, within=range(1, 65535))
        values = {
            0: short_id,
            1: section.take("lifetime", int, 86400, _SECONDS),
            6: section.take("store_notifications", bool, True),
            7: "UQ" if section.take("queue", bool, False) else "U",
        }
        for name, (rid, kind) in _SERVER_OPTIONS.items():
            if section.has(name):
                if not own:
                    raise section.error(name, "cannot be given by a bootstrap server's export.")
                values[rid] = section.take(name, kind, within=_SECONDS if kind is int else None)
        uri = self._uri(section)
        security = self._security(section, uri)
        if not own and security.mode == PSK and security.options:
            raise section.error("security", "cannot name cipher_suites for a bootstrap server.")
        known = ("short_id", "uri", "lifetime", "queue", "store_notifications", "security")
        section.done((*known, *_SERVER_OPTIONS))
        return Account(section, short_id, uri, security, server=values)

    def _uri(self, section: Section) -> str:
        uri = section.take("uri", str)
        parts = image.objects.split_uri(uri)
        if not parts or len(uri.encode()) > 255:
            raise section.error("uri", "must be coap://host:port or coaps://host:port.")
        return uri

    def _security(self, section: Section, uri: str) -> Security:
        secure = uri.lower().startswith("coaps:")
        inner = section.section("security")
        mode = MODES[inner.choice("mode", list(MODES))] if inner else NONE
        if secure and mode == NONE:
            raise (inner or section).error(
                "mode" if inner else "security", "must be psk or certificate with a coaps:// URI."
            )
        if not secure and mode != NONE:
            raise inner.error("mode", "must be none with a coap:// URI; or make it coaps://.")
        if mode == NONE:
            if inner:
                inner.done(("mode",))
            return Security()
        found = self._psk(inner) if mode == PSK else self._certificate(inner)
        if inner.has("cipher_suites"):
            suites = inner.take("cipher_suites", list)
            if not all(type(n) is int and 0 <= n <= 0xFFFF for n in suites):
                raise inner.error("cipher_suites", "must be IANA's numbers, such as 0xC0A8.")
            found.options[16] = dict(enumerate(suites))
        known = ("mode", "cipher_suites")
        if mode == PSK:
            inner.done((*known, "identity", "key", "key_bytes"))
        else:
            inner.done((*known, *_CERTIFICATE_FIELDS))
        return found

    def _psk(self, section: Section) -> Security:
        identity = section.take("identity", str, "{endpoint}")
        self.check_names(section, "identity", identity, "endpoint")
        key = section.take("key", str, "random")
        size = section.take("key_bytes", int, 16, KEY_BYTES)
        if names_in(key):
            self.check_names(section, "key", key)
        elif key != "random":
            text = key_fault(key)
            if text:
                raise section.error("key", text)
        return Security(PSK, identity, key, size)

    def _certificate(self, section: Section) -> Security:
        ca = self._read_certificate(section, "ca_certificate")
        try:
            if not ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                raise section.error("ca_certificate", "is not that of a CA.")
        except x509.ExtensionNotFound:
            raise section.error("ca_certificate", "is not that of a CA.") from None
        key = self._read_key(section, "ca_key")
        if not _same_key(ca, key):
            raise section.error("ca_key", "does not belong to ca_certificate.")
        days = section.take("valid_days", int, 7300, range(1, 36500))
        if _now() + datetime.timedelta(days) > ca.not_valid_after_utc:
            left = (ca.not_valid_after_utc - _now()).days
            raise section.error(
                "valid_days",
                f"would outlive the CA's own certificate, which ends in {left} days.",
            )
        server = self._read_certificate(section, "server_certificate")
        expected = server.public_bytes(serialization.Encoding.DER)
        options = {15: section.take("certificate_usage", int, 3, range(4))}
        matching = section.choice("matching_type", MATCHING, "exact")
        if matching != "exact":
            if options[15] == 2:
                raise section.error(
                    "matching_type", "must be exact where certificate_usage is 2: a trust anchor."
                )
            options[13] = MATCHING.index(matching)
            expected = hashlib.new(matching, expected).digest()
        if section.has("sni"):
            options[14] = section.take("sni", str)
        return Security(
            CERTIFICATE,
            ca=ca,
            ca_key=key,
            valid_days=days,
            server_certificate=expected,
            options=options,
        )

    def _read(self, section: Section, key: str) -> Tuple[Path, bytes]:
        path = section.path.parent / section.take(key, str)
        try:
            return path, path.read_bytes()
        except OSError as e:
            raise section.error(key, f"{path} cannot be read: {e.strerror}.") from None

    def _read_certificate(self, section: Section, key: str) -> x509.Certificate:
        path, data = self._read(section, key)
        pem = b"-----BEGIN" in data
        try:
            return (x509.load_pem_x509_certificate if pem else x509.load_der_x509_certificate)(
                data
            )
        except ValueError:
            raise section.error(key, f"{path} is no certificate in PEM or DER.") from None

    def _read_key(self, section: Section, key: str) -> ec.EllipticCurvePrivateKey:
        path, data = self._read(section, key)
        if path not in self._keys:
            found = self._parse_key(section, key, path, data)
            if not isinstance(found, ec.EllipticCurvePrivateKey):
                raise section.error(key, f"{path} must be an elliptic curve key, as boards have.")
            self._keys[path] = found
        return self._keys[path]

    def _parse_key(self, section: Section, key: str, path: Path, data: bytes):
        pem = b"-----BEGIN" in data
        parse = serialization.load_pem_private_key if pem else serialization.load_der_private_key
        try:
            return parse(data, None)
        except TypeError:  # it is encrypted
            if self._ask is None:
                raise section.error(
                    key, f"{path} has a password, and nobody can be asked."
                ) from None
        except ValueError:
            raise section.error(key, f"{path} is no private key in PEM or DER.") from None
        try:
            return parse(data, self._ask(path).encode())
        except ValueError:
            raise section.error(key, f"{path} has another password.") from None


_CERTIFICATE_FIELDS = (
    "ca_certificate",
    "ca_key",
    "valid_days",
    "server_certificate",
    "matching_type",
    "certificate_usage",
    "sni",
)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _same_key(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


# The network.


def _network(section: Optional[Section], top: Section) -> dict:
    if section is None:
        raise top.error("network", 'is missing: give a [network]; its type may be "none".')
    kind = section.choice("type", ("wifi", "ppp", "ethernet", "none"))
    found = {"type": kind}
    if kind == "wifi":
        found.update(_wifi(section))
        known = ("type", "ssid", "password", "country", "address")
    elif kind == "ppp":
        found.update(_ppp(section))
        known = ("type", "uart", "tx", "rx", "rts", "cts", "baud", "apn", "pin", "chat")
    elif kind == "ethernet":
        found["address"] = _address(section)
        found.update(section.rest())  # they differ from chip to chip
        known = ()
    else:
        known = ("type",)
    section.done(known)
    return found


def _wifi(section: Section) -> dict:
    found = {"ssid": section.take("ssid", str)}
    if not 1 <= len(found["ssid"].encode()) <= 32:
        raise section.error("ssid", "must have from 1 to 32 bytes.")
    if section.has("password"):
        password = section.take("password", str)
        if not 8 <= len(password.encode()) <= 63 and not re.fullmatch(
            r"[0-9a-fA-F]{64}", password
        ):
            raise section.error("password", "must have from 8 to 63 characters (WPA).")
        found["password"] = password
    if section.has("country"):
        found["country"] = section.take("country", str)
        if not re.fullmatch(r"[A-Z]{2}", found["country"]):
            raise section.error("country", 'must be two capital letters, such as "DE".')
    found["address"] = _address(section)
    return found


def _address(section: Section):
    if not section.has_table("address"):
        section.choice("address", ("dhcp",), "dhcp")
        return "dhcp"
    inner = section.section("address")
    names = ("ip", "mask", "gateway", "dns")
    found = {name: inner.take(name, str) for name in names}
    for name, value in found.items():
        try:
            ipaddress.IPv4Address(value)
        except ValueError:
            raise inner.error(name, 'must be an IPv4 address, such as "192.0.2.7".') from None
    inner.done(names)
    try:
        net = ipaddress.IPv4Network((found["ip"], found["mask"]), strict=False)
    except ValueError:
        raise inner.error("mask", 'must be a mask, such as "255.255.255.0".') from None
    if ipaddress.IPv4Address(found["gateway"]) not in net:
        raise inner.error("gateway", f"is not in the board's network, {net}.")
    return found


def _ppp(section: Section) -> dict:
    found = {"uart": section.take("uart", int, within=range(8))}
    for name in ("tx", "rx", "rts", "cts"):
        if section.has(name):
            found[name] = section.take(name, int, within=range(256))
    found["baud"] = section.take("baud", int, 115200, range(1200, 4000001))
    if section.has("apn"):
        found["apn"] = section.take("apn", str)
    if section.has("pin"):
        found["pin"] = section.take("pin", str)
        if not re.fullmatch(r"\d{4,8}", found["pin"]):
            raise section.error("pin", "must be 4 to 8 digits, in quotes.")
    if section.has("chat"):
        found["chat"] = section.take("chat", list)
        for step in found["chat"]:
            if not (
                isinstance(step, list)
                and [type(part) for part in step[:2]] == [str, str]
                and len(step) == 3
                and type(step[2]) in (int, float)
                and step[2] > 0
            ):
                raise section.error("chat", 'must be a list of ["send", "expect", seconds].')
    return found


# One board's part.


@dataclass
class Identity:
    """What one board gets. record: what `export` needs of it, with keys, in JSON."""

    endpoint: str
    data: bytes = field(repr=False)  # the provisioning file
    record: dict = field(repr=False)


def endpoint_of(config: Config, values: Dict[str, str]) -> str:
    """The endpoint name of a board with these values; FactoryError where they make none."""
    for name in names_in(config.endpoint):
        if not values.get(name):
            raise FactoryError(
                f"The endpoint name needs {{{name}}}, which this board does not have."
                if name in BOARD_VALUES
                else f"The endpoint name needs {{{name}}}: it is not given."
            )
    endpoint = fill(config.endpoint, values)
    text = endpoint_fault(endpoint)
    if text:
        raise FactoryError(f"The endpoint name {endpoint!r} {text}")
    return endpoint


def identity(config: Config, values: Dict[str, str], earlier: Optional[dict] = None) -> Identity:
    """Make a board's identity. earlier: its record, where it is given again; the keys stay."""
    values = dict(values, endpoint=endpoint_of(config, values))
    endpoint = values["endpoint"]
    keys = {}
    for each in (*earlier["accounts"], *earlier["given"]) if earlier else ():
        if each["security"]["mode"] == "psk":
            keys[_place(each)] = each["security"]["key"]
    state = {0: {}, 1: {}}
    record = {"endpoint": endpoint, "accounts": [], "given": []}
    for given, accounts in ((False, config.accounts), (True, config.given)):
        for account in accounts:
            found = _record(account, given)
            kept = keys.get(_place(found))
            resources = _secure(account, values, kept, found["security"], given)
            record["given" if given else "accounts"].append(found)
            if not given:
                _put(state, account, resources)
    data = image.pack(endpoint, state, config.settings)
    record["sha256"] = hashlib.sha256(data).hexdigest()
    return Identity(endpoint, data, record)


def _place(record: dict) -> Tuple:
    return record.get("short_id"), record["given"]


def _record(account: Account, given: bool) -> dict:
    found = {
        "uri": account.uri,
        "given": given,
        "security": {"mode": NAMES[account.security.mode]},
    }
    if account.short_id is None:
        found["hold_off"], found["account_timeout"] = account.timers
    else:
        found["short_id"] = account.short_id
        found["lifetime"] = account.server[1]
        found["binding"] = account.server[7]
    return found


def _secure(
    account: Account, values: Dict[str, str], kept: Optional[str], record: dict, given: bool
) -> dict:
    # The resources 3 to 5 and the optional ones of /0; the record gets what export needs. kept:
    # the pre-shared key that it had before.
    security = account.security
    if security.mode == PSK:
        name = f"{account.section.name}.security"
        identity_ = _filled(security.identity, values, f"{name}.identity")
        if not 0 < len(identity_.encode()) <= _MAX_IDENTITY:
            raise FactoryError(f"{name}.identity must have from 1 to {_MAX_IDENTITY} bytes.")
        key = security.key
        if key == "random":
            key = kept or secrets.token_hex(security.key_bytes)
        else:
            key = _filled(key, values, f"{name}.key")
            text = key_fault(key)
            if text:
                raise FactoryError(f"{name}.key {text}")
        record["identity"] = identity_
        record["key"] = key.lower()
        return {3: identity_.encode(), 4: b"", 5: bytes.fromhex(key), **security.options}
    if security.mode == CERTIFICATE:
        certificate, key = make_certificate(security, values["endpoint"])
        record["certificate"] = certificate.hex()
        if given:  # the bootstrap server needs all of it; else the key is the board's alone
            record["key"] = key.hex()
            record["server_certificate"] = security.server_certificate.hex()
            for name, rid in (("matching", 13), ("sni", 14), ("usage", 15)):
                if rid in security.options:
                    record[name] = security.options[rid]
            if 16 in security.options:
                record["ciphers"] = list(security.options[16].values())
        return {3: certificate, 4: security.server_certificate, 5: key, **security.options}
    return {3: b"", 4: b"", 5: b""}


def _filled(pattern: str, values: Dict[str, str], name: str) -> str:
    try:
        return fill(pattern, values)
    except KeyError as e:
        raise FactoryError(f"{name} needs {{{e.args[0]}}}: it is not given.") from None


def _put(state: image.State, account: Account, resources: dict) -> None:
    iid = len(state[0])
    own = account.short_id is None
    state[0][iid] = {0: account.uri, 1: own, 2: account.security.mode, **resources}
    if own:
        state[0][iid].update({11: account.timers[0], 12: account.timers[1]})
    else:
        state[0][iid][10] = account.short_id
        state[1][len(state[1])] = dict(account.server)


def make_certificate(security: Security, endpoint: str) -> Tuple[bytes, bytes]:
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
        .issuer_name(security.ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(security.valid_days))
        .sign(security.ca_key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.DER),
        key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
