"""What boards and files say is shown, and nothing in it is obeyed: by a terminal, or by rich."""

import io
import json
from pathlib import Path

import pytest
from harness.micropython import micropython
from harness.tool import factory
from lwm2m_factory import FactoryError, batch, ledger
from lwm2m_factory.patterns import endpoint_fault
from lwm2m_factory.text import printable
from pty_board import PtyBoard
from rich.console import Console
from samples import open_ledger

# What is said, and how it is shown.
TEXTS = (
    ("urn:dev:ops:32473-1 [x] :smile: \\ é Ω 中", None),
    ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),  # clears the screen, sets the title
    ("a\r\nb\tc\0", r"a\r\nb\tc\x00"),
    ("\x9b2J\x85\x7f", r"\x9b2J\x85\x7f"),  # C1: CSI, a line end
    ("\u2028\u2029", r"\u2028\u2029"),  # line ends too
    ("\u202agnp.\u202e\u2066\u2069\u200e\u200f\u061c", None),
    ("\ud800", r"\ud800"),  # a surrogate, which cannot be printed
    ("\U000e0041", r"\U000e0041"),  # a tag, which cannot be seen
)

HOSTILE = "\x1b[31m[red]e\u202e\x9b[/]\r\n:smile:"
SHOWN = r"\x1b[31m[red]e\u202e\x9b[/]\r\n:smile:"


@pytest.mark.parametrize(("text", "shown"), TEXTS)
def test_printable(text: str, shown: "str | None") -> None:
    if shown is None:
        shown = text if "urn" in text else ascii(text)[1:-1]
    assert printable(text) == shown == printable(shown)
    assert str(FactoryError(f"It says {text}")) == f"It says {shown}"
    assert str(FactoryError("One", text, "three")) == f"One\n{shown}\nthree"


@pytest.mark.parametrize("terminal", [True, False])
def test_table(terminal: bool, capsys) -> None:
    out = io.StringIO()
    console = Console(file=out, width=240, force_terminal=terminal, color_system=None)
    show = batch.Show(console)
    show.set("/dev/ttyACM0", "reading", chip=HOSTILE)
    show.set("/dev/ttyACM0", "failed", endpoint=HOSTILE, note=HOSTILE)
    show.set("/dev/ttyACM1", "reading", chip=HOSTILE)
    show.set("/dev/ttyACM1", "done", endpoint=HOSTILE)
    console.print(show)
    text = out.getvalue() + capsys.readouterr().err
    assert text.count(SHOWN) == 6 + (not terminal)
    assert all(c.isprintable() or c == "\n" for c in text)


def test_history(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as kept:
        kept.note(ledger.FAILED, chip=HOSTILE, error="\x7f")
    done = factory(tmp_path, "history", HOSTILE)
    assert done.returncode == 0, done.stderr
    first, *details = done.stdout.splitlines()
    assert first.split(maxsplit=2)[1:] == ["failed", SHOWN]
    assert details == [r"    error \x7f"]
    done = factory(tmp_path, "history", HOSTILE, "--json")
    assert done.stdout.endswith("\n") and all(" " <= c <= "~" for c in done.stdout[:-1])
    told = json.loads(done.stdout)
    assert (told["chip"], told["error"]) == (HOSTILE, "\x7f")


BOARD = """\
import json, sys
say = SAID
status = {"ok": True, "accounts": [{"short_id": say, "uri": say, "mode": say}], "locked": True}
names = "board chip_id mac firmware library micropython image endpoint sha256 fault".split()
status.update({name: say for name in names}, guard={say: say, "crash": [say, say]})
answers = {"status": status, "selftest": {"ok": False, "error": say}}
print(">>> ", end="")
while True:
    name = sys.stdin.readline().strip()
    if name in answers:
        print(json.dumps(answers[name]))
"""


def test_board(tmp_path: Path) -> None:
    # One that says it is locked, and says what is JSON to it.
    with PtyBoard(tmp_path / "board", main=BOARD.replace("SAID", ascii(HOSTILE))) as board:
        for command, status in (("status", 0), ("verify", 1)):
            done = factory(tmp_path, command, "--port", board.port)
            assert done.returncode == status, done.stderr
            said = done.stdout + done.stderr
            assert SHOWN in said
            assert all(c.isprintable() or c == "\n" for c in said)


def test_csv(tmp_path: Path) -> None:
    text = 'endpoint = "{serial}"\nnetwork.type = "none"\n[[server]]\nshort_id = 1\nuri = "coap://s"\n'
    (tmp_path / "factory.toml").write_text(text)
    (tmp_path / "boards.csv").write_text("serial,ma\x9bc\n\x1b[2J,\n\u202e1,\n")
    done = factory(tmp_path, "batch", "factory.toml", "boards.csv")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        r"boards.csv, line 1, column 2: ma\x9bc is no column that is used: did you mean mac?",
        "boards.csv, line 2, column 1: serial has the character U+001B in it: take it away.",
        "boards.csv, line 3, column 1: serial has the character U+202E in it: take it away.",
    ]


@pytest.mark.parametrize("c", "\0\x1b \x7f\x80\x85\x9f\u061c\u200e\u200f\u202a\u202e\u2066\u2069")
def test_endpoint_names(c: str) -> None:
    assert endpoint_fault(f"de{c}v") == "must not have spaces or control characters."
    assert endpoint_fault("urn:dev:ops:32473-x\u00e9\u00a1\u2013\u2070") is None


def test_endpoint_names_are_those_that_a_client_takes() -> None:
    # Each character up to U+FFFF by itself, as the board's own library has it.
    program = (
        "from lwm2m.objects import acts\nprint([n for n in range(0x10000) if acts(n) or n == 32])"
    )
    refused = json.loads(micropython("-c", program, heap="4M", check=True).stdout)
    assert refused == [
        n for n in range(0x10000) if not 0xD800 <= n < 0xE000 and endpoint_fault(chr(n))
    ]
