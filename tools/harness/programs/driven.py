# What device.py and servers.py, programs under MicroPython, have in common: how a test drives them.
#
# They read a line of JSON, their configuration, and print events, a JSON object a line. "control" of
# it is a UDP port of the test, which they say hello to; a datagram that comes from there is a command,
# answered with {"answer": …} or {"error": "…"}. SIGINT ends them, as it does when a person presses
# Ctrl-C.

import json
import sys
from binascii import hexlify, unhexlify

import lwm2m.model as model
from lwm2m.net import address


def configuration():
    return json.loads(sys.stdin.readline())


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")  # at once: Ctrl-C would get in between in print()


def code_text(code):
    return "%d.%02d" % (code >> 5, code & 31)


def plain(value):
    """A value as JSON, as Leshan's driver has it: bytes in hex, an object link as "3:0"."""
    if callable(value):
        return None
    if isinstance(value, (bytes, bytearray)):
        return {"hex": hexlify(value).decode()}
    if isinstance(value, tuple):
        return "%d:%d" % value
    if isinstance(value, dict):
        return {str(key): plain(value[key]) for key in value}
    return value


def value_of(flags, value):
    """The other way."""
    if isinstance(value, dict) and "hex" in value:
        return unhexlify(value["hex"])
    if isinstance(value, dict):
        return {int(key): value_of(flags, value[key]) for key in value}
    if flags & 15 == model.OBJLNK:
        oid, iid = value.split(":")
        return int(oid), int(iid)
    return value


def values_of(flags, values):
    """Those of an instance. flags: f(resource id)."""
    return {int(rid): value_of(flags(int(rid)), values[rid]) for rid in values}


class Control:
    """The test's commands, as one more role in the loop of the others.

    command(message, answer): does it, and calls answer(value), then or later.
    """

    datagram = 8192  # bytes, of the largest; certificates are in some

    def __init__(self, net, port, command):
        self.command = command
        self.net = net
        net.add(self)
        self.sock = net.bind(self, "127.0.0.1", 0)
        net.sendto(self.sock, address("127.0.0.1", port)[1], b"hello")

    def poll(self, now):
        return 0

    def next_ms(self, now):
        return 1 << 29

    def receive(self, peer, datagram, now):
        def send(message):
            self.net.sendto(self.sock, peer, json.dumps(message).encode())

        try:
            self.command(json.loads(datagram), lambda value: send({"answer": value}))
        except Exception as e:
            send({"error": "%s: %s" % (type(e).__name__, e)})
