"""firmware/main.py, frozen, on an emulated RP2040: its network is PPP, its servers are on loopback."""

import hashlib
import json
import re

import pytest
from builds.steps import ROOT
from harness.board import HOST_S, Gone
from lwm2m_factory import image
from managed import Servers

ENDPOINT = "urn:dev:ops:32473-1"
SECRET = "not for who unlocks"
FLOOD = b"\x03\x01\x04\x05A\x01\x02\r\x03\x04" + b"print('ow' + 'ned')\r\x04\x03" * 3
NETWORK = {"type": "ppp", "uart": 0, "tx": 0, "rx": 1, "chat": []}


@pytest.fixture
def servers():
    servers = Servers("10.64.0.1")
    yield servers
    servers.close()


def break_in(board):
    """Ctrl-C until it is heard: MicroPython loses one that comes while PPP takes its input."""
    for _ in range(20):
        board.send(b"\x03")
        try:
            return board.expect("Stopped", 1)
        except Gone:
            pass
    raise AssertionError("nobody listens")


def factory(board, call):
    return json.loads(board.run(f"import device.factory as f\nf.{call}"))


def send(board, data):
    """A provisioning file, under its temporary name."""
    board.run(
        "import os\n"
        "try: os.mkdir('/lwm2m-store')\n"
        "except OSError: pass\n"
        f"with open('/lwm2m-store/new', 'wb') as f: f.write({data!r})\n"
    )


def provision(board, servers, app=None, lock=False, state=None, **settings):
    """Give a board a bootstrap server account, a secret in its settings, and app.py; and start it,
    with lock in a flood of what opens a REPL. state: other accounts, {object: {instance: values}}."""
    state = state or {0: {0: {0: servers.uri, 1: True, 2: 3, 3: b"", 4: b"", 5: b"", 11: 0}}}
    given = {"network": NETWORK, "app": {"key": SECRET}, **settings}
    data = image.pack(ENDPOINT, state, given)
    send(board, data)
    if app is not None:
        board.run(f"with open('/app.py', 'w') as f: f.write({app!r})")
    digest = hashlib.sha256(data).hexdigest()
    answer = factory(board, f"install('/lwm2m-store/new', '{digest}')")
    assert answer["ok"], answer
    if lock:
        assert factory(board, "lock()")["ok"]
    board.kill()
    board.start(send=FLOOD * 50 if lock else b"")


APP = (ROOT / "firmware/app.py").read_text()


def test_is_bootstrapped_and_managed(board, servers) -> None:
    provision(board, servers, APP)
    servers.said.wait_for("registered " + ENDPOINT, HOST_S)
    status, serial = servers.tell("read", "/3/0/2").split(" ")
    assert status == "2.05" and len(eval(serial)) == 16
    assert servers.tell("read", "/3/0/3") == "2.05 b'0.1.0'"
    assert servers.tell("read", "/3303/0/5700").startswith("2.05")
    print("free heap, KB:", servers.tell("read", "/3/0/10"))
    assert servers.tell("execute", "/3/0/4").startswith("2.04")
    board.wait_for("reset")
    servers.said.wait_for("registered " + ENDPOINT, HOST_S)
    break_in(board)
    status = factory(board, "status()")
    found = {"reset": "asked", "failed_starts": 0, "crash": None, "network_fault": None}
    assert status["guard"] == found
    # Somebody is at the REPL: the watchdog is fed, and after a soft reset, too.
    resets = board.stats()["resets"]
    board.hurry()
    board.run("import time; time.sleep(12)")
    assert (
        board.mpremote("exec", "import time; time.sleep(12); print('still here')")
        == "still here\n"
    )
    assert board.stats()["resets"] == resets


# Settings, and what the chip's own port says of them.
WIRED = (
    ({"network": dict(NETWORK, uart=3)}, "network.uart is 3: UART(3) doesn't exist"),
    ({"network": dict(NETWORK, rx=99)}, "network.rx is 99: invalid pin"),
    ({"network": dict(NETWORK, tx=4)}, "network.uart is 0: bad TX pin"),
    ({"network": dict(NETWORK, uart=1)}, "network.uart is 1: bad TX pin"),
    ({"network": dict(NETWORK, tx=1)}, "network.rx is 1: that is network.tx"),
    ({"network": NETWORK, "led": 25, "button": 25}, "board.button is 25: that is board.led"),
    ({"network": NETWORK, "led": 30}, "board.led is 30: invalid pin"),
    ({"network": dict(NETWORK, tx=12, rx=17), "led": 25, "button": 14}, None),
)


