"""PostgreSQL, as Debian packages it, with a database of its own on loopback.

with Postgresql() as server:
    server.url                  # postgresql://factory@127.0.0.1:…/postgres
    server.stop(); server.start()
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Optional

from .awaited import PATIENCE_S, eventually
from .ports import HOST

MISSING = "PostgreSQL is missing: apt-get install postgresql"


def programs() -> Optional[Path]:
    """Where its programs are; None where it is not installed."""
    # Debian has each version in a folder of its own, which is in nobody's path.
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(found, key=lambda path: int(path.parts[-3]))[-1:]
    named = newest or [Path(path) for path in [shutil.which("initdb")] if path]
    return named[0].parent if named else None


class Postgresql:
    """A server; what it has outlasts stop()."""

    def __enter__(self):
        self._programs = programs()
        assert self._programs, MISSING
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql"))
        self._process: Optional[subprocess.Popen] = None
        try:
            self._make()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        self.stop()
        shutil.rmtree(self._folder)

    def _make(self) -> None:
        self._user = {}
        if os.geteuid() == 0:  # as which it refuses to run; its package has a user for it
            names = {each.pw_name: each for each in pwd.getpwall()}
            user = names.get("postgres") or names["nobody"]
            self._user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        done = subprocess.run(
            [self._programs / "initdb", "-D", self._folder / "data", "-U", "factory"]
            + ["-E", "UTF8", "--no-locale", "--auth=trust", "--no-sync"],
            cwd=self._folder,
            capture_output=True,
            text=True,
            **self._user,
        )
        assert done.returncode == 0, done.stderr
        with socket.socket() as s:
            s.bind((HOST, 0))
            self._port = s.getsockname()[1]
        self.url = f"postgresql://factory@{HOST}:{self._port}/postgres"

    def start(self) -> None:
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", "-p", str(self._port)]
                + ["-c", f"listen_addresses={HOST}", "-c", "unix_socket_directories="],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                **self._user,
            )
        eventually(self._ready, "PostgreSQL", (self._folder / "log").read_text)

    def _ready(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        command = [self._programs / "pg_isready", "-q", "-h", HOST, "-p", str(self._port)]
        return subprocess.run(command).returncode == 0

    def stop(self) -> None:
        """At once, whoever is connected."""
        if self._process:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE_S)
            self._process = None
