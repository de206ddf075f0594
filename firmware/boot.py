# Comes before main.py, and after each soft reset.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import device.guard

device.guard.boot()
