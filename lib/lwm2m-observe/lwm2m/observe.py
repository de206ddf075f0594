# Information reporting: servers observe values (LwM2M 1.1 6.4, RFC 7641).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import Error
from ucoap.engine import Reply
from .management import answer
from .model import path_of, resolve

# Of one server. Its further ones are answered as plain reads, which RFC 7641 4.1 allows.
_MAX_OBSERVATIONS = const(16)

# s, until a notification that nobody has acknowledged is followed by another one to that server; it
# doubles, and a quarter of it is chance.
_WAIT = const(30)
_MAX_WAIT = const(3600)

_DISCONNECTED = const(0)  # of Account.state
_REGISTERED = const(4)

# Of CoAP, as ucoap has them, and what its engine says became of a notification; LwM2M 1.1 7.4.
_GET = const(1)
_OBSERVE = const(6)
_ACCEPT = const(17)
_RESET = const(1)
_ACKED = const(2)
_LINK = const(40)

_READ = const(1)  # of model's operations
_R = const(0x10)

_CONTENT = const(0x45)
_UNAUTHORIZED = const(0x81)

# Event.type, as the package has them too.
EVENT_OBSERVATION_STARTED = const(14)
EVENT_OBSERVATION_NOTIFICATION = const(15)
EVENT_OBSERVATION_NOTIFICATION_ACKED = const(16)
EVENT_OBSERVATION_NOTIFICATION_FAILED = const(17)
EVENT_OBSERVATION_CANCELED = const(18)


def part(core):
    """What core asks of an optional module: its part."""
    return Observe(core)


class _Observation:
    def __init__(self, account, token):
        self.account = account
        self.token = token  # with the account, what tells it from others (RFC 7641 4.1)
        self.path = ()
        self.accept = None
        self.origin = None  # the engine's, for notifications in blocks
        self.counter = -1  # notifications sent; also the Observe option's value
        self.changed = False  # since the last notification
        self.exchange = None  # the notification under way
        self.earliest = 0  # s, when the minimum period is over
        self.latest = -1  # s, when the maximum period is


