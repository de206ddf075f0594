# What heap the servers want, and when they say so.
# heapsize: 4M

import gc
import sys

import lwm2m.bootstrap_server as bs
import lwm2m.server as server
from servers import World, request
from ucoap import POST

PORT = 5683
BS_PORT = 5783
LIST = b'</>;rt="oma.lwm2m",</1/0>,</3/0>'
ACCOUNTS = {"*": {"servers": [{"short_id": 1, "uri": "coap://10.0.0.2", "lifetime": 300}]}}


def test_memory_is_there_at_the_start_or_the_server_refuses():
    words = (sys.maxsize >> 31 and 2) or 1  # 64 bits take twice as much
    for make, each in (
        (lambda n: server.Server(PORT, net=World(), max_clients=n), 700),
        (lambda n: bs.BootstrapServer(BS_PORT, net=World(), max_sessions=n), 1000),
    ):
        gc.collect()
        free = gc.mem_free()
        n = free // (each * words) + 100
        try:
            make(n)
            raise AssertionError
        except ValueError as e:
            text = str(e)
            assert text.startswith("%d clients need %d KB of heap" % (n, n * each * words // 1024))
            assert "KB are free" in text
        gc.collect()
        assert gc.mem_free() > free - 10000  # nothing is left of it


def test_memory_is_promised_once():
    # Two roles of one process do not count on the same memory.
    words = (sys.maxsize >> 31 and 2) or 1
    world = World()
    gc.collect()
    most = gc.mem_free() // words
    server.Server(PORT, net=world, max_clients=most * 2 // 3 // 700)
    try:
        bs.BootstrapServer(BS_PORT, net=world, max_sessions=most // 2 // 1000)
        raise AssertionError
    except ValueError as e:
        assert "KB are free" in str(e)
    bs.BootstrapServer(BS_PORT, net=world, max_sessions=most // 8 // 1000).close()


def test_memory_is_given_back():
    # A server that is closed, or that could not begin, has no room any more.
    words = (sys.maxsize >> 31 and 2) or 1
    world = World()
    for again in range(3):
        gc.collect()
        n = gc.mem_free() // words * 2 // 3 // 700
        server.Server(PORT, net=world, max_clients=n).close()
        try:
            server.Server(PORT, net=world, max_clients=n, identities={})  # which want DTLS
            raise AssertionError
        except ValueError as e:
            assert "identities" in str(e)


def test_tables_need_not_grow():
    # In a heap in which no hole is left that is of any size.
    for role, data in (
        (
            server.Server(PORT, net=World(), max_clients=500),
            [request(POST, "rd", "ep=dev-%d&lwm2m=1.1&lt=60" % i, LIST, 40) for i in range(500)],
        ),
        (
            bs.BootstrapServer(BS_PORT, net=World(), max_sessions=500, accounts=ACCOUNTS),
            [request(POST, "bs", "ep=dev-%d" % i) for i in range(500)],
        ),
    ):
        gc.collect()
        full = [None] * 10000
        for i in range(10000):
            try:
                full[i] = bytearray(1000)
            except MemoryError:
                break
        assert i < 9999
        for i in range(0, i, 2):
            full[i] = None
        gc.collect()
        world = role.net
        world.sendto = lambda sock, peer, datagram: None
        for i in range(500):
            role.receive(("10.0.%d.%d" % (i >> 8, i & 255), 1), data[i], world.now())
        assert len(role.entries) == 500
        # And all of them expire, or are given up.
        for _ in range(8):
            world.time += 100000
            role.poll(world.now())
        assert not role.entries
        full = None
