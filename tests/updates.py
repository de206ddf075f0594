"""Packages for devices under test, signed here, and the applications in them."""

import socket
import threading

from cryptography.hazmat.primitives.asymmetric import ec
from harness.ports import free_port
from lwm2m_factory import package

TARGET = "board"
KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]

APP = """\
from lwm2m.model import INT, R, Object
def setup(client, settings):
    client.add_object(Object(3200, (5501, R | INT), {{0: {{5501: {number}}}}}))
{more}"""

CRASHES = "    raise ValueError('no good')\n"
HANGS = """
def turn(client):
    print("HANGS")
    while True:
        pass
"""
FAILS = """
def selftest():
    return "the sensor is silent"
"""


def made(number: int, more: str = "", deflated: bool = True, **terms) -> bytes:
    files = [("app.py", APP.format(number=number, more=more).encode())]
    files.append(("data/filling", bytes(range(256)) * 20))
    found = package.Terms(
        **{"target": TARGET, "number": number, "version": f"{number}.0", **terms}
    )
    return package.signed(package.build(files, found, deflated), KEYS[found.key])


def settings(target: str = TARGET) -> dict:
    """[update] of a factory's configuration, for such packages."""
    keys = [package.raw_key(key.public_key()).hex() for key in KEYS]
    return {"target": target, "keys": keys, "number": 1}


class Depot(threading.Thread):
    """Answers GETs with blocks of a package (RFC 7959 2.4)."""

    def __init__(self, data: bytes):
        super().__init__(daemon=True)
        self.data = data
        self.port = free_port()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", self.port))
        self.start()

    def run(self) -> None:
        while True:
            request, peer = self.socket.recvfrom(2000)
            if not request or request[1] != 1:
                continue
            token = request[4 : 4 + (request[0] & 15)]
            number = 0
            at = 4 + len(token)
            option = 0
            while at < len(request):  # options with short deltas and lengths, or a delta of 13
                delta, length = request[at] >> 4, request[at] & 15
                at += 1
                if delta == 13:
                    delta += request[at]
                    at += 1
                option += delta
                value = request[at : at + length]
                at += length
                if option == 23:
                    number = int.from_bytes(value, "big") >> 4
            part = self.data[number * 512 : number * 512 + 512]
            block = number << 4 | (number * 512 + 512 < len(self.data)) << 3 | 5
            answer = bytes((0x60 | len(token), 0x45)) + request[2:4] + token
            answer += b"\xd3\x0a" + block.to_bytes(3, "big") + b"\xff" + part
            self.socket.sendto(answer, peer)
