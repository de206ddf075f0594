# firmware/main.py as a process of the unix port: firmware_process.py FOLDER MINUTE_MS COMMAND...
#
# What is no hardware is the real thing. Of the chip, FOLDER keeps what outlasts a reset: the word, as
# a file that a power cut removes; the factory area, if there is a folder "area"; flash with littlefs, if
# there is a file "flash", else the accounts are files here; what outlasts deep sleep; and pins, as files.
# A reset ends the process by SIGKILL, as nothing less is like one; who has started it starts it again.
# A file "cut" has the number of the step, from 1, before which power is lost, or 0: steps are the operations
# of flash, what outlasts a reset or a sleep, and datagrams of DTLS. Each is told then.
# COMMAND: run, or a function of device.factory with its arguments.

import io
import os
import sys
import time

sys.path.pop(0)  # this folder's device.py is no package

import device.factory
import device.led
import device.port as port
import device.settings as settings
import lwm2m.net

folder, minute_ms, command = sys.argv[1], int(sys.argv[2]), sys.argv[3]
settings.FOLDER = folder + "/lwm2m-store"
sys.path.insert(0, folder)


slept_ms = 0  # what lightsleep() lets pass


def now():
    return time.ticks_ms() + slept_ms & 0x3FFFFFFF


lwm2m.net.now = now  # before device.sleep takes it from there
lwm2m.net.Net.now = staticmethod(now)


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


def die():
    os.system("kill -9 $PPID")


def reset():
    try:
        print("RESET")
        remove("cause")
    finally:  # a chip wants no memory for it
        die()


steps = 0
cut = get("cut")


def step(name):
    global steps
    if cut is not None:
        steps += 1
        print("STEP", steps, name)
        if steps == int(cut):
            die()


class Disk:
    """Flash, as VfsLfs2 has it."""

    SIZE = 4096
    COUNT = 64

    def __init__(self, name):
        self._file = open(name, "r+b")

    def readblocks(self, n, buf, at=0):
        self._file.seek(n * self.SIZE + at)
        self._file.readinto(buf)
        return 0

    def writeblocks(self, n, buf, at=0):
        # Half of it is what a cut may leave, too.
        half = len(buf) // 2
        for name, start, end in (("program", 0, half), ("program half", half, len(buf))):
            step(name)
            self._file.seek(n * self.SIZE + at + start)
            self._file.write(memoryview(buf)[start:end])
        return 0

    def ioctl(self, what, arg):
        if what == 6:
            step("erase")
            self._file.seek(arg * self.SIZE)
            self._file.write(b"\xff" * self.SIZE)
            return 0
        return {4: self.COUNT, 5: self.SIZE}.get(what, 0)


if "flash" in os.listdir(folder):
    import vfs

    disk = Disk(folder + "/flash")
    if not os.stat(folder + "/flash")[6]:
        vfs.VfsLfs2.mkfs(disk)
    vfs.mount(disk, "/flash")
    settings.FOLDER = "/flash/lwm2m-store"
    if command == "install":  # it comes over the serial line
        with open(sys.argv[4], "rb") as source:
            data = source.read()
        try:
            os.mkdir(settings.FOLDER)
        except OSError:
            pass
        with open(settings.FOLDER + "/new", "wb") as f:
            f.write(data)
        sys.argv[4] = settings.FOLDER + "/new"

if cut is not None:
    from lwm2m.dtls import Session

    write = Session.write
    receive = Session.receive

    def counted_write(self, buf):
        step("sends")
        n = write(self, buf)
        step("sent")
        return n

    def counted_receive(self, peer, data, now):
        if data is not None:
            step("hears")
        receive(self, peer, data, now)
        if data is not None:
            step("heard")

    Session.write = counted_write
    Session.receive = counted_receive


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


def save(word):
    step("word")
    put("word", word.to_bytes(4, "big"))


port.load = lambda: int.from_bytes(get("word") or b"", "big")
port.save = save
port.cause = lambda kept: 0 if get("word") is None else int(get("cause") or 2)
port.watchdog = Watchdog
port.reset = reset
port.led = lambda pin: lambda value: None
port.button = lambda pin: lambda: int(get("pressed") is None)


asleep = get("asleep") is not None  # the chip has slept; only then is there something kept
remove("asleep")


def deepsleep(ms, pin):
    step("sleeps")
    put("asleep", b"")
    print("SLEEP", ms, pin)
    die()


def lightsleep(ms):
    global slept_ms
    step("sleeps")
    slept_ms += ms
    print("DOZE", ms)
    step("wakes")


def keep(data):
    step("keeps")
    put("rtc", data[: len(data) // 2])
    step("keeps half")
    put("rtc", data)
    step("kept")


def kept():
    if not asleep:
        return b""
    data = get("rtc") or b""
    step("forgets")
    remove("rtc")
    step("forgot")
    return data


try:
    import device.power as power

    power.keep = keep
    power.kept = kept
    power.deepsleep = deepsleep
    power.lightsleep = lightsleep
    power.set_time = lambda seconds: None
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
