"""Raw public keys in mbedTLS, as firmware/patches/0002 adds them: what is refused and with which alert, messages
changed at random under a sanitizer, and that nothing changes where the option is off. And records with connection
ids, changed at random.
"""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from builds import sources
from builds.steps import ROOT, SOURCE

HERE = ROOT / "tests" / "mbedtls"
MBEDTLS = SOURCE / "lib" / "mbedtls"
SANITIZER = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
CHANGES = int(os.environ.get("CHANGES", "200"))  # of each of four messages
CHANGED_RECORDS = 100000  # to each side
SEED = 20261128

# RFC 5246 7.2: the alert for each Certificate message.
TAKEN = -1
HANDSHAKE_FAILURE = 40
BAD_CERTIFICATE = 42
UNSUPPORTED_CERTIFICATE = 43
ACCESS_DENIED = 49
DECODE_ERROR = 50
ALERTS = {
    "key": TAKEN,
    "another key": ACCESS_DENIED,
    "another curve": UNSUPPORTED_CERTIFICATE,
    "another algorithm": UNSUPPORTED_CERTIFICATE,
    "no point of the curve": BAD_CERTIFICATE,
    "a byte less": BAD_CERTIFICATE,
    "a byte more": BAD_CERTIFICATE,
    "a list of keys": BAD_CERTIFICATE,
    "a length too short": DECODE_ERROR,
    "a length too long": DECODE_ERROR,
    "no length": DECODE_ERROR,
}


def sources_of(folder):
    """The files of mbedTLS that a TLS 1.2 handshake needs."""
    return [
        path
        for path in sorted(folder.glob("*.c"))
        if not path.name.startswith(("psa_", "ssl_tls13"))
    ]


def compile_all(paths, include, out, *options):
    """Object files of these sources, with the test's configuration."""
    out.mkdir()
    config = f'-DMBEDTLS_CONFIG_FILE="{HERE / "config.h"}"'

    def one(path):
        made = out / f"{path.stem}.o"
        command = ["gcc", *options, config, f"-I{include}", "-c", path, "-o", made]
        subprocess.run(command, check=True)
        return made

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, paths))


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The folder that rpk and ids are in."""
    folder = tmp_path_factory.mktemp("mbedtls")
    names = ("rpk", "ids")
    paths = [*sources_of(MBEDTLS / "library"), *(HERE / f"{name}.c" for name in names)]
    objects = compile_all(paths, MBEDTLS / "include", folder / "obj", "-O1", "-g", *SANITIZER)
    for name, own in zip(names, objects[-len(names) :]):
        command = ["gcc", *SANITIZER, *objects[: -len(names)], own, "-o", folder / name]
        subprocess.run(command, check=True)
    return folder


@pytest.fixture
def program(programs):
    return programs / "rpk"


def test_each_fault_has_its_alert(program):
    done = subprocess.run([program, "table"], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    found = done.stdout.splitlines()
    wanted = []
    for side in ("client", "server"):
        alerts = dict(ALERTS)
        # None is for a client alone (RFC 5246 7.4.6); of a server it is no Certificate message.
        alerts["nothing"] = HANDSHAKE_FAILURE if side == "client" else DECODE_ERROR
        wanted += [
            f"{what} of the {side}: {'taken' if alert == TAKEN else 'refused'}, alert {alert}"
            for what, alert in alerts.items()
        ]
    assert sorted(found) == sorted(wanted)


def test_changed_messages(program):
    command = [program, "fuzz", str(CHANGES), str(SEED)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    assert done.stdout.count(f": {CHANGES} changed") == 4, done.stdout


def test_changed_records_with_ids(programs):
    command = [programs / "ids", str(CHANGED_RECORDS), str(SEED)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    assert done.stdout == f"{CHANGED_RECORDS} changed records to each side\n"


def test_off_nothing_changes(tmp_path):
    # The object code of the files that the patch changes, with it and without.
    (patch,) = (path for path, changed, _ in sources.PATCHES if "/mbedtls/" in changed)
    files = re.findall(r"^\+\+\+ b/lib/mbedtls/library/(\w+\.c)$", patch.read_text(), re.M)
    assert len(files) == 3
    plain = tmp_path / "lib" / "mbedtls"
    for name in ("include", "library"):
        shutil.copytree(MBEDTLS / name, plain / name)
    env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    subprocess.run(["git", "apply", "--reverse", patch], cwd=tmp_path, env=env, check=True)
    made = []
    for i, folder in enumerate((MBEDTLS, plain)):
        paths = [folder / "library" / name for name in files]
        options = ("-Os", "-DWITHOUT_RPK")
        made.append(compile_all(paths, folder / "include", tmp_path / f"obj{i}", *options))
    for ours, theirs in zip(*made):
        assert ours.read_bytes() == theirs.read_bytes(), ours.name
