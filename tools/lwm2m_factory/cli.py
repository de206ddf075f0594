"""The command lwm2m-factory."""

import argparse
import contextlib
import getpass
import json
import sys
import time
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Sequence

from rich.console import Console

from . import (
    FactoryError,
    __version__,
    batch,
    config,
    export,
    flash,
    former,
    ledger,
    package,
    push,
    report,
    schema,
    verify,
)
from .board import Board
from .canonical import hexadecimal, row_name
from .faults import ConfigError
from .patterns import BOARD_VALUES, names_in
from .ports import listed, only_port
from .sheet import Sheet
from .status import describe, duration
from .text import printable

_REGISTER_S = 180  # a modem's network and a bootstrap server take their time
_LEFT = 3  # the status of a batch that was ended with rows left; 1: a board has failed


def _ask_password(path: Path) -> str:
    return getpass.getpass(f"Password of {path}: ")


def _where(args: argparse.Namespace) -> "str | Path":
    if args.ledger:
        return args.ledger if schema.is_url(args.ledger) else Path(args.ledger)
    return args.config.resolve().parent / ledger.NAME


def _former(args: argparse.Namespace) -> "list[Path]":
    # Where factory.log and factory.secrets may lie.
    return [args.config.resolve().parent, Path.cwd()]


def _is_there(args: argparse.Namespace) -> bool:
    where = _where(args)
    if not isinstance(where, Path) or where.exists():
        return True
    return any((folder / "factory.secrets").exists() for folder in _former(args))


@contextlib.contextmanager
def _open(args: argparse.Namespace) -> "Iterator[ledger.Ledger]":
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

    with ledger.Ledger(_where(args), ask, passphrase) as kept:
        for path in former.take_in(kept, _former(args)):
            print(
                f"{kept.name} has what was in {path.with_suffix('')}. Its keys are still in {path}: "
                "keep that as safe as before, or erase it.",
                file=sys.stderr,
            )
        yield kept


def _existing(args: argparse.Namespace) -> "contextlib.AbstractContextManager[ledger.Ledger]":
    if not _is_there(args):
        raise FactoryError(
            f"There is no ledger {_where(args)}: name the configuration with --config, or the "
            "ledger with --ledger."
        )
    return _open(args)


def _sure(args: argparse.Namespace, question: str) -> None:
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise FactoryError(f"{question} Nobody can be asked here: say --yes.")
    if input(f"{question} [yes/no] ").strip().lower() not in ("y", "yes"):
        raise FactoryError("Nothing was done.")


def _board(port: str, **how: bool) -> Board:
    def step(state: str) -> None:
        print(f"The board on {port} is {state} …", file=sys.stderr)

    return Board(port, step=step, **how)


def _seconds(text: str) -> float:
    try:
        found = float(text)
        if found > 0:
            return found
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text} is no number of seconds")


def _say(text: str) -> None:
    # One line of it, whatever a board has said in it.
    print(printable(text))


# The commands.


def _status(args: argparse.Namespace) -> None:
    with _board(only_port(args.port), asks=True) as board:
        status = board.status()
    if args.json:
        print(json.dumps(status))
        return
    for line in describe(status):
        _say(line)


def _log(args: argparse.Namespace) -> None:
    with _board(only_port(args.port), asks=True, interrupts=False) as board:
        log = board.log()
    if args.json:
        print(json.dumps(log))
        return
    for line in log["lines"]:
        at, _, text = line.partition(" ")
        _say(f"{duration(int(at)):>9}  {text}")
    _say(f"{duration(log['seconds']):>9}  now")


def _ports(args: argparse.Namespace) -> None:
    found = listed()
    for each in found:
        if args.json:
            print(json.dumps(each))
            continue
        known = [each["maker"], each["product"], each["usb"] and f"({each['usb']})"]
        what = " ".join(part for part in known if part) or "not of USB"
        if each["serial_number"]:
            what += f", serial number {each['serial_number']}"
        like = "a board?" if each["board"] else "not tried"
        _say(f"{each['port']}  {like:<9}  {what}")
    if not found and not args.json:
        _say("There is no serial port.")


