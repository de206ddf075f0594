"""Files and folders that have keys in them."""

import contextlib
import os
from pathlib import Path
from typing import Iterator

from . import FactoryError

BINARY = getattr(os, "O_BINARY", 0)  # Windows


def private_folder(path: Path) -> None:
    """Make a folder that nobody else may look into. One that is there stays as it is."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise FactoryError(f"{path} cannot be made: {e.strerror}.") from None


@contextlib.contextmanager
def private(path: Path) -> "Iterator":
    """Open a file for writing, in bytes, that nobody else may read, not even for a moment."""
    try:
        path.unlink()  # one that is there may be open to others
    except FileNotFoundError:
        pass
    except OSError as e:
        raise FactoryError(f"{path} cannot be written: {e.strerror}.") from None
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o600)
    except OSError as e:
        raise FactoryError(f"{path} cannot be written: {e.strerror}.") from None
    with os.fdopen(fd, "wb") as out:
        yield out
