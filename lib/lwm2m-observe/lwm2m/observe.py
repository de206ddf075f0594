# Information reporting: servers observe values (LwM2M 1.1 6.4, RFC 7641).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import ACCEPT, GET, OBSERVE, Error
from ucoap.engine import ACKED, RESET, Reply
import lwm2m.model as model

# A server's further ones are answered as plain reads, which RFC 7641 4.1 allows.
_MAX_OBSERVATIONS = const(16)

_CONTENT = const(0x45)

# Event.type, as the package has them too.
EVENT_OBSERVATION_STARTED = const(14)
EVENT_OBSERVATION_NOTIFICATION = const(15)
EVENT_OBSERVATION_NOTIFICATION_ACKED = const(16)
EVENT_OBSERVATION_NOTIFICATION_FAILED = const(17)
EVENT_OBSERVATION_CANCELED = const(18)


class _Observation:
    def __init__(self, account, path, token, accept, origin):
        self.account = account
        self.path = path
        self.token = token
        self.accept = accept
        self.origin = origin  # the engine's, for notifications in blocks
        self.counter = 0  # notifications sent; also the Observe option's value
        self.changed = False  # since the last notification
        self.exchange = None  # the notification under way
        self.earliest = 0  # s, when the minimum period is over
        self.latest = -1  # s, when the maximum period is


class Observe:
    """The observations of a Core's servers; core calls what has no underscore."""

    def __init__(self, core):
        self.core = core
        self.observations = []
        self._reply = Reply()

    def handle(self, account, m, payload, reply, now):
        """Serve a GET with an Observe option. Returns the response code, 0 where it is none."""
        observe = m.uint(OBSERVE)
        if m.code != GET or observe is None or observe > 1 or m.uint(ACCEPT) == model.LINK:
            return 0
        code = model.handle(self.core.objects, m, payload, reply, lambda what, path: None)
        path = model.path_of(m)
        for o in self.observations:
            if o.account is account and (o.path == path or o.token == m.token):
                # A server that asks again replaces its old one (RFC 7641 4.1).
                self._remove(o)
                if observe:
                    self._event(EVENT_OBSERVATION_CANCELED, o)
                break
        if observe == 0 and len(self.observations) < _MAX_OBSERVATIONS:
            origin = self.core.engine.origin(m, payload)
            o = _Observation(account, path, m.token, m.uint(ACCEPT), origin)
            self._restart(o)
            self.observations.append(o)
            reply.observe = o.counter
            self._event(EVENT_OBSERVATION_STARTED, o)
        return code

    def changed(self, oid, iid, rid):
        """A value has changed; rid -1: an instance has come or gone."""
        for o in self.observations:
            p = o.path
            if p[0] == oid and (
                len(p) == 1 or (p[1] == iid and (len(p) == 2 or p[2] == rid or rid < 0))
            ):
                o.changed = True

    def poll(self, now):
        """Send the notifications that are due."""
        seconds = self.core.seconds
        for o in self.observations:
            if o.exchange is None and (
                (o.changed and o.earliest <= seconds) or 0 <= o.latest <= seconds
            ):
                self._notify(o, now)
                break  # which may have changed the list; next_ms() is 0 for the others

    def next_ms(self, now, least):
        """The less of least and the ms until poll() has something to do; -1 is never."""
        for o in self.observations:
            if o.exchange is None:
                if o.changed:
                    least = self.core.until(o.earliest, least)
                least = self.core.until(o.latest, least)
        return least

    def drop(self, account):
        """An account's connection is gone, and its observations with it."""
        for i in range(len(self.observations) - 1, -1, -1):  # which needs no memory
            if self.observations[i].account is account:
                self.observations.pop(i)

    def _periods(self, o):
        # Default Minimum and Maximum Period (/1/x/2 and 3), s.
        server = self.core.objects[1].instances.get(o.account.server_iid, {})
        return server.get(2) or 0, server.get(3) or 0

    def _restart(self, o):
        least, most = self._periods(o)
        o.changed = False
        o.earliest = self.core.after(least)
        o.latest = self.core.after(max(least, most)) if most else -1

    def _notify(self, o, now):
        reply = self._reply
        reply.clear()
        o.counter = o.counter + 1 & 0xFFFFFF
        code = _CONTENT
        try:
            obj = self.core.objects.get(o.path[0])
            if obj is None or (len(o.path) > 1 and o.path[1] not in obj.instances):
                raise Error(0x84)
            model.read(obj, o.path, o.accept, reply)
            reply.observe = o.counter
        except Error as e:  # what was observed is gone: this is the last one (RFC 7641 4.2)
            code = e.code
            reply.clear()
        self._restart(o)
        try:
            engine = self.core.engine
            x = engine.respond(
                now, o.account, code, o.token, reply, self._sent, o.account.settings, o.origin
            )
        except Exception:  # Error, MemoryError; a tuple of them would need memory itself
            self._remove(o)
            return self._event(EVENT_OBSERVATION_NOTIFICATION_FAILED, o)
        o.exchange = x
        self._event(EVENT_OBSERVATION_NOTIFICATION, o)
        if code != _CONTENT:
            self._remove(o)
            self._event(EVENT_OBSERVATION_CANCELED, o)

    def _sent(self, x, code, m, payload):
        for o in self.observations:
            if o.exchange is x:
                o.exchange = None
                if code == ACKED:
                    return self._event(EVENT_OBSERVATION_NOTIFICATION_ACKED, o)
                self._remove(o)  # RFC 7641 4.5: nobody is interested any more
                return self._event(
                    EVENT_OBSERVATION_CANCELED
                    if code == RESET
                    else EVENT_OBSERVATION_NOTIFICATION_FAILED,
                    o,
                )

    def _remove(self, o):
        if o in self.observations:
            self.observations.remove(o)

    def _event(self, type, o):
        self.core.event(
            type, o.account.short_id, path=o.path, counter=o.counter, periods=self._periods(o)
        )
