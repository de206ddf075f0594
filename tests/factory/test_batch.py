"""Many boards: rows of a CSV given as boards are plugged in, each once, whatever is interrupted."""

import json
import signal
import subprocess
from pathlib import Path
from typing import List, Optional

import pytest
from harness.awaited import PATIENCE_S, eventually
from harness import tool
from lwm2m_factory import FactoryError, batch, config, identity, ledger
from pty_board import PtyBoard
from rich.console import Console
from samples import PSK

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
    """The command at work. It is looked at through its log."""

    def __init__(self, folder: Path, boards: List[PtyBoard], csv: Optional[str] = "boards.csv"):
        self.folder = folder
        ports = [arg for board in boards for arg in ("--port", str(board.port))]
        given = [csv] if csv else []
        self.process = subprocess.Popen(
            tool.command("lwm2m_factory", "batch", "factory.toml", *given, *ports),
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
    """The whole lines of the log."""
    path = folder / "factory.log"
    text = path.read_text() if path.exists() else ""
    return text[: text.rfind("\n") + 1]


def events(folder: Path, kind: str) -> List[dict]:
    entries = map(json.loads, log(folder).splitlines())
    return [entry for entry in entries if entry["event"] == kind]


def wait_for(folder: Path, kind: str, count: int = 1) -> None:
    """Wait until so many events of that kind are in the log."""
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
    records = [json.loads(text) for text in (folder / "factory.secrets").read_text().splitlines()]
    known = {record["chip_id"]: record for record in records}
    assert len(known) == len(records)
    seen = set()
    for board in boards:
        board.power_off()
        found = given(board)
        record = known[board.chip_id]
        keys = [account["security"]["key"] for account in record["accounts"]]
        assert found == [record["endpoint"], *keys]
        assert not seen & set(found)
        seen |= set(found)
    written = (folder / "factory.log").read_text()
    for record in records:
        for account in record["accounts"] + record["given"]:
            assert account["security"]["key"] not in written


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
    assert f"{broken.port}: a board: failed: The board on {broken.port} {reason}" in out
    assert err.startswith(f"{broken.port}: The board on {broken.port} {reason}")
    assert "2 rows of boards.csv are left: the same command goes on." in out
    check_all(line, used)
    endpoints = {entry["endpoint"] for entry in events(line, "done")}
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
    assert len(events(line, "done")) == 6
    check_all(line, boards[:6])


def test_killed_at_any_moment(line: Path, boards) -> None:
    # With nothing noted behind it, the tool is killed again and again, and goes on. It cannot end
    # by itself before the last board is plugged in.
    used = boards[:6]
    for board in used[:5]:
        board.plug()

    def noted() -> int:
        return log(line).count("\n")

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
    assert {entry["chip_id"] for entry in events(line, "done")} == {b.chip_id for b in used}
    check_all(line, used)


def test_cable_pulled_and_plugged_in_again(line: Path, boards) -> None:
    # The board that was cut gets its row and keys again, though another one came in between.
    first, second = boards[:2]
    (line / "boards.csv").write_text("serial\n0001\n0002\n")
    with Batch(line, boards[:2]) as run:
        first.plug(pull_after=1500)
        first.wait()
        wait_for(line, "failed")
        second.plug()
        wait_for(line, "done")
        first.plug()
        status, out, err = run.end()
    assert status == 1  # something has failed meanwhile, and is named
    assert f"{first.chip_id}: The board on {first.port} went silent: was the cable pulled?" in err
    assigned = [(e["chip_id"], e["endpoint"]) for e in events(line, "assigned")]
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
    by_chip = {entry["chip_id"]: entry["endpoint"][18:] for entry in events(line, "done")}
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


def test_only_one_at_a_time(line: Path, boards) -> None:
    with Batch(line, boards[:1]):
        boards[0].plug()
        wait_for(line, "done")
        with Batch(line, boards[:1]) as second:
            status, _, err = second.end()
    assert status == 1
    assert "Another lwm2m-factory is at work with factory.log" in err


# What is wrong with the CSV and the configuration.

SHARED = PSK.replace("key_bytes = 32", f'key = "{"00" * 16}"')
OWN = PSK.replace("key_bytes = 32", 'key = "{key}"')
KEY = "0123456789abcdef0123456789abcdef"
WRONG = [
    (PSK, "", "boards.csv has no rows: its first line names the columns."),
    (PSK, "serial\n", "boards.csv has no rows: its first line names the columns."),
    (PSK, "serial,site\n1,x\n2\n", "boards.csv, line 3: it must have 2 columns"),
    (PSK, "serial\n1\n2\n1\n", "boards.csv, line 4: the serial 1 is that of line 2 already."),
    (
        PSK,
        "serial,chip_id\n1,aa\n2,aa\n",
        "boards.csv, line 3: the chip_id aa is that of line 2 already.",
    ),
    (
        PSK.replace('identity = "{chip_id}"', 'identity = "{site}"'),
        "serial,site\n1,x\n2,x\n",
        "boards.csv, line 3: the server[1].security.identity x is that of line 2 already.",
    ),
    (
        PSK.replace("{serial}", "{name}"),
        "name\na\nb\na\n",
        "boards.csv, line 4: the endpoint urn:dev:ops:32473-a is that of line 2 already.",
    ),
    (OWN, f"serial,key\n1,{KEY}\n2,{KEY}\n", "boards.csv, line 3: the key is that of line 2"),
    (
        SHARED,
        "serial\n1\n",
        "factory.toml, line 36: server[1].security.key is the same for every board: leave it",
    ),
    (
        PSK.replace("{chip_id}", "fleet"),
        "serial\n1\n",
        "factory.toml, line 35: server[1].security.identity is the same for every board",
    ),
    (
        PSK.replace("{serial}", "fleet"),
        "serial\n1\n",
        "factory.toml, line 1: endpoint is the same for every board",
    ),
    (PSK, "number\n1\n", "factory.toml, line 1: endpoint has {serial}: choose from {chip_id}"),
]


@pytest.mark.parametrize(("text", "rows", "sentence"), WRONG, ids=[row[2] for row in WRONG])
def test_wrong_rows(tmp_path: Path, text: str, rows: str, sentence: str) -> None:
    (tmp_path / "factory.toml").write_text(text)
    path = tmp_path / "boards.csv"
    path.write_text(rows)
    with pytest.raises(FactoryError) as caught:
        found = config.load(tmp_path / "factory.toml", batch.columns(path))
        with ledger.Ledger(tmp_path / "log", tmp_path / "secrets") as open_ledger:
            batch.Rows(path, found, open_ledger)
    assert str(caught.value).startswith(f"{tmp_path}/{sentence}")
    assert KEY not in str(caught.value)


def test_rows_are_known_again(tmp_path: Path) -> None:
    # By their serial numbers, or their endpoint names where those come from the CSV alone.
    path = tmp_path / "boards.csv"
    for column, text, name in (("serial", PSK, "b"), ("name", PSK, "urn:dev:ops:32473-b")):
        (tmp_path / "factory.toml").write_text(text.replace("{serial}", f"{{{column}}}"))
        with ledger.Ledger(tmp_path / column, tmp_path / f"{column}.secrets") as kept:
            path.write_text(f"{column}\na\nb\n")
            found = config.load(tmp_path / "factory.toml", batch.columns(path))
            rows = batch.Rows(path, found, kept)
            rows.choose("chip1", "")
            values, row = rows.choose("chip2", "")
            assert (values, row) == ({column: "b"}, name)
            kept.assign("chip2", identity.make(found, dict(values, chip_id="chip2")), row)
            path.write_text(f"{column}\nz\na\nb\n")
            rows = batch.Rows(path, found, kept)
            assert rows.choose("chip2", "") == ({column: "b"}, name)
            assert rows.choose("chip1", "")[0] == {column: "z"}
            assert rows.choose("chip3", "")[0] == {column: "a"}


# The files.


def make(folder: Path) -> ledger.Ledger:
    return ledger.Ledger(folder / "factory.log", folder / "factory.secrets")


def assign(found: ledger.Ledger, chip: str, endpoint: str) -> None:
    record = {"endpoint": endpoint, "accounts": [], "given": []}
    found.assign(chip, identity.Identity(endpoint, b"", record), endpoint[-1])


def test_a_line_that_was_cut(tmp_path: Path) -> None:
    # Power of the host went while it wrote: that board has got nothing yet.
    with make(tmp_path) as found:
        assign(found, "a", "ep-1")
        assign(found, "b", "ep-2")
    for name in ("factory.log", "factory.secrets"):
        path = tmp_path / name
        whole = path.read_bytes()
        first = whole.index(b"\n") + 1
        for end in range(first, len(whole)):
            path.write_bytes(whole[:end])
            with make(tmp_path) as found:
                assert found.endpoints["a"] == "ep-1"
                assert path.read_bytes() == whole[:first]
                found.check("a", "ep-1")
        path.write_bytes(whole)
    # What either file has counts.
    (tmp_path / "factory.log").unlink()
    with make(tmp_path) as found:
        assert found.chips == {"ep-1": "a", "ep-2": "b"} and found.rows == {"a": "1", "b": "2"}
        with pytest.raises(FactoryError, match="was given to the board a already"):
            assign(found, "c", "ep-1")


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with make(tmp_path) as found:
        assign(found, "a", "ep-1")
    secrets = tmp_path / "factory.secrets"
    secrets.chmod(0o644)
    with pytest.raises(FactoryError, match=r"may be read by others: chmod 600"), make(tmp_path):
        pass
    secrets.chmod(0o600)
    secrets.write_bytes(b"{}\n" + secrets.read_bytes())
    with pytest.raises(FactoryError, match=r"factory.secrets, line 1 is damaged"), make(tmp_path):
        pass


def test_table() -> None:
    # As a person sees it.
    console = Console(width=100, force_terminal=True, color_system=None, record=True)
    show = batch.Show(console)
    show.left = 86
    show.done = 12
    show.set("/dev/ttyACM0", "reading", chip=CHIPS[0], board="Raspberry Pi Pico")
    show.set("/dev/ttyACM0", "done", endpoint="urn:dev:ops:32473-0013")
    show.set("/dev/ttyACM1", "sending", chip=CHIPS[1], endpoint="urn:dev:ops:32473-0014")
    show.set("/dev/ttyACM2", "failed", note="The file system of the board [x] is full.")
    show.set("/dev/ttyUSB0", "waiting")
    show.failures.append(f"{CHIPS[3]}: The board [y] went silent.")
    console.print(show)
    text = console.export_text()
    assert "12 done, 1 failed, 86 left." in text
    assert text.rstrip().endswith(f"{CHIPS[3]}: The board [y] went silent.")
    rows = [line for line in text.splitlines() if "/dev/" in line]
    assert len(rows) == 4
    for words, row in zip(
        (
            ("ACM0", CHIPS[0], "0013", "done"),
            ("ACM1", CHIPS[1], "0014", "sending"),
            ("ACM2", "failed: The file"),
            ("USB0", "waiting"),
        ),
        rows,
    ):
        assert all(word in row for word in words), row
    assert "board [x] is full" in " ".join(text.split()).replace("│", "").replace("  ", " ")
