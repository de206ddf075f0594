# Objects, their instances and resources (LwM2M 1.1 6.3, 7.1): which paths there are, what a value may
# be, and the way of values out of them and into them. Formats are sinks and cursors, as tlv has them.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import Error

# Data types: the low four bits of a resource's flags (LwM2M 1.1 C).
STR = const(1)
INT = const(2)
UINT = const(3)
FLOAT = const(4)
BOOL = const(5)
OPAQUE = const(6)
TIME = const(7)
OBJLNK = const(8)

# Other flags of a resource.
R = const(0x10)
W = const(0x20)
E = const(0x40)
MULTI = const(0x80)  # a multiple-instance resource
M = const(0x100)  # mandatory

# What a path is resolved for: the rights of Access Control (LwM2M 1.1 E.3, /2/x/2), and what
# needs none.
_READ = const(1)
_WRITE = const(2)
_EXECUTE = const(4)
_DELETE = const(8)
_CREATE = const(16)
_DISCOVER = const(32)

# Codes of an Error; those of an application's checks by name.
BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_NOT_FOUND = const(0x84)
NOT_ALLOWED = const(0x85)

_TYPE = const(15)
_URI_PATH = const(11)
_MAX_ID = const(65535)  # of nothing (LwM2M 1.1 7.1)


class Object:
    """An object and its instances.

    id: int. resources: a flat tuple of resource id, flags, resource id, flags …, ids ascending.
    instances: {instance id: {resource id: value}}. A value is a str, int, float, bool, bytes,
        (object id, instance id) for an object link, or a dict {resource instance id: value} for
        a multiple resource; or a function of no argument that returns one. An executable
        resource's value is a function of one argument, the bytes that the server sent with it.
    version: str, where it is not the object's first. multiple: a server may create and delete
        instances. bootstrap: a bootstrap server may.
    persist: what the client's store keeps over a reset: True for all values that are no functions,
        or a tuple of resource ids.
    """

    # Of the class, so that an object takes heap for those only that it has.
    version = None
    multiple = False
    bootstrap = False
    persist = False
    # f(instance id, {resource id: value}): what a server is about to write; may raise Error,
    # and then nothing is written. To an instance that is to be created it may add values.
    on_check = None
    # f(instance id, {resource id: value}): what a server has written, when all of it is; and what
    # persist has kept.
    on_write = None
    # f(instance id, resource id, bytes): an executable resource without a function.
    on_execute = None
    # f(object id, instance id, resource id or -1 for all of it): set by the client.
    on_change = None

    def __init__(
        self,
        id,
        resources,
        instances=None,
        version=None,
        multiple=False,
        bootstrap=False,
        persist=False,
    ):
        good = type(id) is int and isinstance(resources, (tuple, list)) and len(resources) & 1 == 0
        if not good or not isinstance(instances or {}, dict):
            raise ValueError("an Object has an id, pairs of id and flags, and a dict")
        self.id = id
        self.resources = resources
        self.instances = {} if instances is None else instances
        if version:
            self.version = version
        if multiple:
            self.multiple = True
        if bootstrap:
            self.bootstrap = True
        if persist:
            self.persist = persist

    def flags(self, rid):
        """The flags of a resource, 0 where the object does not have it."""
        r = self.resources
        for i in range(0, len(r), 2):
            if r[i] == rid:
                return r[i + 1]
        return 0

    def get(self, iid, rid, default=None):
        """A resource's value, or the default where the instance does not have it."""
        value = self._values(iid).get(rid, default)
        return value() if callable(value) else value

    def add(self, iid, values):
        """Add an instance: {resource id: value}."""
        good = type(iid) is int and 0 <= iid < _MAX_ID and iid not in self.instances
        if not good or not isinstance(values, dict):
            raise ValueError("%s is no new instance" % (iid,))
        for rid in values:
            self.check(rid, values[rid])
        self.instances[iid] = values
        self._changed(iid, -1)

    def remove(self, iid):
        """Remove an instance."""
        self._values(iid)
        self.instances.pop(iid)
        self._changed(iid, -1)

    def set(self, iid, rid, value):
        """Set a resource's value; who observes it is told, where it is another. ValueError where it
        cannot be one."""
        values = self._values(iid)
        self.check(rid, value)
        old = values.get(rid)
        values[rid] = value
        # A function, and a dict that is still the same one, may have other values.
        if old != value or callable(value) or (old is value and isinstance(value, dict)):
            self._changed(iid, rid)

    def _values(self, iid):
        if type(iid) is not int or iid not in self.instances:
            raise ValueError("%s is no instance" % (iid,))
        return self.instances[iid]

    def check(self, rid, value):
        """Raise ValueError where a resource cannot have that value."""
        flags = self.flags(rid)
        if not flags:
            raise ValueError("object %s has no resource %s" % (self.id, rid))
        text = None if callable(value) or flags & E else fault(self.id, rid, flags, value)
        if text:
            raise ValueError("/%d/x/%d %s" % (self.id, rid, text))

    def missing(self, values):
        """What mandatory resource values lack: a str, or None; executable ones are not values."""
        r = self.resources
        for i in range(0, len(r), 2):
            if r[i + 1] & M and not r[i + 1] & E and r[i] not in values:
                return "resource %d is missing" % r[i]

    def written(self, iid, values, replace, merge):
        """An instance as it is to be, as apply() says. values: what is written; its multiple resources
        become whole."""
        old = self.instances[iid]
        new = dict(old)
        if replace:
            r = self.resources
            for i in range(0, len(r), 2):
                if r[i + 1] & (W | M) == W | M and r[i] not in values:
                    raise Error(BAD_REQUEST, "resource %d is missing" % r[i])
            for rid in old:
                flags = self.flags(rid)
                if flags & W and rid not in values and not callable(old[rid]):
                    new.pop(rid)
        for rid in values:
            flags = self.flags(rid)
            own = callable(old.get(rid))
            # What a function gives can be set by its owner only.
            if not flags & W or (own and not self.on_write):
                raise Error(NOT_ALLOWED, "/%d/%d/%d" % (self.id, iid, rid))
            value = values[rid]
            if flags & MULTI and merge and rid in old:
                value = dict(self.get(iid, rid))
                value.update(values[rid])
                values[rid] = value
            if not own:
                new[rid] = value
        if self.on_check:
            self.on_check(iid, values)
        return new

    def _changed(self, iid, rid):
        if self.on_change:
            self.on_change(self.id, iid, rid)


