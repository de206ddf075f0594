# heapsize: 8M
#
# What servers write is stored after a while, and so often only.

from boards import KEY_2, board


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
