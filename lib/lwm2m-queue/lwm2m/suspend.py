# What outlasts a reset of a client that sleeps: its registrations, observations and connections, as
# bytes. Module queue has what applications call, and says how.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# The bytes: 1 version, 4 CRC-32 of all that follows, 2 length of a JSON text, that text, and of each
# account what its connection opens again with. Times in it are Core.seconds, which go on where they
# were.

import json
import struct
from binascii import crc32, hexlify, unhexlify
from hashlib import sha256
from micropython import const
from ucoap.engine import diff
from . import optional
from .client import unix_time
from .queue import part_of

_VERSION = const(1)
_HEAD = const(7)

_MASK = const(0x3FFFFFFF)
_LIFETIME_MS = const(247000)  # EXCHANGE_LIFETIME (RFC 7252 4.8.2)
_MAX_TRANSMIT_WAIT = const(93)  # s, as core has it
_MAX_ANSWER = const(32)  # bytes of an answer that is kept, in case that the request comes again
_SLACK = const(2)  # s, that clocks of whole seconds may differ

_MANAGEMENT = const(2)  # of Core.state
_INITIAL = const(0)

_DISCONNECTED = const(0)  # of Account.state
_CONNECTING = const(1)
_REGISTERED = const(4)
_FAILED = const(7)

# What is kept of an observation as it is.
_NAMES = ("counter", "since", "earliest", "latest", "looked", "look", "confirmed", "format")


def suspend(client):
    """As module queue has it."""
    core = client.core
    if core.state != _MANAGEMENT:
        client.offline()
        return b""
    net = client.net
    now = net.now()
    core.tick(now)
    base = unix_time() - core.seconds
    part = part_of(core)
    if abs(part.base - base) <= _SLACK:  # or what is rounded would add up
        base = part.base
    accounts = [_account(core, account, now) for account in core.accounts]
    observations = []
    sets = []
    observe = _observe(core)
    if observe:
        for o in observe.observations:
            observations.append(_observation(core, o))
        if observe.attributes:
            for short_id in observe.attributes.sets:
                paths = observe.attributes.sets[short_id]
                for path in paths:
                    sets.append((short_id, path, [_out(value) for value in paths[path]]))
    state = [base, core.seconds, core.engine.mid, client._clock, client._unset]
    state += [accounts, observations, sets]
    connections = b""
    for i in range(len(accounts)):
        if accounts[i][1] == _REGISTERED:
            data = net.suspend(core.accounts[i])
            accounts[i].append(-1 if data is None else len(data))
            connections += data or b""
    client.offline()
    text = json.dumps(state).encode()
    data = struct.pack(">H", len(text)) + text + connections
    return struct.pack(">BI", _VERSION, crc32(data)) + data


def resume(client, data, seconds=None):
    """As module queue has it."""
    core = client.core
    if core.state != _INITIAL or len(data) < _HEAD:
        return False
    version, crc, size = struct.unpack(">BIH", data)
    if version != _VERSION or crc != crc32(data[5:]):
        return False
    state = json.loads(data[_HEAD : _HEAD + size])
    base, then, mid, clock, unset, accounts, observations, sets = state
    passed = unix_time() - base - then if seconds is None else seconds
    if passed < -_SLACK:
        return False
    passed = max(passed, 0)
    until = then + passed
    for each in accounts:
        if each[1] == _REGISTERED and not _is_over(each, until):
            break
    else:
        return False
    seconds = core.seconds
    try:
        core.seconds = max(until, seconds)
        core._begin()
        now = client.net.now()
        at = _HEAD + size
        found = []
        for each in accounts:
            connection = None
            if each[1] == _REGISTERED and each[-1] >= 0:
                connection = data[at : at + each[-1]]
                at += each[-1]
            found.append(_resume_account(core, each, connection, passed * 1000, now))
        good = found.count(None) < len(found)
        if good:
            core.engine.mid = mid
            client._clock = clock
            client._unset = unset
            if clock:
                core.objects[3].instances[0][13] = client._time
            _resume_observations(core, found, observations, sets)
            part = part_of(core)
            part.base = base
            part.last = then
            part.period = passed
            core._stale = True  # what is another than the servers know goes out with an update
    except Exception as e:
        good = False
        if core.engine.on_exception:
            core.engine.on_exception(e)
    if not good:  # as it was
        core.seconds = seconds
        core.restart()
    return good


# --- Accounts


def _account(core, account, now):
    # What is kept of an account; behind that of one that is registered comes the length of what its
    # connection opens again with.
    state = account.state
    if state != _REGISTERED and state != _FAILED:
        state = _DISCONNECTED
    kept = [_digest(core, account), state, account.due, account.version]
    if state != _REGISTERED:
        return kept + [account.attempts, account.sequences, account.code]
    seen = []
    for mid, when, answer in core.engine.seen.get(account, ()):
        if answer is not None:
            answer = _hex(answer) if len(answer) <= _MAX_ANSWER else None
        seen.append((mid, diff(now, when), answer))
    address = account.peer
    if address and isinstance(address[1], (bytes, bytearray)):
        address = address[0], _hex(address[1]), address[2]
    kept += [account.lifetime, account.binding, crc32(account.links.encode())]
    return kept + [[part for _, part in account.location], account.unheard, address, seen]


