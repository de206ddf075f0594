# What make bench runs for an update: push.py ENDPOINT URI-of-the-server KEY [flash], with tests/unit in the path.
#
# Takes a package by push, installs it, and prints as JSON what that took when it would restart: bytes of heap,
# at most, above what it has held when it was registered, garbage left out, and the same but for the time in which
# its signature is verified; and the operations of flash, where its files are on a littlefs in RAM, as an RP2040's
# are (then of the heap nothing is said: the flash is in it).

import gc
import json
import os
import sys
from binascii import unhexlify

import lwm2m
import lwm2m.p256
import lwm2m.text  # frozen modules, as a board has them, take next to no heap to load
import lwm2m.tlv
import ucoap.block
from flash import Lfs2
from lwm2m.slots import Slots, _remove
from lwm2m.update import Update

endpoint, uri, key = sys.argv[1:4]
flash = None
folder = "/tmp/lwm2m-push-%s" % endpoint
if sys.argv[4:]:
    kind = Lfs2(256)
    flash = kind.format(96)
    kind.mount(flash)
    folder = "/flash/update"
held = 0
peak = 0
verifying = 0


def look():
    global peak
    gc.collect()
    peak = max(peak, gc.mem_alloc())


def in_the_middle(f):
    # A step of verifying.
    def watched(*args):
        global verifying
        gc.collect()
        verifying = max(verifying, gc.mem_alloc())
        return f(*args)

    return watched


lwm2m.p256._double = in_the_middle(lwm2m.p256._double)
lwm2m.p256._add = in_the_middle(lwm2m.p256._add)


class Watched(Slots):
    """Looks at the heap in the middle of things, where most is held."""

    pieces = 0

    def write(self, data):
        look()
        super().write(data)
        look()

    def end(self):
        super().end()
        look()

    def unpack(self):
        done = super().unpack()
        self.pieces += 1
        if self.pieces % 8 == 0:
            look()
        return done


def restart():
    print(
        json.dumps(
            {
                "heap": max(peak, verifying) - held,
                "unverified": peak - held,
                "erases": flash and flash.erases,
                "programs": flash and flash.programs,
            }
        )
    )
    _remove(folder)
    sys.exit()


def on_event(event):
    global held
    if event.type == lwm2m.EVENT_REG_REGISTERED and not held:
        if flash:
            flash.power_on()  # from here on it counts
        gc.collect()
        held = gc.mem_alloc()


assert ucoap.block and lwm2m.text and lwm2m.tlv and os
slots = Watched(folder, [unhexlify(key)], "bench")
slots.start()
client = lwm2m.Client(endpoint, on_event=on_event, device={4: restart})
update = Update(client, slots)
client.add_server(1, uri, lwm2m.SEC_NONE)
client.step(120)
