"""Leshan's own client bootstraps from our Bootstrap Server, and is managed by our Server."""

import pytest
from harness.processes import LeshanClient, Servers

TEXT, LINK, TLV, SENML_CBOR = 0, 40, 11542, 112  # Content-Formats (LwM2M 1.1 7.4)


@pytest.fixture
def servers():
    with Servers() as servers:
        yield servers


@pytest.fixture
def client(leshan, servers, endpoint):
    """Leshan's client, to be started; it is ended before our servers are."""
    with LeshanClient(leshan, endpoint) as client:
        yield client


@pytest.fixture
def registered(client, servers, endpoint):
    """Leshan's client, registered with our Server by a factory account."""
    client.start(server_uri=servers.uri)
    servers.wait_event("REGISTERED", endpoint=endpoint)
    client.wait_event("client_registered")  # earlier it does not follow the triggers of /1
    return client


def account(servers, **others):
    return {"servers": [{"short_id": 1, "uri": servers.uri, "lifetime": 120, **others}]}


def test_bootstrap_and_register(servers, client, endpoint):
    servers.accounts({endpoint: account(servers)})
    client.start(bootstrap_uri=servers.bootstrap_uri, preferred_format="TLV")
    servers.wait_event("BS_STARTED", endpoint=endpoint)
    servers.wait_event("BS_FINISHED", endpoint=endpoint)
    registered = servers.wait_event("REGISTERED", endpoint=endpoint)
    assert (registered["lifetime"], registered["version"]) == (120, "1.1")
    assert (registered["binding"], registered["queue"]) == ("U", False)
    for path in ("/1/0", "/3/0"):
        assert path in registered["links"]
    assert TLV in registered["formats"]
    client.wait_event("client_bootstrapped")
    client.wait_event("client_registered", uri=servers.uri)

    held = client.object(0)
    bootstrap, server = sorted(held.values(), key=lambda instance: not instance["1"])
    assert bootstrap["0"] == servers.bootstrap_uri
    empty = {"hex": ""}
    wanted = {"0": servers.uri, "1": False, "2": 3, "3": empty, "4": empty, "5": empty, "10": 1}
    assert wanted.items() <= server.items()
    (held,) = client.object(1).values()
    assert {"0": 1, "1": 120, "6": True, "7": "U"}.items() <= held.items()


def test_bootstrap_without_a_preferred_format(servers, client, endpoint):
    servers.accounts({"*": account(servers)})
    client.start(bootstrap_uri=servers.bootstrap_uri, preferred_format=None)
    servers.wait_event("BS_FINISHED", endpoint=endpoint)
    servers.wait_event("REGISTERED", endpoint=endpoint)


def test_the_format_that_leshan_prefers_is_not_ours(servers, client, endpoint):
    # SenML CBOR, 112: that is a preference (LwM2M 1.1 6.1.7.1), and TLV is taken as well.
    servers.accounts({"*": account(servers)})
    client.start(bootstrap_uri=servers.bootstrap_uri)
    servers.wait_event("BS_FINISHED", endpoint=endpoint)
    servers.wait_event("REGISTERED", endpoint=endpoint)


def test_an_unknown_endpoint_is_refused(servers, client, endpoint):
    servers.accounts({"another": account(servers)})
    client.start(bootstrap_uri=servers.bootstrap_uri, preferred_format="TLV", retry_ms=60_000)
    failed = client.wait_event("client_bootstrap_failed")
    assert (failed["code"], failed["diagnostic"]) == ("4.00", "unknown endpoint")


def test_a_client_that_does_not_send_its_name_is_refused(servers, client):
    # LwM2M 1.1 lets it be left out where a DTLS session tells it.
    servers.accounts({"*": account(servers)})
    client.start(
        bootstrap_uri=servers.bootstrap_uri,
        preferred_format="TLV",
        send_endpoint=False,
        retry_ms=60_000,
    )
    assert client.wait_event("client_bootstrap_failed")["code"] == "4.00"
    client.call("stop_client", deregister=False)
    client.start(server_uri=servers.uri, send_endpoint=False)
    assert client.wait_event("client_registration_failed")["code"] == "4.00"


