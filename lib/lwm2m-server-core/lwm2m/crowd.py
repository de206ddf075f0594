# CoAP exchanges with many peers: what a datagram costs does not grow with their number, and tables
# for all of them are taken at the start.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap.engine import TIMEOUT, Engine, diff

_EXCHANGE_LIFETIME_MS = const(247000)  # RFC 7252 4.8.2

# States of an exchange, as Engine has them.
_SENT = const(1)
_WAITING = const(2)

# What is remembered of a message, a list: these, and at the end the peer, None once it is forgotten.
_MID = const(0)
_WHEN = const(1)
_ANSWER = const(2)
_PEER = const(3)


def table(n):
    """An empty dict with room for n keys: in a heap in pieces it could not grow when they come.

    Raises ValueError where it cannot now.
    """
    made = {}
    n += n // 3
    try:
        for i in range(n):
            made[i] = None
    except MemoryError:
        raise ValueError("no piece of the heap has room for so many clients: let there be fewer")
    while n:
        n -= 1  # the last one first, so that no trace of them stays
        made.pop(n)
    return made


class Exchanges:
    """In place of Engine's list. of: {peer: its exchanges, in order}."""

    def __init__(self, peers):
        self.of = table(peers)

    def __contains__(self, x):
        return x in self.of.get(x.peer, ())

    def append(self, x):
        self.of.setdefault(x.peer, []).append(x)

    def remove(self, x):
        own = self.of[x.peer]
        own.remove(x)
        if not own:
            self.of.pop(x.peer)


class Crowd(Engine):
    """An Engine for as many peers as it remembers messages (seen)."""

    def __init__(self, send, handler, rng, size=1152, body=4096, seen=16, **settings):
        super().__init__(send, handler, rng, size, body, seen, **settings)
        self._exchanges = Exchanges(seen)
        self._first = None  # the one whose time is over first, or was; False: look for it
        self._due = 0  # and when that is
        # {peer: what is remembered of it, oldest first}. All that is has places, taken in turn.
        self.seen = table(seen)
        self._places = [None] * seen
        self._turn = 0
        self._since = -1  # ms, when the oldest was remembered, or before that; -1: there is none

    # --- Exchanges

    def move(self, x, peer):
        """Let an exchange that is under way go on at another address."""
        self._exchanges.remove(x)
        x.peer = peer
        self._exchanges.append(x)

    def drop(self, peer):
        """As Engine's."""
        for x in self._exchanges.of.pop(peer, ()):
            self.close(x.got)
        if self.incoming:
            self.close(self.incoming.pop(peer, None))
        if self.outgoing:
            self.outgoing.pop(peer, None)
        for e in self.seen.pop(peer, ()):
            e[_PEER] = e[_ANSWER] = None

    def _of(self, peer):
        return self._exchanges.of.get(peer, ())

    def _transmit(self, x, now):
        super()._transmit(x, now)
        first = self._first
        if first is None or (first and diff(x.due, self._due) < 0):
            self._first = x
            self._due = x.due

    def _look(self):
        # The exchange whose time is over first, or None. Mostly it is the one that it was; only
        # where that has had its answer, or waits for something else, all of them are looked at.
        x = self._first
        if x is None:
            return None
        if x and x.due == self._due and _SENT <= x.state <= _WAITING and x in self._exchanges:
            return x
        first = None
        of = self._exchanges.of
        for peer in of:
            for x in of[peer]:
                if _SENT <= x.state <= _WAITING and (not first or diff(x.due, first.due) < 0):
                    first = x
        self._first = first
        if first:
            self._due = first.due
        return first

    def poll(self, now):
        """As Engine's."""
        while True:
            x = self._look()
            if not x or diff(x.due, now) > 0:
                break
            if x.state == _SENT and x.left:
                x.left -= 1
                x.timeout_ms *= 2
                self._first = False
                self._transmit(x, now)
            else:
                self._finish(x, TIMEOUT, None, b"", now)
        if self._since >= 0 and diff(now, self._since) >= _EXCHANGE_LIFETIME_MS:
            self._forget_old(now)
        if self.incoming or self.outgoing:
            self.sweep(self, now)

    def next_ms(self, now):
        """As Engine's."""
        x = self._look()
        return max(diff(x.due, now), 0) if x else -1

    # --- Messages that came before (RFC 7252 4.5)

    def _remember(self, peer, mid, answer, now):
        # It takes the place that is next. Where that is taken, and the peer has its share already,
        # it takes that of its own oldest: a peer that floods pushes out its own.
        old = self._places[self._turn]
        if old and old[_PEER] is None:
            old = None
        own = self.seen.get(peer, ())
        if old and len(own) * len(self.seen) >= len(self._places):
            e = own.pop(0)
            e[_MID] = mid
            e[_WHEN] = now
            e[_ANSWER] = answer
        else:
            e = [mid, now, answer, peer]
            if old:
                self._forget(old)
            self._places[self._turn] = e
            self._turn = (self._turn + 1) % len(self._places)
            own = self.seen.setdefault(peer, [])
        own.append(e)
        if self._since < 0:
            self._since = now
        return e

    def _forget(self, e):
        own = self.seen[e[_PEER]]
        own.remove(e)
        if not own:
            self.seen.pop(e[_PEER])
        e[_PEER] = e[_ANSWER] = None

    def _forget_old(self, now):
        self._since = -1
        for i in range(len(self._places)):
            e = self._places[i]
            if not e or e[_PEER] is None:
                continue
            if diff(now, e[_WHEN]) >= _EXCHANGE_LIFETIME_MS:
                self._forget(e)
                self._places[i] = None
            elif self._since < 0 or diff(e[_WHEN], self._since) < 0:
                self._since = e[_WHEN]
