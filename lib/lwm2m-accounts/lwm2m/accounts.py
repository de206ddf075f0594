# The accounts of a client as an application gives, changes and takes them: the reference's calls.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Each function is a method of Client, whose first argument is the client: client.add_server(1, …).
#
# Wrong arguments are ValueError, whose text starts with the code that the reference's call returns
# for it. Where there is a store, OSError tells that it cannot be written. Whatever raises has
# changed nothing.

from micropython import const
from lwm2m import forget, optional
from lwm2m.objects import server_id, split_uri

_BOOTSTRAP_ID = const(65535)
_INITIAL = const(0)  # of Core.state
_BOOTSTRAP = const(1)
_MANAGEMENT = const(2)
_DISCONNECTED = const(0)  # of Account.state
_SIX_DAYS_MS = const(0x20000000)  # that a difference of times can tell


def servers(client):
    """The Short Server IDs of all accounts; 65535 is the bootstrap server's."""
    security = client.core.objects[0]
    return [server_id(security, iid) for iid in security.instances]


def add_server(client, short_id, uri, mode, lifetime=0, queue=False, security=None):
    """Add a server account: factory bootstrap.

    short_id: Short Server ID, 1 to 65534. uri: coap:// or coaps://. mode: SEC_….
    lifetime: s, 0 for 86400. queue: tell the server that this client sleeps.
    security: {resource id: value} of /0/x/3 to 5, the keys, and 13 to 16: for
    SEC_PRE_SHARED_KEY {3: identity, 5: key}, for SEC_CERTIFICATE {3: certificate, 4: the
    server's or its CA's certificate, 5: private key}, bytes, the latter DER.
    """
    if type(short_id) is not int or not 0 < short_id < _BOOTSTRAP_ID:
        raise ValueError("4.03 a Short Server ID is from 1 to 65534")
    _settle(client.core)
    if _find(client, 1, short_id) is not None:
        raise ValueError("4.03 there is a server %d" % short_id)
    _check(client.core.objects[1], 1, lifetime)
    accounts = _with(client, uri, mode, {1: False, 10: short_id}, security)
    server = dict(client.core.objects[1].instances)
    iid = _free(server)
    binding = "UQ" if queue else "U"
    server[iid] = {0: short_id, 1: lifetime or 86400, 6: True, 7: binding, 23: False}
    _put(client.core, {0: accounts, 1: server})
    _changed(client.core, iid)


def remove_server(client, short_id):
    """De-register from a server and forget it; 65535 stands for all of them."""
    if short_id == 0:
        raise ValueError("4.03 server 0 is reserved")
    _settle(client.core)
    ids = [short_id]
    if short_id == _BOOTSTRAP_ID:
        server = client.core.objects[1]
        ids = [server_id(server, iid) for iid in server.instances]
    else:
        _iid(client, 1, short_id)
    _remove(client, ids)
    for id in ids:
        _removed(client.core, id, client.net.now())


def add_bootstrap_server(client, uri, mode, security=None):
    """Add the account of the bootstrap server; there is one. security: as add_server()."""
    if not client.core.bootstrap:
        raise ValueError("5.01 this build lacks package lwm2m-bootstrap")
    if client.core.bootstrap.account_iid() >= 0:
        raise ValueError("4.03 there is a bootstrap server: remove it first")
    _settle(client.core)
    _put(client.core, {0: _with(client, uri, mode, {1: True}, security)})
    _changed(client.core, None)


def remove_bootstrap_server(client):
    """Forget the bootstrap server; a session with it is undone."""
    _iid(client, 0, _BOOTSTRAP_ID)
    _removed(client.core, _BOOTSTRAP_ID, client.net.now())
    _remove(client, (_BOOTSTRAP_ID,))


def set_hold_off(client, seconds):
    """Client Hold Off Time (/0/x/11): how long to wait before the Bootstrap-Request."""
    _check(client.core.objects[0], 11, seconds)
    _set(client, 0, _BOOTSTRAP_ID, {11: seconds})


def set_bootstrap_timeout(client, seconds):
    """How long a session may be without an operation of the bootstrap server before it has failed:
    247 s by default (LwM2M 1.1 6.1.7), 1 s at least and a day at most."""
    if not client.core.bootstrap:
        raise ValueError("5.01 this build lacks package lwm2m-bootstrap")
    if type(seconds) is not int or not 0 < seconds <= 86400:
        raise ValueError("4.00 the time-out is from 1 to 86400 s")
    client.core.bootstrap.timeout = seconds


def set_server(client, short_id, values):
    """How to register with a server: {resource id: value} of /1/x/13 to 20.

    13 Registration Priority Order, none by default. 14 Initial Registration Delay Timer, s, 0.
    15 Registration Failure Block, False: whether a failure bars the servers behind it.
    16 Bootstrap on Registration Failure, True. 17 Communication Retry Count, 5.
    18 Communication Retry Timer, s, 60. 19 Communication Sequence Delay Timer, s, 86400.
    20 Communication Sequence Retry Count, 1.
    """
    if not isinstance(values, dict):
        raise ValueError("4.00 values are {resource id: value}")
    for rid in values:
        if rid not in range(13, 21):
            raise ValueError("4.00 /1/x/%s is not for registration" % (rid,))
        _check(client.core.objects[1], rid, values[rid])
    _changed(client.core, _set(client, 1, short_id, values))


