"""Light sleep on an emulated RP2040: module device.sleep with the chip's own sleep, watchdog and timer.

Its serial line is USB's, which a host has: so the chip sleeps with interrupts that wake it, as a board does
that is plugged in.
"""

from builds.steps import ROOT

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
