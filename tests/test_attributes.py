"""Attributes between our client and our server, over sockets of this machine."""

import pytest
from harness.micropython import micropython
from harness.ports import free_port

PROGRAM = """
import lwm2m
from lwm2m.model import FLOAT, Object, R
from lwm2m.server import REGISTERED, Server
from lwm2m.texts import links

PATH = "/3303/0/5700"
answers = []


def answered(client, code, format, payload):
    answers.append((code, bytes(payload)))


def await_one():
    while not answers:
        server.step(1)
    return answers.pop(0)


def on_client(event, client):
    if event == REGISTERED:
        registered.append(client)


registered = []
server = Server(%(port)d, "127.0.0.1", on_client=on_client)
sensor = Object(3303, (5700, R | FLOAT), {0: {5700: 21.0}})
client = lwm2m.Client("device-1", net=server.net)
client.add_object(sensor)
client.add_server(1, "coap://127.0.0.1:%(port)d", lwm2m.SEC_NONE, 300)
while not registered:
    server.step(1)
device = registered[0]

server.write_attributes(device, PATH, {"gt": 25, "lt": 26}, answered)
print(await_one())
server.write_attributes(device, "/3303", {"con": False, "pmax": 3600}, answered)
print(await_one())
server.write_attributes(device, PATH, {"gt": 25.5, "lt": -5}, answered)
print(await_one())
server.discover(device, PATH, answered)
for path, attributes in links(await_one()[1]):
    print(path, [name + "=" + attributes[name] for name in sorted(attributes)])

server.observe(device, PATH, answered)
print(await_one())
for value in (25.5, 26.0, 30.0, 25.0):
    sensor.set(0, 5700, value)
    server.read(device, "/3303/0/5700", answered, accept=11542)
    found = await_one()
    if found[1][:1] != b"\\xe4":  # what is read comes in TLV, and after a notification
        print("notified", found)
        await_one()
    print(value)
server.write_attributes(device, "/3303", {"pmax": 1}, answered)
print(await_one())
print(await_one())  # nothing changes, and it is told
client.close()
server.close()
"""


@pytest.mark.parametrize("flavour", ["src", "mpy"])
def test_over_sockets(flavour):
    done = micropython("-c", PROGRAM % {"port": free_port()}, flavour=flavour)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "(128, b'lt must be below gt')",
        "(68, b'')",
        "(68, b'')",
        "/3303/0/5700 ['con=0', 'gt=25.5', 'lt=-5', 'pmax=3600']",
        "(69, b'21.0')",
        "25.5",
        "notified (69, b'26.0')",
        "26.0",
        "30.0",
        "notified (69, b'25.0')",
        "25.0",
        "(68, b'')",
        "(69, b'25.0')",
    ]
