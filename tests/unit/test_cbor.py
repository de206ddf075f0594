# CBOR: RFC 8949's table of examples in both directions, what is malformed, and Content-Format 60.

from binascii import unhexlify

from ucoap import Error
from lwm2m.cbor import Reader, number, put
from lwm2m.cbor_value import Cursor, Sink
from lwm2m.model import BOOL, FLOAT, INT, OBJLNK, OPAQUE, STR, TIME, UINT

INF = float("inf")

# RFC 8949 appendix A: what has the shortest form, so that it is written so too.
_EXAMPLES = (
    (UINT, 0, "00"),
    (UINT, 1, "01"),
    (UINT, 10, "0a"),
    (UINT, 23, "17"),
    (UINT, 24, "1818"),
    (UINT, 25, "1819"),
    (UINT, 100, "1864"),
    (UINT, 1000, "1903e8"),
    (UINT, 1000000, "1a000f4240"),
    (UINT, 1000000000000, "1b000000e8d4a51000"),
    (UINT, 18446744073709551615, "1bffffffffffffffff"),
    (INT, -18446744073709551616, "3bffffffffffffffff"),
    (INT, -1, "20"),
    (INT, -10, "29"),
    (INT, -100, "3863"),
    (INT, -1000, "3903e7"),
    (FLOAT, 0.0, "f90000"),
    (FLOAT, -0.0, "f98000"),
    (FLOAT, 1.0, "f93c00"),
    (FLOAT, 1.1, "fb3ff199999999999a"),
    (FLOAT, 1.5, "f93e00"),
    (FLOAT, 65504.0, "f97bff"),
    (FLOAT, 100000.0, "fa47c35000"),
    (FLOAT, 3.4028234663852886e38, "fa7f7fffff"),
    (FLOAT, 1.0e300, "fb7e37e43c8800759c"),
    (FLOAT, 5.960464477539063e-8, "f90001"),
    (FLOAT, 0.00006103515625, "f90400"),
    (FLOAT, -4.0, "f9c400"),
    (FLOAT, -4.1, "fbc010666666666666"),
    (FLOAT, INF, "f97c00"),
    (FLOAT, -INF, "f9fc00"),
    (BOOL, False, "f4"),
    (BOOL, True, "f5"),
    (OPAQUE, b"", "40"),
    (OPAQUE, b"\1\2\3\4", "4401020304"),
    (STR, "", "60"),
    (STR, "a", "6161"),
    (STR, "IETF", "6449455446"),
    (STR, '"\\', "62225c"),
    (STR, "\u00fc", "62c3bc"),
    (STR, "\u6c34", "63e6b0b4"),
    (STR, chr(0x10151), "64f0908591"),
    (OBJLNK, "66:0", "6436363a30"),
)

# And what may be read beside it.
_READ = (
    (INF, "fa7f800000"),
    (INF, "fb7ff0000000000000"),
    (-INF, "faff800000"),
    (None, "f6"),
    ("2013-03-21T20:04:00Z", "c074323031332d30332d32315432303a30343a30305a"),
    (1363896240, "c11a514b67b0"),
    (1363896240.5, "c1fb41d452d9ec200000"),
    (b"\1\2\3\4", "d74401020304"),
    (b"dIETF", "d818456449455446"),
    ("http://www.example.com", "d82076687474703a2f2f7777772e6578616d706c652e636f6d"),
    (b"\1\2\3\4\5", "5f42010243030405ff"),
    ("streaming", "7f657374726561646d696e67ff"),
    ("", "7fff"),
    (100, "190064"),  # not as short as it can be
    (100, "1b0000000000000064"),
    (0, "d9d9f700"),  # 55799, which says that it is CBOR
    # 3.4.4: 273.15, and others; [exponent, mantissa].
    (273.15, "c48221196ab3"),
    (27315, "c48200196ab3"),
    (-20, "c4820121"),  # -2 * 10
    (20, "c4822018c8"),  # 200 / 10
    (-0.5, "c4822024"),
    (273.15, "c49f21196ab3ff"),
    (18446744073709551615, "c482001bffffffffffffffff"),
)

