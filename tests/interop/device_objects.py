"""Objects that a test's device has, in the words of device.py and, as MODELS, of Leshan's driver."""

# OMA's IPSO Temperature.
SENSOR = {
    "id": 3303,
    "resources": {"5605": "EXECUTE", "5700": "FLOAT R", "5701": "STRING R"},
    "instances": {"0": {"5700": 21.5, "5701": "Cel"}},
}

# OMA's LwM2M v1.1 Test Object: a resource of each data type, single and multiple. Here a server may create instances,
# and 120 is mandatory, which it is not there.
TEST_OBJECT = {
    "id": 3442,
    "resources": {
        "0": "EXECUTE",
        "110": "STRING RW",
        "120": "INTEGER RW MANDATORY",
        "125": "UNSIGNED_INTEGER RW",
        "130": "FLOAT RW",
        "140": "BOOLEAN RW",
        "150": "OPAQUE RW",
        "160": "TIME RW",
        "170": "OBJLNK RW",
        "1110": "STRING RW MULTIPLE",
        "1120": "INTEGER RW MULTIPLE",
    },
    "instances": {
        "0": {
            "110": "initial",
            "120": 1024,
            "125": 3000000000,
            "130": 3.14159,
            "140": True,
            "150": {"hex": "0123456789abcdef"},
            "160": 946684800,
            "170": "3:0",
            "1110": {"0": "initial value"},
            "1120": {"0": 1024, "5": -3},
        }
    },
    "multiple": True,
}

# Portfolio and BinaryAppDataContainer, of OMA's registry.
PORTFOLIO = {
    "id": 16,
    "resources": {
        "0": "STRING RW MULTIPLE MANDATORY",
        "1": "EXECUTE",
        "2": "OPAQUE R MULTIPLE",
        "3": "INTEGER R",
    },
    "instances": {"0": {"0": {str(i): "identity %d" % i for i in range(4)}}},
    "multiple": True,
}
DATA = {
    "id": 19,
    "resources": {"0": "OPAQUE RW MULTIPLE MANDATORY", "1": "INTEGER RW", "3": "STRING RW"},
    "instances": {str(i): {"0": {"0": {"hex": "00"}}} for i in range(2)},
    "multiple": True,
}

MODELS = {str(obj["id"]): obj["resources"] for obj in (SENSOR, TEST_OBJECT, PORTFOLIO, DATA)}

# Those of lwm2m-ipso, -connectivity, -device and -diagnostics.
PROGRAM = """\
from lwm2m.connectivity import WLAN, Connectivity
from lwm2m.device import Device
from lwm2m.diagnostics import Diagnostics
from lwm2m.ipso import Sensor
from lwm2m.location import Location
from lwm2m.statistics import Statistics
def before(net):
    global statistics, diagnostics
    statistics = Statistics(net)
    diagnostics = Diagnostics(net)
def setup(client):
    sensor = Sensor(3303, "Cel")
    sensor.set(0, 5700, 21.5)
    connectivity = Connectivity(WLAN, signal=lambda: -61)
    connectivity.set(0, 4, {0: "192.0.2.7", 1: "2001:db8::7"})
    location = Location()
    location.move(48.5, 16.25, 1790000000, velocity=bytes((1, 2)))
    for obj in (sensor, connectivity, location, statistics):
        client.add_object(obj)
    diagnostics.start(client, reset="power")
    device = Device(client)
    device.source(0, 5, voltage=5000, current=500)
    device.source(1, 1, voltage=3800, current=125)
    device.battery(80)
"""
