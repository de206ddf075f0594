# Sleep cycles over the sockets of a real Net, against a Server of ours, without DTLS and with each
# kind of keys: what a client sends when it goes on, and from where.
# heapsize: 2M

import socket
import time
import dtls_certs as certs
import lwm2m
import lwm2m.rpk as rpk
from lwm2m.credentials import Credentials
from lwm2m.model import FLOAT, Object, R
from lwm2m.net import Net
from lwm2m.server import REGISTERED, Server

_CYCLES = 1000
_PATIENCE_MS = 60000


# As the common name of the tests' certificate is.
_ENDPOINT = "device-1"
_IDENTITY = b"id-1"
_KEY = b"sixteen-byte-key"


def _server_settings(mode):
    if mode == lwm2m.SEC_PRE_SHARED_KEY:
        credentials = Credentials()
        credentials.create(_IDENTITY, (mode, _IDENTITY, b"", _KEY))
        return {"credentials": credentials, "identities": {_IDENTITY: _ENDPOINT}}
    if mode == lwm2m.SEC_CERTIFICATE:
        return {"certificate": (certs.SERVER, certs.SERVER_KEY, certs.CA)}
    if mode == lwm2m.SEC_RAW_PUBLIC_KEY:
        return {
            "raw_public_key": (certs.SERVER_PUBLIC, certs.SERVER_KEY),
            "identities": {rpk.identity(certs.CLIENT_PUBLIC): _ENDPOINT},
        }
    return {}


_SECURITY = {
    lwm2m.SEC_PRE_SHARED_KEY: {3: _IDENTITY, 5: _KEY},
    lwm2m.SEC_CERTIFICATE: {3: certs.CLIENT, 4: certs.SERVER, 5: certs.CLIENT_KEY},
    lwm2m.SEC_RAW_PUBLIC_KEY: {
        3: certs.CLIENT_PUBLIC,
        4: certs.SERVER_PUBLIC,
        5: certs.CLIENT_KEY,
    },
}


class _Case:
    def __init__(self, mode=lwm2m.SEC_NONE):
        self.mode = mode
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
            **_server_settings(mode),
        )
        self.begin(1.0)
        self.until(lambda: self.client.core.accounts and self.client.core.accounts[0].location)
        self.remote = self.server.clients[_ENDPOINT]
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
        self.client = lwm2m.Client(_ENDPOINT, net=self.net)
        self.client.add_object(Object(3303, (5700, R | FLOAT), {0: {5700: value}}))
        security = _SECURITY.get(self.mode)
        uri = "%s://127.0.0.1:%d" % ("coaps" if security else "coap", self.port)
        self.client.add_server(1, uri, self.mode, 3600, True, security)

    def until(self, done):
        since = time.ticks_ms()
        while not done():
            self.client.step(0)
            assert time.ticks_diff(time.ticks_ms(), since) < _PATIENCE_MS, "nothing comes"


def _cycles(mode):
    case = _Case(mode)
    peer = case.remote.peer
    case.looked_up = 0
    for n in range(_CYCLES):
        data = case.client.suspend()
        assert 0 < len(data) < 1024
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


def test_cycles():
    _cycles(lwm2m.SEC_NONE)


def test_cycles_with_pre_shared_keys():
    _cycles(lwm2m.SEC_PRE_SHARED_KEY)


def test_cycles_with_certificates():
    _cycles(lwm2m.SEC_CERTIFICATE)


def test_cycles_with_raw_public_keys():
    _cycles(lwm2m.SEC_RAW_PUBLIC_KEY)


def test_the_server_has_restarted():
    # A session that only the client knows gets no answer: then it begins anew, in one wake-up.
    for mode in (lwm2m.SEC_NONE, lwm2m.SEC_PRE_SHARED_KEY):
        case = _Case(mode)
        data = case.client.suspend()
        case.server.close()
        case.server = Server(
            case.port,
            "127.0.0.1",
            lambda event, client: case.events.append(event),
            net=case.net,
            **_server_settings(mode),
        )
        case.events.clear()
        case.begin(2.0)
        case.client.set_coap(1, 50, 100, 2)
        assert case.client.resume(data, 3520)
        case.until(lambda: case.events == [REGISTERED])
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
