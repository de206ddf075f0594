# Notifications that are kept while their server is away, and sent when it is back: /1/x/6, Notification
# Storing When Disabled or Offline (LwM2M 1.1 E.2). Module observe asks; here they are kept and joined.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# While it is true, what would be notified is stored and reported later; how many is up to the client.
# SenML carries them all, each with its time (RFC 8428 4.5.3): several go in one message. TLV, text, CBOR
# and LwM2M CBOR have no times, and an observation keeps the format of its first answer: of those the
# last value goes, as it does without storing.
#
# A registration that is over ends its observations (LwM2M 1.1 6.4.1). They go on here without a server,
# asleep, until it observes the same paths again; that observation then gets what was kept.

from micropython import const
from ucoap.engine import Reply
from .management import format_module
from .observe import touch

_SENML_JSON = const(110)
_SENML_CBOR = const(112)

_LIMIT = const(2048)  # bytes of all that is kept
_ENTRY = const(80)  # bytes of heap that one takes beside its payload
_BATCH = const(768)  # bytes of a message, so that it fits in a datagram

# Observations that are asleep, and s until one that its server does not begin anew, having registered,
# is over.
_MAX_ASLEEP = const(16)
_PATIENCE = const(300)

_ABSOLUTE = const(0x10000000)  # s; a time below that is from now (RFC 8428 4.5.3)
_HQMAX = const(9)  # of attributes

_CONTENT = const(0x45)
_UNMET = const(1)  # what Observe.look() finds
_BOOTSTRAP = const(1)  # of Core.state
_DISCONNECTED = const(0)  # of Account.state
_REGISTERED = const(4)


