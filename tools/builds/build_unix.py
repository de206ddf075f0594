"""Build MicroPython's unix port with DTLS, pre-shared keys and CCM_8: build/unix/micropython.

sources.py says what it is built from. Two variants are 32-bit builds that are closer to a board, as mbedTLS
allocates on the MicroPython heap. In bench32 (build/unix32/micropython) the client is frozen; in stock32
(build/stock32/micropython) nothing of ours is, as on a stock board: there the names in our modules take
heap, too.
"""

import argparse
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Sequence

from . import sources, steps, testenv
from .steps import BUILD, ROOT, SOURCE, StepFailed, rel

_VARIANT = ROOT / "firmware" / "unix"
_MBEDTLS = ROOT / "firmware" / "mbedtls_lwm2m.h"

# No -Werror: a compiler newer than the sources may warn of more than their authors' did.
_CFLAGS = "-Wno-error"


@dataclass
class Program:
    """Something that MicroPython's makefiles build."""

    title: str
    path: Path  # where it is put
    folder: str  # the makefile's, in MicroPython's tree
    cflags: str = _CFLAGS
    variables: Sequence[str] = ()
    frozen: Sequence[
        str
    ] = ()  # patterns of files that a manifest takes; a change needs no new tree

    @property
    def objects(self) -> Path:
        return self.path.parent / "obj" / self.path.name


_MPY_CROSS = Program("Compiling mpy-cross", steps.MPY_CROSS, "mpy-cross")
_PORT = (f"VARIANT_DIR={_VARIANT}", f"MICROPY_MPYCROSS={steps.MPY_CROSS}")
VARIANTS = {
    "standard": Program(
        "Compiling MicroPython's unix port", steps.MICROPYTHON, "ports/unix", variables=_PORT
    ),
    "bench32": Program(
        "Compiling the 32-bit unix port with the client frozen",
        BUILD / "unix32" / "micropython",
        "ports/unix",
        cflags=_CFLAGS + " -DMICROPY_MBEDTLS_CONFIG_BARE_METAL=1",
        variables=(
            *_PORT,
            "MICROPY_FORCE_32BIT=1",
            f"FROZEN_MANIFEST={_VARIANT / 'manifest_bench32.py'}",
        ),
        frozen=("lib/**/*.py", "firmware/manifests/*.py"),
    ),
    "stock32": Program(
        "Compiling the 32-bit unix port with nothing of ours frozen",
        BUILD / "stock32" / "micropython",
        "ports/unix",
        cflags=_CFLAGS + " -DMICROPY_MBEDTLS_CONFIG_BARE_METAL=1",
        variables=(*_PORT, "MICROPY_FORCE_32BIT=1"),
    ),
}


# Compiling.


def _config(program: Program) -> str:
    """What a tree of objects was made with; with another value it is made anew."""
    variant = [path for path in sorted(_VARIANT.iterdir()) if path.is_file()]
    own = [*variant, _MBEDTLS] if program is not _MPY_CROSS else []
    return sources.digest(sources.source_id(), program.cflags, *program.variables, *own)


def _state(program: Program) -> str:
    """What a program was made from."""
    files = sorted(path for pattern in program.frozen for path in ROOT.glob(pattern))
    return sources.digest(_config(program), *map(rel, files), *files)


def _is_current(program: Program) -> bool:
    stamp = program.objects / "stamp"
    return program.path.exists() and stamp.exists() and stamp.read_text() == _state(program)


def _compile(program: Program) -> None:
    objects = program.objects
    state = _state(program)
    # There only while no make is at work in the tree: after a kill or a power cut, half-written
    # objects may be left, and the tree is made anew.
    config = objects / "config"
    if not config.exists() or config.read_text() != _config(program):
        shutil.rmtree(objects, ignore_errors=True)
    objects.mkdir(parents=True, exist_ok=True)
    config.unlink(missing_ok=True)
    # makemanifest.py compares times only and would not see that a module has been taken out, or that
    # a manifest gives another version.
    (objects / "frozen_content.c").unlink(missing_ok=True)
    shutil.rmtree(objects / "frozen_mpy", ignore_errors=True)
    command = [
        "make",
        f"-j{len(os.sched_getaffinity(0))}",
        f"--directory={SOURCE / program.folder}",
        f"BUILD={objects}",
        f"CFLAGS_EXTRA={program.cflags}",
        *program.variables,
    ]
    log = BUILD / "log" / f"{program.path.parent.name}-{program.path.name}.log"
    try:
        steps.run(command, log, env=sources.environment())
    except StepFailed:
        config.write_text(_config(program))
        raise
    config.write_text(_config(program))
    # By rename: one that is running keeps its file.
    new = program.path.with_suffix(".new")
    shutil.copy2(objects / program.path.name, new)
    new.replace(program.path)
    (objects / "stamp").write_text(state)


