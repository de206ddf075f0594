# An application: what main.py needs of it. Each of the functions may be left out, but for setup();
# others are on_event(event), on_update(update), which is given lwm2m.update's Update, and credentials(),
# which returns where keys are to be (lwm2m.credentials).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# This one follows the chip's own temperature sensor, where it has one. What it raises ends the start:
# main.py keeps the traceback and resets the board.

import time
from lwm2m.model import FLOAT, STR, Object, R

# The factory tool checks [app] of a configuration by this JSON Schema (`application = "app.py"` there). It
# reads the file without running it, so that this is made of literals.
SETTINGS = {
    "properties": {
        "interval": {"type": "integer", "minimum": 1, "maximum": 86400},  # s between two values
    }
}

# fmt: off
_temperature = Object(
    3303,  # Temperature
    (
        5700, R | FLOAT,  # Sensor Value
        5701, R | STR,  # Sensor Units
    ),
    {0: {5701: "Cel"}},
)
# fmt: on
_interval_ms = 10000
_then = None


def setup(client, settings):
    """Add objects. client: lwm2m.Client. settings: dict, [app] of the factory's configuration."""
    global _interval_ms
    _interval_ms = settings.get("interval", 10) * 1000
    if _measure() is not None:
        _temperature.set(0, 5700, _measure())
        client.add_object(_temperature)


def turn(client):
    """Called about once a second, with the network or without it; must not take longer than that."""
    global _then
    now = time.ticks_ms()
    if _then is None or time.ticks_diff(now, _then) >= _interval_ms:
        _then = now
        celsius = _measure()
        if celsius is not None:
            _temperature.set(0, 5700, celsius)


def may_update():
    """Whether this application can be replaced now, by one that has come over the air."""
    return True


def selftest():
    """What is wrong with the board, a str, or None: the factory tool asks, and each start on trial of
    an application that has come over the air.
    """
    celsius = _measure()
    if celsius is not None and not -40 < celsius < 125:
        return "the temperature sensor says %.0f" % celsius


def _measure():
    # Degrees Celsius; None where there is no sensor.
    try:
        from machine import ADC
    except ImportError:  # the unix port
        return None
    if hasattr(ADC, "CORE_TEMP"):
        volts = ADC(ADC.CORE_TEMP).read_u16() * 3.3 / 65535
        return 27 - (volts - 0.706) / 0.001721  # RP2040 datasheet 4.9.5
    try:
        from esp32 import mcu_temperature

        return float(mcu_temperature())
    except ImportError:  # the first ESP32 has none that is of use
        return None
