"""The commands that give boards their identities, and keep account of them."""

import argparse
import json
import time
from typing import Optional

from rich.console import Console

from .. import FactoryError, batch, config, export, ledger, report
from ..canonical import hexadecimal, row_name
from ..faults import ConfigError
from ..patterns import BOARD_VALUES, names_in
from ..ports import only_port
from ..sheet import Sheet
from ..status import describe
from . import ask_password, existing_ledger, has_ledger, open_ledger, say, sure

_LEFT = 3  # the status of a batch that was ended with rows left; 1: a board has failed


def _load(args: argparse.Namespace) -> config.Config:
    # The configuration, and a look at the CSV with it: what is wrong with either is said together.
    if args.csv is None:
        if args.run is not give_many:
            return config.load(args.config, ("serial",), ask_password)
        try:
            return config.load(args.config, (), ask_password)
        except ConfigError as e:
            if not any(" has {" in each for each in e.args):
                raise
            raise ConfigError(*e.args, "A CSV would have more names: give it behind the file.")
    if args.config.suffix == ".csv" or args.csv.suffix == ".toml":
        raise FactoryError(
            f"{args.config} is no configuration: name that first, factory.toml boards.csv."
        )
    sheet = Sheet(args.csv)
    try:
        found = config.load(args.config, sheet.names, ask_password)
    except ConfigError as e:
        sheet.refuse(e.args)
        raise
    batch.check_sheet(sheet, found)
    return found


def check(args: argparse.Namespace) -> None:
    found = _load(args)
    if args.csv is None:
        say(f"{args.config} is right.")
        return
    sheet = Sheet(args.csv)
    given = ""
    if has_ledger(args):
        with open_ledger(args) as kept:
            left = batch.Rows(args.csv, found, kept).left()
        given = f" {len(sheet.rows) - left} of them are given." if left is not None else ""
    say(f"{args.config} and {args.csv} are right: {len(sheet.rows)} rows.{given}")


def print_schema(args: argparse.Namespace) -> None:
    print(json.dumps(config.SCHEMA, indent=2, ensure_ascii=False))


def give_one(args: argparse.Namespace) -> None:
    found = _load(args)
    console = Console(stderr=True)
    with open_ledger(args) as kept:
        choose = _choice(args, found, kept)

        def step(state: str, **details) -> None:
            if console.is_terminal:
                console.print(f"{state:<10} …", style="dim", end="\r")

        status = batch.provision(only_port(args.port), found, kept, choose, step)
        for line in describe(status):
            say(line)
        say(f"Noted in {kept.name}.")


def _choice(args: argparse.Namespace, found: config.Config, kept: ledger.Ledger) -> batch.Choose:
    if args.csv:
        rows = batch.Rows(args.csv, found, kept)
        if not args.serial:
            return rows.choose
        row = rows.of_serial(args.serial)
        return lambda book, chip, mac: row
    values = {"serial": args.serial} if args.serial else {}
    if set(found.names()) - set(values):
        raise FactoryError("The configuration needs a serial number: give it with --serial.")
    name = row_name(found.endpoint, values, found.names(), kept.digest, found.key_names())
    return lambda book, chip, mac: (values, name)


def give_many(args: argparse.Namespace) -> Optional[int]:
    found = _load(args)
    if args.report:
        report.check(args.report)
    console = Console()
    with open_ledger(args) as kept:
        rows = batch.Rows(args.csv, found, kept)
        show = batch.run(found, kept, rows, args.port or [], console, args.json)
        show.left = rows.left()
        written = args.report and report.write(args.report, show, kept)
    if not args.json:
        say(f"{show.sum()} It took {batch.duration(time.monotonic() - show.started)}.")
        if show.left:
            say(f"{show.left} rows of {args.csv} are left: the same command goes on.")
        elif show.left == 0:
            say(f"All {len(rows.rows)} rows of {args.csv} are done.")
        if written:
            say(f"The report is {written}.")
    if show.count("failed"):
        return 1
    return _LEFT if show.left else 0


def forget(args: argparse.Namespace) -> None:
    with existing_ledger(args) as kept:
        with kept.book() as book:
            board = book.find(args.who)
        if args.free not in (None, board.endpoint):
            raise FactoryError(
                f"The board {board.chip} has the endpoint {board.endpoint}, and not {args.free}: "
                "nothing was done."
            )
        whose = f"{board.endpoint}, its identities, keys and row"
        sure(
            args,
            f"The chip {board.chip} may get another identity then, and another board {whose}."
            if args.free
            else f"The chip {board.chip} may get another identity then, and no board {whose}.",
        )
        with kept.book() as book:
            book.forget(book.find(args.who), bool(args.free))
    say(f"{board.chip} is forgotten; what was done with it is not (`history`).")


def replace(args: argparse.Namespace) -> None:
    # The configuration may name any column of the row that the first board was given.
    with existing_ledger(args) as kept:
        with kept.book() as book:
            values = book.record(book.find(args.who)).get("values", {})
        found = config.load(args.config, list(values), ask_password)
        if set(names_in(found.endpoint)) & set(BOARD_VALUES):
            raise FactoryError(
                f"The endpoint name {found.endpoint} is made of the board itself: a successor has "
                "another one, and is provisioned as any board."
            )

        def choose(book: ledger.Book, chip: str, mac: str) -> "tuple[dict, str | None]":
            board = book.find(args.who)
            if hexadecimal(board.chip) == hexadecimal(chip):  # it was begun before
                return values, board.row
            book.replace(board, chip)
            return values, board.row

        status = batch.provision(only_port(args.port), found, kept, choose)
        for line in describe(status):
            say(line)
        say(f"It has the place of {args.who}, with keys of its own: export them to the servers.")


def make_label(args: argparse.Namespace) -> None:
    if export.is_there("label", args.output):
        sure(args, f"{args.output} is there already, and will be replaced.")
    with existing_ledger(args) as kept:
        with kept.book() as book:
            board = book.find(args.who)
            if board.state not in (ledger.ASSIGNED, ledger.DONE):
                raise FactoryError(f"The board {board.chip} is {board.state}: it has no label.")
            export.label_file(book.record(board), args.output)
            book.note(ledger.LABELLED, board.chip, board.endpoint, board.row)
    say(f"{args.output} is the label of {board.endpoint}.")


def print_history(args: argparse.Namespace) -> None:
    with existing_ledger(args) as kept:
        last = 0
        while True:
            with kept.book() as book:
                page = book.history(args.who, last)
            for event in page:
                last = event.id
                told = {name: value for name, value in event._asdict().items() if value}
                details = told.pop("details", {})
                if args.json:
                    print(json.dumps({**told, **details}, ensure_ascii=True))
                else:
                    listed = [f"{name} {value}" for name, value in details.items()]
                    say(f"{event.time}  {event.event:<9}  {event.chip or 'a board'}")
                    for line in (
                        [f"endpoint {event.endpoint}"] if event.endpoint else []
                    ) + listed:
                        say(f"    {line}")
            if not page:
                break
    if not last:
        raise FactoryError(f"Nothing of {args.who} is in {kept.name}.")
