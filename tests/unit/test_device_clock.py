# SNTP: what is asked, which answers count, and the time that they tell. The server is a socket on
# loopback, and the clock that is not set yet is the test's.

import socket
import struct
import device.clock as clock
from chip import Module
from device.clock import Clock

UNSET = (2021, 1, 1, 0, 0, 0, 4, 1)
NOW = 1795737600  # 2026-11-27T00:00:00Z, from 1970
EPOCH = 2208988800  # 1970-01-01, from 1900 (RFC 868)


def local():
    """(a bound socket, its address): ports are tried, as the unix port has no getsockname()."""
    for port in range(40000, 60000, 7):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        peer = socket.getaddrinfo("127.0.0.1", port)[0][-1]
        try:
            s.bind(peer)
            s.settimeout(5)
            return s, peer
        except OSError:
            s.close()
    raise AssertionError("no port is free")


def answer(mark, first=0x24, stratum=2, seconds=NOW + EPOCH):
    head = bytes((first, stratum)) + bytes(22)
    return head + mark + bytes(8) + struct.pack(">II", seconds & 0xFFFFFFFF, 0)


class Server:
    """with Server() as s: a clock that asks s."""

    def __enter__(self):
        self.sock, self.peer = local()
        self.lookups = self.faults = 0
        self.set_to = []
        self.time = UNSET
        self._kept = clock.time
        clock.time = Module(gmtime=lambda: self.time)
        self.clock = Clock("ntp.example", self._set, self._address)
        return self

    def __exit__(self, *exc):
        clock.time = self._kept
        self.sock.close()

    def _address(self, host, port):
        assert (host, port) == ("ntp.example", 123)
        self.lookups += 1
        if self.faults:
            self.faults -= 1
            raise OSError(-2)
        return socket.AF_INET, self.peer

    def _set(self, seconds):
        self.set_to.append(seconds)
        self.time = (2026, 11, 27, 0, 0, 0, 4, 331)

    def asked(self):
        """The request, and who has sent it."""
        return self.sock.recvfrom(100)

    def poll_until(self, reached, now):
        for _ in range(1000000):  # loopback: the datagram is there in a moment
            if reached():
                return
            self.clock.poll(now)
        raise AssertionError("not reached")


def test_request():
    with Server() as s:
        assert not s.clock.poll(0)
        request, _ = s.asked()
        # RFC 4330 5: version 4, mode 3, all zeros but the transmit timestamp; here random.
        assert len(request) == 48 and request[0] == 4 << 3 | 3
        assert request[1:40] == bytes(39) and request[40:] != bytes(8)
        assert not s.clock.poll(10) and s.lookups == 1


def test_answer():
    with Server() as s:
        s.clock.poll(0)
        request, peer = s.asked()
        s.sock.sendto(answer(request[40:]), peer)
        s.poll_until(lambda: s.set_to, 20)
        assert s.set_to == [NOW]
        assert s.clock.poll(30)


def test_2036():
    # The 32 bits of seconds begin anew on 2036-02-07T06:28:16Z.
    for seconds in (2085978495, 2085978496, 2085978497, NOW + 20 * 365 * 86400):
        with Server() as s:
            s.clock.poll(0)
            request, peer = s.asked()
            s.sock.sendto(answer(request[40:], seconds=seconds + EPOCH), peer)
            s.poll_until(lambda: s.set_to, 20)
            assert s.set_to == [seconds]


def test_answers_that_do_not_count():
    with Server() as s:
        s.clock.poll(0)
        request, peer = s.asked()
        mark = request[40:]
        good = answer(mark)
        other = bytes((mark[0] ^ 1,)) + mark[1:]
        for bad in (
            answer(other),  # from somebody who has not seen the request
            answer(mark, first=0x23),  # a request
            answer(mark, first=0x25),  # a broadcast
            answer(mark, first=0xE4),  # the server's own clock is not set
            answer(mark, stratum=0),  # go away
            answer(mark, stratum=16),
            good[:47],
            good[:1],
        ):
            s.sock.sendto(bad, peer)
        for _ in range(1000):
            s.clock.poll(20)
        assert not s.set_to
        s.sock.sendto(good, peer)
        s.poll_until(lambda: s.set_to, 30)
        assert s.set_to == [NOW]


def test_nobody_answers():
    with Server() as s:
        s.clock.poll(0)
        first, _ = s.asked()
        now = 0
        times = [0]
        while len(times) < 10:
            now += 500
            s.clock.poll(now & 0x3FFFFFFF)
            if s.lookups > len(times):
                times.append(now)
                request, _ = s.asked()
                assert request != first
        # 5 s for an answer, then 20, 40, 80, … s, up to 5 min.
        waits = [times[i + 1] - times[i] for i in range(9)]
        for i in range(9):
            wait = min(20000 << i, 300000)
            assert wait * 3 // 4 <= waits[i] - 5000 <= wait * 5 // 4 + 1000, waits


def test_never_again_within_15_s():
    # RFC 4330 10, whatever becomes of a request: not even where its host says at once that nobody
    # is there, or the clock is asked anew for each account.
    for _ in range(20):
        with Server() as s:
            s.sock.close()
            now = 0
            times = []
            while len(times) < 3:
                lookups = s.lookups
                s.clock.waits(now & 0x3FFFFFFF)
                if s.lookups > lookups:
                    times.append(now)
                now += 250
            for i in range(2):
                assert times[i + 1] - times[i] >= 15000, times


def test_no_such_host():
    with Server() as s:
        s.faults = 2
        for now, lookups in ((0, 1), (14900, 1), (25100, 2), (55000, 2), (75200, 3)):
            assert not s.clock.poll(now)
            assert s.lookups == lookups, now
        request, peer = s.asked()
        s.sock.sendto(answer(request[40:]), peer)
        s.poll_until(lambda: s.set_to, 75300)


def test_it_is_set_already():
    with Server() as s:
        s.time = (2026, 1, 1, 0, 0, 0, 4, 1)
        assert s.clock.poll(0) and not s.lookups
