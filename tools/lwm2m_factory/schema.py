"""The tables of a ledger, and the databases that they lie in: SQLite's files, or PostgreSQL.

Secrets have tables of their own: in SQLite a second file of mode 0600, in PostgreSQL tables that can
be granted to others than the rest.
"""

import os
import secrets as random
import sqlite3
import stat
from pathlib import Path
from typing import Union

import sqlalchemy as sa

from . import FactoryError

VERSION = 1  # of the tables. A later one comes with what makes it of the earlier one's tables
_BUSY_S = 60  # how long one station waits for another one's transaction, which takes milliseconds
_LOCK = 0x6C776D32  # "lwm2", of PostgreSQL's advisory locks
_SECRETS = "secrets"

_tables = sa.MetaData()

meta = sa.Table(
    "lwm2m_meta",
    _tables,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
# What a board is, and has now.
boards = sa.Table(
    "lwm2m_boards",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("chip", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False, index=True),
    sa.Column("row", sa.Text),
    sa.Column("mac", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
)
# What is a board's and nobody else's, in canonical form: that no identity is given twice is this
# table's primary key, whatever stations do.
claims = sa.Table(
    "lwm2m_claims",
    _tables,
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("board", sa.ForeignKey(boards.c.id), nullable=False, index=True),
    sa.PrimaryKeyConstraint("kind", "value"),
)
# What was done. Only ever appended to, and without secrets.
events = sa.Table(
    "lwm2m_events",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("time", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("chip", sa.Text, index=True),
    sa.Column("endpoint", sa.Text, index=True),
    sa.Column("row", sa.Text),
    sa.Column("details", sa.Text, nullable=False),  # JSON
)
secrets = sa.Table(
    "lwm2m_secrets",
    _tables,
    sa.Column("board", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
    schema=_SECRETS,
)
secret_meta = sa.Table(
    "lwm2m_secret_meta",
    _tables,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
    schema=_SECRETS,
)


def is_url(where: Union[str, Path]) -> bool:
    return isinstance(where, str) and "://" in where


def secrets_of(path: Path) -> Path:
    """The file of secrets that belongs to a ledger's file."""
    return path.with_name(path.name + ".secrets")


def shown(where: Union[str, Path]) -> str:
    """The ledger's name for a person: a URL without its password."""
    if not is_url(where):
        return str(where)
    try:
        return sa.make_url(where).render_as_string(hide_password=True)
    except (sa.exc.ArgumentError, ValueError):
        return "the ledger's URL"


def engine(where: Union[str, Path]) -> sa.Engine:
    """A database whose every transaction is alone at work there, from its first statement on."""
    return _postgresql(where) if is_url(where) else _sqlite(Path(where))


def prepare(connection: sa.Connection, where: Union[str, Path]) -> None:
    """Make the tables where they are not there yet; FactoryError where they are not ours."""
    if not sa.inspect(connection).has_table(meta.name):
        _tables.create_all(connection)
        name = random.token_hex(16)
        connection.execute(
            meta.insert(),
            [{"name": "version", "value": str(VERSION)}, {"name": "id", "value": name}],
        )
        connection.execute(
            secret_meta.insert(),
            [
                {"name": "id", "value": name.encode()},
                {"name": "pepper", "value": random.token_bytes(32)},
            ],
        )
        return
    known = {row.name: row.value for row in connection.execute(meta.select())}
    if int(known["version"]) > VERSION:
        raise FactoryError(
            f"{shown(where)} was written by a newer lwm2m-factory: update this one."
        )
    own = sa.select(secret_meta.c.value).where(secret_meta.c.name == "id")
    if connection.scalar(own) != known["id"].encode():
        raise FactoryError(
            f"The secrets beside {shown(where)} are those of another ledger: put back its own."
        )


def _postgresql(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise FactoryError(
            "--ledger must be a file, or postgresql://user@host:port/database."
        ) from None
    if parsed.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise FactoryError(
            f"--ledger cannot be {parsed.drivername}://: give a file, or postgresql://."
        )
    try:
        found = sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            # A station that hears nothing any more says so.
            connect_args={"connect_timeout": 10, "tcp_user_timeout": 30000},
            execution_options={"schema_translate_map": {_SECRETS: None}},
        )
    except ImportError:
        raise FactoryError(
            "PostgreSQL needs psycopg: pip install 'lwm2m-factory[postgresql]'."
        ) from None

    @sa.event.listens_for(found, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")

    return found


def _sqlite(path: Path) -> sa.Engine:
    other = secrets_of(path)
    if path.exists() and path.stat().st_size and not other.exists():
        raise FactoryError(f"{other} is missing: put it back beside {path}, to which it belongs.")
    for name, mode in ((other, 0o600), (path, 0o644)):
        try:
            os.close(os.open(name, os.O_RDWR | os.O_CREAT, mode))
        except OSError as e:
            raise FactoryError(f"{name} cannot be written: {e.strerror}.") from None
    check_mode(other)
    # A name in a URI, so that a file that is taken away is missed, and not begun again.
    opened, attached = (f"{name.resolve().as_uri()}?mode=rw" for name in (path, other))
    found = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(opened, timeout=_BUSY_S, uri=True),
        poolclass=sa.pool.NullPool,
    )

    @sa.event.listens_for(found, "connect")
    def connect(connection, record) -> None:
        connection.isolation_level = None  # transactions begin below
        connection.execute(f"ATTACH ? AS {_SECRETS}", (attached,))
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA {_SECRETS}.secure_delete = ON")
        for schema in ("main", _SECRETS):  # on the disk when a transaction ends
            connection.execute(f"PRAGMA {schema}.synchronous = FULL")

    @sa.event.listens_for(found, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # of both files

    return found


def check_mode(path: Path) -> None:
    """FactoryError where a file with secrets may be read by others."""
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise FactoryError(
            f"{path} has keys in it and may be read by others: chmod 600 {path}, and think about "
            "who may have read it."
        )
