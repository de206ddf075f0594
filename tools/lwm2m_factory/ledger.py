"""What was given to which board: a database, which any number of stations use at once.

A transaction is noted in it, and on the disk, before the board is touched, so that what a board may
have is known whatever happens; that nothing is given twice is a constraint of the database. What
was done is appended as events, without secrets; secrets are kept apart (module schema).
"""

import contextlib
import datetime
import hashlib
import hmac
import json
import threading
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import sqlalchemy as sa

from . import FactoryError, sealing
from .canonical import hexadecimal
from .identity import Identity
from .schema import boards, claims, engine, events, meta, prepare, secret_meta, secrets, shown

NAME = "factory.ledger"  # in the folder of the configuration
ASSIGNED = "assigned"
DONE = "done"
FAILED = "failed"
FORGOTTEN = "forgotten"  # its chip may get another identity, nobody its own
FREED = "freed"  # forgotten, and its identity may be given again
LABELLED = "labelled"  # once more
REPLACED = "replaced"  # its identity has gone to another chip

_SUCCESSOR = "successor"  # a board that has another one's claims, and no secrets yet

_PAGE = 500  # records that are read at once


class Given(NamedTuple):
    """A board in the ledger."""

    id: int
    chip: str
    endpoint: str
    row: Optional[str]
    mac: Optional[str]
    state: str


class Event(NamedTuple):
    """Something that was done."""

    id: int
    time: str
    event: str
    chip: Optional[str]
    endpoint: Optional[str]
    row: Optional[str]
    details: dict


class Ledger:
    """with Ledger(where) as ledger: a file's path, or a URL.

    ask: what gives the passphrase of the secrets where they are encrypted.
    passphrase: given, they are encrypted with it, if they are not yet.
    """

    def __init__(
        self,
        where: Union[str, Path],
        ask: Optional[Callable[[], str]] = None,
        passphrase: Optional[str] = None,
    ):
        self.where = where
        self.name = shown(where)
        self._ask = ask
        self._passphrase = passphrase
        self._seal = sealing.Seal()
        self._pepper = b""
        self._lock = threading.Lock()  # the threads of a station take turns without polling

    def __enter__(self):
        with self._sentences():
            self._engine = engine(self.where)
            try:
                with self._engine.begin() as connection:
                    prepare(connection, self.where)
                    fresh = self._open_secrets(connection)
                if fresh and self._engine.dialect.name == "sqlite":
                    # Nothing of what was there in the open.
                    with contextlib.closing(self._engine.raw_connection()) as connection:
                        connection.execute("VACUUM secrets")
            except BaseException:
                self._engine.dispose()
                raise
        return self

    def __exit__(self, *exc) -> None:
        self._engine.dispose()

    def _open_secrets(self, connection: sa.Connection) -> bool:
        # Returns whether they have been encrypted just now.
        found = {row.name: row.value for row in connection.execute(secret_meta.select())}
        kept = found.get("seal")
        if kept is not None:
            passphrase = self._passphrase or (self._ask and self._ask())
            if not passphrase:
                raise FactoryError(
                    f"The secrets of {self.name} are encrypted: name the file of their passphrase "
                    "with --passphrase-file."
                )
            self._seal = sealing.again(passphrase, kept.decode())
        try:
            self._pepper = self._seal.open(found["pepper"], "pepper")
        except ValueError:
            raise FactoryError(
                f"The secrets of {self.name} are damaged: put back a copy from before."
            ) from None
        if kept is not None or not self._passphrase:
            return False
        self._seal, text = sealing.make(self._passphrase)
        connection.execute(secret_meta.insert().values(name="seal", value=text.encode()))
        closed = self._seal.close(self._pepper, "pepper")
        connection.execute(
            secret_meta.update().where(secret_meta.c.name == "pepper").values(value=closed)
        )
        last = -1
        while True:
            page = connection.execute(
                secrets.select()
                .where(secrets.c.board > last)
                .order_by(secrets.c.board)
                .limit(_PAGE)
            ).all()
            for row in page:
                closed = self._seal.close(row.record, f"board {row.board}")
                connection.execute(
                    secrets.update().where(secrets.c.board == row.board).values(record=closed)
                )
            if not page:
                return True
            last = page[-1].board

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:
            raise FactoryError(
                "Another board has that identity already: no identity is given twice."
            ) from None
        except sa.exc.DBAPIError as e:
            # Its first line says what and where; values are not in it.
            said = (str(e.orig).strip().splitlines() or ["?"])[0].rstrip(".")
            raise FactoryError(
                f"The ledger {self.name} cannot be used: {said}. No board is touched before what "
                "it gets is noted."
            ) from None

    @contextlib.contextmanager
    def book(self) -> "Iterator[Book]":
        """The ledger in a transaction: nobody else writes meanwhile, and all of it counts or nothing."""
        with self._lock, self._sentences(), self._engine.begin() as connection:
            yield Book(connection, self._seal, self.digest)

    def digest(self, data: bytes) -> str:
        """By which secrets are compared, of use only with the file of secrets."""
        return hmac.new(self._pepper, data, hashlib.sha256).hexdigest()

    # --- Shorter ways

    def board(self, chip: str) -> Optional[Given]:
        with self.book() as book:
            return book.board(chip)

    def finished(self, chip: str, endpoint: str, **details) -> None:
        with self.book() as book:
            book.finished(chip, endpoint, **details)

    def note(self, event: str, **details) -> None:
        with self.book() as book:
            book.note(event, **details)

    def events(self, after: int = 0) -> List[Event]:
        """What has been done since the event of that number, at most so much at once."""
        with self.book() as book:
            return book.events(after)

    def records(self) -> Iterator[dict]:
        """The records of all boards, with their secrets, one at a time."""
        last = 0
        while True:
            with self.book() as book:
                page = book.page(last)
            for given, record in page:
                last = given.id
                yield record
            if not page:
                return


