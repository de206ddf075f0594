# What make bench runs on the client's side: device.py URI-of-the-bootstrap-server
#
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


client = lwm2m.Client("bench-device", on_event=registered)
client.add_bootstrap_server(sys.argv[1], lwm2m.SEC_NONE)
client.step(3)  # far more than it takes, if it succeeds
client.step(1)  # the server has its answers to what it asks at once
gc.collect()
held = gc.mem_alloc() - prompt
gc.disable()
idle = idle_steps(client)
gc.enable()
print('{"registered": true, "prompt": %d, "held": %d, "idle": %d}' % (prompt, held, idle))
client.close()
