# What outlasts a reset of a client that sleeps: its registrations, observations and connections, as
# bytes. suspend() and resume() are module queue's, which loads them from here.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# The bytes: 4 CRC-32, begun with the version, of the rest, which is a JSON text. Times in it are
# Core.seconds, which go on where they were.

import json
import struct
from binascii import a2b_base64, b2a_base64, crc32
from hashlib import sha256
from micropython import const
from .client import unix_time
from .queue import part_of

_VERSION = const(2)

_MASK = const(0x3FFFFFFF)
_LIFETIME_MS = const(247000)  # EXCHANGE_LIFETIME (RFC 7252 4.8.2)
_MAX_TRANSMIT_WAIT = const(93)  # s, as core has it
_MAX_ANSWER = const(32)  # bytes of an answer that is kept, in case that the request comes again
# What of an observation goes on as it is.
_KEPT = const("accept origin counter since earliest latest looked look confirmed format")
_SLACK = const(2)  # s, that clocks of whole seconds may differ

_MANAGEMENT = const(2)  # of Core.state
_INITIAL = const(0)

_DISCONNECTED = const(0)  # of Account.state
_REGISTERED = const(4)
_FAILED = const(7)


def suspend(client):
    """End the client, without a word to its servers. Returns what resume() goes on from: bytes.

    They are b"" where there is nothing to go on from, as no server is registered with. They are
    good for one resume(): what keeps them deletes them before. They have the keys of a DTLS
    session in them. Nothing that is under way is waited for: sleep_ms() says when nothing is.
    """
    core = client.core
    if core.state != _MANAGEMENT:
        client.offline()
        return b""
    now = client.net.now()
    core.tick(now)
    part = part_of(core)
    base = unix_time() - core.seconds
    if abs(part.base - base) <= _SLACK:  # or what is rounded would add up
        base = part.base
    accounts = []
    for account in core.accounts:
        # One that is on its way to a registration begins anew.
        if account.state in (_DISCONNECTED, _REGISTERED, _FAILED):
            kept = _account(core, account, part.observe, now)
            accounts.append((_digest(core, account), kept))
    state = base, core.seconds, core.engine.mid, client._clock, client._unset, accounts
    client.offline()  # which makes room for the text
    text = json.dumps(state, separators=(",", ":")).encode()
    return _crc(text) + text


def resume(client, data, seconds=None):
    """Let a new client, before its first step(), go on from the bytes of suspend(). Returns whether
    it does.

    Otherwise, as they are damaged, of another client or format, or too old for each account,
    nothing has changed, and it registers as a new one does. seconds: that have passed since; by
    default the board's clock tells, which must not have been set meanwhile. The network and all
    objects with their values must be there: what is observed, and is another value now, is notified.
    """
    if not isinstance(data, (bytes, bytearray)) or type(seconds) not in (int, type(None)):
        raise ValueError("4.00 data are bytes of suspend(), seconds a whole number")
    core = client.core
    now = client.net.now()
    if core.state != _INITIAL or data[:4] != _crc(data[4:]):
        return False
    began = core.seconds
    good = False
    try:
        base, then, mid, clock, unset, accounts = json.loads(data[4:])
        passed = unix_time() - base - then if seconds is None else seconds
        if passed < -_SLACK:
            return False
        passed = max(passed, 0)
        part = part_of(core)
        core.seconds = max(then + passed, began)
        core._begin()
        for each in core.parts:
            if not each.next_ms(
                now, -1
            ):  # it may have instances to make, of which the servers know
                each.poll(now)
        accounts = dict(accounts)
        for account in core.accounts:
            kept = accounts.get(_digest(core, account))
            if kept and _resume_account(core, account, part.observe, kept, passed * 1000):
                good = True
        if good:
            core.engine.mid = part.mid = mid
            client._clock = clock
            client._unset = unset
            if clock:
                core.objects[3].instances[0][13] = client._time
            part.base = base
            part.last = then
            part.period = passed
            core._stale = True  # what is another than the servers know goes out with an update
    except Exception as e:
        good = False
        core.engine.on_exception(e)
    if not good:  # as it was
        core.seconds = began
        core.restart()
    return good


def _crc(text):
    return crc32(text, _VERSION).to_bytes(4, "big")


# --- Accounts


def _account(core, account, observe, now):
    # What is kept of an account. Its connection ends with that.
    seen = []
    for mid, when, answer in core.engine.seen.get(account, ()):
        if answer and len(answer) > _MAX_ANSWER:
            answer = None
        seen.append((mid, now - when & _MASK, _out(answer)))
    observations = []
    for o in observe.observations:
        if o.account is account:
            observations.append(_out(_observation(core, o)))
    sets = observe.attributes and observe.attributes.sets.get(account.short_id)
    rest = (
        account.state,
        account.due,
        account.unheard,
        account.lifetime,
        account.version,
        account.binding,
        account.location,
        account.attempts,
        account.sequences,
        account.code,
        crc32(repr(account.links).encode()),
        account.peer,
        core.net.suspend(account) if account.state == _REGISTERED else None,
        sets and list(sets.items()),
    )
    return _out(rest), seen, observations


