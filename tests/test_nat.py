"""A NAT that gives a device another port in the middle of an exchange, and lets nothing through to the old
port any more: over a session with a connection id that costs neither a handshake nor a registration, and no
operation is lost or done twice.
"""

import contextlib

import pytest
from harness.keys import psk
from harness.processes import Device, Servers
from harness.udp_relay import UdpRelay
from test_resume import hellos, nonces

ENDPOINT = "device-1"
KEYS = psk("device-1", b"a key of 16 byte")
OBJECT = {
    "id": 3442,
    "resources": {"0": "EXECUTE", "110": "STRING RW", "120": "INTEGER RW"},
    "instances": {"0": {"110": "initial"}},
    "multiple": True,
}
LARGE = "".join("%04d" % n for n in range(900))  # 3,600 bytes, in four blocks

# No answer within 300 ms is none, and is asked for again for a minute (RFC 7252 4.8).
QUICK = [300, 100, 7]

# A handshake of that length has had three tries, with 1 and 2 s between them; the next one begins a second later.
HANDSHAKE_MS = 4000
RETRIES = {"17": 20, "18": 1}


def once(to_target):
    """Another port as soon as the next datagram of that direction has passed."""
    left = [True]
    return lambda datagram: datagram.to_target is to_target and left and left.pop()


def behind(n):
    """Behind the n-th of either direction, from 0 on."""
    left = [False] * n + [True]
    return lambda datagram: left and left.pop(0)


def always(to_target):
    """Behind each of them."""
    return lambda datagram: datagram.to_target is to_target


def every_other(to_target):
    """Behind the first, the third and so on: each answer is lost, and what asks for it again gets it."""
    seen = []

    def rebind(datagram):
        if datagram.to_target is to_target:
            seen.append(datagram)
            return len(seen) % 2
        return False

    return rebind


class Pair:
    """Our server and our client, with the NAT between them."""

    def __init__(self, servers, relay, device):
        self.servers = servers
        self.relay = relay
        self.device = device

    def call(self, method, path, *args, **options):
        return self.servers.call(method, ENDPOINT, path, *args, **options)

    def wait_event(self, name, **details):
        return self.servers.wait_event(name, endpoint=ENDPOINT, **details)


@pytest.fixture(scope="module")
def running():
    with Servers(clients={ENDPOINT: KEYS}) as servers, UdpRelay(servers.port) as relay:
        uri = f"coaps://127.0.0.1:{relay.port}"
        account = {"short_id": 1, "uri": uri, "keys": KEYS.account}
        with Device(ENDPOINT, servers=[account], objects=[OBJECT], coap={1: QUICK}) as device:
            pair = Pair(servers, relay, device)
            pair.wait_event("REGISTERED")
            device.wait_event("REG_REGISTERED")
            device.set("/1/0/23", False)  # Mute Send
            yield pair


@pytest.fixture
def pair(running):
    device, servers, relay = running.device, running.servers, running.relay
    ports = len(relay._closed)
    yield running
    relay.rebind = None
    # The port was another one, and it is the same session and registration, in which all goes on.
    assert len(relay._closed) > ports
    assert running.call("read", "/3/0/0")["code"] == "2.05"
    assert hellos(relay) == 1
    found = nonces(relay)
    assert len(set(found)) == len(found) and None not in {id for id, _, _ in found}
    assert device.names().count("REG_REGISTERING") == servers.names().count("REGISTERED") == 1
    assert not [name for name in device.names() + servers.names() if "FAILED" in name]


# --- The server asks


def test_between_a_request_of_the_server_and_its_answer(pair):
    for n in range(3):
        pair.relay.rebind = once(to_target=False)
        assert pair.call("execute", "/3442/0/0", arguments=str(n))["code"] == "2.04"
        pair.device.wait_event("EXECUTED", argument=str(n))
    done = [event["argument"] for event in pair.device.events if event["event"] == "EXECUTED"]
    assert done == ["0", "1", "2"]
    # Without an id: the client chooses one, another each time.
    pair.relay.rebind = once(to_target=False)
    before = set(pair.device.object(3442))
    assert pair.call("create", "/3442", {"hex": "c17801"})["code"] == "2.01"  # /120 = 1, in TLV
    assert len(set(pair.device.object(3442)) - before) == 1


