# What a client keeps over a reset: accounts in a store, and their keys there too or in a place of
# their own.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# The place of keys is `credentials`, an object as module credentials has one: a secure element, for
# instance. Then a /0 instance has no resources 3 to 5, but under _PEER the name that its keys have
# there. The factory's and the application's are named by the server's URI, and are theirs to
# create and delete. What a bootstrap brings is named "URI#n", where no other account's keys are.
# So nothing is overwritten: keys are created under new names, then the store commits, then the old
# ones are deleted. Whatever a power cut leaves behind, no account has it; it goes with keep(), or
# when its name comes up again.

from micropython import const
from ucoap import Error
from .consistency import inconsistency

_PEER = const(65535)  # no resource's id
_FACTORY = const(65535)  # no object's id: what the factory has put there is no account
_EXISTS = const(0x86)
_NOT_FOUND = const(0x84)
_INTERNAL = const(0xA0)

# Event.type: something is wrong with what is stored; text says what, and what is used instead.
EVENT_STORE = const(19)


class Context:
    """The accounts of a Core in a Store and in credentials, of which one may be None.

    core calls what has no underscore.
    """

    def __init__(self, core, store, credentials):
        self.core = core
        self.dirty = False  # whether something has changed that is yet to be stored
        self._store = store
        self._credentials = credentials
        self._rest = {}  # what is stored of objects that are not there, or not yet
        self._peers = set()  # names of the keys that are stored and are ours to delete

    # --- The store

    def load(self):
        """Let the objects be as they are stored. Factory bootstrap, if a factory has stored it."""
        core = self.core
        state = text = None
        if self._store:
            state, text = self._store.load(core.endpoint)
        fault = self._take(state or {})
        if fault:
            fault = "the accounts in flash: %s; the factory copy is used" % fault
            try:
                copy = self._store.factory()
            except ValueError:
                copy = None
            if self._take(copy[1] if copy else {}):
                self._take({})
                fault += ", and is no better: there are no accounts"
            text = text + "; " + fault if text else fault
        self._peers = self._names(core.objects[0].instances)
        if core.bootstrap:
            for values in core.objects[1].instances.values():
                if 12 in values:  # Last Bootstrapped: the time-out began then
                    core.bootstrap.start_timeout()
        keep = getattr(self._credentials, "keep", None)
        if keep and not fault:  # a fault may pass, and its keys are wanted again
            self._call(keep, self._peers)
        if text:
            self._tell(text)

    def _take(self, state):
        # Put a state into the objects, unless its accounts do not fit together: what is wrong.
        core = self.core
        self._rest = dict(state)
        self._rest.pop(_FACTORY, None)
        for oid in core.objects:
            if core.objects[oid].bootstrap:
                core.objects[oid].instances = self._rest.pop(oid, {})
        return inconsistency(core.objects, core.net.modes, self, False)

    def adopt(self, obj):
        """The application has added an object: what is stored of it."""
        if obj.bootstrap and obj.id in self._rest:
            obj.instances = self._rest.pop(obj.id)

    def commit(self, changes=None):
        """Store the objects, with other instances of some: {object id: {instance id: values}},
        which are then put there.

        Raises OSError, ValueError, MemoryError, or Error 5.00; then nothing has changed.
        """
        core = self.core
        state = dict(self._rest)
        for oid in core.objects:
            if core.objects[oid].bootstrap:
                state[oid] = core.objects[oid].instances
        state.update(changes or {})
        made = []
        try:
            if self._credentials:
                state[0] = self._stow(state[0], made)
            peers = self._names(state[0])
            if self._store:
                self._store.commit(core.endpoint, state)
        except Exception:
            for peer in made:
                self._call(self._credentials.delete, peer)
            raise
        for oid in core.objects:
            if core.objects[oid].bootstrap:
                core.objects[oid].instances = state[oid]
        self.dirty = False
        old = self._peers
        self._peers = peers
        self._delete(old)

    def save(self):
        """As commit(), but what is wrong is an event. Returns it in words, or None."""
        self.dirty = False
        try:
            self.commit()
            return None
        except Exception as e:
            text = "the accounts cannot be stored: %s" % (getattr(e, "text", None) or repr(e))
            self._tell(text)
            return text

    def factory_reset(self):
        """Go back to the factory's accounts (/3/0/5)."""
        core = self.core
        core.close(core.net.now())
        try:
            self._store.factory_reset()
        except Exception as e:
            return self._tell("no factory reset: %s" % e)
        old = self._peers
        self.load()
        self._delete(old)

    def _tell(self, text):
        self.core.event(EVENT_STORE, 0, text=text)

    # --- Keys

    def keys(self, values):
        """(mode, public, server's public, secret) of a /0 instance: /0/x/2 to 5."""
        mode = values[2]
        found = b"", b"", b""
        if _PEER in values:
            status = _NOT_FOUND
            if self._credentials:
                status, data = self._call(self._credentials.read, values[_PEER]) or (
                    _INTERNAL,
                    None,
                )
            if not status and data[0] == mode:
                found = data[1:]
        # What a bootstrap has written, and no Finish made last, goes before.
        return (
            mode,
            values.get(3) or found[0],
            values.get(4) or found[1],
            values.get(5) or found[2],
        )

    def resolve(self, values):
        """A /0 instance with its keys: {resource id: value}."""
        if _PEER in values:
            values = dict(values)
            _, values[3], values[4], values[5] = self.keys(values)
        return values

    def refer(self, values):
        """Let a /0 instance to be added have the keys that are there for its URI, if any are."""
        peer = values[0]
        credentials = self._credentials
        if credentials and not (values[3] or values[4] or values[5]):
            if self._call(credentials.check, peer, values[2]) == 0:
                values[_PEER] = peer

    def _stow(self, instances, made):
        # Instances without keys, which now are in the credentials; made gets their names.
        new = dict(instances)
        taken = self._peers | self._names(instances)
        for iid in instances:
            values = instances[iid]
            if not (values.get(3) or values.get(4) or values.get(5)):
                continue
            data = self.keys(values)
            n = 1
            while "%s#%d" % (values[0], n) in taken:
                n += 1
            peer = "%s#%d" % (values[0], n)
            taken.add(peer)
            status = self._credentials.create(peer, data)
            if status == _EXISTS:  # left behind by a power cut
                self._credentials.delete(peer)
                status = self._credentials.create(peer, data)
            if status:
                raise Error(_INTERNAL, "there is no place for the keys")
            made.append(peer)
            new[iid] = values = dict(values)
            values[_PEER] = peer
            for rid in (3, 4, 5):
                values.pop(rid, None)
        return new

    def _names(self, instances):
        return {
            values[_PEER]
            for values in instances.values()
            if _PEER in values and "#" in values[_PEER]
        }

    def _delete(self, peers):
        # The keys of these, unless an account has them.
        for peer in peers - self._peers:
            self._call(self._credentials.delete, peer)

    def _call(self, f, *args):
        # What credentials raise, such as OSError of a bus, is reported and goes no further.
        try:
            return f(*args)
        except Exception as e:
            if self.core.engine.on_exception:
                self.core.engine.on_exception(e)
