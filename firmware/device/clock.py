# The clock, set by SNTP (RFC 4330), as certificates have dates.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Who is on the way can set any time: what it is good for is that a certificate's dates are looked
# at, not that they are proved.

import os
import socket
import struct
import time
from micropython import const
from ucoap.engine import diff
from device.link import Backoff

PORT = 123

_ANSWER_MS = const(5000)
_WAIT = const(20)  # s, until it asks again; less a quarter of it, the 15 s of RFC 4330 10
_WAIT_MS = const(30000)
_UNIX_EPOCH = const(2208988800)  # s, from 1900
_EARLIEST = const(2026)  # the year; as in lwm2m.x509


class Clock:
    """Asks a server until the clock is set.

    host: str. set(seconds since 1970): sets the port's clock. address(host, port) -> (family,
    address), as lwm2m.net has it; raises OSError.
    """

    def __init__(self, host, set, address):
        self._host = host
        self._set = set
        self._address = address
        self._backoff = Backoff(_WAIT)
        self._sock = None
        self._mark = b""  # what the answer must repeat
        self._since = 0  # ms
        self._began = None  # ms, of waits()
        self._over = False

    def poll(self, now):
        """Do what is due. Returns whether the clock is set. now: ms, masked to 30 bits."""
        if time.gmtime()[0] >= _EARLIEST:
            return True
        try:
            if self._sock:
                self._receive(now)
            elif self._backoff.is_due(now):
                self._ask(now)
        except OSError:
            self._close()
            self._backoff.fail(now)
        return False

    def waits(self, now):
        """As poll(). Returns whether to wait for the time: for 30 s, while it is asked for.

        Where nobody tells it, those accounts fail that need it, if there are any.
        """
        is_set = self.poll(now)
        if self._began is None:
            self._began = now
        if is_set or diff(now, self._began) >= _WAIT_MS:
            self._over = True  # a difference of times tells six days
        return not self._over

    def _ask(self, now):
        family, peer = self._address(self._host, PORT)
        self._sock = socket.socket(family, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.connect(peer)
        self._mark = os.urandom(8)
        self._since = now
        self._sock.send(b"\x23" + bytes(39) + self._mark)  # version 4, client

    def _receive(self, now):
        try:
            data = self._sock.recv(48)
        except OSError as e:
            if e.errno != 11 or diff(now, self._since) >= _ANSWER_MS:
                raise e
            return
        seconds = _seconds(data, self._mark)
        if seconds:
            self._set(seconds)
            self._close()

    def _close(self):
        if self._sock:
            self._sock.close()
            self._sock = None


def set_clock(seconds):
    """Set the chip's clock. seconds: since 1970, UTC."""
    from machine import RTC

    if time.gmtime(0)[0] == 2000:
        seconds -= 946684800
    year, month, day, hour, minute, second, weekday, _ = time.gmtime(seconds)[:8]
    RTC().datetime((year, month, day, weekday, hour, minute, second, 0))


def _seconds(data, mark):
    # Seconds since 1970 that an answer tells, or 0: version, mode 4, a stratum, our own mark.
    if len(data) < 48 or data[24:32] != mark or data[0] & 7 != 4 or data[0] >> 6 == 3:
        return 0
    if not 0 < data[1] < 16:  # 0 refuses
        return 0
    seconds = struct.unpack(">I", data[40:44])[0]
    if not seconds >> 31:  # from 2036 on (RFC 4330 3)
        seconds += 1 << 32
    return seconds - _UNIX_EPOCH
