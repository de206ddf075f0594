"""libcoap's and aiocoap's clients observe values of our client: attributes, bodies in blocks.

A client of LwM2M answers nobody but its servers: its socket is connected to each. So aiocoap is the server
that it registers with, and asks from the same endpoint. coap-client of libcoap has no registration; it is
bound to the port of a server that has just answered one (-p), and is that server from then on.
"""

import asyncio
import contextlib
import itertools
import json
import socket
import subprocess
import threading
import time

import pytest
from device_objects import SENSOR, TEST_OBJECT
from harness.awaited import PATIENCE_S, eventually
from harness.lines import Lines
from harness.ports import free_port
from harness.processes import Device
from test_libcoap import coap_client, program

VALUE = "/3303/0/5700"  # a number
TEXT = "/3442/0/110"
TEXTS = [
    "".join("%s%03d" % (letter, n) for n in range(900)) for letter in "abc"
]  # 3,600 bytes each
SENML_JSON = 110


@pytest.fixture
def device():
    """start(port, **config) starts our client, whose server is at that port."""

    def start(port, **config):
        server = {"short_id": 1, "uri": "coap://127.0.0.1:%d" % port}
        objects = [SENSOR, TEST_OBJECT]
        return stack.enter_context(Device("observed", servers=[server], objects=objects, **config))

    with contextlib.ExitStack() as stack:
        yield start


# --- aiocoap


@pytest.fixture(scope="module")
def aiocoap():
    return pytest.importorskip("aiocoap", reason="aiocoap needs Python 3.10: not tested with it")


class Server:
    """aiocoap as what our client registers with, in a thread with its loop."""

    def __init__(self, aiocoap):
        self._aiocoap = aiocoap
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._remote = None  # where our client is
        self._observations = []
        self.port = free_port()

    def __enter__(self):
        self._thread.start()
        self._context = self._run(self._listen())
        return self

    def __exit__(self, kind, error, trace):
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    async def _end(self):
        for observation in self._observations:
            observation.task.cancel()
        await self._context.shutdown()

    def call(self, function):
        self._loop.call_soon_threadsafe(function)

    async def _listen(self):
        from aiocoap import resource

        registrations, registration = resource.Resource(), resource.Resource()

        async def register(request):
            self._remote = request.remote
            return self._aiocoap.Message(code=self._aiocoap.CREATED, location_path=("rd", "1"))

        async def update(request):
            return self._aiocoap.Message(code=self._aiocoap.CHANGED)

        async def deregister(request):
            return self._aiocoap.Message(code=self._aiocoap.DELETED)

        registrations.render_post = register
        registration.render_post = update
        registration.render_delete = deregister
        site = resource.Site()
        site.add_resource(["rd"], registrations)
        site.add_resource(["rd", "1"], registration)
        bind = ("127.0.0.1", self.port)
        return await self._aiocoap.Context.create_server_context(site, bind=bind)

    def _message(self, code, path="", **options):
        path, _, query = path.partition("?")
        code = getattr(self._aiocoap, code)
        message = self._aiocoap.Message(code=code, **options)
        message.opt.uri_path = [part for part in path.split("/") if part]
        message.opt.uri_query = query.split("&") if query else []
        message.remote = self._remote
        return message

    def ask(self, code, path="", **options):
        """The answer to a request."""

        async def ask():
            return await self._context.request(self._message(code, path, **options)).response

        return self._run(ask())

    def observe(self, path="", code="GET", **options):
        async def start():
            request = self._context.request(self._message(code, path, observe=0, **options))
            return Observation(self, request, await request.response)

        self._observations.append(self._run(start()))
        return self._observations[-1]


class Observation:
    """What aiocoap has got of it: `first`, then `notifications`."""

    def __init__(self, server, request, first):
        self._server = server
        self._request = request
        self.first = first
        self.notifications = []
        self.task = asyncio.ensure_future(self._take())

    async def _take(self):
        async for notification in self._request.observation:
            self.notifications.append(notification)

    def next(self):
        """The notification that has not been taken yet."""

        def there():
            assert not self.task.done(), self.task
            return self.notifications

        eventually(there, "a notification")
        return self.notifications.pop(0)

    def cancel(self):
        """Let aiocoap forget it."""
        self._server.call(self._request.observation.cancel)


@pytest.fixture
def server(aiocoap):
    with Server(aiocoap) as server:
        yield server


@pytest.fixture
def observed(server, device):
    observed = device(server.port)
    observed.wait_event("REG_REGISTERED")
    return observed


def written(server, path):
    """Write-Attributes."""
    assert str(server.ask("PUT", path).code) == "2.04 Changed"


