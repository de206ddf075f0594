"""Leshan's server reads, writes, executes, discovers, creates, deletes and observes on our client."""

import time

import pytest
from device_objects import TEST_OBJECT

VALUES = TEST_OBJECT["instances"]["0"]
TEXT, OPAQUE, LINK, TLV = 0, 42, 40, 11542  # Content-Formats (LwM2M 1.1 7.4)


def test_read_a_resource(managed):
    read = managed("read", "/3/0/0")
    assert (read["code"], read["content"]) == ("2.05", "MicroPython")
    assert managed.device.wait_event("READ")["path"] == "/3/0/0"


def test_read_an_instance(managed):
    read = managed("read", "/3442/0")
    assert (read["code"], read["content_format"]) == ("2.05", TLV)
    assert read["content"] == {**VALUES, "130": pytest.approx(VALUES["130"])}


def test_read_an_object(managed):
    managed.device.add_instance(3303, 7, {"5700": -40.5})
    read = managed("read", "/3303")
    assert (read["code"], read["content_format"]) == ("2.05", TLV)
    assert read["content"] == {"0": {"5700": 21.5, "5701": "Cel"}, "7": {"5700": -40.5}}


def test_read_a_multiple_resource_and_one_of_its_instances(managed):
    assert managed("read", "/3/0/11")["content"] == {"0": 0}
    read = managed("read", "/3442/0/1120")
    assert (read["content"], read["content_format"]) == ({"0": 1024, "5": -3}, TLV)
    assert managed("read", "/3442/0/1120/5")["content"] == -3
    assert managed("read", "/3442/0/1120/4")["code"] == "4.04"


@pytest.mark.parametrize("resource", [rid for rid in VALUES if int(rid) < 1000])
def test_read_a_value_of_each_type_in_each_format(managed, resource):
    path = "/3442/0/" + resource
    wanted = VALUES[resource]
    if resource == "130":
        wanted = pytest.approx(wanted)
    read = managed("read", path, format="TLV")
    assert (read["code"], read["content_format"], read["content"]) == ("2.05", TLV, wanted)
    plain = ("OPAQUE", OPAQUE) if resource == "150" else ("TEXT", TEXT)
    read = managed("read", path, format=plain[0])
    assert (read["code"], read["content_format"], read["content"]) == ("2.05", plain[1], wanted)


@pytest.mark.parametrize(
    "resource, value",
    [
        ("110", "Grüße"),
        ("120", -2147483649),
        ("125", 4294967295),
        ("130", -0.5),
        ("140", False),
        ("150", {"hex": ""}),
        ("160", 1700000000),
        ("170", "3442:0"),
    ],
)
def test_write_a_value_of_each_type_in_each_format(managed, resource, value):
    path = "/3442/0/" + resource
    for format in ("TLV", "OPAQUE" if resource == "150" else "TEXT"):
        managed.device.set(path, VALUES[resource])
        assert managed("write", path, value=value, format=format)["code"] == "2.04"
        assert managed.device.object(3442)["0"][resource] == value
        assert managed("read", path)["content"] == value


def test_a_value_larger_than_a_datagram_crosses_in_blocks(managed):
    large = "".join("%04d" % n for n in range(900))  # 3,600 bytes; our client takes 4,096
    assert managed("write", "/3442/0/110", value=large, format="TEXT")["code"] == "2.04"
    assert managed.device.object(3442)["0"]["110"] == large
    assert managed("read", "/3442/0/110")["content"] == large
    refused = managed("write", "/3442/0/110", value=large * 2, format="TEXT")
    assert refused["code"] == "4.13"
    assert managed.device.object(3442)["0"]["110"] == large


