# Comes before main.py, and after each soft reset.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import micropython

# Ctrl-C would end this half done, and leave a watchdog unfed. MicroPython lets it through again behind.
micropython.kbd_intr(-1)
from device.guard import boot  # noqa: E402

boot()
del boot  # which would hold its module, where an update brings another one
