# The LwM2M Server and clients in queue mode: who is awake, and what waits until then.
# heapsize: 800K

from servers import Peer
from test_server import LIST, PORT, Log
from ucoap import ACK, CON, DELETE, GET, NON, POST, RST

_UQ = "&lt=1000&lwm2m=1.1&b=U&Q"


def _case(**settings):
    log = Log(**settings)
    peer, location = log.register(query=_UQ)
    return log, peer, location, log.server.clients["dev"]


def _update(peer, location, code=0x44):
    # What comes behind the answer to an update.
    peer.got()
    mid = peer.send(POST, location)
    found = peer.got()
    assert (found[0].type, found[0].mid, found[0].code) == (ACK, mid, code)
    return found[1:]


def _paths(messages):
    return ["/" + "/".join(m.strings(11)) for m in messages]


def test_who_is_awake():
    log, peer, location, c = _case()
    other, _ = log.register("always", ("10.0.0.8", 9), "&lt=1000&lwm2m=1.1&b=U")
    always = log.server.clients["always"]
    log.world.wait(92)
    assert c.awake and always.awake
    log.world.wait(2)
    assert not c.awake and always.awake
    for sign in ("update", "register", "answer"):
        if sign == "update":
            assert peer.ask(POST, location).code == 0x44
        elif sign == "register":
            peer, location = log.register(query=_UQ)
        else:
            peer.ask(POST, location)
            log.server.read(c, "/3/0/0", log.answered)
            log.world.wait(50)
            peer.answer(peer.got()[-1], 0x45, b"x", 0)
        assert c.awake, sign
        log.world.wait(90)
        assert c.awake, sign
        log.world.wait(5)
        assert not c.awake, sign


def test_the_time_is_settable():
    log, peer, location, c = _case(awake=10)
    log.world.wait(9)
    assert c.awake
    log.world.wait(2)
    assert not c.awake


def test_binding_of_1_0():
    log = Log()
    log.register(query="&lt=1000&lwm2m=1.0&b=UQ")
    log.world.wait(100)
    assert not log.server.clients["dev"].awake


def test_operations_wait_and_go_out_in_order():
    log, peer, location, c = _case()
    s = log.server
    log.world.wait(100)
    s.read(c, "/3/0/0", log.answered)
    s.write(c, "/1/0/1", 60, log.answered)
    s.execute(c, "/3/0/4", log.answered)
    log.world.wait(300)
    assert not peer.got() and not log.answers
    # First the answer to what it has sent, then one at a time.
    messages = _update(peer, location)
    for path, code in (("/3/0/0", 0x45), ("/1/0/1", 0x44), ("/3/0/4", 0x44)):
        (m,) = messages
        assert _paths(messages) == [path] and m.type == CON
        peer.answer(m, code, b"", 0 if code == 0x45 else None)
        messages = peer.got()
    assert [a[1] for a in log.answers] == [0x45, 0x44, 0x44] and not messages


def test_each_message_is_a_sign():
    # An update, a registration, a Send, a notification.
    for sign in ("update", "register", "send", "notify"):
        log, peer, location, c = _case()
        s = log.server
        if sign == "notify":
            handle = s.observe(c, "/3/0/9", log.answered)
            m = peer.got()[0]
            peer.answer(m, 0x45, b"1", 0, observe=1)
            log.answers.clear()
        log.world.wait(100)
        s.read(c, "/3/0/0", log.answered)
        assert not peer.got(), sign
        if sign == "update":
            peer.send(POST, location)
        elif sign == "register":
            peer.send(POST, "rd", "ep=dev" + _UQ, LIST, 40)
        elif sign == "send":
            peer.send(POST, "dp", payload=b'[{"n":"/3/0/9","v":1}]', format=110)
        else:
            peer.answer(m, 0x45, b"2", 0, observe=2, type=NON)
            assert handle.active
        messages = peer.got()
        if sign != "notify":
            assert messages.pop(0).code in (0x41, 0x44), sign
        assert _paths(messages) == ["/3/0/0"], sign


