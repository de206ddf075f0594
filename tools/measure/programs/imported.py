# What make bench runs for the heap that a package takes where it is no frozen code: imported.py
#
# imported.py REQUIRED OWN: names of modules with commas between. Prints MicroPython's count of names before
# and after, then the bytes of heap that importing the own ones takes, when those required are there.

import gc
import sys
from micropython import qstr_info


def used():
    gc.collect()
    return gc.mem_alloc()


def load(names):
    for name in names.split(","):
        if name:
            __import__(name)


load(sys.argv[1])
before = used()
qstr_info()
load(sys.argv[2])
after = used()
qstr_info()
print(after - before)
