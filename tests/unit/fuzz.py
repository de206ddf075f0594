# What fuzz tests share: a client with its servers, mutants, noise. FUZZ=10 in the environment makes ten
# times as many messages, from other seeds.

import gc
import os

from lwm2m.model import FLOAT, INT, OPAQUE, STR, E, MULTI, Object, R, W
import lwm2m
from world import Provisioner, Random, Registrar, World

TIMES = int(os.getenv("FUZZ") or 1)
SLACK = 512  # bytes by which the heap may differ: what is left of a moment
TLV = 11542


def damaged(random, pool):
    """One of the pool, damaged."""
    data = bytearray(pool[random.below(len(pool))])
    for _ in range(1 + random.below(3)):
        kind = random.below(8)
        n = len(data)
        i = random.below(n) if n else 0
        if kind < 3 and n:
            data[i] ^= 1 << random.below(8)
        elif kind == 3 and n:
            data[i] = random.below(256)
        elif kind == 4:
            data = data[:i]
        elif kind == 5:
            data = data[:i] + bytes([random.below(256)]) + data[i:]
        elif kind == 6:
            data = data[:i] + data[i + 1 :]
        else:  # the beginning of one, the end of another
            other = pool[random.below(len(pool))]
            data = data[:i] + other[random.below(len(other)) :]
    return data


def mutant(random, pool):
    """One of a pool of messages, damaged."""
    data = damaged(random, pool)
    if len(data) > 3 and random.below(10):
        # A message id of its own, or it would be taken for one that was there before.
        data[2] = random.below(256)
        data[3] = random.below(256)
    return bytes(data[:1280])


def noise(random):
    data = bytearray(random.below(60))
    for i in range(len(data)):
        data[i] = random.below(256)
    if data and random.below(2):
        data[0] = 0x40 | data[0] & 0x3F  # CoAP's version
    return bytes(data)


def heap():
    gc.collect()
    return gc.mem_alloc()


class Case:
    """A registered client with a bootstrap server account and an object of an application."""

    def __init__(self, seed):
        self.random = Random(seed + 1000 * TIMES)
        self.world = World(seed)
        self.registrar = Registrar(self.world)
        self.provisioner = Provisioner(self.world)
        self.client = self.world.client(device={4: lambda: None, 5: lambda: None})
        self.core = self.client.core
        self.core.on_event = None
        flags = (0, STR | R | W, 1, INT | R | W, 2, FLOAT | R | W, 3, OPAQUE | R | W)
        flags += (4, INT | R | W | MULTI, 5, E)
        self.obj = Object(1000, flags, multiple=True)
        self.client.add_object(self.obj)
        self.client.add_bootstrap_server("coap://bs:5783", lwm2m.SEC_NONE)
        self.client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
        objects = self.core.objects
        given = [objects[oid] for oid in (0, 1, 2, 3)]
        self.given = [(obj, obj.instances) for obj in given]
        self.copies = [(dict(i), {n: dict(i[n]) for n in i}) for _, i in self.given]
        self.reset()

    def reset(self):
        """Objects as in the beginning."""
        for i in range(len(self.given)):
            obj, found = self.given[i]
            found.clear()
            for iid in self.copies[i][1]:
                found[iid] = dict(self.copies[i][1][iid])
            obj.instances = found
        self.obj.instances = {
            0: {0: "a", 1: 1, 2: 1.5, 3: b"b", 4: {0: 1}, 5: lambda argument: None}
        }
        self.accounts = self.state()

    def state(self):
        objects = self.core.objects
        return [{i: dict(objects[o].instances[i]) for i in objects[o].instances} for o in (0, 1)]

    def settle(self):
        """Nothing is under way any more, and nothing is remembered."""
        self.world.run(400)
        self.reset()
        self.core.restart()
        self.registrar.requests.clear()
        self.provisioner.requests.clear()
        self.registrar.heard.clear()
        self.provisioner.heard.clear()
        self.world.statuses.clear()
        self.world.connections.clear()
        self.provisioner.connection = None  # and its account: not to be counted, once there is one
        assert self.world.run(5, lambda: self.registrar.location and self.registrar.requests)
        self.world.run(1000)
        self.registrar.requests.clear()
        self.registrar.heard.clear()

    def feed(self, peer, data):
        for one in (self.registrar, self.provisioner):
            one.heard.clear()
            one.requests.clear()
        now = self.world.now()
        self.core.receive(peer, data, now)
        self.core.poll(now)
        assert self.core.next_ms(now) >= 0
