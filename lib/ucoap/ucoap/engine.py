# CoAP exchanges (RFC 7252 4 and 5, RFC 7641, RFC 7959): datagrams and a time in, datagrams out.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# No socket and no clock in here. The owner calls receive() with what came and poll() when
# next_ms() has passed, and at least once in five days, as times wrap; the engine calls
# send(peer, datagram). A peer is any value that can be a key of a dict: the address of a datagram,
# or a connection object.

from micropython import const
from . import ACK, CON, NON, RST, CONTENT_FORMAT, Error, Message, Writer

# What a callback gets in place of a response code.
TIMEOUT = const(0)  # no answer within MAX_TRANSMIT_WAIT, or EXCHANGE_LIFETIME after an empty ACK
RESET = const(1)  # the peer reset it
ACKED = const(2)  # of respond(): the peer has the response

# A handler returns this to answer later with respond() (RFC 7252 5.2.2).
SEPARATE = const(0)

_MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)

_URI_HOST = const(3)
_ETAG = const(4)
_OBSERVE = const(6)
_URI_PORT = const(7)
_LOCATION_PATH = const(8)
_URI_PATH = const(11)
_URI_QUERY = const(15)
_ACCEPT = const(17)
_BLOCK2 = const(23)
_BLOCK1 = const(27)
_PROXY_URI = const(35)
_PROXY_SCHEME = const(39)

_CONTINUE = const(0x5F)  # 2.31
_BAD_REQUEST = const(0x80)
_BAD_OPTION = const(0x82)
_INCOMPLETE = const(0x88)  # 4.08
_TOO_LARGE = const(0x8D)  # 4.13
_INTERNAL = const(0xA0)
_UNAVAILABLE = const(0xA3)
_NO_PROXY = const(0xA5)

_EXCHANGE_LIFETIME_MS = const(247000)  # RFC 7252 4.8.2
_STALE_MS = const(128000)  # RFC 7641 3.4

# The most that a response has around its payload, beside header and token: ETag 3 bytes, Observe
# 4, Content-Format 3, Block2 4, Block1 4, marker 1. One with a Location-Path is never divided.
_AROUND_RESPONSE = const(19)
# And a request beside its own options: a Block option and the marker.
_AROUND_REQUEST = const(6)

# States of an exchange.
_QUEUED = const(0)  # another one with this peer is under way (NSTART is 1, RFC 7252 4.7)
_SENT = const(1)  # retransmitted until acknowledged
_WAITING = const(2)  # acknowledged, the response is to come
_OBSERVING = const(3)  # has had its response, notifications are to come


def diff(a, b):
    """Milliseconds from b to a, both masked to 30 bits; right up to six days apart."""
    return ((a - b & _MASK) ^ _HALF) - _HALF


def _unknown(m):
    # The number of the first critical option that is not understood, too long, or once too many
    # (RFC 7252 5.4.1, 5.4.3, 5.4.5), or 0. Every handler has to understand Uri-Path, Uri-Query and
    # Accept; Uri-Host and Uri-Port need not be looked at.
    last = 0
    for n in range(0, m.count, 3):
        number = m.options[n]
        if number & 1:
            most = -1
            if number == _BLOCK1 or number == _BLOCK2:
                most = 3
            elif m.code > 31:  # no other one belongs into a response
                pass
            elif number == _URI_PATH or number == _URI_QUERY:
                most = 255
                last = 0
            elif number == _URI_HOST:
                most = 255
            elif number == _URI_PORT or number == _ACCEPT:
                most = 2
            if number == last or m.options[n + 2] > most:
                return number
        last = number
    return 0


def _after(now, ms):
    # The time that many ms from now, by way of numbers that a board need not allocate.
    return now - (_MASK - ms) - 1 & _MASK


class Exchange:
    """A request of ours, or a response that we send confirmably; made by Engine."""

    def __init__(self, peer, code, options, payload, callback, settings):
        self.peer = peer
        self.code = code
        self.token = b""
        self.options = options  # (number, value) in ascending order, up to number 22
        self.payload = payload
        self.callback = callback  # f(exchange, code, message, payload), or None
        self.settings = settings  # (ACK_TIMEOUT ms, ACK_RANDOM_FACTOR percent, MAX_RETRANSMIT)
        self.type = CON
        self.state = _QUEUED
        self.mid = 0
        self.message = None  # as sent, kept while it may have to be sent again
        self.due = 0  # when the state's time is over
        self.timeout_ms = 0
        self.left = 0  # retransmissions left
        self.szx = 6  # block size 2 ** (szx + 4)
        self.offset = -1  # Block1: bytes that the peer has confirmed; -1 while not block-wise
        self.body = None  # Block2: what has come of the response
        self.etag = None  # of its first block
        self.observe = None  # sequence number of the last notification; None: not observing
        self.observed = 0  # when it came
        self.notifies = None  # the observation of whose last notification this fetches the rest


