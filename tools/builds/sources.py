"""The sources that the builds compile: Debian's, or an upstream checkout of the user's.

The archives are found through the machine's own apt configuration, kept in build/cache and compared
with tools/sources.sha256. One that is not in it, as Debian has gone on to another version, is refused,
unless ACCEPT_SOURCE in the environment has its file's name. MicroPython is unpacked to
build/src/micropython, what an RP2040 image needs beside it to folders next to that. A checkout, which
MICROPYTHON in the environment names, takes the place of all of them.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Callable, Dict, Iterable, Optional, Sequence, Set, Tuple

from . import steps
from .steps import BUILD, ROOT, SOURCE, StepFailed, rel

CACHE = BUILD / "cache"
CHECKSUMS = ROOT / "tools" / "sources.sha256"
_APT_CHECKSUMS = CACHE / "apt.sha256"  # of versions that the project does not know
_UNPACKED = ".lwm2m-unpacked"  # in the source tree: what it was made from

# Patches, in their order: each with a file that it changes, and a word that is in there once it has.
_FOLDER = ROOT / "firmware" / "patches"
_MODTLS = "extmod/modtls_mbedtls.c"
PATCHES = (
    (_FOLDER / "0001-tls-psk.patch", _MODTLS, "psk_key"),
    (_FOLDER / "0002-mbedtls-rpk.patch", "lib/mbedtls/include/mbedtls/ssl.h", "raw_public_keys"),
    (_FOLDER / "0003-tls-rpk.patch", _MODTLS, "raw_public_keys"),
    (_FOLDER / "0004-tls-dtls-cid.patch", _MODTLS, "dtls_cid"),
    (_FOLDER / "0005-tls-context-save.patch", _MODTLS, "dtls_saved"),
    (_FOLDER / "0006-tls-close-notify.patch", _MODTLS, "close_notify_obj"),
    (_FOLDER / "0007-import-without-memory.patch", "py/objmodule.c", "now that it is whole"),
)

# What each build takes: the archive's name up to its version, and what apt knows it as.
UNIX = {"micropython": "micropython/forky", "mbedtls": "mbedtls/trixie"}
RP2 = {
    "lwip": "lwip/trixie",
    "pico-sdk-source": "pico-sdk-source/trixie",
    "tinyusb-source": "tinyusb-source/trixie",
}
# Of these Debian has the sources as packages to be installed; the others are source packages.
_BINARY = ("pico-sdk-source", "tinyusb-source")

# Suites that tell a Debian server from others in apt's configuration.
_SUITES = "bullseye bookworm trixie forky sid oldstable stable testing unstable".split()


# The source tree.


def checkout(
    port: str = "unix", submodules: Sequence[str] = ("mbedtls", "micropython-lib")
) -> Optional[Path]:
    """The upstream checkout that the user named, if any; ends with a sentence if it cannot be used."""
    named = os.environ.get("MICROPYTHON")
    if not named:
        return None
    path = Path(named).expanduser().resolve()
    if not (path / "ports" / port / "Makefile").exists() or not (path / "py/mpconfig.h").exists():
        raise SystemExit(
            f"MICROPYTHON={named} is not a MicroPython checkout: it has no ports/{port}/Makefile. "
            "Give the folder of a clone of micropython, 1.29 or newer."
        )
    number = version(path)
    if number < (1, 29, 0):
        raise SystemExit(
            f"MICROPYTHON={named} is MicroPython {'.'.join(map(str, number))}, which has no "
            "pre-shared keys: give a checkout of 1.29 or newer."
        )
    lacking = [name for name in submodules if not any((path / "lib" / name).glob("*"))]
    if lacking:
        names = " ".join("lib/" + name for name in submodules)
        raise SystemExit(
            f"MICROPYTHON={named} lacks its submodules: run "
            f"'git -C {named} submodule update --init {names}'."
        )
    return path


def version(tree: Path) -> Tuple[int, ...]:
    """The version that a MicroPython tree says it is."""
    text = (tree / "py/mpconfig.h").read_text()
    return tuple(
        int(re.search(rf"#define MICROPY_VERSION_{part} (\d+)", text)[1])
        for part in ("MAJOR", "MINOR", "MICRO")
    )


def digest(*parts: object) -> str:
    """One hash of texts and of files' contents."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else str(part).encode()
        total.update(b"%d:" % len(data) + data)
    return total.hexdigest()


