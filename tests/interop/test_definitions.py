"""Our tables of the core objects are as OMA defines them: Leshan's jar has the XML."""

import json
import zipfile
from typing import Dict
from xml.etree import ElementTree as ET

import pytest
from builds.steps import BUILD
from harness.leshan import SERVER_AND_CLIENT, Leshan
from harness.micropython import micropython

# The XML of the version that each of our tables is of.
FILES = {"3": "3-1_1", "4": "4-1_2", "6": "6", "7": "7"}

TYPES = "none String Integer Unsigned Float Boolean Opaque Time Objlnk".split()
OPERATIONS = {"R": 0x10, "W": 0x20, "RW": 0x30, "E": 0x40}
MULTIPLE, MANDATORY = 0x80, 0x100

PROGRAM = """\
import json
from lwm2m.connectivity import CONNECTIVITY
from lwm2m.location import LOCATION
from lwm2m.objects import DEVICE
from lwm2m.statistics import STATISTICS
found = {}
for id, table in ((3, DEVICE), (4, CONNECTIVITY), (6, LOCATION), (7, STATISTICS)):
    found[str(id)] = {str(table[i]): table[i + 1] for i in range(0, len(table), 2)}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def ours() -> Dict[str, Dict[str, int]]:
    done = micropython("-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def models() -> Dict[str, ET.Element]:
    Leshan.build()
    lib = BUILD / "leshan" / SERVER_AND_CLIENT / "lib"
    (jar,) = [path for path in lib.glob("leshan-lwm2m-core-*.jar") if "-tests" not in path.name]
    with zipfile.ZipFile(jar) as archive:
        return {id: ET.fromstring(archive.read(f"models/{FILES[id]}.xml")) for id in FILES}


def flags(item: ET.Element) -> int:
    """What a resource's flags are to be, as lwm2m.model has them."""
    kind = item.findtext("Type") or "none"
    found = TYPES.index("Unsigned" if kind.startswith("Unsigned") else kind)
    found |= OPERATIONS[item.findtext("Operations") or ""]
    found |= MULTIPLE * (item.findtext("MultipleInstances") == "Multiple")
    return found | MANDATORY * (item.findtext("Mandatory") == "Mandatory")


@pytest.mark.parametrize("id", FILES)
def test_table(ours: Dict, models: Dict, id: str) -> None:
    wanted = {item.get("ID"): flags(item) for item in models[id].iter("Item")}
    if id == "3":
        wanted.pop("22")  # ExtDevInfo, of objects that are not here
    assert ours[id] == wanted
    assert models[id].findtext(".//MultipleInstances") == "Single"
