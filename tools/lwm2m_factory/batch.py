"""Provisioning: one board, or many as they are plugged in, several ports at once."""

import collections
import contextlib
import datetime
import json
import sys
import threading
import time
from pathlib import Path
from typing import Callable, Deque, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from . import FactoryError, identity, memory, pins
from .board import Board
from .canonical import SERIAL, hexadecimal, number, row_name
from .config import Config
from .faults import ConfigError, Fault
from .former import BEFORE
from .ledger import ASSIGNED, DONE, FAILED, FREED, Book, Ledger
from .line import GivenUp
from .patterns import BOARD_VALUES, fill, names_in
from .ports import is_there, ports, wait_for
from .sheet import Sheet
from .text import printable

_POLL_S = 0.2  # how often to look for ports that come and go
_PACE = 20  # boards by which it is seen how fast it goes
_ENDS = ("done", "done before", "failed")
_LOOK_S = 2  # how often to look for what other stations have done

# Chooses what a board gets: f(book, chip id, MAC) -> (values of the patterns' names, name of the row).
Choose = Callable[[Book, str, str], Tuple[Dict[str, str], Optional[str]]]
Step = Callable[..., None]


def provision(
    port: str,
    config: Config,
    ledger: Ledger,
    choose: Choose,
    step: Step = lambda state, **details: None,
    again: bool = True,
    stop: Optional[threading.Event] = None,
) -> dict:
    """Give the board at a port its identity. Returns its status then.

    again: also where it has been given it before; otherwise that is only looked at.
    step(state, …) is told what is being done. stop: as Board has it.
    """
    about: Dict[str, str] = {"port": port}

    def told(state: str, **details) -> None:
        about.update(details)
        step(state, **details)

    try:
        return _provision(port, config, ledger, choose, told, again, stop)
    except FactoryError as e:
        with contextlib.suppress(FactoryError):  # the ledger itself may be what is wrong
            ledger.note(
                FAILED,
                port=port,
                chip=about.get("chip"),
                endpoint=about.get("endpoint"),
                error=str(e),
            )
        raise


def _provision(
    port: str,
    config: Config,
    ledger: Ledger,
    choose: Choose,
    step: Step,
    again: bool,
    stop: Optional[threading.Event],
) -> dict:
    step("reading")
    with Board(port, stop=stop, step=step) as board:
        status = board.status()
        chip = status["chip_id"]
        if not chip:
            raise FactoryError(f"The board on {port} does not tell its chip's number.")
        step("reading", chip=chip)
        given = ledger.board(chip)
        if given and given.state == DONE and not again:
            if status["endpoint"] != given.endpoint:
                raise FactoryError(
                    f"The board {chip} was given the endpoint {given.endpoint}, but has "
                    f"{status['endpoint'] or 'none'} now: provision it by itself."
                )
            step("reading", endpoint=given.endpoint)
            return dict(status, before=True)
        lock = config.settings.get("locked")
        if lock and status["image"] != "ours":
            raise FactoryError(
                f"The board on {port} runs stock MicroPython, which cannot be locked: flash an "
                "image of this project, or leave out board.locked."
            )
        pins.check_board(config.source, status["board"] or "")
        memory.check(port, config, status)
        mac = status["mac"] or ""
        with ledger.book() as book:
            values, row = choose(book, chip, mac)
            values = dict(values, chip_id=chip, mac=mac)
            endpoint = identity.endpoint_of(config, values)
            book.check(chip, endpoint)
            made = identity.make(config, values, book.earlier(chip))
            book.assign(chip, made, row, mac=status["mac"], port=port, board=status["board"])
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
        self.rows: Dict[str, Dict[str, str]] = {}  # by what they say (canonical.row_name)
        self.endless = path is None
        self._ledger = ledger
        self._before: Dict[str, str] = {}  # by the names that they had before there was a database
        # Rows that name a board, by what they say of it, and the others; names of them, in order.
        self._wanting: Dict[Tuple[str, str], List[str]] = collections.defaultdict(list)
        self._others: List[str] = []
        self._next = 0  # of those, before which all are taken
        self._taken: Set[str] = set()
        self._done: Set[str] = set()
        self._seen: Optional[int] = None  # the last event that those two are made of
        if path is None:
            if not set(names_in(config.endpoint)) & set(BOARD_VALUES):
                raise FactoryError(
                    f"The endpoint name {config.endpoint} would be that of every board: put "
                    "{chip_id} or {mac} into it, or give a CSV."
                )
            _check_shared(config, set())
            return
        sheet = Sheet(path)
        check_sheet(sheet, config)
        for line, row in sheet.rows:
            name = named = row_name(
                config.endpoint, row, config.names(), ledger.digest, config.key_names()
            )
            count = 1
            while (
                name in self.rows
            ):  # they say the same, so that it does not matter which is which
                count += 1
                name = f"{named} {count}"
            before = row.get(SERIAL)
            if not before and set(names_in(config.endpoint)) <= set(row):
                before = fill(config.endpoint, row)
            self._before[BEFORE + (before or f"line {line}")] = name
            self.rows[name] = row
            wanted = [
                (what, hexadecimal(row[what])) for what in ("chip_id", "mac") if row.get(what)
            ]
            for each in wanted:
                self._wanting[each].append(name)
            if not wanted:
                self._others.append(name)

    def choose(self, book: Book, chip: str, mac: str) -> Tuple[Dict[str, str], Optional[str]]:
        """The row for a board: the one it had before, one that names it, or the next free one."""
        if self.endless:
            return {}, None
        self._look(book)
        given = book.board(chip)
        name = given and given.row and self._before.get(given.row, given.row)
        if name is None:
            name = self._free(chip, mac)
        if name is None:
            raise FactoryError(f"There is no row left for the board {chip}.")
        if name not in self.rows:
            raise FactoryError(
                f"The board {chip} was given the row {name}, which this CSV does not have."
            )
        return self.rows[name], name

    def _free(self, chip: str, mac: str) -> Optional[str]:
        # Of any number of rows at once.
        for what, value in (("chip_id", chip), ("mac", mac)):
            for name in self._wanting.get((what, hexadecimal(value)), ()):
                if name not in self._taken:
                    return name
        while self._next < len(self._others):
            if self._others[self._next] not in self._taken:
                return self._others[self._next]
            self._next += 1
        return None

    def of_serial(self, serial: str) -> Tuple[Dict[str, str], str]:
        """The row that has a serial number, and its name."""
        for name, row in self.rows.items():
            if number(row.get(SERIAL, "")) == number(serial):
                return row, name
        raise FactoryError(f"The CSV has no row with the serial number {serial}.")

    def left(self) -> Optional[int]:
        """How many rows are yet to be given, by this station or others; None for no end."""
        if self.endless:
            return None
        with self._ledger.book() as book:
            self._look(book)
        return len(self.rows.keys() - self._done)

    def _look(self, book: Book) -> None:
        # At what any station has done since; at first, at the rows alone: a ledger may be long.
        if self._seen is None:
            for name, state in book.given_rows([*self.rows, *self._before]):
                self._taken.add(self._before.get(name, name))
                if state == DONE:
                    self._done.add(self._before.get(name, name))
            self._seen = book.last()
        while True:
            events = book.events(self._seen)
            if not events:
                return
            self._seen = events[-1].id
            for event in events:
                name = self._before.get(event.row, event.row)
                if name and event.event in (ASSIGNED, DONE):
                    self._taken.add(name)
                    if event.event == DONE:
                        self._done.add(name)
                elif name and event.event == FREED:
                    self._taken.discard(name)
                    self._done.discard(name)
                    self._next = 0


