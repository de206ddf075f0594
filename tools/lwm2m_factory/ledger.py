"""What was given to which board: a log without secrets, and the secrets for `export`.

Both are a line of JSON each, written through to the disk before the board is touched, so that what
a board may have is known whatever happens. The log is only ever appended to. The secrets have one
record an endpoint, and the mode 0600.
"""

import datetime
import json
import os
import stat
import threading
from pathlib import Path
from typing import Dict, Iterator, Optional, Set, Tuple

from filelock import FileLock, Timeout

from . import FactoryError
from .files import BINARY, private
from .identity import Identity

ASSIGNED = "assigned"
DONE = "done"
FAILED = "failed"


class Ledger:
    """with Ledger(log, secrets) as ledger: both files, which nobody else can use meanwhile."""

    def __init__(self, log: Path, secrets: Path):
        self.log = log
        self.secrets = secrets
        self.lock = threading.RLock()
        self.endpoints: Dict[str, str] = {}  # of the chips that may have one
        self.chips: Dict[str, str] = {}  # of the endpoints that were given
        self.rows: Dict[str, str] = {}  # of the chips that were given one of a CSV
        self.used: Set[str] = set()  # those rows
        self.done: Set[str] = set()  # chips
        self._places: Dict[str, int] = {}  # of the endpoints' records in the secrets
        self._files = FileLock(f"{log}.lock")

    def __enter__(self):
        try:
            self._files.acquire(timeout=0)
        except Timeout:
            raise FactoryError(
                f"Another lwm2m-factory is at work with {self.log}: wait for it, or give this one "
                "files of its own with --log and --secrets."
            ) from None
        except OSError as e:
            raise FactoryError(f"{self.log} cannot be written: {e.strerror}.") from None
        try:
            self._read_log()
            self._read_secrets()
        except BaseException:
            self._files.release()
            raise
        return self

    def __exit__(self, *exc) -> None:
        self._files.release()

    def _read_log(self) -> None:
        if not self.log.exists():
            return
        _mend(self.log)
        for _, entry in _entries(self.log, "event"):
            chip, endpoint = entry.get("chip_id"), entry.get("endpoint")
            if entry["event"] in (ASSIGNED, DONE):
                self._give(chip, endpoint)
            if entry["event"] == DONE:
                self.done.add(chip)
            self._take(chip, entry.get("row"))

    def _read_secrets(self) -> None:
        if not self.secrets.exists():
            return
        _check_mode(self.secrets)
        _mend(self.secrets)
        for place, record in _entries(self.secrets, "endpoint"):
            self._places[record["endpoint"]] = place
            self._give(record["chip_id"], record["endpoint"])
            self._take(record["chip_id"], record.get("row"))

    def _give(self, chip: str, endpoint: str) -> None:
        self.endpoints[chip] = endpoint
        self.chips[endpoint] = chip

    def _take(self, chip: str, row: Optional[str]) -> None:
        if row is not None:
            self.rows[chip] = row
            self.used.add(row)

    # --- What was given

    def check(self, chip: str, endpoint: str) -> None:
        """FactoryError where another board has that endpoint, or this board has another one."""
        owner = self.chips.get(endpoint)
        if owner not in (None, chip):
            raise FactoryError(
                f"The endpoint {endpoint} was given to the board {owner} already: no identity is "
                "given twice."
            )
        had = self.endpoints.get(chip)
        if had not in (None, endpoint):
            raise FactoryError(
                f"The board {chip} was given the endpoint {had} already, and would get {endpoint}: "
                "no board has two."
            )

    def record(self, endpoint: str) -> Optional[dict]:
        """The record of an endpoint that was given before, with its keys."""
        place = self._places.get(endpoint)
        if place is None:
            return None
        with open(self.secrets, "rb") as f:
            f.seek(place)
            return json.loads(f.readline())

    def assign(
        self,
        chip: str,
        made: Identity,
        row: Optional[str] = None,
        mac: Optional[str] = None,
        **details,
    ) -> None:
        """Note that this board is about to get this identity: from now on nobody else does."""
        with self.lock:
            self.check(chip, made.endpoint)
            record = {"endpoint": made.endpoint, "chip_id": chip, **made.record}
            if row is not None:
                record["row"] = row
            if mac:
                record["mac"] = mac
            self._keep(record)
            self._give(chip, made.endpoint)
            self._take(chip, row)
            self.note(ASSIGNED, chip_id=chip, endpoint=made.endpoint, row=row, mac=mac, **details)

    def finished(self, chip: str, endpoint: str, **details) -> None:
        with self.lock:
            self.note(DONE, chip_id=chip, endpoint=endpoint, **details)
            self.done.add(chip)

    def note(self, event: str, **details) -> None:
        """Append a line to the log."""
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        kept = {key: value for key, value in details.items() if value is not None}
        with self.lock:
            _append(self.log, {"time": now, "event": event, **kept}, 0o644)

    def _keep(self, record: dict) -> None:
        endpoint = record["endpoint"]
        earlier = self.record(endpoint)
        if earlier is None:
            self._places[endpoint] = _append(self.secrets, record, 0o600)
        elif earlier != record:
            self._replace(record)

    def _replace(self, record: dict) -> None:
        # Rare: a board that is given its identity again from another configuration.
        new = self.secrets.with_name(self.secrets.name + ".new")
        places = {}
        with private(new) as out, open(self.secrets, "rb") as f:
            for line in f:
                one = json.loads(line)["endpoint"]
                places[one] = out.tell()
                out.write(_line(record) if one == record["endpoint"] else line)
            out.flush()
            os.fsync(out.fileno())
        os.replace(new, self.secrets)
        self._places = places


def records(path: Path) -> Iterator[dict]:
    """The records of a file of secrets, one at a time."""
    for _, record in _entries(path, "endpoint"):
        yield record


def _entries(path: Path, must: str) -> "Iterator[Tuple[int, dict]]":
    # Each line's place and what it says; it has to say what it must.
    place = 0
    try:
        file = open(path, "rb")
    except OSError as e:
        raise FactoryError(f"{path} cannot be read: {e.strerror}.") from None
    with file:
        for number, line in enumerate(file, 1):
            try:
                entry = json.loads(line)
                entry[must]
            except (ValueError, KeyError, TypeError):
                raise FactoryError(
                    f"{path}, line {number} is damaged: put back a copy of the file from before."
                ) from None
            yield place, entry
            place += len(line)


def _line(entry: dict) -> bytes:
    # In ASCII, as people look at the log with whatever shows it.
    return json.dumps(entry).encode() + b"\n"


def _append(path: Path, entry: dict, mode: int) -> int:
    """Append a line, on the disk when this returns; returns its place in the file."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | BINARY, mode)
        try:
            place = os.fstat(fd).st_size
            line = _line(entry)
            if os.write(fd, line) != len(line):
                os.ftruncate(fd, place)
                raise OSError(28, "No space left on device")
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as e:
        raise FactoryError(
            f"{path} cannot be written: {e.strerror}. No board is touched before what it gets is "
            "noted."
        ) from None
    return place


def _mend(path: Path) -> None:
    # A line that was cut when it was written was of a board that had got nothing yet.
    try:
        with open(path, "r+b") as f:
            size = f.seek(0, 2)
            block = b""
            while size and not block.endswith(b"\n"):
                start = max(size - 65536, 0)
                f.seek(start)
                block = f.read(size - start)
                size = start + block.rfind(b"\n") + 1
                block = block[: size - start]
            f.truncate(size)
    except OSError as e:
        raise FactoryError(f"{path} cannot be used: {e.strerror}.") from None


def _check_mode(path: Path) -> None:
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise FactoryError(
            f"{path} has keys in it and may be read by others: chmod 600 {path}, and think about "
            "who may have read it."
        )
