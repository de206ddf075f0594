# Imports that run out of memory: whatever they have reached, the next one begins anew.

import sys

from starving import starve  # first, while there is memory in one piece
import lwm2m

_NAME = "lwm2m.words"


def _load():
    try:
        __import__(_NAME)
    except MemoryError:
        pass


def test_memory_that_runs_out_in_an_import_leaves_no_module():
    for collect in (False, True):
        blocks = 0
        while True:
            starve(_load, blocks, collect)
            if "words" in dir(lwm2m):
                break
            # Without firmware/patches/0007 the name is in there before its module is, and the next import
            # crashes.
            assert _NAME not in sys.modules, blocks
            blocks += 1
        assert blocks > 20
        lwm2m.forget("words")
