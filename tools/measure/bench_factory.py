"""What a factory's ledger takes that has a million identities, beside one that has a thousand.

The rows are those that `assign` writes, put in at once; what is measured is the tool's own way.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator

import sqlalchemy as sa

from harness.tool import environment
from lwm2m_factory import config, identity, ledger
from lwm2m_factory.ledger import DONE
from lwm2m_factory.schema import boards, claims, events, secrets

FEW, MANY = 1_000, 1_000_000
_AT_ONCE = 20_000  # rows
_TRIES = 200
_CONFIG = """\
endpoint = "urn:dev:ops:32473-{serial}"
network.type = "none"

[[server]]
short_id = 1
uri = "coaps://server.example.org"
security.mode = "psk"
"""


def _fill(folder: Path, count: int) -> None:
    (folder / "factory.toml").write_text(_CONFIG)
    with ledger.Ledger(folder / ledger.NAME) as kept, kept._engine.begin() as connection:
        for first in range(0, count, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, count))
            for table, rows in (
                (boards, map(_board, numbers)),
                (secrets, map(_secret, numbers)),
                (claims, (claim for n in numbers for claim in _claims(n))),
                (events, map(_event, numbers)),
            ):
                connection.execute(sa.insert(table), list(rows))


def _endpoint(n: int) -> str:
    return f"urn:dev:ops:32473-{n:07}"


def _board(n: int) -> dict:
    about = {"chip": f"{n:016x}", "endpoint": _endpoint(n), "row": f"serial {n}", "mac": None}
    return {"id": n + 1, **about, "state": DONE}


def _secret(n: int) -> dict:
    security = {"mode": "psk", "identity": _endpoint(n), "key": f"{n:032x}"}
    account = {"uri": "coaps://server.example.org", "given": False, "security": security}
    account.update(short_id=1, lifetime=86400, binding="U")
    record = {"values": {"serial": f"{n:07}"}, "accounts": [account], "given": []}
    return {"board": n + 1, "record": json.dumps(record).encode()}


def _claims(n: int) -> "Iterator[dict]":
    for kind, value in (
        ("chip", f"{n:016x}"),
        ("endpoint", _endpoint(n)),
        ("row", f"serial {n}"),
        ("identity 1", _endpoint(n)),
        ("key", f"{n:064x}"),
    ):
        yield {"kind": kind, "value": value, "board": n + 1}


def _event(n: int) -> dict:
    about = {"chip": f"{n:016x}", "endpoint": _endpoint(n), "row": f"serial {n}"}
    return {"time": "2026-03-02T14:00:00+00:00", "event": "done", **about, "details": "{}"}


def _median(f: Callable[[int], None]) -> float:
    # ms, of whatever else this machine does.
    times = []
    for n in range(_TRIES):
        start = time.monotonic()
        f(n)
        times.append(time.monotonic() - start)
    return statistics.median(times) * 1000


def _measure(folder: Path, count: int) -> dict:
    # ms to give a board its identity and to find one, and ms and MB to export, in a process of its own.
    _fill(folder, count)
    found = config.load(folder / "factory.toml")
    with ledger.Ledger(folder / ledger.NAME) as kept:

        def allocate(n: int) -> None:
            chip = f"{(1 << 48) + n:016x}"
            with kept.book() as book:
                made = identity.make(found, {"serial": f"new-{n}", "chip_id": chip, "mac": ""})
                book.assign(chip, made, f"new {n}")

        def find(n: int) -> None:
            with kept.book() as book:
                book.find(_endpoint(n * (count // _TRIES)))

        times = {"allocate": _median(allocate), "find": _median(find)}
    start = time.monotonic()
    # Not getrusage(), whose peak is that of this process where that has had more.
    code = (
        "import re, sys; from lwm2m_factory.cli import main; main(sys.argv[1:]); "
        "print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])"
    )
    args = ("export", "--to", "server", "-o", "clients.json")
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    export = time.monotonic() - start
    return {
        **times,
        "export": export,
        "memory": int(done.stdout.split()[-1]) / 1024,
    }


def rows(row) -> "Iterator[object]":
    """Rows of the bench. row: its class."""
    found = {}
    for count in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder:
            found[count] = _measure(Path(folder), count)
    few, many = found[FEW], found[MANY]
    yield row("factory: give one of 1,000,000 boards its identity", many["allocate"], "ms")
    grown = many["allocate"] / few["allocate"]
    yield row("factory: … by what it takes with 1,000", grown, "times", most=3)
    yield row("factory: find one of 1,000,000", many["find"], "ms")
    yield row(
        "factory: … by what it takes with 1,000", many["find"] / few["find"], "times", most=3
    )
    yield row("factory: export 1,000,000", many["export"], "s")
    yield row(
        "factory: … memory beside that of 1,000", many["memory"] - few["memory"], "MB", most=10
    )
