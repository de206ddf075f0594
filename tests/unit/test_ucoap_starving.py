# Bodies in blocks where memory runs out, anywhere: what is held for others makes room, and what
# does not succeed has not happened.

import sys

from starving import starve  # first, while there is memory in one piece
import ucoap
from coap_peer import ACK, BLOCK1, BLOCK2, CON, PATH, block, msg
from ucoap.block import Transfer
from ucoap.engine import Engine, Reply

BODY = bytes(range(200)) * 10
HELD = 6000  # bytes, what another peer is fetching
STRIDE = 3


class Starved:
    """An engine whose datagrams are only looked at, as there may be no memory to keep them."""

    def __init__(self, **kwargs):
        self.engine = Engine(self._send, self._handle, lambda: 1, **kwargs)
        self.engine.on_exception = self._raised
        self.mid = 0
        self.length = 200
        self.sink = None
        self.payload = None
        self.clear()

    def clear(self):
        self.codes = 0  # that were sent
        self.code = -1
        self.at = 0
        self.handled = 0
        self.said = -1

    def _send(self, peer, data):
        self.codes += 1
        self.code = data[1]

    def _raised(self, e):
        raise AssertionError("reported: %r" % e)

    def _handle(self, peer, m, payload, reply, now):
        self.handled += 1
        self.payload = payload
        reply.payload = bytearray(self.length)
        return 0x45

    def callback(self, x, code, m, payload):
        self.said = code
        self.payload = payload

    def get(self, peer="a", number=0, path="f"):
        self.mid += 1
        options = ((PATH, path), (BLOCK2, block(number, 0, 64)))
        return peer, msg(CON, 1, self.mid, b"", options)

    def hold(self):
        """Let another peer have a long answer under way."""
        length, self.length = self.length, HELD
        self.engine.receive(*self.get("other"), 0)
        self.length = length
        assert "other" in self.engine.outgoing
        self.clear()


def sweep(prepare, act, check):
    """Call act() with ever more memory, until check(whether it was starved) is True; then once
    with all of it. Returns the blocks that it took."""
    for collect in (False, True):
        blocks = 0
        while True:
            prepare()
            starve(act, blocks, collect)
            if check():
                break
            blocks += STRIDE
            assert blocks < 900
    return blocks


class Receive:
    """Takes a datagram as act() of sweep()."""

    def __init__(self, e):
        self.e = e

    def set(self, peer, data):
        self.args = peer, data, 0

    def __call__(self):
        self.e.engine.receive(*self.args)


def test_a_read_while_another_is_held():
    # Its answer is 5.00, or none, and in less memory than what is held it succeeds.
    least = []
    for held in (False, True):
        e = Starved(snapshots=2)
        e.length = 3000
        act = Receive(e)

        def prepare():
            e.engine.drop("a")
            e.engine.drop("other")
            if held:
                e.hold()
            e.clear()
            act.set(*e.get())

        def check():
            assert e.code in (-1, 0xA0, 0x45) and e.codes <= 1
            if e.code != 0x45:
                assert not (e.engine.outgoing or {}).get("a")
                return False
            got = e.engine.outgoing["a"].body
            assert len(got) == 3000
            return True

        least.append(sweep(prepare, act, check))
    assert least[1] < least[0] - HELD // 32 // 2, least


def test_further_blocks():
    # It is lost, or the peer has to begin anew, as what is held for itself may go, too.
    e = Starved()
    act = Receive(e)

    def prepare():
        e.engine.drop("a")
        e.engine.receive(*e.get(), 0)
        e.clear()
        act.set(*e.get("a", 1))

    def check():
        assert e.code in (-1, 0x88, 0xA0, 0x45) and e.codes <= 1
        return e.code == 0x45

    sweep(prepare, act, check)


def test_requests_and_responses_of_ours():
    # They raise MemoryError and have left nothing, or go out; what is held makes room.
    reply = Reply()
    origin = ("key", None)

    def request():
        e.engine.request(0, "a", 3, ((PATH, "f"),), BODY, e.callback)

    def get_to_sink():
        e.engine.request(
            0, "a", 1, ((PATH, "f"),), b"", e.callback, got=Transfer(None, sink=Sink())
        )

    def respond():
        e.engine.respond(0, "a", 0x45, b"", reply, e.callback, None, origin)

    for ask in (request, get_to_sink, respond):
        least = []
        for held in (False, True):
            e = Starved(snapshots=2)

            def act():
                try:
                    ask()
                except MemoryError:
                    pass

            def prepare():
                e.engine.drop("a")
                if held:
                    e.hold()
                e.clear()
                reply.payload = BODY

            def check():
                assert len(e.engine._exchanges) == e.codes <= 1
                return e.codes == 1

            least.append(sweep(prepare, act, check))
        if ask is not get_to_sink:  # whose datagram is small
            assert least[1] < least[0] - 10, (ask, least)