# --- Paths


def path_of(m):
    """The path of a request: a tuple of up to four ints. Raises Error 4.05 for what is none."""
    path = ()
    for part in m.strings(_URI_PATH):
        if len(path) > 3 or not part.isdigit() or len(part) > 5 or int(part) >= _MAX_ID:
            raise Error(NOT_ALLOWED, "no path")
        path += (int(part),)
    return path


def resolve(objects, path, operation, may=None, account=None):
    """Look whether there is what a path says, and whether an operation can be done on it.

    operation: a right of Access Control, 1 Read, 2 Write, 4 Execute, 8 Delete, 16 Create; or 32
    Discover. may(account, object id, instance id, operation) -> whether that server may, 65535
    for the object itself; None: every one.

    What is to be executed and cannot be is taken for something to be written. Returns the flags of
    the resource, 0 above one. Raises Error; the order of checks is that of
    LwM2M 1.1 6.3: what the path is, presence, the right, then what the resource can do.
    """
    n = len(path)
    if not n:
        raise Error(NOT_ALLOWED, "no path")
    if path[0] == 0 or path[0] == 21:  # LwM2M 1.1 E.1: the Security object is a bootstrap server's
        raise Error(_UNAUTHORIZED)
    obj = objects.get(path[0])
    if obj is None or (n > 1 and path[1] not in obj.instances):
        raise Error(_NOT_FOUND)
    flags = 0
    if n > 2:
        flags = obj.flags(path[2])
        if not flags:
            raise Error(_NOT_FOUND)
        # What is to be written, or executed, need not be there yet.
        there = path[2] in obj.instances[path[1]] or flags & E
        if n > 3:
            if not flags & MULTI:
                raise Error(NOT_ALLOWED, "a single resource")
            if not there or path[3] not in obj.get(path[1], path[2]):
                raise Error(_NOT_FOUND)
        if operation == _READ and not there:
            raise Error(_NOT_FOUND)
        if operation == _EXECUTE and not flags & E:
            operation = _WRITE
    if may and (n > 1 or operation == _CREATE) and operation != _DISCOVER:
        if not may(account, path[0], path[1] if n > 1 else _MAX_ID, operation):
            raise Error(_UNAUTHORIZED, "no right to do that")
    if operation == _DISCOVER:
        good = n < 4
    elif operation == _READ:
        good = n < 3 or flags & R
    elif operation == _WRITE:
        good = n == 2 or flags & W
    elif operation == _EXECUTE:
        good = n == 3 and flags & E
    else:
        good = obj.multiple and n == (1 if operation == _CREATE else 2)
    if not good:
        raise Error(NOT_ALLOWED)
    return flags


