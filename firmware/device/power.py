# Sleep, as the chips have it: everything here touches hardware. module sleep says when.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import machine
import sys
import time

_ESP32 = sys.platform == "esp32"


def keep(data):
    """Keep bytes over a deep sleep, for kept(): an ESP32 does, up to 2,044, behind port's word."""
    if _ESP32:
        rtc = machine.RTC()
        word = rtc.memory()[:4]
        try:
            rtc.memory(word + data)
        except ValueError:  # there is no room
            rtc.memory(word)


def kept():
    """What keep() has kept, once, and only where the chip has slept since: bytes."""
    if not _ESP32 or machine.reset_cause() != machine.DEEPSLEEP_RESET:
        return b""  # what is there may be the application's
    rtc = machine.RTC()
    memory = rtc.memory()
    rtc.memory(memory[:4])
    return memory[4:]


def lightsleep(ms):
    """Sleep with RAM kept; not for longer than the watchdog waits."""
    machine.lightsleep(ms)


def deepsleep(ms, pin):
    """Sleep, and start anew. pin: that wakes too when it is connected to ground, or None."""
    if pin is not None:
        import esp32

        wake = machine.Pin(pin, machine.Pin.IN, machine.Pin.PULL_UP, hold=True)
        if hasattr(esp32, "wake_on_ext0"):
            esp32.wake_on_ext0(wake, esp32.WAKEUP_ALL_LOW)
        else:  # an ESP32-C3
            esp32.wake_on_gpio((wake,), esp32.WAKEUP_ALL_LOW)
    machine.deepsleep(ms)


def woken_by_pin():
    """Whether deepsleep()'s pin has ended it."""
    return _ESP32 and machine.wake_reason() == machine.PIN_WAKE


def set_time(seconds):
    """Put the clock on by so many seconds."""
    year, month, day, hour, minute, second, weekday, _ = time.gmtime(time.time() + seconds)[:8]
    machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))
