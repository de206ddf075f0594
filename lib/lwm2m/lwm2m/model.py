# Objects, their instances and resources, and what a server may do with them (LwM2M 1.1 6.3).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import ACCEPT, CONTENT_FORMAT, DELETE, GET, POST, PUT, URI_PATH, URI_QUERY, Error
import lwm2m.tlv as tlv
from .tlv import BOOL, FLOAT, INT, OBJLNK, OPAQUE, STR, TIME, UINT  # noqa: F401 - some for applications

# Flags of a resource, beside its data type in the low four bits.
R = const(0x10)
W = const(0x20)
E = const(0x40)
MULTI = const(0x80)  # a multiple-instance resource
M = const(0x100)  # mandatory

# Content-Formats (LwM2M 1.1 7.4).
TEXT = const(0)
LINK = const(40)
OCTETS = const(42)
TLV = const(11542)
_OLD_TLV = const(1542)  # seen from servers older than the registration of the number

_CREATED = const(0x41)
_DELETED = const(0x42)
_CHANGED = const(0x44)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_NOT_FOUND = const(0x84)
_NOT_ALLOWED = const(0x85)
_NOT_ACCEPTABLE = const(0x86)
_UNSUPPORTED = const(0x8F)

# What handle() tells its event function: EVENT_… of the package.
_CREATED_EVENT = const(10)
_DELETED_EVENT = const(11)
_READ_EVENT = const(12)

_TYPE = const(15)
_MAX_ID = const(65535)  # of nothing (LwM2M 1.1 7.1)


class Object:
    """An object and its instances.

    id: int. resources: a flat tuple of resource id, flags, resource id, flags …
    instances: {instance id: {resource id: value}}. A value is a str, int, float, bool, bytes,
        (object id, instance id) for an object link, or a dict {resource instance id: value} for
        a multiple resource; or a function of no argument that returns one. An executable
        resource's value is a function of one argument, the bytes that the server sent with it.
    version: str, where it is not the object's first. multiple: a server may create and delete
        instances. bootstrap: a bootstrap server may.
    """

    def __init__(
        self, id, resources, instances=None, version=None, multiple=False, bootstrap=False
    ):
        if len(resources) & 1:
            raise ValueError("resources must be pairs of a resource id and its flags")
        self.id = id
        self.resources = resources
        self.instances = {} if instances is None else instances
        self.version = version
        self.multiple = multiple
        self.bootstrap = bootstrap
        # f(instance id, resource id, value): before a server's write is stored; may raise Error.
        self.on_write = None
        # f(instance id, resource id, bytes): an executable resource without a function.
        self.on_execute = None
        # f(object id, instance id, resource id or -1 for all of it): set by the client.
        self.on_change = None

    def flags(self, rid):
        """The flags of a resource, 0 where the object does not have it."""
        r = self.resources
        for i in range(0, len(r), 2):
            if r[i] == rid:
                return r[i + 1]
        return 0

    def get(self, iid, rid, default=None):
        """A resource's value, or the default where the instance does not have it."""
        value = self.instances[iid].get(rid, default)
        return value() if callable(value) else value

    def add(self, iid, values):
        """Add an instance: {resource id: value}."""
        if iid in self.instances:
            raise ValueError("object %d has an instance %d" % (self.id, iid))
        self.instances[iid] = values
        if self.on_change:
            self.on_change(self.id, iid, -1)

    def remove(self, iid):
        """Remove an instance."""
        self.instances.pop(iid)
        if self.on_change:
            self.on_change(self.id, iid, -1)

    def set(self, iid, rid, value):
        """Set a resource's value; who observes it is told."""
        if not self.flags(rid):
            raise ValueError("object %d has no resource %d" % (self.id, rid))
        self.instances[iid][rid] = value
        if self.on_change:
            self.on_change(self.id, iid, rid)


def path_of(m):
    """The path of a request: a tuple of up to four ints. Raises Error 4.04."""
    path = ()
    for part in m.strings(URI_PATH):
        if len(path) > 3 or not part.isdigit() or len(part) > 5 or int(part) >= _MAX_ID:
            raise Error(_NOT_FOUND)
        path += (int(part),)
    return path


# --- Values as text (LwM2M 1.1 7.4.1)


def to_text(flags, value):
    """A value as the bytes of text/plain."""
    t = flags & _TYPE
    if t == OPAQUE:
        from binascii import b2a_base64

        return b2a_base64(value).strip()
    if t == OBJLNK:
        value = "%d:%d" % value
    elif t == BOOL:
        value = int(value)
    return str(value).encode()


