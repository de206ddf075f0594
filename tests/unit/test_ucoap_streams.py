# Bodies that are never in memory as a whole: sinks that requests and responses go to, and sources
# that they come from (RFC 7959); who is asked for them, when, and what they are told.

import gc
from coap_peer import (
    ACK,
    BLOCK1,
    BLOCK2,
    CON,
    ETAG,
    FORMAT,
    LIFETIME,
    NON,
    OBSERVE,
    PATH,
    RST,
    SIZE1,
    End,
    Net,
    Rng,
    block,
    fetch_all,
    get,
    msg,
    put,
    rough,
    uint,
)
from ucoap import Error
from ucoap.block import Transfer
from ucoap.engine import ACKED, RESET, TIMEOUT, Reply

MB = 1 << 20


def stream(at, n):
    """n bytes of an endless body, from `at` on."""
    out = bytearray()
    for i in range(at >> 4, (at + n >> 4) + 1):
        out.extend(b"%15d\n" % i)
    return bytes(memoryview(out)[at & 15 : (at & 15) + n])


WHOLE = -1  # where a Sink raises: when it is told the one, or the other
BROKEN = -2


class Sink:
    """Takes that body, and no byte of it twice; raises `what` at byte `fails`, or at its end."""

    def __init__(self, fails=None, what=None):
        self.at = 0
        self.told = []
        self.fails = fails
        self.what = what

    def write(self, data):
        assert self.told == [], "written to after its end"
        assert bytes(data) == stream(self.at, len(data)), "not what comes next"
        if self.at == self.fails:
            raise self.what
        self.at += len(data)

    def close(self, whole):
        self.told.append(whole)
        if self.fails == (WHOLE if whole else BROKEN):
            raise self.what


class Source:
    """Gives the first n bytes of that body, and says that they are `size`."""

    def __init__(self, n, size=None):
        self.n = n
        self.size = size
        self.most = 0

    def read(self, at, n):
        self.most = max(self.most, n)
        return stream(at, max(min(n, self.n - at), 0))


def own(value):
    """Whether an Error, OSError, MemoryError, and the code that a peer gets for it."""
    return value.code if isinstance(value, Error) else 0xA0


FAULTS = (Error(0x84, "words"), Error(0xA3), OSError(28), MemoryError())


def receiving(sink, **kwargs):
    """An End with that sink for what comes; who was asked is in `begun`."""

    def begin(peer, m, now):
        e.begun.append((peer, m.code, m.strings(PATH), m.uint(FORMAT), m.uint(SIZE1)))
        assert e.sent == []
        if isinstance(e.sink, Exception):
            raise e.sink
        return e.sink

    e = End(begin=begin, **kwargs)
    e.sink = sink
    e.begun = []
    return e


def send(e, number, more, size, mid, n=None, **change):
    """One block of the body for e, as put() has it."""
    data = stream(number * size, size if n is None else n)
    return put(e, number, more, size, data, mid, **change)


# --- What comes from a peer


def test_the_owner_is_asked_once():
    # At block 0 of several, and for nothing else.
    e = receiving(None)
    assert send(e, 0, 0, 64, 1)[0] == 0x44  # there is one block only
    e.receive(msg(CON, 3, 2, b"", ((PATH, "f"),), b"no blocks"))
    e.receive(msg(CON, 1, 3, b"", ((PATH, "f"), (BLOCK2, 2))))
    e.take()
    assert send(e, 1, 1, 64, 4)[0] == 0x88
    assert e.begun == []
    for number in range(3):
        assert send(e, number, number < 2, 64, 5 + number)[0] in (0x5F, 0x44)
        assert e.begun == [("a", 3, ["f"], 0, None)]
    # None is a buffer.
    assert e.asked[-1] == ("a", 3, ["f"], stream(0, 192))
    # It is asked again when a body begins again, but not for the same message.
    for mid in (10, 10, 11, 11):
        send(e, 0, 1, 64, mid)
    assert len(e.begun) == 3
    e.receive(
        msg(CON, 2, 20, b"", ((PATH, "5"), (PATH, "0"), (BLOCK1, 8), (SIZE1, 99)), stream(0, 16))
    )
    assert e.begun[3:] == [("a", 2, ["5", "0"], None, 99)]


