"""The command that tells servers of the boards: into a file, or by their REST calls."""

import argparse
from typing import Callable, List, Optional

from rich.console import Console

from .. import FactoryError, config, export, push
from . import ask_password, existing_ledger, say, sure


def _push(args: argparse.Namespace) -> Optional[int]:
    if args.to != "leshan":
        raise FactoryError("--push is for --to leshan: other forms are files.")
    server = push.Server(args.push, push.headers(args.headers) if args.headers else {})
    if server.is_open:
        sure(args, f"The keys of all boards will go to {server.url} unencrypted.")
    console = Console(stderr=True)

    def step(count: int) -> None:
        if console.is_terminal and count % 100 == 0:
            console.print(f"{count} …", style="dim", end="\r")

    with existing_ledger(args) as kept:
        export.complete(kept, args.to, _configured(args))
        done = push.push(kept, server, args.short_id, args.yes, step)
        if not any(done):
            raise export.nothing(kept, args.to, args.short_id)
    for line in push.sentences(done, server.url):
        say(line)
    return 1 if done.other else None


def _configured(args: argparse.Namespace) -> Callable[[List[str]], config.Config]:
    return lambda names: config.load(args.config, names, ask_password)


def export_boards(args: argparse.Namespace) -> Optional[int]:
    if args.push:
        return _push(args)
    if export.is_there(args.to, args.output):
        sure(args, f"{args.output} is there already, and will be replaced.")

    with existing_ledger(args) as kept:
        export.complete(kept, args.to, _configured(args))
        try:
            counts = export.FORMS[args.to](kept, args.output, args.short_id)
        except export.Nothing:
            counts = {}
        if not any(counts.values()):
            raise export.nothing(kept, args.to, args.short_id)
    for name, count in counts.items():
        say(f"{name}: {count} entries")
    if args.to != "labels":
        say(f"{args.output} has keys in it; nobody else on this machine may read it.")
    return None
