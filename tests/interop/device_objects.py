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

MODELS = {str(obj["id"]): obj["resources"] for obj in (SENSOR, TEST_OBJECT)}
