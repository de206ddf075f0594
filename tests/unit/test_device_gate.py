# A link that goes and comes back, over the sockets of a real Net and DTLS, against a Server of ours:
# one Update, where the session is known from where the board is now.
# heapsize: 2M

import time
import device.link as link
import lwm2m
import lwm2m.dtls
from dtls_net import KEY
from lwm2m.credentials import Credentials
from lwm2m.model import FLOAT, Object, R
from lwm2m.net import Net
from lwm2m.server import REGISTERED, UPDATED, Server

_PATIENCE_MS = 60000
_PORTS = 200
_TIMES = 5


class _Link:
    def __init__(self):
        self.here = "192.0.2.1"

    def address(self):
        return self.here


class _Case:
    def __init__(self, mode, ids=True):
        # A client that offers no connection ids is what it is with a server that has none.
        lwm2m.dtls.hasattr = lambda o, name: (ids or name != "dtls_cid") and hasattr(o, name)
        self.net = Net()
        self.events = []
        self.values = []
        self.hellos = 0
        keys = Credentials()
        keys.create(b"device-1", (0, b"device-1", b"", KEY))
        secured = {"credentials": keys, "identities": {b"device-1": "device-1"}}
        for port in range(58030, 58030 + _PORTS):
            try:
                self.server = Server(
                    port,
                    "127.0.0.1",
                    lambda event, client: self.events.append(event),
                    net=self.net,
                    **(secured if mode == lwm2m.SEC_PRE_SHARED_KEY else {}),
                )
                break
            except OSError:
                pass
        if mode == lwm2m.SEC_PRE_SHARED_KEY:
            listener = self.server._socket
            self.hello = listener._hello
            listener._hello = self._hello
        self.client = lwm2m.Client("device-1", net=self.net)
        self.sensor = Object(3303, (5700, R | FLOAT), {0: {5700: 1.0}})
        self.client.add_object(self.sensor)
        uri = "%s://127.0.0.1:%d" % ("coap" if mode == lwm2m.SEC_NONE else "coaps", port)
        security = {3: b"device-1", 5: KEY} if mode == lwm2m.SEC_PRE_SHARED_KEY else None
        self.client.add_server(1, uri, mode, 3600, True, security)
        self.link = _Link()
        self.gate = link.Gate(self.client, self.link)
        self.up = True
        self.until(lambda: REGISTERED in self.events)
        self.remote = self.server.clients["device-1"]
        self.server.observe(self.remote, "/3303/0/5700", self._value)
        self.until(lambda: self.values == [1.0])

    def _hello(self, *args):
        self.hellos += 1
        self.hello(*args)

    def _value(self, client, code, format, payload):
        self.values.append(float(payload) if code == 0x45 else code)

    def turn(self):
        """As main.py's loop has it."""
        self.gate.poll(self.up, self.net.now())
        self.net.step(self.server, 0)

    def until(self, done):
        since = time.ticks_ms()
        while not done():
            self.turn()
            assert time.ticks_diff(time.ticks_ms(), since) < _PATIENCE_MS, "nothing comes"

    def flap(self, value, address="192.0.2.1"):
        self.events.clear()
        self.values.clear()
        self.up = False
        self.turn()
        self.sensor.set(0, 5700, value)
        for _ in range(10):
            self.turn()
        assert not self.events and not self.values
        self.up = True
        self.link.here = address

    def close(self):
        self.client.close()
        self.server.close()


def _flaps(case, addresses):
    # One Update each, on the same session, and what was observed still is.
    hellos = case.hellos
    peer = case.remote.peer
    for n in range(_TIMES):
        case.flap(n + 2.0, addresses[n % len(addresses)])
        case.until(lambda: case.events and case.values)
        case.until(lambda: case.client.core.accounts[0].state == 4)
        assert case.events == [UPDATED] and case.values == [n + 2.0], (case.events, case.values)
    assert case.hellos == hellos and case.remote.peer == peer
    case.close()


def test_without_dtls():
    _flaps(_Case(lwm2m.SEC_NONE), ("192.0.2.1",))


def test_a_session_without_ids():
    _flaps(_Case(lwm2m.SEC_PRE_SHARED_KEY, False), ("192.0.2.1",))


def test_a_session_with_ids_wherever_it_is():
    case = _Case(lwm2m.SEC_PRE_SHARED_KEY)
    assert case.client.core.accounts[0].connection.roams
    _flaps(case, ("192.0.2.2", "192.0.2.1"))


def test_another_address_without_ids():
    # There is no use in waiting for an answer: it begins anew at once.
    for mode, hellos in ((lwm2m.SEC_NONE, 0), (lwm2m.SEC_PRE_SHARED_KEY, 2)):
        case = _Case(mode, False)
        before = case.hellos
        case.flap(2.0, "192.0.2.2")
        case.until(lambda: REGISTERED in case.events)
        assert UPDATED not in case.events and case.hellos == before + hellos
        case.close()


def test_the_server_has_forgotten_it_meanwhile():
    # 4.04 to the Update: it registers over the same session.
    case = _Case(lwm2m.SEC_PRE_SHARED_KEY)
    hellos = case.hellos
    case.flap(2.0)
    case.server._expire(case.remote, "")
    case.events.clear()
    case.until(lambda: REGISTERED in case.events)
    assert case.hellos == hellos
    case.close()


def test_what_was_under_way():
    # An update goes on; a client that was not registered begins anew.
    case = _Case(lwm2m.SEC_PRE_SHARED_KEY)
    case.client.core.accounts[0].due = case.client.core.seconds
    case.flap(2.0)
    case.until(lambda: case.events)
    assert case.events == [UPDATED]
    case.flap(4.0)
    account = case.client.core.accounts[0]
    case.client.core.disconnect(account, 3600)
    case.until(lambda: REGISTERED in case.events)
    case.close()
