# What a client keeps over a reset: its accounts in a store. Their keys are there too, unless module
# keys has a place of their own for them.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from .consistency import amiss, inconsistency
from .model import Object

_FACTORY = const(65535)  # no object's id: what the factory has put there is no account
_PEER = const(65535)  # no resource's id: module keys has a name there

_PASSES = const(2)  # of the loop in one step: before and after what comes

# Event.type: something is wrong with what is stored; text says what, and what is used instead.
EVENT_STORE = const(19)


class Context:
    """The accounts of a Core in a Store, and their keys in credentials; one of the two may be None.

    core calls what has no underscore.
    """

    def __init__(self, core, store, credentials):
        self.core = core
        self.dirty = False  # whether something has changed that is yet to be stored
        self._store = store
        self.keys = None  # a Keys, where there are credentials
        if credentials:
            from .keys import Keys

            self.keys = Keys(core, credentials)
        self.mirror = 0  # passes until the store makes its second copy
        self._rest = {}  # what is stored of objects that are not there, or not yet

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
        if self.keys:
            # A fault may pass, and its keys are wanted again.
            self.keys.load(core.objects[0].instances, not text)
        if core.bootstrap:
            for values in core.objects[1].instances.values():
                if 12 in values:  # Last Bootstrapped: the time-out began then
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
        if obj.bootstrap and obj.id in self._rest:
            found = Object(obj.id, obj.resources, self._rest.pop(obj.id))
            text = amiss(found)
            if text:
                self._tell("what is stored is not used: " + text)
            else:
                obj.instances = found.instances

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
        keys = self.keys
        try:
            if keys:
                state[0] = keys.stow(state[0])
            if self._store:
                if self._store.commit(core.endpoint, state, changes is None):
                    self.mirror = 0 if changes else _PASSES
        except Exception:
            if keys:
                keys.undo()
            raise
        for oid in core.objects:
            if core.objects[oid].bootstrap:
                core.objects[oid].instances = state[oid]
        self.dirty = False
        if keys:
            keys.settle()

    def poll(self):
        """Make the second copy of what save() has stored, in a later step than the first, as each
        takes its time."""
        self.mirror -= 1
        if not self.mirror:
            self._store.mirror()

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
            self._store.factory_reset(self._fault)
        except Exception as e:
            return self._tell("no factory reset: %s" % e)
        self.load()

    def _tell(self, text):
        self.core.event(EVENT_STORE, 0, text=text)
