# CoAP message codec (RFC 7252 3, RFC 7959 2.2): bytes in, offsets out; bytes out through one buffer.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const

# Message types (RFC 7252 3).
CON = const(0)
NON = const(1)
ACK = const(2)
RST = const(3)

# Request methods (RFC 7252 12.1.1, RFC 8132).
GET = const(1)
POST = const(2)
PUT = const(3)
DELETE = const(4)

# Option numbers that users of this package write (RFC 7252 5.10, RFC 7641, RFC 7959).
OBSERVE = const(6)
LOCATION_PATH = const(8)
URI_PATH = const(11)
CONTENT_FORMAT = const(12)
URI_QUERY = const(15)
ACCEPT = const(17)

# A message with more options is taken for malformed: the bound of Message.options.
_MAX_OPTIONS = const(32)


class Error(Exception):
    """A request that cannot be served.

    code: int, the CoAP response code, class << 5 | detail (4.04 is 0x84).
    text: str, the diagnostic payload (RFC 7252 5.5.2), for a person.
    size1: bytes, with 4.13 the most that would be taken (RFC 7252 5.10.9); or None.
    """

    def __init__(self, code, text="", size1=None):
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.size1 = size1


class Message:
    """One received message. parse() fills it in place, so that one object serves all datagrams."""

    def __init__(self):
        self.data = b""  # the datagram; option values are read out of it on demand
        self.type = 0
        self.code = 0
        self.mid = 0  # Message ID
        self.token = b""
        self.options = []  # number, offset, length of each option, flat; grows to the longest seen
        self.count = 0  # entries of it in use, three an option
        self.payload = 0  # offset of the payload; len(data) where there is none

    def parse(self, data):
        """Read a datagram (RFC 7252 3).

        Returns True if it is well formed, False for a message format error, in which case type
        and mid are still right (a confirmable one is to be reset), and None for what is to be
        ignored silently: too short, or of another version.
        """
        end = len(data)
        if end < 4 or data[0] >> 6 != 1:
            return None
        self.data = data
        self.type = data[0] >> 4 & 3
        self.code = data[1]
        self.mid = data[2] << 8 | data[3]
        self.payload = end
        i = 4 + (data[0] & 15)
        if i > 12 or i > end or (not self.code and end > 4):
            return False
        self.token = bytes(data[4:i])
        options = self.options
        number = n = 0
        while i < end:
            head = data[i]
            i += 1
            if head == 0xFF:
                self.payload = i
                self.count = n
                return i < end  # a marker with nothing behind it is a format error
            length = head >> 4  # the delta first, and then the length
            for last in range(2):
                if length == 15:
                    return False
                if length > 12:
                    if i + length - 12 > end:
                        return False
                    if length == 13:
                        length = data[i] + 13
                        i += 1
                    else:
                        length = (data[i] << 8 | data[i + 1]) + 269
                        i += 2
                if not last:
                    number += length
                    length = head & 15
            if i + length > end or number > 65535 or n == 3 * _MAX_OPTIONS:
                return False
            while n + 3 > len(options):  # one by one, as memory may run out in between
                options.append(0)
            options[n] = number
            options[n + 1] = i
            options[n + 2] = length
            n += 3
            i += length
        self.count = n
        return True

    def find(self, number):
        """The index in options of the first option of that number, or -1."""
        for n in range(0, self.count, 3):
            if self.options[n] == number:
                return n
        return -1

    def option(self, number):
        """The value (bytes) of the first option of that number, or None."""
        n = self.find(number)
        if n < 0:
            return None
        i = self.options[n + 1]
        return self.data[i : i + self.options[n + 2]]

    def uint(self, number):
        """The value of a uint option (RFC 7252 3.2), or None; one of over 3 bytes is None too."""
        n = self.find(number)
        if n < 0 or self.options[n + 2] > 3:
            return None
        i = self.options[n + 1]
        return int.from_bytes(self.data[i : i + self.options[n + 2]], "big")

    def strings(self, number):
        """A list of str: all options of that number, such as the segments of the Uri-Path.

        Raises Error 4.02 where one is not UTF-8.
        """
        found = []
        for n in range(0, self.count, 3):
            if self.options[n] == number:
                i = self.options[n + 1]
                try:
                    found.append(str(self.data[i : i + self.options[n + 2]], "utf-8"))
                except ValueError:
                    raise Error(0x82, "option %d is not UTF-8" % number)
        return found

    def key(self, also, payload):
        """What requests that belong together have in common, as a str: method, path, query, the
        option `also`; and at the end a CRC of payload, where that says what a FETCH is for."""
        key = str((self.code, self.strings(URI_PATH), self.strings(URI_QUERY), self.uint(also)))
        if payload and self.code == 5:
            from binascii import crc32

            key += str(crc32(payload))
        return key


class Writer:
    """Writes one message at a time, of at most that many bytes: the largest datagram.

    Its buffer grows to the longest one so far. Raises Error 5.00 where the message does not fit.
    """

    def __init__(self, size):
        self.buf = bytearray(4)
        self._size = size
        self._last = 0

    def start(self, type, code, mid, token=b""):
        buf = self.buf
        buf[0] = 0x40 | type << 4 | len(token)
        buf[1] = code
        buf[2] = mid >> 8
        buf[3] = mid & 0xFF
        buf[4:] = token
        self._last = 0

    def _put(self, data):
        if len(self.buf) + len(data) > self._size:
            raise Error(0xA0, "message over %d bytes" % self._size)
        self.buf.extend(data)

    def option(self, number, value):
        """Append an option; numbers ascend. value: bytes, str, or an int for a uint option."""
        if isinstance(value, int):
            n = 0
            while value >> 8 * n:
                n += 1
            value = value.to_bytes(n, "big")
        elif isinstance(value, str):
            value = value.encode()
        delta = number - self._last
        length = len(value)
        head = bytearray(1)
        for n in (delta, length):
            nibble = n
            if n >= 269:
                nibble = 14
                head.extend((n - 269).to_bytes(2, "big"))
            elif n >= 13:
                nibble = 13
                head.append(n - 13)
            head[0] = head[0] << 4 | nibble
        self._put(head)
        self._put(value)
        self._last = number

    def payload(self, data):
        if data:
            self._put(b"\xff")
            self._put(data)

    def message(self):
        """The message written, as bytes of its own."""
        return bytes(self.buf)


def code_text(code):
    """A code as people write it: 0x84 is "4.04" (RFC 7252 3)."""
    return "%d.%02d" % (code >> 5, code & 31)


def path_options(path, number=URI_PATH):
    """Options of a path or query such as "/rd/5": a list of (number, str)."""
    options = []
    for part in path.split("&" if number == URI_QUERY else "/"):
        if part:
            options.append((number, part))
    return options
