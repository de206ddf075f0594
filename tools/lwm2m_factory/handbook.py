"""What is generated in tools/README.md: the lists of commands and of fields, and the pictures.

`python -m lwm2m_factory.handbook` writes them, and a test compares.
"""

import argparse
import datetime
import io
import re
import time
from pathlib import Path

from rich.console import Console

from .batch import Outcome, Show
from .cli import make_parser
from .config import SCHEMA
from .export import label
from .reference import listing

README = Path(__file__).parents[1] / "README.md"


def commands(parser: argparse.ArgumentParser) -> str:
    """A table of Markdown with all commands."""
    (found,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    lines = "".join(
        f"| `{each.dest}` | {each.help} | {_example(found.choices[each.dest])} |\n"
        for each in found._choices_actions
    )
    return f"| command | what it is for | an example |\n|---|---|---|\n{lines}\n"


def _example(parser: argparse.ArgumentParser) -> str:
    line = parser.epilog.split("\n")[0]
    return f"`{line.partition('lwm2m-factory ')[2]}`"


def updated(text: str) -> str:
    """A README with its lists anew: between comments that name them."""
    for name, made in (("fields", listing(SCHEMA)), ("commands", commands(make_parser()))):
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{made}{end}{rest.split(end)[1]}"
    return text


def table_of_a_batch() -> str:
    """What `batch` shows, a picture (SVG), from sample values."""
    console = Console(width=88, record=True, file=io.StringIO(), force_terminal=True)
    show = Show(console)
    now = time.monotonic()
    show.ends.extend(now - 12 * n for n in range(20, -1, -1))
    show.left = 85
    for port, chip, serial, state, seconds in (
        ("/dev/ttyACM0", "e66038b713952130", "0014", "done", 1.2),
        ("/dev/ttyACM1", "e66038b713952131", "0015", "installing", None),
        ("/dev/ttyUSB0", "7cdfa1b2c3d4", "", "failed", 0.8),
        ("/dev/ttyUSB1", "", "", "waiting", None),
    ):
        endpoint = f"urn:dev:ops:32473-{serial}" if serial else ""
        show.lines[port] = {
            "chip": chip,
            "endpoint": endpoint,
            "state": state,
            "seconds": seconds,
        }
    at = datetime.datetime(2026, 3, 2, 14, 0, tzinfo=datetime.timezone.utc)
    for n in range(15):
        state = "failed" if n == 14 else "done"
        show.outcomes.append(Outcome(at, "/dev/ttyUSB0", "7cdfa1b2c3d4", "", state, "", 0.8))
    console.print(show)
    picture = console.export_svg(
        title="lwm2m-factory batch factory.toml boards.csv", unique_id="batch"
    )
    # Without fonts that a reader's browser would fetch from elsewhere.
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)


def sample_label() -> str:
    """A board's label, as `export --to labels` and the report of a batch have it."""
    record = {
        "endpoint": "urn:dev:ops:32473-0014",
        "chip_id": "e66038b713952130",
        "mac": "28cdc1000001",
        "values": {"serial": "0014"},
    }
    return label(record)


PICTURES = {"batch.svg": table_of_a_batch, "label.svg": sample_label}


def main() -> None:
    """Write the lists into tools/README.md, and its pictures."""
    text = README.read_text(encoding="utf-8")
    README.write_text(updated(text), encoding="utf-8")
    for name, make in PICTURES.items():
        (README.parent / "pictures" / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
