# What a board runs: the network, the client and the application, in one loop.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# In an image of ours it is frozen; on stock MicroPython it lies beside boot.py, or is device.main where
# updates may bring another one. A user's part is one file, app.py: firmware/app.py is an example.

import time
import lwm2m
import device.led as leds
import device.settings as settings
from device.console import Console
from device.guard import ASKED, LOOKUP_MS, RETRY, TICK_MS, Guard, message, report
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

# What the LED says after an event.
_SHOWN = {
    lwm2m.EVENT_REG_REGISTERING: leds.CONNECTING,
    lwm2m.EVENT_REG_REGISTERED: leds.REGISTERED,
    lwm2m.EVENT_REG_FAILED: leds.ERROR,
    lwm2m.EVENT_BS_PENDING: leds.BOOTSTRAPPING,
    lwm2m.EVENT_BS_FAILED: leds.ERROR,
}


def run(port, minute_ms=60000, started=None):
    """Never returns, unless Ctrl-C comes or the factory has given nothing: then there is a REPL.

    port: as device.port is one. minute_ms: what the guard's minutes last. started: what device.launch has
    chosen, where that has called it.
    """
    guard = Guard(port, minute_ms)
    try:
        _Board(port, guard, started).run()
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
        self._led = leds.Led()
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
        self._registered = {}  # short ids of servers, and s from the start to then
        self._error = None  # the last failure in words

    def run(self):
        port, guard, led = self._port, self._guard, self._led

        guard.led = led
        port.every(TICK_MS, guard.tick)
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
                guard.reset(ASKED)  # what runs is an update's
        if not copy:
            guard.break_in()  # there is nothing that could fail
            led.show(leds.UNPROVISIONED)
            print(fault)
            return self._wait(-1) if reserved else None
        if safe_ms:
            led.show(leds.SAFE)
            print("Safe mode for %d s, after failed starts." % (safe_ms // 1000))
            self._wait(safe_ms)
            guard.reset(RETRY)
        guard.watch()
        guard.hold(LOOKUP_MS)
        self._start(copy)

    def _held(self, button):
        # Whether a button is held for ten seconds from now on; button() is 0 while it is.
        self._led.show(leds.REGISTERED)
        for _ in range(_HELD):
            if button():
                break
            time.sleep_ms(TICK_MS)
        else:
            return True
        self._led.show(leds.OFF)
        return False

    def _wait(self, ms):
        # Only take commands; for ever where negative.
        since = lwm2m.Net.now()
        while ms < 0 or diff(lwm2m.Net.now(), since) < ms:
            self._pause()

    def _pause(self):
        self._guard.check()
        self._console.poll(lwm2m.Net.now())
        time.sleep_ms(TICK_MS)

    def _start(self, copy):
        port, guard, led = self._port, self._guard, self._led
        values = copy.values
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
            known = report(port)
            self._diagnostics.start(client, store, known["crash"], known["reset"])
        if self._app:
            self._app.setup(client, values.get("app") or {})
        if updates:
            updates.take(client, self._app, guard)
        network = machine = None
        if values["network"]["type"] != "none":
            import machine
            import network
        link = self._link = Link(
            values["network"],
            network,
            machine,
            guard.refused,
            guard.refuse,
            self._on_network_fault,
        )
        gate = Gate(client, link)
        sleep = self._find_sleep(values)
        turn = getattr(self._app, "turn", None)
        was_up = None
        guard.hold(0)
        while True:
            now = net.now()
            guard.turn(now)
            up = link.poll(now)
            if up != was_up:
                led.show(leds.CONNECTING)
                was_up = up
                if up:
                    where = link.address()
                    self._tell(_EVENTS, "Network: up" + (where and ", " + where))
                    self._monitor(link, values["network"]["type"])
                    if (
                        sleep
                    ):  # with all objects there, or the server would have to be told of them
                        sleep.up(client)
            # What the application runs on this net beside the client goes on. A network that was off while
            # the board slept was not away.
            gate.poll(up or bool(sleep and sleep.joins), now)
            if up and self._has_time(now, values):
                typed = self._console.poll(now)
                if client.step(0 if typed else 1):
                    led.show(leds.ERROR)  # every server has failed: it tries again by itself
            else:
                self._pause()
            if turn:
                turn(client)
            if sleep:
                sleep.turn(client, link, up)

    def _monitor(self, link, kind):
        try:
            from device.monitor import watch
        except ImportError:  # an image without object 4
            return
        self._connectivity = watch(self._client, self._connectivity, link, kind)

    def _on_network_fault(self, e):
        text = "Network: %s" % self._guard.network_failed(e)
        said = message(e)
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
            try:
                from device.update import Updates

                self._updates = Updates(given)
            except ImportError:  # an image without: what the factory has given is for another one
                pass
        return self._updates

    def _find_sleep(self, values):
        given = values.get("sleep")
        if not given or given["mode"] == "off":
            return None
        try:
            from device.sleep import Sleep
        except ImportError:  # an image without
            return None
        if not lwm2m.optional("queue"):
            return None
        sleep = Sleep(
            given, self._port, self._guard, self._app, say=lambda text: self._tell(_EVENTS, text)
        )
        sleep.begin()
        return sleep

    def _note(self, event):
        # With which servers the client is registered, for status.
        if event.type == lwm2m.EVENT_REG_REGISTERED:
            self._registered.setdefault(event.short_id, self._console.seconds)
        elif event.type in (lwm2m.EVENT_REG_UNREGISTERED, lwm2m.EVENT_REG_FAILED):
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
        self._guard.reset(ASKED)

    def _has_time(self, now, values):
        # Whether the clock need not be waited for. Certificates wait; who else has a server of the
        # factory's only asks it.
        host = values.get("ntp")
        certificates = _uses(self._client, _CERTIFICATE)
        if not self._clock:
            if not certificates and not host:
                return True
            try:
                from device.clock import Clock, set_clock
            except ImportError:
                return True
            host = host or "pool.ntp.org"
            self._clock = Clock(host, set_clock, self._guard.patient(address))
        if certificates:
            return not self._clock.waits(now)
        self._clock.poll(now)
        return True

    def _on_event(self, event):
        if event.type in _SHOWN:
            self._led.show(_SHOWN[event.type])
        self._note(event)
        if self._words:
            self._tell(self._words.level(event), event)
        if event.type == lwm2m.EVENT_BS_FINISHED:
            self._client.stop()  # as the new accounts may need the clock
        on_event = getattr(self._app, "on_event", None)
        if on_event:
            on_event(event)


def _uses(client, mode):
    # Whether an account has that Security Mode (/0/x/2).
    security = client.core.objects[0].instances
    return mode in [security[iid].get(2) for iid in security]


if __name__ == "__main__":
    import device.port

    run(device.port)
