"""Servers for a device under test, and the lines that processes say."""

import subprocess
import threading
import time

import pytest
from harness.micropython import UNIT, command, environment, lib_dir
from harness.ports import free_ports


class Lines:
    """What a process says, awaited line by line: wait_for() takes what is behind the last one found."""

    def __init__(self, stream):
        self.lines = []
        self._next = 0
        self._changed = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        for line in stream:
            with self._changed:
                self.lines.append(line.decode(errors="replace").rstrip("\r\n"))
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def wait_for(self, start, seconds=30):
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                while self._next < len(self.lines):
                    self._next += 1
                    if self.lines[self._next - 1].startswith(start):
                        return self.lines[self._next - 1]
                left = end - time.monotonic()
                if self._over or left <= 0:
                    pytest.fail(f"no line {start!r} in:\n" + "\n".join(self.lines))
                self._changed.wait(left)

    def join(self):
        self._thread.join()


class Servers:
    """A bootstrap server and a LwM2M server: a process of tests/unit/firmware_servers.py.

    host: what the device calls this machine's loopback.
    """

    def __init__(self, host="127.0.0.1"):
        self.bs_port, self.port = free_ports(2)
        self.process = subprocess.Popen(
            command(UNIT / "firmware_servers.py", self.bs_port, self.port, host, heap="2M"),
            env=environment(lib_dir("mpy", "station"), UNIT),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.said = Lines(self.process.stdout)
        self.said.wait_for("listening")
        self.uri = f"coap://{host}:{self.bs_port}"

    def tell(self, what, path):
        """The answer to an operation: code and payload."""
        self.process.stdin.write(f"{what} {path}\n".encode())
        self.process.stdin.flush()
        return self.said.wait_for(path + " ")[len(path) + 1 :]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.said.join()
        self.process.stdin.close()
        self.process.stdout.close()
