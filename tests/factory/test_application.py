"""[app] of a configuration, by what the application's file says of its settings."""

from pathlib import Path

import pytest
from builds.steps import ROOT
from lwm2m_factory import config
from samples import PSK, check_refused, load

APP = """\
import nothing_of_this_machine

raise SystemExit("this is not run")
SETTINGS = {
    "properties": {
        "interval": {"type": "integer", "minimum": 1, "maximum": 86400},
        "unit": {"enum": ["Cel", "K"]},
        "limits": {"type": "array", "items": {"type": "number"}, "maxItems": 2},
        "site": {"properties": {"name": {"type": "string"}}, "required": ["name"]},
    },
    "required": ["interval"],
}
"""
TEXT = 'application = "app.py"\n' + PSK
SETTINGS = "interval = 60"

# What stands in [app], of which "interval" is line 14, and what is said.
WRONG = [
    ("interval = 60.5", "line 14, column 1: app.interval must be a whole number."),
    ("interval = 0", "line 14, column 1: app.interval must be from 1 to 86400."),
    ("intervals = 60", "line 14, column 1: app.intervals is unknown: did you mean interval?"),
    (
        "interval = 60\nx = 1",
        "line 15, column 1: app.x is unknown: choose from interval, unit, limits, site.",
    ),
    ('interval = 60\nunit = "F"', "line 15, column 1: app.unit must be one of Cel, K."),
    (
        'interval = 60\nlimits = [1, 2.5, "x"]',
        (
            "line 15, column 1: app.limits is not what the application takes (maxItems: 2).\n"
            "line 15, column 19: app.limits[3] must be a number."
        ),
    ),
    ("interval = 60\nsite = {}", "line 15, column 1: app.site.name is missing."),
    ("", "line 13, column 1: app.interval is missing."),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG, ids=[row[1] for row in WRONG])
def test_wrong(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    check_refused(tmp_path, TEXT, SETTINGS, text, sentence)


def test_right(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    text = TEXT.replace(SETTINGS, 'interval = 60\nunit = "K"\nlimits = [1, 2]\nsite.name = "x"')
    found = load(tmp_path, text).settings
    assert found["app"] == {"interval": 60, "unit": "K", "limits": [1, 2], "site": {"name": "x"}}
    assert "application" not in found
    # Without it, anything goes.
    load(tmp_path, PSK.replace(SETTINGS, "intervals = 1"))


def test_example(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text((ROOT / "firmware" / "app.py").read_text())
    load(tmp_path, TEXT)
    check_refused(
        tmp_path,
        TEXT,
        SETTINGS,
        "interval = 0",
        "line 14, column 1: app.interval must be from 1 to 86400.",
    )


# An application's file, and what is said of it.
FILES = [
    (None, "FOLDER/app.py cannot be read: No such file or directory."),
    ("x = (", "FOLDER/app.py is no Python."),
    ("x = 1", "FOLDER/app.py has no SETTINGS: it is a JSON Schema of [app], made of literals."),
    (
        "x = 1\nSETTINGS = {'properties': x}",
        "FOLDER/app.py, line 2: SETTINGS must be a JSON Schema, made of literals.",
    ),
    (
        "SETTINGS = {'properties': {'x': {'type': 'int'}}}",
        "FOLDER/app.py, line 1: SETTINGS must be a JSON Schema, made of literals.",
    ),
    ("SETTINGS = 3", "FOLDER/app.py, line 1: SETTINGS must be a JSON Schema, made of literals."),
]


@pytest.mark.parametrize(("text", "sentence"), FILES, ids=[row[1] for row in FILES])
def test_files(tmp_path: Path, text, sentence: str) -> None:
    if text is not None:
        (tmp_path / "app.py").write_text(text)
    with pytest.raises(config.ConfigError) as caught:
        load(tmp_path, TEXT)
    said = f"line 1, column 1: application cannot be used: {sentence}"
    assert str(caught.value) == f"{tmp_path}/factory.toml, {said.replace('FOLDER', str(tmp_path))}"
