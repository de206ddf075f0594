"""The line to a board: mpremote's transport, in which every wait has an end, whatever the other side says.

mpremote's own waits have none while something comes: a GPS receiver talks for ever.
"""

import re
import threading
import time
from typing import Callable, Optional

import mpremote.transport_serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

TIMEOUT_S = 3  # for what has to come at once

_EXEC_S = 90  # a slow board is silent while it compiles what it imports
_LONGEST_S = 300  # for anything
_LOOK_S = 0.1  # between two looks whether it is to be given up
_KEPT = 4096  # bytes, of what was heard last

# What a board says that is yet to come to its prompt: the boot loader of an ESP32, and MicroPython.
_STARTING = re.compile(rb"\brst:0x|ESP-ROM:|MicroPython v|soft reboot|raw REPL|Booting\b")

# mpremote prints what it got in place of a prompt; here it would go across the table of ports.
mpremote.transport_serial.print = lambda *args, **kwargs: None


class GivenUp(Exception):
    """Nobody waits for this board any more, which was not spoken to yet."""


class Line(SerialTransport):
    """stop: once it is set, while `stops` is true, waits end with GivenUp."""

    def __init__(self, port: str, baud: int, stop: Optional[threading.Event] = None):
        super().__init__(port, baud, timeout=TIMEOUT_S)
        self.serial.write_timeout = 10
        self.stops = True
        self._stop = stop
        self._heard = b""  # since it was opened, at its prompt no more

    def is_starting(self) -> bool:
        """Whether what was heard is what a board says that starts."""
        return bool(_STARTING.search(self._heard))

    def read_until(
        self,
        min_num_bytes: int,
        ending: bytes,
        timeout: Optional[float] = 10,
        data_consumer: Optional[Callable[[bytes], None]] = None,
        timeout_overall: Optional[float] = None,
    ) -> bytes:
        # As mpremote has it, by its callers' rules.
        data = bytearray()
        start = heard = time.monotonic()
        overall = _LONGEST_S if timeout_overall is None else timeout_overall
        self.serial.timeout = _LOOK_S
        try:
            while not data.endswith(ending):
                if self._stop and self._stop.is_set() and self.stops:
                    raise GivenUp
                byte = self.serial.read(1)
                now = time.monotonic()
                if byte:
                    heard = now
                    if data_consumer:
                        data_consumer(byte)
                        data[:] = byte
                    else:
                        data += byte
                elif timeout is not None and now >= heard + timeout:
                    break
                if now >= start + overall:
                    break
        finally:
            self.serial.timeout = TIMEOUT_S
            self._hear(data)
        return bytes(data)

    def _hear(self, data: bytes) -> None:
        if self.stops:
            self._heard = (self._heard + data)[-_KEPT:]

    def enter_raw_repl(self, soft_reset: bool = True, timeout_overall: float = 10) -> None:
        # As mpremote has it, but that a device which talks on and on is not read to its end.
        self.serial.write(b"\r\x03")
        # What is there by now. pyserial's own flush raises termios.error, no OSError, where it has gone.
        self._hear(self.serial.read(self.serial.in_waiting))
        self.serial.write(b"\r\x01")
        for said, answer in (
            (b"raw REPL; CTRL-B to exit\r\n>", b"\x04"),  # a soft reset
            (b"soft reboot\r\n", b""),
            (b"raw REPL; CTRL-B to exit\r\n", b""),
        ):
            data = self.read_until(1, said, timeout_overall=timeout_overall)
            if not data.endswith(said):
                raise TransportError("no raw REPL")
            self.serial.write(answer)
        self.in_raw_repl = True

    def exec(
        self,
        command: str,
        data_consumer: Optional[Callable[[bytes], None]] = None,
        timeout: float = _EXEC_S,
    ) -> bytes:
        # As mpremote has it, but for what is no UTF-8.
        said, error = self.exec_raw(command, timeout, data_consumer)
        if error:
            raise TransportExecError(said, error.decode(errors="backslashreplace"))
        return said
