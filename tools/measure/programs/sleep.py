# A client that sleeps, and its server: sleep.py SERVER_PORT URI_PORT KIND, "none" or "psk".
#
# The client reaches the server through URI_PORT. Each line of input is a wake-up that sends that:
# "update", "notification" (not confirmable), "confirmed", "send"; "done" follows.

import sys
import time

import lwm2m
from lwm2m.credentials import Credentials
from lwm2m.model import FLOAT, Object, R
from lwm2m.net import Net
from lwm2m.server import UPDATED, Server

KEY = b"sixteen-byte-key"
PATIENCE_MS = 60000

port, uri_port, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
net = Net()
seen = []
settings = {}
if kind == "psk":
    credentials = Credentials()
    credentials.create(b"dev", (0, b"dev", b"", KEY))
    settings["credentials"] = credentials


def until(done):
    since = time.ticks_ms()
    while not done():
        client.step(0)
        if time.ticks_diff(time.ticks_ms(), since) > PATIENCE_MS:
            print("nothing comes")
            sys.exit(1)


def begin(value):
    global client
    client = lwm2m.Client("dev", net=net)
    client.add_object(Object(3303, (5700, R | FLOAT), {0: {5700: value}}))
    scheme, mode, security = "coap", lwm2m.SEC_NONE, None
    if kind == "psk":
        scheme, mode, security = "coaps", lwm2m.SEC_PRE_SHARED_KEY, {3: b"dev", 5: KEY}
    uri = "%s://127.0.0.1:%d" % (scheme, uri_port)
    client.add_server(1, uri, mode, 3600, True, security)


def still():
    # Nothing is under way.
    return client.core.accounts[0].state == 4 and client.core.engine.next_ms(net.now()) < 0


server = Server(
    port,
    "127.0.0.1",
    on_client=lambda event, remote: seen.append(event),
    on_send=lambda remote, values: seen.append("send"),
    net=net,
    **settings,
)
value = 20.0
begin(value)
until(lambda: client.core.accounts and client.core.accounts[0].location)
remote = server.clients["dev"]
server.observe(
    remote, "/3303/0/5700", lambda remote, code, format, payload: seen.append(bytes(payload))
)
until(lambda: b"20.0" in seen)
print("ready")
while True:
    what = sys.stdin.readline().strip()
    if not what:
        break
    if what in ("notification", "confirmed"):
        seen.clear()
        con = what == "confirmed"
        server.write_attributes(remote, "/3303/0/5700", {"con": con}, lambda *args: seen.append(0))
        until(lambda: seen)
    client.sleep_ms(-1, 0)  # resets of what is not confirmable are not waited for any more
    until(still)
    print("asleep")
    sys.stdin.readline()
    data = client.suspend()
    if what in ("notification", "confirmed"):
        value += 0.5
    seen.clear()
    begin(value)
    if not client.resume(data, 3510 if what == "update" else 10):
        print("it does not go on")
        sys.exit(1)
    if what == "send":
        client.send(["/3303/0/5700"])
    awaited = {"update": UPDATED, "send": "send"}.get(what, b"%.1f" % value)
    until(lambda: awaited in seen)
    if what != "notification":
        until(still)
    print("done", len(data))
