# heapsize: 4M
#
# Object 5: states and results by its definition, what servers may write when, the way over a restart,
# and what a trial takes for success.

import gc
import os
from lwm2m.slots import Slots, _remove
from lwm2m.update import Update
from packages import KEYS, TARGET, package
from ucoap import OBSERVE, POST, PUT
import lwm2m.tlv as tlv
from world import Registrar, World, account, encode, server

FOLDER = "/tmp/lwm2m-update-%d" % id(object())
FILES = {"app.py": b"VERSION = 2\n" * 400, "more.py": b"x" * 3000}
GOOD = package(FILES)


def listed():
    try:
        return os.listdir(FOLDER)
    except OSError:  # nothing was ever put there
        return []


class Device:
    """A client with object 5, its server, and what happens when it restarts."""

    def __init__(self, fresh=True, may_update=None, servers=1, fault=None, register=True, **more):
        if fresh:
            _remove(FOLDER)
        self.world = world = World()
        self.registrars = [Registrar(world, 5683 + i) for i in range(servers)]
        self.registrar = self.registrars[0]
        self.restarts = 0
        client = self.client = world.client(device={4: self.restart})
        self.core = client.core
        self.core.may = None  # who may do what with several servers is test_access's
        self.slots = Slots(FOLDER, KEYS, TARGET)
        self.folder = self.slots.start(fault)
        self.texts = []
        world.watch = self.on_event
        self.update = Update(client, self.slots, may_update, **more)
        for i in range(servers):
            self.core.objects[0].instances[i] = account(i + 1, "coap://server:%d" % (5683 + i))
            self.core.objects[1].instances[i] = server(i + 1)
        if register:
            self.register()

    def register(self):
        assert self.world.run(60, lambda: all(r.location for r in self.registrars))
        assert self.world.run(10, lambda: self.core.accounts[0].state == 4)

    def on_event(self, event):
        if event.type == 21:
            self.texts.append(event.text)

    def restart(self):
        self.restarts += 1

    def run(self, seconds, until=None):
        # As Client.step() does, what was executed is done behind the answer.
        def done():
            if self.client._later:
                later = self.client._later
                self.client._later = None
                later()
            return until and until()

        return self.world.run(seconds, done)

    def read(self, rid):
        return int(self.registrar.read("/5/0/%d" % rid, 0).text)

    def state(self):
        return self.read(3), self.read(5)

    def push(self, data, code=0x44, format=42, method=PUT, who=None):
        answer = (who or self.registrar).ask(method, "/5/0/0", data, format)
        assert answer.code == code, (hex(answer.code), answer.payload)
        return answer

    def execute(self, code=0x44, argument=b""):
        answer = self.registrar.execute("/5/0/2", argument)
        assert answer.code == code, (hex(answer.code), answer.payload)
        return answer

    def install(self, data=GOOD):
        self.push(data)
        self.execute()
        assert self.run(60, lambda: self.restarts)


def test_what_it_says_at_first():
    d = Device()
    # ETS 751.
    assert d.state() == (0, 0) and d.read(9) == 2
    read = d.registrar.read("/5/0", 11542)
    assert read.code == 0x45
    assert d.registrar.read("/5/0/8", 11542).payload == encode({8: {0: 0}})
    assert d.registrar.read("/5/0/6", 0).text == d.registrar.read("/5/0/7", 0).text == ""
    assert d.registrar.read("/5/0/1", 0).text == ""
    assert d.registrar.read("/5/0/0").code == 0x85
    assert "</5/0>" in str(d.registrar.requests[0].payload, "utf-8")
    d = Device()
    d.core.net.modes = (0, 3)


def test_push():
    # ETS 770, in one piece and in blocks, deflated or not.
    for data in (GOOD, package({"a.py": b"1"}), package({"a.py": b"2" * 4000}, flags=1)):
        d = Device()
        d.push(data)
        assert d.state() == (2, 0)
        assert d.texts == ["a package is there"]
        d.execute()
        assert d.run(60, lambda: d.restarts) and d.restarts == 1
        d = Device(False)
        assert d.folder == FOLDER + "/0"
        assert d.run(9, lambda: d.slots.result()[0] == 1)
        assert d.state() == (0, 1)
        assert d.registrar.read("/5/0/6", 0).text == "app"
        assert d.registrar.read("/5/0/7", 0).text == "2.0"
        assert d.registrar.read("/3/0/3", 0).text == "2.0"
        d = Device(False)
        assert d.state() == (0, 1) and d.registrar.read("/5/0/7", 0).text == "2.0"


