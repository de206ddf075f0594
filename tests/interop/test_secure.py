"""Our client under DTLS with Leshan's servers: pre-shared keys, raw public keys, certificates, and what is
refused.
"""

import pytest
from device_objects import MODELS, SENSOR, TEST_OBJECT
from harness.keys import SERVER, certs, psk, rpk, x509
from harness.leshan import accounts
from harness.processes import Managed
from harness.udp_relay import UdpRelay
from test_resume import awake, hellos, numbers

__all__ = ["awake"]  # a fixture

FIRST = psk("first-identity", b"a key of 16 byte")
OTHER = psk("other-identity", b"another-key-with-twenty-eight")
WRONG = psk("other-identity", b"no key of theirs")
UNKNOWN = psk("unknown-identity", b"a key of 16 byte")
PINNED = x509()
BY_CA = x509(server=certs.CA, usage=2)
RAW = rpk()
OTHER_RAW = rpk(certs.SELF_PUBLIC, certs.SELF_KEY)

# After 1 s + 2 s without an answer there is none (RFC 7252 4.8).
QUICK = [1000, 100, 1]
# One attempt to register is all.
ONCE = {"17": 1, "18": 0, "20": 1}
# How long a client waits for a server that says nothing any more: all that it says before has come by
# then, on a busy machine too.
SILENT_MS = 10000


@pytest.fixture
def endpoint():
    return "device-1"  # the common name of the certificate


@pytest.fixture
def secure(leshan, endpoint):
    """secure(bootstrap, server): the keys by which Leshan's servers know our client; None: no DTLS."""

    def secure(bootstrap=None, server=None):
        for process, keys in ((leshan.bootstrap, bootstrap), (leshan.server, server)):
            process.call("secure", endpoint=endpoint, **(keys.secure if keys else {}))

    yield secure
    secure()


@pytest.fixture
def bootstrap(leshan, endpoint, device, secure):
    """start(first, then) → our client, bootstrapped with the first keys and registered with the others."""

    def start(first, then, uri=None, known=None, **config):
        secure(known or first, then)
        written = accounts(leshan.secure_server_uri, keys=then.leshan)
        leshan.bootstrap.call("configure", endpoint=endpoint, config=written)
        uri = uri or leshan.secure_bootstrap_uri
        return device(bootstrap_uri=uri, bootstrap_keys=first.account, **config)

    return start


@pytest.fixture
def register(leshan, device, secure):
    """start(keys) → our client with a factory account."""

    def start(keys, known=None, uri=None, settings=ONCE, objects=(), **config):
        secure(server=known or keys)
        uri = uri or leshan.secure_server_uri
        account = {"short_id": 1, "uri": uri, "keys": keys.account, "settings": settings}
        return device(servers=[account], objects=objects, **config)

    return start


def suite(relay):
    """The cipher suite of the ServerHello that went through a relay (RFC 5246 7.4.1.3)."""
    for datagram in relay.record:
        data = datagram.data
        if not datagram.to_target and data[0] == 22 and data[13] == 2:
            at = 13 + 12 + 2 + 32  # behind the headers, the version and the random bytes
            at += 1 + data[at]  # the session id
            return data[at] << 8 | data[at + 1]
    return None


# --- Bootstrap, then management


