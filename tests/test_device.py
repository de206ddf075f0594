"""make device: the firmware's main program on this machine."""

import json
import os
import signal
import stat
import subprocess

import pytest
from harness import tool
from harness.awaited import PATIENCE_S
from harness.lines import Lines
from managed import Servers

CONFIG = """\
endpoint = "my-device-{{serial}}"
[network]
type = "wifi"
ssid = "elsewhere"
[bootstrap]
uri = "{uri}"
server = []
[app]
interval = 1
"""


APP = """\
from lwm2m.model import STR, Object, R

def setup(client, settings):
    client.add_object(Object(3303, (5701, R | STR), {0: {5701: "Cel"}}))
"""


@pytest.fixture
def servers():
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture
def start(tmp_path, servers):
    """start(app): the process, and what it says."""
    (tmp_path / "factory.toml").write_text(CONFIG.format(uri=servers.uri))
    started = []

    def start(app):
        path = tmp_path / "app.py"
        path.write_text(app)
        process = subprocess.Popen(
            tool.command(
                "demo.device", path, tmp_path / "factory.toml", "--folder", tmp_path / "flash"
            ),
            env=tool.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started.append(process)
        return process, Lines(process.stdout)

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def interrupt(process):
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    return process.wait(PATIENCE_S)


def test_an_application_is_managed(start, servers, tmp_path):
    process, said = start(APP)
    said.wait_for("my-device-0001: its flash is")
    said.wait_for("server 1: registered")
    assert servers.tell("read", "/3303/0/5701") == "2.05 b'Cel'"
    # A server restarts it, and its accounts are still there.
    seen = len(servers.said.lines)
    assert servers.tell("execute", "/3/0/4").startswith("2.04")
    said.wait_for("The device restarts.")
    servers.said.wait_for("registered my-device-0001")
    assert not any("bootstrapped" in line for line in servers.said.lines[seen:])
    assert interrupt(process) == 0
    assert stat.S_IMODE((tmp_path / "flash").stat().st_mode) == 0o700
    assert json.loads((tmp_path / "flash/record.json").read_text())["endpoint"] == "my-device-0001"


def test_an_error_is_found_by_its_message(start):
    for _ in range(4):  # and there is no safe mode
        process, said = start("def setup(client, settings):\n    raise ValueError('no pin 99')\n")
        said.wait_for("ValueError: no pin 99")
        said.wait_for("The device has crashed: mend the application")
        assert any(line.endswith("/app.py, line 2, in setup") for line in said.lines)
        assert process.wait(PATIENCE_S) == 1


def test_what_is_wrong_is_said(tmp_path):
    done = tool.run("demo.device", tmp_path / "app.py", tmp_path / "factory.toml")
    assert done.returncode == 1 and "is no application" in done.stderr
    (tmp_path / "app.py").touch()
    done = tool.run("demo.device", tmp_path / "app.py", tmp_path / "factory.toml")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "factory.toml" in done.stderr
