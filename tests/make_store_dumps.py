"""Write tests/data/store/VERSION: what this tree leaves in a board's flash, before it is released as
that version. What is there for others is never made anew.

build/venv/bin/python tests/make_store_dumps.py VERSION
"""

import argparse
import re
from pathlib import Path

from conftest import UNIT, micropython

OUT = Path(__file__).resolve().parent / "data" / "store"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version")
    version = parser.parse_args().version
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        parser.error(f"{version}: a version is three numbers, such as 1.0.0")
    folder = OUT / version
    if folder.exists():
        parser.error(f"{folder} is there: that release has been made")
    folder.mkdir(parents=True)
    done = micropython(str(UNIT / "dumps.py"), str(folder), heap="2M")
    if done.returncode:
        raise SystemExit(done.stderr)
    print(*sorted(path.name for path in folder.iterdir()))


if __name__ == "__main__":
    main()
