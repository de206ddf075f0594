"""Raw public keys: pairs that are made for boards, and what servers are told of them."""

import csv
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from harness.micropython import micropython
from lwm2m_factory import config, export, identity, image
from samples import VALUES, check_refused, load, open_ledger, records

RPK = """\
endpoint = "sensor-{serial}"
network.type = "none"

[bootstrap]
uri = "coaps://bs.example.org"
security = { mode = "rpk", server_public_key = "server.pem" }

[[bootstrap.server]]
short_id = 1
uri = "coaps://server.example.org"
security = { mode = "rpk", server_public_key = "server.der" }
"""


def write_key(path: Path, curve: ec.EllipticCurve, encoding: serialization.Encoding) -> bytes:
    key = ec.generate_private_key(curve).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(key.public_bytes(encoding, form))
    return key.public_bytes(serialization.Encoding.DER, form)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_key(tmp_path / "server.pem", ec.SECP256R1(), serialization.Encoding.PEM)
    write_key(tmp_path / "server.der", ec.SECP256R1(), serialization.Encoding.DER)
    return tmp_path


def check_pair(public: bytes, private: bytes) -> None:
    key = serialization.load_der_private_key(private, None)
    assert isinstance(key.curve, ec.SECP256R1)
    assert key.public_key() == serialization.load_der_public_key(public)


def test_board(folder: Path) -> None:
    found = load(folder, RPK)
    made = identity.make(found, VALUES)
    account = image.unpack(made.data).state[0][0]
    check_pair(account[3], account[5])
    server = serialization.load_pem_public_key((folder / "server.pem").read_bytes())
    assert serialization.load_der_public_key(account[4]) == server
    assert account[2] == 1
    # Each board and account has a pair of its own, and keeps it where it is given again.
    given = made.record["given"][0]["security"]
    check_pair(bytes.fromhex(given["public_key"]), bytes.fromhex(given["key"]))
    assert given["public_key"] != account[3].hex()
    assert image.unpack(identity.make(found, VALUES).data).state[0][0][3] != account[3]
    again = identity.make(found, VALUES, made.record)
    assert again.data == made.data and again.record == made.record


def test_what_servers_are_told(folder: Path) -> None:
    load(folder, RPK)
    found = config.load(folder / "factory.toml")
    with open_ledger(folder) as kept:
        with kept.book() as book:
            book.assign("chip", identity.make(found, VALUES))
        export.FORMS["bootstrap-server"](kept, folder / "accounts.json", None)
        export.FORMS["server"](kept, folder / "clients.json", 1)
        export.FORMS["leshan"](kept, folder / "leshan", 1)
        export.FORMS["csv"](kept, folder / "boards.csv", None)
    record = records(folder)[0]
    own, given = (record[name][0]["security"] for name in ("accounts", "given"))
    # Our servers' own readers take them.
    done = micropython(
        "-c",
        "from lwm2m.table import load_accounts, plan\n"
        "from lwm2m.clients import credentials_of, load_clients\n"
        "from lwm2m.rpk import identity\n"
        f"table = load_accounts({str(folder / 'accounts.json')!r})\n"
        "values = plan('', table['sensor-0001'])[1][0][1]\n"
        "print(values[2], values[3].hex(), values[4].hex(), values[5].hex())\n"
        f"for t in (table, load_clients({str(folder / 'clients.json')!r})):\n"
        "    print([(i.decode(), e) for i, e in credentials_of(t)[1].items()])\n"
        "for key in ('%s', '%s'):\n"
        % (own["public_key"], given["public_key"])
        + "    print(identity(bytes.fromhex(key)).decode())\n",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    lines = done.stdout.splitlines()
    server = (folder / "server.der").read_bytes().hex()
    assert lines[0] == f"1 {given['public_key']} {server} {given['key']}"
    assert lines[1:3] == [f"[('{digest}', 'sensor-0001')]" for digest in lines[3:]]
    # Leshan's forms.
    stored = json.loads((folder / "leshan/bootstrapStore.json").read_text())["sensor-0001"]
    security = stored["security"]["0"]
    assert security["securityMode"] == "RPK"
    for name, value in (
        ("publicKeyOrId", given["public_key"]),
        ("serverPublicKey", server),
        ("secretKey", given["key"]),
    ):
        assert bytes(byte & 0xFF for byte in security[name]).hex() == value
    for name, value in (("server", given), ("bootstrap", own)):
        call = json.loads((folder / f"leshan/{name}.rest").read_text().splitlines()[0])
        details = {"key": value["public_key"]}
        assert call["body"] == {
            "endpoint": "sensor-0001",
            "tls": {"mode": "rpk", "details": details},
        }
    rows = list(csv.DictReader((folder / "boards.csv").read_text().splitlines()))
    assert [(row["public_key"], row["key"]) for row in rows] == [
        (own["public_key"], ""),  # its private key is in the board only
        (given["public_key"], given["key"]),
    ]


WRONG = [
    (
        '"server.pem"',
        '"none.pem"',
        (
            "line 6, column 28: bootstrap.security.server_public_key FOLDER/none.pem cannot be read: "
            "No such file or directory."
        ),
    ),
    (
        '"server.pem"',
        '"factory.toml"',
        (
            "line 6, column 28: bootstrap.security.server_public_key FOLDER/factory.toml is no public "
            "key in PEM or DER."
        ),
    ),
    (
        '"server.pem"',
        '"other.pem"',
        (
            "line 6, column 28: bootstrap.security.server_public_key FOLDER/other.pem must be a key of "
            "P-256, as boards have."
        ),
    ),
    (
        '"server.der" }',
        '"server.der", cipher_suites = [0xC0AE] }',
        (
            "line 11, column 62: bootstrap.server[1].security.cipher_suites can be given by a bootstrap "
            "server with certificates only."
        ),
    ),
]


@pytest.mark.parametrize(("old", "new", "sentence"), WRONG, ids=[row[2] for row in WRONG])
def test_wrong(folder: Path, old: str, new: str, sentence: str) -> None:
    write_key(folder / "other.pem", ec.SECP384R1(), serialization.Encoding.PEM)
    check_refused(folder, RPK, old, new, sentence)
