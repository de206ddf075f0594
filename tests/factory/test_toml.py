"""TOML: what the standard library takes is never refused as no TOML, and what it refuses is a sentence."""

import copy
import datetime
import json
import math
import random
import re
import sys
from pathlib import Path
from typing import Iterator

import pytest
from harness.tool import factory
from lwm2m_factory import config, toml
from samples import CERTIFICATE, PSK, load

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLES = [
    '[network]\ntype = "none"\n',
    "[board]\nled = 2\n",
    "[app]\nx = 1\n",
    '[app.more]\ny = """\n[server]\nx = 3\n"""  # three\nz = [\n  1,  # [\n  2,\n]\n',
    '[bootstrap]\nuri = "coap://b"\n',
    '[[bootstrap.server]]\nshort_id = 1\nuri = "coap://x"\n',
    '[[bootstrap.server]]\nshort_id = 2\nuri = "coap://y"\n',
    '[[server]]\nshort_id = 3\nuri = "coap://z"\n',
    '[[server]]\nshort_id = 4\nuri = "coaps://z"\n[server.security]\nmode = "psk"\n',
    '[[server]]\nshort_id = 5\nuri = "coaps://z"\nsecurity = { mode = "psk", key = "random" }\n',
]


def test_tables_in_any_order(tmp_path: Path) -> None:
    chance = random.Random(1)
    for _ in range(500):
        chance.shuffle(TABLES)
        text = 'endpoint = "{serial}"\n' + "\n".join(TABLES)
        tomllib.loads(text)
        found = load(tmp_path, text)
        assert len(found.accounts) == 4 and len(found.given) == 2
        assert found.settings["app"] == {
            "x": 1,
            "more": {"y": "[server]\nx = 3\n", "z": [1, 2]},
        }
        lines = text.split("\n")
        for place, (line, column) in toml.read(text)[1].items():
            there = lines[line - 1][column - 1 :]
            if there.startswith("["):  # a table's header
                names = [name for name in place if isinstance(name, str)]
                assert there.startswith((f"[{'.'.join(names)}]", f"[[{'.'.join(names)}]]")), place
            elif isinstance(place[-1], int):
                assert there == f"{place[-1] + 1}," + "  # [" * (place[-1] == 0), place
            else:
                assert re.split(" *=", there)[0].endswith(place[-1]), place


def test_as_the_standard_library(tmp_path: Path) -> None:
    # Anything at all: taken by both or by none; what is refused has a line that is there.
    chance = random.Random(2)
    taken = 0
    for _ in range(4000):
        text = PSK
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(text))
            cut = chance.choice((0, 0, 1, 2, 9))
            text = text[:at] + chance.choice("\n\"[]{}=.,#'\\\x00aé1\t ") + text[at + cut :]
        try:
            expected = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            expected = None
        try:
            assert toml.read(text)[0] == expected
            taken += 1
        except toml.Wrong as e:
            assert expected is None
            assert 1 <= e.line <= text.count("\n") + 1
        try:
            load(tmp_path, text)
        except config.ConfigError as e:
            assert str(e).startswith(f"{tmp_path}/factory.toml, line ")
    assert 100 < taken < 3900


VALUES = (1, 0, -1, 1 << 70, 1.5, math.inf, True, "", "x", "psk", "coaps://x", [], [1], ["x"], {})
DATE = datetime.date(1979, 5, 27)


def inline(value: object) -> str:
    """A value as TOML, in a line."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {inline(each)}" for key, each in value.items())
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    if isinstance(value, (bool, str)):
        return json.dumps(value)
    return str(value)


def inside(value: object) -> "Iterator[tuple]":
    """All tables and lists, with the keys of what is in them."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from inside(value[key])


def test_values_of_any_kind(authority: Path) -> None:
    # In place of any value, or missing, or under another name: taken, or said with what is there.
    chance = random.Random(3)
    more = {
        "network": {"type": "ppp", "uart": 1, "chat": [["AT", "OK", 2]]},
        "update": {"target": "x", "keys": ["ca.pem"]},
        "app": {"x": [{"y": 1}]},
    }
    for n in range(1000):
        table = tomllib.loads(CERTIFICATE if n % 2 else PSK)
        table = dict(table, **more) if n % 3 else table
        for _ in range(chance.randrange(1, 4)):
            found, key = chance.choice(list(inside(table)))
            value = copy.deepcopy(chance.choice((*VALUES, DATE)))
            fate = chance.randrange(10)
            if isinstance(found, dict) and fate < 3:
                found[chance.choice((key + "s", "type", ""))] = found.pop(key)
            elif isinstance(found, dict) and fate < 4:
                found.pop(key)
            else:
                found[key] = value
        text = "\n".join(f"{json.dumps(key)} = {inline(value)}" for key, value in table.items())
        assert toml.read(text)[0] == table
        try:
            load(authority, text)
        except config.ConfigError as e:
            for line in str(e).split("\n"):
                said = re.fullmatch(
                    rf"{authority}/factory.toml, line (\d+), column (\d+): .+[.?]", line
                )
                assert said, line
                assert text.split("\n")[int(said[1]) - 1][int(said[2]) - 1 :], line


# What stands in place of "led = 25" in PSK, and what is said.
WRONG = [
    ("led = 1\nled = 2", "line 11, column 8: this is no TOML: this key is there twice."),
    ("led = 1\n[board]", "line 11, column 7: this is no TOML: this table is there twice."),
    (
        "led = “1”",
        "line 10, column 7: this is no TOML: “ is no quotation mark of TOML: write \" or '.",
    ),
    (
        "led = " + "[" * 5000,
        "line 10, column 57: this is no TOML: it is nested too deeply.",
    ),
    ("led = " + "{a=" * 5000, "line 10, column 157: this is no TOML: it is nested too deeply."),
    (
        ".".join("a" * 3000) + " = 1",
        "line 10, column 1: board.a is unknown: choose from led, button, ntp",
    ),
    ("led =", "line 10, column 6: this is no TOML."),
    ('ntp = """x', "line 36: this is no TOML."),
    ("led = inf", "line 10, column 1: board.led must be a whole number."),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[row[0][:10] for row in WRONG])
def test_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "factory.toml"
    path.write_text(PSK.replace("led = 25", text), encoding="utf-8")
    done = factory(tmp_path, "check", "factory.toml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"factory.toml, {said}")
    assert done.stderr.count("\n") == 1


def test_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "factory.toml").write_bytes(b"\xef\xbb\xbf" + PSK.encode().replace(b"\n", b"\r\n"))
    done = factory(tmp_path, "check", "factory.toml")
    assert (done.returncode, done.stdout) == (0, "factory.toml is right.\n"), done.stderr
