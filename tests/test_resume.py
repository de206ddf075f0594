"""Sessions that outlast sleep, between processes on loopback: each time awake is a process and a port of its own."""

import json
import random

import pytest
from harness.micropython import micropython
from harness.ports import free_port
from harness.udp_relay import UdpRelay
from test_dtls import KEY, PEER, PSK, RPK, X509, echo, openssl, psk_options, s_server, start

__all__ = ["start"]  # a fixture

KINDS = pytest.mark.parametrize("security", [PSK, RPK, X509], ids=["psk", "rpk", "x509"])

# Where power may be lost: between any two steps of a time awake.
STEPS = "read removed resumed sent answered suspended half kept".split()
PATIENCE_MS = 1500
SEED = 20261129


def hellos(relay):
    """ClientHellos with a cookie: handshakes."""
    return sum(d.data[0] == 22 and d.data[13] == 1 and d.data[59 + 1] > 0 for d in relay.record)


def numbers(relay):
    """(id, epoch and number) of each record with an id, of the client's."""
    found = []
    for datagram in relay.record:
        data, at = datagram.data, 0
        while datagram.to_target and at < len(data):
            n = 13 + 6 if data[at] == 25 else 13
            if data[at] == 25:
                found.append((data[at + 11 : at + 17], data[at + 3 : at + 11]))
            at += n + int.from_bytes(data[at + n - 2 : at + n], "big")
    return found


def nonces(relay):
    """(session's id, whether the client's, epoch and number) of each record that is encrypted, where
    sessions have ids: that of the server's is the one that its client has used last."""
    found = []
    ids = {}  # client's address: id
    for datagram in relay.record:
        data, at = datagram.data, 0
        while at < len(data):
            n = at + 13
            if data[at] == 25 and datagram.to_target:
                n += 6
                ids[datagram.client] = data[at + 11 : n - 2]
            if data[at + 3] or data[at + 4]:  # epoch
                id = ids.get(datagram.client)
                found.append((id, datagram.to_target, data[at + 3 : at + 11]))
            at = n + int.from_bytes(data[n - 2 : n], "big")
    return found


@pytest.fixture
def awake(tmp_path):
    """awake(port, security, cut) → what a time awake has printed, to its end."""

    def awake(port, security, cut=None, text="hello", patience_ms=PATIENCE_MS):
        options = {"port": port, "security": security, "text": text, "cut": cut}
        options.update(path=str(tmp_path / "session"), patience_ms=patience_ms)
        (tmp_path / "options").write_text(json.dumps(options))
        given = f"@{tmp_path / 'options'}"
        done = micropython(PEER, "sleeper", given, flavour="mpy", heap="2M")
        return (done.stdout + done.stderr).split("\n")

    return awake


ANSWER = "answer " + b"echo hello".hex()


@KINDS
def test_twenty_times_awake(start, awake, security):
    port = free_port()
    server = echo(start, port)
    with UdpRelay(port) as relay:
        assert ANSWER in awake(relay.port, security)
        first = relay.datagrams
        for _ in range(20):
            lines = awake(relay.port, security)
            assert "resumed" in lines and ANSWER in lines and "kept" in lines, lines
        # From a new port each time, and of two datagrams.
        assert relay.datagrams - first == 2 * 20
        assert len(relay._upstream) == 21
        assert hellos(relay) == 1
        found = numbers(relay)
    assert len(set(found)) == len(found)
    assert b"gone" not in server.output


@KINDS
def test_power_is_lost_anywhere(start, awake, security):
    # No number twice, whatever was lost and when; and the next time awake works.
    port = free_port()
    echo(start, port)
    rng = random.Random(SEED)
    cuts = STEPS + [rng.choice([None, *STEPS]) for _ in range(16)]
    with UdpRelay(port) as relay:
        for cut in cuts:
            awake(relay.port, security)
            lines = awake(relay.port, security, cut)
            assert (cut or "kept") in lines, lines
            lines = awake(relay.port, security)
            assert ANSWER in lines and "kept" in lines, (cut, lines)
            # Only where the bytes had been removed, and no others were there yet, is it a handshake.
            kept = cut in (None, "read", "kept")
            assert ("resumed" if kept else "opened") in lines, (cut, lines)
        found = numbers(relay)
    assert len(set(found)) == len(found) > 3 * len(cuts)


@KINDS
def test_server_has_restarted(start, awake, security):
    # Nothing warns: no answer, then a handshake, within one time awake.
    port = free_port()
    server = echo(start, port)
    with UdpRelay(port) as relay:
        awake(relay.port, security)
        server.stop()
        echo(start, port)
        lines = awake(relay.port, security, patience_ms=300)
        assert "resumed" in lines and "opened" in lines and ANSWER in lines, lines
        assert "resumed" in awake(relay.port, security)
        assert hellos(relay) == 2
        found = numbers(relay)
    assert len(set(found)) == len(found)


def test_the_account_has_other_keys(start, awake):
    port = free_port()
    echo(start, port, psk={"device-1": "x:" + KEY.hex(), "device-2": "x:" + KEY.hex()})
    awake(port, PSK)
    lines = awake(port, {**PSK, "3": "x:" + b"device-2".hex()})
    assert "read" in lines and "resumed" not in lines and ANSWER in lines


@openssl
def test_server_without_ids(start, awake):
    # From another port it would not know the session: so there is nothing to be saved, and it is told.
    port = free_port()
    server = s_server(start, port, "-nocert", *psk_options("PSK-AES128-CCM8"))
    server.say(b"good day\n")
    lines = awake(port, PSK)
    assert "answer " + b"good day\n".hex() in lines, lines
    assert "saved None" in lines, lines
    server.expect("CLOSED|closed|DONE")
