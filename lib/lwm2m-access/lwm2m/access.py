# Access Control: what each of several servers may do (LwM2M 1.1 8, E.3).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# It is in force while there is more than one server account. An object instance has an instance of
# /2 then, which says who owns it and what others may; one that has none is nobody's. They come from
# the factory or a bootstrap server, and of what a server creates from here. Where neither has
# written any, the servers before have had every right, and nobody is to be locked out: then what is
# there becomes the first server's, others may read it, and /1/x is its own server's. So it is with
# what the application adds later, as long as /2 has an instance for object 2 itself (instance 65535
# of it), whose owner is the one that such things go to. A policy from elsewhere has none, and nothing
# is added to it.

from micropython import const
from ucoap import POST, Error
import lwm2m.management as management
from .model import Object, path_of
from .objects import server_id

_NOBODY = const(65535)  # as owner: the bootstrap server only
_LEVEL = const(65535)  # as instance: the object itself, for Create

_DISCONNECTED = const(0)  # of Account.state

_BAD_REQUEST = const(0x80)

# Rights; all that there are of an instance, as Create is of objects.
_READ = const(1)
_WRITE = const(2)
_DELETE = const(8)
_CREATE = const(16)
_ALL = const(15)

_INT = const(2)
_R = const(0x10)
_RW = const(0x30)
_MULTI = const(0x80)
_M = const(0x100)

# fmt: off
_ACCESS = (
    0, _INT | _R | _M,  # Object ID
    1, _INT | _R | _M,  # Object Instance ID
    2, _INT | _RW | _MULTI,  # ACL: rights by short server id; 0 is for those that are not there
    3, _INT | _RW | _M,  # Access Control Owner
)
# fmt: on


def part(core):
    """What core asks of an optional module: its part."""
    return Access(core)


