# Clients in one process that share a Net, for test_secure_servers.py: device.py FILE
#
# The file is JSON, a list of {"endpoint": name, "server": account, "bootstrap": account}, one of
# the two left out; an account is {"uri": …, "security": {/0/x/2 to 16}}; or {"endpoint", "store":
# folder} for accounts that are in flash. "coap" are the arguments of set_coap() for the server. In
# there a str that starts with "x:" is hex, one with "c:" a name of dtls_certs. Prints a line for
# each event; de-registers when the file has gone: an interrupt could come while tls sends.

import json
import os
import sys

import dtls_certs as certs
import lwm2m

NAMES = {n: name[6:] for n, name in enumerate(lwm2m.EVENTS)}


def value(x):
    if isinstance(x, str) and x[:2] == "x:":
        return bytes.fromhex(x[2:])
    return getattr(certs, x[2:]) if isinstance(x, str) and x[:2] == "c:" else x


def start(net, endpoint, server=None, bootstrap=None, lifetime=60, store=None, coap=None):
    def on_event(event):
        code = "%d.%02d" % (event.code >> 5, event.code & 31) if event.code else ""
        print(endpoint, NAMES.get(event.type), code, event.text or "")

    device = {0: "maker of " + endpoint}
    store = lwm2m.Store(store) if store else None
    client = lwm2m.Client(endpoint, on_event, net=net, device=device, store=store)
    if 1 in client.servers():
        client.set_server(1, {17: 1})
    for account in (server, bootstrap):
        if account:
            security = {int(k): value(v) for k, v in account["security"].items()}
            mode = security.pop(2)
            if account is server:
                client.add_server(1, account["uri"], mode, lifetime, security=security)
                client.set_server(1, {17: 3, 18: 1})
                if coap:
                    client.set_coap(1, *coap)
            else:
                client.add_bootstrap_server(account["uri"], mode, security)
    return client


def there(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


net = lwm2m.Net()
with open(sys.argv[1]) as file:
    clients = [start(net, **given) for given in json.load(file)]
while there(sys.argv[1]):
    clients[0].step(1)  # or less, when all servers have failed; then it begins again
for client in clients:
    client.close()
