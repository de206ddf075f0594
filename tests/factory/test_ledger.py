"""The ledger: no identity is given twice and no row is lost, whoever writes and whatever is killed."""

import csv
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Union

import pytest
from harness import tool
from harness.awaited import PATIENCE_S
from harness.lines import Lines
from harness.postgresql import MISSING, Postgresql, programs
from lwm2m_factory import FactoryError, batch, canonical, config, former, identity, image, ledger
from lwm2m_factory.sheet import Sheet
from pty_board import PtyBoard
from samples import PSK, events, keys_of, load, open_ledger, records

STATION = Path(__file__).with_name("station.py")
KEY = "0123456789abcdef0123456789abcdef"
OWN = PSK.replace("key_bytes = 32", 'key = "{key}"')
CHIP = "e66038b713952135"


needs_postgresql = pytest.mark.skipif(programs() is None, reason=MISSING)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Postgresql]:
    with Postgresql() as server:
        yield server


def made(text: str, **accounts: str) -> identity.Identity:
    """An identity with that endpoint, and the identities and keys of its accounts."""
    found = [
        {"short_id": n, "security": {"mode": "psk", "identity": who, "key": key}}
        for n, (who, key) in enumerate(accounts.items(), 1)
    ]
    return identity.Identity(text, b"", {"accounts": found, "given": []})


# What one board was given, what another is to be given, and what is said.
FIRST = ("28cdc1000001", made("ep-1", id1=KEY), "row 1")
DOUBLES = [
    (("c2", made("ep-1"), None), "The endpoint ep-1 was given to the board 28cdc1000001 already"),
    (("c2", made("ep-2", id1="00" * 16), None), "The identity id1 was given to the board 28cdc1"),
    (("c2", made("ep-2", id2=KEY.upper()), None), "A key was given to the board 28cdc1000001"),
    (("c2", made("ep-2", a="00" * 16, b=KEY), None), "A key was given to the board 28cdc1000001"),
    (("c2", made("ep-2"), "row 1"), "The row row 1 was given to the board 28cdc1000001 already"),
    (("28:CD:C1:00:00:01", made("ep-2"), None), "was given the endpoint ep-1 already"),
]


@pytest.mark.parametrize(("second", "sentence"), DOUBLES, ids=[row[1] for row in DOUBLES])
def test_given_once(tmp_path: Path, second, sentence: str) -> None:
    with open_ledger(tmp_path) as kept:
        with kept.book() as book:
            book.assign(*FIRST)
        before = records(tmp_path), events(tmp_path)
        with pytest.raises(FactoryError, match=sentence), kept.book() as book:
            book.assign(*second)
        assert (records(tmp_path), events(tmp_path)) == before  # no half of it
        with kept.book() as book:  # the same board again
            book.assign("28CD.C100.0001", *FIRST[1:])


@pytest.mark.parametrize("kind", ["chip", "endpoint", "row", "key", "identity 1"])
def test_the_database_itself_refuses_doubles(tmp_path: Path, kind: str) -> None:
    with open_ledger(tmp_path) as kept, kept.book() as book:
        book.assign(*FIRST)
    connection = sqlite3.connect(tmp_path / "factory.ledger")
    select = f"SELECT kind, value, 1 FROM lwm2m_claims WHERE kind = '{kind}'"
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed"):
        connection.execute(f"INSERT INTO lwm2m_claims {select}")
    connection.close()


CANONICAL = [
    (canonical.hexadecimal, "28cdc1000001"),
    (canonical.hexadecimal, "28:CD:C1:00:00:01"),
    (canonical.hexadecimal, "28-cd-c1-00-00-01"),
    (canonical.hexadecimal, "28cd.c100.0001"),
    (canonical.hexadecimal, " 28 CD C1 00 00 01 "),
    (canonical.hexadecimal, "0x28CDC1000001"),
]


@pytest.mark.parametrize(("f", "text"), CANONICAL)
def test_spellings(f, text: str) -> None:
    assert f(text) == "28cdc1000001"


