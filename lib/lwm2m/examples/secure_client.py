# The reference's second program: a client that asks its bootstrap server over DTLS, with a
# pre-shared key which the application keeps. The key's identity is not the endpoint name, so the
# server must have both in its table. Nobody listens to events.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# secure_client.py [URI of the bootstrap server]

import sys

import lwm2m
from lwm2m.credentials import Credentials

PSK_CLIENT_IDENTITY = b"IOWA_CLIENT"
PSK_CLIENT_KEY = b"0123456789"


def main(uri="coaps://localhost:5784"):
    # Add the Bootstrap Security key.
    credentials = Credentials()
    key = lwm2m.SEC_PRE_SHARED_KEY, PSK_CLIENT_IDENTITY, b"", PSK_CLIENT_KEY
    credentials.create(uri, key)

    client = lwm2m.Client("IOWA_Client", credentials=credentials)
    client.add_bootstrap_server(uri, lwm2m.SEC_PRE_SHARED_KEY)
    try:
        while client.step(4) == lwm2m.NO_ERROR:
            pass
    except KeyboardInterrupt:
        pass
    client.remove_bootstrap_server()
    client.close()

    # Remove the Bootstrap Security key.
    credentials.delete(uri)


if __name__ == "__main__":
    main(*sys.argv[1:])
