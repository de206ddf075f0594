"""What the builds take from elsewhere is what it was when it was written down; what has keys is private."""

import base64
import json
import os
import re
import stat
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Dict, List

import pytest
from builds import sources, testenv
from builds.steps import ROOT, StepFailed
from harness import leshan
from harness.micropython import micropython

TOOLS = ROOT / "tools"
JAVA = TOOLS / "harness" / "java"
SERVER = "deb.example"


# Python's packages.


def requirements(text: str) -> "Dict[str, List[str]]":
    """The lines of a requirements file, without comments, each with its hashes."""
    found: Dict[str, List[str]] = {}
    for line in re.sub(r"\\\n", " ", re.sub(r"(^|\s)#.*", "", text)).splitlines():
        name, *hashes = re.split(r"\s+--hash=", line.strip())
        if name:
            found[name.replace(" ;", ";").replace("'", '"')] = hashes
    return found


def test_every_requirement_has_its_hashes() -> None:
    wanted = requirements((TOOLS / "requirements.in").read_text())
    listed = requirements((TOOLS / "requirements.txt").read_text())
    for line, hashes in listed.items():
        assert "==" in line and hashes, line
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in hashes)
    pins = {line.partition(";")[0].strip() for line in listed}
    assert {line.partition(";")[0].strip() for line in wanted} <= pins


