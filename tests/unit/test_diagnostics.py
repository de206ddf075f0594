# heapsize: 1M
#
# The diagnostics object: what it counts, what its log has, and that nothing of it is secret.

import gc

from boards import BS_KEY, KEY, Board, add_bootstrap_server, psk
from lwm2m.diagnostics import DEBUG, EVENTS, FAILURES, ID, NONE, Diagnostics
from lwm2m.store import Store
from lwm2m.model import FLOAT, Object, R
from ucoap import GET, PUT
from world import Registrar, World, account, server

_PATH = "/%d/0/" % ID


class _Case:
    def __init__(self, **kwargs):
        self.world = World()
        self.server = Registrar(self.world)
        self.diagnostics = Diagnostics(self.world)
        self.client = self.world.client()
        self.diagnostics.start(self.client, **kwargs)
        self.client.core.objects[0].instances[0] = account(1)
        self.client.core.objects[1].instances[0] = server(1)
        assert self.world.run(5, lambda: self.server.location)
        self.world.run(1)

    def text(self, rid):
        answer = self.server.read(_PATH + str(rid))
        return answer.text if answer.code == 0x45 else answer.code

    def log(self):
        return [line.split(" ", 1)[1] for line in self.diagnostics.get(0, 10).split("\n")]


def test_what_the_board_tells():
    case = _Case(crash=["ValueError", "app.py, line 7, in turn"], reset="crash")
    assert case.text(0) == "ValueError\napp.py, line 7, in turn"
    assert case.text(1) == "crash"
    case.world.run(100)
    assert 100 <= int(case.text(2)) <= 110
    case = _Case(crash=["x" * 300, "y" * 300])
    assert case.text(0) == "x" * 300 + "\n" + "y" * 99
    assert case.text(1) == 0x84  # nobody has told
    assert case.text(7) == 0x84  # there is no store
    assert case.text(11) == 0x84  # nor anything that could tell
    assert _Case(stack=lambda: 1672).text(11) == "1672"
    for rid in (0, 1, 2, 3, 4, 5, 6, 7, 8, 11):  # and nothing of it can be written
        assert case.server.ask(PUT, _PATH + str(rid), b"0", 0).code == 0x85, rid