def test_one_that_falls_asleep_meanwhile():
    log, peer, location, c = _case(awake=10)
    s = log.server
    log.world.wait(20)
    s.read(c, "/3/0/0", log.answered)
    s.read(c, "/3/0/1", log.answered)
    assert _paths(_update(peer, location)) == ["/3/0/0"]
    log.world.wait(100)  # nobody answers
    assert [(a[1], a[2]) for a in log.answers] == [(0xA3, None)] and not c.awake
    (m,) = _update(peer, location)  # the other one still waits
    assert m.strings(11)[-1] == "1"
    peer.empty(RST, m.mid)
    assert len(log.answers) == 2


def test_while_it_is_awake():
    log, peer, location, c = _case()
    s = log.server
    s.read(c, "/3/0/0", log.answered)  # at once
    s.read(c, "/3/0/1", log.answered)  # behind it
    (m,) = peer.got()
    peer.answer(m, 0x45, b"a", 0)
    (m,) = peer.got()
    peer.answer(m, 0x45, b"b", 0)
    assert [a[3] for a in log.answers] == [b"a", b"b"]


def test_the_time_is_over():
    log, peer, location, c = _case(wait=200)
    log.world.wait(100)
    log.server.read(c, "/3/0/0", log.answered)
    log.world.wait(199)
    assert not log.answers
    log.world.wait(2)
    assert log.answers == [(c, 0xA3, None, b"the client did not wake in time")]
    assert not _update(peer, location)


def test_bounded():
    log, peer, location, c = _case()
    log.world.wait(100)
    for n in range(33):
        log.server.read(c, "/3/0/%d" % n, log.answered)
    log.world.wait(1)
    assert log.answers == [(c, 0xA3, None, b"")]  # the 33rd


def test_it_goes():
    for how in ("deregister", "expire"):
        log, peer, location, c = _case()
        log.world.wait(100)
        log.server.read(c, "/3/0/0", log.answered)
        if how == "expire":
            log.world.wait(1000)
        else:
            assert peer.ask(DELETE, location).code == 0x42
        assert log.answers == [(c, 0xA3, None, b"the client has gone")], how
        assert not peer.got()


def test_what_waits_outlasts_another_registration():
    log, peer, location, c = _case()
    log.world.wait(100)
    log.server.write(c, "/1/0/1", 60, log.answered)
    again = Peer(log.world, PORT, ("10.0.0.7", 7))
    again.send(POST, "rd", "ep=dev" + _UQ, LIST, 40)
    assert _paths(again.got()[1:]) == ["/1/0/1"] and not log.answers


def test_observations_wait_too():
    log, peer, location, c = _case()
    s = log.server
    log.world.wait(100)
    first = s.observe(c, "/3/0/9", log.answered)
    second = s.observe(c, "/3/0/9", log.answered)
    third = s.observe(c, "/3/0/10", log.answered)
    s.cancel(third)
    (m,) = _update(peer, location)
    peer.answer(m, 0x45, b"1", 0, observe=1)
    assert second.active and not first.active and not third.active and not peer.got()
    # And so does the end of one.
    log.world.wait(100)
    s.cancel(second, log.answered)
    assert not peer.got()
    (end,) = _update(peer, location)
    assert (end.code, end.uint(6), end.token) == (GET, 1, m.token)


def test_what_does_not_fit_fails_when_its_time_comes():
    log, peer, location, c = _case()
    log.world.wait(100)
    log.server.write_attributes(c, "/3/0/9", {"gt": "1" * 2000}, log.answered)
    log.server.read(c, "/3/0/0", log.answered)
    messages = _update(peer, location)
    assert [(a[1], a[2]) for a in log.answers] == [(0xA0, None)] and log.answers[0][3]
    assert _paths(messages) == ["/3/0/0"]


def test_who_has_no_sleepers_pays_nothing():
    log = Log()
    log.register()
    log.server.read(log.server.clients["dev"], "/3/0/0", log.answered)
    assert log.server._waiting is None and len(log.world.roles) == 1


def test_the_net_wakes_for_the_time_that_is_over():
    log, peer, location, c = _case(wait=50)
    log.world.wait(100)
    log.server.read(c, "/3/0/0", log.answered)
    assert log.world.next_ms(log.world.now()) <= 50000
    log.server.close()
    assert not log.world.roles
