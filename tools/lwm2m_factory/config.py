"""The configuration that boards get, in TOML.

What can stand in it is declared once: Configuration here, with the tables of modules network, accounts and access.
What is wrong with a file, the JSON Schema that `lwm2m-factory schema` prints, and the list of fields in
tools/README.md come from that.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Dict, Iterator, List, Literal, Optional, Sequence, Tuple, Union

from pydantic import Field, PlainValidator, ValidationError, ValidationInfo, WithJsonSchema

from . import FactoryError, access, accounts, application, faults, network, package, pins, toml
from .access import Access
from .accounts import Bootstrap, Given, Server
from .certificates import Ask, Files
from .faults import ConfigError, Fault, Source
from .fields import Anything, EndpointPattern, Pin, Table, Text, context, size, whole, wrong
from .network import Network
from .patterns import BOARD_VALUES, names_in
from .reference import schema_of


class Board(Table):
    """What is on the board, and how it is kept."""

    led: Optional[Pin] = Field(None, description="GPIO number")
    button: Optional[Pin] = Field(None, description="GPIO number")
    ntp: Optional[Text] = Field(None, description="the server that tells the time")
    locked: Optional[bool] = Field(None, description="whether its REPL is closed for good")
    console: Optional[whole(0, 3)] = Field(
        None,
        description="what it prints: 0 nothing, 1 failures, 2 events, 3 each request; left out: `2`",
    )


class Sleep(Table):
    """How a board sleeps, whose servers have queue = true; without this table it is awake always."""

    mode: Literal["off", "light", "deep"] = Field(
        description="light: RAM is kept; deep, of an ESP32: it starts anew, and goes on"
    )
    awake: whole(1, 3600) = Field(
        93, description="s, for which it listens after each message; not less than the server has"
    )
    pin: Optional[Pin] = Field(
        None, description="GPIO number, that wakes it when it is connected to ground"
    )


def _vendor_keys(names: Any, info: ValidationInfo) -> List[str]:
    if (
        not isinstance(names, list)
        or not 0 < len(names) <= 2
        or not all(isinstance(name, str) for name in names)
    ):
        raise wrong("must name one or two files.")
    folder = info.context.files.folder
    try:
        return [package.raw_key(package.load_public(folder / name)).hex() for name in names]
    except FactoryError as e:
        raise wrong(f"cannot be used: {e}") from None


class Update(Table):
    """Updates over the air; without this table a board takes none."""

    target: size(1, 16) = Field(description="what packages for it say")
    keys: Annotated[
        List[str],
        PlainValidator(_vendor_keys),
        WithJsonSchema(
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2}
        ),
    ] = Field(
        description="files, one or two: the vendor's public keys, or private ones without a password"
    )
    number: whole(0, (1 << 32) - 1) = Field(
        0, description="of the application that it has: no package may have a lower one"
    )


class Configuration(Table):
    """What boards get."""

    endpoint: EndpointPattern = Field(
        description="the boards' endpoint name, with {chip_id}, {mac}, {serial} or a column of the CSV"
    )
    application: Optional[Text] = Field(
        None,
        description="the application's app.py, whose SETTINGS is a JSON Schema that [app] must meet",
    )
    network: Network
    board: Optional[Board] = None
    app: Optional[Dict[str, Anything]] = Field(
        None, description="whatever the application wants to be told"
    )
    sleep: Optional[Sleep] = None
    update: Optional[Update] = None
    bootstrap: Optional[Bootstrap] = None
    server: List[Server] = Field([], description="accounts in the board")
    access: List[Access] = Field([], description="Access Control, /2")

    def settings(self) -> dict:
        """What boards are told beside their accounts."""
        found = {"network": self.network.told()}
        if self.board:
            found.update(self.board.told())
        for name in ("sleep", "app", "update"):
            section = getattr(self, name)
            if section is not None:
                found[name] = section.told() if isinstance(section, Table) else section
        return found


SCHEMA = schema_of(Configuration)


@dataclass(frozen=True)
class Account:
    """An account, and where it stands."""

    place: toml.Place
    table: Union[Bootstrap, Server, Given] = field(repr=False)

    @property
    def name(self) -> str:
        return faults.shown(self.place)


@dataclass
class Config:
    """A configuration file that was found to be right."""

    source: Source
    endpoint: str  # a pattern
    accounts: List[Account]
    given: List[Account]  # by the bootstrap server, later
    settings: dict = field(repr=False)
    access: dict = field(default_factory=dict)  # the instances of /2

    def names(self) -> List[str]:
        """The names in its patterns that are not a board's own."""
        texts, keys = self._patterns()
        return [name for name in texts + keys if name not in (*BOARD_VALUES, "endpoint")]

    def key_names(self) -> List[str]:
        """Those of keys only, in which case does not count."""
        texts, keys = self._patterns()
        return [name for name in keys if name not in texts]

    def _patterns(self) -> "Tuple[List[str], List[str]]":
        texts, keys = names_in(self.endpoint), []
        for account in self.accounts + self.given:
            if account.table.security.mode == "psk":
                texts += names_in(account.table.security.identity)
                keys += names_in(account.table.security.key)
        return texts, keys


