"""Build MicroPython's unix port with DTLS, pre-shared keys and CCM_8: build/unix/micropython.

The sources are Debian's (micropython of forky, mbedtls of trixie), found through the machine's own
apt configuration, or an upstream checkout named by MICROPYTHON in the environment. The variant
bench32 (build/unix32/micropython) is a 32-bit build that is closer to a board: the client is
frozen, and mbedTLS allocates on the MicroPython heap.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterable, Optional, Sequence, Tuple

import steps
import testenv
from steps import BUILD, ROOT, SOURCE, StepFailed, rel

CACHE = BUILD / "cache"
CHECKSUMS = ROOT / "tools" / "sources.sha256"
_APT_CHECKSUMS = CACHE / "apt.sha256"  # of versions that the project does not know
_UNPACKED = ".lwm2m-unpacked"  # in the source tree: what it was made from

_VARIANT = ROOT / "firmware" / "unix"
_MBEDTLS = ROOT / "firmware" / "mbedtls_lwm2m.h"
_PSK_PATCH = ROOT / "firmware" / "patches" / "0001-tls-psk.patch"

# Suites that tell a Debian server from others in apt's configuration.
_SUITES = "bullseye bookworm trixie forky sid oldstable stable testing unstable".split()

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
}


# The source tree.


def checkout() -> Optional[Path]:
    """The upstream checkout that the user named, if any; ends with a sentence if it cannot be used."""
    named = os.environ.get("MICROPYTHON")
    if not named:
        return None
    path = Path(named).expanduser().resolve()
    if not (path / "ports/unix/Makefile").exists() or not (path / "py/mpconfig.h").exists():
        raise SystemExit(
            f"MICROPYTHON={named} is not a MicroPython checkout: it has no ports/unix/Makefile. "
            "Give the folder of a clone of micropython, 1.29 or newer."
        )
    number = version(path)
    if number < (1, 29, 0):
        raise SystemExit(
            f"MICROPYTHON={named} is MicroPython {'.'.join(map(str, number))}, which has no "
            "pre-shared keys: give a checkout of 1.29 or newer."
        )
    if not (path / "lib/mbedtls/library").exists() or not (path / "lib/micropython-lib").exists():
        raise SystemExit(
            f"MICROPYTHON={named} lacks its submodules: run "
            f"'git -C {named} submodule update --init lib/mbedtls lib/micropython-lib'."
        )
    return path


def version(tree: Path) -> Tuple[int, ...]:
    """The version that a MicroPython tree says it is."""
    text = (tree / "py/mpconfig.h").read_text()
    return tuple(
        int(re.search(rf"#define MICROPY_VERSION_{part} (\d+)", text)[1])
        for part in ("MAJOR", "MINOR", "MICRO")
    )


def _digest(*parts: object) -> str:
    """One hash of texts and of files' contents."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else str(part).encode()
        total.update(b"%d:" % len(data) + data)
    return total.hexdigest()


def _source_ready(upstream: Optional[Path]) -> bool:
    if upstream:
        return SOURCE.is_symlink() and SOURCE.resolve() == upstream
    marker = SOURCE / _UNPACKED
    return (
        not SOURCE.is_symlink()
        and marker.exists()
        and marker.read_text().startswith(_digest(_PSK_PATCH, CHECKSUMS))
    )


def _source_id() -> str:
    """What says that the tree is another one: the archives, or the checkout's commit."""
    if not SOURCE.is_symlink():
        return (SOURCE / _UNPACKED).read_text()
    commit = ""  # a checkout without git is told by its path alone
    if shutil.which("git"):
        head = ["git", "-C", str(SOURCE), "rev-parse", "HEAD"]
        commit = subprocess.run(head, capture_output=True, text=True).stdout
    return f"{SOURCE.resolve()} {commit}"


def _remove_source() -> None:
    if SOURCE.is_symlink():
        SOURCE.unlink()
    elif SOURCE.exists():
        shutil.rmtree(SOURCE)


def _link(upstream: Path) -> None:
    _remove_source()
    SOURCE.parent.mkdir(parents=True, exist_ok=True)
    SOURCE.symlink_to(upstream)


# Debian's archives.


