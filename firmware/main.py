# What a board runs: the network, the client and the application, in one loop.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# In an image of ours it is frozen; on stock MicroPython it lies beside boot.py, or is device.main where
# updates may bring another one. A user's part is one file, app.py: firmware/app.py is an example.

import time
import lwm2m
from device.guard import Guard, forget, optional
from device.led import Led
from device.link import Gate, Link
from lwm2m.net import address
from micropython import const

_LAST_WORDS_MS = const(500)  # for the answer to a server to leave the chip
_CERTIFICATE = const(2)  # Security Mode (/0/x/2)

# How much the console tells: 0 nothing of the following, 1 failures, 2 events, 3 each request, too.
_FAILURES = const(1)
_EVENTS = const(2)

_TICK_MS = const(100)  # of module guard
_ASKED = const(4)

# Of Event.type, as the package's __init__ has them.
_REG_UNREGISTERED = const(1)
_REG_REGISTERED = const(3)
_REG_FAILED = const(5)
_BS_FINISHED = const(8)

# What module led shows.
_CONNECTING = const(2)
_ERROR = const(5)

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
        # The application is compiled from here, and the client's step called, as an RP2040 has 8 KB of C
        # stack, and each call on the way takes 300 B of it.
        import device.start as start

        copy = start.begin(board)
        if copy:
            start.set_up(board, copy)
        start = copy = forget("start")  # whose heap the loop can have
        client = board.client
        while client:
            ms = board.ready()
            if ms is not None and client.step(ms):
                board.failed()
            board.turn()
    except KeyboardInterrupt:
        guard.break_in()
        print("Stopped. A device that has a watchdog restarts in ten minutes.")
    except BaseException as e:
        try:
            print("LwM2M: crashed")  # what begins so, the factory tool waits for (board.py)
            for line in guard.crashed(e):
                print(line)
        finally:  # where there is no memory to tell it, either
            port.reset()


class _Board:
    # What has no underscore is for module start, too.

    def __init__(self, port, guard, started=None):
        self.port = port
        self.guard = guard
        self.started = started
        self.led = Led()
        self.console = None  # a Console
        self.level = _EVENTS  # of what is told
        self._words = lwm2m.optional("words")
        self.client = None
        self.app = None  # the application's module
        self.updates = None  # Updates, where the application can be updated over the air
        self.sleep = None  # a Sleep, where the factory's settings want it
        self._clock = None  # a Clock, where certificates or the factory's settings want one
        self.diagnostics = None  # a Diagnostics, where the image has it
        self._connectivity = None  # a Connectivity, likewise, when the network was up
        self.values = None  # the factory's settings
        self._link = None  # a Link
        self._gate = None  # a Gate
        self._up = None  # whether the network is
        self._registered = {}  # short ids of servers, and s from the start to then
        self._error = None  # the last failure in words

    def pause(self):
        """Only take commands."""
        self.guard.check()
        self.console.poll(lwm2m.Net.now())
        time.sleep_ms(_TICK_MS)

    def device(self):
        """What servers see of it: {resource id: value} of /3/0."""
        memory = self.port.memory
        return {
            2: self.port.serial_number(),
            3: self.port.version(),
            4: self._reboot,
            10: lambda: memory()[0] // 1024,
            11: {0: self.guard.error_code()},
            21: lambda: memory()[1] // 1024,
        }

    def begin_network(self, values):
        """With that setting (dict) of the factory's; the client is there."""
        network = machine = None
        if values["type"] != "none":
            import machine
            import network
        guard = self.guard
        self._link = Link(
            values,
            network,
            machine,
            guard.refused,
            guard.refuse,
            self._on_network_fault,
        )
        self._gate = Gate(self.client, self._link)
        guard.hold(0)

    def ready(self):
        """How long the client's step may wait (s); None where there is nothing for it to step on."""
        now = lwm2m.Net.now()
        client, link, sleep = self.client, self._link, self.sleep
        self.guard.turn(now)
        up = link.poll(now)
        if up != self._up:
            self.led.show(_CONNECTING)
            self._up = up
            if up:
                where = link.address()
                self.say("Network: up" + (where and ", " + where))
                monitor = optional("monitor")
                if monitor:
                    kind = self.values["network"]["type"]
                    self._connectivity = monitor.watch(client, self._connectivity, link, kind)
                if sleep:
                    # When all objects are there, or the server would have to be told of them.
                    sleep.up(client)
        # What the application runs on this net beside the client goes on. A network that was off while
        # the board slept was not away.
        self._gate.poll(up or bool(sleep and sleep.joins), now)
        if up and self._has_time(now):
            return 0 if self.console.poll(now) else 1
        self.pause()

    def failed(self):
        """Every server has; the client tries again by itself."""
        self.led.show(_ERROR)

    def turn(self):
        """What comes behind each step."""
        turn = getattr(self.app, "turn", None)
        if turn:
            turn(self.client)
        if self.sleep:
            self.sleep.turn(self.client, self._link, self._up)

    def _on_network_fault(self, e):
        text, said = self.guard.network_failed(e)
        text = "Network: " + text
        self.tell(_FAILURES, "%s: %s" % (text, said) if said else text)
        if self.diagnostics:
            self.diagnostics.log(1, text)

    def tell(self, level, text):
        """Say a line (str, or an Event). The log has failures and events, whatever is printed."""
        if level > max(self.level, _EVENTS):
            return
        text = str(text)
        self.console.keep(text)
        if level == _FAILURES:
            self._error = text
        if level <= self.level:
            print(text)

    def say(self, text):
        """Say an event (str)."""
        self.tell(_EVENTS, text)

    def _note(self, event):
        # With which servers the client is registered, for status.
        if event.type == _REG_REGISTERED:
            self._registered.setdefault(event.short_id, self.console.seconds)
        elif event.type in (_REG_UNREGISTERED, _REG_FAILED):
            self._registered.pop(event.short_id, None)

    def running(self):
        """What status tells of it."""
        ids = sorted(self._registered)
        now = self.console.seconds
        since = []
        for id in ids:
            since.append(now - self._registered[id])
        return {
            "uptime": now,
            "registered": ids,
            "since": since,
            "error": self._error,
            "signal": self._link and self._link.signal(),
        }

    def factory_reset(self):
        self.client.core.context.factory_reset()
        self.updates.slots.factory_reset()
        self._reboot()

    def _reboot(self):
        time.sleep_ms(_LAST_WORDS_MS)
        self.guard.reset(_ASKED)

    def _has_time(self, now):
        # Whether the clock need not be waited for. Certificates wait; who else has a server of the
        # factory's only asks it.
        host = self.values.get("ntp")
        security = self.client.core.objects[0].instances
        certificates = False
        for iid in security:
            if security[iid].get(2) == _CERTIFICATE:
                certificates = True
        if not self._clock:
            if not certificates and not host:
                return True
            clock = optional("clock")
            if not clock:
                return True
            host = host or "pool.ntp.org"
            self._clock = clock.Clock(host, clock.set_clock, self.guard.patient(address))
        if certificates:
            return not self._clock.waits(now)
        self._clock.poll(now)
        return True

    def on_event(self, event):
        if event.type < len(_SHOWN) and _SHOWN[event.type]:
            self.led.show(_SHOWN[event.type])
        self._note(event)
        if self._words:
            self.tell(self._words.level(event), event)
        if event.type == _BS_FINISHED:
            self.client.stop()  # as the new accounts may need the clock
        on_event = getattr(self.app, "on_event", None)
        if on_event:
            on_event(event)


if __name__ == "__main__":
    import device.port

    run(device.port)