def lacks_32bit() -> Optional[str]:
    """Why the 32-bit build cannot be made here, as a sentence; None if it can."""
    if shutil.which("gcc") and _compiles("-m32"):
        return None
    return "gcc cannot build 32-bit programs here: apt-get install gcc-multilib"


def _compiles(*options: str) -> bool:
    program = b'#include <stdio.h>\nint main(void) { return puts(""); }\n'
    gcc = ["gcc", *options, "-x", "c", "-", "-o", "/dev/null"]
    return subprocess.run(gcc, input=program, capture_output=True).returncode == 0


def _missing(variants: Sequence[str], fetch: bool, source: bool, compiler: bool) -> Dict[str, str]:
    """What the build needs that is not there, each with what installs it."""
    names = ["gcc", "make"] * compiler + ["git"] * source + ["apt-get"] * fetch
    missing = steps.missing_programs(names)
    if "apt-get" in missing:
        missing["apt-get"] = (
            "only Debian has it; elsewhere give a checkout of MicroPython 1.29 or newer with "
            "make MICROPYTHON=/path …"
        )
    if compiler and "gcc" not in missing:
        if not _compiles():
            missing["a C library to compile with"] = "apt-get install libc6-dev"
        elif {"bench32", "stock32"} & set(variants) and not _compiles("-m32"):
            missing["gcc for 32-bit programs"] = "apt-get install gcc-multilib"
    return missing


def _is_done(variants: Sequence[str], venv: bool, also: Sequence[str], mpy_cross: bool) -> bool:
    """Whether there is nothing to be built, and nothing missing."""
    if not sources.ready(sources.checkout()) or (venv and not testenv.is_ready()):
        return False
    programs = [_MPY_CROSS] * mpy_cross + [VARIANTS[name] for name in variants]
    return all(map(_is_current, programs)) and not steps.missing_programs(also)


def build(
    variants: Sequence[str],
    job: str,  # whose name the sentences say
    venv: bool = False,  # build/venv too
    also: Sequence[str] = (),  # programs that the job will need later
    mpy_cross: bool = True,  # False: MicroPython's sources alone, for which nothing is compiled
) -> None:
    """Build what is not up to date, with a line for each step; ends with a sentence if it cannot."""
    if re.search(r"\s", str(ROOT)):
        raise SystemExit(f"MicroPython's makefiles cannot work in a path with a space: {ROOT}")
    if _is_done(variants, venv, also, mpy_cross):
        return  # and nobody who builds something else is waited for
    with steps.locked("build"):
        upstream = sources.checkout()
        source = sources.ready(upstream)
        programs = [_MPY_CROSS] * mpy_cross + [VARIANTS[name] for name in variants]
        if source:
            programs = [program for program in programs if not _is_current(program)]
        fetch = not upstream and not source and sources.cached(sources.UNIX) is None

        missing = steps.missing_programs(also)
        if programs or not source:
            own = not upstream and not source
            missing.update(_missing(variants, fetch, source=own, compiler=bool(programs)))
        if venv:
            missing.update(testenv.missing())
        steps.refuse_if_missing(job, missing)

        todo = steps.Steps()
        if fetch:
            server = sources.debian_server()
            todo.add(
                "Fetching the sources of micropython and mbedtls from Debian",
                lambda: sources.fetch(server, sources.UNIX),
            )
        if upstream and not source:
            sources.link(upstream)
        elif not source:
            todo.add("Unpacking the sources of micropython and mbedtls", sources.unpack)
        for program in programs:
            todo.add(program.title, lambda program=program: _compile(program))
        if venv:
            testenv.plan(todo)
        todo.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=" or ".join(VARIANTS))
    parser.add_argument("--venv", action="store_true", help="make build/venv too")
    parser.add_argument(
        "--also", action="append", default=[], metavar="PROGRAM", help="must exist"
    )
    parser.add_argument("--for", dest="job", default="This", help="whose name to say")
    args = parser.parse_args()
    for name in args.variants:
        if name not in VARIANTS:
            parser.error(f"there is no variant {name}: choose from {', '.join(VARIANTS)}")
    build(args.variants or ["standard"], args.job, args.venv, args.also)


if __name__ == "__main__":
    steps.main(main)