class Observe:
    """The observations of a Core's servers: a part, as module account has it.

    One lasts until the server cancels or resets it, what it is of has gone, or the registration is
    over. RFC 7641 4.5 lets it end when a notification is not acknowledged: then a device that is
    registered would never be heard of again, so here it only waits, longer each time, and goes on
    as soon as the server is heard.
    """

    def __init__(self, core):
        self.core = core
        self.observations = []

    def handle(self, account, m, payload, reply, now):
        # A GET with an Observe option.
        observe = m.uint(_OBSERVE)
        accept = m.uint(_ACCEPT)
        if m.code != _GET or observe is None or observe > 1 or accept == _LINK:
            return 0
        path = path_of(m)
        core = self.core
        flags = resolve(core.objects, path, _READ, core.may, account)
        answer(core.objects[path[0]], path, flags, accept, reply, _R, core.may, account)
        o = None
        for other in self.observations:
            if other.account is account and other.token == m.token:
                o = other
        if observe:
            if o:
                self._cancel(o)
            return _CONTENT
        again = o is not None
        if not again:
            o = self._place(account, path)
            if o is None:
                return _CONTENT
            o.token = m.token
        o.path = path
        o.accept = accept
        o.origin = core.engine.origin(m, payload)
        self._count(o)
        reply.observe = o.counter
        if not again:
            self._event(EVENT_OBSERVATION_STARTED, o)
        return _CONTENT

    def _place(self, account, path):
        # A new observation, or where a server has all of its places, None. One that observes a path
        # again with another token may have forgotten the first: that gives way then.
        count = 0
        old = None
        for o in self.observations:
            if o.account is account:
                count += 1
                if o.path == path and old is None:
                    old = o
        if count >= _MAX_OBSERVATIONS:
            if old is None:
                return None
            self._cancel(old)
        o = _Observation(account, b"")
        self.observations.append(o)
        return o

    def changed(self, oid, iid, rid):
        for o in self.observations:
            p = o.path
            if p[0] == oid and (
                len(p) == 1 or (p[1] == iid and (len(p) == 2 or p[2] == rid or rid < 0))
            ):
                o.changed = True

    def poll(self, now):
        seconds = self.core.seconds
        for o in self.observations:
            if o.exchange is None and (
                (o.changed and o.earliest <= seconds) or 0 <= o.latest <= seconds
            ):
                self._notify(o, now)
                break  # which may have changed the list; next_ms() is 0 for the others

    def next_ms(self, now, least):
        for o in self.observations:
            if o.exchange is None:
                if o.changed:
                    least = self.core.until(o.earliest, least)
                least = self.core.until(o.latest, least)
        return least

    def moved(self, account):
        if account.state == _DISCONNECTED:
            if account.unheard:
                account.unheard = 0
            for i in range(len(self.observations) - 1, -1, -1):  # which needs no memory
                if self.observations[i].account is account:
                    self.observations.pop(i)
        elif account.state == _REGISTERED:
            self._heard(account)

    def _heard(self, account):
        # A server is there: what waited for it need not wait any more.
        if account.unheard:
            account.unheard = 0
            for o in self.observations:
                if o.account is account:
                    o.earliest = self.core.seconds

    def _silent(self, account):
        core = self.core
        due = core.after(core.spread(min(_WAIT << account.unheard, _MAX_WAIT)))
        account.unheard = min(account.unheard + 1, 10)
        for o in self.observations:
            if o.account is account:
                o.earliest = max(o.earliest, due)
                if 0 <= o.latest < due:
                    o.latest = due

    def _periods(self, o):
        # Default Minimum and Maximum Period (/1/x/2 and 3), s.
        server = self.core.objects[1].instances.get(o.account.server_iid, {})
        return server.get(2) or 0, server.get(3) or 0

    def _count(self, o):
        # Something is reported: the periods begin anew. The order never goes back while a token
        # lives (RFC 7641 3.4).
        o.counter = o.counter + 1 & 0xFFFFFF
        least, most = self._periods(o)
        o.changed = False
        o.earliest = self.core.after(least)
        o.latest = self.core.after(most) if most >= max(least, 1) else -1

    def _notify(self, o, now):
        core = self.core
        self._count(o)
        code = _CONTENT
        try:
            reply = Reply()
            try:
                flags = resolve(core.objects, o.path, _READ, core.may, o.account)
            except Error as e:
                if e.code == _UNAUTHORIZED:  # the right was taken, and may be given back
                    return
                code = e.code  # what was observed is gone: this is the last one (RFC 7641 4.2)
            if code == _CONTENT:
                obj = core.objects[o.path[0]]
                answer(obj, o.path, flags, o.accept, reply, _R, core.may, o.account)
                reply.observe = o.counter
            o.exchange = core.engine.respond(
                now, o.account, code, o.token, reply, self._sent, o.account.settings, o.origin
            )
        except Exception as e:
            # Out of memory, or what a value's function raises: at the next change there is another.
            if isinstance(e, MemoryError):
                o.changed = True
                o.earliest = core.after(1)
            elif core.engine.on_exception:
                core.engine.on_exception(e)
            return self._event(EVENT_OBSERVATION_NOTIFICATION_FAILED, o)
        self._event(EVENT_OBSERVATION_NOTIFICATION, o)
        if code != _CONTENT:
            self._cancel(o)

    def _sent(self, x, code, m, payload):
        account = x.peer
        if code == _ACKED:
            self._heard(account)
        for o in self.observations:
            if o.exchange is x:
                o.exchange = None
                if code == _ACKED:
                    return self._event(EVENT_OBSERVATION_NOTIFICATION_ACKED, o)
                if code == _RESET:
                    return self._cancel(o)
                o.changed = True  # nobody has it yet
                self._silent(account)
                return self._event(EVENT_OBSERVATION_NOTIFICATION_FAILED, o)

    def _cancel(self, o):
        if o in self.observations:
            self.observations.remove(o)
        self._event(EVENT_OBSERVATION_CANCELED, o)

    def _event(self, type, o):
        self.core.event(
            type, o.account.short_id, path=o.path, counter=o.counter, periods=self._periods(o)
        )
