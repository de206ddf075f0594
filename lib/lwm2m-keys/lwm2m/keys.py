# Keys of a client's accounts in a place of their own, such as a secure element.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# The place is `credentials`, an object as module credentials has one. A /0 instance has no resources
# 3 to 5 then, but under _PEER the name that its keys have there. The factory's and the application's
# are named by the server's URI, and are theirs to create and delete. What a bootstrap brings is named
# "URI#n", where no other account's keys are. So nothing is overwritten: keys are created under new
# names, then the store commits, then the old ones are deleted. Whatever a power cut leaves behind, no
# account has it; it goes with keep(), or when its name comes up again.

from micropython import const
from ucoap import Error

_PEER = const(65535)  # no resource's id
_EXISTS = const(0x86)
_NOT_FOUND = const(0x84)
_INTERNAL = const(0xA0)


class Keys:
    """What a Context does with credentials."""

    def __init__(self, core, credentials):
        self._core = core
        self._credentials = credentials
        self._peers = set()  # names of the keys that are stored and are ours to delete
        self._next = set()  # those that will be, with settle()
        self._made = ()  # those that stow() has created

    def load(self, instances, whole):
        """These /0 instances come from the store. whole: whether all that it has."""
        self._next = _names(instances)
        self.settle()
        keep = getattr(self._credentials, "keep", None)
        if keep and whole:
            self._call(keep, self._peers)

    def read(self, values):
        """(mode, public, server's public, secret) of a /0 instance: /0/x/2 to 5."""
        mode = values[2]
        found = b"", b"", b""
        if _PEER in values:
            status, data = self._call(self._credentials.read, values[_PEER]) or (_INTERNAL, None)
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
            _, values[3], values[4], values[5] = self.read(values)
        return values

    def refer(self, values):
        """Let a /0 instance to be added have the keys that are there for its URI, if any are."""
        peer = values[0]
        if not (values[3] or values[4] or values[5]):
            if self._call(self._credentials.check, peer, values[2]) == 0:
                values[_PEER] = peer

    def stow(self, instances):
        """Create the keys of /0 instances. Returns instances without them.

        settle() or undo() is to follow; undo() also where this raises.
        """
        self._made = made = []
        new = dict(instances)
        taken = self._peers | _names(instances)
        for iid in instances:
            values = instances[iid]
            if not (values.get(3) or values.get(4) or values.get(5)):
                continue
            data = self.read(values)
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
        self._next = _names(new)
        return new

    def undo(self):
        """The store has not got what stow() has returned."""
        for peer in self._made:
            self._call(self._credentials.delete, peer)
        self._made = ()

    def settle(self):
        """It has: delete the keys that no account has any more."""
        self._made = ()
        old = self._peers
        self._peers = self._next
        for peer in old - self._peers:
            self._call(self._credentials.delete, peer)

    def _call(self, f, *args):
        # What credentials raise, such as OSError of a bus, is reported and goes no further.
        try:
            return f(*args)
        except Exception as e:
            if self._core.engine.on_exception:
                self._core.engine.on_exception(e)


def _names(instances):
    return {
        values[_PEER] for values in instances.values() if _PEER in values and "#" in values[_PEER]
    }
