# Composite operations: Read, Write and Observe of many paths in one request (LwM2M 1.1 6.3, 6.4), which
# are in its payload, in SenML; RFC 8132 has the methods, RFC 8790 names without values and null.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import ACCEPT, CONTENT_FORMAT, OBSERVE, URI_PATH, URI_QUERY, Error
import lwm2m.model as model
from . import optional
from .management import format_module
from .model import resolve

_FETCH = const(5)
_IPATCH = const(7)

# Of a request. Observations keep them, of which a server has 16.
_MAX_PATHS = const(32)

# Content-Formats (LwM2M 1.1 7.4, LwM2M 1.2 7.4).
_SENML_JSON = const(110)
_SENML_CBOR = const(112)
_ETCH_JSON = const(320)
_ETCH_CBOR = const(322)
_LWM2M_CBOR = const(11544)

_CHANGED = const(0x44)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_NOT_FOUND = const(0x84)
_NOT_ALLOWED = const(0x85)
_NOT_ACCEPTABLE = const(0x86)
_UNSUPPORTED = const(0x8F)

_READ = const(1)  # of model's operations
_WRITE = const(2)
_MULTI = const(0x80)

_READ_EVENT = const(12)

# What gather() finds.
_ABSENT = const(0)
_DENIED = const(1)
_THERE = const(2)


def part(core):
    """What core asks of an optional module: its part."""
    return Composite(core)


def gather(core, may, account, path, sink):
    """Give a sink what a server may read of a path of any length.

    What is not there, or not to be read, is left out. may: as model's resolve() has it. Returns
    whether it is absent, denied or there.
    """
    objects = core.objects
    n = len(path)
    if n:
        try:
            resolve(objects, path, _READ, may, account)
        except Error as e:
            if e.code == _UNAUTHORIZED:
                return _DENIED
            return _ABSENT if e.code == _NOT_FOUND else _THERE
        if n > 1:
            model.encode(sink, objects[path[0]], path, last=False)
            return _THERE
    most = _ABSENT
    for id in sorted(objects[path[0]].instances if n else objects):
        if n or (id != 0 and id != 21):  # the Security object is not even told of
            most = max(most, gather(core, may, account, path + (id,), sink))
    return most


def _format_of(m):
    # The Content-Format of a request.
    format = m.uint(CONTENT_FORMAT)
    if format is None:
        raise Error(_BAD_REQUEST, "no Content-Format")
    if format not in (_SENML_JSON, _SENML_CBOR, _ETCH_JSON, _ETCH_CBOR) and (
        format != _LWM2M_CBOR or m.code == _FETCH
    ):
        raise Error(_UNSUPPORTED, "%d cannot carry that" % format)
    return format


def _paths(payload, format):
    # What is asked for: a tuple of paths, ascending, without those that others of them cover.
    cursor = format_module(format).Cursor(payload, (), format)
    paths = []
    while cursor.next():
        if cursor.leaf:
            raise Error(_BAD_REQUEST, "a value where there is to be a name only")
        path = cursor.path()
        if path not in paths:
            if len(paths) >= _MAX_PATHS:
                raise Error(_BAD_REQUEST, "over %d paths" % _MAX_PATHS)
            paths.append(path)
    if not paths:
        raise Error(_BAD_REQUEST, "no paths")
    paths.sort()
    i = 1
    while i < len(paths):
        above = paths[i - 1]
        if paths[i][: len(above)] == above:
            paths.pop(i)
        else:
            i += 1
    return tuple(paths)


