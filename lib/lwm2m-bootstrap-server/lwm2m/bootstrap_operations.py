# What the Bootstrap Server's operations ask of a client, and what the client has after each of them.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# An operation is a generator of requests that is sent the answers to them, (code, payload), and
# returns the last of them, or words of our own in place of the payload. A request is (method, path,
# Accept or Content-Format, payload, what it writes to /0 or /1 as {instance id: Short Server ID},
# None if that is not known). s: the Session.

from micropython import const
from ucoap import DELETE, GET, POST, PUT, code_text
import lwm2m.tlv as tlv
from .objects import SECURITY, SERVER
from .server_core import LINK, TLV, check_path, encode
from .table import plan
from .texts import links, words

_INSTANCE = const(0)  # of tlv's entries

_DELETED = const(0x42)
_CHANGED = const(0x44)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_NOT_FOUND = const(0x84)
_NOT_ALLOWED = const(0x85)
_NOT_ACCEPTABLE = const(0x86)

_DISCOVER = (GET, "/", LINK, b"", None)
FINISH = (POST, "/bs", None, b"", None)


def one(request):
    """A request by itself."""
    return (yield request)


def _know(s):
    # Let ids be what the client has. Returns None, or what is to be said.
    if s.ids:
        return None
    code, payload = yield _DISCOVER
    if code == _CONTENT:
        try:
            s.version, s.ids = _discovered(payload)
        except ValueError as e:
            return _NOT_ACCEPTABLE, "the answer to Discover is malformed: %s" % e
        return None
    if s.ids is False:
        s.ids = _after_delete()
        return None
    text = 'the client does not tell what it has (Discover: %s): delete("/") first'
    return code, text % (words(payload) or code_text(code))


def add_server(s, short_id, security, server):
    result = yield from _know(s)
    if not result:
        result = yield put(0, _place(s.ids[0], short_id), security)
        if result[0] == _CHANGED:
            result = yield put(1, _place(s.ids[1], short_id), _known_to(s, server))
    return result


def _known_to(s, server):
    # The values of a /1 instance that the client's version of LwM2M has. Without Mute Send it is
    # muted (LwM2M 1.1 E.2), which 1.0 does not know.
    if s.version is None or s.version == "1.0":
        server.pop(23)
    return server


def remove_server(s, short_id):
    result = yield from _know(s)
    if result:
        return result
    result = _NOT_FOUND, "the client has no server with Short Server ID %d" % short_id
    for oid in (0, 1):
        iid = _find(s.ids[oid], short_id)
        if iid >= 0:
            result = yield DELETE, "/%d/%d" % (oid, iid), None, b"", None
            if result[0] != _DELETED:
                break
    return result


def add_bootstrap_server(s, values):
    result = yield from _know(s)
    if not result:
        result = yield put(0, _place(s.ids[0], 0), values)
    return result


def remove_bootstrap_server(s):
    result = yield from _know(s)
    if result:
        return result
    iid = _find(s.ids[0], 0)
    if iid < 0:
        return _NOT_FOUND, "the client has no bootstrap server account"
    return (yield PUT, "/0/%d/12" % iid, TLV, encode(SECURITY, {12: 1}), None)


def apply(s, account, room):
    """room: bytes of payload that a Write has in one datagram."""
    result = yield from _know(s)
    if result:
        result = yield DELETE, "/", None, b"", None
        if result[0] != _DELETED:
            return result
        s.ids = _after_delete()
    bootstrap, servers = plan("", account)  # not before: a client that never answers has no room
    for _, _, server in servers:
        _known_to(s, server)
    for oid in (0, 1):
        wanted, stale = _choose(oid, s.ids[oid], bootstrap, servers)
        if stale:
            path = "/%d/%d" % (oid, stale[0]) if len(stale) == 1 else "/%d" % oid
            result = yield DELETE, path, None, b"", None
            if result[0] != _DELETED:
                return result
        requests = _put_all(oid, wanted, room)
        while requests:
            request = requests.pop(0)
            result = yield request
            if result[0] in (_BAD_REQUEST, _NOT_ALLOWED) and request[1].count("/") == 1:
                # Not several instances at once, then.
                requests = _put_all(oid, wanted, 0)
            elif result[0] != _CHANGED:
                return result
    return (yield FINISH)


# --- Requests


def put(oid, iid, values):
    """Write an instance of /0 or /1."""
    written = {iid: _id_of(oid, values)}
    return PUT, "/%d/%d" % (oid, iid), TLV, encode(SERVER if oid else SECURITY, values), written


