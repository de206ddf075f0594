"""Our client sleeps and goes on, with Leshan's server, which is told of queue mode: not a registration
after the first. SLEEPS=100 has more of them, as `make soak` does.
"""

import os

import pytest
from device_objects import MODELS
from harness.keys import SERVER, psk
from harness.udp_relay import UdpRelay
from test_resume import hellos, nonces
from test_sleeper import ENDPOINT, PATH, QUICK, SECURITY, Sleeper

CYCLES = int(os.environ.get("SLEEPS", "20"))
SLEEP_S = 60
LIFETIME_S = 300  # as sleeper.py has it: an update each third time
KEYS = psk("sleeper", b"sixteen-byte-key")


@pytest.mark.parametrize("keys", [None, KEYS], ids=["none", "psk"])
def test_sleep(leshan, endpoint, tmp_path, keys):
    server = leshan.server
    uri = leshan.server_uri
    if keys:
        server.call("secure", endpoint=endpoint, **keys.secure)
        uri = leshan.secure_server_uri
    with Sleeper(tmp_path, uri, keys, endpoint=endpoint) as program:
        registered = server.wait_event("registered", endpoint=endpoint)
        assert registered["queue_mode"]
        program.tell("listen 1")
        server.call("observe", endpoint=endpoint, path=PATH)
        program.wait_for("awake")
        for n in range(CYCLES):
            value = 21.5 + n
            program.sleep(value, SLEEP_S)
            found = server.wait_event("notification", endpoint=endpoint, path=PATH)
            assert found["content"] == value
        # And it is still managed.
        program.tell("listen 2")
        content = server.call("read", endpoint=endpoint, path=PATH)["content"]
        assert content == value
        program.wait_for("awake")
        said = program.text()
        assert said.count("registering") == 1 and "anew" not in said, said
        events = [event["event"] for event in server.events()]
        assert "registered" not in events and "observation_cancelled" not in events
        # Updates go along with notifications, in time.
        assert events.count("updated") >= CYCLES * SLEEP_S // LIFETIME_S
    server.call("secure", endpoint=endpoint)


@pytest.mark.parametrize("keys", SECURITY.values(), ids=SECURITY)
def test_the_server_restarts(other_server, tmp_path, keys):
    # As test_sleeper.py has it with our server.
    server, _ = other_server
    server.call("stop_server")
    started = server.call("start_server", models=MODELS, **SERVER)
    server.call("secure", endpoint=ENDPOINT, **(keys.secure if keys else {}))
    port = started["secure_port" if keys else "port"]
    ports = {"secure_port": port} if keys else {"port": port}
    with UdpRelay(port) as relay:
        uri = f"{'coaps' if keys else 'coap'}://127.0.0.1:{relay.port}"
        with Sleeper(tmp_path, uri, keys, coap=QUICK) as program:
            for turn in range(2):
                server.wait_event("registered", endpoint=ENDPOINT)
                program.tell("listen 1")
                assert server.call("observe", endpoint=ENDPOINT, path=PATH)["code"] == "2.05"
                program.wait_for("awake")
                program.sleep(turn + 0.5)
                notified = server.wait_event("notification", endpoint=ENDPOINT, path=PATH)
                assert notified["content"] == turn + 0.5
                if turn:
                    break
                server.call("stop_server")
                server.call("start_server", models=MODELS, **ports, **SERVER)
                program.sleep(turn + 0.75)
            said = program.text()
        assert said.count("registering") == 2 and not server.events("registered"), said
        assert "anew" not in said and said.count("an account is given") == 1, said
    if keys:
        assert hellos(relay) == 2
        found = nonces(relay)
        assert len(set(found)) == len(found) and None not in {id for id, _, _ in found}
