"""Flash a board: an image of this project, or stock MicroPython and the bundle in one go."""

import argparse
from pathlib import Path
from typing import Optional

from lwm2m_factory import FactoryError, firmware, flash

from . import build_firmware, bundle, stage, steps
from .steps import rel


def _board(name: Optional[str], job: str) -> str:
    names = build_firmware.boards()
    if not name:
        raise FactoryError(f"{job} needs BOARD=, one of {', '.join(names)}.")
    for each in (name, f"{name}_LWM2M"):  # a stock image's name will do
        if each in names:
            return each
    raise FactoryError(f"There is no board {name!r}: choose from {', '.join(names)}.")


def _check(image: Path, board: str) -> None:
    # That it is an image for this board's chip.
    mcu = build_firmware.mcu(board)
    data = flash.read(image)
    wanted = ".uf2" if build_firmware.is_rp2(board) else ".bin"
    if image.suffix.lower() != wanted:
        raise FactoryError(f"{image} is no file for {board}: it takes a {wanted} file.")
    if build_firmware.is_rp2(board):
        chip = firmware.check_uf2(image, data)
    else:
        chip, _ = firmware.esp_chip(image, data)
    if chip != mcu:
        raise FactoryError(f"{image} is for the {chip}, and {board} has the {mcu}.")


def _flash(args: argparse.Namespace) -> str:
    board = _board(args.board, args.job)
    if args.image is None:
        image = build_firmware.image(board, args.role or "client")
        if not image.exists():
            role = f" ROLE={args.role}" if args.role else ""
            raise FactoryError(
                f"{rel(image)} is not built: run make firmware BOARD={board}{role}, or name an image "
                "of stock MicroPython with IMAGE=."
            )
    else:
        image = args.image
        _check(image, board)
    if not build_firmware.is_rp2(board) and not args.port:
        raise FactoryError(f"{args.job} needs PORT=, where the {board} is: PORT=/dev/ttyUSB0.")
    if args.image is None:
        return flash.flash(image, args.port, args.drive, False)
    about = firmware.stock(image, flash.read(image))
    if about.lacks:
        print(about.lacks)
    bundle.prepare(args.job)
    files = bundle.make(args.role or "minimal") / "board"
    said = flash.flash(
        image,
        args.port,
        args.drive,
        False,
        lambda size, program: bundle.file_system(files, size, program),
    )
    return f"{said}\nIts file system is new: the factory has given it nothing yet."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("board", nargs="?", help="a folder of boards/")
    parser.add_argument("--port", help="the board's serial port")
    parser.add_argument("--drive", type=Path, help="of a Pico in its boot loader")
    parser.add_argument("--image", type=Path, help="stock MicroPython: .uf2 or .bin")
    parser.add_argument("--role", help="a file of firmware/manifests")
    parser.add_argument("--for", dest="job", default="This", help="whose name to say")
    try:
        print(_flash(parser.parse_args()))
    except FactoryError as e:
        text = str(e)
        for option in ("port", "drive"):  # as make has them
            text = text.replace(f"--{option}", f"{option.upper()}=")
        raise SystemExit(text) from None
    except (stage.StageError, bundle.BundleError) as e:
        raise SystemExit(str(e)) from None


if __name__ == "__main__":
    steps.main(main)