def test_the_bootstrap_account_of_leshans_client_may_have_any_instance_id(
    servers, client, endpoint
):
    servers.accounts({endpoint: account(servers)})
    client.start(bootstrap_uri=servers.bootstrap_uri, preferred_format="TLV", security_instance=5)
    servers.wait_event("BS_FINISHED", endpoint=endpoint)
    servers.wait_event("REGISTERED", endpoint=endpoint)
    held = client.object(0)
    assert held.pop("5")["0"] == servers.bootstrap_uri
    assert [instance["0"] for instance in held.values()] == [servers.uri]


def test_the_operations_of_a_session(servers, client, endpoint):
    servers.operations(
        ["discover", "/"],
        ["add_server", 7, servers.uri, 60],
        ["add_server", 8, "coap://127.0.0.1:9", 60],
        ["remove_server", 8],
        ["discover", "/1"],
        ["read", "/1/0"],
        ["write", "/1/0", {"0": 7, "1": 90, "6": False, "7": "U"}],
        ["delete", "/0/9"],
        ["finish"],
    )
    client.start(bootstrap_uri=servers.bootstrap_uri, preferred_format="TLV")
    done = [servers.wait_event("OPERATION", endpoint=endpoint) for _ in range(9)]
    assert [(event["operation"], event["code"]) for event in done] == [
        ("discover", "2.05"),
        ("add_server", "2.04"),
        ("add_server", "2.04"),
        ("remove_server", "2.02"),
        ("discover", "2.05"),
        ("read", "2.05"),
        ("write", "2.04"),
        ("delete", "4.00"),  # of what is not there
        ("finish", "2.04"),
    ]
    assert "</1/0>;ssid=7" in done[4]["text"]
    assert "ssid=8" not in done[4]["text"]
    assert servers.wait_event("REGISTERED", endpoint=endpoint)["lifetime"] == 90


def test_a_refused_finish_is_told_with_its_words(servers, client, endpoint):
    # A server without security, but with a mode that wants keys.
    bad = {"0": servers.uri, "1": False, "2": 0, "10": 1}
    servers.operations(
        ["write", "/0/1", bad],
        ["write", "/1/0", {"0": 1, "1": 60, "6": False, "7": "U"}],
        ["finish"],
    )
    client.start(bootstrap_uri=servers.bootstrap_uri, preferred_format="TLV", retry_ms=60_000)
    refused = servers.wait_event("OPERATION", endpoint=endpoint, operation="finish")
    assert (refused["code"], refused["text"]) == ("4.06", "[value MUST NOT be null]")
    # It gives up where it should let the server mend.
    client.wait_event("client_bootstrap_failed")


def test_bootstrap_again_when_the_server_triggers_it(servers, client, endpoint):
    servers.accounts({endpoint: account(servers)})
    client.start(bootstrap_uri=servers.bootstrap_uri, preferred_format="TLV")
    servers.wait_event("REGISTERED", endpoint=endpoint)
    client.wait_event("client_registered")
    servers.accounts({endpoint: account(servers, short_id=9, lifetime=66)})
    assert servers.call("execute", endpoint, "/1/0/9")["code"] == "2.04"
    servers.wait_event("BS_FINISHED", endpoint=endpoint)
    assert servers.wait_event("REGISTERED", endpoint=endpoint)["lifetime"] == 66
    assert [instance["0"] for instance in client.object(1).values()] == [9]


def test_read(servers, registered, endpoint):
    read = servers.call("read", endpoint, "/3/0/0")
    assert (read["code"], read["values"]) == ("2.05", {"0": "Leshan"})
    read = servers.call("read", endpoint, "/3/0", accept=TLV)
    assert (read["code"], read["format"]) == ("2.05", TLV)
    assert {"0": "Leshan", "1": "harness", "2": "1"}.items() <= read["values"].items()
    read = servers.call("read", endpoint, "/3", accept=TLV)
    assert read["values"]["0"]["0"] == "Leshan"
    read = servers.call("read", endpoint, "/1/0/1", accept=TEXT)
    assert (read["format"], read["values"]) == (TEXT, {"1": 300})
    assert servers.call("read", endpoint, "/3/0/99")["code"] == "4.04"
    assert servers.call("read", endpoint, "/0/0")["code"] == "4.04"  # Leshan hides it so


