"""The network behind an access point: DHCP, ARP, DNS, SNTP, and the rest as the PPP peer has it.

The device gets 10.64.0.2 by DHCP; gateway and name server are 10.64.0.1, which is 127.0.0.1 for all ports
but those of DHCP, DNS and SNTP. (RFC 826, 2131, 1035, 4330.)
"""

import struct
import time
from typing import Dict, List, Tuple

from .ppp_peer import DEVICE, HOST, Peer

_MAC = bytes.fromhex("02000a400001")
_IP, _ARP = 0x0800, 0x0806
_DHCP, _DNS, _SNTP = 67, 53, 123
_DISCOVER, _OFFER, _REQUEST, _ACK = 1, 2, 3, 5
_SINCE_1900 = 2208988800  # of 1970
_LEASE_S = 3600


class Lan(Peer):
    """receive() takes what the radio sends: frames behind their lengths; see rp2040.mjs."""

    def __init__(self, write, loop):
        super().__init__(write, loop)
        self._pending = b""
        self._device = b"\xff" * 6
        self.dhcp = True  # False: it does not answer
        self.names: Dict[str, bytes] = {}  # addresses (4 bytes) that the name server knows
        self.dns_delay = 0.0  # seconds of the device's time until it answers
        self.asked: List[str] = []  # names, in their order
        self._late: List[Tuple[float, int, bytes]] = []  # answers: when, port, data

    def tick(self, now: float) -> None:
        """Tell the device's time: what was asked so long ago is answered."""
        self._now = now
        while self._late and self._late[0][0] <= now:
            self.to_device(_DNS, *self._late.pop(0)[1:])

    # Frames.

    def receive(self, data: bytes) -> None:
        self._pending += data
        while len(self._pending) >= 2:
            end = 2 + int.from_bytes(self._pending[:2], "big")
            if len(self._pending) < end:
                break
            frame, self._pending = self._pending[2:end], self._pending[end:]
            self._device = frame[6:12]
            kind, content = int.from_bytes(frame[12:14], "big"), frame[14:]
            if kind == _ARP:
                self._arp(content)
            elif kind == _IP:
                self._ip(content)

    def _frame_out(self, kind: int, data: bytes) -> None:
        frame = self._device + _MAC + struct.pack(">H", kind) + data
        self._write(struct.pack(">H", len(frame)) + frame)

    def _send(self, protocol: int, data: bytes) -> None:
        self._frame_out(_IP, data)  # the only protocol that is left of PPP's

    def _arp(self, data: bytes) -> None:
        if data[6:8] == b"\0\1" and data[24:28] == HOST:
            answer = data[:6] + b"\0\2" + _MAC + HOST + data[8:18]
            self._frame_out(_ARP, answer)

    # UDP.

    def _ip(self, packet: bytes) -> None:
        header = (packet[0] & 15) * 4
        if packet[9] == 17:
            source, target, length = struct.unpack(">3H", packet[header : header + 6])
            data = packet[header + 8 : header + length]
            if target == _DHCP:
                if self.dhcp:
                    self._dhcp(data)
                return
            if target == _DNS:
                self._dns(source, data)
                return
            if target == _SNTP:
                self._sntp(source, data)
                return
        super()._ip(packet)

    def _dhcp(self, data: bytes) -> None:
        options, at = {}, 240
        while at + 1 < len(data) and data[at] != 255:
            options[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
            at += 2 + data[at + 1]
        answers = {_DISCOVER: _OFFER, _REQUEST: _ACK}
        kind = answers.get(options[53][0])
        if kind is None:
            return
        answer = b"\2" + data[1:12] + bytes(4) + DEVICE + HOST + bytes(4) + data[28:240]
        for option, value in (
            (53, bytes((kind,))),
            (54, HOST),
            (51, struct.pack(">I", _LEASE_S)),
            (1, b"\xff\xff\xff\0"),
            (3, HOST),
            (6, HOST),
        ):
            answer += bytes((option, len(value))) + value
        self.to_device(_DHCP, 68, answer + b"\xff")

    def _dns(self, port: int, data: bytes) -> None:
        at, labels = 12, []
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode())
            at += 1 + data[at]
        name = ".".join(labels)
        self.asked.append(name)
        question = data[12 : at + 5]
        address = self.names.get(name)
        code = 0x8180 if address else 0x8183  # no such name
        answer = data[:2] + struct.pack(">5H", code, 1, bool(address), 0, 0) + question
        if address:
            answer += struct.pack(">3HIH", 0xC00C, 1, 1, 60, 4) + address
        if self.dns_delay:
            self._late.append((self._now + self.dns_delay, port, answer))
        else:
            self.to_device(_DNS, port, answer)

    def _sntp(self, port: int, data: bytes) -> None:
        now = struct.pack(">II", int(time.time()) + _SINCE_1900, 0)
        head = struct.pack(">BBbbII4s", 0x24, 1, 6, -20, 0, 0, b"LOCL")
        self.to_device(_SNTP, port, head + now + data[40:48] + now + now)