class Book:
    """A ledger in a transaction."""

    def __init__(
        self, connection: sa.Connection, seal: sealing.Seal, digest: Callable[[bytes], str]
    ):
        self._connection = connection
        self._seal = seal
        self._digest = digest

    # --- What was given

    def owner(self, kind: str, value: str) -> Optional[Given]:
        """The board that something was given to."""
        return self._owners([(kind, value)]).get((kind, value))

    def _owners(self, wanted: "Sequence[Tuple[str, str]]") -> "Dict[Tuple[str, str], Given]":
        # Those that there are, asked for at once.
        query = (
            sa.select(claims.c.kind, claims.c.value, boards)
            .join(boards, boards.c.id == claims.c.board)
            .where(
                sa.or_(
                    *(
                        sa.and_(claims.c.kind == kind, claims.c.value == value)
                        for kind, value in wanted
                    )
                )
            )
        )
        found = self._connection.execute(query)
        return {(kind, value): Given(*board) for kind, value, *board in found}

    def board(self, chip: str) -> Optional[Given]:
        return self.owner("chip", hexadecimal(chip))

    def given_rows(self, names: Sequence[str]) -> "Iterator[Tuple[str, str]]":
        """Those of these rows that were given, each with its board's state."""
        for at in range(0, len(names), _PAGE):
            query = (
                sa.select(claims.c.value, boards.c.state)
                .join(boards, boards.c.id == claims.c.board)
                .where(claims.c.kind == "row", claims.c.value.in_(names[at : at + _PAGE]))
            )
            for name, state in self._connection.execute(query):
                yield name, state

    def last(self) -> int:
        """The number of the last event."""
        return self._connection.scalar(sa.select(sa.func.max(events.c.id))) or 0

    def check(self, chip: str, endpoint: str) -> None:
        """FactoryError where another board has that endpoint, or this board has another one."""
        chip_claim, claim = ("chip", hexadecimal(chip)), ("endpoint", endpoint)
        owners = self._owners([chip_claim, claim])
        self._check_board(chip, endpoint, owners.get(chip_claim))
        self._check_owner(chip, endpoint, owners.get(claim), f"The endpoint {endpoint}")

    def _check_board(self, chip: str, endpoint: str, had: Optional[Given]) -> None:
        if had and had.endpoint != endpoint:
            raise FactoryError(
                f"The board {chip} was given the endpoint {had.endpoint} already, and would get "
                f"{endpoint}: no board has two."
            )

    def _check_owner(self, chip: str, endpoint: str, owner: Optional[Given], what: str) -> None:
        # FactoryError where that is another board than this chip, as it is now or was before it was
        # forgotten, and than the one that it replaces.
        if (
            owner
            and hexadecimal(owner.chip) != hexadecimal(chip)
            and not (owner.state == REPLACED and owner.endpoint == endpoint)
        ):
            raise FactoryError(
                f"{what} was given to the board {owner.chip} already: no identity is given twice."
            )

    def record(self, board: Given) -> dict:
        """All that a board was given, with its keys."""
        query = sa.select(secrets.c.record).where(secrets.c.board == board.id)
        kept = self._connection.scalar(query)
        if kept is None:
            raise FactoryError(
                f"The secrets of {board.endpoint} are not in the ledger: put back a copy of both "
                "from the same time."
            )
        return self._opened(board, kept)

    def earlier(self, chip: str) -> Optional[dict]:
        """What a board was given before, with its keys; None where it was given nothing."""
        board = self.board(chip)
        return None if board is None or board.state == _SUCCESSOR else self.record(board)

    def find(self, who: str) -> Given:
        """A board by its chip's number or its endpoint name."""
        found = self.board(who) or self.owner("endpoint", who)
        if found is None:
            raise FactoryError(
                f"No board {who} is in the ledger: give a chip, or an endpoint name."
            )
        return found

    def _opened(self, board: Given, kept: bytes) -> dict:
        try:
            record = json.loads(self._seal.open(kept, f"board {board.id}"))
        except ValueError:
            raise FactoryError(
                f"The secrets of {board.endpoint} are damaged: put back a copy of the ledger from "
                "before."
            ) from None
        record.update(endpoint=board.endpoint, chip_id=board.chip)
        if board.mac:
            record["mac"] = board.mac
        return record

    def page(self, after: int) -> "List[Tuple[Given, dict]]":
        """The next boards, and what they were given."""
        query = (
            sa.select(boards, secrets.c.record)
            .outerjoin(secrets, secrets.c.board == boards.c.id)
            .where(boards.c.id > after, boards.c.state.in_((ASSIGNED, DONE)))
            .order_by(boards.c.id)
            .limit(_PAGE)
        )
        found = []
        for *values, kept in self._connection.execute(query):
            board = Given(*values)
            found.append(
                (board, self.record(board) if kept is None else self._opened(board, kept))
            )
        return found

    # --- What is given

    def assign(
        self,
        chip: str,
        made: Identity,
        row: Optional[str] = None,
        mac: Optional[str] = None,
        **details,
    ) -> None:
        """Note that this board is about to get this identity: from now on nobody else does."""
        wanted = {("endpoint", made.endpoint): f"The endpoint {made.endpoint}"}
        wanted["chip", hexadecimal(chip)] = f"The chip {chip}"
        if row is not None:
            wanted["row", row] = f"The row {row}"
        wanted.update(_identities(made.record, self._digest))
        owners = self._owners(list(wanted))
        board = owners.get(("chip", hexadecimal(chip)))
        self._check_board(chip, made.endpoint, board)
        for claim, what in wanted.items():
            self._check_owner(chip, made.endpoint, owners.get(claim), what)
        if board is None:
            board = self._add(chip, made.endpoint, row, mac, ASSIGNED)
        else:
            state = ASSIGNED if board.state == _SUCCESSOR else board.state
            self._set(board, row=row or board.row, mac=mac or board.mac, state=state)
        for (kind, value), owner in owners.items():
            if owner.id != board.id:
                query = claims.update().where(claims.c.kind == kind, claims.c.value == value)
                self._connection.execute(query.values(board=board.id))
        new = [
            {"kind": kind, "value": value, "board": board.id}
            for kind, value in wanted
            if (kind, value) not in owners
        ]
        if new:
            self._connection.execute(claims.insert(), new)
        self._keep(board, made.record)
        self.note(ASSIGNED, chip, made.endpoint, row or board.row, mac=mac, **details)

    def _add(
        self, chip: str, endpoint: str, row: Optional[str], mac: Optional[str], state: str
    ) -> Given:
        values = {"chip": chip, "endpoint": endpoint, "row": row, "mac": mac, "state": state}
        done = self._connection.execute(boards.insert().values(values))
        return Given(done.inserted_primary_key[0], *values.values())

    def _set(self, board: Given, **values) -> None:
        self._connection.execute(boards.update().where(boards.c.id == board.id).values(values))

    def _keep(self, board: Given, record: dict) -> None:
        text = json.dumps(record, ensure_ascii=False).encode()
        closed = self._seal.close(text, f"board {board.id}")
        self._connection.execute(secrets.delete().where(secrets.c.board == board.id))
        self._connection.execute(secrets.insert().values(board=board.id, record=closed))

    def finished(self, chip: str, endpoint: str, **details) -> None:
        board = self.board(chip)
        self._set(board, state=DONE)
        self.note(DONE, chip, endpoint, board.row, **details)

    # --- Rework

    def forget(self, board: Given, free: bool = False) -> None:
        """Let a chip get another identity. free: and let another chip get this one's."""
        query = claims.delete().where(claims.c.board == board.id)
        self._connection.execute(query if free else query.where(claims.c.kind == "chip"))
        self._set(board, state=FORGOTTEN)
        self.note(FREED if free else FORGOTTEN, board.chip, board.endpoint, board.row)

    def replace(self, board: Given, chip: str) -> None:
        """Let another chip have a board's identity, which assign() gives it then."""
        had = self.board(chip)
        if board.state not in (ASSIGNED, DONE):
            raise FactoryError(f"The board {board.chip} is {board.state} already.")
        if had:
            raise FactoryError(
                f"The board {chip} was given the endpoint {had.endpoint} already: a successor has "
                "none; `forget` it first."
            )
        new = self._add(chip, board.endpoint, board.row, None, _SUCCESSOR)
        mine = claims.update().where(
            claims.c.board == board.id, claims.c.kind.in_(("endpoint", "row"))
        )
        self._connection.execute(mine.values(board=new.id))
        self._connection.execute(
            claims.insert().values(kind="chip", value=hexadecimal(chip), board=new.id)
        )
        self._set(board, state=REPLACED)
        self.note(REPLACED, board.chip, board.endpoint, board.row, successor=chip)

    # --- What was done

    def history(self, who: str, after: int = 0) -> List[Event]:
        """The next events of a chip or an endpoint name."""
        mine = sa.or_(
            events.c.endpoint == who, events.c.chip.in_((who, who.lower(), hexadecimal(who)))
        )
        query = events.select().where(mine, events.c.id > after).order_by(events.c.id)
        return _events(self._connection.execute(query.limit(_PAGE)))

    def note(
        self,
        event: str,
        chip: Optional[str] = None,
        endpoint: Optional[str] = None,
        row: Optional[str] = None,
        time: Optional[str] = None,
        **details,
    ) -> None:
        """Append an event."""
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        kept = {key: value for key, value in details.items() if value is not None}
        self._connection.execute(
            events.insert().values(
                time=time or now,
                event=event,
                chip=chip,
                endpoint=endpoint,
                row=row,
                details=json.dumps(kept, ensure_ascii=False),
            )
        )

    def events(self, after: int = 0) -> List[Event]:
        query = events.select().where(events.c.id > after).order_by(events.c.id).limit(_PAGE)
        return _events(self._connection.execute(query))

    def remember(self, name: str, value: str) -> bool:
        """Keep a note of the ledger's own; False where it is there already."""
        if self._connection.scalar(sa.select(meta.c.value).where(meta.c.name == name)):
            return False
        self._connection.execute(meta.insert().values(name=name, value=value))
        return True


def _events(rows) -> List[Event]:
    return [Event(*values, json.loads(details)) for *values, details in rows]


def _identities(record: dict, digest: Callable[[bytes], str]) -> "Dict[Tuple[str, str], str]":
    # What is claimed, and what it is called. A key may be used for several accounts of a board, and an identity too.
    found: Dict[Tuple[str, str], str] = {}
    for account in record["accounts"] + record["given"]:
        security = account["security"]
        if security["mode"] == "psk":
            who = account.get("short_id", "bootstrap")
            identity = security["identity"]
            found[f"identity {who}", identity] = f"The identity {identity}"
            found["key", digest(bytes.fromhex(security["key"]))] = "A key"
        elif security["mode"] == "rpk":
            found["key", digest(bytes.fromhex(security["public_key"]))] = "A key"
    return found
