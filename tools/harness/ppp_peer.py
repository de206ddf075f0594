"""The other end of a device's PPP link, without a kernel's: LCP, IPCP, ICMP echo, and UDP to loopback.

The device gets 10.64.0.2. Its datagrams to 10.64.0.1 go to the same port of 127.0.0.1, from a socket
for each pair of ports, and what comes back there goes to the device. A port of the device can be published
on 127.0.0.1, for clients of a server that it is. (RFC 1661, 1332, 1334, 1662.)

The device alone would not get over a frame that is lost: the RP2 port's timer for lwIP rests until a link
is up, and so do PPP's retransmissions. The peer's have to do.
"""

import asyncio
import socket
import struct
from typing import Callable, Dict, List, Optional, Tuple

HOST = bytes((10, 64, 0, 1))
DEVICE = bytes((10, 64, 0, 2))

LCP, IPCP, _PAP, _IP = 0xC021, 0x8021, 0xC023, 0x0021
REQUEST, _ACK, _NAK, _REJECT = 1, 2, 3, 4
_TERMINATE, _TERMINATED, _PROTOCOL_REJECT, _ECHO, _ECHOED = 5, 6, 8, 9, 10
_ICMP, _UDP = 1, 17

_RESTART_S = 3  # of the device's time (RFC 1661 4.6)


def _crc_table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x8408 if byte & 1 else 0)
        yield byte


_CRC = tuple(_crc_table())