def from_text(flags, data):
    """The value that text/plain stands for; raises Error 4.00."""
    t = flags & _TYPE
    try:
        if t == OPAQUE:
            from binascii import a2b_base64

            return a2b_base64(data)
        value = str(data, "utf-8")
        if t == STR:
            return value
        if t == FLOAT:
            return float(value)
        if t == OBJLNK:
            oid, iid = value.split(":")
            value = int(oid), int(iid)
            if (value[0] | value[1]) >> 16:
                raise ValueError
            return value
        value = int(value)
        if t == BOOL or t == UINT:
            if value >> (1 if t == BOOL else 64):
                raise ValueError
        elif (value if value >= 0 else ~value) >> 63:
            raise ValueError
        return value == 1 if t == BOOL else value
    except ValueError:
        raise Error(_BAD_REQUEST, "no value of that type")


# --- Reading


def _encode_resource(out, obj, iid, rid, flags):
    value = obj.get(iid, rid)
    if flags & MULTI:
        inner = bytearray()
        for riid in sorted(value):
            tlv.write(inner, tlv.RESOURCE_INSTANCE, riid, tlv.encode(flags, value[riid]))
        tlv.write(out, tlv.MULTIPLE, rid, inner)
    else:
        tlv.write(out, tlv.RESOURCE, rid, tlv.encode(flags, value))


def encode_instance(out, obj, iid, mask=R):
    """Append the TLV of an instance's resources that have a flag of mask."""
    for rid in sorted(obj.instances[iid]):
        flags = obj.flags(rid)
        if flags & mask:
            _encode_resource(out, obj, iid, rid, flags)


def read(obj, path, accept, reply, mask=R):
    """Read /o, /o/i, /o/i/r or /o/i/r/ri into reply (LwM2M 1.1 6.3.1). Returns 2.05.

    mask: of an object or instance, the resources that have one of these flags.
    """
    format = accept
    out = bytearray()
    if len(path) < 3:
        if accept not in (None, TLV, _OLD_TLV):
            raise Error(_NOT_ACCEPTABLE)
        if len(path) == 2:
            encode_instance(out, obj, path[1], mask)
        else:
            for iid in sorted(obj.instances):
                inner = bytearray()
                encode_instance(inner, obj, iid, mask)
                tlv.write(out, tlv.INSTANCE, iid, inner)
        format = accept or TLV
    else:
        iid, rid = path[1], path[2]
        flags = obj.flags(rid)
        if rid not in obj.instances[iid] and not flags & E:
            raise Error(_NOT_FOUND)
        if not flags & R:
            raise Error(_NOT_ALLOWED)
        one = len(path) == 4 or not flags & MULTI
        if format is None:
            format = TLV if not one else OCTETS if flags & _TYPE == OPAQUE else TEXT
        value = obj.get(iid, rid)
        if len(path) == 4:
            if not flags & MULTI or path[3] not in value:
                raise Error(_NOT_FOUND)
            value = value[path[3]]
        if format in (TLV, _OLD_TLV):
            if len(path) == 4:
                tlv.write(out, tlv.RESOURCE_INSTANCE, path[3], tlv.encode(flags, value))
            else:
                _encode_resource(out, obj, iid, rid, flags)
        elif one and format == TEXT:
            out = to_text(flags, value)
        elif one and format == OCTETS and flags & _TYPE == OPAQUE:
            out = value
        else:
            raise Error(_NOT_ACCEPTABLE)
    reply.content_format = format
    reply.payload = out
    return _CONTENT


def discover(obj, path, reply):
    """List /o, /o/i or /o/i/r into reply (LwM2M 1.1 6.3.2). Returns 2.05."""
    links = []
    if len(path) == 1:
        links.append("</%d>" % obj.id + (";ver=" + obj.version if obj.version else ""))
    for iid in sorted(obj.instances) if len(path) == 1 else path[1:2]:
        base = "/%d/%d" % (obj.id, iid)
        instance = obj.instances[iid]
        if len(path) < 3:
            links.append("<%s>" % base)
        for i in range(0, len(obj.resources), 2):
            rid, flags = obj.resources[i : i + 2]
            if len(path) == 3 and rid != path[2]:
                continue
            if rid in instance or (flags & E and obj.on_execute):
                link = "<%s/%d>" % (base, rid)
                if flags & MULTI and not flags & E:
                    value = obj.get(iid, rid)
                    link += ";dim=%d" % len(value)
                    if len(path) == 3:
                        for n in sorted(value):
                            link += ",<%s/%d/%d>" % (base, rid, n)
                links.append(link)
    if not links:
        raise Error(_NOT_FOUND)
    reply.content_format = LINK
    reply.payload = ",".join(links).encode()
    return _CONTENT


