# The network: Wi-Fi, Ethernet, or PPP to a modem, as the factory's settings say.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Nothing here waits. What fails is tried again after 1 s, 2, 4, …, 300 s, for ever: a network that
# is away is no reason for a reset. The wait begins anew when the network was up for a minute.

from micropython import const
from ucoap.engine import diff

_MASK = const(0x3FFFFFFF)

_WAITING = const(0)
_CHATTING = const(1)
_JOINING = const(2)
_UP = const(3)

_MAX_WAIT = const(300)  # s
_JOIN_MS = const(60000)  # to get an address
_STEADY_MS = const(60000)

# What a modem says where a step of the chat fails.
_FAILURES = (b"ERROR", b"NO CARRIER", b"NO DIALTONE", b"BUSY")


class Backoff:
    """Waits that grow: 1, 2, 4, …, 300 s."""

    def __init__(self):
        self.reset()

    def reset(self):
        self._wait = 1
        self.due = None  # ms; None for now

    def fail(self, now):
        """Something has failed at that time (ms, masked to 30 bits)."""
        self.due = now + self._wait * 1000 & _MASK
        self._wait = min(self._wait * 2, _MAX_WAIT)

    def is_due(self, now):
        return self.due is None or diff(now, self.due) >= 0


class Link:
    """Keeps the network up.

    values: the setting "network". network, machine: the modules of these names. refused: whether a
    modem's PIN was refused before; on_refused(): it is now. on_fault(exception): why an attempt failed.
    """

    def __init__(self, values, network, machine, refused=False, on_refused=None, on_fault=None):
        self._values = values
        self._network = network
        self._machine = machine
        self._refused = refused
        self._on_refused = on_refused
        self._on_fault = on_fault
        self._state = _UP if values["type"] == "none" else _WAITING
        self._backoff = Backoff()
        self._since = 0  # ms, of the state
        self._nic = None
        self._uart = None
        self._steps = None  # of the chat, that are left
        self._heard = b""  # in this step
        self._said = False

    def poll(self, now):
        """Do what is due. Returns whether the network is up. now: ms, masked to 30 bits."""
        try:
            self._poll(now)
        except Exception as e:  # what drivers raise: OSError, RuntimeError, ValueError of a pin, …
            self._backoff.fail(now)
            self._enter(_WAITING, now)
            try:
                self._stop()
            except Exception:
                pass
            if self._on_fault:
                self._on_fault(e)
        return self._state == _UP

    def _enter(self, state, now):
        self._state = state
        self._since = now

    def _poll(self, now):
        if self._values["type"] == "none":
            return
        for_ms = diff(now, self._since)
        if self._state == _WAITING:
            if self._backoff.is_due(now):
                self._start(now)
        elif self._state == _CHATTING:
            if self._chat(for_ms, now):
                self._nic = self._network.PPP(self._uart)
                self._nic.connect()
                self._enter(_JOINING, now)
        elif self._state == _JOINING:
            if self._nic.isconnected():
                self._enter(_UP, now)
            elif for_ms >= _JOIN_MS:
                raise OSError(110)  # ETIMEDOUT
        elif not self._nic.isconnected():
            if for_ms >= _STEADY_MS:
                self._backoff.reset()
            raise OSError(113)  # EHOSTUNREACH
        elif for_ms >= _STEADY_MS:
            self._since = now - _STEADY_MS & _MASK  # a difference of times tells six days

    def _start(self, now):
        values = self._values
        kind = values["type"]
        if kind == "ppp":
            if self._refused:
                raise OSError(13)  # EACCES
            self._steps = self._script()
            self._begin_step()
            self._uart = self._open_uart()
            return self._enter(_CHATTING, now)
        network = self._network
        if kind == "wifi":
            if values.get("country"):
                network.country(values["country"])
            self._nic = network.WLAN(network.STA_IF)
        elif kind == "ethernet":
            self._nic = self._nic or self._ethernet()
        else:
            raise ValueError("no network of type %s" % kind)
        self._nic.active(True)
        address = values.get("address", "dhcp")
        if address != "dhcp":
            names = "ip", "mask", "gateway", "dns"
            self._nic.ifconfig(tuple([address[name] for name in names]))
        if kind == "wifi":
            if values.get("password"):
                self._nic.connect(values["ssid"], values["password"])
            else:
                self._nic.connect(values["ssid"])
        self._enter(_JOINING, now)

    def _stop(self):
        # A driver that is left connecting refuses to begin again.
        nic = self._nic
        if self._uart:
            self._nic = None
            if nic:
                nic.__del__()  # at once: who calls disconnect() waits for the peer's answer
            self._uart.deinit()
            self._uart = None
        elif nic and self._values["type"] == "wifi":
            nic.disconnect()

    def _ethernet(self):
        # An ESP32 has LAN for all chips; an RP2040 has WIZNET5K. Settings are their arguments.
        network, machine = self._network, self._machine
        values = {}
        for name in self._values:
            value = self._values[name]
            if name in ("mdc", "mdio", "reset", "power", "cs", "int", "ref_clk"):
                value = machine.Pin(value)
            elif name == "phy_type":
                value = getattr(network, "PHY_" + value)
            elif name == "spi":  # a list: number, and pins sck, mosi, miso
                sck, mosi, miso = [machine.Pin(n) for n in value[1:]]
                value = machine.SPI(value[0], sck=sck, mosi=mosi, miso=miso)
            elif name == "type" or name == "address":
                continue
            values[name] = value
        if hasattr(network, "WIZNET5K"):
            return network.WIZNET5K(values["spi"], values["cs"], values["reset"])
        return network.LAN(**values)

    # --- A modem

    def _open_uart(self):
        values, machine = self._values, self._machine
        pins = {
            name: machine.Pin(values[name])
            for name in ("tx", "rx", "rts", "cts")
            if values.get(name) is not None
        }
        flow = machine.UART.RTS * ("rts" in pins) | machine.UART.CTS * ("cts" in pins)
        baud = values.get("baud", 115200)
        # PPP takes what comes by the UART's interrupt, which must not find it sending: hence a tx
        # buffer for a whole datagram. And hence nothing here calls PPP.poll().
        return machine.UART(
            values["uart"], baudrate=baud, rxbuf=2048, txbuf=2048, flow=flow, **pins
        )

    def _script(self):
        # [send, expect, s]. Without anything to expect, the time is let pass.
        values = self._values
        if values.get("chat") is not None:
            return list(values["chat"])
        steps = [
            ("+++", "", 2),  # out of a connection that a reset has left
            ("ATH", "", 1),
            ("ATE0", "OK", 2),
            ("AT+CPIN?", "OK", 5),
        ]
        if values.get("apn"):
            steps.append(('AT+CGDCONT=1,"IP","%s"' % values["apn"], "OK", 5))
        steps.append(("ATD*99#", "CONNECT", 60))
        return steps

    def _begin_step(self):
        self._said = False
        self._heard = b""

    def _chat(self, for_ms, now):
        # Whether it is over.
        if not self._steps:
            return True
        send, expect, seconds = self._steps[0]
        if not self._said:
            self._said = True
            self._since = now
            if send:
                self._uart.write(send if send == "+++" else send + "\r")
            return False
        # One by one, as what follows CONNECT belongs to PPP.
        while self._uart.any():
            self._heard = (self._heard + self._uart.read(1))[-256:]
            if expect and self._heard.endswith(expect.encode()):
                return self._next(send)
            for failure in _FAILURES if expect else ():
                if self._heard.endswith(failure):
                    self._wrong(send)
        if for_ms >= seconds * 1000:
            if expect:
                self._wrong(send)
            return self._next(send)
        return False

    def _next(self, send):
        self._steps.pop(0)
        if send == "AT+CPIN?":
            if b"SIM PIN" in self._heard:
                self._steps.insert(0, ('AT+CPIN="%s"' % self._values.get("pin", ""), "OK", 10))
            elif b"READY" not in self._heard:  # it wants the PUK
                self._wrong("AT+CPIN=")
        self._begin_step()
        return not self._steps

    def _wrong(self, send):
        # Three wrong PINs lock a SIM: there is one attempt.
        if send.startswith("AT+CPIN="):
            self._refused = True
            if self._on_refused:
                self._on_refused()
            raise OSError(13)
        raise OSError(5)