def wheel(folder: Path, name: str) -> Path:
    """A package that has nothing."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        out.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        out.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ("thing==1.0 --hash=sha256:THING", 0, "Successfully installed thing-1.0"),
        ("thing==1.0 --hash=sha256:SETUPTOOLS", 1, "THESE PACKAGES DO NOT MATCH THE HASHES"),
        ("thing==1.0", 1, "Hashes are required in --require-hashes mode"),
    ],
)
def test_packages_are_installed_by_their_hashes(tmp_path, monkeypatch, more, status, said) -> None:
    text = f"setuptools==1.0 \\\n    --hash=sha256:SETUPTOOLS\n{more}\n"
    for name in ("thing", "setuptools"):
        text = text.replace(name.upper(), sources.sha256(wheel(tmp_path, name)))
    (tmp_path / "requirements.txt").write_text(text)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    for name, path in (
        ("VENV", tmp_path / "venv"),
        ("PYTHON", tmp_path / "venv" / "bin" / "python"),
        ("_STAMP", tmp_path / "venv" / "stamp"),
        ("_REQUIREMENTS", tmp_path / "requirements.txt"),
    ):
        monkeypatch.setattr(testenv, name, path)
    monkeypatch.setattr(testenv.steps, "BUILD", tmp_path)
    # The interpreter of the tests' own environment has no pip.
    monkeypatch.setattr(sys, "executable", f"{sys.base_prefix}/bin/python3")
    if status:
        with pytest.raises(StepFailed):
            testenv.make()
    else:
        testenv.make()
    assert said in (tmp_path / "log" / "venv.log").read_text()
    assert testenv.is_ready() == (status == 0)


# Debian's sources.


@pytest.fixture
def got(tmp_path: Path, monkeypatch) -> Path:
    """A folder with what apt has fetched: an archive that is listed, and one of a later version."""
    listed = tmp_path / "sources.sha256"
    for name, path in (("CACHE", "cache"), ("_APT_CHECKSUMS", "cache/apt.sha256")):
        monkeypatch.setattr(sources, name, tmp_path / path)
    monkeypatch.setattr(sources, "CHECKSUMS", listed)
    monkeypatch.delenv("ACCEPT_SOURCE", raising=False)
    (tmp_path / "cache").mkdir()
    folder = tmp_path / "got"
    folder.mkdir()
    (folder / "mbedtls_1.orig.tar.bz2").write_bytes(b"known")
    (folder / "micropython_2.orig.tar.xz").write_bytes(b"later")
    listed.write_text(
        f"{sources.sha256(folder / 'mbedtls_1.orig.tar.bz2')}  mbedtls_1.orig.tar.bz2\n"
    )
    return folder


def test_an_archive_that_is_not_listed_is_refused(got: Path, monkeypatch) -> None:
    sentence = (
        r"^micropython_2\.orig\.tar\.xz from deb\.example: not used, as \S+sources\.sha256 does not have "
        r"it\. .*; make ACCEPT_SOURCE='micropython_2\.orig\.tar\.xz' … takes it as Debian has signed it\.$"
    )
    for asked in ("", "micropython", "micropython_1.orig.tar.xz"):
        monkeypatch.setenv("ACCEPT_SOURCE", asked)
        with pytest.raises(StepFailed, match=sentence):
            sources.accept(got, SERVER)
        assert not list(sources.CACHE.iterdir())
    monkeypatch.setenv("ACCEPT_SOURCE", "micropython_2.orig.tar.xz")
    note = sources.accept(got, SERVER)
    assert note.startswith("micropython_2.orig.tar.xz is not in ")
    # Nor is it used out of the cache by who has not asked for it.
    names = {"micropython": "micropython_2.orig.tar.xz", "mbedtls": "mbedtls_1.orig.tar.bz2"}
    found = {package: sources.CACHE / name for package, name in names.items()}
    assert sources.cached(sources.UNIX) == found
    monkeypatch.delenv("ACCEPT_SOURCE")
    assert sources.cached(sources.UNIX) is None
    assert sources.cached(["mbedtls"]) == {"mbedtls": found["mbedtls"]}
    assert found["micropython"].exists()


def test_all_that_are_not_listed_are_named(got: Path, monkeypatch) -> None:
    (got / "lwip_3.orig.tar.xz").touch()
    monkeypatch.setenv("ACCEPT_SOURCE", "micropython_2.orig.tar.xz")
    wanted = r"ACCEPT_SOURCE='lwip_3\.orig\.tar\.xz micropython_2\.orig\.tar\.xz' "
    with pytest.raises(StepFailed, match=wanted):
        sources.accept(got, SERVER)


def test_a_listed_archive_cannot_be_another(got: Path, monkeypatch) -> None:
    (got / "mbedtls_1.orig.tar.bz2").write_bytes(b"other")
    monkeypatch.setenv("ACCEPT_SOURCE", "mbedtls_1.orig.tar.bz2 micropython_2.orig.tar.xz")
    with pytest.raises(StepFailed, match="does not have the SHA-256 of"):
        sources.accept(got, SERVER)


# npm's and Maven's.


def test_node_packages_have_their_hashes() -> None:
    lock = json.loads((TOOLS / "harness" / "rp2040" / "package-lock.json").read_text())
    packages = {name: about for name, about in lock["packages"].items() if name}
    assert packages
    for about in packages.values():
        kind, _, digest = about["integrity"].partition("-")
        assert kind == "sha512" and len(base64.b64decode(digest)) == 64


def test_maven_has_versions() -> None:
    for pom in JAVA.rglob("pom.xml"):
        tree = ET.parse(pom)
        for kind in ("plugin", "dependency", "parent"):
            for each in tree.iterfind(f".//{{*}}{kind}"):
                assert re.fullmatch(r"[\w.-]+", each.findtext("{*}version", "")), pom


def test_jars_are_the_listed_ones(tmp_path: Path, monkeypatch) -> None:
    module = tmp_path / "server" / "lib"
    module.mkdir(parents=True)
    for name in ("one.jar", "two.jar"):
        (module / name).write_text(name)
    monkeypatch.setattr(leshan, "_JARS", tmp_path / "jars.sha256")
    listed = subprocess.run("sha256sum */lib/*.jar", shell=True, cwd=tmp_path, capture_output=True)
    (tmp_path / "jars.sha256").write_bytes(listed.stdout)
    leshan.check_jars(tmp_path)
    (module / "three.jar").touch()
    with pytest.raises(
        leshan.LeshanError, match=r"server/lib/three.jar is not what jars.sha256 says"
    ):
        leshan.check_jars(tmp_path)
    (module / "three.jar").unlink()
    (module / "one.jar").write_text("another")
    with pytest.raises(
        leshan.LeshanError, match=r"server/lib/one.jar is not what jars.sha256 says"
    ):
        leshan.check_jars(tmp_path)
    (module / "one.jar").unlink()
    with pytest.raises(leshan.LeshanError, match=r"has not brought server/lib/one.jar"):
        leshan.check_jars(tmp_path)


# Files with keys.


def test_a_store_on_a_host_is_private(tmp_path: Path) -> None:
    code = (
        "import lwm2m, sys\n"
        "store = lwm2m.Store(sys.argv[1])\n"
        "store.provision('dev', {0: {0: {0: 'coaps://s', 5: b'a key'}}})\n"
    )
    program = tmp_path / "program.py"
    program.write_text(code)
    before = os.umask(0)
    try:
        done = micropython(program, tmp_path / "store")
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    made = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "store").rglob("accounts")}
    assert made == {0o600}
    folders = [tmp_path / "store", *(tmp_path / "store").iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
