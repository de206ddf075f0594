# A device to be driven by a test: our client under MicroPython. processes.py starts it, driven.py says how
# it is driven.
#
# Configuration: {"endpoint", "version", "device", "bootstrap_uri", "bootstrap_keys", "hold_off",
#   "servers": [{"short_id", "uri", "lifetime", "queue", "keys", "settings": {resource id: value}}],
#   "coap": {short id: [ACK_TIMEOUT ms, percent, MAX_RETRANSMIT]}, "handshake_ms",
#   "objects": [{"id", "resources": {id: "FLOAT RW MULTIPLE"}, "instances", "version", "multiple",
#       "bootstrap"}],
#   "program": source with functions before(net), called before there is a client, and setup(client),
#   "control"}
# Keys of an account are {resource id: value} of /0/x, the mode (2) with them; without it is NoSec.
# Events are the client's with all their details, EXECUTED, WRITTEN and DONE, of its resources, and SENT, what a
# server has answered to a Send.
# Commands:
#   {"call": a method of the client, "args": […]}
#   {"object": id, "call": a method of the object, "args": […]}; without "call" the object's instances.

import time

import lwm2m
import lwm2m.model as model
from driven import Control, code_text, configuration, plain, say, value_of, values_of

_TYPES = {
    "STRING": model.STR,
    "INTEGER": model.INT,
    "UNSIGNED_INTEGER": model.UINT,
    "FLOAT": model.FLOAT,
    "BOOLEAN": model.BOOL,
    "OPAQUE": model.OPAQUE,
    "TIME": model.TIME,
    "OBJLNK": model.OBJLNK,
    "EXECUTE": model.E,
}
_FLAGS = {"R": model.R, "W": model.W, "RW": model.R | model.W, "MULTIPLE": model.MULTI}
_FLAGS["MANDATORY"] = model.M

_DETAILS = "short_id lifetime code internal path value text counter min_period max_period".split()

_NAMES = (
    "REG_UNREGISTERED REG_REGISTERING REG_REGISTERED REG_UPDATING REG_FAILED REG_UPDATE_FAILED"
    " BS_PENDING BS_FINISHED BS_FAILED"
    " OBJECT_INSTANCE_CREATED OBJECT_INSTANCE_DELETED READ SERVER_SETTING_CHANGED"
    " OBSERVATION_STARTED OBSERVATION_NOTIFICATION OBSERVATION_NOTIFICATION_ACKED"
    " OBSERVATION_NOTIFICATION_FAILED OBSERVATION_CANCELED EVALUATION_PERIOD UPDATE"
).split()
_EVENTS = {getattr(lwm2m, "EVENT_" + name): name for name in _NAMES}


def on_event(event):
    message = {"event": _EVENTS[event.type]}
    for name in _DETAILS:
        value = getattr(event, name)
        if value is not None:
            message[name] = value
    if event.code is not None:
        message["code"] = code_text(event.code)
    if event.path is not None:
        message["path"] = "/" + "/".join(str(part) for part in event.path)
    if event.value is not None:
        message["value"] = plain(event.value)
    say(message)


def executed(oid):
    def execute(iid, rid, argument):
        path = "/%d/%d/%d" % (oid, iid, rid)
        say({"event": "EXECUTED", "path": path, "argument": argument.decode()})

    return execute


def written(oid):
    def write(iid, values):
        for rid in values:
            path = "/%d/%d/%d" % (oid, iid, rid)
            say({"event": "WRITTEN", "path": path, "value": plain(values[rid])})

    return write


def make_object(spec):
    resources = []
    for rid in sorted(spec["resources"], key=int):
        flags = 0
        for word in spec["resources"][rid].split():
            flags |= _TYPES.get(word) or _FLAGS[word]
        resources += [int(rid), flags]
    obj = lwm2m.Object(
        spec["id"],
        tuple(resources),
        version=spec.get("version"),
        multiple=spec.get("multiple", False),
        bootstrap=spec.get("bootstrap", False),
    )
    instances = spec.get("instances", {})
    for iid in instances:
        obj.add(int(iid), values_of(obj.flags, instances[iid]))
    obj.on_execute = executed(obj.id)
    obj.on_write = written(obj.id)
    return obj


def keys_of(spec):
    """Security Mode and security data of an account, as add_server() and add_bootstrap_server() take them."""
    values = values_of(lambda rid: 0, spec or {})
    return values.pop(2, lwm2m.SEC_NONE), values


def sent(short_id, code, text):
    say({"event": "SENT", "short_id": short_id, "code": code_text(code), "text": text})


def command(client, m):
    args = m.get("args", [])
    if m.get("call") == "send":
        return client.send(*args, callback=sent)
    if "object" not in m:
        return getattr(client, m["call"])(*args)
    obj = client.core.objects[m["object"]]
    call = m.get("call")
    if call is None:
        return plain(obj.instances)
    if call == "add":
        args[1] = values_of(obj.flags, args[1])
    elif call == "set":
        args[2] = value_of(obj.flags(args[1]), args[2])
    return getattr(obj, call)(*args)


def main(config):
    device = values_of(lambda rid: 0, config.get("device", {}))
    for rid in (4, 5):  # Reboot and Factory Reset do nothing but to be seen
        device[rid] = lambda rid=rid: say({"event": "DONE", "path": "/3/0/%d" % rid})
    program = {}
    exec(config.get("program", ""), program)
    net = lwm2m.Net()
    if "program" in config:
        program["before"](net)
    client = lwm2m.Client(
        config["endpoint"],
        on_event=on_event,
        net=net,
        device=device,
        version=config.get("version", "1.1"),
    )
    if "program" in config:
        program["setup"](client)
    for spec in config.get("objects", ()):
        client.add_object(make_object(spec))
    client.net.handshake_ms = config.get("handshake_ms", client.net.handshake_ms)
    for server in config.get("servers", ()):
        mode, security = keys_of(server.get("keys"))
        client.add_server(
            server["short_id"],
            server["uri"],
            mode,
            server.get("lifetime", 300),
            server.get("queue", False),
            security=security,
        )
        settings = server.get("settings", {})
        client.set_server(server["short_id"], {int(rid): settings[rid] for rid in settings})
    if "bootstrap_uri" in config:
        mode, security = keys_of(config.get("bootstrap_keys"))
        client.add_bootstrap_server(config["bootstrap_uri"], mode, security=security)
        if "hold_off" in config:
            client.set_hold_off(config["hold_off"])
    for short_id in config.get("coap", ()):
        client.set_coap(int(short_id), *config["coap"][short_id])
    Control(client.net, config["control"], lambda m, answer: answer(command(client, m)))
    try:
        while client.step(60) == lwm2m.NO_ERROR:
            pass
        say({"event": "UNAVAILABLE"})  # 5.03: to step on would start everything afresh
        while True:
            time.sleep(1)  # until Ctrl-C, which must not come when this ends by itself
    except KeyboardInterrupt:
        pass
    client.close()


main(configuration())
