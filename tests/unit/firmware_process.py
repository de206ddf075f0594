# firmware/main.py as a process of the unix port: firmware_process.py FOLDER MINUTE_MS COMMAND...
#
# What is no hardware is the real thing. Of the chip, FOLDER keeps what outlasts a reset: the word, as
# a file that a power cut removes; the factory area, if there is a folder "area"; and pins, as files.
# A reset ends the process by SIGKILL, as nothing less is like one; who has started it starts it again.
# COMMAND: run, or a function of device.factory with its arguments.

import io
import os
import sys

sys.path.pop(0)  # this folder's device.py is no package

import device.factory
import device.led
import device.port as port
import device.settings as settings

folder, minute_ms, command = sys.argv[1], int(sys.argv[2]), sys.argv[3]
settings.FOLDER = folder + "/lwm2m-store"
sys.path.insert(0, folder)


def get(name):
    try:
        with open(folder + "/" + name, "rb") as f:
            return f.read()
    except OSError:
        return None


def put(name, data):
    with open(folder + "/" + name, "wb") as f:
        f.write(data)


def remove(name):
    if get(name) is not None:
        os.remove(folder + "/" + name)


def reset():
    print("RESET")
    remove("cause")
    os.system("kill -9 $PPID")


def wipe():
    for name in (
        "lwm2m-store/0/accounts",
        "lwm2m-store/1/accounts",
        "lwm2m-store/crash",
        "app.py",
    ):
        remove(name)


class Watchdog:
    def feed(self):
        put("fed", b"")


port.load = lambda: int.from_bytes(get("word") or b"", "big")
port.save = lambda word: put("word", word.to_bytes(4, "big"))
port.cause = lambda kept: 0 if get("word") is None else int(get("cause") or 2)
port.watchdog = Watchdog
port.reset = reset
port.led = lambda pin: lambda value: None
port.button = lambda pin: lambda: int(get("pressed") is None)


def deepsleep(ms, pin):
    print("SLEEP", ms, pin)
    os.system("kill -9 $PPID")


def kept():
    data = get("rtc") or b""
    remove("rtc")
    return data


try:
    import device.power as power

    power.keep = lambda data: put("rtc", data)
    power.kept = kept
    power.deepsleep = deepsleep
    power.woken_by_pin = lambda: get("pressed") is not None
except ImportError:  # not of each role
    pass
port.serial_number = lambda: "e66038b713952135"


class Area:
    """As device.area."""

    def open(self):
        data = get("area/copy")
        if data is None:
            raise OSError(2)
        return io.BytesIO(data)

    def write(self, data):
        put("area/copy", data)

    def erase(self):
        remove("area/copy")

    def locked(self):
        return get("area/locked") is not None

    def lock(self):
        put("area/locked", b"")

    def unlock(self):
        remove("area/locked")


if "area" in os.listdir(folder):
    area = Area()
    settings.area = lambda: area
    try:
        import device.lock

        device.lock.wipe = wipe
    except ImportError:  # role minimal
        pass

if get("ntp_port"):
    import device.clock
    import time

    year = 2021

    class Time:
        gmtime = staticmethod(lambda: (year,))

    def set_clock(seconds):
        global year
        year = time.gmtime(seconds)[0]
        print("CLOCK", seconds)

    device.clock.time = Time
    device.clock.PORT = int(get("ntp_port"))
    device.clock.set_clock = set_clock

if command == "run":
    show = device.led.Led.show

    def told(self, state):
        if state != self.state:
            print("LED", state)
        show(self, state)

    device.led.Led.show = told
    import main

    main.run(port, minute_ms)
    print("REPL")
else:
    getattr(device.factory, command)(*sys.argv[4:])
