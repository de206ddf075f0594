"""firmware/main.py as a whole: a process under the unix port that is started again after each reset,
with our servers on loopback.

The file that provisions it is the factory tool's. Hardware is what tests/unit/firmware_process.py says.
"""

import contextlib
import hashlib
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import time
import tty

import pytest
from harness.awaited import PATIENCE_S, eventually
from builds.steps import ROOT
from harness.certs import certs
from harness.lines import Lines
from harness.micropython import UNIT, command, environment, image_lib, lib_dir
from harness.ports import free_port
from lwm2m_factory import image
from managed import Servers

MINUTE_MS = 100  # of the guard: safe mode begins with 1.5 s
ENDPOINT = "urn:dev:ops:32473-1"
BS_IDENTITY = b"not for the record"
SECRET = "correct horse"

# States of the LED.
OFF, UNPROVISIONED, CONNECTING, BOOTSTRAPPING, REGISTERED, ERROR, SAFE = range(7)


class Board:
    """A board's folder, and the process that runs on it."""

    def __init__(self, folder, ours=False, lib=None):
        self.folder = folder
        self.lib = lib or lib_dir("mpy")
        folder.mkdir()
        if ours:
            (folder / "area").mkdir()
        self.process = self.said = None

    def _command(self, *args):
        return {
            "args": command(UNIT / "firmware_process.py", self.folder, *args),
            "env": environment(self.lib, UNIT),
        }

    def start(self, minute_ms=MINUTE_MS, stdin=subprocess.DEVNULL):
        self.stop()
        self.process = subprocess.Popen(
            **self._command(str(minute_ms), "run"),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.said = Lines(self.process.stdout)
        return self

    def ended(self):
        """The exit status: -SIGKILL after a reset."""
        status = self.process.wait(PATIENCE_S)
        self.said.join()
        return status

    def stop(self):
        if self.process:
            self.process.kill()
            self.ended()
            self.process.stdout.close()
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def lose_power(self):
        self.stop()
        for name in ("word", "rtc", "asleep"):
            (self.folder / name).unlink(missing_ok=True)

    def factory(self, name, *args):
        """What a function of device.factory prints."""
        command = self._command("60000", name, *args)
        done = subprocess.run(**command, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
        answer = json.loads(done.stdout)
        assert SECRET not in done.stdout
        return answer

    def provision(self, uri, **settings):
        """Give it a bootstrap server account."""
        security = {0: uri, 1: True, 2: 3, 3: b"", 4: b"", 5: b"", 11: 0}
        self.install({0: {0: security}}, settings)

    def install(self, state, settings, endpoint=ENDPOINT):
        answer = self.try_install(state, settings, endpoint)
        assert answer["ok"], answer

    def try_install(self, state, settings, endpoint=ENDPOINT):
        settings = {"network": {"type": "none"}, **settings}
        data = image.pack(endpoint, state, settings)
        (self.folder / "lwm2m-store").mkdir(exist_ok=True)
        path = self.folder / "lwm2m-store" / "new"
        path.write_bytes(data)
        return self.factory("install", str(path), hashlib.sha256(data).hexdigest())

    def app(self, text):
        (self.folder / "app.py").write_text(text)

    def failed_starts(self):
        return self.factory("status")["guard"]["failed_starts"]


@pytest.fixture
def servers():
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture
def board(tmp_path):
    with Board(tmp_path / "board") as board:
        yield board


@pytest.fixture
def locked(tmp_path, servers):
    with Board(tmp_path / "board", ours=True) as board:
        board.provision(servers.uri)
        assert board.factory("lock") == {"endpoint": ENDPOINT, "locked": True, "ok": True}
        yield board


def test_nothing_provisioned(board):
    board.start()
    board.said.wait_for(f"LED {UNPROVISIONED}")
    board.said.wait_for("the factory has given this board nothing yet")
    assert board.ended() == 0  # at the REPL
    assert board.said.lines[-1] == "REPL"
    assert not (board.folder / "fed").exists()  # no watchdog
    for _ in range(4):  # and no safe mode, as it is no failure
        assert board.start().ended() == 0
    assert "Safe mode" not in "".join(board.said.lines)


def test_damaged_factory_copy(board, servers):
    board.provision(servers.uri)
    path = board.folder / "lwm2m-store/factory/accounts"
    path.write_bytes(path.read_bytes()[:-1])
    board.start()
    board.said.wait_for("the factory copy is damaged")
    assert board.ended() == 0


APP = """\
from lwm2m.model import INT, R, Object
def setup(client, settings):
    client.add_object(Object(3200, (5501, R | INT), {0: {5501: settings["answer"]}}))
def selftest():
    return None
"""


def test_is_bootstrapped_and_managed(board, servers):
    board.provision(servers.uri, led=25, app={"answer": 42})
    board.app(APP)
    assert board.factory("selftest")["tested"] == ["factory copy", "accounts", "application"]
    board.start()
    for state in (CONNECTING, BOOTSTRAPPING, CONNECTING, REGISTERED):
        board.said.wait_for(f"LED {state}")
    servers.said.wait_for("bootstrapped " + ENDPOINT)
    servers.said.wait_for("registered " + ENDPOINT)
    assert servers.tell("read", "/3/0/2") == "2.05 b'e66038b713952135'"
    assert servers.tell("read", "/3/0/3") == "2.05 b'0.1.0'"
    assert servers.tell("read", "/3200/0/5501") == "2.05 b'42'"
    assert servers.tell("read", "/3/0/16") == "2.05 b'U'"
    assert (board.folder / "fed").exists()
    # A server reboots it: no failure, and its accounts are still there.
    assert servers.tell("execute", "/3/0/4").startswith("2.04")
    assert board.ended() == -signal.SIGKILL, board.said.text()
    assert board.said.lines[-1] == "RESET"
    seen = len(servers.said.lines)
    board.start()
    servers.said.wait_for("registered " + ENDPOINT)
    assert not any("bootstrapped" in line for line in servers.said.lines[seen:])
    status = board.factory("status")
    found = {"reset": "asked", "failed_starts": 1, "crash": None, "network_fault": None}
    assert status["guard"] == found
    assert [account["short_id"] for account in status["accounts"]] == [None, 1]
    # Factory reset: bootstrap again.
    assert servers.tell("execute", "/3/0/5").startswith("2.04")
    servers.said.wait_for("bootstrapped " + ENDPOINT)
    servers.said.wait_for("registered " + ENDPOINT)


def test_example(board, servers):
    board.provision(servers.uri)
    board.app((ROOT / "firmware" / "app.py").read_text())
    assert "application" in board.factory("selftest")["tested"]
    board.start()
    servers.said.wait_for("registered")
    # Here is no sensor, so there is none to be read.
    assert servers.tell("read", "/3303").startswith("4.04")


def test_start_is_good(board, servers):
    board.provision(servers.uri)
    board.start()
    servers.said.wait_for("registered")
    assert board.said.wait_for(f"LED {REGISTERED}")
    eventually(lambda: not board.failed_starts(), "a start that is good")


CRASH = """\
import lwm2m
registered = False
def setup(client, settings):
    pass
def on_event(event):
    global registered
    registered = registered or event.type == lwm2m.EVENT_REG_REGISTERED
def turn(client):
    if registered:
        raise ValueError("what is wrong")
"""


def test_what_a_server_learns_of_a_crash(board, servers):
    board.provision(servers.uri)
    board.app(CRASH)
    board.start(60000)
    servers.said.wait_for("registered " + ENDPOINT)
    board.said.wait_for("ValueError")
    assert board.ended() == -signal.SIGKILL, board.said.text()
    (board.folder / "app.py").unlink()
    board.start(60000)
    servers.said.wait_for("registered " + ENDPOINT)
    crash = servers.tell("read", "/26300/0/0")
    assert crash.startswith("2.05 b'ValueError\\n") and "in turn" in crash
    assert "what is wrong" not in crash  # a message may have anything in it
    assert servers.tell("read", "/26300/0/1") == "2.05 b'crash'"
    assert servers.tell("read", "/26300/0/9") == "2.05 b'1'"
    assert servers.tell("read", "/26300/0/10") == "2.05 b''"  # no failure yet


GREEDY = """\
kept = []
def setup(client, settings):
    pass
def turn(client):
    while True:
        kept.append(bytes(64))
"""


def test_crash_without_memory(board, servers):
    # The application still has all of it: what it raised can hardly be told, but the board starts again.
    board.provision(servers.uri)
    board.app(GREEDY)
    board.start(60000)
    board.said.wait_for("LwM2M: crashed")
    assert board.ended() == -signal.SIGKILL, board.said.text()


NETWORK = """\
STA_IF = 0
class WLAN:
    def __init__(self, kind):
        self.calls = 0
    def active(self, on):
        pass
    def connect(self, ssid, password):
        self.calls += 1
        if self.calls < 3:
            raise OSError(19) if self.calls == 1 else OSError("Wifi Internal State Error")
    def disconnect(self):
        pass
    def isconnected(self):
        return True
    def ifconfig(self):
        return "192.0.2.7", "255.255.255.0", "192.0.2.1", "192.0.2.1"
    def status(self, what):
        return -61
_wlan = WLAN(0)
WLAN = lambda kind: _wlan
"""


def test_what_a_server_learns_of_the_network(board, servers):
    network = {"type": "wifi", "ssid": "lab", "password": SECRET}
    board.provision(servers.uri, network=network)
    (board.folder / "network.py").write_text(NETWORK)
    board.start()
    board.said.wait_for("Network: OSError 19")
    board.said.wait_for("Network: OSError: Wifi Internal State Error")
    servers.said.wait_for("registered " + ENDPOINT)
    assert servers.tell("read", "/4/0/0") == "2.05 b'21'"
    assert servers.tell("read", "/4/0/2") == "2.05 b'-61'"
    assert "192.0.2.7" in servers.tell("read", "/4/0/4")
    log = servers.tell("read", "/26300/0/10")
    assert "Network: OSError 19" in log and "Wifi Internal State Error" in log
    # Whoever brings it to a bench is told, whatever power cut has come meanwhile.
    board.lose_power()
    status = board.factory("status")
    assert status["guard"]["network_fault"] == "OSError: Wifi Internal State Error"
    # What is given next is of another network.
    board.provision(servers.uri, network=network)
    assert board.factory("status")["guard"]["network_fault"] is None


def test_crashes(board, servers):
    board.provision(servers.uri)
    board.app(CRASH)
    for n in range(3):
        # A minute so long that no start is good.
        board.start(60000)
        servers.said.wait_for("registered")
        board.said.wait_for("ValueError: what is wrong")
        assert board.ended() == -signal.SIGKILL
        assert board.failed_starts() == n + 1
    status = board.factory("status")
    assert status["guard"]["crash"][0] == "ValueError"
    assert status["guard"]["message"] == "what is wrong"
    assert "in turn" in status["guard"]["crash"][1] and "app.py" in status["guard"]["crash"][1]
    # Safe mode: nothing of the application, no network, and another try when its time has passed.
    seen = len(servers.said.lines)
    began = time.monotonic()
    board.start()
    board.said.wait_for(f"LED {SAFE}")
    board.said.wait_for("Safe mode for 1 s")
    board.said.wait_for("RESET")
    assert time.monotonic() - began >= 15 * MINUTE_MS / 1000
    assert board.ended() == -signal.SIGKILL
    assert f"LED {CONNECTING}" not in board.said.lines
    assert len(servers.said.lines) == seen
    # The try: it crashes again, and safe mode lasts twice as long.
    board.start(60000)
    servers.said.wait_for("registered")
    board.said.wait_for("ValueError")
    assert board.ended() == -signal.SIGKILL
    began = time.monotonic()
    board.start()
    board.said.wait_for("Safe mode for 3 s")
    board.said.wait_for("RESET")
    assert time.monotonic() - began >= 30 * MINUTE_MS / 1000
    # When the application is mended, the next try succeeds; a server sees why it was away.
    assert board.ended() == -signal.SIGKILL
    (board.folder / "app.py").unlink()
    board.start(60000)
    board.said.wait_for(f"LED {REGISTERED}")
    assert error_code(servers) == 18
    # A power cut forgets all but the record.
    board.lose_power()
    board.start(60000)
    board.said.wait_for(f"LED {REGISTERED}")
    assert error_code(servers) == 0
    guard = board.factory("status")["guard"]
    assert guard["reset"] == "power" and guard["failed_starts"] == 1
    assert guard["crash"][0] == "ValueError"


def test_a_locked_board_keeps_no_message(locked, servers):
    locked.app(CRASH.replace("what is wrong", SECRET))
    locked.start(60000)
    servers.said.wait_for("registered")
    locked.said.wait_for("ValueError")
    assert locked.ended() == -signal.SIGKILL
    assert SECRET not in "".join(locked.said.lines)
    assert SECRET not in (locked.folder / "lwm2m-store/crash").read_text()
    assert locked.factory("status")["guard"]["crash"][0] == "ValueError"


def test_what_the_console_tells(board, servers):
    network = {"type": "wifi", "ssid": "lab", "password": SECRET}
    board.provision(servers.uri, network=network)
    (board.folder / "network.py").write_text(NETWORK)
    board.start()
    for line in (
        "Network: OSError 19",
        "Network: up, 192.0.2.7",
        "bootstrap server: bootstrapping",
        "bootstrap server: bootstrapped",
        "server 1: registering",
        "server 1: registered, lifetime 86400 s",
    ):
        board.said.wait_for(line)
    assert servers.tell("read", "/3/0/2").startswith("2.05")
    assert not any("read" in line or SECRET in line for line in board.said.lines)
    board.stop()
    # Each request, too, and why a registration fails.
    board.provision(servers.uri, console=3)
    board.start()
    board.said.wait_for("server 1: registered")
    assert servers.tell("read", "/3/0/2").startswith("2.05")
    board.said.wait_for("server 1: read /3/0/2")
    board.stop()
    # Nothing.
    board.provision(servers.uri, console=0)
    board.start()
    board.said.wait_for(f"LED {REGISTERED}")
    assert not any("server" in line or "Network" in line for line in board.said.lines)


def error_code(servers):
    """/3/0/11, which has one instance."""
    code, payload = servers.tell("read", "/3/0/11/0").split(" ", 1)
    assert code == "2.05"
    return int(payload[2:-1])


def test_error_codes(board, servers):
    board.provision(servers.uri)
    for error, code in (("OSError(5)", 16), ("MemoryError()", 5)):
        board.app(f"raise {error}")
        board.start(60000)
        assert board.ended() == -signal.SIGKILL
        (board.folder / "app.py").unlink()
        board.start(60000)
        board.said.wait_for(f"LED {REGISTERED}")
        assert error_code(servers) == code
        assert servers.tell("execute", "/3/0/12").startswith("2.04")  # Reset Error Code
        assert error_code(servers) == 0
        board.lose_power()


def test_break_in(board, servers):
    board.provision(servers.uri)
    board.app(CRASH)
    for _ in range(3):
        board.start(60000)
        assert board.ended() == -signal.SIGKILL
    board.start(60000)
    board.said.wait_for("Safe mode")
    board.process.send_signal(signal.SIGINT)  # what Ctrl-C is
    board.said.wait_for("Stopped.")
    assert board.ended() == 0, board.said.lines
    assert board.said.lines[-1] == "REPL"
    assert board.failed_starts() == 0
    # And out of the loop.
    (board.folder / "app.py").unlink()
    board.start(60000)
    board.said.wait_for(f"LED {REGISTERED}")
    board.process.send_signal(signal.SIGINT)
    assert board.ended() == 0, board.said.lines
    assert board.failed_starts() == 0
    assert board.factory("status")["guard"]["crash"][0] == "ValueError"  # of before


def test_button(board, servers):
    board.provision(servers.uri, button=14)
    board.start()
    servers.said.wait_for("registered")
    board.stop()
    # Pressed for a moment.
    (board.folder / "pressed").touch()
    board.start(60000)
    board.said.wait_for(f"LED {REGISTERED}")
    (board.folder / "pressed").unlink()
    board.said.wait_for(f"LED {OFF}")
    board.said.wait_for(f"LED {REGISTERED}")
    assert len(board.factory("status")["accounts"]) == 2
    board.lose_power()
    # Held when it is safe mode's turn: the accounts of the factory, and the application is tried again.
    board.app("raise OSError(5)")
    for _ in range(3):
        board.start(60000)
        board.said.wait_for("OSError 5")
        assert board.ended() == -signal.SIGKILL
    (board.folder / "app.py").unlink()
    (board.folder / "pressed").touch()
    seen = len(servers.said.lines)
    began = time.monotonic()
    board.start(60000)
    board.said.wait_for("The factory's accounts are back.")
    assert time.monotonic() - began >= 10
    servers.said.wait_for("bootstrapped")
    assert any("bootstrapped" in line for line in servers.said.lines[seen:])
    assert not any("Safe mode" in line for line in board.said.lines)


def test_keys_where_the_application_says(board, servers):
    # What a bootstrap brings goes through the application's own place for keys.
    board.provision(servers.uri)
    board.app(
        "def credentials():\n"
        "    print('CREDENTIALS')\n"
        "    from lwm2m.credentials import Credentials\n"
        "    return Credentials()\n"
        "def setup(client, settings):\n"
        "    print('KEYS', bool(client.core.context.keys))\n"
    )
    board.start()
    board.said.wait_for("CREDENTIALS")
    board.said.wait_for("KEYS True")
    servers.said.wait_for("registered " + ENDPOINT)


STATION = """\
from lwm2m.bootstrap_server import BootstrapServer
def setup(client, settings):
    BootstrapServer(settings["port"], "127.0.0.1", net=client.net, accounts={})
def on_event(event):
    print("EVENT", event.type)
"""
REG_FAILED = 5


def test_every_server_fails(board):
    # The client starts afresh after waits that grow, and what the application runs beside it goes on.
    port = free_port()
    security = {0: "coap://256.256.256.256", 1: False, 2: 3, 3: b"", 4: b"", 5: b"", 10: 1}
    once = {0: 1, 1: 300, 6: True, 7: "U", 17: 1, 20: 1}  # one attempt
    board.install({0: {0: security}, 1: {0: once}}, {"app": {"port": port}})
    board.app(STATION)
    began = time.monotonic()
    board.start(60000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.connect(("127.0.0.1", port))
        peer.settimeout(PATIENCE_S)
        for n in range(4):
            board.said.wait_for(f"EVENT {REG_FAILED}")
            peer.send(bytes((0x41, 0x02, 0, n, n)) + b"\xb2bs")  # POST /bs, without a name
            assert peer.recv(100)[1:5] == bytes((0x80, 0, n, n))  # 4.00
    assert time.monotonic() - began >= 1 + 2 + 3  # and a quarter more or less
    assert board.process.poll() is None and board.failed_starts() == 1


def test_application_that_cannot_be_imported(board, servers):
    board.provision(servers.uri)
    board.app("import nothing_of_that_name")
    board.start()
    assert board.said.wait_for("ImportError: no module named 'nothing_of_that_name'")
    assert board.ended() == -signal.SIGKILL


# --- The clock


@pytest.fixture
def certified(board):
    """(board, socket of its server, socket of its NTP server): its account has certificates."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(
        socket.AF_INET, socket.SOCK_DGRAM
    ) as ntp:
        for sock in (server, ntp):
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(PATIENCE_S)
        (board.folder / "ntp_port").write_text(str(ntp.getsockname()[1]))
        uri = "coaps://127.0.0.1:%d" % server.getsockname()[1]
        security = {0: uri, 1: False, 2: 2, 10: 1}
        security.update({3: certs.CLIENT, 4: certs.SERVER, 5: certs.CLIENT_KEY})
        accounts = {0: {0: security}, 1: {0: {0: 1, 1: 300, 6: True, 7: "U"}}}
        board.install(accounts, {"ntp": "127.0.0.1"})
        yield board, server, ntp


def test_certificates_wait_for_the_clock(certified):
    board, server, ntp = certified
    board.start()
    request, peer = ntp.recvfrom(100)
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.recv(2000)
    now = 1795737600
    ntp.setblocking(False)

    def tell(request, peer):
        answer = b"\x24\x02" + bytes(22) + request[40:] + bytes(8)
        ntp.sendto(answer + struct.pack(">II", now + 2208988800, 0), peer)

    def is_set():
        # It asks again after 5 s: then an answer to the request before does not count.
        with contextlib.suppress(BlockingIOError):
            tell(*ntp.recvfrom(100))
        return f"CLOCK {now}" in board.said.lines

    tell(request, peer)
    eventually(is_set, "the clock's setting", lambda: "\n".join(board.said.lines))
    server.settimeout(PATIENCE_S)
    assert server.recv(2000)[0] == 22  # the handshake begins


def test_nobody_tells_the_time(certified):
    # The account is tried all the same, as it may not need the time; and the time is asked for.
    board, server, ntp = certified
    began = time.monotonic()
    board.start()
    assert server.recv(2000)[0] == 22
    assert time.monotonic() - began >= 30
    ntp.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:  # requests of before
            ntp.recv(100)
    ntp.settimeout(PATIENCE_S)
    assert ntp.recv(100)
    assert board.process.poll() is None


def test_no_certificate_and_no_server_of_the_factory(board, servers):
    # Nobody is asked, and nobody is told a time that the clock does not know.
    (board.folder / "ntp_port").write_text("1")
    board.provision(servers.uri)
    board.start()
    servers.said.wait_for("registered")
    assert not any("CLOCK" in line for line in board.said.lines)


def test_no_certificate_and_a_server_of_the_factory(board, servers):
    # It is asked, and not waited for.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ntp:
        ntp.bind(("127.0.0.1", 0))
        ntp.settimeout(PATIENCE_S)
        (board.folder / "ntp_port").write_text(str(ntp.getsockname()[1]))
        board.provision(servers.uri, ntp="127.0.0.1")
        board.start()
        servers.said.wait_for("registered")
        request, peer = ntp.recvfrom(100)
        now = 1795737600
        answer = b"\x24\x02" + bytes(22) + request[40:] + bytes(8)
        ntp.sendto(answer + struct.pack(">II", now + 2208988800, 0), peer)
        board.said.wait_for(f"CLOCK {now}")


# --- A locked device


class Line:
    """The serial line: a pseudo-terminal, raw, as a board's USB is."""

    def __init__(self):
        self._outer, self.inner = pty.openpty()
        tty.setraw(self.inner)

    def send(self, data):
        while data:
            data = data[os.write(self._outer, data) :]

    def close(self):
        os.close(self._outer)
        os.close(self.inner)


@pytest.fixture
def line():
    line = Line()
    yield line
    line.close()


def test_flood(locked, servers, line):
    # From before the start on, Ctrl-C, A, B, D, E and noise: it registers and goes on.
    flood = b"\x03\x03\x01\x02\x04\x05" * 100 + bytes(range(256)) + b"import os\r\n\x04"
    line.send(flood)
    locked.start(stdin=line.inner)
    servers.said.wait_for("registered")
    for _ in range(20):
        line.send(flood)
        assert servers.tell("read", "/3/0/2") == "2.05 b'e66038b713952135'"
    assert locked.process.poll() is None
    assert not any("REPL" in said or "Stopped" in said for said in locked.said.lines)
    # And then it still takes a command.
    line.send(b"\r\nstatus\r\n")
    status = json.loads(locked.said.wait_for("{"))
    assert status["locked"] and status["endpoint"] == ENDPOINT and status["ok"]


def test_commands(locked, servers, line):
    locked.start(stdin=line.inner)
    servers.said.wait_for("registered")
    line.send(b"selftest\r")
    assert json.loads(locked.said.wait_for("{"))["tested"] == ["factory copy", "accounts"]
    for wrong in (b"unlock\r", b"unlock and wipe", b" now\r", b"install\r", b"erase\r", b"lock\r"):
        line.send(wrong)
    line.send(b"x" * 1000 + b"reboot\r")
    line.send(b"selftest\r")
    locked.said.wait_for("{")
    assert len([said for said in locked.said.lines if said.startswith("{")]) == 2
    line.send(b"reboot\r")
    assert locked.ended() == -signal.SIGKILL
    assert (locked.folder / "area/copy").exists()
    # reset: the accounts that the bootstrap server gave are gone.
    locked.start(stdin=line.inner)
    servers.said.wait_for("registered")
    locked.said.wait_for("server 1: registered, lifetime")
    line.send(b"status\r")
    assert json.loads(locked.said.wait_for("{"))["registered"] == [1]
    line.send(b"reset\r")
    assert json.loads(locked.said.wait_for("{"))["ok"]
    assert locked.ended() == -signal.SIGKILL
    assert [account["short_id"] for account in locked.factory("status")["accounts"]] == [None]


def test_unlocking_wipes(locked, servers, line):
    locked.app(APP.replace('settings["answer"]', "1"))
    locked.start(stdin=line.inner)
    servers.said.wait_for("registered")
    line.send(b"unlock and wipe\n")
    assert json.loads(locked.said.wait_for("{")) == {"ok": True}
    assert locked.ended() == -signal.SIGKILL
    status = locked.factory("status")
    assert (status["locked"], status["endpoint"], status["accounts"]) == (False, None, [])
    left = [str(p.relative_to(locked.folder)) for p in locked.folder.rglob("*") if p.is_file()]
    assert sorted(left) == ["fed", "word"]
    locked.start()
    assert locked.ended() == 0


def test_locked_and_in_safe_mode(locked, servers, line):
    locked.app("raise OSError(5)")
    for _ in range(3):
        locked.start(60000, stdin=line.inner)
        assert locked.ended() == -signal.SIGKILL
    locked.start(60000, stdin=line.inner)
    locked.said.wait_for("Safe mode")
    line.send(b"\x03\x04status\n\nstatus\n")
    guard = json.loads(locked.said.wait_for("{"))["guard"]
    assert guard["failed_starts"] == 3 and guard["crash"][0] == "OSError 5"
    # Unlocked halfway: still locked, with nothing in it, and it still takes commands.
    (locked.folder / "area/copy").unlink()
    locked.start(60000, stdin=line.inner)
    locked.said.wait_for("the factory has given this board nothing yet")
    line.send(b"unlock and wipe\n")
    assert json.loads(locked.said.wait_for("{")) == {"ok": True}
    assert locked.ended() == -signal.SIGKILL
    assert not locked.factory("status")["locked"]


# --- The console of one that is not


def asked(board, line, command):
    """What the running program answers."""
    count = len(board.said.lines)
    line.send(b"\r\n" + command + b"\r\n")
    eventually(
        lambda: any(said.startswith("{") for said in board.said.lines[count:]),
        "the answer",
        lambda: "\n".join(board.said.lines),
    )
    return json.loads(next(said for said in board.said.lines[count:] if said.startswith("{")))


def test_told_while_it_runs(board, servers, line):
    board.provision(servers.uri)
    board.start(60000, stdin=line.inner)
    board.said.wait_for("server 1: registered, lifetime")
    status = asked(board, line, b"status")
    assert status["ok"] and status["endpoint"] == ENDPOINT and not status["locked"]
    assert status["registered"] == [1] and status["error"] is None and status["signal"] is None
    assert 0 <= status["since"][0] <= status["uptime"]
    log = asked(board, line, b"log")
    said = [text.partition(" ") for text in log["lines"]]
    assert [text for _, _, text in said] == [
        "Network: up",
        "bootstrap server: bootstrapping",
        "bootstrap server: bootstrapped",
        "server 1: registering",
        "server 1: registered, lifetime 86400 s",
    ]
    times = [int(seconds) for seconds, _, _ in said]
    assert times == sorted(times) and times[-1] <= log["seconds"]
    assert asked(board, line, b"selftest")["tested"] == ["factory copy", "accounts"]
    # What is for locked ones, and what is for nobody, is no command.
    for wrong in (b"unlock and wipe", b"erase", b"lock", b"install", b"log now", b"LOG"):
        line.send(wrong + b"\r\n")
    assert asked(board, line, b"log")["lines"] == log["lines"]
    # It has gone on: the same process, the same registration.
    assert servers.tell("read", "/3/0/2") == "2.05 b'e66038b713952135'"
    assert board.process.poll() is None
    assert len([said for said in servers.said.lines if "registered" in said]) == 1
    line.send(b"reboot\r")
    assert board.ended() == -signal.SIGKILL


def test_log_has_the_last_lines(board, servers, line):
    # 32 lines and one bytearray of 1 KB; what is off on the console is in it all the same.
    said = "x" * 300
    board.app(
        "import main\n"
        "def setup(client, settings):\n"
        "    for n in range(200):\n"
        "        client.core.on_event(Said(n))\n"
        "class Said:\n"
        "    type, short_id, path, code, text, internal, value = 5, 1, None, 0xa3, None, True, None\n"
        "    def __init__(self, n):\n"
        f"        self.text = 'reason %d' % n if n < 199 else '{said}'\n"
        "    def __str__(self):\n"
        "        return lwm2m.words.words(self)\n"
        "import lwm2m\n"
    )
    board.provision(servers.uri, console=0)
    board.start(60000, stdin=line.inner)
    servers.said.wait_for("registered")
    log = asked(board, line, b"log")["lines"]
    assert not any("registration failed" in said for said in board.said.lines if said[:1] != "{")
    long = next(n for n, text in enumerate(log) if "xxx" in text)
    assert len(log[long]) <= 170
    before = [text.rpartition(" ")[2] for text in log[:long]]
    assert before == [str(n) for n in range(199 - len(before), 199)]
    assert len(log) <= 32 and 700 <= sum(len(text) + 1 for text in log) <= 1024
    assert "xxx" in asked(board, line, b"status")["error"]


def test_console_takes_any_noise(board, servers, line):
    board.provision(servers.uri)
    board.start(60000, stdin=line.inner)
    servers.said.wait_for("registered")
    noise = bytes(n for n in range(256) if n != 3)
    for _ in range(20):
        line.send(noise * 4 + b"x" * 1000 + b"\r\n")
        assert servers.tell("read", "/3/0/2") == "2.05 b'e66038b713952135'"
    assert asked(board, line, b"status")["registered"] == [1]
    board.process.send_signal(signal.SIGINT)  # what a port makes of Ctrl-C
    assert board.ended() == 0
    assert "REPL" in board.said.lines


def test_stock_refuses_to_lock(board, servers):
    board.provision(servers.uri)
    answer = board.factory("lock")
    assert not answer["ok"] and answer["error"].startswith("stock MicroPython cannot be locked")


# --- A Pico's image of role minimal


@pytest.fixture
def minimal(tmp_path):
    lib = image_lib(tmp_path, "minimal")
    with Board(tmp_path / "board", ours=True, lib=lib) as board:
        yield board


def account(uri, mode=3, **keys):
    security = {0: uri, 1: False, 2: mode, 3: b"", 4: b"", 5: b"", 10: 1}
    security.update({int(rid[1:]): value for rid, value in keys.items()})
    return {0: {0: security}, 1: {0: {0: 1, 1: 300, 6: True, 7: "U"}}}


def test_minimal_refuses_in_words_what_it_does_not_have(minimal):
    psk = account("coaps://127.0.0.1:5684", 0, r3=b"id", r5=b"a key of it")
    for kind in ("wifi", "ethernet", "guard"):
        answer = minimal.try_install(psk, {"network": {"type": kind, "ssid": SECRET}})
        error = f"this board's firmware has no network of type {kind}"
        assert answer == {"ok": False, "error": error}
    certificates = {"r3": certs.CLIENT, "r4": certs.SERVER, "r5": certs.CLIENT_KEY}
    answer = minimal.try_install(account("coaps://127.0.0.1:5684", 2, **certificates), {})
    assert answer == {"ok": False, "error": "/0/0: Security Mode 2 is not supported"}
    assert minimal.factory("lock")["error"].startswith("the factory has given this board nothing")
    minimal.install(psk, {"network": {"type": "ppp", "uart": 1}})
    answer = minimal.factory("lock")
    assert not answer["ok"] and answer["error"].startswith("this image's role cannot be locked")
    assert not minimal.factory("status")["locked"]


@pytest.mark.parametrize("locked", [False, True], ids=["open", "locked"])
def test_minimal_registers(minimal, servers, line, locked):
    # Locked is what another image had done before; this one cannot undo it, but does its work.
    minimal.install(account(f"coap://127.0.0.1:{servers.port}"), {"ntp": "127.0.0.1"})
    if locked:
        (minimal.folder / "area/locked").touch()
    minimal.start(stdin=line.inner)
    servers.said.wait_for("registered " + ENDPOINT)
    assert servers.tell("read", "/3/0/2") == "2.05 b'e66038b713952135'"
    minimal.said.wait_for("server 1: registered, lifetime")
    assert asked(minimal, line, b"status")["locked"] is locked
    assert asked(minimal, line, b"log")["lines"][-1].endswith(
        "server 1: registered, lifetime 300 s"
    )
    if locked:
        answer = asked(minimal, line, b"unlock and wipe")
        assert answer == {"ok": False, "error": "this image's role cannot be unlocked"}
    assert minimal.process.poll() is None


SLEEPING = """
import json
import os

from lwm2m.model import FLOAT, Object, R

_PATH = {path!r}
_sensor = Object(3303, (5700, R | FLOAT), {{0: {{5700: 0.0}}}})
_client = None


def setup(client, settings):
    global _client
    _client = client
    try:
        with open(_PATH) as f:
            n = json.load(f) + 1
    except OSError:
        n = 1
    with open(_PATH, "w") as f:
        json.dump(n, f)
    _sensor.set(0, 5700, float(n))
    client.add_object(_sensor)


def wake_ms():
    return 60000


def on_wake(why):
    print("WOKEN", why)
"""


def _sleeper(board, servers, mode="deep", awake=1):
    uri = f"coap://127.0.0.1:{servers.port}"
    security = {0: uri, 1: False, 2: 3, 3: b"", 4: b"", 5: b"", 10: 1}
    server = {0: 1, 1: 86400, 6: True, 7: "UQ"}
    board.install(
        {0: {1: security}, 1: {1: server}}, {"sleep": {"mode": mode, "awake": awake, "pin": 9}}
    )
    board.app(SLEEPING.format(path=str(board.folder / "count")))


def test_deep_sleep(board, servers):
    _sleeper(board, servers)
    board.start()
    servers.said.wait_for("registered")
    board.said.wait_for("SLEEP 60000 9")
    assert board.ended() == -signal.SIGKILL
    assert "Sleep: for 60 s" in board.said.lines
    assert len((board.folder / "rtc").read_bytes()) < 1024
    # It goes on, and says nothing, as nobody observes anything; what it is asked waits until then.
    for why in ("application", "pin"):
        if why == "pin":
            (board.folder / "pressed").touch()
        board.start()
        board.said.wait_for(f"WOKEN {why}")
        (board.folder / "pressed").unlink(missing_ok=True)
        board.said.wait_for("SLEEP 60000 9")
        assert board.ended() == -signal.SIGKILL
        assert f"Awake: {why}" in board.said.lines
    assert board.failed_starts() == 0
    assert servers.said.text().count("registered") == 1


def test_a_sleep_that_power_has_ended(board, servers):
    # Wherever it is cut, the next start registers, once, and is reached as ever.
    _sleeper(board, servers)
    board.start()
    board.said.wait_for("SLEEP")
    board.ended()
    kept = (board.folder / "rtc").read_bytes()
    for n, context in enumerate((None, kept[: len(kept) // 2], kept[:1], b"", kept)):
        if context is None:
            (board.folder / "rtc").unlink()
            board.lose_power()
        else:
            (board.folder / "rtc").write_bytes(context)
        board.start()
        board.said.wait_for("SLEEP")
        board.ended()
        # The last is the first one's again, which another start has replaced: it finds out later.
        assert servers.said.text().count("registered") == min(n, 3) + 2, n
    assert board.failed_starts() == 0
