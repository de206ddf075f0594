# A fleet after an outage, as its servers see it: herd.py WHAT SECONDS FIRST COUNT
#
# Each client is the real core, in a world and at a clock of its own, as clients do not know of each
# other; around it are a board's link and gate, as firmware/main.py has them. Prints the outcome as a
# line of JSON, for tests/soak; test_herd.py runs a few.

import json
import sys

if __name__ == "__main__":  # this folder stands in MICROPYPATH too, behind the library
    sys.path.pop(0)

import device.link
import lwm2m
from chip import Network
from device.link import Gate, Link
from ucoap.engine import diff
from world import Provisioner, Random, Registrar, World

WINDOW_S = 10
BACK_S = 1800  # from the end of an outage on, all are back

# What is away.
SERVER = "server"
BOOTSTRAP = "bootstrap"  # the bootstrap server, of clients without accounts
NETWORK = "network"

# Of a Link's states.
_WAITING = 0
_JOINING = 2


class _Device:
    def __init__(self, what, seed):
        random = Random(seed + 100003)
        self.world = world = World(seed)
        device.link.rng = random.bits
        self.network = Network()
        values = {"type": "wifi", "ssid": "x"} if what == NETWORK else {"type": "none"}
        self.link = Link(values, self.network, None)
        self.client = world.client()
        self.client.core.on_event = None
        self.gate = Gate(self.client, self.link)
        # At a random moment, seen from the outage: of a lifetime, or after power came.
        self.since_s = random.below(600)
        if what == BOOTSTRAP:
            self.server = Provisioner(world)
            self.client.add_bootstrap_server("coap://bs:5783", lwm2m.SEC_NONE)
        else:
            self.server = Registrar(world)
            lifetime = (300, 3600)[seed & 1]
            self.since_s += random.below(lifetime) + 60
            self.client.add_server(1, "coap://server", lwm2m.SEC_NONE, lifetime)

    def run(self, seconds, until=None):
        """The loop of a board for that long, or until()."""
        world = self.world
        end = world.time + seconds * 1000
        while world.time < end and not (until and until()):
            now = world.now()
            up = self.link.poll(now)
            if self.gate.poll(up, now) and up:
                self.client.step(1 if until else min((end - world.time) // 1000 + 1, 600))
            else:
                world.run_ms(min(end - world.time, 1000 if until else self._wait_ms(now)))
            world.connections.clear()
            world.statuses.clear()
            for nic in self.network.nics:
                nic.calls.clear()

    def _wait_ms(self, now):
        # Days without a network pass from one thing that the link does to the next.
        link = self.link
        due = link._backoff.due
        if link._state == _WAITING and due is not None and diff(due, now) > 0:
            return diff(due, now)
        return 60000 if link._state == _JOINING else 1000

    def set_network(self, up):
        for nic in self.network.nics:
            nic.up = up

    def back(self):
        core = self.client.core
        return (
            self.server.requests
            and getattr(self.server, "location", 1)
            and (core.bootstrap.state == 4 or bool(core.accounts and core.accounts[0].location))
        )


def outage(what, seconds, seed):
    """(s from its end to each request, or [] of who did not notice; bytes sent meanwhile) of a client."""
    d = _Device(what, seed)
    world, server = d.world, d.server
    lost = seconds
    if what == BOOTSTRAP:
        lost -= d.since_s
    else:
        d.run(1)
        d.set_network(True)
        d.run(d.since_s)
        assert server.location
    server.silent = what != NETWORK
    d.set_network(False)
    sent = world.bytes
    d.run(lost)
    sent = world.bytes - sent
    server.silent = False
    d.set_network(True)
    server.requests.clear()
    if what != BOOTSTRAP:
        server.location = 0  # the server has forgotten it
    if what == SERVER:
        if d.client.core.accounts and d.client.core.accounts[0].state == 4:
            return [], sent
    end = world.time
    d.run(BACK_S, d.back)
    assert d.back(), (what, seconds, seed)
    return [(request.time - end) // 1000 for request in server.requests], sent


def fleet(what, seconds, first, count):
    """Of clients with seeds from `first` on: the numbers of requests in each WINDOW_S from the end of
    the outage on, when the last client was back, s, and bytes that a client has sent in a day."""
    windows = [0] * (BACK_S // WINDOW_S + 1)
    last = sent = 0
    for seed in range(first, first + count):
        times, n = outage(what, seconds, seed)
        sent += n
        for s in times:
            windows[s // WINDOW_S] += 1
            last = max(last, s)
    return windows, last, sent * 86400 // (seconds * count)


if __name__ == "__main__":
    print(json.dumps(fleet(sys.argv[1], *[int(arg) for arg in sys.argv[2:]])))
