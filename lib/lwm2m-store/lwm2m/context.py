# What a client keeps over a reset: its accounts in a store. Their keys are there too, unless module
# keys has a place of their own for them. And what an application's objects want to keep (persist).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from .consistency import amiss, inconsistency
from .model import Object, fault

_FACTORY = const(65535)  # no object's id: what the factory has put there is no account
_PEER = const(65535)  # no resource's id: module keys has a name there
_UNDATED = const(65535)  # likewise, of /1/x: module bootstrap has it where no clock told the time
_LONG = const(255)  # bytes; more of an application's is not kept, as the accounts need room

_W = const(0x20)  # of model's flags
_E = const(0x40)

_PASSES = const(2)  # of the loop in one step: before and after what comes

# How long what a server writes may wait until it is stored, in s: for more of it, as it comes in
# groups, and for the flash. A block of an RP2040's takes 100,000 erases, and a commit erases each
# block that it needs once: on FAT always the same ones, on littlefs two of those that are free. One
# an hour is 87,600 in ten years. A day's tuning by a fleet's server, a dozen of changes, goes ahead
# of that. A bootstrap, the application's calls and a factory reset wait for nothing. What objects
# keep of what is measured goes along with any commit, and goes ahead only when the network goes.
_SETTLE = const(10)
_EACH = const(3600)
_AHEAD = const(11 * 3600)

_BOOTSTRAP = const(1)  # of Core.state
_DISCONNECTED = const(0)  # of Account.state
_REGISTERING = const(3)
_REGISTERED = const(4)
_UPDATING = const(5)
_FAILED = const(7)

# Event.type: something is wrong with what is stored; text says what, and what is used instead.
EVENT_STORE = const(19)


