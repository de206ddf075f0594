"""A station of a factory line, for tests of the ledger: all of the tool but the serial ports. Its boards are
files, which hold what a board would.

station.py LEDGER FOLDER FIRST LAST: provisions the boards of these numbers with FOLDER/boards.csv,
and says a line for each; what goes wrong is said, and tried again.
"""

import sys
import time
from pathlib import Path

from lwm2m_factory import FactoryError, batch, config, image, ledger, schema
from lwm2m_factory.sheet import Sheet


class FileBoard:
    """What batch.provision() needs of a board."""

    def __init__(self, port: str, **how):
        self._file = Path(port)

    def __enter__(self):
        return self

    def __exit__(self, *exc) -> None:
        pass

    def status(self) -> dict:
        endpoint = None
        if self._file.exists():
            endpoint = image.unpack(self._file.read_bytes()).endpoint
        about = {"chip_id": self._file.name, "mac": None, "endpoint": endpoint, "image": "ours"}
        return dict(about, board="file", firmware="0")

    def provision(self, data: bytes, step) -> dict:
        new = self._file.with_suffix(".new")
        new.write_bytes(data)
        new.replace(self._file)  # a board has its old configuration or the new one
        return self.status()


def main() -> None:
    where = sys.argv[1] if schema.is_url(sys.argv[1]) else Path(sys.argv[1])
    folder = Path(sys.argv[2])
    batch.Board = FileBoard
    path = folder / "boards.csv"
    found = config.load(folder / "factory.toml", Sheet(path).names)
    with ledger.Ledger(where) as kept:
        rows = batch.Rows(path, found, kept)
        for n in range(int(sys.argv[3]), int(sys.argv[4])):
            port = str(folder / "boards" / f"{n:016x}")
            while True:
                try:
                    batch.provision(port, found, kept, rows.choose, again=False)
                    break
                except FactoryError as e:
                    print(e, flush=True)
                    time.sleep(0.1)
            print(n, flush=True)


main()
