"""The configuration that boards get, in TOML, and what one board's part of it is.

endpoint = "urn:dev:ops:32473-{serial}"  # {chip_id}, {mac}, {serial}, or a column of the CSV

[network]
type = "wifi"                  # wifi, ppp, ethernet, none
ssid = "line 3"
password = "…"                 # left out: an open network
country = "DE"
address = "dhcp"               # or { ip = "…", mask = "…", gateway = "…", dns = "…" }
# ppp: uart, tx, rx, rts, cts, baud, apn, pin, chat = [["AT", "OK", 2], …],
#      user, password, auth = "pap" or "chap"

[board]                        # all may be left out
led = 25                       # GPIO numbers
button = 14
ntp = "pool.ntp.org"
locked = false
console = 2                    # what a board prints: 0 nothing, 1 failures, 2 events, 3 each request

[app]                          # whatever the application wants to be told
interval = 60

[sleep]                        # left out: it is awake always
mode = "off"                   # light: RAM is kept; deep, of an ESP32: it starts anew, and goes on
awake = 93                     # s, for which it listens after each message; not less than the server has
pin = 9                        # that wakes it when it is connected to ground; none by default

[update]                       # left out: this board takes no updates over the air
target = "thermometer-a"       # what packages for it say
keys = ["one.pem", "two.pem"]  # the vendor's, one or two; public, or private without a password
number = 1                     # of the application that it has: no package may have a lower one

[bootstrap]                    # the bootstrap server account
uri = "coaps://bs.example.org"
hold_off = 0                   # s
account_timeout = 0            # s, 0 for never

[bootstrap.security]           # none without one
mode = "psk"
identity = "{endpoint}"        # that is the default
key = "random"                 # the default; or hexadecimal, or a CSV column: "{key}"
key_bytes = 16                 # of a random one

[[bootstrap.server]]           # not for the board: what the bootstrap server is to give it, as
short_id = 1                   # [[server]]; `export` hands it over. Or server = [] in [bootstrap]

[[server]]                     # a server account in the board, as many as are wanted
short_id = 1
uri = "coaps://server.example.org"
lifetime = 86400               # s
queue = false
# and by their names: min_period, max_period, disable_timeout, store_notifications, mute_send,
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

[[access]]                     # Access Control (/2), for boards with several servers: all of it, or
object = 3                     # none, and the first server has every right
instance = 0                   # left out: who may create instances of the object, C
owner = 1                      # short_id of who has all rights; left out: nobody
rights = { 2 = "R", default = "" }  # letters of RWED by short_id; default: of every other server
"""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from . import FactoryError, image, network, package, pins, toml
from .certificates import Ask, Authority, Files, der
from .patterns import BOARD_VALUES, KEY_BYTES, endpoint_fault, key_fault, names_in
from .sections import ConfigError, Section

PSK, CERTIFICATE, NONE = 0, 2, 3  # Security Modes (/0/x/2)
MODES = {"psk": PSK, "certificate": CERTIFICATE, "none": NONE}
MATCHING = ("exact", "sha256", "sha384", "sha512")  # Matching Types (/0/x/13)
NAMES = {value: name for name, value in MODES.items()}

_TOP = (
    "endpoint", "network", "board", "app", "sleep", "update", "bootstrap", "server", "access",
)  # fmt: skip
_BOOTSTRAP = ("uri", "hold_off", "account_timeout", "security", "server")
_SECONDS = range(1 << 31)
_RIGHTS = {"R": 1, "W": 2, "E": 4, "D": 8, "C": 16}  # /2/x/2
_NONE = 65535  # as instance the object itself, as owner nobody

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

# What the file says.


@dataclass
class Security:
    """How an account is secured."""

    mode: int = NONE
    identity: str = ""  # a pattern
    key: str = field(default="", repr=False)  # "random", hexadecimal, or a pattern
    key_bytes: int = 16
    authority: Optional[Authority] = None
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
    access: dict = field(default_factory=dict)  # the instances of /2

    def names(self) -> List[str]:
        """The names in its patterns that are not a board's own."""
        found = names_in(self.endpoint)
        for account in self.accounts + self.given:
            found += names_in(account.security.identity) + names_in(account.security.key)
        return [name for name in found if name not in (*BOARD_VALUES, "endpoint")]


