# What make bench runs for what reporting and management cost a client: reports.py
#
# Prints as JSON, by hand-made datagrams and with words of this machine:
#   notification: {Content-Format: [datagrams, bytes] of one of /3303/0/5700, 21.5, confirmable and not}
#   observation, attributes, instance, server: bytes of heap that one takes
#   read, composite: bytes of heap that have to be free for a Read of 4 KB, for a Read-Composite of 20 paths
#
# The client has all packages, and five objects beside its own.

import gc
import json

import lwm2m
import lwm2m.pack as pack
from lwm2m.client import Client
from lwm2m.model import FLOAT, OPAQUE, STR, Object, R
from ucoap import ACK, CON, GET, PUT, Writer, path_options

FORMATS = (0, 60, 110, 112, 11542, 11544)

_FETCH = 5
_REGISTERING = 3  # of Account.state
_OBSERVE = 6
_LOCATION = 8
_URI_PATH = 11
_URI_QUERY = 15
_ACCEPT = 17
_CONTENT_FORMAT = 12

_EACH = 8  # of what is measured by the difference
_STEP = 64  # bytes, the precision of what has to be free
_PIECE = 64  # bytes, of what fills the rest


class Net:
    """A net of one client, and of servers that answer each request with 2.01 and a location, or 2.04."""

    modes = (3,)

    def __init__(self):
        self.time = 0
        self.sent = None  # the last datagram
        self.traffic = [0, 0]  # datagrams and bytes, both ways
        self.left = []  # (account, datagram) to be answered
        self.role = None
        self.mid = 0

    def now(self):
        return self.time & 0x3FFFFFFF

    def rng(self):
        return 12345678

    def add(self, role):
        self.role = role

    def remove(self, role):
        pass

    def open(self, role, account, now):
        account.connection = account.short_id
        return True

    def close(self, account):
        pass

    def stop(self):
        pass

    def send(self, account, datagram):
        self.sent = datagram
        self._count(datagram)
        if datagram[0] & 0x30 == 0:  # confirmable
            self.left.append((account, datagram))

    def _count(self, datagram):
        self.traffic[0] += 1
        self.traffic[1] += len(datagram)

    def run(self, seconds):
        """Let time pass; what is confirmable is acknowledged, and requests are answered."""
        for _ in range(seconds * 4):
            self.time += 250
            self.role.poll(self.now())
            while self.left:
                account, datagram = self.left.pop(0)
                mid = datagram[2] << 8 | datagram[3]
                w = Writer(64)
                if datagram[1] > 31:  # a notification
                    w.start(ACK, 0, mid)
                else:
                    registers = account.state == _REGISTERING
                    code = 0x41 if registers else 0x44
                    w.start(ACK, code, mid, datagram[4 : 4 + (datagram[0] & 15)])
                    for part in ("rd", "1") if registers else ():
                        w.option(_LOCATION, part)
                self._count(w.message())
                self.role.receive(account, w.message(), self.now())

    def ask(self, code, path, token, options=(), payload=b""):
        """Send a request; returns the answer's code and the rest."""
        self.mid = self.mid + 1 & 0xFFFF
        w = Writer(512)
        w.start(CON, code, self.mid, token)
        for number, value in options:
            if number < _URI_PATH:
                w.option(number, value)
        for number, value in path_options(path):
            w.option(number, value)
        for number, value in options:
            if number > _URI_PATH:
                w.option(number, value)
        w.payload(payload)
        datagram = w.message()
        self.time += 10
        self.sent = None
        self.role.receive(self.role.accounts[0], datagram, self.now())
        return self.sent[1] if self.sent else 0


def used():
    gc.collect()
    return gc.mem_alloc()


def token(n):
    return b"\x01\x02\x03%c" % n


def sensor(instances):
    return Object(3303, (5700, R | FLOAT, 5701, R | STR), instances, multiple=True)


