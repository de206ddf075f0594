# The Device Management & Service Enablement interface: what registered servers ask for
# (LwM2M 1.1 6.3). Messages are read and answered here; what they do to objects is module model's.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import Error
import lwm2m.model as model
from . import optional

# Content-Formats (LwM2M 1.1 7.4).
_TEXT = const(0)
_LINK = const(40)
_OCTETS = const(42)
_CBOR = const(60)
_SENML_JSON = const(110)
_SENML_CBOR = const(112)
_SENML_JSON_ETCH = const(320)  # for composite operations (RFC 8790)
_SENML_CBOR_ETCH = const(322)
_TLV = const(11542)
_OLD_TLV = const(1542)  # is seen from servers older than the registration of TLV's number
_LWM2M_CBOR = const(11544)

_ONE = const((None, _TEXT, _OCTETS, _CBOR))  # carry one value
_ETCH = const((_SENML_JSON_ETCH, _SENML_CBOR_ETCH))

# Of CoAP, as ucoap has them.
_GET = const(1)
_POST = const(2)
_PUT = const(3)
_REMOVE = const(4)  # DELETE
_CONTENT_FORMAT = const(12)
_URI_QUERY = const(15)
_ACCEPT = const(17)

_CHANGED = const(0x44)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_NOT_FOUND = const(0x84)
_NOT_ALLOWED = const(0x85)
_NOT_ACCEPTABLE = const(0x86)
_UNSUPPORTED = const(0x8F)

# Operations, as model has them.
_READ = const(1)
_WRITE = const(2)
_EXECUTE = const(4)
_DELETE = const(8)
_CREATE = const(16)
_DISCOVER = const(32)

_OPAQUE = const(6)
_TYPE = const(15)
_R = const(0x10)
_W = const(0x20)
_E = const(0x40)
_MULTI = const(0x80)

_READ_EVENT = const(12)  # as the package's __init__ has it


def handle(core, account, m, payload, reply):
    """Serve a request of a regular server. Returns the response code; raises Error.

    core: has objects {object id: Object}, may, as model's resolve() takes it, and
    on_request(account, event, path), which is told what was done.
    """
    path = model.path_of(m)
    code = m.code
    accept = m.uint(_ACCEPT)
    operation = _operation(code, len(path), accept)
    flags = model.resolve(core.objects, path, operation, core.may, account)
    obj = core.objects[path[0]]
    if operation >= _DELETE:  # Delete, Create, Discover
        module = optional("instances")
        if not module:
            raise Error(_NOT_ALLOWED)
        return module.handle(core, account, obj, path, m, payload, reply)
    if code == _GET:
        answer(obj, path, flags, accept, reply, _R, core.may, account)
        core.on_request(account, _READ_EVENT, path)
        return _CONTENT
    if flags & _E:  # LwM2M 1.1 6.3.5
        if m.uint(_CONTENT_FORMAT):
            raise Error(_UNSUPPORTED, "arguments are text")
        if payload:
            format_module(None).arguments(payload)
        f = obj.instances[path[1]].get(path[2])
        if f:
            f(bytes(payload))
        elif obj.on_execute:
            obj.on_execute(path[1], path[2], bytes(payload))
        else:
            raise Error(_NOT_FOUND)
    else:
        _write(core, path, flags, m, payload)
    return _CHANGED


def begin(core, account, m):
    """The first of several blocks of a body: Error where the whole would be refused for its path."""
    path = model.path_of(m)
    model.resolve(core.objects, path, _operation(m.code, len(path), None), core.may, account)


def _operation(code, n, accept):
    # What a method asks for at a path of n ids (LwM2M 1.1 6.3).
    if code == _GET:
        return _DISCOVER if accept == _LINK else _READ
    if code == _REMOVE:
        return _DELETE
    if code == _POST and n != 2:  # there it is a partial update, on a single resource Execute
        return _CREATE if n == 1 else _EXECUTE
    return _WRITE


# --- Out


def format_of(flags, path, accept):
    """The Content-Format of what is read: of one value text or octets, of more of it TLV.

    Raises Error 4.06 where the one that is asked for cannot carry it.
    """
    one = len(path) == 4 or (len(path) == 3 and not flags & _MULTI)
    if accept is None:
        if not one or not optional("text"):
            return _TLV
        return _OCTETS if flags & _TYPE == _OPAQUE else _TEXT
    if accept in _ETCH or (not one and accept in _ONE):
        raise Error(_NOT_ACCEPTABLE, "%d cannot carry that" % accept)
    return accept


def format_module(format, code=_UNSUPPORTED):
    """The module of a Content-Format, which has a Sink and a Cursor; loaded when it is first used.

    Raises Error of that code where the image has none.
    """
    module = None
    if format is None:
        format = _TEXT
    if format == _TEXT or format == _OCTETS:
        module = optional("text")
    elif format == _TLV or format == _OLD_TLV:
        module = optional("tlv")
    elif format == _SENML_CBOR or format == _SENML_CBOR_ETCH:
        module = optional("senml_cbor")
    elif format == _LWM2M_CBOR:
        module = optional("lwm2m_cbor")
    elif format == _SENML_JSON or format == _SENML_JSON_ETCH:
        module = optional("senml_json")
    elif format == _CBOR:
        module = optional("cbor_value")
    if not module:
        raise Error(code, "no Content-Format %d" % format)
    return module


def answer(obj, path, flags, accept, reply, mask=_R, may=None, account=None):
    """Put what model's encode() has for a path into a reply. Raises Error 4.06."""
    format = format_of(flags, path, accept)
    out = bytearray()
    sink = format_module(format, _NOT_ACCEPTABLE).Sink(out, format)
    model.encode(sink, obj, path, mask, may, account)
    reply.content_format = format
    reply.payload = out


# --- In


def decode(objects, m, payload, path, lenient):
    """What a request writes to a path, as model's decode() has it. Raises Error 4.00, 4.05, 4.15."""
    format = m.uint(_CONTENT_FORMAT)
    n = len(path)
    if format is None and n < 3 and m.find(_CONTENT_FORMAT) < 0:
        raise Error(_BAD_REQUEST, "no Content-Format")
    if format in _ETCH or (
        format in _ONE and (n < 3 or (n == 3 and objects[path[0]].flags(path[2]) & _MULTI))
    ):
        raise Error(_UNSUPPORTED, "%s cannot carry that" % format)
    cursor = format_module(format).Cursor(payload, path, format)
    found = model.decode(objects, path, cursor, lenient)
    if n > 1:
        values = found.setdefault(path[0], {}).setdefault(path[1], {})
        if n > 2 and path[2] not in values:
            raise Error(_BAD_REQUEST, "the resource of the path is missing")
    return found


def _write(core, path, flags, m, payload):
    # LwM2M 1.1 6.3.3.
    n = len(path)
    post = m.code == _POST
    if not (m.code == _PUT or (post and (n == 2 or flags & _MULTI))):
        raise Error(_NOT_ALLOWED)
    # Write-Attributes (LwM2M 1.1 5.1.2) are not a write of an empty value.
    if m.find(_URI_QUERY) >= 0:
        raise Error(_NOT_ALLOWED, "no attributes here")
    changes = decode(core.objects, m, payload, path, False)
    model.apply(core.objects, changes, n == 2 and not post, n == 4 or post)
