"""What servers are told: read by the servers' own code where it is ours, streamed, and kept private."""

import csv
import io
import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Tuple
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from harness import tool
from harness.micropython import micropython
from lwm2m_factory import FactoryError, config, export, identity, ledger
from lwm2m_factory.schema import boards, secrets
from samples import CERTIFICATE, PSK, VALUES, make_authority, open_ledger


def given(folder: Path, text: str, count: int = 3) -> ledger.Ledger:
    """The ledger of that many boards."""
    (folder / "factory.toml").write_text(text)
    found = config.load(folder / "factory.toml")
    kept = open_ledger(folder).__enter__()
    for n in range(count):
        values = dict(VALUES, serial=f"{n:04}", chip_id=f"chip{n}")
        with kept.book() as book:
            book.assign(f"chip{n}", identity.make(found, values))
    return kept


def check_private(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def under_micropython(code: str, *args: object) -> str:
    """What a program prints under the unix port, with all packages."""
    done = micropython("-c", code, *args, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_our_bootstrap_server(tmp_path: Path) -> None:
    kept = given(tmp_path, PSK)
    out = tmp_path / "accounts.json"
    assert export.FORMS["bootstrap-server"](kept, out, None) == {"accounts.json": 3}
    check_private(out)
    # The server's own reader takes it, and has the board's key for DTLS.
    printed = under_micropython(
        "from lwm2m.table import load_accounts, plan\n"
        "from lwm2m.clients import credentials_of\n"
        f"table = load_accounts({str(out)!r})\n"
        "credentials, identities = credentials_of(table)\n"
        "for endpoint in sorted(table):\n"
        "    values = plan('', table[endpoint])[1][0][1]\n"
        "    print(endpoint, values[0], values[3].decode(), values[5].hex())\n"
        "    print(sorted(identities.items()))\n"
    )
    lines = printed.splitlines()
    for n, record in enumerate(kept.records()):
        endpoint = f"urn:dev:ops:32473-{n:04}"
        key = record["given"][0]["security"]["key"]
        assert lines[2 * n] == f"{endpoint} coaps://later.example.org {endpoint} {key}"
        assert f"(b'{endpoint}', '{endpoint}')" in lines[2 * n + 1]
        own = json.loads(out.read_text())[endpoint]["security"]
        assert own == record["accounts"][0]["security"]


# What the configuration says of notifications and Send of an account, and what it is in the file of
# our Bootstrap Server.
REPORTING = [
    ("", (True, False)),
    ("store_notifications = false\n", (False, False)),
    ("mute_send = true\n", (True, True)),
    ("mute_send = false\nstore_notifications = false\n", (False, False)),
]


@pytest.mark.parametrize(("text", "expected"), REPORTING, ids=[repr(row[0]) for row in REPORTING])
def test_reporting(tmp_path: Path, text: str, expected: Tuple[bool, bool]) -> None:
    kept = given(
        tmp_path, PSK.replace("[[bootstrap.server]]\n", "[[bootstrap.server]]\n" + text), 1
    )
    out = tmp_path / "accounts.json"
    export.FORMS["bootstrap-server"](kept, out, None)
    (entry,) = json.loads(out.read_text()).values()
    account = entry["servers"][0]
    assert (account["store_notifications"], account["mute_send"]) == expected
    printed = under_micropython(
        "from lwm2m.table import load_accounts, plan\n"
        f"for entry in load_accounts({str(out)!r}).values():\n"
        "    server = plan('', entry)[1][0][2]\n"
        "    print(server[6], server[23])\n"
    )
    assert printed.split() == [str(value) for value in expected]
    export.FORMS["leshan"](kept, tmp_path / "leshan", 101)
    (entry,) = json.loads((tmp_path / "leshan/bootstrapStore.json").read_text()).values()
    server = entry["servers"]["0"]
    assert (server["notifIfDisabled"], server["muteSend"]) == expected


def test_reporting_of_a_board_of_before() -> None:
    account = {"short_id": 1, "uri": "coap://x", "lifetime": 300, "binding": "U"}
    account["security"] = {"mode": "none"}
    assert export._config([account])["servers"]["0"]["muteSend"] is False


def test_our_server(tmp_path: Path) -> None:
    kept = given(tmp_path, PSK)
    out = tmp_path / "clients.json"
    with pytest.raises(FactoryError, match="accounts of several servers: choose with --short-id"):
        export.FORMS["server"](kept, out, None)
    assert not list(tmp_path.glob("clients*"))
    assert export.FORMS["server"](kept, out, 101) == {"clients.json": 3}
    check_private(out)
    printed = under_micropython(
        "from lwm2m.clients import load_clients, credentials_of\n"
        f"credentials, identities = credentials_of(load_clients({str(out)!r}))\n"
        "print(sorted(identities.items()))\n"
    )
    expected = ", ".join(f"(b'chip{n}', 'urn:dev:ops:32473-{n:04}')" for n in range(3))
    assert printed == f"[{expected}]\n"


def test_certificates(tmp_path: Path) -> None:
    make_authority(tmp_path)
    kept = given(tmp_path, CERTIFICATE, 1)
    out = tmp_path / "clients.json"
    export.FORMS["server"](kept, out, None)
    assert json.loads(out.read_text()) == {"sensor-0000": {"security": {"mode": "certificate"}}}
    export.FORMS["leshan"](kept, tmp_path / "leshan", None)
    assert json.loads((tmp_path / "leshan/server.rest").read_text())["body"] == {
        "endpoint": "sensor-0000",
        "tls": {"mode": "x509"},
    }
    assert json.loads((tmp_path / "leshan/bootstrapStore.json").read_text()) == {}
    assert (tmp_path / "leshan/bootstrap.rest").read_text() == ""


def test_certificates_that_the_bootstrap_server_gives(tmp_path: Path) -> None:
    make_authority(tmp_path)
    text = CERTIFICATE.replace(
        "[[server]]", '[bootstrap]\nuri = "coap://bs"\n[[bootstrap.server]]'
    )
    text = text.replace("[server.security]", "[bootstrap.server.security]")
    kept = given(tmp_path, text, 1)
    out = tmp_path / "accounts.json"
    export.FORMS["bootstrap-server"](kept, out, None)
    printed = under_micropython(
        "from lwm2m.table import load_accounts, plan\n"
        f"values = plan('', load_accounts({str(out)!r})['sensor-0000'])[1][0][1]\n"
        "for rid in (3, 4, 5): print(values[rid].hex())\n"
        "print(values[2], values[14], values[15], values[16])\n"
    ).splitlines()
    certificate = x509.load_der_x509_certificate(bytes.fromhex(printed[0]))
    key = serialization.load_der_private_key(bytes.fromhex(printed[2]), None)
    assert certificate.public_key() == key.public_key()
    ca = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    certificate.verify_directly_issued_by(ca)
    assert x509.load_der_x509_certificate(bytes.fromhex(printed[1])).issuer == ca.subject
    assert printed[3] == "2 server.example.org 3 {0: 49326}"
    # The board does not have it: only its bootstrap account is in it.
    record = next(kept.records())
    assert [account["uri"] for account in record["accounts"]] == ["coap://bs"]
    export.FORMS["leshan"](kept, tmp_path / "leshan", None)
    store = json.loads((tmp_path / "leshan/bootstrapStore.json").read_text())
    security = store["sensor-0000"]["security"]["0"]
    assert bytes(byte & 255 for byte in security["secretKey"]).hex() == printed[2]
    assert security["certificateUsage"] == "DOMAIN_ISSUER_CERTIFICATE"


def test_leshan(tmp_path: Path) -> None:
    kept = given(tmp_path, PSK.replace("urn:dev:ops:32473-", "a/b"))
    out = tmp_path / "leshan"
    counts = export.FORMS["leshan"](kept, out, 101)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert counts == {"bootstrapStore.json": 3, "bootstrap.rest": 6, "server.rest": 3}
    for name in counts:
        check_private(out / name)
    store = json.loads((out / "bootstrapStore.json").read_text())
    calls = [json.loads(line) for line in (out / "bootstrap.rest").read_text().splitlines()]
    servers = [json.loads(line) for line in (out / "server.rest").read_text().splitlines()]
    for n, record in enumerate(kept.records()):
        endpoint = f"a/b{n:04}"
        later = record["given"][0]["security"]
        security = store[endpoint]["security"]["0"]
        assert bytes(byte & 255 for byte in security["secretKey"]).hex() == later["key"]
        assert all(-128 <= byte < 128 for byte in security["secretKey"])
        assert bytes(security["publicKeyOrId"]).decode() == endpoint
        assert (security["uri"], security["securityMode"]) == ("coaps://later.example.org", "PSK")
        own = record["accounts"][0]["security"]
        assert calls[2 * n] == {
            "method": "PUT",
            "path": "/api/security/clients/",
            "body": {
                "endpoint": endpoint,
                "tls": {"mode": "psk", "details": {"identity": endpoint, "key": own["key"]}},
            },
        }
        assert calls[2 * n + 1] == {
            "method": "POST",
            "path": f"/api/bootstrap/a%2Fb{n:04}",
            "body": store[endpoint],
        }
        key = record["accounts"][1]["security"]["key"]
        assert servers[n]["body"]["tls"]["details"] == {"identity": f"chip{n}", "key": key}


def test_csv(tmp_path: Path) -> None:
    kept = given(tmp_path, PSK)
    out = tmp_path / "keys.csv"
    assert export.FORMS["csv"](kept, out, None) == {"keys.csv": 9}
    check_private(out)
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [(row["account"], row["in_board"]) for row in rows[:3]] == [
        ("bootstrap", "yes"),
        ("101", "yes"),
        ("7", "no"),
    ]
    record = next(kept.records())
    assert rows[1]["key"] == record["accounts"][1]["security"]["key"]


def test_labels(tmp_path: Path) -> None:
    kept = given(tmp_path, PSK.replace("ops:", "ops:<&>"))
    out = tmp_path / "labels"
    assert export.FORMS["labels"](kept, out, None) == {"labels": 3}
    for record in kept.records():
        path = out / (quote(record["endpoint"], safe="") + ".svg")
        text = path.read_text()
        for account in record["accounts"] + record["given"]:
            assert account["security"]["key"] not in text
        svg = "{http://www.w3.org/2000/svg}"
        label = ET.fromstring(text)
        texts = [each.text for each in label.iter(f"{svg}text")]
        numbers = [f"SN {record['endpoint'][-4:]}", f"Chip {record['chip_id']}"]
        assert texts == [record["endpoint"], *numbers]
        # The code's modules: a square of a version's size, with a quiet zone of two.
        side = int(label.find(f"{svg}svg").get("viewBox").split()[2])
        assert (side - 4 - 17) % 4 == 0
        assert len(label.find(f"{svg}svg").findall(f"{svg}path")) == 1


def test_what_the_bootstrap_server_gives_is_said_later(tmp_path: Path) -> None:
    # Boards that were made before it was known: it comes from the configuration, once for all.
    start, end = PSK.index("[[bootstrap.server]]"), PSK.index("[[server]]")
    early = PSK[:start] + PSK[end:]
    early = early.replace("hold_off = 5", "hold_off = 5\nserver = []")
    given(tmp_path, early).__exit__()
    args = ("export", "--to", "bootstrap-server", "-o", "accounts.json", "--yes")
    done = tool.factory(tmp_path, *args)
    assert done.returncode == 1 and done.stderr.endswith(": add a [[bootstrap.server]].\n")
    assert not (tmp_path / "accounts.json").exists()
    (tmp_path / "factory.toml").write_text(PSK)
    tables = []
    for _ in range(2):
        done = tool.factory(tmp_path, *args)
        assert done.returncode == 0, done.stderr
        tables.append(json.loads((tmp_path / "accounts.json").read_text()))
    assert tables[0] == tables[1] and len(tables[0]) == 3
    found = [entry["servers"][0]["security"] for entry in tables[0].values()]
    assert [each["identity"] for each in found] == list(tables[0])
    assert len({each["key"] for each in found}) == 3
    with open_ledger(tmp_path) as kept:
        assert [len(record["accounts"]) for record in kept.records()] == [2, 2, 2]


def test_an_earlier_export_stays_where_a_new_one_fails(tmp_path: Path) -> None:
    kept = given(tmp_path, PSK)
    out = tmp_path / "keys.csv"
    export.FORMS["csv"](kept, out, None)
    before = out.read_bytes()
    with kept.book() as book:
        query = secrets.update().where(secrets.c.board == 3)
        book._connection.execute(query.values(record=b"damaged"))
    with pytest.raises(FactoryError, match=r"secrets of urn:dev:ops:32473-0002 are damaged"):
        export.FORMS["csv"](kept, out, None)
    assert out.read_bytes() == before
    assert not out.with_name("keys.csv.new").exists()


def test_constant_memory(tmp_path: Path) -> None:
    # What the most memory is that it takes, with few boards and with a hundred times as many.
    code = (
        "import re, sys\nfrom pathlib import Path\nfrom lwm2m_factory import export, ledger\n"
        "with ledger.Ledger(Path(sys.argv[1])) as kept:\n"
        "    for form in set(export.FORMS) - {'labels'}:\n"
        "        export.FORMS[form](kept, Path(sys.argv[2], form), 101)\n"
        # Not getrusage(), whose peak is that of this process where that has had more.
        "print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    peaks = []
    for count in (1000, 20000):
        folder = tmp_path / f"many{count}"
        folder.mkdir()
        record = next(given(folder, PSK, 1).records())
        with open_ledger(folder) as kept, kept.book() as book:
            text = json.dumps(record).encode()
            numbers = range(2, count + 1)
            for table, rows in (
                (
                    boards,
                    [
                        {"id": n, "chip": f"c{n}", "endpoint": f"e{n}", "state": "done"}
                        for n in numbers
                    ],
                ),
                (secrets, [{"board": n, "record": text} for n in numbers]),
            ):
                book._connection.execute(table.insert(), rows)
        out = tmp_path / f"out{count}"
        out.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", code, folder / ledger.NAME, out],
            env=tool.environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert (out / "csv").read_text().count("\n") == 3 * count + 1
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 2048, f"{peaks} KB"  # of 17 MB that are read


def test_no_ledger_there(tmp_path: Path) -> None:
    done = tool.factory(tmp_path, "export", "--to", "csv", "-o", "keys.csv")
    assert done.returncode == 1
    assert done.stderr == (
        f"There is no ledger {tmp_path}/factory.ledger: name the configuration with --config, or "
        "the ledger with --ledger.\n"
    )
    assert not list(tmp_path.iterdir())


def test_nothing_is_said(tmp_path: Path) -> None:
    given(tmp_path, PSK, 0)
    for form in export.FORMS:
        done = tool.factory(tmp_path, "export", "--to", form, "-o", f"{form}.out")
        assert done.returncode == 1, form
        said = "There is nothing to export: no board was given anything yet.\n"
        assert done.stderr == said, form
        assert not (tmp_path / f"{form}.out").is_file()
    with open_ledger(tmp_path) as kept, kept.book() as book:
        found = config.load(tmp_path / "factory.toml")
        book.assign("chip", identity.make(found, dict(VALUES, chip_id="chip")))
    args = ("export", "--to", "server", "-o")
    done = tool.factory(tmp_path, *args, "x", "--short-id", "99")
    assert (done.returncode, done.stderr) == (
        1,
        (
            "There is nothing to export: no board has an account of server 99: choose from 7, "
            "101.\n"
        ),
    )
    assert not (tmp_path / "x").exists()
    done = tool.factory(tmp_path, *args, "no/x", "--short-id", "101")
    assert (done.returncode, done.stderr) == (
        1,
        "no/x cannot be written: there is no folder no.\n",
    )


def test_no_bootstrap_server(tmp_path: Path) -> None:
    start, end = PSK.index("[bootstrap]"), PSK.index("[[server]]")
    given(tmp_path, PSK[:start] + PSK[end:], 1).__exit__()
    for form in ("bootstrap-server", "leshan"):
        args = ("export", "--to", form, "-o", "x", *(["--short-id", "9"] * (form == "leshan")))
        done = tool.factory(tmp_path, *args)
        words = {
            "leshan": "no board has an account of server 9: choose from 101",
            "bootstrap-server": "no board has an account of a bootstrap server, which [bootstrap] "
            "gives",
        }
        assert done.stderr == f"There is nothing to export: {words[form]}.\n"


def test_counts_whatever_the_file_is_called(tmp_path: Path) -> None:
    with given(tmp_path, PSK, 3) as kept:
        for form, count in (("csv", 9), ("bootstrap-server", 3)):
            assert export.FORMS[form](kept, tmp_path / f"{form}.txt", None) == {
                f"{form}.txt": count
            }


def test_files_that_are_not_replaced(tmp_path: Path) -> None:
    kept = given(tmp_path, PSK)
    (tmp_path / "link").symlink_to("factory.toml")
    for path in (tmp_path / "link", tmp_path, Path("/dev/null")):
        with pytest.raises(FactoryError, match="is no file that can be replaced"):
            export.FORMS["csv"](kept, path, None)
    assert (tmp_path / "factory.toml").read_text() == PSK


COUNTS = {
    "leshan": (
        "bootstrapStore.json: 3 entries",
        "bootstrap.rest: 6 entries",
        "server.rest: 3 entries",
    ),
    "bootstrap-server": ("out: 3 entries",),
    "server": ("out: 3 entries",),
    "csv": ("out: 9 entries",),
    "labels": ("out: 3 entries",),
}


@pytest.mark.parametrize("form", export.FORMS)
def test_what_is_there_is_asked_about(tmp_path: Path, form: str) -> None:
    given(tmp_path, PSK).__exit__()
    args = ("export", "--to", form, "-o", "out", "--short-id", "101")
    done = tool.factory(tmp_path, *args)
    assert done.returncode == 0, done.stderr
    # Of three boards, each with the accounts of a bootstrap server and two others.
    for line in COUNTS[form]:
        assert line in done.stdout.splitlines(), done.stdout
    out = tmp_path / "out"
    before = {path: path.stat().st_mtime_ns for path in (out, *out.rglob("*"))}
    done = tool.factory(tmp_path, *args)
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "out is there already, and will be replaced. Nobody can be asked here: say --yes.\n",
    )
    assert {path: path.stat().st_mtime_ns for path in (out, *out.rglob("*"))} == before
    done = tool.factory(tmp_path, *args, "--yes")
    assert done.returncode == 0, done.stderr
    # What is no file is not replaced, whoever says yes.
    (tmp_path / "link").symlink_to("factory.toml")
    for name in ("link", "/dev/null"):
        done = tool.factory(tmp_path, *args[:4], name, *args[5:], "--yes")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"{name} is no file that can be replaced: name another one.\n"
    assert (tmp_path / "factory.toml").read_text() == PSK


def test_labels_stay_in_their_folder(tmp_path: Path) -> None:
    with given(tmp_path, PSK, 1) as kept:
        out = tmp_path / "out"
        out.mkdir()
        name = quote(next(kept.records())["endpoint"], safe="") + ".svg"
        (out / name).symlink_to(tmp_path / "factory.toml")
        with pytest.raises(FactoryError, match="is no file that can be replaced"):
            export.FORMS["labels"](kept, out, None)
    assert (tmp_path / "factory.toml").read_text() == PSK


def test_formulas(tmp_path: Path) -> None:
    with given(tmp_path, PSK, 0) as kept:
        found = config.load(tmp_path / "factory.toml")
        for n, lead in enumerate("=+-@"):
            made = identity.make(found, dict(VALUES, chip_id=f"c{n}", serial=str(n)))
            with kept.book() as book:
                book.assign(f"c{n}", replace(made, endpoint=f"{lead}cmd|'/C_calc'!A0"))
    done = tool.factory(tmp_path, "export", "--to", "csv", "-o", "keys.csv")
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "keys.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert [row["endpoint"][:2] for row in rows[::3]] == ["'=", "'+", "'-", "'@"]
    for row in rows:
        assert not [text for text in row.values() if text.startswith(("=", "+", "-", "@"))]


def test_label_names(tmp_path: Path) -> None:
    # Each board has a file of its own, in the folder, on a file system without case as well.
    names = ["a", "A", ".", "..", "../a", "x" * 250, "x" * 249 + "y", "/etc", "a/../../b"]
    with given(tmp_path, PSK, 0) as kept:
        for n, name in enumerate(names):
            record = {"accounts": [], "given": []}
            with kept.book() as book:
                book.assign(f"c{n}", identity.Identity(name, b"", record))
    done = tool.factory(tmp_path, "export", "--to", "labels", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert str(len(names)) in done.stdout
    found = [path.name.lower() for path in (tmp_path / "out").iterdir()]
    assert len(set(found)) == len(names)
    assert not [name for name in found if name.startswith(".")]
