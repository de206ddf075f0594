"""factory.log and factory.secrets, which this tool kept before it had a database: imported once."""

import hashlib
import json
from pathlib import Path
from typing import Iterator, List, Sequence

from . import FactoryError, ledger
from .identity import Identity
from .schema import check_mode

BEFORE = "before: "  # begins the name of a row as it was known then
_TAKEN = ".imported"  # behind the files' names from then on


def take_in(kept: "ledger.Ledger", folders: Sequence[Path]) -> List[Path]:
    """Import what lies in these folders. Returns the files with keys in them that are left there."""
    left = []
    for folder in dict.fromkeys(path.resolve() for path in folders):
        log, secrets = folder / "factory.log", folder / "factory.secrets"
        there = [path for path in (log, secrets) if path.exists()]
        if not there:
            continue
        if secrets in there:
            check_mode(secrets)
            left.append(secrets.with_name(secrets.name + _TAKEN))
        data = b"".join(path.read_bytes() for path in there)
        with kept.book() as book:
            if book.remember("imported " + hashlib.sha256(data).hexdigest(), str(folder)):
                _import(book, log, secrets)
        for path in there:
            path.replace(path.with_name(path.name + _TAKEN))
    return left


def _import(book: "ledger.Book", log: Path, secrets: Path) -> None:
    # What either file has counts; of a board that only the log has, the keys are lost.
    records = {record["chip_id"]: record for record in _lines(secrets, "endpoint")}
    done = set()
    for entry in _lines(log, "event"):
        named = {"chip": entry.pop("chip_id", None), "endpoint": entry.pop("endpoint", None)}
        row = entry.pop("row", None)
        if entry["event"] in (ledger.ASSIGNED, ledger.DONE):
            only = {"accounts": [], "given": []}
            records.setdefault(
                named["chip"],
                dict(only, chip_id=named["chip"], endpoint=named["endpoint"], row=row),
            )
        if entry["event"] == ledger.DONE:
            done.add(named["chip"])
        book.note(
            entry.pop("event"),
            **named,
            row=row and BEFORE + row,
            time=entry.pop("time", None),
            **entry,
        )
    for record in records.values():
        chip, endpoint = record.pop("chip_id"), record.pop("endpoint")
        row, mac = record.pop("row", None), record.pop("mac", None)
        if row is not None:
            record["values"] = {"serial": row}
        made = Identity(endpoint, b"", record)
        book.assign(chip, made, row and BEFORE + row, mac, imported=True)
        if chip in done:
            book.finished(chip, endpoint, imported=True)


def _lines(path: Path, must: str) -> Iterator[dict]:
    text = path.read_bytes() if path.exists() else b""
    # A line that was cut when it was written was of a board that had got nothing yet.
    for number, line in enumerate(text[: text.rfind(b"\n") + 1].splitlines(), 1):
        try:
            entry = json.loads(line)
            entry[must]
        except (ValueError, KeyError, TypeError):
            raise FactoryError(
                f"{path}, line {number} is damaged: put back a copy of the file from before."
            ) from None
        yield entry