def _verify(args: argparse.Namespace) -> None:
    port = only_port(args.port)
    with _board(port) as board:
        status = board.status()
        tested = board.selftest()["tested"]
        chip, endpoint = status["chip_id"], status["endpoint"]
        given = record = None
        if _is_there(args):
            with _open(args) as kept, kept.book() as book:
                given = book.board(chip)
                if given is None:
                    raise FactoryError(f"The board {chip} is not in {kept.name}.")
                record = book.record(given)
        proof = verify.compare(status, tested, given, record)
        if not _is_there(args):
            proof.left.append(f"{proof.left.pop()}, as there is no ledger {_where(args)}")
        if proof.faults:
            raise FactoryError(*(f"The board {chip} {fault}" for fault in proof.faults))
        if args.register is not None:
            print(
                f"Waiting until it is registered, {args.register:.0f} s at most …", file=sys.stderr
            )
            verify.registered(proof, board.registered(args.register))
    _say(f"{endpoint} on {port} is as it should be: {', '.join(proof.proved)}.")
    _say(f"Not looked at: {', '.join(proof.left) or 'nothing'}.")


def _app(args: argparse.Namespace) -> None:
    files = package.files(args.folder)
    names = {name for name, _ in files}
    if not names & {"app.py", "app.mpy"}:
        raise FactoryError(f"{args.folder} is no application: it has no app.py.")
    for name in names & {"boot.py", "main.py"}:
        raise FactoryError(f"{args.folder / name} would replace the board's own: rename it.")
    port = only_port(args.port)
    with _board(port) as board:
        board.copy_app(files)
    _say(f"{len(files)} files of {args.folder} are on the board at {port}, which starts now.")


def _reset(args: argparse.Namespace) -> None:
    port = only_port(args.port)
    with _board(port) as board:
        endpoint = board.reset()["endpoint"]
    _say(f"{endpoint} on {port} is back to the factory's accounts.")


def _erase(args: argparse.Namespace) -> None:
    port = only_port(args.port)
    _sure(args, f"The board on {port} will forget its accounts and keys.")
    with _board(port) as board:
        board.erase()
    _say(f"The board on {port} has no accounts any more.")


def _lock(args: argparse.Namespace) -> None:
    port = only_port(args.port)
    _sure(
        args, f"Nobody will get at the board on {port} over its serial port again, this tool too."
    )
    with _board(port) as board:
        board.selftest()
        endpoint = board.lock()["endpoint"]
    _say(f"{endpoint} on {port} is locked; it tells its status, and `unlock` erases it.")


def _unlock(args: argparse.Namespace) -> None:
    port = only_port(args.port)
    _sure(args, f"Everything on the board on {port} will be erased, its firmware aside.")
    with _board(port) as board:
        answer = board.unlock()
    if not answer or not answer.get("ok"):
        raise FactoryError(
            f"The board on {port} could not be unlocked: {(answer or {}).get('error', 'it is silent')}."
        )
    _say(f"The board on {port} is open, and has nothing on it.")


def _load(args: argparse.Namespace) -> config.Config:
    # The configuration, and a look at the CSV with it: what is wrong with either is said together.
    if args.csv is None:
        if args.run is not _batch:
            return config.load(args.config, ("serial",), _ask_password)
        try:
            return config.load(args.config, (), _ask_password)
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
        found = config.load(args.config, sheet.names, _ask_password)
    except ConfigError as e:
        sheet.refuse(e.args)
        raise
    batch.check_sheet(sheet, found)
    return found


def _check(args: argparse.Namespace) -> None:
    found = _load(args)
    if args.csv is None:
        _say(f"{args.config} is right.")
        return
    sheet = Sheet(args.csv)
    given = ""
    if _is_there(args):
        with _open(args) as kept:
            left = batch.Rows(args.csv, found, kept).left()
        given = f" {len(sheet.rows) - left} of them are given." if left is not None else ""
    _say(f"{args.config} and {args.csv} are right: {len(sheet.rows)} rows.{given}")


def _schema(args: argparse.Namespace) -> None:
    print(json.dumps(config.SCHEMA, indent=2, ensure_ascii=False))


