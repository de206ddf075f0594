# Attributes: when a server wants to be notified (LwM2M 1.1 5.1.2, 6.3.4), and how often values are
# looked at for that. Module observe asks; here they are kept, shown and compared.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from binascii import crc32
from micropython import const
from ucoap import ACCEPT, GET, PUT, URI_QUERY, Error
import lwm2m.management as management
import lwm2m.model as model
from . import optional
from .management import format_module, format_of
from .model import path_of, resolve

# Paths that one server may set attributes of, beyond which it is refused: each takes heap.
_MAX_SETS = const(32)

# A set of attributes is a list, of each its value or None, in this order.
_NAMES = const(("pmin", "pmax", "epmin", "epmax", "con", "gt", "lt", "st", "edge", "hqmax"))
_PMIN = const(0)
_PMAX = const(1)
_EPMIN = const(2)
_EPMAX = const(3)
_CON = const(4)
_GT = const(5)
_LT = const(6)
_ST = const(7)
_EDGE = const(8)
_HQMAX = const(9)  # package lwm2m-storing goes by it
_COUNT = const(10)

_LINK = const(40)  # a Content-Format

_MAX_PERIOD = const(0x7FFFFFFF)  # s
_MAX_NUMBER = const(32)  # characters of gt, lt and st
_MAX_SECONDS = const(0x0FFFFFFF)  # as core has it

# s since the last notification that was acknowledged, until one has to be. Half of the day that
# RFC 7641 4.5 has: so there is no day without, whatever the pace.
_UNCONFIRMED = const(43200)

_READ = const(1)  # of model's operations
_R = const(0x10)
_MULTI = const(0x80)
_TYPE = const(15)
_INT = const(2)
_FLOAT = const(4)
_BOOL = const(5)
_TIME = const(7)

_CHANGED = const(0x44)
_BAD_REQUEST = const(0x80)
_NOT_ACCEPTABLE = const(0x86)
_INTERNAL = const(0xA0)

_EVALUATION_PERIOD = const(20)  # observe's event

# The distance from 1.0 to the next float, which on boards have 32 bits and on hosts 64.
_EPSILON = 1.0
while 1.0 + _EPSILON / 2 != 1.0:
    _EPSILON /= 2


class _Look:
    # A sink that keeps the value which goes through it into another sink.

    def __init__(self, sink):
        self._sink = sink
        self.end = sink.end
        self.seen = None

    def value(self, oid, iid, rid, riid, flags, value):
        self.seen = value
        self._sink.value(oid, iid, rid, riid, flags, value)


