"""Provisioning: one board, or many as they are plugged in, several ports at once."""

import csv
import threading
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from . import FactoryError, identity
from .board import Board, is_there, ports, wait_for
from .config import PSK, Config
from .ledger import FAILED, Ledger
from .patterns import BOARD_VALUES, fill, names_in
from .text import printable

_POLL_S = 0.2  # how often to look for ports that come and go
_SHOWN = 5  # failures below the table; all of them at the end
_COLUMN = "serial"  # of the CSV: names a row, if it is there

# Chooses what a board gets: f(chip id, MAC) -> (values of the patterns' names, name of the row).
Choose = Callable[[str, str], Tuple[Dict[str, str], Optional[str]]]
Step = Callable[..., None]


def provision(
    port: str,
    config: Config,
    ledger: Ledger,
    choose: Choose,
    step: Step = lambda state, **details: None,
    again: bool = True,
) -> dict:
    """Give the board at a port its identity. Returns its status then.

    again: also where it has been given it before; otherwise that is only looked at.
    step(state, …) is told what is being done.
    """
    about: Dict[str, str] = {"port": port}

    def told(state: str, **details) -> None:
        about.update(details)
        step(state, **details)

    try:
        return _provision(port, config, ledger, choose, told, again)
    except FactoryError as e:
        ledger.note(
            FAILED,
            port=port,
            chip_id=about.get("chip"),
            endpoint=about.get("endpoint"),
            error=str(e),
        )
        raise


def _provision(
    port: str, config: Config, ledger: Ledger, choose: Choose, step: Step, again: bool
) -> dict:
    step("reading")
    with Board(port) as board:
        status = board.status()
        chip = status["chip_id"]
        if not chip:
            raise FactoryError(f"The board on {port} does not tell its chip's number.")
        step("reading", chip=chip)
        if chip in ledger.done and not again:
            expected = ledger.endpoints[chip]
            if status["endpoint"] != expected:
                raise FactoryError(
                    f"The board {chip} was given the endpoint {expected}, but has "
                    f"{status['endpoint'] or 'none'} now: provision it by itself."
                )
            step("reading", endpoint=expected)
            return dict(status, before=True)
        lock = config.settings.get("locked")
        if lock and status["image"] != "ours":
            raise FactoryError(
                f"The board on {port} runs stock MicroPython, which cannot be locked: flash an "
                "image of this project, or leave out board.locked."
            )
        mac = status["mac"] or ""
        with ledger.lock:
            values, row = choose(chip, mac)
            values = dict(values, chip_id=chip, mac=mac)
            endpoint = identity.endpoint_of(config, values)
            ledger.check(chip, endpoint)
            made = identity.make(config, values, ledger.record(endpoint))
            ledger.assign(chip, made, row, port=port, board=status["board"], mac=status["mac"])
        status = board.provision(made.data, lambda state: step(state, endpoint=endpoint))
        if lock:
            step("locking")
            board.lock()
        ledger.finished(chip, endpoint, port=port, firmware=status["firmware"])
        return status


# The CSV.


