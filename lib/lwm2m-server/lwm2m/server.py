# The LwM2M Server: registrations (LwM2M 1.1 6.2), and operations on the clients (6.3, 6.4).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import (
    ACCEPT,
    CONTENT_FORMAT,
    DELETE,
    GET,
    OBSERVE,
    POST,
    PUT,
    URI_PATH,
    URI_QUERY,
    Error,
    path_options,
)
import lwm2m.pack as pack
from .crowd import table
from .operation import Operation, payload_of, values  # noqa: F401 - values
from .pack import records  # noqa: F401
from .remote_client import LIFETIME, RemoteClient, terms
from .server_core import (  # noqa: F401 - encode
    LINK,
    TEXT,
    TLV,
    Role,
    check_format,
    check_function,
    check_number,
    check_path,
    encode,
)
from .texts import queries

# What on_client() is told.
REGISTERED = const(1)
UPDATED = const(2)
DEREGISTERED = const(3)
EXPIRED = const(4)

# Methods of composite operations (RFC 8132).
_FETCH = const(5)
_IPATCH = const(7)

_ATTRIBUTES = (int, float, bool, str, type(None))

_BYTES = const(700)  # of heap that a client takes, with an object list of 40 bytes

# Requests to a client that may be under way, beside observations.
_MAX_OPERATIONS = const(32)

# DTLS sessions beside those of the clients: of who begins anew, or has yet to register.
_SPARE = const(16)

_MAX_WAIT = const(0x0FFFFFFF)  # s

_CREATED = const(0x41)
_DELETED = const(0x42)
_CHANGED = const(0x44)
_BAD_REQUEST = const(0x80)
_FORBIDDEN = const(0x83)
_NOT_FOUND = const(0x84)
_NOT_ALLOWED = const(0x85)
_PRECONDITION = const(0x8C)
_UNAVAILABLE = const(0xA3)


