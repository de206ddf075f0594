# What a board runs: the network, the client and the application, in one loop.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# In an image of ours it is frozen; on stock MicroPython it lies beside boot.py, or is device.main where
# updates may bring another one. A user's part is one file, app.py: firmware/app.py is an example.

import time
import lwm2m
import device.settings as settings
from device.console import Console
from device.guard import Guard
from device.led import Led
from device.link import Gate, Link
from lwm2m.net import address
from micropython import const
from ucoap.engine import diff

_HELD = const(100)  # ticks of the button
_LAST_WORDS_MS = const(500)  # for the answer to a server to leave the chip
_CERTIFICATE = const(2)  # Security Mode (/0/x/2)

# How much the console tells: 0 nothing of the following, 1 failures, 2 events, 3 each request, too.
_FAILURES = const(1)
_EVENTS = const(2)

# Of module guard.
_TICK_MS = const(100)
_LOOKUP_MS = const(60000)
_ASKED = const(4)
_RETRY = const(5)

# Of Event.type, as the package's __init__ has them.
_REG_UNREGISTERED = const(1)
_REG_REGISTERED = const(3)
_REG_FAILED = const(5)
_BS_FINISHED = const(8)

# What module led shows.
_OFF = const(0)
_UNPROVISIONED = const(1)
_CONNECTING = const(2)
_REGISTERED = const(4)
_ERROR = const(5)
_SAFE = const(6)

# And what it shows after an event, by its type; 0: what it showed before.
_SHOWN = const(b"\0\0\2\4\0\5\0\3\0\5")


def run(port, minute_ms=60000, started=None):
    """Never returns, unless Ctrl-C comes or the factory has given nothing: then there is a REPL.

    port: as device.port is one. minute_ms: what the guard's minutes last. started: what device.launch has
    chosen, where that has called it.
    """
    guard = Guard(port, minute_ms)
    try:
        board = _Board(port, guard, started)
        client = board.begin()
        while client:
            # From here, as an RP2040 has 8 KB of C stack, and each call on the way takes 300 B of it.
            ms = board.ready()
            if ms is not None and client.step(ms):
                board.failed()
            board.turn()
    except KeyboardInterrupt:
        guard.break_in()
        print("Stopped. A device that has a watchdog restarts in ten minutes.")
    except BaseException as e:
        print("LwM2M: crashed")  # what begins so, the factory tool waits for (board.py)
        for line in guard.crashed(e):
            print(line)
        port.reset()


