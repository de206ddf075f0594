# heapsize: 600K
# 100,000 seeded datagrams at a client in a live session, three quarters of them mutants of valid
# messages: nothing is raised, no account changes, and no memory is lost.

from ucoap import DELETE, GET, POST, PUT, Message
import ucoap.block  # noqa: F401  # which is loaded late, and would be taken for a loss of memory
from lwm2m.consistency import inconsistency
from fuzz import SLACK, TIMES, TLV, Case, heap, mutant, noise
from world import account, datagram, dump, encode, instances, server

_COUNT = 25000 * TIMES  # in each of the four functions
_WARM_UP = 5000  # of them


def _registered_pool():
    pool = [
        datagram(0, GET, 1, "/3/0"),
        datagram(0, GET, 2, "/3", accept=40),
        datagram(0, GET, 3, "/1/0/1", accept=TLV),
        datagram(1, GET, 4, "/1000/0/4/0"),
        datagram(0, PUT, 5, "/1000/0/0", b"text", 0),
        datagram(0, PUT, 6, "/1000/0", encode({0: "t", 1: 5, 3: b"\0\1", 4: {0: 7, 300: 9}}), TLV),
        datagram(0, POST, 7, "/1000/0", encode({1: 99999, 4: {1: 7}}), TLV),
        datagram(0, POST, 8, "/1000/0/5", b"0='x'", 0),
        datagram(0, POST, 9, "/1000", instances({3: {0: "n", 1: -5}}), TLV),
        datagram(0, DELETE, 10, "/1000/3"),
        datagram(0, PUT, 11, "/1/0/2", b"5", 0),
        datagram(0, POST, 12, "/1/0/8"),
        datagram(0, PUT, 13, "/3/0/13", b"1700000000", 0),
        datagram(0, PUT, 14, "/0/0", encode(account(9)), TLV),
        datagram(0, DELETE, 15, "/0/0"),
        datagram(0, 0, 16, "/", token=b""),  # a ping
        datagram(2, 0x44, 17, "/"),
        datagram(0, 0x45, 18, "/", b"response", 0),
        datagram(3, 0, 19, "/", token=b""),
    ]
    # Observe (option 6) and the first block of two (Block1, option 27: number 0, more, 64 bytes).
    message = datagram(0, GET, 20, "/1000/0/1")
    pool.append(message[:6] + b"\x60\x54" + message[7:])
    message = datagram(0, PUT, 21, "/1000/0/3", format=42)
    pool.append(message + b"\xd1\x02\x0a\xff" + bytes(64))
    return pool


def test_registered():
    case = Case(11)
    case.settle()
    pool = _registered_pool()
    own = case.core.objects[1]
    written = served = 0
    least = 0
    for n in range(_COUNT):
        accounts = case.core.accounts
        if not accounts or not accounts[0].location or not accounts[0].connection:
            # A mutant has executed Disable or the Bootstrap-Request Trigger, or reset an update.
            case.core.restart()
            assert case.world.run(
                300, lambda: case.core.accounts and case.core.accounts[0].location
            )
            accounts = case.core.accounts
        data = mutant(case.random, pool)
        case.world.sent.clear()
        case.feed(accounts[0], data)
        served += bool(case.world.sent)
        assert case.core.objects[0].instances is case.given[0][1]
        if case.state() != case.accounts:
            # It was a valid write itself, and not to the Security object.
            m = Message()
            assert m.parse(data) and m.code in (POST, PUT) and m.strings(11)[0] == "1", data
            assert case.state()[0] == case.accounts[0] and sorted(own.instances) == [0]
            assert own.instances[0][0] == 1
            own.instances[0] = dict(case.copies[1][1][0])
            written += 1
        if n % 50 == 49:
            case.world.run(1)
            case.obj.instances = {0: {0: "a", 1: 1, 4: {0: 1}, 5: lambda argument: None}}
        if n % _WARM_UP == _WARM_UP - 1:
            case.settle()
            if least:
                assert heap() <= least + SLACK, (n, heap() - least)
            else:
                least = heap()
    # Mutants that still mean something are not rare.
    assert served > _COUNT // 4 and written
    assert case.registrar.read("/1/0/0").text == "1"


def _session_pool():
    return [
        datagram(0, DELETE, 1, "/"),
        datagram(0, DELETE, 2, "/0"),
        datagram(0, DELETE, 3, "/1/0"),
        datagram(0, GET, 4, "/", accept=40),
        datagram(0, GET, 5, "/0", accept=40),
        datagram(0, GET, 6, "/1", accept=TLV),
        datagram(0, PUT, 7, "/0/1", encode(account(1)), TLV),
        datagram(0, PUT, 8, "/0", instances({0: account(1), 2: account(None)}), TLV),
        datagram(0, PUT, 9, "/1/0", encode(server(1)), TLV),
        datagram(0, PUT, 10, "/1", instances({0: server(1), 1: server(2, 60)}), TLV),
        datagram(0, PUT, 11, "/0/2", encode(account(2)), TLV),
        datagram(0, PUT, 12, "/1/0/1", b"77", 0),
        datagram(0, PUT, 13, "/0/0/0", b"coap://other", 0),
        datagram(0, PUT, 14, "/0/0/12", b"1", 0),
        datagram(0, POST, 15, "/bs"),
        datagram(2, 0x44, 16, "/"),
    ]


