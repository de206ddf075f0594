# Information reporting: servers observe values (LwM2M 1.1 6.4, RFC 7641).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import Error
from ucoap.engine import Reply
from . import optional
from lwm2m.management import answer
from lwm2m.model import path_of, resolve

# Of one server. Its further ones are answered as plain reads, which RFC 7641 4.1 allows.
_MAX_OBSERVATIONS = const(16)

# s, until a notification that nobody has acknowledged is followed by another one to that server; it
# doubles, and a quarter of it is chance.
_WAIT = const(30)
_MAX_WAIT = const(3600)

_MAX_SECONDS = const(0x0FFFFFFF)  # as core has it

_DISCONNECTED = const(0)  # of Account.state
_REGISTERED = const(4)

_BOOTSTRAP = const(1)  # of Core.state

_NO_SEC = const(3)  # a Security Mode (/0/x/2)

# Of CoAP, as ucoap has them, and what its engine says became of a notification; LwM2M 1.1 7.4.
_GET = const(1)
_OBSERVE = const(6)
_URI_QUERY = const(15)
_ACCEPT = const(17)
_RESET = const(1)
_ACKED = const(2)
_LINK = const(40)

_READ = const(1)  # of model's operations
_R = const(0x10)

_UNMET = const(1)  # in place of a code: the attributes say not to tell it
_CHANGED = const(0x44)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)

# Event.type, as the package has them too.
EVENT_OBSERVATION_STARTED = const(14)
EVENT_OBSERVATION_NOTIFICATION = const(15)
EVENT_OBSERVATION_NOTIFICATION_ACKED = const(16)
EVENT_OBSERVATION_NOTIFICATION_FAILED = const(17)
EVENT_OBSERVATION_CANCELED = const(18)
EVENT_EVALUATION_PERIOD = const(20)  # with package lwm2m-attributes


def part(core):
    """What core asks of an optional module: its part."""
    return Observe(core)


class Observation:
    # With package lwm2m-attributes only: the attributes that hold, and those of its own; s, when the
    # value was looked at and when it is to be (-1: at changes), and when a notification of it was
    # last acknowledged; what was last reported.
    attributes = own = value = None
    looked = 0
    look = -1
    confirmed = 0
    # With package lwm2m-storing only: the Content-Format, where it has times; how many notifications
    # are kept, and how many of them have gone out; s, when one was last kept.
    format = kept = sent = sampled = 0

    def __init__(self, account, token):
        self.account = account
        self.token = token  # with the account, what tells it from others (RFC 7641 4.1)
        self.path = ()  # of one path
        self.paths = ()  # it, or those of a composite one, whose path is ()
        self.composite = None  # the part that answers for those
        self.accept = None
        self.origin = None  # the engine's, for notifications in blocks
        self.counter = -1  # notifications sent; also the Observe option's value
        self.changed = False  # since the last notification
        self.exchange = None  # the notification under way; one not confirmable: the last
        self.since = 0  # s, when the last one was made
        self.earliest = 0  # s, when the minimum period is over
        self.latest = -1  # s, when the maximum period is


