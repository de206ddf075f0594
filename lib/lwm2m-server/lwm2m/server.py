# The LwM2M Server: registrations (LwM2M 1.1 6.2), and operations on the clients (6.3, 6.4).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import (
    ACCEPT,
    CONTENT_FORMAT,
    DELETE,
    GET,
    LOCATION_PATH,
    OBSERVE,
    POST,
    PUT,
    URI_PATH,
    URI_QUERY,
    Error,
    path_options,
)
import lwm2m.model as model
from .management import LINK, OCTETS, TEXT, TLV, format_module
from .server_core import Port, check_path, encode, links, queries  # noqa: F401 - encode

# What on_client() is told.
REGISTERED = const(1)
UPDATED = const(2)
DEREGISTERED = const(3)
EXPIRED = const(4)

_LIFETIME = const(86400)  # s, where a client does not say (LwM2M 1.1 6.2.1)

# DTLS sessions beside those of the clients: of who begins anew, or has yet to register.
_SPARE = const(16)

_RESOURCE_INSTANCE = const(1)  # of tlv
_DATA_TYPES = {str: model.STR, bool: model.BOOL, int: model.INT, float: model.FLOAT}

_CREATED = const(0x41)
_DELETED = const(0x42)
_CHANGED = const(0x44)
_BAD_REQUEST = const(0x80)
_FORBIDDEN = const(0x83)
_NOT_FOUND = const(0x84)
_NOT_ALLOWED = const(0x85)
_PRECONDITION = const(0x8C)
_TOO_LARGE = const(0x8D)
_UNSUPPORTED = const(0x8F)
_UNAVAILABLE = const(0xA3)


class RemoteClient:
    """A registered client. It stays the same object while its endpoint registers again."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.peer = None  # its address, as net has them, or its DTLS session; None: that has ended
        self.identity = None  # bytes, of that session
        self.location = None  # str, behind "rd/"
        self.lifetime = _LIFETIME  # s, 0 for infinite
        self.version = "1.0"  # of LwM2M
        self.binding = "U"
        self.queue = False  # it sleeps after a time (LwM2M 1.1 6.5)
        self.root = ""  # what stands before its objects' paths
        self.formats = ()  # Content-Formats that it says it can do
        self.operations = []  # Operations under way, and observations
        self.due = -1  # s, Port.seconds at which it expires, -1 for never
        self.list = b""  # its objects in link-format

    @property
    def links(self):
        """Its objects and instances: a list of (path, {attribute: value}); made when asked for."""
        n = len(self.root)
        found = []
        for path, attributes in links(self.list):
            if path[:n] == self.root and len(path) > n + 1:
                found.append((path[n:], attributes))
        return found


class Operation:
    """A request to a client; what Server's calls return, to cancel() an observation with."""

    def __init__(self, client, path, callback, accept):
        self.client = client
        self.path = path
        self.callback = callback
        self.accept = accept
        self.exchange = None
        self.active = False  # an observation that the client has accepted, and not yet ended

    def answered(self, x, code, m, payload):
        """Engine's word."""
        client = self.client
        self.active = x.observe is not None
        if not self.active and self in client.operations:
            client.operations.remove(self)
        format = None
        if m is None:
            code = _UNAVAILABLE
        else:
            format = m.uint(CONTENT_FORMAT)
            if code == _CREATED:
                payload = "".join("/" + part for part in m.strings(LOCATION_PATH)).encode()
        if self.callback:
            self.callback(client, code, format, payload)