def load(path: Path, columns: Sequence[str] = ("serial",), ask: Optional[Ask] = None) -> Config:
    """Read a configuration. ConfigError names the lines and fields that are wrong.

    columns: what patterns may name beside what a board has itself.
    """
    try:
        table, places = toml.load(path)
    except OSError as e:
        raise ConfigError(f"{path} cannot be read: {e.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not in UTF-8.") from None
    except toml.Wrong as e:
        place = f"{path}, line {e.line}" + (f", column {e.column}" if e.column else "")
        what = f": {e.what}" if e.what else ""
        raise ConfigError(f"{place}: this is no TOML{what}.") from None
    source = Source(path, table, places)
    wrongs = [*_across(table), *_off_application(table, path.parent)]
    try:
        read = Configuration.model_validate(
            table, context=context(columns, Files(path.parent, ask))
        )
    except ValidationError as e:
        raise source.error(*wrongs, *faults.of(e, table, SCHEMA)) from None
    if wrongs:
        raise source.error(*wrongs)
    found = [Account(("server", n), each) for n, each in enumerate(read.server)]
    given = []
    if read.bootstrap:
        found.insert(0, Account(("bootstrap",), read.bootstrap))
        given = [
            Account(("bootstrap", "server", n), each)
            for n, each in enumerate(read.bootstrap.server)
        ]
    instances = {n: each.resources() for n, each in enumerate(read.access)}
    return Config(source, read.endpoint, found, given, read.settings(), instances)


# What fields must be together. It is looked for in what the file says, right or not, so that it is told
# with everything else.


def _across(table: dict) -> Iterator[Fault]:
    bootstrap = table.get("bootstrap")
    if "network" not in table:
        yield ("network",), 'is missing: give a [network]; its type may be "none".'
    if bootstrap is None and table.get("server", []) == []:
        yield ("server",), "is missing: give a [[server]] or a [bootstrap]."
    if isinstance(bootstrap, dict):
        yield from _secured(("bootstrap",), bootstrap)
        if "server" not in bootstrap:
            yield (
                ("bootstrap", "server"),
                (
                    "is missing: give a [[bootstrap.server]], which the bootstrap server is to give "
                    "boards and `export` hands over, or server = [] where that is none of this tool's "
                    "business."
                ),
            )
        yield from _servers(("bootstrap", "server"), bootstrap.get("server"))
    yield from _servers(("server",), table.get("server"))
    yield from _heard(table)
    yield from network.check(table)
    yield from pins.check(table)
    yield from access.check(table)


def _heard(table: dict) -> Iterator[Fault]:
    # Of servers of a board that sleeps.
    sleep, servers = table.get("sleep"), table.get("server")
    if not isinstance(sleep, dict) or sleep.get("mode") not in ("light", "deep"):
        return
    for n, server in enumerate(servers if isinstance(servers, list) else []):
        if isinstance(server, dict) and server.get("queue", False) is False:
            yield (
                ("server", n, "queue"),
                "must be true: a board that sleeps does not hear a server that may ask always.",
            )


def _off_application(table: dict, folder: Path) -> Iterator[Fault]:
    name, settings = table.get("application"), table.get("app", {})
    if not name or not isinstance(name, str) or not isinstance(settings, dict):
        return
    try:
        schema = application.schema_of(folder / name)
    except FactoryError as e:
        yield ("application",), f"cannot be used: {e}"
        return
    yield from application.faults(schema, settings)


def _servers(place: toml.Place, servers: object) -> Iterator[Fault]:
    seen = set()
    for n, server in enumerate(servers if isinstance(servers, list) else []):
        if not isinstance(server, dict):
            continue
        short_id = server.get("short_id")
        if type(short_id) is int:
            if short_id in seen:
                yield (*place, n, "short_id"), f"{short_id} is there twice."
            seen.add(short_id)
        yield from _secured((*place, n), server)
        security = server.get("security")
        if place[0] != "bootstrap":
            continue
        for name in accounts.OPTIONAL:
            if name in server:
                yield (*place, n, name), "cannot be given by a bootstrap server's export."
        if isinstance(security, dict) and security.get("mode") in ("psk", "rpk"):
            if "cipher_suites" in security:
                yield (
                    (*place, n, "security", "cipher_suites"),
                    "can be given by a bootstrap server with certificates only.",
                )


def _secured(place: toml.Place, account: dict) -> Iterator[Fault]:
    uri, security = account.get("uri"), account.get("security", {})
    if not isinstance(uri, str) or not isinstance(security, dict):
        return
    secure = uri.lower().startswith("coaps:")
    mode = security.get("mode", "none" if not security else None)
    if secure and mode == "none":
        where = ("security", "mode") if security else ("security",)
        yield (*place, *where), "must be psk, rpk or certificate with a coaps:// URI."
    elif uri.lower().startswith("coap:") and mode in accounts.MODES and mode != "none":
        yield (*place, "security", "mode"), "must be none with a coap:// URI; or make it coaps://."
