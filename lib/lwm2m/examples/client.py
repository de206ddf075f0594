# The reference's first program: a client that knows a bootstrap server and nothing else.
# It prints what that one prints; the sensor is an addition that prints nothing.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# client.py [URI of the bootstrap server [psk | rpk FOLDER | cert FOLDER [NAME]]]
#
# psk: with the key of secure_client.py. rpk: with client.pub, client.key and the server's public key,
# server.pub, in that folder, all DER. cert: with client.crt, client.key and the CA of the
# server, ca.crt, in that folder, all DER; NAME is what the server's certificate is for, where it
# is not the URI's host.

import sys

import lwm2m
import sensor
from secure_client import PSK_CLIENT_IDENTITY, PSK_CLIENT_KEY


def on_event(event):
    if event.type == lwm2m.EVENT_REG_UNREGISTERED:
        print("Server (short ID: %d): Unregistered" % event.short_id)
    elif event.type == lwm2m.EVENT_REG_REGISTERING:
        print("Server (short ID: %d): Registering" % event.short_id)
    elif event.type == lwm2m.EVENT_REG_REGISTERED:
        print(
            "Server (short ID: %d): Registered with lifetime %ds"
            % (event.short_id, event.lifetime)
        )
    elif event.type == lwm2m.EVENT_REG_UPDATING:
        print("Server (short ID: %d): Registration updating" % event.short_id)
    elif event.type == lwm2m.EVENT_REG_FAILED:
        print("Server (short ID: %d): Registration failed." % event.short_id)
    elif event.type == lwm2m.EVENT_BS_PENDING:
        print("Server (short ID: %d): Bootstrapping" % event.short_id)
    elif event.type == lwm2m.EVENT_BS_FAILED:
        print("Server (short ID: %d): Bootstrap failed" % event.short_id)
    elif event.type == lwm2m.EVENT_BS_FINISHED:
        print("Server (short ID: %d): Bootstrap finished" % event.short_id)


def read(folder, name):
    with open(folder + "/" + name, "rb") as f:
        return f.read()


def main(uri="coap://localhost:5783", security="none", folder=".", name=None):
    client = lwm2m.Client("IOWA_Client", on_event=on_event)
    client.add_object(sensor.temperature)
    if security == "psk":
        keys = {3: PSK_CLIENT_IDENTITY, 5: PSK_CLIENT_KEY}
        client.add_bootstrap_server(uri, lwm2m.SEC_PRE_SHARED_KEY, keys)
    elif security == "rpk":
        keys = {3: read(folder, "client.pub"), 5: read(folder, "client.key")}
        keys[4] = read(folder, "server.pub")
        client.add_bootstrap_server(uri, lwm2m.SEC_RAW_PUBLIC_KEY, keys)
    elif security == "cert":
        keys = {3: read(folder, "client.crt"), 5: read(folder, "client.key")}
        keys.update({4: read(folder, "ca.crt"), 15: 2})  # Certificate Usage 2: of the server's CA
        if name:
            keys[14] = name
        client.add_bootstrap_server(uri, lwm2m.SEC_CERTIFICATE, keys)
    else:
        client.add_bootstrap_server(uri, lwm2m.SEC_NONE)
    try:
        while client.step(1) == lwm2m.NO_ERROR:
            sensor.measure()
    except KeyboardInterrupt:
        pass
    client.remove_bootstrap_server()
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