@pytest.mark.parametrize(
    "first, then",
    [
        (FIRST, OTHER),
        (PINNED, BY_CA),
        (FIRST, PINNED),
        (BY_CA, OTHER),
        (RAW, OTHER_RAW),
        (FIRST, RAW),
        (RAW, BY_CA),
    ],
    ids=["psk-psk", "x509-x509", "psk-x509", "x509-psk", "rpk-rpk", "psk-rpk", "rpk-x509"],
)
def test_bootstrap_and_management(leshan, bootstrap, endpoint, first, then):
    device = bootstrap(first, then)
    leshan.bootstrap.wait_event("session_finished", endpoint=endpoint)
    assert leshan.server.wait_event("registered", endpoint=endpoint)["lifetime"] == 300
    device.wait_event("REG_REGISTERED")
    assert device.events == [
        {"event": "BS_PENDING", "short_id": 65535},
        {"event": "BS_FINISHED", "short_id": 65535},
        {"event": "REG_REGISTERING", "short_id": 1, "lifetime": 300},
        {"event": "REG_REGISTERED", "short_id": 1, "lifetime": 300},
    ]
    held = device.object(0)
    assert (held["0"]["0"], held["0"]["1"]) == (leshan.secure_bootstrap_uri, True)
    assert {"0": leshan.secure_server_uri, **then.account}.items() <= held["1"].items()

    managed = Managed(device, leshan.server)
    assert managed("read", "/3/0/0")["content"] == "MicroPython"
    assert managed("write", "/1/0/1", value=400)["code"] == "2.04"
    assert managed.wait_event("updated")["lifetime"] == 400
    assert managed("read", "/0")["code"] == "4.01"


@pytest.mark.parametrize(
    "keys, number",
    [(FIRST, 0xC0A8), (RAW, 0xC0AE), (PINNED, 0xC0AE)],
    ids=["psk", "rpk", "x509"],
)
def test_the_suite_is_that_of_rfc_7925(leshan, register, keys, number):
    with UdpRelay(int(leshan.secure_server_uri.rpartition(":")[2])) as relay:
        device = register(keys, uri="coaps://127.0.0.1:%d" % relay.port)
        device.wait_event("REG_REGISTERED")
        device.end()
    assert suite(relay) == number  # TLS_PSK_… and TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8


@pytest.fixture(params=[FIRST, RAW, PINNED], ids=["psk", "rpk", "x509"])
def secured(request, leshan, register):
    """Our client, registered under DTLS."""
    device = register(request.param, objects=[SENSOR, TEST_OBJECT])
    device.wait_event("REG_REGISTERED")
    managed = Managed(device, leshan.server)
    managed.wait_event("registered")
    return managed


def test_management(secured):
    assert secured("read", "/3303/0/5700")["content"] == SENSOR["instances"]["0"]["5700"]
    assert secured("execute", "/3303/0/5605")["code"] == "2.04"
    secured.device.wait_event("EXECUTED", path="/3303/0/5605")
    assert secured("discover", "/3303")["code"] == "2.05"
    assert secured("create", "/3442", instances={"5": {"120": 1}})["code"] == "2.01"
    assert secured("delete", "/3442/5")["code"] == "2.02"
    observed = secured("observe", "/3303/0/5700")
    assert observed["code"] == "2.05"
    for value in (22.5, 23.25):
        secured.device.set("/3303/0/5700", value)
        assert secured.wait_event("notification", path="/3303/0/5700")["content"] == value
        secured.device.wait_event("OBSERVATION_NOTIFICATION_ACKED")
    assert secured("cancel", "/3303/0/5700")["code"] == "2.05"


def test_a_value_larger_than_a_datagram_crosses_in_blocks(secured):
    large = "".join("%04d" % n for n in range(900))  # 3,600 bytes; our client takes 4,096
    assert secured("write", "/3442/0/110", value=large, format="TEXT")["code"] == "2.04"
    assert secured.device.object(3442)["0"]["110"] == large
    assert secured("read", "/3442/0/110")["content"] == large


@pytest.mark.parametrize("keys", [FIRST, RAW, PINNED], ids=["psk", "rpk", "x509"])
def test_the_end_of_the_program_deregisters(leshan, register, endpoint, keys):
    device = register(keys)
    device.wait_event("REG_REGISTERED")
    device.end()
    gone = leshan.server.wait_event("unregistered", endpoint=endpoint)
    assert gone["expired"] is False
    assert device.names()[-1] == "REG_UNREGISTERED"


# --- Connection ids