def named(pattern: str, used: List[str], **values: str) -> str:
    return canonical.row_name(pattern, values, used, lambda data: data.decode())


def test_a_row_is_what_it_says() -> None:
    assert named("a-{serial}", [], serial="0001") == named("a-{serial}", [], serial="1") == "a-1"
    assert named("a-{serial}", [], serial="00A1") == "a-00A1"
    assert named("{chip_id}", [], serial="7") == "{chip_id} 7"
    assert named("{name}", [], name="x", serial="07") == "{name} 7".format(name="x")
    # Without either, by what boards get of it: not by what else stands there.
    first = named("{chip_id}", ["key"], key="k1", site="Berlin", mac="28:CD:C1:00:00:01")
    assert first == named("{chip_id}", ["key"], site="Bern", mac="28cdc1000001", key="k1")
    assert first != named("{chip_id}", ["key"], site="Berlin", mac="28cdc1000001", key="k2")


def choose(rows: batch.Rows, kept: ledger.Ledger, chip: str) -> Dict[str, str]:
    with kept.book() as book:
        values, row = rows.choose(book, chip, "")
        found = identity.make(rows.config, dict(values, chip_id=chip), book.earlier(chip))
        book.assign(chip, found, row)
    return values


def read(folder: Path, text: str, csv: str, kept: ledger.Ledger) -> batch.Rows:
    (folder / "boards.csv").write_text(csv)
    (folder / "factory.toml").write_text(text)
    found = config.load(folder / "factory.toml", Sheet(folder / "boards.csv").names)
    rows = batch.Rows(folder / "boards.csv", found, kept)
    rows.config = found
    return rows


def test_rows_without_a_serial_are_known_again(tmp_path: Path) -> None:
    # A line comes in above: each board keeps its key, and the others' are still there for others.
    text = OWN.replace("{serial}", "{chip_id}")
    keys = [f"{n:031x}a" for n in range(4)]
    with open_ledger(tmp_path) as kept:
        rows = read(tmp_path, text, "key\n" + "\n".join(keys[1:3]), kept)
        assert choose(rows, kept, "c1") == {"key": keys[1]}
        rows = read(tmp_path, text, "key,site\n" + "".join(f"{k.upper()},x\n" for k in keys), kept)
        assert choose(rows, kept, "c1")["key"].lower() == keys[1]
        assert [choose(rows, kept, f"d{n}")["key"].lower() for n in range(3)] == [
            *(keys[0], keys[2], keys[3])
        ]
        with pytest.raises(FactoryError, match="There is no row left"):
            choose(rows, kept, "d4")


def test_equal_rows_are_as_many_as_they_are(tmp_path: Path) -> None:
    text = PSK.replace("{serial}", "{chip_id}")
    with open_ledger(tmp_path) as kept:
        rows = read(tmp_path, text, "site\nBerlin\nBerlin\nBern\n", kept)
        found = [choose(rows, kept, f"c{n}")["site"] for n in range(3)]
        assert found == ["Berlin", "Berlin", "Bern"]
        with pytest.raises(FactoryError, match="There is no row left"):
            choose(rows, kept, "c3")


def test_leading_zeros_are_lost(tmp_path: Path) -> None:
    # As a spreadsheet loses them: the row was given, and no other board gets it.
    with open_ledger(tmp_path) as kept:
        rows = read(tmp_path, PSK, "serial\n0001\n0002\n", kept)
        assert choose(rows, kept, "c1") == {"serial": "0001"}
        rows = read(tmp_path, PSK, "serial\n1\n2\n", kept)
        assert choose(rows, kept, "c2") == {"serial": "2"}
        with pytest.raises(FactoryError, match="There is no row left"):
            choose(rows, kept, "c3")


# With real command lines.


