"""The CSV, as spreadsheets and people make it: taken as it is meant, or refused with all that is wrong."""

from pathlib import Path
from typing import List

import pytest
from harness.tool import factory
from lwm2m_factory import FactoryError, batch, config
from lwm2m_factory.sheet import Sheet
from pty_board import PtyBoard
from samples import PSK, events

KEY = "0123456789abcdef0123456789abcdef"
OWN = PSK.replace("key_bytes = 32", 'key = "{key}"')
NAMED = PSK.replace("{serial}", "{name}")
SITE = PSK.replace('identity = "{chip_id}"', 'identity = "{site}"')


def read(folder: Path, text: str, csv: bytes) -> Sheet:
    (folder / "factory.toml").write_text(text)
    path = folder / "boards.csv"
    path.write_bytes(csv)
    sheet = Sheet(path)
    batch.check_sheet(sheet, config.load(folder / "factory.toml", sheet.names))
    return sheet


# What is meant by a file, for PSK: its rows.
TAKEN = [
    ("as Excel makes it", b"serial;mac\r\n0001;\r\n0002;\r\n", ["0001", "0002"]),
    ("UTF-8 with BOM", b"\xef\xbb\xbfserial\n0001\n", ["0001"]),
    ("an empty last row", b"serial;site\n0001;x\n;\n;\n", ["0001"]),
    ("empty lines", b"\nserial\n\n0001\n\n\n0002", ["0001", "0002"]),
    ("Excel's hint", b"sep=;\r\nserial;site\r\n0001;a,b,c,d\r\n", ["0001"]),
    ("tabs", b"serial\tsite\n0001\tx\n", ["0001"]),
    ("quotes", b'serial,site\n"0001","a ""b"", c"\n', ["0001"]),
    ("a field nobody uses", "serial,site\n0001,a\u2028b\x0b\x85c\u00a0d\n".encode(), ["0001"]),
    (
        "numbers of chips",
        b"serial,mac,chip_id\n1,28cd.c100.0003,0xE66038B713952131\n2,28 CD C1 00 00 04,\n",
        ["1", "2"],
    ),
]


@pytest.mark.parametrize(("csv", "serials"), [row[1:] for row in TAKEN], ids=[r[0] for r in TAKEN])
def test_taken(tmp_path: Path, csv: bytes, serials: List[str]) -> None:
    assert [row["serial"] for _, row in read(tmp_path, PSK, csv).rows] == serials


ZEROS = "has a spreadsheet taken zeros away in front?"
# The configuration, the file, and all that is said of it.
WRONG = [
    (PSK, "serial\n", ["boards.csv has no rows: its first line names the columns."]),
    (PSK, "serial,site\n1,x\n2\n", ["boards.csv, line 3: it has 1 columns, and must have 2"]),
    (
        PSK,
        "serial\n1\n2\n1\n",
        ["boards.csv, line 4, column 1: the serial 1 is that of line 2 already."],
    ),
    (
        PSK,
        "serial\n0001\n1\n",
        [
            f"boards.csv, line 3, column 1: serial is 1, and others have 4 digits: {ZEROS}",
        ],
    ),
    (
        PSK,
        "serial,chip_id,mac\n1,e660,28:CD:C1:00:00:01\n2,E6:60,28cd.c100.0001\n",
        [
            "boards.csv, line 3, column 2: the chip_id E6:60 is that of line 2 already.",
            "boards.csv, line 3, column 3: the mac 28cd.c100.0001 is that of line 2 already.",
        ],
    ),
    (
        SITE,
        "serial,site\n1,x\n2,x\n",
        ["boards.csv, line 3, column 2: the server[1].security.identity x is that of line 2"],
    ),
    (
        NAMED,
        "name\na\nb\na\n",
        ["boards.csv, line 4, column 1: the endpoint urn:dev:ops:32473-a is that of line 2"],
    ),
    (
        OWN,
        f"serial,key\n1,{KEY}\n2,{KEY.upper()}\n3,00\n4,{KEY[1:]}\n5,x{KEY[1:]}\n6,\n",
        [
            "boards.csv, line 3, column 2: the key is that of line 2 already.",
            "boards.csv, line 4, column 2: the key has 1 bytes: a key has from 16 to 64",
            "boards.csv, line 5, column 2: the key has 31 digits: two make a byte",
            "boards.csv, line 6, column 2: the key must be hexadecimal.",
            "boards.csv, line 7, column 2: key is empty: the key needs it.",
        ],
    ),
    (PSK, "serial,site\n,x\n", ["boards.csv, line 2, column 1: serial is empty: the endpoint"]),
    (PSK, "serial\na b\n", ["boards.csv, line 2, column 1: the endpoint must not have spaces"]),
    (
        PSK,
        'serial,site\n1,"x\n2,y\n3,z\n',
        ["boards.csv, line 2: a quotation mark is not closed, or stands inside of a field."],
    ),
    (
        PSK,
        'serial,site\n1,"x\n2,y"\n3,z\n',
        ["boards.csv, line 2, column 2: site goes on in the next line: is there a quotation"],
    ),
    (PSK, "serial,site,site\n1,x,y\n", ["boards.csv, line 1: two columns have the name site."]),
    (PSK, "serial,,\n1,x,y\n", [f"boards.csv, line 1: column {n} has no name." for n in (2, 3)]),
    (
        PSK,
        "serial,CHIP_ID,Mac Address,MAC\n1,aa,bb,cc\n",
        [
            "boards.csv, line 1, column 2: CHIP_ID is no column that is used: did you mean chip_id?",
            "boards.csv, line 1, column 4: MAC is no column that is used: did you mean mac?",
        ],
    ),
    *(
        (
            PSK,
            f"serial\n1{c}2\n",
            [f"boards.csv, line 2, column 1: serial has the character {name}"],
        )
        for c, name in (("\u2028", "U+2028"), ("\x0b", "U+000B"), ("\x85", "U+0085"))
    ),
    (
        PSK,
        "serial,mac\n1.0E+03,2.8E+11\n2,28cdc100000\n3,280000001\n4,xx\n",
        [
            "boards.csv, line 2, column 1: serial is 1.0E+03, a number as a spreadsheet shortens",
            "boards.csv, line 2, column 2: mac is 2.8E+11, a number as a spreadsheet shortens it",
            "boards.csv, line 3, column 2: mac has 11 digits, and must have 12.",
            f"boards.csv, line 4, column 2: mac has 9 digits, and must have 12: {ZEROS}",
            "boards.csv, line 5, column 2: mac must be hexadecimal.",
        ],
    ),
    (
        PSK,
        "number\n1\n",
        ["factory.toml, line 1, column 1: endpoint has {serial}: choose from {chip_id}"],
    ),
]