class Storing:
    """What the observations of an Observe have yet to report.

    limit: bytes of heap that all of it may take. dropped: notifications that nobody will get, the
    oldest that had to give way and those of servers that have not asked for them any more.
    """

    def __init__(self, observe):
        self.observe = observe
        self.core = observe.core
        self.limit = _LIMIT
        self.dropped = 0
        self.asleep = []  # observations of registrations that are over
        self._kept = []  # [observation, s, Content-Format, payload], oldest first
        self._size = 0  # bytes of it
        self._reply = Reply()

    def _wanted(self, o):
        # Whether a server wants what it misses.
        if not o.format or (o.attributes and o.attributes[_HQMAX] == 0):
            return False
        server = self.core.objects[1].instances.get(o.account.server_iid)
        return (
            server is not None
            and server.get(0) == o.account.short_id
            and server.get(6) is not False
        )

    # --- What is kept

    def _last(self, o):
        found = None
        for entry in self._kept:
            if entry[0] is o:
                found = entry
        return found

    def _add(self, o, reply):
        most = o.attributes[_HQMAX] if o.attributes else None
        seconds = self.core.seconds
        payload = bytes(reply.payload)
        last = self._last(o)
        if last and last[1] == seconds and o.kept > o.sent:  # s are what tells them apart
            self._size += len(payload) - len(last[3])
            last[3] = payload
            return
        self._kept.append([o, seconds, o.format, payload])
        o.kept += 1
        self._size += len(payload) + _ENTRY
        while most is not None and o.kept > most:
            self._drop(o)
        while self._size > self.limit:
            self._drop(self._kept[0][0])

    def _drop(self, o):
        # The oldest of an observation has to give way.
        self._take(o, 1)
        o.sent = max(o.sent - 1, 0)
        self.dropped += 1
        if not o.kept and o not in self.asleep:  # the newest value is yet to be told
            o.latest = o.earliest

    def _take(self, o, count):
        # Remove an observation's oldest ones. Needs no memory.
        i = 0
        while count and i < len(self._kept):
            entry = self._kept[i]
            if entry[0] is o:
                self._kept.pop(i)
                self._size -= len(entry[3]) + _ENTRY
                o.kept -= 1
                count -= 1
            else:
                i += 1

    def forget(self, o):
        """An observation is over, as its server wants it."""
        self._take(o, o.kept)

    def _lose(self, o):
        # Nobody asks any more for what is kept of it.
        self.dropped += o.kept
        self.forget(o)

    # --- What observe tells

    def begin(self, o, reply):
        """A server has begun an observation, which gets what is kept of one before."""
        o.sampled = self.core.seconds
        format = reply.content_format
        o.format = format if format == _SENML_CBOR or format == _SENML_JSON else 0
        for other in self.asleep:
            if other.account.short_id == o.account.short_id and other.paths == o.paths:
                self.asleep.remove(other)
                for entry in self._kept:
                    if entry[0] is other:
                        entry[0] = o
                o.kept += other.kept
                break
        if not self._wanted(o):
            self._lose(o)
        if o.kept:
            o.earliest = 0

    def pack(self, o, reply, type):
        """A notification goes out: it is kept until it is acknowledged, and what was kept before goes
        with it, the oldest first. Returns how to send it, 0 confirmably."""
        if not self._wanted(o):
            self._lose(o)
        elif o.kept or not type:
            last = self._last(o)
            latest = o.latest
            if not last or last[3] != reply.payload:
                self._add(o, reply)
                o.sampled = self.core.seconds
            if not o.kept:  # it is too long to be kept
                o.latest = latest
            else:
                type = 0
                o.sent = 1
                if o.kept > 1:
                    reply.payload = self._batch(o)
        else:
            o.sampled = self.core.seconds
        return type

    def _batch(self, o):
        # One pack of an observation's oldest ones.
        core = self.core
        try:
            now = core.objects[3].get(0, 13, 0)
        except Exception:  # what was kept is not to be lost because the clock is
            now = 0
        if type(now) is not int or now < _ABSOLUTE:
            now = 0
        out = bytearray()
        sink = format_module(o.format).Sink(out, o.format)
        o.sent = 0
        for entry in self._kept:
            if entry[0] is not o:
                continue
            if o.sent and len(out) + len(entry[3]) > _BATCH:
                break
            o.sent += 1
            sink.time = now - (core.seconds - entry[1])
            cursor = format_module(entry[2]).Cursor(entry[3], (), entry[2])
            while cursor.next():
                obj = core.objects.get(cursor.oid)
                flags = obj.flags(cursor.rid) if obj else 0
                if flags:  # the object may have gone
                    value = cursor.value(flags)
                    sink.value(cursor.oid, cursor.iid, cursor.rid, cursor.riid, flags, value)
        sink.end()
        return out

    def acked(self, o):
        """The server has what pack() has put together; what is left follows at once."""
        self._take(o, o.sent)
        o.sent = 0
        if o.kept:
            o.earliest = 0

    def _sleep(self, o):
        # An observation's registration is over. Needs no memory, but to go on.
        o.exchange = None
        o.latest = -1
        if not self._wanted(o):
            return self._lose(o)
        try:
            self.asleep.append(o)
        except MemoryError:
            return self._lose(o)
        if len(self.asleep) > _MAX_ASLEEP:
            self._lose(self.asleep.pop(0))

    def moved(self, account):
        """An account's state is another."""
        if self.core.state != _BOOTSTRAP:  # which may yet be undone
            self._prune()
        if account.state == _DISCONNECTED:
            for o in self.observe.observations:
                if o.account is account:
                    self._sleep(o)
        for o in self.asleep:
            if o.account.short_id == account.short_id:
                if account.state < _REGISTERED:
                    o.latest = -1
                elif o.latest < 0:
                    o.latest = self.core.after(_PATIENCE)

    def _prune(self):
        # Servers, or what they want, may be others.
        for o in self.observe.observations:
            if o.kept and not self._wanted(o):
                self._lose(o)
        i = 0
        while i < len(self.asleep):
            if self._wanted(self.asleep[i]):
                i += 1
            else:
                self._lose(self.asleep.pop(i))

    def changed(self, oid, iid, rid):
        """A value has, maybe while nobody polls: for what is asleep it is looked at here."""
        if self.asleep:
            core = self.core
            touch(self.asleep, oid, iid, rid)
            core.tick(core.net.now())
            for o in self.asleep:
                if o.changed:
                    self._sample(o)

    # --- Values, while their server is away

    def _is_away(self, o):
        # Whether a server misses what it observes: it has not acknowledged the last notification, or
        # that has already been repeated.
        x = o.exchange
        return (
            o.account.unheard or (x and not x.type and x.left < x.settings[2])
        ) and self._wanted(o)

    def _due(self, o):
        # When an observation's value would be notified, s; -1 for never.
        at = o.sampled
        least = self.observe.period(o, 0)
        most = self.observe.period(o, 1)
        due = -1
        if o.changed:
            due = at + least
        elif o.look >= 0:
            due = max(o.look, at + least)
        if most >= max(least, 1) and (due < 0 or at + most < due):
            due = at + most
        return due

    def _sample(self, o):
        # Keep an observation's value, if it would be notified now.
        core = self.core
        if not 0 <= self._due(o) <= core.seconds:
            return
        at = o.sampled
        most = self.observe.period(o, 1)
        asked = most >= max(self.observe.period(o, 0), 1) and at + most <= core.seconds
        told = o.changed
        o.changed = False
        o.sampled = core.seconds
        if o.attributes:
            o.looked = core.seconds
            self.observe.attributes.arm(o)
        reply = self._reply
        try:
            code = self.observe.look(o, reply, asked, told)
            if code == _CONTENT:
                self._add(o, reply)
            elif code == _UNMET:
                o.sampled = at  # the periods go on
        except Exception as e:
            self.dropped += 1
            if core.engine.on_exception and not isinstance(e, MemoryError):
                core.engine.on_exception(e)
        reply.clear()

    def poll(self):
        """Do what is due."""
        self._prune()
        for o in self.observe.observations:
            if self._is_away(o):
                self._sample(o)
        for o in self.asleep:
            if 0 <= o.latest <= self.core.seconds:
                self.asleep.remove(o)
                self._lose(o)
                break  # next_ms() is 0 for others
            self._sample(o)

    def next_ms(self, least):
        """The less of least and the ms until poll() has something to do; -1 is never."""
        for o in self.observe.observations:
            if self._is_away(o):
                least = self.core.until(self._due(o), least)
        for o in self.asleep:
            least = self.core.until(o.latest, self.core.until(self._due(o), least))
        return least