def test_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "factory.toml").write_text(PSK)
    other = tmp_path / "other"
    other.mkdir()
    args = ("--serial", "1", "--port")
    with PtyBoard(tmp_path / "a", "aa") as a, PtyBoard(tmp_path / "b", "bb") as b:
        done = tool.factory(tmp_path, "provision", "factory.toml", *args, a.port)
        assert done.returncode == 0, done.stderr
        assert f"Noted in {tmp_path}/factory.ledger." in done.stdout
        done = tool.factory(other, "provision", "../factory.toml", *args, b.port)
    assert done.returncode == 1
    assert done.stderr == (
        "The endpoint urn:dev:ops:32473-1 was given to the board aa already: no identity is given "
        "twice.\n"
    )
    assert list(other.iterdir()) == []


def test_encrypted(tmp_path: Path) -> None:
    (tmp_path / "factory.toml").write_text(PSK)
    phrase = tmp_path / "phrase"
    phrase.write_text("correct horse\n")
    sealed = ("--passphrase-file", "phrase")
    export = ("export", "--to", "csv", "-o", "keys.csv")
    with PtyBoard(tmp_path / "board", CHIP) as board:
        provision = ("provision", "factory.toml", "--serial", "1", "--port", board.port)
        done = tool.factory(tmp_path, *provision, *sealed)
        assert done.returncode == 1
        assert done.stderr.startswith("phrase has keys in it and may be read by others: chmod 600")
        phrase.chmod(0o600)
        # Begun in the open, and encrypted from then on, all of it.
        assert tool.factory(tmp_path, *provision).returncode == 0
        (record,) = records(tmp_path)
        keys = keys_of(record)
        ours = [tmp_path / "factory.ledger", tmp_path / "factory.ledger.secrets"]
        assert all(key.encode() in ours[1].read_bytes() for key in keys)
        done = tool.factory(tmp_path, *provision, *sealed)
        assert done.returncode == 0, done.stderr
        for path in ours:
            assert not [key for key in keys if key.encode() in path.read_bytes()]
        done = tool.factory(tmp_path, "verify", "--port", board.port, *sealed)
        assert done.returncode == 0, done.stderr
        assert "what was given" in done.stdout
    done = tool.factory(tmp_path, *export)
    assert done.returncode == 1
    assert done.stderr == (
        f"The secrets of {tmp_path}/factory.ledger are encrypted: name the file of their "
        "passphrase with --passphrase-file.\n"
    )
    phrase.write_text("wrong horse")
    done = tool.factory(tmp_path, *export, *sealed)
    assert done.returncode == 1
    assert done.stderr == "That is not the passphrase of this ledger's secrets.\n"
    phrase.write_text("correct horse")
    done = tool.factory(tmp_path, *export, *sealed)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "keys.csv", newline="") as f:
        assert [row["key"] for row in csv.DictReader(f)] == keys


# The files of before.


def before(folder: Path) -> "list[dict]":
    """factory.log and factory.secrets as the tool wrote them before; the records."""
    folder.mkdir(exist_ok=True)
    found = load(folder, PSK)
    log, secrets = [], []
    for n in (1, 2):
        chip, row = f"c{n}", f"000{n}"
        one = identity.make(found, {"serial": row, "chip_id": chip, "mac": ""})
        record = {"endpoint": one.endpoint, "chip_id": chip, **one.record, "row": row}
        del record["values"]
        secrets.append(record)
        for event in ("assigned", "done")[: 3 - n]:
            told = {"chip_id": chip, "endpoint": one.endpoint, "row": row}
            log.append({"time": f"2026-01-0{n}T00:00:00+00:00", "event": event, **told})
    for name, lines in (("log", log), ("secrets", secrets)):
        path = folder / f"factory.{name}"
        path.write_text("".join(json.dumps(each) + "\n" for each in lines))
        path.chmod(0o600)
    return secrets


