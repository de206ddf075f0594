"""Wi-Fi as most users have it: stock MicroPython 1.27 on an emulated Pico W, the bundle, an access point.

The chip is tools/harness/rp2040/cyw43.mjs, the network behind the access point harness.lan_peer; the driver
is the stock image's own.
"""

import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from builds import stock
from builds.steps import ROOT
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from factory.samples import make_authority
from harness import keys, tool
from harness.awaited import eventually
from harness.board import HOST_S, MAC, Board
from harness.certs import certs
from harness.from_factory import exported, for_leshan
from harness.leshan import BOOTSTRAP_SERVER, SERVER_AND_CLIENT, Leshan
from harness.processes import Servers as SecureServers
from harness.udp_relay import UdpRelay
from managed import Servers
from test_bundle import flashed_by_boot_rom
from test_proof import needs_leshan
from test_resume import hellos

ENDPOINT = "urn:dev:mac:" + MAC.replace(":", "")
POINT = {
    "ssid": "line 3",
    "bssid": "02:00:00:00:00:03",
    "channel": 6,
    "rssi": -50,
    "password": "correct horse",
}
OPEN = {"ssid": "guests", "bssid": "02:00:00:00:00:04", "channel": 11, "rssi": -71}
SERVER = "server.example.org"  # as the tests' certificate has it
CLOCK = "pool.ntp.org"
HEAD = """\
endpoint = "urn:dev:mac:{mac}"

[network]
type = "wifi"
ssid = "line 3"
password = "correct horse"
"""
CONFIG = """
[bootstrap]
uri = "coap://server.example.org:%d"
server = []
security.mode = "none"
"""
CERTIFICATES = """
[bootstrap]
uri = "coaps://server.example.org:%d"
security = { mode = "certificate", %s }

[[bootstrap.server]]
short_id = 7
uri = "coaps://server.example.org:%d"
lifetime = 120
security = { mode = "certificate", %s }
"""
TRUST = """\
ca_certificate = "ca.pem", ca_key = "ca.key", valid_days = 100, \
server_certificate = "servers.der", certificate_usage = 2"""
LIFETIME_S = 120
# In one process, as a board is provisioned once for all of these.
together = pytest.mark.xdist_group("wifi")

JOIN = """\
import network, time
nic = network.WLAN(network.STA_IF)
nic.active(True)
def join(*args, ms=8000):
    nic.connect(*args)
    begin = time.ticks_ms()
    while not nic.isconnected() and nic.status() >= 0 and time.ticks_diff(time.ticks_ms(), begin) < ms:
        time.sleep_ms(10)
    return nic.status()
"""


@pytest.fixture(scope="module")
def servers():
    servers = Servers("10.64.0.1")
    yield servers
    servers.close()


