# UDP sockets, the clock, and the loop that runs clients and servers on them.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import gc
import os
import select
import socket
import time
from micropython import const
from . import forget, optional
from lwm2m.objects import split_uri
from ucoap.engine import diff

_MASK = const(0x3FFFFFFF)
_MAX_DATAGRAM = const(1280)  # more than RFC 7252 4.6 lets a message have
_SHORT_DATAGRAM = const(160)
_DYNAMIC = const(0xC000)  # the first of the dynamic ports (RFC 6335 6)
_DYNAMIC_MASK = const(0x3FFF)
_INTERNAL = const(0xA0)
_BURST = const(
    16
)  # datagrams of a socket in one pass: what has come together is answered together
_FAULTS = const(10)  # of poll() in a row, after which connections are given up
_PAUSE_MS = const(100)
_DAY_MS = const(86400000)


def now():
    """Milliseconds, masked to 30 bits, as every other module takes them."""
    return time.ticks_ms() & _MASK


def rng():
    """30 random bits, as the engines want them."""
    return int.from_bytes(os.urandom(4), "big") >> 2


def address(host, port):
    """(family, address) of a host, of either family. Blocks while a name is looked up. Raises
    OSError."""
    info = socket.getaddrinfo(host, port)[0]  # lwIP's warns of any more arguments,
    family, peer = info[0], info[-1]
    if isinstance(peer, tuple) and ":" in peer[0]:  # and tells a wrong family
        family = socket.AF_INET6
    return family, peer