def test_pins(board, servers) -> None:
    # As it runs, with PPP at UART 0, which goes on behind what is refused.
    provision(board, servers)
    servers.said.wait_for("registered " + ENDPOINT, HOST_S)
    break_in(board)
    accounts = {0: {0: servers.uri, 1: True, 2: 3, 3: b"", 4: b"", 5: b"", 11: 0}}
    for settings, text in WIRED:
        data = image.pack("another", {0: accounts}, settings)
        send(board, data)
        digest = hashlib.sha256(data).hexdigest()
        answer = factory(board, f"install('/lwm2m-store/new', '{digest}')")
        assert answer.get("error") == text
        expected = "another" if text is None else ENDPOINT
        assert factory(board, "status()")["endpoint"] == expected


def test_crashes_lead_to_safe_mode(board, servers) -> None:
    provision(board, servers, "def setup(client, settings):\n    return 1 / 0\n")
    board.wait_for("reset", 3)
    board.expect("ZeroDivisionError")
    board.expect("Safe mode for 900 s")
    guard = factory(board, "status()")["guard"]
    assert guard["reset"] == "crash" and guard["crash"][0] == "ZeroDivisionError"
    assert "app.py, line 2, in setup" in guard["crash"][1]
    # Power ends it.
    board.run("import os; os.remove('/app.py')")
    board.kill()
    board.start()
    servers.said.wait_for("registered " + ENDPOINT, HOST_S)


def test_hangs(board, servers) -> None:
    provision(
        board,
        servers,
        "def setup(client, settings):\n    pass\ndef turn(client):\n    while True: pass\n",
    )
    board.hurry(20)
    board.wait_for("reset", timeout=120)
    board.wait_for("reset", 2, timeout=120)
    board.wait_for("reset", 3, timeout=120)
    board.hurry(0)
    board.expect("Safe mode for 900 s")
    guard = factory(board, "status()")["guard"]
    assert guard["reset"] == "watchdog" and guard["crash"] is None


def test_locked(board, servers, flash) -> None:
    provision(board, servers, APP)
    servers.said.wait_for("registered " + ENDPOINT, HOST_S)
    break_in(board)
    assert factory(board, "lock()")["ok"]
    board.kill()
    assert SECRET.encode() in flash.read_bytes()
    board.start(send=FLOOD * 50)
    for _ in range(8):
        board.send(FLOOD * 50)
        board.live(1)  # a flood, not a queue that grows without end
    servers.said.wait_for("registered " + ENDPOINT, HOST_S)
    for word in (b">>>", b"raw REPL", b"owned", b"KeyboardInterrupt"):
        assert word not in bytes(board.output)
    board.send(b"\rstatus\r")
    assert json.loads(board.expect(r"\{.*\}\r\n")[0])["locked"]
    board.hurry()
    board.send(b"unlock and wipe\r")
    board.expect(r'\{"ok": true\}', 120)
    board.wait_for("reset", timeout=60)
    status = factory(board, "status()")
    assert not status["locked"] and status["endpoint"] is None
    board.kill()
    assert SECRET.encode() not in flash.read_bytes()


@pytest.mark.parametrize("end", ["1 / 0", "raise SystemExit", "raise KeyboardInterrupt"])
def test_locked_board_has_no_repl_when_its_application_ends(board, servers, end) -> None:
    app = f"def setup(client, settings):\n    print('app')\n    {end}\n"
    provision(board, servers, app, lock=True, network={"type": "none"})
    for n in (1, 2):
        board.wait_for("reset", n)
        board.send(FLOOD * 5)
    output = bytes(board.output)
    assert output.count(b"app\r\n") >= 2
    assert re.search(rb">>>|raw REPL|owned", output) is None, output


def test_board_that_is_not_locked_is_opened_by_that_flood(board, servers) -> None:
    app = "def setup(client, settings):\n    print('app')\n    raise SystemExit\n"
    provision(board, servers, app, network={"type": "none"})
    board.kill()
    board.start(send=FLOOD * 50)
    board.expect(">>>|raw REPL|owned")
