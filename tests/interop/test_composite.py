"""Composite operations and Send: Leshan's server on our client, and Leshan's client with our server. Numbers
are those of the enabler test specification (LightweightM2M-1.1-int-N)."""

import pytest
from device_objects import TEST_OBJECT
from harness.processes import LeshanClient, Servers

VALUES = TEST_OBJECT["instances"]["0"]
FORMATS = {"SENML_JSON": 110, "SENML_CBOR": 112}


def composite(managed, command, **args):
    return managed.server.call(command, endpoint=managed.device.endpoint, **args)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("accept", FORMATS)
def test_read_composite_280(managed, format, accept):
    paths = ["/3/0/16", "/3/0/11/0", "/1/0"]
    read = composite(managed, "read_composite", paths=paths, format=format, accept=accept)
    assert (read["code"], read["content_format"]) == ("2.05", FORMATS[accept])
    content = read["content"]
    assert (content["/3/0/16"], content["/3/0/11/0"]) == ("U", 0)
    assert {"0": 1, "1": 300, "7": "U"}.items() <= content["/1/0"].items()


def test_read_composite_of_everything_235(managed):
    read = composite(managed, "read_composite", paths=["/"])
    assert read["code"] == "2.05"
    (content,) = read["content"].values()
    assert "MicroPython" in str(content) and "initial value" in str(content)
    assert "coap://" not in str(content)


def test_read_composite_leaves_out_236_281(managed):
    paths = ["/3/0/16", "/3339/0/5522", "/1/0/8", "/1/0/1", "/0/0/0", "/3442/0/1120/9"]
    read = composite(managed, "read_composite", paths=paths)
    assert read["code"] == "2.05"
    there = {path: value for path, value in read["content"].items() if value is not None}
    assert there == {"/3/0/16": "U", "/1/0/1": 300}
    assert composite(managed, "read_composite", paths=["/0/0/0"])["code"] == "4.01"


def test_read_composite_in_blocks(managed):
    large = "".join("%04d" % n for n in range(900))
    managed.device.set("/3442/0/110", large)
    read = composite(managed, "read_composite", paths=["/3442/0/110", "/3442/0/120", "/1/0/1"])
    assert read["content"] == {"/3442/0/110": large, "/3442/0/120": 1024, "/1/0/1": 300}


@pytest.mark.parametrize("format", FORMATS)
def test_write_composite_230(managed, format):
    values = {
        "/1/0/1": 61,
        "/1/0/6": False,
        "/3442/0/110": "Grüße",
        "/3442/0/150": {"hex": "00ff"},
        "/3442/0/1120/5": 55,
        "/3442/0/1120/6": 66,
    }
    assert composite(managed, "write_composite", values=values, format=format)["code"] == "2.04"
    assert managed.wait_event("updated")["lifetime"] == 61
    held = managed.device.object(3442)["0"]
    assert (held["110"], held["150"]) == ("Grüße", {"hex": "00ff"})
    assert held["1120"] == {"0": 1024, "5": 55, "6": 66}
    assert managed.device.object(1)["0"]["6"] is False


@pytest.mark.parametrize(
    "path, value, code, words",
    [
        ("/3/0/0", "x", "4.05", "/3/0/0: is not to be written"),
        ("/3442/0/99", "x", "4.04", "/3442/0/99: is not there"),
        ("/3442/7/110", "x", "4.04", "/3442/7/110: is not there"),
        ("/1/0/3", -1, "4.00", "/1/0/3: must be a whole number from 0 to 2147483647"),
        ("/0/0/0", "coap://127.0.0.1", "4.01", "/0/0/0: is not to be written"),
    ],
    ids=["read-only", "no-resource", "no-instance", "out-of-range", "security"],
)
def test_one_bad_path_changes_nothing(managed, path, value, code, words):
    before = [managed.device.object(oid) for oid in (0, 1, 3442)]
    refused = composite(
        managed, "write_composite", values={"/1/0/1": 61, "/3442/0/110": "new", path: value}
    )
    assert (refused["code"], refused["diagnostic"]) == (code, words)
    assert [managed.device.object(oid) for oid in (0, 1, 3442)] == before


