"""pip installs the command from the checkout, and it works without the checkout then."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from builds.steps import ROOT
from pty_board import PtyBoard
from samples import PSK


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with what pip installs."""
    folder = tmp_path_factory.mktemp("install")
    for name in ("tools/lwm2m_factory", "lib"):
        ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
        shutil.copytree(ROOT / name, folder / "checkout" / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder / "checkout")
    pip = [f"{sys.base_prefix}/bin/python3", "-m", "pip", "--python", sys.executable]
    done = subprocess.run(
        [*pip, "install", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
        + ["--target", str(folder / "site"), str(folder / "checkout")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(folder / "checkout")
    return folder / "site"


def test_command(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "factory.toml").write_text(PSK)
    with PtyBoard(tmp_path / "board") as board:
        done = subprocess.run(
            [sys.executable, installed / "bin" / "lwm2m-factory", "provision", "factory.toml"]
            + ["--serial", "1", "--port", str(board.port)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(installed), "PATH": ""},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "factory.secrets").read_text())["endpoint"].endswith("-1")
    code = "import lwm2m_factory.image as i; print(i.store.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == f"{installed}/lwm2m_factory/_lib/lwm2m-store/store.py", (
        done.stderr
    )
