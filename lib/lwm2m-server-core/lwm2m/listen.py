# A server's UDP socket on a Net, plain or with DTLS.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import errno
import socket

from . import optional


def bind(net, role, host, port, dtls=None):
    """A socket for role.receive(address, …), which net then looks after. Raises OSError.

    dtls: options for bind_dtls().
    """
    if dtls:
        return bind_dtls(net, role, host, port, **dtls)
    sock = _bound(net, host, port)
    net.register(sock, role, None)
    return sock


def bind_dtls(net, role, host, port, **options):
    """As bind(), with DTLS: a dtls_server.Listener, which says what options are.

    ValueError where they are wrong, or this build has no DTLS for servers.
    """
    module = optional("dtls_server")
    if not module:
        raise ValueError("coaps needs package lwm2m-dtls-server")
    sock = _bound(net, host, port)
    try:
        listener = module.Listener(sock, role, **options)
    except Exception:
        sock.close()
        raise
    net.add(listener)
    net.register(sock, listener, None)
    return listener


def _bound(net, host, port):
    family, here = net.lookup(host, port)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.bind(here)
    except OSError as e:
        sock.close()
        if e.errno == errno.EADDRINUSE:
            raise OSError(e.errno, "UDP port %d is in use: choose another" % port)
        raise
    sock.setblocking(False)
    return sock