class Rows:
    """The rows of a CSV, each of which one board gets; without one, as many as are wanted."""

    def __init__(self, path: Optional[Path], config: Config, ledger: Ledger):
        self.rows: Dict[str, Dict[str, str]] = {}
        self.endless = path is None
        self._ledger = ledger
        self._taken: Dict[str, str] = {}  # by chip: rows that are being given in this run
        if path is None:
            if not set(names_in(config.endpoint)) & set(BOARD_VALUES):
                raise FactoryError(
                    f"The endpoint name {config.endpoint} would be that of every board: put "
                    "{chip_id} or {mac} into it, or give a CSV."
                )
            _check_shared(config, set())
            return
        lines = read_csv(path)
        _check_shared(config, set(lines[0][1]) if lines else set())
        seen: Dict[Tuple[str, str], int] = {}
        for number, row in lines:
            for what, value in _distinct(config, row):
                first = seen.setdefault((what, value), number)
                if first != number:
                    shown = "" if what == "key" else f" {value}"
                    raise FactoryError(
                        f"{path}, line {number}: the {what}{shown} is that of line {first} already."
                    )
            # It names the row in the log, and should still do so when lines come in between.
            name = row.get(_COLUMN)
            if not name and set(names_in(config.endpoint)) <= set(row):
                name = fill(config.endpoint, row)
            self.rows[name or f"line {number}"] = row

    def choose(self, chip: str, mac: str) -> Tuple[Dict[str, str], Optional[str]]:
        """The row for a board: the one it had before, one that names it, or the next free one."""
        if self.endless:
            return {}, None
        name = self._ledger.rows.get(chip) or self._taken.get(chip)
        if name is None:
            taken = self._ledger.used | set(self._taken.values())
            for one, row in self.rows.items():
                if one in taken:
                    continue
                wanted = row.get("chip_id", ""), row.get("mac", "")
                if _same(wanted[0], chip) or _same(wanted[1], mac):
                    name = one
                    break
                if name is None and not any(wanted):
                    name = one
        if name is None:
            raise FactoryError(f"There is no row left for the board {chip}.")
        if name not in self.rows:
            raise FactoryError(
                f"The board {chip} was given the row {name}, which this CSV does not have."
            )
        self._taken[chip] = name
        return self.rows[name], name

    def release(self, chip: Optional[str]) -> None:
        """Give back the row of a board that has got nothing."""
        if chip and chip not in self._ledger.endpoints:
            self._taken.pop(chip, None)

    def left(self) -> Optional[int]:
        """How many rows are yet to be given, None for no end."""
        if self.endless:
            return None
        ledger = self._ledger
        with ledger.lock:
            done = {row for chip, row in ledger.rows.items() if chip in ledger.done}
        return len(self.rows.keys() - done)


def _same(wanted: str, found: str) -> bool:
    return bool(wanted) and wanted.lower().replace(":", "").replace("-", "") == found.lower()


def columns(path: Optional[Path]) -> List[str]:
    """The names of a CSV's columns."""
    if path is None:
        return []
    lines = read_csv(path)
    return list(lines[0][1]) if lines else []


