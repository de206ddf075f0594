# PPP to a modem on a UART, for module link.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap.engine import diff

# What a modem says where a step of the chat fails.
_FAILURES = const((b"ERROR", b"NO CARRIER", b"NO DIALTONE", b"BUSY"))


def open_uart(values, machine):
    """The UART of a modem. values: the setting "network". machine: the module.

    Raises what the port does where its chip has no such UART or pin: ValueError, OSError.
    """
    pins = {}
    for name in ("tx", "rx", "rts", "cts"):
        if values.get(name) is not None:
            pins[name] = machine.Pin(values[name])
    flow = machine.UART.RTS * ("rts" in pins) | machine.UART.CTS * ("cts" in pins)
    baud = values.get("baud", 115200)
    # PPP takes what comes by the UART's interrupt, which must not find it sending: hence a tx
    # buffer for a whole datagram. And hence nothing here calls PPP.poll().
    return machine.UART(values["uart"], baudrate=baud, rxbuf=2048, txbuf=2048, flow=flow, **pins)


class Driver:
    """Attempts to connect. link: a Link."""

    def __init__(self, link):
        self._link = link
        self.nic = None
        self._uart = None
        self._steps = None  # of the chat, that are left
        self._heard = b""  # in this step
        self._since = None  # ms, when it was said; None before
        self.said = {}  # answers (bytes) that tell of the network, by their questions

    def start(self):
        """Begin an attempt."""
        if self._link.refused:
            raise OSError(13)  # EACCES
        self._steps = self._script()
        self._begin_step()
        self._uart = open_uart(self._link.values, self._link.machine)

    def poll(self, now):
        """Do what is due. Returns whether nic is there and connects. now: ms, masked to 30 bits."""
        if not self._chat(now):
            return False
        values = self._link.values
        self.nic = nic = self._link.network.PPP(self._uart)
        login = {}
        if values.get("user") is not None:
            security = nic.SEC_CHAP if values.get("auth") == "chap" else nic.SEC_PAP
            login = {"security": security, "user": values["user"], "key": values["password"]}
        nic.connect(**login)
        return True

    def stop(self):
        """End the attempt, or what it had led to."""
        nic = self.nic
        self.nic = None
        if nic:
            nic.__del__()  # at once: who calls disconnect() waits for the peer's answer
        if self._uart:
            self._uart.deinit()
            self._uart = None

    def _script(self):
        # [send, expect, s]. Without anything to expect, the time is let pass.
        values = self._link.values
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
        self._since = None
        self._heard = b""

    def _chat(self, now):
        # Whether it is over.
        if not self._steps:
            return True
        send, expect, seconds = self._steps[0]
        if self._since is None:
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
        if diff(now, self._since) >= seconds * 1000:
            if expect:
                self._wrong(send)
            return self._next(send)
        return False

    def _next(self, send):
        self._steps.pop(0)
        if send in ("AT+CSQ", "AT+COPS?"):
            self.said[send] = self._heard
        elif send == "AT+CPIN?":
            if b"SIM PIN" in self._heard:
                self._steps.insert(
                    0, ('AT+CPIN="%s"' % self._link.values.get("pin", ""), "OK", 10)
                )
            elif b"READY" not in self._heard:  # it wants the PUK
                self._wrong("AT+CPIN=")
        self._begin_step()
        return not self._steps

    def _wrong(self, send):
        # Three wrong PINs lock a SIM: there is one attempt.
        if send.startswith("AT+CPIN="):
            self._link.refused = True
            if self._link.on_refused:
                self._link.on_refused()
            raise OSError(13)
        raise OSError(5)
