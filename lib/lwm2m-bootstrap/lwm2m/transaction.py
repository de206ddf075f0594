# What a bootstrap server changes in a session: one transaction (LwM2M 1.1 6.1.7).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# An operation never changes an instance, or an object's dict of instances, in place: it makes a new
# one and puts it there as its last step. What was there when the session began is kept, and put back
# unless a Finish passes. b is the Bootstrap. Loaded for a session, and forgotten behind it.

from micropython import const
from ucoap import Error
import lwm2m.management as management
from lwm2m import optional
from lwm2m.bootstrap import account_of
from lwm2m.model import path_of
from lwm2m.objects import object_links, server_id

_BOOTSTRAP_ID = const(65535)
_UNDATED = const(65535)  # no resource's id: in place of /1/x/12 where no clock told the time

# Of CoAP, as ucoap has them; LwM2M 1.1 7.4.
_GET = const(1)
_POST = const(2)
_PUT = const(3)
_DELETE = const(4)
_URI_PATH = const(11)
_ACCEPT = const(17)
_LINK = const(40)

_DELETED = const(0x42)
_CHANGED = const(0x44)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_NOT_FOUND = const(0x84)
_NOT_ALLOWED = const(0x85)
_NOT_ACCEPTABLE = const(0x86)
_INTERNAL = const(0xA0)

_FINISHED = const(5)  # of Bootstrap.state

# What a Delete on / or /0 means to the bootstrap server account, which survives it.
_REPLACEABLE = const(1)  # a new one may be written under any instance id
_HIDDEN = const(2)  # and its instance id is free for others, as nobody has discovered it since


def _put(b, changes):
    # Put new dicts of instances in place: (object, instances) each; the last step of an operation, and
    # the only one that has effect.
    for obj, _ in changes:
        if obj not in b.backup:
            b.backup[obj] = obj.instances
    for obj, instances in changes:
        obj.instances = instances


def handle(b, m, payload, reply):
    """Serve a request. Returns the response code; raises Error."""
    code = m.code
    if code == _POST and m.strings(_URI_PATH) == ["bs"]:
        return finish(b)
    path = path_of(m)
    obj = None
    if path:
        obj = b.core.objects.get(path[0])
        if not obj:
            raise Error(_NOT_FOUND if code == _GET else _BAD_REQUEST, "no such object")
    if code == _PUT:
        return write(b, path, obj, m, payload)
    if len(path) > 2 and code in (_GET, _DELETE):
        raise Error(_BAD_REQUEST)
    if code == _DELETE:
        return delete(b, path, obj)
    if code == _GET:
        accept = m.uint(_ACCEPT)
        if accept == _LINK:
            return _discover(b, path, obj, reply)
        if b.core.version != "1.0":
            return _read(path, obj, accept, reply)
    raise Error(_NOT_ALLOWED)


def _discover(b, path, obj, reply):
    # LwM2M 1.1 6.1.7.3.
    if len(path) > 1:
        raise Error(_BAD_REQUEST)
    objects = b.core.objects if obj is None else {obj.id: obj}
    version = b.core.version
    root = 'lwm2m="1.0",' if version == "1.0" else "</>;lwm2m=%s," % version

    def attributes(obj, iid):
        text = ""
        if obj.id < 2:
            short_id = server_id(obj, iid)
            if short_id != _BOOTSTRAP_ID and short_id is not None:
                text = ";ssid=%d" % short_id
            if obj.id == 0 and version != "1.0":
                text += ';uri="%s"' % obj.instances[iid].get(0, "")
        return text

    reply.content_format = _LINK
    reply.payload = root + object_links(objects, attributes)
    b.covered = min(b.covered, _REPLACEABLE)
    return _CONTENT