class Access:
    """Object 2 of a Core, and the answer to core.may: a part, as module account has it."""

    def __init__(self, core):
        self.core = core
        core.objects[2] = self.object = Object(2, _ACCESS, bootstrap=True)
        self.object.on_check = self._check
        core.may = self.may
        self._known = ()  # short ids of the accounts that there were
        self._due = -1  # s, when to look at what has come and gone; -1: nothing has

    def may(self, account, oid, iid, operation):
        """Whether a server has a right to an instance, or with instance 65535 to the object."""
        if self._due >= 0:
            self._look()
        if len(self.core.accounts) < 2:
            return True
        me = account.short_id
        if oid == 2:  # everybody reads it, its owner writes
            owner = self.object.instances[iid][3] if operation == _WRITE else me
            return operation <= _WRITE and owner == me
        good = False
        instances = self.object.instances
        for k in instances:
            values = instances[k]
            if values[0] == oid and values[1] == iid:
                acl = values.get(2, {})
                if not acl.get(me, _ALL if values[3] == me else acl.get(0, 0)) & operation:
                    return False  # should there be two for it, both bind
                good = True
        return good

    def _of(self, oid, iid):
        # The id of an instance of /2 that is for an instance, or -1. Needs no memory.
        instances = self.object.instances
        for k in instances:
            if instances[k][0] == oid and instances[k][1] == iid:
                return k
        return -1

    def _add(self, oid, iid, acl, owner):
        instances = self.object.instances
        k = 0
        while k in instances:
            k += 1
        self.object.add(k, {0: oid, 1: iid, 2: acl, 3: owner})

    def _check(self, k, values):
        # What an owner writes: to whom nobody is, nothing can be given. Entries that are there stay,
        # as a bootstrap server may have made them for one that is to come.
        known = [account.short_id for account in self.core.accounts]
        old = self.object.get(k, 2, {})
        ids = [id for id in values.get(2, ()) if id and id not in old]
        if 3 in values:
            ids.append(values[3])
        for id in ids:
            if id not in known:
                raise Error(_BAD_REQUEST, "there is no server %d" % id)

    # --- What has come and gone

    def _look(self):
        core = self.core
        ids = [account.short_id for account in core.accounts]
        if ids:
            for id in self._known:
                if id not in ids:
                    self._gone(id, ids)
                    if core.context:  # as the account's removal is stored at once
                        core.context.flush()
            self._known = ids
            if len(ids) > 1:
                self._fill(ids)
        self._due = -1

    def _fill(self, ids):
        # An instance of /2 for what has none, where that is ours to give.
        core = self.core
        if not self.object.instances:
            self._add(2, _LEVEL, {}, ids[0])
        k = self._of(2, _LEVEL)
        owner = self.object.get(k, 3) if k >= 0 else 0
        if owner not in ids:
            return
        for oid in sorted(core.objects):
            if oid in (0, 2, 21):
                continue
            obj = core.objects[oid]
            for iid in sorted(obj.instances):
                if self._of(oid, iid) < 0:
                    if oid == 1:
                        self._add(1, iid, {}, server_id(obj, iid))
                    else:
                        self._add(oid, iid, {0: _READ}, owner)
            if obj.multiple and self._of(oid, _LEVEL) < 0:
                self._add(oid, _LEVEL, {owner: _CREATE}, _NOBODY)

    def _gone(self, id, ids):
        # A server account has gone: what it had alone goes too, what it owned is another's, with
        # the most of the rights to write and to delete it (LwM2M 1.1 E.1.3).
        core = self.core
        for k in sorted(self.object.instances):
            old = self.object.instances.get(k)
            if not old:  # it went with its instance
                continue
            oid, iid = old[0], old[1]
            obj = core.objects.get(oid)
            acl = dict(old.get(2, {}))
            if oid == 1 and iid not in obj.instances:
                self.object.remove(k)
                continue
            owner = old[3]
            if acl.pop(id, None) is None and owner != id:
                continue
            if iid == _LEVEL and oid != 2 and not acl:  # nobody may create any more
                self.object.remove(k)
                continue
            if owner == id:
                if not acl and obj and obj.multiple and iid in obj.instances:
                    obj.remove(iid)  # and with it this instance
                    continue
                if oid == 1:
                    owner = server_id(obj, iid)
                else:
                    owner = max(ids, key=lambda other: _weight(acl.get(other, 0)))
            new = dict(old)
            new[2] = acl
            new[3] = owner
            self.object.instances[k] = new
            core.changed(2, k, 2)
            core.changed(2, k, 3)

    # --- What a part has, as module account says

    def handle(self, account, m, payload, reply, now):
        # Create: what it makes is its server's.
        path = path_of(m) if m.code == POST else ()
        if len(path) != 1:
            return 0
        core = self.core
        obj = core.objects.get(path[0])
        before = list(obj.instances) if obj else ()
        try:
            code = management.handle(core, account, m, payload, reply)
            if self.object.instances:
                for iid in obj.instances:
                    if iid not in before and self._of(obj.id, iid) < 0:
                        self._add(obj.id, iid, {account.short_id: _ALL}, account.short_id)
            return code
        except Exception as e:  # nothing is to be there then, nor without anybody's right to it
            while obj and len(obj.instances) > len(before):
                for iid in obj.instances:
                    if iid not in before:
                        obj.remove(iid)
                        break
            raise e

    def changed(self, oid, iid, rid):
        if rid >= 0 or oid == 2:
            return
        self._due = self.core.seconds
        obj = self.core.objects.get(oid)
        while obj and iid not in obj.instances:
            k = self._of(oid, iid)
            if k < 0:
                break
            self.object.remove(k)

    def moved(self, account):
        if account.state == _DISCONNECTED:  # it may be new, or have gone
            self._due = self.core.seconds

    def poll(self, now):
        if 0 <= self._due <= self.core.seconds:
            try:
                self._look()
            except MemoryError:
                self._due = self.core.after(1)

    def next_ms(self, now, least):
        return self.core.until(self._due, least)


def _weight(rights):
    return (rights & _WRITE > 0) + (rights & _DELETE > 0)