def test_the_owner_refuses():
    # Before a place is taken: what others have under way goes on.
    for fault in FAULTS:
        e = receiving(None, bodies=1)
        assert send(e, 0, 1, 64, 1)[0] == 0x5F
        e.sink = fault
        options = ((PATH, "g"), (BLOCK1, 8))
        for mid in (1, 1, 2):
            e.receive(msg(CON, 3, mid, b"", options, stream(0, 16)), 0, "b")
            assert [data[1] for _, data in e.sent] == [own(fault)]
            e.sent = []
        assert len(e.begun) == 3  # the doubled message did not ask again
        assert list(e.engine.incoming) == ["a"]
        assert send(e, 1, 0, 64, 2)[0] == 0x44
        assert len(e.raised) == 2 * isinstance(fault, OSError)
    # Its own words and its own limit.
    e.sink = Error(0x8D, "over 1 MB", MB)
    e.receive(msg(CON, 3, 9, b"", options, stream(0, 16)))
    assert e.one()[1:] == (0x8D, 9, b"", ((SIZE1, uint(MB)),), b"over 1 MB")


def test_a_sink():
    # Each block is written before it is acknowledged; the handler is called once, with the sink that
    # has been told that this is all. The limit of buffers is not its.
    for size in (16, 64, 1024):
        for n in (2 * size, 2 * size + 1, 3 * size - 1):
            sink = Sink()
            write = sink.write

            def checked(data):
                assert e.sent == []
                write(data)

            sink.write = checked
            e = receiving(sink, body=size)

            def handle(peer, m, payload, reply, now):
                assert payload is sink and sink.told == [True]
                return 0x41

            e.handler = handle
            for number in range((n + size - 1) // size):
                more = (number + 1) * size < n
                code, options = send(e, number, more, size, number, min(size, n - number * size))
                assert code == (0x5F if more else 0x41)
                assert options == ((BLOCK1, uint(block(number, more, size))),)
            assert sink.at == n and sink.told == [True]
            assert not e.engine.incoming


def test_blocks_of_a_sink_that_come_again():
    # Sizes that change, blocks that come twice as the same message or as another one, or too soon:
    # Sink itself sees to it that nothing is written twice.
    for blocks in (
        "0/64 1/64 1/64 2/64 2/64 3/64",
        "0/64 2/32 3/32 6/16 7/16 2/64 3/64",
        "0/64 2/64 1/64 3/64 2/64 1/64 3/64",
        "0/16 1/16 1/16 1/32 1/32 1/64 2/64 3/64",
    ):
        for doubled in (1, 2):
            sink = Sink()
            e = receiving(sink, seen=1)
            for mid, part in enumerate(blocks.split()):
                number, size = [int(n) for n in part.split("/")]
                for _ in range(doubled):
                    code = send(e, number, (number + 1) * size < 256, size, mid)[0]
            assert code == 0x44, blocks
            assert (sink.at, sink.told) == (256, [True])
            assert len(e.asked) == 1 and e.asked[0][3] is sink


def test_a_sink_that_raises():
    # At any block, or when it is told the end: that is the answer, also where the message comes
    # again; the body is over, and the sink hears so once.
    for fault in FAULTS:
        for fails in (0, 64, 128, 192, WHOLE):
            sink = Sink(fails, fault)
            e = receiving(sink)
            for number in range(4):
                code, options = send(e, number, number < 3, 64, number)
                if sink.told:
                    break
                assert code == 0x5F
            assert number == (3 if fails == WHOLE else fails // 64)
            assert (code, options) == (own(fault), ())
            assert sink.told == [fails == WHOLE]
            assert not e.engine.incoming and e.asked == []
            assert len(e.raised) == isinstance(fault, OSError)
            assert send(e, number, number < 3, 64, number) == (code, options)
            if number:
                assert send(e, number, number < 3, 64, 70)[0] == 0x88
            assert len(sink.told) == 1
            # Another one.
            e.sink = sink = Sink()
            for number in range(4):
                code, _ = send(e, number, number < 3, 64, 80 + number)
            assert code == 0x44 and sink.told == [True]


def test_what_ends_a_body():
    # Its sink is told, once; what it raises then is reported, and no more.
    def late(e):
        e.engine.poll(LIFETIME)

    def anew(e):
        e.sink = None
        assert send(e, 0, 1, 64, 8)[0] == 0x5F

    def another(e):
        e.sink = None
        assert send(e, 0, 1, 64, 8, path="g")[0] == 0x5F

    def refused(e):
        e.sink = Error(0x84)
        assert send(e, 0, 1, 64, 8, path="g")[0] == 0x84

    def whole(e):
        assert send(e, 0, 0, 64, 8)[0] == 0x44

    def dropped(e):
        e.engine.drop("a")

    def others(e):
        e.sink = None
        for i in range(4):
            assert send(e, 0, 1, 64, 8, peer="b%d" % i, now=1)[0] == 0x5F

    for end in (late, anew, another, refused, whole, dropped, others):
        for blocks in (1, 2):
            for fault in (None, Error(0x84), OSError(5), MemoryError()):
                sink = Sink(BROKEN if fault else None, fault)
                e = receiving(sink, bodies=4)
                for number in range(blocks):
                    assert send(e, number, 1, 64, number)[0] == 0x5F
                end(e)
                assert sink.told == [False], end
                assert len(e.raised) == (fault is not None), end
                assert (e.engine.incoming or {}).get("a") is None or e.sink is None
                e.engine.drop("a")
                e.engine.poll(2 * LIFETIME)
                assert sink.told == [False], end


def test_a_handler_that_refuses_what_is_whole():
    sink = Sink()
    e = receiving(sink)

    def handle(peer, m, payload, reply, now):
        raise Error(0x80, "not for this board")

    e.handler = handle
    assert send(e, 0, 1, 64, 0)[0] == 0x5F
    assert send(e, 1, 0, 64, 1)[0] == 0x80
    assert sink.told == [True] and not e.engine.incoming


def test_a_peer_that_goes_while_it_is_served():
    # The sink, or who gives it, drops the peer; nothing is left of it in the end.
    for when in ("begin", "write"):
        sink = Sink()
        e = receiving(sink)
        if when == "write":
            sink.write = lambda data: e.engine.drop("a")
        else:
            e.engine.limits = e.engine.limits[:3] + (lambda *args: e.engine.drop("a") or sink,)
        e.receive(msg(CON, 3, 1, b"", ((PATH, "f"), (BLOCK1, 8)), stream(0, 16)))
        e.engine.drop("a")
        assert sink.told == [False] and not e.engine.incoming


# --- What goes to a peer


def giving(source, size=1152):
    """An End that answers everything from that source."""

    def handler(peer, m, payload, reply, now):
        reply.payload = source
        return 0x45

    return End(handler=handler, size=size)


def test_a_response_from_a_source():
    for n in (0, 1, 15, 16, 17, 63, 64, 65, 128, 200):
        for size in (16, 32, 64):
            for known in (None, n):
                source = Source(n, known)
                e = giving(source)
                if n > size:
                    assert fetch_all(e, size)[0] == stream(0, n)
                else:
                    got = get(e, block(0, 0, size))
                    assert got[4:] == (((BLOCK2, uint(block(0, 0, size))),), stream(0, n))
                    assert not e.engine.outgoing
                assert len(e.asked) == 1 and source.most == size + 1
                assert n == 0 or get(e, block(16, 0, size))[1] in (0x80, 0x88)
    # Nobody asked for blocks: it comes in blocks all the same, and in as large ones as there can be.
    for n in (0, 5, 1023, 1024, 1025, 3000):
        e = giving(Source(n))
        first = get(e)
        assert first[4][-1] == (BLOCK2, uint(block(0, n > 1024, 1024)))
        whole = first[5] if n <= 1024 else fetch_all(e, 1024, first)[0]
        assert whole == stream(0, n)
    # Any block again, and in smaller ones.
    e = giving(Source(3000))
    tag = get(e)[4][0]
    for number, size in ((2, 1024), (1, 1024), (3, 16), (1, 1024), (40, 64)):
        got = get(e, block(number, 0, size))
        assert got[5] == stream(number * size, min(size, 3000 - number * size))
        assert got[4][0] == tag
    assert len(e.asked) == 1
    # The end of one whose size nobody knows is where it ends: there is no empty block behind it.
    e = giving(Source(128))
    assert fetch_all(e, 64)[0] == stream(0, 128)
    assert get(e, block(1, 0, 64))[4][-1] == (BLOCK2, uint(block(1, 0, 64)))
    assert get(e, block(2, 0, 64))[1] == 0x80


def test_a_notification_from_a_source():
    e = giving(b"")
    origins = []

    def handler(peer, m, payload, reply, now):
        origins.append(e.engine.origin(m, payload))
        reply.observe = 1
        return 0x45

    e.handler = handler
    get(e, observe=0)
    reply = Reply()
    reply.payload = Source(3000)
    reply.observe = 2
    e.engine.respond(0, "a", 0x45, b"\1", reply, e.callback, origin=origins[0])
    first = e.one()
    e.receive(msg(ACK, 0, first[2]))
    assert e.said == [(ACKED, b"")]
    assert first[4][1] == (OBSERVE, b"\2")
    assert fetch_all(e, 1024, first)[0] == stream(0, 3000)


def test_a_source_that_fails():
    # It says another size than it has, or raises: this block is not had; a later try may be.
    for source in (Source(200, 201), Source(200, 199), Source(200, 0), Source(200, 65)):
        e = giving(source)
        codes = [get(e, block(number, 0, 64))[1] for number in range(5)]
        assert 0xA0 in codes and e.raised == [], codes
    for fault in FAULTS:
        for fails in range(4):
            source = Source(200, 200)
            read = source.read

            def failing(at, n):
                if at == fails * 64 and not healed:
                    raise fault
                return read(at, n)

            source.read = failing
            healed = []
            e = giving(source)
            short = isinstance(fault, MemoryError)
            for number in range(4):
                got = get(e, block(number, 0, 64))
                wanted = 0x45
                if number == fails:
                    wanted = own(fault)
                if number >= fails and (number > fails == 0 or (short and number)):
                    # There is nothing to go on with, or that was let go, as memory was short.
                    wanted = 0x88
                assert got[1] == wanted, (fault, fails, number)
            healed.append(True)
            assert len(e.raised) == isinstance(fault, OSError)
            # Again.
            if not fails or short:
                assert fetch_all(e, 64)[0] == stream(0, 200)
            else:
                assert get(e, block(fails, 0, 64))[5] == stream(fails * 64, 64)[: 200 - fails * 64]


# --- Requests of ours


def test_a_request_from_a_source():
    # In blocks, whatever its size; the first one says it, where it is known.
    for n in (0, 1, 63, 64, 65, 128, 200):
        for known in (None, n):
            e = End(size=128)
            source = Source(n, known)
            e.request(code=3, payload=source)
            body = b""
            for number in range(max((n + 63) // 64, 1)):
                _, _, mid, token, options, part = e.one()
                more = (number + 1) * 64 < n
                body += part
                expected = ((PATH, b"x"), (BLOCK1, uint(block(number, more, 64))))
                if known and not number:
                    expected += ((SIZE1, uint(n)),)
                assert options == expected, n
                code = 0x5F if more else 0x44
                e.receive(msg(ACK, code, mid, token, ((BLOCK1, block(number, more, 64)),)))
            assert body == stream(0, n)
            assert e.said == [(0x44, b"")] and e.engine._exchanges == []
            assert source.most == 65


def test_a_request_from_a_source_in_smaller_blocks():
    e = End()
    e.request(code=3, payload=Source(3000))
    _, _, mid, token, options, _ = e.one()
    assert options[-1] == (BLOCK1, uint(block(0, 1, 1024)))
    e.receive(msg(ACK, 0x5F, mid, token, ((BLOCK1, block(0, 1, 256)),)))
    _, _, mid, token, options, part = e.one()
    assert options[-1] == (BLOCK1, uint(block(4, 1, 256))) and part == stream(1024, 256)
    # Or from the beginning.
    e.receive(msg(ACK, 0x8D, mid, token, ((BLOCK1, block(4, 1, 64)),)))
    _, _, mid, token, options, part = e.one()
    assert options[-1] == (BLOCK1, uint(block(0, 1, 64))) and part == stream(0, 64)
    e.receive(msg(ACK, 0x8D, mid, token, ((SIZE1, 100),), b"no room"))
    assert e.said == [(0x8D, b"no room")] and e.take() == []


def test_a_request_whose_source_fails():
    for fault in FAULTS:
        # At once: whoever asks is told, and nothing is left.
        source = Source(200)
        e = End(size=128)

        def failing(at, n):
            raise fault

        source.read = failing
        try:
            e.request(code=3, payload=source)
            raise AssertionError("it was sent")
        except Exception as raised:
            assert raised is fault
        assert e.engine._exchanges == [] and e.sent == []
        # Later: it is the outcome, and what is queued behind it goes on.
        source = Source(200)
        e.request(code=3, payload=source)
        e.request(code=1, options=((PATH, "next"),))
        _, _, mid, token, _, _ = e.one()
        source.read = failing
        e.receive(msg(ACK, 0x5F, mid, token, ((BLOCK1, block(0, 1, 64)),)))
        assert e.said == [(own(fault), b"")]
        assert e.one()[4] == ((PATH, b"next"),)
        assert len(e.raised) == isinstance(fault, OSError)
    # It is shorter or longer than it said.
    for size in (64, 100, 199, 201, 1000):
        e = End(size=128)
        try:
            e.request(code=3, payload=Source(200, size))
            while not e.said:
                _, _, mid, token, options, _ = e.one()
                value = int.from_bytes(options[1][1], "big")
                e.receive(msg(ACK, 0x5F, mid, token, ((BLOCK1, value),)))
            assert e.said == [(0xA0, b"")]
        except Error as error:
            assert error.code == 0xA0 and size == 64


def ask(e, sink, **kwargs):
    """A GET of e's whose response is to go to that sink; what the callback got is in e.said."""

    def callback(x, code, m, payload):
        e.said.append((code, payload))

    return e.engine.request(
        0, "a", 1, ((PATH, "x"),), b"", callback, got=Transfer(None, sink=sink), **kwargs
    )


def test_a_response_to_a_sink():
    # However many blocks it has, and however large it is.
    for n in (0, 1, 63, 64, 65, 200):
        for blocks in (False, True):
            sink = Sink()
            e = End(body=64)
            ask(e, sink)
            if blocks:
                for number in range(max((n + 63) // 64, 1)):
                    _, _, mid, token, options, _ = e.one()
                    assert len(options) == 1 + (number > 0)
                    value = block(number, (number + 1) * 64 < n, 64)
                    part = stream(number * 64, min(64, n - number * 64))
                    e.receive(msg(ACK, 0x45, mid, token, ((BLOCK2, value),), part))
            else:
                _, _, mid, token, _, _ = e.one()
                e.receive(msg(ACK, 0x45, mid, token, (), stream(0, n)))
            assert e.said == [(0x45, sink)], (n, blocks)
            assert (sink.at, sink.told) == (n, [True])
            assert e.engine._exchanges == [] and e.take() == []


def test_a_response_to_a_sink_of_nobody():
    # The sink is all that wants to know. Non-confirmable, and separate, too.
    for confirm in (False, True):
        sink = Sink()
        e = End()
        e.engine.request(0, "a", 1, (), b"", None, None, confirm, None, Transfer(None, sink=sink))
        for number in range(2):
            type, _, mid, token, _, _ = e.one()
            assert type == (CON if confirm else NON) and len(token) == 4
            options = ((BLOCK2, block(number, number < 1, 64)),)
            e.receive(msg(NON, 0x45, number, token, options, stream(number * 64, 64)))
        assert sink.at == 128 and sink.told == [True]
        assert e.engine._exchanges == [] and e.take() == []


def test_a_response_that_a_sink_does_not_get():
    # An error, in words, or none: the sink is told that it will not come whole, and then the
    # callback, where there is one left.
    def refused(e, mid, token):
        e.receive(msg(ACK, 0x84, mid, token, (), b"gone"))
        return 0x84, b"gone"

    def reset(e, mid, token):
        e.receive(msg(RST, 0, mid))
        return RESET, b""

    def silent(e, mid, token):
        now = 0
        while not e.said and e.engine.next_ms(now) >= 0:
            now += e.engine.next_ms(now)
            e.engine.poll(now)
        return TIMEOUT, b""

    def changed(e, mid, token):
        options = ((ETAG, b"f"), (BLOCK2, block(1, 0, 64)))
        e.receive(msg(ACK, 0x45, mid, token, options, stream(64, 64)))
        return 0x88, b""

    def overtaken(e, mid, token):
        options = ((ETAG, b"e"), (BLOCK2, block(2, 0, 64)))
        e.receive(msg(ACK, 0x45, mid, token, options, stream(128, 64)))
        return 0x88, b""

    def undivided(e, mid, token):
        e.receive(msg(ACK, 0x45, mid, token, ((ETAG, b"e"),), stream(0, 100)))
        return 0x88, b""

    def cancelled(e, mid, token):
        e.engine.cancel(e.engine._exchanges[0])
        assert sink.told == [False]
        options = ((ETAG, b"e"), (BLOCK2, block(1, 1, 64)))
        e.receive(msg(ACK, 0x45, mid, token, options, stream(64, 64)))

    def abandoned(e, mid, token):
        e.engine.abandon(e.engine._exchanges[0], 0)

    def dropped(e, mid, token):
        e.engine.drop("a")

    first = (refused, reset, silent, cancelled, abandoned, dropped)
    for end in (refused, reset, silent, changed, overtaken, undivided) + first[3:]:
        for blocks in (0, 1):
            if not blocks and end not in first:
                continue
            for fault in (None, OSError(5)):
                sink = Sink(BROKEN if fault else None, fault)
                e = End()
                ask(e, sink)
                for number in range(blocks):
                    _, _, mid, token, _, _ = e.one()
                    options = ((ETAG, b"e"), (BLOCK2, block(number, 1, 64)))
                    e.receive(msg(ACK, 0x45, mid, token, options, stream(number * 64, 64)))
                _, _, mid, token, _, _ = e.one()
                said = end(e, mid, token)
                assert e.said == ([said] if said else []), end
                assert sink.told == [False], end
                assert len(e.raised) == (fault is not None)
                assert e.engine._exchanges == []


def test_a_sink_of_a_response_that_raises():
    for fault in FAULTS:
        for fails in (0, 64, 128, WHOLE):
            sink = Sink(fails, fault)
            e = End()
            ask(e, sink)
            ask(e, Sink())
            for number in range(3):
                _, _, mid, token, _, _ = e.one()
                options = ((BLOCK2, block(number, number < 2, 64)),)
                e.receive(msg(ACK, 0x45, mid, token, options, stream(number * 64, 64)))
                if e.said:
                    break
            assert e.said == [(own(fault), b"")], (fault, fails)
            assert number == (2 if fails == WHOLE else fails // 64)
            assert sink.told == [fails == WHOLE]
            assert len(e.raised) == isinstance(fault, OSError)
            assert len(e.engine._exchanges) == 1 and len(e.take()) == 1  # the next one


def test_late_blocks_of_a_sink():
    sink = Sink()
    e = End()
    ask(e, sink)
    _, _, mid, token, _, _ = e.one()
    for number in range(3):
        for again in range(2):
            if number:
                options = ((BLOCK2, block(number - 1, 1, 64)),)
                e.receive(
                    msg(
                        NON,
                        0x45,
                        10 * number + again,
                        token,
                        options,
                        stream(number * 64 - 64, 64),
                    )
                )
                assert e.take() == []
        options = ((BLOCK2, block(number, number < 2, 64)),)
        e.receive(msg(NON, 0x45, 50 + number, token, options, stream(number * 64, 64)))
        e.take()
    assert e.said == [(0x45, sink)] and sink.at == 192


# --- Both ends


def steps(net, most=20000):
    net.run(most)


def pushed(source, sink, up=1152, down=1152, fate=None, seed=1, size=None):
    """Send a source from one engine into a sink behind the other. Returns both Ends and the Net."""
    there = receiving(sink, rng=Rng(seed), size=down)
    here = End(Rng(seed + 1), size=up)
    net = Net(here, there, fate)
    here.engine.request(0, "b", 3, ((PATH, "5"), (PATH, "0")), source, here.callback)
    steps(net)
    return here, there, net


def pulled(source, sink, up=1152, down=1152, fate=None, seed=1):
    """Fetch a source of one engine into a sink of the other."""
    there = giving(source, down)
    here = End(Rng(seed + 1), size=up)
    net = Net(here, there, fate)

    def ended(x, code, m, payload):
        here.said.append((code, payload))

    here.engine.request(0, "b", 1, ((PATH, "s"),), b"", ended, got=Transfer(None, sink=sink))
    steps(net)
    return here, there, net


def test_all_sizes_both_ways():
    for n in (0, 1, 16, 63, 64, 65, 127, 128, 1000, 1023, 1024, 1025, 4096, 5000):
        for size in (128, 1152):
            for known in (None, n):
                sink = Sink()
                here, there, net = pushed(Source(n, known), sink, size, 1152)
                assert here.said == [(0x44, b"")]
                if n > (64 if size == 128 else 1024):
                    assert (sink.at, sink.told) == (n, [True])
                    assert len(there.begun) == 1 and there.begun[0][4] == (known or None)
                else:  # in one block: it is there at once
                    assert there.asked[0][3] == stream(0, n) and there.begun == []
                sink = Sink()
                here, there, net = pulled(Source(n, known), sink, 1152, size)
                assert here.said == [(0x45, sink)]
                assert (sink.at, sink.told) == (n, [True])
                assert net.largest <= 1152


class Counting(Sink):
    """Looks at the heap now and then, on the way through."""

    def __init__(self):
        super().__init__()
        self.held = []

    def write(self, data):
        super().write(data)
        if self.at & 0xFFFF == 0:
            gc.collect()
            self.held.append(gc.mem_alloc())


def test_a_megabyte():
    # There and back, of known size and not, in 64 KB of its course no more heap than at its start.
    for transfer in (pushed, pulled):
        for known in (MB, None):
            sink = Counting()
            source = Source(MB, known)
            here, there, net = transfer(source, sink)
            assert (sink.at, sink.told) == (MB, [True])
            assert here.said[0][0] in (0x44, 0x45)
            assert not here.raised and not there.raised
            assert source.most == 1025
            assert len(sink.held) == 16
            # What differs is what is in flight just then, and what looks like a pointer.
            assert max(sink.held) - min(sink.held) < 8000, sink.held


def test_30_percent_loss():
    # Each way, with delays and doubles. A body may fail to arrive, but it is never wrong: Sink sees
    # to that, and that it hears of its end once; and it is whole where the other side believes so.
    whole = 0
    for seed in range(12):
        for transfer in (pushed, pulled):
            sink = Sink()
            source = Source(500, (None, 500)[seed & 1])
            here, there, net = transfer(source, sink, 256, 256, rough(Rng(seed + 300)), seed + 1)
            net.now = net.now + 2 * LIFETIME & 0x3FFFFFFF
            for end in (here, there):
                end.engine.poll(net.now)
                assert end.engine._exchanges == []
                assert not end.engine.incoming and not end.engine.outgoing
                assert not end.raised
            assert len(here.said) == 1
            assert sink.told in ([], [True], [False]), sink.told
            if here.said[0][0] in (0x44, 0x45):
                assert (sink.at, sink.told) == (500, [True])
                whole += 1
            elif transfer is pulled:
                assert sink.told == [False]
            assert len(there.asked) <= (1 if transfer is pushed else 2)
    assert whole >= 16, whole


def test_what_changes_over_a_bad_network():
    # A clock in blocks, 30 % loss each way, and round trips above ACK_TIMEOUT, so that every request
    # is sent twice: what arrives is what the clock said at one time.
    good = 0
    for seed in range(20):
        said = []

        def handler(peer, m, payload, reply, now):
            said.append(stream(len(said) * 1600, 300))
            reply.payload = bytearray(said[-1])
            return 0x45

        there = End(Rng(seed), handler, size=128)
        here = End(Rng(seed + 50), size=128)
        rng = Rng(seed + 100)

        def slow(n, data):
            return [2500 + rng.below(500)] if rng.below(100) >= 30 * (seed & 1) else []

        net = Net(here, there, slow)
        here.engine.request(0, "b", 1, ((PATH, "s"),), b"", here.callback)
        steps(net)
        ((code, body),) = here.said
        if code == 0x45:
            assert body in said
            good += 1
        else:
            assert seed & 1 and code in (TIMEOUT, 0x88), (seed, code)
    assert good >= 13, good


# --- What it costs


def test_frames_of_a_read():
    # A handler is two calls above receive(), as a call costs 240 bytes of a C stack of 8 KB; also
    # where something is held in blocks for the peer.
    import io
    import sys

    e = End(size=128)

    def handler(peer, m, payload, reply, now):
        if m.strings(PATH) == ["long"]:
            reply.payload = stream(0, 200)
            return 0x45
        raise KeyboardInterrupt  # which nothing catches

    e.handler = handler
    for held in (False, True):
        if held:
            e.receive(msg(CON, 1, 5, b"", ((PATH, "long"),)))
            assert e.engine.outgoing
        try:
            e.receive(msg(CON, 1, 6, b"", ((PATH, "f"),)))
            raise AssertionError("it was caught")
        except KeyboardInterrupt as raised:
            buf = io.StringIO()
            sys.print_exception(raised, buf)
        assert buf.getvalue().count("ucoap/engine.py") == 2, buf.getvalue()
