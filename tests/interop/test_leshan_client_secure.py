"""Leshan's own client under DTLS with our Bootstrap Server and our Server."""

import hashlib

import pytest
from harness.keys import certs, psk, rpk, x509
from harness.processes import LeshanClient, Servers
from harness.udp_relay import UdpRelay
from test_resume import hellos

FIRST = psk("first-identity", b"a key of 16 byte")
OTHER = psk("other-identity", b"another-key-with-twenty-eight")
WRONG = psk("other-identity", b"no key of theirs")
UNKNOWN = psk("unknown-identity", b"a key of 16 byte")
PINNED = x509()
RAW = rpk()
OTHER_RAW = rpk(certs.SELF_PUBLIC, certs.SELF_KEY)


@pytest.fixture
def endpoint():
    return "device-1"  # the common name of the certificate


@pytest.fixture
def client(leshan, endpoint):
    with LeshanClient(leshan, endpoint) as client:
        yield client


def start(client, servers, kind, keys):
    uris = {"server_uri": servers.uri}
    if kind == "bootstrap":
        uris = {"bootstrap_uri": servers.bootstrap_uri, "preferred_format": "TLV"}
    client.start(retry_ms=60_000, **uris, **keys.client)


def account(servers, keys):
    server = {"short_id": 1, "uri": servers.uri, "lifetime": 120, "security": keys.ours}
    return {"servers": [server]}


@pytest.mark.parametrize(
    "first, then",
    [
        (FIRST, OTHER),
        (PINNED, PINNED),
        (FIRST, PINNED),
        (PINNED, OTHER),
        (RAW, OTHER_RAW),
        (PINNED, RAW),
        (RAW, OTHER),
    ],
    ids=["psk-psk", "x509-x509", "psk-x509", "x509-psk", "rpk-rpk", "x509-rpk", "rpk-psk"],
)
def test_bootstrap_and_management(client, endpoint, first, then):
    with Servers({endpoint: first}, {endpoint: then}) as servers:
        servers.accounts({endpoint: account(servers, then)})
        uri = servers.bootstrap_uri
        client.start(bootstrap_uri=uri, preferred_format="TLV", **first.client)
        servers.wait_event("BS_FINISHED", endpoint=endpoint)
        assert servers.wait_event("REGISTERED", endpoint=endpoint)["lifetime"] == 120
        client.wait_event("client_bootstrapped")
        client.wait_event("client_registered", uri=servers.uri)
        (held,) = (instance for instance in client.object(0).values() if not instance["1"])
        wanted = {"0": servers.uri, "2": then.account["2"], "5": then.account["5"]}
        assert wanted.items() <= held.items()

        assert servers.call("read", endpoint, "/3/0/0")["values"] == {"0": "Leshan"}
        assert servers.call("write", endpoint, "/3/0/14", "+02:00")["code"] == "2.04"
        assert servers.call("observe", endpoint, "/3/0/14")["code"] == "2.05"
        assert servers.call("write", endpoint, "/3/0/14", "+05:00")["code"] == "2.04"
        notified = servers.wait_event("NOTIFICATION", endpoint=endpoint, path="/3/0/14")
        assert notified["values"] == {"14": "+05:00"}
        assert servers.call("execute", endpoint, "/1/0/8")["code"] == "2.04"
        servers.wait_event("UPDATED", endpoint=endpoint)
        client.call("stop_client", deregister=True)
        servers.wait_event("DEREGISTERED", endpoint=endpoint)


@pytest.mark.parametrize("keys", [FIRST, RAW, PINNED], ids=["psk", "rpk", "x509"])
def test_another_port_in_the_middle_of_a_session(client, endpoint, keys):
    # As behind a NAT, with ids of both sides: what our server asks comes by the old way, and once the
    # client has answered over the new one, by that.
    with Servers(clients={endpoint: keys}) as servers:
        with UdpRelay(int(servers.uri.rpartition(":")[2])) as relay:
            client.start(server_uri=f"coaps://127.0.0.1:{relay.port}", **keys.client)
            servers.wait_event("REGISTERED", endpoint=endpoint)
            for _ in range(3):
                old = set(relay._upstream.values())
                relay.forget()
                assert servers.call("execute", endpoint, "/1/0/8")["code"] == "2.04"
                servers.wait_event("UPDATED", endpoint=endpoint)
                assert servers.call("read", endpoint, "/3/0/0")["values"] == {"0": "Leshan"}
                assert not old & set(relay._upstream.values())
            assert hellos(relay) == 1
            kinds = {(d.to_target, d.data[0]) for d in relay.record if d.data[0] in (23, 25)}
            assert kinds == {(True, 25), (False, 25)}
            client.call("stop_client", deregister=True)
            servers.wait_event("DEREGISTERED", endpoint=endpoint)


REFUSED = {
    "wrong-key": (WRONG, OTHER, "other-identity", "wrong key"),
    "unknown-identity": (UNKNOWN, OTHER, "unknown-identity", "unknown identity"),
    "unknown-raw-key": (
        OTHER_RAW,
        RAW,
        hashlib.sha256(certs.SELF_PUBLIC).hexdigest(),
        "unknown raw public key",
    ),
    "another-raw-key-of-the-server": (
        rpk(server=certs.SELF_PUBLIC),
        RAW,
        None,
        "the client does not accept the certificate or raw public key (alert 42)",
    ),
    # Our server asks for one of its CA (RFC 5246 7.4.4), so that Leshan's client gives none.
    "certificate-of-nobody": (
        x509(certs.SELF, certs.SELF_KEY),
        PINNED,
        None,
        "the client has no certificate or raw public key",
    ),
}


@pytest.mark.parametrize("keys, known, identity, text", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("kind", ["bootstrap", "registration"])
def test_a_handshake_fails(client, endpoint, kind, keys, known, identity, text):
    with Servers({endpoint: known}, {endpoint: known}) as servers:
        start(client, servers, kind, keys)
        refused = servers.wait_event("REFUSED")
        assert (refused["identity"], refused["text"]) == (identity, text)
        assert "code" not in client.wait_event("client_%s_failed" % kind)


@pytest.mark.parametrize(
    "keys",
    [OTHER, OTHER_RAW, x509(certs.SERVER, certs.SERVER_KEY, name="server")],
    ids=["psk", "rpk", "x509"],
)
@pytest.mark.parametrize("kind, code", [("bootstrap", "4.00"), ("registration", "4.03")])
def test_an_endpoint_that_is_not_the_keys_is_refused(client, endpoint, kind, code, keys):
    # Keys that are another endpoint's, and a certificate whose common name is "server".
    known = {endpoint: FIRST, "server": keys}
    with Servers(known, known) as servers:
        start(client, servers, kind, keys)
        assert servers.wait_event("REFUSED")["text"] == "endpoint device-1 is not its own"
        failed = client.wait_event("client_%s_failed" % kind)
        assert failed["code"] == code
        assert failed["diagnostic"] == "the endpoint name does not belong to the DTLS identity"


def test_a_name_that_is_not_sent_is_the_identitys(client, endpoint):
    # LwM2M 1.1 6.2.1: it may be left out where the session tells it.
    with Servers(clients={endpoint: PINNED}) as servers:
        client.start(server_uri=servers.uri, send_endpoint=False, **PINNED.client)
        servers.wait_event("REGISTERED", endpoint=endpoint)
