# main.py of a board with stock MicroPython, which no update changes.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from device.launch import run

run()