def test_write_replaces_an_instance(managed):
    # What may be missing goes with it; what may not has to be there (LwM2M 1.1 6.3.3).
    before = managed.device.object(3442)
    assert managed("write", "/3442/0", value={"110": "new"})["code"] == "4.00"
    assert managed.device.object(3442) == before
    assert managed("write", "/3442/0", value={"110": "new", "120": 7})["code"] == "2.04"
    assert managed.device.object(3442) == {"0": {"110": "new", "120": 7}}


def test_write_partially_leaves_the_other_resources(managed):
    written = managed("write", "/3442/0", value={"110": "new", "140": False}, partial=True)
    assert written["code"] == "2.04"
    held = managed.device.object(3442)["0"]
    assert (held["110"], held["140"], held["120"]) == ("new", False, 1024)
    assert set(held) == set(VALUES)
    assert managed.device.wait_event("WRITTEN", path="/3442/0/110")["value"] == "new"


def test_write_a_multiple_resource(managed):
    path = "/3442/0/1120"
    assert managed("write", path, value={"1": 1, "2": 2})["code"] == "2.04"
    assert managed.device.object(3442)["0"]["1120"] == {"1": 1, "2": 2}
    # A partial one adds to it and replaces what has the same instance id.
    written = managed("write", path, value={"2": 22, "3": 3}, partial=True)
    assert written["code"] == "2.04"
    assert managed.device.object(3442)["0"]["1120"] == {"1": 1, "2": 22, "3": 3}


def test_a_write_with_a_read_only_resource_changes_nothing(managed):
    before = managed.device.object(1)
    refused = managed("write", "/1/0", value={"1": 77, "0": 5}, partial=True)
    assert refused["code"] == "4.05"
    assert managed.device.object(1) == before


def test_execute_with_an_argument(managed):
    assert managed("execute", "/3442/0/0", arguments="0='all'")["code"] == "2.04"
    done = managed.device.wait_event("EXECUTED", path="/3442/0/0")
    assert done["argument"] == "0='all'"


def test_execute_reboot_after_the_answer(managed):
    assert managed("execute", "/3/0/4")["code"] == "2.04"
    managed.device.wait_event("DONE", path="/3/0/4")


def test_discover_an_object(managed):
    discovered = managed("discover", "/3303")
    assert (discovered["code"], discovered["content_format"]) == ("2.05", LINK)
    links = ["</3303>", "</3303/0>", "</3303/0/5605>", "</3303/0/5700>", "</3303/0/5701>"]
    assert discovered["links"] == links


def test_discover_an_instance(managed):
    discovered = managed("discover", "/3303/0")
    links = ["</3303/0>", "</3303/0/5605>", "</3303/0/5700>", "</3303/0/5701>"]
    assert (discovered["code"], discovered["links"]) == ("2.05", links)


def test_discover_a_resource(managed):
    discovered = managed("discover", "/3303/0/5700")
    assert (discovered["code"], discovered["links"]) == ("2.05", ["</3303/0/5700>"])
    discovered = managed("discover", "/3442/0/1120")
    assert discovered["links"][0] == "</3442/0/1120>;dim=2"


def test_discover_the_device(managed):
    links = managed("discover", "/3")["links"]
    # All that LwM2M 1.1 E.4 has as mandatory: Reboot, Error Code, Supported Binding and Modes.
    for link in ("</3>", "</3/0>", "</3/0/4>", "</3/0/11>;dim=1", "</3/0/16>"):
        assert link in links


def test_create_an_instance_with_a_chosen_id(managed):
    created = managed("create", "/3442", instances={"12": {"120": 5, "110": "twelve"}})
    assert created["code"] == "2.01"
    assert managed.device.object(3442)["12"] == {"120": 5, "110": "twelve"}
    assert managed.device.wait_event("OBJECT_INSTANCE_CREATED")["path"] == "/3442/12"
    assert "</3442/12>" in managed.wait_event("updated")["links"]
    again = managed("create", "/3442", instances={"12": {"120": 6}})
    assert again["code"] == "4.00"
    assert managed.device.object(3442)["12"]["120"] == 5