class Server:
    """A LwM2M Server, driven by step(); for LwM2M 1.0 and 1.1.

    port, host: where it listens; OSError where it cannot. "::" is IPv6.
    on_client(event, client): REGISTERED (again, too: what was observed is then to be observed
        anew), UPDATED, DEREGISTERED or EXPIRED; client is a RemoteClient. None is allowed.
    allow(endpoint, peer) -> whether that client may register; otherwise it gets 4.03.
    net: shared by roles that are to run in one loop; a Net by default.
    credentials, certificate: either makes the port one of coaps, with DTLS; both may be given.
        credentials: a Credentials, or what has its read(identity): pre-shared keys.
        certificate: (the server's certificate, its private key, the CA of the clients), DER; the
        CAs may be several, in a list. ValueError where this build lacks what they need.
    identities: {identity of a key, or common name of a certificate: its endpoint name, or a list
        of them}; who is not in there is refused. With None an identity can only be the endpoint of
        the same name. Other names are refused with 4.03, before anything else is looked at.
    on_refused(address, identity, text): a handshake that has failed, or a name that was refused;
        identity is None or bytes, as anybody may have sent them.
    max_clients: others get 5.03. max_links: bytes of an object list; longer ones get 4.13.
    size: bytes of the largest datagram sent. body: of the largest value in blocks, either way.

    clients is {endpoint: RemoteClient}. engine.settings are CoAP's times, engine.on_exception
    gets what the application's functions raise; it prints it by default.

    read() and the others send one confirmable request, in turn where the client has not yet
    answered the one before, whether it sleeps or not. Their callback(client, code,
    content_format, payload) gets the answer: code as CoAP has it (2.05 is 0x45), payload bytes;
    a refusal has words in it. 5.03 with content_format None is our own: the client did not
    answer, did not know what to do with the request, or has gone, or its DTLS session has. A
    client whose session has ended stays registered for its lifetime; once it is back with a new
    one, by an Update or by registering again, what was observed is to be observed anew. 4.08, 4.13 and 5.00 may be our
    own too (ucoap's Engine.request). Wrong arguments are ValueError.
    """

    def __init__(
        self,
        port=5683,
        host="0.0.0.0",
        on_client=None,
        allow=None,
        net=None,
        max_clients=64,
        max_links=2048,
        size=1152,
        body=4096,
        credentials=None,
        certificate=None,
        identities=None,
        on_refused=None,
    ):
        self.on_client = on_client
        self.allow = allow
        self.status = 0  # net's own
        self.clients = {}
        self._max_clients = max_clients
        self._max_links = max_links
        self._calls = []  # (function, argument …), to be called when the answer has gone out
        self._port = Port(
            self,
            self._handle,
            net,
            host,
            port,
            credentials,
            certificate,
            identities,
            on_refused=on_refused,
            sessions=max_clients + _SPARE,
            size=size,
            body=body,
            seen=max_clients,
            bodies=4,
        )
        self.net = self._port.net
        self.engine = self._port.engine

    # --- The loop

    def step(self, seconds=0):
        """Run for that many seconds; one pass where 0, for ever where negative. Returns 0."""
        return self.net.step(self, seconds)

    def stop(self):
        """Let the step() under way return; for a callback to call."""
        self.net.stop()

    def close(self):
        """Close the socket; the clients are forgotten, without a word to them."""
        self._port.close(self)
        self.clients = {}

    def next_ms(self, now=None):
        """Milliseconds until step() has something to do if nothing comes from the network."""
        if self._calls:
            return 0
        return self._port.next_ms(now)

    def poll(self, now):
        """Do what is due."""
        port = self._port
        if port.poll(now):
            for client in list(self.clients.values()):
                if client.due < 0:
                    continue
                if client.due <= port.seconds:
                    self._remove(client, EXPIRED)
                else:
                    port.alarm(client.due)
        self._tell()
        return 0

    def receive(self, peer, data, now):
        """Take a datagram."""
        self._port.tick(now)
        self.engine.receive(peer, data, now)
        self._tell()

    def disconnected(self, session):
        """A DTLS session has ended; its client has yet to come back."""
        for client in self.clients.values():
            if client.peer is session:
                client.peer = None
                self._forget(client)
        self.engine.drop(session)

    def _tell(self):
        while self._calls:
            self._port.call(*self._calls.pop(0))

    # --- Registration interface

    def _handle(self, peer, m, payload, reply, now):
        path = m.strings(URI_PATH)
        if not 1 <= len(path) <= 2 or path[0] != "rd":
            raise Error(_NOT_FOUND)
        if len(path) == 1:
            if m.code != POST:
                raise Error(_NOT_ALLOWED)
            return self._register(peer, m, payload, reply)
        for client in self.clients.values():
            if client.location == path[1]:
                break
        else:
            raise Error(_NOT_FOUND)
        if client.identity != getattr(peer, "identity", None):
            raise Error(_FORBIDDEN, "the registration belongs to another DTLS identity")
        if m.code == POST:
            attributes = self._parse(m, queries(m), payload, client.lifetime, client.queue)
            self._set(client, peer, attributes, UPDATED)
            return _CHANGED
        if m.code == DELETE:
            self._remove(client, DEREGISTERED)
            return _DELETED
        raise Error(_NOT_ALLOWED)

    def _register(self, peer, m, payload, reply):
        found = queries(m)
        endpoint = self._port.endpoint(found, peer, _FORBIDDEN)
        version = found.get("lwm2m", "1.0")
        if version not in ("1.0", "1.1"):
            raise Error(_PRECONDITION, "LwM2M 1.0 and 1.1 only")
        if not payload:
            raise Error(_BAD_REQUEST, "the object list is missing")
        attributes = self._parse(m, found, payload, _LIFETIME, False)
        client = self.clients.get(endpoint)
        if client is None and len(self.clients) >= self._max_clients:
            raise Error(_UNAVAILABLE, "too many clients")
        if self.allow and not self.allow(endpoint, peer):
            raise Error(_FORBIDDEN, "not allowed to register")
        attributes["version"] = version
        attributes["location"] = self._location()
        attributes["identity"] = getattr(peer, "identity", None)
        if client:
            self._forget(client)
            old = client.peer
            client.__init__(endpoint)
            client.peer = old
        else:
            client = RemoteClient(endpoint)
            self.clients[endpoint] = client
        self._set(client, peer, attributes, REGISTERED)
        reply.location = ("rd", client.location)
        return _CREATED

    def _location(self):
        # Random, so that after a restart no client's update is taken for another's.
        while True:
            location = "%x" % (self.net.rng() & 0xFFFFFF)
            for client in self.clients.values():
                if client.location == location:
                    break
            else:
                return location

    def _parse(self, m, found, payload, lifetime, queue):
        # What Register and Update have in common, as attributes of a RemoteClient; raises Error.
        # lifetime, queue: where the request does not say.
        lifetime = found.get("lt", str(lifetime))
        if not lifetime.isdigit() or len(lifetime) > 10:
            raise Error(_BAD_REQUEST, "lt must be a number of seconds")
        attributes = {"lifetime": int(lifetime), "queue": queue or "Q" in found}
        binding = found.get("b")
        if binding is not None:
            for c in binding:
                if c not in "UTSNQ":
                    raise Error(_BAD_REQUEST, "unknown binding")
            attributes["binding"] = binding.replace("Q", "") or "U"
            attributes["queue"] = "Q" in binding or "Q" in found
        if payload:
            if m.uint(CONTENT_FORMAT) not in (None, LINK):
                raise Error(_UNSUPPORTED)
            if len(payload) > self._max_links:
                raise Error(_TOO_LARGE, "object list over %d bytes" % self._max_links)
            try:
                attributes["root"], attributes["formats"] = _object_list(payload)
            except ValueError as e:
                raise Error(_BAD_REQUEST, "object list: %s" % e)
            attributes["list"] = payload
        return attributes

    def _set(self, client, peer, attributes, event):
        for name in attributes:
            setattr(client, name, attributes[name])
        old = client.peer
        if old != peer:
            client.peer = peer
            if self._port.secure:
                self._forget(client)  # what went over the old session ends with it
                self._leave(old)
            for operation in client.operations:  # it goes on at the new address
                operation.exchange.peer = peer
        client.due = -1
        if client.lifetime:
            client.due = self._port.after(client.lifetime)
            self._port.alarm(client.due)
        self._calls.append((self.on_client, event, client))

    def _remove(self, client, event):
        self.clients.pop(client.endpoint)
        self._forget(client)
        self._calls.append((self.on_client, event, client))

    def _leave(self, session):
        # Drop a DTLS session that no client has any more.
        for client in self.clients.values():
            if client.peer is session:
                return
        if session is not None:
            self._port.drop(session)

    def _forget(self, client):
        # Its operations have no answer to wait for.
        operations = client.operations
        client.operations = []
        for operation in operations:
            self.engine.abandon(operation.exchange, self.net.now())
            operation.active = False
            self._calls.append((operation.callback, client, _UNAVAILABLE, None, b""))

    # --- Operations

    def read(self, client, path, callback, accept=None):
        """Read /o, /o/i, /o/i/r or /o/i/r/ri. accept: the Content-Format to ask for."""
        return self._request(client, GET, path, 1, 4, callback, accept=accept)

    def write(self, client, path, value, callback=None, format=None, replace=True):
        """Write /o/i, /o/i/r or /o/i/r/ri.

        value: bytes in that Content-Format, by default TLV for an instance (encode() makes it)
        and opaque for a resource; or a str, int, float or bool, which is written as text where
        there is no format.
        replace: False lets what an instance or a multiple resource has, and value has not, be.
        """
        value, format = _payload(path, value, format)
        code = PUT if replace else POST
        return self._request(client, code, path, 2, 4, callback, value, format)

    def execute(self, client, path, callback=None, arguments=""):
        """Execute /o/i/r. arguments: str, such as "0='x',1" (LwM2M 1.1 6.3.5)."""
        format = TEXT if arguments else None
        return self._request(client, POST, path, 3, 3, callback, arguments.encode(), format)

    def discover(self, client, path, callback):
        """List what is there of /o, /o/i or /o/i/r, as link-format: links() reads it."""
        return self._request(client, GET, path, 1, 3, callback, accept=LINK)

    def create(self, client, path, value, callback=None, format=TLV):
        """Create an instance of /o. value: bytes in that Content-Format.

        The callback's payload is the new instance's path, where the client tells it.
        """
        return self._request(client, POST, path, 1, 1, callback, value, format)

    def delete(self, client, path, callback=None):
        """Delete the instance /o/i."""
        return self._request(client, DELETE, path, 2, 2, callback)

    def write_attributes(self, client, path, attributes, callback=None):
        """Set attributes of /o, /o/i or /o/i/r: {"pmin": 10, "pmax": None}; None unsets one."""
        query = [
            (URI_QUERY, name if attributes[name] is None else "%s=%s" % (name, attributes[name]))
            for name in attributes
        ]
        return self._request(client, PUT, path, 1, 3, callback, query=query)

    def observe(self, client, path, callback, accept=None):
        """Observe /o, /o/i or /o/i/r; the callback gets its value, and all that follow.

        Returns a handle for cancel(). Its attribute active tells the callback whether more is
        to come; a client may refuse to be observed, and end it at any time. To observe a path
        again ends what was there before.
        """
        for old in client.operations:
            if old.active and old.path == path:
                self._drop(old)
                break
        return self._request(client, GET, path, 1, 4, callback, accept=accept, observe=0)

    def cancel(self, handle, callback=None):
        """End an observation: the client is told to (RFC 7641 3.6), and answers with the value.

        The observation's own callback is not called any more; nothing happens if it is over.
        """
        client = handle.client
        if handle not in client.operations:
            return
        active = handle.active
        self._drop(handle)
        if active:  # otherwise the first value that still comes is reset, which ends it
            token = handle.exchange.token
            self._request(
                client,
                GET,
                handle.path,
                1,
                4,
                callback,
                accept=handle.accept,
                observe=1,
                token=token,
            )

    def _drop(self, operation):
        operation.client.operations.remove(operation)
        operation.active = False
        self.engine.cancel(operation.exchange)

    def _request(
        self,
        client,
        code,
        path,
        least,
        most,
        callback,
        payload=b"",
        format=None,
        query=(),
        accept=None,
        observe=None,
        token=None,
    ):
        if self.clients.get(client.endpoint) is not client:
            raise ValueError("%s is not registered" % client.endpoint)
        check_path(path, least, most)
        options = [] if observe is None else [(OBSERVE, observe)]
        options += path_options(client.root + path)
        if format is not None:
            options.append((CONTENT_FORMAT, format))
        options += query
        if accept is not None:
            options.append((ACCEPT, accept))
        operation = Operation(client, path, callback, accept)
        if client.peer is None:
            self._calls.append((callback, client, _UNAVAILABLE, None, b""))
            return operation
        now = self.net.now()
        operation.exchange = self.engine.request(
            now, client.peer, code, options, payload, operation.answered, token=token
        )
        client.operations.append(operation)
        return operation


