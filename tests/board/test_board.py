"""The image of RPI_PICO_LWM2M on an emulated RP2040: `make test-board`."""

import hashlib
import os
import shutil
import socket
import threading

import pytest
from harness import ppp_peer
from harness.board import BOARD, HOST_S, Board
from harness.certs import certs
from harness.processes import Servers

PPP = """
import network, time
from machine import UART, Pin
uart = UART(0, 115200, tx=Pin(0), rx=Pin(1), rxbuf=4096, txbuf=2048)
ppp = network.PPP(uart)
ppp.connect()
while not ppp.isconnected():
    time.sleep_ms(10)
"""

# Frozen, it is what runs; then the device's own tests are about it.


def test_boots_with_our_modules_frozen(board) -> None:
    out = board.run(
        "import sys, os, tls\n"
        "import ucoap, lwm2m, lwm2m.bootstrap, lwm2m.observe, lwm2m.dtls, lwm2m.store, device.area\n"
        "print(sys.implementation._build, os.listdir('/'), lwm2m.__file__)\n"
        "context = tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT)\n"
        "print('TLS-PSK-WITH-AES-128-CCM-8' in context.get_ciphers(), hasattr(context, 'psk_key'))\n"
        "print('TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8' in context.get_ciphers())\n"
    )
    assert out.splitlines() == [f"{BOARD} [] lwm2m/__init__.py", "True True", "True"]


def test_c_stack_that_was_never_used(of_full, tmp_path) -> None:
    with Board(shutil.copy(of_full, tmp_path / "flash.bin")) as board:
        out = board.run(
            "from micropython import stack_use\n"
            "from device.stack import paint\n"
            "def deep(n):\n"
            "    return deep(n - 1) if n else stack_use()\n"
            "least = paint()\n"
            "print(stack_use(), least())\n"
            "print(deep(8), least())\n"
            "print(deep(2), least())\n"
        )
    (at_first, left), (deepest, least), (_, still) = [
        [int(n) for n in line.split()] for line in out.splitlines()
    ]
    # Of the 8 KB, what MicroPython says to be in use when it is asked is a little less than what was.
    assert 8192 - at_first - 1024 < left <= 8192 - at_first
    assert deepest > at_first + 1024
    assert 8192 - deepest - 1024 < least <= 8192 - deepest
    assert still == least < left


