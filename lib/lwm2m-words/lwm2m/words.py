# Events in words, for people: str(event) asks for them, and whoever keeps a log.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Nothing here is secret: no key, identity or URI, and no value of a resource.

from micropython import const

# Levels: of what is to be told, and of each event.
FAILURES = const(1)
EVENTS = const(2)
DETAILS = const(3)

# By Event.type; one text, as each in a tuple of its own would take 16 bytes more.
_NAMES = const(
    "unregistered;registering;registered;updating;registration failed;update failed;bootstrapping;"
    "bootstrapped;bootstrap failed;created;deleted;read;changed;observed;notified;acknowledged;"
    "notification failed;no longer observed;Store;to be looked at;Update"
)
_LEVELS = const(b"0222211221333333313132")

_REGISTERED = const(3)
_UPDATE = const(21)
_BOOTSTRAP_ID = const(65535)


def level(event):
    """Which of the levels an Event has."""
    return _LEVELS[event.type] & 3 if event.type < len(_LEVELS) else DETAILS


def words(event, peers=True):
    """A line for an Event. peers: whether with a peer's own words, quoted and escaped."""
    names = _NAMES.split(";")
    n = event.type - 1
    text = names[n] if n < len(names) else "event %d" % event.type
    if event.path and event.type != _UPDATE:  # which is always of object 5
        text += " "
        for id in event.path:
            text += "/%d" % id
    if event.short_id == _BOOTSTRAP_ID:
        text = "bootstrap server: " + text
    elif event.short_id:
        text = "server %d: %s" % (event.short_id, text)
    if event.type == _REGISTERED:
        text += ", lifetime %d s" % event.lifetime
    if event.code:
        text += " %d.%02d" % (event.code >> 5, event.code & 31)
    if event.text:
        if event.internal is not False:
            text += (", " if event.code else ": ") + event.text
        elif peers:
            text += ", %r" % event.text
    return text
