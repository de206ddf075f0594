# A Bootstrap Server that gives out the accounts of a table; module table of the package says what
# stands in it.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# bootstrap_server.py ACCOUNTS.json [PORT [HOST [CERTIFICATE KEY CA | PUBLIC_KEY KEY]]]
#
# With keys in the table, or with certificates, the port is one of coaps. CERTIFICATE and KEY are
# the server's own, CA is the one of the clients, PUBLIC_KEY the server's raw one: DER files.

import sys

from lwm2m.bootstrap_server import FAILED, FINISHED, STARTED, BootstrapServer, load_accounts
from lwm2m.program import on_refused, own, say, serve


def on_event(event, session):
    if event == STARTED:
        say("%s asks to be bootstrapped" % session.endpoint)
    elif event == FINISHED:
        say("%s has its accounts (LwM2M %s)" % (session.endpoint, session.version))
    elif event == FAILED:
        say("%s was not bootstrapped: %s" % (session.endpoint, session.text))


def main(accounts, port=5783, host="0.0.0.0", *files):
    serve(
        lambda: BootstrapServer(
            int(port),
            host,
            accounts=load_accounts(accounts),
            on_event=on_event,
            on_refused=on_refused,
            **own(files),
        ),
        port,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