def test_push_as_tlv():
    # What Leshan sends where nothing else was chosen; an entry of the resource, of each length.
    for n in (10, 200, 3000, 70000):
        data = package({"a.py": b"1" * n})
        for format in (11542, 1542):
            d = Device()
            d.push(encode({0: data}), format=format)
            assert d.state() == (2, 0), n
    for bad in (encode({1: data}), encode({0: {0: data}}), b"\xc0\0" + data):
        d = Device()
        d.push(bad, 0x80, 11542)
        assert d.state()[0] == 0
    d.push(data, 0x8F, 112)
    d.push(data, 0x8F, 0)


def test_states_while_it_comes():
    d = Device(servers=2)
    other = d.registrars[1]
    notified = []

    def answered(answer):
        notified.append(tlv.decode(3, answer.payload) if answer.format == 11542 else answer.text)

    for rid in (3, 5):
        d.registrar.start(1, "/5/0/%d" % rid, more=((OBSERVE, 0),), callback=answered)
    d.world.run(5)
    assert notified == ["0", "0"]
    d.registrar.start(PUT, "/5/0/0", package({"a.py": b"1" * 30000}), 42)
    assert d.world.run(20, lambda: d.core.objects[5].instances[0][3] == 1)
    # ETS 760, 772; and no second package.
    assert other.execute("/5/0/2").code == 0x85
    assert other.ask(PUT, "/5/0/1", b"coap://server/x", 0).code == 0x80
    assert d.world.run(60, lambda: d.core.objects[5].instances[0][3] == 2)
    d.world.run(5)
    assert notified == ["0", "0", "1", "2"]
    d.push(GOOD, 0x80)
    assert d.registrar.ask(PUT, "/5/0/1", b"coap://server/x", 0).code == 0x80
    assert d.state() == (2, 0)
    d.execute()
    assert d.run(60, lambda: d.restarts)
    d.world.run(5)
    assert notified == ["0", "0", "1", "2", "3"]
    # Nothing can be written now, and the state stays.
    for value in (GOOD, b"", b"\0"):
        d.push(value, 0x85)
    d.execute(0x85)
    assert d.state() == (3, 0)


def test_update_out_of_turn():
    d = Device()
    d.execute(0x85)
    assert d.state() == (0, 0) and d.restarts == 0


def test_arguments():
    d = Device()
    d.push(GOOD)
    d.execute(0x80, b"0=")
    assert d.state() == (2, 0)
    d.execute(0x44, b"0='x'")


def test_reset():
    # ETS 755, 756: an empty package, one byte 0, an empty URI; in each state but Updating.
    for path, value, format in (
        ("/5/0/0", b"", 42),
        ("/5/0/0", b"\0", 42),
        ("/5/0/1", b"", 0),
        ("/5/0/0", encode({0: b"\0"}), 11542),
        ("/5/0", encode({0: b"\0"}), 11542),
    ):
        for before in (0, 1, 2):
            d = Device()
            if before == 2:
                d.push(GOOD)
            elif before == 1:
                data = package({"a.py": b"1" * 30000})
                d.registrar.start(PUT, "/5/0/0", data, 42)
                # From another server, as this one's comes in turn.
                assert d.world.run(20, lambda: d.core.objects[5].instances[0][3] == 1)
                d.registrar.engine.drop(d.registrar.connection)
            method = POST if path == "/5/0" else PUT
            assert d.registrar.ask(method, path, value, format).code == 0x44, (path, value)
            assert d.state() == (0, 0)
            assert "new" not in listed()
            d.push(GOOD)
            assert d.state() == (2, 0)


