# Sockets that fail: whatever they and poll() raise, step() goes on, and what is too long is not
# believed (issue 9 A5, A6).

import lwm2m
import lwm2m.net as net
import socket
import time
from ucoap.engine import Engine
from world import datagram

TEXT = 0


class _Faulty:
    """Stands before a module or an object: the n-th call of a function of it raises."""

    def __init__(self, real, faults):
        self._real = real
        self._faults = faults

    def __getattr__(self, name):
        value = getattr(self._real, name)
        if not callable(value):
            return value

        def call(*args):
            self._faults.called(name)
            made = value(*args)
            # What modules make fails too: sockets and pollers.
            return _Faulty(made, self._faults) if name in ("socket", "poll") else made

        return call


class _Faults:
    def __init__(self):
        self.names = {}  # {function: calls so far}
        self.name = None
        self.n = 0  # the call that fails; 0: every one
        self.error = None

    def called(self, name):
        n = self.names[name] = self.names.get(name, 0) + 1
        if name == self.name and (not self.n or n == self.n):
            raise self.error


def _poller(faults):
    # As select.poll(), for what may be a _Faulty socket.
    import select

    class Poller:
        def __init__(self):
            self.real = select.poll()
            self.socks = {}

        def register(self, sock, flags):
            faults.called("register")
            real = getattr(sock, "_real", sock)
            self.socks[id(real)] = sock
            self.real.register(real, flags)

        def unregister(self, sock):
            real = getattr(sock, "_real", sock)
            self.socks.pop(id(real), None)
            self.real.unregister(real)

        def ipoll(self, ms):
            faults.called("ipoll")
            for real, flags in self.real.poll(ms):
                yield self.socks[id(real)], flags

    class Select:
        POLLIN = select.POLLIN
        poll = Poller

    return Select


