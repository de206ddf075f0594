# A board with stock MicroPython and a bundle, as a process of the unix port: stock_board.py FOLDER [PROGRAM]
#
# Its file system is littlefs in FOLDER/flash. Of the chip, FOLDER keeps what outlasts a reset: the word, as a
# file that a power cut removes, and pins. A reset ends the process by SIGKILL. Without a PROGRAM it starts
# as a board does.

import os
import sys
import vfs

SECTOR = 4096

folder = sys.argv[1]


class Flash:
    def __init__(self, path):
        self._f = open(path, "r+b")
        self._sectors = self._f.seek(0, 2) // SECTOR

    def readblocks(self, n, buf, at=0):
        self._f.seek(n * SECTOR + at)
        self._f.readinto(buf)

    def writeblocks(self, n, buf, at=0):
        self._f.seek(n * SECTOR + at)
        self._f.write(buf)

    def ioctl(self, op, arg):
        return {4: self._sectors, 5: SECTOR}.get(op, 0)


if len(sys.argv) > 2:
    with open(sys.argv[2]) as f:
        program = f.read()
else:
    program = None
files = vfs.VfsLfs2(Flash(folder + "/flash"), progsize=256)
host = vfs.VfsPosix(folder)
vfs.umount("/")
vfs.mount(files, "/")
vfs.mount(host, "/chip")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib", "/chip"]
for name in ("boot.py", "main.py"):
    if not program:
        with open(name) as f:
            exec(f.read())
if program:
    exec(program)
print("REPL")