def test_create_an_instance_with_an_id_of_the_clients_choice(managed):
    created = managed("create", "/3442", resources={"120": 7})
    assert (created["code"], created["location"]) == ("2.01", "3442/1")
    assert managed.device.object(3442)["1"] == {"120": 7}
    assert "</3442/1>" in managed.wait_event("updated")["links"]


def test_create_without_a_mandatory_resource_is_refused(managed):
    refused = managed("create", "/3442", resources={"110": "no 120"})
    assert refused["code"] == "4.00"
    assert list(managed.device.object(3442)) == ["0"]


def test_delete_an_instance(managed):
    assert managed("delete", "/3442/0")["code"] == "2.02"
    assert managed.device.object(3442) == {}
    assert managed.device.wait_event("OBJECT_INSTANCE_DELETED")["path"] == "/3442/0"
    links = managed.wait_event("updated")["links"]
    assert "</3442>" in links and "</3442/0>" not in links
    assert managed("read", "/3442/0")["code"] == "4.04"


REFUSALS = [
    ("read", "/0", {}, "4.01"),  # the Security object is not for a regular server (LwM2M 1.1 E.1)
    ("read", "/0/0", {}, "4.01"),
    ("discover", "/0", {}, "4.01"),
    ("write", "/0/0/0", {"value": "coap://127.0.0.1", "format": "TEXT"}, "4.01"),
    ("delete", "/0/0", {}, "4.01"),
    ("read", "/4", {}, "4.04"),  # no such object, instance, resource
    ("read", "/3/1", {}, "4.04"),
    ("read", "/3/0/2", {}, "4.04"),  # a serial number, which this device does not have
    ("read", "/3/0/99", {}, "4.04"),
    ("discover", "/3/1", {}, "4.04"),
    ("delete", "/3442/9", {}, "4.04"),
    ("write", "/3442/9/120", {"value": 1}, "4.04"),
    ("observe", "/3/0/99", {}, "4.04"),
    ("read", "/3/0/4", {}, "4.05"),  # executable
    ("execute", "/3/0/0", {}, "4.05"),  # readable
    ("write", "/3/0/0", {"value": "x"}, "4.05"),
    ("create", "/3", {"resources": {"0": "x"}}, "4.05"),
    ("delete", "/3/0", {}, "4.05"),
    ("delete", "/1/0", {}, "4.05"),
    ("read", "/3/0", {"format": "JSON"}, "4.06"),
    ("read", "/3/0/0", {"format": "JSON"}, "4.06"),
    ("write", "/3442/0/120", {"value": 5, "format": "JSON"}, "4.15"),
    ("write", "/3442/0", {"value": {"120": 5}, "format": "JSON"}, "4.15"),
    ("write", "/1/0/7", {"value": "T"}, "4.00"),  # a binding that this device does not have
    ("write", "/1/0/1", {"value": -1}, "4.00"),
    ("write_attributes", "/3442/0/110", {"attributes": "gt=10"}, "4.00"),  # text is no number
    ("write_attributes", "/3442/9", {"attributes": "pmin=10"}, "4.04"),
    ("write_attributes", "/0", {"attributes": "pmin=30&pmax=45"}, "4.01"),  # ETS 221
]


@pytest.mark.parametrize(
    "command, path, args, code",
    REFUSALS,
    ids=["-".join((r[0], r[1][1:].replace("/", "."), r[3])) for r in REFUSALS],
)
def test_refused(managed, command, path, args, code):
    before = [managed.device.object(oid) for oid in (0, 1, 3442)]
    assert managed(command, path, **args)["code"] == code
    assert [managed.device.object(oid) for oid in (0, 1, 3442)] == before


