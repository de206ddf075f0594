# What LwM2M 1.2 adds to the operations of servers: Discover to a depth (LwM2M 1.2 6.3.2), Delete of a resource
# instance (LwM2M 1.2 6.3.7). A server that the client has registered with as 1.1 gets the answers of 1.1.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import ACCEPT, DELETE, GET, URI_QUERY, Error
import lwm2m.model as model
from .instances import links
from .model import path_of, resolve

_LINK = const(40)  # a Content-Format

_WRITE = const(2)  # of model's operations
_DELETE = const(8)
_DISCOVER = const(32)

_DELETED = const(0x42)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)


def part(core):
    """What core asks of an optional module: its part."""
    return V12(core)


class V12:
    """A part, as module account has it."""

    def __init__(self, core):
        self.core = core

    def handle(self, account, m, payload, reply, now):
        if account.version != "1.2":
            return 0
        if m.code == GET and m.uint(ACCEPT) == _LINK and m.find(URI_QUERY) >= 0:
            return self._discover(account, path_of(m), _depth(m), reply)
        if m.code == DELETE:
            path = path_of(m)
            if len(path) == 4:
                return self._delete(account, path)
        return 0

    def _discover(self, account, path, depth, reply):
        resolve(self.core.objects, path, _DISCOVER, self.core.may, account)
        if depth is None:
            depth = 2 if len(path) == 1 else 1
        reply.content_format = _LINK
        reply.payload = links(self.core.objects[path[0]], path, depth)
        for part in self.core.parts:
            attributes = getattr(part, "attributes", None)
            if attributes:
                attributes.show(account, path, reply)
        return _CONTENT

    def _delete(self, account, path):
        # It is a change of the resource, which its object may refuse as it may a Write.
        oid, iid, rid, riid = path
        objects = self.core.objects
        resolve(objects, path, _WRITE, self._may_delete, account)
        values = dict(objects[oid].get(iid, rid))
        values.pop(riid)
        model.apply(objects, {oid: {iid: {rid: values}}})
        return _DELETED

    def _may_delete(self, account, oid, iid, operation):
        may = self.core.may
        return not may or may(account, oid, iid, _DELETE)

    # --- What it has no part in

    def poll(self, now):
        pass

    def next_ms(self, now, least):
        return least

    def changed(self, oid, iid, rid):
        pass

    def moved(self, account):
        pass


def _depth(m):
    # How many levels below its path a Discover wants, or None. Raises Error.
    found = None
    for query in m.strings(URI_QUERY):
        name, _, value = query.partition("=")
        if name == "depth":
            if found is not None or value not in ("0", "1", "2", "3"):
                raise Error(_BAD_REQUEST, "depth must be 0, 1, 2 or 3, once")
            found = int(value)
    return found