@pytest.fixture(scope="module")
def bundled(tmp_path_factory) -> Path:
    """The flash of a board with the client bundle."""
    folder = tmp_path_factory.mktemp("wifi")
    drive = folder / "drive"
    drive.mkdir()
    (drive / "INFO_UF2.TXT").write_text("UF2 Bootloader v3.0\nBoard-ID: RPI-RP2\n")
    image = stock.image("RPI_PICO_W")
    command = ["make", "flash", "BOARD=RPI_PICO_W", f"IMAGE={image}", f"DRIVE={drive}"]
    done = subprocess.run([*command, "ROLE=client"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    flash = folder / "flash.bin"
    flash.write_bytes(flashed_by_boot_rom((drive / image.name).read_bytes()))
    return flash


def provision(bundled: Path, folder: Path, text: str) -> Path:
    """The flash of such a board that was given its identity, of which the factory knew no number."""
    (folder / "factory.toml").write_text(text)
    flash = Path(shutil.copy(bundled, folder / "provisioned.bin"))
    with Board(flash, wifi=[POINT]) as board:
        board.expect("the factory has given this board nothing yet", HOST_S)
        board.expect(">>> ")
        done = tool.factory(folder, "provision", "factory.toml", "--port", board.port)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"Endpoint  {ENDPOINT}" in done.stdout
    return flash


@pytest.fixture(scope="module")
def provisioned(bundled: Path, servers, tmp_path_factory) -> Path:
    return provision(bundled, tmp_path_factory.mktemp("plain"), HEAD + CONFIG % servers.bs_port)


@pytest.fixture
def start(provisioned: Path, tmp_path: Path):
    """Powers a copy of that board on, within reach of some access points."""
    boards = []

    def start(*points) -> Board:
        flash = shutil.copy(provisioned, tmp_path / "flash.bin")
        boards.append(Board(Path(flash), wifi=points))
        boards[0].lan.names[SERVER] = bytes((10, 64, 0, 1))
        return boards[0]

    yield start
    boards[0].close()


def test_driver(tmp_path) -> None:
    with Board(tmp_path / "flash.bin", stock.image("RPI_PICO_W"), wifi=[POINT, OPEN]) as board:
        board.run(JOIN)
        assert board.run("print(nic.active(), nic.config('mac').hex(':'))").split() == [
            "True",
            MAC,
        ]
        # name, address, channel, RSSI, security (4: WPA2, 1: some)
        found = eval(board.run("print([one[:5] for one in nic.scan()])"))
        assert found == [
            (b"line 3", bytes.fromhex("020000000003"), 6, -50, 5),
            (b"guests", bytes.fromhex("020000000004"), 11, -71, 0),
        ]
        # As network.STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD, STAT_GOT_IP.
        assert board.run("print(join('line 4', 'correct horse'))").strip() == "-2"
        assert board.run("print(join('line 3', 'wrong horse'))").strip() == "-3"
        assert board.run("print(join('line 3', 'correct horse'))").strip() == "3"
        expected = ("10.64.0.2", "255.255.255.0", "10.64.0.1", "10.64.0.1")
        assert eval(board.run("print(nic.ifconfig())")) == expected
        assert board.run("print(nic.status('rssi'), nic.config('ssid'))").split() == [
            "-50",
            "line",
            "3",
        ]
        board.run("nic.disconnect()")
        assert board.run("print(join('guests'))").strip() == "3"
        board.air(POINT)
        board.run("while nic.isconnected(): time.sleep_ms(10)")


@together
def test_is_bootstrapped_and_managed(start, servers) -> None:
    board = start(POINT, OPEN)
    servers.said.wait_for("bootstrapped " + ENDPOINT, HOST_S)
    servers.said.wait_for("registered " + ENDPOINT, HOST_S)
    assert set(board.lan.asked) == {SERVER}
    assert servers.tell("read", "/3/0/3") == "2.05 b'0.1.0'"
    print("free heap, KB:", servers.tell("read", "/3/0/10"))
    assert servers.tell("observe", "/3/0/3") == "2.05 b'0.1.0'"


def hurry(board: Board) -> None:
    """An attempt to join takes a minute of its time."""
    board.wait_for("usb")
    board.live(1)
    board.hurry(5)


@together
def test_wrong_password(start) -> None:
    board = start({**POINT, "password": "battery staple"})
    hurry(board)
    board.expect("Network: OSError: Wi-Fi password is wrong", HOST_S)


@together
def test_dhcp_never_answers(start) -> None:
    board = start(POINT)
    board.lan.dhcp = False
    hurry(board)
    board.expect(r"Network: OSError: Wi-Fi gets no address: does DHCP answer\?", HOST_S)


@together
def test_access_point_goes_while_a_name_is_looked_up(start, servers) -> None:
    # The port's getaddrinfo() does not return then, as lwIP's timers rest without a link.
    board = start(POINT)
    board.lan.dns_delay = HOST_S
    eventually(lambda: board.lan.asked, "a name", patience_s=HOST_S)
    board.air()
    board.hurry(5)
    board.wait_for("reset", timeout=HOST_S)
    board.hurry(0)
    board.lan.dns_delay = 0
    board.air(POINT)
    servers.said.wait_for("registered " + ENDPOINT, HOST_S)
    assert servers.tell("read", "/3/0/11/0") == "2.05 b'17'"  # the watchdog


@needs_leshan
def test_certificates_a_slow_dns_and_an_access_point_that_comes_back(bundled, tmp_path) -> None:
    Leshan.build()
    make_authority(tmp_path)
    (tmp_path / "servers.der").write_bytes(certs.CA)
    ca = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    trusted = ca.public_bytes(Encoding.DER)
    given = {**keys.SERVER, "trusted": trusted.hex()}
    ours = SecureServers({}, {}).trust(trusted)
    of = {"endpoint": ENDPOINT}
    with ExitStack() as stack:
        bootstrap = stack.enter_context(Leshan(BOOTSTRAP_SERVER))
        server = stack.enter_context(Leshan(SERVER_AND_CLIENT))
        bootstrap.call("start", secure_port=ours.bootstrap_port, **given)
        port = server.call("start_server", **given)["secure_port"]
        relay = stack.enter_context(UdpRelay(port))
        text = CERTIFICATES % (ours.bootstrap_port, TRUST, relay.port, TRUST)
        flash = provision(bundled, tmp_path, HEAD + text)
        for process in (bootstrap, server):
            process.call("secure", certificate=True, **of)
        bootstrap.call("configure", config=for_leshan(tmp_path, ENDPOINT), **of)
        with Board(flash, wifi=[POINT, OPEN]) as board:
            board.lan.names = dict.fromkeys((SERVER, CLOCK), bytes((10, 64, 0, 1)))
            board.lan.dns_delay = 4
            board.paint()
            bootstrap.wait_event("session_finished", HOST_S, **of)
            server.wait_event("registered", HOST_S, lifetime=LIFETIME_S, **of)
            assert board.lan.asked[0] == CLOCK and SERVER in board.lan.asked
            told = server.call("read", path="/3/0/13", **of)["content"]
            assert abs(told - time.time()) < LIFETIME_S
            # It is observed, with a notification each second.
            assert server.call("write", path="/1/0/3", value=1, **of)["code"] == "2.04"
            assert server.call("observe", path="/3/0/3", **of)["code"] == "2.05"
            server.wait_event("notification", HOST_S, path="/3/0/3", **of)

            # The access point goes and comes back: an Update, in the session that there is.
            board.air(OPEN)
            board.expect("Network: OSError", HOST_S)
            server.clear_events()
            board.air(POINT)
            board.expect("Network: up", HOST_S)
            server.wait_event("updated", HOST_S, **of)
            server.wait_event("notification", HOST_S, path="/3/0/3", **of)
            assert hellos(relay) == 1

            # Our servers, at the bootstrap server's port; the server has it bootstrapped by them.
            bootstrap.call("stop")
            accounts, clients = exported(tmp_path)
            accounts[ENDPOINT]["servers"][0]["uri"] = f"coaps://{SERVER}:{ours.port}"
            with ours.know(accounts, clients):
                ours.accounts(accounts)
                server.call("execute", path="/1/0/9", **of)
                ours.wait_event("BS_FINISHED", HOST_S, **of)
                ours.wait_event("REGISTERED", HOST_S, **of)
                assert ours.call("read", ENDPOINT, "/3/0")["values"]["0"] == "MicroPython"
                assert ours.call("observe", ENDPOINT, "/3/0/13")["code"] == "2.05"
                print("free heap, KB:", ours.call("read", ENDPOINT, "/3/0/10")["text"])
            # Wi-Fi's driver interrupts all that, handshakes with certificates, too.
            assert board.stats()["resets"] == 0 and board.stats()["stack"] >= 1024
