# The network: what each kind of interface is told, growing waits, and a modem's chat.

import device.link as link
from chip import Machine, Module, Network, Uart
from device.link import Link

WIFI = {"type": "wifi", "ssid": "line 3", "password": "correct horse", "address": "dhcp"}
STATIC = {"ip": "192.0.2.7", "mask": "255.255.255.0", "gateway": "192.0.2.1", "dns": "192.0.2.2"}
PPP = {"type": "ppp", "uart": 1, "tx": 4, "rx": 5, "apn": "iot.example", "pin": "1234"}
MASK = 0x3FFFFFFF


class Run:
    """A Link, and a clock that begins shortly before it wraps."""

    def __init__(self, values, network=None, machine=None, **args):
        self.network = network or Network()
        self.faults = []
        self.ms = 0
        self.link = Link(
            values, self.network, machine or Machine(), on_fault=self.faults.append, **args
        )

    def poll(self):
        return self.link.poll(MASK - 5000 + self.ms & MASK)

    def until(self, reached, ms):
        """Poll each 100 ms until reached(); how long it took, ms. Not longer than ms."""
        began = self.ms
        while not reached():
            assert self.ms - began <= ms, "not reached"
            self.poll()
            self.ms += 100
        return self.ms - began


def test_none():
    run = Run({"type": "none"})
    assert run.poll() and run.poll()


def test_wifi():
    for country in (None, "DE"):
        values = dict(WIFI)
        if country:
            values["country"] = country
        run = Run(values)
        assert not run.poll()
        nic = run.network.nics[0]
        assert nic.calls == [
            ("active", True, country or "XX"),  # set before that
            ("connect", "line 3", "correct horse"),
        ]
        assert not run.poll()
        nic.up = True
        assert run.poll() and run.poll()
        assert len(nic.calls) == 2 and not run.faults


def test_wifi_static_and_open():
    run = Run({"type": "wifi", "ssid": "x", "address": STATIC})
    run.poll()
    config = ("192.0.2.7", "255.255.255.0", "192.0.2.1", "192.0.2.2")
    assert run.network.nics[0].calls == [
        ("active", True, "XX"),
        ("ifconfig", config),
        ("connect", "x"),
    ]


def test_waits_grow():
    run = Run(WIFI)
    run.poll()
    nic = run.network.nics[0]
    nic.calls.clear()
    nic.fault = OSError(12295)  # ESP32: Wifi Internal Error

    def attempts():
        return sum([call[0] == "connect" for call in nic.calls])

    # The first was let connect, and had a minute; then there is a second, less or more a quarter.
    assert run.until(lambda: attempts() == 1, 62000) >= 60750
    for n in range(2, 12):
        wait = min(1 << n - 1, 300) * 1000
        took = run.until(lambda: attempts() == n, 400000)
        assert wait * 3 // 4 <= took <= wait * 5 // 4 + 200, (n, took)
    assert len(run.faults) == 12  # the time-out, and those
    # It never gives up, and is there at once when the network is.
    nic.fault = None
    run.until(lambda: attempts() == 12, 400000)
    nic.up = True
    assert run.poll()


