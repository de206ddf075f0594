# Bodies in blocks (RFC 7959): what is held of them between one message and the next.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# The engine, `e` in here, loads this when the first body goes in blocks, as many a device never has
# one. What comes in is put together in a buffer, or goes into a sink; what goes out is cut from the
# bytes that it was given as, or read from a source.
#
# A sink is any object with write(data), called for each block, in order, before that is
# acknowledged; it may raise Error, which ends the transfer. And with close(whole), called once: with
# True when all has been written, with False when the rest will not come.
#
# A source is any object with read(at, n) -> the n bytes from `at` on, fewer where it ends; it may be
# asked for the same place again. And with size, in bytes, or None where nobody knows.

from binascii import crc32
from micropython import const
from . import Error

_MASK = const(0x3FFFFFFF)

_ACK = const(2)
_ETAG = const(4)
_CONTENT_FORMAT = const(12)
_ACCEPT = const(17)
_BLOCK1 = const(27)
_SIZE1 = const(60)

_BAD_REQUEST = const(0x80)
_INCOMPLETE = const(0x88)  # 4.08
_TOO_LARGE = const(0x8D)  # 4.13
_INTERNAL = const(0xA0)

_EXCHANGE_LIFETIME_MS = const(247000)  # for how long a peer may need a Transfer (RFC 7959 2.4)


class Transfer:
    """A body on its way, in one direction, with one peer."""

    # Most have nothing else for these, and are smaller so.
    at = 0  # in: bytes that have come; out: where the current block begins
    szx = 6  # of blocks of 16 << szx bytes
    more = 0  # out: the bit of a Block option, whether others follow the current block
    etag = None
    last = 0  # in: where the last block began
    # And what take(), offer() and hold() set. when: ms, of the last of a peer's requests for it. Out:
    # mid, of the request that it answers, -1 for none; head, of the response: (code,
    # Content-Format, Observe).

    def __init__(self, body, key=None, sink=None):
        self.body = body  # in: a bytearray, None with a sink; out: bytes, or a source
        self.key = key  # what a peer's requests for it have in common: Message.key()
        self.sink = sink  # in: where it goes, in place of the body

    def option(self):
        """The Block option's value for the current block."""
        return self.at >> self.szx + 4 << 4 | self.more | self.szx

    def cut(self, room):
        """Out: the current block, of that many bytes at most, empty behind the end; memoryview.

        Raises Error, and what a source raises.
        """
        while self.szx and 16 << self.szx > room:
            self.szx -= 1
        n = 16 << self.szx
        data = self.body
        start = self.at
        if hasattr(data, "read"):
            # A byte more tells whether others follow, also where nobody knows how many.
            data = data.read(start, n + 1)
            size = self.body.size
            if size is not None and len(data) != max(min(n + 1, size - start), 0):
                raise Error(_INTERNAL, "block of a wrong size")
            start = 0
        self.more = (start + n < len(data)) << 3
        return memoryview(data)[start : start + n]

    def put(self, data, length, most, last):
        """In: take the next block, and return the whole with the last one: bytes, or the sink.

        length: of the body, as far as it is known. most: bytes for a buffer; above, it is Error
        4.13. Raises what a sink raises.
        """
        sink = self.sink
        if sink is not None:
            sink.write(data)
        elif length > most:
            raise Error(_TOO_LARGE, "body over %d bytes" % most, most)
        else:
            self.body.extend(data)
        self.last = self.at
        self.at += len(data)
        if last:
            if sink is None:
                return bytes(self.body)
            self.sink = None  # it is told once, even if it raises now
            sink.close(True)
            return sink

    def join(self, m, block, data, most):
        """In: take a block of a response, likewise; False stands for one that came late.

        Raises Error 4.08 where it does not belong to those before.
        """
        szx = block & 7
        at = (block >> 4) << szx + 4
        etag = m.option(_ETAG)
        if not self.at:
            self.etag = etag
        elif at < self.at and m.type != _ACK:
            return False
        if at != self.at or szx > 6 or etag != self.etag or (block & 8 and len(data) != 16 << szx):
            raise Error(_INCOMPLETE)
        self.szx = szx
        return self.put(data, at + len(data), most, not block & 8)


# --- Requests of ours


