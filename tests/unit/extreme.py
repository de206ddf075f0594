# Well-formed messages whose meaning is extreme: ends of ranges and what lies behind them, wrong types,
# options of every kind. By an Extremes of a seed.

import struct

from ucoap import (
    ACCEPT,
    CONTENT_FORMAT,
    DELETE,
    GET,
    OBSERVE,
    POST,
    PUT,
    URI_PATH,
    URI_QUERY,
    Writer,
)

BLOCK1 = 27
BLOCK2 = 23

# Segments of paths: what is there, what may be, and the ends of ids.
OBJECTS = (
    "0",
    "1",
    "1",
    "1",
    "1",
    "1",
    "1",
    "3",
    "3",
    "1000",
    "1000",
    "1000",
    "2",
    "21",
    "65534",
    "65535",
    "65536",
    "-1",
    "",
    "x",
)
INSTANCES = (
    "0",
    "0",
    "0",
    "0",
    "0",
    "0",
    "0",
    "0",
    "1",
    "2",
    "65534",
    "65535",
    "99999",
    "00",
    "0x0",
    "\u0660",
)
RESOURCES = [str(n) for n in range(10)] * 2 + [str(n) for n in range(10, 22)] + ["65534", "65535"]

INTS = (0, 1, -1, 2, 127, 128, 255, 256, 65534, 65535, 65536, 86400, 99999999999)
INTS += (0x7FFFFFFF, 0x80000000, -0x80000000, 0xFFFFFFFF, 1 << 32, 0x0FFFFFFF, 0x10000000)
INTS += ((1 << 63) - 1, -(1 << 63), 0x3FFFFFFF, 0x40000000, 1700000000)

TEXTS = [b"%d" % n for n in INTS] + [
    b"",
    b" 7 ",
    b"+5",
    b"1_000",
    b"nan",
    b"inf",
    b"1e400",
    b"-0.0",
]
TEXTS += [
    b"18446744073709551615",
    b"9223372036854775808",
    b"1e-400",
    b"0x10",
    b"0:0",
    b"65535:65535",
]
TEXTS += [
    b"x" * 1000,
    b"9" * 1000,
    b"\0",
    b"\x1b[2J\r\n",
    b"\xc2\x85",
    b"\xe2\x80\xae",
    b"\xff\xfe",
]
TEXTS += [b"U", b"UQ", b"T", b"U&ep=other", b"UU", b"Q", b"!!!!", b"AAEC", b"A AAA", b"true"]
TEXTS += [
    b"coap://server:5683",
    b"coap://bs:5783",
    b"coaps://x",
    b"coap://x:0",
    b"http://x",
    b"coap://",
]
TEXTS += [b"coap://" + b"x" * 500, b"coap://server/" + b"a/" * 300, b"coap://[::1%25x]:5683"]

RAW = [struct.pack(">b", 0), struct.pack(">b", -1), struct.pack(">H", 65535), struct.pack(">H", 1)]
RAW += [struct.pack(">q", n) for n in INTS if -(1 << 63) <= n < 1 << 63]
RAW += [struct.pack(">i", n) for n in INTS if -(1 << 31) <= n < 1 << 31]
RAW += [struct.pack(">d", float(x)) for x in ("nan", "inf", "-inf", "1e308", "5e-324")]
RAW += [struct.pack(">f", float(x)) for x in ("nan", "inf", "0")] + [bytes(3), bytes(5), bytes(9)]
VALUES = TEXTS + RAW

FORMATS = (None, 0, 0, 40, 42, 11542, 11542, 11542, 1542, 60, 110, 112, 11543, 65535)
UINTS = (b"", b"\0", b"\1", b"\2", b"\x06", b"\x07", b"\x0e", b"\x0f", b"\x08", b"\xff")
UINTS += (b"\xff\xff\xff", b"\xff\xff\xf6", b"\0\0\0", b"\xff\xff", bytes(4), b"\x80\0\0")
QUERIES = (
    b"pmin=0",
    b"pmax=-1",
    b"gt=nan",
    b"ep=x",
    b"x" * 255,
    b"",
    b"depth=99",
    b"pmin=1&pmax=0",
    b"pmax=2147483647",
    b"epmax=1",
    b"epmin",
    b"gt=1e300",
    b"lt=-9223372036854775809",
    b"st=0",
    b"con=0",
)
METHODS = (GET, GET, GET, POST, POST, POST, PUT, PUT, PUT, PUT, DELETE, DELETE, 5, 6, 7, 31)

# What can be written and executed: object, its resources.
WRITABLE = (
    ("1", (1, 2, 3, 5, 6, 7)),
    ("1000", (0, 1, 2, 3, 4)),
    ("3", (13, 14, 15)),
    ("1", (4, 8, 9)),
)


