"""The harness itself: Leshan's client with Leshan's two servers, through the driver."""

import base64
import hashlib
import socket

import pytest
from harness.awaited import PATIENCE_S, Late
from harness.keys import certs, printed, psk
from harness.leshan import LeshanError, accounts
from harness.udp_relay import UdpRelay


@pytest.fixture
def client(leshan, endpoint):
    """start(**settings) starts Leshan's client; it is stopped at the end of the test."""
    started = []

    def start(**settings):
        leshan.server.call("start_client", endpoint=endpoint, **settings)
        started.append(endpoint)

    yield start
    for name in started:
        leshan.server.call("stop_client", endpoint=name)
    leshan.bootstrap.call("forget", endpoint=endpoint)


def test_bootstrap_register_and_manage(leshan, endpoint, client):
    server = leshan.server
    leshan.bootstrap.call("configure", endpoint=endpoint, config=accounts(leshan.server_uri))
    client(bootstrap_uri=leshan.bootstrap_uri)

    leshan.bootstrap.wait_event("session_finished", endpoint=endpoint)
    operations = [
        (e["operation"], e.get("path"), e["code"]) for e in leshan.bootstrap.events("response")
    ]
    assert operations == [
        ("delete", "/0", "2.02"),
        ("delete", "/1", "2.02"),
        ("write", "/0/1", "2.04"),
        ("write", "/1/0", "2.04"),
        ("finish", None, "2.04"),
    ]
    server.wait_event("client_bootstrapped", endpoint=endpoint)
    registered = server.wait_event("registered", endpoint=endpoint)
    assert registered["lifetime"] == 300
    assert registered["version"] == "1.1"
    server.wait_event("client_registered", endpoint=endpoint)
    assert endpoint in [r["endpoint"] for r in server.call("registrations")]
    held = server.call("client_object", endpoint=endpoint, object=0)
    assert held["1"]["0"] == leshan.server_uri

    read = server.call("read", endpoint=endpoint, path="/3/0")
    assert read["code"] == "2.05"
    assert read["content"]["0"] == "Leshan"
    refused = server.call("read", endpoint=endpoint, path="/0/1")
    assert refused["code"] == "4.04"
    discovered = server.call("discover", endpoint=endpoint, path="/3")
    assert "</3/0/0>" in discovered["links"]

    observed = server.call("observe", endpoint=endpoint, path="/3/0/14")
    assert observed["code"] == "2.05"
    written = server.call("write", endpoint=endpoint, path="/3/0/14", value="+02", format="TEXT")
    assert written["code"] == "2.04"
    notified = server.wait_event("notification", endpoint=endpoint, path="/3/0/14")
    assert notified["content"] == "+02"
    server.call("cancel", endpoint=endpoint, path="/3/0/14")
    partly = server.call("write", endpoint=endpoint, path="/1/0", value={"1": 400}, partial=True)
    assert partly["code"] == "2.04"
    assert server.wait_event("updated", endpoint=endpoint)["lifetime"] == 400

    # Leshan's client de-registers behind its answer, and its server may take that up first.
    try:
        assert server.call("execute", endpoint=endpoint, path="/1/0/9")["code"] == "2.04"
    except LeshanError as e:
        assert "RequestCanceledException" in str(e)
    leshan.bootstrap.wait_event("session_finished", endpoint=endpoint)
    server.wait_event("registered", endpoint=endpoint)


def test_sequence_goes_on_after_a_refused_finish(leshan, endpoint, client):
    security = {"0": leshan.server_uri, "1": False, "2": 3, "10": 1}
    account = {"0": 1, "1": 60, "6": False, "7": "U"}
    requests = [
        {"operation": "discover", "path": "/"},
        {"operation": "write", "path": "/0/1", "value": {**security, "2": 0}},
        {"operation": "write", "path": "/1", "value": {"0": account}},
        {"operation": "finish"},
        {"operation": "write", "path": "/0/1/2", "value": 3},
        {"operation": "read", "path": "/1/0"},
        {"operation": "delete", "path": "/0/0"},
    ]
    leshan.bootstrap.call("sequence", endpoint=endpoint, requests=requests)
    client(bootstrap_uri=leshan.bootstrap_uri, retry_ms=60_000)

    # Leshan's client gives up where it should let the server mend, so what follows the refused Finish fails.
    refused = leshan.bootstrap.wait_event("response", endpoint=endpoint, operation="finish")
    assert refused["code"] == "4.06"
    mended = leshan.bootstrap.wait_event("request", endpoint=endpoint, path="/0/1/2")
    assert mended["operation"] == "write"
    discovered = leshan.bootstrap.wait_event("response", endpoint=endpoint, operation="discover")
    assert discovered["links"][0].startswith("</>;lwm2m=")


def test_unknown_endpoint_is_refused(leshan, endpoint, client):
    client(bootstrap_uri=leshan.bootstrap_uri)
    failed = leshan.bootstrap.wait_event("session_failed", endpoint=endpoint)
    assert failed["cause"] == "NO_BOOTSTRAP_CONFIG"
    failed = leshan.server.wait_event("client_bootstrap_failed", endpoint=endpoint)
    assert failed["code"] == "4.00"


def test_driver_says_what_went_wrong(leshan, endpoint):
    with pytest.raises(LeshanError, match="is not registered"):
        leshan.server.call("read", endpoint=endpoint, path="/3/0")
    with pytest.raises(LeshanError, match="unknown command fly"):
        leshan.server.call("fly")
    with pytest.raises(Late, match="the event registered"):
        leshan.server.wait_event("registered", endpoint=endpoint, timeout=0.01)


@pytest.mark.parametrize("key", [b"a key of 16 byte", bytes(range(0xF0, 0x100)), certs.CLIENT_KEY])
def test_a_key_that_was_printed_is_found(key):
    psk("somebody", key)
    coded = base64.b64encode(key).decode()
    for form in (repr(key), key.decode("latin-1"), key.hex(), key.hex().upper(), coded):
        assert printed('{"text": "%s"}' % form)
    assert not printed('{"text": "%s"}' % hashlib.sha256(key).hexdigest())


def test_relay_counts_and_tells_clients_apart():
    def udp():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", 0))
        s.settimeout(PATIENCE_S)
        return s

    with udp() as target, udp() as one, udp() as other:
        with UdpRelay(target.getsockname()[1]) as relay:
            for sender, data in ((one, b"one"), (other, b"other")):
                sender.sendto(data, ("127.0.0.1", relay.port))
            for _ in range(2):
                data, address = target.recvfrom(100)
                target.sendto(b"to " + data, address)
            assert one.recv(100) == b"to one"
            assert other.recv(100) == b"to other"
        assert relay.datagrams == 4
        assert relay.payload_bytes == len("oneother" + "to one" + "to other")
        assert [d.data for d in relay.record if d.to_target] == [b"one", b"other"]
