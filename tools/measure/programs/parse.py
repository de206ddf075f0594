# What make bench runs for the rate of the engine: parse.py
#
# Prints, as JSON, the µs that one received request takes: parsed, matched, served and answered, and
# the µs that MicroPython takes for a plain loop over as many bytes, to compare with.

import time

from ucoap.engine import Engine

_ROUNDS = 5000

# GET /3/0, confirmable, message id 1, token of 4 bytes; RFC 7252 3.
_REQUEST = bytes((0x44, 0x01, 0x00, 0x01, 1, 2, 3, 4, 0xB1, 0x33, 0x01, 0x30))


def handler(peer, m, payload, reply, now):
    reply.content_format = 0
    reply.payload = b"21.5"
    return 0x45


def loop():
    total = 0
    for byte in _REQUEST:
        total += byte
    return total


engine = Engine(lambda peer, data: None, handler, lambda: 1)
start = time.ticks_us()
for n in range(_ROUNDS):
    engine.receive(0, _REQUEST, n)
parse = time.ticks_diff(time.ticks_us(), start)
start = time.ticks_us()
for n in range(_ROUNDS):
    loop()
plain = time.ticks_diff(time.ticks_us(), start)
print('{"parse": %f, "plain": %f}' % (parse / _ROUNDS, plain / _ROUNDS))
