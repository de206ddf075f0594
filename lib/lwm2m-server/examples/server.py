# A LwM2M Server that manages each client that registers: reads its Device object, writes its
# timezone and observes its temperature sensor.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# server.py [PORT [HOST [CLIENTS.json [CERTIFICATE KEY CA | PUBLIC_KEY KEY]]]]
#
# With a table of clients, which module clients of the package describes, or with certificates, the
# port is one of coaps; CLIENTS.json is "-" where there are certificates only. CERTIFICATE and KEY
# are the server's own, CA is the one of the clients, PUBLIC_KEY the server's raw one: DER files.

import sys

from lwm2m.clients import credentials_of, load_clients
from lwm2m.model import FLOAT, STR, R
from lwm2m.objects import DEVICE
from lwm2m.program import on_refused, own, say, serve
from lwm2m.server import DEREGISTERED, EXPIRED, REGISTERED, UPDATED, Server, values
from ucoap import code_text

_TIMEZONE = "Europe/Berlin"
_TEMPERATURE = (5700, R | FLOAT, 5701, R | STR)

_NAMES = {
    0: "Manufacturer",
    1: "Model Number",
    3: "Firmware Version",
    10: "Memory Free, KB",
    11: "Error Code",
    13: "Current Time, s",
    15: "Timezone",
    16: "Supported Binding",
    17: "Device Type",
    21: "Memory Total, KB",
}

server = None  # as main() makes it


def on_client(event, client):
    name = client.endpoint
    if event == REGISTERED:
        say("%s has registered for %d s (LwM2M %s)" % (name, client.lifetime, client.version))
        say("%s has %s" % (name, " ".join(path for path, attributes in client.links)))
        server.read(client, "/3/0", on_device)
        server.write(client, "/3/0/15", _TIMEZONE, on_written)
        server.observe(client, "/3303/0/5700", on_temperature)
    elif event == UPDATED:
        say("%s has updated its registration" % name)
    elif event == DEREGISTERED:
        say("%s has de-registered" % name)
    elif event == EXPIRED:
        say("%s has not been heard of in its lifetime" % name)


def value_of(what, resources, path, code, format, payload):
    # What a client has answered, or None where that cannot be read, which is said.
    if code != 0x45:
        return say("%s: %s" % (what, code_text(code)))
    try:
        return values(resources, path, format, payload)
    except ValueError as e:
        say("%s: %s" % (what, e))


def on_device(client, code, format, payload):
    found = value_of("Read /3/0", DEVICE, "/3/0", code, format, payload)
    if found is not None:
        say("Read /3/0: 2.05")
        for rid in sorted(found):
            say("    %s: %s" % (_NAMES.get(rid, "/3/0/%d" % rid), found[rid]))


def on_written(client, code, format, payload):
    say("Write %s to /3/0/15: %s" % (_TIMEZONE, code_text(code)))


def on_temperature(client, code, format, payload):
    if code != 0x45:  # refused, or ended with the registration
        return say("Observing /3303/0/5700 has ended: %s" % code_text(code))
    found = value_of("Temperature", _TEMPERATURE, "/3303/0/5700", code, format, payload)
    if found:
        say("Temperature: %.2f" % found[5700])


def main(port=5683, host="0.0.0.0", clients="-", *files):
    def make():
        global server
        credentials = identities = None
        if clients != "-":
            credentials, identities = credentials_of(load_clients(clients))
        server = Server(
            int(port),
            host,
            on_client,
            credentials=credentials,
            identities=identities,
            on_refused=on_refused,
            **own(files),
        )
        return server

    serve(make, port)


if __name__ == "__main__":
    main(*sys.argv[1:])
