"""tests/unit/test_*.py are MicroPython's: each of their functions is an item here, run under the
unix port twice, with the library as source and compiled at -O3, in a heap like a board's.

A file may ask for another heap in its first lines: "# heapsize: 4M".
"""

import os
import re
import signal
from pathlib import Path

import pytest
from harness.micropython import HEAP, UNDER_TEST, UNIT, micropython

from preview import DIFFERENT

# For all tests of a file, of which the longest takes 20 s on an idle machine.
TIMEOUT_S = 600

# The files that take longest, which begin first where files are shared out: none is left over at the end.
LONGEST = (
    "factory/test_board.py",
    "factory/test_killed.py",
    "test_resume.py",
    "factory/test_export.py",
    "test_secure_loss.py",
    "factory/test_batch.py",
    "test_firmware.py",
    "test_sleeper.py",
    "test_sleep_cuts.py",
    "test_mbedtls.py",
    "unit/test_slots_cuts.py",
    "unit/test_servers_load.py",
    "unit/test_queue_sockets.py",
    "factory/test_ledger.py",
    "test_update.py",
    "test_secure_servers.py",
    "unit/test_dtls_many.py",
    "unit/test_memory.py",
    "test_dtls.py",
    "test_bundle.py",
    "test_supply.py",
    "test_tools.py",
    "test_readme.py",
    "board/test_stock.py",
    "board/test_proof.py",
    "board/test_wifi.py",
    "board/test_update.py",
    "board/test_station.py",
    "board/test_stock_images.py",
    "board/test_device.py",
)

# Ctrl-C ends some of the programs here. Started in the background, pytest ignores it, and what it
# starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


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


def pytest_xdist_auto_num_workers(config):
    # More than cores, as most tests wait for other processes. With `-n logical` not so many: for emulated
    # boards, each of which keeps a core busy for longer, and for tests that run beside others.
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return (os.cpu_count() or 1) + (2 if config.option.numprocesses == "logical" else 4)


def pytest_collection_modifyitems(items):
    def place(item):
        name = item.path.relative_to(UNIT.parent).as_posix()
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)


class UnitFile(pytest.File):
    def collect(self):
        text = self.path.read_text()
        heap = re.search(r"^# heapsize: (\w+)$", text, re.MULTILINE)
        names = re.findall(r"^def (test_\w+)\(", text, re.MULTILINE)
        for flavour in ("src", "mpy"):
            run = UnitRun(self.path.stem, flavour, heap.group(1) if heap else HEAP)
            for name in names:
                item = UnitItem.from_parent(self, name=f"{name}[{flavour}]")
                item.run, item.function_name = run, name
                reason = DIFFERENT.get(f"{self.path.stem}.{name}")
                if UNDER_TEST and reason:
                    item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
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
