"""The command lwm2m-factory: its line, and where its commands are."""

import argparse
import sys
from pathlib import Path
from typing import Callable, Optional, Sequence

from . import FactoryError, __version__, export, ledger
from .commands import boards, identities, servers, updates

_REGISTER_S = 180  # a modem's network and a bootstrap server take their time


# In the help of each command.
EXAMPLES = {
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


def _seconds(text: str) -> float:
    try:
        found = float(text)
        if found > 0:
            return found
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text} is no number of seconds")


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
            epilog=f"Example: lwm2m-factory {name} {EXAMPLES[name]}".rstrip()
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

    one = command("provision", identities.give_one, "give a board its identity")
    one.add_argument("config", type=Path, help="the configuration, TOML")
    one.add_argument("--serial", help="what {serial} is, or which row of the CSV")
    one.add_argument(
        "--csv", type=Path, help="take the next row, or the one of --serial, of a CSV"
    )
    port(one)
    files(one, False)
    checked = command("check", identities.check, "look for all that is wrong, without a board")
    checked.add_argument("config", type=Path, help="the configuration, TOML")
    checked.add_argument("csv", type=Path, nargs="?", help="the rows, as batch has them")
    files(checked, False)
    command(
        "schema", identities.print_schema, "print the JSON Schema of configurations, for editors"
    )
    many = command(
        "batch", identities.give_many, "give many boards theirs, as they are plugged in"
    )
    many.add_argument("config", type=Path, help="the configuration, TOML")
    many.add_argument(
        "csv", type=Path, nargs="?", help="a row a board; without it, boards without end"
    )
    many.add_argument("--report", type=Path, help="a file: what came of each board, and its label")
    many.add_argument("--port", action="append", help="look at this port only; may be repeated")
    as_json(many, "an object an event")
    files(many, False)
    found = command(
        "ports", boards.print_ports, "list the serial ports, and which look like boards"
    )
    as_json(found, "an object a port")
    told = command("status", boards.print_status, "say what a board is and has")
    port(told)
    as_json(told, "as the board says it")
    told = command(
        "log", boards.print_log, "print what a board's program has told last; it goes on"
    )
    port(told)
    as_json(told, "as the board says it")
    checked = command(
        "verify", boards.verify_one, "test a board, and compare it with what it was given"
    )
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
    copied = command("app", boards.copy_app, "copy an application onto a board, and start it")
    copied.add_argument("folder", type=Path, help="with app.py, and what it needs")
    port(copied)
    port(command("reset", boards.reset, "take a board back to its factory accounts"))
    for name, f, text in (
        ("erase", boards.erase, "let a board forget everything that it was given"),
        ("unlock", boards.unlock, "open a locked board again, and erase what it has"),
        ("lock", boards.lock, "close a board's REPL; for this project's images"),
    ):
        found = command(name, f, text)
        port(found)
        found.add_argument("--yes", action="store_true", help="do not ask")
    image = command("flash", boards.flash_image, "flash an image: UF2, or an ESP32's with esptool")
    image.add_argument("image", type=Path, help="firmware.uf2 or firmware.bin")
    port(image)
    image.add_argument("--drive", type=Path, help="of the board in its boot loader")
    image.add_argument("--erase", action="store_true", help="ESP32: erase all of it before")
    gone = command("forget", identities.forget, "let a chip get another identity")
    gone.add_argument("who", help="the chip, or its endpoint name")
    gone.add_argument(
        "--free", metavar="ENDPOINT", help="its endpoint name once more: it may be given again"
    )
    gone.add_argument("--yes", action="store_true", help="do not ask")
    files(gone)
    new = command(
        "replace",
        identities.replace,
        "give a board the place of one that is broken, with new keys",
    )
    new.add_argument("config", type=Path, help="the configuration, TOML")
    new.add_argument("who", help="the broken one's chip, or its endpoint name")
    port(new)
    files(new, False)
    again = command("label", identities.make_label, "make a board's label once more")
    again.add_argument("who", help="its chip, or its endpoint name")
    again.add_argument("-o", "--output", type=Path, required=True, help="the file, SVG")
    again.add_argument("--yes", action="store_true", help="replace what is there, and do not ask")
    files(again)
    past = command(
        "history", identities.print_history, "say what was done with a chip or an endpoint name"
    )
    past.add_argument("who", help="the chip, or the endpoint name")
    as_json(past, "an object an event")
    files(past)
    out = command("export", servers.export_boards, "write what servers have to know of the boards")
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
    made = command("package", updates.make_package, "make a package for an update over the air")
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
    sign = command(
        "sign", updates.sign_package, "sign a package, or put a signature from elsewhere into it"
    )
    sign.add_argument("package", type=Path)
    how = sign.add_mutually_exclusive_group(required=True)
    how.add_argument("--key", type=Path, help="the private key, PEM")
    how.add_argument("--signature", type=Path, help="a file: DER, or r and s")
    sign.add_argument("--public", type=Path, help="whose signature it must be, PEM")
    public = command(
        "public-key", updates.print_public_key, "say what a device has to know of a vendor key"
    )
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
