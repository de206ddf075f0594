"""What README shows is what is tested."""

import re

import pytest
from conftest import ROOT, micropython
from lwm2m_factory import config, image

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
    made = config.identity(config.load(path), values)
    endpoint, state, settings = image.unpack(made.data)
    assert endpoint == "urn:dev:ops:32473-0001"
    assert settings["network"]["apn"] == "iot.example"
    assert state[0][0][0] == "coaps://bs.example.org" and len(state[0][0][5]) == 16


@pytest.mark.parametrize(
    "package", ["lwm2m-consistency", "lwm2m-credentials", "lwm2m-keys", "lwm2m-store"]
)
def test_example_of_a_package(package, tmp_path):
    # It runs, and each line that is printed is as the comment behind it says.
    text = (ROOT / "lib" / package / "README.md").read_text()
    assert text.startswith(f"# {package}\n")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.S)
    done = micropython("-c", program, cwd=tmp_path, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    said = re.findall(r"^print\(.*\)  # ([^:\n]*)", program, re.M)
    assert said and len(said) == len(done.stdout.splitlines())
    for comment, line in zip(said, done.stdout.splitlines()):
        assert line == comment or line.startswith(comment), (comment, line)