def read_csv(path: Path) -> List[Tuple[int, Dict[str, str]]]:
    """The rows of a CSV with their line numbers; its first line names the columns."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as e:
        raise FactoryError(f"{path} cannot be read: {e.strerror}.") from None
    except UnicodeDecodeError:
        raise FactoryError(f"{path} is not in UTF-8: save it as CSV in UTF-8.") from None
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    found = []
    for row in reader:
        if None in row or None in row.values():
            count = len(reader.fieldnames)
            raise FactoryError(
                f"{path}, line {reader.line_num}: it must have {count} columns, as the first line."
            )
        found.append((reader.line_num, {key.strip(): row[key].strip() for key in row}))
    if not found:
        raise FactoryError(f"{path} has no rows: its first line names the columns.")
    return found


def _check_shared(config: Config, names: "set[str]") -> None:
    # What would be the same on every board.
    own = {*names, *BOARD_VALUES}
    if not set(names_in(config.endpoint)) & own:
        raise config.section.error(
            "endpoint", "is the same for every board: put {serial} into it."
        )
    for account in config.accounts + config.given:
        security = account.security
        if security.mode != PSK:
            continue
        section = account.section.section("security")
        if not set(names_in(security.identity)) & {*own, "endpoint"}:
            raise section.error(
                "identity", "is the same for every board: leave it out, or put {serial} into it."
            )
        if security.key != "random" and not names_in(security.key):
            raise section.error(
                "key", "is the same for every board: leave it out, or name a column of the CSV."
            )


def _distinct(config: Config, row: Dict[str, str]) -> List[Tuple[str, str]]:
    # What must not be in two rows. Where a board's own values come in, it is seen later.
    found = [("chip_id", row.get("chip_id", "")), ("mac", row.get("mac", ""))]
    found.append((_COLUMN, row.get(_COLUMN, "")))
    patterns = [("endpoint", config.endpoint)]
    for account in config.accounts + config.given:
        patterns.append(("key", account.security.key))
        patterns.append((f"{account.section.name}.security.identity", account.security.identity))
    for what, pattern in patterns:
        if names_in(pattern) and set(names_in(pattern)) <= set(row):
            found.append((what, fill(pattern, row)))
    # A key may be used for two accounts of a board; its value is compared, and never shown.
    return [pair for pair in dict.fromkeys(found) if pair[1]]


# The table of ports.


class Show:
    """What a person looks at: a table of ports and states; lines where there is no terminal."""

    def __init__(self, console: Console):
        self.console = console
        self.lines: Dict[str, dict] = {}
        self.failures: List[str] = []
        self.done = 0
        self.left: Optional[int] = None
        self._lock = threading.Lock()

    def set(self, port: str, state: str, **details) -> None:
        with self._lock:
            line = self.lines.setdefault(port, {})
            if state == "reading" and line.get("state") != "reading":
                line.clear()
                line["since"] = time.monotonic()
            line.update(details, state=state)
            if state in ("done", "done before", "failed"):
                line["seconds"] = time.monotonic() - line.get("since", time.monotonic())
                if not self.console.is_terminal:
                    said = Text(printable(self._text(port, line)))
                    self.console.print(said, soft_wrap=True)

    def _text(self, port: str, line: dict) -> str:
        what = line.get("endpoint") or line.get("chip") or "a board"
        return f"{port}: {what}: {line['state']}" + (
            f": {line['note']}" if line.get("note") else f" ({line['seconds']:.1f} s)"
        )

    def __rich__(self) -> Table:
        of = "" if self.left is None else f", {self.left} left"
        failed = f", [red]{len(self.failures)} failed[/]" if self.failures else ""
        table = Table(
            title=f"{self.done} done{failed}{of}. Ctrl-C ends it; the same command goes on.",
            title_justify="left",
            title_style="bold",
        )
        for name in ("Port", "Chip", "Endpoint", "State", "s"):
            table.add_column(name, overflow="fold", justify="right" if name == "s" else "left")
        colours = {"done": "green", "done before": "green", "failed": "red", "waiting": "dim"}
        with self._lock:
            for port in sorted(self.lines):
                line = self.lines[port]
                state = line.get("state", "waiting")
                text = Text.assemble((state, colours.get(state, "yellow")))
                if line.get("note"):
                    text.append(f": {printable(line['note'])}")
                seconds = line.get("seconds")
                table.add_row(
                    *(Text(printable(said)) for said in (port, line.get("chip", ""))),
                    Text(printable(line.get("endpoint", ""))),
                    text,
                    "" if seconds is None else f"{seconds:.1f}",
                )
        if self.failures:  # the board may have been unplugged since
            table.caption = Text("\n".join(map(printable, self.failures[-_SHOWN:])))
            table.caption_justify = "left"
        return table


def run(
    config: Config,
    ledger: Ledger,
    rows: Rows,
    named: Sequence[str],
    console: Console,
) -> List[str]:
    """Provision boards as they are plugged in until all rows are given. Returns the failures."""
    show = Show(console)
    show.left = rows.left()
    workers: Dict[str, threading.Thread] = {}
    handled = set()  # ports whose board has been seen to
    stopping = threading.Event()

    def work(port: str) -> None:
        chip: List[str] = []

        def step(state: str, **details) -> None:
            if "chip" in details:
                chip[:] = [details["chip"]]
            show.set(port, state, **details)

        try:
            wait_for(port)
            status = provision(port, config, ledger, rows.choose, step, again=False)
        except FactoryError as e:
            rows.release(chip[0] if chip else None)
            show.failures.append(f"{chip[0] if chip else port}: {e}")
            show.set(port, "failed", note=str(e))
        except Exception as e:  # a defect of this tool: other ports go on
            show.failures.append(f"{port}: {type(e).__name__}")
            show.set(port, "failed", note=f"a defect of this tool: {type(e).__name__}")
            raise
        else:
            before = status.get("before", False)
            show.done += not before
            show.set(port, "done before" if before else "done")
        show.left = rows.left()

    def look() -> None:
        there = [port for port in named if is_there(port)] if named else ports()
        for port in list(handled):
            if port not in there:
                handled.discard(port)
                show.set(port, "waiting", note=None, chip="", endpoint="", seconds=None)
        for port in there:
            if port not in handled and not stopping.is_set():
                handled.add(port)
                workers[port] = threading.Thread(target=work, args=(port,), daemon=True)
                workers[port].start()

    for port in named:
        show.set(port, "waiting")
    live = Live(show, console=console, refresh_per_second=8) if console.is_terminal else None
    try:
        if live:
            live.start()
        while True:
            for port in [port for port, worker in workers.items() if not worker.is_alive()]:
                workers.pop(port)
            if not workers and show.left == 0:
                break
            look()
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        stopping.set()
        for worker in workers.values():
            worker.join()  # a few seconds; a second Ctrl-C does not wait
    finally:
        if live:
            live.stop()
    return show.failures
