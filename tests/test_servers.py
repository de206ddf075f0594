"""Both servers as processes under the unix port, on real sockets, in a heap like a board's."""

import json
import socket

import pytest
from harness.lines import Process
from harness.micropython import micropython
from harness.ports import free_port, free_ports

CLIENTS = 20


def test_twenty_clients_at_once():
    bs_port, port = free_ports(2)
    with Process("station.py", bs_port, port, CLIENTS, role="station", heap="192K") as station:
        station.says("listening")
        with Process("fleet.py", bs_port, CLIENTS, role="client", heap="1M") as fleet:
            assert fleet.says("end") == "end 0"
            assert fleet.lines == ["end 0"]
        assert station.says("end") == "end 0"
    names = [f"dev-{i}" for i in range(CLIENTS)]
    for what in ("bootstrapped", "registered", "read", "gone"):
        got = sorted(line.split()[1] for line in station.lines if line.startswith(what + " "))
        assert got == sorted(names), (what, station.lines)
    for i in range(CLIENTS):
        assert f"registered dev-{i} 600" in station.lines
        assert f"read dev-{i} 2.05 maker {i}" in station.lines
    heap = station.says("heap: ")
    print(heap)
    # They were there at once, not one after another.
    assert int(heap.rsplit(" ", 1)[1]) == CLIENTS, heap


@pytest.mark.parametrize(
    "module, name", [("server", "Server"), ("bootstrap_server", "BootstrapServer")]
)
def test_port_in_use(module, name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        program = f"from lwm2m.{module} import {name}\ntry: {name}({port})\nexcept OSError as e: print(e)"
        done = micropython("-c", program, flavour="mpy")
    assert f"UDP port {port} is in use: choose another" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr


SHORT_OF_MEMORY = """
import socket
from lwm2m.net import Net, address

class Role:
    status = 0
    got = []
    def poll(self, now): return 0
    def next_ms(self, now): return 1000
    def receive(self, peer, data, now): self.got.append(len(data))

net, role = Net(), Role()
net.bind(role, "127.0.0.1", PORT)
net.add(role)
there = address("127.0.0.1", PORT)[1]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams = [bytes(n) for n in (90, 900, 639, 640, 80, 1200)]
for again in range(2):
    for datagram in datagrams:
        sock.sendto(datagram, there)
    for datagram in datagrams:
        net.step(role, 0)
    print(role.got)
    role.got.clear()
    if not again:
        full = [None] * 2000
        for i in range(2000):  # until there is no hole of 500 bytes left but one
            try:
                full[i] = bytearray(500)
            except MemoryError:
                break
        full[i - 8] = None
"""


def test_datagrams_in_a_heap_in_pieces():
    # A receive buffer takes 1,280 bytes at least; short datagrams get through without.
    port = free_port()
    program = SHORT_OF_MEMORY.replace("PORT", str(port))
    done = micropython("-c", program, flavour="mpy", role="station", heap="200K")
    before, after = [set(json.loads(line)) for line in done.stdout.splitlines()]
    assert before == {90, 900, 639, 640, 80, 1200}
    assert {90, 80} <= after < before, done.stdout  # and none that was cut