def _provision(args: argparse.Namespace) -> None:
    found = _load(args)
    console = Console(stderr=True)
    with _open(args) as kept:
        choose = _choice(args, found, kept)

        def step(state: str, **details) -> None:
            if console.is_terminal:
                console.print(f"{state:<10} …", style="dim", end="\r")

        status = batch.provision(only_port(args.port), found, kept, choose, step)
        for line in describe(status):
            _say(line)
        _say(f"Noted in {kept.name}.")


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


def _batch(args: argparse.Namespace) -> Optional[int]:
    found = _load(args)
    if args.report:
        report.check(args.report)
    console = Console()
    with _open(args) as kept:
        rows = batch.Rows(args.csv, found, kept)
        show = batch.run(found, kept, rows, args.port or [], console, args.json)
        show.left = rows.left()
        written = args.report and report.write(args.report, show, kept)
    if not args.json:
        _say(f"{show.sum()} It took {batch.duration(time.monotonic() - show.started)}.")
        if show.left:
            _say(f"{show.left} rows of {args.csv} are left: the same command goes on.")
        elif show.left == 0:
            _say(f"All {len(rows.rows)} rows of {args.csv} are done.")
        if written:
            _say(f"The report is {written}.")
    if show.count("failed"):
        return 1
    return _LEFT if show.left else 0


def _forget(args: argparse.Namespace) -> None:
    with _existing(args) as kept:
        with kept.book() as book:
            board = book.find(args.who)
        if args.free not in (None, board.endpoint):
            raise FactoryError(
                f"The board {board.chip} has the endpoint {board.endpoint}, and not {args.free}: "
                "nothing was done."
            )
        whose = f"{board.endpoint}, its identities, keys and row"
        _sure(
            args,
            f"The chip {board.chip} may get another identity then, and another board {whose}."
            if args.free
            else f"The chip {board.chip} may get another identity then, and no board {whose}.",
        )
        with kept.book() as book:
            book.forget(book.find(args.who), bool(args.free))
    _say(f"{board.chip} is forgotten; what was done with it is not (`history`).")


def _replace(args: argparse.Namespace) -> None:
    # The configuration may name any column of the row that the first board was given.
    with _existing(args) as kept:
        with kept.book() as book:
            values = book.record(book.find(args.who)).get("values", {})
        found = config.load(args.config, list(values), _ask_password)
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
            _say(line)
        _say(f"It has the place of {args.who}, with keys of its own: export them to the servers.")


def _label(args: argparse.Namespace) -> None:
    if export.is_there("label", args.output):
        _sure(args, f"{args.output} is there already, and will be replaced.")
    with _existing(args) as kept:
        with kept.book() as book:
            board = book.find(args.who)
            if board.state not in (ledger.ASSIGNED, ledger.DONE):
                raise FactoryError(f"The board {board.chip} is {board.state}: it has no label.")
            export.label_file(book.record(board), args.output)
            book.note(ledger.LABELLED, board.chip, board.endpoint, board.row)
    _say(f"{args.output} is the label of {board.endpoint}.")


def _history(args: argparse.Namespace) -> None:
    with _existing(args) as kept:
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
                    _say(f"{event.time}  {event.event:<9}  {event.chip or 'a board'}")
                    for line in (
                        [f"endpoint {event.endpoint}"] if event.endpoint else []
                    ) + listed:
                        _say(f"    {line}")
            if not page:
                break
    if not last:
        raise FactoryError(f"Nothing of {args.who} is in {kept.name}.")


def _flash(args: argparse.Namespace) -> None:
    _say(flash.flash(args.image, args.port, args.drive, args.erase))


def _push(args: argparse.Namespace) -> Optional[int]:
    if args.to != "leshan":
        raise FactoryError("--push is for --to leshan: other forms are files.")
    server = push.Server(args.push, push.headers(args.headers) if args.headers else {})
    if server.is_open:
        _sure(args, f"The keys of all boards will go to {server.url} unencrypted.")
    console = Console(stderr=True)

    def step(count: int) -> None:
        if console.is_terminal and count % 100 == 0:
            console.print(f"{count} …", style="dim", end="\r")

    with _existing(args) as kept:
        export.complete(kept, args.to, _configured(args))
        done = push.push(kept, server, args.short_id, args.yes, step)
        if not any(done):
            raise export.nothing(kept, args.to, args.short_id)
    for line in push.sentences(done, server.url):
        _say(line)
    return 1 if done.other else None


