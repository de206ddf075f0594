"""The commands that speak with one board, or look for one."""

import argparse
import json
import sys

from .. import FactoryError, flash, package, verify
from ..ports import listed, only_port
from ..status import describe, duration
from . import has_ledger, ledger_place, open_board, open_ledger, say, sure


def print_status(args: argparse.Namespace) -> None:
    with open_board(only_port(args.port), asks=True) as board:
        status = board.status()
    if args.json:
        print(json.dumps(status))
        return
    for line in describe(status):
        say(line)


def print_log(args: argparse.Namespace) -> None:
    with open_board(only_port(args.port), asks=True, interrupts=False) as board:
        log = board.log()
    if args.json:
        print(json.dumps(log))
        return
    for line in log["lines"]:
        at, _, text = line.partition(" ")
        say(f"{duration(int(at)):>9}  {text}")
    say(f"{duration(log['seconds']):>9}  now")


def print_ports(args: argparse.Namespace) -> None:
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
        say(f"{each['port']}  {like:<9}  {what}")
    if not found and not args.json:
        say("There is no serial port.")


def verify_one(args: argparse.Namespace) -> None:
    port = only_port(args.port)
    with open_board(port) as board:
        status = board.status()
        tested = board.selftest()["tested"]
        chip, endpoint = status["chip_id"], status["endpoint"]
        given = record = None
        if has_ledger(args):
            with open_ledger(args) as kept, kept.book() as book:
                given = book.board(chip)
                if given is None:
                    raise FactoryError(f"The board {chip} is not in {kept.name}.")
                record = book.record(given)
        proof = verify.compare(status, tested, given, record)
        if not has_ledger(args):
            proof.left.append(f"{proof.left.pop()}, as there is no ledger {ledger_place(args)}")
        if proof.faults:
            raise FactoryError(*(f"The board {chip} {fault}" for fault in proof.faults))
        if args.register is not None:
            print(
                f"Waiting until it is registered, {args.register:.0f} s at most …", file=sys.stderr
            )
            verify.registered(proof, board.registered(args.register))
    say(f"{endpoint} on {port} is as it should be: {', '.join(proof.proved)}.")
    say(f"Not looked at: {', '.join(proof.left) or 'nothing'}.")


def copy_app(args: argparse.Namespace) -> None:
    files = package.files(args.folder)
    names = {name for name, _ in files}
    if not names & {"app.py", "app.mpy"}:
        raise FactoryError(f"{args.folder} is no application: it has no app.py.")
    for name in names & {"boot.py", "main.py"}:
        raise FactoryError(f"{args.folder / name} would replace the board's own: rename it.")
    port = only_port(args.port)
    with open_board(port) as board:
        board.copy_app(files)
    say(f"{len(files)} files of {args.folder} are on the board at {port}, which starts now.")


def reset(args: argparse.Namespace) -> None:
    port = only_port(args.port)
    with open_board(port) as board:
        endpoint = board.reset()["endpoint"]
    say(f"{endpoint} on {port} is back to the factory's accounts.")


def erase(args: argparse.Namespace) -> None:
    port = only_port(args.port)
    sure(args, f"The board on {port} will forget its accounts and keys.")
    with open_board(port) as board:
        board.erase()
    say(f"The board on {port} has no accounts any more.")


def lock(args: argparse.Namespace) -> None:
    port = only_port(args.port)
    sure(
        args, f"Nobody will get at the board on {port} over its serial port again, this tool too."
    )
    with open_board(port) as board:
        board.selftest()
        endpoint = board.lock()["endpoint"]
    say(f"{endpoint} on {port} is locked; it tells its status, and `unlock` erases it.")


def unlock(args: argparse.Namespace) -> None:
    port = only_port(args.port)
    sure(args, f"Everything on the board on {port} will be erased, its firmware aside.")
    with open_board(port) as board:
        answer = board.unlock()
    if not answer or not answer.get("ok"):
        raise FactoryError(
            f"The board on {port} could not be unlocked: {(answer or {}).get('error', 'it is silent')}."
        )
    say(f"The board on {port} is open, and has nothing on it.")


def flash_image(args: argparse.Namespace) -> None:
    say(flash.flash(args.image, args.port, args.drive, args.erase))
