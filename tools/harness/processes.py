"""Starts programs/device.py, our client under MicroPython, or servers.py, our servers, and says what happens.

with Device("dev", bootstrap_uri=…, objects=[…]) as device:   # the configuration of device.py
    device.wait_event("REG_REGISTERED", short_id=1)
    device.object(0)                                          # {"0": {"0": "coap://…", …}}
    device.call("remove_server", 1)
    device.set("/3303/0/5700", 22.5)
device.events is what came, in order; to leave the block is to press Ctrl-C, and checks that it ends well.

with Servers() as servers:
    servers.accounts({"dev": …})                              # BootstrapServer's table
    servers.wait_event("REGISTERED", endpoint="dev")
    servers.call("read", "dev", "/3/0")["values"]
"""

import json
import signal
import socket
import subprocess
from pathlib import Path

from . import keys
from .awaited import PATIENCE_S, eventually
from .leshan import LeshanError
from .lines import Lines
from .micropython import command, environment, lib_dir
from .ports import free_ports

_PROGRAMS = Path(__file__).with_name("programs")


class Program:
    """A program under MicroPython, as driven.py has it."""

    def __init__(self, name, role, **config):
        self._program = _PROGRAMS / name
        self._role = role  # firmware/manifests' name for the packages that it has
        self._config = config
        self.events = []  # all of them, oldest first
        self._taken = 0  # how many of them wait_event has gone past

    def __enter__(self):
        self._control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._control.bind(("127.0.0.1", 0))
        self._control.setblocking(False)
        self._config["control"] = self._control.getsockname()[1]
        self._process = subprocess.Popen(
            command(self._program),
            env=environment(lib_dir("mpy", self._role)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._other_lines = []  # tracebacks
        self._lines = Lines(self._process.stdout, self._take)
        self._process.stdin.write(json.dumps(self._config).encode() + b"\n")
        self._process.stdin.close()
        try:
            self._address = eventually(self._hello, "the program's hello", self._lines.text)
        except BaseException:
            self._end(signal.SIGKILL)
            raise
        self._control.settimeout(PATIENCE_S)
        return self

    def _hello(self):
        try:
            return self._control.recvfrom(100)[1]
        except BlockingIOError:
            assert not self._lines.over, "the program did not start:\n" + self._lines.text()

    def __exit__(self, kind, error, trace):
        if kind is None:
            if self._process.returncode is None:
                self.end()
        else:
            self._end(signal.SIGINT)

    def end(self):
        """Press Ctrl-C, and see that the program ends well and has printed no key."""
        assert self._end(signal.SIGINT) == 0, self._lines.text()
        assert not self._other_lines, self._lines.text()
        assert not keys.printed(self._lines.text())

    def kill(self):
        """Let its power fail."""
        self._end(signal.SIGKILL)

    def restart(self):
        """Start it anew, which has ended."""
        self.__enter__()

    def _end(self, how):
        self._process.send_signal(how)  # nothing where it has ended already
        try:
            returned = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            returned = self._process.wait()
        self._lines.join()
        self._process.stdout.close()
        self._control.close()
        return returned

    def _take(self, line):
        if line.startswith("{"):
            self.events.append(json.loads(line))
        else:
            self._other_lines.append(line)

    def wait_event(self, event, timeout=PATIENCE_S, **details):
        """The next such event with these details, after the one that was waited for before."""
        wanted = dict(details, event=event)

        def find():
            for i in range(self._taken, len(self.events)):
                if wanted.items() <= self.events[i].items():
                    self._taken = i + 1
                    return self.events[i]
            return None

        return self._lines.wait(find, str(wanted), timeout)

    def names(self):
        """Event after event, without its details."""
        return [event["event"] for event in self.events]

    def command(self, **message):
        self._control.sendto(json.dumps(message).encode(), self._address)
        answer = json.loads(self._control.recv(65535))
        if "error" in answer:
            raise AssertionError("%s: %s\n%s" % (message, answer["error"], self._lines.text()))
        return answer["answer"]


class Device(Program):
    def __init__(self, endpoint, **config):
        super().__init__("device.py", "full", endpoint=endpoint, **config)
        self.endpoint = endpoint

    def call(self, method, *args):
        """Call a method of lwm2m.Client."""
        return self.command(call=method, args=args)

    def object(self, oid):
        """The instances of an object, as they are now."""
        return self.command(object=oid)

    def set(self, path, value):
        oid, iid, rid = (int(part) for part in path[1:].split("/"))
        self.command(object=oid, call="set", args=[iid, rid, value])

    def add_instance(self, oid, iid, values):
        self.command(object=oid, call="add", args=[iid, values])

    def remove_instance(self, oid, iid):
        self.command(object=oid, call="remove", args=[iid])


class Servers(Program):
    """With tables of clients they have DTLS: {endpoint: keys.Keys} of the Bootstrap Server and of the Server."""

    def __init__(self, bootstrap_clients=None, clients=None):
        ports = free_ports(2)
        self.bootstrap_port, self.port = ports
        config = {"bootstrap_port": ports[0], "port": ports[1]}
        uris = []
        for name, known in (("bootstrap_clients", bootstrap_clients), ("clients", clients)):
            uris.append("%s://127.0.0.1:%d" % ("coap" if known is None else "coaps", ports.pop(0)))
            if known is not None:
                config[name] = {
                    endpoint: {"security": known[endpoint].known} for endpoint in known
                }
                config["certificate"] = list(keys.SERVER.values())
                config["raw_public_key"] = list(keys.RAW_SERVER.values())
        super().__init__("servers.py", "full", **config)
        self.bootstrap_uri, self.uri = uris

    def know(self, bootstrap_clients, clients):
        """Other tables of clients, as the servers' own modules have them, before the start."""
        self._config.update(bootstrap_clients=bootstrap_clients, clients=clients)
        return self

    def trust(self, ca):
        """Another CA (DER) of the clients' certificates, before the start."""
        self._config["certificate"][2] = ca.hex()
        return self

    def clients(self, table):
        """Another table of the Server's clients, with other keys of the same ones."""
        self.command(clients=table)

    def accounts(self, table):
        self.command(accounts=table)

    def operations(self, *operations):
        """What is done in the next sessions: each a method of the session and its arguments."""
        self.command(operations=operations)

    def call(self, method, endpoint, path, *args, **options):
        """Call a method of lwm2m.Server; the answer of the client."""
        return self.command(call=method, endpoint=endpoint, path=path, args=args, options=options)


class Managed:
    """Our client, registered with Leshan's server."""

    def __init__(self, device, server):
        self.device = device
        self.server = server

    def __call__(self, command, path, **args):
        """Let the server do that; its driver's answer."""
        return self.server.call(command, endpoint=self.device.endpoint, path=path, **args)

    def wait_event(self, kind, **details):
        return self.server.wait_event(kind, endpoint=self.device.endpoint, **details)


class LeshanClient:
    """Leshan's client."""

    def __init__(self, leshan, endpoint):
        self._process = leshan.server
        self._endpoint = endpoint

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            self.call("stop_client", deregister=False)
        except LeshanError as failure:
            assert "no client was started" in str(failure)

    def start(self, **settings):
        self._process.call("start_client", endpoint=self._endpoint, **settings)

    def call(self, command, **args):
        return self._process.call(command, endpoint=self._endpoint, **args)

    def object(self, oid):
        return self.call("client_object", object=oid)

    def wait_event(self, kind, **details):
        return self._process.wait_event(kind, endpoint=self._endpoint, **details)
