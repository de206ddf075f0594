# What make bench runs on the client's side: device.py ENDPOINT URI-of-the-bootstrap-server
#                                        or: device.py ENDPOINT URI-of-the-server server
#
# On standard input are keys as JSON, {resource id of /0/x: value}, the Security Mode with them;
# bytes are {"hex": …}; or nothing.
# Bootstraps, registers, steps idly, and prints its heap as JSON. Runs with the library frozen.

import gc
import sys

gc.collect()
prompt = gc.mem_alloc()

import lwm2m  # noqa: E402


def registered(event):
    if event.type == lwm2m.EVENT_REG_REGISTERED:
        client.stop()


def idle_steps(client):
    client.step(0)
    before = gc.mem_alloc()
    for _ in range(100):
        client.step(0)
    return gc.mem_alloc() - before


def keys():
    line = sys.stdin.readline()
    if not line:
        return lwm2m.SEC_NONE, None
    import json
    from binascii import unhexlify

    given = json.loads(line)
    values = {int(rid): given[rid] for rid in given}
    for rid in values:
        if isinstance(values[rid], dict):
            values[rid] = unhexlify(values[rid]["hex"])
    return values.pop(2), values


client = lwm2m.Client(sys.argv[1], on_event=registered)
mode, security = keys()
if sys.argv[3:]:
    client.add_server(1, sys.argv[2], mode, security=security)
else:
    client.add_bootstrap_server(sys.argv[2], mode, security)
client.step(3)  # far more than it takes, if it succeeds
client.step(1)  # the server has its answers to what it asks at once
gc.collect()
held = gc.mem_alloc() - prompt
gc.disable()
idle = idle_steps(client)


# Made only now, as it is none of what the client holds.
def read(client):
    # What a Read of /3/0 takes, in TLV: confirmable, with a token of four bytes.
    data = b"\x44\x01\x12\x34read\xb1\x33\x01\x30\x62\x2d\x16"
    core = client.core
    account = core.accounts[0]
    core.receive(account, data, client.net.now())  # what is loaded or made once
    before = gc.mem_alloc()
    core.receive(account, data, client.net.now())
    return gc.mem_alloc() - before


taken = read(client)
gc.enable()
print(
    '{"registered": true, "prompt": %d, "held": %d, "idle": %d, "read": %d}'
    % (prompt, held, idle, taken)
)
client.close()
