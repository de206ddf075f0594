"""A NAT that gives a device another port in the middle of an exchange, as test_nat.py has it with our server: our
client with Leshan's server, and Leshan's client with ours.

Scandium takes the other port by the connection id, and there is no handshake. Above it Leshan's server knows whom it
has asked, and what it has had before, by the address: an answer from another port is none for it, what is
repeated from there, as its answer was lost, is taken once more, and blocks are of another body.
"""

import pytest
from device_objects import TEST_OBJECT
from harness.keys import psk
from harness.leshan import LeshanError
from harness.processes import LeshanClient, Managed, Servers
from harness.udp_relay import UdpRelay
from test_nat import HANDSHAKE_MS, LARGE, QUICK, RETRIES, always, behind, once
from test_resume import hellos, nonces

KEYS = psk("first-identity", b"a key of 16 byte")
UNHEARD_MS = 10000  # for an answer that Leshan does not take; on a busy machine it asks late


@pytest.fixture
def nat(leshan, endpoint):
    """The way to Leshan's server."""
    leshan.server.call("secure", endpoint=endpoint, **KEYS.secure)
    with UdpRelay(int(leshan.secure_server_uri.rpartition(":")[2])) as relay:
        yield relay
    leshan.server.call("secure", endpoint=endpoint)


@pytest.fixture
def managed(leshan, nat, device):
    uri = f"coaps://127.0.0.1:{nat.port}"
    account = {"short_id": 1, "uri": uri, "keys": KEYS.account}
    started = device(servers=[account], objects=[TEST_OBJECT], coap={1: QUICK})
    started.wait_event("REG_REGISTERED")
    managed = Managed(started, leshan.server)
    managed.wait_event("registered")
    started.set("/1/0/23", False)  # Mute Send
    yield managed
    nat.rebind = None
    # The port was another one; with the next Update Leshan knows it, and it is the same session.
    assert nat._closed
    update(managed, 500)
    assert managed("read", "/3/0/0")["code"] == "2.05"
    assert hellos(nat) == 1
    found = nonces(nat)
    assert len(set(found)) == len(found) and None not in {id for id, _, _ in found}
    assert started.names().count("REG_REGISTERING") == 1
    assert not [name for name in started.names() if "FAILED" in name]
    assert not leshan.server.events("registered", "unregistered")


def update(managed, lifetime):
    managed.device.set("/1/0/1", lifetime)
    managed.wait_event("updated", lifetime=lifetime)
    managed.device.wait_event("REG_REGISTERED", lifetime=lifetime)


# --- Our client


def test_between_a_request_of_the_server_and_its_answer(managed, nat):
    for n in range(2):
        nat.rebind = once(to_target=False)
        with pytest.raises(LeshanError, match="no response"):
            managed("execute", "/3442/0/0", arguments=str(n), timeout_ms=UNHEARD_MS)
        managed.device.wait_event("EXECUTED", argument=str(n))
        update(managed, 400 + n)
    assert managed.device.names().count("EXECUTED") == 2


def test_between_a_request_of_the_client_and_its_answer(managed, nat):
    for lifetime in (400, 401, 402):
        nat.rebind = once(to_target=True)
        update(managed, lifetime)
    managed.device.set("/3442/0/110", "short")
    nat.rebind = once(to_target=True)
    managed.device.call("send", ["/3442/0/110"])
    assert managed.device.wait_event("SENT")["code"] == "2.04"
    assert managed.wait_event("sent")["data"][0]["values"] == {"/3442/0/110": "short"}
    # The blocks of a body are put together by address, too: it says so at once, and has a whole one again.
    managed.device.set("/3442/0/110", LARGE)
    for code in ("4.08", "2.04"):
        nat.rebind = behind(2) if code == "4.08" else None  # the second block
        managed.device.call("send", ["/3442/0/110"])
        assert managed.device.wait_event("SENT")["code"] == code
    wanted = {"/3442/0/110": LARGE}
    managed.wait_event("sent", predicate=lambda event: event["data"][0]["values"] == wanted)


def test_between_a_notification_and_its_acknowledgement(managed, nat):
    assert managed("observe", "/3442/0/110", format="TEXT")["code"] == "2.05"
    for value in ("first", "second", LARGE):
        nat.rebind = once(to_target=True)
        managed.device.set("/3442/0/110", value)
        managed.wait_event("notification", content=value)
        managed.device.wait_event("OBSERVATION_NOTIFICATION_ACKED")


def test_between_the_flights_of_a_handshake(leshan, device, nat, endpoint):
    # Six datagrams, as with our server.
    uri = f"coaps://127.0.0.1:{nat.port}"
    account = {"short_id": 1, "uri": uri, "keys": KEYS.account, "settings": RETRIES}
    for n in range(6):
        ports = len(nat._closed)
        nat.rebind = behind(n)
        started = device(servers=[account], handshake_ms=HANDSHAKE_MS)
        started.wait_event("REG_REGISTERED")
        leshan.server.wait_event("registered", endpoint=endpoint)
        assert started.names() == ["REG_REGISTERING", "REG_REGISTERED"]
        assert len(nat._closed) > ports
        started.end()
        leshan.server.wait_event("unregistered", endpoint=endpoint)
        assert not leshan.server.events("registered")
    found = nonces(nat)
    assert len(set(found)) == len(found)


# --- Leshan's client


def test_leshans_client(leshan, endpoint):
    with Servers(clients={endpoint: KEYS}) as servers, UdpRelay(servers.port) as nat:
        with LeshanClient(leshan, endpoint) as client:
            client.start(server_uri=f"coaps://127.0.0.1:{nat.port}", **KEYS.client)
            servers.wait_event("REGISTERED")
            client.wait_event("client_registered")
            # A request of the server and its answer.
            nat.rebind = once(to_target=False)
            assert servers.call("read", endpoint, "/3/0/0")["values"] == {"0": "Leshan"}
            nat.rebind = once(to_target=False)
            assert servers.call("write", endpoint, "/3/0/14", "+02:00")["code"] == "2.04"
            # One of the client, which sends it again after 2 to 3 s, and its answer.
            nat.rebind = once(to_target=True)
            client.call("update_client")
            servers.wait_event("UPDATED")
            client.wait_event("client_updated")
            assert servers.names().count("UPDATED") == 1
            nat.rebind = once(to_target=True)
            assert client.call("client_send", paths=["/3/0/14"])["code"] == "2.04"
            assert servers.wait_event("SENT")["values"][0][:2] == ["/3/0/14", "+02:00"]
            assert servers.names().count("SENT") == 1
            # A notification.
            assert servers.call("observe", endpoint, "/3/0/14")["code"] == "2.05"
            nat.rebind = always(to_target=False)
            assert servers.call("write", endpoint, "/3/0/14", "+05:00")["code"] == "2.04"
            assert servers.wait_event("NOTIFICATION", path="/3/0/14")["values"] == {"14": "+05:00"}
            nat.rebind = None
            client.call("stop_client", deregister=True)
            servers.wait_event("DEREGISTERED")
            assert servers.names().count("REGISTERED") == hellos(nat) == 1
            assert len(nat._closed) >= 5