def check_sheet(sheet: Sheet, config: Config) -> None:
    """FactoryError with all that is wrong with a CSV, and with what a configuration makes of it."""
    sheet.check(config)
    try:
        _check_shared(config, set(sheet.names))
    except ConfigError as e:
        sheet.refuse(e.args)
    sheet.refuse()


def _check_shared(config: Config, names: "set[str]") -> None:
    # What would be the same on every board.
    own = {*names, *BOARD_VALUES}
    found: List[Fault] = []
    if not set(names_in(config.endpoint)) & own:
        found.append((("endpoint",), "is the same for every board: put {serial} into it."))
    for account in config.accounts + config.given:
        security = account.table.security
        if security.mode != "psk":
            continue
        place = *account.place, "security"
        if not set(names_in(security.identity)) & {*own, "endpoint"}:
            found.append(
                (
                    (*place, "identity"),
                    "is the same for every board: leave it out, or put {serial} into it.",
                )
            )
        if security.key != "random" and not names_in(security.key):
            found.append(
                (
                    (*place, "key"),
                    "is the same for every board: leave it out, or name a column of the CSV.",
                )
            )
    if found:
        raise config.source.error(*found)


# What is shown.


class Outcome(NamedTuple):
    """What came of a board that was plugged in."""

    time: datetime.datetime
    port: str
    chip: str
    endpoint: str
    state: str  # "done", "done before" or "failed"
    note: str  # why it has failed
    seconds: float