class Attributes:
    """What the servers of a Core have set.

    It stays while the account and the instance are there, over registrations too (LwM2M calls it
    permanent), and is gone after a reset.
    """

    def __init__(self, core):
        self.core = core
        self.sets = {}  # {short id: {path: set}}
        self._found = [None] * _COUNT  # of one path at a time

    # --- What servers ask for

    def handle(self, account, m, payload, reply):
        """Serve Write-Attributes, and Discover; 0 for what is neither. Raises Error."""
        core = self.core
        if m.code == GET and m.uint(ACCEPT) == _LINK:
            if account.version == "1.2" and m.find(URI_QUERY) >= 0 and optional("v12"):
                return 0  # its part asks show() itself
            code = management.handle(core, account, m, payload, reply)
            self.show(account, path_of(m), reply)
            return code
        if m.code != PUT or m.find(URI_QUERY) < 0:
            return 0
        path = path_of(m)
        flags = resolve(core.objects, path, _READ, core.may, account)
        if payload:
            raise Error(_BAD_REQUEST, "attributes or a value, not both")
        sets = self.sets.get(account.short_id, {})
        old = sets.get(path)
        attributes = parse(m, len(path), flags, old, account.version)
        periods = attributes[_EPMIN], attributes[_EPMAX]
        same = periods == ((old[_EPMIN], old[_EPMAX]) if old else (None, None))
        if attributes.count(None) == _COUNT:
            sets.pop(path, None)
        else:
            if old is None and len(sets) >= _MAX_SETS:
                raise Error(_INTERNAL, "no place for attributes of one more path")
            sets[path] = attributes
            self.sets[account.short_id] = sets
        if not same:
            core.event(_EVALUATION_PERIOD, account.short_id, path=path, periods=periods)
        return _CHANGED

    def show(self, account, path, reply):
        """Put attributes into the answer to a Discover (LwM2M 1.1 6.3.2): of what was asked for those
        that hold, of what is below it its own."""
        sets = self.sets.get(account.short_id)
        if not sets:
            return
        links = reply.payload.split(b",")
        for i in range(len(links)):
            if i:
                ids = links[i][2 : links[i].find(b">")].split(b"/")
                attributes = sets.get(tuple([int(id) for id in ids]))
            else:
                attributes = [None] * _COUNT
                self._inherit(attributes, account, path)
            for n in range(_COUNT):
                if attributes and attributes[n] is not None:
                    links[i] += (";%s=%s" % (_NAMES[n], attributes[n])).encode()
        reply.payload = b",".join(links)

    def _inherit(self, attributes, account, path):
        # Of each attribute, what the lowest level of the path has. Needs no memory.
        sets = self.sets.get(account.short_id)
        for n in range(1, len(path) + 1 if sets else 0):
            for other in sets:
                if len(other) == n and _is_above(other, path):
                    found = sets[other]
                    for i in range(_COUNT):
                        if found[i] is not None:
                            attributes[i] = found[i]

    def prune(self):
        """Forget what belongs to accounts and instances that have gone. Needs no memory."""
        while True:
            for short_id in self.sets:
                if not self._prune(short_id):
                    self.sets.pop(short_id)
                    break
            else:
                return

    def _prune(self, short_id):
        # Whether there is something left.
        core = self.core
        servers = core.objects[1].instances
        for iid in servers:
            if servers[iid].get(0) == short_id:
                break
        else:
            return False
        sets = self.sets[short_id]
        while True:
            for path in sets:
                obj = core.objects.get(path[0])
                if obj is None or (len(path) > 1 and path[1] not in obj.instances):
                    sets.pop(path)
                    break
            else:
                return len(sets) > 0

    # --- What observe asks

    def query(self, account, m, path, flags):
        """The set in an Observe's query, of that observation alone, in place of what was written
        (LwM2M 1.2 6.4.1). Raises Error, as it does for a server of LwM2M 1.1, which has none there."""
        if account.version != "1.2":
            raise Error(_BAD_REQUEST, "no attributes here")
        return parse(m, len(path), flags, None, account.version)

    def start(self, o, own):
        """Let an observation have its attributes. own: what query() gave, or None."""
        o.own = own
        o.attributes = [None] * _COUNT
        o.confirmed = self.core.seconds
        o.look = -1
        self.refresh(o)

    def refresh(self, o):
        """Let an observation have those that hold for it now. Needs no memory.

        Those of several paths are one set: the greatest pmin, epmin and hqmax, the least pmax and epmax
        that count at their paths, con 1 where one has it, and no thresholds.
        """
        attributes = o.attributes
        if not o.composite:
            self._of_path(attributes, o, o.path)
            return
        for i in range(_COUNT):
            attributes[i] = None
        found = self._found
        for path in o.paths:
            self._of_path(found, o, path)
            for i in (_PMIN, _EPMIN, _CON, _HQMAX):
                if found[i] is not None and (attributes[i] is None or attributes[i] < found[i]):
                    attributes[i] = found[i]
            for i in (_PMAX, _EPMAX):
                if (found[i] or 0) >= max(found[i - 1] or 0, 1) and (
                    attributes[i] is None or attributes[i] > found[i]
                ):
                    attributes[i] = found[i]

    def _of_path(self, attributes, o, path):
        # What holds for one path.
        core = self.core
        for i in range(_COUNT):
            attributes[i] = o.own and o.own[i]
        if not o.own:
            self._inherit(attributes, o.account, path)
        server = core.objects[1].instances.get(o.account.server_iid)
        if server:
            if attributes[_PMIN] is None:
                attributes[_PMIN] = server.get(2)
            if attributes[_PMAX] is None:
                attributes[_PMAX] = server.get(3)
            if attributes[_CON] is None:
                attributes[_CON] = server.get(26)  # Default Notification Mode, of LwM2M 1.2
        obj = core.objects.get(path[0]) if len(path) == 3 else None
        if obj and obj.flags(path[2]) & _MULTI:
            for i in range(_GT, _HQMAX):  # they are for its instances
                attributes[i] = None

    def arm(self, o):
        """Set when an observation's value is looked at (epmin, epmax). Needs no memory."""
        least = min(o.attributes[_EPMIN] or 0, _MAX_SECONDS)
        most = min(o.attributes[_EPMAX] or 0, _MAX_SECONDS)
        if least:
            o.earliest = max(o.earliest, o.looked + least)
        o.look = o.looked + most if most > least else -1

    def answer(self, account, path, flags, accept, reply):
        """As management's, and returns what met() compares: of one number or boolean its value, of
        anything else a checksum."""
        core = self.core
        out = bytearray()
        format = format_of(flags, path, accept)
        sink = format_module(format, _NOT_ACCEPTABLE).Sink(out, format)
        look = None
        if _is_comparable(flags) and len(path) == (4 if flags & _MULTI else 3):
            sink = look = _Look(sink)
        model.encode(sink, core.objects[path[0]], path, _R, core.may, account)
        reply.content_format = format
        reply.payload = out
        return look.seen if look else self.checksum(reply)

    def checksum(self, reply):
        """What met() compares of an answer to more than one value."""
        return crc32(reply.payload)

    def met(self, o, value, told):
        """Whether a value, which may be that of before, is to be reported.

        told: whether the application has said that there is another one.
        """
        attributes = o.attributes
        old = o.value
        if old is None:  # nobody has got one
            return True
        gt, lt, st, edge = attributes[_GT], attributes[_LT], attributes[_ST], attributes[_EDGE]
        if gt is None and lt is None and st is None and edge is None:
            return told or value != old
        return value != old and (
            (gt is not None and (value > gt) != (old > gt))
            or (lt is not None and (value < lt) != (old < lt))
            or (st is not None and _is_step(value, old, st))
            or edge == value
        )

    def type(self, o):
        """How to send an observation's next notification: 0 confirmably, 1 not."""
        return int(
            o.attributes[_CON] == 0
            and not o.account.unheard
            and self.core.seconds - o.confirmed < _UNCONFIRMED
        )