@pytest.mark.parametrize("keys", [FIRST, RAW, PINNED], ids=["psk", "rpk", "x509"])
def test_another_port_in_the_middle_of_a_session(leshan, register, endpoint, keys):
    # As behind a NAT: the session goes on, what the server asks comes to the new port, and there is
    # neither a handshake nor a registration.
    with UdpRelay(int(leshan.secure_server_uri.rpartition(":")[2])) as relay:
        device = register(keys, uri="coaps://127.0.0.1:%d" % relay.port)
        device.wait_event("REG_REGISTERED")
        managed = Managed(device, leshan.server)
        managed.wait_event("registered")
        for lifetime in (400, 401, 402):
            relay.forget()
            device.set("/1/0/1", lifetime)
            assert managed.wait_event("updated")["lifetime"] == lifetime
            assert managed("read", "/1/0/1")["content"] == lifetime
        assert hellos(relay) == 1
        assert len(set(relay._upstream.values())) == 1
    assert device.names().count("REG_REGISTERING") == 1


def coap(code, path, queries=(), payload=b"", mid=1):
    """A confirmable request with a token of one byte (RFC 7252 3)."""
    data = bytes([0x41, code]) + mid.to_bytes(2, "big") + b"t"
    last = 0
    for number, text in [(11, part) for part in path] + [(15, query) for query in queries]:
        size = len(text)
        data += bytes([(number - last) << 4 | min(size, 13)]) + bytes([size - 13] * (size > 12))
        data += text.encode()
        last = number
    return "x:" + (data + b"\xff" * bool(payload) + payload).hex()


@pytest.mark.parametrize("keys", [FIRST, RAW, PINNED], ids=["psk", "rpk", "x509"])
def test_a_saved_session_goes_on_from_another_port(leshan, secure, endpoint, awake, keys):
    # A registration, and ten Updates of a process each.
    secure(server=keys)
    security = {
        rid: "x:" + value["hex"] if isinstance(value, dict) else value
        for rid, value in keys.account.items()
    }

    def answer(text):
        lines = awake(relay.port, security, text=text)
        assert "kept" in lines, lines
        found = [line.split()[1] for line in lines if line.startswith("answer ")]
        return lines, bytes.fromhex(found[0])

    with UdpRelay(int(leshan.secure_server_uri.rpartition(":")[2])) as relay:
        queries = ("ep=" + endpoint, "lt=300", "lwm2m=1.1", "b=U")
        lines, got = answer(coap(2, ["rd"], queries, b"</1/0>,</3/0>"))
        assert "opened" in lines and got[1] == 0x41, got
        location = got[got.index(b"\x82rd") + 4 :].decode()
        for mid in range(2, 12):
            before = relay.datagrams
            lines, got = answer(coap(2, ["rd", location], mid=mid))
            assert "resumed" in lines and got[1] == 0x44, (lines, got)
            assert relay.datagrams - before == 2
            leshan.server.wait_event("updated", endpoint=endpoint)
        assert hellos(relay) == 1
        found = numbers(relay)
        assert len(set(found)) == len(found) == 12  # with Finished


# --- What is refused

SILENT = "wrong pre-shared key or identity, or no answer any more"
NOT_ACCEPTED = "the server does not accept the certificate (alert 42)"
REFUSED = {
    # Scandium says nothing to a client that it does not know, or with another key.
    "wrong-key": (WRONG, OTHER, "5.03", SILENT),
    "unknown-identity": (UNKNOWN, OTHER, "5.03", SILENT),
    "certificate-of-nobody": (x509(certs.SELF, certs.SELF_KEY), PINNED, "4.01", NOT_ACCEPTED),
    "another-certificate-of-the-server": (
        x509(server=certs.SERVER_EXPIRED),
        PINNED,
        "4.01",
        "the server's certificate is not the account's",
    ),
    "another-raw-key-of-the-server": (
        rpk(server=certs.SELF_PUBLIC),
        RAW,
        "4.01",
        "the server's raw public key is not the account's",
    ),
    "server-of-another-ca": (
        x509(server=certs.SELF, usage=2),
        BY_CA,
        "4.01",
        "the server's certificate is not signed by the CA",
    ),
}


