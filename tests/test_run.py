"""make run, in each of its modes."""

import json
import re
import stat
import subprocess

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


# What the reference's flow is to be (iowa-bootstrap.md, Flow), by its operations and by what they do.
REFERENCE = {
    "high": [
        "Delete /: 2.02",
        "Remove Bootstrap Server: 2.04",
        "Add Bootstrap Server: 2.04",
        "Add Server 1: 2.04",
        "Add Server 2: 2.04",
        "Remove Server 2: 2.02",
    ],
    "low": [
        "Discover /: 2.05, / /0/0 /1 /2 /3/0 /3303/0",
        "Delete /: 2.02",
        "Write /0/0 (0 1 2 3 4 5 11): 2.04",
        "Write /0/1 (0 1 2 3 4 5 10): 2.04",
        "Write /1/0 (0 1 6 7 23): 2.04",
        "Read /1/0: 2.05, 0=1 1=60 6=True 7=U 23=False",
        "Discover /: 2.05, / /0/0 /0/1;ssid=1 /1/0;ssid=1 /2 /3/0 /3303/0",
    ],
}
CERTIFICATE = {
    "4 5 11": "4 5 11 14 15",
    "4 5 10": "4 5 10 14 15",
}  # the server's name, and of a CA


def by_level(output):
    """What the servers and the client have said, for each level of operations."""
    found = {}
    level = ""
    for line in output.splitlines()[:-1]:
        name, bar, text = line.partition(" | ")
        if bar:
            found[level].setdefault(name.strip(), []).append(text)
        else:
            level = re.fullmatch("By the (high|low)-level operations:", line)[1]
            found[level] = {}
    return found


@pytest.mark.parametrize("security", ["psk", "rpk", "cert", "none"])
def test_reference_flow(security):
    done = run("--flow", "reference", "--security", security)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    found = by_level(done.stdout)
    assert list(found) == ["high", "low"]
    for level, operations in REFERENCE.items():
        if security == "cert":
            for short, whole in CERTIFICATE.items():
                operations = [each.replace(short, whole) for each in operations]
        assert list(found[level]) == ["servers", "client"]
        servers = found[level]["servers"]
        assert re.fullmatch(r"Listening on port \d+, and on port \d+ as LwM2M Server", servers[0])
        assert servers[1] == "IOWA_Client asks to be bootstrapped"
        end = 2 + len(operations)
        assert servers[2:end] == operations
        # The answer to Finish comes on one socket, the Register on another.
        assert sorted(re.sub(" 12=.*", "", text) for text in servers[end:]) == [
            "Finish: 2.04",
            "IOWA_Client has de-registered",
            "IOWA_Client has registered for 60 s",
            "IOWA_Client has the account 0=1 1=60 6=True 7=U",
        ]
        assert found[level]["client"] == [
            "Server (short ID: 65535): Bootstrapping",
            "Server (short ID: 65535): Bootstrap finished",
            "Server (short ID: 1): Registering",
            "Server (short ID: 1): Registered with lifetime 60s",
            "Server (short ID: 1): Unregistered",
        ]
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"Done in [\d.]+ s: \d+ datagrams, \d+ bytes of UDP payload\.", last)
    accounts = json.loads((FOLDER / "accounts.json").read_text())["IOWA_Client"]
    for account in (accounts["bootstrap"], *accounts["servers"]):
        key = account.get("security", {}).get("key")
        assert (key is None) == (security == "none") and (not key or key not in done.stdout)


def test_wrong_flow_is_named():
    done = run("--flow", "own")
    assert done.returncode == 2
    assert "there is no flow own: it is reference, or left out" in done.stderr


def test_make_hands_the_flow_over():
    done = subprocess.run(
        ["make", "-n", "run", "FLOW=reference", "SECURITY=none"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert '--security none --flow "reference"' in done.stdout
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True)
    assert re.search(r"^make run .*FLOW=reference", done.stdout, re.M)


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