def test_refusals():
    # ETS 773 to 777: the code, words, the result, and the next one is taken.
    for data, code, result, words in (
        (GOOD[:-1] + b"y", 0x80, 5, "not what was signed"),
        (package(FILES, secret=4), 0x80, 5, "signature is wrong"),
        (package(FILES, key=3), 0x80, 5, "nobody"),
        (package(FILES, target="other"), 0x80, 6, "another target"),
        (b"rubbish" * 1000, 0x80, 6, "no package"),
        (b"rubbish", 0x80, 5, "too soon"),
        (GOOD[:-1], 0x80, 5, "too soon"),
        (GOOD + b"x", 0x80, 5, "longer"),
        (package(FILES, size=0x7FFFFFFF, whole=0xFFFFFFFF, flags=1), 0x80, 5, None),
    ):
        d = Device()
        answer = d.push(data, code)
        assert words is None or words in answer.text, answer.text
        assert d.state() == (0, result), words
        assert "new" not in listed()
        assert words is None or words in d.texts[-1]
        d.push(GOOD)
        assert d.state() == (2, 0)


def test_no_room():
    d = Device()
    statvfs = os.statvfs
    import lwm2m.slots as slots

    class Full:
        def __getattr__(self, name):
            return getattr(os, name)

        def statvfs(self, path):
            return (4096, 4096, 100, 6, 6)

    slots.os = Full()
    try:
        answer = d.push(package({"a.py": b"1" * 9000}), 0x8D)
        assert answer.text == "no room for it" and d.state() == (0, 2)
    finally:
        slots.os = os
    assert os.statvfs is statvfs


def test_older():
    d = Device()
    d.install(package(FILES, 5))
    d = Device(False)
    assert d.run(9, lambda: d.slots.result()[0] == 1)
    assert "older" in d.push(package(FILES, 4), 0x80).text
    assert d.state() == (0, 8)
    d.push(package(FILES, 6))
    assert d.state() == (2, 0)


def test_two_servers():
    d = Device(servers=2)
    one, other = d.registrars
    data = package({"a.py": b"1" * 30000})
    codes = []
    one.start(PUT, "/5/0/0", data, 42, callback=lambda answer: codes.append(answer.code))
    assert d.world.run(20, lambda: d.core.objects[5].instances[0][3] == 1)
    d.push(GOOD, 0x80, who=other)
    # But it may end what the other has begun; of that nothing more is taken.
    d.push(b"\0", who=other)
    d.push(GOOD, who=other)
    assert d.world.run(60, lambda: codes) and codes == [0x88]
    assert d.state() == (2, 0)


def test_a_server_that_stops_in_the_middle():
    # ETS 775: result 4, and a place for the next one.
    d = Device()
    d.registrar.start(PUT, "/5/0/0", package({"a.py": b"1" * 30000}), 42)
    assert d.world.run(20, lambda: d.core.objects[5].instances[0][3] == 1)
    d.registrar.engine.drop(d.registrar.connection)
    assert d.world.run(600, lambda: d.core.objects[5].instances[0][3] == 0)
    assert d.state() == (0, 4)
    d.push(GOOD)
    assert d.state() == (2, 0)


