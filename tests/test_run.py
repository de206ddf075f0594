"""make run, in each of its modes."""

import json
import re
import stat

import pytest
from builds.steps import ROOT
from demo.run import Show
from harness import tool

SAID = (
    "client | Server (short ID: 65535): Bootstrapping",
    "client | Server (short ID: 65535): Bootstrap finished",
    "client | Server (short ID: 1): Registered with lifetime 60s",
    "server | IOWA_Client has registered for 60 s",
    "server | Read /3/0: 2.05",
    "server | Write Europe/Berlin to /3/0/15: 2.04",
    "server | Temperature: 21.25",
    "client | Server (short ID: 1): Unregistered",
    "server | IOWA_Client has de-registered",
)


FOLDER = ROOT / "build" / "run"


def run(*args):
    return tool.run("demo.run", *args)


@pytest.mark.parametrize(
    ("args", "written"),
    [
        ((), ["clients.json"]),
        (("--security", "rpk"), ["clients.json", "client.key", "server.key"]),
        (("--security", "cert"), ["client.key", "server.key"]),
        (("--security", "none"), []),
    ],
)
def test_run(args, written):
    # As an older one has left it.
    FOLDER.mkdir(parents=True, exist_ok=True)
    FOLDER.chmod(0o755)
    for name in ("accounts.json", *written):
        (FOLDER / name).touch()
        (FOLDER / name).chmod(0o644)
    done = run(*args)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    for text in SAID:
        assert text in done.stdout
    assert stat.S_IMODE(FOLDER.stat().st_mode) == 0o700
    for name in ("accounts.json", *written):
        assert stat.S_IMODE((FOLDER / name).stat().st_mode) == 0o600
    accounts = json.loads((FOLDER / "accounts.json").read_text())
    server = accounts["IOWA_Client"]["servers"][0]
    assert server["uri"].startswith("coap://" if "none" in args else "coaps://")
    key = server.get("security", {}).get("key")
    assert (key is None) == ("none" in args) and (not key or key not in done.stdout)


def test_readme_shows_what_is_printed():
    text = (ROOT / "README.md").read_text()
    sample = re.search(r"```\n(bootstrap server \|.*?)```", text, re.S)[1].splitlines()
    done = run()

    def names(lines):  # ports, bytes and seconds differ
        return {re.sub(r"\d+", "0", line.strip()) for line in lines}

    assert names(line for line in sample if "…" not in line) <= names(done.stdout.splitlines())


def test_wrong_mode_is_named():
    done = run("--security", "rsa")
    assert done.returncode == 2 and "invalid choice: 'rsa'" in done.stderr


def test_what_peers_send_is_escaped(tmp_path, capsys):
    program = tmp_path / "program.py"
    said = b"\x1b]0;title\x07 a\rb \xc2\x9b \xe2\x80\xae \xff \xc3\xa9"
    program.write_text("import sys\nsys.stdout.buffer.write(%r)\nprint()\n" % said)
    show = Show()
    show.start("client", program)
    show.until("client", None)
    name, _, text = capsys.readouterr().out.partition(" | ")
    assert name.strip() == "client"
    assert text == r"\x1b]0;title\x07 a\rb \x9b \u202e \xff é" + "\n"
