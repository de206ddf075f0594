"""The commands that make packages for updates over the air, and sign them."""

import argparse
from pathlib import Path

from .. import FactoryError, package
from . import ask_password, say


def make_package(args: argparse.Namespace) -> None:
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
        made = package.signed(made, package.load_key(args.key, ask_password))
    _write(args.output, made)
    say(f"{args.output}: {len(made)} bytes, for {args.target}, number {args.number}")
    if not args.key:
        say(f"It is not signed. The digest to be signed is {package.digest(made).hex()}")


def sign_package(args: argparse.Namespace) -> None:
    found = _read(args.package)
    if args.key:
        made = package.signed(found, package.load_key(args.key, ask_password))
    else:
        public = package.load_public(args.public) if args.public else None
        made = package.with_signature(found, _read(args.signature), public)
    _write(args.package, made)
    say(f"{args.package} is signed.")


def print_public_key(args: argparse.Namespace) -> None:
    say(package.raw_key(package.load_public(args.key)).hex())


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
