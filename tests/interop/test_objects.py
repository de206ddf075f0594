"""Leshan's server has the objects of lwm2m-ipso, -connectivity, -device and -diagnostics, by its own
definitions of 3, 4, 6 and 7."""

import pytest
from device_objects import PROGRAM
from harness.processes import Managed


@pytest.fixture
def told(leshan, device):
    """Our client with all of them, as Leshan's server sees it."""
    servers = [{"short_id": 1, "uri": leshan.server_uri}]
    started = device(servers=servers, program=PROGRAM)
    started.wait_event("REG_REGISTERED")
    managed = Managed(started, leshan.server)
    managed.wait_event("registered")
    return managed


@pytest.mark.parametrize("format", ["TLV", "SENML_JSON", "SENML_CBOR"])
def test_core_objects(told, format):
    read = told("read", "/4/0", format=format)
    assert read["content"] == {
        "0": 21,
        "1": {"0": 21},
        "2": -61,
        "4": {"0": "192.0.2.7", "1": "2001:db8::7"},
    }
    read = told("read", "/6/0", format=format)
    velocity = {"hex": "0102"}
    assert read["content"] == {"0": 48.5, "1": 16.25, "4": velocity, "5": 1790000000}
    read = told("read", "/7/0", format=format)
    assert read["content"] == {"2": 0, "3": 0, "4": 0, "5": 0, "8": 0}
    read = told("read", "/3/0", format=format)["content"]
    assert (read["6"], read["7"], read["9"]) == ({"0": 5, "1": 1}, {"0": 5000, "1": 3800}, 80)


def test_statistics(told):
    assert told("write", "/7/0/8", value=3600)["code"] == "2.04"
    assert told("execute", "/7/0/6", arguments="0")["code"] == "4.00"
    assert told("execute", "/7/0/6")["code"] == "2.04"
    for _ in range(3):
        told("read", "/3/0")
    assert told("read", "/7/0/4")["content"] > 50
    assert told("execute", "/7/0/7")["code"] == "2.04"


def test_a_sensor(told):
    told("observe", "/3303/0/5700")
    for value in (21.5, 18.25):  # the first one is the same
        told.device.set("/3303/0/5700", value)
    # This Leshan has no definition of version 1.1 of 3303, so that it shows the text.
    assert told.wait_event("notification", path="/3303/0/5700")["content"] == "18.25"
    assert told("execute", "/3303/0/5605", arguments="0")["code"] == "4.00"
    held = told.device.object(3303)["0"]
    assert (held["5601"], held["5602"]) == (18.25, 21.5)
    assert told("execute", "/3303/0/5605")["code"] == "2.04"
    held = told.device.object(3303)["0"]
    assert (held["5601"], held["5602"]) == (18.25, 18.25)