def test_write(servers, registered, endpoint):
    assert servers.call("write", endpoint, "/3/0/14", "+02:00")["code"] == "2.04"
    assert registered.object(3)["0"]["14"] == "+02:00"
    partly = servers.call("write", endpoint, "/1/0", {"1": 400, "6": False}, replace=False)
    assert partly["code"] == "2.04"
    updated = servers.wait_event("UPDATED", endpoint=endpoint)
    assert updated["lifetime"] == 400
    held = registered.object(1)["0"]
    assert (held["0"], held["1"], held["6"]) == (1, 400, False)
    assert servers.call("write", endpoint, "/3/0/0", "Me")["code"] == "4.05"


def test_execute(servers, registered, endpoint):
    assert servers.call("execute", endpoint, "/1/0/8")["code"] == "2.04"
    servers.wait_event("UPDATED", endpoint=endpoint)
    assert servers.call("execute", endpoint, "/3/0/0")["code"] == "4.05"


def test_discover(servers, registered, endpoint):
    discovered = servers.call("discover", endpoint, "/3/0")
    assert (discovered["code"], discovered["format"]) == ("2.05", LINK)
    assert discovered["text"].startswith("</3/0>")
    assert "</3/0/14>" in discovered["text"]
    assert servers.call("discover", endpoint, "/3/9")["code"] == "4.04"


def test_create_and_delete(servers, registered, endpoint):
    # An Access Control instance in the TLV of LwM2M 1.1 7.4.3: resource 0 is 3, 1 is 0, 3 is 1.
    created = servers.call("create", endpoint, "/2", {"hex": "c10003c10100c10301"})
    assert (created["code"], created["text"]) == ("2.01", "/2/0")
    assert "/2/0" in servers.wait_event("UPDATED", endpoint=endpoint)["links"]
    assert servers.call("delete", endpoint, "/2/0")["code"] == "2.02"
    assert "/2/0" not in servers.wait_event("UPDATED", endpoint=endpoint)["links"]
    assert servers.call("delete", endpoint, "/2/0")["code"] == "4.04"
    assert servers.call("delete", endpoint, "/3/0")["code"] == "4.05"


def test_observe_until_cancelled(servers, registered, endpoint):
    observed = servers.call("observe", endpoint, "/3/0/14")
    assert observed["code"] == "2.05"
    for value in ("+05:00", "+06:00"):
        assert servers.call("write", endpoint, "/3/0/14", value)["code"] == "2.04"
        notified = servers.wait_event("NOTIFICATION", endpoint=endpoint, path="/3/0/14")
        assert (notified["code"], notified["values"]) == ("2.05", {"14": value})
    assert servers.call("cancel", endpoint, "/3/0/14")["code"] == "2.05"
    assert servers.call("write", endpoint, "/3/0/14", "+07:00")["code"] == "2.04"
    assert servers.call("read", endpoint, "/3/0/14")["values"] == {"14": "+07:00"}
    assert servers.names().count("NOTIFICATION") == 2


def test_deregister(servers, registered, endpoint):
    registered.call("update_client")
    servers.wait_event("UPDATED", endpoint=endpoint)
    registered.call("stop_client", deregister=True)
    servers.wait_event("DEREGISTERED", endpoint=endpoint)
    registered.wait_event("client_deregistered")


def test_a_client_that_is_lost_expires(servers, client, endpoint):
    client.start(server_uri=servers.uri, lifetime=1)
    servers.wait_event("REGISTERED", endpoint=endpoint)
    client.call("stop_client", deregister=False)
    servers.wait_event("EXPIRED", endpoint=endpoint)
