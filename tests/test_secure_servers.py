"""Both servers' example programs over DTLS, with real clients: keys, certificates, identities."""

import base64
import contextlib
import hashlib
import json
import os
import selectors
import shutil
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from harness.awaited import PATIENCE_S, eventually
from builds.steps import ROOT
from harness.certs import certs
from harness.lines import Process
from harness.micropython import lib_dir, micropython
from harness.ports import free_port, free_ports
from harness.udp_relay import UdpRelay

SERVER = ROOT / "lib" / "lwm2m-server" / "examples" / "server.py"
BOOTSTRAP_SERVER = ROOT / "lib" / "lwm2m-bootstrap-server" / "examples" / "bootstrap_server.py"
SECOND = ROOT / "lib" / "lwm2m" / "examples" / "secure_client.py"
KEY = b"key of the device"
BS_KEY = b"key for bootstrap"


def psk(identity, key=KEY):
    """As a client has it in /0/x."""
    return {"2": 0, "3": f"x:{identity.encode().hex()}", "5": f"x:{key.hex()}"}


X509 = {"2": 2, "3": "c:CLIENT", "4": "c:SERVER", "5": "c:CLIENT_KEY"}  # of device-1


RPK = {"2": 1, "3": "c:CLIENT_PUBLIC", "4": "c:SERVER_PUBLIC", "5": "c:CLIENT_KEY"}


def known(identity, key=KEY):
    """As a server's table has it."""
    return {"security": {"mode": "psk", "identity": identity, "key": key.hex()}}


def b64(data):
    return base64.b64encode(data).decode()


class Setting:
    """Processes that end with the test, and their files."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []

    def json(self, name, value):
        path = self.folder / name
        path.write_text(json.dumps(value))
        return path

    def certificate(self):
        """Paths of the server's certificate, its key, and the clients' CA."""
        return self.files("SERVER", "SERVER_KEY", "CA")

    def raw_public_key(self):
        """Paths of the server's raw public key and its private key."""
        return self.files("SERVER_PUBLIC", "SERVER_KEY")

    def files(self, *names):
        paths = []
        for name in names:
            path = self.folder / name
            path.write_bytes(getattr(certs, name))
            paths.append(path)
        return paths

    def start(self, script, *args, role="station", heap="400K"):
        process = Process(script, *args, role=role, heap=heap)
        self.processes.append(process)
        return process

    def server(self, port, clients=None, certificate=()):
        path = self.json("clients.json", clients) if clients else "-"
        process = self.start(SERVER, port, "127.0.0.1", path, *certificate)
        process.says("Listening")
        return process

    def bootstrap_server(self, port, accounts, certificate=()):
        path = self.json("accounts.json", accounts)
        process = self.start(BOOTSTRAP_SERVER, path, port, "127.0.0.1", *certificate)
        process.says("Listening")
        return process

    def clients(self, *given):
        path = self.json(f"device{len(self.processes)}.json", given)
        process = self.start("device.py", path, role="client", heap="2M")
        process.file = path
        return process

    def client(self, endpoint, port, security, **more):
        uri = f"coaps://127.0.0.1:{port}"
        return self.clients(
            {"endpoint": endpoint, "server": {"uri": uri, "security": security}, **more}
        )

    def end(self):
        for process in self.processes:
            process.__exit__(None, None, None)
            print("\n".join(process.lines), end="\n\n")
        secret = [KEY, BS_KEY, KEY + b"x", certs.CLIENT_KEY, certs.SERVER_KEY]
        output = "\n".join(line for process in self.processes for line in process.lines)
        for key in secret:
            for form in (key.hex(), b64(key)[:-4], repr(key)[2:-1]):
                assert form.lower() not in output.lower()
        assert "Traceback" not in output, output


@pytest.fixture
def setting(tmp_path):
    setting = Setting(tmp_path)
    yield setting
    setting.end()


# --- From bootstrap to the first value


def test_psk(setting):
    bs_port, port = free_ports(2)
    account = {
        "short_id": 1,
        "uri": f"coaps://127.0.0.1:{port}",
        "lifetime": 60,
        "security": {"mode": "psk", "identity": "id-1", "key": KEY.hex()},
    }
    table = {"dev": {"servers": [account], **known("bs-1", BS_KEY)}}
    bootstrap = setting.bootstrap_server(bs_port, table)
    server = setting.server(port, {"dev": known("id-1")})
    uri = f"coaps://127.0.0.1:{bs_port}"
    client = setting.clients(
        {"endpoint": "dev", "bootstrap": {"uri": uri, "security": psk("bs-1", BS_KEY)}}
    )
    client.says("dev REG_REGISTERED")
    bootstrap.says("dev has its accounts (LwM2M 1.1)")
    server.says("dev has registered for 60 s")
    server.says("Read /3/0: 2.05")
    server.says("    Manufacturer: maker of dev")
    client.file.unlink()  # it ends
    server.says("dev has de-registered")


