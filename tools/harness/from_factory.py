"""A board that leaves the factory: the command lwm2m-factory gives it its identity over its serial port,
and tells the servers of it. Its network is PPP, its servers are on this machine's loopback.
"""

import csv
import json
from pathlib import Path
from typing import Tuple

from builds.steps import ROOT

from . import tool
from .board import Board

ENDPOINT = "urn:dev:ops:32473-1"
SHORT_ID = 7
# An endpoint name for each board, and the emulator's network.
HEAD = """\
endpoint = "urn:dev:ops:32473-{serial}"

[network]
type = "ppp"
uart = 0
tx = 0
rx = 1
chat = []
"""
TOML = """
[app]
interval = 1

[bootstrap]
uri = "coaps://10.64.0.1:%d"
security.mode = "psk"

[[bootstrap.server]]
short_id = 7
uri = "coaps://10.64.0.1:%d"
lifetime = 120
security.mode = "psk"
"""


def factory(folder: Path, *args: object) -> str:
    """What the command prints that is run in a folder."""
    done = tool.factory(folder, *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def provision(
    board: Board,
    folder: Path,
    bootstrap_port: int,
    port: int,
    app: Path = ROOT / "firmware" / "app.py",
    more: str = "",
) -> None:
    """Give a board its application and its identity; the factory's files are in the folder.

    more: sections of its configuration besides.
    """
    board.wait_for("usb")
    board.mpremote("fs", "cp", str(app), ":app.py")
    (folder / "factory.toml").write_text(HEAD + more + TOML % (bootstrap_port, port))
    said = factory(folder, "provision", "factory.toml", "--serial", "1", "--port", board.port)
    assert f"Endpoint  {ENDPOINT}" in said
    assert f"Account   bootstrap: coaps://10.64.0.1:{bootstrap_port} (psk)" in said
    assert not any(key in said for key in keys(folder))


def keys(folder: Path) -> "list[str]":
    """The keys of the bootstrap account and of the one that the bootstrap server gives, in hex."""
    factory(folder, "export", "--to", "csv", "-o", "keys.csv", "--yes")
    with open(folder / "keys.csv", encoding="utf-8", newline="") as f:
        return [row["key"] for row in csv.DictReader(f)]


def exported(folder: Path) -> Tuple[dict, dict]:
    """What our bootstrap server, and our server, are told of the boards of a folder: their tables."""
    tables = []
    for to in ("bootstrap-server", "server"):
        factory(folder, "export", "--to", to, "-o", f"{to}.json", "--short-id", SHORT_ID, "--yes")
        tables.append(json.loads((folder / f"{to}.json").read_text()))
    return tables[0], tables[1]


def for_leshan(folder: Path, endpoint: str = ENDPOINT) -> dict:
    """What Leshan's bootstrap server is told of a board, bytes in hex as harness.leshan has them."""
    factory(folder, "export", "--to", "leshan", "-o", "leshan", "--short-id", SHORT_ID)
    config = json.loads((folder / "leshan/bootstrapStore.json").read_text())[endpoint]
    for security in config["security"].values():
        for name in ("publicKeyOrId", "serverPublicKey", "secretKey"):
            security[name] = bytes(byte & 0xFF for byte in security[name]).hex()
    return config
