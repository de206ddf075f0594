# A client that sleeps, for tests/interop/test_sleep.py: sleeper.py ENDPOINT URI [IDENTITY KEY], the
# latter two in hexadecimal.
#
# A line of input, "SECONDS VALUE", is a sleep of that length (time is told, not waited for), after which
# a new client has that value. Prints "registering", and "awake" when nothing is under way any more.

import sys
import time

import lwm2m
from lwm2m.model import FLOAT, Object, R

endpoint, uri = sys.argv[1:3]
mode, security = lwm2m.SEC_NONE, None
if len(sys.argv) > 3:
    mode = lwm2m.SEC_PRE_SHARED_KEY
    security = {3: bytes.fromhex(sys.argv[3]), 5: bytes.fromhex(sys.argv[4])}


def on_event(event):
    if event.type == lwm2m.EVENT_REG_REGISTERING:
        print("registering")


def begin(value):
    client = lwm2m.Client(endpoint, on_event)
    client.add_object(Object(3303, (5700, R | FLOAT), {0: {5700: value}}))
    client.add_server(1, uri, mode, 300, True, security)
    return client


client = begin(20.0)
while True:
    for _ in range(3):
        client.step(0)
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
