# Payloads of composite operations and of Send (LwM2M 1.1 6.3, 6.4): paths and values, as an application has
# them. SenML tells of which type a value is, so that no definition of an object is needed.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import Error
import lwm2m.model as model
from .management import format_module
from .server_core import check_path

SENML_JSON = const(110)
SENML_CBOR = const(112)
LWM2M_CBOR = const(11544)
_ANY = const(65535)  # an object of which nothing is known
_ETCH = const(210)  # more than those of SenML are the formats in which null deletes (RFC 8790)

_DATA_TYPES = {str: model.STR, bool: model.BOOL, int: model.INT, float: model.FLOAT}
_DATA_TYPES.update({bytes: model.OPAQUE, tuple: model.OBJLNK, type(None): model.INT})


def names(paths, format):
    """What asks for paths: bytes. Raises ValueError."""
    if format not in (SENML_JSON, SENML_CBOR):
        raise ValueError("paths are asked for in SenML: 110 or 112, or 11544 for the answer")
    if not paths:
        raise ValueError("give a list of paths")
    out = bytearray()
    sink = _sink(out, format)
    for path in paths:
        check_path(path, 0, 4)
        sink.name(path)
    sink.end()
    return bytes(out)


def writing(values, format):
    """(bytes, Content-Format: that, or where a value is None SenML-ETCH's) of {path of a resource or resource instance: value}.

    A value is a str, bool, int, float or bytes, (object id, instance id) for a link, a dict
    {resource instance id: value}, or None, which deletes a resource instance. Raises ValueError.
    """
    if format not in (SENML_JSON, SENML_CBOR, LWM2M_CBOR):
        raise ValueError("a composite is written in format 110, 112 or 11544")
    found = []
    if not isinstance(values, dict):
        raise ValueError("give {path: value}")
    for path in values:
        value = values[path]
        ids = tuple(check_path(path, 3, 4))
        if isinstance(value, dict):
            if len(ids) > 3:
                raise ValueError("%s: it is one value" % path)
            found += [(ids + (riid,), value[riid]) for riid in value]
        else:
            found.append((ids, value))
    if not found:
        raise ValueError("give values to write")
    found.sort(key=lambda each: each[0])  # those of one instance together are shorter
    if format != LWM2M_CBOR:
        for _, value in found:
            if value is None:
                format += _ETCH
                break
    out = bytearray()
    sink = _sink(out, format)
    for ids, value in found:
        flags = _DATA_TYPES.get(type(value))
        # Up to what an Unsigned Integer can be: what the resource takes is for the client to say.
        wanted = model.UINT if type(value) is int and value > 0 else flags
        if not flags or (value is not None and model.fault(_ANY, 0, wanted, value)):
            raise ValueError("%s cannot be written" % type(value).__name__)
        sink.value(ids[0], ids[1], ids[2], ids[3] if len(ids) > 3 else -1, flags, value)
    sink.end()
    return bytes(out), format


def _sink(out, format):
    try:
        return format_module(format).Sink(out, format)
    except Error as e:
        raise ValueError("%s: package lwm2m-formats has it" % e.text)


def records(payload, format):
    """What a client tells: a list of (path, value, time).

    time: s, from 2 ** 28 on since 1970, below that from now, as -60 a minute ago. Raises Error.
    """
    cursor = format_module(format).Cursor(payload, (), format)
    found = []
    while cursor.next():
        path = "/%d/%d/%d" % (cursor.oid, cursor.iid, cursor.rid)
        if cursor.riid >= 0:
            path += "/%d" % cursor.riid
        if not cursor.leaf:
            raise Error(0x80, "a name without a value")
        found.append((path, cursor.value(0), getattr(cursor, "time", 0)))
    return found
