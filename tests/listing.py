"""What files a board has, compared with what a bundle puts there."""

import hashlib
from pathlib import Path
from typing import List

from builds import bundle

# Prints path and SHA-256 of each file of the board that runs it.
PROGRAM = """\
import hashlib, os
def walk(folder):
    for name, kind, *_ in os.ilistdir(folder):
        path = folder + "/" + name
        if kind == 0x4000:
            walk(path)
        else:
            with open(path, "rb") as f: print(path, hashlib.sha256(f.read()).digest().hex())
walk("")
"""


def of_bundle(folder: Path) -> List[str]:
    """What it prints where there is nothing but a bundle's board/, sorted."""
    return sorted(
        f"/{path.relative_to(folder).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in bundle.files(folder)
    )
