# Our two servers in one process under MicroPython, to be driven by a test. processes.py starts it,
# driven.py says how it is driven.
#
# Configuration: {"bootstrap_port", "port", "control"}, and for DTLS {"bootstrap_clients", "clients": tables
#   of clients, as module clients has them, "certificate": [the servers', its key, the CA of clients],
#   "raw_public_key": [the servers', its private key], in hex}
# Events: REFUSED (identity, text),
#   BS_STARTED, BS_FINISHED, BS_FAILED (endpoint, code, text), OPERATION (endpoint, operation, code, text),
#   REGISTERED, UPDATED, DEREGISTERED, EXPIRED (endpoint, lifetime, version, binding, queue, links, formats),
#   NOTIFICATION (endpoint, and an answer), SENT (endpoint, values: [path, value, time] each).
# Commands:
#   {"accounts": the bootstrap server's table}
#   {"clients": the server's table of clients}: with other keys, but the same identities and endpoint names
#   {"operations": [[method of a session, its arguments …], …]}: for the next sessions, in place of the table
#   {"call": a method of the server, "endpoint", "path", "args": […], "options": {…}} → {"code", "format",
#       "payload" in hex, "text", "values"}; an argument {"file": name} is its content; of a composite operation "path" has the paths, or {path: value}

from binascii import hexlify, unhexlify

import lwm2m.bootstrap_server as bs
import lwm2m.objects as objects
import lwm2m.server as server
from driven import Control, code_text, configuration, plain, say, value_of, values_of
from lwm2m.model import Object

_RESOURCES = {"0": objects.SECURITY, "1": objects.SERVER, "3": objects.DEVICE}
_SESSION_EVENTS = {bs.STARTED: "BS_STARTED", bs.FINISHED: "BS_FINISHED", bs.FAILED: "BS_FAILED"}
_CLIENT_EVENTS = {
    server.REGISTERED: "REGISTERED",
    server.UPDATED: "UPDATED",
    server.DEREGISTERED: "DEREGISTERED",
    server.EXPIRED: "EXPIRED",
}

handles = {}  # (endpoint, path): an observation
operations = []


def resources_of(path):
    return _RESOURCES[path.split("/")[1]]


def encoded(path, values):
    """The TLV of an instance, given as JSON."""
    resources = resources_of(path)
    return bytes(server.encode(resources, values_of(Object(0, resources).flags, values)))


def words(payload):
    try:
        return payload if isinstance(payload, str) else str(payload, "utf-8")
    except UnicodeError:
        return None


# --- The bootstrap server


def on_session(event, session):
    code = code_text(session.code) if session.code else None
    message = {"endpoint": session.endpoint, "code": code, "text": words(session.text)}
    message["event"] = _SESSION_EVENTS[event]
    say(message)


def on_request(session):
    if not operations:
        return None
    for name, *args in operations:
        if name == "write" and isinstance(args[1], dict):
            args[1] = values_of(Object(0, resources_of(args[0])).flags, args[1])

        def done(session, code, text, name=name):
            message = {"event": "OPERATION", "endpoint": session.endpoint, "operation": name}
            message["code"] = code_text(code)
            message["text"] = words(text)
            say(message)

        getattr(session, name)(*args, callback=done)
    return True


# --- The LwM2M server


def on_client(event, client):
    say(
        {
            "event": _CLIENT_EVENTS[event],
            "endpoint": client.endpoint,
            "lifetime": client.lifetime,
            "version": client.version,
            "binding": client.binding,
            "queue": client.queue,
            "links": [path for path, attributes in client.links],
            "formats": client.formats,
        }
    )


def on_send(client, values):
    values = [(path, plain(value), time) for path, value, time in values]
    say({"event": "SENT", "endpoint": client.endpoint, "values": values})


def answer_of(path, code, format, payload):
    if isinstance(payload, dict):
        return {"code": code_text(code), "format": format, "values": plain(payload)}
    message = {"code": code_text(code), "format": format, "text": words(payload)}
    message["payload"] = hexlify(payload).decode()
    if code == 0x45 and format != server.LINK and path.split("/")[1] in _RESOURCES:
        message["values"] = plain(server.values(resources_of(path), path, format, payload))
    return message


def command(m, answer):
    if "accounts" in m:
        bs.check_accounts(m["accounts"])
        bootstrap.accounts = m["accounts"]
        return answer(None)
    if "clients" in m:
        from lwm2m.clients import credentials_of

        found, identities = credentials_of(m["clients"])
        for identity in identities:
            credentials.delete(identity)
            credentials.create(identity, found.read(identity)[1])
        return answer(None)
    if "operations" in m:
        operations[:] = m["operations"]
        return answer(None)
    call, path = m["call"], m["path"]
    client = lwm2m_server.clients[m["endpoint"]]
    first = [True]

    def callback(client, code, format, payload):
        message = answer_of(path, code, format, payload)
        if first:
            first.clear()
            answer(message)
        else:
            message.update({"event": "NOTIFICATION", "endpoint": client.endpoint, "path": path})
            say(message)

    if call == "cancel":
        return lwm2m_server.cancel(handles.pop((m["endpoint"], str(path))), callback)
    if isinstance(path, dict):
        path = {key: value_of(0, path[key]) for key in path}
    args = m.get("args", [])
    if call in ("write", "create") and isinstance(args[0], dict):
        if "file" in args[0]:
            with open(args[0]["file"], "rb") as f:
                args[0] = f.read()
        else:
            args[0] = value_of(0, args[0]) if "hex" in args[0] else encoded(path, args[0])
    handle = getattr(lwm2m_server, call)(client, path, *args, callback=callback, **m["options"])
    if call.startswith("observe"):
        handles[m["endpoint"], str(path)] = handle


def on_refused(address, identity, text):
    say({"event": "REFUSED", "identity": identity and str(identity, "utf-8"), "text": text})


def security(clients):
    """The arguments of a server with DTLS for a table of clients."""
    if clients is None:
        return {}
    from lwm2m.clients import credentials_of

    credentials, identities = credentials_of(clients)
    return {
        "credentials": credentials,
        "identities": identities,
        "certificate": tuple(unhexlify(part) for part in config["certificate"]),
        "raw_public_key": tuple(unhexlify(part) for part in config["raw_public_key"]),
        "on_refused": on_refused,
    }


def main():
    global bootstrap, credentials, lwm2m_server
    bootstrap = bs.BootstrapServer(
        config["bootstrap_port"],
        "127.0.0.1",
        on_request=on_request,
        on_event=on_session,
        **security(config.get("bootstrap_clients")),
    )
    net = bootstrap.net
    options = security(config.get("clients"))
    credentials = options.get("credentials")  # the Server reads them for each session
    lwm2m_server = server.Server(
        config["port"], "127.0.0.1", on_client=on_client, on_send=on_send, net=net, **options
    )
    Control(net, config["control"], command)
    try:
        bootstrap.step(-1)
    except KeyboardInterrupt:
        pass
    bootstrap.close()
    lwm2m_server.close()


config = configuration()
main()
