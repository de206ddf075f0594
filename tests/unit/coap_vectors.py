# CoAP messages byte by byte, worked out by hand from RFC 7252 3 (and 7641 2, 7959 2.2 for Observe
# and Block): the first byte is 01 tt kkkk (version, type, token length), then the code c.dd as
# c * 32 + dd, the message id, the token; an option is a byte of delta and length, each with 13
# (0xd) for one more byte, which counts from 13, and 14 (0xe) for two, which count from 269.
#
# In the text of a message "#" starts a comment, and aa*5 stands for five bytes aa.

CON = 0
NON = 1
ACK = 2
RST = 3

_TEMPERATURE = "74 65 6d 70 65 72 61 74 75 72 65"  # 11 bytes
_CELSIUS = "32 32 2e 33 20 43"  # "22.3 C"

# name, text, (type, code, mid, token, options, payload). The value of an option is bytes, or an
# int where the option is a uint.
MESSAGES = (
    # --- RFC 7252 Appendix A, figures 16 to 22
    (
        "A 16 request",
        "40 01 7d34 bb" + _TEMPERATURE,
        (CON, 0x01, 0x7D34, b"", ((11, b"temperature"),), b""),
    ),
    (
        "A 16 piggybacked response",
        "60 45 7d34 ff" + _CELSIUS,
        (ACK, 0x45, 0x7D34, b"", (), b"22.3 C"),
    ),
    (
        "A 17 request with a token",
        "41 01 7d35 20 bb" + _TEMPERATURE,
        (CON, 0x01, 0x7D35, b"\x20", ((11, b"temperature"),), b""),
    ),
    (
        "A 17 response with it",
        "61 45 7d35 20 ff" + _CELSIUS,
        (ACK, 0x45, 0x7D35, b"\x20", (), b"22.3 C"),
    ),
    (
        "A 18 request, sent twice",
        "41 01 7d36 31 bb" + _TEMPERATURE,
        (CON, 0x01, 0x7D36, b"\x31", ((11, b"temperature"),), b""),
    ),
    (
        "A 18 response",
        "61 45 7d36 31 ff" + _CELSIUS,
        (ACK, 0x45, 0x7D36, b"\x31", (), b"22.3 C"),
    ),
    (
        "A 19 request, the response is lost once",
        "41 01 7d37 42 bb" + _TEMPERATURE,
        (CON, 0x01, 0x7D37, b"\x42", ((11, b"temperature"),), b""),
    ),
    (
        "A 19 response",
        "61 45 7d37 42 ff" + _CELSIUS,
        (ACK, 0x45, 0x7D37, b"\x42", (), b"22.3 C"),
    ),
    (
        "A 20 request",
        "41 01 7d38 53 bb" + _TEMPERATURE,
        (CON, 0x01, 0x7D38, b"\x53", ((11, b"temperature"),), b""),
    ),
    ("A 20 empty acknowledgement", "60 00 7d38", (ACK, 0, 0x7D38, b"", (), b"")),
    (
        "A 20 separate response",
        "41 45 ad7b 53 ff" + _CELSIUS,
        (CON, 0x45, 0xAD7B, b"\x53", (), b"22.3 C"),
    ),
    ("A 20 its acknowledgement", "60 00 ad7b", (ACK, 0, 0xAD7B, b"", (), b"")),
    (
        "A 21 unexpected separate response",
        "41 45 ad7c 64 ff" + _CELSIUS,
        (CON, 0x45, 0xAD7C, b"\x64", (), b"22.3 C"),
    ),
    ("A 21 reset", "70 00 ad7c", (RST, 0, 0xAD7C, b"", (), b"")),
    (
        "A 22 non-confirmable request",
        "51 01 7d40 75 bb" + _TEMPERATURE,
        (NON, 0x01, 0x7D40, b"\x75", ((11, b"temperature"),), b""),
    ),
    (
        "A 22 non-confirmable response",
        "51 45 ad7d 75 ff" + _CELSIUS,
        (NON, 0x45, 0xAD7D, b"\x75", (), b"22.3 C"),
    ),
    # --- Headers
    ("ping", "40 00 0000", (CON, 0, 0, b"", (), b"")),
    ("least request", "40 01 0000", (CON, 0x01, 0, b"", (), b"")),
    ("largest message id", "50 04 ffff", (NON, 0x04, 0xFFFF, b"", (), b"")),
    (
        "longest token",
        "48 02 0001 00 01 02 03 04 05 06 ff",
        (CON, 0x02, 1, b"\x00\x01\x02\x03\x04\x05\x06\xff", (), b""),
    ),
    ("last method, 0.31", "40 1f 0001", (CON, 0x1F, 1, b"", (), b"")),
    ("last response code, 5.31", "60 bf 0001", (ACK, 0xBF, 1, b"", (), b"")),
    # --- Deltas: 0 to 12 in the nibble, 13 to 268 in a byte, 269 and up in two
    ("delta 0 (reserved number)", "40 01 0001 00", (CON, 1, 1, b"", ((0, b""),), b"")),
    ("delta 12", "40 01 0001 c0", (CON, 1, 1, b"", ((12, b""),), b"")),
    ("delta 13", "40 01 0001 d0 00", (CON, 1, 1, b"", ((13, b""),), b"")),
    ("delta 268", "40 01 0001 d0 ff", (CON, 1, 1, b"", ((268, b""),), b"")),
    ("delta 269", "40 01 0001 e0 00 00", (CON, 1, 1, b"", ((269, b""),), b"")),
    ("delta 524", "40 01 0001 e0 00 ff", (CON, 1, 1, b"", ((524, b""),), b"")),
    ("delta 525", "40 01 0001 e0 01 00", (CON, 1, 1, b"", ((525, b""),), b"")),
    # 65535 - 269 = 65266 = 0xfef2
    ("largest number", "40 01 0001 e0 fe f2", (CON, 1, 1, b"", ((65535, b""),), b"")),
    (
        "largest number in two steps",  # 65533 - 269 = 0xfef0
        "40 01 0001 e1 fe f0 aa 20",
        (CON, 1, 1, b"", ((65533, b"\xaa"), (65535, b"")), b""),
    ),
    # --- Lengths, in the same way
    ("length 12", "40 01 0001 1c 61*12", (CON, 1, 1, b"", ((1, b"a" * 12),), b"")),
    ("length 13", "40 01 0001 1d 00 61*13", (CON, 1, 1, b"", ((1, b"a" * 13),), b"")),
    ("length 14", "40 01 0001 1d 01 61*14", (CON, 1, 1, b"", ((1, b"a" * 14),), b"")),
    ("length 268", "40 01 0001 1d ff 61*268", (CON, 1, 1, b"", ((1, b"a" * 268),), b"")),
    ("length 269", "40 01 0001 1e 0000 61*269", (CON, 1, 1, b"", ((1, b"a" * 269),), b"")),
    ("length 270", "40 01 0001 1e 0001 61*270", (CON, 1, 1, b"", ((1, b"a" * 270),), b"")),
    # 65535 + 269 = 65804
    ("longest", "40 01 0001 1e ffff 61*65804", (CON, 1, 1, b"", ((1, b"a" * 65804),), b"")),
    # --- Both
    ("13 and 13", "40 01 0001 dd 00 00 62*13", (CON, 1, 1, b"", ((13, b"b" * 13),), b"")),
    ("13 and 269", "40 01 0001 de 00 0000 62*269", (CON, 1, 1, b"", ((13, b"b" * 269),), b"")),
    ("269 and 13", "40 01 0001 ed 0000 00 62*13", (CON, 1, 1, b"", ((269, b"b" * 13),), b"")),
    ("269 and 269", "40 01 0001 ee 0000 0000 62*269", (CON, 1, 1, b"", ((269, b"b" * 269),), b"")),
    # --- Values and payloads that look like something else
    (
        "value of payload markers",
        "40 02 0001 b3 ff ff ff ff ff",
        (CON, 2, 1, b"", ((11, b"\xff\xff\xff"),), b"\xff"),
    ),
    ("payload of a marker", "40 02 0001 ff ff", (CON, 2, 1, b"", (), b"\xff")),
    ("payload of one zero", "40 02 0001 ff 00", (CON, 2, 1, b"", (), b"\x00")),
    (
        "payload like an option",
        "40 02 0001 c0 ff c0 ff ff",
        (CON, 2, 1, b"", ((12, b""),), b"\xc0\xff\xff"),
    ),
    (
        "the same option thrice",
        "40 01 0001 b1 31 01 30 00",
        (CON, 1, 1, b"", ((11, b"1"), (11, b"0"), (11, b"")), b""),
    ),
    (
        "32 options",
        "40 01 0001 b1 61 " + "01 61 " * 31,
        (CON, 1, 1, b"", ((11, b"a"),) * 32, b""),
    ),
    # --- Uints (RFC 7252 3.2): as few bytes as there can be
    ("Observe 0", "41 01 0001 ab 60", (CON, 1, 1, b"\xab", ((6, 0),), b"")),
    ("Observe 1", "41 01 0001 ab 61 01", (CON, 1, 1, b"\xab", ((6, 1),), b"")),
    ("Observe 255", "61 45 0001 ab 61 ff", (ACK, 0x45, 1, b"\xab", ((6, 255),), b"")),
    ("Observe 256", "61 45 0001 ab 62 0100", (ACK, 0x45, 1, b"\xab", ((6, 256),), b"")),
    ("Observe 65536", "61 45 0001 ab 63 010000", (ACK, 0x45, 1, b"\xab", ((6, 65536),), b"")),
    ("Observe 2^24-1", "61 45 0001 ab 63 ffffff", (ACK, 0x45, 1, b"\xab", ((6, 0xFFFFFF),), b"")),
    # --- As LwM2M sends them
    (
        "Read /3/0/1, Accept 11542",  # 17 - 11 = 6; 11542 = 0x2d16
        "44 01 1234 deadbeef b1 33 01 30 01 31 62 2d16",
        (
            CON,
            1,
            0x1234,
            b"\xde\xad\xbe\xef",
            ((11, b"3"), (11, b"0"), (11, b"1"), (17, 11542)),
            b"",
        ),
    ),
    (
        "Register",
        """44 02 00ff 01020304
        b2 7264  # Uri-Path rd
        11 28  # Content-Format 40
        37 65703d6e6f6465  # Uri-Query ep=node: 15 - 12 = 3
        05 6c743d3630  # lt=60
        ff 3c2f312f303e""",  # </1/0>
        (
            CON,
            2,
            0xFF,
            b"\x01\x02\x03\x04",
            ((11, b"rd"), (12, 40), (15, b"ep=node"), (15, b"lt=60")),
            b"</1/0>",
        ),
    ),
    (
        "Created, Location-Path rd and 5a",
        "64 41 00ff 01020304 82 7264 02 3561",
        (ACK, 0x41, 0xFF, b"\x01\x02\x03\x04", ((8, b"rd"), (8, b"5a")), b""),
    ),
    # --- Blocks (RFC 7959 2.2): number << 4 | more << 3 | exponent
    (
        "Block2 1/0/64 asked for",  # 64 is 2 ** (2 + 4); 23 - 11 = 12
        "40 01 0002 b6 737461747573 c1 12",
        (CON, 1, 2, b"", ((11, b"status"), (23, 0x12)), b""),
    ),
    (
        "Block2 0/1/128 with ETag and Size2",  # 23 - 4 = 19 = 13 + 6; 28 - 23 = 5
        "60 45 0002 42 beef d1 06 0b 52 012c ff 78*128",
        (ACK, 0x45, 2, b"", ((4, b"\xbe\xef"), (23, 0x0B), (28, 300)), b"x" * 128),
    ),
    (
        "Block1 4095/1/1024",  # 27 - 11 = 16 = 13 + 3; 4095 << 4 | 8 | 6
        "40 03 0003 b1 66 d2 03 fffe ff 00*4",
        (CON, 3, 3, b"", ((11, b"f"), (27, 0xFFFE)), b"\0\0\0\0"),
    ),
    (
        "Block1 1048575/0/16, the last number there is",
        "60 5f 0003 d3 0e fffff0",
        (ACK, 0x5F, 3, b"", ((27, 0xFFFFF0),), b""),
    ),
)