def test_between_the_blocks_of_what_the_server_writes_and_reads(pair):
    pair.relay.rebind = always(to_target=False)
    value = {"hex": LARGE.encode().hex()}
    assert pair.call("write", "/3442/0/110", value, format=0)["code"] == "2.04"
    assert pair.device.object(3442)["0"]["110"] == LARGE
    pair.device.wait_event("WRITTEN", path="/3442/0/110")
    written = [event["path"] for event in pair.device.events if event["event"] == "WRITTEN"]
    assert written.count("/3442/0/110") == 1
    assert pair.call("read", "/3442/0/110", accept=0)["text"] == LARGE


# --- The client asks


def test_between_a_request_of_the_client_and_its_answer(pair):
    for lifetime in (400, 401, 402):
        pair.relay.rebind = once(to_target=True)
        pair.device.set("/1/0/1", lifetime)
        pair.wait_event("UPDATED", lifetime=lifetime)
        pair.device.wait_event("REG_REGISTERED", lifetime=lifetime)
    updated = [event["lifetime"] for event in pair.servers.events if event["event"] == "UPDATED"]
    assert updated[-3:] == [400, 401, 402]
    pair.relay.rebind = once(to_target=True)
    before = pair.servers.names().count("SENT")
    pair.device.call("send", ["/3442/0/110"])
    assert pair.device.wait_event("SENT")["code"] == "2.04"
    pair.wait_event("SENT")
    assert pair.servers.names().count("SENT") == before + 1


def test_between_the_blocks_of_what_the_client_sends(pair):
    pair.device.set("/3442/0/110", LARGE)
    pair.relay.rebind = every_other(to_target=True)
    before = pair.servers.names().count("SENT")
    pair.device.call("send", ["/3442/0/110"])
    assert pair.device.wait_event("SENT")["code"] == "2.04"
    (value,) = pair.wait_event("SENT")["values"]
    assert value[:2] == ["/3442/0/110", LARGE]
    assert pair.servers.names().count("SENT") == before + 1


@pytest.mark.parametrize("value", ["short", LARGE], ids=["", "in-blocks"])
def test_between_a_notification_and_its_acknowledgement(pair, value):
    assert pair.call("observe", "/3442/0/110", accept=0)["code"] == "2.05"
    for n in range(3):
        pair.relay.rebind = once(to_target=True)
        pair.device.set("/3442/0/110", f"{n} {value}")
        assert pair.wait_event("NOTIFICATION")["text"] == f"{n} {value}"
        pair.device.wait_event("OBSERVATION_NOTIFICATION_ACKED")
    told = [event["text"] for event in pair.servers.events if event["event"] == "NOTIFICATION"]
    assert told[-3:] == [f"{n} {value}" for n in range(3)]
    assert pair.call("cancel", "/3442/0/110")["code"] == "2.05"


# --- Handshakes


def test_between_the_flights_of_a_handshake():
    # Six datagrams, a cookie among them that is for the old port (RFC 6347 4.2.1): either it goes on, or
    # another one begins by itself; and there is one registration.
    with contextlib.ExitStack() as stack:
        names = [f"device-{n}" for n in range(6)]
        clients = {name: psk(name, f"sixteen bytes, {n}".encode()) for n, name in enumerate(names)}
        servers = stack.enter_context(Servers(clients=clients))
        started = []
        for n, name in enumerate(names):
            relay = stack.enter_context(UdpRelay(servers.port))
            relay.rebind = behind(n)
            uri = f"coaps://127.0.0.1:{relay.port}"
            account = {"short_id": 1, "uri": uri, "keys": clients[name].account}
            account["settings"] = RETRIES
            device = Device(name, servers=[account], handshake_ms=HANDSHAKE_MS)
            started.append((stack.enter_context(device), relay))
        for device, relay in started:
            device.wait_event("REG_REGISTERED")
            assert servers.call("read", device.endpoint, "/3/0/0")["code"] == "2.05"
            device.wait_event("READ")
            assert len(relay._closed) == 1
            assert device.names() == ["REG_REGISTERING", "REG_REGISTERED", "READ"]
            found = nonces(relay)
            assert len(set(found)) == len(found)
            print(device.endpoint, hellos(relay))
        registered = [e["endpoint"] for e in servers.events if e["event"] == "REGISTERED"]
        assert sorted(registered) == names