class _Board:
    def __init__(self, port, guard, started=None):
        self._port = port
        self._guard = guard
        self._started = started
        self._led = Led()
        self._console = None  # a Console
        self._level = _EVENTS  # of what is told
        self._words = lwm2m.optional("words")
        self._client = None
        self._app = None
        self._updates = None  # Updates, where the application can be updated over the air
        self._clock = None  # a Clock, where certificates or the factory's settings want one
        self._diagnostics = None  # a Diagnostics, where the image has it
        self._connectivity = None  # a Connectivity, likewise, when the network was up
        self._link = None  # a Link
        self._gate = None  # a Gate
        self._sleep = None  # a Sleep, where the factory's settings want one
        self._values = None  # the factory's settings
        self._up = None  # whether the network is
        self._registered = {}  # short ids of servers, and s from the start to then
        self._error = None  # the last failure in words

    def begin(self):
        """The client, when all is there; None where the factory has given nothing."""
        port, guard, led = self._port, self._guard, self._led

        guard.led = led
        port.every(_TICK_MS, guard.tick)
        safe_ms = guard.begin()
        fault = "the factory has given this board nothing yet"
        copy = None
        try:
            copy = settings.load()
        except ValueError as e:
            fault = str(e)
        values = copy.values if copy else {}
        self._level = values.get("console", _EVENTS)
        if values.get("led") is not None:
            led.set = port.led(values["led"])
        reserved = settings.area()
        if reserved and not reserved.locked():
            reserved = None
        self._console = Console(guard, self._running, lwm2m.Net.now(), reserved)
        if values.get("button") is not None and self._held(port.button(values["button"])):
            store = settings.store()
            store.load(copy.endpoint)
            store.factory_reset()
            if self._find_updates(values):
                self._updates.slots.factory_reset()
            guard.break_in()
            safe_ms = 0
            print("The factory's accounts are back.")
            if self._started and self._started[0]:
                guard.reset(_ASKED)  # what runs is an update's
        if not copy:
            guard.break_in()  # there is nothing that could fail
            led.show(_UNPROVISIONED)
            print(fault)
            if reserved:
                self._wait(-1)
            return None
        if safe_ms:
            led.show(_SAFE)
            print("Safe mode for %d s, after failed starts." % (safe_ms // 1000))
            self._wait(safe_ms)
            guard.reset(_RETRY)
        guard.watch()
        guard.hold(_LOOKUP_MS)
        return self._start(copy)

    def _held(self, button):
        # Whether a button is held for ten seconds from now on; button() is 0 while it is.
        self._led.show(_REGISTERED)
        for _ in range(_HELD):
            if button():
                break
            time.sleep_ms(_TICK_MS)
        else:
            return True
        self._led.show(_OFF)
        return False

    def _wait(self, ms):
        # Only take commands; for ever where negative.
        since = lwm2m.Net.now()
        while ms < 0 or diff(lwm2m.Net.now(), since) < ms:
            self._pause()

    def _pause(self):
        self._guard.check()
        self._console.poll(lwm2m.Net.now())
        time.sleep_ms(_TICK_MS)

    def _start(self, copy):
        port, guard = self._port, self._guard
        values = self._values = copy.values
        net = lwm2m.Net(guard.patient(address))
        diagnostics = lwm2m.optional("diagnostics")
        if diagnostics:
            self._diagnostics = diagnostics.Diagnostics(net)
        device = {
            2: port.serial_number(),
            3: port.version(),
            4: self._reboot,
            10: lambda: port.memory()[0] // 1024,
            11: {0: guard.error_code()},
            21: lambda: port.memory()[1] // 1024,
        }
        store = settings.store()
        updates = self._find_updates(values)
        if updates:
            device[5] = self._factory_reset
        updated = updates and updates.choose(guard.reason, self._started)
        try:
            import app

            self._app = app
        except ImportError as e:
            if updated or "'app'" not in str(e):
                raise
        credentials = getattr(self._app, "credentials", None)
        client = self._client = lwm2m.Client(
            copy.endpoint,
            self._on_event,
            net,
            device,
            store=store,
            credentials=credentials and credentials(),
        )
        if diagnostics:
            from device.record import report

            known = report(port)
            stack = _optional("stack")
            stack = stack and stack.paint()
            self._diagnostics.start(client, store, known["crash"], known["reset"], stack)
        if self._app:
            self._app.setup(client, values.get("app") or {})
        if updates:
            updates.take(client, self._app, guard)
        network = machine = None
        if values["network"]["type"] != "none":
            import machine
            import network
        self._link = Link(
            values["network"],
            network,
            machine,
            guard.refused,
            guard.refuse,
            self._on_network_fault,
        )
        self._gate = Gate(client, self._link)
        self._sleep = self._find_sleep(values)
        guard.hold(0)
        return client

    def ready(self):
        """How long the client's step may wait (ms); None where there is nothing for it to step on."""
        now = lwm2m.Net.now()
        sleep = self._sleep
        self._guard.turn(now)
        up = self._link.poll(now)
        if up != self._up:
            self._led.show(_CONNECTING)
            self._up = up
            if up:
                if sleep:
                    sleep.up(self._client)
                where = self._link.address()
                self._tell(_EVENTS, "Network: up" + (where and ", " + where))
                monitor = _optional("monitor")
                if monitor:
                    kind = self._values["network"]["type"]
                    self._connectivity = monitor.watch(
                        self._client, self._connectivity, self._link, kind
                    )
        # What the application runs on this net beside the client goes on. A network that was off while
        # the board slept was not away.
        self._gate.poll(up or bool(sleep and sleep.joins), now)
        if up and self._has_time(now):
            return 0 if self._console.poll(now) else 1
        self._pause()

    def failed(self):
        """Every server has; the client tries again by itself."""
        self._led.show(_ERROR)

    def turn(self):
        """What comes behind each step."""
        turn = getattr(self._app, "turn", None)
        if turn:
            turn(self._client)
        if self._sleep:
            self._sleep.turn(self._client, self._link, self._up)

    def _on_network_fault(self, e):
        text, said = self._guard.network_failed(e)
        text = "Network: " + text
        self._tell(_FAILURES, "%s: %s" % (text, said) if said else text)
        if self._diagnostics:
            self._diagnostics.log(1, text)

    def _tell(self, level, text):
        # The log has failures and events, whatever is printed.
        if level > max(self._level, _EVENTS):
            return
        text = str(text)
        self._console.keep(text)
        if level == _FAILURES:
            self._error = text
        if level <= self._level:
            print(text)

    def _find_updates(self, values):
        given = values.get("update")
        if given and not self._updates:
            update = _optional("update")
            if update:  # else what the factory has given is for another image
                self._updates = update.Updates(given)
        return self._updates

    def _find_sleep(self, values):
        given = values.get("sleep")
        if not given or given["mode"] == "off" or not lwm2m.optional("queue"):
            return None
        sleep = _optional("sleep")
        if not sleep:
            return None
        sleep = sleep.Sleep(
            given, self._port, self._guard, self._app, say=lambda text: self._tell(_EVENTS, text)
        )
        sleep.begin()
        return sleep

    def _note(self, event):
        # With which servers the client is registered, for status.
        if event.type == _REG_REGISTERED:
            self._registered.setdefault(event.short_id, self._console.seconds)
        elif event.type in (_REG_UNREGISTERED, _REG_FAILED):
            self._registered.pop(event.short_id, None)

    def _running(self):
        # What status tells of it.
        ids = sorted(self._registered)
        now = self._console.seconds
        return {
            "uptime": now,
            "registered": ids,
            "since": [now - self._registered[id] for id in ids],
            "error": self._error,
            "signal": self._link and self._link.signal(),
        }

    def _factory_reset(self):
        self._client.core.context.factory_reset()
        self._updates.slots.factory_reset()
        self._reboot()

    def _reboot(self):
        time.sleep_ms(_LAST_WORDS_MS)
        self._guard.reset(_ASKED)

    def _has_time(self, now):
        # Whether the clock need not be waited for. Certificates wait; who else has a server of the
        # factory's only asks it.
        host = self._values.get("ntp")
        security = self._client.core.objects[0].instances
        certificates = _CERTIFICATE in [security[iid].get(2) for iid in security]
        if not self._clock:
            if not certificates and not host:
                return True
            clock = _optional("clock")
            if not clock:
                return True
            host = host or "pool.ntp.org"
            self._clock = clock.Clock(host, clock.set_clock, self._guard.patient(address))
        if certificates:
            return not self._clock.waits(now)
        self._clock.poll(now)
        return True

    def _on_event(self, event):
        if event.type < len(_SHOWN) and _SHOWN[event.type]:
            self._led.show(_SHOWN[event.type])
        self._note(event)
        if self._words:
            self._tell(self._words.level(event), event)
        if event.type == _BS_FINISHED:
            self._client.stop()  # as the new accounts may need the clock
        on_event = getattr(self._app, "on_event", None)
        if on_event:
            on_event(event)


def _optional(module):
    # Module device.<module>, or None where this image lacks it, or what it needs.
    try:
        return __import__("device." + module, None, None, ("",))
    except ImportError:
        return None


if __name__ == "__main__":
    import device.port

    run(device.port)
