# What unlocking a device takes, in images that can be locked.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import sys


def unlock(area, guard):
    """Wipe the keys and the file system, and unlock the board. Returns the answer, a dict."""
    # The keys go first: a power cut leaves a locked device with less in it, to be told again.
    guard.hold(600000)  # an RP2040 takes 12 s for each MB
    try:
        area.erase()
        wipe()
        area.unlock()
        return {"ok": True}
    except OSError as e:
        return {"ok": False, "error": "flash fails: %r" % e}


def wipe():
    """Erase each block of the file system, as a removed file leaves its keys in the flash."""
    import os
    import vfs

    if sys.platform == "rp2":
        from rp2 import Flash

        device = Flash()
        blocks = os.statvfs("/")[2]  # those behind are the factory area's
    else:
        from flashbdev import bdev as device

        blocks = device.ioctl(4, 0)
    vfs.umount("/")
    for n in range(blocks):
        device.ioctl(6, n)