def test_certificates(setting):
    # The accounts with their certificates take more than a datagram.
    bs_port, port = free_ports(2)
    account = {
        "short_id": 1,
        "uri": f"coaps://127.0.0.1:{port}",
        "lifetime": 60,
        "security": {
            "mode": "certificate",
            "certificate": b64(certs.CLIENT),
            "server_certificate": certs.SERVER_SHA256,
            "matching": 1,
            "key": certs.CLIENT_KEY.hex(),
            "usage": 3,
            "ciphers": [0xC0AE],
        },
    }
    files = setting.certificate()
    bootstrap = setting.bootstrap_server(bs_port, {"*": {"servers": [account]}}, files)
    server = setting.server(port, certificate=files)
    uri = f"coaps://127.0.0.1:{bs_port}"
    client = setting.clients({"endpoint": "device-1", "bootstrap": {"uri": uri, "security": X509}})
    bootstrap.says("device-1 has its accounts (LwM2M 1.1)")
    server.says("device-1 has registered for 60 s")
    server.says("    Manufacturer: maker of device-1")
    client.says("device-1 REG_REGISTERED")


def raw(name):
    """As a server's table has it."""
    return {"security": {"mode": "rpk", "public_key": b64(getattr(certs, name))}}


def test_raw_public_keys(setting):
    # Bootstrap over one pair, management over another: the client's keys are not the same.
    bs_port, port = free_ports(2)
    account = {
        "short_id": 1,
        "uri": f"coaps://127.0.0.1:{port}",
        "lifetime": 60,
        "security": {
            "mode": "rpk",
            "public_key": certs.SELF_PUBLIC.hex(),
            "server_public_key": b64(certs.SERVER_PUBLIC),
            "key": certs.SELF_KEY.hex(),
        },
    }
    own = setting.raw_public_key()
    bootstrap = setting.bootstrap_server(
        bs_port, {"dev": {"servers": [account], **raw("CLIENT_PUBLIC")}}, own
    )
    server = setting.server(port, {"dev": raw("SELF_PUBLIC")}, own)
    uri = f"coaps://127.0.0.1:{bs_port}"
    client = setting.clients({"endpoint": "dev", "bootstrap": {"uri": uri, "security": RPK}})
    bootstrap.says("dev has its accounts (LwM2M 1.1)")
    server.says("dev has registered for 60 s")
    server.says("    Manufacturer: maker of dev")
    client.says("dev REG_REGISTERED")


def test_raw_public_keys_that_are_refused(setting):
    port = free_port()
    table = {"dev": raw("CLIENT_PUBLIC"), "other": known("id-other")}
    server = setting.server(port, table, setting.raw_public_key())
    # A key that nobody has in a table, and one that is another endpoint's.
    client = setting.client("dev", port, {**RPK, "3": "c:SELF_PUBLIC", "5": "c:SELF_KEY"})
    assert "the server does not accept the raw public key" in client.says("dev REG_FAILED")
    identity = hashlib.sha256(certs.SELF_PUBLIC).hexdigest()
    server.says(f"A client with identity b'{identity}' was refused: unknown raw public key")
    client = setting.client("other", port, RPK)
    assert client.says("other REG_FAILED").startswith("other REG_FAILED 4.03")
    identity = hashlib.sha256(certs.CLIENT_PUBLIC).hexdigest()
    server.says(f"A client with identity b'{identity}' was refused: endpoint other is not its own")
    setting.client("dev", port, RPK)
    server.says("dev has registered")


def test_keys_and_certificates_on_one_port(setting):
    port = free_port()
    table = {
        "a": known("id-a"),
        "b": {"security": {"mode": "certificate", "name": "device-1"}},
    }
    server = setting.server(port, table, setting.certificate())
    setting.client("a", port, psk("id-a"))
    setting.client("b", port, X509)
    server.says("a has registered")
    server.says("b has registered")
    server.says("    Manufacturer: maker of a")
    server.says("    Manufacturer: maker of b")


