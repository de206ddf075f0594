"""What lwm2m-factory exports for Leshan is taken by Leshan, and bootstraps a board."""

import json

import pytest
from factory.samples import make_authority
from lwm2m_factory import config, export, identity, ledger

BOARD = """\
endpoint = "{serial}"
network.type = "none"

[bootstrap]
uri = "%s"
"""
SERVER = """
[[bootstrap.server]]
short_id = 7
uri = "%s"
lifetime = 120
"""


def exported(folder, endpoint, text):
    """The BootstrapConfig of a board, as Leshan's store gets it; bytes in hex, as the harness does."""
    path = folder / "factory.toml"
    path.write_text(text)
    with ledger.Ledger(folder / "factory.log", folder / "factory.secrets") as kept:
        made = identity.make(config.load(path), {"serial": endpoint})
        kept.assign("chip", made)
    export.FORMS["leshan"](folder / "factory.secrets", folder / "leshan", 7)
    found = json.loads((folder / "leshan/bootstrapStore.json").read_text())[endpoint]
    for security in found["security"].values():
        for name in ("publicKeyOrId", "serverPublicKey", "secretKey"):
            security[name] = bytes(byte & 0xFF for byte in security[name]).hex()
    return found


def test_board_is_bootstrapped(leshan, device, endpoint, tmp_path):
    text = BOARD % leshan.bootstrap_uri + SERVER % leshan.server_uri
    found = exported(tmp_path, endpoint, text)
    leshan.bootstrap.call("configure", endpoint=endpoint, config=found)
    device(bootstrap_uri=leshan.bootstrap_uri)
    leshan.bootstrap.wait_event("session_finished", endpoint=endpoint)
    registered = leshan.server.wait_event("registered", endpoint=endpoint)
    assert registered["lifetime"] == 120


def test_leshan_checks_certificates(leshan, endpoint, tmp_path):
    make_authority(tmp_path)
    text = BOARD % leshan.bootstrap_uri + SERVER % "coaps://server.example.org"
    text += """\
[bootstrap.server.security]
mode = "certificate"
ca_certificate = "ca.pem"
ca_key = "ca.key"
server_certificate = "server.pem"
valid_days = 100
sni = "server.example.org"
"""
    found = exported(tmp_path, endpoint, text)
    leshan.bootstrap.call("configure", endpoint=endpoint, config=found)
    found["security"]["0"]["secretKey"] = found["security"]["0"]["publicKeyOrId"]
    with pytest.raises(Exception, match="Failed to decode RFC5958 private key"):
        leshan.bootstrap.call("configure", endpoint=endpoint, config=found)
    leshan.bootstrap.call("forget", endpoint=endpoint)


@pytest.mark.parametrize("queue", ["false", "true"])
def test_leshan_checks_the_accounts(leshan, endpoint, tmp_path, queue):
    # Leshan's own check of a configuration: keys and identities must fit the Security Mode.
    text = BOARD % leshan.bootstrap_uri + SERVER % "coaps://server.example.org"
    text += f'queue = {queue}\nsecurity.mode = "psk"\n'
    found = exported(tmp_path, endpoint, text)
    leshan.bootstrap.call("configure", endpoint=endpoint, config=found)
    found["security"]["0"]["secretKey"] = ""
    with pytest.raises(Exception, match="secret key must not be empty"):
        leshan.bootstrap.call("configure", endpoint=endpoint, config=found)
    leshan.bootstrap.call("forget", endpoint=endpoint)
