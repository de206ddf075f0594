"""Both servers as processes under the unix port, on real sockets, in a heap like a board's."""

import json
import socket
import struct

import pytest
from builds.steps import ROOT
from harness.lines import Process
from harness.micropython import micropython
from harness.ports import free_port, free_ports

CLIENTS = 20
SERVER = ROOT / "lib" / "lwm2m-server" / "examples" / "server.py"
BOOTSTRAP_SERVER = ROOT / "lib" / "lwm2m-bootstrap-server" / "examples" / "bootstrap_server.py"

GET, POST = 1, 2
TLV = 11542


class Peer:
    """A client that says what a test gives it: datagrams made by hand (RFC 7252 3)."""

    def __init__(self, port, host="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(20)
        self._mid = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.socket.close()

    def post(self, path, *queries, payload=b""):
        """Send a request and return the code of the answer, such as 0x41 for 2.01."""
        self._mid += 1
        options = _option(0, 11, path.encode())
        if payload:
            options += _option(11, 12, b"\x28")  # link-format
        last = 12 if payload else 11
        for query in queries:
            options += _option(last, 15, query if isinstance(query, bytes) else query.encode())
            last = 15
        head = struct.pack("!BBH", 0x40, POST, self._mid)
        self.socket.send(head + options + (b"\xff" + payload if payload else b""))
        while True:
            data = self.socket.recv(2000)
            if data[2:4] == head[2:4] and data[0] >> 4 == 6:
                return data[1]

    def request(self):
        """The next request of the server's: (method, path, the datagram)."""
        while True:
            data = self.socket.recv(2000)
            if data[0] >> 4 == 4 and 0 < data[1] < 32:
                i, number, path = 4 + (data[0] & 15), 0, ""
                while i < len(data) and data[i] != 0xFF:
                    delta, size = data[i] >> 4, data[i] & 15
                    assert delta < 14 and size < 13
                    if delta == 13:
                        i += 1
                        delta += data[i]
                    number += delta
                    if number == 11:
                        path += "/" + data[i + 1 : i + 1 + size].decode()
                    i += 1 + size
                return data[1], path, data

    def answer(self, request, code, payload=b"", format=None):
        n = request[0] & 15
        options = (
            b"" if format is None else _option(0, 12, format.to_bytes(2, "big").lstrip(b"\0"))
        )
        head = bytes([0x60 | n, code]) + request[2 : 4 + n] + options
        self.socket.send(head + (b"\xff" + payload if payload else b""))


def _option(last, number, value):
    head = bytearray(1)
    for n in (number - last, len(value)):
        assert n < 269
        head[0] = head[0] << 4 | min(n, 13)
        if n > 12:
            head.append(n - 13)
    return bytes(head) + value


# What a terminal, a log or a reader's eye acts on: an escape sequence, the title of a window, CR and
# LF, C1, an override of the direction of writing.
NASTY = "\x1b[2J\x1b]0;title\x07\r\nforged line\x9b31m\x85\u202etxt\u2066"


def said_safely(process):
    """What a process has said, once it was looked at."""
    output = "\n".join(process.lines)
    assert "Traceback" not in output, output
    assert not [c for c in output if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)], output
    assert not set(NASTY) & {"\u202e", "\u2066"} & set(output), output
    assert not [line for line in process.lines if line.startswith("forged")], output
    return output


def test_what_clients_send_to_the_server_is_escaped():
    port = free_port()
    nasty = NASTY.encode()
    tlv = b"\xc8\x00" + bytes([len(nasty)]) + nasty  # /3/0/0, Manufacturer
    with Process(SERVER, port, "127.0.0.1", role="station", heap="400K") as server:
        server.says("Listening")
        with Peer(port) as peer:
            assert peer.post("rd", "ep=" + NASTY, "lwm2m=1.1", payload=b"</1/0>") == 0x80
            assert peer.post("rd", "ep=dev", f"lwm2m={NASTY}", payload=b"</1/0>") == 0x8C
            links = b"</1/0>,</" + nasty + b">"
            assert peer.post("rd", "ep=dev", "lwm2m=1.1", payload=links) == 0x41
            _, path, request = peer.request()
            assert path == "/3/0"
            peer.answer(request, 0x45, tlv, TLV)
            _, path, request = peer.request()
            peer.answer(request, 0x80, nasty)
            _, path, request = peer.request()
            peer.answer(request, 0x45, nasty, 0)
        server.says("    Manufacturer: \\x1b[2J")
        server.says("Write Europe/Berlin")
        server.says("Temperature: ")
        assert "dev has /1/0 /\\x1b[2J" in said_safely(server)


