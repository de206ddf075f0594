# Bootstrap-Pack (LwM2M 1.2 6.1.7.7): all that a client is given, in one answer.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import Error
import lwm2m.model as model
from .management import format_module
from .objects import SECURITY, SERVER
from .table import plan
from .texts import links

_FORMATS = const((112, 110, 11544))  # SenML CBOR, SenML JSON, LwM2M CBOR

_VALUES = const(0x0F)  # of model's flags: what is no executable resource

_BAD_REQUEST = const(0x80)
_NOT_ACCEPTABLE = const(0x86)


def pack(account, accept, acc, reply):
    """Put an account of the table into a reply. accept: the Content-Format that is asked for, or None.

    acc: where the client has its bootstrap server account, as links in a query; without it that is
    mostly /0/0. The instances of servers go beside it. Raises Error 4.00, 4.06.
    """
    format = _FORMATS[0] if accept is None else accept
    if format not in _FORMATS:
        raise Error(_NOT_ACCEPTABLE, "a pack is of Content-Format 110, 112 or 11544")
    own = _own(acc)
    bootstrap, servers = plan("", account)
    security = {own: bootstrap} if bootstrap else {}
    server = {}
    iid = 0
    for _, values, registration in servers:
        if iid == own:
            iid += 1
        security[iid] = values
        server[len(server)] = registration
        iid += 1
    out = bytearray()
    sink = format_module(format, _NOT_ACCEPTABLE).Sink(out, format)
    model.encode(sink, model.Object(0, SECURITY, security), (0,), _VALUES, last=False)
    model.encode(sink, model.Object(1, SERVER, server), (1,), _VALUES)
    reply.content_format = format
    reply.payload = out


def _own(acc):
    # The instance id of the client's bootstrap server account.
    try:
        for path, _ in links(acc.encode()):
            parts = (path or "").split("/")
            if len(parts) == 3 and parts[1] == "0" and parts[2].isdigit() and len(parts[2]) < 6:
                return min(int(parts[2]), 65534)
    except ValueError:
        raise Error(_BAD_REQUEST, "acc must be links, such as </0/0>")
    return 0
