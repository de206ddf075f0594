"""Servers for a device under test."""

import subprocess

from harness.awaited import PATIENCE_S
from harness.lines import Process
from harness.ports import free_ports


class Servers:
    """A bootstrap server and a LwM2M server: a process of tests/unit/firmware_servers.py.

    host: what the device calls this machine's loopback. patience_s: for an answer.
    """

    def __init__(self, host="127.0.0.1", patience_s=PATIENCE_S):
        self._patience_s = patience_s
        self.bs_port, self.port = free_ports(2)
        args = (self.bs_port, self.port, host)
        self.said = Process(
            "firmware_servers.py", *args, role="station", heap="2M", stdin=subprocess.PIPE
        )
        self.said.wait_for("listening")
        self.uri = f"coap://{host}:{self.bs_port}"

    def tell(self, what, path, *more):
        """The answer to an operation: code and payload. more: a value, or the file of a package."""
        stdin = self.said.process.stdin
        stdin.write(" ".join([what, path, *map(str, more)]).encode() + b"\n")
        stdin.flush()
        return self.said.wait_for(path + " ", self._patience_s)[len(path) + 1 :]

    def close(self):
        self.said.close()
