# Sleep cycles over DTLS and the sockets of a real Net, against a Server of ours: not one handshake and
# not one registration after the first.
# heapsize: 2M

import dtls_certs as certs
import lwm2m
import lwm2m.resume
import time
from dtls_net import CLIENT_ID, KEY, PSK, rpk, x509
from lwm2m.credentials import Credentials
from lwm2m.diagnostics import Diagnostics
from lwm2m.model import FLOAT, Object, R
from lwm2m.net import Net
from lwm2m.server import REGISTERED, Server
from lwm2m.statistics import Statistics

_CYCLES = 300
_PATIENCE_MS = 60000
_PORTS = 200


class _Case:
    def __init__(self, security):
        self.security = security
        self.net = Net()
        # What stands before the net of a board, and lets through what goes on, too.
        self.diagnostics = Diagnostics(self.net)
        Statistics(self.net)
        self.events = []
        self.values = []
        self.hellos = 0
        keys = Credentials()
        keys.create(b"device-1", (0, b"device-1", b"", KEY))
        for port in range(57830, 57830 + _PORTS):
            try:
                self.server = Server(
                    port,
                    "127.0.0.1",
                    lambda event, client: self.events.append(event),
                    net=self.net,
                    credentials=keys,
                    certificate=(certs.SERVER, certs.SERVER_KEY, certs.CA),
                    raw_public_key=(certs.SERVER_PUBLIC, certs.SERVER_KEY),
                    identities={CLIENT_ID.decode(): "device-1", "device-1": "device-1"},
                )
                break
            except OSError:
                pass
        self.port = port
        listener = self.server._socket
        self.hello = listener._hello
        listener._hello = self._hello
        self.begin(1.0)
        self.until(lambda: self.events)
        self.remote = self.server.clients["device-1"]
        self.server.write_attributes(self.remote, "/3303/0/5700", {"con": False})
        self.server.observe(self.remote, "/3303/0/5700", self._value)
        self.until(lambda: self.values)
        self.values.clear()

    def _hello(self, *args):
        self.hellos += 1
        self.hello(*args)

    def _value(self, client, code, format, payload):
        self.values.append(float(payload) if code == 0x45 else code)

    def begin(self, value):
        self.client = lwm2m.Client("device-1", net=self.net)
        self.client.add_object(Object(3303, (5700, R | FLOAT), {0: {5700: value}}))
        uri = "coaps://127.0.0.1:%d" % self.port
        mode = self.security[2]
        keys = {rid: self.security[rid] for rid in (3, 4, 5) if rid in self.security}
        self.client.add_server(1, uri, mode, lifetime=3600, queue=True, security=keys)

    def until(self, done):
        since = time.ticks_ms()
        while not done():
            self.client.step(0)
            assert time.ticks_diff(time.ticks_ms(), since) < _PATIENCE_MS, "nothing comes"


def _cycles(security):
    case = _Case(security)
    assert case.hellos == 2  # with the cookie
    for n in range(_CYCLES):
        data = case.client.suspend()
        assert 200 < len(data) < 1024, len(data)
        case.begin(n + 2.0)
        assert case.client.resume(data, 300)
        case.until(lambda: case.values)
        assert case.values == [n + 2.0]
        case.values.clear()
        case.until(lambda: case.client.core.accounts[0].state == 4)
    assert case.hellos == 2
    assert case.diagnostics.handshakes == 1
    assert case.events.count(REGISTERED) == 1
    # The same bytes twice: a new registration, and no number twice.
    data = case.client.suspend()
    case.begin(0.0)
    assert case.client.resume(data, 300)
    case.client.offline()
    case.begin(0.0)
    assert not case.client.resume(data, 300)
    case.until(lambda: case.events.count(REGISTERED) == 2)
    assert case.hellos == 4
    assert case.diagnostics.handshakes == 2
    case.client.close()
    case.server.close()


def test_psk():
    _cycles(PSK)


def test_raw_public_keys():
    _cycles(rpk())


def test_certificates():
    _cycles(x509())
