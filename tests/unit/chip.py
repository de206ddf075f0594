# A board's hardware where there is none: what device.port is, and modules network and machine, for
# tests under the unix port. Time is passed on by the test.


class Port:
    """As device.port. What outlasts a reset is in `kept`; restart() is one."""

    def __init__(self):
        self.word = 0x15555555  # what power leaves there is random
        self.why = 0  # power
        self.resets = 0
        self.watchdogs = []
        self.callback = None
        self.lit = []  # what the LED was set to
        self.rtc = b""  # what deep sleep keeps
        self.slept = []  # ms, of each lightsleep(), and (ms, pin) of each deepsleep()
        self.by_pin = False
        self.put_on = []  # s, by which the clock was put on
        self.pins = {}

    def load(self):
        return self.word

    def save(self, word):
        assert 0 <= word < 1 << 30
        self.word = word

    def cause(self, kept):
        return self.why

    def watched(self, before):
        return before

    def watchdog(self):
        self.watchdogs.append(Watchdog())
        return self.watchdogs[-1]

    def every(self, ms, callback):
        self.callback = callback

    def keep(self, data):
        self.rtc = data if len(data) <= 2044 else b""

    def kept(self):
        data = self.rtc
        self.rtc = b""
        return data

    def lightsleep(self, ms):
        self.slept.append(ms)
        self.pass_time(ms)

    def pass_time(self, ms):
        pass

    def deepsleep(self, ms, pin):
        self.slept.append((ms, pin))
        raise Restart

    def woken_by_pin(self):
        return self.by_pin

    def set_time(self, seconds):
        self.put_on.append(seconds)

    def reset(self):
        self.resets += 1
        self.why = 2
        raise Restart

    def led(self, pin):
        return self.lit.append

    def button(self, pin):
        return self.pins[pin]

    def serial_number(self):
        return "e66038b713952135"

    def version(self):
        return "0.1.0"

    def memory(self):
        return 150000, 200000


class Restart(BaseException):
    pass


class Watchdog:
    def __init__(self):
        self.fed = 0

    def feed(self):
        self.fed += 1


class Nic:
    """An interface that comes up when the test lets it."""

    SEC_PAP = 1  # of PPP's, as lwIP numbers them
    SEC_CHAP = 2

    def __init__(self, network):
        self.network = network
        self.calls = []
        self.up = False
        self.fault = None
        self.told = None  # by status()

    def active(self, on):
        self.calls.append(("active", on, self.network.country_code))

    def ifconfig(self, config):
        self.calls.append(("ifconfig", config))

    def connect(self, *args, **named):
        self.calls.append(("connect",) + args + ((named,) if named else ()))
        if self.fault:
            raise self.fault

    def disconnect(self):
        self.calls.append(("disconnect",))

    def isconnected(self):
        return self.up

    def status(self):
        return self.told

    def __del__(self):
        self.calls.append(("del",))


class Network:
    """Module network of an ESP32 or a Pico W; nics has every interface that was made."""

    STA_IF = 0
    PHY_LAN8720 = 7

    def __init__(self):
        self.nics = []
        self.args = []
        self.country_code = "XX"
        self._wlan = None

    def country(self, code):
        self.country_code = code

    def WLAN(self, which):
        self._wlan = self._wlan or self._new()
        return self._wlan

    def LAN(self, **args):
        self.args.append(args)
        return self._new()

    def PPP(self, stream):
        self.args.append(stream)
        return self._new()

    def _new(self):
        self.nics.append(Nic(self))
        return self.nics[-1]


class Uart:
    """A modem: answers {what it is told: what it says}."""

    RTS = 1
    CTS = 2

    def __init__(self, number, **args):
        self.args = args
        self.number = number
        self.open = True
        self.told = []
        self.left = b""
        Uart.opened.append(self)

    def write(self, text):
        self.told.append(text)
        self.left += Uart.answers.get(text, b"")

    def any(self):
        return len(self.left)

    def read(self, n):
        data, self.left = self.left[:n], self.left[n:]
        return data

    def deinit(self):
        self.open = False


class Machine:
    """Module machine."""

    UART = Uart

    def __init__(self, answers=None):
        Uart.opened = []
        Uart.answers = answers or {}

    def Pin(self, n):
        return "pin %d" % n

    def SPI(self, number, **pins):
        return (number, pins)


class Module:
    """A module with these names, of a chip other than the above."""

    def __init__(self, **names):
        for name in names:
            setattr(self, name, names[name])
