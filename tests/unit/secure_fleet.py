# Clients with pre-shared keys in one process that share a Net, for test_secure_loss.py:
# secure_fleet.py FILE, of [{"endpoint", "uri", "key"}], a key in hex; the identity is "id of " and
# the endpoint.
#
# They start one after another, bootstrap and register. A line tells of each that is registered.

import json
import sys

import lwm2m
from lwm2m.net import Net

_APART_S = 0.2


def seconds():
    return (net.now() - start & 0x3FFFFFFF) // 1000


def watch(endpoint):
    def on_event(event):
        if event.type == lwm2m.EVENT_REG_REGISTERED:
            print("registered", endpoint, seconds())
        elif event.type in (lwm2m.EVENT_BS_FAILED, lwm2m.EVENT_REG_FAILED):
            print("failed", endpoint, event.code, event.text, seconds())

    return on_event


with open(sys.argv[1]) as f:
    devices = json.load(f)
net = Net()
clients = []
start = net.now()
for i, device in enumerate(devices):
    client = lwm2m.Client(device["endpoint"], watch(device["endpoint"]), net=net)
    identity = ("id of " + device["endpoint"]).encode()
    security = {3: identity, 5: bytes.fromhex(device["key"])}
    client.add_bootstrap_server(device["uri"], lwm2m.SEC_PRE_SHARED_KEY, security)
    client.set_hold_off(int(i * _APART_S))
    clients.append(client)
print("started")
while clients[0].step(-1) in (lwm2m.NO_ERROR, lwm2m.SERVICE_UNAVAILABLE):
    pass
