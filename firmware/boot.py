# Comes before main.py, and after each soft reset.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import micropython

# Ctrl-C would end this half done, and leave a watchdog unfed. MicroPython lets it through again behind.
micropython.kbd_intr(-1)
import device.guard  # noqa: E402

device.guard.boot()
