# What make bench runs for the heap that a package takes where it is no frozen code: imported.py
#
# imported.py REQUIRED OWN: names of modules with commas between. Prints the bytes of heap that importing
# the own ones takes, when those required are there.

import gc
import sys


def used():
    gc.collect()
    return gc.mem_alloc()


def load(names):
    for name in names.split(","):
        if name:
            __import__(name)


load(sys.argv[1])
before = used()
load(sys.argv[2])
print(used() - before)
