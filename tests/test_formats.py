"""What our readers and writers make of values, beside those of CPython: cbor2 and json.

A value goes from theirs into ours, and from ours back into theirs.
"""

import json
import math
import random
import struct

import cbor2
import pytest
from harness.micropython import micropython

# Reads lines of a data type and hex, and prints what it writes of what it has read.
CBOR = """
import sys
from binascii import hexlify, unhexlify
from lwm2m.cbor import Reader, fit, put

for line in sys.stdin:
    flags, data = line.split()
    reader = Reader(unhexlify(data))
    out = bytearray()
    put(out, int(flags), fit(int(flags), reader.value()))
    reader.end()
    print(str(hexlify(out), "ascii"))
"""

SENML = """
import sys
from binascii import hexlify, unhexlify
import lwm2m.senml_cbor as senml_cbor
import lwm2m.senml_json as senml_json

for line in sys.stdin:
    format, flags, data = line.split()
    module = senml_json if format == "110" else senml_cbor
    cursor = module.Cursor(unhexlify(data), (9,), int(format))
    out = bytearray()
    sink = module.Sink(out, int(format))
    while cursor.next():
        value = cursor.value(int(flags))
        sink.value(cursor.oid, cursor.iid, cursor.rid, cursor.riid, int(flags), value)
    sink.end()
    print(str(hexlify(out), "ascii"))
"""

STR, INT, UINT, FLOAT, BOOL, OPAQUE = 1, 2, 3, 4, 5, 6
LABELS = {STR: ("vs", 3), INT: ("v", 2), UINT: ("v", 2), FLOAT: ("v", 2), BOOL: ("vb", 4)}

POINTS = [*range(0xD800), *range(0xE000, 0x110000)]  # all but surrogates


def values():
    """(data type, value): the edges of each, and seeded ones."""
    rng = random.Random(1)
    for bits in (5, 8, 16, 32, 63, 64):
        for n in (2**bits - 1, 2**bits, 2**bits + 1, rng.getrandbits(bits)):
            if n < 2**64:
                yield UINT, n
            if n <= 2**63:
                yield INT, -n
    for number in (0.0, 1.0, 65504.0, 65505.0, 2.0**-24, 2.0**-25, 5e-324, 1.7976931348623157e308):
        yield from ((FLOAT, number), (FLOAT, -number))
    for _ in range(500):
        number = struct.unpack(">d", rng.randbytes(8))[0]
        if math.isfinite(number):
            yield FLOAT, number
        yield FLOAT, struct.unpack(">e", struct.pack(">e", rng.uniform(-60000, 60000)))[0]
        yield FLOAT, round(rng.uniform(-1000, 1000), 3)
    for length in (0, 1, 23, 24, 255, 256, 1000):
        yield STR, "".join(chr(rng.choice(POINTS)) for _ in range(length))
        yield STR, "".join(rng.choice('"\\/\b\f\n\r\t\0\x1f\x7fA') for _ in range(length))
        yield OPAQUE, rng.randbytes(length)
    yield from ((BOOL, True), (BOOL, False))


def through(program, lines):
    done = micropython("-c", program, input="\n".join(lines) + "\n", heap="1M")
    assert done.returncode == 0 and not done.stderr, done.stderr
    return [bytes.fromhex(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("canonical", [True, False])
def test_cbor(canonical):
    wanted = list(values())
    lines = [f"{flags} {cbor2.dumps(value, canonical=canonical).hex()}" for flags, value in wanted]
    for (flags, value), data in zip(wanted, through(CBOR, lines)):
        assert cbor2.loads(data) == value, (flags, value)
        # And as short as it can be; cbor2 does not take the largest halves for such.
        assert len(data) <= len(cbor2.dumps(value, canonical=True))


def test_senml_json():
    wanted = [(flags, value) for flags, value in values() if flags != OPAQUE]
    packs = [[{"n": "/9/0/1", LABELS[flags][0]: value}] for flags, value in wanted]
    for ascii_only in (True, False):
        texts = [json.dumps(pack, ensure_ascii=ascii_only) for pack in packs]
        lines = [f"110 {flags} {text.encode().hex()}" for (flags, _), text in zip(wanted, texts)]
        for (flags, value), data in zip(wanted, through(SENML, lines)):
            back = {"bn": "/9/0/", "n": "1", LABELS[flags][0]: value}
            assert json.loads(data) == [back], (flags, value)


def test_senml_cbor():
    wanted = [(flags, value) for flags, value in values() if flags != OPAQUE]
    packs = [[{0: "/9/0/1", LABELS[flags][1]: value}] for flags, value in wanted]
    lines = [f"112 {flags} {cbor2.dumps(p).hex()}" for (flags, _), p in zip(wanted, packs)]
    for (flags, value), data in zip(wanted, through(SENML, lines)):
        assert cbor2.loads(data) == [{-2: "/9/0/", 0: "1", LABELS[flags][1]: value}]
