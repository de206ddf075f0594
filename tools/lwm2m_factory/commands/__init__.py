"""What lwm2m-factory's commands do, by what they are about; here what they share.

Each takes what argparse has made of its line, and returns the status of the process, or None for 0. What goes
wrong is a FactoryError.
"""

import argparse
import contextlib
import getpass
import sys
from pathlib import Path
from typing import Iterator, Optional

from .. import FactoryError, former, ledger, schema
from ..board import Board
from ..text import printable


def ask_password(path: Path) -> str:
    return getpass.getpass(f"Password of {path}: ")


def ledger_place(args: argparse.Namespace) -> "str | Path":
    if args.ledger:
        return args.ledger if schema.is_url(args.ledger) else Path(args.ledger)
    return args.config.resolve().parent / ledger.NAME


def former_folders(args: argparse.Namespace) -> "list[Path]":
    # Where factory.log and factory.secrets may lie.
    return [args.config.resolve().parent, Path.cwd()]


def has_ledger(args: argparse.Namespace) -> bool:
    where = ledger_place(args)
    if not isinstance(where, Path) or where.exists():
        return True
    return any((folder / "factory.secrets").exists() for folder in former_folders(args))


@contextlib.contextmanager
def open_ledger(args: argparse.Namespace) -> "Iterator[ledger.Ledger]":
    passphrase = None
    if args.passphrase_file:
        path = args.passphrase_file
        try:
            schema.check_mode(path)
            passphrase = path.read_text(encoding="utf-8").strip()
        except OSError as e:
            raise FactoryError(f"{path} cannot be read: {e.strerror}.") from None
        if not passphrase:
            raise FactoryError(f"{path} is empty: a passphrase stands in it.")

    def ask() -> Optional[str]:
        return getpass.getpass("Passphrase of the secrets: ") if sys.stdin.isatty() else None

    with ledger.Ledger(ledger_place(args), ask, passphrase) as kept:
        for path in former.take_in(kept, former_folders(args)):
            print(
                f"{kept.name} has what was in {path.with_suffix('')}. Its keys are still in {path}: "
                "keep that as safe as before, or erase it.",
                file=sys.stderr,
            )
        yield kept


def existing_ledger(
    args: argparse.Namespace,
) -> "contextlib.AbstractContextManager[ledger.Ledger]":
    if not has_ledger(args):
        raise FactoryError(
            f"There is no ledger {ledger_place(args)}: name the configuration with --config, or the "
            "ledger with --ledger."
        )
    return open_ledger(args)


def sure(args: argparse.Namespace, question: str) -> None:
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise FactoryError(f"{question} Nobody can be asked here: say --yes.")
    if input(f"{question} [yes/no] ").strip().lower() not in ("y", "yes"):
        raise FactoryError("Nothing was done.")


def open_board(port: str, **how: bool) -> Board:
    def step(state: str) -> None:
        print(f"The board on {port} is {state} …", file=sys.stderr)

    return Board(port, step=step, **how)


def say(text: str) -> None:
    # One line of it, whatever a board has said in it.
    print(printable(text))