def test_former_files_are_imported_once(tmp_path: Path) -> None:
    given = before(tmp_path)
    (tmp_path / "factory.secrets").write_text(
        (tmp_path / "factory.secrets").read_text() + '{"endpoint": "cut'
    )
    done = tool.factory(tmp_path, "export", "--to", "csv", "-o", "keys.csv")
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        f"{tmp_path}/factory.ledger has what was in {tmp_path}/factory.secrets. Its keys are still "
        f"in {tmp_path}/factory.secrets.imported: keep that as safe as before, or erase it.\n"
    )
    found = records(tmp_path)
    assert [keys_of(record) for record in found] == [keys_of(record) for record in given]
    assert [each.time[:10] for each in events(tmp_path, "assigned")][:2] == [
        "2026-01-01",
        "2026-01-02",
    ]
    with open_ledger(tmp_path) as kept:
        assert [kept.board(chip).state for chip in ("c1", "c2")] == ["done", "assigned"]
        rows = read(tmp_path, PSK, "serial\n0000\n0001\n0002\n0003\n", kept)
        assert rows.left() == 3
        assert choose(rows, kept, "c2") == {"serial": "0002"}
        assert choose(rows, kept, "c3") == {"serial": "0000"}
        assert choose(rows, kept, "c4") == {"serial": "0003"}
    # Killed after it was noted, before the files had other names.
    for name in ("log", "secrets"):
        shutil.move(tmp_path / f"factory.{name}.imported", tmp_path / f"factory.{name}")
    count = len(events(tmp_path))
    with open_ledger(tmp_path) as kept:
        former.take_in(kept, [tmp_path])
    assert len(events(tmp_path)) == count and not (tmp_path / "factory.secrets").exists()


def test_former_files_that_are_wrong(tmp_path: Path) -> None:
    before(tmp_path)
    secrets = tmp_path / "factory.secrets"
    with open_ledger(tmp_path) as kept:
        secrets.chmod(0o644)
        with pytest.raises(FactoryError, match="may be read by others: chmod 600"):
            former.take_in(kept, [tmp_path])
        secrets.chmod(0o600)
        secrets.write_bytes(b"{}\n" + secrets.read_bytes())
        with pytest.raises(FactoryError, match=r"factory.secrets, line 1 is damaged"):
            former.take_in(kept, [tmp_path])
        assert secrets.exists()
    assert not records(tmp_path) and not events(tmp_path)


# Ledgers that cannot be used.


def spoil(name: str, text: bytes):
    return lambda folder: (folder / name).write_bytes(text)


def newer(folder: Path) -> None:
    with sqlite3.connect(folder / "factory.ledger") as connection:
        connection.execute("UPDATE lwm2m_meta SET value = '99' WHERE name = 'version'")


def others(folder: Path) -> None:
    (folder / "x").mkdir()
    with open_ledger(folder / "x"):
        pass
    shutil.copy(folder / "x/factory.ledger.secrets", folder)


UNUSABLE = [
    (
        lambda folder: (folder / "factory.ledger.secrets").unlink(),
        "secrets is missing: put it back",
    ),
    (lambda folder: (folder / "factory.ledger.secrets").chmod(0o644), "may be read by others"),
    (spoil("factory.ledger", b"no database" * 1000), "cannot be used: file is not a database"),
    (newer, "was written by a newer lwm2m-factory: update this one"),
    (others, "are those of another ledger: put back its own"),
]


@pytest.mark.parametrize(("how", "sentence"), UNUSABLE, ids=[row[1] for row in UNUSABLE])
def test_unusable(tmp_path: Path, how, sentence: str) -> None:
    with open_ledger(tmp_path) as kept, kept.book() as book:
        book.assign(*FIRST)
    how(tmp_path)
    with pytest.raises(FactoryError, match=sentence), open_ledger(tmp_path):
        pass


def test_the_ledger_is_taken_away(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as kept:
        with kept.book() as book:
            book.assign(*FIRST)
        (tmp_path / "factory.ledger").rename(tmp_path / "away")
        with pytest.raises(FactoryError, match="cannot be used: unable to open"), kept.book():
            pass
        assert not (tmp_path / "factory.ledger").exists()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://u:hunter2@host/db", "--ledger cannot be mysql://"),
        (
            "postgresql://u:hunter2@127.0.0.1:1/db",
            "u:***@127.0.0.1:1/db cannot be used: connection",
        ),
        ("postgresql://h:x/d", "--ledger must be a file, or postgresql://user@host"),
    ],
)
def test_urls(tmp_path: Path, url: str, sentence: str) -> None:
    done = tool.factory(tmp_path, "export", "--to", "csv", "-o", "x", "--ledger", url)
    assert done.returncode == 1
    assert sentence in done.stderr and "hunter2" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