def notifications(net, obj):
    """{format: for one that is confirmable, and one that is not, [datagrams, bytes] both ways}."""
    found = {}
    path = "3303/0/5700"
    for i, format in enumerate(FORMATS):
        found[format] = []
        for con in (1, 0):
            options = [(_OBSERVE, 0), (_URI_QUERY, "con=%d" % con), (_ACCEPT, format)]
            obj.set(0, 5700, 20.5)
            net.run(2)
            assert net.ask(GET, path, token(i), options) == 0x45
            obj.set(0, 5700, 21.5)
            net.traffic = [0, 0]
            net.run(2)
            found[format].append(list(net.traffic))
            net.ask(GET, path, token(i), [(_OBSERVE, 1), (_ACCEPT, format)])
    return found


def each(f):
    """Bytes of heap that one takes of what f(n) makes, once there are some."""
    f(0)
    f(1)
    before = used()
    for n in range(2, 2 + _EACH):
        f(n)
    return (used() - before) // _EACH


def least(f):
    """Bytes of heap that have to be free, in one piece, for f() to return True."""
    assert f()
    gc.collect()
    ballast = [None] * (gc.mem_free() // _PIECE)
    low, high = 0, 65536
    while high - low > _STEP:
        middle = (low + high) // 2
        gc.collect()
        count = (gc.mem_free() - middle) // _PIECE
        for n in range(count):  # the first that is free, so what is left is at the end
            ballast[n] = bytearray(_PIECE - 16)
        if f():
            high = middle
        else:
            low = middle
        for n in range(count):
            ballast[n] = None
    return high


def main():
    net = Net()
    client = Client("bench", net=net, version="1.2")
    obj = sensor({0: {5700: 21.5, 5701: "Cel"}})
    client.add_object(obj)
    client.add_object(Object(1000, (0, R | OPAQUE), {0: {0: bytes(4096)}}))
    for oid in range(3):
        values = dict.fromkeys(range(5), 1.5)
        client.add_object(
            Object(
                2000 + oid,
                (0, R | FLOAT, 1, R | FLOAT, 2, R | FLOAT, 3, R | FLOAT, 4, R | FLOAT),
                {0: values},
            )
        )
    client.add_server(1, "coap://server", lwm2m.SEC_NONE)
    net.run(5)
    assert client.core.accounts[0].state == 4
    found = {"notification": notifications(net, obj)}

    paths = ["/200%d/0/%d" % (n // 5, n % 5) for n in range(15)]
    paths += ["/3/0/0", "/3/0/1", "/3/0/16", "/3303/0", "/1/0/1"]
    names = pack.names(paths, 112)

    def read():
        done = net.ask(GET, "1000/0/0", token(90)) == 0x45
        net.role.engine.drop(client.core.accounts[0])
        return done

    def composite():
        options = [(_CONTENT_FORMAT, 112)]
        return net.ask(_FETCH, "", token(91), options, names) == 0x45

    found["read"] = least(read)
    found["composite"] = least(composite)

    def instance(n):
        obj.add(n + 1, {5700: 21.5, 5701: "Cel"})

    found["instance"] = each(instance)
    net.run(5)

    def observe(n):
        assert net.ask(GET, "3303/0/5700", token(n), [(_OBSERVE, 0), (_ACCEPT, 112)]) == 0x45

    found["observation"] = each(observe)

    def attribute(n):
        options = [(_URI_QUERY, "pmin=5"), (_URI_QUERY, "pmax=60")]
        assert net.ask(PUT, "3303/%d" % (n + 1), token(n), options) == 0x44

    found["attributes"] = each(attribute)

    def server(n):
        client.add_server(n + 2, "coap://server-%d" % n, lwm2m.SEC_NONE)
        net.run(5)

    found["server"] = each(server)
    assert len([a for a in client.core.accounts if a.state == 4]) == 3 + _EACH
    print(json.dumps(found))


main()
