"""Stock MicroPython and the bundle, flashed in one go, on an emulated RP2040.

The stock image is one of STOCK_PICO, built from the same sources as this project's. The emulator
writes a UF2's blocks to the flash: what the boot ROM makes of the file is not tested.
"""

import subprocess
from pathlib import Path

import listing
import pytest
from builds import build_firmware, bundle
from builds.steps import ROOT
from harness import tool
from harness.board import HOST_S, Board
from harness.from_factory import ENDPOINT, HEAD
from managed import Servers
from test_device import break_in

STOCK = Path(__file__).with_name("STOCK_PICO")
CONFIG = """\
[[server]]
short_id = 1
uri = "%s"
lifetime = 300
security.mode = "none"
"""


def run(*command: object, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd)


@pytest.fixture
def stock(tmp_path):
    """A board that was flashed by `make flash`, through a folder in place of its boot loader's drive."""
    image = build_firmware.build_stock(STOCK, "make test-board")
    drive = tmp_path / "drive"
    drive.mkdir()
    (drive / "INFO_UF2.TXT").write_text("UF2 Bootloader v3.0\nBoard-ID: RPI-RP2\n")
    done = run("make", "flash", "BOARD=RPI_PICO", f"IMAGE={image}", f"DRIVE={drive}")
    assert done.returncode == 0, done.stdout + done.stderr
    with Board(tmp_path / "flash.bin", drive / "firmware.uf2") as board:
        yield board


def test_stock_image_with_the_bundle(stock, tmp_path) -> None:
    stock.expect("the factory has given this board nothing yet")
    stock.expect(">>> ")
    found = sorted(stock.run(listing.PROGRAM).splitlines())
    assert found == listing.of_bundle(bundle.folder("minimal") / "board")
    out = stock.run("import lwm2m, gc; print(lwm2m.__file__); gc.collect(); print(gc.mem_free())")
    assert out.split()[0] == "/lib/lwm2m/__init__.mpy"
    print("free heap:", out.split()[1])

    def factory(*args: str) -> subprocess.CompletedProcess:
        return tool.factory(tmp_path, *args, "--port", stock.port)

    servers = Servers("10.64.0.1")
    try:
        uri = f"coap://10.64.0.1:{servers.port}"
        (tmp_path / "factory.toml").write_text(HEAD + CONFIG % uri)
        done = factory("provision", "factory.toml", "--serial", "1")
        assert done.returncode == 0, done.stdout + done.stderr
        assert ", stock" in done.stdout and f"Endpoint  {ENDPOINT}" in done.stdout
        # It starts and registers, from its file of the factory, also after a power cut.
        servers.said.wait_for("registered " + ENDPOINT, HOST_S)
        stock.kill()
        stock.start()
        servers.said.wait_for("registered " + ENDPOINT, HOST_S)
        assert servers.tell("read", "/3/0/3") == "2.05 b'0.1.0'"
        print("free heap, KB:", servers.tell("read", "/3/0/10"))
    finally:
        servers.close()
    break_in(stock)
    done = factory("lock", "--yes")
    assert done.returncode == 1
    assert "stock MicroPython cannot be locked: flash an image of this project" in done.stderr