@pytest.mark.parametrize("keys, known, code, text", REFUSED.values(), ids=REFUSED)
def test_a_handshake_for_a_registration_fails(leshan, register, keys, known, code, text):
    device = register(keys, known, handshake_ms=SILENT_MS)
    failed = device.wait_event("REG_FAILED", short_id=1)
    assert (failed["code"], failed["internal"], failed["text"]) == (code, True, text)
    assert not leshan.server.events("registered")


@pytest.mark.parametrize("keys, known, code, text", REFUSED.values(), ids=REFUSED)
def test_a_handshake_for_a_bootstrap_fails(leshan, bootstrap, keys, known, code, text):
    device = bootstrap(keys, OTHER, known=known, handshake_ms=SILENT_MS)
    failed = device.wait_event("BS_FAILED", short_id=65535)
    assert (failed["code"], failed["internal"], failed["text"]) == (code, True, text)
    assert not leshan.bootstrap.events("session_initiated")


@pytest.mark.parametrize(
    "keys",
    [OTHER, OTHER_RAW, x509(certs.SERVER, certs.SERVER_KEY)],
    ids=["psk", "rpk", "x509"],
)
def test_an_endpoint_that_is_not_the_keys_is_refused(leshan, register, bootstrap, keys):
    # Keys that are another endpoint's, and a certificate whose common name is "server".
    for process in (leshan.bootstrap, leshan.server):
        process.call("secure", endpoint="server", **keys.secure)
    try:
        failed = register(keys, FIRST).wait_event("REG_FAILED", short_id=1)
        assert (failed["code"], failed["internal"]) == ("4.03", False)
        failed = bootstrap(keys, FIRST, known=FIRST).wait_event("BS_FAILED", short_id=65535)
        assert (failed["code"], failed["internal"]) == ("4.00", False)
    finally:
        for process in (leshan.bootstrap, leshan.server):
            process.call("secure", endpoint="server")
    assert not leshan.server.events("registered")
    assert leshan.bootstrap.events("session_unauthorized")


# --- What changes


def test_bootstrap_again_with_another_key_for_the_same_server(leshan, bootstrap, endpoint):
    device = bootstrap(FIRST, WRONG)
    leshan.server.wait_event("registered", endpoint=endpoint)
    device.wait_event("REG_REGISTERED")
    config = accounts(leshan.secure_server_uri, keys=OTHER.leshan, lifetime=77)
    leshan.bootstrap.call("configure", endpoint=endpoint, config=config)
    managed = Managed(device, leshan.server)
    leshan.server.call("secure", endpoint=endpoint, keep_sessions=True, **OTHER.secure)
    assert managed("execute", "/1/0/9")["code"] == "2.04"
    leshan.bootstrap.wait_event("session_finished", endpoint=endpoint)
    assert device.wait_event("REG_REGISTERED")["lifetime"] == 77
    assert OTHER.account.items() <= device.object(0)["1"].items()
    assert managed("read", "/1/0/1")["content"] == 77


@pytest.mark.parametrize("keys", [FIRST, RAW, PINNED], ids=["psk", "rpk", "x509"])
def test_a_server_that_forgot_its_sessions_is_registered_with_again(
    device, other_server, endpoint, keys
):
    server, _ = other_server
    server.call("stop_server")
    uri = server.call("start_server", models=MODELS, **SERVER)["secure_uri"]
    server.call("secure", endpoint=endpoint, **keys.secure)
    account = {"short_id": 1, "uri": uri, "keys": keys.account, "settings": {"18": 0}}
    ours = device(servers=[account], coap={"1": QUICK})
    server.wait_event("registered", endpoint=endpoint)
    ours.wait_event("REG_REGISTERED")
    server.call("stop_server")
    server.call("start_server", secure_port=int(uri.rpartition(":")[2]), **SERVER)
    ours.set("/1/0/1", 500)  # leads to an update, of a session that is unknown there
    failed = ours.wait_event("REG_UPDATE_FAILED")
    assert (failed["code"], failed["internal"]) == ("5.03", True)
    assert ours.wait_event("REG_REGISTERED")["lifetime"] == 500
    assert server.wait_event("registered", endpoint=endpoint)["lifetime"] == 500