def entry(kind, id, value):
    """A TLV entry with the shortest length that fits."""
    n = len(value)
    bits = 0 if n < 8 else 8 if n < 256 else 16
    head = bytes((kind << 6 | (id > 255) << 5 | (n if not bits else bits),))
    length = n.to_bytes(bits // 8, "big") if bits else b""
    return head + id.to_bytes(2 if id > 255 else 1, "big") + length + value


class Extremes:
    def __init__(self, random):
        self._random = random
        self._mid = 0

    def pick(self, table):
        return table[self._random.below(len(table))]

    def path(self):
        """Segments, up to five."""
        segments = [self.pick(OBJECTS), self.pick(INSTANCES), self.pick(RESOURCES)]
        segments += [self.pick(INSTANCES), "0"]
        n = self._random.below(20)
        return segments[
            : 0 if n < 1 else 1 if n < 3 else 2 if n < 7 else 3 if n < 16 else n - 13 - (n > 17)
        ]

    def tlv(self, depth=0):
        """Entries of any kind in any order."""
        below = self._random.below
        out = b""
        if not depth and below(40) == 0:  # deeper than there are kinds
            value = b"\0"
            for _ in range(1 + below(60)):
                value = entry(below(4), 0, value)
            return value[:1000]
        for _ in range(below(4) if depth else 1 + below(10)):
            kind = below(4) if below(3) == 0 else 3
            id = int(self.pick(RESOURCES)) if below(3) else below(7)
            if kind == 3 or below(4) == 0 or depth > 2:
                value = self.pick(VALUES)
            else:
                value = self.tlv(depth + 1)
            if len(out) + len(value) < 1000:
                out += entry(kind, id, value)
        return out

    def full(self):
        """An instance of /0 or /1 that could be, but for one value."""
        below = self._random.below
        pairs = [
            (0, b"coap://server"),
            (1, b"\0"),
            (2, b"\3"),
            (3, b""),
            (4, b""),
            (5, b""),
            (10, b"\1"),
        ]
        if below(2):
            pairs = [(0, b"\1"), (1, b"\1\x2c"), (6, b"\1"), (7, b"U")]
        i = below(len(pairs))
        pairs[i] = (pairs[i][0], self.pick(VALUES))
        pairs.append((int(self.pick(RESOURCES)), self.pick(VALUES)))
        return b"".join([entry(3, id, value) for id, value in pairs])

    def message(self, path=None):
        """A confirmable request as a datagram."""
        below = self._random.below
        code = self.pick(METHODS)
        options = [(URI_PATH, part) for part in (self.path() if path is None else path)]
        payload = b""
        if code in (POST, PUT) and below(8):
            kind = below(4)
            payload = self.tlv() if kind < 2 else self.full() if kind == 2 else self.pick(VALUES)
            format = 0 if kind == 3 else 11542
            if below(5) == 0:
                format = self.pick(FORMATS)
            if format is not None:
                options.append((CONTENT_FORMAT, format))
        if code == GET and below(3) == 0:
            options.append((ACCEPT, self.pick(FORMATS) or 0))
        if (code == GET and below(3) == 0) or below(40) == 0:
            options.append((OBSERVE, self.pick(UINTS) if below(2) else below(2)))
        if below(12) == 0:
            options.append((BLOCK2, self.pick(UINTS)))
        if below(12) == 0:
            options.append((BLOCK1, self.pick(UINTS)))
        if below(20) == 0:
            options.append((URI_QUERY, self.pick(QUERIES)))
        if below(60) == 0:
            options += [(below(2000), b"")] * (1 + below(255))
        if below(30) == 0:
            options.append((self.pick((1, 3, 4, 5, 7, 20, 35, 39, 60, 65000)), self.pick(UINTS)))
        options.sort(key=lambda option: option[0])
        return self._message(code, options, payload)

    def _message(self, code, options, payload):
        self._mid = self._mid + 1 & 0xFFFF
        w = Writer(1280)
        token = bytes([self._random.below(256) for _ in range(self._random.below(9))])
        w.start(0, code, self._mid, token)
        for number, value in options:
            w.option(number, value)
        w.payload(payload[: 1280 - len(w.buf) - 1])
        return w.message()

    def change(self):
        """A Write, Create or Execute that could be right, but for its value."""
        below = self._random.below
        oid, rids = self.pick(WRITABLE)
        kind = below(5)
        if oid == "1000" and kind == 0:
            value = b"".join([entry(3, rid, self.pick(VALUES)) for rid in range(below(4))])
            if below(2):
                value = entry(0, below(3), value)
            return self.send(POST, [oid], value, 11542)
        rid = self.pick(rids)
        path = [oid, "0", str(rid)]
        if rid in (4, 8, 9) and oid == "1":
            return self.send(POST, path)
        if kind < 3:
            return self.send(PUT, path, self.pick(TEXTS), 0)
        value = entry(3, rid, self.pick(RAW))
        if kind == 4:
            return self.send(
                POST, path[:2], value + entry(3, self.pick(rids), self.pick(VALUES)), 11542
            )
        return self.send(PUT, path, value, 11542)

    def send(self, code, path, payload=b"", format=None):
        options = [(URI_PATH, part) for part in path]
        if format is not None:
            options.append((CONTENT_FORMAT, format))
        return self._message(code, options, payload)