# What is malformed, cut, or no value.
_BAD = (
    ("", "nothing"),
    ("18", "a head without its argument"),
    ("1bffffffffffffff", "one byte less"),
    ("1c", "reserved, 28"),
    ("1e", "reserved, 30"),
    ("1f", "an integer of indefinite length"),
    ("3f", "and a negative one"),
    ("df00", "and a tag"),
    ("ff", "a break"),
    ("41", "a length that is not there"),
    ("5bffffffffffffffff", "of 2^64 bytes"),
    ("7a7fffffff61", "of 2^31 bytes"),
    ("61ff", "no UTF-8"),
    ("62c3", "a length that is not there"),
    ("5f", "indefinite and without end"),
    ("5f4101", "without a break"),
    ("5f6161ff", "text in bytes"),
    ("5f5f4101ffff", "an indefinite chunk"),
    ("7f4161ff", "bytes in text"),
    ("5f01ff", "a number in bytes"),
    ("7f61c361bcff00", "bytes behind the end"),
    ("80", "an array"),
    ("a0", "a map"),
    ("c480", "a fraction of nothing"),
    ("c48121", "of an exponent"),
    ("c483212121", "of three"),
    ("c482216161", "of text"),
    ("c48221f93c00", "of a float"),
    ("c482c4822101", "of a fraction"),
    ("c4821b7fffffffffffffff01", "with a bomb of an exponent"),
    ("c482190fff01", "and a smaller one"),
    ("c4", "a tag of nothing"),
    ("c1", "a tag of nothing"),
    ("e0", "a simple value"),
    ("f0", "another"),
    ("f7", "undefined"),
    ("f8ff", "a simple value of two bytes"),
    ("f93c", "half a half"),
    ("fa7f8000", "three bytes of four"),
    ("0000", "bytes behind the end"),
    ("6161ff", "bytes behind the end"),
)


def _bytes(text):
    return unhexlify(text.replace(" ", ""))


def _value(data):
    reader = Reader(data)
    value = reader.value()
    reader.end()
    return value


def _code(f, *args):
    try:
        f(*args)
    except Error as e:
        return e.code
    return 0


def test_examples_in_both_directions():
    for flags, value, text in _EXAMPLES:
        data = _bytes(text)
        got = _value(data)
        assert got == value and type(got) is type(value), text
        out = bytearray(b"x")
        put(out, flags, (66, 0) if flags == OBJLNK else value)
        assert bytes(out) == b"x" + data, (text, out)


def test_cut_at_every_byte_and_with_rubbish_behind():
    for text in [e[2] for e in _EXAMPLES] + [e[1] for e in _READ]:
        data = _bytes(text)
        for cut in range(len(data)):
            assert _code(_value, data[:cut]) == 0x80, (text, cut)
        for rubbish in (b"\0", b"\xff", b"\xf6"):
            assert _code(_value, data + rubbish) == 0x80, text


def test_other_forms_are_read():
    for value, text in _READ:
        got = _value(_bytes(text))
        assert got == value and type(got) is type(value), (text, got)
    for text in ("f97e00", "fa7fc00000", "fb7ff8000000000000"):
        assert not -INF <= _value(_bytes(text)) <= INF  # not a number
    out = bytearray()
    put(out, FLOAT, float("nan"))  # whatever its bytes, it is one again
    assert not -INF <= _value(out) <= INF


def test_malformed():
    for text, why in _BAD:
        assert _code(_value, _bytes(text)) == 0x80, why


def test_what_is_skipped():
    # RFC 8949 appendix A's containers, whole and cut.
    for text in (
        "80",
        "83010203",
        "8301820203820405",
        "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
        "a0",
        "a201020304",
        "a26161016162820203",
        "826161a161626163",
        "9fff",
        "9f018202039f0405ffff",
        "83018202039f0405ff",
        "bf61610161629f0203ffff",
        "bf6346756ef563416d7421ff",
        "5f42010243030405ff",
        "c074323031332d30332d32315432303a30343a30305a",
        "d9d9f7c11a514b67b0",
        "f7",
        "f8ff",
        "fb7e37e43c8800759c",
        "81" * 7 + "80",
    ):
        data = _bytes(text)
        reader = Reader(data)
        reader.skip()
        reader.end()
        for cut in range(len(data)):
            assert _code(Reader(data[:cut]).skip) == 0x80, (text, cut)
    # Bombs: nesting, lengths, tags; each in bounded memory.
    for data in (
        b"\x81" * 9,
        b"\x9f" * 4000,
        b"\xa1" * 4000,
        b"\xc1" * 4000,
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff" + bytes(100),
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff" + bytes(100),
        b"\x9f" + b"\x5f" * 4000,
    ):
        assert _code(Reader(data).skip) == 0x80, data[:10]
        assert _code(_value, data) == 0x80


