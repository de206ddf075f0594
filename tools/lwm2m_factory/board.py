"""A board at a serial port, over mpremote's transport and its REPL.

What goes wrong is a FactoryError, whose sentence says what to do.
"""

import errno
import hashlib
import json
import os
import re
import struct
import threading
import time
from typing import Callable, List, Optional, Tuple

import serial
from mpremote.transport import TransportError, TransportExecError

from . import FactoryError
from .line import TIMEOUT_S, Line
from .ports import is_there, wait_for

PROTOCOL = 1  # device.factory's, that this tool speaks
FOLDER = "/lwm2m-store"  # as device.settings has it
NEW = FOLDER + "/new"  # the temporary name
_PROMPT_S = (1, 2)  # for the REPL of a board that runs; it is deaf while it starts
# And of one that may be starting; behind the first as long as it says so. An ESP32 that compiles what
# it imports has been seen to need 50 s.
_START_S = (8, 16, 32, 64)
_AGAIN_S = 20  # until a board that restarts is there again
_COMMAND_S = 70  # for a locked board's answer, which may be looking up a name
_WIPE_S = 120  # an RP2040 erases a MB in 12 s
# What main.py says, with lwm2m-words.
_CRASHED = "LwM2M: crashed"
_REGISTERED = re.compile(r"(server \d+): registered\b.*")
_TOLD = re.compile(r"(Network|server \d+|bootstrap server): .*")
_GONE = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADF, errno.ENOENT)


class Unplugged(FactoryError):
    """The board is not there any more."""


class NotRunning(FactoryError):
    """No program of ours answers there."""


