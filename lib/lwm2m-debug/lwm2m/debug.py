# Each CoAP message in a line, for who looks for what is wrong.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Payloads are counted, never shown: keys and a server's words go in them. What peers send as paths and
# queries is escaped.

from micropython import const
from ucoap import Message, code_text
from ucoap.engine import Engine

_TYPES = const(("CON", "NON", "ACK", "RST"))
_URI_PATH = const(11)
_URI_QUERY = const(15)
_LOCATION_PATH = const(8)
_BLOCKS = const(
    (23, 27)
)  # Block2 and Block1: their number, whether there are more, and their size
# Options whose value is a number, or short.
# fmt: off
_NAMES = const((
    6, "observe", 12, "format", 17, "accept", 23, "block2", 27, "block1", 28, "size2", 60, "size1",
))
# fmt: on

_init = Engine.__init__
_receive = Engine.receive
_on = False


def debug(on=True):
    """Print each message of clients and servers that are made from now on, or no more."""
    global _on
    _on = on
    Engine.__init__ = _traced
    Engine.receive = _received


def line(peer, datagram, arrow):
    """A message in words: who, type, code, path, options, bytes of its payload."""
    m = Message()
    who = getattr(peer, "short_id", peer)
    if not m.parse(datagram):
        return "%s %s: %d bytes that are no message" % (arrow, who, len(datagram))
    text = "%s %s: %s %s #%d" % (arrow, who, _TYPES[m.type], code_text(m.code), m.mid)
    for number, before, between in (
        (_URI_PATH, " /", "/"),
        (_LOCATION_PATH, " at /", "/"),
        (_URI_QUERY, " ?", "&"),
    ):
        if m.find(number) >= 0:
            try:
                parts = between.join(m.strings(number))
            except Exception:  # Error: what is no UTF-8
                parts = "?"
            text += before + repr(parts)[1:-1]
    for i in range(0, len(_NAMES), 2):
        value = m.uint(_NAMES[i])
        if value is not None:
            if _NAMES[i] in _BLOCKS:
                value = "%d%s/%d" % (value >> 4, "+" if value & 8 else "", 16 << (value & 7))
            text += " %s=%s" % (_NAMES[i + 1], value)
    if m.payload < len(datagram):
        text += ", %d bytes" % (len(datagram) - m.payload)
    return text


def _traced(self, send, *args, **kwargs):
    def sent(peer, datagram):
        if _on:
            print(line(peer, datagram, "->"))
        send(peer, datagram)

    _init(self, sent, *args, **kwargs)


def _received(self, peer, data, now):
    if _on:
        print(line(peer, data, "<-"))
    return _receive(self, peer, data, now)
