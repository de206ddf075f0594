"""Leshan's bootstrap server, server and client, started once in each process that tests are shared out among;
our client for each test."""

from contextlib import ExitStack
from typing import NamedTuple

import pytest
from device_objects import MODELS, SENSOR, TEST_OBJECT
from harness.keys import SERVER
from harness.leshan import BOOTSTRAP_SERVER, SERVER_AND_CLIENT, Leshan
from harness.processes import Device, Managed


class Peers(NamedTuple):
    bootstrap: Leshan  # the process with the bootstrap server
    bootstrap_uri: str
    bootstrap_port: int
    secure_bootstrap_uri: str
    server: Leshan  # the process with the server and clients
    server_uri: str
    server_port: int
    secure_server_uri: str


@pytest.fixture(scope="session")
def running_leshan():
    Leshan.build()
    with Leshan(BOOTSTRAP_SERVER) as bootstrap, Leshan(SERVER_AND_CLIENT) as server:
        b = bootstrap.call("start", **SERVER)
        s = server.call("start_server", models=MODELS, **SERVER)
        yield Peers(
            *(bootstrap, b["uri"], b["port"], b["secure_uri"]),
            *(server, s["uri"], s["port"], s["secure_uri"]),
        )


@pytest.fixture
def leshan(running_leshan):
    running_leshan.bootstrap.clear_events()
    running_leshan.server.clear_events()
    return running_leshan


@pytest.fixture
def other_server():
    """One more of Leshan's servers, to be stopped or killed, and its URI."""
    Leshan.build()
    with Leshan(SERVER_AND_CLIENT) as server:
        yield server, server.call("start_server")["uri"]


@pytest.fixture
def endpoint(request):
    """A name for each test, so that no test sees the registration of another."""
    return request.node.name.replace("test_", "").replace("_", "-")


@pytest.fixture
def device(leshan, endpoint):
    """start(**config) starts our client as processes.Device; it is ended after the test."""
    with ExitStack() as stack:
        yield lambda **config: stack.enter_context(Device(endpoint, **config))
    leshan.bootstrap.call("forget", endpoint=endpoint)


@pytest.fixture
def managed(leshan, device):
    """With a factory account, the Device object, a sensor and an object with a value of each type."""
    servers = [{"short_id": 1, "uri": leshan.server_uri}]
    started = device(servers=servers, objects=[SENSOR, TEST_OBJECT])
    started.wait_event("REG_REGISTERED")
    managed = Managed(started, leshan.server)
    managed.wait_event("registered")  # what Leshan can be asked about from now on
    return managed