def test_lost():
    run = Run(WIFI)
    run.poll()
    nic = run.network.nics[0]
    nic.up = True
    assert run.poll()
    # At once: it counts as one more failure. After a minute: the waits begin anew.
    for up_ms, expected in ((0, 1), (30000, 2), (59000, 4), (61000, 1), (7 * 86400000, 1)):
        step = 86400000 if up_ms > 86400000 else 1000
        for _ in range(up_ms // step):
            run.ms += step
            assert run.poll()
        nic.up = False
        nic.calls.clear()
        took = run.until(lambda: any(call[0] == "connect" for call in nic.calls), 10000)
        assert expected * 750 <= took <= expected * 1250 + 200, (up_ms, took)
        nic.up = True
        assert run.poll()
    assert nic.calls[0] == ("disconnect",)


# Numbers of WLAN.status(): ESP32's are the driver's reasons (ports/esp32/modnetwork_globals.h), a Pico W's
# the states of cyw43.h.
ESP32 = {
    "STAT_IDLE": 1000,
    "STAT_NO_AP_FOUND": 201,
    "STAT_WRONG_PASSWORD": 202,
    "STAT_BEACON_TIMEOUT": 200,
}
PICO_W = {
    "STAT_IDLE": 0,
    "STAT_NO_AP_FOUND": -2,
    "STAT_WRONG_PASSWORD": -3,
    "STAT_CONNECT_FAIL": -1,
}


def test_wifi_says_why():
    for names, told, lost, words in (
        (ESP32, 201, False, "Wi-Fi finds no such network"),
        (ESP32, 202, False, "Wi-Fi password is wrong"),
        (ESP32, 200, True, "Wi-Fi access point is gone"),
        (ESP32, 1001, False, 110),
        (ESP32, 2, False, 110),  # AUTH_EXPIRE, for which there is no name
        (PICO_W, -2, False, "Wi-Fi finds no such network"),
        (PICO_W, -3, False, "Wi-Fi password is wrong"),
        (PICO_W, -1, False, "Wi-Fi access point refuses"),
        (PICO_W, 2, False, "Wi-Fi gets no address: does DHCP answer?"),
        (PICO_W, 1, False, 110),
        (PICO_W, 0, True, 113),
    ):
        run = Run(WIFI)
        for name in names:
            setattr(run.network, name, names[name])
        run.poll()
        nic = run.network.nics[0]
        nic.told = told
        nic.up = lost
        assert run.poll() == lost
        nic.up = False
        run.until(lambda: run.faults, 62000)
        assert [type(e) for e in run.faults] == [OSError] and run.faults[0].errno == words
        assert nic.calls[-1] == ("disconnect",)


def test_what_the_driver_raises_stays_as_it_is():
    for fault in (OSError("Wifi Internal State Error"), RuntimeError("Wifi Unknown Error 0x1")):
        run = Run(WIFI)
        run.network.WLAN(0).fault = fault
        run.poll()
        assert run.faults == [fault]


def test_bad_settings_are_a_fault_and_no_exception():
    run = Run({"type": "pigeon"})
    for _ in range(20):
        assert not run.poll()
        run.ms += 1000
    assert 3 <= len(run.faults) <= 5 and isinstance(run.faults[0], ValueError)


def test_ethernet_of_an_esp32():
    values = {"type": "ethernet", "address": "dhcp", "phy_type": "LAN8720", "phy_addr": 1}
    values.update({"mdc": 23, "mdio": 18, "power": 12})
    run = Run(values)
    run.poll()
    assert run.network.args == [
        {"phy_type": 7, "phy_addr": 1, "mdc": "pin 23", "mdio": "pin 18", "power": "pin 12"}
    ]
    nic = run.network.nics[0]
    assert nic.calls == [("active", True, "XX")]
    nic.up = True
    assert run.poll()
    # The interface is made once.
    nic.up = False
    run.until(lambda: len(nic.calls) == 2, 5000)
    assert len(run.network.nics) == 1


def test_ethernet_of_an_rp2040():
    made = []
    network = Network()

    def wiznet(*args):
        made.append(args)
        return network._new()

    network.WIZNET5K = wiznet
    values = {"type": "ethernet", "address": STATIC, "spi": [0, 18, 19, 16], "cs": 17, "reset": 20}
    run = Run(values, network)
    run.poll()
    spi = (0, {"sck": "pin 18", "mosi": "pin 19", "miso": "pin 16"})
    assert made == [(spi, "pin 17", "pin 20")]
    assert network.nics[0].calls[1][0] == "ifconfig"


# --- A modem

ANSWERS = {
    "ATE0\r": b"ATE0\r\r\nOK\r\n",
    "AT+CPIN?\r": b"\r\n+CPIN: READY\r\n\r\nOK\r\n",
    'AT+CGDCONT=1,"IP","iot.example"\r': b"\r\nOK\r\n",
    "ATD*99#\r": b"\r\nCONNECT 150000000\r\n~\xff}#",
}
TOLD = [
    "+++",
    "ATH\r",
    "ATE0\r",
    "AT+CPIN?\r",
    'AT+CGDCONT=1,"IP","iot.example"\r',
    "ATD*99#\r",
]


def answers(**changed):
    found = dict(ANSWERS)
    for told in changed:
        found[{"cpin": "AT+CPIN?\r", "pin": 'AT+CPIN="1234"\r', "dial": "ATD*99#\r"}[told]] = (
            changed[told]
        )
    return found


def dialled(run):
    return bool(run.network.nics)


def test_modem():
    machine = Machine(ANSWERS)
    run = Run(PPP, None, machine)
    took = run.until(lambda: dialled(run), 10000)
    assert 3000 <= took <= 4500
    uart = Uart.opened[0]
    assert uart.number == 1
    assert uart.args == {
        "baudrate": 115200,
        "rxbuf": 2048,
        "txbuf": 2048,
        "flow": 0,
        "tx": "pin 4",
        "rx": "pin 5",
    }
    assert uart.told == TOLD
    # What follows CONNECT is PPP's.
    assert uart.left == b" 150000000\r\n~\xff}#"
    assert run.network.args == [uart]
    nic = run.network.nics[0]
    assert nic.calls == [("connect",)]
    nic.up = True
    assert run.poll()
    # It hangs up: the next attempt is all anew.
    nic.up = False
    assert not run.poll()
    assert nic.calls == [("connect",), ("del",)] and not uart.open
    run.until(lambda: len(run.network.nics) == 2, 10000)
    assert Uart.opened[1].told == TOLD


def test_modem_with_flow_control_and_no_chat():
    values = dict(PPP, rts=6, cts=7, baud=921600, chat=[])
    run = Run(values)
    run.until(lambda: dialled(run), 1000)
    uart = Uart.opened[0]
    assert uart.args["flow"] == Machine.UART.RTS | Machine.UART.CTS
    assert (uart.args["rts"], uart.args["cts"]) == ("pin 6", "pin 7")
    assert uart.args["baudrate"] == 921600 and uart.told == []
    run = Run(dict(PPP, rts=6, chat=[]))
    run.poll()
    assert Uart.opened[0].args["flow"] == Machine.UART.RTS


def test_modem_with_user_and_password():
    for auth, security in (("pap", 1), ("chap", 2), (None, 1)):
        values = dict(PPP, chat=[], user="iot", password="")
        if auth:
            values["auth"] = auth
        run = Run(values)
        run.until(lambda: dialled(run), 1000)
        told = {"security": security, "user": "iot", "key": ""}
        assert run.network.nics[0].calls == [("connect", told)]


def test_what_a_chat_asks_of_the_network():
    script = [
        ["AT", "OK", 1],
        ["AT+CSQ", "OK", 1],
        ["AT+COPS?", "OK", 1],
        ["ATD*99#", "CONNECT", 5],
    ]
    signal = b"AT+CSQ\r\r\n+CSQ: 17,99\r\n\r\nOK"
    name = b'\r\n+COPS: 0,2,"26201",7\r\n\r\nOK'
    machine = Machine(
        {"AT\r": b"OK", "AT+CSQ\r": signal, "AT+COPS?\r": name, "ATD*99#\r": b"CONNECT\r\n"}
    )
    run = Run(dict(PPP, chat=script), None, machine)
    assert run.link.said() == {}
    run.until(lambda: dialled(run), 5000)
    assert run.link.said() == {"AT+CSQ": signal, "AT+COPS?": name}
    run = Run(WIFI)
    run.poll()
    assert run.link.said() == {}


def test_chat_script():
    script = [["AT", "OK", 1], ["", "RING", 3], ["ATA", "CONNECT", 5]]
    machine = Machine({"AT\r": b"OK\r\n\r\nRI", "ATA\r": b"CONNECT\r\n"})
    run = Run(dict(PPP, chat=script), None, machine)
    run.until(lambda: Uart.opened and Uart.opened[0].told == ["AT\r"], 1000)
    run.until(lambda: not Uart.opened[0].left, 1000)
    assert not dialled(run)
    Uart.opened[0].left = b"NG\r\n"  # in two parts
    run.until(lambda: dialled(run), 1000)
    assert Uart.opened[0].told == ["AT\r", "ATA\r"]
    # And when it does not come.
    machine = Machine({"AT\r": b"OK\r\n"})
    run = Run(dict(PPP, chat=script), None, machine)
    took = run.until(lambda: run.faults, 10000)
    assert 3000 <= took <= 3500 and not Uart.opened[0].open


def test_modem_refuses():
    for said in (
        b"\r\nERROR\r\n",
        b"\r\nNO CARRIER\r\n",
        b"\r\nBUSY\r\n",
        b"\r\n+CME ERROR: 3\r\n",
    ):
        machine = Machine(answers(dial=said))
        run = Run(PPP, None, machine)
        assert run.until(lambda: run.faults, 10000) < 5000  # not after 60 s
        assert not dialled(run) and not Uart.opened[0].open
        run.until(lambda: len(run.faults) == 2, 10000)


def test_modem_is_silent():
    run = Run(PPP)
    run.until(lambda: run.faults, 10000)
    assert Uart.opened[0].told == TOLD[:3] and not Uart.opened[0].open
    # For ever, with growing waits.
    run.until(lambda: len(run.faults) == 11, 2000000)


PIN_WANTED = b"\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n"


def test_pin():
    run = Run(PPP, None, Machine(answers(cpin=PIN_WANTED, pin=b"\r\nOK\r\n")))
    run.until(lambda: dialled(run), 10000)
    assert Uart.opened[0].told == TOLD[:4] + ['AT+CPIN="1234"\r'] + TOLD[4:]


def test_a_wrong_pin_is_tried_once():
    refused = []
    run = Run(
        PPP,
        None,
        Machine(answers(cpin=PIN_WANTED, pin=b"\r\n+CME ERROR: incorrect password\r\n")),
        on_refused=lambda: refused.append(1),
    )
    run.until(lambda: len(run.faults) == 10, 2000000)
    assert sum([uart.told.count('AT+CPIN="1234"\r') for uart in Uart.opened]) == 1
    assert refused == [1] and not dialled(run)
    # Nor in later starts.
    run = Run(PPP, None, Machine(), refused=True)
    run.until(lambda: len(run.faults) == 5, 100000)
    assert not Uart.opened


def test_puk():
    refused = []
    run = Run(
        PPP,
        None,
        Machine(answers(cpin=b"\r\n+CPIN: SIM PUK\r\n\r\nOK\r\n")),
        on_refused=lambda: refused.append(1),
    )
    run.until(lambda: len(run.faults) == 3, 100000)
    assert refused == [1] and len(Uart.opened) == 1


def test_what_a_driver_raises():
    # Whatever a driver raises, it is tried again.
    run = Run(WIFI, Module(STA_IF=0))
    run.until(lambda: len(run.faults) == 3, 10000)
    assert isinstance(run.faults[0], AttributeError)


def test_backoff():
    backoff = link.Backoff()
    assert backoff.is_due(0)
    now = MASK - 100
    backoff.fail(now)
    assert not backoff.is_due(now) and not backoff.is_due(now + 749 & MASK)
    assert backoff.is_due(now + 1250 & MASK)
    backoff.fail(now)
    assert not backoff.is_due(now + 1499 & MASK)
    assert backoff.is_due(now + 2500 & MASK)
    # Not two in step.
    due = set()
    for _ in range(20):
        backoff.reset()
        backoff.fail(0)
        due.add(backoff.due)
    assert len(due) > 10
    backoff.reset()
    assert backoff.is_due(now)


class Calls:
    """What a Gate tells a client, its core and its net; it is one that is bootstrapped just then."""

    context = None
    state = 1
    accounts = ()

    def __init__(self):
        self.calls = []
        self.core = self.net = self

    def remove(self, core):
        self.calls.append("held")

    def address(self):
        return ""

    def offline(self):
        self.calls.append("offline")

    def online(self):
        self.calls.append("online")


def test_gate():
    client = Calls()
    gate = link.Gate(client, client)
    now = MASK - 5000
    assert not gate.poll(False, now)
    assert gate.poll(True, now + 60000 & MASK)  # after a reset there is no wait
    assert client.calls == []
    # Away for an hour, or nine days: back within 15 minutes, and not two in step.
    for minutes in (60, 9 * 1440):
        waits = set()
        for _ in range(20):
            client.calls.clear()
            assert gate.poll(True, now)
            for _ in range(minutes + 1):
                assert not gate.poll(False, now)
                now = now + 60000 & MASK
            assert client.calls == ["held"]
            wait = 0
            while not gate.poll(True, now):
                now = now + 1000 & MASK
                wait += 1
            assert client.calls == ["held", "offline", "online"]
            waits.add(wait)
        assert len(waits) > 10 and max(waits) <= 901 and max(waits) > 450, waits
    # Away for a moment: it is as short.
    assert not gate.poll(False, now)
    gate.poll(True, now + 1000 & MASK)
    assert gate.poll(True, now + 2000 & MASK)
    # It goes again while the client waits.
    client.calls.clear()
    assert not gate.poll(False, now)
    assert not gate.poll(False, now + 600000 & MASK)
    gate.poll(True, now + 600000 & MASK)
    gate.poll(False, now + 600000 & MASK)
    assert client.calls.count("held") - client.calls.count("online") == 1