# --- What a value may be


# What the values of a data type are in Python.
_TYPES = (None, str, int, int, float, bool, bytes, int, tuple)
_WORDS = const("left out;a str;;;a number;a bool;bytes;;an object link")


def fault(oid, rid, flags, value):
    """What is wrong with a value of a resource: words that follow its path, or None.

    flags: the resource's. It is asked of all values that come from outside: a server's, those in
    flash, the factory's, the application's.
    """
    if flags & MULTI:
        if not isinstance(value, dict):
            return "must be a dict"
        flags &= ~MULTI
        for riid in value:
            if type(riid) is not int or not 0 <= riid < _MAX_ID:
                return "has a wrong resource instance"
            text = fault(oid, rid, flags, value[riid])
            if text:
                return text
        return None
    t = flags & _TYPE
    given = type(value)
    wanted = _TYPES[t]
    if wanted is int:
        # What a number means sets its bounds: in the accounts they are times that can be counted in
        # seconds and sent, ids, and what LwM2M 1.1 E.1 and E.2 enumerate.
        least, most = 0, _MAX_ID
        if oid == 0:
            if rid != 10 and rid != 16:
                most = 255 if rid == 2 else 3 if rid == 13 or rid == 15 else 0x7FFFFFFF
        elif oid == 2:
            if rid == 2:
                most = 31
        elif oid == 3 and rid in (6, 9, 20):
            most = 7 if rid == 6 else 100 if rid == 9 else 6
        elif t == TIME and oid < 8:
            most = 0xFFFFFFFF
        elif oid == 1 and rid == 0:
            least, most = 1, _MAX_ID - 1
        elif oid == 1:
            least, most = int(rid == 17 or rid == 20), 0x7FFFFFFF
        elif t == UINT:
            most = 0xFFFFFFFFFFFFFFFF
        else:
            least, most = -0x8000000000000000, 0x7FFFFFFFFFFFFFFF
        if given is not int or not least <= value <= most:
            return "must be a whole number from %d to %d" % (least, most)
    elif given is not wanted and (t != FLOAT or given is not int):
        return "must be " + _WORDS.split(";")[t]
    elif t == OBJLNK:
        if len(value) != 2 or fault(0, 10, INT, value[0]) or fault(0, 10, INT, value[1]):
            return "must be " + _WORDS.split(";")[t]
    elif oid == 1 and rid == 7:
        # LwM2M 1.1 6.2.1.2: each transport once; Q, as 1.0 has it, is of one of them.
        n = 0
        for c in "UTSNQ":  # not of value: a character that is taken out of a str is kept for good
            n += c in value
        if n < len(value):
            return "has an unknown binding"
        return None if value and value != "Q" else "must name a transport"


# --- Values on their way out


