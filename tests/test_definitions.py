"""The definition of this project's own object is what its module has."""

import json
from xml.etree import ElementTree as ET

from builds.steps import ROOT
from harness.micropython import micropython

XML = ROOT / "lib" / "lwm2m-diagnostics" / "26300.xml"
TYPES = {"String": 1, "Integer": 2}  # as lwm2m.model has them
OPERATIONS = {"R": 0x10, "RW": 0x30}
MANDATORY = 0x100

PROGRAM = "import json, lwm2m.diagnostics as d; print(json.dumps((d.ID, d.DIAGNOSTICS)))"


def test_diagnostics():
    done = micropython("-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    id, table = json.loads(done.stdout)
    (obj,) = ET.parse(XML).getroot()
    assert obj.findtext("ObjectID") == XML.stem == str(id)
    assert 26241 <= id <= 32768  # private
    assert obj.findtext("ObjectURN") == f"urn:oma:lwm2m:x:{id}"
    assert obj.findtext("MultipleInstances") == "Single"
    wanted = []
    for item in obj.iter("Item"):
        flags = TYPES[item.findtext("Type")] | OPERATIONS[item.findtext("Operations")]
        flags |= MANDATORY * (item.findtext("Mandatory") == "Mandatory")
        wanted += [int(item.get("ID")), flags]
        assert item.findtext("Name") and item.findtext("Description")
    assert table == wanted