def object_links(objects, attributes=None):
    """The object list of a registration, link-format without its root (LwM2M 1.1 6.2.1).

    attributes(obj, iid): what to tell of an instance; with it all objects are listed.
    """
    links = []
    for oid in sorted(objects):
        if not attributes and oid in (0, 21):
            continue
        obj = objects[oid]
        if obj.version or not obj.instances:
            links.append("</%d>" % oid + (";ver=" + obj.version if obj.version else ""))
        for iid in sorted(obj.instances):
            links.append("</%d/%d>" % (oid, iid) + (attributes(obj, iid) if attributes else ""))
    return ",".join(links)


# --- Writing


def _format(m):
    format = m.uint(CONTENT_FORMAT)
    return TLV if format == _OLD_TLV else format


def _decode_multiple(flags, data, i, end):
    value = {}
    while i < end:
        kind, riid, start, i = tlv.read(data, i, end)
        if kind != tlv.RESOURCE_INSTANCE:
            tlv.bad()
        value[riid] = tlv.decode(flags, data[start:i])
    return value


def decode_resources(obj, data, i, end, lenient):
    """The resources of a TLV as {resource id: value}.

    lenient: leave out resources that the object does not have, as a Bootstrap-Write wants;
    otherwise they are Error 4.04. Raises Error 4.00.
    """
    values = {}
    while i < end:
        kind, rid, start, i = tlv.read(data, i, end)
        flags = obj.flags(rid)
        if not flags or flags & E:
            if lenient:
                continue
            raise Error(_NOT_ALLOWED if flags else _NOT_FOUND, "/%d/x/%d" % (obj.id, rid))
        if kind == tlv.MULTIPLE and flags & MULTI:
            values[rid] = _decode_multiple(flags, data, start, i)
        elif kind == tlv.RESOURCE and not flags & MULTI:
            values[rid] = tlv.decode(flags, data[start:i])
        else:
            tlv.bad()
    return values


def decode_instances(obj, m, payload, lenient):
    """A TLV written to an object or instance: a list of (instance id or None, values).

    The resources may stand in an object instance entry or by themselves (id None).
    Raises Error 4.00, 4.15.
    """
    if _format(m) != TLV:
        raise Error(_UNSUPPORTED)
    end = len(payload)
    if not end or payload[0] >> 6 != tlv.INSTANCE:
        return [(None, decode_resources(obj, payload, 0, end, lenient))]
    found = []
    i = 0
    while i < end:
        kind, iid, start, i = tlv.read(payload, i, end)
        if kind != tlv.INSTANCE:
            tlv.bad()
        if iid == _MAX_ID:
            raise Error(_BAD_REQUEST, "instance id 65535")
        found.append((iid, decode_resources(obj, payload, start, i, lenient)))
    return found


def decode_resource(obj, m, payload, path):
    """What was written to /o/i/r or /o/i/r/ri: its value. Raises Error 4.00, 4.15."""
    flags = obj.flags(path[2])
    format = _format(m)
    if format == TLV:
        if len(path) == 4:
            value = _decode_multiple(flags, payload, 0, len(payload))
            if len(value) == 1 and path[3] in value:
                return value
        else:
            value = decode_resources(obj, payload, 0, len(payload), False)
            if len(value) == 1 and path[2] in value:
                return value[path[2]]
        raise Error(_BAD_REQUEST, "not the resource of the path")
    if flags & MULTI and len(path) == 3:
        raise Error(_UNSUPPORTED)
    if format == TEXT or format is None:
        value = from_text(flags, payload)
    elif format == OCTETS and flags & _TYPE == OPAQUE:
        value = bytes(payload)
    else:
        raise Error(_UNSUPPORTED)
    return {path[3]: value} if len(path) == 4 else value


def missing(obj, values):
    """What mandatory resource values lack: a str, or None; executable ones are not values."""
    r = obj.resources
    for i in range(0, len(r), 2):
        if r[i + 1] & M and not r[i + 1] & E and r[i] not in values:
            return "resource %d is missing" % r[i]


