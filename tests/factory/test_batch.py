"""Many boards: rows of a CSV given as boards are plugged in, each once, whatever is interrupted."""

import contextlib
import io
import json
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import List, Optional, Sequence

import pytest
from harness.awaited import PATIENCE_S, eventually
from harness import tool
from lwm2m_factory import FactoryError, batch, config
from lwm2m_factory.sheet import Sheet
from pty_board import PtyBoard
from rich.console import Console
from samples import PSK, events, keys_of, open_ledger, records

CSV = "serial,site\n" + "".join(f"{n:04},Berlin\n" for n in range(1, 7))
CHIPS = [f"e66038b71395213{n}" for n in range(8)]


@pytest.fixture
def boards(tmp_path: Path):
    made = [PtyBoard(tmp_path / chip, chip) for chip in CHIPS]
    yield made
    for board in made:
        board.power_off()


@pytest.fixture
def line(tmp_path: Path):
    """A factory line: a folder with a configuration and a CSV."""
    (tmp_path / "factory.toml").write_text(PSK)
    (tmp_path / "boards.csv").write_text(CSV)
    return tmp_path


class Batch:
    """The command at work. It is looked at through its ledger."""

    def __init__(
        self,
        folder: Path,
        boards: List[PtyBoard],
        csv: Optional[str] = "boards.csv",
        config: str = "factory.toml",
        more: Sequence[str] = (),
    ):
        self.folder = folder
        ports = [arg for board in boards for arg in ("--port", str(board.port))]
        given = [csv] if csv else []
        self.process = subprocess.Popen(
            tool.command("lwm2m_factory", "batch", config, *given, *ports, *more),
            cwd=folder,
            env=tool.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def end(self) -> "tuple[int, str, str]":
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


def log(folder: Path) -> str:
    return "\n".join(map(repr, events(folder)))


def wait_for(folder: Path, kind: str, count: int = 1) -> None:
    """Wait until so many events of that kind are in the ledger."""
    what = f"event {count} {kind!r}"
    eventually(lambda: len(events(folder, kind)) >= count, what, lambda: log(folder))


def given(board: PtyBoard) -> "list":
    """Endpoint and keys that a board, which is off, has."""
    code = (
        "import device.settings as settings, json\ncopy = settings.load()\n"
        "s = copy and copy.state[0]\n"
        "print(json.dumps(copy and [copy.endpoint] + [s[n][5].hex() for n in sorted(s)]))"
    )
    return json.loads(board.run(code))


def check_all(folder: Path, boards: List[PtyBoard]) -> None:
    """No identity and no key is on two boards, and the secrets have what the boards have."""
    known = {record["chip_id"]: record for record in records(folder)}
    assert len(known) == len(records(folder))
    seen = set()
    for board in boards:
        board.power_off()
        found = given(board)
        record = known[board.chip_id]
        keys = [account["security"]["key"] for account in record["accounts"]]
        assert found == [record["endpoint"], *keys]
        assert not seen & set(found)
        seen |= set(found)
    written = (folder / "factory.ledger").read_bytes()
    for record in known.values():
        assert not [key for key in keys_of(record) if key.encode() in written]


def test_several_ports_at_once_and_a_board_that_fails(line: Path, boards) -> None:
    used = boards[:4]
    broken = PtyBoard(line / "broken", "ffffffffffffffff", ours=False)
    with broken, Batch(line, [*used, broken]) as run:
        for board in used[:3]:
            board.plug()
        wait_for(line, "done", 3)
        used[3].plug()
        wait_for(line, "done", 4)
        wait_for(line, "failed")
        run.process.send_signal(signal.SIGINT)
        status, out, err = run.end()
    assert status == 1
    reason = "runs MicroPython, but not this project's firmware"
    assert err.startswith(f"{broken.port}: The board on {broken.port} {reason}")
    assert err.count("\n") == 1 and reason not in out  # said once
    assert "\n4 done, 1 failed, 2 left. It took " in out
    assert out.endswith("\n2 rows of boards.csv are left: the same command goes on.\n")
    check_all(line, used)
    endpoints = {entry.endpoint for entry in events(line, "done")}
    assert endpoints == {f"urn:dev:ops:32473-000{n}" for n in range(1, 5)}

    # The same command gives the last two, looks at the one that it knows, and ends by itself.
    with Batch(line, boards[:6]) as run:
        boards[0].plug()
        boards[4].plug()
        boards[5].plug()
        status, out, err = run.end()
    assert status == 0, err
    assert f"{boards[0].port}: urn:dev:ops:32473-0001: done before" in out or (
        ": done before" in out
    )
    assert "\n2 done, 1 done before, 0 left. It took " in out
    assert out.endswith("\nAll 6 rows of boards.csv are done.\n")
    assert len(events(line, "done")) == 6
    check_all(line, boards[:6])


def test_killed_at_any_moment(line: Path, boards) -> None:
    # With nothing noted behind it, the tool is killed again and again, and goes on. It cannot end
    # by itself before the last board is plugged in.
    used = boards[:6]
    for board in used[:5]:
        board.plug()

    def noted() -> int:
        # Beside the tool, which it must not keep waiting.
        path = line / "factory.ledger"
        if not path.exists():
            return 0
        try:
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as base:
                return base.execute("SELECT count(*) FROM lwm2m_events").fetchone()[0]
        except sqlite3.OperationalError:  # its tables are being made
            return 0

    for n in range(10):
        with Batch(line, used) as run:
            # When it has noted a few things more, boards are in the middle of it.
            more = noted() + 1 + n % 3
            eventually(lambda more=more: noted() >= more, f"{more} events", lambda: log(line))
            assert run.process.poll() is None
            run.process.kill()
        if len(events(line, "done")) > 2:
            break
    used[5].plug()
    with Batch(line, used) as run:
        status, _, err = run.end()
        assert status == 0, err
    assert n > 1
    assert {entry.chip for entry in events(line, "done")} == {b.chip_id for b in used}
    check_all(line, used)


def test_cable_pulled_and_plugged_in_again(line: Path, boards) -> None:
    # The board that was cut gets its row and keys again, though another one came in between.
    first, second = boards[:2]
    (line / "boards.csv").write_text("serial\n0001\n0002\n")
    with Batch(line, boards[:2]) as run:
        first.plug(pull_behind=b"/lwm2m-store/new")  # it is being sent
        first.wait()
        wait_for(line, "failed")
        second.plug()
        wait_for(line, "done")
        first.plug()
        status, out, err = run.end()
    assert status == 1  # something has failed meanwhile, and is named
    assert f"{first.chip_id}: The board on {first.port} went silent: was the cable pulled?" in err
    assigned = [(e.chip, e.endpoint) for e in events(line, "assigned")]
    assert len(assigned) == 3 and len(set(assigned)) == 2
    check_all(line, boards[:2])


def test_rows_for_certain_boards(line: Path, boards) -> None:
    (line / "boards.csv").write_text(
        "serial;chip_id\nany;\nthird;E6:60:38:B7:13:95:21:32\nsecond;e66038b713952131\n"
    )
    with Batch(line, boards[:3]) as run:
        for board in boards[:3]:
            board.plug()
        assert run.end()[0] == 0
    by_chip = {entry.chip: entry.endpoint[18:] for entry in events(line, "done")}
    assert by_chip == {CHIPS[0]: "any", CHIPS[1]: "second", CHIPS[2]: "third"}


def test_more_boards_than_rows(line: Path, boards) -> None:
    (line / "boards.csv").write_text("serial,chip_id\n0001,e66038b713952137\n")
    with Batch(line, boards[:1]) as run:
        boards[0].plug()
        wait_for(line, "failed")
        run.process.send_signal(signal.SIGINT)
        _, _, err = run.end()
    assert "There is no row left for the board e66038b713952130." in err


def test_without_a_csv(line: Path, boards) -> None:
    (line / "factory.toml").write_text(PSK.replace("{serial}", "{chip_id}"))
    with Batch(line, boards[:2], csv=None) as run:
        for board in boards[:2]:
            board.plug()
        wait_for(line, "done", 2)
        run.process.send_signal(signal.SIGINT)
        assert run.end()[0] == 0
    check_all(line, boards[:2])


def test_two_stations(line: Path, boards) -> None:
    # At once, each with ports of its own; the second from another folder.
    other = line / "elsewhere"
    other.mkdir()
    for board in boards[:6]:
        board.plug()
    with Batch(line, boards[:3]) as one:
        files = ("../factory.toml", "../boards.csv")
        with Batch(other, boards[3:6], files[1], files[0]) as two:
            assert (one.end()[0], two.end()[0]) == (0, 0)
    assert [path.name for path in other.iterdir()] == []
    endpoints = [event.endpoint for event in events(line, "done")]
    assert sorted(endpoints) == [f"urn:dev:ops:32473-000{n}" for n in range(1, 7)]
    check_all(line, boards[:6])


def test_for_programs(line: Path, boards) -> None:
    # An object an event, and nothing else.
    (line / "boards.csv").write_text("serial\n0001\n0002\n")
    ports = [arg for board in boards[:2] for arg in ("--port", board.port)]
    for board in boards[:2]:
        board.plug()
    done = tool.factory(line, "batch", "factory.toml", "boards.csv", "--json", *ports)
    assert done.returncode == 0, done.stderr
    told = [json.loads(text) for text in done.stdout.splitlines()]
    assert {"done": 2, "failed": 0, "left": 0}.items() <= told[-1].items()
    assert told[-1]["event"] == "end"
    for board in boards[:2]:
        mine = [each["event"] for each in told if each.get("port") == str(board.port)]
        assert mine[:1] == ["waiting"] and mine[-2:] == ["testing", "done"]


# What is wrong with the configuration where there is a CSV; tests of the CSV are in test_sheet.py.

SHARED = PSK.replace("key_bytes = 32", f'key = "{"00" * 16}"')
KEY = "0123456789abcdef0123456789abcdef"
WRONG = [
    (
        SHARED,
        "serial\n1\n",
        "factory.toml, line 36, column 1: server[1].security.key is the same for every board: leave it",
    ),
    (
        PSK.replace("{chip_id}", "fleet"),
        "serial\n1\n",
        "factory.toml, line 35, column 1: server[1].security.identity is the same for every board",
    ),
    (
        PSK.replace("{serial}", "fleet"),
        "serial\n1\n",
        "factory.toml, line 1, column 1: endpoint is the same for every board",
    ),
    (
        PSK,
        "number\n1\n",
        "factory.toml, line 1, column 1: endpoint has {serial}: choose from {chip_id}",
    ),
]


@pytest.mark.parametrize(("text", "rows", "sentence"), WRONG, ids=[row[2] for row in WRONG])
def test_wrong_rows(tmp_path: Path, text: str, rows: str, sentence: str) -> None:
    (tmp_path / "factory.toml").write_text(text)
    path = tmp_path / "boards.csv"
    path.write_text(rows)
    with pytest.raises(FactoryError) as caught:
        found = config.load(tmp_path / "factory.toml", Sheet(path).names)
        with open_ledger(tmp_path) as kept:
            batch.Rows(path, found, kept)
    assert str(caught.value).startswith(f"{tmp_path}/{sentence}")
    assert KEY not in str(caught.value)


@pytest.fixture
def show() -> batch.Show:
    """As a person sees it, 80 columns wide."""
    console = Console(
        width=80, force_terminal=True, color_system=None, record=True, file=io.StringIO()
    )
    found = batch.Show(console)
    found.left = 86
    return found


def test_table(show: batch.Show) -> None:
    for n in range(12):
        show.set(f"/dev/ttyACM{n % 2}", "reading", chip=CHIPS[n % 8])
        show.set(f"/dev/ttyACM{n % 2}", "done", endpoint=f"urn:dev:ops:32473-{n:04}")
    show.set("/dev/ttyACM1", "sending", chip=CHIPS[1], endpoint="urn:dev:ops:32473-0014")
    show.set("/dev/ttyACM2", "reading")
    show.set("/dev/ttyACM2", "failed", note=f"The file system of the board [x] is full{'!' * 80}")
    show.set("/dev/ttyUSB0", "waiting")
    show.console.print(show)
    text = show.console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    # The failure is one line of it.
    assert text.startswith("/dev/ttyACM2: The file system of the board [x] is full!!!")
    assert text.splitlines()[0].endswith("!…") and text.count("The file system") == 1
    assert "12 done, 1 failed, 86 left." in text.splitlines()[1]
    rows = [line for line in text.splitlines() if "/dev/" in line][1:]
    assert len(rows) == 4
    for words, row in zip(
        (
            ("ACM0", CHIPS[2], "0010", "done"),
            ("ACM1", CHIPS[1], "0014", "sending"),
            ("ACM2", "failed"),
            ("USB0", "waiting"),
        ),
        rows,
    ):
        assert all(word in row for word in words), row


PACES = [
    # When boards were done, the time now, and what is said with 86 left.
    ([], 100, ""),
    ([0], 100, ""),
    ([0, 30, 60], 60, " 120 an hour, 43 min more."),
    ([0, 1], 1, " 3600 an hour, 86 s more."),
    ([0, 60], 300, " 12 an hour, 7.2 h more."),  # it grows while nobody plugs a board in
]


@pytest.mark.parametrize(("ends", "now", "said"), PACES)
def test_pace(show: batch.Show, ends: List[float], now: float, said: str) -> None:
    show.ends.extend(ends)
    assert show.pace(now) == said
    show.left = None  # without a CSV there is no end
    assert show.pace(now) == (said.partition(",")[0] + "." if said else "")


def test_report(line: Path, boards) -> None:
    (line / "boards.csv").write_text("serial\n<0001>\n<0002>\n<0003>\n")
    command = ("batch", "factory.toml", "boards.csv", "--report", "report.html")
    for report, board in (("report.html", boards[0]), ("report-2.html", boards[1])):
        broken = PtyBoard(line / f"broken {report}", "ffffffffffffffff", ours=False)
        with broken, Batch(line, [board, broken], more=command[3:]) as run:
            wait_for(line, "failed", 1 + (board is boards[1]))
            board.plug()
            wait_for(line, "done", 1 + (board is boards[1]))
            run.process.send_signal(signal.SIGINT)
            status, out, _ = run.end()
        assert status == 1 and out.endswith(f"The report is {report}.\n")
    for n, path in ((1, line / "report.html"), (2, line / "report-2.html")):
        text = path.read_text()
        assert f"1 done, 1 failed, {3 - n} left." in text
        # A picture and a name for the one, a sentence for the other; nothing of it is markup.
        assert text.count("<svg xmlns") == 1 and text.count('<tr class="failed">') == 1
        name = f"urn:dev:ops:32473-&lt;000{n}&gt;"
        assert f"<td>{name}<br>{CHIPS[n - 1]}<td>" in text and f">{name}</text>" in text
        assert "not this project&#x27;s firmware" in text
        for record in records(line):
            assert not [key for key in keys_of(record) if key in text]
    for path, said in (
        ("/dev/null", "/dev/null is no file: name another one for the report.\n"),
        ("no/r.html", "no/r.html cannot be written: there is no folder no.\n"),
    ):
        done = tool.factory(line, *command[:4], path, "--port", "/dev/none")
        assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_all_rows_are_done_before(line: Path) -> None:
    # At once, without a board.
    (line / "boards.csv").write_text("serial\n1\n")
    args = ("batch", "factory.toml", "boards.csv", "--port")
    with PtyBoard(line / "board") as board:
        assert tool.factory(line, *args, board.port).returncode == 0
    done = tool.factory(line, *args, board.port)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0 done, 0 left. It took 0 s.\nAll 1 rows of boards.csv are done.\n"
