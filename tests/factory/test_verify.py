"""Boards before they are boxed: what is proved of them, what is not, and what is wrong."""

from pathlib import Path

import pytest
from harness.tool import factory
from lwm2m_factory.schema import boards, secrets
from pty_board import PtyBoard
from samples import PSK, open_ledger, records

CHIP = "e66038b713952135"
ENDPOINT = "urn:dev:ops:32473-1"
# Without a bootstrap server's account.
ALONE = PSK[: PSK.index("[bootstrap]")] + PSK[PSK.index("[[server]]") :]

CRASH = """\
with open("/lwm2m-store/crash", "w") as f:
    f.write('["ValueError", "app.py, line 7, in turn"]')
"""
OTHERS = """\
import device.settings as settings
copy, store = settings.load(), settings.store()
state = store.load(copy.endpoint)[0]
for values in state[0].values():
    if values.get(10):
        values[0] = "coaps://other.example.org"
store.commit(copy.endpoint, state)
"""


def change(table, **values):
    def changed(folder: Path) -> None:
        with open_ledger(folder) as kept, kept.book() as book:
            book._connection.execute(table.update().values(values))

    return changed


def of_before(folder: Path) -> None:
    # A record as the files of before have it: without the digest of keys and settings.
    record = records(folder)[0]
    text = '{"accounts": %s, "given": []}' % str(record["accounts"]).replace("'", '"')
    change(secrets, record=text.replace("True", "true").replace("False", "false").encode())(folder)


def in_ledger(how):
    return lambda folder, board: how(folder)


def on_board(code: str):
    def changed(folder: Path, board: PtyBoard) -> None:
        board.power_off()
        board.run(code)
        board.plug()

    return changed


RIGHT = "factory copy, accounts, no crash, what was given, its servers"
REST = "its network and registration"
# The configuration, what has happened since, whether the board is right, and what is said of it.
FATES = [
    (PSK, lambda folder, board: None, True, (RIGHT, REST)),
    (
        PSK,
        on_board(OTHERS),
        True,
        (
            RIGHT.replace(", its servers", ""),
            f"{REST}, its servers, as a bootstrap server has given it others",
        ),
    ),
    (
        ALONE,
        on_board(OTHERS),
        False,
        ("has other servers than it was given: `reset` brings those back.",),
    ),
    (
        PSK,
        on_board(CRASH),
        False,
        ("has crashed (ValueError): `status` shows where, `erase` forgets it.",),
    ),
    (
        PSK,
        in_ledger(change(boards, endpoint="ep-2", mac="28cdc1000002")),
        False,
        (f"was given ep-2, but has {ENDPOINT}.",),
    ),
    (
        PSK,
        in_ledger(of_before),
        True,
        (
            RIGHT.replace("what was given, ", ""),
            f"{REST}, keys and settings, which the ledger does not have of it",
        ),
    ),
]


@pytest.mark.parametrize(
    ("text", "how", "right", "said"), FATES, ids=[fate[-1][-1] for fate in FATES]
)
def test_verify(tmp_path: Path, text: str, how, right: bool, said: "tuple[str]") -> None:
    (tmp_path / "factory.toml").write_text(text)
    with PtyBoard(tmp_path / "board", CHIP) as board:
        port = ("--port", board.port)
        done = factory(tmp_path, "provision", "factory.toml", "--serial", "1", *port)
        assert done.returncode == 0, done.stderr
        how(tmp_path, board)
        done = factory(tmp_path, "verify", *port)
        if right:
            assert (done.returncode, done.stderr, done.stdout) == (
                0,
                "",
                (
                    f"{ENDPOINT} on {board.port} is as it should be: {said[0]}.\n"
                    f"Not looked at: {said[1]}.\n"
                ),
            )
        else:
            faults = "".join(f"The board {CHIP} {fault}\n" for fault in said)
            assert (done.returncode, done.stdout, done.stderr) == (1, "", faults)


def test_all_faults_at_once(tmp_path: Path) -> None:
    (tmp_path / "factory.toml").write_text(ALONE)
    with PtyBoard(tmp_path / "board", CHIP) as board:
        port = ("--port", board.port)
        done = factory(tmp_path, "provision", "factory.toml", "--serial", "1", *port)
        assert done.returncode == 0, done.stderr
        on_board(CRASH + OTHERS)(tmp_path, board)
        of_before(tmp_path)
        done = factory(tmp_path, "verify", *port)
        assert done.stderr.count("\n") == 2 and done.returncode == 1
        # Without the ledger there is less to be compared.
        done = factory(tmp_path, "verify", "--ledger", "none", *port)
        assert done.stderr.count("\n") == 1 and "has crashed" in done.stderr
        assert not (tmp_path / "none").exists()
        done = factory(tmp_path, "verify", "--register=-1", *port)
        assert done.returncode == 2
        assert done.stderr.endswith("--register: -1 is no number of seconds\n")
        # What is mended begins anew.
        assert factory(tmp_path, "erase", "--yes", *port).returncode == 0
        done = factory(tmp_path, "provision", "factory.toml", "--serial", "1", *port)
        assert done.returncode == 0, done.stderr
        done = factory(tmp_path, "verify", "--ledger", "none", *port)
        assert (done.returncode, done.stdout.splitlines()[1]) == (
            0,
            (
                "Not looked at: its network and registration, what it was given, as there is no ledger "
                "none."
            ),
        )