class Composite:
    """A part, as module account has it."""

    def __init__(self, core):
        self.core = core
        self._observe = None  # the part that has the observations, in an image with them
        module = optional("observe")
        for part in core.parts:
            if module and isinstance(part, module.Observe):
                self._observe = part

    def handle(self, account, m, payload, reply, now):
        if m.code != _FETCH and m.code != _IPATCH:
            return 0
        if m.find(URI_PATH) >= 0:
            raise Error(_NOT_ALLOWED, "a composite operation has no Uri-Path")
        observe = m.uint(OBSERVE) if m.code == _FETCH else None
        if self._observe is None or (observe is not None and observe > 1):
            observe = None
        own = None
        if m.find(URI_QUERY) >= 0:  # attributes of an Observe-Composite (LwM2M 1.2)
            attributes = self._observe and self._observe.attributes
            if observe is None or not attributes:
                raise Error(_BAD_REQUEST, "no attributes here")
            own = attributes.query(account, m, (), 0)
        format = _format_of(m)
        if m.code == _IPATCH:
            self._write(account, payload, format)
            return _CHANGED
        accept = m.uint(ACCEPT)
        if accept is None:
            accept = format if format < _ETCH_JSON else format - _ETCH_JSON + _SENML_JSON
        elif accept not in (_SENML_JSON, _SENML_CBOR, _LWM2M_CBOR):
            raise Error(_NOT_ACCEPTABLE, "%d cannot carry that" % accept)
        paths = _paths(payload, format)
        if not self.answer(account, paths, accept, reply, observe is None):
            raise Error(_UNAUTHORIZED, "no right to read any of that")
        if observe is not None:
            return self._observe.answered(account, m, payload, reply, accept, paths, self, own)
        return _CONTENT

    def answer(self, account, paths, format, reply, event=False):
        """Put what a server may read of paths into a reply.

        event: whether the application is told of a Read of each. Returns False where there is
        something, and the server may read none of it (LwM2M 1.1 6.3: 4.01).
        """
        core = self.core
        out = bytearray()
        sink = format_module(format, _NOT_ACCEPTABLE).Sink(out, format)
        most = _ABSENT
        for path in paths:
            found = gather(core, core.may, account, path, sink)
            most = max(most, found)
            if event and found == _THERE:
                core.on_request(account, _READ_EVENT, path)
        if most == _DENIED:
            return False
        sink.end()
        reply.content_format = format
        reply.payload = out
        return True

    # --- Write

    def _write(self, account, payload, format):
        # All of it is looked at, and then all is written, or nothing.
        cursor = format_module(format).Cursor(payload, (), format)
        changes = {}
        seen = set()
        while cursor.next():
            path = cursor.oid, cursor.iid, cursor.rid, cursor.riid
            try:
                self._take(account, cursor, path, changes, seen)
            except Error as e:
                where = "".join(["/%d" % id for id in path if id >= 0])
                raise Error(e.code, "%s: %s" % (where, e.text or _words(e.code)))
        if not changes:
            raise Error(_BAD_REQUEST, "nothing to write")
        model.apply(self.core.objects, changes)

    def _take(self, account, cursor, path, changes, seen):
        # One record: what it changes, as model's apply() wants it. Its multiple resources are whole.
        oid, iid, rid, riid = path
        if not cursor.leaf:
            raise Error(_BAD_REQUEST, "no value")
        objects = self.core.objects
        flags = resolve(objects, path[:3], _WRITE, self.core.may, account)
        if (riid >= 0) != bool(flags & _MULTI):
            raise Error(_BAD_REQUEST, "single or multiple?")
        if path in seen:
            raise Error(_BAD_REQUEST, "a value twice")
        seen.add(path)
        value = cursor.value(flags)
        text = "null deletes a resource instance only" if riid < 0 else None
        if value is not None:
            text = model.fault(oid, rid, flags & ~_MULTI, value)
        if text:
            raise Error(_BAD_REQUEST, text)
        values = changes.setdefault(oid, {}).setdefault(iid, {})
        if riid < 0:
            values[rid] = value
            return
        if rid not in values:
            values[rid] = dict(objects[oid].get(iid, rid, ()))
        if value is None:
            values[rid].pop(riid, None)
        else:
            values[rid][riid] = value

    # --- What it has no part in

    def poll(self, now):
        pass

    def next_ms(self, now, least):
        return least

    def changed(self, oid, iid, rid):
        pass

    def moved(self, account):
        pass


def _words(code):
    # For a person, what a code of resolve() says.
    return "is not there" if code == _NOT_FOUND else "is not to be written"