def _store(obj, iid, values, replace, merge):
    # One atomic write by a server: all of it, or an Error and nothing. replace: what it does not
    # write goes; merge: the resource instances that it does not write stay.
    old = obj.instances[iid]
    new = dict(old)
    gone = []
    if replace:
        for rid in old:
            flags = obj.flags(rid)
            if flags & W and not flags & M and rid not in values and not callable(old[rid]):
                new.pop(rid)
                gone.append(rid)
    for rid in values:
        flags = obj.flags(rid)
        if not flags & W:
            raise Error(_NOT_ALLOWED, "/%d/%d/%d" % (obj.id, iid, rid))
        value = values[rid]
        if flags & MULTI and merge and rid in old:
            value = dict(obj.get(iid, rid))
            value.update(values[rid])
        if not callable(old.get(rid)):
            new[rid] = value
        elif not obj.on_write:  # a function's value can be set by its owner only
            raise Error(_NOT_ALLOWED, "/%d/%d/%d" % (obj.id, iid, rid))
        if flags & MULTI:
            values[rid] = value
    for rid in values:
        if obj.on_write:
            obj.on_write(iid, rid, values[rid])
    gone.extend(values)
    obj.instances[iid] = new
    for rid in gone:
        if obj.on_change:
            obj.on_change(obj.id, iid, rid)


def _create(obj, m, payload, reply, event):
    if not obj.multiple:
        raise Error(_NOT_ALLOWED)
    found = decode_instances(obj, m, payload, False) if payload else [(None, {})]
    if len(found) != 1:
        raise Error(_BAD_REQUEST, "one instance at a time")
    iid, values = found[0]
    if missing(obj, values):
        raise Error(_BAD_REQUEST, missing(obj, values))
    if iid is None:
        iid = 0
        while iid in obj.instances:
            iid += 1
    elif iid in obj.instances:
        raise Error(_BAD_REQUEST, "the instance exists")
    for rid in values:
        if obj.on_write:
            obj.on_write(iid, rid, values[rid])
    path = obj.id, iid
    reply.location = (str(obj.id), str(iid))
    obj.add(iid, values)
    event(_CREATED_EVENT, path)
    return _CREATED


def handle(objects, m, payload, reply, event):
    """Serve a request of a regular server (LwM2M 1.1 6.3). Returns the response code.

    event(type, path): EVENT_READ or EVENT_OBJECT_INSTANCE_… has happened. Raises Error.
    """
    path = path_of(m)
    n = len(path)
    if not n:
        raise Error(_NOT_ALLOWED)
    if path[0] in (0, 21):  # LwM2M 1.1 E.1: the Security object is a bootstrap server's alone
        raise Error(_UNAUTHORIZED)
    obj = objects.get(path[0])
    if obj is None or (n > 1 and path[1] not in obj.instances):
        raise Error(_NOT_FOUND)
    flags = 0
    if n > 2:
        flags = obj.flags(path[2])
        if not flags:
            raise Error(_NOT_FOUND)
    code = m.code
    if code == GET:
        accept = m.uint(ACCEPT)
        if accept == LINK:
            if n > 3:
                raise Error(_BAD_REQUEST)
            return discover(obj, path, reply)
        code = read(obj, path, accept, reply)
        event(_READ_EVENT, path)
        return code
    if code == DELETE:
        if n != 2 or not obj.multiple:
            raise Error(_NOT_ALLOWED)
        obj.remove(path[1])
        event(_DELETED_EVENT, path)
        return _DELETED
    if code == POST and n == 1:
        return _create(obj, m, payload, reply, event)
    if code == POST and flags & E and n == 3:
        f = obj.instances[path[1]].get(path[2])
        if f:
            f(bytes(payload))
        elif obj.on_execute:
            obj.on_execute(path[1], path[2], bytes(payload))
        else:
            raise Error(_NOT_FOUND)
        return _CHANGED
    if code not in (PUT, POST) or n == 1 or (n > 2 and not flags & W):
        raise Error(_NOT_ALLOWED)
    if m.find(URI_QUERY) >= 0:  # Write-Attributes (LwM2M 1.1 5.1.2), not a write of an empty value
        raise Error(_NOT_ALLOWED, "no attributes here")
    replace = code == PUT
    if n == 2:
        found = decode_instances(obj, m, payload, False)
        if len(found) != 1 or found[0][0] not in (None, path[1]):
            raise Error(_BAD_REQUEST, "not the instance of the path")
        _store(obj, path[1], found[0][1], replace, not replace)
    else:
        if not replace and not flags & MULTI:  # LwM2M 1.1 6.3.3: POST on a single one executes
            raise Error(_NOT_ALLOWED)
        value = decode_resource(obj, m, payload, path)
        _store(obj, path[1], {path[2]: value}, False, not replace or n == 4)
    return _CHANGED
