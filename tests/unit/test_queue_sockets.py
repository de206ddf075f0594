# Sleep cycles over the sockets of a real Net, against a Server of ours: what a client sends when it
# goes on, and from where.

import socket
import time
import lwm2m
from lwm2m.model import FLOAT, Object, R
from lwm2m.net import Net
from lwm2m.server import REGISTERED, Server

_CYCLES = 1000
_PATIENCE_MS = 60000


class _Case:
    def __init__(self):
        self.net = Net()
        self.events = []
        self.values = []
        self.looked_up = 0
        self.lookup = self.net.lookup
        self.net.lookup = self._lookup
        self.server = Server(
            self._port(),
            "127.0.0.1",
            lambda event, client: self.events.append(event),
            net=self.net,
        )
        self.begin(1.0)
        self.until(lambda: self.client.core.accounts and self.client.core.accounts[0].location)
        self.remote = self.server.clients["dev"]
        self.server.write_attributes(self.remote, "/3303/0/5700", {"con": False})
        self.server.observe(self.remote, "/3303/0/5700", self._value)
        self.until(lambda: self.values)
        self.values.clear()

    def _port(self):
        for port in range(56830, 56930):
            try:
                self.net.unbind(self.net.bind(self, "127.0.0.1", port))
            except OSError:
                continue
            self.port = port
            return port

    def _lookup(self, host, port):
        self.looked_up += 1
        return self.lookup(host, port)

    def _value(self, client, code, format, payload):
        self.values.append(float(payload) if code == 0x45 else code)

    def begin(self, value):
        self.client = lwm2m.Client("dev", net=self.net)
        self.client.add_object(Object(3303, (5700, R | FLOAT), {0: {5700: value}}))
        uri = "coap://127.0.0.1:%d" % self.port
        self.client.add_server(1, uri, lwm2m.SEC_NONE, lifetime=3600, queue=True)

    def until(self, done):
        since = time.ticks_ms()
        while not done():
            self.client.step(0)
            assert time.ticks_diff(time.ticks_ms(), since) < _PATIENCE_MS, "nothing comes"


def test_cycles():
    case = _Case()
    peer = case.remote.peer
    case.looked_up = 0
    updates = 0
    for n in range(_CYCLES):
        data = case.client.suspend()
        assert 0 < len(data) < 512
        case.begin(n + 2.0)
        assert case.client.resume(data, 300)
        case.until(lambda: case.values)
        assert case.values == [n + 2.0]
        case.values.clear()
        case.until(lambda: case.client.core.accounts[0].state == 4)
    assert case.events.count(REGISTERED) == 1 and case.looked_up == 0
    assert case.remote.peer == peer  # the port is the same
    updates = len(case.events) - 1
    assert _CYCLES * 300 // 3507 <= updates <= _CYCLES * 300 // 3000, updates
    case.client.close()
    case.server.close()


def test_the_port_is_taken():
    # As behind a NAT that has forgotten it, the server is told something from another port: it resets
    # that, and is registered with anew, so that it observes what it wants to.
    case = _Case()
    data = case.client.suspend()
    address = case.lookup("0.0.0.0", _port_of(case.remote.peer))[1]
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind(address)
    case.begin(2.0)
    assert case.client.resume(data, 300)
    case.until(lambda: case.events.count(REGISTERED) == 2)
    case.server.observe(case.remote, "/3303/0/5700", case._value)
    case.until(lambda: case.values[-1:] == [2.0])
    other.close()
    case.client.close()
    case.server.close()


def _port_of(peer):
    return peer[2] << 8 | peer[3]
