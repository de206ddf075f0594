# What make bench runs for what many clients cost a server: growth.py
#
# Prints as JSON, for each of both servers, the µs of CPU that a client takes where it is alone and
# where it is one of many at once, in one process; and the bytes of heap that it takes: a session
# of which the first answer is to come, a client that is registered. Datagrams are made by hand, so
# that next to nothing of it is the clients'.

import gc
import json
import time

import lwm2m.bootstrap_server as bs
import lwm2m.server as server

MANY = 300
_ROUNDS = 6

_URI = "coap://10.0.0.2:5683"
_ACCOUNTS = {"*": {"servers": [{"short_id": 1, "uri": _URI, "lifetime": 300}]}}
_FRESH = b'</>;lwm2m=1.1,</0/0>;uri="coap://10.0.0.2:5783",</1>,</3/0>'
_LIST = b'</>;rt="oma.lwm2m";ct=11542,</1/0>,</3/0>'

_CONTENT = 0x45
_CHANGED = 0x44


class Net:
    """Of one role; what it sends is kept for the client that it is for."""

    def __init__(self):
        self.time = 0
        self.out = {}  # {address: the last datagram to it}
        self.seed = 1

    def now(self):
        return self.time & 0x3FFFFFFF

    def rng(self):
        self.seed = self.seed * 1103515245 + 12345 & 0x7FFFFFFF
        return self.seed >> 1

    def add(self, role):
        self.role = role

    def remove(self, role):
        pass

    def bind(self, role, host, port, dtls=None):
        return port

    def unbind(self, sock):
        pass

    def sendto(self, sock, peer, datagram):
        self.out[peer] = datagram

    def arrives(self, peer, datagram):
        """A turn of the loop in which one datagram comes."""
        self.time += 1
        now = self.now()
        self.role.next_ms(now)
        self.role.receive(peer, datagram, now)
        self.role.poll(now)


def address(n):
    return "10.%d.%d.%d" % (n >> 16, n >> 8 & 255, n & 255), 5683


def answer(request, code, payload=b""):
    n = request[0] & 15
    head = bytes((0x60 | n, code)) + request[2 : 4 + n]
    return head + b"\xff" + payload if payload else head


def ask(n, code, options, payload=b""):
    # With a message id of its own and no token.
    return b"\x40%c%c%c%s%s" % (code, n >> 8 & 255, n & 255, options, payload)


# --- The steps of a client, one datagram each


def bootstrap_request(net, n, name):
    net.arrives(address(n), ask(n, 2, b"\xb2bs\x48ep=%05d" % name))


def discovered(net, n, name):
    net.arrives(address(n), answer(net.out[address(n)], _CONTENT, _FRESH))


def changed(net, n, name):
    net.arrives(address(n), answer(net.out[address(n)], _CHANGED))


BOOTSTRAP = (bootstrap_request, discovered, changed, changed, changed)


def register(net, n, name):
    net.arrives(
        address(n), ask(n, 2, b"\xb2rd\x11\x28\x38ep=%05d\x05lt=60\x09lwm2m=1.1\xff" % name, _LIST)
    )


def read(net, n, name):
    net.arrives(address(n), answer(net.out[address(n)], _CONTENT, b"maker"))


def update(net, n, name):
    location = net.role.clients["%05d" % name].location.encode()
    net.arrives(address(n), ask(n + 1, 2, b"\xb2rd%c%s" % (len(location), location)))


def deregister(net, n, name):
    location = net.role.clients["%05d" % name].location.encode()
    net.arrives(address(n), ask(n + 2, 4, b"\xb2rd%c%s" % (len(location), location)))


REGISTRATION = (register, read, update, deregister)


def bootstrap_server(clients):
    return bs.BootstrapServer(5783, net=Net(), accounts=_ACCOUNTS, max_sessions=clients)


def lwm2m_server(clients):
    def on_client(event, client):
        if event == server.REGISTERED:
            one.read(client, "/3/0/0", None)

    one = server.Server(5683, on_client=on_client, net=Net(), max_clients=clients)
    return one


def cost(role, steps, at_once, turn):
    """µs of CPU a client, where so many do the same at once."""
    net = role.net
    gc.collect()
    start = time.clock()
    for first in range(0, MANY, at_once):
        for step in steps:
            for n in range(first, first + at_once):
                step(net, n + turn * 5000, n)
    passed = time.clock() - start
    net.out.clear()
    net.time += 300000  # what is remembered of them is forgotten
    role.poll(net.now())
    return passed / MANY * 1e6


def size(make, steps):
    """Bytes of heap a client, all that is taken at the start included."""
    gc.collect()
    empty = make(1)
    gc.collect()
    before = gc.mem_alloc()
    role = make(MANY)
    for step in steps:
        for n in range(MANY):
            step(role.net, n, n)
    role.net.out = {}
    gc.collect()
    used = gc.mem_alloc() - before
    empty.close()
    role.close()
    return used // MANY


def main():
    found = {}
    for name, make, steps, held in (
        ("bootstrap", bootstrap_server, BOOTSTRAP, BOOTSTRAP[:1]),
        ("registration", lwm2m_server, REGISTRATION, REGISTRATION[:2]),
    ):
        role = make(MANY)
        alone = []
        many = []
        for turn in range(_ROUNDS):
            alone.append(cost(role, steps, 1, turn))
            many.append(cost(role, steps, MANY, turn))
        role.close()
        found[name] = {"alone": min(alone), "many": min(many), "bytes": size(make, held)}
    print(json.dumps(found))


main()
