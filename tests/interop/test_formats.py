"""Leshan's server reads and writes our client in CBOR, SenML JSON, SenML CBOR and TLV. It has no LwM2M
CBOR: what our client writes in that is compared by tests/unit/test_lwm2m_cbor.py only.
"""

import pytest
from device_objects import TEST_OBJECT

VALUES = TEST_OBJECT["instances"]["0"]
SINGLE = [rid for rid in VALUES if int(rid) < 1000]
ALL = {"TLV": 11542, "SENML_JSON": 110, "SENML_CBOR": 112}  # carry more than one value
WRITTEN = {
    "110": 'Grüße "\\\n€',
    "120": -9007199254740993,
    "125": 4294967295,
    "130": -0.1,
    "140": False,
    "150": {"hex": "fbff00"},
    "160": 1700000000,
    "170": "3442:0",
}


def wanted(value):
    return pytest.approx(value) if isinstance(value, float) else value


@pytest.mark.parametrize("format", ALL)
def test_read_instances(managed, format):
    for path in ("/3/0", "/1/0", "/3442/0"):
        read = managed("read", path, format=format)
        assert (read["code"], read["content_format"]) == ("2.05", ALL[format])
        if path == "/3/0":
            assert read["content"]["0"] == "MicroPython" and read["content"]["11"] == {"0": 0}
        elif path == "/1/0":
            assert read["content"]["0"] == 1 and read["content"]["7"] == "U"
        else:
            assert read["content"] == {**VALUES, "130": wanted(VALUES["130"])}


@pytest.mark.parametrize("format", ALL)
def test_read_an_object_and_a_multiple_resource(managed, format):
    managed.device.add_instance(3303, 7, {"5700": -40.5})
    read = managed("read", "/3303", format=format)
    assert read["content"] == {"0": {"5700": 21.5, "5701": "Cel"}, "7": {"5700": -40.5}}
    read = managed("read", "/3442/0/1120", format=format)
    assert read["content"] == {"0": 1024, "5": -3}
    assert managed("read", "/3442/0/1120/5", format=format)["content"] == -3


@pytest.mark.parametrize("format", [*ALL, "CBOR"])
def test_a_value_of_each_type(managed, format):
    for resource in SINGLE:
        path = "/3442/0/" + resource
        read = managed("read", path, format=format)
        assert (read["code"], read["content"]) == ("2.05", wanted(VALUES[resource])), path
        value = WRITTEN[resource]
        assert managed("write", path, value=value, format=format)["code"] == "2.04", path
        assert managed.device.object(3442)["0"][resource] == value
        assert managed("read", path, format=format)["content"] == value


@pytest.mark.parametrize("format", ALL)
def test_write_instances(managed, format):
    more = {"110": "new", "140": False, "1120": {"7": 7}}
    written = managed("write", "/3442/0", value=more, partial=True, format=format)
    assert written["code"] == "2.04"
    held = managed.device.object(3442)["0"]
    assert (held["110"], held["140"], held["120"]) == ("new", False, VALUES["120"])
    assert held["1120"] == {"0": 1024, "5": -3, "7": 7}
    less = {"110": "newer", "120": 5}
    assert managed("write", "/3442/0", value=less, format=format)["code"] == "2.04"
    assert managed.device.object(3442)["0"] == less
    path = "/3442/0/1120"
    assert managed("write", path, value={"1": 1, "2": 2}, format=format)["code"] == "2.04"
    assert managed.device.object(3442)["0"]["1120"] == {"1": 1, "2": 2}
    refused = managed("write", "/1/0", value={"1": 77, "0": 5}, partial=True, format=format)
    assert refused["code"] == "4.05"


@pytest.mark.parametrize("format", ALL)
def test_create(managed, format):
    made = managed("create", "/3442", instances={"12": {"120": 5, "110": "12"}}, format=format)
    assert made["code"] == "2.01"
    assert managed.device.object(3442)["12"] == {"120": 5, "110": "12"}


@pytest.mark.parametrize("format", ALL)
def test_observe(managed, format):
    managed("observe", "/3303/0", format=format)
    managed.device.set("/3303/0/5700", 22.5)
    told = managed.wait_event("notification", path="/3303/0")
    assert told["content_format"] == ALL[format]
    assert told["content"] == {"5700": 22.5, "5701": "Cel"}


def test_one_value_in_cbor_only(managed):
    assert managed("read", "/3/0", format="CBOR")["code"] == "4.06"
    assert managed("read", "/3442/0/1120", format="CBOR")["code"] == "4.06"
    assert managed("read", "/3/0/0", format="JSON")["code"] == "4.06"
