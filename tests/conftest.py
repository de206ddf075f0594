"""tests/unit/test_*.py are MicroPython's: each of their functions is an item here, run under the
unix port twice, with the library as source and compiled at -O3, in a heap like a board's.

A file may ask for another heap in its first lines: "# heapsize: 4M".
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from builds import stage
from builds.steps import MICROPYTHON, ROOT

UNIT = ROOT / "tests" / "unit"

# An RP2040 has about 200 KB of heap, of 32-bit words; here they are 64-bit ones.
DEFAULT_HEAP = "400K"
TIMEOUT_S = 540


def lib_dir(flavour: str, role: str = "full") -> Path:
    """The folder with the library as its manifests stage it: flavour "src" or "mpy"."""
    src, mpy = stage.stage(role)
    return src if flavour == "src" else mpy


def image_lib(folder: Path, role: str) -> Path:
    """A folder in that one, with what a Pico's image of that role has of ours, compiled."""
    manifest = folder / "manifest.py"
    board = ROOT / "boards" / "RPI_PICO_LWM2M" / "manifest.py"
    manifest.write_text(f'include("{board}", role="{role}")\n')
    ours = (ROOT / "lib", ROOT / "firmware")
    listed = [
        module
        for module in stage.modules(manifest, "rp2")
        if module.target != "_boot.py" and set(ours) & set(module.source.parents)
    ]
    stage.compiled(listed, folder / "mpy")
    return folder / "mpy"


def micropython(
    *args: str,
    flavour: str = "src",
    role: str = "full",
    heap: str = DEFAULT_HEAP,
    lib: "Path | None" = None,
    **kwargs,
) -> subprocess.CompletedProcess:
    """Run the unix port on args, with the library of that role, or in that folder, in its path."""
    path = [str(lib or lib_dir(flavour, role)), str(UNIT), ".frozen"]
    env = dict(os.environ, MICROPYPATH=os.pathsep.join(path))
    command = [str(MICROPYTHON), "-X", "heapsize=" + heap, *args]
    return subprocess.run(command, env=env, text=True, capture_output=True, **kwargs)


def pytest_pycollect_makemodule(module_path: Path, parent):
    # In place of the module that CPython would import.
    if module_path.parent == UNIT:
        return UnitFile.from_parent(parent, path=module_path)
    return None


def pytest_ignore_collect(collection_path: Path, config):
    # CPython must not import them.
    if collection_path.parent == UNIT and not collection_path.name.startswith("test_"):
        return True
    return None


class UnitFile(pytest.File):
    def collect(self):
        text = self.path.read_text()
        heap = re.search(r"^# heapsize: (\w+)$", text, re.MULTILINE)
        names = re.findall(r"^def (test_\w+)\(", text, re.MULTILINE)
        for flavour in ("src", "mpy"):
            run = UnitRun(self.path.stem, flavour, heap.group(1) if heap else DEFAULT_HEAP)
            for name in names:
                item = UnitItem.from_parent(self, name=f"{name}[{flavour}]")
                item.run, item.function_name = run, name
                yield item


class UnitRun:
    """One process for all tests of a file that were selected; started by the first of them."""

    def __init__(self, module: str, flavour: str, heap: str):
        self.module, self.flavour, self.heap = module, flavour, heap
        self.results: "dict[str, str] | None" = None
        self.output = ""

    def result(self, name: str, names: "list[str]") -> "str | None":
        if self.results is None:
            done = micropython(
                str(UNIT / "run.py"),
                self.module,
                *names,
                flavour=self.flavour,
                heap=self.heap,
                timeout=TIMEOUT_S,
            )
            self.output = done.stdout + done.stderr
            self.results = {}
            for match in re.finditer(r"^(PASS|FAIL) (\w+)\n((?: .*\n)*)", done.stdout, re.M):
                self.results[match[2]] = "" if match[1] == "PASS" else match[3] or "failed"
        return self.results.get(name, f"it did not finish:\n{self.output[-4000:]}")


class UnitFailure(Exception):
    pass


class UnitItem(pytest.Item):
    run: UnitRun
    function_name: str

    def runtest(self):
        # All selected functions of this file go into one process.
        names = [
            item.function_name
            for item in self.session.items
            if isinstance(item, UnitItem) and item.run is self.run
        ]
        text = self.run.result(self.function_name, names)
        if text:
            raise UnitFailure(text)

    def repr_failure(self, excinfo):
        return (
            str(excinfo.value)
            if isinstance(excinfo.value, UnitFailure)
            else super().repr_failure(excinfo)
        )

    def reportinfo(self):
        return self.path, None, f"{self.path.stem}.{self.name}"
