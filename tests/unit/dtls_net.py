# Clients and a server with DTLS in one process, without sockets: for test_dtls.py.

import time
from binascii import hexlify
from hashlib import sha256

import lwm2m.dtls as dtls
from lwm2m.dtls_server import Listener
from lwm2m.core import Account, Core

import dtls_certs as certs

KEY = b"\x01key of the device"
_PATIENCE_MS = 6 * dtls.HANDSHAKE_MS

PSK = {0: "coaps://server.example.org", 2: 0, 3: b"device-1", 5: KEY}


def x509(**changes):
    """A /0 instance in certificate mode; changes: r15=2 stands for {15: 2}."""
    security = {
        0: "coaps://server.example.org",
        2: 2,
        3: certs.CLIENT,
        4: certs.SERVER,
        5: certs.CLIENT_KEY,
    }
    security.update({int(name[1:]): changes[name] for name in changes})
    return security


def rpk(**changes):
    """A /0 instance in raw public key mode, as x509()."""
    security = {
        0: "coaps://server.example.org",
        2: 1,
        3: certs.CLIENT_PUBLIC,
        4: certs.SERVER_PUBLIC,
        5: certs.CLIENT_KEY,
    }
    security.update({int(name[1:]): changes[name] for name in changes})
    return security


class Socket:
    """What a session sends over: a queue of the network."""

    def __init__(self, network, address=None):
        self.network = network
        self.address = address  # a client's own

    def send(self, data):
        self.network.put((self.address, None, bytes(data)))

    def sendto(self, data, address):
        self.network.put((None, address, bytes(data)))


class Client:
    """An account's session, and what its role was told; in place of core.Core."""

    context = None

    def __init__(self, network, address, security, host="server.example.org", trust=()):
        self.events = []
        self.account = Account(security, 1)
        network.clients[address] = self
        self.session = dtls.connect(
            self,
            self.account,
            Socket(network, address),
            host,
            network.now,
            dtls.HANDSHAKE_MS,
            trust,
        )

    def keys(self, account):
        return Core.keys(self, account)

    def connected(self, account, now):
        assert account is self.account
        self.events.append("up")

    def disconnected(self, account, code, text, now):
        assert account is self.account
        self.events.append((code, text))

    def receive(self, account, data, now):
        assert account is self.account
        self.events.append(data)

    def failure(self):
        """The text of the one event that there was."""
        assert len(self.events) == 1, self.events
        return self.events[0][1]


class Network:
    """A listener and its clients. lose(source, target, data) -> True for a datagram that is lost."""

    def __init__(self, lose=None, **options):
        self.now = 1000
        self.lose = lose
        self.queue = []
        self.log = []  # (source, target, data), None is the server
        self.clients = {}
        self.refused = []  # texts
        self.received = []  # (session, data)
        self.gone = []  # sessions
        if not options:
            options = {"psk": {b"device-1": KEY}}
        self.listener = Listener(Socket(self), self, **options)
        self.listener.on_refused = self._refuse

    def put(self, item):
        self.log.append(item)
        if not (self.lose and self.lose(*item)):
            self.queue.append(item)

    def _refuse(self, address, identity, text):
        self.refused.append(text)

    def receive(self, session, data, now):
        self.received.append((session, data))

    def disconnected(self, session):
        self.gone.append(session)

    def pump(self):
        """Let everybody work until nobody has anything to say."""
        while True:
            self.listener.poll(self.now)
            for address in list(self.clients):
                self.clients[address].session.poll(self.now)
            if not self.queue:
                break
            while self.queue:
                source, target, data = self.queue.pop(0)
                if target is None:
                    self.listener.receive(source, data, self.now)
                elif target in self.clients:
                    self.clients[target].session.receive(None, data, self.now)

    def repeat(self, reached):
        """Let time pass, on both clocks, until reached(): tls sends what was lost again, by its own."""
        start = time.ticks_ms()
        before = self.now
        while not reached():
            waited = time.ticks_diff(time.ticks_ms(), start)
            assert waited < _PATIENCE_MS, "not reached"
            time.sleep_ms(20)
            self.now = before + waited
            self.pump()

    def client(self, address, security=PSK, **options):
        """Connect a client, as far as that goes without loss."""
        client = Client(self, address, security, **options)
        self.pump()
        return client


CERTIFICATES = {"cert": certs.SERVER, "key": certs.SERVER_KEY, "ca": certs.CA}

# The identity of the client that rpk() makes.
CLIENT_ID = hexlify(sha256(certs.CLIENT_PUBLIC).digest())
RAW = {"raw": (certs.SERVER_PUBLIC, certs.SERVER_KEY), "known": lambda who: who == CLIENT_ID}