def sent(x, m):
    """A response to a request that goes in blocks, or that the peer wants in blocks.

    Returns whether there is one to be sent now; None for a late response, which says nothing.
    """
    t = x.sent
    block = m.uint(_BLOCK1)
    if m.code == _TOO_LARGE:
        # RFC 7959 2.5: a hint to use blocks, or smaller ones.
        szx = 6 if block is None else min(block & 7, 6)
        if t is None:
            if len(x.payload) <= 16:
                return False
            while 16 << szx >= len(x.payload):
                szx -= 1
            t = x.sent = Transfer(x.payload)
        elif szx >= t.szx:
            return False
        t.szx = szx
        t.at = 0
        return True
    if block is None or m.code >> 5 != 2:
        return False
    # With 2.31 the peer collects the blocks, with others it acts on each of them.
    ahead = (block >> 4) - (t.at >> t.szx + 4)
    if ahead < 0 and m.type != _ACK:
        return  # to a block before
    if ahead:
        raise Error(_INCOMPLETE)
    if not t.more:
        return False
    t.at += 16 << t.szx
    t.szx = min(t.szx, block & 7)
    return True


# --- Requests of peers


def take(e, peer, m, block, data, now):
    """Take a block of a request (RFC 7959 2.5).

    Returns the whole with the last one, bytes or a sink, and None before it.
    """
    size = 16 << (block & 7)
    more = block & 8
    at = (block >> 4) * size
    if size > 1024 or len(data) > size or (more and len(data) < size):
        raise Error(_BAD_REQUEST, "block of a wrong size")
    key = m.key(_CONTENT_FORMAT, b"")
    length = at + len(data)
    if e.incoming is None:
        e.incoming = {}
        e.sweep = sweep
    t = e.incoming.get(peer)
    if not at:
        e.close(e.incoming.pop(peer, None))  # it begins again, or gives way to another
        if not more:
            return data
        t = Transfer(bytearray(), key)
        length = max(length, m.uint(_SIZE1) or 0)
    elif t is None or t.key != key or at != t.at:
        if t and t.key == key and more and t.last <= at and length <= t.at:
            t.when = now
            return  # it came before, and its answer was lost
        raise Error(_INCOMPLETE, "start with block 0")
    t.when = now
    begin = e.limits[3]
    try:
        if not at:
            if begin:
                t.sink = begin(peer, m, now)
            e.incoming[peer] = t
        whole = t.put(data, length, e.limits[0], not more)
    except Exception:
        e.incoming.pop(peer, None)
        e.close(t)
        raise
    if more:
        sweep(e, now, t)  # only a body that is wanted makes others give way
    else:
        e.incoming.pop(peer, None)
    return whole


def asked(e, peer, m, data, block):
    """The Transfer that a request is about, gone to its block; None where it is a new request."""
    if block is None:
        block = 6
    if block & 7 == 7:
        raise Error(_BAD_REQUEST, "block of a wrong size")
    t = e.outgoing and e.outgoing.get(peer)
    if t:
        # Requests for further blocks may leave out their payload, and most do (RFC 7959 2.7).
        key = m.key(_ACCEPT, data)
        same = t.key == key or (not data and t.key.startswith(key))
        # The first block is new, unless it came before and its answer was lost.
        if not same or (block < 16 and t.mid != m.mid):
            if same or not t.more:  # the last block has arrived, as something else is asked for
                e.outgoing.pop(peer)
            t = None
    if t:
        t.szx = block & 7
        t.at = (block >> 4) << t.szx + 4
    elif block > 15:
        # RFC 7959 2.4 leaves open what then. Californium and libcoap ask the handler, of which a
        # part would come that need not belong to the others; so it is 4.08, as with aiocoap.
        raise Error(_INCOMPLETE, "start with block 0")
    return t


def offer(e, origin, code, reply, mid):
    """The Transfer of a response, whose payload it takes, to the request of that mid and origin."""
    body = reply.payload
    t = Transfer(body, origin[0])
    reply.payload = b""
    if origin[1] is not None:
        t.szx = origin[1] & 7
    # The same for the same bytes: who asks for the first block amid a transfer goes on with both.
    t.etag = (e.new_mid() if hasattr(body, "read") else crc32(body)).to_bytes(4, "big")
    t.mid = mid
    t.head = code, reply.content_format, reply.observe
    return t


def hold(e, peer, t, now):
    """The current block of a response goes out: be ready to be asked for others, if there are."""
    if t.at or t.more:
        if e.outgoing is None:
            e.outgoing = {}
            e.sweep = sweep
        e.outgoing[peer] = t
        t.when = now
        sweep(e, now, t)


def sweep(e, now, latest=None):
    """End what is idle for long; and in each direction, of too many, what is so longest."""
    for way in range(2):
        transfers = e.outgoing if way else e.incoming
        longest = -1
        for peer in transfers or ():
            idle = now - transfers[peer].when & _MASK
            if idle > longest and transfers[peer] is not latest:
                longest = idle
                oldest = peer
        if longest >= _EXCHANGE_LIFETIME_MS or (
            longest >= 0 and len(transfers) > e.limits[way + 1]
        ):
            e.close(transfers.pop(oldest))
