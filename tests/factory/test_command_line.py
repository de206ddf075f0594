"""Faults of a day in a factory as the command says them, many at a start where it says all together; what else
is shown with a command line stands with its subject."""

import json
import os
import pty
import re
import subprocess
import threading
from pathlib import Path

import pytest
from harness import tool
from harness.awaited import PATIENCE_S, eventually
from harness.postgresql import MISSING, Postgresql, programs
from harness.tool import factory
from lwm2m_factory import ledger
from pty_board import PtyBoard
from samples import PSK, events, keys_of, open_ledger, records

KEY = "0123456789abcdef0123456789abcdef"
OWN = PSK.replace("key_bytes = 32", 'key = "{key}"')
# At a terminal: what ends a line or takes it away, and what it has beside its characters.
BETWEEN = re.compile(r"\r\n|\r|\x1b\[2K|\x1b\[1A")
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CHIPS = [f"e66038b71395213{n}" for n in range(3)]

# A row, and the columns in which something is wrong, with words of what is said.
ROWS = [
    (f"0001,e66038b713952131,28:CD:C1:00:00:01,{KEY},a", {}),
    (
        f"2,E6:60:38:B7:13:95:21:31,28cd.c100.0001,{KEY.upper()},a",
        {
            1: "serial is 2, and others have 4 digits: has a spreadsheet taken zeros away",
            2: "the chip_id E6:60:38:B7:13:95:21:31 is that of line 2 already.",
            3: "the mac 28cd.c100.0001 is that of line 2 already.",
            4: "the key is that of line 2 already.",
            5: "the server[1].security.identity a is that of line 2 already.",
        },
    ),
    (
        "1.0E+03,,28cdc10000,00,b",
        {
            1: "serial is 1.0E+03, a number as a spreadsheet shortens it",
            3: "mac has 10 digits, and must have 12",
            4: "the key has 1 bytes",
        },
    ),
    (f"0003\u2028,,,{KEY[1:]},c", {1: "U+2028", 4: "the key has 31 digits: two make a byte"}),
    (f"0004\x0b,0x,,x{KEY[1:]},d", {1: "U+000B", 2: "hexadecimal", 4: "must be hexadecimal"}),
    ("0005\x85,,,,e", {1: "U+0085", 4: "key is empty: the key needs it."}),
    ("0006,,", {None: "it has 3 columns, and must have 5"}),
]


def test_rows(tmp_path: Path) -> None:
    text = OWN.replace('identity = "{chip_id}"', 'identity = "{site}"')
    (tmp_path / "factory.toml").write_text(text)
    lines = ["serial,chip_id,mac,key,site", *(row for row, _ in ROWS)]
    (tmp_path / "boards.csv").write_text("\n".join(lines), encoding="utf-8")
    done = factory(tmp_path, "check", "factory.toml", "boards.csv")
    assert (done.returncode, done.stdout) == (1, "")
    said = dict(line.split(": ", 1) for line in done.stderr.splitlines())
    expected = {}
    for line, (_, faults) in enumerate(ROWS, 2):
        for column, words in faults.items():
            place = f"boards.csv, line {line}" + (f", column {column}" if column else "")
            expected[place] = words
    assert said.keys() == expected.keys()
    for place, words in expected.items():
        assert words in said[place], said
    assert KEY[1:] not in done.stderr.lower()


def test_head_and_quotes(tmp_path: Path) -> None:
    (tmp_path / "factory.toml").write_text(PSK)
    path = tmp_path / "boards.csv"
    path.write_text('serial,CHIP_ID,site,site,\n1,,x,y,\n2,,"x,y,\n3,,x,y,\n')
    done = factory(tmp_path, "check", "factory.toml", "boards.csv")
    assert (done.returncode, done.stdout, sorted(done.stderr.splitlines())) == (
        1,
        "",
        [
            "boards.csv, line 1, column 2: CHIP_ID is no column that is used: did you mean chip_id?",
            "boards.csv, line 1: column 5 has no name.",
            "boards.csv, line 1: two columns have the name site.",
            "boards.csv, line 3: a quotation mark is not closed, or stands inside of a field.",
        ],
    )
    # As Excel makes it, with a name of a number for each kind of writing it, and what is not used.
    path.write_text(
        "\ufeffsep=;\r\nserial;mac;chip_id;site\r\n0001;28cd.c100.0003;;a\u2028b\r\n"
        "0002;28 CD C1 00 00 04;;c,d\r\n0003;;0xE66038B713952131;\r\n;;;\r\n",
        encoding="utf-8",
    )
    done = factory(tmp_path, "check", "factory.toml", "boards.csv")
    assert (done.returncode, done.stdout) == (
        0,
        "factory.toml and boards.csv are right: 3 rows.\n",
    ), done.stderr


