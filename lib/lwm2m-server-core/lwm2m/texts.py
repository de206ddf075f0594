# What peers send to a server as text: queries, names, diagnostic words, link-format.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Whoever prints or logs it lets it go through printable().

import sys
from io import StringIO
from micropython import const
from ucoap import URI_QUERY, Error
from .objects import acts

_BAD_REQUEST = const(0x80)


def queries(m):
    """{name: value} of a request's Uri-Query; the value is "" where there is no "="."""
    found = {}
    for query in m.strings(URI_QUERY):
        name, _, value = query.partition("=")
        found[name] = value
    return found


def endpoint_of(found):
    """The endpoint name among a request's queries(); raises Error 4.00."""
    endpoint = found.get("ep")
    if not endpoint:
        raise Error(_BAD_REQUEST, "ep, the endpoint name, is missing")
    if printable(endpoint) is not endpoint:
        raise Error(_BAD_REQUEST, "control characters in ep")
    return endpoint


def printable(text):
    """A str or bytes as str, where what a terminal or a log acts on is as a Python literal has it.

    A str that has nothing of the kind is returned itself.
    """
    if not isinstance(text, str):
        try:
            text = str(text, "utf-8")
        except ValueError:
            return "".join([chr(n) if 32 <= n < 127 else "\\x%02x" % n for n in text])
    # Of its bytes, as MicroPython keeps a character that is taken out of a str for good.
    data = text.encode()
    found = None
    end = 0
    while end < len(data):
        start = end
        n = data[start]
        end += 1
        if n > 127:
            n &= 31 if n < 0xE0 else 15 if n < 0xF0 else 7
            while end < len(data) and data[end] >> 6 == 2:
                n = n << 6 | data[end] & 63
                end += 1
        if acts(n):
            if found is None:
                found = bytearray(data[:start])
            found.extend((("\\u%04x" if n > 255 else "\\x%02x") % n).encode())
        elif found is not None:
            found.extend(data[start:end])
    return text if found is None else str(found, "utf-8")


def print_exception(e):
    """Print an exception and where it came from; its text may be a peer's. Raises nothing."""
    try:
        out = StringIO()
        sys.print_exception(e, out)
        lines = out.getvalue().rstrip("\n").split("\n")
        while lines[0].startswith("Traceback") or lines[0].startswith("  File"):
            print(lines.pop(0))
        print(printable("\n".join(lines)))
    except MemoryError:  # of which it may well tell, and then its text is MicroPython's own
        if isinstance(e, MemoryError):
            sys.print_exception(e)
        else:
            print("an exception, and no memory to say which")


def words(payload):
    """A diagnostic payload as str, "" where it is no text."""
    try:
        return str(payload, "utf-8")
    except ValueError:
        return ""


def links(data):
    """Yield (path, {attribute: value}) for each link of link-format (RFC 6690 2), given as bytes.

    Values are str, without quotes, and "" where there is none. What stands before the first
    link, as in `lwm2m="1.0",</0/0>` (LwM2M 1.0 5.2.7.3), comes with path None. Raises ValueError.
    """
    end = len(data)
    i = 0
    while i < end:
        path = None
        attributes = {}
        if data[i] == 0x3C:  # <
            close = data.find(b">", i)
            if close < 0:
                raise ValueError("a link without its end")
            path = str(data[i + 1 : close], "utf-8")
            i = close + 1
            if i < end and data[i] == 0x3B:  # ;
                i += 1
            elif i < end and data[i] != 0x2C:  # ,
                raise ValueError("a link that is not followed by ; or ,")
        elif i:
            raise ValueError("attributes without a link")
        while i < end and data[i] != 0x2C:
            start = i
            while i < end and data[i] not in b'=;,"<':
                i += 1
            name = str(data[start:i], "utf-8")
            value = ""
            if i < end and data[i] == 0x3D:  # =
                start = i = i + 1
                if i < end and data[i] == 0x22:  # "
                    start = i + 1
                    close = data.find(b'"', start)
                    if close < 0:
                        raise ValueError("a quoted string without its end")
                    i = close + 1
                else:
                    close = start
                    while close < end and data[close] not in b';,"<':
                        close += 1
                    i = close
                value = str(data[start:close], "utf-8")
            if not name or (i < end and data[i] not in b";,"):
                raise ValueError("a malformed attribute")
            attributes[name] = value
            if i < end and data[i] == 0x3B:
                i += 1
        if path is None and not attributes:
            raise ValueError("an empty link")
        yield path, attributes
        i += 1
        while 0 < i < end and data[i] in b" \r\n":  # as in the examples of LwM2M 1.0
            i += 1
