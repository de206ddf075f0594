"""Wi-Fi as most users have it: stock MicroPython 1.27 on an emulated Pico W, the bundle, an access point.

The chip is tools/harness/rp2040/cyw43.mjs, the network behind the access point harness.lan_peer; the driver
is the stock image's own.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
from builds import stock
from builds.steps import ROOT
from harness import tool
from harness.board import HOST_S, MAC, Board
from managed import Servers
from test_bundle import flashed_by_boot_rom

ENDPOINT = "urn:dev:mac:" + MAC.replace(":", "")
POINT = {
    "ssid": "line 3",
    "bssid": "02:00:00:00:00:03",
    "channel": 6,
    "rssi": -50,
    "password": "correct horse",
}
OPEN = {"ssid": "guests", "bssid": "02:00:00:00:00:04", "channel": 11, "rssi": -71}
SERVER = "lwm2m.example.org"
CONFIG = """\
endpoint = "urn:dev:mac:{mac}"

[network]
type = "wifi"
ssid = "line 3"
password = "correct horse"

[bootstrap]
uri = "coap://lwm2m.example.org:%d"
server = []
security.mode = "none"
"""
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
    return provision(bundled, tmp_path_factory.mktemp("plain"), CONFIG % servers.bs_port)


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