class Sink:
    """Counts; sees that nothing comes twice. Takes no memory."""

    def __init__(self):
        self.at = 0
        self.told = 0
        self.whole = None

    def write(self, data):
        assert self.told == 0 and len(data) == 64
        for i in range(64):
            assert data[i] == BODY[self.at + i]
        self.at += 64

    def close(self, whole):
        self.told += 1
        self.whole = whole


def put(e, number, mid):
    options = ((PATH, "f"), (BLOCK1, block(number, number < 3, 64)))
    return "a", msg(CON, 3, mid, b"", options, BODY[number * 64 :][:64])


def test_a_body_that_comes():
    # Starved at one of its blocks, and at that block only: the peer sends it again while it has no
    # answer, and begins anew where it is refused. It arrives whole, to a sink with each byte once.
    for sinks in (False, True):
        for starved in range(4):
            e = Starved(begin=lambda *args: e.sink)
            e.length = 0
            act = Receive(e)

            def prepare():
                e.sink = Sink() if sinks else None
                e.engine.drop("a")
                e.mid += 10
                for number in range(starved):
                    e.clear()
                    e.engine.receive(*put(e, number, e.mid + number), 0)
                    assert e.code == 0x5F
                e.clear()
                act.set(*put(e, starved, e.mid + starved))

            def check():
                wanted = 0x45 if starved == 3 else 0x5F
                assert e.code in (-1, 0xA0, wanted) and e.codes <= 1
                done = e.code == wanted
                number = starved
                mid = e.mid + starved
                begun = e.sink
                while e.code != 0x45:
                    # The peer's patience.
                    if e.code == -1:
                        pass
                    elif e.code == 0x5F:
                        number += 1
                        mid += 1
                    else:
                        assert e.code in (0xA0, 0x88)
                        number = 0
                        mid += 10
                        e.sink = Sink() if sinks else None
                    e.clear()
                    e.engine.receive(*put(e, number, mid), 0)
                    if e.code == -1:  # the answer to that message was lost for good
                        mid += 100
                e.mid = mid + 100
                if not sinks:
                    assert e.payload == BODY[:256]
                else:
                    for sink in (begun, e.sink):
                        if sink.at or sink.told:
                            assert sink.told == 1 and sink.whole == (sink.at == 256)
                    assert e.payload is e.sink and e.sink.whole
                assert not e.engine.incoming
                return done

            sweep(prepare, act, check)


def test_a_response_that_comes():
    # 5.00 of our own, or nothing has happened and it is sent again.
    for sinks in (False, True):
        e = Starved()
        act = Receive(e)

        def prepare():
            e.engine.drop("a")
            e.sink = Sink() if sinks else None
            got = Transfer(None, sink=e.sink) if sinks else None
            x = e.engine.request(0, "a", 1, ((PATH, "f"),), b"", e.callback, got=got)
            options = ((BLOCK2, block(0, 1, 64)),)
            e.engine.receive("a", msg(ACK, 0x45, x.mid, x.token, options, BODY[:64]), 0)
            options = ((BLOCK2, block(1, 1, 64)),)
            act.set("a", msg(ACK, 0x45, x.mid, x.token, options, BODY[64:128]))
            e.x = x
            e.clear()

        def check():
            assert e.said in (-1, 0xA0)
            done = e.codes == 1
            if e.said == 0xA0:
                assert e.engine._exchanges == []
                assert not sinks or (e.sink.told == 1 and not e.sink.whole)
            else:
                assert len(e.engine._exchanges) == 1
                x = e.x
                if not done:  # the next request was not composed, or the answer not taken
                    e.engine.receive(*act.args)
                options = ((BLOCK2, block(2, 0, 64)),)
                e.engine.receive("a", msg(ACK, 0x45, x.mid, x.token, options, BODY[128:192]), 0)
                assert e.said == 0x45
                if sinks:
                    assert (e.sink.at, e.sink.told, e.sink.whole) == (192, 1, True)
                else:
                    assert e.payload == BODY[:192]
            return done

        sweep(prepare, act, check)


def test_the_module_itself():
    # It is loaded when the first body goes in blocks: without memory for it that is 5.00, and later
    # it works.
    e = Starved()
    act = Receive(e)

    def prepare():
        e.engine = Engine(e._send, e._handle, lambda: 1)
        if "ucoap.block" in sys.modules:
            sys.modules.pop("ucoap.block")
            del ucoap.block
        e.clear()
        act.set(*e.get())

    def check():
        assert e.code in (-1, 0xA0, 0x45) and e.codes <= 1
        done = e.code == 0x45
        e.engine.receive(*e.get(), 0)
        assert e.code == 0x45
        e.engine.receive(*e.get("a", 1), 0)
        assert e.code == 0x45 and e.engine.outgoing
        return done

    sweep(prepare, act, check)
