"""The report of a batch: one HTML file, which needs nothing else, with the labels of the boards.

There is no key in it.
"""

import contextlib
import itertools
from html import escape
from pathlib import Path
from typing import Iterator

from . import FactoryError
from .batch import Outcome, Show, duration
from .export import label
from .ledger import Ledger
from .text import printable

_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 2em; }}
table {{ border-collapse: collapse; }}
th, td {{ border: 1px solid #aaa; padding: 0.3em 0.6em; text-align: left; vertical-align: top; }}
.failed td {{ background: #fdd; }}
svg {{ display: block; }}
@media print {{ tr {{ break-inside: avoid; }} }}
</style>
<h1>{title}</h1>
<p>{sum}</p>
<table>
<tr><th>Time<th>Board<th>Port<th>Result<th>s<th>Label
"""


def check(path: Path) -> None:
    """FactoryError where there could be no report, before a board is seen to."""
    if not path.parent.is_dir():
        raise FactoryError(f"{path} cannot be written: there is no folder {path.parent}.")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise FactoryError(f"{path} is no file: name another one for the report.")


def write(path: Path, show: Show, kept: Ledger) -> Path:
    """Write it. Returns where: beside what is there already, under the next number."""
    for n in itertools.count(1):
        one = path if n == 1 else path.with_name(f"{path.stem}-{n}{path.suffix}")
        with contextlib.suppress(FileExistsError):
            return _write(one, show, kept)


def _write(path: Path, show: Show, kept: Ledger) -> Path:
    try:
        with open(path, "x", encoding="utf-8") as out:
            try:
                out.writelines(_text(show, kept))
            except BaseException:
                path.unlink()
                raise
    except FileExistsError:
        raise
    except OSError as e:
        raise FactoryError(f"{path} cannot be written: {e.strerror}.") from None
    return path


def _text(show: Show, kept: Ledger) -> Iterator[str]:
    times = sorted(outcome.time for outcome in show.outcomes)
    title = f"Boards of {times[0]:%Y-%m-%d}" if times else "No boards"
    took = duration(max(show.ends, default=show.started) - show.started)
    yield _HEAD.format(title=title, sum=f"{show.sum()} The last one was done after {took}.")
    for outcome in show.outcomes:
        yield _row(outcome, kept)
    yield "</table>\n</html>\n"


def _row(outcome: Outcome, kept: Ledger) -> str:
    picture = ""
    if outcome.state != "failed":
        with kept.book() as book:
            given = book.board(outcome.chip)
            if given:
                picture = label(book.record(given))
    result = outcome.state + (f": {outcome.note}" if outcome.note else "")
    board = "\n".join(part for part in (outcome.endpoint, outcome.chip) if part)
    cells = [f"{outcome.time:%H:%M:%S}", board, outcome.port, result, f"{outcome.seconds:.1f}"]
    said = "".join(
        "<td>" + "<br>".join(escape(printable(line)) for line in cell.split("\n"))
        for cell in cells
    )
    return f'<tr class="{outcome.state.split()[0]}">{said}<td>{picture}\n'