def test_the_heap():
    case = _Case()
    least = int(case.text(3))
    gc.collect()
    assert 0 < least <= gc.mem_free()
    kept = bytearray(least // 4)
    case.world.run(100)  # it is looked at once a minute
    kept = None
    gc.collect()
    assert int(case.text(3)) < least - least // 5
    largest = int(case.text(4))
    gc.collect()
    assert 100000 < largest <= gc.mem_free()
    kept = bytearray(largest // 2)
    assert int(case.text(4)) < largest
    assert kept is not None and gc.isenabled()


def test_retransmissions():
    case = _Case()
    assert case.text(5) == "0"
    server_1 = case.world.servers.pop(5683)
    for connection in case.world.connections:
        connection.server = None  # nobody is there
    case.client.core.objects[1].set(0, 1, 900)  # and an Update is due
    case.world.run(40)
    # RFC 7252 4.2: four repetitions, the last after up to 45 s.
    assert 3 <= case.diagnostics.retransmissions <= 4
    case.world.servers[5683] = server_1


def test_handshakes():
    board = Board()
    diagnostics = Diagnostics(board.world)
    diagnostics.start(board.client, store=board.store)
    add_bootstrap_server(board.client)
    board.bootstrap()
    board.finish()
    assert diagnostics.handshakes == 2  # with the bootstrap server, with the server
    assert diagnostics.get(0, 7) == board.store.commits == 2  # its account; the bootstrap
    assert board.registrar.ask(PUT, "/1/1/1", b"600", 0).code == 0x44
    board.world.run(15)
    assert diagnostics.get(0, 7) == 3


def test_dropped_notifications():
    case = _Case()
    sensor = Object(3303, (5700, R | FLOAT), {0: {5700: 1.0}})
    case.client.add_object(sensor)
    answers = []
    case.server.start(GET, "/3303/0/5700", callback=answers.append, more=((6, 0),))
    assert case.world.run(5, lambda: answers)
    for connection in case.world.connections:
        kept, connection.server = connection.server, None
    sensor.set(0, 5700, 2.0)
    assert case.world.run(200, lambda: case.diagnostics.dropped)
    assert case.log() == ["server 1: notification failed /3303/0/5700"]
    for connection in case.world.connections:
        connection.server = kept
    assert case.world.run(400, lambda: len(answers) == 2)
    assert case.diagnostics.dropped == 1


# --- The log


def test_levels():
    case = _Case()
    write = case.diagnostics.log
    for level, kept in ((NONE, ""), (FAILURES, "1"), (EVENTS, "12"), (DEBUG, "123")):
        assert case.server.ask(PUT, _PATH + "9", b"%d" % level, 0).code == 0x44
        assert case.text(9) == str(level)
        case.diagnostics._lines.clear()
        for n in (FAILURES, EVENTS, DEBUG):
            write(n, n)
        assert case.log() == list(kept) if kept else not case.diagnostics.get(0, 10)
    for bad in (b"-1", b"4"):
        answer = case.server.ask(PUT, _PATH + "9", bad, 0)
        assert answer.code == 0x80
        assert answer.payload == b"/26300/0/9 must be from 0 to 3"
    assert case.text(9) == "3"
    assert case.server.ask(PUT, _PATH + "10", b"", 0).code == 0x85


def test_it_is_bounded_and_told():
    case = _Case()
    answers = []
    case.server.start(GET, _PATH + "10", callback=answers.append, more=((6, 0),))
    assert case.world.run(5, lambda: answers)
    for n in range(40):
        case.diagnostics.log(FAILURES, "%d %s" % (n, "ä" * 200))
    case.world.run(5)
    lines = case.diagnostics.get(0, 10).split("\n")
    assert len(lines) == 16
    for i in range(16):
        assert len(lines[i]) == 80 and lines[i].split(" ")[1] == str(24 + i)
    assert len(answers) == 2  # all forty were one notification
    assert case.server.read(_PATH + "10").payload == "\n".join(lines).encode()  # in blocks


def test_events():
    told = []
    world = World()
    registrar = Registrar(world)
    diagnostics = Diagnostics(world)
    client = world.client()
    world.watch = told.append
    diagnostics.start(client)
    diagnostics.set(0, 9, EVENTS)
    client.core.objects[0].instances[0] = account(1)
    client.core.objects[1].instances[0] = values = server(1)
    values[17] = 1  # one attempt
    registrar.registered = 0x83
    registrar.words = b"the key is swordfish"  # a peer's words may be anything
    assert world.run(5, lambda: registrar.requests)
    world.run(1)
    lines = diagnostics.get(0, 10).split("\n")
    assert [line.split(" ", 1)[1] for line in lines[:2]] == [
        "server 1: registering",
        "server 1: registration failed 4.03",
    ]
    assert [event.type for event in told[:2]] == [2, 5]  # the application has them too


def test_nothing_secret():
    # Keys, identities and what servers say stand nowhere in the object.
    board = Board()
    diagnostics = Diagnostics(board.world)
    diagnostics.start(board.client, store=board.store)
    diagnostics.set(0, 9, DEBUG)
    add_bootstrap_server(board.client)
    board.bootstrap()
    assert board.provisioner.write("/0/7", psk(7, KEY, "coap://bad:5684")).code == 0x44
    assert board.provisioner.finish().code == 0x86
    board.world.run(300)
    text = "".join([str(diagnostics.get(0, rid)) for rid in range(11) if diagnostics.get(0, rid)])
    assert "bootstrap" in text
    for secret in (KEY, BS_KEY, b"factory", b"coap://bad"):
        assert str(secret, "utf-8") not in text


def test_the_level_is_kept():
    board = Board()
    add_bootstrap_server(board.client)

    def start():
        diagnostics = Diagnostics(board.world)
        diagnostics.start(board.client, store=board.store)
        return diagnostics

    start()
    board.bootstrap()
    board.finish()
    assert board.registrar.ask(PUT, _PATH + "9", b"3", 0).code == 0x44
    board.world.run(15)
    assert Store("/flash/lwm2m").load("dev")[0][ID] == {0: {9: 3}}
    board.power_on()
    assert start().get(0, 9) == 3