def fcs(data: bytes) -> int:
    """The frame check sequence before its complement (RFC 1662 C.2); 0xF0B8 with a good one behind."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Peer:
    """receive() takes what the device sends, `write` gets what is for it; all in the loop's thread."""

    def __init__(self, write: Callable[[bytes], None], loop: asyncio.AbstractEventLoop):
        self._write = write
        self._loop = loop
        self._buffer = bytearray()
        self._escaped = False
        self._id = 0
        self._ip_id = 0
        self._ports: Dict[
            Tuple[int, int], socket.socket
        ] = {}  # of the device's and the host's port
        self._published: Dict[int, socket.socket] = {}  # of the device's port
        self.up = False  # the device has its address
        self.on_up: Callable[[], None] = lambda: None
        self.login: Optional[Tuple[bytes, bytes]] = None  # user and password that it wants, by PAP
        self.logins: List[Tuple[bytes, bytes]] = []  # that the device has given
        self.connected = True  # False: datagrams are lost in both directions
        self._now = 0.0  # the device's time, in seconds
        self._restart()

    def _restart(self) -> None:
        self.up = False
        self._acked_theirs = self._acked_ours = False
        self._magic = b""  # the device's number, which it changes when it begins anew
        # What the device has not acknowledged yet, protocol and options, and when it was asked.
        self._asking: Optional[Tuple[int, bytes]] = None
        self._asked = 0.0

    def tick(self, now: float) -> None:
        """Tell the device's time: what it has not acknowledged in time is asked again."""
        self._now = now
        if self._asking and now - self._asked >= _RESTART_S:
            self._ask(*self._asking)

    def _ask(self, protocol: int, options: bytes = b"") -> None:
        self._asking = protocol, options
        self._asked = self._now
        self._packet(protocol, REQUEST, self._next_id(), options)

    # Frames.

    def receive(self, data: bytes) -> None:
        """Take bytes from the device's UART."""
        for byte in data:
            if byte == 0x7E:
                frame = bytes(self._buffer)
                self._buffer.clear()
                self._escaped = False
                if len(frame) >= 4 and fcs(frame) == 0xF0B8:
                    self._frame(frame[:-2])
            elif byte == 0x7D:
                self._escaped = True
            else:
                self._buffer.append(byte ^ 0x20 if self._escaped else byte)
                self._escaped = False

    def _send(self, protocol: int, data: bytes) -> None:
        frame = b"\xff\x03" + struct.pack(">H", protocol) + data
        frame += struct.pack("<H", fcs(frame) ^ 0xFFFF)
        out = bytearray(b"\x7e")
        for byte in frame:
            out += (
                bytes((0x7D, byte ^ 0x20))
                if byte < 0x20 or byte in b"\x7d\x7e"
                else bytes((byte,))
            )
        self._write(bytes(out) + b"\x7e")

    def _frame(self, frame: bytes) -> None:
        if frame[:2] == b"\xff\x03":
            frame = frame[2:]
        size = 1 if frame[0] & 1 else 2
        protocol, data = int.from_bytes(frame[:size], "big"), frame[size:]
        if protocol == _IP:
            self._ip(data)
        elif protocol in (LCP, IPCP):
            code, number, length = struct.unpack(">BBH", data[:4])
            self._control(protocol, code, number, data[4:length])
        elif protocol == _PAP and self.login and data[0] == REQUEST:
            self._log_in(data[1], data[4:])
        else:
            self._packet(
                LCP, _PROTOCOL_REJECT, self._next_id(), struct.pack(">H", protocol) + data
            )

    # LCP and IPCP.

    def _next_id(self) -> int:
        self._id = self._id + 1 & 0xFF
        return self._id

    def _packet(self, protocol: int, code: int, number: int, data: bytes = b"") -> None:
        self._send(protocol, struct.pack(">BBH", code, number, len(data) + 4) + data)

    def _control(self, protocol: int, code: int, number: int, data: bytes) -> None:
        if code == REQUEST:
            self._requested(protocol, number, data)
        elif code == _ACK:
            self._asking = None
            if protocol == LCP:
                self._acked_ours = True
                if not self.login:
                    self._ask(IPCP, b"\3\6" + HOST)
        elif code == _TERMINATE:
            self._packet(protocol, _TERMINATED, number)
            self._restart()
        elif code == _ECHO and protocol == LCP:
            self._packet(LCP, _ECHOED, number, b"\0\0\0\0")

    def _requested(self, protocol: int, number: int, options: bytes) -> None:
        rejected = wrong = magic = b""
        at = 0
        while at + 1 < len(options) and options[at + 1] >= 2:
            kind, option = options[at], options[at : at + options[at + 1]]
            at += len(option)
            if protocol == LCP:
                if kind == 5:
                    magic = option
                elif kind not in (1, 2):  # MRU, map of control characters
                    rejected += option
            elif kind != 3:
                rejected += option
            elif option[2:] != DEVICE:
                wrong += b"\3\6" + DEVICE
        if protocol == LCP:
            if magic != self._magic or (self._acked_theirs and self._acked_ours):
                self._restart()  # the device has begun anew, maybe in the middle of this
                self._magic = magic
        if rejected:
            self._packet(protocol, _REJECT, number, rejected)
        elif wrong:
            self._packet(protocol, _NAK, number, wrong)
        else:
            self._packet(protocol, _ACK, number, options)
            if protocol == LCP:
                self._acked_theirs = True
            else:
                self.up = True
                self.on_up()
        if protocol == LCP and not (self._acked_ours or self._asking):
            self._ask(LCP, b"\3\4" + struct.pack(">H", _PAP) if self.login else b"")

    def _log_in(self, number: int, data: bytes) -> None:
        # RFC 1334 2.2: user and password, each behind its length.
        at = 1 + data[0]
        given = data[1:at], data[at + 1 : at + 1 + data[at]]
        self.logins.append(given)
        self._packet(_PAP, _ACK if given == self.login else _NAK, number, b"\0")
        if given == self.login:
            self._ask(IPCP, b"\3\6" + HOST)

    # IP.

    def _ip(self, packet: bytes) -> None:
        header = (packet[0] & 15) * 4
        protocol, source, target = packet[9], packet[12:16], packet[16:20]
        data = packet[header : int.from_bytes(packet[2:4], "big")]
        if protocol == _ICMP and data[0] == 8:
            answer = b"\0\0\0\0" + data[4:]
            checksum = struct.pack(">H", _checksum(answer))
            self._send_ip(_ICMP, target, source, answer[:2] + checksum + answer[4:])
        elif protocol == _UDP and target == HOST and self.connected:
            device_port, host_port, length, _ = struct.unpack(">4H", data[:8])
            self._to_host(device_port, host_port, data[8:length])

    def begin_anew(self) -> None:
        """Let the link go down and come up again, as a peer that has restarted does (RFC 1661 4.3)."""

        def begin() -> None:
            self._restart()
            self._ask(LCP)

        self._loop.call_soon_threadsafe(begin)

    def publish(self, device_port: int) -> int:
        """A port of 127.0.0.1 that leads to a port of the device, from whatever port of 127.0.0.1."""
        port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        port.bind(("127.0.0.1", 0))
        port.setblocking(False)
        self._published[device_port] = port
        self._loop.call_soon_threadsafe(
            self._loop.add_reader, port, self._from_client, port, device_port
        )
        return port.getsockname()[1]

    def _from_client(self, port: socket.socket, device_port: int) -> None:
        try:
            data, (_, host_port) = port.recvfrom(65536)
        except OSError:  # of an answer before: nobody listened there
            return
        self.to_device(host_port, device_port, data)

    def _to_host(self, device_port: int, host_port: int, data: bytes) -> None:
        if device_port in self._published:
            self._published[device_port].sendto(data, ("127.0.0.1", host_port))
            return
        key = device_port, host_port
        if key not in self._ports:
            port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            port.setblocking(False)
            port.connect(("127.0.0.1", host_port))
            self._ports[key] = port
            self._loop.add_reader(port, self._from_host, port, device_port, host_port)
        for _ in range(2):
            try:
                self._ports[key].send(data)
                return
            except ConnectionRefusedError:
                pass  # of the one before: nobody listened there, which the device will notice

    def _from_host(self, port: socket.socket, device_port: int, host_port: int) -> None:
        try:
            self.to_device(host_port, device_port, port.recv(65536))
        except OSError:
            pass

    def to_device(self, host_port: int, device_port: int, data: bytes) -> None:
        """Send a datagram to the device, as from a port of 10.64.0.1."""
        if self.connected:
            datagram = struct.pack(">4H", host_port, device_port, 8 + len(data), 0) + data
            self._send_ip(_UDP, HOST, DEVICE, datagram)

    def _send_ip(self, protocol: int, source: bytes, target: bytes, data: bytes) -> None:
        self._ip_id = self._ip_id + 1 & 0xFFFF
        size = 20 + len(data)
        head = struct.pack(">BBHHHBBH", 0x45, 0, size, self._ip_id, 0, 64, protocol, 0)
        head += source + target
        head = head[:10] + struct.pack(">H", _checksum(head)) + head[12:]
        self._send(_IP, head + data)

    def close(self) -> None:
        for ports in (self._ports, self._published):
            for port in ports.values():
                self._loop.remove_reader(port)
                port.close()
            ports.clear()
