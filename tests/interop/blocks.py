# ucoap's engine over UDP, for bodies in blocks: blocks.py server PORT, or blocks.py client PORT
#
# The server's /clock is 3,000 digits, others at each look, and may be observed; /package takes any
# number of bytes, and gives a million. The client puts as many into /example_data of the server on
# that port of this machine, gets them back, and prints a line.

import random
import select
import socket
import sys
import time
from binascii import crc32
from ucoap import GET, OBSERVE, PUT, URI_PATH, Error, path_options
from ucoap.block import Transfer
from ucoap.engine import Engine, Reply

LARGE = 1000000
MASK = 0x3FFFFFFF


class Source:
    size = None

    def read(self, at, n):
        n = max(min(n, LARGE - at), 0)
        lines = b"".join([b"%9d\n" % i for i in range(at // 10, (at + n) // 10 + 1)])
        return lines[at % 10 :][:n]


class Sink:
    def __init__(self):
        self.length = self.crc = 0
        self.whole = None

    def write(self, data):
        self.length += len(data)
        self.crc = crc32(data, self.crc)

    def close(self, whole):
        self.whole = whole


def expected():
    crc = 0
    source = Source()
    for at in range(0, LARGE, 1000):
        crc = crc32(source.read(at, 1000), crc)
    return crc


class Server:
    def __init__(self):
        self.looks = 0
        self.observer = None  # (peer, token, origin)
        self.sequence = 0

    def clock(self, reply):
        self.looks += 1
        reply.payload = bytearray(b"%d" % (self.looks % 10) * 3000)
        reply.content_format = 0

    def handle(self, peer, m, payload, reply, now):
        path = m.strings(URI_PATH)
        if path == ["clock"]:
            self.clock(reply)
            if m.uint(OBSERVE) == 0:
                self.observer = peer, m.token, engine.origin(m, payload)
                reply.observe = self.sequence
            return 0x45
        if path == ["package"]:
            if m.code == GET:
                reply.payload = Source()
                return 0x45
            reply.payload = "%d %08x" % (payload.length, payload.crc)
            return 0x44
        raise Error(0x84, "there are /clock and /package")

    def begin(self, peer, m, now):
        if m.strings(URI_PATH) != ["package"]:
            raise Error(0x85, "not in blocks")
        return Sink()

    def notify(self, now):
        if self.observer:
            peer, token, origin = self.observer
            self.sequence += 1
            reply = Reply()
            self.clock(reply)
            reply.observe = self.sequence
            engine.respond(now, peer, 0x45, token, reply, self.notified, origin=origin)

    def notified(self, x, code, m, payload):
        if code != 2:  # ACKED
            self.observer = None


def run(done):
    """Let the engine run until done()."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    again = time.ticks_add(time.ticks_ms(), 500)
    while not done():
        poll.poll(50)
        now = time.ticks_ms() & MASK
        try:
            while True:
                data, peer = sock.recvfrom(2000)
                engine.receive(bytes(peer), data, now)
        except OSError:
            pass
        engine.poll(now)
        if server and time.ticks_diff(again, time.ticks_ms()) <= 0:
            again = time.ticks_add(time.ticks_ms(), 500)
            server.notify(now)


sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
address = bytes(socket.getaddrinfo("127.0.0.1", int(sys.argv[2]))[0][-1])
server = Server() if sys.argv[1] == "server" else None
if server:
    sock.bind(address)
sock.setblocking(False)
engine = Engine(
    lambda peer, datagram: sock.sendto(datagram, peer),
    server and server.handle,
    lambda: random.getrandbits(30),
    begin=server and server.begin,
)
engine.on_exception = sys.print_exception
if server:
    print("ready")
    run(lambda: False)
else:
    options = path_options("/example_data")
    codes = []
    sink = Sink()

    def answered(x, code, m, payload):
        codes.append("%02x" % code)
        if m and m.code < 0x45:  # created or changed
            now = time.ticks_ms() & MASK
            engine.request(
                now, address, GET, options, b"", answered, got=Transfer(None, sink=sink)
            )

    engine.request(time.ticks_ms() & MASK, address, PUT, options, Source(), answered)
    run(lambda: len(codes) == 2 or (codes and codes[0] not in ("41", "44")))
    same = sink.whole and sink.length == LARGE and sink.crc == expected()
    print(" ".join(codes), "the same" if same else "%d bytes" % sink.length)
