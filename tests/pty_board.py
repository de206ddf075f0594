"""The unix port as a board: a raw REPL at a pseudo-terminal, and flash that outlasts its process.

Its file system is littlefs in a file, mounted at "/", and its /lib is the library as it is staged.
What it says and hears passes through here, so that the cable can be pulled after any byte.
"""

import functools
import os
import pty
import select
import subprocess
import threading
import tty
from pathlib import Path
from typing import Optional

from harness.awaited import PATIENCE_S
from builds import stage
from builds.steps import MICROPYTHON

BLOCKS = 64
_BOOT = """\
import sys, vfs
class Flash:
    def __init__(self, path):
        self._f = open(path, "r+b")
    def readblocks(self, n, buf, offset=0):
        self._f.seek(n * 4096 + offset)
        self._f.readinto(buf)
    def writeblocks(self, n, buf, offset=0):
        self._f.seek(n * 4096 + offset)
        self._f.write(buf)
    def ioctl(self, op, arg):
        return {4: BLOCKS, 5: 4096}.get(op, 0)
flash = Flash(sys.argv[1])
folders = [(name, vfs.VfsPosix(path)) for name, path in zip(("/rom", "/lib"), sys.argv[2:])]
try:
    files = vfs.VfsLfs2(flash, progsize=256)
except OSError:
    vfs.VfsLfs2.mkfs(flash, progsize=256)
    files = vfs.VfsLfs2(flash, progsize=256)
vfs.umount("/")
vfs.mount(files, "/")
for name, folder in folders:
    vfs.mount(folder, name)
sys.path[:] = ["", "/rom", "/lib", ".frozen"]
import os
os.chdir("/")
END
""".replace("BLOCKS", str(BLOCKS))
# The unix port's own REPL has the raw mode from 1.27 on; before that this project's variant adds one.
_REPL = "try:\n    import rawrepl\n    while True:\n        rawrepl.run()\nexcept ImportError:\n    pass"
# What the unix port has not: a chip with a number, pins and UARTs.
_MACHINE = """\
from umachine import *
PINS
def unique_id():
    return bytes.fromhex("CHIP")
""".replace("PINS", Path(__file__).with_name("unit").joinpath("rp2040_pins.py").read_text())


@functools.lru_cache()
def _library() -> Path:
    return stage.stage("full")[0]


class PtyBoard:
    """A board. port: a link to its pseudo-terminal while it is plugged in.

    main: the program that it runs; it prints ">>> " when it may be spoken to.
    ours: False leaves this project's library out, as on a board with other firmware; then /lib is a
    folder of its flash.
    """

    def __init__(
        self,
        folder: Path,
        chip_id: str = "e66038b713952135",
        ours: bool = True,
        main: str = _REPL,
    ):
        self.folder = folder
        self.chip_id = chip_id
        self.port = folder / "tty"
        self.flash = folder / "flash"
        self.passed = 0  # bytes since the cable was plugged in, both ways
        self._ours = ours
        self._main = main
        self._left: Optional[int] = None  # bytes until it is pulled
        self._last: Optional[bytes] = None  # what comes before it is pulled
        self._power = False  # whether that ends the board too
        self._process: Optional[subprocess.Popen] = None
        self._inner = self._terminal = self._outer = self._slave = -1
        self._wake, self._waker = os.pipe()
        self._pump: Optional[threading.Thread] = None
        rom = folder / "rom"
        rom.mkdir(parents=True)
        (rom / "machine.py").write_text(_MACHINE.replace("CHIP", chip_id))
        self.flash.write_bytes(b"\xff" * BLOCKS * 4096)

    def __enter__(self):
        self.plug()
        return self

    def __exit__(self, *exc) -> None:
        self.unplug()
        self.power_off()

    # --- Power

    def _command(self, code: str) -> "list[str]":
        lib = [str(_library())] if self._ours else []
        path = self.folder / ("boot.py" if code == self._main else "run.py")
        path.write_text(_BOOT.replace("END", code))
        options = ["-i"] if code == self._main else []
        return [
            str(MICROPYTHON),
            *options,
            str(path),
            str(self.flash),
            str(self.folder / "rom"),
            *lib,
        ]

    def power_on(self) -> None:
        if self._process:
            return
        self._inner, slave = pty.openpty()
        tty.setraw(slave)
        # A shell opens the terminal, which becomes that of its new session. The raw REPL lets Ctrl-C
        # be a signal while code runs.
        self._process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" <>$0 >&0 2>&0', os.ttyname(slave), *self._command(self._main)],
            start_new_session=True,
        )
        # The shell must have it before this end is closed: an open one reads without an error.
        self._terminal = slave
        # Until it is at its prompt, a Ctrl-C would end it, and not only what it runs.
        said = b""
        while not said.endswith(b">>> "):
            assert select.select([self._inner], [], [], PATIENCE_S)[0], said
            said += os.read(self._inner, 4096)

    def power_off(self) -> None:
        self.unplug()
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
            os.close(self._inner)
            os.close(self._terminal)

    def end(self) -> None:
        """Until it has ended by itself; then it is off."""
        self._process.wait(PATIENCE_S)
        self.power_off()

    def run(self, code: str) -> str:
        """What a program prints on this board, which is off: at its start, as it were."""
        assert self._process is None
        done = subprocess.run(
            self._command(code), capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # --- The cable

    def plug(
        self,
        pull_after: Optional[int] = None,
        power: bool = False,
        pull_behind: Optional[bytes] = None,
    ) -> None:
        """Plug it in. pull_after: bytes, both ways, after which the cable is pulled. pull_behind: what
        passes, either way, before it is.

        power: the board has its power from that cable.
        """
        self.power_on()
        self.passed = 0
        self._left = pull_after
        self._last = pull_behind
        self._power = power
        # The slave is kept open: a pty with nobody on it reads as an error.
        self._outer, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(os.ttyname(self._slave))
        self._pump = threading.Thread(target=self._pass, daemon=True)
        self._pump.start()

    def unplug(self) -> None:
        if self._pump:
            os.write(self._waker, b"x")
            self.wait()
            os.read(self._wake, 1)

    def wait(self) -> None:
        """Until the cable has been pulled, and where that ends the board it has ended."""
        if self._pump:
            self._pump.join()
            self._pump = None
        if self._power:
            self._power = False
            self.power_off()

    def _pass(self) -> None:
        # The one thread that uses the pty: closed while another reads it, it would stay open.
        other = {self._inner: self._outer, self._outer: self._inner}
        heard = {self._inner: b"", self._outer: b""}
        while self._left is None or self.passed < self._left:
            ready = select.select([*other, self._wake], [], [])[0]
            if self._wake in ready:
                break
            try:
                for source in ready:  # all of them: a board that floods must hear a Ctrl-C
                    left = 4096 if self._left is None else self._left - self.passed
                    data = os.read(source, left) if left else b""
                    os.write(other[source], data)
                    self.passed += len(data)
                    if self._last:
                        heard[source] = (heard[source] + data)[-4096:]
                        if self._last in heard[source]:
                            self._left = self.passed
            except OSError:  # the board has ended
                break
        if self._power:
            self._process.kill()
        self.port.unlink()
        os.close(self._outer)
        os.close(self._slave)
