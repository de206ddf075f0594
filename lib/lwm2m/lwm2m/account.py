# A server as the client deals with it, and how it is asked.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# The optional parts of a client (observe, and what an application adds to core.parts) are told of
# accounts; the core asks each in turn. A part is any object with these methods, of which only
# begin() and handle() may raise, and the last needs no memory:
#
#   begin(account, m, now)                   where it has this: a sink (ucoap/block.py) for a body of
#                                            several blocks, whose path is there and may be written;
#                                            None where it is not this part's; raises Error. The sink
#                                            is what handle() gets as payload then
#   handle(account, m, payload, reply, now)  serves a request: the response code, 0 where it is not
#                                            this part's; raises Error
#   poll(now)                                does what is due
#   next_ms(now, least)                      the less of least and the ms until it has something to
#                                            do; -1 is never
#   changed(oid, iid, rid)                   a value has; with rid -1 an instance has come or gone
#   moved(account)                           its state is another; DISCONNECTED: what was known of it
#                                            is over

from micropython import const
from ucoap import path_options
from lwm2m.objects import split_uri, unquote

# States of an account: 0 DISCONNECTED, waits for `due`, then connects; 1 CONNECTING; 2 CONNECTED;
# 3 REGISTERING; 4 REGISTERED; 5 UPDATING; 6 DEREGISTERING, as a server has executed Disable;
# 7 FAILED.
_DISCONNECTED = const(0)

_CONTENT_FORMAT = const(12)
_URI_QUERY = const(15)

_NOT_ACCEPTABLE = const(0x86)
_UNAVAILABLE = const(0xA3)


class Account:
    """A server of the Security object as the client deals with it, and its connection."""

    # Most have nothing else for these, and are smaller so.
    attempts = 0  # failed ones in this sequence (/1/x/17)
    sequences = 0  # failed ones (/1/x/20)
    code = 0  # of the last failure
    action = 0  # /1/x/4, 8 or 9, executed and yet to be done
    unheard = 0  # notifications in a row that the server has not acknowledged
    reset = False  # whether it has reset one
    peer = None  # of its connection: family, where it goes, as net has it, and our port
    settings = None  # CoAP's, as Engine.settings; None for the default

    def __init__(self, security, short_id, server_iid=None, settings=None):
        self.security = security  # the /0 instance's {resource id: value}; not changed in place
        self.short_id = short_id
        self.server_iid = server_iid  # the /1 instance; None for a bootstrap server
        self.uri = security[0]
        self.state = _DISCONNECTED
        self.due = 0  # s, Core.seconds at which the state's time is over; -1 for never
        self.connection = None  # net's own
        self.location = None  # list of options: where the server keeps the registration
        self.lifetime = self.binding = self.links = None  # as the server knows them
        self.version = None  # of LwM2M, that it is registered with
        self.rest = 0  # s, until when it does not register again
        if settings:
            self.settings = settings

    def bound(self):
        """The query that tells the server of the binding."""
        binding = "b=" + self.binding
        if self.version != "1.0" and "Q" in binding:
            binding = binding.replace("Q", "") + "&Q"
        return binding


def failure(code, payload):
    """(code, whether it is our own, text) to report of an answer that is not the right one."""
    if code < 0x40:
        return _UNAVAILABLE, True, "no answer"
    if code < 0x60:
        return _NOT_ACCEPTABLE, True, "a malformed answer"
    try:
        return code, False, str(payload, "utf-8") or None
    except ValueError:
        return code, False, None


def uri_options(uri, resource, queries, content_format=None):
    """The options of a request to /rd or /bs of a server's URI: its own path and query first."""
    path, _, query = split_uri(uri)[3].partition("?")
    options = []
    for number, part in path_options(path):  # divided, then decoded (RFC 7252 6.4)
        options.append((number, unquote(part)))
    options += path_options(resource)
    if content_format is not None:
        options.append((_CONTENT_FORMAT, content_format))
    for number, part in path_options(query, _URI_QUERY):
        options.append((number, unquote(part)))
    for query in queries:
        options.append((_URI_QUERY, query))
    return options