class Board:
    """with Board(port) as board: its REPL is ours; leaving starts its main program again.

    stop: once it is set, a board that does not answer yet is given up (line.GivenUp).
    step(state): is told where it takes its time. asks: a program that answers goes on, and has status()
    and log(); without interrupts NotRunning is raised where none answers.
    """

    def __init__(
        self,
        port: str,
        baud: int = 115200,
        stop: Optional[threading.Event] = None,
        step: Callable[[str], None] = lambda name: None,
        asks: bool = False,
        interrupts: bool = True,
    ):
        self.port = port
        self._asks = asks
        self._interrupts = interrupts
        self._running = False  # whether it is a program of ours that answers
        self.locked = False  # then it has no REPL, but takes a few commands (device.lock)
        self._baud = baud
        self._stop = stop
        self._step = step
        self._transport: Optional[Line] = None

    def __enter__(self):
        try:
            self._guard(self._connect)
            self._transport.stops = False
            if not (self.locked or self._running):
                self._guard(self._check)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc) -> None:
        if not self._transport:
            return
        try:
            if self._transport.in_raw_repl:
                self._transport.exit_raw_repl()
                self._transport.serial.write(b"\x04")  # soft reset: main.py runs
        except OSError:  # it has gone
            pass
        try:
            self._transport.close()
        except OSError:
            try:
                self._transport.serial.close()
            except OSError:
                pass

    # --- What is done to it

    def status(self) -> dict:
        """What device.factory.status() says."""
        return self._call("status")

    def log(self) -> dict:
        """ "lines": what its program has told last, each behind the seconds from its start to then;
        "seconds": from its start to now."""
        return self._call("log")

    def selftest(self) -> dict:
        return self._call("selftest")

    def registered(self, seconds: float) -> str:
        """Let its program run until it is registered with a server; returns which.

        FactoryError where that has not come by then, with what it has said of it. Its REPL is not there
        any more then.
        """
        end = time.monotonic() + seconds
        if self.locked:
            while time.monotonic() < end:
                found = self.status().get("registered")
                if found:
                    return f"server {found[0]}"
                time.sleep(1)
            raise FactoryError(
                f"The board on {self.port} is not registered after {seconds:.0f} s."
            )
        last = ""
        self._guard(self._start)
        while time.monotonic() < end:
            left = max(end - time.monotonic(), 0.01)
            line = self._guard(self._read_line, left).decode(errors="backslashreplace").strip()
            found = _REGISTERED.fullmatch(line)
            if found:
                return found[1]
            if line == _CRASHED:
                what = self._guard(self._read_line, TIMEOUT_S).decode(errors="backslashreplace")
                kind = what.partition(":")[0].strip()  # a message may have a key in it
                raise FactoryError(
                    f"The board on {self.port} has crashed as it ran ({kind}): `status` shows where."
                )
            if _TOLD.fullmatch(line):
                last = line
        raise FactoryError(
            f"The board on {self.port} has not registered within {seconds:.0f} s"
            + (
                f"; the last that it said is: {last}."
                if last
                else ", and has said nothing of it, as it does where board.console is below 2."
            )
        )

    def _start(self) -> None:
        # A soft reset: main.py runs.
        self._transport.exit_raw_repl()
        self._transport.serial.write(b"\x04")

    def _read_line(self, seconds: float) -> bytes:
        return self._transport.read_until(1, b"\n", timeout=seconds, timeout_overall=seconds)

    def reset(self) -> dict:
        """Back to the factory's accounts."""
        return self._call("reset")

    def erase(self) -> dict:
        return self._call("erase")

    def lock(self) -> dict:
        try:
            answer = self._call("lock", timeout=TIMEOUT_S)
        except Unplugged:  # unless it restarts at once
            self._again()
            if not self.locked:
                raise
            answer = self.status()
        self._transport.in_raw_repl = False  # there is none any more
        return answer

    def unlock(self) -> dict:
        """Open a locked board again; everything that is on it goes before."""
        if not self.locked:
            raise FactoryError(f"The board on {self.port} is not locked.")
        return self._guard(self._command, "unlock and wipe", _WIPE_S)

    def provision(self, data: bytes, step: Callable[[str], None] = lambda name: None) -> dict:
        """Give it a provisioning file; returns its status then.

        It goes to a temporary name, its hash is compared, and the board checks it and puts it in
        place: until then it has its old configuration, from then on the new one.
        """
        if self.locked:
            self._call_locked("install")
        digest = hashlib.sha256(data)
        step("sending")
        self._guard(self._send, data)
        step("checking")
        if self._guard(self._transport.fs_hashfile, NEW, "sha256") != digest.digest():
            self._guard(self._transport.fs_rmfile, NEW)
            raise FactoryError(
                f"What arrived at the board on {self.port} is not what was sent: try again, with "
                "another cable if it happens again."
            )
        step("installing")
        answer = self._call("install", NEW, digest.hexdigest())
        if answer["sha256"] != digest.hexdigest():
            raise FactoryError(
                f"The board on {self.port} reads back something else than was written: its flash "
                "is worn out or damaged."
            )
        step("testing")
        self.selftest()
        return self.status()

    def copy_app(self, files: "List[Tuple[str, bytes]]") -> None:
        """Put the files of an application onto it, each whole or not at all; leaving starts it."""
        if self.locked:
            self._call_locked("app")
        for name, data in files:
            self._guard(self._put, f"/{name}", data)

    # --- How

    def _put(self, path: str, data: bytes) -> None:
        # Under another name first, as the board may lose its power, or its cable.
        run = self._transport.exec
        parts = path.split("/")[1:-1]
        for n in range(len(parts)):
            folder = "/" + "/".join(parts[: n + 1])
            run(f"import os\ntry:\n os.mkdir({folder!r})\nexcept OSError:\n pass")
        new = path + ".new"
        try:
            self._transport.fs_writefile(new, data)
        except OSError as e:
            if e.errno == errno.ENOSPC:
                run(f"import os\nf.close()\nos.remove({new!r})")
                raise OSError(e.errno, NEW) from None
            raise
        if self._transport.fs_hashfile(new, "sha256") != hashlib.sha256(data).digest():
            self._transport.fs_rmfile(new)
            raise FactoryError(
                f"What arrived at the board on {self.port} is not what was sent: try again, with "
                "another cable if it happens again."
            )
        # littlefs replaces a file in one step, FAT does not.
        run(
            f"import os\ntry:\n os.rename({new!r}, {path!r})\nexcept OSError:\n"
            f" os.remove({path!r})\n os.rename({new!r}, {path!r})"
        )

    def _connect(self) -> None:
        # The real name, by which mpremote tells a pseudo-terminal.
        port = os.path.realpath(self.port) if os.path.exists(self.port) else self.port
        try:
            self._transport = Line(port, self._baud, self._stop)
        except TransportError:
            raise self._refused() from None
        if self._asks:
            answer = self._command("status", TIMEOUT_S)
            if answer is not None:
                self._running = True
                self.locked = bool(answer.get("locked"))
                return
            if not self._interrupts:
                raise NotRunning(
                    f"No program answers on {self.port}: the board is starting, asleep, at its REPL, or "
                    "has other firmware. `status` interrupts it and tells."
                )
        if any(map(self._is_repl, _PROMPT_S)):
            return
        # An ESP32 is reset when its port is opened, and may have been starting.
        for n, seconds in enumerate(_START_S):
            self.locked = self._command("status", TIMEOUT_S) is not None
            if self.locked or self._is_repl(seconds):
                return
            if not self._transport.is_starting():
                break
            if n == 0:
                self._step("starting")
        raise FactoryError(
            f"What is on {self.port} does not answer as MicroPython does: it has other firmware, it "
            "is no board, or it hangs."
        )

    def _again(self) -> None:
        # Behind a restart, in which a port of USB goes and comes.
        self.__exit__()
        end = time.monotonic() + _AGAIN_S
        while not is_there(self.port) and time.monotonic() < end:
            time.sleep(0.1)
        wait_for(self.port)
        self._guard(self._connect)

    def _is_repl(self, seconds: float) -> bool:
        try:
            self._transport.enter_raw_repl(timeout_overall=seconds)
            return True
        except TransportError:
            return False

    def _command(self, text: str, seconds: float) -> Optional[dict]:
        # Ask a locked board; None where nothing that it could have said comes.
        self._transport.serial.write(b"\r\n" + text.encode() + b"\r\n")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            left = max(end - time.monotonic(), 0.01)
            line = self._transport.read_until(1, b"\n", timeout=left, timeout_overall=left)
            if b"NameError: " in line:  # it is at its REPL
                return None
            try:
                answer = json.loads(line)
                answer["ok"]
                return answer
            except (ValueError, TypeError, KeyError):
                pass  # what else it prints
        return None

    def _refused(self) -> FactoryError:
        # mpremote does not say why it could not open a port.
        if not _is_terminal(self.port):
            return FactoryError(f"{self.port} is no serial port.")
        try:
            serial.Serial(self.port, exclusive=True).close()
        except OSError as e:
            if e.errno == errno.EACCES and os.name == "posix":
                return FactoryError(
                    f"You may not use {self.port}: on Linux, become a member of the group that "
                    "owns it (often dialout) and log in again."
                )
            if not is_there(self.port) or e.errno in _GONE:
                return Unplugged(f"There is no port {self.port}: is the board plugged in?")
        return FactoryError(
            f"{self.port} is busy: another program has it open (a terminal, or this tool again)."
        )

    def _check(self) -> None:
        try:
            self._transport.exec("import device.factory")
        except TransportExecError as e:
            if "ImportError" not in e.error_output:
                raise
            version = self._transport.exec("import sys; print(sys.version)")
            version = version.decode(errors="backslashreplace").strip()
            raise FactoryError(
                f"The board on {self.port} runs MicroPython, but not this project's firmware "
                f"({version}): flash an image, or copy the packages into its /lib."
            ) from None
        found = int(self._transport.eval("device.factory.PROTOCOL", parse=False))
        if found < PROTOCOL:
            raise FactoryError(
                f"The firmware of the board on {self.port} is too old for this tool: flash a newer "
                "image."
            )
        if found > PROTOCOL:
            raise FactoryError(
                f"The firmware of the board on {self.port} is newer than this tool: update the tool."
            )

    def _send(self, data: bytes) -> None:
        self._transport.exec(f"import os\ntry:\n os.mkdir({FOLDER!r})\nexcept OSError:\n pass")
        try:
            self._transport.fs_writefile(NEW, data)
        except OSError as e:
            if e.errno == errno.ENOSPC:
                self._transport.exec(f"f.close()\nos.remove({NEW!r})")
            raise

    def _call(self, name: str, *args: str, **how) -> dict:
        if self.locked or self._running:
            return self._checked(name, self._call_locked(name))
        code = f"device.factory.{name}({', '.join(map(repr, args))})"
        output = self._guard(lambda: self._transport.exec(code, **how))
        try:
            answer = json.loads(output.decode(errors="backslashreplace").strip().split("\n")[-1])
        except (ValueError, IndexError):
            answer = None
        return self._checked(name, answer)

    def _call_locked(self, name: str) -> Optional[dict]:
        if name not in ("status", "log", "selftest", "reset"):
            raise FactoryError(
                f"The board on {self.port} is locked: it only tells its status, tests itself and "
                "is reset; lwm2m-factory unlock erases everything on it first."
            )
        return self._guard(self._command, name, _COMMAND_S)

    def _checked(self, name: str, answer: Optional[dict]) -> dict:
        if answer is None:
            raise FactoryError(
                f"The board on {self.port} answers with something else than JSON to {name}()."
            )
        if not answer.get("ok"):
            raise FactoryError(f"The board on {self.port} refuses: {answer.get('error')}.")
        return answer

    def _guard(self, f, *args):
        # What mpremote and pyserial raise, in sentences. Their own words are left out: they may
        # quote what was on the line.
        try:
            return f(*args)
        except TransportExecError as e:
            last = (e.error_output.strip().splitlines() or ["?"])[-1]
            raise FactoryError(
                f"The firmware of the board on {self.port} failed: {last}"
            ) from None
        except (TransportError, serial.SerialException, struct.error):
            raise self._gone() from None
        except OSError as e:
            if e.strerror == NEW:  # the board's own, about the file
                if e.errno == errno.ENOSPC:
                    raise FactoryError(
                        f"The file system of the board on {self.port} is full: remove files from it."
                    ) from None
                raise FactoryError(
                    f"The board on {self.port} cannot write its flash ({errno.errorcode[e.errno]})."
                ) from None
            raise self._gone() from None

    def _gone(self) -> Unplugged:
        return Unplugged(
            f"The board on {self.port} went silent: was the cable pulled? It has its old "
            "configuration or the new one, whole; plug it in and start again."
        )


def _is_terminal(port: str) -> bool:
    # False where that is known: for a file, a folder, another device.
    if os.name != "posix":
        return True
    try:
        fd = os.open(port, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return True
    try:
        return os.isatty(fd)
    finally:
        os.close(fd)


def restart_in_boot_loader(port: str) -> None:
    """Restart a board that runs MicroPython, whatever its main program is, in its boot loader."""
    board = Board(port)
    try:
        board._guard(board._connect)
        board._guard(board._transport.exec_raw_no_follow, "import machine; machine.bootloader()")
        board._transport.in_raw_repl = False
    finally:
        board.__exit__()
