"""What README shows is what is tested."""

import re

from builds.steps import ROOT
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