class Show:
    """What a person looks at: a table of ports and states; lines where there is no terminal."""

    def __init__(self, console: Console, as_json: bool = False):
        self.console = console
        self.as_json = as_json  # an object an event instead, for other programs
        self.lines: Dict[str, dict] = {}
        self.outcomes: List[Outcome] = []
        self.left: Optional[int] = None
        self.started = time.monotonic()
        self.ends: Deque[float] = collections.deque(maxlen=_PACE)  # when the last boards were done
        self._lock = threading.Lock()

    def set(self, port: str, state: str, **details) -> None:
        with self._lock:
            line = self.lines.setdefault(port, {})
            if state == "reading" and line.get("state") != "reading":
                line.clear()
                line["since"] = time.monotonic()
            line.update(details, state=state)
            if self.as_json:
                self.tell(state, port=port, **details)
            outcome = self._end(port, line) if state in _ENDS else None
        # Not with the lock: what is printed at a terminal draws the table again, which asks for it.
        if outcome and not self.as_json:
            self._say(outcome)

    def _end(self, port: str, line: dict) -> Outcome:
        now = time.monotonic()
        line["seconds"] = now - line.get("since", now)
        told = (line.get(name) or "" for name in ("chip", "endpoint", "state", "note"))
        when = datetime.datetime.now().astimezone().replace(microsecond=0)
        outcome = Outcome(when, port, *told, line["seconds"])
        self.outcomes.append(outcome)
        if outcome.state == "done":
            self.ends.append(now)
        return outcome

    def _say(self, outcome: Outcome) -> None:
        if outcome.state == "failed":
            # Once, in a line; `history` and the report have all of it.
            said = Text(printable(f"{outcome.chip or outcome.port}: {outcome.note}"))
            if self.console.is_terminal:
                self.console.print(said, style="red", no_wrap=True, overflow="ellipsis")
            else:
                print(said, file=sys.stderr, flush=True)
        elif not self.console.is_terminal:
            what = outcome.endpoint or outcome.chip or "a board"
            said = Text(
                printable(f"{outcome.port}: {what}: {outcome.state} ({outcome.seconds:.1f} s)")
            )
            self.console.print(said, soft_wrap=True)

    def tell(self, event: str, **details) -> None:
        """Print an event as JSON."""
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        print(json.dumps({"time": now, "event": event, **details}), flush=True)

    def count(self, state: str) -> int:
        return sum(outcome.state == state for outcome in self.outcomes)

    def sum(self) -> str:
        """How many boards came to what: a sentence."""
        failed, before = self.count("failed"), self.count("done before")
        said = [f"{self.count('done')} done"]
        said += [f"{failed} failed"] * bool(failed) + [f"{before} done before"] * bool(before)
        said += [] if self.left is None else [f"{self.left} left"]
        return ", ".join(said) + "."

    def pace(self, now: float) -> str:
        """How fast it goes, of late, and how long it takes yet; nothing before that is known."""
        if len(self.ends) < 2 or now <= self.ends[0]:
            return ""
        rate = (len(self.ends) - 1) / (now - self.ends[0])
        said = f" {rate * 3600:.0f} an hour"
        return f"{said}, {duration(self.left / rate)} more." if self.left else f"{said}."

    def __rich__(self) -> Table:
        table = Table(
            title=f"{self.sum()}{self.pace(time.monotonic())}\n"
            "Ctrl-C ends it; the same command goes on.",
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
                seconds = line.get("seconds")
                table.add_row(
                    *(Text(printable(said)) for said in (port, line.get("chip", ""))),
                    Text(printable(line.get("endpoint", ""))),
                    Text(state, colours.get(state, "yellow")),
                    "" if seconds is None else f"{seconds:.1f}",
                )
        return table


def duration(seconds: float) -> str:
    """A time, as one says it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def run(
    config: Config,
    ledger: Ledger,
    rows: Rows,
    named: Sequence[str],
    console: Console,
    as_json: bool = False,
) -> Show:
    """Provision boards as they are plugged in until all rows are given. Returns what came of it."""
    show = Show(console, as_json)
    show.left = rows.left()
    workers: Dict[str, threading.Thread] = {}
    handled = set()  # ports whose board has been seen to
    gone = set()  # of these, those whose board has been unplugged
    stopping = threading.Event()

    def work(port: str) -> None:
        def step(state: str, **details) -> None:
            show.set(port, state, **details)

        try:
            wait_for(port)
            status = provision(port, config, ledger, rows.choose, step, False, stopping)
        except GivenUp:
            show.set(port, "waiting")
            return
        except FactoryError as e:
            show.set(port, "failed", note=str(e))
        except Exception as e:  # a defect of this tool: other ports go on
            show.set(port, "failed", note=f"a defect of this tool: {type(e).__name__}")
            raise
        else:
            show.set(port, "done before" if status.get("before") else "done")
        count()

    def count() -> None:
        with contextlib.suppress(FactoryError):  # the next board will say so
            show.left = rows.left()

    def look() -> None:
        there = [port for port in named if is_there(port)] if named else ports()
        for port in list(handled):
            if port not in there:
                gone.add(port)
            if port in gone and port not in workers:  # which has yet to say what has failed
                gone.discard(port)
                handled.discard(port)
                show.set(port, "waiting", note=None, chip="", endpoint="", seconds=None)
        for port in there:
            if port not in handled and not stopping.is_set():
                handled.add(port)
                workers[port] = threading.Thread(target=work, args=(port,), daemon=True)
                workers[port].start()

    for port in named:
        show.set(port, "waiting")
    shown = console.is_terminal and not as_json
    live = Live(show, console=console, refresh_per_second=8) if shown else None
    counted = time.monotonic()
    try:
        if live:
            live.start()
        while True:
            for port in [port for port, worker in workers.items() if not worker.is_alive()]:
                workers.pop(port)
            if time.monotonic() - counted > _LOOK_S:
                count()
                counted = time.monotonic()
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
        if as_json:
            show.tell("end", done=show.count("done"), failed=show.count("failed"), left=show.left)
    return show
