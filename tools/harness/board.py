"""An emulated RP2040 board for tests: its power, its serial port, its network and its flash.

    board = Board(flash, image)         # the image is programmed; without one, what is in the file runs
    board.run("print(6 * 7)")           # over the raw REPL, as mpremote does it: "42\\r\\n"
    board.expect("Registered")          # waits for what it prints
    board.reset(); board.cut(3, "half"); board.kill(); board.start()

The serial port is a pty, `board.port`, which mpremote and other tools may open meanwhile. UART0 ends in
a PPP peer (`board.ppp`), through which 10.64.0.1 is this machine's loopback. With access points given, as
cyw43.mjs describes them, it has the Wi-Fi of a Pico W, and behind each of them is `board.lan`, with the
same 10.64.0.1. The milliseconds of an
emulated board mean little; `board.stats()` counts instructions.

On a busy machine a board is slow. What is waited for has failed when it is not there after so many
seconds of this machine and of the board, whichever are over later.
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from builds import emulator

from .lan_peer import Lan
from .ppp_peer import Peer

_SCRIPT = Path(__file__).with_name("rp2040") / "rp2040.mjs"
BOARD = "RPI_PICO_LWM2M"  # a folder of boards/, whose image it runs
MAC = "28:cd:c1:00:00:01"  # of its Wi-Fi
TIMEOUT_S = 60
HOST_S = (
    600  # for a process of this machine that waits for a board: only one that hangs takes so long
)
_SILENCE_S = (
    60  # an emulator that does not tell its time for so long hangs; it does so twice a second
)


class Gone(Exception):
    """The board has no power, or did not do in time what was waited for."""


class Board:
    """A board with power on; close() takes it away for good."""

    def __init__(
        self,
        flash: Path,
        image: Optional[Path] = None,
        full_speed: bool = False,
        wifi: Sequence[Dict] = (),
    ):
        self.flash = flash
        self._points = list(wifi)
        self._full_speed = full_speed
        self._master, self._slave = (
            os.openpty()
        )  # one end is kept open, or reading the other fails
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._loop.call_soon_threadsafe(self._loop.add_reader, self._master, self._from_pty)
        self._process: Optional[subprocess.Popen] = None
        self.start(image)

    # Power.

    def start(self, image: Optional[Path] = None, send: bytes = b"") -> None:
        """Power on. `send` waits in the host's serial driver from before the start on."""
        assert self._process is None, "it has power"
        self.output = bytearray()  # all that it has printed since power came
        self._seen = 0
        self.events: List[Dict] = []
        self._clock = 0.0  # seconds that the board has lived through
        self._clock_told = time.monotonic()
        self._over = False  # the emulator has ended
        self._changed = threading.Condition()
        command = [
            "node",
            str(_SCRIPT),
            "--modules",
            str(emulator.MODULES),
            "--bootrom",
            str(emulator.BOOTROM),
            "--flash",
            str(self.flash),
        ]
        command += ["--image", str(image)] * (image is not None)
        command += ["--full-speed"] * self._full_speed
        command += ["--wifi", MAC] * bool(self._points)
        pairs = [socket.socketpair() for _ in range(5)]
        self._sockets = [ours for ours, _ in pairs]
        theirs = [their.fileno() for _, their in pairs]
        self._process = subprocess.Popen(
            [*command, "--fds", ",".join(map(str, theirs))],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
        )
        for _, their in pairs:
            their.close()
        if send:
            self._sockets[0].sendall(send)
        self.ppp = Peer(self._sockets[1].sendall, self._loop)
        self.lan = Lan(self._sockets[4].sendall, self._loop)
        if self._points:
            self.air(*self._points)
        readers = (
            self._from_usb,
            self.ppp.receive,
            lambda data: None,
            self._from_control,
            self.lan.receive,
        )
        self._line = b""

        def attach() -> None:
            for ours, receive in zip(self._sockets, readers):
                self._loop.add_reader(ours, self._readable, ours, receive)

        self._loop.call_soon_threadsafe(attach)

    def kill(self) -> None:
        """Power off, at once: the flash has what was written so far."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    def _ended(self) -> None:
        self._process.wait()
        self._process = None
        done = threading.Event()

        def detach() -> None:
            for ours in self._sockets:
                self._loop.remove_reader(ours)
                ours.close()
            self.ppp.close()
            self.lan.close()
            done.set()

        self._loop.call_soon_threadsafe(detach)
        done.wait()

    def close(self) -> None:
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.remove_reader, self._master)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # The wires, in the loop's thread.

    def _readable(self, ours: socket.socket, receive) -> None:
        try:
            data = ours.recv(65536)
        except OSError:
            data = b""
        if data:
            receive(data)
        else:
            self._loop.remove_reader(ours)
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _from_usb(self, data: bytes) -> None:
        with self._changed:
            self.output += data
            self._changed.notify_all()
        try:
            os.write(self._master, data)
        except BlockingIOError:
            pass  # nobody has the port open and reads

    def _from_pty(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except OSError:
            return
        if self._process is not None:
            self._sockets[0].sendall(data)

    def _from_control(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        with self._changed:
            for event in map(json.loads, lines):
                if event["event"] == "clock":
                    self._clock = event["emulated_s"]
                    self._clock_told = time.monotonic()
                    self.ppp.tick(self._clock)
                    self.lan.tick(self._clock)
                else:
                    self.events.append(event)
            self._changed.notify_all()

    def _command(self, **command) -> None:
        self._sockets[3].sendall(json.dumps(command).encode() + b"\n")

    # What a test asks for.

    def _wait(self, condition, what: str, timeout: float):
        with self._changed:
            now = time.monotonic()
            end, end_of_board = now + timeout, self._clock + timeout
            while True:
                found = condition()
                if found:
                    return found
                now = time.monotonic()
                late = now >= end and self._clock >= end_of_board
                if late or self._over or now >= self._clock_told + _SILENCE_S:
                    raise Gone(
                        f"{what} did not come in {timeout:.0f} s; the board has printed "
                        f"{bytes(self.output[-2000:])!r} and told {self.events}"
                    )
                self._changed.wait(1)

    def wait_for(self, event: str, count: int = 1, timeout: float = TIMEOUT_S) -> Dict:
        """Wait for the count-th event of a name since power came: usb, reset, cut, stats."""

        def condition():
            found = [one for one in self.events if one["event"] == event]
            return found[count - 1] if len(found) >= count else None

        return self._wait(condition, f"the event {event}", timeout)

    def expect(self, pattern: str, timeout: float = TIMEOUT_S) -> "re.Match[bytes]":
        """Wait for a pattern in what it prints, behind what was waited for before."""

        def condition():
            found = re.compile(pattern.encode()).search(self.output, self._seen)
            if found:
                self._seen = found.end()
            return found

        return self._wait(condition, f"{pattern!r}", timeout)

    def send(self, data: bytes) -> None:
        """Type something at its serial port."""
        self._sockets[0].sendall(data)

    def reset(self) -> None:
        """Reset the chip, as its RUN pin does, and wait until it has begun anew."""
        count = sum(one["event"] == "reset" for one in self.events)
        self._command(command="reset")
        self.wait_for("reset", count + 1)

    def cut(self, after: int, tear: str = "half") -> None:
        """Let power fail in the flash operation that comes after that many; see rp2040.mjs."""
        self._command(command="cut", after=after, tear=tear)

    def wait_cut(self, timeout: float = TIMEOUT_S) -> None:
        """Wait until power has failed as cut() said."""
        self.wait_for("cut", timeout=timeout)
        self._ended()

    def live(self, seconds: float) -> None:
        """Wait until it has lived for so many seconds more, of its own time."""
        end = self._clock + seconds
        self._wait(lambda: self._clock >= end, f"a life of {seconds} s", TIMEOUT_S + seconds)

    def hurry(self, times: int = 1) -> None:
        """Let its time pass as fast as it can, idle or not, a cycle taking that many times as long;
        with 0, as this machine's does again."""
        self._command(command="hurry", times=times)

    def word(self, value: int) -> None:
        """What the board reads at 0x40070008, from now on until it has no power."""
        self._command(command="word", value=value)

    def air(self, *points: Dict) -> None:
        """Which access points there are from now on; see cyw43.mjs."""
        self._points = list(points)
        self._command(command="air", points=points)

    def paint(self) -> None:
        """From now on, count what the C stack takes."""
        self._command(command="paint")

    def stats(self) -> Dict:
        """instructions, emulated_s, resets, erases and programs of flash, since power came; stack,
        bytes of the C stack that nothing has used since paint()."""
        count = sum(one["event"] == "stats" for one in self.events)
        self._command(command="stats")
        return self.wait_for("stats", count + 1)

    def run(self, code: str, timeout: float = TIMEOUT_S) -> str:
        """Run code over the raw REPL and give what it prints; RuntimeError with its traceback."""
        out, error = self.repl(code, timeout)
        if error:
            raise RuntimeError(error)
        return out

    def repl(self, code: str, timeout: float = TIMEOUT_S) -> "tuple[str, str]":
        """What code prints over the raw REPL, and its traceback."""
        self.begin(code, timeout)
        return self.end(timeout)

    def begin(self, code: str, timeout: float = TIMEOUT_S) -> None:
        """Let code run over the raw REPL; expect() waits for what it prints meanwhile."""
        self.wait_for("usb", timeout=timeout)
        self.send(b"\r\x03\x03\r\x01")
        self.expect("raw REPL; CTRL-B to exit\r\n>", timeout)
        self.send(code.encode() + b"\x04")
        self.expect("OK", timeout)

    def end(self, timeout: float = TIMEOUT_S) -> "tuple[str, str]":
        """Wait until that ends: what it has printed since, and its traceback."""
        done = self.expect(r"(?s)(.*?)\x04(.*?)\x04>", timeout)
        self.send(b"\x02")
        return done[1].decode(), done[2].decode()

    def mpremote(self, *args: str) -> str:
        """Run mpremote on its port; what it prints."""
        command = [sys.executable, "-m", "mpremote", "connect", self.port, *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=HOST_S)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout
