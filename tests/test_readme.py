"""What README shows is what is tested."""

import re
import subprocess
import sys

import pytest

from builds.steps import ROOT
from harness.micropython import micropython
from lwm2m_factory import config, identity, image

EXAMPLES = ROOT / "lib" / "lwm2m-keys" / "examples"


def test_secure_element():
    # tests/unit/test_context.py runs it.
    program = (EXAMPLES / "secure_element.py").read_text().split("\n\n", 1)[1].strip()
    assert f"```python\n{program}\n```" in (ROOT / "README.md").read_text()


def test_factory_configuration(tmp_path):
    text = (ROOT / "README.md").read_text()
    path = tmp_path / "factory.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", text, re.S)[1])
    values = {"chip_id": "e66038b713952130", "mac": "28cdc1020304", "serial": "0001"}
    made = identity.make(config.load(path), values)
    endpoint, state, settings = image.unpack(made.data)
    assert endpoint == "urn:dev:ops:32473-0001"
    assert settings["network"]["apn"] == "iot.example"
    assert state[0][0][0] == "coaps://bs.example.org" and len(state[0][0][5]) == 16


READMES = sorted(ROOT.glob("lib/*/README.md"))


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_programs_of_packages(path, tmp_path):
    # As they stand there, and what they print is as the comment behind it says.
    programs = re.findall(r"```python\n(.*?)```", path.read_text(), re.S)
    assert programs
    for program in programs:
        done = micropython("-c", program, cwd=tmp_path, timeout=60)
        assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
        said = re.findall(r"^print\(.*\)  # ([^:\n]*)", program, re.M)
        if said:
            for comment, line in zip(said, done.stdout.splitlines()):
                assert line.startswith(comment), (comment, line)


def test_table_of_ets_cases():
    program = ROOT / "tests" / "interop" / "ets.py"
    done = subprocess.run([sys.executable, program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_ucoap_example(tmp_path):
    text = (ROOT / "lib" / "ucoap" / "README.md").read_text()
    program, output = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", text, re.S).groups()
    (tmp_path / "example.py").write_text(program)
    done = micropython(str(tmp_path / "example.py"))
    assert (done.stdout, done.stderr) == (output, "")
