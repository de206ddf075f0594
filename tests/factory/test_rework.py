"""Rework: boards that break, that are given to others, and what was done with them, which stays."""

import json
from pathlib import Path

import pytest
from harness.tool import factory
from pty_board import PtyBoard
from samples import PSK, keys_of, records

OLD, NEW, THIRD = "e66038b713952131", "e66038b713952132", "e66038b713952133"
ENDPOINT = "urn:dev:ops:32473-0001"


@pytest.fixture
def line(tmp_path: Path):
    """A folder in which the first of three boards, which are plugged in, is done."""
    (tmp_path / "factory.toml").write_text(PSK)
    (tmp_path / "boards.csv").write_text("serial\n0001\n0002\n")
    boards = [PtyBoard(tmp_path / chip, chip) for chip in (OLD, NEW, THIRD)]
    for board in boards:
        board.plug()
    done = provision(tmp_path, boards[0])
    assert done.returncode == 0, done.stderr
    yield tmp_path, boards
    for board in boards:
        board.power_off()


def provision(folder: Path, board: PtyBoard):
    args = ("--csv", "boards.csv", "--port", board.port)
    return factory(folder, "provision", "factory.toml", *args)


def history(folder: Path, who: str) -> "list[tuple[str, str]]":
    done = factory(folder, "history", who, "--json")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [(each["event"], each["chip"]) for each in found]


def test_replace(line) -> None:
    folder, boards = line
    before = keys_of(records(folder)[0])
    replace = ("replace", "factory.toml", ENDPOINT, "--port")
    done = factory(folder, *replace, boards[1].port)
    assert done.returncode == 0, done.stderr
    assert f"Endpoint  {ENDPOINT}" in done.stdout
    # The successor is who is exported, with keys of its own.
    (record,) = records(folder)
    assert (record["chip_id"], record["endpoint"]) == (NEW, ENDPOINT)
    assert len({*before, *keys_of(record)}) == 6
    assert factory(folder, "verify", "--port", boards[1].port).returncode == 0
    assert history(folder, ENDPOINT) == [
        ("assigned", OLD),
        ("done", OLD),
        ("replaced", OLD),
        ("assigned", NEW),
        ("done", NEW),
    ]
    # The same again gives the same; the old one is not let in, until it is forgotten.
    assert factory(folder, *replace, boards[1].port).returncode == 0
    assert records(folder) == [record]
    done = provision(folder, boards[0])
    assert (done.returncode, done.stderr) == (
        1,
        (
            f"The endpoint {ENDPOINT} was given to the board {NEW} already: no identity is given "
            "twice.\n"
        ),
    )
    done = factory(folder, "forget", OLD, "--yes")
    assert done.returncode == 0, done.stderr
    assert provision(folder, boards[0]).returncode == 0
    assert [each["endpoint"][-1] for each in records(folder)] == ["1", "2"]
    # A board that has an identity is nobody's successor.
    done = factory(folder, *replace, boards[0].port)
    assert done.returncode == 1
    assert done.stderr.startswith(f"The board {OLD} was given the endpoint urn:dev:ops:32473-0002")
    assert [each["chip_id"] for each in records(folder)] == [NEW, OLD]


def test_forget(line) -> None:
    folder, boards = line
    done = factory(folder, "forget", OLD)
    assert done.returncode == 1 and "Nobody can be asked here: say --yes." in done.stderr
    done = factory(folder, "forget", "E6:60:38:B7:13:95:21:31", "--yes")
    assert done.returncode == 0, done.stderr
    assert records(folder) == []
    # Its identity is given to nobody else: the next board gets the next row, and then none is left.
    assert provision(folder, boards[1]).returncode == 0
    assert [each["endpoint"][-1] for each in records(folder)] == ["2"]
    done = provision(folder, boards[2])
    assert done.stderr == f"There is no row left for the board {THIRD}.\n"
    done = factory(folder, "provision", "factory.toml", "--serial", "1", "--port", boards[2].port)
    assert done.returncode == 1 and f"was given to the board {OLD} already" in done.stderr
    assert history(folder, OLD) == [("assigned", OLD), ("done", OLD), ("forgotten", OLD)]


def test_free(line) -> None:
    # Unless it is said twice.
    folder, boards = line
    done = factory(folder, "forget", OLD, "--free", "urn:dev:ops:32473-0002", "--yes")
    assert (done.returncode, done.stderr) == (
        1,
        (
            f"The board {OLD} has the endpoint {ENDPOINT}, and not urn:dev:ops:32473-0002: nothing was "
            "done.\n"
        ),
    )
    assert len(records(folder)) == 1
    done = factory(folder, "forget", OLD, "--free", ENDPOINT, "--yes")
    assert done.returncode == 0, done.stderr
    assert provision(folder, boards[1]).returncode == 0
    assert [(each["chip_id"], each["endpoint"]) for each in records(folder)] == [(NEW, ENDPOINT)]
    assert history(folder, ENDPOINT) == [
        ("assigned", OLD),
        ("done", OLD),
        ("freed", OLD),
        ("assigned", NEW),
        ("done", NEW),
    ]


def test_label(line) -> None:
    folder, _ = line
    label = ("label", ENDPOINT, "-o", "label.svg")
    done = factory(folder, *label)
    assert (done.returncode, done.stdout) == (0, f"label.svg is the label of {ENDPOINT}.\n"), (
        done.stderr
    )
    text = (folder / "label.svg").read_text()
    assert f">{ENDPOINT}</text>" in text and f">Chip {OLD}</text>" in text
    done = factory(folder, *label)
    assert done.returncode == 1 and done.stderr.startswith("label.svg is there already")
    assert factory(folder, "label", OLD, "-o", "label.svg", "--yes").returncode == 0
    assert history(folder, ENDPOINT)[2:] == [("labelled", OLD)] * 2
    # That of a board that is another's by now would be a second one of it.
    assert factory(folder, "forget", OLD, "--yes").returncode == 0
    done = factory(folder, *label[:3], "other.svg")
    assert (done.returncode, done.stderr) == (
        1,
        f"The board {OLD} is forgotten: it has no label.\n",
    )
    assert not (folder / "other.svg").exists()


def test_unknown(tmp_path: Path, line) -> None:
    for command in (("forget", "x", "--yes"), ("replace", "factory.toml", "x", "--port", "y")):
        done = factory(tmp_path, *command)
        assert (done.returncode, done.stderr) == (
            1,
            "No board x is in the ledger: give a chip, or an endpoint name.\n",
        )
    done = factory(tmp_path, "history", "x")
    assert (done.returncode, done.stderr) == (
        1,
        f"Nothing of x is in {tmp_path}/factory.ledger.\n",
    )
    done = factory(tmp_path, "history", OLD)
    assert done.stdout.count(f"done       {OLD}\n    endpoint {ENDPOINT}\n") == 1