class Observe:
    """The observations of a Core's servers: a part, as module account has it.

    One lasts until the server cancels or resets it, what it is of has gone, or the registration is
    over. RFC 7641 4.5 lets it end when a notification is not acknowledged: then a device that is
    registered would never be heard of again, so here it only waits, longer each time, and goes on
    as soon as the server is heard.
    """

    storing = None  # a Storing, with package lwm2m-storing only

    def __init__(self, core):
        self.core = core
        self.observations = []
        self._reply = Reply()
        module = optional("attributes")
        self.attributes = module and module.Attributes(core)
        module = optional("storing")
        if module:
            self.storing = module.Storing(self)
        self._stale = False  # whether periods may be others

    def handle(self, account, m, payload, reply, now):
        # A _GET with an Observe option; and what has to do with attributes.
        if self.attributes:
            code = self.attributes.handle(account, m, payload, reply)
            if code:
                self._stale = self._stale or code == _CHANGED
                return code
        observe = m.uint(_OBSERVE)
        accept = m.uint(_ACCEPT)
        if m.code != _GET or observe is None or observe > 1 or accept == _LINK:
            return 0
        path = path_of(m)
        core = self.core
        flags = resolve(core.objects, path, _READ, core.may, account)
        own = None
        if m.find(_URI_QUERY) >= 0 and not observe:
            if not self.attributes:
                raise Error(_BAD_REQUEST, "no attributes here")
            own = self.attributes.query(account, m, path, flags)
        value = self._answer(account, path, flags, accept, reply)
        return self.answered(account, m, payload, reply, accept, (path,), None, own, value)

    def answered(
        self, account, m, payload, reply, accept, paths, composite=None, own=None, value=None
    ):
        """A request with Observe 0 or 1 has its answer in reply: begin or end the observation.

        composite: the part that answers where there may be more than one path, or None. own, value:
        the attributes in its query, and what was answered, as module attributes has them.
        """
        o = None
        for other in self.observations:
            if other.account is account and other.token == m.token:
                o = other
        if m.uint(_OBSERVE):
            if o:
                self._remove(o)
                self._event(EVENT_OBSERVATION_CANCELED, o)
            return _CONTENT
        again = o is not None
        if not again:
            o = self._place(account, paths)
            if o is None:
                return _CONTENT
            o.token = m.token
        o.path = () if composite else paths[0]
        o.paths = paths
        o.composite = composite
        o.accept = accept
        try:
            o.origin = self.core.engine.origin(m, payload)
            if self.attributes:
                self.attributes.start(o, own)
                o.value = self.attributes.checksum(reply) if composite else value
            self._count(o)
            if self.storing:
                self.storing.begin(o, reply)
        except MemoryError:
            self._remove(o)
            raise
        reply.observe = o.counter
        if not again:
            self._event(EVENT_OBSERVATION_STARTED, o)
        return _CONTENT

    def _place(self, account, paths):
        # A new observation, or where a server has all of its places, None. One that observes a path
        # again with another token may have forgotten the first: that gives way then.
        count = 0
        old = None
        for o in self.observations:
            if o.account is account:
                count += 1
                if o.paths == paths and old is None:
                    old = o
        if count >= _MAX_OBSERVATIONS:
            if old is None:
                return None
            self._remove(old)
            self._event(EVENT_OBSERVATION_CANCELED, old)
        o = Observation(account, b"")
        self.observations.append(o)
        return o

    def _answer(self, account, path, flags, accept, reply):
        if self.attributes:
            return self.attributes.answer(account, path, flags, accept, reply)
        core = self.core
        answer(core.objects[path[0]], path, flags, accept, reply, _R, core.may, account)

    def changed(self, oid, iid, rid):
        touch(self.observations, oid, iid, rid)
        if self.storing:
            self.storing.changed(oid, iid, rid)
        if rid < 0:
            self._prune()
        elif oid == 1:
            self._stale = True

    def poll(self, now):
        seconds = self.core.seconds
        if self._stale:
            # Attributes or defaults are others: they hold at once, but for who waits to be heard.
            self._stale = False
            for o in self.observations:
                if self.attributes:
                    self.attributes.refresh(o)
                if not o.account.unheard:
                    self._arm(o)
        if self.storing:
            self.storing.poll()
        for o in self.observations:
            if _is_free(o) and (
                (o.earliest <= seconds and (o.changed or o.kept or 0 <= o.look <= seconds))
                or 0 <= o.latest <= seconds
            ):
                self._notify(o, now)
                break  # which may have changed the list; next_ms() is 0 for the others

    def next_ms(self, now, least):
        if self._stale:
            return 0
        for o in self.observations:
            if _is_free(o):
                if o.changed or o.kept or o.look >= 0:
                    due = o.earliest if o.changed or o.kept else max(o.look, o.earliest)
                    least = self.core.until(due, least)
                least = self.core.until(o.latest, least)
        return self.storing.next_ms(least) if self.storing else least

    def _prune(self):
        # Accounts and instances that have gone take their attributes along. A bootstrap may yet be
        # undone.
        if self.attributes and self.core.state != _BOOTSTRAP:
            self.attributes.prune()
            self._stale = True

    def moved(self, account):
        self._prune()
        if self.storing:
            self.storing.moved(account)
        if account.state == _DISCONNECTED:
            account.unheard = 0
            if account.reset:  # of what is over now
                account.reset = False
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
        if account.security.get(2) != _NO_SEC:
            # Nothing tells of a session that the server does not know any more: an Update that nobody
            # answers either leads to a handshake.
            account.due = core.seconds
        for o in self.observations:
            if o.account is account:
                o.earliest = max(o.earliest, due)
                if 0 <= o.latest < due:
                    o.latest = due

    def period(self, o, n):
        """The minimum (0) or maximum period (1), s: /1/x/2 or 3, or an attribute in its place."""
        if o.attributes:
            return o.attributes[n] or 0
        server = self.core.objects[1].instances.get(o.account.server_iid)
        return (server and server.get(n + 2)) or 0

    def _count(self, o):
        # Something is reported: the periods begin anew. The order never goes back while a token
        # lives (RFC 7641 3.4).
        o.counter = o.counter + 1 & 0xFFFFFF
        o.changed = False
        o.since = self.core.after(1) - 1
        if o.attributes:
            o.looked = o.since
        self._arm(o)

    def _arm(self, o):
        # Set when the periods are over. Needs no memory.
        least = self.period(o, 0)
        most = self.period(o, 1)
        o.earliest = o.since + min(least, _MAX_SECONDS) if least else 0
        o.latest = o.since + min(most, _MAX_SECONDS) if most >= max(least, 1) else -1
        if o.attributes:
            self.attributes.arm(o)

    def look(self, o, reply, asked, told):
        """Put what an observation reports into a reply. Returns the code, _UNMET where it is not to be
        told, or 0 where that server may not read it.

        asked: whether it is told whatever the value is. told: whether there is another one.
        """
        core = self.core
        attributes = self.attributes
        reply.clear()
        value = None
        if o.composite:
            if not o.composite.answer(o.account, o.paths, o.accept, reply):
                return 0
            if attributes:
                value = attributes.checksum(reply)
        else:
            try:
                flags = resolve(core.objects, o.path, _READ, core.may, o.account)
            except Error as e:
                # The right was taken, and may be given back; or what was observed is gone: this is
                # the last one (RFC 7641 4.2).
                return 0 if e.code == _UNAUTHORIZED else e.code
            value = self._answer(o.account, o.path, flags, o.accept, reply)
        if attributes:
            if not asked and not attributes.met(o, value, told):
                return _UNMET
            o.value = value
        return _CONTENT

    def _notify(self, o, now):
        core = self.core
        reply = self._reply
        attributes = self.attributes
        counter = o.counter
        since = o.since
        asked = 0 <= o.latest <= core.seconds  # it goes out whatever the value is
        told = o.changed
        self._count(o)
        type = 0
        try:
            code = self.look(o, reply, asked or o.kept, told)
            if not code:
                return
            if code == _UNMET:
                o.counter = counter  # the periods go on
                o.since = since
                return self._arm(o)
            if code == _CONTENT:
                if attributes:
                    type = attributes.type(o)
                if o.format:
                    type = self.storing.pack(o, reply, type)
                reply.observe = o.counter
            if o.exchange:  # its reset would come too late
                core.engine.abandon(o.exchange, now)
            o.exchange = core.engine.respond(
                now,
                o.account,
                code,
                o.token,
                reply,
                self._sent,
                o.account.settings,
                o.origin,
                type,
            )
            if type:
                o.exchange.message = None  # it is not sent again
        except Exception as e:
            # Out of memory, or what a value's function raises: at the next change there is another.
            if isinstance(e, MemoryError):
                o.changed = True
                if o.attributes:
                    o.value = None
                o.earliest = core.after(1)
            elif core.engine.on_exception:
                core.engine.on_exception(e)
            return self._event(EVENT_OBSERVATION_NOTIFICATION_FAILED, o)
        self._event(EVENT_OBSERVATION_NOTIFICATION, o)
        if code != _CONTENT:
            self._remove(o)
            self._event(EVENT_OBSERVATION_CANCELED, o)

    def _sent(self, x, code, m, payload):
        account = x.peer
        if code == _ACKED:
            self._heard(account)
        for o in self.observations:
            if o.exchange is x:
                o.exchange = None
                if code == _ACKED:
                    if o.sent:
                        self.storing.acked(o)
                    if o.attributes:
                        o.confirmed = self.core.seconds
                    return self._event(EVENT_OBSERVATION_NOTIFICATION_ACKED, o)
                if code == _RESET:
                    account.reset = True
                    self._remove(o)
                    return self._event(EVENT_OBSERVATION_CANCELED, o)
                if x.type:  # not confirmable: it has not been reset, and that is all
                    return
                if not o.kept:
                    o.changed = True  # nobody has it yet
                    if o.attributes:
                        o.value = None
                self._silent(account)
                return self._event(EVENT_OBSERVATION_NOTIFICATION_FAILED, o, o.kept > 0)

    def _remove(self, o):
        if o in self.observations:
            self.observations.remove(o)
        if o.kept:
            self.storing.forget(o)

    def _event(self, type, o, value=None):
        periods = self.period(o, 0), self.period(o, 1)
        self.core.event(
            type, o.account.short_id, path=o.path, value=value, counter=o.counter, periods=periods
        )


def touch(observations, oid, iid, rid):
    """A value has changed: which of them are to tell it."""
    for o in observations:
        for p in o.paths:
            if not p or (
                p[0] == oid
                and (len(p) == 1 or (p[1] == iid and (len(p) == 2 or p[2] == rid or rid < 0)))
            ):
                o.changed = True


def _is_free(o):
    # Whether a notification may go out: none is yet to be acknowledged.
    return o.exchange is None or o.exchange.type
