"""TOML: what the standard library takes is never refused as no TOML, and what it refuses is a sentence."""

import random
import sys
from pathlib import Path

import pytest
from harness.tool import factory
from lwm2m_factory import config, toml
from samples import PSK, load

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
        for place, line in toml.read(text)[1].items():
            names = [name for name in place if isinstance(name, str)]
            assert names[-1] in lines[line - 1], place


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
    (".".join("a" * 3000) + " = 1", "line 10: board.a is unknown: choose from led, button, ntp"),
    ("led =", "line 10, column 6: this is no TOML."),
    ('ntp = """x', "line 36: this is no TOML."),
    ("led = inf", "line 10: board.led must be a whole number."),
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
