# heapsize: 600K
#
# Boards that sleep: when, for how long, what wakes them, and what an application is told.

import device.sleep as sleep
from chip import Network, Port, Restart
from device.guard import ASKED, SLEPT, Guard
from device.link import Link
from test_queue import _Case

WIFI = {"type": "wifi", "ssid": "line 3", "password": "correct horse", "address": "dhcp"}
_MASK = 0x3FFFFFFF


class _App:
    def __init__(self, ms=None, times=1):
        self.woken = []
        self.times = times
        self.ms = ms
        if ms is not None:
            self.wake_ms = lambda: self.ms

    def on_wake(self, why):
        self.woken.append(why)
        if len(self.woken) >= self.times:  # it has something to do for ever
            self.ms = 0


class _Clock:
    # In place of module time: one that lightsleep() stops, if it is an RP2040's.
    def __init__(self, world):
        self.world = world
        self.lost = 0

    def time(self):
        return 1800000000 + self.world.time // 1000 - self.lost

    def gmtime(self):
        return (2027,)


class _Board:
    """What main.py has of a board: a client, its network, and Sleep."""

    def __init__(self, app=None, start=0, **values):
        self.port = Port()
        self.case = _Case(start=start)
        self.values = values
        self.app = app
        self.network = Network()
        self.stops = False
        self.port.pass_time = self._pass
        self.port.pins[9] = lambda: 1
        self.boot()

    def boot(self):
        self.guard = Guard(self.port)
        self.guard.begin()
        self.guard.watch()
        world = self.case.world
        sleep.now = world.now
        sleep.time = self.clock = _Clock(world)
        self.link = Link(WIFI, self.network, None)
        self.sleep = sleep.Sleep(self.values, self.port, self.guard, self.app, self.port)
        self.sleep.begin()

    def _pass(self, ms):
        # Nobody looks after the client meanwhile.
        self.case.world.time += ms
        self.clock.lost += ms // 1000 if self.stops else 0

    def run(self, seconds, up=True):
        """Turns of main.py's loop."""
        for _ in range(seconds):
            self.link.poll(self.case.world.now())
            if self.network.nics:
                self.network.nics[-1].up = up
            self.case.world.run(1)
            if self.sleep.joins and up:
                self.sleep.up(self.case.client)
            self.sleep.turn(self.case.client, self.link, up)
            if self.port.slept:
                return


def test_it_can_be_reached_for_two_minutes_and_then_listens():
    board = _Board(mode="light", awake=10)
    board.run(118)
    assert not board.port.slept
    board.run(20)
    # Until the update, 93 s before the lifetime of an hour is over.
    assert 3300000 < sum(board.port.slept) < 3420000 and max(board.port.slept) == 4000


def test_light_sleep_feeds_the_watchdog():
    board = _Board(mode="light", awake=10, app=_App(900000))
    board.run(140)
    assert sum(board.port.slept) == 900000
    assert max(board.port.slept) <= 4000  # an RP2040's waits for 8.4 s
    assert board.port.watchdogs[-1].fed >= len(board.port.slept)
    assert board.app.woken == ["application"]
    assert board.port.callback == board.guard.tick  # its timer runs again


def test_the_radio_is_off_and_the_client_stays():
    board = _Board(mode="light", awake=10, app=_App(900000))
    board.run(140)
    nic = board.network.nics[-1]
    assert [call[:2] for call in nic.calls if call[0] == "active"] == [
        ("active", True),
        ("active", False),
    ]
    assert board.sleep.joins
    board.port.slept.clear()
    board.run(5)
    assert not board.sleep.joins and board.case.server.count == 1
    assert board.case.server.read("/3303/0/5700").code == 0x45


def test_the_network_is_not_joined_where_there_is_nothing_to_tell():
    app = _App(300000, 2)
    board = _Board(mode="light", awake=10, app=app)
    board.case.observe()
    board.run(140)
    assert sum(board.port.slept) == 2 * 300000 and app.woken == ["application"] * 2
    # A value that is another one is told at once.
    app = _App(900000, 10)
    board = _Board(mode="light", awake=10, app=app)
    board.case.observe()
    app.on_wake = lambda why: board.case.sensor.set(0, 5700, 2.0)
    board.run(140)
    assert sum(board.port.slept) == 900000
    board.port.slept.clear()
    board.run(3)
    assert board.case.told() == ["2.0"] and board.case.server.count == 1


