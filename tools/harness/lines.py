"""What processes say: read line by line as it comes, and awaited."""

import subprocess
import threading
from pathlib import Path
from typing import IO, Any, Callable, List, Optional, Union

from .awaited import PATIENCE_S, eventually
from .micropython import HEAP, UNIT, command, environment, lib_dir


class Lines:
    """The lines of a stream, so far; a thread reads them.

    take(line): is called for each; what it keeps may be awaited too. `changed` is held meanwhile.
    """

    def __init__(self, stream: IO, take: Optional[Callable[[str], None]] = None):
        self.lines: List[str] = []  # without their ends, oldest first
        self.over = False  # the stream has ended
        self._take = take
        self._next = 0  # behind the last one that wait_for() has found
        self.changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO) -> None:
        for line in stream:
            if isinstance(line, bytes):
                line = line.decode(errors="backslashreplace")  # for a key to be found as well
            line = line.rstrip("\r\n")
            with self.changed:
                self.lines.append(line)
                if self._take:
                    self._take(line)
                self.changed.notify_all()
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines)

    def wait(
        self,
        find: Callable[[], object],
        what: str,
        seconds: float = PATIENCE_S,
        seen: Optional[Callable[[], str]] = None,
    ) -> Any:
        """What find() gives, as soon as it is true; AssertionError where the stream ends before.

        what: is awaited; seen(): what there was instead; in words, for the failure.
        """
        seen = seen or self.text

        def condition() -> object:
            found = find()
            assert found or not self.over, f"it ended without {what}:\n{seen()}"
            return found

        with self.changed:
            return eventually(condition, what, seen, self.changed, seconds)

    def wait_for(self, start: str, seconds: float = PATIENCE_S) -> str:
        """The next line that starts so, behind the one that was found before."""

        def find() -> Optional[str]:
            while self._next < len(self.lines):
                self._next += 1
                if self.lines[self._next - 1].startswith(start):
                    return self.lines[self._next - 1]
            return None

        return self.wait(find, f"a line {start!r}", seconds)

    def says(self, start: str, seconds: float = PATIENCE_S, times: int = 1) -> str:
        """The first line that starts so, wherever it is; or the one that is that many-th."""

        def find() -> Optional[str]:
            found = [line for line in self.lines if line.startswith(start)]
            return found[times - 1] if len(found) >= times else None

        return self.wait(find, f"line {times} that starts with {start!r}", seconds)

    def join(self) -> None:
        """Until the stream has ended."""
        self._thread.join()


class Process(Lines):
    """A program under MicroPython, with a role's library, compiled; it is killed at the end.

    program: a path, or a name in tests/unit.
    """

    def __init__(
        self,
        program: Union[Path, str],
        *args: object,
        role: str = "full",
        heap: str = HEAP,
        stdin: Optional[int] = subprocess.DEVNULL,
    ):
        self.process = subprocess.Popen(
            command(UNIT / program, *args, heap=heap),
            env=environment(lib_dir("mpy", role), UNIT),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        super().__init__(self.process.stdout)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.join()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()
