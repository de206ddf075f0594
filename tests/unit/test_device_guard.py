# The guard: failed starts and safe mode, who feeds the watchdog, and what a crash leaves.

import os
import chip
import device.guard as guard
import device.port as real
import device.record as record
import device.settings as settings
from device.guard import ASKED, Guard
from flash import Lfs2, mounted

MINUTE = 60000
CRASH = 3  # reasons of a reset, as module guard has them
RETRY = 5
LFS2 = Lfs2(256)
settings.FOLDER = "/flash/lwm2m"
REPORT = {"reset": "power", "failed_starts": 1, "crash": None, "network_fault": None}


def start(port):
    """Another start: the guard, and for how long it wants safe mode, ms."""
    g = Guard(port)
    return g, g.begin()


def restart(g, reason):
    try:
        g.reset(reason)
    except chip.Restart:
        return
    raise AssertionError("it did not restart")


def test_safe_mode():
    # Three failed starts, then 15 minutes, 30, … a day, each followed by one try.
    port = chip.Port()
    for n in range(3):
        g, wait = start(port)
        assert (g.failed, wait) == (n + 1, 0)
        port.why = 1  # the watchdog
    for minutes in (15, 30, 60, 120, 240, 480, 960, 1440, 1440, 1440, 1440, 1440, 1440, 1440):
        g, wait = start(port)
        assert wait == minutes * MINUTE, (wait // MINUTE, minutes)
        restart(g, RETRY)
        g, wait = start(port)
        assert wait == 0 and g.reason == RETRY and g.error_code() == 18
        port.why = 1
    # When the try is a good one, it is over.
    restart(start(port)[0], RETRY)
    g, wait = start(port)
    g.turn(5)
    g.turn(5 + 5 * MINUTE)
    assert g.failed == 0
    assert start(port)[1] == 0


def test_who_resets_in_safe_mode_is_in_it_again():
    port = chip.Port()
    for _ in range(3):
        start(port)
    assert start(port)[1] == start(port)[1] == 15 * MINUTE


def test_power_cut_forgets():
    port = chip.Port()
    for _ in range(4):
        start(port)
    for word in (0, 0x3FFFFFFF, 0x15555555, 0x2A54 << 16 | 7):
        port.word = word
        g, wait = start(port)
        assert (g.failed, wait, g.reason, g.refused) == (1, 0, port.why, False)


def test_a_start_is_good_after_five_minutes():
    for start_ms in (0, 0x3FFFFFFF - 1000):  # and where the clock wraps
        port = chip.Port()
        g, _ = start(port)
        for ms in (0, 1000, 4 * MINUTE, 5 * MINUTE - 1):
            g.turn(start_ms + ms & 0x3FFFFFFF)
            assert Guard(port).failed == 1
        g.turn(start_ms + 5 * MINUTE & 0x3FFFFFFF)
        assert Guard(port).failed == 0


def test_what_is_asked_for_is_no_failure():
    port = chip.Port()
    for _ in range(10):
        g, wait = start(port)
        assert wait == 0 and g.failed == 1
        restart(g, ASKED)
    assert start(port)[0].error_code() == 0
    assert record.report(port)["reset"] == "asked"


def test_break_in():
    port = chip.Port()
    for _ in range(3):
        g, _ = start(port)
    g.watch()
    g.refuse()
    assert Guard(port).refused
    g.break_in()
    assert (Guard(port).failed, Guard(port).refused) == (0, False)
    # For ten minutes the timer feeds the watchdog, and then no more.
    dog = port.watchdogs[0]
    fed = dog.fed
    for _ in range(10 * MINUTE // guard.TICK_MS):
        g.tick()
    assert dog.fed == fed + 6000
    g.tick()
    assert dog.fed == fed + 6000


def test_who_feeds():
    port = chip.Port()
    g, _ = start(port)
    g.hold(1000)
    g.tick()  # there is none before watch(): nothing has been provisioned
    assert not port.watchdogs
    g.hold(0)
    g.watch()
    dog = port.watchdogs[0]
    g.tick()
    assert dog.fed == 0  # a timer alone would feed a loop that hangs
    g.turn(0)
    assert dog.fed == 1

    def lookup(a, b):
        for _ in range(1000):  # ticks; the guard has patience for 600
            g.tick()
        return a + b

    assert g.patient(lookup)(1, 2) == 3
    assert dog.fed == 1 + 1 + 600 + 1
    g.tick()

    def fails():
        raise OSError(2)

    try:
        g.patient(fails)()
        raise AssertionError
    except OSError:
        pass
    fed = dog.fed
    g.tick()
    assert dog.fed == fed


def test_ctrl_c_in_a_tick():
    # MicroPython would print it, and the loop would never know.
    port = chip.Port()
    g, _ = start(port)

    class Led:
        def tick(self):
            raise KeyboardInterrupt

    g.turn(0)
    g.led = Led()
    g.tick()
    g.led = None
    for again in (True, False):
        try:
            g.turn(0)
            assert not again
        except KeyboardInterrupt:
            assert again


def test_soft_reset():
    # The timer is gone, the watchdog is not, and main.py may never run.
    port = chip.Port()
    kept, guard.device.port = guard.device.port, port
    try:
        guard.boot()
        assert not port.watchdogs and not port.callback
        g, _ = start(port)
        g.watch()
        guard.boot()
        dog = port.watchdogs[-1]
        fed = dog.fed
        for _ in range(7000):
            port.callback(None)
        assert dog.fed == fed + 6000
    finally:
        guard.device.port = kept
    # After a restart there is none.
    assert not start(port)[0]._watched and not Guard(port)._watched


class Odd(Exception):
    pass


def crash(g, e):
    """What the record says after some function has raised that."""

    def inner():
        raise e

    try:
        inner()
    except BaseException as caught:
        return g.crashed(caught)


class Locked:
    def locked(self):
        return True


def test_record_of_a_locked_board():
    secret = "hunter2"
    kept, settings.area = settings.area, Locked
    try:
        check_records(secret)
    finally:
        settings.area = kept


def check_records(secret):
    for e, text in (
        (OSError(113, secret), "OSError 113"),
        (OSError(secret), "OSError"),
        (OSError("Wifi Internal State Error"), "OSError: Wifi Internal State Error"),
        (OSError("WiFi Out of Memory"), "OSError: WiFi Out of Memory"),
        (OSError("Wi-Fi password is wrong"), "OSError: Wi-Fi password is wrong"),
        (RuntimeError("Wifi Unknown Error 0x3001"), "RuntimeError: Wifi Unknown Error 0x3001"),
        (ValueError("Wifi " + secret), "ValueError"),
        (ValueError("invalid syntax for integer with base 10: '%s'" % secret), "ValueError"),
        (KeyError(secret), "KeyError"),
        (TypeError(secret), "TypeError"),
        (Odd(secret), "Odd"),
        (RuntimeError(secret), "RuntimeError"),
        (SystemExit(secret), "SystemExit"),
        (NameError("name 'x' isn't defined"), "NameError: name 'x' isn't defined"),
        (ImportError("no module named 'x'"), "ImportError: no module named 'x'"),
        (MemoryError("memory allocation failed"), "MemoryError: memory allocation failed"),
    ):
        with mounted(LFS2, LFS2.format()):
            os.mkdir(settings.FOLDER)
            port = chip.Port()
            g, _ = start(port)
            lines = crash(g, e)
            assert lines[0] == text
            assert "inner" in lines[1] and "crash" in lines[2], lines
            # It is there after the reset.
            g, _ = start(port)
            report = record.report(port)
            assert report == dict(REPORT, reset="crash", failed_starts=2, crash=lines)
            assert g.error_code() == (5 if isinstance(e, MemoryError) else 16)
            with open(settings.FOLDER + "/crash") as f:
                assert secret not in f.read()


def test_network():
    flash = LFS2.format()
    with mounted(LFS2, flash):
        os.mkdir(settings.FOLDER)
        port = chip.Port()
        g, _ = start(port)
        assert record.report(port)["network_fault"] is None
        wrong = OSError("Wi-Fi password is wrong")
        assert g.network_failed(wrong)[0] == "OSError: Wi-Fi password is wrong"
        erases = flash.erases, flash.programs
        for _ in range(100):
            g.network_failed(wrong)
        assert (flash.erases, flash.programs) == erases
        # It is there after a power cut, and two that come and go wear flash at most eight times a start.
        port.word = 0
        start(port)
        assert record.report(port)["network_fault"] == "OSError: Wi-Fi password is wrong"
        for n in range(20):
            g.network_failed(OSError(n))
        assert record.report(port)["network_fault"] == "OSError 6"
        g, _ = start(port)
        g.network_failed(OSError(113))
        assert record.report(port)["network_fault"] == "OSError 113"


class Chip:
    """Module machine of an ESP32, as ports/esp32/modmachine.c numbers the causes."""

    PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = range(1, 6)

    def reset_cause(self):
        return self.told


def test_panic_and_brownout():
    kept = real.machine, real._ESP32
    machine = Chip()
    real.machine, real._ESP32 = machine, True
    port = chip.Port()
    port.cause = real.cause
    try:
        for told, first, code, word in (
            (machine.PWRON_RESET, "power", 20, "brownout"),
            (machine.HARD_RESET, "reset", 19, "panic"),
            (machine.WDT_RESET, "watchdog", 17, "watchdog"),
            (machine.SOFT_RESET, "reset", 0, "reset"),
            (machine.DEEPSLEEP_RESET, "reset", 0, "reset"),
        ):
            machine.told = told
            port.word = 0  # RTC memory has nothing of this firmware's
            start(port)
            assert record.report(port)["reset"] == first
            g, _ = start(port)
            assert (record.report(port)["reset"], g.error_code(), g.failed) == (word, code, 2)
            # Who is at the REPL may type machine.reset().
            g.break_in()
            g, _ = start(port)
            assert record.report(port)["reset"] == first and g.failed == 0
            # And what the guard itself has asked for is told as that.
            restart(g, ASKED)
            machine.told = machine.HARD_RESET
            start(port)
            assert record.report(port)["reset"] == "asked"
    finally:
        real.machine, real._ESP32 = kept


def test_a_watchdog_before_the_start_was_counted():
    # An update's library may hang as it is loaded: what was asked for before is not taken for its end.
    port = chip.Port()
    restart(start(port)[0], ASKED)
    assert Guard(port).why() == ASKED
    port.why = 1
    assert Guard(port).why() == 1
    g, _ = start(port)
    assert g.reason == 1 and g.error_code() == 17


def test_message():
    # Of a board that is not locked: bounded, on one line, and hidden once it is.
    for e, text, said in (
        (ValueError("no pin 99"), "ValueError", "no pin 99"),
        (ValueError("a\nb\x1b[2J" + "c" * 300), "ValueError", "a\\nb\\x1b[2J" + "c" * 150),
        (OSError(113), "OSError 113", "[Errno 113] EHOSTUNREACH"),
        (NameError("name 'x' isn't defined"), "NameError: name 'x' isn't defined", None),
        (RuntimeError(), "RuntimeError", None),
    ):
        with mounted(LFS2, LFS2.format()):
            os.mkdir(settings.FOLDER)
            port = chip.Port()
            lines = crash(start(port)[0], e)
            assert lines[0] == (text + ": " + said if said else text)[: len(lines[0])]
            report = record.report(port)
            assert report["crash"] == [text] + lines[1:]
            assert report.get("message") == (said and said[:160])
            assert record.describe(e)[0] == text
            kept, settings.area = settings.area, Locked
            try:
                assert "message" not in record.report(port)
            finally:
                settings.area = kept


def test_starts_are_not_counted_while_something_is_tried_out():
    port = chip.Port()
    g, _ = start(port)
    g.break_in()
    for _ in range(20):
        g, wait = start(port)
        crash(g, ValueError())
        assert not wait and not g.failed
    # A start that was good ends it.
    g, _ = start(port)
    g.turn(0)
    g.turn(301000)
    for _ in range(3):
        assert start(port)[1] == 0
    assert start(port)[1]


def test_record_does_not_wear_flash():
    flash = LFS2.format()
    with mounted(LFS2, flash):
        os.mkdir(settings.FOLDER)
        port = chip.Port()
        g, _ = start(port)
        lines = crash(g, OSError(5))
        before = flash.erases, flash.programs
        for _ in range(50):
            assert crash(start(port)[0], OSError(5)) == lines
        assert (flash.erases, flash.programs) == before
        assert crash(start(port)[0], OSError(6)) != lines
        assert (flash.erases, flash.programs) != before


def test_record_without_a_file_system():
    port = chip.Port()
    g, _ = start(port)
    assert crash(g, OSError(5))[0].startswith("OSError 5")
    g, _ = start(port)
    assert (g.reason, g.error_code()) == (CRASH, 16)
    assert record.report(port) == dict(REPORT, reset="crash", failed_starts=2)
    assert g.network_failed(OSError(110))[0] == "OSError 110"


def test_record_that_was_cut():
    with mounted(LFS2, LFS2.format()):
        os.mkdir(settings.FOLDER)
        port = chip.Port()
        crash(start(port)[0], OSError(5))
        with open(settings.FOLDER + "/crash") as f:
            text = f.read()
        for n in range(len(text)):
            with open(settings.FOLDER + "/crash", "w") as f:
                f.write(text[:n])
            assert record.report(port)["crash"] is None


def deep(n):
    if n:
        return deep(n - 1)
    raise OSError(5)


def test_record_is_short():
    port = chip.Port()
    g, _ = start(port)
    try:
        deep(50)
    except OSError as e:
        lines = g.crashed(e)
    assert len(lines) == 9 and max([len(line) for line in lines]) <= 80


def test_watchdog_and_power():
    port = chip.Port()
    for why, code, word in ((0, 0, "power"), (1, 17, "watchdog"), (2, 0, "reset")):
        port.why = why
        g, _ = start(port)
        assert g.error_code() == code and record.report(port)["reset"] == word
        g.break_in()


def test_module_that_is_not_there_and_one_that_is_broken():
    import device

    where = device.__path__
    with mounted(LFS2, LFS2.format()):
        for name, text in (
            ("broken", "from sys import nothing_of_that_name"),
            ("poor", "import lwm2m.nothing_of_that_name"),
        ):
            with open("/flash/%s.py" % name, "w") as f:
                f.write(text)
        device.__path__ = "/flash"
        try:
            assert guard.optional("absent") is None
            assert guard.optional("poor") is None  # what it needs is not there
            try:
                guard.optional("broken")
                assert False
            except ImportError:
                pass
        finally:
            device.__path__ = where
            os.remove("/flash/broken.py")
            os.remove("/flash/poor.py")