def test_in_a_bootstrap_session():
    case = Case(12)
    case.settle()
    pool = _session_pool()
    core, bootstrap, world = case.core, case.core.bootstrap, case.world
    before = dump(case.client)
    sessions = passed = changed = 0
    least = 0
    for n in range(_COUNT):
        if n % 40 == 0:
            # What was done in the session is undone with it.
            if sessions:
                core.restart()
                assert dump(case.client) == before
            core.begin()
            core._fresh = False
            assert bootstrap.start()
            case.provisioner.requests.clear()
            world.connections.clear()
            assert world.run(5, lambda: case.provisioner.requests)
            world.run_ms(50)
            sessions += 1
        peer = bootstrap.account
        if peer is None or peer.connection is None:
            continue
        case.feed(peer, mutant(case.random, pool))
        if core.state != 1:
            # A mutant was a valid Finish: what it found passes; then all is as it was.
            assert inconsistency(core.objects, (3,)) is None
            passed += 1
            core.restart()
            case.reset()
            bootstrap.purge_due = -1
            assert dump(case.client) == before
            core._fresh = False
        elif not n % 10:
            changed += dump(case.client) != before
        if n % _WARM_UP == _WARM_UP - 1:
            core.restart()
            case.settle()
            if least:
                assert heap() <= least + SLACK, (n, heap() - least)
            else:
                least = heap()
    assert sessions == _COUNT // 40 and changed > 100 and passed


def test_answers():
    # Mutants of what would be the right answers to Register, Update and Bootstrap-Request.
    case = Case(13)
    case.settle()
    core, world, random = case.core, case.world, case.random
    registered = 0
    least = 0
    for n in range(_COUNT):
        if n % 20 == 0:
            # Anew, in one of three states; the servers hear nothing.
            core.restart()
            case.registrar.silent = case.provisioner.silent = False
            world.run(1, lambda: core.accounts and core.accounts[0].location)
            world.deaf()
            case.registrar.silent = case.provisioner.silent = True
            which = n // 20 % 3
            if which == 0:
                core.restart()
            elif which == 1:
                core.accounts[0].action = 8
            else:
                core.bootstrap.start(True)
            world.sent.clear()
            world.run_ms(100)
            request = world.sent[-1]
            mid, token = request[2:4], request[4:8]
            answers = [
                b"\x64\x41" + mid + token + b"\x82rd\x011",  # Location-Path rd, 1
                b"\x64\x44" + mid + token,
                b"\x60\x00" + mid,
                b"\x70\x00" + mid,
                b"\x44\x41\x99\x99" + token + b"\x82rd\x012",
                b"\x64\x83" + mid + token + b"\xffno",
            ]
            world.connections.clear()
            case.registrar.heard.clear()
            case.provisioner.heard.clear()
        peer = core.bootstrap.account or (core.accounts[0] if core.accounts else None)
        if peer and peer.connection:
            data = bytearray(mutant(random, answers))
            if random.below(2) and len(data) > 7:
                data[2:4] = mid  # the message id is looked at
                data[4:8] = token
            case.feed(peer, bytes(data))
        else:
            world.run(1)
        registered += bool(core.accounts and core.accounts[0].location)
        if case.state() != case.accounts:
            # A mutant was an operation of the bootstrap server: undone with its session.
            assert core.state == 1
            core.restart()
            assert case.state() == case.accounts
        if n % _WARM_UP == _WARM_UP - 1:
            case.registrar.silent = case.provisioner.silent = False
            core.restart()
            case.settle()
            if least:
                assert heap() <= least + SLACK, (n, heap() - least)
            else:
                least = heap()
    assert registered


def test_noise():
    # Random bytes, at a client that is registered and has the last session's connection open.
    case = Case(14)
    case.settle()
    least = 0
    for n in range(_COUNT):
        accounts = case.core.accounts
        if not accounts or not accounts[0].connection:
            assert case.world.run(300, lambda: case.core.accounts[0].location)
        case.feed(accounts[0], noise(case.random))
        if n % 500 == 499:
            case.world.run(1)
            assert case.state() == case.accounts
        if n % _WARM_UP == _WARM_UP - 1:
            case.settle()
            if least:
                assert heap() <= least + SLACK, (n, heap() - least)
            else:
                least = heap()
    assert case.registrar.read("/1/0/0").text == "1"