def test_eight_at_once(setting):
    # On one socket of each server, in a heap like a board's.
    bs_port, port = free_ports(2)
    names = [f"dev-{i}" for i in range(8)]
    table = {}
    for name in names:
        key = f"key {name}".encode().hex()
        security = {"mode": "psk", "identity": name, "key": key}
        account = {"short_id": 1, "uri": f"coaps://127.0.0.1:{port}", "security": security}
        table[name] = {"servers": [account], "security": {"mode": "psk", "key": key}}
    bootstrap = setting.bootstrap_server(bs_port, table)
    server = setting.server(port, {name: {"security": table[name]["security"]} for name in names})
    uri = f"coaps://127.0.0.1:{bs_port}"
    setting.clients(
        *(
            {
                "endpoint": name,
                "bootstrap": {"uri": uri, "security": psk(name, f"key {name}".encode())},
            }
            for name in names
        )
    )
    for name in names:
        bootstrap.says(f"{name} has its accounts")
        server.says(f"{name} has registered")
        server.says(f"    Manufacturer: maker of {name}")


# --- Who is refused


def test_another_endpoint(setting):
    bs_port, port = free_ports(2)
    accounts = {
        name: {"servers": [{"short_id": 1, "uri": "coap://127.0.0.1"}], **known(f"id-{name}")}
        for name in ("a", "b")
    }
    bootstrap = setting.bootstrap_server(bs_port, accounts)
    server = setting.server(port, {name: known(f"id-{name}") for name in ("a", "b")})
    client = setting.client("a", port, psk("id-b"))
    line = client.says("a REG_FAILED")
    assert line.startswith("a REG_FAILED 4.03")
    server.says("A client with identity b'id-b' was refused: endpoint a is not its own")
    uri = f"coaps://127.0.0.1:{bs_port}"
    client = setting.clients({"endpoint": "b", "bootstrap": {"uri": uri, "security": psk("id-a")}})
    assert client.says("b BS_FAILED").startswith("b BS_FAILED 4.00")
    bootstrap.says("A client with identity b'id-a' was refused: endpoint b is not its own")
    assert not [line for line in bootstrap.lines + server.lines if "asks" in line or "has" in line]


@pytest.mark.parametrize(
    ("endpoint", "security", "there", "here"),
    [
        (
            "device-1",
            psk("nobody"),
            "A client with identity b'nobody' was refused: unknown identity",
            "the server does not know the identity",
        ),
        (
            "device-1",
            psk("device-1", KEY + b"x"),
            "A client with identity b'device-1' was refused: wrong key",
            "the server takes the key for wrong",
        ),
        (
            "device-2",  # its certificate says device-1
            X509,
            "A client with identity b'device-1' was refused: endpoint device-2 is not its own",
            "",
        ),
        (
            "device-1",
            {**X509, "3": "c:SELF", "5": "c:SELF_KEY"},  # of another CA
            "A client with identity b'server.example.org' was refused: the client's certificate is",
            "the server does not accept the certificate",
        ),
    ],
    ids=["unknown-identity", "wrong-key", "other-name", "other-ca"],
)
def test_refused(setting, endpoint, security, there, here):
    port = free_port()
    server = setting.server(port, {"device-1": known("device-1")}, setting.certificate())
    client = setting.client(endpoint, port, security)
    server.says(there)
    line = client.says(f"{endpoint} REG_FAILED")
    assert here in line
    assert not [line for line in server.lines if "registered" in line]
    # Nobody is in the way of the one who may.
    setting.client("device-1", port, psk("device-1"))
    server.says("device-1 has registered")


# --- Who is in the way


