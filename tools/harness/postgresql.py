"""PostgreSQL, as Debian packages it, with a database of its own on loopback.

with Postgresql() as server:
    server.url                  # postgresql://factory@127.0.0.1:…/factory
    server.stop(); server.start()
"""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Optional

from .awaited import PATIENCE_S, eventually
from .ports import free_ports


def programs() -> Path:
    """Where its programs are; AssertionError where it is not installed."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    named = shutil.which("initdb")
    assert found or named, "PostgreSQL is missing: apt-get install postgresql"
    return found[-1].parent if found else Path(named).parent


class Postgresql:
    """A server; what it has outlasts stop()."""

    def __enter__(self):
        self._programs = programs()
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql"))
        self._process: Optional[subprocess.Popen] = None
        # It refuses to run as root; its package has a user for it.
        self._user = {}
        if os.geteuid() == 0:
            self._user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self._folder, "postgres", "postgres")
        done = subprocess.run(
            [self._programs / "initdb", "-D", self._folder / "data", "-U", "factory"]
            + ["-E", "UTF8", "--no-locale", "--auth=trust", "--no-sync"],
            cwd=self._folder,
            capture_output=True,
            text=True,
            **self._user,
        )
        assert done.returncode == 0, done.stderr
        (self._port,) = free_ports(1)
        self.url = f"postgresql://factory@127.0.0.1:{self._port}/postgres"
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", "-p", str(self._port)]
                + ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                **self._user,
            )
        eventually(self._ready, "PostgreSQL", (self._folder / "log").read_text)

    def _ready(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        command = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(command).returncode == 0

    def stop(self) -> None:
        """At once, whoever is connected."""
        if self._process:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE_S)
            self._process = None
