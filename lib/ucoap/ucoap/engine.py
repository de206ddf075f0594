# CoAP exchanges (RFC 7252 4 and 5, RFC 7641, RFC 7959): datagrams and a time in, datagrams out.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# No socket and no clock in here. The owner calls receive() with what came and poll() when
# next_ms() has passed, and at least once in five days, as times wrap; the engine calls
# send(peer, datagram). A peer is any value that can be a key of a dict: the address of a datagram,
# or a connection object.

import sys
from micropython import const
from . import Error, Message, Writer

# What a callback gets in place of a response code.
TIMEOUT = const(0)  # no answer within MAX_TRANSMIT_WAIT, or EXCHANGE_LIFETIME after an empty ACK
RESET = const(1)  # the peer reset it
ACKED = const(2)  # of respond(): the peer has the response

# A handler returns this to answer later with respond() (RFC 7252 5.2.2).
SEPARATE = const(0)

_CON = const(0)
_NON = const(1)
_ACK = const(2)
_RST = const(3)

_MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)

_URI_HOST = const(3)
_ETAG = const(4)
_OBSERVE = const(6)
_URI_PORT = const(7)
_LOCATION_PATH = const(8)
_URI_PATH = const(11)
_CONTENT_FORMAT = const(12)
_URI_QUERY = const(15)
_ACCEPT = const(17)
_BLOCK2 = const(23)
_BLOCK1 = const(27)
_PROXY_URI = const(35)
_PROXY_SCHEME = const(39)
_SIZE1 = const(60)

_CONTINUE = const(0x5F)  # 2.31
_BAD_REQUEST = const(0x80)
_BAD_OPTION = const(0x82)
_INCOMPLETE = const(0x88)  # 4.08
_TOO_LARGE = const(0x8D)  # 4.13
_INTERNAL = const(0xA0)
_NO_PROXY = const(0xA5)

_EXCHANGE_LIFETIME_MS = const(247000)  # RFC 7252 4.8.2
_STALE_MS = const(128000)  # RFC 7641 3.4

# The most that a response has around its payload, beside header and token: ETag 5 bytes, Observe
# 4, Content-Format 3, Block2 4, Block1 4, marker 1. One with a Location-Path is never divided.
_AROUND_RESPONSE = const(21)
# And a request beside its own options: a Block option, Size1 and the marker.
_AROUND_REQUEST = const(11)

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


class Exchange:
    """A request of ours, or a response that we send confirmably; made by Engine."""

    # Most have nothing else for these, and are smaller so.
    observed = 0  # when the last notification came
    notifies = None  # the observation of whose last notification this fetches the rest

    def __init__(self, peer, code, options, payload, callback, settings):
        self.peer = peer
        self.code = code
        self.token = None
        self.options = options  # (number, value) in ascending order, up to number 22
        self.payload = payload  # bytes, or a source
        self.callback = callback  # f(exchange, code, message, payload), or None
        self.settings = settings  # (ACK_TIMEOUT ms, ACK_RANDOM_FACTOR percent, MAX_RETRANSMIT)
        self.type = _CON
        self.state = _QUEUED
        self.mid = 0
        self.message = None  # as sent, kept while it may have to be sent again
        self.due = 0  # when the state's time is over
        self.timeout_ms = 0
        self.left = 0  # retransmissions left
        self.sent = None  # the Transfer of the payload, where that goes in blocks
        self.got = None  # and of the response
        self.observe = None  # sequence number of the last notification; None: not observing


class Reply:
    """What a handler says beside the response code; one object, cleared for each request."""

    def clear(self):
        self.content_format = None  # int
        self.payload = b""  # bytes, str, or a source; a bytearray is the engine's from then on
        self.location = ()  # str, the segments of the Location-Path
        self.observe = None  # int

    __init__ = clear


