# The processes of tests/test_dtls.py, under MicroPython: dtls_peer.py WHAT JSON
#
# They print a line for what happens. In the JSON, a str that starts with "x:" is hex, one with
# "c:" a name of dtls_certs. "@" and a path is a file with it: MicroPython takes 255 bytes here.

import json
import os
import select
import sys
import time

import dtls_certs as certs
import lwm2m
from lwm2m.core import Account, Core
from lwm2m.credentials import Credentials
from lwm2m.listen import bind_dtls
from lwm2m.net import Net, now
from lwm2m.rpk import identity as identity_of


def value(x):
    if isinstance(x, str) and x[:2] == "x:":
        return bytes.fromhex(x[2:])
    if isinstance(x, str) and x[:2] == "c:":
        return getattr(certs, x[2:])
    if isinstance(x, dict):
        return {int(k): value(x[k]) for k in x}
    return x


def security(given, port):
    values = {0: "coaps://127.0.0.1:%d" % port, 1: False, 4: b""}
    values.update(value(given))
    return values


class Echo:
    """A server that sends back what it gets."""

    def __init__(self, port, psk, cert, raw=False, **options):
        self.net = Net()
        if psk:
            options["psk"] = {k.encode(): value(psk[k]) for k in psk}
        if cert:
            options.update(cert=value(cert), key=certs.SERVER_KEY, ca=certs.CA)
        if raw:
            client = identity_of(certs.CLIENT_PUBLIC)
            options.update(
                raw=(certs.SERVER_PUBLIC, certs.SERVER_KEY), known=lambda who: who == client
            )
        self.socket = bind_dtls(self.net, self, "127.0.0.1", port, **options)
        self.socket.on_refused = lambda address, identity, text: print("refused", identity, text)
        self.net.add(self)

    def poll(self, now):
        return 0

    def next_ms(self, now):
        return 86400000

    def receive(self, session, data, now):
        print("got", session.identity, data)
        self.net.sendto(self.socket, session, b"echo " + data)

    def disconnected(self, session):
        print("gone", session.identity, session.text)


class Plain:
    """Accounts' sessions without LwM2M: says something, and prints what comes."""

    context = None
    keys = Core.keys

    def __init__(self, port, count, handshake_ms, text, **given):
        self.net = Net()
        self.net.handshake_ms = handshake_ms
        self.net.add(self)
        self.text = text
        self.echoes = 0
        self.count = count
        for i in range(count):
            self.net.open(self, Account(security(given["security"], port), i), now())

    def poll(self, now):
        return 0

    def next_ms(self, now):
        return 86400000

    def connected(self, account, now):
        print("up", account.connection.tls.cipher()[0])
        self.net.send(account, self.text.encode())

    def disconnected(self, account, code, text, now):
        print("down %02x %s" % (code, text))
        self.net.close(account)

    def receive(self, account, data, now):
        self.echoes += 1
        print("got", data)
        if self.echoes == self.count:
            print("all have got their echo")


class Roaming(Plain):
    """Says a number for each line that it is told, from 0 on."""

    def __init__(self, port, security):
        super().__init__(port, 1, 45000, "hello", security=security)
        self.said = 0
        self.account = None
        self.told = select.poll()
        self.told.register(sys.stdin, select.POLLIN)

    def connected(self, account, now):
        self.account = account
        print("up")

    def next_ms(self, now):
        return 20

    def poll(self, now):
        if self.account and self.told.poll(0):
            sys.stdin.readline()
            self.net.send(self.account, b"%d" % self.said)
            self.said += 1
        return 0


class Sleeper(Plain):
    """One time awake: goes on from what is in a file, says something, waits for the answer, and saves.

    It prints its steps, and ends behind the one that is given as cut, as when power is lost. Where the
    file does not serve, or no answer comes, it begins anew.
    """

    def __init__(self, port, security, path, text, patience_ms, cut=None):
        self.path = path
        self.cut = cut
        self.patience_ms = patience_ms
        self.answer = None
        self.up = False
        super().__init__(port, 0, 45000, text, security=security)
        self.account = Account(globals()["security"](security, port), 1)

    def done(self, step):
        print(step)
        if step == self.cut:
            sys.exit()

    def connected(self, account, now):
        self.up = True

    def receive(self, account, data, now):
        self.answer = bytes(data)

    def exchange(self, patience_ms):
        start = time.ticks_ms()
        sent = False
        while not self.answer and time.ticks_diff(time.ticks_ms(), start) < patience_ms:
            if self.up and not sent:
                self.net.send(self.account, value(self.text))
                self.done("sent")
                sent = True
            self.net.step(self, 0)
            time.sleep_ms(2)

    def run(self):
        data = b""
        try:
            with open(self.path, "rb") as f:
                data = f.read()
            self.done("read")
            os.remove(self.path)
            self.done("removed")
        except OSError:
            pass
        if data and self.net.resume(self, self.account, data, now()):
            self.up = True
            self.done("resumed")
            self.exchange(self.patience_ms)
        if not self.answer:
            if self.account.connection is not None:
                self.net.close(self.account)
            self.up = False
            self.net.open(self, self.account, now())
            self.done("opened")
            self.exchange(45000)
        print("answer", self.answer.hex())
        self.done("answered")
        data = self.net.suspend(self.account)
        print("saved", data and len(data))
        if not data:
            return
        self.done("suspended")
        with open(self.path + ".new", "wb") as f:
            f.write(data[: len(data) // 2])
            f.flush()
            self.done("half")
            f.write(data[len(data) // 2 :])
        os.rename(self.path + ".new", self.path)
        self.done("kept")


class WithoutIds:
    """The SSLContext of a port that has no connection ids."""

    def __init__(self, context):
        self.wrap_socket = context.wrap_socket


def server(port, psk, ids=True):
    from lwm2m.server import Server

    keys = Credentials()
    for identity in psk:
        keys.create(identity.encode(), (0, identity.encode(), b"", value(psk[identity])))
    names = ("", "registered", "updated", "deregistered", "expired")
    one = Server(
        port,
        "127.0.0.1",
        on_client=lambda event, client: print(names[event], client.endpoint, client.identity),
        credentials=keys,
    )
    if not ids:
        one._socket._context = WithoutIds(one._socket._context)
    print("ready")
    one.step(-1)


def client(port, lifetime, given, attempts):
    steps = 0

    def on_event(event):
        code = "%x" % event.code if event.code else ""
        print(lwm2m.EVENTS[event.type], code, event.text or "", "in step", steps)

    one = lwm2m.Client("device-1", on_event)
    values = security(given, port)
    values[10] = 1
    one.core.objects[0].instances[0] = values
    one.core.objects[1].instances[0] = {0: 1, 1: lifetime, 6: True, 7: "U", 17: attempts, 18: 1}
    one.set_coap(1, 100, 150, 2)
    while True:
        steps += 1
        one.step(0)
        time.sleep_ms(5)


def digests():
    from lwm2m.sha512 import digest

    for n in (0, 1, 110, 111, 112, 127, 128, 129, 239, 240, 450):
        data = bytes(i & 255 for i in range(n))
        print(n, digest(data, 384).hex(), digest(data, 512).hex())


given = sys.argv[2]
if given[0] == "@":
    with open(given[1:]) as f:
        given = f.read()
given = json.loads(given)
what = sys.argv[1]
roles = {"echo": Echo, "plain": Plain, "roaming": Roaming}
if what in roles:
    role = roles[what](**given)
    print("ready")
    role.net.step(role, -1)
elif what == "sleeper":
    Sleeper(**given).run()
else:
    {"server": server, "client": client, "digests": digests}[what](**given)