def test_what_an_application_does_not_want_is_no_sleep():
    board = _Board(mode="light", awake=10, app=_App(3000))
    board.run(200)
    assert not board.port.slept  # it is not worth to join again


def test_a_pin_ends_light_sleep():
    board = _Board(mode="light", awake=10, pin=9, app=_App(900000))
    board.port.pins[9] = lambda: int(len(board.port.slept) < 7)
    board.sleep = sleep.Sleep(board.values, board.port, board.guard, board.app, board.port)
    board.run(140)
    assert board.port.slept == [1000] * 7 and board.app.woken == ["pin"]


def test_a_clock_that_stands_still_is_put_on():
    board = _Board(mode="light", awake=10, app=_App(900000))
    board.stops = True
    board.run(140)
    assert board.port.put_on == [900]
    board = _Board(mode="light", awake=10, app=_App(900000))
    board.run(140)
    assert board.port.put_on == []


def test_the_network_is_away():
    board = _Board(mode="light", awake=10)
    board.run(119, False)
    assert not board.port.slept
    board.run(120, False)
    assert 675000 <= sum(board.port.slept) <= 1125000  # a quarter more or less


def test_deep():
    board = _Board(mode="deep", awake=10, pin=9, app=_App(900000, 99))
    case = board.case
    mid = case.core.engine.mid
    try:
        board.run(140)
        assert False, "it does not sleep"
    except Restart:
        pass
    assert board.port.slept == [(900000, 9)] and len(board.port.rtc) > 100
    for by_pin in (False, True):
        board.port.slept.clear()
        board.port.by_pin = by_pin
        board.app.woken.clear()
        case.world.sleep(900)
        case.begin(1.0)
        board.boot()
        assert board.guard.reason == SLEPT and board.guard.error_code() == 0
        assert board.guard.failed == 1  # which is none as soon as it sleeps again
        assert board.app.woken == ["pin" if by_pin else "application"]
        assert board.port.rtc == b""  # before it is used
        board.sleep.up(case.client)
        assert case.core.accounts[0].location and case.core.engine.mid == mid
        try:
            board.run(30)  # it is no start that somebody waits for
        except Restart:
            pass
        assert board.port.slept
    assert case.server.count == 1


def test_many_wake_ups_are_no_failed_starts():
    board = _Board(mode="deep", awake=10, app=_App(900000, 99))
    try:
        board.run(140)
    except Restart:
        pass
    for _ in range(8):
        board.port.slept.clear()
        board.case.begin(1.0)
        board.boot()
        assert board.guard.failed == 1
        board.sleep.up(board.case.client)
        try:
            board.run(30)
        except Restart:
            pass
        assert board.port.slept


def test_a_start_that_is_no_wake_up():
    # The context of a sleep that something else has ended is not used: it is registered with anew.
    board = _Board(mode="deep", awake=10, app=_App(900000, 99))
    try:
        board.run(140)
    except Restart:
        pass
    board.port.word = 0x15555555  # as power has gone
    board.case.begin(1.0)
    board.boot()
    assert board.app.woken == []
    board.sleep.up(board.case.client)
    board.port.slept.clear()
    board.run(100)
    assert not board.port.slept and board.case.server.count == 2  # and it can be reached


def test_no_network_after_a_wake_up():
    # What was kept is kept again.
    board = _Board(mode="deep", awake=10, app=_App(900000, 99))
    try:
        board.run(140)
    except Restart:
        pass
    kept = board.port.rtc
    board.port.slept.clear()
    board.case.begin(1.0)
    board.boot()
    try:
        board.run(200, False)
    except Restart:
        pass
    assert board.port.rtc[1:] == kept[1:] and board.port.slept


def test_what_does_not_fit():
    board = _Board(mode="deep", awake=10, app=_App(900000, 99))
    board.case.client.suspend = lambda: bytes(3000)
    try:
        board.run(140)
    except Restart:
        pass
    assert board.port.rtc == b"" and board.port.slept
    board.case.begin(1.0)
    board.boot()
    board.sleep.up(board.case.client)
    assert board.case.world.run(5, lambda: board.case.server.count == 2)


def test_reasons_are_told_apart():
    port = Port()
    guard = Guard(port)
    guard.begin()
    try:
        guard.reset(SLEPT, port.reset)
    except Restart:
        pass
    again = Guard(port)
    again.begin()
    assert again.reason == SLEPT
    try:
        again.reset(ASKED)
    except Restart:
        pass
    third = Guard(port)
    third.begin()
    assert third.reason == ASKED and third.failed == 1
