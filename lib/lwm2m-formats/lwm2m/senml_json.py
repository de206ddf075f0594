# SenML in JSON (RFC 8428 5), Content-Format 110, and 320 (RFC 8790).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from binascii import a2b_base64, b2a_base64, unhexlify
from json import dumps
from micropython import const
from ucoap import Error
import lwm2m.senml as senml
from .cbor import ARRAY, number

_DEPTH = const(8)  # of what is skipped
_DATA = const(8)  # the label vd

# Data types, as model has them.
_STR = const(1)
_FLOAT = const(4)
_BOOL = const(5)
_OPAQUE = const(6)
_OBJLNK = const(8)
_TYPE = const(15)

# RFC 8428 12.2: these are the numbers from -6 to 8.
# fmt: off
_LABELS = const((
    "bs", "bv", "bu", "bt", "bn", "bver", "n", "u", "v", "vs", "vb", "s", "t", "ut", "vd",
))
# fmt: on


def bad():
    raise Error(0x80, "malformed JSON")


class Reader:
    """Reads JSON in a buffer as cbor's Reader reads its items."""

    def __init__(self, data):
        self._data = bytes(data)
        self._at = 0

    def _peek(self):
        # The next byte that is no white space, 0 at the end.
        data = self._data
        at = self._at
        end = len(data)
        while at < end and data[at] in b" \t\r\n":
            at += 1
        self._at = at
        return data[at] if at < end else 0

    def _expect(self, c):
        if self._peek() != c:
            bad()
        self._at += 1

    def open(self, kind):
        self._expect(0x5B if kind == ARRAY else 0x7B)
        return -1

    def more(self, left, kind):
        if not left:
            return False
        c = self._peek()
        if c == (0x5D if kind == ARRAY else 0x7D):
            self._at += 1
            return False
        if left < -1:
            self._expect(0x2C)
        return True

    def end(self):
        if self._peek() or self._at < len(self._data):
            bad()

    def label(self):
        label = self._string()
        self._expect(0x3A)
        return _LABELS.index(label) - 6 if label in _LABELS else label

    def value(self, label):
        if self._peek() == 0x22:
            value = self._string()
            return _from_base64(value) if label == _DATA else value
        word = self._word()
        if word == "null":
            return None
        if word == "true" or word == "false":
            return word == "true"
        try:
            if word[0] in "-0123456789":
                return number(word)
        except ValueError:
            pass
        bad()

    def skip(self):
        ends = []  # of what is around it
        while True:
            c = self._peek()
            if c == 0x22:
                self._string()
            elif c == 0x5B or c == 0x7B:
                if len(ends) >= _DEPTH:
                    bad()
                ends.append(c + 2)
                self._at += 1
            elif ends and c == ends[-1]:
                ends.pop()
                self._at += 1
            elif ends and (c == 0x2C or c == 0x3A):
                self._at += 1
            else:
                self._word()
            if not ends:
                return

    def _word(self):
        # A number, or a name without quotes.
        data = self._data
        start = at = self._at
        while at < len(data) and data[at] in b"0123456789.+-eEaflnrstu":
            at += 1
        self._at = at
        if not start < at <= start + 40:
            bad()
        return str(data[start:at], "utf-8")

    def _string(self):
        self._expect(0x22)
        data = self._data
        out = bytearray()
        while True:
            at = self._at
            end = data.find(b'"', at)
            if end < 0:
                bad()
            escape = data.find(b"\\", at, end)
            stop = end if escape < 0 else escape
            run = data[at:stop]
            if run and min(run) < 32:
                bad()
            out.extend(run)
            self._at = stop + 1
            if escape < 0:
                break
            self._escaped(out)
        try:
            return str(out, "utf-8")
        except ValueError:
            bad()

    def _escaped(self, out):
        at = self._at
        c = self._data[at : at + 1]
        if c == b"u":
            code = self._hex()
            if code >> 10 == 0x36:  # the first of two (RFC 8259 7)
                if self._data[self._at : self._at + 1] != b"\\":
                    bad()
                self._at += 1
                low = self._hex()
                if low >> 10 != 0x37:
                    bad()
                code = 0x10000 + ((code & 0x3FF) << 10 | low & 0x3FF)
            elif code >> 10 == 0x37:
                bad()
            # By hand, as MicroPython keeps what chr() makes for good.
            n = (code > 0x7F) + (code > 0x7FF) + (code > 0xFFFF)
            out.append((0, 0xC0, 0xE0, 0xF0)[n] | code >> 6 * n)
            while n:
                n -= 1
                out.append(0x80 | code >> 6 * n & 0x3F)
            return
        i = b'"\\/bfnrt'.find(c) if c else -1
        if i < 0:
            bad()
        out.append(b'"\\/\b\f\n\r\t'[i])
        self._at = at + 1

    def _hex(self):
        at = self._at
        self._at = at + 5
        digits = self._data[at : at + 5]
        if digits[:1] != b"u" or len(digits) < 5:
            bad()
        try:
            return int.from_bytes(unhexlify(digits[1:]), "big")
        except ValueError:
            bad()


def _from_base64(text):
    # Either alphabet, padded or not; what is none is skipped by some ports.
    text = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        value = a2b_base64(text + "===="[len(text) & 3 or 4 :])
        if _to_base64(value) == text:
            return value
    except ValueError:
        pass
    bad()


def _to_base64(value):
    return str(b2a_base64(value), "utf-8").rstrip("=\n")


class Sink(senml.Sink):
    """Writes values as records to a bytearray, as tlv's Sink does."""

    def _begin(self, fields):
        self._lead = "},{" if self._count else "[{"  # what stands before the next label
        self._count += 1

    def _pair(self, label, flags, value):
        t = flags & _TYPE
        if t == _FLOAT:
            value = float(value)
            if value - value:
                raise Error(0x86, "JSON has no such number")
            value = repr(value)
        elif t == _BOOL:
            value = "true" if value else "false"
        elif t == _OPAQUE:
            value = '"%s"' % _to_base64(value).replace("+", "-").replace("/", "_")
        elif t == _STR:
            value = dumps(value)
        elif t == _OBJLNK:
            value = '"%d:%d"' % value
        elif value is None:
            value = "null"
        if not isinstance(label, str):
            label = _LABELS[label + 6]
        self._out.extend('%s"%s":%s' % (self._lead, label, value))
        self._lead = ","

    def end(self):
        self._out.extend("}]" if self._count else "[]")


def Cursor(data, path, format=0):
    return senml.Cursor(Reader(data), path, format)
