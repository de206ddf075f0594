"""Our client registers with Leshan's server, updates, de-registers, and bootstraps where it is lost."""

import pytest
from device_objects import SENSOR
from harness.leshan import LeshanError, accounts
from harness.processes import Managed

# Of a server that is not there: after 50 ms + 100 ms without an answer there is none (RFC 7252 4.8).
QUICK = [50, 100, 1]


@pytest.fixture
def register(leshan, device):
    """start(**server) starts our client with a factory account; returns it and what Leshan says of it."""

    def start(version="1.1", objects=(), **server):
        account = {"short_id": 1, "uri": leshan.server_uri, **server}
        started = device(servers=[account], objects=list(objects), version=version)
        started.wait_event("REG_REGISTERED")
        managed = Managed(started, leshan.server)
        return managed, managed.wait_event("registered")

    return start


def test_a_factory_account_is_used_without_bootstrap(leshan, device, endpoint):
    server = {"short_id": 7, "uri": leshan.server_uri, "lifetime": 120}
    ours = device(servers=[server], bootstrap_uri=leshan.bootstrap_uri)
    registered = leshan.server.wait_event("registered", endpoint=endpoint)
    assert registered["lifetime"] == 120
    event = {"short_id": 7, "lifetime": 120}
    ours.wait_event("REG_REGISTERED")
    assert ours.events[:2] == [
        {"event": "REG_REGISTERING", **event},
        {"event": "REG_REGISTERED", **event},
    ]
    assert not leshan.bootstrap.events()


def test_what_a_registration_tells(register):
    objects = [SENSOR, {"id": 3311, "resources": {"5850": "BOOLEAN RW"}, "version": "1.1"}]
    managed, registered = register(objects=objects)
    # LwM2M 1.1 6.2.1: /0 is never listed, an object without instances by its id, a version that
    # is not the first as ver.
    root, *links = registered["links"]
    assert root == '</>;rt="oma.lwm2m";ct=112'
    assert [link.replace('"', "") for link in links] == [
        "</1/0>",
        "</3/0>",
        "</3303/0>",
        "</3311>;ver=1.1",
    ]
    about = {key: registered[key] for key in ("version", "binding", "queue_mode", "lifetime")}
    assert about == {"version": "1.1", "binding": "U", "queue_mode": False, "lifetime": 300}


def test_queue_mode_is_told(register):
    managed, registered = register(queue=True)
    assert (registered["binding"], registered["queue_mode"]) == ("U", True)


def test_a_client_of_lwm2m_1_0_is_read(register):
    managed, registered = register(version="1.0")
    assert (registered["version"], registered["binding"]) == ("1.0", "U")
    assert registered["links"][0] == '</>;rt="oma.lwm2m"'
    assert managed("read", "/3/0/0")["content"] == "MicroPython"
    assert managed("read", "/1/0")["content"]["1"] == 300
    assert "</3/0/16>" in managed("discover", "/3/0")["links"]


def test_a_version_that_leshan_has_not_gives_way_to_the_one_before(register):
    # Leshan answers 1.2 with 4.12.
    managed, registered = register(version="1.2")
    assert registered["version"] == "1.1"
    assert [link.replace('"', "") for link in registered["links"][1:]] == [
        "</1>;ver=1.1",
        "</1/0>",
        "</3>;ver=1.1",
        "</3/0>",
    ]
    assert managed("read", "/3/0/0")["content"] == "MicroPython"


def test_queue_mode_of_lwm2m_1_0_is_part_of_the_binding(register):
    managed, registered = register(version="1.0", queue=True)
    assert (registered["version"], registered["binding"]) == ("1.0", "UQ")


def test_a_written_lifetime_leads_to_an_update(register):
    managed, registered = register()
    assert managed("write", "/1/0/1", value=400)["code"] == "2.04"
    updated = managed.wait_event("updated")
    assert (updated["lifetime"], updated["id"]) == (400, registered["id"])
    assert updated["links"] == registered["links"]
    changed = managed.device.wait_event("SERVER_SETTING_CHANGED")
    assert (changed["path"], changed["value"], changed["short_id"]) == ("/1/0/1", 400, 1)
    assert managed.device.wait_event("REG_UPDATING")["short_id"] == 1
    assert managed.device.wait_event("REG_REGISTERED")["lifetime"] == 400


def test_the_update_trigger_leads_to_an_update_of_nothing_new(register):
    managed, registered = register()
    assert managed("execute", "/1/0/8")["code"] == "2.04"
    updated = managed.wait_event("updated")
    assert {**updated, "event": "registered", "replaces": None} == registered
    managed.device.wait_event("REG_UPDATING")
    managed.device.wait_event("REG_REGISTERED")


def test_a_short_lifetime_is_kept_up_by_updates(register):
    # An update goes out at lifetime - min(lifetime / 2, 93 s), here with eight seconds to spare.
    managed, registered = register(lifetime=16)
    for _ in range(2):
        assert managed.wait_event("updated")["lifetime"] == 16
    gone = [event["endpoint"] for event in managed.server.events("unregistered")]
    assert managed.device.endpoint not in gone  # those of tests before may still come


