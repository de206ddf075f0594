# Sleep, for boards on batteries: while no server and no application wants anything, the network is off
# and the chip sleeps.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# The factory's [sleep] says how. "light" keeps RAM and the client: the chip wakes to feed its watchdog,
# and sleeps on. "deep" is for an ESP32: it starts anew, and the client goes on from what its RTC memory
# has kept. After a start that is no wake-up the board stays awake for two minutes: whoever wants to
# reach it over its serial line, as the factory tool does, resets it or plugs it in.

import time
import device.power
from micropython import const
from device.guard import SLEPT, TICK_MS
from lwm2m.net import now, rng
from ucoap.engine import diff

_REACHED = const(2)  # minutes
_LEAST_MS = const(5000)  # for less it is not worth to join the network again
_JOIN_MS = const(90000)  # for which the network may be away
_AWAY_MS = const(900000)  # until it is looked for again, a quarter more or less
_CHUNK_MS = const(4000)  # half of what an RP2040's watchdog waits
_LOOK_MS = const(1000)  # between looks at the pin, where light sleep does not wake by it
_SET = const(2026)  # the year; as in device.clock

# What a wake-up is for; all but the last as Client.sleep_ms() says.
_WHYS = ("report", "update", "connect", "application", "pin")


class Sleep:
    """What main.py asks at each turn.

    values: the setting "sleep". port, power: as device.port and power. app: the application's module, or None: its
    wake_ms() -> ms, in which it wants to be awake again, and on_wake(why) may be left out. say(text): a line for
    the console.
    """

    def __init__(self, values, port, guard, app, power=device.power, say=None):
        self._deep = values["mode"] == "deep"
        self._awake = values.get("awake", 93)  # s
        self._pin = values.get("pin")
        self._pressed = port.button(self._pin) if self._pin is not None else None
        self._port = port
        self._power = power
        self._guard = guard
        self._app = app
        self._say = say or (lambda text: None)
        self._began = None  # ms, of the first turn; until when there is no sleep
        self._away = None  # ms, since when there is no network
        self.joins = False  # whether the network is coming back after a sleep
        kept = power.kept()
        woken = guard.reason == SLEPT and len(kept) > 0
        self._context = kept[1:] if woken else b""
        self._why = _WHYS[kept[0] % len(_WHYS)] if woken else None

    def begin(self):
        """The application is set up: tell it what the board has woken for."""
        if self._why is None:
            return
        self._began = -1
        self._tell("pin" if self._power.woken_by_pin() else self._why)

    def up(self, client):
        """The network is there: before its first step, the client goes on."""
        self.joins = False
        self._away = None
        context = self._context
        self._context = b""  # it is good for one time
        if context:
            client.resume(context)

    def turn(self, client, link, up):
        """Sleep, if there is time for it."""
        t = now()
        if self._began is None:
            self._began = t
        if self._began >= 0:
            if diff(t, self._began) < _REACHED * self._guard.minute_ms:
                return
            self._began = -1
        if up:
            ms, why = client.sleep_ms(self._most(), self._awake)
        else:
            if self._away is None:
                self._away = t
            if diff(t, self._away) < _JOIN_MS:
                return
            ms, why = _AWAY_MS - _AWAY_MS // 4 + rng() % (_AWAY_MS // 2), "connect"
            most = self._most()
            if 0 <= most < ms:
                ms, why = most, "application"
        if ms < _LEAST_MS:
            return
        self._say("Sleep: for %d s" % (ms // 1000))
        if self._deep:
            self._power.keep(bytes((_WHYS.index(why),)) + (self._context or client.suspend()))
            _switch_off(link)
            self._guard.reset(SLEPT, lambda: self._power.deepsleep(ms, self._pin))
        _switch_off(link)
        self._away = None
        self.joins = True
        while ms >= _LEAST_MS:
            why = self._light(ms, why)
            self._tell(why)
            if why == "pin" or not up:
                break
            # Where there is nothing to tell, the network is not needed.
            ms, why = client.sleep_ms(self._most(), self._awake)

    def _most(self):
        # ms, until the application wants to be awake; -1 for never.
        wake_ms = getattr(self._app, "wake_ms", None)
        return max(wake_ms(), 0) if wake_ms else -1

    def _light(self, ms, why):
        # Sleep with RAM kept. Returns what it wakes for.
        port, guard, power = self._port, self._guard, self._power
        port.every(0, None)  # which would wake the chip
        if guard.led and guard.led.set:
            guard.led.set(0)
        since, seconds = now(), time.time()
        left = ms
        while left > 0:
            guard.check()
            power.lightsleep(min(left, _LOOK_MS if self._pressed else _CHUNK_MS))
            guard.hold(0)
            left = ms - diff(now(), since)
            if self._pressed and not self._pressed():
                why = "pin"
                break
        port.every(TICK_MS, guard.tick)
        # An RP2040's clock stands still meanwhile.
        lost = diff(now(), since) // 1000 - int(time.time() - seconds)
        if lost > 0 and time.gmtime()[0] >= _SET:
            power.set_time(lost)
        return why

    def _tell(self, why):
        self._say("Awake: " + why)
        on_wake = getattr(self._app, "on_wake", None)
        if on_wake:
            on_wake(why)


def _switch_off(link):
    # The radio, too; what drivers raise is no reason to stay awake.
    try:
        nic = link.nic()
        link.stop()
        if nic and link.values["type"] != "ppp":
            nic.active(False)
    except Exception:
        pass