def _put_all(oid, wanted, room):
    # Write instances: at once where that takes up to so many bytes, otherwise one by one.
    if len(wanted) > 1:
        payload = bytearray()
        written = {}
        for iid in sorted(wanted):
            written[iid] = wanted[iid][0]
            at = tlv.begin(payload, _INSTANCE, iid)
            payload.extend(wanted[iid][1])
            tlv.end(payload, at)
        if len(payload) <= room:
            return [(PUT, "/%d" % oid, TLV, payload, written)]
    return [
        (PUT, "/%d/%d" % (oid, iid), TLV, wanted[iid][1], {iid: wanted[iid][0]})
        for iid in sorted(wanted)
    ]


# --- What a client has


def _after_delete():
    # Session.ids of a client that does not tell, when / was deleted: its bootstrap account stays,
    # and where that is not known, it is mostly /0/0.
    return {0: 0}, {}


def _discovered(payload):
    # The answer to Discover /: (version of LwM2M, Session.ids). Raises ValueError.
    version = None
    ids = {}, {}
    for path, attributes in links(payload):
        version = version or attributes.get("lwm2m")
        numbers = (path or "").split("/")[1:]
        if len(numbers) == 2 and numbers[0] in ("0", "1"):
            oid = int(numbers[0])
            short_id = attributes.get("ssid", "0")
            for number in (numbers[1], short_id):
                if not number.isdigit() or len(number) > 5 or int(number) > 65535:
                    raise ValueError("</%s>;ssid=%s" % ("/".join(numbers), short_id))
            short_id = int(short_id)
            if short_id in (0, 65535):  # none: of object 0 the bootstrap account
                short_id = 65535 if oid else 0
            ids[oid][int(numbers[1])] = short_id
    return version, ids


def _id_of(oid, values):
    # Short Server ID of an instance's values; 0 for the bootstrap account, 65535 for none.
    if oid:
        return values.get(0, 65535)
    return 0 if values.get(1) else values.get(10, 65535)


def _find(ids, short_id):
    # The lowest instance with that Short Server ID, or -1.
    for iid in sorted(ids):
        if ids[iid] == short_id:
            return iid
    return -1


def _free(ids, taken=()):
    iid = 0
    while iid in ids or iid in taken:
        iid += 1
    return iid


def _place(ids, short_id):
    # Where an instance with that Short Server ID goes: over the old one, or to a free id.
    iid = _find(ids, short_id)
    return _free(ids) if iid < 0 else iid


def _choose(oid, ids, bootstrap, servers):
    # Where the accounts of a table's entry go: {instance id: (Short Server ID, TLV)}, and the
    # instances that are left and belong to none of them.
    wanted = {}
    if bootstrap and not oid:
        wanted[_place(ids, 0)] = 0, bytes(encode(SECURITY, bootstrap))
    new = []
    for short_id, security, server in servers:
        iid = _find(ids, short_id)
        found = short_id, bytes(encode(SERVER, server) if oid else encode(SECURITY, security))
        if iid < 0:
            new.append(found)
        else:
            wanted[iid] = found
    stale = [iid for iid in sorted(ids) if ids[iid] and iid not in wanted]
    for found in new:
        wanted[stale.pop(0) if stale else _free(ids, wanted)] = found
    return wanted, stale


def count(s, request, code, payload):
    """Keep count of what a request that was answered has changed. Returns the answer.

    A success by another name, such as a Write that is answered 2.01, is one.
    """
    method, path, _, _, written = request
    if code >> 5 != 2:
        return code, payload
    if method == GET:
        return _CONTENT, payload
    if method == POST:
        s.finished = True
        return _CHANGED, payload
    numbers = check_path(path, 0, 3)
    if method == PUT:
        if numbers[0] < 2:
            if s.ids and written:
                s.ids[numbers[0]].update(written)
            elif len(numbers) < 3 or numbers[2] in ((1, 10), (0,))[numbers[0]]:
                s.ids = None
        return _CHANGED, payload
    if not numbers and not s.ids:
        s.ids = False
    for oid in (0, 1) if s.ids else ():
        ids = s.ids[oid]
        if not numbers or numbers == [oid]:
            for iid in list(ids):
                if ids[iid]:  # the bootstrap account stays
                    ids.pop(iid)
        elif numbers[0] == oid:
            ids.pop(numbers[1], None)
    return _DELETED, payload
