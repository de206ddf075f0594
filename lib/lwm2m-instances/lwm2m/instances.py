# What a server asks of an object's instances as such: Discover, Create and Delete (LwM2M 1.1 6.3.2, 6.3.6,
# 6.3.7). Module management has resolved the path, and loads this for the first of them.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import Error
import lwm2m.management as management

# Of CoAP, as ucoap has them; LwM2M 1.1 7.4.
_GET = const(1)
_POST = const(2)
_CONTENT_FORMAT = const(12)
_LINK = const(40)

_CREATED = const(0x41)
_DELETED = const(0x42)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_NOT_FOUND = const(0x84)

# Of a resource's flags, as model has them.
_W = const(0x20)
_E = const(0x40)
_MULTI = const(0x80)

# Events; the same numbers in the package's __init__.
_CREATED_EVENT = const(10)
_DELETED_EVENT = const(11)


def handle(core, account, obj, path, m, payload, reply):
    """Serve a Discover, a Create or a Delete of a path that model's resolve() has found. Returns the
    response code; raises Error."""
    if m.code == _GET:
        # LwM2M 1.1 6.3.2.
        reply.content_format = _LINK
        reply.payload = links(obj, path, 2 if len(path) == 1 else 1)
        return _CONTENT
    if m.code == _POST:
        path = _create(core, obj, path, m, payload, reply)
        core.on_request(account, _CREATED_EVENT, path)
        return _CREATED
    obj.remove(path[1])
    core.on_request(account, _DELETED_EVENT, path)
    return _DELETED


def links(obj, path, depth):
    """What is at a path, and so many levels below it, as link-format. Raises Error 4.04 where there is
    nothing."""
    n = len(path)
    level = n + depth  # the lowest
    links = []
    if n == 1:
        links.append("</%d>" % obj.id + (";ver=" + obj.version if obj.version else ""))
    for iid in sorted(obj.instances) if n == 1 else (path[1],):
        base = "/%d/%d" % (obj.id, iid)
        instance = obj.instances[iid]
        if n < 3 and level > 1:
            links.append("<%s>" % base)
        for i in range(0, len(obj.resources) if level > 2 else 0, 2):
            rid, flags = obj.resources[i : i + 2]
            if (n == 3 and rid != path[2]) or not (
                rid in instance or (flags & _E and obj.on_execute)
            ):
                continue
            link = "<%s/%d>" % (base, rid)
            value = ()
            if flags & _MULTI and not flags & _E:
                value = obj.get(iid, rid)
                link += ";dim=%d" % len(value)
            links.append(link)
            for riid in sorted(value) if level > 3 else ():
                links.append("<%s/%d/%d>" % (base, rid, riid))
    if not links:
        raise Error(_NOT_FOUND)
    return ",".join(links).encode()


def _create(core, obj, path, m, payload, reply):
    # LwM2M 1.1 6.3.6. Returns the path of what was made: of an instance, or of several the object.
    found = None
    if payload or m.find(_CONTENT_FORMAT) >= 0:
        found = management.decode(core.objects, m, payload, path, False).get(obj.id)
    found = found or {-1: {}}
    if -1 in found:  # nothing says which
        if len(found) > 1:
            raise Error(_BAD_REQUEST, "an instance without its id")
        iid = 0
        while iid in obj.instances:
            iid += 1
        found = {iid: found[-1]}
    for iid in found:
        if iid in obj.instances:
            raise Error(_BAD_REQUEST, "the instance exists")
        values = found[iid]
        for rid in list(values):
            if not obj.flags(rid) & _W:  # the application's to set
                values.pop(rid)
        if obj.on_check:
            obj.on_check(iid, values)
        text = obj.missing(values)
        if text:
            raise Error(_BAD_REQUEST, text)
    if len(found) == 1:
        path = obj.id, iid
        reply.location = (str(obj.id), str(iid))
    for iid in found:
        obj.add(iid, found[iid])
        if obj.on_write:
            obj.on_write(iid, found[iid])
    return path
