# Queue mode (LwM2M 1.1 6.5): when a client need not listen, and for how long.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const

_AWAKE = const(93)  # s, MAX_TRANSMIT_WAIT (RFC 7252 4.8.2)

_DISCONNECTED = const(0)  # of Account.state
_CONNECTED = const(2)
_REGISTERED = const(4)
_FAILED = const(7)

_BOOTSTRAP = const(1)  # of Core.state

_NO_SEC = const(3)  # a Security Mode (/0/x/2)


def sleep_ms(client, most=-1, awake=_AWAKE):
    """How long the client may sleep from now on, and what it is to wake for: (ms, why).

    most: ms, in which the application wants to be awake again; -1 for never. awake: s, for which it
    listens after the last message of either side. A server that is told of no queue mode (binding
    "UQ", /1/x/7) may ask at any time: with one of those it does not sleep.

    why: "update" of a registration, "report" of what is observed, or what else a part of the client
    has to do, "connect" to a server that has failed, "application"; with 0 ms it is "awake".

    Who has slept calls step() again. One sleep that is longer than six days starts the client
    afresh.
    """
    if type(most) is not int or type(awake) is not int:
        raise ValueError("4.00 most and awake are whole numbers")
    core = client.core
    part = part_of(core)
    part.tick(client.net.now())
    if core.state == _BOOTSTRAP or core.leaving:
        return 0, "awake"
    registered = False
    for account in core.accounts:
        if account.state == _REGISTERED and "Q" in account.binding:
            registered = True
        elif account.state != _DISCONNECTED and account.state != _FAILED:
            return 0, "awake"
    if registered and core.seconds - max(part.last, core.last) < awake:
        return 0, "awake"
    part.deafen()
    if core.engine.next_ms(core.now) >= 0:  # it waits for an answer
        return 0, "awake"
    ms = part.next_due()
    why = "report"
    for account in core.accounts:
        if ms and core.until(account.due, -1) == ms:
            why = "update" if account.state == _REGISTERED else "connect"
    if 0 <= most <= ms:
        ms = most
        why = "application"
    part.period = ms // 1000
    return ms, why if ms else "awake"


def suspend(client):
    """End the client, without a word to its servers. Returns what resume() goes on from: bytes.

    They are b"" where there is nothing to go on from, as no server is registered with. They are
    good for one resume(): what keeps them deletes them before. They have the keys of a DTLS
    session in them. Nothing that is under way is waited for: sleep_ms() says when nothing is.
    """
    from .suspend import suspend

    return suspend(client)


def resume(client, data, seconds=None):
    """Let a new client, before its first step(), go on from the bytes of suspend(). Returns whether
    it does.

    Otherwise, as they are damaged, of another client or format, or too old for each account,
    nothing has changed, and it registers as a new one does. seconds: that have passed since; by
    default the board's clock tells, which must not have been set meanwhile. The network and all
    objects with their values must be there: what is observed, and is another value now, is notified.
    """
    if not isinstance(data, (bytes, bytearray)) or type(seconds) not in (int, type(None)):
        raise ValueError("4.00 data are bytes of suspend(), seconds a whole number")
    from .suspend import resume

    return resume(client, data, seconds)


def part_of(core):
    """The part of a client that has slept before, or a new one."""
    for part in core.parts:
        if isinstance(part, Queue):
            return part
    part = Queue(core)
    core.parts.append(part)
    return part


class Queue:
    """Knows when a message was last sent: a part, as module account has it."""

    def __init__(self, core):
        self.core = core
        self.last = core.seconds  # s, when a message was last sent
        self.period = 0  # s, that it slept last, or is about to; 0 since it has sent
        self.base = 0  # s, since 1970, when Core.seconds began, by the clock at the last resume()
        self._mid = core.engine.mid

    def tick(self, now):
        core = self.core
        core.tick(now)
        if self._mid != core.engine.mid:
            self._mid = core.engine.mid
            self.last = core.seconds

    def poll(self, now):
        core = self.core
        self.tick(now)
        woken = self.period and self.last == core.seconds
        for account in core.accounts:
            if account.state != _REGISTERED:
                continue
            left = account.due - core.seconds
            if account.reset:
                self._reset(account)
            elif woken and 0 <= left < min(self.period, account.lifetime // 2):
                # It would soon need a wake-up of its own: it goes along with the first message.
                account.due = core.seconds
        if woken:
            self.period = 0

    def _reset(self, account):
        # A server that resets a notification may have forgotten the client. Without DTLS it may also
        # be that the client has another address now, and that an update would be taken, while what
        # was observed is lost: it registers anew.
        core = self.core
        account.reset = False
        if account.security.get(2) != _NO_SEC:
            account.due = core.seconds
            return
        core._enter(account, _DISCONNECTED)
        account.location = None
        core._enter(account, _CONNECTED, 0)

    def next_due(self):
        """As Core.next_ms(), but for what is to be stored: that is no reason to wake."""
        core = self.core
        context = core.context
        if not context:
            return core.next_ms(core.now)
        context.flush(False)
        i = core.parts.index(context)
        core.parts[i] = self  # which has nothing to do in its place
        try:
            return core.next_ms(core.now)
        finally:
            core.parts[i] = context

    def deafen(self):
        """Do not wait for the resets of notifications that are not confirmable."""
        core = self.core
        for part in core.parts:
            for o in getattr(part, "observations", ()):
                if o.exchange and o.exchange.type:
                    core.engine.abandon(o.exchange, core.now)
                    o.exchange = None

    def next_ms(self, now, least):
        return least

    def moved(self, account):
        pass

    def changed(self, oid, iid, rid):
        pass

    def handle(self, account, m, payload, reply, now):
        return 0