def load(path: Path, columns: Sequence[str] = ("serial",), ask: Optional[Ask] = None) -> Config:
    """Read a configuration. ConfigError names the line and field that are wrong.

    columns: what patterns may name beside what a board has itself.
    """
    try:
        table, lines = toml.load(path)
    except OSError as e:
        raise ConfigError(f"{path} cannot be read: {e.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not in UTF-8.") from None
    except toml.Wrong as e:
        place = f"{path}, line {e.line}" + (f", column {e.column}" if e.column else "")
        what = f": {e.what}" if e.what else ""
        raise ConfigError(f"{place}: this is no TOML{what}.") from None
    top = Section(path, lines, table)
    top.know(_TOP)
    reader = _Reader((*BOARD_VALUES, *columns), ask)
    endpoint = top.take("endpoint", str)
    reader.check_names(top, "endpoint", endpoint)
    text = endpoint_fault(re.sub(r"\{\w*\}", "x", endpoint))
    if text:
        raise top.error("endpoint", text)
    accounts, given = [], []
    bootstrap = top.section("bootstrap")
    if bootstrap:
        bootstrap.know(_BOOTSTRAP)
        accounts.append(reader.bootstrap(bootstrap))
        if not bootstrap.has("server"):
            # It is asked for here, and not when the boards are in their boxes.
            raise bootstrap.error(
                "server",
                "is missing: give a [[bootstrap.server]], which the bootstrap server is to give boards "
                "and `export` hands over, or server = [] where that is none of this tool's business.",
            )
        given = [reader.server(each, False) for each in bootstrap.sections("server")]
    accounts += [reader.server(each) for each in top.sections("server")]
    if not accounts:
        raise top.error("server", "is missing: give a [[server]] or a [bootstrap].")
    _check_short_ids(accounts)
    _check_short_ids(given)
    settings = {"network": network.read(top.section("network"), top)}
    board = top.section("board")
    if board:
        for name, kind, within in (
            ("led", int, range(256)),
            ("button", int, range(256)),
            ("ntp", str, None),
            ("locked", bool, None),
            ("console", int, range(4)),
        ):
            if board.has(name):
                settings[name] = board.take(name, kind, within=within)
        board.done(("led", "button", "ntp", "locked", "console"))
    sleep = top.section("sleep")
    if sleep:
        settings["sleep"] = _sleep(sleep, accounts)
    pins.check(top, settings)
    app = top.section("app")
    if app:
        settings["app"] = app.rest()
    update = top.section("update")
    if update:
        settings["update"] = _update(update)
    access = _access(top.sections("access"))
    return Config(path, endpoint, accounts, given, settings, top, access)


def _access(sections: List[Section]) -> dict:
    found: "dict[int, dict]" = {}
    for section in sections:
        section.know(("object", "instance", "owner", "rights"))
        target = (
            section.take("object", int, within=range(1, _NONE)),
            section.take("instance", int, _NONE, range(_NONE)),
        )
        if target in [(values[0], values[1]) for values in found.values()]:
            raise section.error(None, "is there twice for that object and instance.")
        owner = section.take("owner", int, _NONE, range(1, _NONE))
        letters = "C" if target[1] == _NONE else "RWED"
        rights = {}
        given = section.section("rights")
        for name, text in given.rest().items() if given else ():
            number = (
                0 if name == "default" else int(name) if re.fullmatch(r"\d{1,5}", name) else -1
            )
            if not 0 <= number < _NONE or (name != "default" and not number):
                raise given.error(name, "is no short_id from 1 to 65534, nor default.")
            if not isinstance(text, str) or not set(text) <= set(letters):
                raise given.error(name, f"must be of the letters {letters}, in quotes.")
            rights[number] = sum(_RIGHTS[letter] for letter in set(text))
        found[len(found)] = {0: target[0], 1: target[1], 2: rights, 3: owner}
    return found


def _sleep(section: Section, accounts: List[Account]) -> dict:
    found = {"mode": section.choice("mode", ("off", "light", "deep"))}
    found["awake"] = section.take("awake", int, 93, range(1, 3601))
    if section.has("pin"):
        found["pin"] = section.take("pin", int, within=range(256))
    section.done(("mode", "awake", "pin"))
    for account in accounts:
        if found["mode"] != "off" and "Q" not in account.server.get(7, "Q"):
            raise account.section.error(
                "queue",
                "must be true: a board that sleeps does not hear a server that may ask always.",
            )
    return found


def _update(section: Section) -> dict:
    target = section.take("target", str)
    if not 0 < len(target.encode()) <= 16:
        raise section.error("target", "must have 1 to 16 bytes.")
    names = section.take("keys", list)
    if not 0 < len(names) <= 2 or not all(isinstance(name, str) for name in names):
        raise section.error("keys", "must name one or two files.")
    keys = []
    for name in names:
        try:
            keys.append(package.raw_key(package.load_public(section.path.parent / name)).hex())
        except FactoryError as e:
            raise section.error("keys", f"cannot be used: {e}") from None
    number = section.take("number", int, 0, range(1 << 32))
    section.done(("target", "keys", "number"))
    return {"target": target, "keys": keys, "number": number}


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
        self._files = Files(ask)

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
        known = ("short_id", "uri", "lifetime", "queue", "store_notifications", "mute_send")
        section.know((*known, "security", *_SERVER_OPTIONS))
        short_id = section.take("short_id", int, within=range(1, 65535))
        values = {
            0: short_id,
            1: section.take("lifetime", int, 86400, _SECONDS),
            6: section.take("store_notifications", bool, True),
            7: "UQ" if section.take("queue", bool, False) else "U",
            23: section.take("mute_send", bool, False),  # absent, it would be in force
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
        authority = self._files.authority(section)
        expected = der(self._files.certificate(section, "server_certificate"))
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
            authority=authority,
            server_certificate=expected,
            options=options,
        )


_CERTIFICATE_FIELDS = (
    "ca_certificate",
    "ca_key",
    "valid_days",
    "server_certificate",
    "matching_type",
    "certificate_usage",
    "sni",
)
