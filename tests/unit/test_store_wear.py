# heapsize: 8M
#
# What servers write is stored after a while, and so often only; and what has not worked is not.

import lwm2m
from boards import KEY, KEY_2, PSK, Board, board, psk
from world import Registrar, server


# --- Flash wears on command


def registered_board(**kwargs):
    b = board(**kwargs)
    b.bootstrap()
    b.finish()
    b.world.run(5)
    return b


def disable_timeout(b, seconds):
    assert b.registrar.ask(3, "/1/1/5", b"%d" % seconds, 0).code == 0x44
    b.world.events.clear()
    b.registrar.requests.clear()
    b.registrar.heard.clear()


def kept(b, rid=5):
    """What a resource of /1/1 is after a power cut now."""
    return b.stored()[1][1].get(rid)


def test_writes_of_a_moment_are_one_commit():
    # 2,000 writes were 2,011 commits in 0.7 s.
    b = registered_board()
    b.world.delay = (0, 0)
    seq = b.seq()
    for n in range(2000):
        disable_timeout(b, n)
    assert b.seq() == seq and kept(b) is None
    b.world.run(11)
    assert b.seq() == seq + 1 and kept(b) == 1999
    b.world.run(86400)
    assert b.seq() == seq + 1


def test_writes_of_days():
    # One in a minute: a dozen commits, and from then on one an hour, which has what came last.
    b = registered_board()
    seq = b.seq()
    flash = b.flash
    flash.power_on()
    commits = []
    for minute in range(2 * 24 * 60):
        disable_timeout(b, minute)
        b.world.run(50)
        commits.append(b.seq() - seq)
        assert kept(b) >= minute - 61, minute
        b.world.run(10)
    assert commits[5] == 6 and commits[11] == 12 and commits[58] == 12 and commits[62] == 13
    assert commits[-1] <= 12 + 48
    print("a write a minute for two days: %d commits, %d erases" % (commits[-1], flash.erases))
    b.world.run(3600)
    assert kept(b) == minute
    # A day's rest, and a dozen goes ahead again.
    b.world.run(86400)
    seq = b.seq()
    for n in range(12):
        disable_timeout(b, 100000 + n)
        b.world.run(15)
        assert b.seq() == seq + 1 + n and kept(b) == 100000 + n


def test_power_cut_after_a_write():
    # Before the interval it may be lost, later it is not.
    for seconds in (1, 5, 12, 60, 3600):
        b = registered_board()
        disable_timeout(b, 7)
        b.world.run(seconds)
        b.power_on()
        assert b.client.core.objects[1].get(1, 5) == (7 if seconds > 10 else None)


def worn(b):
    """As much was written as goes ahead; the next write waits."""
    for n in range(12):
        disable_timeout(b, n)
        b.world.run(15)
        assert kept(b) == n
    disable_timeout(b, 7777)
    b.world.run(60)
    assert kept(b) == 11


def test_what_waits_for_nothing():
    # The application's calls and a bootstrap, which take along what waits.
    b = registered_board()
    worn(b)
    b.client.set_server(1, {17: 3})
    assert kept(b, 17) == 3 and kept(b) == 7777
    b = registered_board()
    worn(b)
    assert b.registrar.execute("/1/1/9").code == 0x44
    b.provisioner.requests.clear()
    b.bootstrap(KEY_2)
    assert kept(b) == 11
    b.finish()
    assert b.stored()[0][1][5] == KEY_2 and kept(b) is None


def reboot(b):
    assert b.registrar.execute("/3/0/4").code == 0x44
    b.client.step(0)


def test_what_waits_is_stored_at_the_end():
    # close(), the network that goes, and what a server executes and the application does after that.
    for end in (
        lambda b: b.client.close(),
        lambda b: b.client.offline(),
        reboot,
    ):
        b = registered_board(device={4: lambda: None})
        worn(b)
        end(b)
        assert kept(b) == 7777
        b.power_on()
        assert b.client.core.objects[1].get(1, 5) == 7777
        b = registered_board(device={4: lambda: None})
        disable_timeout(b, 7777)
        end(b)
        assert kept(b) == 7777


def test_what_waits_when_a_factory_reset_is_refused():
    b = registered_board()
    b.put(2, b"?")
    disable_timeout(b, 7777)
    assert b.registrar.execute("/3/0/5").code == 0x44
    b.client.step(0)
    assert b.texts() == ["no factory reset: the factory copy is damaged"]
    assert kept(b) == 7777


def test_what_waits_when_a_bootstrap_begins():
    # It may take days. But where the flash has had enough, a server that triggers it waits too.
    b = registered_board()
    b.provisioner.silent = True
    disable_timeout(b, 7777)
    assert b.registrar.execute("/1/1/9").code == 0x44
    b.world.run(1)
    assert kept(b) == 7777
    b = registered_board()
    worn(b)
    b.provisioner.silent = True
    assert b.registrar.execute("/1/1/9").code == 0x44
    b.world.run(60)
    assert b.client.core.state == 1 and kept(b) == 11
    b.world.run(3600 * 2)  # and is served in the end
    assert b.client.core.accounts[0].location and kept(b) == 7777


# --- A value with which nobody registers this client


class Picky(Registrar):
    """A server that refuses some lifetimes and bindings."""

    lifetimes = (300, 400)
    bindings = ("U",)

    def answer(self, request, reply):
        for part in request.query:
            name, _, value = part.partition("=")
            if name == "lt" and int(value) not in self.lifetimes:
                return 0x80
            if (name == "b" and value not in self.bindings) or name == "Q":
                return 0x80
        return super().answer(request, reply)