class Reply:
    """What a handler says beside the response code; one object, cleared for each request."""

    def clear(self):
        self.content_format = None  # int
        self.payload = b""  # bytes or str
        self.location = ()  # str, the segments of the Location-Path
        self.observe = None  # int

    __init__ = clear


class Engine:
    """Exchanges with any number of peers.

    send(peer, datagram): called for each datagram that goes out; must not raise, nor call
        receive().
    handler(peer, message, payload, reply, now) -> response code: called for each new request;
        may raise Error. payload is the whole body, however many blocks it came in. The response
        to other than GET and FETCH must fit in one datagram. A GET or FETCH that comes again is
        handled again (RFC 7252 4.5).
    rng() -> int: 30 random bits, for tokens, message ids and jitter.
    size: bytes, the largest datagram sent.
    body: bytes, the largest body taken in blocks, either way.
    seen: how many message ids are remembered for EXCHANGE_LIFETIME, with what they were answered.
    bodies: how many peers can be sending a body in blocks at once, one each.
    """

    def __init__(self, send, handler, rng, size=1152, body=4096, seen=16, bodies=1):
        if size < 128:
            raise ValueError("size must be at least 128 bytes")
        self._send = send
        self._handler = handler
        self._rng = rng
        self._body = body
        self._size = size
        self._max_seen = seen
        self._max_bodies = bodies
        # RFC 7252 4.8: ACK_TIMEOUT in ms, ACK_RANDOM_FACTOR in percent, MAX_RETRANSMIT; such that
        # the last wait is below six days.
        self.settings = (2000, 150, 4)
        self.on_exception = None  # f(exception): a handler or callback raised what it may not
        self._mid = rng() & 0xFFFF
        self._message = Message()  # overwritten by every datagram
        self._tx = Writer(size)  # overwritten by every message that goes out
        self._reply = Reply()
        self._exchanges = []
        self._seen = {}  # peer: its [mid, when, answer], oldest first; answer None: say nothing
        self._bodies = []  # [peer, key, bytearray, when]: Block1 bodies on their way in

    # --- Requests of ours

    def request(
        self, now, peer, code, options, payload, callback, settings=None, confirm=True, token=None
    ):
        """Send a request, or queue it behind another one to the same peer.

        options: (number, value) in ascending order, up to number 22; with (OBSERVE, 0) it may
        become an observation.
        callback(exchange, code, message, payload) is called once with the response code, or
        TIMEOUT or RESET and message None. 4.08 and 4.13 may be our own: a body in blocks that do
        not fit together, or too long a one; and so may 5.00, out of memory. An observation calls
        it for every notification, until exchange.observe is None then.
        token: of the observation that a request with (OBSERVE, 1) is to end (RFC 7641 3.6).
        A non-confirmable request without a callback is sent and forgotten.
        Raises Error 5.00 where its options do not fit in a datagram.
        """
        x = Exchange(peer, code, options, payload, callback, settings or self.settings)
        if not confirm:
            x.type = NON
        if callback:
            # 32 random bits, so that an answer cannot be forged blindly (RFC 7252 5.3.1).
            x.token = token or self._token()
        self._start(x, now)
        return x

    def respond(self, now, peer, code, token, reply=None, callback=None, settings=None):
        """Send a response by itself, confirmably: a separate one, or a notification.

        reply: a Reply, or None. callback gets ACKED, RESET or TIMEOUT for its code.
        Raises Error 5.00 where it does not fit in a datagram.
        """
        x = Exchange(peer, code, (), b"", callback, settings or self.settings)
        x.token = token
        x.mid = self._new_mid()
        self._write(CON, code, x.mid, token, reply or Reply())
        x.message = self._tx.message()
        self._start(x, now)
        return x

    def cancel(self, x):
        """Do not call an exchange's callback any more; what it has sent cannot be taken back.

        An observation ends, in that its next notification is reset (RFC 7641 3.6).
        """
        x.callback = None
        if x.state in (_QUEUED, _OBSERVING) and x in self._exchanges:
            self._exchanges.remove(x)

    def abandon(self, x, now):
        """Cancel an exchange, and send nothing of it any more; what is queued behind it goes out."""
        x.callback = None
        if x in self._exchanges:
            self._exchanges.remove(x)
            self._next(x.peer, now)

    def drop(self, peer):
        """Forget everything about a peer; no callback is called. Needs no memory."""
        for i in range(len(self._exchanges) - 1, -1, -1):
            if self._exchanges[i].peer == peer:
                self._exchanges.pop(i)
        for e in self._bodies:
            if e[0] == peer:
                self._bodies.remove(e)
                break  # a peer has one
        self._seen.pop(peer, None)

    def _token(self):
        return (self._rng() << 2 | self._rng() & 3).to_bytes(4, "big")

    def _new_mid(self):
        self._mid = self._mid + 1 & 0xFFFF
        return self._mid

    def _compose(self, x):
        # Write a request, or the next one of its block-wise transfer. It keeps its token, by which
        # some peers know what belongs together.
        tx = self._tx
        x.mid = self._new_mid()
        tx.start(x.type, x.code, x.mid, x.token)
        follow = x.body is not None  # the next block of a response: no payload, no Observe
        for number, value in x.options:
            if not (follow and number in (_OBSERVE, CONTENT_FORMAT)):
                tx.option(number, value)
        payload = x.payload
        if follow:
            payload = b""
            tx.option(_BLOCK2, len(x.body) >> x.szx + 4 << 4 | x.szx)
        elif x.offset >= 0 or (payload and tx.end + len(payload) >= self._size):
            x.offset = max(x.offset, 0)
            while x.szx and 16 << x.szx > self._size - tx.end - _AROUND_REQUEST:
                x.szx -= 1
            end = x.offset + (16 << x.szx)
            more = end < len(payload)
            payload = payload[x.offset : end]
            tx.option(_BLOCK1, x.offset >> x.szx + 4 << 4 | more << 3 | x.szx)
        tx.payload(payload)
        x.message = tx.message()

    def _start(self, x, now):
        # Send an exchange's next message, now or when it is its turn. All memory that it takes is
        # taken before anything is done.
        if x.code < 0x40:
            self._compose(x)
        least, percent, x.left = x.settings
        x.timeout_ms = least + self._rng() % (least * (percent - 100) // 100 + 1)
        if x.type == NON:  # wait for the answer as long as for a confirmable one's
            x.timeout_ms = least * ((2 << x.left) - 1) * percent // 100
            x.left = 0
        if x not in self._exchanges and (x.type == CON or x.token or x.offset >= 0):
            self._exchanges.append(x)
        x.state = _QUEUED
        if x.type == NON:
            self._transmit(x, now)
        else:
            self._next(x.peer, now)

    def _next(self, peer, now):
        # Send the first that is queued, unless one is yet to be acknowledged (RFC 7252 4.7).
        first = None
        for x in self._exchanges:
            if x.peer == peer and x.type == CON:
                if x.state == _SENT:
                    return
                if x.state == _QUEUED and first is None:
                    first = x
        if first:
            self._transmit(first, now)

    def _transmit(self, x, now):
        x.state = _SENT
        x.due = _after(now, x.timeout_ms)
        self._send(x.peer, x.message)

    def _finish(self, x, code, message, payload, now):
        # An exchange has its outcome; what was queued behind it goes out.
        if x.state != _OBSERVING and x in self._exchanges:
            self._exchanges.remove(x)
        x.message = None
        owner = x.notifies or x
        try:
            if owner.callback:
                owner.callback(owner, code, message, payload)
        except Exception as e:
            self._report(e)
        finally:
            self._next(x.peer, now)

    def _report(self, e):
        if self.on_exception:
            self.on_exception(e)

    # --- Time

    def poll(self, now):
        """Do what is due: retransmit, give up, forget (RFC 7252 4.2)."""
        i = 0
        while i < len(self._exchanges):
            x = self._exchanges[i]
            i += 1
            if x.state not in (_SENT, _WAITING) or diff(x.due, now) > 0:
                continue
            if x.state == _SENT and x.left:
                x.left -= 1
                x.timeout_ms *= 2
                x.due = _after(now, x.timeout_ms)
                self._send(x.peer, x.message)
            else:
                self._finish(x, TIMEOUT, None, b"", now)
                i = 0  # the callback may have added and removed others
        seen = self._seen
        while True:
            for peer in seen:
                if diff(now, seen[peer][0][1]) >= _EXCHANGE_LIFETIME_MS:
                    self._forget(peer)
                    break
            else:
                break
        for e in self._bodies:
            if diff(now, e[3]) >= _EXCHANGE_LIFETIME_MS:
                self._bodies.remove(e)  # which skips one, that the next poll() sees

    def next_ms(self, now):
        """Milliseconds until poll() has something to send or to tell, or -1 for never."""
        least = -1
        for x in self._exchanges:
            if x.state == _SENT or x.state == _WAITING:
                ms = max(diff(x.due, now), 0)
                if least < 0 or ms < least:
                    least = ms
        return least

    # --- What comes in

    def receive(self, peer, data, now):
        """Take one datagram. Returns False where it was not a message that anybody awaited."""
        try:
            return self._receive(peer, data, now)
        except MemoryError:  # as if the datagram, or the answer to it, had been lost
            return False

    def _receive(self, peer, data, now):
        m = self._message
        ok = m.parse(data)
        code = m.code
        if ok:
            if m.type <= NON and 0 < code < 32:
                self._request(peer, m, now)
                return True
            if m.type != RST and 64 <= code < 192:
                return self._response(peer, m, now)
            if m.type >= ACK and not code:
                return self._acked(peer, m, now)
        if ok is not None and m.type == CON:
            # A ping, or malformed, or of a reserved class (RFC 7252 4.2, 4.3).
            self._empty(peer, RST, m.mid)
        return False

    def _empty(self, peer, type, mid):
        # Send an Empty message, and return it.
        self._tx.start(type, 0, mid)
        message = self._tx.message()
        self._send(peer, message)
        return message

    def _acked(self, peer, m, now):
        # An empty ACK or RST (RFC 7252 4.2).
        for x in self._exchanges:
            if x.mid == m.mid and x.peer == peer and x.state:
                if m.type == RST:
                    x.state = _SENT  # also ends an observation
                    x.observe = None
                    self._finish(x, RESET, None, b"", now)
                    return True
                if x.state == _SENT and x.type == CON:
                    if x.code >= 0x40:  # a response of ours has arrived
                        self._finish(x, ACKED, None, b"", now)
                    else:
                        x.state = _WAITING
                        x.message = None
                        x.due = _after(now, _EXCHANGE_LIFETIME_MS)
                        self._next(peer, now)
                    return True
        return False

    def _remember(self, peer, mid, answer, now):
        # RFC 7252 4.5. Bounded: whoever has most makes room, of several the one whose is oldest,
        # so that a peer that floods pushes out its own.
        seen = self._seen
        own = seen.get(peer, ())
        total = 0
        most = peer
        count = len(own)
        for p in seen:
            n = len(seen[p])
            total += n
            if n > count or (
                n == count and most != peer and diff(seen[p][0][1], seen[most][0][1]) < 0
            ):
                most = p
                count = n
        if total >= self._max_seen:
            self._forget(most)
        entry = [mid, now, answer]
        seen.setdefault(peer, []).append(entry)
        return entry

    def _forget(self, peer):
        own = self._seen[peer]
        own.pop(0)
        if not own:
            self._seen.pop(peer)

    def _repeated(self, peer, m, now):
        # A message that came before is answered as before, and not acted on.
        for e in self._seen.get(peer, ()):
            if e[0] == m.mid and diff(now, e[1]) < _EXCHANGE_LIFETIME_MS:
                if e[2] is not None:
                    self._send(peer, e[2])
                return True
        return False

    def _response(self, peer, m, now):
        if m.type != ACK and self._repeated(peer, m, now):
            return True
        for x in self._exchanges:
            if x.token == m.token and x.peer == peer and x.code < 0x40 and x.state:
                if m.type != ACK or (x.mid == m.mid and x.state < _OBSERVING and x.type == CON):
                    break
        else:
            x = None
        if x is None or _unknown(m):
            # Nobody asked for it, or it cannot be understood: it is rejected (RFC 7252 4.2, 4.3,
            # 5.4.1), which also ends an observation.
            if m.type != ACK:
                self._empty(peer, RST, m.mid)
            return False
        if m.type != ACK:
            self._remember(
                peer, m.mid, self._empty(peer, ACK, m.mid) if m.type == CON else None, now
            )
        try:
            if x.observe is not None or x.body is not None or not self._send_on(x, m, now):
                self._take(x, m, now)
        except (Error, MemoryError) as e:
            self._finish(x, getattr(e, "code", _INTERNAL), m, b"", now)
        return True

    def _send_on(self, x, m, now):
        # A response to a request. Returns True where it does not end the sending of the payload.
        payload = x.payload
        block = m.uint(_BLOCK1)
        if len(payload) <= 16:
            return False
        if m.code == _TOO_LARGE:
            # RFC 7959 2.5: a hint to use blocks, or smaller ones.
            szx = 6 if block is None else min(block & 7, 6)
            if x.offset < 0:
                while 16 << szx >= len(payload):
                    szx -= 1
            elif szx >= x.szx:
                return False
            x.szx = szx
            x.offset = 0
        elif x.offset >= 0 and block is not None and m.code >> 5 == 2:
            # With 2.31 the peer collects the blocks, with others it acts on each of them.
            ahead = (block >> 4) - (x.offset >> x.szx + 4)
            if ahead < 0 and m.type != ACK:
                return True  # a late one, to a block before
            if ahead:
                raise Error(_INCOMPLETE)
            end = x.offset + (16 << x.szx)
            if end >= len(payload):
                return False
            x.offset = end
            x.szx = min(x.szx, block & 7)
        else:
            return False
        self._start(x, now)
        return True

    def _take(self, x, m, now):
        # A response to the whole of a request, a further block of it, or a notification.
        code = m.code
        sequence = m.uint(_OBSERVE)
        if code >= 0x60:
            sequence = None
        if x.observe is not None:
            if sequence is None:
                x.state = _SENT  # the peer has ended the observation
            else:
                # RFC 7641 3.4: an older one has been overtaken.
                ahead = sequence - x.observe & 0xFFFFFF
                if not 0 < ahead < 1 << 23 and diff(now, x.observed) <= _STALE_MS:
                    return
            # What is left of the notification before is not wanted any more.
            self._exchanges = [y for y in self._exchanges if y.notifies is not x]
            x.observe = sequence
        elif (_OBSERVE, 0) in x.options and x.callback and x.body is None:
            x.observe = sequence
        if x.observe is not None:
            x.observed = now
            x.state = _OBSERVING
            x.message = None
        payload = m.data[m.payload :]
        block = m.uint(_BLOCK2)
        if block is not None and code < 0x60 and (block & 8 or x.body is not None):
            if x.observe is not None:
                # The rest of a notification is fetched by itself (RFC 7959 2.6).
                y = Exchange(x.peer, x.code, x.options, b"", None, x.settings)
                y.token = self._token()
                y.notifies = x
                x = y
            szx = block & 7
            more = block & 8
            at = (block >> 4) << szx + 4
            if x.body is None:
                x.body = bytearray()
                x.etag = m.option(_ETAG)
            elif at < len(x.body) and m.type != ACK:
                return  # a late one, to a block before
            if (
                at != len(x.body)
                or szx > 6
                or m.option(_ETAG) != x.etag
                or (more and len(payload) != 16 << szx)
            ):
                raise Error(_INCOMPLETE)
            if at + len(payload) > self._body:
                raise Error(_TOO_LARGE)
            x.body.extend(payload)
            if more:
                x.szx = szx
                return self._start(x, now)
            payload = bytes(x.body)
        self._finish(x, code, m, payload, now)

    # --- Requests of peers

    def _request(self, peer, m, now):
        if self._repeated(peer, m, now):
            return
        unknown = _unknown(m)
        proxy = unknown == _PROXY_URI or unknown == _PROXY_SCHEME
        mid, token = m.mid, m.token
        entry = None
        safe = m.code == 1 or m.code == 5  # GET or FETCH
        if m.type == CON:
            type = ACK
            answer_mid = mid
            if not safe:  # else it is done again, so that no large answer is kept
                entry = self._remember(peer, mid, None, now)
        else:
            if unknown and not proxy:
                return self._empty(peer, RST, mid)  # RFC 7252 5.4.1
            type = NON
            answer_mid = self._new_mid()
            self._remember(peer, mid, None, now)
        reply = self._reply
        reply.clear()
        try:
            if unknown:
                raise Error(_NO_PROXY if proxy else _BAD_OPTION, "option %d" % unknown)
            block1 = m.uint(_BLOCK1)
            block2 = m.uint(_BLOCK2)
            payload = m.data[m.payload :]
            if block2 is not None:
                if block2 & 7 == 7:
                    raise Error(_BAD_REQUEST, "block of a wrong size")
                if block2 >> 4 and not safe:
                    raise Error(_INCOMPLETE, "no further block")  # it would be done again
            code = _CONTINUE
            if block1 is not None:
                payload = self._assemble(peer, m, block1, payload, now)
            if payload is not None:
                code = self._handler(peer, m, payload, reply, now)
            if code != SEPARATE:
                self._write(type, code, answer_mid, token, reply, block1, block2)
        except Exception as e:
            code = _INTERNAL
            reply.clear()
            if isinstance(e, Error):
                code = e.code
                reply.payload = e.text
            elif not isinstance(e, MemoryError):
                self._report(e)
            self._write(type, code, answer_mid, token, reply)
        if code == SEPARATE:
            if type == NON:
                return
            self._tx.start(ACK, 0, mid)
            if entry is None:
                entry = self._remember(peer, mid, None, now)
        message = self._tx.message()
        if entry:
            entry[2] = message
        self._send(peer, message)

    def _assemble(self, peer, m, block1, payload, now):
        # RFC 7959 2.5. Returns the whole body with its last block, None before it.
        szx = block1 & 7
        more = block1 & 8
        size = 16 << szx
        at = (block1 >> 4) * size
        if szx == 7 or len(payload) > size or (more and len(payload) < size):
            raise Error(_BAD_REQUEST, "block of a wrong size")
        key = m.code, m.strings(_URI_PATH), m.strings(_URI_QUERY), m.uint(CONTENT_FORMAT)
        entry = None
        for e in self._bodies:
            if e[0] == peer:
                entry = e
        if at and (entry is None or entry[1] != key or len(entry[2]) != at):
            raise Error(_INCOMPLETE, "not the next block")
        if entry:
            self._bodies.remove(entry)
        if not at:
            if not more:
                return payload
            if len(self._bodies) >= self._max_bodies:
                raise Error(_UNAVAILABLE, "too many transfers")
            entry = [peer, key, bytearray(), now]
        body = entry[2]
        if at + len(payload) > self._body:
            raise Error(_TOO_LARGE, "body over %d bytes" % self._body)
        body.extend(payload)
        if not more:
            return bytes(body)
        entry[3] = now
        self._bodies.append(entry)

    def _write(self, type, code, mid, token, reply, block1=None, block2=None):
        # A response, or of a long one the block that was asked for (RFC 7959 2.4).
        tx = self._tx
        tx.start(type, code, mid, token)
        payload = reply.payload
        if isinstance(payload, str):
            payload = payload.encode()
        room = self._size - tx.end - _AROUND_RESPONSE
        size = end = len(payload)
        at = 0
        if code >= 0x60 or code == _CONTINUE:
            # Words for a person: cut, as to ask for the rest would be the same request again.
            block2 = None
            if end > room:
                end = room
                while end > 0 and payload[end] & 0xC0 == 0x80:  # inside of a character
                    end -= 1
        elif block2 is None and size > room:
            block2 = 6
        if block2 is not None:
            szx = block2 & 7
            at = (block2 >> 4) << szx + 4
            if at and at >= size:
                raise Error(_BAD_REQUEST, "block behind the end")
            while szx and 16 << szx > room:
                szx -= 1
            end = min(at + (16 << szx), size)
            if end - at < size:
                # Blocks are read anew from what may have changed: the tag lets the peer see it.
                from binascii import crc32

                tx.option(_ETAG, (crc32(payload) & 0xFFFF).to_bytes(2, "big"))
        if reply.observe is not None:
            tx.option(_OBSERVE, reply.observe)
        for part in reply.location:
            tx.option(_LOCATION_PATH, part)
        if reply.content_format is not None:
            tx.option(CONTENT_FORMAT, reply.content_format)
        if block2 is not None:
            tx.option(_BLOCK2, at >> szx + 4 << 4 | (end < size) << 3 | szx)
        if block1 is not None:
            tx.option(_BLOCK1, block1)
        if end - at < size:
            payload = payload[at:end]
        tx.payload(payload)
