# Queue mode (LwM2M 1.1 6.5): when a client need not listen, and for how long.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from . import optional

_AWAKE = const(93)  # s, MAX_TRANSMIT_WAIT (RFC 7252 4.8.2)

_DISCONNECTED = const(0)  # of Account.state
_CONNECTED = const(2)
_REGISTERED = const(4)
_FAILED = const(7)

_BOOTSTRAP = const(1)  # of Core.state

_NO_SEC = const(3)  # a Security Mode (/0/x/2)


def __getattr__(name):
    # suspend() and resume(): a client that keeps its RAM does without their module.
    return getattr(optional("suspend"), name)


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
    now = client.net.now()
    core.tick(now)
    if core.state == _BOOTSTRAP or core.leaving:
        return 0, "awake"
    part.poll(now)
    registered = False
    for account in core.accounts:
        if account.state == _REGISTERED and "Q" in account.binding:
            registered = True
        elif account.state != _DISCONNECTED and account.state != _FAILED:
            return 0, "awake"
    if registered and core.seconds - max(part.last, core.last) < awake:
        return 0, "awake"
    for o in part.observe.observations:
        if o.exchange and o.exchange.type:  # the reset of what is not confirmable
            core.engine.abandon(o.exchange, now)
            o.exchange = None
    if core.engine.next_ms(now) >= 0:  # it waits for an answer
        return 0, "awake"
    ms = part.next_due(now)
    why = "report"
    for account in core.accounts:
        if ms and core.until(account.due, -1) == ms:
            why = "update" if account.state == _REGISTERED else "connect"
    if 0 <= most <= ms:
        ms = most
        why = "application"
    part.period = ms // 1000
    return ms, why if ms else "awake"


def part_of(core):
    """The part of a client that has slept before, or a new one."""
    for part in core.parts:
        if isinstance(part, Queue):
            return part
    return Queue(core)


class Queue:
    """Knows when a message was last sent: a part, as module account has it."""

    observations = ()  # it stands in for the part with them, in an image without
    attributes = None

    def __init__(self, core):
        self.core = core
        self.observe = self
        for part in core.parts:
            if hasattr(part, "observations"):
                self.observe = part
                break
        self.last = core.seconds  # s, when a message was last sent
        self.period = 0  # s, that it slept last, or is about to; 0 since it has sent
        self.base = 0  # s, since 1970, when Core.seconds began, by the clock at the last resume()
        self.mid = core.engine.mid
        core.parts.append(self)

    def poll(self, now):
        core = self.core
        slept = 0
        if self.mid != core.engine.mid:
            self.mid = core.engine.mid
            self.last = core.seconds
            slept = self.period
            self.period = 0
        for account in core.accounts:
            if account.state != _REGISTERED:
                continue
            if account.reset:
                # That server may have forgotten the client. Without DTLS it may also be that the
                # client has another address now, and that an update would be taken, while what was
                # observed is lost: it registers anew.
                account.reset = False
                if account.security.get(2) == _NO_SEC:
                    core._enter(account, _DISCONNECTED)
                    account.location = None
                    core._enter(account, _CONNECTED, 0)
                else:
                    account.due = core.seconds
            elif 0 <= account.due - core.seconds < min(slept, account.lifetime // 2):
                # It would soon need a wake-up of its own: it goes along with the first message.
                account.due = core.seconds

    def next_due(self, now):
        """As Core.next_ms(), but for what is to be stored: that is no reason to wake."""
        core = self.core
        context = core.context
        if not context:
            return core.next_ms(now)
        context.flush(False)
        i = core.parts.index(context)
        core.parts[i] = self  # which has nothing to do in its place
        try:
            return core.next_ms(now)
        finally:
            core.parts[i] = context

    def next_ms(self, now, least):
        return least

    def handle(self, *args):
        return 0

    moved = changed = handle