def test_a_server_that_goes_at_every_block():
    # Before the block has left it, or before it hears that it has come; for a moment, in which it forgets
    # what it did, for longer than a transfer lives (RFC 7252 4.8.2: 247 s), and for longer than the
    # registration does.
    blocks = -(-len(GOOD) // 1024)
    left = 0
    for n in range(blocks):
        for sent in (False, True):
            for away in (1, 290, 1000):
                where = (n, sent, away)
                d = Device()
                d.texts.clear()
                registrar = d.registrar
                post = d.world.post
                count = 0

                def watched(connection, up, data):
                    nonlocal count
                    if up and data[1] == PUT and not registrar.silent:
                        if count == n:
                            registrar.silent = True
                            if sent:
                                post(connection, up, data)
                        count += 1
                    if not registrar.silent or not up:
                        post(connection, up, data)

                d.world.post = watched
                registrar.start(PUT, "/5/0/0", GOOD, 42)
                assert d.world.run(30, lambda: registrar.silent), where
                left += 1
                registrar.engine.drop(registrar.connection)
                d.world.run(away)
                # All of it may have come: then it is there, and the next one is refused until it is given up.
                whole = sent and n == blocks - 1
                state = d.core.objects[5].instances[0][3]
                if whole:
                    assert state == 2, where
                elif away > 247 + 30:
                    assert state == 0, where
                d.world.post = post
                registrar.silent = False
                assert d.world.run(2000, lambda: d.core.accounts[0].state == 4), where
                if whole:
                    d.push(GOOD, 0x80)
                    d.push(b"\0")
                d.push(GOOD)
                assert d.state() == (2, 0), where
                assert d.texts[-1] == "a package is there", where
                d.execute()
                assert d.run(60, lambda: d.restarts), where
    assert left == blocks * 6 and blocks > 7
    _remove(FOLDER)


def test_a_package_that_is_begun_again():
    d = Device()
    data = package({"a.py": b"1" * 30000})
    d.registrar.start(PUT, "/5/0/0", data, 42)
    assert d.world.run(20, lambda: d.core.objects[5].instances[0][3] == 1)
    d.registrar.engine.drop(d.registrar.connection)
    d.push(data)
    assert d.state() == (2, 0)


def test_the_application_has_a_say():
    answers = []

    def may_update():
        answers.append(len(answers) > 3)
        return answers[-1]

    d = Device(may_update=may_update)
    d.push(GOOD)
    d.execute()
    assert not d.run(150, lambda: d.restarts)
    assert d.state() == (2, 0) and answers == [False] * 3
    d.execute()  # once more changes nothing
    assert d.run(240, lambda: d.restarts) and d.restarts == 1
    # It can be given up until then.
    answers.clear()
    d = Device(may_update=may_update)
    d.push(GOOD)
    d.execute()
    d.run(10)
    d.push(b"\0")
    assert not d.run(1000, lambda: d.restarts) and d.state() == (0, 0)


def test_state_3_is_told_before_the_restart():
    d = Device()
    d.push(GOOD)
    d.execute()
    since = d.world.time
    assert d.run(60, lambda: d.restarts)
    assert 5000 <= d.world.time - since <= 8000


def test_everything_comes_twice():
    # A doubled Execute is answered, and done once; so is each block.
    d = Device()
    d.world.double = 100
    d.world.delay = (5, 900)
    d.push(package({"a.py": b"1" * 9000}))
    d.execute()
    assert d.run(60, lambda: d.restarts)
    d.run(60)
    assert d.restarts == 1


def test_an_installation_that_fails():
    # ETS 779. It is not tried again, whoever asks, until it is written anew; no reset is needed then.
    lie = package(FILES, whole=100)
    d = Device()
    d.push(lie)
    d.execute()
    assert d.run(60, lambda: d.core.objects[5].instances[0][5] == 8)
    assert d.state() == (2, 8) and d.restarts == 0
    for _ in range(3):
        answer = d.execute(0x85)
        assert answer.text == "it has failed on this device: write it anew"
    assert d.state() == (2, 8)
    d.push(GOOD)
    assert d.state() == (2, 0)
    d.execute()
    assert d.run(60, lambda: d.restarts)


def test_a_port_that_does_not_inflate():
    # Result 8, and why; one that is not deflated does.
    import builtins

    real = builtins.__import__

    def without(name, *more):
        if name == "deflate":
            raise ImportError("no module named 'deflate'")
        return real(name, *more)

    d = Device()
    d.push(package({"a.py": b"2" * 4000}, flags=1))
    builtins.__import__ = without
    try:
        d.execute()
        assert d.run(60, lambda: d.core.objects[5].instances[0][5])
    finally:
        builtins.__import__ = real
    assert d.state() == (2, 8) and d.restarts == 0
    assert d.texts[-1].startswith("not installed: ImportError") and "deflate" in d.texts[-1]
    d.execute(0x85)
    d.push(package({"a.py": b"2" * 4000}))
    d.execute()
    assert d.run(60, lambda: d.restarts)


def test_a_trial_that_fails():
    d = Device()
    d.install()
    d = Device(False)
    assert d.run(9, lambda: d.slots.result()[0] == 1)
    for fault, count, text in (("a crash", 1, "a crash"), (None, 4, "it did not last")):
        d.install(package({"app.py": b"3"}, 3))
        for _ in range(count):
            d = Device(False, fault=fault, register=False)
        d.register()
        assert d.state() == (0, 8)
        assert d.texts == [text]
        assert d.registrar.read("/5/0/7", 0).text == "2.0"
        assert d.folder == FOLDER + "/0"
        d.execute(0x85)
        # Result and version are there after another restart too.
        d = Device(False)
        assert d.state() == (0, 8) and d.registrar.read("/5/0/7", 0).text == "2.0"


def test_a_server_that_is_out():
    # Rolls nothing back: there is nobody who has answered.
    d = Device()
    d.install()
    d = Device(False, register=False)
    d.registrar.silent = True
    d.run(20000)
    assert d.restarts == 0 and d.slots.on_trial()
    d.registrar.silent = False
    assert d.run(4000, lambda: not d.slots.on_trial())
    assert d.slots.result()[0] == 1


def test_a_server_that_refuses():
    # It is there, and does not want this one: that is no success.
    d = Device()
    d.install()
    d = Device(False, register=False)
    d.registrar.registered = 0x83
    assert d.run(20000, lambda: d.restarts)
    assert d.slots.result() == (8, "not registered in time")
    d = Device(False)
    assert d.state() == (0, 8) and d.folder is None


def test_an_application_that_registers_and_no_more():
    # Registered is not enough: its loop has to go on for a while.
    d = Device()
    d.install()
    d = Device(False)
    assert d.slots.on_trial() and d.state() == (3, 0)
    since = d.world.time
    assert d.run(60, lambda: not d.slots.on_trial())
    assert 4000 < d.world.time - since < 7000
    d.install(package(FILES, 3))
    for _ in range(3):
        d = Device(False)
        assert d.slots.on_trial()
    d = Device(False)
    assert not d.slots.on_trial() and d.state() == (0, 8)


def test_the_application_decides():
    d = Device()
    d.install()
    d = Device(False, by_itself=False)
    d.run(3000)
    assert d.slots.on_trial() and d.state() == (3, 0)
    d.push(GOOD, 0x85)
    d.update.keep()
    assert d.run(5, lambda: not d.slots.on_trial()) and d.state() == (0, 1)
    d.install(package(FILES, 3))
    d = Device(False, by_itself=False)
    d.update.fail("the sensor is silent")
    assert d.run(5, lambda: d.restarts)
    d = Device(False)
    assert d.state() == (0, 8) and d.texts == ["the sensor is silent"]


class File:
    """A source (ucoap/block.py): a file, so that what it has is not in this heap."""

    def __init__(self, name):
        self._file = open(name, "rb")
        self.size = self._file.seek(0, 2)

    def read(self, at, n):
        self._file.seek(at)
        return self._file.read(n)


def test_heap_of_a_push():
    # At its peak, above what it is idle: as much for 100 KB as for 4 KB, of all that is in this heap,
    # the server too.
    d = Device()
    d.registrar.receive = d.registrar.engine.receive
    held = []
    write = d.slots.write

    def watched(data):
        write(data)
        gc.collect()
        held.append(gc.mem_alloc())

    d.slots.write = watched
    name = FOLDER + ".lwp"
    peaks = []
    for n in (4000, 4000, 100000):
        with open(name, "wb") as f:
            f.write(package({"a.py": b"1" * n}))
        held.clear()
        gc.collect()
        gc.collect()
        idle = gc.mem_alloc()
        d.push(File(name))
        assert len(held) > n // 1100
        peaks.append(max(held) - idle)
        d.push(b"\0")
    print("peak of a push of 4 KB and of 100 KB, above idle: %d B and %d B" % tuple(peaks[1:]))
    assert peaks[2] < 8000 and peaks[2] - peaks[1] < 2048, peaks
    os.remove(name)


def test_needs_a_reboot():
    world = World()
    client = world.client()
    try:
        Update(client, Slots(FOLDER, KEYS, TARGET))
        raise AssertionError("it was made")
    except ValueError as e:
        assert "Reboot" in str(e)
    _remove(FOLDER)
