# Memory that runs out: all of it is taken but a number of blocks.

import gc

_held = [None] * 3000  # not a chain, of which a stale pointer on the stack would keep all
_room = []


def _reserve(blocks):
    # By itself, as a function's stack holds what it has had.
    _room.append(bytearray(blocks * 32))


def _fill(i, size):
    # Take all memory, in pieces of that size and then smaller ones, down to one block.
    while size > 8:
        try:
            while True:
                _held[i] = bytes(size) if size > 16 else (size,)
                i += 1
        except MemoryError:
            size //= 2
    return i


def starve(f, blocks, collect):
    """Call f() with all memory taken but that many blocks (of 32 bytes in a 64-bit build).

    collect: whether what f() gives back can be used again; if not, it fails at the allocation
    after the last of those blocks.
    """
    gc.collect()
    gc.disable()
    try:
        _reserve(blocks)
        n = _fill(0, 4096)
        gc.collect()
        n = _fill(n, 16)
        _room.clear()
        gc.collect()
        if collect:
            gc.enable()
        f()
    finally:
        gc.enable()
        for i in range(n):
            _held[i] = None
        gc.collect()