def picky_board(servers=1):
    """Registered, with accounts of the factory alone."""
    accounts = {0: {}, 1: {}}
    for n in range(1, servers + 1):
        accounts[0][n] = psk(n, KEY, "coaps://server:%d" % (5683 + n))
        accounts[1][n] = server(n)
    b = Board()
    b.store.provision("dev", accounts)
    picky_power_on(b)
    b.world.run(2)
    return b


def picky_power_on(b):
    b.power_on()
    b.registrar = Picky(b.world, 5684)
    b.other = Registrar(b.world, 5685)
    b.registered()


def test_value_that_makes_registration_impossible():
    for path, value, rid, good in (
        ("/1/1/1", b"99999999", 1, 300),
        ("/1/1/1", b"0", 1, 300),
        ("/1/1/7", b"UQ", 7, "U"),
        ("/1/1/7", b"UT", 7, "U"),
    ):
        # A power cut at any time finds what has worked.
        for seconds in (0, 1, 11, 30, 4000, 100000):
            b = picky_board()
            assert b.registrar.ask(3, path, value, 0).code == 0x44
            b.world.run(seconds)
            assert b.stored()[1][1][rid] == good, (value, seconds)
            picky_power_on(b)
            assert b.client.core.objects[1].get(1, rid) == good
        # Without one the client comes back by itself, and says so; it does not wait as long as after
        # a refusal of what it has nothing better for (/1/x/18), and nothing has failed.
        b = picky_board()
        location = b.registrar.location
        assert b.registrar.ask(3, path, value, 0).code == 0x44
        assert b.world.run(5, lambda: b.registrar.location != location)
        b.registered()
        assert not b.world.statuses
        assert b.client.core.objects[1].get(1, rid) == good
        events = [e for _, e in b.world.events if e.type == lwm2m.EVENT_SERVER_SETTING_CHANGED]
        assert [e.value for e in events if e.path == (1, 1, rid)][-1] == good
        b.world.run(100)
        assert b.client.core.accounts[0].state == 4 and b.stored()[1][1][rid] == good


def test_value_that_is_refused_once_is_enough():
    # /1/x/17 lets a server try no more; alone, or beside another that is well.
    for servers in (1, 2):
        b = picky_board(servers)
        b.client.set_server(1, {17: 1})
        location = b.registrar.location
        assert b.registrar.ask(3, "/1/1/1", b"500", 0).code == 0x44
        assert b.world.run(5, lambda: b.registrar.location not in (0, location))
        b.world.run(15)
        assert b.client.core.objects[1].get(1, 1) == 300 and kept(b, 1) == 300
        assert b.client.core.accounts[0].state == 4


def test_value_that_works_is_stored():
    b = picky_board()
    assert b.registrar.ask(3, "/1/1/1", b"400", 0).code == 0x44
    b.world.run(15)
    assert kept(b, 1) == 400
    # From there on it is what a refusal leads back to, where two values were refused as well.
    location = b.registrar.location
    for value in (b"500", b"501"):
        assert b.registrar.ask(3, "/1/1/1", value, 0).code == 0x44
    assert b.world.run(5, lambda: b.registrar.location != location)
    b.registered()
    assert b.client.core.objects[1].get(1, 1) == 400 and kept(b, 1) == 400
    # Back to what it was before it was told to anybody.
    assert b.registrar.ask(3, "/1/1/1", b"300", 0).code == 0x44
    b.world.run(15)
    assert kept(b, 1) == 300


def test_value_of_which_nobody_knows_waits():
    # The server is away: no refusal, and nothing falls back; nor is it stored before it has worked.
    b = picky_board()
    b.registrar.start(3, "/1/1/1", b"400", 0)
    b.registrar.silent = True
    b.world.run(1000)
    assert b.client.core.objects[1].get(1, 1) == 400 and kept(b, 1) == 300
    b.client.set_server(1, {17: 9})  # nor by another commit
    assert kept(b, 1) == 300 and kept(b, 17) == 9
    b.registrar.silent = False
    assert b.world.run(4000, lambda: b.client.core.accounts[0].location)
    b.world.run(15)
    assert kept(b, 1) == 400


def test_value_of_one_server_of_two():
    b = picky_board(2)
    assert b.registrar.ask(3, "/1/1/1", b"500", 0).code == 0x44
    assert b.other.ask(3, "/1/2/1", b"600", 0).code == 0x44
    b.world.run(60)
    assert b.stored()[1][1][1] == 300 and b.stored()[1][2][1] == 600
    assert b.client.core.objects[1].get(1, 1) == 300
    assert b.client.core.objects[1].get(2, 1) == 600
    b.power_on()
    b.registrar = Picky(b.world, 5684)
    b.other = Registrar(b.world, 5685)
    assert b.world.run(5, lambda: b.registrar.location and b.other.location)
    # An account that is taken and given again under the same id has nothing of the one before.
    b.registrar.silent = True
    b.client.core.may = None  # Access Control lets only its own server write it
    assert b.other.ask(3, "/1/1/1", b"500", 0).code == 0x44
    b.client.remove_server(1)
    b.client.add_server(1, "coaps://server:5684", PSK, 350, security={3: b"dev", 5: KEY})
    assert sorted(values[1] for values in b.stored()[1].values()) == [350, 600]


def test_bootstrap_server_s_values_are_stored_as_they_are():
    # It answers for them: it is asked again where they do not work.
    b = registered_board()
    assert b.registrar.ask(3, "/1/1/1", b"500", 0).code == 0x44
    assert b.registrar.execute("/1/1/9").code == 0x44
    b.provisioner.requests.clear()
    b.request()
    assert b.provisioner.write("/1/1", server(1, 700)).code == 0x44
    b.finish()
    b.world.run(15)
    assert kept(b, 1) == 700