class Server(Role):
    """A LwM2M Server, driven by step(); for LwM2M 1.0, 1.1 and 1.2.

    Beside the settings that server_core.Role has:

    on_client(event, client): REGISTERED (again, too: what was observed is then to be observed
        anew), UPDATED, DEREGISTERED or EXPIRED; client is a RemoteClient. None is allowed.
    on_send(client, values): what a client tells by itself, with Send: a list of (path, value,
        time), time in s, from 2 ** 28 on since 1970, below that from now (-60: a minute ago).
    allow(endpoint, peer) -> whether that client may register; otherwise it gets 4.03, as it does
        with a name that its identity does not have.
    max_clients: others get 5.03. A client without DTLS that is to be there for ever (lifetime 0)
        is so where allow knows it, otherwise for a day after its last Update. max_links: bytes of an object list; longer ones get 4.13.

    clients is {endpoint: RemoteClient}.

    awake: s, for which a client in queue mode (LwM2M 1.1 6.5) listens after it was heard of; its
        attribute awake tells whether it does. wait: s, that an operation waits for it to wake.

    read() and the others send one confirmable request, in turn where the client has not yet
    answered the one before, or when it wakes. Their callback(client, code,
    content_format, payload) gets the answer: code as CoAP has it (2.05 is 0x45), payload bytes;
    a refusal has words in it. 5.03 with content_format None is our own: the client did not
    answer, did not know what to do with the request, or has gone, or its DTLS session has, or it did not
    wake in time; or it has 32 requests that it has yet to answer. A
    client whose session has ended stays registered for its lifetime; once it is back with a new
    one, by an Update or by registering again, what was observed is to be observed anew. 4.08,
    4.13 and 5.00 may be our own too (ucoap's Engine.request). Wrong arguments are ValueError.
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
        on_send=None,
        awake=93,
        wait=86400,
        **settings,
    ):
        check_number("max_clients", max_clients, 1, 65535)
        check_number("max_links", max_links, 1, 65535)
        check_number("awake", awake, 0, _MAX_WAIT)
        check_number("wait", wait, 0, _MAX_WAIT)
        check_function("on_client", on_client)
        check_function("allow", allow)
        check_function("on_send", on_send)
        self.awake = awake
        self.wait = wait
        self._waiting = None  # a Waiting, once there is something for one that sleeps
        self.on_client = on_client
        self.on_send = on_send
        self.allow = allow
        self._max_links = max_links
        super().__init__(port, host, net, max_clients, _BYTES, max_clients + _SPARE, **settings)
        self.clients = self.entries
        self._locations = table(max_clients)  # {RemoteClient.location: it}

    def close(self):
        super().close()
        if self._waiting:
            self._waiting.close()
        self._locations.clear()

    def _lost(self, client):
        client.peer = None
        self._forget(client)

    # --- Registration interface

    def _client(self, peer, m):
        # Whose registration a request is about, None where that is a new one. Raises Error.
        path = m.strings(URI_PATH)
        if not 1 <= len(path) <= 2 or path[0] != "rd":
            raise Error(_NOT_FOUND)
        if len(path) == 1:
            if m.code != POST:
                raise Error(_NOT_ALLOWED)
            return None
        client = self._locations.get(path[1])
        if client is None:
            raise Error(_NOT_FOUND)
        if client.identity != getattr(peer, "identity", None):
            raise Error(_FORBIDDEN, "the registration belongs to another DTLS identity")
        return client

    def _begin(self, peer, m, now):
        if not (self._sender(peer, m) or self._client(peer, m)):
            self.endpoint(queries(m), peer, _FORBIDDEN)

    def _handle(self, peer, m, payload, reply, now):
        client = self._sender(peer, m)
        if client:
            return self._take(client, m.uint(CONTENT_FORMAT), payload)
        client = self._client(peer, m)
        if not client:
            return self._register(peer, m, payload, reply)
        if m.code == POST:
            attributes = terms(
                m, queries(m), payload, self._max_links, client.lifetime, client.queue
            )
            self._set(client, peer, attributes, UPDATED)
            return _CHANGED
        if m.code == DELETE:
            self._remove(client, DEREGISTERED)
            return _DELETED
        raise Error(_NOT_ALLOWED)

    def _sender(self, peer, m):
        # The client whose Send a request is (LwM2M 1.1 6.4), or None. Raises Error.
        if m.strings(URI_PATH) != ["dp"]:
            return None
        if m.code != POST:
            raise Error(_NOT_ALLOWED)
        there = self._at.get(peer)
        if not there:
            raise Error(_NOT_FOUND, "nobody has registered from there")
        if len(there) > 1:
            raise Error(_BAD_REQUEST, "several clients have registered from there")
        return there[0]

    def _take(self, client, format, payload):
        # Values that a client has sent. All that is wrong with them is 4.00, but for 4.04.
        if format not in (pack.SENML_JSON, pack.SENML_CBOR, pack.LWM2M_CBOR):
            raise Error(_BAD_REQUEST, "Send has Content-Format 110, 112 or 11544")
        found = pack.records(payload, format)
        if not found:
            raise Error(_BAD_REQUEST, "no values")
        known = {path for path, attributes in client.links}
        for path, _, _ in found:
            instance = "/".join(path.split("/")[:3])
            if instance not in known:
                raise Error(_NOT_FOUND, instance + " is not registered")
        client.last = self.seconds
        self._calls.append((self.on_send, client, found))
        self._release(client)
        return _CHANGED

    def _register(self, peer, m, payload, reply):
        found = queries(m)
        endpoint = self.endpoint(found, peer, _FORBIDDEN)
        version = found.get("lwm2m", "1.0")
        if version not in ("1.0", "1.1", "1.2"):
            raise Error(_PRECONDITION, "LwM2M 1.0, 1.1 and 1.2 only")
        if not payload:
            raise Error(_BAD_REQUEST, "the object list is missing")
        attributes = terms(m, found, payload, self._max_links)
        if self.allow and not self.allow(endpoint, peer):
            raise Error(_FORBIDDEN, "not allowed to register")
        client = self.clients.get(endpoint)
        if client is None:
            self._make_room(peer)
        attributes["version"] = version
        attributes["location"] = self._location()
        attributes["identity"] = getattr(peer, "identity", None)
        if client:
            self._forget(client)
            self._locations.pop(client.location)
            old, heard = client.peer, client.heard
            client.__init__(endpoint)
            client.peer, client.heard = old, heard
        else:
            client = RemoteClient(endpoint)
            client.server = self
        self._set(client, peer, attributes, REGISTERED)
        self._locations[client.location] = client
        reply.location = ("rd", client.location)
        return _CREATED

    def _location(self):
        # Random, so that after a restart no client's update is taken for another's, and that
        # nobody knows it but who was told.
        while True:
            location = "%x" % self.net.rng()
            if location not in self._locations:
                return location

    def _set(self, client, peer, attributes, event):
        for name in attributes:
            setattr(client, name, attributes[name])
        client.last = self.seconds
        old = client.peer
        if old != peer:
            self._enter(client, peer)
            if self.secure:
                self._forget(client)  # what went over the old session ends with it
                if old is not None and old not in self._at:  # no client has it any more
                    self._drop(old)
            for operation in client.operations:  # it goes on at the new address
                self.engine.move(operation.exchange, peer)
        elif event == UPDATED:
            self.heard(client)
        client.due = -1
        lifetime = client.lifetime
        if not lifetime and not self.secure and not self.allow:
            lifetime = LIFETIME  # for ever is for those that somebody knows
        if lifetime:
            self.expire_after(client, lifetime)
        self._calls.append((self.on_client, event, client))
        self._release(client)

    def heard(self, client):
        """As Role's."""
        super().heard(client)
        self._release(client)

    def _release(self, client):
        # It is awake: what waits for that goes out, after the answer to what it has sent.
        if self._waiting:
            self._calls.append((self._waiting.release, client))

    def _expire(self, client, text):
        self._remove(client, EXPIRED)

    def _remove(self, client, event):
        self.clients.pop(client.endpoint)
        self._locations.pop(client.location)
        self._depart(client)
        self._forget(client)
        if self._waiting:
            self._waiting.forget(client)
        self._calls.append((self.on_client, event, client))

    def _forget(self, client):
        # Its operations have no answer to wait for.
        operations = client.operations
        client.operations = []
        for operation in operations:
            self.engine.abandon(operation.exchange, self.now())
            operation.active = False
            self._calls.append((operation.callback, client, _UNAVAILABLE, None, b""))

    # --- Operations

    def read(self, client, path, callback, accept=None):
        """Read /o, /o/i, /o/i/r or /o/i/r/ri.

        accept: the Content-Format to ask for, of those that values() reads. By default it is text
        for a resource, or TLV where that has several values, and TLV for an instance or object.
        """
        return self._request(client, GET, path, 1, 4, callback, accept=accept)

    def write(self, client, path, value, callback=None, format=None, replace=True):
        """Write /o/i, /o/i/r or /o/i/r/ri.

        value: bytes in that Content-Format, by default TLV for an instance (encode() makes it)
        and opaque for a resource; or a source of them, as ucoap/block.py says; or a str, int, float
        or bool, which is written as text where there is no format.
        replace: False lets what an instance or a multiple resource has, and value has not, be.
        """
        value, format = payload_of(path, value, format)
        code = PUT if replace else POST
        return self._request(client, code, path, 2, 4, callback, value, format)

    def execute(self, client, path, callback=None, arguments=""):
        """Execute /o/i/r. arguments: str, such as "0='x',1" (LwM2M 1.1 6.3.5)."""
        if not isinstance(arguments, str):
            raise ValueError("arguments are a str")
        format = TEXT if arguments else None
        return self._request(client, POST, path, 3, 3, callback, arguments.encode(), format)

    def discover(self, client, path, callback, depth=None):
        """List what is there of /o, /o/i or /o/i/r, as link-format: links() reads it.

        depth: levels below the path, 0 to 3 (LwM2M 1.2; a client of before ignores it). By default two
        below an object, one below the others.
        """
        query = ()
        if depth is not None:
            check_number("depth", depth, 0, 3)
            query = ((URI_QUERY, "depth=%d" % depth),)
        return self._request(client, GET, path, 1, 3, callback, query=query, accept=LINK)

    def create(self, client, path, value, callback=None, format=TLV):
        """Create an instance of /o. value: bytes in that Content-Format.

        The callback's payload is the new instance's path, where the client tells it.
        """
        if not isinstance(value, (bytes, bytearray)):
            raise ValueError("a new instance is bytes: encode() makes them")
        return self._request(client, POST, path, 1, 1, callback, value, format)

    def delete(self, client, path, callback=None):
        """Delete the instance /o/i, or the resource instance /o/i/r/ri (LwM2M 1.2)."""
        check_path(path, 2, 4)
        least = 4 if path.count("/") > 2 else 2
        return self._request(client, DELETE, path, least, least, callback)

    def write_attributes(self, client, path, attributes, callback=None):
        """Set attributes of /o, /o/i, /o/i/r or /o/i/r/ri (LwM2M 1.1 5.1.2).

        attributes: {"pmin": 10, "con": True, "pmax": None}; None unsets one.
        """
        return self._request(client, PUT, path, 1, 4, callback, query=_query(attributes))

    def observe(self, client, path, callback, accept=None, attributes=None):
        """Observe /o, /o/i, /o/i/r or /o/i/r/ri; the callback gets its value, and all that follow.

        accept: as of read(). With 110 or 112 a client may keep what is to be told while it cannot reach
        this server, and tells it with its times then: records(payload, format) reads it.
        attributes: as of write_attributes(), for this observation alone and in place of those
        (LwM2M 1.2; a client of before refuses it).
        Returns a handle for cancel(). Its attribute active tells the callback whether more is
        to come; a client may refuse to be observed, and end it at any time. To observe a path
        again ends what was there before.
        """
        query = _query(attributes or {})
        operation = self._request(
            client, GET, path, 1, 4, callback, query=query, accept=accept, observe=0
        )
        self._end_old(operation)
        return operation

    def read_composite(self, client, paths, callback, accept=None):
        """Read many paths at once, such as ["/3/0/9", "/3303/0"]; "/" is everything.

        The callback's payload is values then: {path of a resource or of a resource instance:
        value}. What is not there, and what is not to be read, is left out of it.
        accept: 110, 112 or 11544; by default SenML CBOR, or JSON where a client says that it has
        only that.
        """
        return self._fetch(client, paths, callback, accept)

    def write_composite(self, client, changes, callback=None, format=None):
        """Write {path: value} of many objects, all or nothing.

        A path is a resource's or a resource instance's. A value is a str, bool, int, float,
        bytes, (object id, instance id), {resource instance id: value} for some of a multiple
        resource, or None, which deletes a resource instance, as LwM2M 1.2 has it.
        """
        if format is None:
            format = self._senml(client)
        payload, format = pack.writing(changes, format)
        return self._composite(client, _IPATCH, tuple(changes), callback, payload, format)

    def observe_composite(self, client, paths, callback, accept=None, attributes=None):
        """Observe many paths: whenever one changes the callback gets all, as read_composite() has it.

        attributes: as observe() has them: pmin, pmax, epmin, epmax, con and hqmax.
        Returns a handle for cancel(), as observe() does.
        """
        query = _query(attributes or {})
        operation = self._fetch(client, paths, callback, accept, 0, query=query)
        self._end_old(operation)
        return operation

    def cancel(self, handle, callback=None):
        """End an observation: the client is told to (RFC 7641 3.6), and answers with the value.

        The observation's own callback is not called any more; nothing happens if it is over.
        """
        if not isinstance(handle, Operation):
            raise ValueError("it is no handle that observe() has returned")
        client = handle.client
        if handle not in client.operations:
            if self._waiting:
                self._waiting.remove(handle)
            return
        active = handle.active
        self._end(handle)
        if active:  # otherwise the first value that still comes is reset, which ends it
            token = handle.exchange.token
            if isinstance(handle.path, tuple):
                self._fetch(client, handle.path, callback, handle.accept, 1, token)
                return
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

    def _end_old(self, operation):
        # What is observed anew is not to be told twice.
        for old in operation.client.operations:
            if old.active and old.path == operation.path:
                self._end(old)
                break

    def _end(self, operation):
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
        check_path(path, least, most)
        self._check(client, callback, format, accept)
        options = [] if observe is None else [(OBSERVE, observe)]
        options += path_options(client.root + path)
        if format is not None:
            options.append((CONTENT_FORMAT, format))
        options += query
        operation = Operation(self, client, path, callback, accept)
        if code == GET:
            if accept is None:
                operation.chosen = True
                operation.accept = TEXT if path.count("/") > 2 else TLV
            options.append((ACCEPT, operation.accept))
        return self._start(operation, code, options, payload, token)

    def _check(self, client, callback=None, format=None, accept=None):
        check_function("callback", callback)
        check_format(format)
        check_format(accept)
        endpoint = getattr(client, "endpoint", client)
        if client is None or self.clients.get(endpoint) is not client:
            raise ValueError("%s is not registered" % endpoint)

    def _senml(self, client):
        # The SenML that a client has, as far as it says.
        self._check(client)
        formats = client.formats
        if pack.SENML_JSON in formats and pack.SENML_CBOR not in formats:
            return pack.SENML_JSON
        return pack.SENML_CBOR

    def _fetch(self, client, paths, callback, accept, observe=None, token=None, query=()):
        if not isinstance(paths, (list, tuple)):
            raise ValueError("give a list of paths")
        paths = tuple(paths)
        if accept is None:
            accept = self._senml(client)
        format = pack.SENML_CBOR if accept == pack.LWM2M_CBOR else accept
        payload = pack.names(paths, format)
        return self._composite(
            client, _FETCH, paths, callback, payload, format, accept, observe, token, query
        )

    def _composite(
        self,
        client,
        code,
        paths,
        callback,
        payload,
        format,
        accept=None,
        observe=None,
        token=None,
        query=(),
    ):
        self._check(client, callback)
        options = [] if observe is None else [(OBSERVE, observe)]
        options += path_options(client.root)
        options.append((CONTENT_FORMAT, format))
        options += query
        if accept is not None:
            options.append((ACCEPT, accept))
        operation = Operation(self, client, paths, callback, accept)
        return self._start(operation, code, options, payload, token)

    def _start(self, operation, code, options, payload, token):
        client = operation.client
        pending = 0
        for other in client.operations:
            pending += not other.active
        waits = client.queue and (pending or client.peer is None or not client.awake)
        if waits and not self._waiting:
            from .waiting import Waiting

            self._waiting = Waiting(self)
        if waits:
            pending += self._waiting.count(client)
        elif client.peer is None:
            pending = _MAX_OPERATIONS
        if pending >= _MAX_OPERATIONS:
            self._calls.append((operation.callback, client, _UNAVAILABLE, None, b""))
        elif waits:
            self._waiting.add(operation, code, options, payload, token)
        else:
            try:
                self.begin(operation, code, options, payload, token)
            except (
                Error
            ) as e:  # the options are too long: of write_attributes(), or block by block
                raise ValueError(e.text)
        return operation

    def begin(self, operation, code, options, payload, token):
        """Send a new operation. Raises Error where it does not fit."""
        self.send(operation, code, options, payload, token)
        operation.client.operations.append(operation)

    def send(self, operation, code, options, payload=b"", token=None):
        """Send the request of an operation."""
        operation.exchange = self.engine.request(
            self.now(),
            operation.client.peer,
            code,
            options,
            payload,
            operation.answered,
            token=token,
        )


def _query(attributes):
    # Attributes as the options of a request; None unsets one.
    query = []
    if not isinstance(attributes, dict):
        raise ValueError("attributes are {name: value}")
    for name in attributes:
        value = attributes[name]
        if not isinstance(name, str) or not isinstance(value, _ATTRIBUTES):
            raise ValueError("attribute %s must be a number, or None" % (name,))
        if isinstance(value, bool):
            value = int(value)
        query.append((URI_QUERY, name if value is None else "%s=%s" % (name, value)))
    return query