class Attack:
    """20 ports of one address that return the cookie, begin 19 handshakes a second and go no further.

    ClientHello as RFC 6347 4.2.1 has it, with one suite, TLS_PSK_WITH_AES_128_CCM_8.
    """

    PORTS = 20
    RATE = 19

    def __init__(self, port, host):
        self.begun = 0  # handshakes that the server has taken: its ServerHello has come
        self._server = ("127.0.0.1", port)
        self._selector = selectors.DefaultSelector()
        for _ in range(self.PORTS):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((host, 0))
            s.setblocking(False)
            self._selector.register(s, selectors.EVENT_READ)
        self._sockets = [key.fileobj for key in self._selector.get_map().values()]
        self._randoms = {}
        self.sent = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self._over.set()
        self._thread.join()
        for s in self._sockets:
            s.close()

    def _hello(self, s, cookie, sequence):
        body = b"\xfe\xfd" + self._randoms[s] + b"\0" + bytes([len(cookie)]) + cookie
        body += b"\x00\x04\xc0\xa8\x00\xff\x01\x00"
        size = len(body).to_bytes(3, "big")
        message = b"\x01" + size + sequence.to_bytes(2, "big") + bytes(3) + size + body
        head = b"\x16\xfe\xfd" + sequence.to_bytes(8, "big") + len(message).to_bytes(2, "big")
        s.sendto(head + message, self._server)

    def _run(self):
        due = time.monotonic()
        while not self._over.is_set():
            for key, _ in self._selector.select(max(due - time.monotonic(), 0)):
                with contextlib.suppress(OSError):
                    data = key.fileobj.recv(2000)
                    if data[13] == 3:  # HelloVerifyRequest
                        self._hello(key.fileobj, data[28 : 28 + data[27]], 1)
                    elif data[13] == 2:
                        self.begun += 1
            if time.monotonic() >= due:
                due += 1 / self.RATE
                s = self._sockets[self.sent % self.PORTS]
                self._randoms[s] = os.urandom(32)
                self._hello(s, b"", 0)
                self.sent += 1


@pytest.mark.parametrize("host", ["127.0.0.9", "127.0.0.1"], ids=["another-host", "same-host"])
def test_handshakes_that_go_nowhere_keep_nobody_out(setting, host):
    # All that come get in within 10 s of the attack, which its own steps tell.
    port = free_port()
    names = [f"dev-{i}" for i in range(3)]
    server = setting.server(port, {name: known(name) for name in names})
    with Attack(port, host) as attack:
        eventually(lambda: attack.begun >= Attack.PORTS, "an attack under way")
        for name in names:
            start = attack.sent
            setting.client(name, port, psk(name))
            server.says(f"{name} has registered")
            assert attack.sent - start <= 10 * Attack.RATE
        begun = attack.begun
        eventually(lambda: attack.begun > begun, "an attack that goes on")
    assert not [line for line in server.lines if "has not been heard of" in line]


# --- Who comes back


class OneAddress(UdpRelay):
    """All clients have the same address for the server; what it sends goes to the last one."""

    last = None

    def _pass_on(self, source, client):
        if source is self._local:
            self.last = source.recvfrom(1, socket.MSG_PEEK)[1]
            for one in self._upstream.values():
                self._upstream[self.last] = one
                break
        super()._pass_on(source, self.last)


@pytest.mark.parametrize("kind", [UdpRelay, OneAddress], ids=["new-address", "same-address"])
def test_client_reboots(setting, kind):
    # Without a word, so that the server has its old session yet.
    port = free_port()
    server = setting.server(port, {"dev": known("id-1")})
    with kind(port) as relay:
        for turn in range(3):
            client = setting.client("dev", relay.port, psk("id-1"))
            client.says("dev REG_REGISTERED")
            for text in ("dev has registered", "    Manufacturer: maker of dev"):
                server.says(text, times=turn + 1)
            client.process.kill()
        addresses = len(set(map(id, relay._upstream.values())))
    assert addresses == (3 if kind is UdpRelay else 1)


def test_server_restarts(setting):
    # It has forgotten the registration and the session: the client's Update gets no answer.
    port = free_port()
    server = setting.server(port, {"dev": known("id-1")})
    # No answer within 1.4 to 2.1 s is none (RFC 7252 4.8.2).
    client = setting.client("dev", port, psk("id-1"), lifetime=4, coap=[200, 150, 2])
    client.says("dev REG_REGISTERED")
    server.says("dev has updated its registration")
    server.process.kill()
    server.process.wait()
    server = setting.server(port, {"dev": known("id-1")})
    server.says("dev has registered")
    server.says("    Manufacturer: maker of dev")


def test_bootstrap_again(setting):
    # The client begins again, over a new session, while its old one is there.
    port = free_port()
    account = {"short_id": 1, "uri": "coap://127.0.0.1:1"}
    server = setting.bootstrap_server(port, {"dev": {"servers": [account], **known("id-1")}})
    uri = f"coaps://127.0.0.1:{port}"
    for turn in range(2):
        client = setting.clients(
            {"endpoint": "dev", "bootstrap": {"uri": uri, "security": psk("id-1")}}
        )
        client.says("dev BS_FINISHED")
        server.says("dev has its accounts", times=turn + 1)
        client.process.kill()