class _Registrar:
    """A LwM2M Server that registers everybody, on a real socket of its own."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:  # ports are tried, as the unix port has no getsockname()
            self.port = 20000 + net.rng() % 20000
            try:
                self.sock.bind(socket.getaddrinfo("127.0.0.1", self.port)[0][-1])
                break
            except OSError:
                pass
        self.sock.setblocking(False)
        self.engine = Engine(lambda peer, data: self.sock.sendto(data, peer), self.handle, net.rng)
        self.peer = None
        self.count = 0
        self.answers = []

    def handle(self, peer, m, payload, reply, now):
        self.peer = peer
        if m.strings(11) == ["rd"]:
            self.count += 1
            reply.location = ("rd", "1")
            return 0x41
        return 0x44

    def serve(self):
        self.engine.poll(net.now())
        while True:
            try:
                data, peer = self.sock.recvfrom(2000)
            except OSError:
                return
            if data[1] >> 5 == 2 or data[1] >> 5 == 4:
                self.answers.append(data)
            self.engine.receive(peer, data, net.now())

    def close(self):
        self.sock.close()


def _run(client, registrar, until, ms=60000):
    start = time.ticks_ms()
    while time.ticks_diff(time.ticks_ms(), start) < ms:
        registrar.serve()
        client.step(0)
        if until():
            return True
        time.sleep_ms(1)
    return False


def _client(registrar, events):
    client = lwm2m.Client("dev", events.append)
    client.core.engine.settings = (100, 150, 4)
    client.add_server(1, "coap://127.0.0.1:%d" % registrar.port, lwm2m.SEC_NONE, 300)
    client.set_coap(1, 100, 150, 4)
    client.set_server(1, {17: 1000, 18: 1})
    return client


def _with_faults(faults, f):
    # Run f() while net has modules that fail.
    real = net.socket, net.select
    net.socket = _Faulty(socket, faults)
    net.select = _poller(faults)
    try:
        return f()
    finally:
        net.socket, net.select = real


def test_a5_every_call_fails_once():
    # First count which calls there are, until a client has registered, was updated and has left.
    def story(faults):
        registrar = _Registrar()
        events = []
        client = _client(registrar, events)
        try:
            assert _run(client, registrar, lambda: registrar.count), (faults.name, faults.n)
            assert _run(client, registrar, lambda: client.core.accounts[0].state == 4)
            client.core.accounts[0].action = 8  # Registration Update Trigger
            assert _run(client, registrar, lambda: client.core.accounts[0].action == 0)
            assert _run(client, registrar, lambda: client.core.accounts[0].state == 4)
            faults.name = None
            client.close(0)
        finally:
            registrar.close()

    faults = _Faults()
    _with_faults(faults, lambda: story(faults))
    calls = faults.names
    for name in (
        "socket",
        "getaddrinfo",
        "connect",
        "setblocking",
        "send",
        "recv",
        "ipoll",
        "close",
    ):
        assert name in calls or name == "close", calls
    for name in calls:
        for n in (1, 2):
            for error in (OSError(5), MemoryError()):
                if n <= calls[name] and name != "poll":  # of the making of Net itself
                    faults = _Faults()
                    faults.name, faults.n, faults.error = name, n, error
                    _with_faults(faults, lambda: story(faults))


def test_a5_calls_that_fail_again_and_again():
    # What fails for ever never leaves step(); once it works, the client registers.
    for name in ("socket", "getaddrinfo", "connect", "send", "recv", "ipoll", "register"):
        for error in (OSError(5), MemoryError()):
            registrar = _Registrar()
            faults = _Faults()
            events = []

            def story():
                client = _client(registrar, events)
                faults.name, faults.error = name, error
                for _ in range(40):
                    client.step(0)
                    registrar.serve()
                faults.name = None
                assert _run(client, registrar, lambda: registrar.count), (name, error)
                client.close(0)

            _with_faults(faults, story)
            registrar.close()


def test_a5_poll_that_fails_gives_up_connections():
    # An ESP32 short of the system's heap: select() raises EIO until there is more of it.
    registrar = _Registrar()
    events = []
    faults = _Faults()

    def story():
        client = _client(registrar, events)
        assert _run(client, registrar, lambda: client.core.accounts[0].state == 4)
        faults.name, faults.error = "ipoll", OSError(5)
        start = time.ticks_ms()
        assert client.step(2) == 0
        assert time.ticks_diff(time.ticks_ms(), start) >= 2000  # and does not spin
        assert client.core.accounts[0].connection is None
        faults.name = None
        assert _run(client, registrar, lambda: registrar.count == 2)
        client.close(0)

    _with_faults(faults, story)
    registrar.close()


def test_a6_what_is_too_long_is_not_believed():
    # A datagram of more than 1,280 bytes is cut by recv(): half of it would be stored.
    registrar = _Registrar()
    events = []
    client = _client(registrar, events)
    assert _run(client, registrar, lambda: client.core.accounts[0].state == 4)
    for size, good in ((1200, True), (1280, True), (1281, False), (1400, False), (1600, False)):
        head = datagram(0, 3, size, "/3/0/15", b"x", TEXT)
        data = head + b"x" * (size - len(head))
        registrar.answers.clear()
        dropped = client.net.dropped
        registrar.sock.sendto(data, registrar.peer)
        if good:
            assert _run(client, registrar, lambda: registrar.answers)
            assert registrar.answers[0][1] == 0x44
            assert len(client.core.objects[3].instances[0][15]) == size - len(head) + 1
        else:
            assert _run(client, registrar, lambda: client.net.dropped == dropped + 1)
            assert not registrar.answers
            assert len(client.core.objects[3].instances[0][15]) <= 1280
    client.close(0)
    registrar.close()


def test_what_comes_together_is_answered_in_one_pass():
    registrar = _Registrar()
    client = _client(registrar, [])
    assert _run(client, registrar, lambda: client.core.accounts[0].state == 4)
    for n, answered in ((10, 10), (20, 16)):  # a flood does not keep the step from ending
        registrar.answers.clear()
        for i in range(n):
            data = datagram(0, 1, n * 100 + i, "/3/0/17", b"")
            registrar.sock.sendto(data, registrar.peer)
        client.step(0)
        registrar.serve()
        assert len(registrar.answers) == answered, (n, len(registrar.answers))
    client.close(0)
    registrar.close()