class Engine:
    """Exchanges with any number of peers.

    send(peer, datagram): called for each datagram that goes out; must not raise, nor call
        receive().
    handler(peer, message, payload, reply, now) -> response code: called for each new request;
        may raise Error. payload is the whole body, however many blocks it came in: bytes, or the
        sink that has it. A GET or FETCH that comes again is handled again (RFC 7252 4.5), but not
        where the response is in blocks: those are served out of what the first one gave.
    begin(peer, message, now) -> a sink, or None for a buffer: called for the first of several
        blocks of a request, before it takes any place; may raise Error.
    rng() -> int: 30 random bits, for tokens, message ids and jitter.
    size: bytes, the largest datagram sent.
    body: bytes, the largest body that is put together in a buffer, either way.
    seen: how many message ids are remembered for EXCHANGE_LIFETIME, with what they were answered.
    bodies: how many peers can be sending a body in blocks at once, one each.
    snapshots: how many peers can be fetching a response in blocks at once, one each. Of both, the
        one that was idle longest makes room for another; after EXCHANGE_LIFETIME without a block,
        the next poll() ends it. Where memory is short, the snapshots go first.

    block.py says what a sink and a source are.
    """

    def __init__(
        self, send, handler, rng, size=1152, body=4096, seen=16, bodies=4, snapshots=1, begin=None
    ):
        if size < 128:
            raise ValueError("size must be at least 128 bytes")
        self._send = send
        self._handler = handler
        self._rng = rng
        self._size = size
        self._max_seen = seen
        # RFC 7252 4.8: ACK_TIMEOUT in ms, ACK_RANDOM_FACTOR in percent, MAX_RETRANSMIT; such that
        # the last wait is below six days.
        self.settings = (2000, 150, 4)
        self.on_exception = None  # f(exception): a handler or callback raised what it may not
        self.mid = rng() & 0xFFFF  # the last message id of ours
        self._message = Message()  # overwritten by every datagram
        self._tx = Writer(size)  # overwritten by every message that goes out
        self._reply = Reply()
        self._exchanges = []
        self.seen = {}  # peer: its [mid, when, answer], oldest first; answer None: say nothing
        # For block.py, as everything without _: {peer: Transfer} of requests, and of responses, once
        # there are any; and its sweep(), as to import it would take memory at each poll().
        self.incoming = self.outgoing = self.sweep = None
        self.limits = body, bodies, snapshots, begin

    # --- Requests of ours

    def request(
        self,
        now,
        peer,
        code,
        options,
        payload,
        callback,
        settings=None,
        confirm=True,
        token=None,
        got=None,
    ):
        """Send a request, or queue it behind another one to the same peer.

        options: (number, value) in ascending order, up to number 22; with (OBSERVE, 0) it may
        become an observation.
        payload: bytes, or a source.
        callback(exchange, code, message, payload) is called once with the response code, or
        TIMEOUT or RESET and message None. 4.08 and 4.13 may be our own: a body in blocks that do
        not fit together, or too long a one; and so may 5.00, out of memory, or what a sink or
        source raised. An observation calls it for every notification, until exchange.observe is
        None then.
        token: of the observation that a request with (OBSERVE, 1) is to end (RFC 7641 3.6).
        got: a Transfer of block.py with a sink, where the response is to go if it is no error;
        callback then has that as payload. Not for an observation. One of which blocks have come
        goes on behind them, as long as the ETag is the same (RFC 7959 2.4).
        A non-confirmable request without a callback is sent and forgotten.
        Raises Error 5.00 where its options do not fit in a datagram, and what a source raises.
        """
        x = Exchange(peer, code, options, payload, callback, settings or self.settings)
        x.got = got
        if not confirm:
            x.type = _NON
        x.token = token if callback or x.got else b""
        self._start(x, now)
        return x

    def respond(
        self,
        now,
        peer,
        code,
        token,
        reply=None,
        callback=None,
        settings=None,
        origin=None,
        type=_CON,
    ):
        """Send a response by itself: a separate one, or a notification.

        reply: a Reply, or None. callback gets ACKED, RESET or TIMEOUT for its code; where type is
        NON, the last of them tells no more than that nobody has reset it.
        origin: what origin() said of the request; without it, the reply cannot go in blocks.
        Raises Error 5.00 where it does not fit in a datagram.
        """
        x = Exchange(peer, code, (), b"", callback, settings or self.settings)
        x.type = type
        x.token = token
        x.mid = self.new_mid()
        reply = reply or Reply()
        t = None
        if origin and code < 0x60 and (origin[1] is not None or self._long(token, reply)):
            t = self._block().offer(self, origin, code, reply, -1)
        self._write(type, code, x.mid, token, reply, t)
        if t:
            self._block().hold(self, peer, t, now)
        x.message = self._written()
        self._start(x, now)
        return x

    def origin(self, m, payload):
        """What respond() has to know of a request, to answer it in blocks: a tuple, to be kept.

        payload: the whole one, where that says what is asked for, as of FETCH.
        """
        return m.key(_ACCEPT, payload), m.uint(_BLOCK2)

    def cancel(self, x):
        """Do not call an exchange's callback any more; what it has sent cannot be taken back.

        An observation ends, in that its next notification is reset (RFC 7641 3.6).
        """
        self.close(x.got)
        x.callback = x.got = None
        if x.state in (_QUEUED, _OBSERVING) and x in self._exchanges:
            self._exchanges.remove(x)

    def abandon(self, x, now):
        """Cancel an exchange, and send nothing of it any more; what is queued behind it goes out."""
        self.cancel(x)
        if x in self._exchanges:
            self._exchanges.remove(x)
        self._next(x.peer, now)

    def drop(self, peer):
        """Forget everything about a peer; no callback is called. Needs no memory."""
        for i in range(len(self._exchanges) - 1, -1, -1):
            if self._exchanges[i].peer == peer:
                self.close(self._exchanges.pop(i).got)
        if self.incoming:
            self.close(self.incoming.pop(peer, None))
        if self.outgoing:
            self.outgoing.pop(peer, None)
        self.seen.pop(peer, None)

    def new_mid(self):
        self.mid = self.mid + 1 & 0xFFFF
        return self.mid

    def _compose(self, x):
        # Write a request, or the next one of its block-wise transfer. It keeps its token, by which
        # some peers know what belongs together.
        tx = self._tx
        x.mid = self.new_mid()
        if x.token is None:
            # 32 random bits, so that an answer cannot be forged blindly (RFC 7252 5.3.1).
            x.token = (self._rng() << 2 | self._rng() & 3).to_bytes(4, "big")
        tx.start(x.type, x.code, x.mid, x.token)
        follow = x.got and x.got.at  # the next block of a response: no payload, no Observe
        for number, value in x.options:
            if not (follow and number in (_OBSERVE, _CONTENT_FORMAT)):
                tx.option(number, value)
        payload = x.payload
        if follow:
            payload = b""
            tx.option(_BLOCK2, x.got.option())
        else:
            source = hasattr(payload, "read")
            if x.sent is None and (
                source or (payload and len(tx.buf) + len(payload) >= self._size)
            ):
                x.sent = self._block().Transfer(payload)
            t = x.sent
            if t:
                payload = t.cut(self._size - len(tx.buf) - _AROUND_REQUEST)
                tx.option(_BLOCK1, t.option())
                if source and not t.at and x.payload.size:
                    tx.option(_SIZE1, x.payload.size)
        tx.payload(payload)
        x.message = self._written()

    def _written(self):
        # The message. Where there is no memory for it, what can be asked for anew makes room.
        try:
            return self._tx.message()
        except MemoryError:
            if not self.outgoing:
                raise
        self.outgoing.clear()
        return self._tx.message()

    def _start(self, x, now):
        # Send an exchange's next message, now or when it is its turn. All memory that it takes is
        # taken before anything is done.
        if x.code < 0x40:
            self._compose(x)
        least, percent, x.left = x.settings
        x.timeout_ms = least + self._rng() % (least * (percent - 100) // 100 + 1)
        if x.type == _NON:  # wait for the answer as long as for a confirmable one's
            x.timeout_ms = least * ((2 << x.left) - 1) * percent // 100
            x.left = 0
        if x not in self._exchanges and (x.type == _CON or x.token or x.sent):
            self._exchanges.append(x)
        x.state = _QUEUED
        if x.type == _NON:
            self._transmit(x, now)
        else:
            self._next(x.peer, now)

    def _next(self, peer, now):
        # Send the first that is queued, unless one is yet to be acknowledged (RFC 7252 4.7).
        first = None
        for x in self._of(peer):
            if x.peer == peer and x.type == _CON:
                if x.state == _SENT:
                    return
                if x.state == _QUEUED and first is None:
                    first = x
        if first:
            self._transmit(first, now)

    def _transmit(self, x, now):
        x.state = _SENT
        # now + timeout_ms, by way of numbers that a board need not allocate.
        x.due = now - (_MASK - x.timeout_ms) - 1 & _MASK
        self._send(x.peer, x.message)

    def _finish(self, x, code, message, payload, now):
        # An exchange has its outcome; what was queued behind it goes out.
        if x.state != _OBSERVING and x in self._exchanges:
            self._exchanges.remove(x)
        self.close(x.got)
        x.message = x.sent = x.got = None
        owner = x.notifies or x
        try:
            if owner.callback:
                owner.callback(owner, code, message, payload)
        except Exception as e:
            self._report(e)
        finally:
            self._next(x.peer, now)

    def _of(self, peer):
        # Exchanges, among them all with that peer, in order; for those who have many peers.
        return self._exchanges

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
                self._transmit(x, now)
            else:
                self._finish(x, TIMEOUT, None, b"", now)
                i = 0  # the callback may have added and removed others
        seen = self.seen
        while True:
            for peer in seen:
                if diff(now, seen[peer][0][1]) >= _EXCHANGE_LIFETIME_MS:
                    self._forget(peer)
                    break
            else:
                break
        if self.incoming or self.outgoing:
            self.sweep(self, now)

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
        m = self._message
        try:
            ok = m.parse(data)
            code = m.code
            if ok:
                if m.type <= _NON and 0 < code < 32:
                    self._request(peer, m, now)
                    return True
                if m.type != _RST and 64 <= code < 192:
                    return self._response(peer, m, now)
                if m.type >= _ACK and not code:
                    return self._acked(peer, m, now)
            if ok is not None and m.type == _CON:
                # A ping, or malformed, or of a reserved class (RFC 7252 4.2, 4.3).
                self._empty(peer, _RST, m.mid)
        except MemoryError:  # as if the datagram, or the answer to it, had been lost
            pass
        finally:  # neither is held until the next one comes: they may be long, or have keys in them
            m.data = b""
            self._reply.clear()
        return False

    def _empty(self, peer, type, mid):
        # Send an Empty message, and return it.
        self._tx.start(type, 0, mid)
        message = self._written()
        self._send(peer, message)
        return message

    def _acked(self, peer, m, now):
        # An empty ACK or RST (RFC 7252 4.2).
        for x in self._of(peer):
            if x.mid == m.mid and x.peer == peer and x.state:
                if m.type == _RST:
                    x.state = _SENT  # also ends an observation
                    x.observe = None
                    self._finish(x, RESET, None, b"", now)
                    return True
                if x.state == _SENT and x.type == _CON:
                    if x.code >= 0x40:  # a response of ours has arrived
                        self._finish(x, ACKED, None, b"", now)
                    else:
                        x.state = _WAITING
                        x.message = None
                        x.due = now - (_MASK - _EXCHANGE_LIFETIME_MS) - 1 & _MASK
                        self._next(peer, now)
                    return True
        return False

    def _remember(self, peer, mid, answer, now):
        # RFC 7252 4.5. Bounded: whoever has most makes room, of several the one whose is oldest,
        # so that a peer that floods pushes out its own.
        seen = self.seen
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
        own = self.seen[peer]
        own.pop(0)
        if not own:
            self.seen.pop(peer)

    def _repeated(self, peer, m, now):
        # A message that came before is answered as before, and not acted on.
        for e in self.seen.get(peer, ()):
            if e[0] == m.mid and diff(now, e[1]) < _EXCHANGE_LIFETIME_MS:
                if e[2] is not None:
                    self._send(peer, e[2])
                return True
        return False

    def _response(self, peer, m, now):
        if m.type != _ACK and self._repeated(peer, m, now):
            return True
        for x in self._of(peer):
            if x.token == m.token and x.peer == peer and x.code < 0x40 and x.state:
                if m.type != _ACK or (x.mid == m.mid and x.state < _OBSERVING and x.type == _CON):
                    break
        else:
            x = None
        if x is None or _unknown(m):
            # Nobody asked for it, or it cannot be understood: it is rejected (RFC 7252 4.2, 4.3,
            # 5.4.1), which also ends an observation.
            if m.type != _ACK:
                self._empty(peer, _RST, m.mid)
            return False
        if m.type != _ACK:
            self._remember(
                peer, m.mid, self._empty(peer, _ACK, m.mid) if m.type == _CON else None, now
            )
        try:
            on = False
            if (x.sent or m.code == _TOO_LARGE) and x.observe is None and not (x.got and x.got.at):
                on = self._block().sent(x, m)
            if on:
                self._start(x, now)
            elif on is False:
                self._take(x, m, now)
        except Exception as e:  # of ours, or what a sink or source raised
            if not isinstance(e, (Error, MemoryError)):
                self._report(e)
            if x in self._exchanges:  # otherwise its callback has been called already
                self._finish(x, getattr(e, "code", _INTERNAL), m, b"", now)
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
            for y in self._of(x.peer):
                if y.notifies is x:
                    self._exchanges.remove(y)
                    break  # there is one at most
            x.observe = sequence
        elif (_OBSERVE, 0) in x.options and x.callback and x.got is None:
            x.observe = sequence
        if x.observe is not None:
            x.observed = now
            x.state = _OBSERVING
            x.message = None
        payload = m.data[m.payload :]
        block2 = m.uint(_BLOCK2) or 0
        if code < 0x60 and (x.got or block2 & 8):
            if x.observe is not None:
                # The rest of a notification is fetched by itself (RFC 7959 2.6).
                y = Exchange(x.peer, x.code, x.options, b"", None, x.settings)
                y.notifies = x
                x = y
            if x.got is None:
                x.got = self._block().Transfer(bytearray())
            payload = x.got.join(m, block2, payload, self.limits[0])
            if payload is False:
                return  # a late one, to a block before
            if payload is None:
                return self._start(x, now)
        self._finish(x, code, m, payload, now)

    # --- Requests of peers

    def _request(self, peer, m, now):
        if self._repeated(peer, m, now):
            return
        unknown = _unknown(m)
        proxy = unknown == _PROXY_URI or unknown == _PROXY_SCHEME
        mid, token = m.mid, m.token
        block1 = m.uint(_BLOCK1)
        block2 = m.uint(_BLOCK2)
        entry = None
        # What is done again where it comes again, so that no large answer is kept: GET, FETCH, but
        # for a payload in blocks, which comes once; and requests for further blocks.
        safe = (block1 is None and m.code in (1, 5)) or (block2 or 0) > 15
        if m.type == _CON:
            type = _ACK
            answer_mid = mid
            if not safe:
                entry = self._remember(peer, mid, None, now)
        else:
            if unknown and not proxy:
                return self._empty(peer, _RST, mid)  # RFC 7252 5.4.1
            type = _NON
            answer_mid = self.new_mid()
            self._remember(peer, mid, None, now)
        reply = self._reply
        reply.clear()
        t = None
        try:
            if unknown:
                raise Error(_NO_PROXY if proxy else _BAD_OPTION, "option %d" % unknown)
            payload = m.data[m.payload :]
            if block2 is not None or self.outgoing:
                t = self._block().asked(self, peer, m, payload, block2)
            if t:
                code, reply.content_format, reply.observe = t.head
            else:
                code = _CONTINUE
                if block1 is not None:
                    payload = self._block().take(self, peer, m, block1, payload, now)
                if payload is not None:
                    code = self._handler(peer, m, payload, reply, now)
                    if SEPARATE < code < 0x60 and (block2 is not None or self._long(token, reply)):
                        origin = self.origin(m, payload)
                        t = self._block().offer(self, origin, code, reply, mid)
            if code != SEPARATE:
                self._write(type, code, answer_mid, token, reply, t, _BLOCK1, block1)
                if t:
                    self._block().hold(self, peer, t, now)
        except Exception as e:
            code = _INTERNAL
            size1 = None
            reply.clear()
            if isinstance(e, Error):
                code = e.code
                size1 = e.size1
                reply.payload = e.text
            elif not isinstance(e, MemoryError):
                self._report(e)
            elif self.outgoing:  # what can be asked for anew makes room
                self.outgoing.clear()
                if safe:
                    return self._request(peer, m, now)
            self._write(type, code, answer_mid, token, reply, None, _SIZE1, size1)
        if code == SEPARATE:
            if type == _NON:
                return
            self._tx.start(_ACK, 0, mid)
            if entry is None:
                entry = self._remember(peer, mid, None, now)
        message = self._written()
        if entry:
            entry[2] = message
        self._send(peer, message)

    def _long(self, token, reply):
        # Whether a response does not fit in a datagram, as far as that is known.
        payload = reply.payload
        if isinstance(payload, str):
            payload = reply.payload = payload.encode()
        room = self._size - 4 - len(token) - _AROUND_RESPONSE
        return hasattr(payload, "read") or len(payload) > room

    def _write(self, type, code, mid, token, reply, t=None, last=0, value=None):
        # A response. t: the Transfer that it is a block of. last, value: the last option.
        tx = self._tx
        tx.start(type, code, mid, token)
        room = self._size - len(tx.buf) - _AROUND_RESPONSE
        payload = reply.payload
        if isinstance(payload, str):
            payload = payload.encode()
        if t:
            payload = t.cut(room)
            if t.at and not payload:
                raise Error(_BAD_REQUEST, "block behind the end")
            if t.at or t.more:
                tx.option(_ETAG, t.etag)
        elif code >= 0x60:
            # Words for a person: cut, as to ask for the rest would be the same request again.
            if len(payload) > room:
                while room > 0 and payload[room] & 0xC0 == 0x80:  # inside of a character
                    room -= 1
                payload = payload[:room]
        if reply.observe is not None and not (t and t.at):
            tx.option(_OBSERVE, reply.observe)
        for part in reply.location:
            tx.option(_LOCATION_PATH, part)
        if reply.content_format is not None:
            tx.option(_CONTENT_FORMAT, reply.content_format)
        if t:
            tx.option(_BLOCK2, t.option())
        if value is not None:
            tx.option(last, value)
        tx.payload(payload)

    # --- Transfers

    def _block(self):
        # The module of that name, loaded late, as many a device never needs it.
        try:
            from . import block

            return block
        except MemoryError:
            # What is left of it would be taken for the whole by the next import.
            sys.modules.pop("ucoap.block", None)
            raise

    def close(self, t):
        """Tell a Transfer's sink, if there is one, that no more comes; for block.py."""
        sink = t and t.sink
        if sink is not None:
            t.sink = None
            try:
                sink.close(False)
            except Exception as e:
                self._report(e)
