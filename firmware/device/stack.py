# How much of the C stack was never used: what lies below its end is painted, and later what still is counted.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import sys
from machine import mem32
from micropython import const, stack_use

# The port's linker scripts put core 0's stack, 8 KB (PICO_STACK_SIZE), at the end of the RAM.
_SIZE = const(0x2000)
_TOP = 0x20042000 if "RP2040" in sys.implementation._machine else 0x20082000
_PAINT = const(0x2A5A2A5A)  # a small int
_MARGIN = const(512)  # what is called from here may take as much beyond what stack_use() says


def paint():
    """Begin. Returns least(), which tells how many bytes (int) of the C stack were not used since; None where
    nobody knows where it lies, as on an ESP32."""
    if sys.platform != "rp2":
        return None
    bottom = _TOP - _SIZE
    for address in range(bottom, _TOP - stack_use() - _MARGIN & ~3, 4):
        mem32[address] = _PAINT

    def least():
        address = bottom
        while mem32[address] == _PAINT:
            address += 4
        return address - bottom

    return least
