# Messages in lines: what is in them, and that no payload is.

import lwm2m.debug as module
from ucoap import Writer
from ucoap.engine import Engine
from world import datagram

KEY = b"a key of sixteen"


def block():
    w = Writer(100)
    w.start(0, 3, 9, b"")
    w.option(11, b"0")
    w.option(27, b"\x2e")  # number 2, more, 1,024 bytes
    return w.message()


def test_lines():
    for data, text in (
        (datagram(0, 1, 7, "/3/0/9", accept=0), "-> 1: CON 0.01 #7 /3/0/9 accept=0"),
        (
            datagram(0, 2, 8, "/rd", b"</1/0>", 40, query="ep=dev&lt=60"),
            "-> 1: CON 0.02 #8 /rd ?ep=dev&lt=60 format=40, 6 bytes",
        ),
        (datagram(0, 3, 1, "/0/0/5", KEY, 42), "-> 1: CON 0.03 #1 /0/0/5 format=42, 16 bytes"),
        (datagram(1, 0x45, 2, ""), "-> 1: NON 2.05 #2"),
        (datagram(0, 1, 3, "/\x1b[2J"), "-> 1: CON 0.01 #3 /\\x1b[2J"),
        (block(), "-> 1: CON 0.03 #9 /0 block1=2+/1024"),
        (b"\x60\x00\x00\x05", "-> 1: ACK 0.00 #5"),
        (b"", "-> 1: 0 bytes that are no message"),
        (b"\x40\x01\x00\x00\xff", "-> 1: 5 bytes that are no message"),
        (b"\x40\x01\x00\x00\xb1\xff", "-> 1: CON 0.01 #0 /?"),
    ):
        assert module.line(1, bytes(data), "->") == text, module.line(1, bytes(data), "->")


def test_all_ends_are_traced():
    said = []
    module.print = said.append
    kept = Engine.__init__, Engine.receive
    try:
        module.debug()
        sent = []
        engine = Engine(lambda peer, data: sent.append(data), lambda *args: 0x45, lambda: 1)
        engine.receive("x", datagram(0, 3, 1, "/0/0/5", KEY), 0)
        assert said[0].startswith("<- x: CON 0.03 #1 /0/0/5")
        assert said[1].startswith("-> x: ACK 2.05 #1") and len(sent) == 1
        assert not any("sixteen" in text for text in said)
        module.debug(False)
        engine.receive("x", datagram(0, 1, 2, "/3"), 0)
        assert len(said) == 2 and len(sent) == 2
    finally:
        Engine.__init__, Engine.receive = kept
        del module.print