class Context:
    """The accounts of a Core in a Store, and their keys in credentials; one of the two may be None.

    It is commanded, and a part too, for what it does later.

    core calls what has no underscore.
    """

    def __init__(self, core, store, credentials):
        self.core = core
        self._store = store
        self.keys = None  # a Keys, where there are credentials
        if credentials:
            from .keys import Keys

            self.keys = Keys(core, credentials)
        self._rest = {}  # what is stored of objects that are not there, or not yet
        self._passes = 0  # until the store makes its second copy
        self._dirty = False  # whether something has changed that is yet to be stored
        self._later = False  # whether something has that no server writes, and that can wait
        self._due = -1  # s, when it will be
        self._paid = 0  # s, until when commits have been made, at one each hour
        # {/1 instance: (lifetime, binding)} with which its server has registered this client last,
        # where it has others now, of which nobody knows yet. What is stored is what has worked: a
        # value with which no server registers it is gone after a reset.
        self._worked = {}
        core.parts.append(self)

    # --- The store

    def load(self):
        """Let the objects be as they are stored. Factory bootstrap, if a factory has stored it."""
        core = self.core
        state = text = None
        if self._store:
            state, text = self._store.load(core.endpoint, self._fault)
        self._rest = dict(state or {})
        self._rest.pop(_FACTORY, None)
        for oid in core.objects:
            if core.objects[oid].bootstrap:
                core.objects[oid].instances = self._rest.pop(oid, {})
        self._worked.clear()
        self._dirty = self._later = False
        self._due = -1
        if self.keys:
            # A fault may pass, and its keys are wanted again.
            self.keys.load(core.objects[0].instances, not text)
        if core.bootstrap:
            for values in core.objects[1].instances.values():
                if 12 in values or _UNDATED in values:  # bootstrapped: the time-out began then
                    core.bootstrap.start_timeout()
        if text:
            self._tell(text)

    def _fault(self, state):
        # What is wrong with a state, in words, or None.
        core = self.core
        found = {}
        for oid in core.objects:
            obj = core.objects[oid]
            if obj.bootstrap:
                found[oid] = obj = Object(oid, obj.resources, state.get(oid))
                text = oid > 1 and amiss(obj)
                if text:
                    return text
        for values in found[0].instances.values():
            if not isinstance(values.get(_PEER, ""), str):
                return "/0/x/65535 must be a str"
        return inconsistency(found, core.net.modes, self, False)

    def adopt(self, obj):
        """The application has added an object: what is stored of it."""
        if obj.id not in self._rest:
            return
        if obj.bootstrap:
            found = Object(obj.id, obj.resources, self._rest.pop(obj.id))
            text = amiss(found)
            if text:
                self._tell("what is stored is not used: " + text)
            else:
                obj.instances = found.instances
        elif obj.persist:
            kept = self._rest.pop(obj.id)
            for iid in kept:
                self._restore(obj, iid, kept[iid])

    def _restore(self, obj, iid, kept):
        # Write what was kept of an instance. One that the application does not have is a server's.
        own = obj.instances.get(iid)
        values = {}
        for rid in kept:
            if _keeps(obj, rid, kept[rid]) and not (own and callable(own.get(rid))):
                values[rid] = kept[rid]
        if own is None and (not obj.multiple or obj.missing(values)):
            return
        try:
            if obj.on_check:
                obj.on_check(iid, values)
            obj.instances.setdefault(iid, {}).update(values)
            if obj.on_write:
                obj.on_write(iid, values)
        except Exception as e:
            text = getattr(e, "text", None) or repr(e)
            self._tell("what is stored of /%d/%d: %s" % (obj.id, iid, text))

    def commit(self, changes=None):
        """Store the objects, with other instances of some: {object id: {instance id: values}},
        which are then put there.

        Raises OSError, ValueError, MemoryError, or Error 5.00; then nothing has changed. Without
        changes, what is wrong is an event instead, and returned in words.
        """
        core = self.core
        keys = self.keys
        try:
            state = dict(self._rest)
            for oid in core.objects:
                obj = core.objects[oid]
                if obj.bootstrap:
                    state[oid] = obj.instances
                elif obj.persist:
                    state[oid] = _kept(obj)
            state.update(changes or {})
            if keys:
                state[0] = keys.stow(state[0])
            if self._store and self._store.commit(
                core.endpoint, self._proven(state), changes is None
            ):
                self._passes = 0 if changes else _PASSES
        except Exception as e:
            if keys:
                keys.undo()
            if changes:
                raise e
            text = "the accounts cannot be stored: %s" % (getattr(e, "text", None) or repr(e))
            self._tell(text)
            return text
        for oid in core.objects:
            if core.objects[oid].bootstrap:
                core.objects[oid].instances = state[oid]
        self._dirty = self._later = False
        self._due = -1
        if core.state == _BOOTSTRAP:
            self._worked.clear()
        if keys:
            keys.settle()

    def flush(self, free=True):
        """Store what is yet to be stored; not free: only where that need not wait for the flash."""
        core = self.core
        ahead = self._paid - _AHEAD <= core.seconds
        if (self._dirty and (free or ahead)) or (self._later and free and ahead):
            text = self.commit()
            if text:
                self._due = core.after(_EACH)
            if text or self._passes:
                self._paid = max(self._paid, core.seconds) + _EACH

    def factory_reset(self):
        """Go back to the factory's accounts (/3/0/5)."""
        core = self.core
        core.close(core.net.now())
        core.begin()
        self.flush()
        try:
            self._store.factory_reset(self._fault)
        except Exception as e:
            return self._tell("no factory reset: %s" % e)
        self.load()

    def _tell(self, text):
        self.core.event(EVENT_STORE, 0, text=text)

    # --- What a part has, as module account says

    def handle(self, account, m, payload, reply, now):
        return 0

    def poll(self, now):
        core = self.core
        if self._passes:
            # The second copy, in a later step than the first, as each takes its time.
            self._passes -= 1
            if not self._passes:
                self._store.mirror()
        if self._worked:
            try:
                self._fall_back()
            except MemoryError:  # at the next pass
                pass
        if self._dirty or self._later:
            if self._due < 0:
                paid = self._paid - (_AHEAD if self._dirty else 0)
                self._due = max(core.after(_SETTLE), paid)
            if self._due <= core.seconds:
                self.flush()

    def next_ms(self, now, least):
        waits = self._dirty or self._later
        if self._passes or (waits and self._due < 0):
            return 0
        return self.core.until(self._due, least) if waits else least

    def changed(self, oid, iid, rid):
        core = self.core
        obj = core.objects.get(oid)
        if not obj:
            return
        keeps = obj.persist and (rid < 0 or obj.persist is True or rid in obj.persist)
        if obj.bootstrap or (keeps and (rid < 0 or obj.flags(rid) & _W)):
            if not self._dirty:
                self._dirty = True
                self._due = -1  # which may have been that of what can wait
        elif keeps:
            self._later = True
        if oid == 1 and (rid == 1 or rid == 7) and iid not in self._worked:
            for account in core.accounts:
                if (
                    account.server_iid == iid
                    and _REGISTERING <= account.state <= _UPDATING
                    and account.lifetime is not None
                ):
                    account.code = 0
                    try:
                        self._worked[iid] = account.lifetime, account.binding
                    except MemoryError:  # the write has been done, and is not to fail any more
                        pass

    def moved(self, account):
        iid = account.server_iid
        instances = self.core.objects[1].instances
        if account.state == _REGISTERED and iid in self._worked and iid in instances:
            values = instances[iid]
            if values.get(1) == account.lifetime and values.get(7) == account.binding:
                self._worked.pop(iid)
                self._dirty = True

    # --- What has worked

    def _proven(self, state):
        # A state as it is to be stored; a bootstrap server answers for what it writes.
        if self._worked and self.core.state != _BOOTSTRAP:
            state = dict(state)
            state[1] = servers = dict(state[1])
            for iid in list(self._worked):
                if iid in servers:
                    servers[iid] = values = dict(servers[iid])
                    values[1], values[7] = self._worked[iid]
                else:
                    self._worked.pop(iid)
        return state

    def _fall_back(self):
        # A server that refuses this client now gets what it has registered it with before; at once, as
        # nothing hinders that any more, and as for one that has not failed.
        core = self.core
        for account in core.accounts:
            iid = account.server_iid
            if iid in self._worked and account.code >> 5 == 4:
                if account.state == _DISCONNECTED or account.state == _FAILED:
                    lifetime, binding = self._worked[iid]
                    core.objects[1].set(iid, 1, lifetime)
                    core.objects[1].set(iid, 7, binding)
                    self._worked.pop(iid)
                    account.attempts = account.code = core.weary = core._rest = 0
                    if account.state == _DISCONNECTED:
                        core._enter(account, _DISCONNECTED, core._setting(account, 14, 0))
                    core._let_next()


def _keeps(obj, rid, value):
    # Whether that is a value for the store, of the object's (persist).
    flags = obj.flags(rid)
    return (
        (obj.persist is True or rid in obj.persist)
        and flags
        and not flags & _E
        and not callable(value)
        and not fault(obj.id, rid, flags, value)
        and not (isinstance(value, (str, bytes)) and len(value) > _LONG)
    )


def _kept(obj):
    # What is to be stored of an object: {instance id: {resource id: value}}.
    found = {}
    for iid in obj.instances:
        own = obj.instances[iid]
        values = {}
        for rid in own:
            if _keeps(obj, rid, own[rid]):
                values[rid] = own[rid]
        if values or obj.multiple:
            found[iid] = values
    return found
