# A server's UDP socket on a Net, plain or with DTLS.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import errno
import socket

from .net import address


def bind(net, role, host, port, dtls=None):
    """A socket for role.receive(address, …), which net then looks after. Raises OSError.

    dtls: options for bind_dtls().
    """
    if dtls:
        return bind_dtls(net, role, host, port, **dtls)
    sock = _bound(host, port)
    net.register(sock, role, None)
    return sock


def bind_dtls(net, role, host, port, **options):
    """As bind(), with DTLS: a dtls_server.Listener, which says what options are.

    ValueError where they are wrong, or this build has no DTLS for servers.
    """
    try:
        from .dtls_server import Listener
    except (ImportError, AttributeError):  # no such package, or a tls that cannot do it
        raise ValueError("coaps needs package lwm2m-dtls-server, and a tls module with DTLS")

    sock = _bound(host, port)
    try:
        listener = Listener(sock, role, **options)
    except Exception:
        sock.close()
        raise
    net.add(listener)
    net.register(sock, listener, None)
    return listener


def _bound(host, port):
    family, here = address(host, port)
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