@pytest.mark.parametrize("passive", [False, True])
def test_observe_composite_304_305(managed, passive):
    paths = ["/3303/0/5700", "/1/0/1", "/3442/1/110"]
    observed = composite(managed, "observe_composite", paths=paths)
    assert (observed["code"], observed["content"]["/3303/0/5700"]) == ("2.05", 21.5)
    managed.device.wait_event("OBSERVATION_STARTED", path="/")
    managed.device.set("/3303/0/5700", 22.5)
    told = managed.wait_event("composite_notification")
    assert told["content_format"] == FORMATS["SENML_CBOR"]
    there = {path: value for path, value in told["content"].items() if value is not None}
    assert there == {"/3303/0/5700": 22.5, "/1/0/1": 300}
    # 308, 309: what is made later is in it, and goes again.
    managed.device.add_instance(3442, 1, {"110": "later", "120": 1})
    told = managed.wait_event(
        "composite_notification", predicate=lambda e: e["content"].get("/3442/1/110")
    )
    assert told["content"]["/3442/1/110"] == "later"
    managed.device.remove_instance(3442, 1)
    managed.wait_event(
        "composite_notification", predicate=lambda e: not e["content"].get("/3442/1/110")
    )
    managed.device.wait_event("OBSERVATION_NOTIFICATION_ACKED")
    answer = composite(managed, "cancel_composite", passive=passive)
    if passive:  # the next notification is reset
        managed.device.set("/3303/0/5700", 23.5)
    else:
        assert (answer["code"], answer["content"]["/3303/0/5700"]) == ("2.05", 22.5)
    managed.device.wait_event("OBSERVATION_CANCELED", path="/")


def test_send_306_311(managed):
    assert managed.device.call("send", ["/1/0/1", "/3/0/11/0", "/3303"]) == [1]
    (sent,) = managed.wait_event("sent")["data"]
    assert sent == {
        "values": {"/1/0/1": 300, "/3/0/11/0": 0, "/3303/0/5700": 21.5, "/3303/0/5701": "Cel"},
    }
    assert managed.device.wait_event("SENT", short_id=1)["code"] == "2.04"


def test_muting_send_307(managed):
    assert managed("write", "/1/0/23", value=True, format="TEXT")["code"] == "2.04"
    assert managed.device.call("send", ["/3303/0/5700"]) == []
    assert managed("write", "/1/0/23", value=False, format="TEXT")["code"] == "2.04"
    assert managed.device.call("send", ["/3303/0/5700"]) == [1]
    managed.wait_event("sent")


# --- Leshan's client with our Server


@pytest.fixture
def servers():
    with Servers() as servers:
        yield servers


@pytest.fixture
def registered(leshan, servers, endpoint):
    with LeshanClient(leshan, endpoint) as client:
        client.start(server_uri=servers.uri)
        servers.wait_event("REGISTERED", endpoint=endpoint)
        client.wait_event("client_registered")
        yield client


@pytest.mark.parametrize("accept", FORMATS.values())
def test_our_server_reads_and_writes(servers, registered, endpoint, accept):
    paths = ["/3/0/0", "/1/0/1", "/3/0/99"]
    read = servers.call("read_composite", endpoint, paths, accept=accept)
    assert (read["code"], read["format"]) == ("2.05", accept)
    assert read["values"] == {"/3/0/0": "Leshan", "/1/0/1": 300}
    changes = {"/1/0/1": 200, "/1/0/6": True}
    written = servers.call("write_composite", endpoint, changes, format=accept)
    assert written["code"] == "2.04"
    held = next(iter(registered.object(1).values()))
    assert (held["1"], held["6"]) == (200, True)


def test_our_server_observes(servers, registered, endpoint):
    paths = ["/1/0/1", "/3/0/0"]
    observed = servers.call("observe_composite", endpoint, paths)
    assert observed["values"] == {"/1/0/1": 300, "/3/0/0": "Leshan"}
    assert servers.call("write", endpoint, "/1/0/1", 200)["code"] == "2.04"
    told = servers.wait_event("NOTIFICATION", endpoint=endpoint)
    assert told["values"] == {"/1/0/1": 200, "/3/0/0": "Leshan"}
    cancelled = servers.call("cancel", endpoint, paths)
    assert cancelled["values"] == told["values"]


@pytest.mark.parametrize("format", FORMATS)
def test_our_server_is_sent_values(servers, registered, endpoint, format):
    answer = registered.call("client_send", paths=["/3/0/0", "/1/0/1"], format=format)
    assert answer["code"] == "2.04"
    sent = servers.wait_event("SENT", endpoint=endpoint)["values"]
    assert sorted(sent) == [["/1/0/1", 300, 0], ["/3/0/0", "Leshan", 0]]