def _configured(args: argparse.Namespace) -> Callable[[List[str]], config.Config]:
    return lambda names: config.load(args.config, names, _ask_password)


def _export(args: argparse.Namespace) -> Optional[int]:
    if args.push:
        return _push(args)
    if export.is_there(args.to, args.output):
        _sure(args, f"{args.output} is there already, and will be replaced.")

    with _existing(args) as kept:
        export.complete(kept, args.to, _configured(args))
        try:
            counts = export.FORMS[args.to](kept, args.output, args.short_id)
        except export.Nothing:
            counts = {}
        if not any(counts.values()):
            raise export.nothing(kept, args.to, args.short_id)
    for name, count in counts.items():
        _say(f"{name}: {count} entries")
    if args.to != "labels":
        _say(f"{args.output} has keys in it; nobody else on this machine may read it.")
    return None


def _package(args: argparse.Namespace) -> None:
    revoked = 0 if args.revoke is None else 1 << args.revoke
    terms = package.Terms(
        args.target, args.number, args.app_version, args.name, args.slot, revoked, args.older
    )
    if args.library:
        if args.what.is_file() or args.romfs:
            raise FactoryError("A library comes as files, with the folder of an application.")
        listed = package.with_library(package.files(args.what), args.library)
        made = package.build(listed, terms, not args.plain)
    elif args.what.is_file():
        made = package.program(args.what, terms)
    elif args.romfs:
        made = package.romfs(package.files(args.what), terms)
    else:
        made = package.build(package.files(args.what), terms, not args.plain)
    if args.key:
        made = package.signed(made, package.load_key(args.key, _ask_password))
    _write(args.output, made)
    _say(f"{args.output}: {len(made)} bytes, for {args.target}, number {args.number}")
    if not args.key:
        _say(f"It is not signed. The digest to be signed is {package.digest(made).hex()}")


def _sign(args: argparse.Namespace) -> None:
    found = _read(args.package)
    if args.key:
        made = package.signed(found, package.load_key(args.key, _ask_password))
    else:
        public = package.load_public(args.public) if args.public else None
        made = package.with_signature(found, _read(args.signature), public)
    _write(args.package, made)
    _say(f"{args.package} is signed.")


def _public_key(args: argparse.Namespace) -> None:
    _say(package.raw_key(package.load_public(args.key)).hex())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise FactoryError(f"{path} cannot be read: {e.strerror}.") from None


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as e:
        raise FactoryError(f"{path} cannot be written: {e.strerror}.") from None