def _checksums(path: Path) -> Dict[str, str]:
    """Name to SHA-256, of a file as sha256sum writes it."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: digest for digest, name in map(str.split, lines)}


def cached_archives() -> Optional[Dict[str, Path]]:
    """The archives of both packages, if they are in the cache and are what their SHA-256 says."""
    found: Dict[str, Path] = {}
    for name, digest in {**_checksums(_APT_CHECKSUMS), **_checksums(CHECKSUMS)}.items():
        path = CACHE / name
        if not path.exists():
            continue
        if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
            found[name.split("_")[0]] = path
        else:
            path.unlink()
            print(f"{rel(path)} does not have the SHA-256 it should have: removed.", flush=True)
    return found if found.keys() == {"micropython", "mbedtls"} else None


def _debian_server() -> str:
    """The base address of the Debian server that this machine uses; ends with a sentence if none."""
    # Asks apt what it would fetch: that works without lists and whatever form the sources have.
    would = subprocess.run(["apt-get", "--print-uris", "update"], capture_output=True, text=True)
    for base, suite in re.findall(r"^'(\S+)/dists/([\w-]+)/InRelease'", would.stdout, re.M):
        if suite in _SUITES:
            return base
    raise SystemExit(
        "No Debian server is in apt's configuration, so MicroPython's sources cannot be fetched: "
        "give a checkout of MicroPython 1.29 or newer with make MICROPYTHON=/path …"
    )


def _fetch(server: str) -> str:
    """Download both archives with a private apt, so that the system's own is left as it is."""
    log = BUILD / "log" / "fetch.log"
    apt = CACHE / "apt"
    shutil.rmtree(apt, ignore_errors=True)
    for folder in ("sources", "lists/partial", "cache/archives/partial", "got"):
        (apt / folder).mkdir(parents=True)
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    (apt / "sources" / "debian.sources").write_text(
        f"Types: deb-src\nURIs: {server}\nSuites: trixie forky\nComponents: main\n"
        + (f"Signed-By: {keyring}\n" if keyring.exists() else "")
    )
    conf = apt / "apt.conf"
    conf.write_text(
        f'Dir::Etc::SourceList "/dev/null";\n'
        f'Dir::Etc::SourceParts "{apt / "sources"}";\n'
        f'Dir::State::Lists "{apt / "lists"}";\n'
        f'Dir::Cache "{apt / "cache"}";\n'
        'APT::Sandbox::User "root";\n'  # _apt may not be allowed into this folder
        'APT::Update::Error-Mode "any";\n'  # a server that is not reached is no mere warning
        "#clear APT::Update::Post-Invoke;\n"  # the system's hooks tidy the system's cache
        "#clear APT::Update::Post-Invoke-Success;\n"
    )
    get = ["apt-get", "-c", str(conf)]
    source = ["source", "--download-only", "--tar-only", "micropython/forky", "mbedtls/trixie"]
    try:
        steps.run([*get, "update"], log)
        steps.run([*get, *source], log, append=True, cwd=apt / "got")
        return _accept(apt / "got", server)
    except StepFailed as failure:
        raise StepFailed(
            f"{failure} Instead of Debian's sources, make MICROPYTHON=/path … takes a checkout of "
            "MicroPython 1.29 or newer.",
            failure.log,
        ) from None
    finally:
        shutil.rmtree(apt)