def test_tables_behind_each_other(tmp_path: Path) -> None:
    # A second [[bootstrap.server]] behind [[server]] is right, and a bootstrap server without one is not, as
    # what it gives is asked for before the first board.
    more = '[[bootstrap.server]]\nshort_id = 8\nuri = "coap://more.example.org"\n'
    path = tmp_path / "factory.toml"
    path.write_text(PSK + more)
    done = factory(tmp_path, "check", "factory.toml")
    assert (done.returncode, done.stdout) == (0, "factory.toml is right.\n"), done.stderr
    start, end = PSK.index("[[bootstrap.server]]"), PSK.index("[[server]]")
    path.write_text(PSK[:start] + PSK[end:])
    done = factory(tmp_path, "batch", "factory.toml", "--port", "none")
    assert done.returncode == 1 and done.stdout == ""
    said = (
        "factory.toml, line 15, column 1: bootstrap.server is missing: give a [[bootstrap.server]]"
    )
    assert said in done.stderr


def test_files_that_are_mistaken(tmp_path: Path) -> None:
    (tmp_path / "factory.toml").write_text(PSK)
    (tmp_path / "boards.csv").write_text("serial\n1\n")
    done = factory(tmp_path, "check", "boards.csv", "factory.toml")
    assert (done.returncode, done.stderr) == (
        1,
        "boards.csv is no configuration: name that first, factory.toml boards.csv.\n",
    )
    done = factory(tmp_path, "batch", "factory.toml", "--port", "none")
    assert (done.returncode, done.stderr) == (
        1,
        (
            "factory.toml, line 1, column 1: endpoint has {serial}: choose from {chip_id}, {mac}.\n"
            "A CSV would have more names: give it behind the file.\n"
        ),
    )


def test_settings_of_an_application(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        'SETTINGS = {"properties": {"interval": {"type": "integer", "minimum": 1, "maximum": 9}}}\n'
    )
    text = 'application = "app.py"\n' + PSK
    (tmp_path / "factory.toml").write_text(
        text.replace("interval = 60", "interval = 0\nintervals = 1")
    )
    done = factory(tmp_path, "check", "factory.toml")
    assert (done.returncode, done.stderr) == (
        1,
        (
            "factory.toml, line 14, column 1: app.interval must be from 1 to 9.\n"
            "factory.toml, line 15, column 1: app.intervals is unknown: did you mean interval?\n"
        ),
    )


def test_rows_without_a_serial(tmp_path: Path) -> None:
    # A line comes in above, and keys and MACs are written otherwise: a board keeps what it has.
    (tmp_path / "factory.toml").write_text(OWN.replace("{serial}", "{chip_id}"))
    path = tmp_path / "boards.csv"
    keys = [KEY.replace("0", str(n)) for n in range(3)]
    path.write_text(f"key\n{keys[1]}\n{keys[2]}\n")
    args = ("provision", "factory.toml", "--csv", "boards.csv", "--port")
    with PtyBoard(tmp_path / "a", CHIPS[0]) as a, PtyBoard(tmp_path / "b", CHIPS[1]) as b:
        done = factory(tmp_path, *args, a.port)
        assert done.returncode == 0, done.stderr
        path.write_text("key\n" + "".join(f"{key.upper()}\n" for key in keys))
        for board in (b, a):
            done = factory(tmp_path, *args, board.port)
            assert done.returncode == 0, done.stderr
    given = {
        record["chip_id"]: record["accounts"][1]["security"]["key"] for record in records(tmp_path)
    }
    assert given == {CHIPS[0]: keys[1], CHIPS[1]: keys[0]}


