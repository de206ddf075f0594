# What make bench has on the emulated board, as its app.py: prints what it measures, a line of JSON each.
#
# It puts itself between main.py and the client: one pass of step(0) each time, whose instructions it
# counts, and of the longest one the cycles; that of a Finish, which stores the accounts, is said apart. A
# handshake is what passes take from the opening of a
# connection until it is up. What the board does beside that, such as taking PPP's bytes in an
# interrupt, counts where it comes in between. The heap is collected between passes, and so not in one, where
# boot.py lets that come each 32 KB.

import gc
import json
import lwm2m
import time
from array import array
from machine import mem32

_COUNT = 0x40070000  # of the emulator's: instructions, 30 bits
_CYCLES = 0x40070004  # of the emulator's: cycles, 30 bits
_BALLAST = 0x40070008  # KB of heap that are taken away
_MASK = 0x3FFFFFFF
_SETTLED = 20  # passes
_IDLE = 100  # passes
_COLLECTED = 10  # of them in which the heap may have been collected
_WORK = 500000  # instructions
_BUSY = 2  # times an idle pass
_OFTEN = 100  # passes, in which less than 32 KB are taken

_core = None
_step = None
_spent = 0  # instructions, in passes
_began = 0  # the pass
_opened = None  # _spent, when the handshake under way began
_from = 0  # the pass, or what is left of it behind a handshake, in cycles
_part = 0  # cycles of this pass, those of a handshake left out
_longest = 0
_doing = "start"  # the event before
_after = ""  # the one before the longest pass
_passes = -1  # since it has registered
_idle = array("I", bytes(4 * _IDLE))
_ballast = []
_collecting = 0  # cycles, the most


def setup(client, settings):
    global _core, _step
    for _ in range(mem32[_BALLAST]):
        _ballast.append(bytearray(1024))
    _core = client.core
    _step = client.step
    client.step = _pass
    open = client.net.open
    connected = client.core.connected

    def begin(*args):
        global _opened, _part
        if _opened is None:
            _part += mem32[_CYCLES] - _from & _MASK
        _opened = _spent + _since(_began)
        return open(*args)

    def end(*args):
        global _from, _opened
        _say("handshake", _spent + _since(_began) - _opened)
        _opened = None
        _from = mem32[_CYCLES]
        connected(*args)

    client.net.open = begin
    client.core.connected = end


def on_event(event):
    global _doing, _passes
    for name in (
        "EVENT_REG_REGISTERED",
        "EVENT_REG_FAILED",
        "EVENT_BS_FAILED",
        "EVENT_BS_FINISHED",
    ):
        if event.type == getattr(lwm2m, name):
            _doing = name
            if name != "EVENT_BS_FINISHED":
                _say(name, mem32[_COUNT])
            if name == "EVENT_REG_REGISTERED":
                _passes = 0


def _since(count):
    return mem32[_COUNT] - count & _MASK


def _say(name, value):
    print(json.dumps({name: value}))


def _pass(seconds):
    global _after, _began, _collecting, _from, _longest, _part, _passes, _spent
    doing = _doing
    vain = _core.bootstrap.vain  # a Finish that passes counts one more
    _part = 0
    _from = mem32[_CYCLES]
    _began = mem32[_COUNT]
    status = _step(0)
    took = _since(_began)
    _spent += took
    if _opened is None:
        _part += mem32[_CYCLES] - _from & _MASK
    if _core.bootstrap.vain > vain:
        _say("finish", _part)
    elif _part > _longest:
        _longest = _part
        _after = doing + " to " + _doing
        _say("longest", [_part, _after])
    if _passes >= 0:
        _passes += 1
        n = _passes - _SETTLED
        if n == 0:
            gc.collect()
            _say("free", gc.mem_free())
            _say("heap", gc.mem_free() + gc.mem_alloc())
        elif 0 < n <= _IDLE:
            _idle[n - 1] = took
            if n == _IDLE:
                _say("idle", sorted(_idle)[_IDLE // 2])
        elif n > _IDLE and took > _BUSY * sorted(_idle)[-_COLLECTED]:
            _say("busy", took)
    if took > _WORK or _passes % _OFTEN == 0:
        before = mem32[_CYCLES]
        gc.collect()
        before = mem32[_CYCLES] - before & _MASK
        if before > _collecting:
            _collecting = before
            _say("collecting", before)
    time.sleep_ms(1)
    return status
