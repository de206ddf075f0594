# A LwM2M server of devices that sleep, with pre-shared keys: sleep_server.py PORT FILE
#
# FILE: JSON, {endpoint name, which is the identity, too: key in hexadecimal}. It observes /3303/0/5700 of who has
# registered, and writes another lifetime, each time one more second, with each value that it is told.

import json
import sys

from lwm2m.credentials import Credentials
from lwm2m.server import REGISTERED, Server

keys = Credentials()
with open(sys.argv[2]) as f:
    given = json.load(f)
for name in given:
    keys.create(name.encode(), (0, name.encode(), b"", bytes.fromhex(given[name])))
lifetime = 86400


def on_client(event, client):
    if event == REGISTERED:
        print("registered", client.endpoint, client.lifetime)
        server.observe(client, "/3303/0/5700", told, 0)


def told(client, code, format, payload):
    global lifetime
    if code == 0x45:
        print("value", client.endpoint, float(payload))
        lifetime += 1
        server.write(client, "/1/1/1", str(lifetime), done)


def done(client, code, format, payload):
    print("written", client.endpoint, "%d.%02d" % (code >> 5, code & 31))


server = Server(int(sys.argv[1]), "127.0.0.1", on_client, credentials=keys)
print("listening")
server.step(-1)
