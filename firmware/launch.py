# main.py of a board with stock MicroPython and updates, which none of them changes.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from device.launch import run

run()