def encode(sink, obj, path, mask=R, may=None, account=None, last=True):
    """Give a sink the values of a path that resolve() has found.

    mask: of an object or instance, the resources that have one of these flags. may: as resolve()
    has it; of an object, the instances that may be read. last: whether the sink gets no more.
    """
    oid = obj.id
    n = len(path)
    r = obj.resources
    for iid in sorted(obj.instances) if n == 1 else (path[1],):
        at = 0
        if n == 1:
            if may and not may(account, oid, iid, _READ):
                continue
            at = sink.open(iid, -1)
        instance = obj.instances[iid]
        for i in range(0, len(r), 2):
            rid = r[i]
            if rid not in instance or (rid != path[2] if n > 2 else not r[i + 1] & mask):
                continue
            flags = r[i + 1]
            value = instance[rid]
            if callable(value):
                value = value()
                obj.check(rid, value)
            if not flags & MULTI:
                sink.value(oid, iid, rid, -1, flags, value)
            elif n > 3:
                sink.value(oid, iid, rid, path[3], flags, value[path[3]])
            else:
                inner = sink.open(iid, rid)
                for riid in sorted(value):
                    sink.value(oid, iid, rid, riid, flags, value[riid])
                sink.close(inner)
        if n == 1:
            sink.close(at)
    if last:
        sink.end()


# --- Values on their way in


def decode(objects, path, cursor, lenient=False):
    """What a cursor has for a path: {object id: {instance id: {resource id: value}}}.

    The instance id is -1 where nothing says it. Resources that an object does not have are left
    out (LwM2M 1.1 6.3.3); lenient: executable ones too, as a Bootstrap-Write wants. Raises Error
    4.00, 4.05 for an executable one, and what the cursor does.
    """
    changes = {}
    n = len(path)
    while cursor.next():
        oid, iid, rid, riid = cursor.oid, cursor.iid, cursor.rid, cursor.riid
        if (
            oid != path[0]
            or (n > 1 and iid != path[1])
            or (n > 2 and rid != path[2])
            or (n > 3 and riid != path[3])
        ):
            raise Error(BAD_REQUEST, "not of the path")
        obj = objects[oid]
        values = changes.setdefault(oid, {}).setdefault(iid, {})
        if rid < 0:  # an instance begins
            continue
        flags = obj.flags(rid)
        if flags & E and not lenient:
            raise Error(NOT_ALLOWED, "/%d/x/%d is not to be written" % (oid, rid))
        if not flags or flags & E:
            continue
        if cursor.leaf:
            if (riid >= 0) != bool(flags & MULTI):
                raise Error(BAD_REQUEST, "/%d/x/%d: single or multiple?" % (oid, rid))
            value = cursor.value(flags)
            text = fault(oid, rid, flags & ~MULTI, value)
            if text:
                raise Error(BAD_REQUEST, "/%d/x/%d %s" % (oid, rid, text))
            if riid >= 0:
                values = values.setdefault(rid, {})
                rid = riid
            if rid in values:
                raise Error(BAD_REQUEST, "a value twice")
            values[rid] = value
        elif flags & MULTI and rid not in values:
            values[rid] = {}
        else:
            raise Error(BAD_REQUEST, "/%d/x/%d: single or multiple?" % (oid, rid))
    return changes


def apply(objects, changes, replace=False, merge=False):
    """Write what decode() gives to instances that are there: all of it, or an Error and nothing.

    replace: what an instance has, and changes have not, goes, where it can (LwM2M 1.1 6.3.3).
    merge: resource instances that are not written stay.
    """
    made = {}
    for oid in changes:
        made[oid] = {}
        for iid in changes[oid]:
            made[oid][iid] = objects[oid].written(iid, changes[oid][iid], replace, merge)
    for oid in changes:
        obj = objects[oid]
        for iid in changes[oid]:
            old = obj.instances[iid]
            values = changes[oid][iid]
            obj.instances[iid] = new = made[oid][iid]
            if obj.on_write:
                obj.on_write(iid, values)
            if obj.on_change:
                for rid in old:
                    if rid not in new:
                        obj.on_change(oid, iid, rid)
                for rid in values:
                    obj.on_change(oid, iid, rid)
