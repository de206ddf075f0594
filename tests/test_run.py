"""make run, in each of its modes."""

import json

import pytest
from builds.steps import ROOT
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


def run(*args):
    return tool.run("demo.run", *args)


@pytest.mark.parametrize("args", [(), ("--security", "cert"), ("--security", "none")])
def test_run(args):
    done = run(*args)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    for text in SAID:
        assert text in done.stdout
    accounts = json.loads((ROOT / "build" / "run" / "accounts.json").read_text())
    server = accounts["IOWA_Client"]["servers"][0]
    assert server["uri"].startswith("coap://" if "none" in args else "coaps://")
    key = server.get("security", {}).get("key")
    assert (key is None) == ("none" in args) and (not key or key not in done.stdout)


def test_wrong_mode_is_named():
    done = run("--security", "rsa")
    assert done.returncode == 2 and "invalid choice: 'rsa'" in done.stderr
