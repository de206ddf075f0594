# The RP2 port's _boot.py, which formats the flash when it cannot be mounted; here it leaves the
# factory area behind the file system alone.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import rp2
import vfs

_AREA = 20480  # as the map of the flash has it: tools/lwm2m_factory/flash_map.py

# The flash is programmed in pages of 256 bytes.
bdev = rp2.Flash(len=rp2.Flash().ioctl(4, 0) * 4096 - _AREA)
try:
    fs = vfs.VfsLfs2(bdev, progsize=256)
except Exception:
    vfs.VfsLfs2.mkfs(bdev, progsize=256)
    fs = vfs.VfsLfs2(bdev, progsize=256)
vfs.mount(fs, "/")

del rp2, vfs, bdev, fs