# Of a Read, or an observation: (code, payload, Content-Format).
ODD_ANSWERS = [
    (0x45, b"\x82\xa2\x21\x62/3\x00\x01", 112),  # SenML CBOR
    (0x45, b'[{"bn":"/3/0/","n":"0","vs":"x"}]', 110),
    (0x45, b"x", 65535),
    (0x45, b"", None),
    (0x45, b"", TLV),
    (0x45, b"\xff" * 40, TLV),
    (0x45, b"\xc8\x00\xff", TLV),  # a length beyond the end
    (0x45, b"\x08\x01\x03\xc1\x00a", TLV),  # instance 1, that was not asked for
    (0x45, b"\xc1\x0b\x01", TLV),  # a single value of a multiple resource
    (0x45, b"\x86\x00\x41\x00\x01\x41\x01\x05", TLV),  # and the reverse
    (0x45, b"\xc2\x0d\xff\xff", TLV),
    (0x45, b"\xc4\x16\x7f\xc0\x00\x00", TLV),
    (0x45, b"\xe8\x16\x44\x08" + bytes(8), TLV),  # 5700, of 8 bytes
    (0x45, b"\xe4\x16\x44\x7f\xc0\x00\x00", TLV),  # not a number
    (0x45, b"nan", 0),
    (0x45, b"1e400", 0),
    (0x45, b"\xff\xfe", 0),
    (0x45, b"21.5", 42),
    (0x41, b"", None),
    (0x44, b"x", 0),
    (0x86, b"\xff", None),
    (0xA0, b"\xff", None),
]


def test_the_example_prints_words_whatever_a_client_answers():
    port = free_port()
    with Process(SERVER, port, "127.0.0.1", role="station", heap="400K") as server:
        server.says("Listening")
        with Peer(port) as peer:
            for i, (code, payload, format) in enumerate(ODD_ANSWERS):
                name = f"ep=dev-{i}"
                assert peer.post("rd", name, "lwm2m=1.1", payload=b"</3/0>") == 0x41
                for path in ("/3/0", "/3/0/15", "/3303/0/5700"):
                    method, found, request = peer.request()
                    assert found == path
                    peer.answer(request, code, payload, format)
                    if code == 0x86 and method == GET and path.count("/") > 2:  # in TLV, then
                        peer.answer(peer.request()[2], code, payload, format)
        for start in ("Read /3/0: ", "Write Europe/Berlin"):
            server.says(start, times=len(ODD_ANSWERS))
        said_safely(server)
        assert not [line for line in server.lines if "object at" in line]


def test_what_clients_send_to_the_bootstrap_server_is_escaped(tmp_path):
    port = free_port()
    table = tmp_path / "accounts.json"
    table.write_text(json.dumps({"*": {"servers": [{"short_id": 1, "uri": "coap://127.0.0.1"}]}}))
    with Process(
        BOOTSTRAP_SERVER, table, port, "127.0.0.1", role="station", heap="400K"
    ) as server:
        server.says("Listening")
        with Peer(port) as peer:
            assert peer.post("bs", "ep=" + NASTY) == 0x80
            assert peer.post("bs", "ep=good") == 0x44
            version = f'</>;lwm2m="{NASTY}",</0/0>,</1>'.encode()
            for code, payload in ((0x45, version), (0x44, b""), (0x44, b""), (0x44, b"")):
                peer.answer(peer.request()[2], code, payload)
            server.says("good has its accounts (LwM2M \\x1b[2J")
            assert peer.post("bs", "ep=bad") == 0x44
            peer.answer(peer.request()[2], 0x45, b"</0/0>")
            peer.answer(peer.request()[2], 0x86, NASTY.encode())
            server.says("bad was not bootstrapped: \\x1b[2J")
        said_safely(server)


def test_growth():
    # What a client costs where it is one of 300, by what it costs alone; and its heap, in words of
    # 64 bits, of which a board has halves.
    program = ROOT / "tools" / "measure" / "programs" / "growth.py"
    found = json.loads(micropython(program, flavour="mpy", heap="16M").stdout)
    for name, most in (("bootstrap", 2048), ("registration", 1400)):
        assert found[name]["many"] <= 1.3 * found[name]["alone"], found
        assert found[name]["bytes"] <= most, found


def test_twenty_clients_at_once():
    bs_port, port = free_ports(2)
    with Process("station.py", bs_port, port, CLIENTS, role="station", heap="256K") as station:
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


NO_MEMORY = """
from lwm2m.texts import print_exception

full = [None] * 30000

def fill():
    n = 0
    for size in (1000, 100, 1):
        try:
            while True:
                full[n] = bytearray(size)
                n += 1
        except MemoryError:
            pass

for error in (MemoryError("none"), ValueError("wrong")):
    fill()
    print_exception(error)
"""


def test_exceptions_are_told_without_memory():
    # Whoever calls an application's function goes on: nothing that is under way may be lost for it.
    done = micropython("-c", NO_MEMORY, flavour="mpy", role="station", heap="400K")
    assert done.stdout.splitlines() == [
        "MemoryError: none",
        "an exception, and no memory to say which",
    ], done.stdout + done.stderr