@pytest.mark.parametrize(("text", "csv", "said"), WRONG, ids=[row[2][0] for row in WRONG])
def test_wrong(tmp_path: Path, text: str, csv: str, said: List[str]) -> None:
    with pytest.raises(FactoryError) as caught:
        read(tmp_path, text, csv.encode())
    lines = str(caught.value).splitlines()
    for line, start in zip(lines, said):
        assert line.startswith(f"{tmp_path}/{start}"), lines
    assert len(lines) == len(said)
    assert KEY[1:] not in str(caught.value).lower()


def test_check(tmp_path: Path) -> None:
    # All faults of both files together, on a real command line, before any board is looked for.
    (tmp_path / "factory.toml").write_text(OWN)
    path = tmp_path / "boards.csv"
    path.write_text(f"serial;key\n0001;00\n0002;{KEY}\n3;{KEY[:-1]}0\n;\n")
    said = (
        "boards.csv, line 2, column 2: the key has 1 bytes: a key has from 16 to 64 bytes, which are "
        "32 to 128 hexadecimal digits.\n"
        f"boards.csv, line 4, column 1: serial is 3, and others have 4 digits: {ZEROS}\n"
    )
    with PtyBoard(tmp_path / "board") as board:
        port = ("--port", board.port)
        for args in (
            ("check", "factory.toml", "boards.csv"),
            ("batch", "factory.toml", "boards.csv", *port),
            ("provision", "factory.toml", "--csv", "boards.csv", *port),
        ):
            done = factory(tmp_path, *args)
            assert (done.returncode, done.stdout, done.stderr) == (1, "", said), args
        assert board.passed == 0
        assert not events(tmp_path)
        # The columns that the configuration wants are not there, and a row is cut.
        path.write_text("serail,key\n1\n")
        done = factory(tmp_path, "check", "factory.toml", "boards.csv")
        assert done.stderr == (
            "factory.toml, line 1, column 1: endpoint has {serial}: choose from {chip_id}, {mac}, "
            "{serail}, {key}.\n"
            "boards.csv, line 2: it has 1 columns, and must have 2 as the first line.\n"
        )
        # Right, and one of them is given.
        path.write_text(f"serial;key\n0001;{KEY}\n0002;{KEY[:-1]}0\n;\n")
        done = factory(tmp_path, "check", "factory.toml", "boards.csv")
        assert done.stdout == "factory.toml and boards.csv are right: 2 rows.\n", done.stderr
        done = factory(tmp_path, "provision", "factory.toml", "--csv", "boards.csv", *port)
        assert done.returncode == 0, done.stderr
        done = factory(tmp_path, "check", "factory.toml", "boards.csv")
        assert done.stdout == (
            "factory.toml and boards.csv are right: 2 rows. 1 of them are given.\n"
        )
        # An empty row at its end does not keep a batch from ending: with one board more it is done.
        path.write_text(f"serial;key\n0001;{KEY}\n;\n")
        done = factory(tmp_path, "batch", "factory.toml", "boards.csv", *port)
        assert done.returncode == 0, done.stderr
    done = factory(tmp_path, "check", "factory.toml")
    assert done.returncode == 1 and "endpoint has {serial}" not in done.stderr
