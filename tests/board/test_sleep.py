"""Sleep on an emulated RP2040: module device.sleep with the chip's own sleep, watchdog and timer; and a
client whose context is kept in flash, with light sleep between its times awake, and a power cut in each phase.

Its serial line is USB's, which a host has: so the chip sleeps with interrupts that wake it, as a board does
that is plugged in.
"""

import shutil

from builds.steps import ROOT
from harness.board import HOST_S, Board
from harness.keys import psk
from harness.processes import Servers
from harness.udp_relay import UdpRelay
from test_board import PPP
from test_resume import hellos, numbers

DEVICE = ROOT / "firmware" / "device"
CYCLES = 20
LONG_MS = 10000  # more than the watchdog waits

# Role client does not have the modules: what they define is put in their place.
PREPARE = """\
import sys, time, machine, lwm2m, device, device.port
def module(name, source):
    found = {"__name__": name}
    exec(source, found)
    sys.modules[name] = found = type("Module", (), found)
    return found
"""
SLEEP = f"""\
from device.guard import Guard
from lwm2m.net import now
from ucoap.engine import diff
guard = Guard(device.port)
guard.begin()
guard.watch()
sleep = Sleep.Sleep({{"mode": "light"}}, device.port, guard, None)
for n in range({CYCLES}):
    ms = 500 if n else {LONG_MS}
    since = now()
    why = sleep._light(ms, "update")
    passed = diff(now(), since)
    assert why == "update" and ms <= passed < ms + 4000, (n, passed)
guard.hold(60000)
print("slept")
"""


def test_light_sleep(board):
    program = PREPARE
    for name in ("power", "sleep"):
        source = (DEVICE / f"{name}.py").read_text()
        program += f"{name} = {name.title()} = module('device.{name}', {source!r})\n"
        program += f"device.{name} = {name}\n" if name == "power" else ""
    said, errors = board.repl(program + SLEEP)
    assert (said.split(), errors) == (["slept"], "")


ENDPOINT = "sleeper"
KEYS = psk("sleeper-1", bytes(range(0x61, 0x71)))

# What a time awake goes through. In removes and keeps a flash operation fails, else power goes between two.
PHASES = "read removes resumed sent answered suspended keeps kept".split()
CONTEXT = "context"
WAKE = (
    PPP
    + f"""\
import os, lwm2m, machine
from lwm2m.model import FLOAT, R, Object

def wake(value, cut=None):
    def phase(name):
        print(name)
        while name == cut and not machine.mem32[0x40070008]:  # see rp2040.mjs
            pass
    client = lwm2m.Client({ENDPOINT!r})
    client.add_object(Object(3303, (5700, R | FLOAT), {{0: {{5700: value}}}}))
    keys = {{3: {bytes.fromhex(KEYS.known["identity"].encode().hex())!r}, 5: bytes.fromhex({KEYS.known["key"]!r})}}
    client.add_server(1, "coaps://10.64.0.1:%d", lwm2m.SEC_PRE_SHARED_KEY, 300, True, keys)
    client.core.objects[1].instances[0][23] = False  # Mute Send
    try:
        with open({CONTEXT!r}, "rb") as f:
            data = f.read()
        phase("read")
        phase("removes")
        os.remove({CONTEXT!r})
    except OSError:
        data = b""
    print("goes on" if client.resume(data, 1) else "begins anew")
    phase("resumed")
    core, answers = client.core, []
    def until(done):
        while not done():
            client.step(0)
            time.sleep_ms(5)
    until(lambda: core.accounts and core.accounts[0].location)
    client.send(["/3303/0/5700"], lambda *answer: answers.append(answer))
    client.step(0)
    phase("sent")
    until(lambda: answers)
    phase("answered")
    until(lambda: core.engine.next_ms(client.net.now()) < 0)
    data = client.suspend()
    phase("suspended")
    phase("keeps")
    with open({CONTEXT!r}, "wb") as f:
        f.write(data)
    phase("kept")
"""
)


def test_context_in_flash(of_full, tmp_path) -> None:
    flash = shutil.copy(of_full, tmp_path / "flash.bin")
    clients = {ENDPOINT: KEYS}
    with Servers(clients, clients) as servers, UdpRelay(servers.port) as relay, Board(
        flash
    ) as board:

        def sent(value: float) -> None:
            while servers.wait_event("SENT", HOST_S, endpoint=ENDPOINT)["values"][0][1] != value:
                pass

        board.run(f"with open('wake.py', 'w') as f: f.write({WAKE % relay.port!r})")
        board.begin(
            "import machine\nfrom wake import wake\n"
            f"for n in range({CYCLES}):\n    wake(n)\n    machine.lightsleep(500)\n"
        )
        for n in range(CYCLES):
            board.expect("goes on" if n else "begins anew", HOST_S)
            board.expect("kept", HOST_S)
            sent(n)
        assert not board.end(HOST_S)[1]
        assert hellos(relay) == 1

        # Each start has a whole time awake, and one that power cuts.
        anew = 1
        for n, cut in enumerate(PHASES):
            board.kill()
            board.start()
            value = CYCLES + 2 * n
            board.begin(f"from wake import wake\nwake({value})\nwake({value + 1}, {cut!r})")
            begun = board.expect("goes on|begins anew", HOST_S)[0]
            before = PHASES[n - 1]
            if before != "removes":  # either way is right
                assert begun == (b"goes on" if before in ("read", "kept") else b"begins anew"), cut
            anew += begun == b"begins anew"
            board.expect("kept", HOST_S)
            sent(value)
            board.expect(cut, HOST_S)
            if cut in ("removes", "keeps"):
                board.cut(0)
                board.word(1)
                board.wait_cut(HOST_S)
        found = numbers(relay)
        assert len(set(found)) == len(found) > 2 * CYCLES
        assert hellos(relay) == anew == servers.names().count("REGISTERED")