# In the help of each command.
_EXAMPLES = {
    "provision": "factory.toml --serial 0001 --port /dev/ttyACM0",
    "check": "factory.toml boards.csv",
    "schema": "> factory.schema.json",
    "batch": "factory.toml boards.csv --report day.html",
    "ports": "",
    "status": "--port /dev/ttyACM0 --json",
    "log": "--port /dev/ttyACM0",
    "verify": "--port /dev/ttyACM0 --config line3/factory.toml",
    "app": "thermometer --port /dev/ttyACM0",
    "reset": "--port /dev/ttyACM0",
    "erase": "--port /dev/ttyACM0 --yes",
    "unlock": "--port /dev/ttyACM0",
    "lock": "--port /dev/ttyACM0",
    "flash": "firmware.uf2 --drive /media/me/RPI-RP2",
    "forget": "e66038b713952135",
    "replace": "factory.toml urn:dev:ops:32473-0001 --port /dev/ttyACM0",
    "label": "urn:dev:ops:32473-0001 -o label.svg",
    "history": "urn:dev:ops:32473-0001",
    "export": "--to leshan -o leshan --short-id 1",
    "package": "app -o app.lwp --target thermometer-a --number 2 --key one.pem",
    "sign": "app.lwp --key one.pem",
    "public-key": "one.pem",
}
_MORE = {
    "schema": "\nWith `#:schema factory.schema.json` as the first line of factory.toml, editors that know TOML\n"
    "complete and check it.",
    "batch": "\nIts status is 0 where all rows are done, 1 where a board has failed, 3 where it was ended "
    "with\nrows left.",
}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lwm2m-factory",
        description="Give boards their LwM2M identities, over their serial ports.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, f: Callable, text: str) -> argparse.ArgumentParser:
        found = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"Example: lwm2m-factory {name} {_EXAMPLES[name]}".rstrip()
            + _MORE.get(name, ""),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        found.set_defaults(run=f)
        return found

    def port(found: argparse.ArgumentParser) -> None:
        found.add_argument(
            "--port", help="the board's serial port; needed where there are several"
        )

    def as_json(found: argparse.ArgumentParser, text: str) -> None:
        found.add_argument("--json", action="store_true", help=f"for programs: {text}")

    def files(found: argparse.ArgumentParser, config: bool = True) -> None:
        if config:
            found.add_argument(
                "--config",
                type=Path,
                default=Path("factory.toml"),
                help="the configuration, beside which the ledger is (%(default)s)",
            )
        found.add_argument(
            "--ledger",
            help="a file, or postgresql://user@host/database for several machines "
            f"({ledger.NAME} beside the configuration)",
        )
        found.add_argument(
            "--passphrase-file",
            type=Path,
            help="encrypts the ledger's secrets, from now on; of mode 0600",
        )

    one = command("provision", _provision, "give a board its identity")
    one.add_argument("config", type=Path, help="the configuration, TOML")
    one.add_argument("--serial", help="what {serial} is, or which row of the CSV")
    one.add_argument(
        "--csv", type=Path, help="take the next row, or the one of --serial, of a CSV"
    )
    port(one)
    files(one, False)
    checked = command("check", _check, "look for all that is wrong, without a board")
    checked.add_argument("config", type=Path, help="the configuration, TOML")
    checked.add_argument("csv", type=Path, nargs="?", help="the rows, as batch has them")
    files(checked, False)
    command("schema", _schema, "print the JSON Schema of configurations, for editors")
    many = command("batch", _batch, "give many boards theirs, as they are plugged in")
    many.add_argument("config", type=Path, help="the configuration, TOML")
    many.add_argument(
        "csv", type=Path, nargs="?", help="a row a board; without it, boards without end"
    )
    many.add_argument("--report", type=Path, help="a file: what came of each board, and its label")
    many.add_argument("--port", action="append", help="look at this port only; may be repeated")
    as_json(many, "an object an event")
    files(many, False)
    found = command("ports", _ports, "list the serial ports, and which look like boards")
    as_json(found, "an object a port")
    told = command("status", _status, "say what a board is and has")
    port(told)
    as_json(told, "as the board says it")
    told = command("log", _log, "print what a board's program has told last; it goes on")
    port(told)
    as_json(told, "as the board says it")
    checked = command("verify", _verify, "test a board, and compare it with what it was given")
    port(checked)
    checked.add_argument(
        "--register",
        type=_seconds,
        nargs="?",
        const=_REGISTER_S,
        metavar="SECONDS",
        help=f"and wait until it is registered with a server, by default {_REGISTER_S} s at most",
    )
    files(checked)
    copied = command("app", _app, "copy an application onto a board, and start it")
    copied.add_argument("folder", type=Path, help="with app.py, and what it needs")
    port(copied)
    port(command("reset", _reset, "take a board back to its factory accounts"))
    for name, f, text in (
        ("erase", _erase, "let a board forget everything that it was given"),
        ("unlock", _unlock, "open a locked board again, and erase what it has"),
        ("lock", _lock, "close a board's REPL; for this project's images"),
    ):
        found = command(name, f, text)
        port(found)
        found.add_argument("--yes", action="store_true", help="do not ask")
    image = command("flash", _flash, "flash an image: UF2, or an ESP32's with esptool")
    image.add_argument("image", type=Path, help="firmware.uf2 or firmware.bin")
    port(image)
    image.add_argument("--drive", type=Path, help="of the board in its boot loader")
    image.add_argument("--erase", action="store_true", help="ESP32: erase all of it before")
    gone = command("forget", _forget, "let a chip get another identity")
    gone.add_argument("who", help="the chip, or its endpoint name")
    gone.add_argument(
        "--free", metavar="ENDPOINT", help="its endpoint name once more: it may be given again"
    )
    gone.add_argument("--yes", action="store_true", help="do not ask")
    files(gone)
    new = command(
        "replace", _replace, "give a board the place of one that is broken, with new keys"
    )
    new.add_argument("config", type=Path, help="the configuration, TOML")
    new.add_argument("who", help="the broken one's chip, or its endpoint name")
    port(new)
    files(new, False)
    again = command("label", _label, "make a board's label once more")
    again.add_argument("who", help="its chip, or its endpoint name")
    again.add_argument("-o", "--output", type=Path, required=True, help="the file, SVG")
    again.add_argument("--yes", action="store_true", help="replace what is there, and do not ask")
    files(again)
    past = command("history", _history, "say what was done with a chip or an endpoint name")
    past.add_argument("who", help="the chip, or the endpoint name")
    as_json(past, "an object an event")
    files(past)
    out = command("export", _export, "write what servers have to know of the boards")
    out.add_argument("--to", required=True, choices=list(export.FORMS), help="for whom")
    where = out.add_mutually_exclusive_group(required=True)
    where.add_argument("-o", "--output", type=Path, help="a file; a folder for leshan and labels")
    where.add_argument(
        "--push",
        metavar="URL",
        help="of a running Leshan demo server, which is told by its REST calls",
    )
    out.add_argument(
        "--headers",
        type=Path,
        help="for --push, a file of mode 0600: Cookie: … or Authorization: …",
    )
    out.add_argument("--short-id", type=int, help="of the server that is exported for")
    out.add_argument("--yes", action="store_true", help="replace what is there, and do not ask")
    files(out)
    made = command("package", _package, "make a package for an update over the air")
    made.add_argument(
        "what",
        type=Path,
        help="folder of the application, .mpy files and what they need; or an ESP32's micropython.bin",
    )
    made.add_argument("-o", "--output", type=Path, required=True, help="the package")
    made.add_argument("--target", required=True, help="the devices that it is for")
    made.add_argument("--number", type=int, required=True, help="larger in each release")
    made.add_argument("--app-version", default="", help="for people (/5/0/7)")
    made.add_argument("--name", default="", help="for people (/5/0/6)")
    made.add_argument("--key", type=Path, help="sign it with this private key, PEM")
    made.add_argument(
        "--slot",
        type=int,
        choices=(0, 1),
        default=0,
        help="which vendor key that is (%(default)s)",
    )
    made.add_argument(
        "--revoke", type=int, choices=(0, 1), help="trust that vendor key no more, once it is kept"
    )
    made.add_argument("--older", action="store_true", help="let it replace what is newer")
    made.add_argument(
        "--library",
        type=Path,
        metavar="BUNDLE",
        help="with library and firmware, for boards with stock MicroPython: build/bundle/ROLE",
    )
    how = made.add_mutually_exclusive_group()
    how.add_argument("--plain", action="store_true", help="do not deflate it")
    how.add_argument(
        "--romfs",
        action="store_true",
        help="as an image that is executed in place, for boards with slots in their flash",
    )
    sign = command("sign", _sign, "sign a package, or put a signature from elsewhere into it")
    sign.add_argument("package", type=Path)
    how = sign.add_mutually_exclusive_group(required=True)
    how.add_argument("--key", type=Path, help="the private key, PEM")
    how.add_argument("--signature", type=Path, help="a file: DER, or r and s")
    sign.add_argument("--public", type=Path, help="whose signature it must be, PEM")
    public = command("public-key", _public_key, "say what a device has to know of a vendor key")
    public.add_argument("key", type=Path, help="PEM")
    return parser


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command. What goes wrong is a sentence on stderr and the status 1."""
    args = make_parser().parse_args(argv)
    try:
        return args.run(args) or 0
    except FactoryError as e:
        print(e, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nStopped. A board has its old configuration or the new one, whole.", file=sys.stderr
        )
        return 130


if __name__ == "__main__":
    sys.exit(main())