def test_decimal_text():
    for text, value in (
        ("0", 0),
        ("-0", 0),
        ("1e2", 100),
        ("1E+2", 100),
        ("1.0", 1),
        ("100e-2", 1),
        ("9007199254740993", 9007199254740993),  # 2^53 + 1: no double has it
        ("9007199254740993.0", 9007199254740993),
        ("18446744073709551615", 18446744073709551615),
        ("-9223372036854775808", -9223372036854775808),
        ("21.25", 21.25),
        ("0.1", 0.1),
        ("-1e-2", -0.01),
        ("2.2250738585072014e-308", 2.2250738585072014e-308),
        ("1e300", 1e300),
        ("1e20", 1e20),  # more than 64 bits
        ("1e-1000", 0.0),
        ("1e-%s" % ("9" * 37), 0.0),
        ("0e%s" % ("9" * 38), 0),
    ):
        got = number(text)
        assert got == value and type(got) is type(value), text
    for text in (
        "",
        "-",
        "e",
        "1e",
        "1e1000",
        "1e%s" % ("9" * 38),
        "--1",
        "1e1e1",
        "1.-5",
        "1x",
        "1" * 41,
    ):
        try:
            number(text)
        except ValueError:
            continue
        assert False, text


# Content-Format 60: value, hex, and what is read where the type of the resource says otherwise.
_VALUES = (
    (INT, -5, "24"),
    (FLOAT, 21.5, "f94d60"),
    (BOOL, True, "f5"),
    (STR, "a", "6161"),
    (OPAQUE, b"\1", "4101"),
    (TIME, 1363896240, "c11a514b67b0"),
    (OBJLNK, (66, 0), "6436363a30"),
    (OBJLNK, (65535, 65535), "6b36353533353a3635353335"),
)
_FITTED = (
    (INT, 1, "f93c00"),
    (INT, 100, "c4820201"),  # 1 * 10^2
    (FLOAT, 1.0, "01"),
    (FLOAT, 273.15, "c48221196ab3"),
    (TIME, 1363896240, "1a514b67b0"),
    (TIME, 1363896240, "c1fb41d452d9ec000000"),
    (TIME, 1363896240, "c074323031332d30332d32315432303a30343a30305a"),
)


def test_one_value():
    for flags, value, text in _VALUES:
        out = bytearray()
        sink = Sink(out, 60)
        sink.value(3, 0, 1, -1, flags, value)
        sink.end()
        assert bytes(out) == _bytes(text), (value, out)
    for flags, value, text in _VALUES + _FITTED:
        cursor = Cursor(_bytes(text), (3, 0, 1), 60)
        assert cursor.next() and cursor.leaf
        assert (cursor.oid, cursor.iid, cursor.rid, cursor.riid) == (3, 0, 1, -1)
        got = cursor.value(flags)
        assert got == value and type(got) is type(value), text
        assert not cursor.next()
    cursor = Cursor(b"\1", (3, 0, 6, 2), 60)
    assert cursor.next() and cursor.riid == 2
    assert _code(Cursor, b"\1", (3, 0), 60) == 0x8F


def test_times_as_text():
    def read(text):
        data = b"\xc0\x78" + bytes([len(text)]) + text.encode()
        cursor = Cursor(data, (3, 0, 13), 60)
        assert cursor.next()
        return cursor.value(TIME)

    # RFC 3339 5.8: the same instants otherwise; 2000-02-29 and the first of March.
    for text, seconds in (
        ("1970-01-01T00:00:00Z", 0),
        ("1985-04-12T23:20:50.52Z", 482196050),
        ("1996-12-19T16:39:57-08:00", 851042397),
        ("1937-01-01T12:00:27.87+00:20", -1041337173),
        ("2000-02-29T00:00:00Z", 951782400),
        ("2000-03-01T00:00:00Z", 951868800),
        ("2100-01-01T00:00:00z", 4102444800),
    ):
        assert read(text) == seconds, (text, read(text))
    for text in ("", "2013", "2013-03-21", "2013-03-21T20:04:00", "x013-03-21T20:04:00Z"):
        assert _code(read, text) == 0x80, text
