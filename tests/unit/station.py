# Both servers in one process on two ports, for test_servers.py: station.py BS_PORT PORT CLIENTS
#
# Every client is bootstrapped to the LwM2M Server, and read once it has registered. Ends when as
# many as CLIENTS have gone.

import gc
import sys

import lwm2m.bootstrap_server as bs
import lwm2m.server as server

bs_port, port, clients = [int(arg) for arg in sys.argv[1:]]
most = 0  # clients being bootstrapped at once
used = 0  # bytes of heap, at most
gone = 0


def look():
    global most, used
    most = max(most, len(bootstrap.sessions))
    gc.collect()
    used = max(used, gc.mem_alloc())


def on_event(event, session):
    look()
    if event == bs.FAILED:
        print("bootstrap failed", session.endpoint, session.code, session.text)
    elif event == bs.FINISHED:
        print("bootstrapped", session.endpoint)


def on_client(event, client):
    global gone
    look()
    if event == server.REGISTERED:
        print("registered", client.endpoint, client.lifetime)
        lwm2m_server.read(client, "/3/0/0", on_read)
    elif event == server.DEREGISTERED:
        gone += 1
        print("gone", client.endpoint)
        if gone == clients:
            lwm2m_server.stop()
    elif event == server.EXPIRED:
        print("expired", client.endpoint)


def on_read(client, code, format, payload):
    print("read", client.endpoint, "%d.%02d" % (code >> 5, code & 31), str(payload, "utf-8"))


gc.collect()
before = gc.mem_alloc()
bootstrap = bs.BootstrapServer(
    bs_port,
    "127.0.0.1",
    on_event=on_event,
    max_sessions=clients,
    accounts={
        "*": {
            "servers": [{"short_id": 1, "uri": "coap://127.0.0.1:%d" % port, "lifetime": 600}],
        }
    },
)
lwm2m_server = server.Server(
    port, "127.0.0.1", on_client=on_client, net=bootstrap.net, max_clients=clients
)
look()
idle = used
print("listening")
status = bootstrap.step(-1)
bootstrap.close()
lwm2m_server.close()
print("heap: code %d, idle %d, most %d; at once %d" % (before, idle - before, used, most))
print("end", status)