class Net:
    """UDP, plain and with DTLS, for one or more roles: a client's core, a server.

    lookup: what looks up names, as address() does.

    A role has poll(now), next_ms(now), receive(peer, datagram, now) and an attribute status.
    Its poll() returns a status; its next_ms() may be -1 for never.
    """

    handshake_ms = 45000  # how long a DTLS handshake may take; dtls says why
    port = 0  # of a client's end; 0 for a random one
    trust = ()  # DER certificates of CAs, for Certificate Usage 0 and 1 (/0/x/15)
    now = staticmethod(now)
    rng = staticmethod(rng)

    def __init__(self, lookup=address):
        self.lookup = lookup
        self._poller = select.poll()
        self._entries = []  # (socket, role, account, or None for a server's socket)
        self._roles = []  # and DTLS sessions, and Listeners
        self._stopped = False
        self._faults = 0  # of poll(), in a row
        self.dropped = 0  # datagrams that were too long

    @property
    def modes(self):
        """What contains the Security Modes (/0/x/2) that it can do; of package lwm2m-security."""
        modes = optional("security").Modes()
        forget("security")  # it was only asked for
        return modes

    def add(self, role):
        """Let step() run a role too."""
        role.status = 0
        if role not in self._roles:
            self._roles.append(role)

    def remove(self, role):
        if role in self._roles:
            self._roles.remove(role)

    # --- A client's connections; core.Core says what these are for

    def open(self, role, account, now, begin=None):
        scheme, host, port, path = split_uri(account.uri)
        family, peer = self.lookup(host, port)
        port = self.port or _DYNAMIC | self.rng() & _DYNAMIC_MASK
        account.peer = family, peer, port
        sock = socket.socket(family, socket.SOCK_DGRAM)
        account.connection = sock
        try:
            sock.setblocking(False)
            try:
                sock.bind(address("::" if family == socket.AF_INET6 else "0.0.0.0", port)[1])
            except OSError:
                pass  # somebody has it: connect() takes another
            sock.connect(peer)  # so that datagrams of others do not get here
            if scheme == "coaps":
                if not begin:
                    from lwm2m.dtls import connect as begin

                account.connection = role = begin(
                    role, account, sock, host, now, self.handshake_ms, self.trust
                )
                self.add(role)
            self.register(sock, role, account)
        except Exception:  # OSError, MemoryError; a tuple of them would need memory itself
            self.close(account)
            raise
        return scheme == "coap"

    def close(self, account):
        self.unbind(account.connection)
        account.connection = None

    def suspend(self, account):
        """Close a connection without a word. Returns bytes for resume(), b"" where the address is
        all; None where it has to begin anew, of which a server with DTLS is told."""
        data = b""
        if account.connection in self._roles:
            resume = optional("resume")
            data = resume and resume.save(account.connection)
        self.close(account)
        return data

    def resume(self, role, account, data, now):
        """Open a connection again. Returns False, and nothing has changed, where that cannot be."""
        try:
            if not data:
                return account.uri[4] == ":" and self.open(role, account, now)
            return optional("resume").resume(self, role, account, data, now)
        except Exception:  # as in open()
            return False

    def send(self, account, datagram):
        try:
            account.connection.send(datagram)
        except OSError:
            pass  # it is lost, as others are on their way: the exchange sends it again

    # --- A server's socket

    def bind(self, role, host, port, dtls=None):
        """A socket for role.receive(address, …). Returns it. Raises OSError.

        With dtls, the options of a dtls_server.Listener, it returns one.
        """
        from lwm2m.listen import bind

        return bind(self, role, host, port, dtls)

    def sendto(self, sock, peer, datagram):
        try:
            sock.sendto(datagram, peer)
        except OSError:
            pass  # as in send()

    # --- The loop

    def register(self, sock, role, account):
        self._poller.register(sock, select.POLLIN)
        self._entries.append((sock, role, account))

    def unbind(self, sock):
        """Close a socket, a DTLS session or a Listener."""
        if sock in self._roles:  # a session or a Listener
            self._roles.remove(sock)
            sock.close()
            sock = sock.sock
        self._poller.unregister(sock)
        for entry in self._entries:
            if entry[0] is sock:
                self._entries.remove(entry)
                break
        sock.close()

    def stop(self):
        """Let the step() under way return after this pass."""
        self._stopped = True

    def step(self, role, seconds):
        """Run all roles: one pass for 0, that many seconds, or for ever where negative.

        Returns role's status; one that is not NO_ERROR at once.
        """
        left = seconds * 1000
        self._stopped = False
        then = now()
        self._pass(then)
        while not (role.status or self._stopped):
            wait = self.next_ms(then)
            if seconds >= 0:
                wait = min(wait, left)
            try:
                for sock, flags in self._poller.ipoll(wait):
                    n = _BURST
                    while n and self._receive(sock):
                        n -= 1
                self._faults = 0
            except Exception as e:
                self._failed(e, wait)
            t = now()
            left -= diff(t, then)
            then = t
            self._pass(then)
            if seconds >= 0 and left <= 0:
                break
        status = role.status
        role.status = 0
        return status

    def _failed(self, e, ms):
        # poll() has raised: where select() wants memory of the system's own, EIO when there is none.
        if not isinstance(e, OSError) and not isinstance(e, MemoryError):
            raise e  # a fault of ours
        gc.collect()
        self._faults += 1
        if self._faults < _FAULTS:
            return time.sleep_ms(min(ms, _PAUSE_MS))
        self._faults = 0
        t = now()
        # Connections are what can be done without.
        for sock, role, account in list(self._entries):
            if account is not None:
                role.disconnected(account, _INTERNAL, "out of memory", t)

    def next_ms(self, now):
        """Milliseconds until step() has something to do if nothing comes from the network."""
        wait = _DAY_MS
        for role in self._roles:
            ms = role.next_ms(now)
            if 0 <= ms < wait:
                wait = ms
        return wait

    def _pass(self, now):
        for role in self._roles:
            try:
                status = role.poll(now)
            except MemoryError:
                status = _INTERNAL
            if status:
                role.status = status

    def _receive(self, sock):
        # Take a datagram; whether there was one.
        for entry in self._entries:
            if entry[0] is sock:
                break
        else:
            return False  # closed by what came just before
        size = getattr(entry[1], "datagram", _MAX_DATAGRAM) + 1
        while True:
            try:
                if entry[2] is None:
                    data, peer = sock.recvfrom(size)
                else:
                    data = sock.recv(size)
                    peer = entry[2]
                if len(data) < size:
                    entry[1].receive(peer, data, now())
                else:  # it has been cut
                    self.dropped += 1
                return True
            except OSError:
                return False  # none, or an ICMP error: not to be believed, as anybody can send one
            except MemoryError:
                # The heap is in pieces: what is short can still get through.
                size //= 2
                if not size:
                    return False
                if size < _SHORT_DATAGRAM:
                    size = 1  # it is lost, or the poller would report it for ever
