# A client that sleeps, for tests of CPython: sleeper.py ENDPOINT URI FILE
#
# FILE: JSON, {"keys": {resource id: value} of /0/x, the mode (2) with them, bytes as {"hex": …}; without it
# NoSec, "coap": arguments of set_coap(), "store": a folder for its accounts}, each may be left out.
# A line of input, "SECONDS VALUE", is a sleep of that length (time is told, not waited for), after which
# a new client has that value. Prints "registering", and "awake" when nothing is under way any more.

import json
import sys
import time

import lwm2m
from lwm2m.model import FLOAT, Object, R

endpoint, uri = sys.argv[1:3]
with open(sys.argv[3]) as f:
    given = json.load(f)
security = {
    int(rid): bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
    for rid, value in given.get("keys", {"2": lwm2m.SEC_NONE}).items()
}
mode = security.pop(2)


def on_event(event):
    if event.type == lwm2m.EVENT_REG_REGISTERING:
        print("registering")


def begin(value):
    store = lwm2m.Store(given["store"]) if "store" in given else None
    client = lwm2m.Client(endpoint, on_event, store=store)
    client.add_object(Object(3303, (5700, R | FLOAT), {0: {5700: value}}))
    if not client.servers():
        print("an account is given")
        client.add_server(1, uri, mode, 300, True, security)
    if "coap" in given:
        client.set_coap(1, *given["coap"])
    return client


client = begin(20.0)
while True:
    for _ in range(3):
        client.step(0)
        time.sleep_ms(1)
    while client.core.engine.next_ms(client.net.now()) >= 0 or client.next_ms() == 0:
        client.step(0)
        time.sleep_ms(1)
    if client.core.accounts[0].location:
        print("awake")
        line = sys.stdin.readline().split()
        if line and line[0] == "listen":  # to what the server wants, meanwhile
            client.step(int(line[1]))
            continue
        if not line:
            break
        data = client.suspend()
        client = begin(float(line[1]))
        if not client.resume(data, int(line[0])):
            print("begins anew")
client.close()