def _resume_account(core, account, observe, kept, passed_ms):
    # Let an account be as it was. Returns whether it is registered.
    rest, seen, observations = kept
    (
        state,
        due,
        unheard,
        lifetime,
        version,
        binding,
        location,
        attempts,
        sequences,
        code,
        links,
        peer,
        connection,
        sets,
    ) = _in(rest)
    now = core.net.now()
    if state == _REGISTERED:
        end = due + min(lifetime // 2, _MAX_TRANSMIT_WAIT)  # of the registration
        if connection is None or (due >= 0 and core.seconds >= end):
            return False
        if not _connect(core, account, connection, peer, now):
            return False
        account.links = core._links(account)
        if crc32(repr(account.links).encode()) != links:
            account.links = " "  # which it is not, so that there is an update
    account.lifetime = lifetime
    account.version = version
    account.binding = binding
    account.location = location
    account.attempts = attempts
    account.sequences = sequences
    account.code = code
    core._enter(account, state)
    account.due = due
    account.unheard = unheard
    for mid, age, answer in seen:
        age += passed_ms
        if age < _LIFETIME_MS:
            entry = [mid, now - age & _MASK, _in(answer)]
            core.engine.seen.setdefault(account, []).append(entry)
    if sets:
        observe.attributes.sets[account.short_id] = dict(sets)
    for each in observations:
        observe.observations.append(_resume_observation(core, account, observe, _in(each)))
    return state == _REGISTERED


def _connect(core, account, connection, peer, now):
    # From the port that the server knows; and without a look-up of its name, which would be datagrams
    # of its own.
    net = core.net
    lookup, port = net.lookup, net.port
    net.lookup = lambda *args: peer[:2]
    net.port = peer[2]
    try:
        return net.resume(core, account, connection, now)
    finally:
        net.lookup, net.port = lookup, port


def _digest(core, account):
    # What an account is known by: who talks to whom, and by which key.
    text = repr((core.endpoint, account.short_id, sorted(account.security.items())))
    return _out(sha256(text.encode()).digest()[:8])


# --- Observations


def _observation(core, o):
    under_way = o.exchange and not o.exchange.type  # nobody knows whether it has arrived
    return (
        o.token,
        o.paths,
        bool(o.composite),
        o.own,
        # Whether there is something to tell; of several values that wait only the last one is then.
        o.changed or o.kept or under_way,
        _checksum(core, o),
        None if under_way else o.value,
        [getattr(o, name) for name in _KEPT.split()],
    )


def _resume_observation(core, account, observe, kept):
    from .observe import Observation

    token, paths, composite, own, changed, checksum, value, rest = kept
    o = Observation(account, token)
    o.paths = paths
    if composite:
        for part in core.parts:
            if hasattr(part, "answer"):
                o.composite = part
    else:
        o.path = paths[0]
    if observe.attributes:
        observe.attributes.start(o, own)
    o.value = value
    names = _KEPT.split()
    for i in range(len(names)):
        setattr(o, names[i], rest[i])
    o.changed = changed or checksum != _checksum(core, o)
    return o


def _checksum(core, o):
    # Of what is observed, to find what is another value after the sleep.
    crc = 0
    for path in o.paths:
        crc = _sum(core.objects, path, crc)
    return crc


def _sum(value, path, crc):
    # Of what is at a path in there. What a function gives is not looked at: of that only the
    # application tells that it is another.
    value = getattr(value, "instances", value)
    if isinstance(value, dict):
        for id in path[:1] or sorted(value):
            if id in value:
                crc = _sum(value[id], path[1:], crc32(b"%d/" % id, crc))
    elif not callable(value):
        crc = crc32(repr(value).encode(), crc)
    return crc


# --- Values in JSON: bytes, and a float to its last bit, are texts. A letter ahead tells what a text is.


def _out(value):
    if isinstance(value, str):
        return "s" + value
    if isinstance(value, list) or isinstance(value, tuple):
        found = []
        for each in value:
            found.append(_out(each))
        return found
    kind = "b"
    if isinstance(value, float):
        kind = "f"
        value = struct.pack("<d", value)
    if isinstance(value, bytes) or isinstance(value, bytearray):
        return kind + str(b2a_base64(value)[:-1], "utf-8")
    return value


def _in(value):
    if isinstance(value, list):
        for i in range(len(value)):
            value[i] = _in(value[i])
        return tuple(value)
    if isinstance(value, str):
        kind = value[0]
        value = value[1:]
        if kind != "s":
            value = a2b_base64(value)
        if kind == "f":
            value = struct.unpack("<d", value)[0]
    return value