def test_an_instance_that_comes_or_goes_is_told_by_an_update(register):
    managed, registered = register(objects=[SENSOR])
    managed.device.add_instance(3303, 4, {"5700": 2.0})
    assert "</3303/4>" in managed.wait_event("updated")["links"]
    managed.device.wait_event("REG_UPDATING")
    managed.device.wait_event("REG_REGISTERED")
    managed.device.remove_instance(3303, 4)
    assert "</3303/4>" not in managed.wait_event("updated")["links"]


def test_disable_deregisters_for_the_disable_timeout(register):
    managed, registered = register()
    assert managed("write", "/1/0/5", value=1)["code"] == "2.04"
    try:
        assert managed("execute", "/1/0/4")["code"] == "2.04"
    except LeshanError as error:
        # De-registering, Leshan cancels what it still asks of the client. Its threads may do that before
        # they deal with the answer, which came first.
        assert "RequestCanceledException" in str(error)
    gone = managed.wait_event("unregistered")
    assert (gone["id"], gone["expired"]) == (registered["id"], False)
    managed.device.wait_event("REG_UNREGISTERED", short_id=1)
    again = managed.wait_event("registered")
    assert again["id"] != registered["id"]
    managed.device.wait_event("REG_REGISTERED")
    assert managed("read", "/3/0/0")["code"] == "2.05"


def test_removing_the_account_deregisters(register):
    managed, registered = register()
    managed.device.call("remove_server", 1)
    gone = managed.wait_event("unregistered")
    assert (gone["id"], gone["expired"]) == (registered["id"], False)
    managed.device.wait_event("REG_UNREGISTERED", short_id=1)
    assert managed.device.object(0) == {}
    assert managed.device.object(1) == {}


def test_the_end_of_the_program_deregisters(register):
    managed, registered = register()
    managed.device.end()
    gone = managed.wait_event("unregistered")
    assert (gone["id"], gone["expired"]) == (registered["id"], False)
    assert managed.device.names()[-1] == "REG_UNREGISTERED"


def test_a_server_that_forgot_its_clients_is_registered_with_again(device, other_server, endpoint):
    server, uri = other_server
    ours = device(servers=[{"short_id": 1, "uri": uri}])
    server.wait_event("registered", endpoint=endpoint)
    ours.wait_event("REG_REGISTERED")
    server.call("stop_server")
    server.call("start_server", port=int(uri.rpartition(":")[2]))
    ours.set("/1/0/1", 500)  # leads to an update, which Leshan answers with 4.04
    ours.wait_event("REG_UPDATING")
    failed = ours.wait_event("REG_UPDATE_FAILED")
    assert (failed["code"], failed["internal"]) == ("4.04", False)
    assert ours.wait_event("REG_REGISTERED")["lifetime"] == 500
    assert server.wait_event("registered", endpoint=endpoint)["lifetime"] == 500


def test_a_lost_server_leads_to_a_bootstrap(leshan, device, other_server, endpoint):
    other, lost_uri = other_server
    settings = {"17": 2, "18": 0, "20": 1}
    ours = device(
        servers=[{"short_id": 1, "uri": lost_uri, "settings": settings}],
        bootstrap_uri=leshan.bootstrap_uri,
    )
    ours.wait_event("REG_REGISTERED")
    config = accounts(leshan.server_uri, short_id=5, lifetime=77)
    leshan.bootstrap.call("configure", endpoint=endpoint, config=config)
    assert not leshan.bootstrap.events()
    other.kill()

    ours.call("set_coap", 1, *QUICK)
    ours.set("/1/0/1", 500)  # leads to an update
    failed = ours.wait_event("REG_UPDATE_FAILED")
    assert (failed["code"], failed["internal"]) == ("5.03", True)
    failed = ours.wait_event("REG_FAILED", short_id=1)
    assert (failed["code"], failed["internal"]) == ("5.03", True)
    ours.wait_event("BS_PENDING", short_id=65535)
    ours.wait_event("BS_FINISHED", short_id=65535)
    assert ours.wait_event("REG_REGISTERED") == {
        "event": "REG_REGISTERED",
        "short_id": 5,
        "lifetime": 77,
    }
    assert leshan.server.wait_event("registered", endpoint=endpoint)["lifetime"] == 77


def test_every_server_lost_and_no_bootstrap_server_is_unavailable(device, other_server, endpoint):
    other, lost_uri = other_server
    settings = {"17": 2, "18": 0, "20": 1}
    other.kill()
    ours = device(
        servers=[{"short_id": 1, "uri": lost_uri, "settings": settings}], coap={"1": QUICK}
    )
    ours.wait_event("UNAVAILABLE")
    assert ours.names() == ["REG_REGISTERING", "REG_REGISTERING", "REG_FAILED", "UNAVAILABLE"]
