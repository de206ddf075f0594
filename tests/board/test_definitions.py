"""The IPSO objects of lwm2m-ipso are as OMA's registry defines them.

npm's @nordicsemiconductor/lwm2m-types has the registry as JSON, which make test-board installs. It tells
no operations, and leaves executable resources out: tests/unit/test_ipso.py has those by hand.
"""

import json
from typing import Dict

import pytest
from builds import emulator
from harness.micropython import micropython

SCHEMA = emulator.MODULES / "@nordicsemiconductor" / "lwm2m-types" / "LwM2MDocument.schema.json"

# As lwm2m.model has them.
STR, INT, FLOAT, BOOL, OPAQUE, TIME = 1, 2, 4, 5, 6, 7
EXECUTABLE, MULTIPLE, MANDATORY = 0x40, 0x80, 0x100

# Strings of the JSON that the registry has as Opaque.
OPAQUES = {"5517"}

PROGRAM = """\
import json
from lwm2m.ipso import definition
found = {}
for id in range(3200, 3350):
    try:
        version, resources = definition(id)
    except ValueError:
        continue
    flags = {str(resources[i]): resources[i + 1] for i in range(0, len(resources), 2)}
    found[str(id)] = version or "1.0", flags
print(json.dumps(found))
"""


def type_of(rid: str, about: Dict) -> int:
    """The data type that a schema means."""
    kind = about["type"]
    if kind == "integer":
        if about.get("unixTimestamp"):
            return TIME
        # 0 and 1 are a Boolean's; no Integer of these objects has that range.
        return BOOL if (about.get("minimum"), about.get("maximum")) == (0, 1) else INT
    return {"number": FLOAT, "string": OPAQUE if rid in OPAQUES else STR}[kind]


@pytest.fixture(scope="module")
def ours() -> Dict:
    done = micropython("-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def registry() -> Dict:
    """{object id: (version, schema of an instance, whether there may be several)}."""
    found = {}
    for key, about in json.loads(SCHEMA.read_text())["properties"].items():
        id, _, version = key.partition(":")
        found[id] = version or "1.0", about.get("items", about), about["type"] == "array"
    return found


def test_objects(ours: Dict, registry: Dict) -> None:
    assert len(ours) == 30
    for id, (version, flags) in ours.items():
        wanted, schema, several = registry[id]
        assert (version, several) == (wanted, True), id
        values = {rid: flag for rid, flag in flags.items() if not flag & EXECUTABLE}
        assert values.keys() == schema["properties"].keys(), id
        for rid, flag in values.items():
            assert flag & 15 == type_of(rid, schema["properties"][rid]), (id, rid)
            assert bool(flag & MANDATORY) == (rid in schema["required"]), (id, rid)
            assert not flag & MULTIPLE, (id, rid)