def test_accounts_outlast_the_process(setting, tmp_path):
    # Killed right after it has registered, it registers again by itself. When the server wants
    # another key, it asks the bootstrap server for it, and nothing is left of the old one.
    bs_port, port = free_ports(2)
    folder = tmp_path / "flash"
    folder.mkdir()
    stored = {"endpoint": "dev", "store": str(folder)}
    uri = f"coaps://127.0.0.1:{bs_port}"
    factory = {"uri": uri, "security": psk("bs-1", BS_KEY)}

    def servers(key):
        account = {
            "short_id": 1,
            "uri": f"coaps://127.0.0.1:{port}",
            "security": {"mode": "psk", "identity": "id-1", "key": key.hex()},
        }
        table = {"dev": {"servers": [account], **known("bs-1", BS_KEY)}}
        return setting.bootstrap_server(bs_port, table), setting.server(
            port, {"dev": known("id-1", key)}
        )

    def stop(*processes):
        for process in processes:
            process.process.kill()
            process.process.wait()

    def files():
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    bootstrap, server = servers(KEY)
    client = setting.clients({**stored, "bootstrap": factory})
    client.says("dev REG_REGISTERED")
    stop(client)
    assert KEY in files()["0/accounts"] and KEY in files()["1/accounts"]
    client = setting.clients(stored)
    client.says("dev REG_REGISTERED")
    assert not any("BS_" in line for line in client.lines)
    stop(client, server, bootstrap)
    bootstrap, server = servers(KEY + b"x")
    client = setting.clients(stored)
    client.says("dev REG_FAILED")
    client.says("dev BS_FINISHED")
    client.says("dev REG_REGISTERED")
    stop(client)
    left = files()
    assert sorted(left) == ["0/accounts", "1/accounts"]
    for data in left.values():
        assert data.count(KEY) == data.count(KEY + b"x") == 1
        assert data.count(BS_KEY) == 1


SESSIONS = """
import time
import lwm2m.server as server
from lwm2m.core import Account
from lwm2m.credentials import Credentials
from lwm2m.net import Net, now
from servers import request
from ucoap import DELETE, POST, Message

def wait():
    net.step(one, 0)
    time.sleep_ms(2)

class Session:
    # A DTLS session of that identity, which sends single datagrams.

    def __init__(self, identity):
        security = {0: "coaps://127.0.0.1:PORT", 2: 0, 3: identity, 5: b"key of " + identity}
        self.account = Account(security, 1)
        self.up = False
        self.got = self.down = None
        net.open(self, self.account, now())
        while not self.up:
            wait()

    def keys(self, account):
        security = account.security
        return security[2], security[3], b"", security[5]

    def connected(self, account, now):
        self.up = True

    def disconnected(self, account, code, text, now):
        self.down = text

    def receive(self, account, data, now):
        m = Message()
        m.parse(data)
        if m.code >= 64:
            self.got = m

    def ask(self, code, path, query=""):
        self.got = None
        net.send(self.account, request(code, path, query, b"</3/0>" if path == "rd" else b"", mid=mids.pop()))
        while not self.got:
            wait()
        return "%d.%02d" % (self.got.code >> 5, self.got.code & 31)

def on_client(event, client):
    print(("", "registered", "updated", "gone", "expired")[event], client.endpoint)

mids = list(range(100))
keys = Credentials()
for identity in (b"dev", b"other"):
    keys.create(identity, (0, identity, b"", b"key of " + identity))
net = Net()
one = server.Server(PORT, "127.0.0.1", on_client, net=net, credentials=keys)
first, other = Session(b"dev"), Session(b"other")
print("register", first.ask(POST, "rd", "lwm2m=1.1"))
location = "rd/" + one.clients["dev"].location
print("other's update", other.ask(POST, location))
print("other's de-register", other.ask(DELETE, location))
print("other's register", other.ask(POST, "rd", "lwm2m=1.1&ep=dev"))
client = one.clients["dev"]
one.read(client, "/3/0/0", lambda client, code, format, payload: print("read", code))
second = Session(b"dev")
old = client.peer
print("update", second.ask(POST, location))
print(client.peer is not old, old.tls is None, len(one._socket._live))
net.step(one, 0)
print("de-register", second.ask(DELETE, location))
while not first.down:
    wait()
print("first:", first.down)
print("others:", other.down, second.down)
"""


def test_update_over_a_new_session(setting):
    port = free_port()
    done = micropython("-c", SESSIONS.replace("PORT", str(port)), flavour="mpy", heap="2M")
    assert done.stdout.splitlines() == [
        "registered dev",
        "register 2.01",
        "other's update 4.03",
        "other's de-register 4.03",
        "other's register 4.03",
        "read 163",
        "updated dev",
        "update 2.04",
        "True True 2",
        "gone dev",
        "de-register 2.02",
        # The one that nobody needs any more is told so.
        "first: the peer has closed the session",
        "others: None None",
    ], done.stdout + done.stderr


