"""Power that is lost in the sleep loop of firmware/main.py, before any step of it: operations of flash, what is
kept over deep sleep and taken from there, and datagrams. The device is started again, registers, once, or goes on;
its accounts are there; and no two records are encrypted with the same nonce.
"""

import contextlib
import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.lines import Process
from harness.ports import free_port
from harness.udp_relay import UdpRelay
from test_firmware import NETWORK, Board
from test_resume import nonces

STEP = int(os.environ.get("SLEEP_STEP", "7"))  # 1 in `make soak`
BOARDS = 8  # at a time
MINUTE_MS = 1  # of the guard: a board can be reached for two of them before it sleeps

# What is cut in each run; the others are many operations of flash, one like the other.
DEEP = set(
    "word forgets forgot sends sent hears heard erase keeps sleeps kept".split() + ["keeps half"]
)
LIGHT = {"erase", "sleeps", "wakes"}

# Awake until the server has been told, and has written: each time awake has all of it.
APP = """\
import lwm2m
from lwm2m.model import FLOAT, Object, R

_sensor = Object(3303, (5700, R | FLOAT), {{0: {{5700: 0.0}}}})
_wanted = set()


with open({path!r}) as f:
    n = int(f.read())  # another one in each start


def next_value():
    global n
    n += 1
    print("VALUE", n)
    _wanted.update(("told", "written"))
    _sensor.set(0, 5700, float(n))


def setup(client, settings):
    next_value()
    client.add_object(_sensor)


def on_event(event):
    if event.type in (lwm2m.EVENT_OBSERVATION_STARTED, lwm2m.EVENT_OBSERVATION_NOTIFICATION_ACKED):
        _wanted.discard("told")
    elif event.type == lwm2m.EVENT_SERVER_SETTING_CHANGED:
        _wanted.discard("written")


def wake_ms():
    return 0 if _wanted else 8000


def on_wake(why):
    print("WOKEN", why)
    if {light}:
        next_value()
"""


class Sleeper(Board):
    """A board with flash and an account, between which and the server is a relay."""

    def __init__(self, folder, mode, server, n):
        super().__init__(folder)
        self.number = n
        self.starts = 0
        self.endpoint = f"sleeper-{n}"
        self.key = bytes([65 + n]) * 16
        self.mode = mode
        self.server = server
        self.relay = UdpRelay(server.port)
        (folder / "flash").touch()
        self.app(APP.format(path=str(folder / "start"), light=mode == "light"))
        (folder / "network.py").write_text(NETWORK.replace("self.calls < 3", "False"))
        identity = self.endpoint.encode()
        uri = f"coaps://127.0.0.1:{self.relay.port}"
        security = {0: uri, 1: False, 2: 0, 3: identity, 4: b"", 5: self.key, 10: 1}
        account = {0: 1, 1: 86400, 6: True, 7: "UQ"}
        sleep = {"mode": mode, "awake": 0}
        network = {"type": "wifi", "ssid": "lab", "password": "correct horse"}
        state = {0: {1: security}, 1: {1: account}}
        self.install(state, {"sleep": sleep, "network": network}, self.endpoint)
        (folder / "cut").touch()

    def __enter__(self):
        self.relay.__enter__()
        return self

    def __exit__(self, *exc):
        super().__exit__(*exc)
        self.relay.__exit__(*exc)

    def run(self, cut=0):
        """A start, until it sleeps, or is cut before that step; returns whether it was."""
        (self.folder / "cut").write_text(str(cut))
        self.starts += 1
        (self.folder / "start").write_text(str(1000 * self.starts))
        self.start(MINUTE_MS)
        if cut or self.mode == "deep":
            assert self.ended() == -signal.SIGKILL, self.said.text()
        else:
            self.said.wait_for("WOKEN")  # and has been awake once more
            self.said.wait_for("DOZE")
            self.stop()
        text = self.said.text()
        assert "Traceback" not in text and "crashed" not in text, text
        return not re.search("^SLEEP", text, re.M)

    def good(self):
        """A start that nothing cuts; returns how often it has registered."""
        self.run()
        told = re.findall(r"^VALUE (\d+)$", self.said.text(), re.M)[self.mode == "light"]
        self.server.says(f"value {self.endpoint} {float(told)}")
        return self.said.text().count("server 1: registering")

    def steps(self):
        """The names of the steps of the last start."""
        return re.findall(r"^STEP \d+ (.+)$", self.said.text(), re.M)

    def cut(self, step, power):
        """Cut it before that step. power: whether that is lost, or it is a reset."""
        cut = self.run(step)
        if power:
            self.lose_power()
        registered = self.good()
        # From deep sleep it goes on, where nothing has been cut.
        assert registered == (1 if cut or power or self.mode == "light" else 0), (step, power)


class SleepServer(Process):
    def __init__(self, folder):
        self.port = free_port()
        keys = {f"sleeper-{n}": (bytes([65 + n]) * 16).hex() for n in range(BOARDS)}
        (folder / "keys").write_text(json.dumps(keys))
        super().__init__("sleep_server.py", self.port, folder / "keys", heap="2M")
        self.wait_for("listening")

    def count(self, what, board):
        return sum(line.startswith(f"{what} {board.endpoint} ") for line in self.lines)


@pytest.fixture
def server(tmp_path):
    with SleepServer(tmp_path) as server:
        yield server


@pytest.mark.parametrize("mode", ["deep", "light"])
def test_power_is_lost_before_any_step(server, tmp_path, mode):
    with contextlib.ExitStack() as stack:
        boards = [
            stack.enter_context(Sleeper(tmp_path / f"board {n}", mode, server, n))
            for n in range(BOARDS)
        ]
        with ThreadPoolExecutor(BOARDS) as pool:
            assert list(pool.map(Sleeper.good, boards)) == [1] * BOARDS
            if mode == "deep":  # it wakes
                assert list(pool.map(Sleeper.good, boards)) == [0] * BOARDS
                # A notification and its acknowledgement, a Write and its answer, an Update and its answer.
                text = boards[0].said.text()
                assert text.count("server 1: updating") == 1, text
            names = boards[0].steps()
            wanted = {"deep": DEEP, "light": LIGHT}[mode]
            assert wanted <= set(names), names
            # Each that is named, and of those that are alike, every so many-th.
            cuts = []
            for n, name in enumerate(names):
                if name in wanted or n % STEP == 0:
                    kinds = (True, False) if STEP == 1 else (len(cuts) % 2 == 0,)
                    cuts += [(n + 1, power) for power in kinds]

            def sweep(board):
                for step, power in cuts[board.number :: BOARDS]:
                    board.cut(step, power)

            list(pool.map(sweep, boards))
        for board in boards:
            found = nonces(board.relay)
            assert len(set(found)) == len(found) and None not in {id for id, _, _ in found}
            if mode == "deep":
                sessions = len({id for id, _, _ in found})
                assert sessions == server.count("registered", board)
            (board.folder / "cut").unlink()
            accounts = board.factory("status")["accounts"]
            assert [account["short_id"] for account in accounts] == [1]
        print(f"{mode}: {len(cuts)} cuts before {len(names)} steps")
