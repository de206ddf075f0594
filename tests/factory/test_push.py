"""export --push: a fleet is registered with a running Leshan, once, and what was there is said."""

from pathlib import Path

import pytest
from harness.ports import free_port
from harness.tool import factory
from leshan_rest import Rest
from lwm2m_factory import config, identity
from samples import PSK, open_ledger, records

BOARDS = 5
ENDPOINTS = [f"urn:dev:ops:32473-{n}" for n in range(BOARDS)]


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    path = tmp_path / "factory.toml"
    path.write_text(PSK)
    found = config.load(path)
    with open_ledger(tmp_path) as kept, kept.book() as book:
        for n in range(BOARDS):
            values = {"serial": str(n), "chip_id": f"e66038b71395213{n}", "mac": ""}
            book.assign(values["chip_id"], identity.make(found, values))
    return tmp_path


def push(folder: Path, rest: Rest, *args: object):
    return factory(folder, "export", "--to", "leshan", "--push", rest.url, *args)


def test_bootstrap_server(fleet: Path) -> None:
    with Rest() as rest:
        done = push(fleet, rest)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{rest.url}: {BOARDS} new, 0 there already.\n"
        assert sorted(rest.securities) == sorted(rest.configs) == ENDPOINTS
        for record in records(fleet):
            security = record["accounts"][0]["security"]
            assert rest.securities[record["endpoint"]]["tls"] == {
                "mode": "psk",
                "details": {"identity": security["identity"], "key": security["key"]},
            }
        # Again: nothing is told twice.
        calls = rest.calls
        done = push(fleet, rest)
        assert done.stdout == f"{rest.url}: 0 new, {BOARDS} there already.\n"
        assert rest.calls == calls
        # Something else is there: it is kept, and said.
        rest.configs[ENDPOINTS[1]]["servers"]["0"]["lifetime"] = 7
        del rest.configs[ENDPOINTS[2]]
        done = push(fleet, rest)
        assert (done.returncode, done.stdout) == (
            1,
            (
                f"{rest.url}: 1 new, 3 there already.\n"
                f"It has something else of 1 boards, and keeps that without --yes: {ENDPOINTS[1]}.\n"
            ),
        )
        assert rest.configs[ENDPOINTS[1]]["servers"]["0"]["lifetime"] == 7
        done = push(fleet, rest, "--yes")
        assert (done.returncode, done.stdout) == (
            0,
            f"{rest.url}: 0 new, 4 there already, 1 replaced.\n",
        )
        assert rest.configs[ENDPOINTS[1]]["servers"]["0"]["lifetime"] == 86400


def test_server(fleet: Path) -> None:
    with Rest(bootstraps=False) as rest:
        done = push(fleet, rest, "--short-id", 101)
        assert done.stdout == f"{rest.url}: {BOARDS} new, 0 there already.\n", done.stderr
        for record in records(fleet):
            details = rest.securities[record["endpoint"]]["tls"]["details"]
            assert details["identity"] == record["chip_id"]
        # Which server it is has to be said.
        done = push(fleet, rest)
        assert done.returncode == 1 and "choose with --short-id from 101, 7" in done.stderr


def test_it_goes_on_where_it_was(fleet: Path) -> None:
    with Rest() as rest:
        rest.drop_after = 5
        done = push(fleet, rest)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"{rest.url} cannot be reached (")
        assert done.stderr.endswith("it has been told stays; the same command goes on.\n")
        assert (len(rest.securities), len(rest.configs)) == (3, 2)
        rest.drop_after = None
        done = push(fleet, rest)
        assert done.stdout == f"{rest.url}: {BOARDS - 2} new, 2 there already.\n"
        assert sorted(rest.securities) == sorted(rest.configs) == ENDPOINTS


@pytest.mark.parametrize(
    "who", ["Authorization: Bearer t0ken", "Cookie: JSESSIONID=t0ken"], ids=["token", "session"]
)
def test_who_it_is(fleet: Path, who: str) -> None:
    path = fleet / "headers"
    with Rest(who=who) as rest:
        done = push(fleet, rest)
        assert (done.returncode, done.stderr) == (
            1,
            f"{rest.url} asks who you are (401): give its cookie or token with --headers.\n",
        )
        path.write_text(f"{who}\n")
        done = push(fleet, rest, "--headers", path)
        assert done.returncode == 1 and "may be read by others" in done.stderr
        path.chmod(0o600)
        done = push(fleet, rest, "--headers", path)
        assert done.stdout == f"{rest.url}: {BOARDS} new, 0 there already.\n", done.stderr
        assert "t0ken" not in done.stdout + done.stderr
        path.write_text(f"{who}x\n")
        done = push(fleet, rest, "--headers", path)
        assert done.returncode == 1 and "(401)" in done.stderr and "t0ken" not in done.stderr


def test_refused(fleet: Path) -> None:
    with Rest() as rest:
        taken = {
            "endpoint": "another",
            "tls": {"mode": "psk", "details": {"identity": ENDPOINTS[0]}},
        }
        rest.securities["another"] = taken
        done = push(fleet, rest)
        assert (done.returncode, done.stderr) == (
            1,
            (
                f"{rest.url} refuses PUT /api/security/clients/ (400: PSK Identity {ENDPOINTS[0]} is "
                "already used).\n"
            ),
        )
    url = f"http://127.0.0.1:{free_port()}"
    for where, said in (
        (url, f"{url} cannot be reached (NewConnectionError)."),
        ("ftp://x", "--push must be http://host:port or https://host:port, not ftp://x.\n"),
        (
            "http://leshan.example",
            (
                "The keys of all boards will go to http://leshan.example unencrypted. Nobody can be asked "
                "here: say --yes.\n"
            ),
        ),
    ):
        done = factory(fleet, "export", "--to", "leshan", "--push", where)
        assert done.returncode == 1 and done.stderr.startswith(said), done.stderr
