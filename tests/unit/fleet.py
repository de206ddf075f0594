# Clients in one process that share a Net, for test_servers.py: fleet.py BS_PORT CLIENTS
#
# They bootstrap, register, and de-register when all of them have been read.

import sys

import lwm2m
from lwm2m.net import Net

bs_port, count = [int(arg) for arg in sys.argv[1:]]
reads = 0


def on_event(event):
    global reads
    if event.type == lwm2m.EVENT_BS_FAILED or event.type == lwm2m.EVENT_REG_FAILED:
        print("failed", event.code, event.text)
    elif event.type == lwm2m.EVENT_READ:
        reads += 1
        if reads == count:
            net.stop()


net = Net()
clients = []
for i in range(count):
    client = lwm2m.Client("dev-%d" % i, on_event=on_event, net=net, device={0: "maker %d" % i})
    client.add_bootstrap_server("coap://127.0.0.1:%d" % bs_port, lwm2m.SEC_NONE)
    clients.append(client)
status = clients[0].step(-1)
for client in clients:
    client.close()
print("end", status)