def _accept(got: Path, server: str) -> str:
    """Move what apt has fetched to the cache, if it is what the project knows or a newer version."""
    known = _checksums(CHECKSUMS)
    notes = []
    for path in sorted(got.iterdir()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != known.get(path.name, digest):
            raise StepFailed(
                f"{path.name} from {server} does not have the SHA-256 of {rel(CHECKSUMS)}: not used."
            )
        if path.name not in known:
            # apt has compared it with Debian's signed index; the next unpacking compares with this.
            with open(_APT_CHECKSUMS, "a") as sums:
                sums.write(f"{digest}  {path.name}\n")
            notes.append(f"{path.name} is not in {rel(CHECKSUMS)}; verified by apt alone")
        path.replace(CACHE / path.name)
    return ", ".join(notes)


def _extract(archive: Path, target: Path, wanted: Callable[[str], bool]) -> None:
    """Unpack the files of an archive whose path, without its first folder, is wanted."""

    def members(tar: tarfile.TarFile) -> Iterable[tarfile.TarInfo]:
        for member in tar:
            member.name = member.name.partition("/")[2]
            if member.name and wanted(member.name):
                yield member

    # Filters came with 3.9.17, 3.10.12 and 3.11.4; the archives have been verified.
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as tar:
        tar.extractall(target, members=members(tar), **safely)


def _is_micropython_wanted(path: str) -> bool:
    top, _, rest = path.partition("/")
    if top == "ports":
        return rest.partition("/")[0] in ("", "unix", "esp32", "rp2")
    return top not in ("docs", "tests", "examples", "logo")


def _unpack() -> str:
    """Make the source tree from the archives; it gets its name only when it is complete."""
    archives = cached_archives()
    if archives is None:
        raise StepFailed("The archives in build/cache have changed meanwhile: start again.")
    part = SOURCE.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    _extract(archives["micropython"], part, _is_micropython_wanted)
    _extract(
        archives["mbedtls"],
        part / "lib" / "mbedtls",
        lambda path: path.partition("/")[0] in ("include", "library", "LICENSE"),
    )
    # MicroPython's makefiles look for this one to see whether the submodule is there.
    (part / "lib/micropython-lib").mkdir(exist_ok=True)
    (part / "lib/micropython-lib/README.md").touch()
    if "psk_key" not in (part / "extmod/modtls_mbedtls.c").read_text():
        _patch(part, _PSK_PATCH)
    used = "".join(f"{name} {path.name}\n" for name, path in sorted(archives.items()))
    (part / _UNPACKED).write_text(f"{_digest(_PSK_PATCH, CHECKSUMS)}\n{used}")
    _remove_source()
    part.rename(SOURCE)
    return "MicroPython " + ".".join(map(str, version(SOURCE)))


def _environment() -> Dict[str, str]:
    """For what is started in the tree.

    git must not take this project's repository for MicroPython's: `git apply` would skip every file
    and succeed, and the version would be named after our commit. And our make's own flags and
    variables (PORT=, -k) are not meant for MicroPython's make.
    """
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return {**env, "GIT_CEILING_DIRECTORIES": str(SOURCE.parent)}


def _patch(tree: Path, patch: Path) -> None:
    log = BUILD / "log" / "patch.log"
    steps.run(["git", "apply", "-v", str(patch)], log, cwd=tree, env=_environment())
    if "psk_key" not in (tree / "extmod/modtls_mbedtls.c").read_text():
        raise StepFailed(f"{rel(patch)} was applied, but did not change the source.", log)


# Compiling.


def _config(program: Program) -> str:
    """What a tree of objects was made with; with another value it is made anew."""
    variant = [path for path in sorted(_VARIANT.iterdir()) if path.is_file()]
    own = [*variant, _MBEDTLS] if program is not _MPY_CROSS else []
    return _digest(_source_id(), program.cflags, *program.variables, *own)


def _state(program: Program) -> str:
    """What a program was made from."""
    files = sorted(path for pattern in program.frozen for path in ROOT.glob(pattern))
    return _digest(_config(program), *map(rel, files), *files)


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
    # makemanifest.py compares times only and would not see that a module has been taken out.
    (objects / "frozen_content.c").unlink(missing_ok=True)
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
        steps.run(command, log, env=_environment())
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


def _missing(variants: Sequence[str], fetch: bool, source: bool) -> Dict[str, str]:
    """What the build needs that is not there, each with what installs it."""
    names = ["gcc", "make"] + ["git"] * source + ["apt-get"] * fetch
    missing = steps.missing_programs(names)
    if "apt-get" in missing:
        missing["apt-get"] = (
            "only Debian has it; elsewhere give a checkout of MicroPython 1.29 or newer with "
            "make MICROPYTHON=/path …"
        )
    if "gcc" not in missing:
        if not _compiles():
            missing["a C library to compile with"] = "apt-get install libc6-dev"
        elif "bench32" in variants and not _compiles("-m32"):
            missing["gcc for 32-bit programs"] = "apt-get install gcc-multilib"
    return missing


def build(
    variants: Sequence[str],
    job: str,  # whose name the sentences say
    venv: bool = False,  # build/venv too
    also: Sequence[str] = (),  # programs that the job will need later
) -> None:
    """Build what is not up to date, with a line for each step; ends with a sentence if it cannot."""
    if re.search(r"\s", str(ROOT)):
        raise SystemExit(f"MicroPython's makefiles cannot work in a path with a space: {ROOT}")
    with steps.locked("build"):
        upstream = checkout()
        source = _source_ready(upstream)
        programs = [_MPY_CROSS, *(VARIANTS[name] for name in variants)]
        if source:
            programs = [program for program in programs if not _is_current(program)]
        fetch = not upstream and not source and cached_archives() is None

        missing = steps.missing_programs(also)
        if programs:
            missing.update(_missing(variants, fetch, source=not upstream and not source))
        if venv:
            missing.update(testenv.missing())
        steps.refuse_if_missing(job, missing)

        todo = steps.Steps()
        if fetch:
            server = _debian_server()
            todo.add(
                "Fetching the sources of micropython and mbedtls from Debian",
                lambda: _fetch(server),
            )
        if upstream and not source:
            _link(upstream)
        elif not source:
            todo.add("Unpacking the sources of micropython and mbedtls", _unpack)
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
