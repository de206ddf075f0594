"""What lwm2m-factory exports for Leshan is taken by Leshan, and bootstraps a board."""

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from factory.leshan_rest import Rest
from factory.samples import make_authority
from harness.tool import factory
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
    with ledger.Ledger(folder / ledger.NAME) as kept:
        made = identity.make(config.load(path), {"serial": endpoint})
        with kept.book() as book:
            book.assign("chip", made)
        export.FORMS["leshan"](kept, folder / "leshan", 7)
    found = json.loads((folder / "leshan/bootstrapStore.json").read_text())[endpoint]
    for security in found["security"].values():
        in_hex(security)
    return found


def in_hex(security):
    # Its bytes, as the harness takes them.
    for name in ("publicKeyOrId", "serverPublicKey", "secretKey"):
        security[name] = bytes(byte & 0xFF for byte in security[name]).hex()


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


def test_pushed(leshan, device, endpoint, tmp_path):
    # The demo servers are not on the public Maven repository: the calls are theirs, the stores behind
    # them those of a Leshan that runs, which checks what it gets.
    def on_config(name, config):
        taken = json.loads(json.dumps(config))
        for security in taken["security"].values():
            in_hex(security)
        leshan.bootstrap.call("configure", endpoint=name, config=taken)

    (tmp_path / "factory.toml").write_text(
        BOARD % leshan.bootstrap_uri + SERVER % leshan.server_uri
    )
    with ledger.Ledger(tmp_path / ledger.NAME) as kept, kept.book() as book:
        made = identity.make(config.load(tmp_path / "factory.toml"), {"serial": endpoint})
        book.assign("chip", made)
    with Rest(on_config=on_config) as rest:
        for said in ("1 new, 0 there already", "0 new, 1 there already"):
            done = factory(tmp_path, "export", "--to", "leshan", "--push", rest.url)
            assert done.stdout == f"{rest.url}: {said}.\n", done.stderr
    device(bootstrap_uri=leshan.bootstrap_uri)
    leshan.bootstrap.wait_event("session_finished", endpoint=endpoint)
    assert leshan.server.wait_event("registered", endpoint=endpoint)["lifetime"] == 120


def test_leshan_checks_raw_public_keys(leshan, endpoint, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "server.der").write_bytes(key.public_bytes(*form))
    text = BOARD % leshan.bootstrap_uri + SERVER % "coaps://server.example.org"
    text += 'security = { mode = "rpk", server_public_key = "server.der" }\n'
    found = exported(tmp_path, endpoint, text)
    leshan.bootstrap.call("configure", endpoint=endpoint, config=found)
    found["security"]["0"]["publicKeyOrId"] = "00"
    with pytest.raises(Exception, match=r"(?i)public key"):
        leshan.bootstrap.call("configure", endpoint=endpoint, config=found)
    leshan.bootstrap.call("forget", endpoint=endpoint)
