"""What is made of the configuration's models: JSON Schema, and the list of fields in tools/README.md."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from harness.tool import factory
from lwm2m_factory import handbook
from samples import CERTIFICATE, PSK

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


MORE = """
[sleep]
mode = "light"

[[access]]
object = 3
instance = 0
rights = { 101 = "RW", default = "R" }
"""


def test_readme() -> None:
    text = handbook.README.read_text(encoding="utf-8")
    assert text == handbook.updated(text), (
        "run `PYTHONPATH=tools build/venv/bin/python -m lwm2m_factory.handbook`"
    )
    for name, make in handbook.PICTURES.items():
        assert f"(pictures/{name})" in text
        kept = (handbook.README.parent / "pictures" / name).read_text(encoding="utf-8")
        # What it says, as rich draws a little otherwise in each release.
        assert _texts(kept) == _texts(make())


def _texts(svg: str) -> "list[str]":
    found = (each.text for each in ET.fromstring(svg).iter() if each.tag.endswith("}text"))
    return sorted(text for text in found if text and text.isprintable() and text.strip())


def test_schema(tmp_path: Path) -> None:
    done = factory(tmp_path, "schema")
    assert (done.returncode, done.stderr) == (0, "")
    schema = json.loads(done.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    whole = PSK + MORE
    for text in (PSK, CERTIFICATE, whole):
        check.validate(tomllib.loads(text))
    # What an editor underlines without this tool.
    for old, new in (
        ("endpoint =", "end_point ="),
        ('"wifi"', '"wiffi"'),
        ('"line 3"', "3"),
        ("led = 25", "led = 256"),
        ('mode = "psk"\nid', 'mode = "pks"\nid'),
        ("key_bytes = 32", "key_bits = 256"),
        ('country = "DE"', 'country = "Germany"'),
        ("short_id = 101\n", ""),
        ("light", "lite"),
        ("object = 3\n", ""),
        ('default = "R"', 'defaults = "R"'),
        ('default = "R"', "default = 1"),
        ('default = "R"', 'default = "RC"'),
    ):
        assert old in whole
        with pytest.raises(jsonschema.ValidationError):
            check.validate(tomllib.loads(whole.replace(old, new)))
