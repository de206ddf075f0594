# The reference's flow, with both servers in one process: Delete /, a new bootstrap account, a server
# account, Finish; by the four high-level operations, or by the low-level ones. The client then
# registers with the LwM2M Server here, which reads its account.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# reference_flow.py ACCOUNTS.json high|low
#     [BS_PORT [PORT [HOST [CLIENTS.json [CERTIFICATE KEY CA | PUBLIC_KEY KEY]]]]]
#
# ACCOUNTS.json is the table of module table, where "bootstrap" is the new bootstrap account. With
# keys in it, or with certificates, BS_PORT is one of coaps; so is PORT with CLIENTS.json, which
# module clients describes, "-" for none. The last files are both servers' own, DER.

import sys

from micropython import const

from lwm2m.bootstrap_server import FAILED, FINISHED, STARTED, BootstrapServer, load_accounts
from lwm2m.clients import credentials_of, load_clients
from lwm2m.objects import SERVER
from lwm2m.program import on_refused, own, say, serve
from lwm2m.server_core import TLV
from lwm2m.server import DEREGISTERED, REGISTERED, Server, values
from lwm2m.table import plan
from lwm2m.texts import links, words
from ucoap import code_text

_CONTENT = const(0x45)

server = None  # as main() makes it


def said(what, tell=words):
    """A callback that says how an operation went, and with tell what a 2.05 has brought."""

    def answered(session, code, text):
        if code == _CONTENT:
            text = tell(text)
        say("%s: %s" % (what, code_text(code)) + (text and ", " + text))

    return answered


# --- The same, twice. All operations are queued; each goes out when the one before is answered.


def by_high_level(session, account):
    """Where instances go, and which resources they have, is the operations' business."""
    session.delete("/", said("Delete /"))
    if "bootstrap" in account:
        session.remove_bootstrap_server(said("Remove Bootstrap Server"))
        session.add_bootstrap_server(callback=said("Add Bootstrap Server"), **account["bootstrap"])
    for given in account["servers"]:
        session.add_server(callback=said("Add Server %d" % given["short_id"]), **given)
    # One more, which goes again: nothing of it is left.
    other = 1 + max(given["short_id"] for given in account["servers"])
    session.add_server(other, "coap://192.0.2.1", callback=said("Add Server %d" % other))
    session.remove_server(other, said("Remove Server %d" % other))
    session.finish()


def by_low_level(session, account):
    """Object Instances are written as they are: {resource id: value}."""
    bootstrap, servers = plan("", account)
    session.discover("/", said("Discover /", paths))
    session.delete("/", said("Delete /"))
    if bootstrap:  # over the old one, which a Delete leaves, and which mostly is /0/0
        write(session, "/0/0", bootstrap)
    for i in range(len(servers)):
        _, security, registration = servers[i]
        write(session, "/0/%d" % (i + 1), security)
        write(session, "/1/%d" % i, registration)
    session.read("/1/0", said("Read /1/0", registration_of))
    session.discover("/", said("Discover /", paths))
    session.finish()


def write(session, path, values):
    # What is written to /0 are keys: the numbers of the resources are all that is said.
    what = "Write %s (%s)" % (path, " ".join(str(rid) for rid in sorted(values)))
    session.write(path, values, said(what))


def paths(payload):
    # With the Short Server IDs, by which accounts are known.
    return " ".join(
        path + (";ssid=" + attributes["ssid"] if "ssid" in attributes else "")
        for path, attributes in links(payload)
    )


def registration_of(payload, format=TLV):
    found = values(SERVER, "/1/0", format, payload)
    return " ".join("%d=%s" % (rid, found[rid]) for rid in sorted(found))


# --- Bootstrap Server


def on_event(event, session):
    if event == STARTED:
        say("%s asks to be bootstrapped" % session.endpoint)
    elif event == FINISHED:
        say("Finish: %s" % code_text(session.code))
    elif event == FAILED:
        say("%s was not bootstrapped: %s" % (session.endpoint, session.text))


# --- LwM2M Server


def on_client(event, client):
    if event == REGISTERED:
        say("%s has registered for %d s" % (client.endpoint, client.lifetime))
        server.read(client, "/1/0", on_read)
    elif event == DEREGISTERED:
        say("%s has de-registered" % client.endpoint)


def on_read(client, code, format, payload):
    text = registration_of(payload, format) if code == _CONTENT else words(payload)
    say("%s has the account %s" % (client.endpoint, text))


def main(accounts, how, bs_port=5783, port=5683, host="0.0.0.0", clients="-", *files):
    def make():
        global server
        table = load_accounts(accounts)

        def on_request(session):
            account = table.get(session.endpoint) or table.get("*")
            if not account:
                return False
            (by_high_level if how == "high" else by_low_level)(session, account)
            return True

        bootstrap = BootstrapServer(
            int(bs_port), host, on_request, on_event, table, on_refused=on_refused, **own(files)
        )
        credentials = identities = None
        if clients != "-":
            credentials, identities = credentials_of(load_clients(clients))
        server = Server(
            int(port),
            host,
            on_client,
            net=bootstrap.net,  # two ports, one loop
            credentials=credentials,
            identities=identities,
            on_refused=on_refused,
            **own(files),
        )
        return bootstrap

    if how not in ("high", "low"):
        say("%s is no way to bootstrap: high or low, as the operations are to be" % how)
        sys.exit(1)
    serve(make, "%s, and on port %s as LwM2M Server" % (bs_port, port))
    server.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