def sha256(path: Path) -> str:
    """A file's, as sha256sum writes it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recipe() -> str:
    """What the source tree of this project is made from, as its marker begins with."""
    lines = CHECKSUMS.read_text().splitlines()
    ours = [line for line in lines if line.split()[1].split("_")[0] in UNIX]
    return digest(*(patch for patch, _, _ in PATCHES), *ours)


def ready(upstream: Optional[Path]) -> bool:
    """Whether build/src/micropython is what it should be."""
    if upstream:
        return SOURCE.is_symlink() and SOURCE.resolve() == upstream
    marker = SOURCE / _UNPACKED
    return not SOURCE.is_symlink() and marker.exists() and marker.read_text().startswith(recipe())


def source_id() -> str:
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


def link(upstream: Path) -> None:
    """Let build/src/micropython be the user's checkout."""
    _remove_source()
    SOURCE.parent.mkdir(parents=True, exist_ok=True)
    SOURCE.symlink_to(upstream)


# Debian's archives.


def _checksums(path: Path) -> Dict[str, str]:
    """Name to SHA-256, of a file as sha256sum writes it."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: sha256 for sha256, name in map(str.split, lines)}


def cached(wanted: Iterable[str]) -> Optional[Dict[str, Path]]:
    """The archives of these names, if they are in the cache and are what their SHA-256 says."""
    found: Dict[str, Path] = {}
    known = _checksums(CHECKSUMS)
    asked = {name: _checksums(_APT_CHECKSUMS).get(name, "") for name in _asked() - known.keys()}
    for name, wanted_sha256 in {**known, **asked}.items():
        path = CACHE / name
        package = name.split("_")[0]
        if package not in wanted or not path.exists():
            continue
        if sha256(path) == wanted_sha256:
            found[package] = path
        else:
            path.unlink()
            print(f"{rel(path)} does not have the SHA-256 it should have: removed.", flush=True)
    return found if found.keys() == set(wanted) else None


def _asked() -> Set[str]:
    """The archives that the user wants, known here or not."""
    return set(os.environ.get("ACCEPT_SOURCE", "").split())


def debian_server() -> str:
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


def fetch(server: str, wanted: Dict[str, str]) -> str:
    """Download archives with a private apt, so that the system's own is left as it is."""
    log = BUILD / "log" / "fetch.log"
    apt = CACHE / "apt"
    shutil.rmtree(apt, ignore_errors=True)
    for folder in ("sources", "lists/partial", "cache/archives/partial", "got"):
        (apt / folder).mkdir(parents=True)
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    binary = [name for package, name in wanted.items() if package in _BINARY]
    source = [name for package, name in wanted.items() if package not in _BINARY]
    suites = sorted({name.partition("/")[2] for name in wanted.values()})
    (apt / "sources" / "debian.sources").write_text(
        f"Types:{' deb' if binary else ''} deb-src\nURIs: {server}\nSuites: {' '.join(suites)}\n"
        "Components: main\n" + (f"Signed-By: {keyring}\n" if keyring.exists() else "")
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
    try:
        steps.run([*get, "update"], log)
        if source:
            command = [*get, "source", "--download-only", "--tar-only", *source]
            steps.run(command, log, append=True, cwd=apt / "got")
        if binary:
            steps.run([*get, "download", *binary], log, append=True, cwd=apt / "got")
        return accept(apt / "got", server)
    except StepFailed as failure:
        raise StepFailed(
            f"{failure} Instead of Debian's sources, make MICROPYTHON=/path … takes a checkout of "
            "MicroPython 1.29 or newer.",
            failure.log,
        ) from None
    finally:
        shutil.rmtree(apt)


def accept(got: Path, server: str) -> str:
    """Move what apt has fetched to the cache, if it is what the project knows or the user asks for."""
    known = _checksums(CHECKSUMS)
    notes = []
    names = {path.name for path in got.iterdir()}
    unknown = sorted(names - known.keys() - _asked())
    if unknown:
        named = " ".join([*unknown, *sorted(names & _asked())])
        raise StepFailed(
            f"{', '.join(unknown)} from {server}: not used, as {rel(CHECKSUMS)} does not have it. "
            f"Nobody has tried that version here; make ACCEPT_SOURCE='{named}' … takes it as Debian has "
            "signed it."
        )
    for path in sorted(got.iterdir()):
        found = sha256(path)
        if found != known.get(path.name, found):
            raise StepFailed(
                f"{path.name} from {server} does not have the SHA-256 of {rel(CHECKSUMS)}: not used."
            )
        if path.name not in known:
            # apt has compared it with Debian's signed index; the next unpacking compares with this.
            with open(_APT_CHECKSUMS, "a") as sums:
                sums.write(f"{found}  {path.name}\n")
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


def _archives(wanted: Iterable[str]) -> Dict[str, Path]:
    archives = cached(wanted)
    if archives is None:
        raise StepFailed("The archives in build/cache have changed meanwhile: start again.")
    return archives


def _is_micropython_wanted(path: str) -> bool:
    top, _, rest = path.partition("/")
    if top == "ports":
        return rest.partition("/")[0] in ("", "unix", "esp32", "rp2")
    return top not in ("docs", "tests", "examples", "logo")


def unpack() -> str:
    """Make the source tree from the archives; it gets its name only when it is complete."""
    archives = _archives(UNIX)
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
    for patch, changed, word in PATCHES:
        if word not in (part / changed).read_text():
            _patch(part, patch, changed, word)
    used = "".join(f"{name} {path.name}\n" for name, path in sorted(archives.items()))
    (part / _UNPACKED).write_text(f"{recipe()}\n{used}")
    _remove_source()
    part.rename(SOURCE)
    return "MicroPython " + ".".join(map(str, version(SOURCE)))


def environment() -> Dict[str, str]:
    """For what is started in the tree.

    git must not take this project's repository for MicroPython's: `git apply` would skip every file
    and succeed, and the version would be named after our commit. And our make's own flags and
    variables (PORT=, -k) are not meant for MicroPython's make.
    """
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return {**env, "GIT_CEILING_DIRECTORIES": str(SOURCE.parent)}


def _patch(tree: Path, patch: Path, changed: str, word: str) -> None:
    log = BUILD / "log" / "patch.log"
    steps.run(["git", "apply", "-v", str(patch)], log, cwd=tree, env=environment())
    if word not in (tree / changed).read_text():
        raise StepFailed(f"{rel(patch)} was applied, but did not change the source.", log)


# What an RP2040 image needs beside MicroPython's own tree, where Debian's sources are used.


def _rp2_folder(package: str) -> Path:
    return SOURCE.parent / (package[: -len("-source")] if package in _BINARY else package)


def _rp2_recipe(package: str) -> str:
    lines = CHECKSUMS.read_text().splitlines()
    return digest(*(line for line in lines if line.split()[1].split("_")[0] == package))


def rp2_ready() -> bool:
    """Whether the libraries are unpacked and in MicroPython's tree."""
    for package in RP2:
        folder = _rp2_folder(package)
        marker = folder / _UNPACKED
        inside = SOURCE / "lib" / folder.name
        if not marker.exists() or not marker.read_text().startswith(_rp2_recipe(package)):
            return False
        if not inside.is_symlink() or inside.resolve() != folder.resolve():
            return False
    return True


def rp2_id() -> str:
    """What says that the libraries are other ones."""
    return "".join((_rp2_folder(package) / _UNPACKED).read_text() for package in RP2)


def rp2_unpack() -> None:
    """Unpack them, and let MicroPython's tree, where their submodules are empty, point to them."""
    for package, archive in _archives(RP2).items():
        folder = _rp2_folder(package)
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        if archive.suffix == ".deb":
            log = BUILD / "log" / "unpack.log"
            steps.run(["dpkg-deb", "--extract", str(archive), str(part)], log)
            inner = part / "usr" / "src" / folder.name
            whole = part.with_name(folder.name + ".whole")
            shutil.rmtree(whole, ignore_errors=True)
            inner.rename(whole)
            shutil.rmtree(part)
            whole.rename(part)
        else:
            _extract(archive, part, lambda path: True)
        (part / _UNPACKED).write_text(f"{_rp2_recipe(package)}\n{archive.name}\n")
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
        inside = SOURCE / "lib" / folder.name
        if inside.is_symlink():
            inside.unlink()
        elif inside.exists():
            inside.rmdir()  # an empty submodule
        inside.symlink_to(Path("..") / ".." / folder.name)
