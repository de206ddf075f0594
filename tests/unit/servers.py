# A network without sockets and a clock without time, for servers and clients in one process; and
# datagrams of a peer that is not ours.

import micropython
from ucoap import ACK, CON, CONTENT_FORMAT, NON, URI_QUERY, Message, Writer, path_options

MASK = 0x3FFFFFFF


class World:
    """A net, as Net is one, for all roles of a test.

    drop: numbers of the datagrams that get lost, from 0. sent: (from, to, datagram) of all.
    """

    modes = (3,)

    def __init__(self, drop=(), start=0):
        self.time = start  # ms
        self.drop = drop
        self.sent = []
        self.left = []  # of sent, yet to be delivered: indices
        self.roles = []
        self.servers = {}  # port: role
        self.listeners = {}  # port: Listener
        self.connections = {}  # address: (role, account)
        self.opened = 0
        self.peers = 0
        self.seed = 1

    def now(self):
        return self.time & MASK

    def rng(self):
        self.seed = self.seed * 1103515245 + 12345 & 0x7FFFFFFF
        return self.seed >> 1

    def add(self, role):
        self.roles.append(role)

    def remove(self, role):
        self.roles.remove(role)

    def bind(self, role, host, port, dtls=None):
        self.servers[port] = role
        if dtls:
            self.listeners[port] = Listener(port, dtls)
            return self.listeners[port]
        return port

    def unbind(self, sock):
        self.servers.pop(getattr(sock, "port", sock))

    def sendto(self, sock, peer, datagram):
        self._send(getattr(sock, "port", sock), peer, datagram)

    def next_ms(self, now):
        least = 86400000
        for role in self.roles:
            least = min(least, role.next_ms(now))
        return least

    def open(self, role, account, now):
        self.opened += 1
        address = ("10.0.0.1", 40000 + self.opened)
        account.connection = address
        self.connections[address] = (role, account)
        return True

    def close(self, account):
        self.connections.pop(account.connection)
        account.connection = None

    def send(self, account, datagram):
        self._send(account.connection, int(account.uri.split(":")[-1]), datagram)

    def _send(self, source, target, datagram):
        self.sent.append((source, target, datagram))
        if len(self.sent) - 1 not in self.drop:
            self.left.append(len(self.sent) - 1)

    def deliver(self):
        """Let the datagrams that are under way arrive."""
        while self.left:
            source, target, datagram = self.sent[self.left.pop(0)]
            if target in self.servers:
                self.servers[target].receive(source, datagram, self.now())
            elif target in self.connections:
                role, account = self.connections[target]
                role.receive(account, datagram, self.now())

    def run(self, until, seconds):
        """Let time pass until until() is true; returns whether it was within that time."""
        end = self.time + seconds * 1000
        while True:
            for role in list(self.roles):
                role.poll(self.now())
            self.deliver()
            if until():
                return True
            wait = self.next_ms(self.now())
            if self.time >= end:
                return False
            self.time += min(wait, end - self.time)

    def step(self, role, seconds):
        """As Net.step()."""
        self.run(lambda: role.status, seconds)
        return role.status

    def wait(self, seconds):
        """Let time pass."""
        self.run(lambda: False, seconds)


def idle(role, now):
    """What next_ms() says, of a role that has nothing to do; to find out takes no heap."""
    for _ in range(2):
        micropython.heap_lock()
        try:
            role.poll(now)
            wait = role.next_ms(now)
        finally:
            micropython.heap_unlock()
    return wait


def request(code, path, query="", payload=b"", format=None, type=CON, mid=0):
    """A request as bytes, with token b"tk"."""
    w = Writer(2048)
    w.start(type, code, mid, b"tk")
    for number, value in path_options(path):
        w.option(number, value)
    if format is not None:
        w.option(CONTENT_FORMAT, format)
    for number, value in path_options(query, URI_QUERY):
        w.option(number, value)
    w.payload(payload)
    return w.message()


class Listener:
    """In place of a dtls_server.Listener; its sessions are Sessions of tests."""

    def __init__(self, port, options):
        self.port = port
        self.options = options
        self.on_refused = None
        self.dropped = []

    def drop(self, session):
        self.dropped.append(session)


class Session:
    """A DTLS session of that identity, which is a Peer's address."""

    def __init__(self, identity, address=("10.0.0.9", 9)):
        self.identity = identity
        self.address = address
        self.text = None


class Peer:
    """An address that sends and gets single datagrams."""

    def __init__(self, world, port, address=("10.0.0.9", 9)):
        self.world = world
        self.port = port
        self.address = address
        self.seen = len(world.sent)
        world.peers += 1
        self.mid = world.peers << 8 & 0xFFFF

    def send(self, code, path="", query="", payload=b"", format=None, type=CON, mid=None):
        """Send a request; returns the mid."""
        if mid is None:
            self.mid += 1
            mid = self.mid
        self.raw(request(code, path, query, payload, format, type, mid))
        return mid

    def raw(self, datagram):
        self.world.servers[self.port].receive(self.address, datagram, self.world.now())

    def got(self):
        """All that has come since the last time, as Messages."""
        found = []
        world = self.world
        for i in range(self.seen, len(world.sent)):
            if world.sent[i][1] == self.address:
                m = Message()
                assert m.parse(world.sent[i][2])
                found.append(m)
        self.seen = len(world.sent)
        world.left.clear()
        return found

    def ask(self, code, path="", query="", payload=b"", format=None):
        """Send a request; returns the answer, which is the first thing that comes."""
        self.got()
        mid = self.send(code, path, query, payload, format)
        m = self.got()[0]
        assert m.type == ACK and m.mid == mid and m.token == b"tk"
        return m

    def answer(self, m, code, payload=b"", format=None, observe=None, type=ACK):
        """Answer a request of the server's; with type CON or NON a notification to it."""
        w = Writer(2048)
        mid = m.mid
        if type in (CON, NON):
            self.mid += 1
            mid = self.mid
        w.start(type, code, mid, m.token)
        if observe is not None:
            w.option(6, observe)
        if format is not None:
            w.option(CONTENT_FORMAT, format)
        w.payload(payload)
        self.raw(w.message())

    def empty(self, type, mid):
        w = Writer(128)
        w.start(type, 0, mid)
        self.raw(w.message())


def payload(m):
    return m.data[m.payload :]