def _is_over(kept, seconds):
    # Whether a registration has ended at that time, of Core.seconds.
    due, lifetime = kept[2], kept[4]
    return due >= 0 and seconds >= due + min(lifetime // 2, _MAX_TRANSMIT_WAIT)


def _resume_account(core, kept, connection, ms, now):
    # Let an account be as it was. Returns it where it is registered, None where it begins anew.
    for account in core.accounts:
        if _digest(core, account) == kept[0]:
            break
    else:
        return None
    if kept[1] != _REGISTERED:
        account.attempts, account.sequences, account.code = kept[4:7]
        core._enter(account, kept[1])
        account.due = kept[2]
        return None
    if connection is None or _is_over(kept, core.seconds):
        return None
    location, unheard, address, seen = kept[7:11]
    if not _connect(core, account, connection, address, now):
        return None
    account.version, account.lifetime, account.binding = kept[3:6]
    account.location = [(11, part) for part in location]  # Uri-Path
    account.links = core._links(account)
    if crc32(account.links.encode()) != kept[6]:
        account.links = " "  # which it is not, so that there is an update
    core._enter(account, _REGISTERED)
    account.due = kept[2]
    account.unheard = unheard
    for mid, age, answer in seen:
        if age + ms < _LIFETIME_MS:
            entry = [mid, now - age - ms & _MASK, answer and unhexlify(answer)]
            core.engine.seen.setdefault(account, []).append(entry)
    return account


def _connect(core, account, connection, address, now):
    # From the port that the server knows; and without a look-up of its name, which would be datagrams
    # of its own.
    net = core.net
    if address:
        family, peer, net.port = address
        peer = unhexlify(peer) if isinstance(peer, str) else tuple(peer)
        lookup = net.lookup
        net.lookup = lambda host, port: (family, peer)
    core._enter(account, _CONNECTING)
    try:
        if net.resume(core, account, connection, now):
            return True
    except OSError:
        pass
    finally:
        if address:
            net.lookup = lookup
            net.port = 0
    core._enter(account, _DISCONNECTED, 0)
    return False


def _digest(core, account):
    # What an account is known by: who talks to whom, and by which key.
    text = repr((core.endpoint, account.short_id, sorted(account.security.items())))
    return _hex(sha256(text.encode()).digest()[:8])


# --- Observations


def _observe(core):
    # The part that has the observations, in an image with them.
    module = optional("observe")
    for part in core.parts:
        if module and isinstance(part, module.Observe):
            return part


def _observation(core, o):
    under_way = o.exchange and not o.exchange.type  # nobody knows whether it has arrived
    kept = [core.accounts.index(o.account), _hex(o.token), o.paths, bool(o.composite)]
    kept += [o.accept, o.origin, _waits(o) or bool(under_way), _checksum(core, o)]
    kept += [None if under_way else _out(o.value), o.own and [_out(value) for value in o.own]]
    return kept + [getattr(o, name, 0) for name in _NAMES]


def _waits(o):
    # Whether there is something to tell; of several values that wait only the last one is told then.
    return o.changed or getattr(o, "kept", 0) > 0


def _resume_observations(core, accounts, observations, sets):
    observe = _observe(core)
    if not observe:
        return
    from .observe import Observation

    attributes = observe.attributes
    if attributes:
        for short_id, path, values in sets:
            own = attributes.sets.setdefault(short_id, {})
            own[tuple(path)] = [_in(value) for value in values]
    for kept in observations:
        account = accounts[kept[0]]
        if account is None:
            continue
        o = Observation(account, unhexlify(kept[1]))
        o.paths = tuple([tuple(path) for path in kept[2]])
        if kept[3]:
            for part in core.parts:
                if hasattr(part, "answer"):
                    o.composite = part
        else:
            o.path = o.paths[0]
        o.accept = kept[4]
        o.origin = tuple(kept[5])
        if attributes:
            attributes.start(o, kept[9] and [_in(value) for value in kept[9]])
            o.value = _in(kept[8])
        for i in range(len(_NAMES)):
            setattr(o, _NAMES[i], kept[10 + i])
        o.changed = kept[6] or kept[7] != _checksum(core, o)
        observe.observations.append(o)


def _checksum(core, o):
    # Of the values that are observed. What a function gives is not looked at: of that only the
    # application tells that it is another.
    crc = 0
    for path in o.paths:
        for oid in path[:1] or sorted(core.objects):
            obj = core.objects.get(oid)
            for iid in sorted(obj.instances) if obj else ():
                if path[1:2] in ((), (iid,)):
                    values = obj.instances[iid]
                    for rid in sorted(values):
                        value = values[rid]
                        if path[2:3] in ((), (rid,)) and not callable(value):
                            if isinstance(value, dict):
                                value = sorted(value.items())
                            crc = crc32(repr((oid, iid, rid, value)).encode(), crc)
    return crc


# --- Values in JSON


def _hex(data):
    return str(hexlify(data), "utf-8")


def _out(value):
    # A float to its last bit.
    return _hex(struct.pack("<d", value)) if isinstance(value, float) else value


def _in(value):
    return struct.unpack("<d", unhexlify(value))[0] if isinstance(value, str) else value