# Several stations, which are killed.

# Of each of four; `make soak` has 5,000 boards in all.
STATION_BOARDS = int(os.environ.get("LINE", "240")) // 4


class Line:
    """Stations that share a ledger."""

    def __init__(self, where: Union[str, Path], folder: Path, count: int, each: int):
        self.folder, self.where, self.count, self.each = folder, where, count, each
        self.patience = PATIENCE_S * (1 + each // 60)
        (folder / "boards").mkdir()
        (folder / "factory.toml").write_text(OWN)
        lines = "".join(f"{n:05},{n:032x}\n" for n in range(count * each))
        (folder / "boards.csv").write_text("serial,key\n" + lines)

    def start(self, n: int) -> "tuple[subprocess.Popen, Lines]":
        first = n * self.each
        process = subprocess.Popen(
            [sys.executable, STATION, self.where, self.folder, str(first), str(first + self.each)],
            env=tool.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return process, Lines(process.stdout)

    def run(self, kills: int, seed: int) -> None:
        """All stations, each killed so often, a random number of boards after its start."""
        chance = random.Random(seed)
        running = {n: self.start(n) for n in range(self.count)}
        for kill in range(kills):
            for n, (process, lines) in list(running.items()):
                # Boards that it looks at again are said as well.
                more = kill * self.each // (kills + 1) + chance.randrange(1, 10)
                lines.wait(
                    lambda lines=lines, more=more: len(lines.lines) >= more,
                    f"{more} lines",
                    self.patience,
                )
                process.kill()
                self.end(process, lines)
                running[n] = self.start(n)
        for process, lines in running.values():
            assert process.wait(self.patience) == 0, lines.text()
            self.end(process, lines)

    @staticmethod
    def end(process: subprocess.Popen, lines: Lines) -> None:
        process.wait()
        lines.join()
        process.stdout.close()

    def check(self) -> None:
        """Each board has a row of its own, all rows are given, and the ledger has what boards have."""
        total = self.count * self.each
        with ledger.Ledger(self.where) as kept:
            known = {record["chip_id"]: record for record in kept.records()}
        assert len(known) == total
        endpoints, keys = set(), set()
        for n in range(total):
            chip = f"{n:016x}"
            endpoint, state, _ = image.unpack((self.folder / "boards" / chip).read_bytes())
            assert known[chip]["endpoint"] == endpoint
            assert keys_of(known[chip])[:2] == [state[0][iid][5].hex() for iid in (0, 1)]
            endpoints.add(endpoint)
            keys.update(keys_of(known[chip]))
            assert int(state[0][1][5].hex(), 16) == int(endpoint[-5:])  # row by row
        assert len(endpoints) == total and len(keys) == 3 * total


def test_stations_that_are_killed(tmp_path: Path) -> None:
    line = Line(tmp_path / "factory.ledger", tmp_path, 3, 40)
    line.run(3, seed=1)
    line.check()


@needs_postgresql
def test_stations_that_are_killed_with_postgresql(tmp_path: Path, postgresql: Postgresql) -> None:
    line = Line(postgresql.url, tmp_path, 4, STATION_BOARDS)
    line.run(3, seed=2)
    line.check()


@needs_postgresql
def test_the_database_is_gone_for_a_while(tmp_path: Path) -> None:
    with Postgresql() as server:
        line = Line(server.url, tmp_path, 1, 40)
        process, lines = line.start(0)
        lines.wait_for("5")
        server.stop()
        name = f"The ledger {server.url} cannot be used: "
        assert lines.says(name).endswith("No board is touched before what it gets is noted.")
        # A board that was being written when it went may be whole; none after it is touched.
        there = set((tmp_path / "boards").iterdir())
        lines.says(name, times=5)
        assert set((tmp_path / "boards").iterdir()) == there
        server.start()
        assert process.wait(PATIENCE_S) == 0, lines.text()
        line.end(process, lines)
        line.check()
