"""Print how much flash each part of a board's image takes, and how much heap is free at the prompt.

The parts are those of the linker's map. What is frozen is told apart by MicroPython's mpy-tool.py -f:
"ours" is what the frozen modules take beyond those of the port, and what firmware/ has in C. It is
compared with its budget, and the script fails where it is over. The heap is an emulated board's; how
much of it is free when it has registered over DTLS, `make bench` tells.
"""

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Dict, List

from builds import build_firmware, emulator, stage, steps
from builds.steps import ROOT, rel
from harness.board import Board

from . import size

# Bytes that this project's own part may take, with each role.
BUDGET = {"client": 104 * 1024, "minimal": 72 * 1024}

_FLASH = 0x10000000
_RAM = 0x20000000


def objects(linker_map: str) -> Dict[str, int]:
    """Bytes of flash that each object file takes, and "" for what rounding leaves.

    What the linker put between them, and saved by merging strings, is shared out by their strings.
    """
    text = linker_map[linker_map.index("Linker script and memory map") :]
    end = int(re.search(r"(0x\w+)\s+__flash_binary_end = \.", text)[1], 16)
    # .data, and what is executed from RAM, lies in the flash too.
    data = re.search(r"^\.data\s+(0x\w+)\s+(0x\w+) load address", text, re.M)
    start, length = int(data[1], 16), int(data[2], 16)
    sizes: Dict[str, int] = {}
    strings: Dict[str, int] = {}
    # An input section is a line that begins with a space; a long name is followed by a line end.
    for match in re.finditer(
        r"^ (\S+)\s+(0x\w{8,16})\s+(0x\w+) (\S.*)$(?:\n +(0x\w+) \(size before relaxing\))?",
        text,
        re.M,
    ):
        address, bytes_, name = int(match[2], 16), int(match[3], 16), match[4]
        if not _FLASH <= address < end and not start <= address < start + length:
            continue
        if ".str1." in match[1]:
            # The linker puts equal strings together, and shows all of them as the first one's.
            strings[name] = strings.get(name, 0) + int(match[5] or match[3], 16)
        else:
            sizes[name] = sizes.get(name, 0) + bytes_
    left = end - _FLASH - sum(sizes.values())
    for name, bytes_ in strings.items():
        sizes[name] = sizes.get(name, 0) + left * bytes_ // sum(strings.values())
    sizes[""] = end - _FLASH - sum(sizes.values())
    return sizes


def part(name: str) -> str:
    """Which part an object file belongs to."""
    if "/src/micropython/" not in name and "/firmware/" in name and "frozen_content" not in name:
        return "ours"
    if "/lib/mbedtls" in name:
        return "mbedTLS"
    if "/lib/lwip/" in name:
        return "lwIP"
    return "frozen" if "frozen_content" in name else "MicroPython"


def frozen_stock(board: str, role: str) -> int:
    """Bytes of the frozen modules that are not ours."""
    listed = stage.modules(build_firmware.folder(board, role) / "manifest.py", port="rp2")
    stock: List[stage.Module] = [
        one for one in listed if not {ROOT / "lib", ROOT / "firmware"} & set(one.source.parents)
    ]
    with tempfile.TemporaryDirectory() as folder:
        mpy = Path(folder)
        stage.compiled(stock, mpy)
        return size.frozen([(mpy / one.target).with_suffix(".mpy") for one in stock])


def parts(board: str, role: str) -> Dict[str, int]:
    """Bytes of flash of each part of an image that has been built."""
    linker_map = (build_firmware.folder(board, role) / "firmware.elf.map").read_text()
    sizes = {"MicroPython": 0, "mbedTLS": 0, "lwIP": 0, "ours": 0, "frozen": 0}
    for name, bytes_ in objects(linker_map).items():
        sizes[part(name)] += bytes_
    stock = frozen_stock(board, role)
    sizes["ours"] += sizes.pop("frozen") - stock
    sizes["MicroPython"] += stock
    return sizes


def free_heap(board: str, role: str) -> int:
    """Bytes of heap that are free at the prompt of a board, when main.py has not run."""
    with tempfile.TemporaryDirectory() as folder:
        with Board(Path(folder, "flash.bin"), build_firmware.image(board, role)) as emulated:
            emulated.wait_for("usb")
            # A soft reset from the raw REPL starts without main.py.
            emulated.send(b"\r\x03\x03\x01")
            emulated.expect("raw REPL; CTRL-B to exit\r\n>")
            emulated.send(b"\x04")
            emulated.expect("soft reboot\r\n")
            emulated.expect("raw REPL; CTRL-B to exit\r\n>")
            return int(emulated.run("import gc; gc.collect(); print(gc.mem_free())"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("board", help="a folder of boards/ with an RP2040")
    parser.add_argument("--role", default="client", help="a file of firmware/manifests")
    parser.add_argument("--for", dest="job", default="This", help="whose name to say")
    args = parser.parse_args()
    if args.board in build_firmware.boards() and build_firmware.mcu(args.board) != "rp2040":
        raise SystemExit(
            f"{args.job} can measure images for an RP2040 only; of {args.board}, "
            + (
                "arm-none-eabi-size firmware.elf in the build folder tells the size."
                if build_firmware.is_rp2(args.board)
                else "idf.py size-components in the build folder tells the parts."
            )
        )
    steps.refuse_if_missing(args.job, emulator.missing())
    build_firmware.build(args.board, args.role, args.job)
    emulator.make()

    sizes = parts(args.board, args.role)
    budget = BUDGET.get(args.role)
    for name, bytes_ in sizes.items():
        limit = f"  of {budget:,}" if budget and name == "ours" else ""
        print(f"{name:16}{bytes_:9,} B{limit}")
    print(f"{'flash':16}{sum(sizes.values()):9,} B")
    heap = free_heap(args.board, args.role)
    print(f"{'free heap':16}{heap:9,} B")
    out = build_firmware.folder(args.board, args.role) / "size.json"
    out.write_text(json.dumps({"parts": sizes, "free_heap": heap}, indent=2) + "\n")
    print(f"Written to {rel(out)}.")
    if budget and sizes["ours"] > budget:
        raise SystemExit(
            f"{args.board} with role {args.role}: ours is {sizes['ours'] - budget:,} bytes over "
            f"its budget of {budget:,}."
        )


if __name__ == "__main__":
    steps.main(main)
