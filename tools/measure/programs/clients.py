# What make bench runs for the bootstrap server: clients.py URI-of-the-bootstrap-server COUNT [KEY]
#
# With a pre-shared key all of them have that one, each by an identity of its own.
# Bootstraps that many clients at once in one loop, and prints the time as JSON.

import sys
import time

import lwm2m

count = int(sys.argv[2])
net = lwm2m.Net()
done = 0


def on_event(event):
    global done
    if event.type == lwm2m.EVENT_BS_FINISHED:
        done += 1
        if done == count:
            net.stop()


clients = [lwm2m.Client("bench-%d" % n, on_event, net=net) for n in range(count)]
for client in clients:
    if sys.argv[3:]:
        security = {3: client.core.endpoint.encode(), 5: sys.argv[3].encode()}
        client.add_bootstrap_server(sys.argv[1], lwm2m.SEC_PRE_SHARED_KEY, security)
    else:
        client.add_bootstrap_server(sys.argv[1], lwm2m.SEC_NONE)
start = time.ticks_ms()
clients[0].step(60)
print('{"done": %d, "ms": %d}' % (done, time.ticks_diff(time.ticks_ms(), start)))
