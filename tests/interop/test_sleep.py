"""Our client sleeps and goes on, with Leshan's server, which is told of queue mode: not a registration
after the first. SLEEPS=100 has more of them, as `make soak` does.
"""

import os
import subprocess

import pytest
from harness.lines import Process

CYCLES = int(os.environ.get("SLEEPS", "20"))
SLEEP_S = 60
LIFETIME_S = 300  # as sleeper.py has it: an update each third time
IDENTITY, KEY = b"sleeper", b"sixteen-byte-key"


@pytest.mark.parametrize("security", ["none", "psk"])
def test_sleep(leshan, endpoint, security):
    server = leshan.server
    args, uri = [], leshan.server_uri
    if security == "psk":
        server.call("secure", endpoint=endpoint, identity=IDENTITY.decode(), key=KEY.hex())
        args, uri = [IDENTITY.hex(), KEY.hex()], leshan.secure_server_uri
    with Process("sleeper.py", endpoint, uri, *args, stdin=subprocess.PIPE) as program:

        def tell(line):
            program.process.stdin.write(f"{line}\n".encode())
            program.process.stdin.flush()

        program.wait_for("awake")
        registered = server.wait_event("registered", endpoint=endpoint)
        assert registered["queue_mode"]
        tell("listen 1")
        server.call("observe", endpoint=endpoint, path="/3303/0/5700")
        program.wait_for("awake")
        for n in range(CYCLES):
            value = 21.5 + n
            tell(f"{SLEEP_S} {value}")
            found = server.wait_event("notification", endpoint=endpoint, path="/3303/0/5700")
            assert found["content"] == value
            program.wait_for("awake")
        # And it is still managed.
        tell("listen 2")
        content = server.call("read", endpoint=endpoint, path="/3303/0/5700")["content"]
        assert content == value
        program.wait_for("awake")
        said = program.text()
        assert said.count("registering") == 1 and "anew" not in said, said
        events = [event["event"] for event in server.events()]
        assert "registered" not in events and "observation_cancelled" not in events
        # Updates go along with notifications, in time.
        assert events.count("updated") >= CYCLES * SLEEP_S // LIFETIME_S
    server.call("secure", endpoint=endpoint)
