# Whether accounts fit together (LwM2M 1.1 6.1.7.7): at Bootstrap-Finish, and whenever they come
# from elsewhere, such as flash or the factory.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from lwm2m import forget, optional
from lwm2m.model import fault

_MAX_ID = const(65535)  # of nothing (LwM2M 1.1 7.1), and the bootstrap server's short id


def inconsistency(objects, modes, context=None, enough=True):
    """What is wrong with the accounts of {0: Security, 1: Server}: a str, or None.

    modes: contains the Security Modes that this device can do. context: the Context that knows
    the keys which are not in the objects. enough: whether there must be a server account, as at
    Finish; the factory may leave that to a bootstrap server.
    """
    text = amiss(objects[0]) or amiss(objects[1])
    if text:
        return text
    security_fault = optional("security").security_fault
    forget("security")  # with the last of this its heap is given back
    security, server = objects[0].instances, objects[1].instances
    keys = context and context.keys
    bootstrap = 0
    ids = {}
    for iid in sorted(security):
        values = security[iid]
        text = security_fault(keys.resolve(values) if keys else values, modes)
        if text:
            return "/%d/%d: %s" % (0, iid, text)
        if values[1]:
            bootstrap += 1
            continue
        short_id = values.get(10)
        if not short_id or short_id == _MAX_ID:
            return "/0/%d/10 must be from 1 to 65534" % iid
        if short_id in ids:
            return "/%d/%d: short server id %d is there twice" % (0, iid, short_id)
        ids[short_id] = iid
    if bootstrap > 1:
        return "two bootstrap server accounts"
    if enough and not ids and not server:
        return "only a bootstrap server account" if bootstrap else "no server account"
    for iid in sorted(server):
        values = server[iid]
        short_id = values[0]
        if short_id not in ids:
            return "/%d/%d: short server id %d has no pair" % (1, iid, short_id)
        if ids[short_id] < 0:
            return "/%d/%d: short server id %d is there twice" % (1, iid, short_id)
        ids[short_id] = -1
        if "U" not in values[7]:
            return "/1/%d/7: the server's URI asks for U, not %s" % (iid, values[7])
    for short_id in ids:
        if ids[short_id] >= 0:
            return "/%d/%d: short server id %d has no pair" % (0, ids[short_id], short_id)


def amiss(obj):
    """What an Object's instances lack, or have and cannot have, each by itself: a str, or None."""
    for iid in sorted(obj.instances):
        values = obj.instances[iid]
        text = "no such id" if iid == _MAX_ID else obj.missing(values)
        if text:
            return "/%d/%d: %s" % (obj.id, iid, text)
        for rid in values:
            flags = obj.flags(rid)
            text = flags and fault(obj.id, rid, flags, values[rid])
            if text:
                return "/%d/%d/%d %s" % (obj.id, iid, rid, text)