# name, text, and what parse() says: False for a message format error, of which type and mid
# matter, None for what is no message of this version.
MALFORMED = (
    ("nothing", "", None),
    ("three bytes", "40 01 00", None),
    ("version 0", "00 01 0001", None),
    ("version 2", "80 01 0001", None),
    ("version 3", "c0 01 0001", None),
    ("version 2 and a bad token length", "8f 01 0001", None),
    ("token length 9", "49 01 0001 00*9", False),
    ("token length 10", "5a 01 0001 00*10", False),
    ("token length 11", "6b 45 0001 00*11", False),
    ("token length 12", "7c 00 0001 00*12", False),
    ("token length 13", "4d 01 0001 00*13", False),
    ("token length 14", "4e 01 0001 00*14", False),
    ("token length 15", "4f 01 0001 00*15", False),
    ("token cut", "44 01 0001 aabbcc", False),
    ("token length 9 and nothing behind", "49 01 0001", False),
    ("empty with a token", "41 00 0001 aa", False),
    ("empty with a token length only", "61 00 0001", False),
    ("empty with an option", "40 00 0001 b0", False),
    ("empty with a payload", "60 00 0001 ff 00", False),
    ("empty with a marker", "70 00 0001 ff", False),
    ("marker and no payload", "40 01 0001 ff", False),
    ("marker and no payload behind an option", "50 01 0001 b1 61 ff", False),
    ("delta 15", "40 01 0001 f0", False),
    ("delta 15, length 1", "40 01 0001 f1 00", False),
    ("length 15", "40 01 0001 0f 00*15", False),
    ("length 15 behind a delta of a byte", "40 01 0001 df 00 00*15", False),
    ("delta byte cut", "40 01 0001 d0", False),
    ("delta bytes cut", "40 01 0001 e0 00", False),
    ("delta bytes missing", "40 01 0001 e0", False),
    ("length byte cut", "40 01 0001 1d", False),
    ("length bytes cut", "40 01 0001 1e 00", False),
    ("length byte cut behind a delta of two", "40 01 0001 ed 00 00", False),
    ("value cut", "40 01 0001 b2 61", False),
    ("value missing", "40 01 0001 b1", False),
    ("long value cut", "40 01 0001 1d 00 61*12", False),
    ("very long value cut", "40 01 0001 1e 0000 61*268", False),
    ("number 65536", "40 01 0001 e0 fe f3", False),
    ("number 65804", "40 01 0001 e0 ff ff", False),
    ("number 65536 in two steps", "40 01 0001 e0 fe f2 10", False),
    ("33 options", "40 01 0001 b1 61 " + "01 61 " * 32, False),
)


def raw(text):
    """The bytes that a text of hex stands for."""
    out = bytearray()
    for line in text.split("\n"):
        for part in line.split("#")[0].split():
            digits, star, times = part.partition("*")
            out.extend(bytes.fromhex(digits) * (int(times) if star else 1))
    return bytes(out)


def value_bytes(value):
    """An option's value as bytes, an int in as few as there can be (RFC 7252 3.2)."""
    if isinstance(value, int):
        out = b""
        while value:
            out = bytes((value & 0xFF,)) + out
            value >>= 8
        return out
    return value
