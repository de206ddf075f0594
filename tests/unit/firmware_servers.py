# A bootstrap server and a LwM2M server that does what it is told:
# firmware_servers.py BS_PORT PORT [HOST]
#
# HOST: what clients call the server; both listen on loopback.
# A line of its input is an operation on the client that registered last: "read /3/0/2",
# "execute /3/0/4", "write /5/0/1 coap://…", "push /5/0/0 FILE", or "end".

import select
import sys

import lwm2m.server as server
from lwm2m.bootstrap_server import FINISHED, BootstrapServer

bs_port, port = [int(arg) for arg in sys.argv[1:3]]
uri = "coap://%s:%d" % (sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1", port)
client = None


def on_event(event, session):
    if event == FINISHED:
        print("bootstrapped", session.endpoint)


def on_client(event, c):
    global client
    if event == server.REGISTERED:
        client = c
        print("registered", c.endpoint)


def answer(path):
    def f(client, code, format, payload):
        print(path, "%d.%02d" % (code >> 5, code & 31), payload)

    return f


class Package:
    """A file as a source, which tells how much of it was asked for."""

    def __init__(self, name):
        self._file = open(name, "rb")
        self.size = self._file.seek(0, 2)

    def read(self, at, n):
        print("progress", at)
        self._file.seek(at)
        return self._file.read(n)


accounts = {"*": {"servers": [{"short_id": 1, "uri": uri}]}}
bootstrap = BootstrapServer(bs_port, "127.0.0.1", on_event=on_event, accounts=accounts)
lwm2m_server = server.Server(port, "127.0.0.1", on_client=on_client, net=bootstrap.net)
print("listening")
poller = select.poll()
poller.register(sys.stdin, select.POLLIN)
while True:
    bootstrap.step(0)
    for _ in poller.ipoll(20):
        what, _, path = sys.stdin.readline().strip().partition(" ")
        if what == "end":
            sys.exit()
        path, _, value = path.partition(" ")
        if what == "push":
            lwm2m_server.write(client, path, Package(value), answer(path))
        elif what == "write":
            lwm2m_server.write(client, path, value, answer(path))
        else:
            getattr(lwm2m_server, what)(client, path, answer(path))
