# What unlocking a device takes, in images that can be locked.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import sys


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