def values(resources, path, format, payload):
    """What a read or an observation gave, as values.

    resources: a flat tuple of resource id and flags, as Object has it; objects.DEVICE is one.
    path: what was read. Returns {resource id: value}; for an object, {instance id: {resource
    id: value}}. Resources that are not in `resources` are left out. Raises ValueError.
    """
    numbers = check_path(path, 1, 4)
    obj = model.Object(numbers[0], resources)
    if format == TLV and payload and payload[0] >> 6 != _RESOURCE_INSTANCE:
        numbers = numbers[:2]  # it may stand in entries of what it belongs to
    elif len(numbers) > 2 and not obj.flags(numbers[2]):
        raise ValueError("%s: the object has no such resource" % path)
    where = tuple(numbers)
    try:
        cursor = format_module(format).Cursor(payload, where, format)
        found = model.decode({obj.id: obj}, where, cursor, True).get(obj.id) or {}
    except Error as e:
        raise ValueError("%s: %s" % (path, e.text))
    if len(numbers) > 1:
        return found.get(numbers[1], {})
    if -1 in found:
        raise ValueError("%s: resources of no instance" % path)
    return found


def _payload(path, value, format):
    # (bytes, Content-Format) of what is to be written.
    if isinstance(value, (bytes, bytearray)):
        if format is None:
            format = TLV if path.count("/") < 3 else OCTETS
        return value, format
    if not isinstance(value, (bool, str, int, float)):
        raise ValueError("to write anything but text, give bytes and their format")
    if format in (None, TEXT):
        return str(int(value) if isinstance(value, bool) else value).encode(), TEXT
    # The type of what is there is not known: that of the value is.
    ids = check_path(path, 3, 4) + [-1]
    out = bytearray()
    try:
        sink = format_module(format).Sink(out, format)
        sink.value(ids[0], ids[1], ids[2], ids[3], _DATA_TYPES[type(value)], value)
        sink.end()
    except Error as e:
        raise ValueError("%s: %s" % (path, e.text))
    return bytes(out), format


def _object_list(payload):
    # The alternate path and the Content-Formats of a registration (LwM2M 1.1 6.2.1).
    root = ""
    formats = ()
    for path, attributes in links(payload):
        if path is None:
            raise ValueError("attributes without a link")
        if attributes.get("rt") == "oma.lwm2m":
            root = path.rstrip("/")
            ct = attributes.get("ct", "").split()
            formats = tuple([int(format) for format in ct if format.isdigit()])
    return root, formats