def _read(path, obj, accept, reply):
    # LwM2M 1.1 6.1.7.4.
    if not path or path[0] not in (1, 2):
        raise Error(_UNAUTHORIZED if path and path[0] == 0 else _NOT_ALLOWED)
    if len(path) == 2 and path[1] not in obj.instances:
        raise Error(_NOT_FOUND)
    management.answer(obj, path, 0, accept, reply, 0x0F)
    return _CONTENT


def delete(b, path, obj):
    """LwM2M 1.1 6.1.7.6. Raises Error."""
    objects = b.core.objects
    changes = []
    for oid in objects if obj is None else path[:1]:
        obj = objects[oid]
        old = obj.instances
        kept = account_of(objects[0].instances) if oid == 0 else -1
        if len(path) == 2:
            if path[1] not in old or not obj.bootstrap or path[1] == kept:
                raise Error(_BAD_REQUEST, "not to be deleted")
            new = dict(old)
            new.pop(path[1])
        elif obj.bootstrap:
            new = {kept: old[kept]} if kept >= 0 else {}
        else:
            continue
        changes.append((obj, new))
    _put(b, changes)
    if not path or path == (0,):
        b.covered = _HIDDEN
    return _DELETED


def write(b, path, obj, m, payload, found=None):
    """LwM2M 1.1 6.1.7.5. found: what is written, as model's decode() has it. Raises Error."""
    n = len(path)
    if not 1 <= n <= 3 or not obj.bootstrap or (n == 3 and not obj.flags(path[2]) & 0x0F):
        raise Error(_BAD_REQUEST, "not to be written")
    if found is None:
        found = management.decode(b.core.objects, m, payload, path, True)
    found = found.get(obj.id) or {-1: {}}
    instances = dict(obj.instances)
    covered = b.covered
    for iid in found:
        values = found[iid]
        iid = max(iid, 0)
        text = obj.missing(values)
        if n == 3:
            if covered != _HIDDEN or obj.id or iid != account_of(instances):
                old = instances.get(iid)
                if old:
                    values = dict(old)
                    values.update(found[iid])
        elif text:
            raise Error(_BAD_REQUEST, "/%d/%d: %s" % (obj.id, iid, text))
        if obj.id == 0:
            covered = _make_room(instances, iid, values, covered)
        instances[iid] = values
    _put(b, ((obj, instances),))
    b.covered = covered
    return _CHANGED


def finish(b):
    """Check the accounts, and store them (LwM2M 1.1 6.1.7.7). Raises Error."""
    core = b.core
    text = optional("consistency").inconsistency(core.objects, core.net.modes, core.context)
    if text:
        raise Error(_NOT_ACCEPTABLE, text)
    server = core.objects[1]
    rid = 12  # Last Bootstrapped
    try:
        time = core.objects[3].get(0, 13)
        server.check(rid, time)
    except Exception:  # the accounts are not to be wrong because the clock is
        rid, time = _UNDATED, True
    instances = {}
    for iid in server.instances:
        instances[iid] = values = dict(server.instances[iid])
        values.pop(12, None)
        values.pop(_UNDATED, None)
        values[rid] = time
    _put(b, ((server, instances),))
    if core.context:  # from here on a power cut finds the new accounts
        text = core.context.commit()
        if text:
            raise Error(_INTERNAL, text)
    b.backup.clear()
    b.undo()  # of nothing
    b.start_timeout()
    b.state = _FINISHED
    b.vain += 1
    return _CHANGED


def _make_room(instances, iid, values, covered):
    # There is one bootstrap server account. It cannot be overwritten or doubled, but it gives
    # way to what a server writes that has deleted it. Returns the new `covered`.
    old = account_of(instances)
    new = values.get(1)
    if old < 0 or (old == iid) == bool(new):
        return 0 if new else covered
    if covered < (_REPLACEABLE if new else _HIDDEN):
        raise Error(_BAD_REQUEST, "/0/%d is the bootstrap server account" % old)
    if new:
        instances.pop(old)
        return 0
    free = 0
    while free in instances:
        free += 1
    instances[free] = instances[old]
    return covered