def test_periods(server, observed):
    written(server, VALUE + "?pmin=2&pmax=3")
    began = time.monotonic()
    observation = server.observe(VALUE)
    assert observation.first.payload == b"21.5"
    observed.set(VALUE, 22.5)
    observed.set(VALUE, 23.5)
    told = observation.next()  # on a busy machine a change may come late, and there are two
    assert time.monotonic() - began >= 2
    if told.payload == b"22.5":
        told = observation.next()
    assert (told.payload, told.opt.content_format) == (b"23.5", 0)
    assert observation.next().payload == b"23.5"  # by pmax
    assert time.monotonic() - began >= 2 + 3


def test_thresholds(server, observed):
    written(server, VALUE + "?gt=25&lt=-10&st=15")
    observation = server.observe(VALUE)
    for value in (24.0, 25.5, 26.5, 6.5, -8.0, -10.5, -20.5, -25.5):
        observed.set(VALUE, value)
        server.ask("GET", "/3/0/16")  # a notification comes before its answer
    observed.set(VALUE, 99.0)
    found = []
    while found[-1:] != [b"99.0"]:
        found.append(observation.next().payload)
    # 25.5 and 6.5 cross gt, -10.5 lt, and -25.5 is 15 below that.
    assert found == [b"25.5", b"6.5", b"-10.5", b"-25.5", b"99.0"]


def test_attributes_are_kept_shown_and_taken_away(server, observed):
    written(server, "/3303?pmin=1")
    written(server, VALUE + "?pmax=60&gt=2.5")
    links = server.ask("GET", VALUE, accept=40).payload.decode()
    assert links == "</3303/0/5700>;pmin=1;pmax=60;gt=2.5"
    written(server, VALUE + "?pmax&gt")
    assert server.ask("GET", VALUE, accept=40).payload == b"</3303/0/5700>;pmin=1"
    refused = server.ask("PUT", VALUE + "?pmin=a")
    assert (str(refused.code), refused.payload) == (
        "4.00 Bad Request",
        b"pmin must be whole seconds, 0 to 2147483647",
    )


@pytest.mark.parametrize("con, kind", [(0, "NON"), (1, "CON")])
def test_confirmable_or_not(aiocoap, server, observed, con, kind):
    written(server, VALUE + "?con=%d" % con)
    observation = server.observe(VALUE)
    observed.set(VALUE, 22.5)
    told = observation.next()
    assert (told.payload, told.mtype) == (b"22.5", getattr(aiocoap, kind))


@pytest.mark.parametrize("path", [VALUE, TEXT], ids=["one", "blocks"])
def test_reset_cancels(server, observed, path):
    # Some notifications after it has forgotten the observation, aiocoap answers one with a Reset.
    observation = server.observe(path)
    observation.cancel()
    count = itertools.count()

    def cancelled():
        n = next(count)
        observed.set(path, float(n) if path == VALUE else TEXTS[n % 3])
        return "OBSERVATION_CANCELED" in observed.names()

    eventually(cancelled, "a Reset", lambda: str(observed.names()))


def test_observe_1_with_another_token_cancels_nothing(server, observed):
    observation = server.observe(VALUE)
    answer = server.ask("GET", VALUE, observe=1)
    assert (answer.payload, answer.opt.observe) == (b"21.5", None)
    observed.set(VALUE, 22.5)
    assert observation.next().payload == b"22.5"


@pytest.mark.parametrize("size", [16, 64, 1024, None])
def test_notifications_in_blocks(aiocoap, server, observed, size):
    observed.set(TEXT, TEXTS[0])
    options = {}
    if size:
        options["block2"] = (0, False, size.bit_length() - 5)
    observation = server.observe(TEXT, **options)
    assert observation.first.payload.decode() == TEXTS[0]
    for text in TEXTS[1:]:
        observed.set(TEXT, text)
        assert observation.next().payload.decode() == text


def composite(*paths):
    payload = json.dumps([{"n": path} for path in paths]).encode()
    return {"code": "FETCH", "payload": payload, "content_format": SENML_JSON}


def values(message):
    assert message.opt.content_format == SENML_JSON
    base, found = "", {}
    for record in json.loads(message.payload):
        base = record.get("bn", base)
        found[base + record.get("n", "")] = record.get("v", record.get("vs"))
    return found


def test_composite_with_attributes_in_blocks(server, observed):
    observed.set(TEXT, TEXTS[0])
    written(server, VALUE + "?pmin=1&pmax=2")
    began = time.monotonic()
    observation = server.observe(**composite(VALUE, TEXT))
    assert values(observation.first) == {VALUE: 21.5, TEXT: TEXTS[0]}
    observed.set(TEXT, TEXTS[1])
    assert values(observation.next()) == {VALUE: 21.5, TEXT: TEXTS[1]}
    assert time.monotonic() - began >= 1
    assert values(observation.next()) == {VALUE: 21.5, TEXT: TEXTS[1]}
    assert time.monotonic() - began >= 1 + 2


