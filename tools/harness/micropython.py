"""MicroPython's unix port as tests and benchmarks start it: in a heap like a board's, with the library."""

import os
import subprocess
from pathlib import Path
from typing import Dict, List, Optional

from builds import stage
from builds.steps import MICROPYTHON, ROOT

from .awaited import PATIENCE_S

UNIT = ROOT / "tests" / "unit"  # tests and other programs that run under MicroPython

# An RP2040 has about 200 KB of heap, of 32-bit words; here they are 64-bit ones.
HEAP = "400K"

# Another MicroPython than the one that was built here, as `make preview` gives it, or None.
UNDER_TEST = os.environ.get("MICROPYTHON_UNDER_TEST")


def lib_dir(flavour: str, role: str = "full") -> Path:
    """The folder with the library as its manifests stage it: flavour "src" or "mpy"."""
    src, mpy = stage.stage(role)
    return src if flavour == "src" else mpy


def image_lib(folder: Path, role: str, *more: str) -> Path:
    """A folder in that one, with what a Pico's image of that role has of ours, compiled.

    more: packages beside that.
    """
    manifest = folder / "manifest.py"
    board = ROOT / "boards" / "RPI_PICO_LWM2M" / "manifest.py"
    lines = [f'include("{board}", role="{role}")', *(f'require("{name}")' for name in more)]
    manifest.write_text("\n".join(lines) + "\n")
    ours = (ROOT / "lib", ROOT / "firmware")
    listed = [
        module
        for module in stage.modules(manifest, "rp2")
        if module.target != "_boot.py" and set(ours) & set(module.source.parents)
    ]
    stage.compiled(listed, folder / "mpy")
    return folder / "mpy"


def command(*args: object, heap: str = HEAP) -> List[str]:
    """What starts it on args, in environment()."""
    return [UNDER_TEST or str(MICROPYTHON), "-X", f"heapsize={heap}", *map(str, args)]


def environment(*folders: Path) -> Dict[str, str]:
    """With these folders in its path, and nothing else but what is frozen."""
    return {**os.environ, "MICROPYPATH": os.pathsep.join([*map(str, folders), ".frozen"])}


def micropython(
    *args: object,
    flavour: str = "src",
    role: str = "full",
    heap: str = HEAP,
    lib: Optional[Path] = None,
    **kwargs,
) -> subprocess.CompletedProcess:
    """Run it to its end, with the library of that role, or in that folder, and UNIT in its path."""
    return subprocess.run(
        command(*args, heap=heap),
        env=environment(lib or lib_dir(flavour, role), UNIT),
        text=True,
        capture_output=True,
        **{"timeout": PATIENCE_S, **kwargs},
    )