def test_secrets_that_others_may_read(tmp_path: Path) -> None:
    (tmp_path / "factory.toml").write_text(PSK)
    with open_ledger(tmp_path):
        pass
    (tmp_path / "factory.ledger.secrets").chmod(0o644)
    done = factory(tmp_path, "export", "--to", "csv", "-o", "keys.csv")
    assert (done.returncode, done.stdout) == (1, "")
    assert "factory.ledger.secrets has keys in it and may be read by others: chmod 600" in (
        done.stderr
    )


def test_ports(tmp_path: Path) -> None:
    done = factory(tmp_path, "ports", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    for line in done.stdout.splitlines():
        assert {"port", "board"} <= json.loads(line).keys()


def test_at_a_terminal(tmp_path: Path) -> None:
    # The live table, 80 columns wide; a failure is one line of it, and is said once.
    (tmp_path / "factory.toml").write_text(PSK)
    (tmp_path / "boards.csv").write_text("serial\n1\n2\n")
    outer, inner = pty.openpty()
    said = b""

    def read() -> None:
        nonlocal said
        try:
            while True:
                said += os.read(outer, 4096)
        except OSError:  # nobody has the other end any more
            pass

    other = PtyBoard(tmp_path / "other", CHIPS[1], ours=False)
    with other, PtyBoard(tmp_path / "board", CHIPS[0]):
        # By short names: a line has room for them twice.
        ports = [arg for each in ("board", "other") for arg in ("--port", f"{each}/tty")]
        process = subprocess.Popen(
            tool.command("lwm2m_factory", "batch", "factory.toml", "boards.csv", *ports),
            cwd=tmp_path,
            env=tool.environment(COLUMNS="80", TERM="xterm"),
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        reader = threading.Thread(target=read)
        reader.start()
        eventually(lambda: b"1 done, 1 failed, 1 left." in said, "both", lambda: repr(said))
        process.send_signal(2)
        assert process.wait(PATIENCE_S) == 1
    reader.join()
    os.close(outer)
    lines = [COLOUR.sub("", line) for line in BETWEEN.split(said.decode())]
    assert max(map(len, lines)) <= 80
    failures = [line for line in lines if line.startswith("other/tty: The board on")]
    assert len(failures) == 1
    assert "1 rows of boards.csv are left: the same command goes on." in lines


@pytest.mark.skipif(programs() is None, reason=MISSING)
def test_two_lines_with_postgresql(tmp_path: Path) -> None:
    (tmp_path / "factory.toml").write_text(PSK)
    (tmp_path / "boards.csv").write_text("serial\n1\n2\n3\n")
    folders = [tmp_path, tmp_path / "other"]
    folders[1].mkdir()
    for name in ("factory.toml", "boards.csv"):
        (folders[1] / name).write_text((tmp_path / name).read_text())
    boards = [PtyBoard(tmp_path / chip, chip) for chip in CHIPS]
    with Postgresql() as server:
        where = ("--ledger", server.url)
        batch = ("batch", "factory.toml", "boards.csv", *where)
        processes = []
        for folder, board in zip(folders, boards):
            board.plug()
            processes.append(
                subprocess.Popen(
                    tool.command("lwm2m_factory", *batch, "--json", "--port", board.port),
                    cwd=folder,
                    env=tool.environment(),
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )

        def given() -> "list[dict]":
            with ledger.Ledger(server.url) as kept:
                return list(kept.records())

        def done() -> bool:
            with ledger.Ledger(server.url) as kept:
                return sum(each.event == ledger.DONE for each in kept.events(0)) == 2

        eventually(done, "two boards")
        for process in processes:
            process.send_signal(2)
            process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 3  # one row is left
        found = given()
        assert len({record["endpoint"] for record in found}) == 2
        assert len({key for record in found for key in keys_of(record)}) == 6
        # Without the database no board is touched.
        server.stop()
        boards[2].plug()
        provision = ("provision", "factory.toml", "--csv", "boards.csv", *where)
        done = factory(tmp_path, *provision, "--port", boards[2].port)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"The ledger {server.url} cannot be used: ")
        assert done.stderr.endswith("No board is touched before what it gets is noted.\n")
        assert boards[2].passed == 0
        server.start()
        done = factory(tmp_path, *provision, "--port", boards[2].port)
        assert done.returncode == 0, done.stderr
        assert len({record["endpoint"] for record in given()}) == 3
    for board in boards:
        board.power_off()
    assert not events(tmp_path)
