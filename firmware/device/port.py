# What differs between the ports: everything here touches hardware.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# The word is 30 bits that outlast a reset but not a power cut, and wear nothing: scratch register 0
# of an RP2040's watchdog (the boot ROM and the SDK use 4 to 7), the first four bytes of an ESP32's
# RTC memory, behind which the application's own may stand, or what device.power keeps.

import gc
import machine
import sys
from micropython import const

_SCRATCH0 = const(0x0C)
_SCRATCH4 = const(0x1C)
_EXPIRED = 0x6AB73121  # in scratch 4: the SDK's mark of a watchdog that was not fed
_ENABLED = const(30)  # a bit of the watchdog's first register

# What guard counts as the reason of a reset.
_POWER = const(0)
_WATCHDOG = const(1)
_RESET = const(2)
_PANIC = const(6)
_BROWNOUT = const(7)

_RP2 = sys.platform == "rp2"
_ESP32 = sys.platform == "esp32"
_BASE = 0x40058000 if "RP2040" in getattr(sys.implementation, "_machine", "") else 0x400D8000

_timer = None


def load():
    """The word; anything, where power has come."""
    if _RP2:
        return machine.mem32[_BASE + _SCRATCH0] & 0x3FFFFFFF
    if _ESP32:
        return int.from_bytes(machine.RTC().memory()[:4], "big") & 0x3FFFFFFF
    return 0


def save(word):
    """Keep a word (int, 30 bits)."""
    if _RP2:
        machine.mem32[_BASE + _SCRATCH0] = word
    elif _ESP32:
        rtc = machine.RTC()
        rtc.memory(word.to_bytes(4, "big") + rtc.memory()[4:])


def cause(kept=False):
    """POWER, WATCHDOG, PANIC, BROWNOUT, or RESET, which is any other.

    kept: whether the word is this firmware's, and nobody was at the REPL since it was saved.
    """
    if not (_RP2 or _ESP32):
        return _POWER
    cause = machine.reset_cause()
    # An ESP32's port makes no difference between power that came and power that dipped, but the word
    # outlasts a dip; nor between reset() and a panic, but here reset() tells the guard beforehand.
    kept = kept and _ESP32
    if cause == machine.PWRON_RESET:
        return _BROWNOUT if kept else _POWER
    if kept and cause == machine.HARD_RESET:
        return _PANIC
    # An RP2040 resets itself by its watchdog, too.
    if cause == machine.WDT_RESET and (_ESP32 or machine.mem32[_BASE + _SCRATCH4] == _EXPIRED):
        return _WATCHDOG
    return _RESET


def watched(before):
    """Whether a watchdog has outlasted a soft reset. before: whether one was started (bool)."""
    if _RP2:
        return bool(machine.mem32[_BASE] >> _ENABLED & 1)
    return before and _ESP32 and machine.reset_cause() == machine.SOFT_RESET


def watchdog():
    """Start the watchdog, which nothing can stop: what has feed(). None where there is none.

    An ESP32 runs no timer while a name is looked up, which may take 30 s.
    """
    if _RP2 or _ESP32:
        return machine.WDT(timeout=8388 if _RP2 else 60000)


def every(ms, callback):
    """Let a timer call callback(timer), in place of the one before; with 0 ms there is none."""
    global _timer
    if _timer:
        _timer.deinit()
    if ms and (_RP2 or _ESP32):
        _timer = machine.Timer(-1 if _RP2 else 0)
        _timer.init(period=ms, callback=callback)


def reset():
    """Restart."""
    machine.reset()


def led(pin):
    """A function that lights (1) an LED or darkens it (0)."""
    return machine.Pin(pin, machine.Pin.OUT).value


def button(pin):
    """A function that tells 0 while a button connects the pin to ground."""
    return machine.Pin(pin, machine.Pin.IN, machine.Pin.PULL_UP).value


def serial_number():
    """The chip's id, hexadecimal."""
    return machine.unique_id().hex()


def version():
    """The firmware's."""
    return globals().get("__version__", "0")


_all = 0  # bytes of the heap; only an ESP32's grows, and each look goes through all of it


def memory():
    """(free, all) bytes of the heap; where an ESP32 has two, of the one that has less left: lwIP, Wi-Fi
    and mbedTLS take from the other."""
    global _all
    free = gc.mem_free()
    if _ESP32 or not _all:
        _all = free + gc.mem_alloc()
    found = free, _all
    if _ESP32:
        import esp32

        # (all, free, largest block, least free) of each region
        regions = esp32.idf_heap_info(esp32.HEAP_DATA)
        free = sum([region[1] for region in regions])
        if free < found[0]:
            found = free, sum([region[0] for region in regions])
    return found
