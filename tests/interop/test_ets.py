"""The device cases of OMA's enabler test specification, by their numbers, with Leshan's servers. ets.py has
them; here is what they are done with."""

import contextlib
import subprocess
import time

import ets
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from device_objects import DATA, MODELS, PORTFOLIO, PROGRAM
from harness.keys import certs, psk, x509
from harness.leshan import LeshanError
from harness.ports import free_port
from harness.processes import Managed
from lwm2m_factory import package
from test_libcoap import coap_client, program, two_ports

PSK = psk("ets", b"a key of 16 byte")
PINNED = x509()
BY_CA = x509(server=certs.CA, usage=2)
CERTIFIED = (2, 402, 403)  # cases that have certificates
QUICK = [50, 100, 1]  # of a server that is not there, as test_registration has it
ONCE = {"17": 1, "18": 0, "20": 1}

VENDOR = ec.generate_private_key(ec.SECP256R1())
TARGET = "ets"

# On top of device_objects.PROGRAM: object 5. A small flash is one in RAM, of 64 KB.
UPDATE = """
from lwm2m.slots import Slots
from lwm2m.update import Update
if {small}:
    import vfs
    class Ram:
        data = bytearray(65536)
        def readblocks(self, n, buf, at=0):
            at += n * 4096
            buf[:] = self.data[at : at + len(buf)]
        def writeblocks(self, n, buf, at=0):
            at += n * 4096
            self.data[at : at + len(buf)] = buf
        def ioctl(self, what, arg):
            return 16 if what == 4 else 4096 if what == 5 else 0
    vfs.VfsLfs2.mkfs(Ram())
    vfs.mount(vfs.VfsLfs2(Ram()), "/small")
others = setup
def setup(client):
    others(client)
    slots = Slots({folder!r}, [{key!r}], {target!r})
    slots.start()
    Update(client, slots)
"""


class World:
    """A client and what Leshan's servers see of it; what the steps of ets.py are done with."""

    def __init__(self, request, number, leshan, endpoint, device, folder):
        self._request = request
        self.leshan = leshan
        self.endpoint = endpoint
        self._start = device
        self._folder = folder
        self._second = None
        self._began = 0
        self.device = None
        self.keys = PINNED if number == 2 else BY_CA if number in CERTIFIED else PSK
        for process in (leshan.bootstrap, leshan.server):
            process.call("secure", endpoint=endpoint, **self.keys.secure)

    # --- The client

    def start(self, bare=False, bootstrap=False, dead=False, second=False, update="", **account):
        """bare: with a bootstrap account only; bootstrap: with one too. dead: its server is not there.
        second: a second server. update: where the packages of object 5 are, on the host or in a small
        flash. name: the server's, in its certificate. The rest is of the account."""
        config = {"objects": [PORTFOLIO, DATA], "device": ets.DEVICE, "program": PROGRAM}
        keys = dict(self.keys.account)
        if "name" in account:
            keys["14"] = account.pop("name")  # /0/x/14, which it is asked for by
            account["settings"] = ONCE
        servers = [{"short_id": 1, "uri": self.leshan.secure_server_uri, "keys": keys, **account}]
        if dead:
            servers[0].update(uri="coap://127.0.0.1:%d" % free_port(), keys=None, settings=ONCE)
            config["coap"] = {"1": QUICK}
        if second:
            self._second, uri = self._request.getfixturevalue("other_server")
            self._port = int(uri.rpartition(":")[2])
            servers.append({"short_id": 2, "uri": uri})
        if bare or bootstrap or dead:
            config["bootstrap_uri"] = self.leshan.secure_bootstrap_uri
            config["bootstrap_keys"] = self.keys.account
        if update:
            small = update == "small"
            config["program"] += UPDATE.format(
                small=small,
                folder="/small/update" if small else str(self._folder),
                key=package.raw_key(VENDOR.public_key()),
                target=TARGET,
            )
        if self.device:
            self.device.end()
        self._config = {**config, "servers": [] if bare else servers}
        self.device = self._start(**self._config)

    def restart(self):
        """When it has asked for that: the board starts anew, without a word to anybody."""
        self.device.wait_event("DONE", path="/3/0/4")
        self.device.kill()
        self.device = self._start(**self._config)

    # --- The servers

    def _server(self, number):
        return self._second if number == 2 else self.leshan.server

    def ask(self, command, server=1, **args):
        args = {key: value for key, value in args.items() if value is not None}
        return self._server(server).call(command, endpoint=self.endpoint, **args)

    def heard(self, kind, predicate=None, server=1):
        return Managed(self.device, self._server(server)).wait_event(kind, predicate=predicate)

    def events(self, kind):
        events = self.leshan.server.events(kind)
        return [event for event in events if event["endpoint"] == self.endpoint]

    def disable(self):
        try:
            assert self.ask("execute", path="/1/0/4")["code"] == "2.04"
        except LeshanError as error:  # as test_registration tells
            assert "RequestCanceledException" in str(error)

    def forget(self):
        self._second.wait_event("registered", endpoint=self.endpoint)
        self._second.call("stop_server")
        self._second.call("start_server", port=self._port, models=MODELS)

    def mark(self):
        self._began = time.monotonic()

    def since_mark(self):
        return time.monotonic() - self._began

    # --- Bootstrap

    def account(self):
        return {
            "0": self.leshan.secure_server_uri,
            "1": False,
            **self.keys.account,
            "10": 1,
        }

    def bootstrap_account(self):
        return {"0": self.leshan.secure_bootstrap_uri, "1": True, **self.keys.account}

    def session(self, operations, trigger, finish):
        requests = []
        for op in operations:
            value = op.value(self) if callable(op.value) else op.value
            requests.append({"operation": op.operation, "path": op.path, "value": value})
        bootstrap = self.leshan.bootstrap
        bootstrap.clear_events()
        bootstrap.call("sequence", endpoint=self.endpoint, requests=requests)
        trigger(self)
        good = finish == "2.04"
        bootstrap.wait_event(
            "session_finished" if good else "session_failed", endpoint=self.endpoint
        )
        answers = bootstrap.events("response")
        expected = [(op.operation, op.path, op.code) for op in operations]
        found = [(a["operation"], a.get("path"), a["code"]) for a in answers]
        assert found == [*expected, ("finish", None, finish)], answers
        for op, answer in zip(operations, answers):
            if op.wanted is not None:
                ets.check(answer.get("content", answer.get("links")), op.wanted)

    # --- Packages

    def _package(self, file="app.py", target=TARGET, filling=0, damaged=False):
        terms = package.Terms(target=target, number=2, version="2.0")
        files = [(file, b"# an application\n"), ("filling", bytes(filling))]
        data = bytearray(package.signed(package.build(files, terms, deflated=False), VENDOR))
        data[163] ^= damaged  # the last byte of the signature
        return bytes(data)

    def push(self, code, **terms):
        value = {"hex": self._package(**terms).hex()}
        answer = self.ask("write", path="/5/0/0", value=value, format="OPAQUE")
        assert answer["code"] == code, answer

    def pull(self):
        """Write the URI of a package that libcoap's server has."""
        uri = self._request.getfixturevalue("packages")(self._package())
        assert self.ask("write", path="/5/0/1", value=uri, format="TEXT")["code"] == "2.04"


@pytest.fixture
def packages(tmp_path):
    """serve(data) → the URI of what libcoap's server has."""
    with contextlib.ExitStack() as stack:

        def serve(data):
            port = two_ports()
            command = [program("coap-server", "notls"), "-A", "127.0.0.1", "-p", str(port)]
            process = subprocess.Popen([*command, "-d", "1"], stdout=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
            (tmp_path / "package").write_bytes(data)
            uri = "coap://127.0.0.1:%d/package" % port
            coap_client("-m", "put", "-f", str(tmp_path / "package"), uri)
            return uri

        yield serve


@pytest.fixture
def endpoint(case):
    return "device-1" if case.number in CERTIFIED else "ets-%d" % case.number  # CN of the former


@pytest.fixture
def world(request, case, leshan, endpoint, device, tmp_path):
    yield World(request, case.number, leshan, endpoint, device, tmp_path / "update")
    for process in (leshan.bootstrap, leshan.server):
        process.call("secure", endpoint=endpoint)


@pytest.mark.parametrize(
    "case",
    [case for case in ets.CASES if case.steps],
    ids=lambda case: "%d-%s" % (case.number, case.title.replace(" ", "-")),
)
def test_case(world, case):
    for step in case.steps:
        step(world)


def test_what_is_not_done_says_why():
    for case in ets.CASES:
        assert case.steps or case.note
        assert not case.note or case.note.endswith(".")
    numbers = [case.number for case in ets.CASES]
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & set(ets.EMPTY)