@pytest.fixture
def observed_1_2(server, device):
    observed = device(server.port, version="1.2")
    observed.wait_event("REG_REGISTERED")
    return observed


def test_ets_312_attributes_in_observe(server, observed_1_2):
    began = time.monotonic()
    observation = server.observe(VALUE + "?pmin=1&pmax=2")
    for n in (1, 2, 3):
        assert observation.next().payload == b"21.5"
        assert time.monotonic() - began >= 2 * n


def test_ets_313_attributes_in_observe_over_attached_ones(server, observed_1_2):
    written(server, VALUE + "?pmax=600")
    began = time.monotonic()
    observation = server.observe(VALUE + "?pmax=1")
    for n in (1, 2):
        assert observation.next().payload == b"21.5"
        assert time.monotonic() - began >= n


# --- libcoap


def registrar(port):
    """Answer one Register, and go: the address of our client."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", port))
        s.settimeout(PATIENCE_S)
        request, address = s.recvfrom(2048)
        token = request[4 : 4 + (request[0] & 15)]
        # An ACK, 2.01, Location-Path rd/1 (RFC 7252 3).
        s.sendto(bytes((request[0] | 0x60, 0x41)) + request[2:4] + token + b"\x82rd\x011", address)
    return address


class CoapClient:
    """coap-client as the server that our client is registered with."""

    def __init__(self, port, address):
        self._port = port
        self._uri = "coap://%s:%d" % address

    def _options(self, *options):
        return ["-a", "127.0.0.1", "-p", str(self._port), *options]

    def ask(self, path, *options):
        return coap_client(*self._options(*options), self._uri + path).strip()

    def observe(self, path, *options, seconds=PATIENCE_S):
        """The process, and its lines: a value each."""
        command = [program("coap-client", "notls"), *self._options("-w", "-s", str(seconds))]
        process = subprocess.Popen(
            [*command, *options, self._uri + path],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return process, Lines(process.stdout)


@pytest.fixture
def libcoap(device):
    """coap-client, and our client."""
    port = free_port()
    observed = device(port)
    client = CoapClient(port, registrar(port))
    observed.wait_event("REG_REGISTERED")
    return client, observed


@pytest.fixture
def watch(libcoap):
    """watch(path, *options) → what coap-client prints of the notifications."""
    client, observed = libcoap
    processes = []

    def watch(path, *options):
        process, lines = client.observe(path, *options)
        processes.append((process, lines))
        return lines

    yield watch
    for process, lines in processes:
        process.kill()
        process.wait()
        lines.join()
        process.stdout.close()


def test_libcoap_attributes(libcoap, watch):
    client, observed = libcoap
    assert client.ask(VALUE + "?pmin=1&pmax=3&gt=25", "-m", "put") == ""
    links = client.ask(VALUE, "-A", "40")
    assert links == "</3303/0/5700>;pmin=1;pmax=3;gt=25"
    assert "4.00 pmin must be whole seconds" in client.ask(VALUE + "?pmin=a", "-m", "put")
    began = time.monotonic()
    lines = watch(VALUE)
    lines.wait_for("21.5")
    observed.set(VALUE, 24.0)  # below gt
    observed.set(VALUE, 26.0)
    lines.wait_for("26.0")
    assert time.monotonic() - began >= 1
    lines.wait_for("26.0")  # by pmax
    assert time.monotonic() - began >= 1 + 3
    assert lines.lines[:2] == ["21.5", "26.0"]


@pytest.mark.parametrize("size", ["16", "64", "1024", None])
def test_libcoap_notifications_in_blocks(libcoap, watch, size):
    client, observed = libcoap
    observed.set(TEXT, TEXTS[0])
    lines = watch(TEXT, *(["-b", size] if size else []))
    lines.wait_for(TEXTS[0])
    for text in TEXTS[1:]:
        observed.set(TEXT, text)
        lines.wait_for(text)
    assert lines.lines == TEXTS


def test_libcoap_notifications_in_blocks_of_what_changes_meanwhile(libcoap, watch):
    # It fetches both, and prints their blocks as they come. That it comes to an end is because the same
    # bytes have the same ETag: with another one for each transfer, the two begin again for ever.
    client, observed = libcoap
    observed.set(TEXT, TEXTS[0])
    lines = watch(TEXT, "-b", "16")
    lines.wait_for(TEXTS[0])
    for text in TEXTS[1:]:
        observed.set(TEXT, text)
    lines.wait(lambda: TEXTS[-1][-4:] in lines.text(), "the end of the last value")


def test_libcoap_cancels(libcoap):
    # With Observe 1, when its time is over.
    client, observed = libcoap
    process, lines = client.observe(VALUE, seconds=1)
    observed.wait_event("OBSERVATION_CANCELED", path=VALUE)
    assert process.wait(PATIENCE_S) == 0
    lines.join()
    process.stdout.close()
    assert lines.lines[0] == "21.5"
