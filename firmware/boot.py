# Comes before main.py, and after each soft reset.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import gc
import micropython

# What stays would lie all over the heap, between what does not, where it is collected only when the heap is
# full: a stock Pico W then had 90 KB free, and 14 KB in one piece, and a handshake with certificates wants 17.
gc.threshold(32768)

# Ctrl-C would end this half done, and leave a watchdog unfed. MicroPython lets it through again behind.
micropython.kbd_intr(-1)
from device.guard import boot  # noqa: E402

boot()
del boot  # which would hold its module, where an update brings another one