def test_observe_a_resource_until_the_server_cancels(managed):
    observed = managed("observe", "/3303/0/5700")
    assert (observed["code"], observed["content"]) == ("2.05", 21.5)
    started = managed.device.wait_event("OBSERVATION_STARTED")
    assert (started["path"], started["short_id"]) == ("/3303/0/5700", 1)
    for value in (22.5, 23.25):
        managed.device.set("/3303/0/5700", value)
        notified = managed.wait_event("notification", path="/3303/0/5700")
        assert (notified["code"], notified["content"]) == ("2.05", value)
        managed.device.wait_event("OBSERVATION_NOTIFICATION", path="/3303/0/5700")
        managed.device.wait_event("OBSERVATION_NOTIFICATION_ACKED", path="/3303/0/5700")

    assert managed("cancel", "/3303/0/5700")["code"] == "2.05"
    managed.device.wait_event("OBSERVATION_CANCELED", path="/3303/0/5700")
    managed.device.set("/3303/0/5700", 24.5)
    read = managed("read", "/3303/0/5700")  # a notification would come before its answer
    assert read["content"] == pytest.approx(24.5)
    assert not managed.server.events("notification")


def test_observe_with_a_threshold(managed):
    path = "/3303/0/5700"
    assert managed("write_attributes", path, attributes="gt=25.5")["code"] == "2.04"
    assert managed("observe", path)["content"] == pytest.approx(21.5)
    for value in (24.0, 26.0, 30.0, 25.5):
        managed.device.set(path, value)
        managed("read", path)  # a notification comes before its answer
    found = [n["content"] for n in managed.server.events("notification")]
    assert found == [26.0, 25.5]


def test_observe_an_instance_until_a_reset_cancels(managed):
    observed = managed("observe", "/3442/0")
    assert (observed["code"], observed["content"]["110"]) == ("2.05", "initial")
    assert managed("write", "/3442/0/110", value="written", format="TEXT")["code"] == "2.04"
    notified = managed.wait_event("notification", path="/3442/0")
    assert notified["content"]["110"] == "written"
    managed.device.wait_event("OBSERVATION_NOTIFICATION_ACKED", path="/3442/0")

    managed("cancel", "/3442/0", passive=True)
    managed.server.wait_event("observation_cancelled", path="/3442/0")
    managed.device.set("/3442/0/110", "unseen")
    managed.device.wait_event("OBSERVATION_NOTIFICATION", path="/3442/0")
    managed.device.wait_event("OBSERVATION_CANCELED", path="/3442/0")
    assert not managed.server.events("notification")


def test_observe_an_object_whose_instances_come_and_go(managed):
    assert managed("observe", "/3303")["content"] == {"0": {"5700": 21.5, "5701": "Cel"}}
    managed.device.add_instance(3303, 1, {"5700": 1.0})
    notified = managed.wait_event("notification", path="/3303")
    assert notified["content"]["1"] == {"5700": 1.0}
    managed.device.wait_event("OBSERVATION_NOTIFICATION_ACKED")
    managed.device.remove_instance(3303, 0)
    assert managed.wait_event("notification", path="/3303")["content"] == {"1": {"5700": 1.0}}


def test_observation_with_a_minimum_period_gathers_changes(managed):
    # Default Minimum Period (/1/x/2), s: changes within it are one notification, of the last value. On
    # a busy machine a change may come late, and there are two.
    path, period = "/3303/0/5700", 2
    assert managed("write", "/1/0/2", value=period)["code"] == "2.04"
    began = time.monotonic()
    assert managed("observe", path)["code"] == "2.05"
    assert managed.device.wait_event("OBSERVATION_STARTED")["min_period"] == period
    managed.device.set(path, 30.0)
    managed.device.set(path, 31.0)
    managed.wait_event("notification", path=path, predicate=lambda n: n["content"] == 31)
    count = 1 + len(managed.server.events("notification"))
    assert time.monotonic() - began >= count * period
    for _ in range(count):
        managed.device.wait_event("OBSERVATION_NOTIFICATION_ACKED")
    assert managed.device.names().count("OBSERVATION_NOTIFICATION") == count