def test_mpremote(board, tmp_path) -> None:
    board.wait_for("usb")
    assert board.mpremote("exec", "print(6 * 7)") == "42\n"
    here = tmp_path / "data"
    here.write_bytes(os.urandom(3000))
    board.mpremote("fs", "cp", str(here), ":data")
    digest = hashlib.sha256(here.read_bytes()).hexdigest()
    assert digest in board.mpremote("fs", "sha256sum", ":data")
    board.mpremote("fs", "cp", ":data", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == here.read_bytes()
    board.mpremote("reset")
    board.wait_for("usb", 2)
    assert digest in board.mpremote("fs", "sha256sum", ":data")


def test_files_survive_a_killed_process(board) -> None:
    board.run("with open('kept', 'w') as f: f.write('x' * 5000)")
    board.kill()
    board.start()
    assert board.run("print(len(open('kept').read()))") == "5000\r\n"


def test_file_system_leaves_the_area_alone(flash) -> None:
    # A file system that cannot be mounted is formatted: the area behind it stays.
    data = bytearray(flash.read_bytes())
    storage = 1024 * 1024
    data[storage:-20480] = bytes(len(data) - storage - 20480)
    data[-20480:] = b"\x5a" * 20480
    flash.write_bytes(data)
    with Board(flash) as board:
        assert board.run("import os; print(os.listdir('/'), os.statvfs('/')[2])") == "[] 251\r\n"
    assert flash.read_bytes()[-20480:] == b"\x5a" * 20480


# --- The factory area

WRITE = "import device.area as area\narea.write(%r)\n"
READ = "import device.area as area\nwith area.open() as f: print(f.read(9000))\n"
OLD, NEW = b"the old one" * 100, b"and the new" * 200


def content(board) -> bytes:
    return eval(board.run(READ))  # of bytes that this test has written


def test_area_survives_a_kill(board) -> None:
    board.run(WRITE % NEW)
    board.kill()
    board.start()
    assert content(board) == NEW


def test_area_is_old_or_new_wherever_power_fails(board) -> None:
    board.run(WRITE % OLD)
    before = board.stats()
    board.run(WRITE % NEW)
    after = board.stats()
    erases, programs = (after[what] - before[what] for what in ("erases", "programs"))
    assert (erases, programs) == (4, 2 * 9)  # two copies of two sectors, and of 2,212 bytes
    seen = set()
    for operation in (0, 2, 10, 11, 12, 21):  # first and last of each
        for tear in ("nothing", "half", "garbage"):
            board.run(WRITE % OLD)
            board.cut(operation, tear)
            board.send(b"\x01")
            board.expect("raw REPL; CTRL-B to exit\r\n>")
            board.send((WRITE % NEW).encode() + b"\x04")
            board.wait_cut()
            board.start()
            got = content(board)
            assert got in (OLD, NEW), (operation, tear)
            seen.add(got)
    assert seen == {OLD, NEW}


# --- The lock


def test_repl_ends_with_the_line_that_locks(board) -> None:
    board.wait_for("usb")
    board.run("import device.area as area; area.lock()")
    board.send(b"print('ow' + 'ned')\r")
    board.wait_for("reset")
    assert b"owned\r\n" not in board.output


# --- The network


def test_ppp_and_a_datagram_of_1200_bytes(board) -> None:
    assert board.run(PPP + "print(ppp.ipconfig('addr4')[0])") == "10.64.0.2\r\n"
    assert board.ppp.up
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
        host.bind(("127.0.0.1", 0))
        host.settimeout(HOST_S)

        def echo() -> None:
            for _ in range(3):
                data, peer = host.recvfrom(2000)
                host.sendto(data[::-1], peer)

        thread = threading.Thread(target=echo)
        thread.start()
        out = board.run(
            "import socket\n"
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "s.settimeout(60)\n"
            "for n in (1, 500, 1200):\n"
            "    data = bytes(i & 255 for i in range(n))\n"
            f"    s.sendto(data, ('10.64.0.1', {host.getsockname()[1]}))\n"
            "    back, peer = s.recvfrom(2000)\n"
            "    print(back == bytes(reversed(data)), peer[0])\n"
        )
        thread.join()
    assert out == "True 10.64.0.1\r\n" * 3


@pytest.mark.parametrize("known", [True, False], ids=["known", "wrong"])
def test_ppp_with_user_and_password(board, known) -> None:
    board.ppp.login = b"iot", b"correct horse"
    password = "correct horse" if known else "battery"
    board.begin(
        "import device.link, machine, network, time\n"
        "from lwm2m.net import now\n"
        "link = device.link.Link({'type': 'ppp', 'uart': 0, 'tx': 0, 'rx': 1, 'chat': [], 'auth': 'pap',\n"
        f"    'user': 'iot', 'password': {password!r}}}, network, machine, on_fault=print)\n"
        "print('begun')\n"
        "while not link.poll(now()): time.sleep_ms(10)\n"
        "print('up', link.nic().ipconfig('addr4')[0])\n"
    )
    if known:
        board.expect(r"up 10\.64\.0\.2\r\n")
    else:
        board.expect("begun")
        board.hurry()
        board.expect("110", 120)  # ETIMEDOUT, after a minute of its own
        assert not board.ppp.up
    assert set(board.ppp.logins) == {(b"iot", password.encode())}


def test_ppp_comes_up_again_after_a_reset(board) -> None:
    board.run(PPP)
    board.reset()
    board.wait_for("usb", 2)
    assert board.run(PPP + "print(ppp.isconnected())") == "True\r\n"


def test_ppp_comes_up_after_a_reset_in_the_middle(board) -> None:
    write, asked = board.ppp._write, threading.Event()
    board.ppp._write = lambda data: asked.set()  # and the device gets nothing
    board.begin(PPP)
    assert asked.wait(HOST_S)
    board.ppp._write = write
    board.reset()
    board.wait_for("usb", 2)
    assert board.run(PPP + "print(ppp.isconnected())") == "True\r\n"


@pytest.mark.parametrize("protocol", [ppp_peer.LCP, ppp_peer.IPCP], ids=["LCP", "IPCP"])
def test_ppp_peer_repeats_what_is_lost(board, protocol) -> None:
    # Its first Configure-Request; what the device itself has sent is not repeated before it is up.
    send, lost = board.ppp._send, []

    def lossy(of: int, data: bytes) -> None:
        if of == protocol and data[0] == ppp_peer.REQUEST and not lost:
            lost.append(data)
        else:
            send(of, data)

    board.ppp._send = lossy
    assert board.run(PPP + "print(ppp.isconnected())") == "True\r\n"
    assert lost


DTLS = """
from lwm2m.core import Account, Core
from lwm2m.net import Net, now


class Role:
    context = None
    keys = Core.keys
    on = True

    def poll(self, now):
        return 0

    def next_ms(self, now):
        return 1000

    def connected(self, account, now):
        print("up", account.connection.tls.cipher()[0])
        net.send(account, b"x" * 1100)

    def disconnected(self, account, code, text, now):
        print("down", text)
        self.on = False

    def receive(self, account, data, now):
        print("got", len(data), data[:10])
        self.on = False


net, role = Net(), Role()
net.add(role)
values = {0: "coaps://10.64.0.1:%d", 1: False, 2: 0, 3: b"device-1", 4: b"", 5: %r}
net.open(role, Account(values, 0), now())
while role.on:
    net.step(role, 1)
"""


def test_dtls_with_a_pre_shared_key(board, dtls_echo) -> None:
    port, key, server = dtls_echo
    board.run(PPP)
    before = board.stats()
    out = board.run(DTLS % (port, key))
    assert out.splitlines() == ["up TLS-PSK-WITH-AES-128-CCM-8", "got 1105 b'echo xxxxx'"]
    server.wait_for("got b'device-1'")
    spent = board.stats()["instructions"] - before["instructions"]
    assert spent < 100_000_000  # about a second of a board's 125 MHz


def test_dtls_with_certificates(board, dtls_certificates_echo) -> None:
    port, server = dtls_certificates_echo
    board.run(PPP)
    code = DTLS % (port, b"")
    values = {2: 2, 3: certs.CLIENT, 4: certs.SERVER, 5: certs.CLIENT_KEY}
    code = code.replace("\nnet.open(", f"\nvalues.update({values!r})\nnet.open(")
    before = board.stats()
    up, got = board.run(code, timeout=300).splitlines()
    assert up.startswith("up TLS-ECDHE-ECDSA-WITH-AES-")
    assert got == "got 1105 b'echo xxxxx'"
    spent = board.stats()["instructions"] - before["instructions"]
    assert spent < 1_000_000_000  # some eight seconds of a board's 125 MHz


def test_dtls_with_another_key_is_refused(board, dtls_echo) -> None:
    port, key, server = dtls_echo
    board.run(PPP)
    assert board.run(DTLS % (port, key[::-1])).startswith("down ")
    server.wait_for("refused")


# --- LwM2M

CLIENT = """
import gc
import lwm2m

names = lwm2m.EVENTS


def on_event(event):
    gc.collect()
    print("event", names[event.type], gc.mem_free())


client = lwm2m.Client("board", on_event=on_event)
client.add_bootstrap_server("coap://10.64.0.1:%s", lwm2m.SEC_NONE)
while client.step(1) == lwm2m.NO_ERROR:
    pass
"""


def test_bootstraps_registers_and_is_read(board) -> None:
    # Our servers, in the unix port on this machine.
    with Servers() as servers:
        uri = servers.uri.replace("127.0.0.1", "10.64.0.1")
        servers.accounts({"board": {"servers": [{"short_id": 1, "uri": uri, "lifetime": 60}]}})
        board.run(PPP)
        board.begin(CLIENT % servers.bootstrap_uri.rpartition(":")[2])
        servers.wait_event("BS_FINISHED", endpoint="board", timeout=HOST_S)
        servers.wait_event("REGISTERED", endpoint="board", timeout=HOST_S)
        free = int(board.expect(r"event EVENT_REG_REGISTERED (\d+)")[1])
        assert free > 150_000
        values = servers.call("read", "board", "/3/0")["values"]
        assert values["0"] == "MicroPython"
        board.send(b"\x03")
        assert "KeyboardInterrupt" in board.end()[1]
