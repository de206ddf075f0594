"""Print how many bytes of flash the packages take when frozen, and fail when one is over its budget.

The figures are the "total" of MicroPython's mpy-tool.py -f, for code compiled as its manifest says
(-O3), with the settings of an RP2040 board: 32-bit pointers, one byte of hash for each name (an
ESP32 has two). "bytes" counts every name but MicroPython's static ones. "added" is what the package
adds to the total of an image that has the packages it requires, which share names with it: what it
costs a board, and what budgets hold for.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from builds import stage, steps
from builds.steps import BUILD, ROOT, SOURCE, rel

# Bytes of flash that each package may add.
BUDGET = {
    "ucoap": 10 * 1024,
    "lwm2m": 21436,
    "lwm2m-bootstrap": 4 * 1024,
    "lwm2m-connectivity": 3 * 1024,
    "lwm2m-consistency": 1024,
    "lwm2m-access": 2304,
    "lwm2m-device": 1024,
    "lwm2m-diagnostics": 3 * 1024,
    "lwm2m-instances": 1024,
    "lwm2m-ipso": 2 * 1024,
    "lwm2m-queue": 4 * 1024,
    "lwm2m-resume": 1024,
    "lwm2m-rpk": 2 * 1024,
    "lwm2m-security": 1024,
    "lwm2m-tlv": 2 * 1024,
    "lwm2m-update": 8 * 1024,
}

# And that the packages of a role take together, without the device's own code.
IMAGE_BUDGET = {"managed": 104 * 1024, "sensor": 66 * 1024}


def frozen(mpys: Sequence[Path]) -> int:
    """What mpy-tool says that these files take together; a name they share is counted once."""
    done = subprocess.run(
        [sys.executable, SOURCE / "tools" / "mpy-tool.py", "-f", *mpys],
        capture_output=True,
        text=True,
    )
    total = re.search(r"^total: (\d+)$", done.stdout, re.M)
    if total is None:
        raise SystemExit(f"MicroPython's mpy-tool.py gave no total:\n{done.stderr.strip()}")
    return int(total[1])


def measure(listed: List[stage.Module]) -> Tuple[int, int, Dict[str, int]]:
    """Bytes of a manifest's own modules, what they add to those it requires, and of each alone."""
    with tempfile.TemporaryDirectory() as folder:
        mpy = Path(folder)
        stage.compiled(listed, mpy)
        files = {one: (mpy / one.target).with_suffix(".mpy") for one in listed}
        own = {one.target: path for one, path in files.items() if one.own}
        required = [path for one, path in files.items() if not one.own]
        added = frozen(list(files.values())) - (frozen(required) if required else 0)
        alone = {target: frozen([path]) for target, path in own.items()}
        return (frozen(list(own.values())) if own else 0), added, alone


def together(listed: List[stage.Module]) -> int:
    """Bytes of all that a manifest lists, its own and what it requires."""
    with tempfile.TemporaryDirectory() as folder:
        stage.compiled(listed, Path(folder))
        targets = dict.fromkeys(one.target for one in listed)  # what two require is listed twice
        return frozen([Path(folder, target).with_suffix(".mpy") for target in targets])


def over(sizes: Dict[str, int], budget: Dict[str, int]) -> List[str]:
    """A sentence for each package that is over its budget."""
    return [
        f"{name} adds {sizes[name]} bytes of flash, {sizes[name] - limit} over its budget of {limit}."
        for name, limit in budget.items()
        if sizes.get(name, 0) > limit
    ]


def _budget(text: str) -> Tuple[str, int]:
    name, _, limit = text.partition("=")
    if name not in BUDGET or not limit.isdigit():
        raise argparse.ArgumentTypeError(
            f"{text}: give NAME=BYTES, NAME one of {', '.join(BUDGET)}"
        )
    return name, int(limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--budget", action="append", default=[], type=_budget, metavar="NAME=BYTES"
    )
    budget = {**BUDGET, **dict(parser.parse_args().budget)}

    sizes: Dict[str, int] = {}
    added: Dict[str, int] = {}
    alone: Dict[str, int] = {}
    images: Dict[str, int] = {}
    problems: List[str] = []
    print(f"{'package, module':32}{'bytes':>7}{'added':>7}{'budget':>8}")
    for manifest in sorted(ROOT.glob("lib/*/manifest.py"), key=lambda path: path.parent.name):
        name = manifest.parent.name
        try:
            sizes[name], added[name], parts = measure(stage.modules(manifest))
        except stage.StageError as error:
            problems.append(str(error))
            continue
        alone.update(parts)
        print(f"{name:32}{sizes[name]:7}{added[name]:7}{budget.get(name, ''):>8}")
        for target, size in parts.items():
            print(f"  {target:30}{size:7}")
    print("images, with all that they require")
    for manifest in sorted(stage.ROLES.glob("*.py")):
        try:
            images[manifest.stem] = together(stage.modules(manifest))
        except stage.StageError as error:
            problems.append(str(error))
            continue
        limit = IMAGE_BUDGET.get(manifest.stem, "")
        print(f"  {manifest.stem:30}{images[manifest.stem]:7}{limit:>15}")

    record = {"packages": sizes, "added": added, "modules": alone, "images": images}
    out = BUILD / "size.json"
    out.write_text(json.dumps(record, indent=2) + "\n")
    print(f"Written to {rel(out)}.")

    problems += over(added, budget) + over(images, IMAGE_BUDGET)
    if problems:
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    steps.main(main)