def _is_above(path, other):
    # Whether a path is another one's beginning, or itself.
    for i in range(len(path)):
        if path[i] != other[i]:
            return False
    return True


def _is_comparable(flags):
    t = flags & _TYPE
    return _INT <= t <= _BOOL or t == _TIME


def _is_step(a, b, step):
    # Whether two values are that far apart.
    distance = abs(a - b)
    return distance >= step or distance + _slack(a, b, step) >= step


def _slack(a, b, c):
    # From 0.2 to 0.3 it is 0.1, though of floats the difference is a little less: each may be off by
    # half of its last digit, and so may be what is made of them.
    size = 0
    for x in (a, b, c):
        if isinstance(x, float):
            size += abs(x)
    return size and size * _EPSILON


# --- Out of a query


def parse(m, n, flags, old=None, version="1.2"):
    """The attributes of a request's query, for a path of n ids, over an old set; raises Error 4.00.

    A name without a value takes that attribute away (LwM2M 1.1 5.1.2). version: of LwM2M; edge and
    hqmax are of 1.2.
    """
    attributes = list(old) if old else [None] * _COUNT
    named = 0
    for query in m.strings(URI_QUERY):
        name, _, text = query.partition("=")
        i = _NAMES.index(name) if name in _NAMES else _COUNT
        if i >= (_COUNT if version == "1.2" else _EDGE):
            raise Error(_BAD_REQUEST, "unknown attribute " + name)
        if named >> i & 1:
            raise Error(_BAD_REQUEST, name + " twice")
        named |= 1 << i
        attributes[i] = _value(i, text, n, flags) if text else None
    _check(attributes)
    return attributes


def _value(i, text, n, flags):
    name = _NAMES[i]
    if _GT <= i <= _EDGE:
        if i == _EDGE:
            if n < 3 or flags & _TYPE != _BOOL:
                raise Error(_BAD_REQUEST, "edge is for booleans")
        elif n < 3 or not _is_comparable(flags) or flags & _TYPE == _BOOL:
            raise Error(_BAD_REQUEST, name + " is for numbers")
    if i == _CON or i == _EDGE:
        if text not in ("0", "1"):
            raise Error(_BAD_REQUEST, name + " must be 0 or 1")
        return int(text)
    if i < _CON or i == _HQMAX:
        if not text.isdigit() or len(text) > 10 or int(text) > _MAX_PERIOD:
            what = "a whole number" if i == _HQMAX else "whole seconds"
            raise Error(_BAD_REQUEST, "%s must be %s, 0 to 2147483647" % (name, what))
        return int(text)
    value = _number(text)
    if value is None or (i == _ST and value < 0):
        raise Error(_BAD_REQUEST, name + " must be a number" + (" from 0" if i == _ST else ""))
    return value


def _number(text):
    # An int as such, as int values of 64 bits are compared with it; None for what is no number.
    # The grammar of 1.1 has no sign; servers send one, and it has its use.
    whole = True
    data = text.encode()
    if len(data) > _MAX_NUMBER or data[-1] not in b"0123456789":
        return None
    for c in data:  # ints, as MicroPython keeps a character of a str for good
        if c not in b"0123456789+-":
            whole = False
            if c not in b".eE":
                return None
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        return None
    return None if value - value else value  # 1e400 is infinite


def _check(attributes):
    # LwM2M 1.1 5.1.2; pmax below pmin is no error, but ignored.
    epmin, epmax = attributes[_EPMIN], attributes[_EPMAX]
    if epmin is not None and epmax is not None and epmin >= epmax:
        raise Error(_BAD_REQUEST, "epmin must be below epmax")
    gt, lt, st = attributes[_GT], attributes[_LT], attributes[_ST]
    if gt is not None and lt is not None:
        if lt >= gt:
            raise Error(_BAD_REQUEST, "lt must be below gt")
        if st is not None and lt + 2 * st + _slack(lt, 2 * st, gt) >= gt:
            raise Error(_BAD_REQUEST, "lt + 2 * st must be below gt")