# --- Without keys


WITHOUT = """
import sys
import lwm2m.bootstrap_server as bs
import lwm2m.server as server

class Keys:
    def read(self, peer):
        return 0x84, None

one = server.Server(PORT, "127.0.0.1")
two = bs.BootstrapServer(
    PORT2, "127.0.0.1", accounts={"*": {"servers": [{"short_id": 1, "uri": "coap://h"}]}}, net=one.net
)
one.step(0)
print(sorted(name for name in sys.modules if "dtls" in name or "tls" in name or "cred" in name))
for make in (
    lambda: server.Server(PORT3, "127.0.0.1", credentials=Keys()),
    lambda: server.Server(PORT3, "127.0.0.1", certificate=(b"0", b"0", b"0")),
):
    try:
        make()
    except Exception as e:
        print(type(e).__name__, e)
"""


def test_without_dtls(tmp_path):
    # Servers without keys leave DTLS alone, and do without its packages.
    ports = free_ports(3)
    program = WITHOUT
    for name, port in zip(("PORT3", "PORT2", "PORT"), ports):
        program = program.replace(name, str(port))
    done = micropython("-c", program, flavour="mpy", role="station")
    assert done.stdout.splitlines()[0] == "[]", done.stdout + done.stderr
    bare = tmp_path / "lib"
    shutil.copytree(lib_dir("mpy", "station"), bare)
    for name in ("dtls", "dtls_server", "x509", "sha512", "credentials"):
        (bare / "lwm2m" / f"{name}.mpy").unlink()
    done = micropython("-c", program, lib=bare)
    text = "ValueError coaps needs package lwm2m-dtls-server"
    assert done.stdout.splitlines() == ["[]", text, text], done.stdout + done.stderr


@pytest.mark.parametrize("what", ["no such file", "not DER", "two files"])
def test_examples_say_what_is_wrong(setting, what):
    files = setting.certificate()
    if what == "no such file":
        files[1] = setting.folder / "none"
        text = f"cannot read {files[1]}"
    elif what == "not DER":
        files[0].write_bytes(b"0x")
        text = "the server's certificate or its key cannot be read: give it as DER"
    else:
        files.pop()
        text = "the server's raw public key: the Public Key is no SubjectPublicKeyInfo of P-256"
    server = setting.start(SERVER, free_port(), "127.0.0.1", "-", *files)
    accounts = setting.json("a.json", {"*": {"servers": [{"short_id": 1, "uri": "coap://h"}]}})
    bootstrap = setting.start(BOOTSTRAP_SERVER, accounts, free_port(), "127.0.0.1", *files)
    for process in (server, bootstrap):
        process.says(text)
        assert process.process.wait(PATIENCE_S) == 1


# --- The reference's second program


def is_asleep(pid):
    """Whether a process waits, as a client does for datagrams and times (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_second_program(setting):
    # Its identity is not its endpoint name, and nobody listens to its events.
    bs_port, port = free_ports(2)
    server = setting.server(port, {"IOWA_Client": known("id-1")})
    with UdpRelay(port) as relay:
        account = {
            "short_id": 1,
            "uri": f"coaps://127.0.0.1:{relay.port}",
            "lifetime": 60,
            "security": {"mode": "psk", "identity": "id-1", "key": KEY.hex()},
        }
        table = {"IOWA_Client": {"servers": [account], **known("IOWA_CLIENT", b"0123456789")}}
        bootstrap = setting.bootstrap_server(bs_port, table)
        client = setting.start(SECOND, f"coaps://127.0.0.1:{bs_port}", role="full")
        bootstrap.says("IOWA_Client has its accounts")
        server.says("IOWA_Client has registered for 60 s")
        server.says("Read /3/0: 2.05")
        server.says("Write Europe/Berlin to /3/0/15: 2.04")
        server.says("Observing /3303/0/5700 has ended: 4.04")
        # Nothing comes any more; an interrupt while tls sends would spoil the session.
        eventually(lambda: is_asleep(client.process.pid), "the client's sleep")
        client.process.send_signal(signal.SIGINT)
        server.says("IOWA_Client has de-registered")
        assert client.process.wait(PATIENCE_S) == 0 and client.lines == []
