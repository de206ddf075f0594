# Operations on a client: a request and its answer, and the values that go with them.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import ACCEPT, CONTENT_FORMAT, LOCATION_PATH, Error
from ucoap.engine import RESET, TIMEOUT
import lwm2m.model as model
import lwm2m.pack as pack
from .management import format_module
from .server_core import OCTETS, TEXT, TLV, check_format, check_path

_RESOURCE_INSTANCE = const(1)  # of tlv
_DATA_TYPES = {str: model.STR, bool: model.BOOL, int: model.INT, float: model.FLOAT}

_CREATED = const(0x41)
_CONTENT = const(0x45)
_NOT_ACCEPTABLE = const(0x86)
_INTERNAL = const(0xA0)
_UNAVAILABLE = const(0xA3)


class Operation:
    """A request to a client; what Server's calls return, to cancel() an observation with."""

    def __init__(self, server, client, path, callback, accept):
        self.client = client
        self.path = path  # of a composite operation a tuple of them
        self.callback = callback
        self.accept = accept
        self.chosen = False  # whether the format is not the application's choice, but ours
        self.exchange = None  # None while it waits for the client to wake
        self.active = False  # an observation that the client has accepted, and not yet ended
        self._server = server

    def answered(self, x, code, m, payload):
        """Engine's word."""
        client = self.client
        if m or code == RESET:
            self._server.heard(client)
        self.active = x.observe is not None
        if code == _NOT_ACCEPTABLE and self.chosen and self.accept == TEXT:
            # Text is for one value, and there are more of them.
            self.accept = TLV
            options = [(n, TLV if n == ACCEPT else value) for n, value in x.options]
            return self._server.send(self, x.code, options)
        if not self.active and self in client.operations:
            client.operations.remove(self)
        format = None
        if m is None:
            if code == TIMEOUT and client.queue:  # it sleeps
                client.last = self._server.seconds - self._server.awake
            code = _UNAVAILABLE
        else:
            format = m.uint(CONTENT_FORMAT)
            if code == _CREATED:
                payload = "".join("/" + part for part in m.strings(LOCATION_PATH)).encode()
            elif code == _CONTENT and isinstance(self.path, tuple):
                try:
                    payload = {
                        path: value
                        for path, value, _ in pack.records(
                            payload, self.accept if format is None else format
                        )
                    }
                except Error as e:
                    code, format, payload = _INTERNAL, None, e.text.encode()
        if self.callback:
            self.callback(client, code, format, payload)


def values(resources, path, format, payload):
    """What a read or an observation gave, as values.

    resources: a flat tuple of resource id and flags, as Object has it; objects.DEVICE is one.
    path: what was read. Returns {resource id: value}; for an object, {instance id: {resource
    id: value}}. Resources that are not in `resources` are left out. Raises ValueError.
    """
    numbers = check_path(path, 1, 4)
    check_format(format)
    if not isinstance(resources, (tuple, list)) or not isinstance(payload, (bytes, bytearray)):
        raise ValueError("resources are a tuple of ids and flags, the payload is bytes")
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


def payload_of(path, value, format):
    """(bytes, Content-Format) of what is to be written."""
    ids = check_path(path, 2, 4)
    check_format(format)
    if isinstance(value, (bytes, bytearray)) or hasattr(value, "read"):
        if format is None:
            format = TLV if path.count("/") < 3 else OCTETS
        return value, format
    if not isinstance(value, (bool, str, int, float)):
        raise ValueError("to write anything but text, give bytes and their format")
    if format in (None, TEXT):
        return str(int(value) if isinstance(value, bool) else value).encode(), TEXT
    # The type of what is there is not known: that of the value is.
    if len(ids) < 3:
        raise ValueError("%s: an instance is bytes: encode() makes them" % path)
    ids.append(-1)
    out = bytearray()
    try:
        sink = format_module(format).Sink(out, format)
        sink.value(ids[0], ids[1], ids[2], ids[3], _DATA_TYPES[type(value)], value)
        sink.end()
    except Error as e:
        raise ValueError("%s: %s" % (path, e.text))
    return bytes(out), format
