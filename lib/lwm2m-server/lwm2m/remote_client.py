# A registered client, and what it tells of itself (LwM2M 1.1 6.2.1).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import CONTENT_FORMAT, Error
from .server_core import LINK
from .texts import links

LIFETIME = const(86400)  # s, where a client does not say

# Bytes of an alternate path. It is in all requests, which must fit in one datagram.
_MAX_ROOT = const(64)

_BAD_REQUEST = const(0x80)
_TOO_LARGE = const(0x8D)
_UNSUPPORTED = const(0x8F)


class RemoteClient:
    """A registered client. It stays the same object while its endpoint registers again."""

    server = None  # with which it is registered

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.peer = None  # its address, as net has them, or its DTLS session; None: that has ended
        self.identity = None  # bytes, of that session
        self.location = None  # str, behind "rd/"
        self.lifetime = LIFETIME  # s, 0 for infinite
        self.version = "1.0"  # of LwM2M
        self.binding = "U"
        self.queue = False  # it sleeps after a time (LwM2M 1.1 6.5): see awake
        self.root = ""  # what stands before its objects' paths
        self.formats = ()  # Content-Formats that it says it can do
        self.operations = []  # Operations under way, and observations
        self.heard = False  # whether anything has come that shows that it is at its peer
        self.last = 0  # s, when that was, or when it has registered or sent something
        self.due = -1  # s, Role.seconds at which it expires, -1 for never
        self.list = b""  # its objects in link-format

    @property
    def awake(self):
        """Whether it listens: in queue mode, for Server.awake seconds after it was last heard of."""
        return not self.queue or self.server.seconds - self.last < self.server.awake

    @property
    def links(self):
        """Its objects and instances: a list of (path, {attribute: value}); made when asked for."""
        n = len(self.root)
        found = []
        for path, attributes in links(self.list):
            if path[:n] == self.root and len(path) > n + 1:
                found.append((path[n:], attributes))
        return found


def terms(m, found, payload, max_links, lifetime=LIFETIME, queue=False):
    """What Register and Update have in common, as attributes of a RemoteClient; raises Error.

    found: the request's queries(). lifetime, queue: where it does not say.
    """
    lifetime = found.get("lt", str(lifetime))
    if not lifetime.isdigit() or len(lifetime) > 10:
        raise Error(_BAD_REQUEST, "lt must be a number of seconds")
    attributes = {"lifetime": int(lifetime), "queue": queue or "Q" in found}
    binding = found.get("b")
    if binding is not None:
        for c in binding.encode():  # ints, as MicroPython keeps a character of a str for good
            if c not in b"UTSNQ":
                raise Error(_BAD_REQUEST, "unknown binding")
        attributes["binding"] = binding.replace("Q", "") or "U"
        attributes["queue"] = "Q" in binding or "Q" in found
    if payload:
        if m.uint(CONTENT_FORMAT) not in (None, LINK):
            raise Error(_UNSUPPORTED)
        if len(payload) > max_links:
            raise Error(_TOO_LARGE, "object list over %d bytes" % max_links)
        try:
            attributes["root"], attributes["formats"] = _object_list(payload)
        except ValueError as e:
            raise Error(_BAD_REQUEST, "object list: %s" % e)
        attributes["list"] = payload
    return attributes


def _object_list(payload):
    # The alternate path and the Content-Formats of a registration (LwM2M 1.1 6.2.1).
    root = ""
    formats = ()
    for path, attributes in links(payload):
        if path is None:
            raise ValueError("attributes without a link")
        if attributes.get("rt") == "oma.lwm2m":
            root = "" if path == "/" else path.rstrip("/")
            if root and (root[:1] != "/" or "//" in root or "?" in root or "#" in root):
                raise ValueError("an alternate path that is none")
            if len(root.encode()) > _MAX_ROOT:
                raise ValueError("an alternate path over %d bytes" % _MAX_ROOT)
            ct = attributes.get("ct", "").split()
            formats = tuple([int(format) for format in ct if format.isdigit()])
    return root, formats
