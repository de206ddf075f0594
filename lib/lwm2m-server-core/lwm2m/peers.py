# Who makes way where all places are taken, so that one peer cannot shut out the others.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const

# So many entries are looked at: who has most of all has most of these, mostly, and no table of a
# thousand has to be made while memory is short.
_SAMPLE = const(128)


def host(address):
    """What an address is without its port, of IPv6 its first 64 bits: what one peer may have all of."""
    if isinstance(address, bytes):  # as the unix port has them: family, port, address
        return address[4:16]  # of IPv6 behind the flow label
    return address[0] if isinstance(address, tuple) else address


def gives_way(entries, key, silent, newcomer, patience):
    """The one of entries that makes way for a newcomer, or None.

    Whoever has most of them gives one up: at once where the newcomer has fewer, and otherwise one
    that was silent for so long that it does not go on. key(entry): whose it is, None where it does
    not make way; newcomer: whose the new one is. silent(entry): for how long it was, in the same
    unit as patience.
    """
    counts = {newcomer: 1}
    sample = []
    for entry in entries:
        owner = key(entry)
        if owner is not None:
            counts[owner] = counts.get(owner, 0) + 1
            sample.append(entry)
            if len(sample) == _SAMPLE:
                break
    found = None
    most = longest = 0
    for entry in sample:
        count = counts[key(entry)]
        if count < most:
            continue
        time = silent(entry)
        if found is None or count > most or time > longest:
            found = entry
            most = count
            longest = time
    if most <= counts[newcomer] and longest < patience:
        return None
    return found