def set_coap(client, short_id, ack_timeout_ms=2000, random_percent=150, retransmit=4):
    """ACK_TIMEOUT, ACK_RANDOM_FACTOR in percent and MAX_RETRANSMIT (RFC 7252 4.8) with a
    server; 65535 is the bootstrap server. The last wait must be under six days."""
    for value in (ack_timeout_ms, random_percent, retransmit):
        if type(value) is not int:
            raise ValueError("4.00 CoAP's settings are whole numbers")
    if ack_timeout_ms < 1 or random_percent < 100 or not 0 <= retransmit <= 10:
        raise ValueError("4.00 1 ms, 100 % and 0 retries are the least, 10 retries the most")
    if ack_timeout_ms * random_percent // 100 << retransmit >= _SIX_DAYS_MS:
        raise ValueError("4.00 the last wait must be under six days")
    _iid(client, 0, short_id)
    settings = ack_timeout_ms, random_percent, retransmit
    client.core.coap[short_id] = settings
    for account in client.core.accounts:
        if account.short_id == short_id:
            account.settings = settings


# --- What the core is told


def _put(core, changes):
    # Replace the instances of objects: {object id: {instance id: values}}. Raises as
    # Context.commit() does; then nothing has changed.
    if core.context:
        return core.context.commit(changes)
    for oid in changes:
        core.objects[oid].instances = changes[oid]


def _settle(core):
    # A bootstrap session must not undo what is about to change.
    if core.state == _BOOTSTRAP:
        core.restart()


def _removed(core, short_id, now):
    # A server's instances go; the bootstrap server's in a moment.
    if short_id == _BOOTSTRAP_ID:
        _settle(core)
        core.bootstrap.stop()
        core.bootstrap.purge_due = -1
    for account in core.accounts:
        if account.short_id == short_id:
            core.accounts.remove(account)
            core.remove(account, now)
            core._stale = True
            core._let_next()
            break
    if core.state == _MANAGEMENT and not core.accounts:
        core.begin()


def _changed(core, server_iid):
    # There is a new /1 instance, or resources of it are; with None the bootstrap server's account.
    core._stale = True
    core.weary = core._rest = 0
    if core.state == _INITIAL:
        core._fresh = True
    elif core.state == _MANAGEMENT and server_iid is not None:
        for account in core.accounts:
            if account.server_iid == server_iid:
                if account.state == _DISCONNECTED and not account.attempts:
                    core._enter(account, _DISCONNECTED, core._setting(account, 14, 0))
                break
        else:
            core.add_account(server_iid)
        core._let_next()


# --- Instances


def _find(client, oid, short_id):
    obj = client.core.objects[oid]
    for iid in obj.instances:
        if server_id(obj, iid) == short_id:
            return iid


def _iid(client, oid, short_id):
    iid = _find(client, oid, short_id)
    if iid is None:
        raise ValueError("4.04 there is no server %s" % (short_id,))
    return iid


def _set(client, oid, short_id, values):
    # Set resources of a server's instance; returns its id.
    _iid(client, oid, short_id)
    _settle(client.core)
    iid = _iid(client, oid, short_id)  # as it is where it was before a session
    instances = dict(client.core.objects[oid].instances)
    instances[iid] = dict(instances[iid])
    instances[iid].update(values)
    _put(client.core, {oid: instances})
    return iid


def _remove(client, ids):
    changes = {}
    for oid in (0, 1):
        changes[oid] = instances = dict(client.core.objects[oid].instances)
        for id in ids:
            iid = _find(client, oid, id)
            if iid is not None:
                instances.pop(iid)
    _put(client.core, changes)


def _with(client, uri, mode, values, security):
    # The instances of the Security object with one more.
    if not isinstance(uri, str) or not split_uri(uri):
        raise ValueError("4.06 the URI must be coap[s]://host[:port]")
    if security and not isinstance(security, dict):
        raise ValueError("4.00 security is {resource id: value}")
    values.update({0: uri, 2: mode, 3: b"", 4: b"", 5: b""})
    for rid in security or ():
        if rid not in (3, 4, 5, 13, 14, 15, 16):
            raise ValueError("4.00 /0/x/%s is not for security" % (rid,))
        _check(client.core.objects[0], rid, security[rid])
        values[rid] = security[rid]
    keys = client.core.context and client.core.context.keys
    if keys:
        keys.refer(values)
    security_fault = optional("security").security_fault
    forget("security")  # with the last of this its heap is given back
    fault = security_fault(keys.resolve(values) if keys else values, client.net.modes)
    if fault:
        raise ValueError("4.06 " + fault)
    instances = dict(client.core.objects[0].instances)
    instances[_free(instances)] = values
    return instances


def _check(obj, rid, value):
    # What the reference's call returns for a value that cannot be.
    try:
        obj.check(rid, value)
    except ValueError as e:
        raise ValueError("4.00 %s" % e)


def _free(instances):
    iid = 0
    while iid in instances:
        iid += 1
    return iid
