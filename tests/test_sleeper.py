"""A whole client that sleeps, and its server, which is restarted meanwhile, as processes."""

import json
import subprocess

import pytest
from harness.keys import psk, rpk, x509
from harness.lines import Process
from harness.processes import Servers
from harness.udp_relay import UdpRelay
from test_resume import hellos, nonces

ENDPOINT = "device-1"  # the common name of the certificate
PATH = "/3303/0/5700"
SECURITY = {
    "none": None,
    "psk": psk("sleeper", b"sixteen-byte-key"),
    "rpk": rpk(),
    "x509": x509(),
}

SLEEP_S = 250  # of 300 that its registration lasts: each time it wakes there is an Update, too
NAP_S = 60  # there is a confirmable notification only

# No answer within 1.4 s is none (RFC 7252 4.8).
QUICK = [200, 100, 2]


class Sleeper(Process):
    """unit/sleeper.py, whose accounts are in a folder."""

    def __init__(self, folder, uri, keys=None, endpoint=ENDPOINT, **given):
        given["store"] = str(folder / "store")
        (folder / "store").mkdir()
        if keys:
            given["keys"] = keys.account
        path = folder / "sleeper.json"
        path.write_text(json.dumps(given))
        super().__init__("sleeper.py", endpoint, uri, path, stdin=subprocess.PIPE)
        self.wait_for("awake")

    def tell(self, line):
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def sleep(self, value, seconds=SLEEP_S):
        """And the time awake behind it, with that value."""
        self.tell(f"{seconds} {value}")
        self.wait_for("awake")


@pytest.mark.parametrize(
    "security, seconds",
    [*((name, SLEEP_S) for name in SECURITY), ("none", NAP_S), ("psk", NAP_S)],
)
def test_the_server_restarts(tmp_path, security, seconds):
    keys = SECURITY[security]
    with Servers(clients=keys and {ENDPOINT: keys}) as servers, UdpRelay(servers.port) as relay:
        uri = servers.uri.replace(str(servers.port), str(relay.port))
        with Sleeper(tmp_path, uri, keys, coap=QUICK) as sleeper:
            for turn in range(2):
                servers.wait_event("REGISTERED", endpoint=ENDPOINT)
                sleeper.tell("listen 1")
                assert servers.call("observe", ENDPOINT, PATH)["code"] == "2.05"
                sleeper.wait_for("awake")
                # It goes on, as ever.
                sleeper.sleep(turn + 0.5, seconds)
                notified = servers.wait_event("NOTIFICATION", path=PATH)
                assert float(notified["text"]) == turn + 0.5
                if turn:
                    break
                # Nothing tells that the server knows nobody any more: it finds out, and registers, in one
                # time awake.
                servers.kill()
                servers.restart()
                sleeper.sleep(turn + 0.75, seconds)
            said = sleeper.text()
        assert said.count("registering") == servers.names().count("REGISTERED") == 2, said
        assert "anew" not in said and said.count("an account is given") == 1, said
    if keys:
        assert hellos(relay) == 2
        found = nonces(relay)
        assert len(set(found)) == len(found) and None not in {id for id, _, _ in found}
        assert {to_target for _, to_target, _ in found} == {True, False}
