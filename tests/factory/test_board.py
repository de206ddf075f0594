"""Boards: the unix port with a raw REPL at a pseudo-terminal, and what can go wrong with them."""

import fcntl
import json
import os
import pty
import re
import signal
import stat
import subprocess
import threading
import tty
from pathlib import Path
from typing import Callable

import pytest
from harness import tool
from harness.awaited import PATIENCE_S, eventually
from harness.lines import Lines
from harness.tool import factory
from lwm2m_factory import FactoryError, cli, config, identity, image, ports
from lwm2m_factory.board import Board, Unplugged
from lwm2m_factory.line import Line
from mpremote.transport import TransportError
from pty_board import PtyBoard
from serial.tools.list_ports_common import ListPortInfo
from samples import CERTIFICATE, PSK, events, keys_of, records

# What a board starts with, as its main program has it: what JSON is printed.
GIVEN = """\
import json, device.settings as settings
copy = settings.load()
state = copy and settings.store().load(copy.endpoint)[0]
print(json.dumps(copy and [copy.endpoint, sorted(copy.values["app"].items()),
    [[state[0][iid][0], repr(state[0][iid][5])] for iid in sorted(state[0])]]))
"""
# Files up to the end, as one that cannot be closed is lost.
FILL = """\
os.mkdir("full")
n = 0
try:
    while True:
        with open("full/%d" % n, "wb") as f:
            f.write(bytes(4096))
        n += 1
except OSError:
    pass
"""
CHIP = "e66038b713952135"


@pytest.fixture
def board(tmp_path: Path):
    with PtyBoard(tmp_path / "board", CHIP) as found:
        yield found


@pytest.fixture
def port(tmp_path: Path):
    """Of a board with nothing on it that matters: FACTORY_PORT names a real or emulated one."""
    named = os.environ.get("FACTORY_PORT")
    if named:
        yield named
    else:
        with PtyBoard(tmp_path / "board") as found:
            yield found.port


def test_provision_verify_reset_erase(tmp_path: Path, board: PtyBoard) -> None:
    (tmp_path / "factory.toml").write_text(PSK)
    port = ("--port", board.port)
    done = factory(tmp_path, "provision", "factory.toml", "--serial", "0001", *port)
    assert done.returncode == 0, done.stderr
    keys = keys_of(records(tmp_path)[0])
    assert len(keys) == 3
    assert "Endpoint  urn:dev:ops:32473-0001" in done.stdout
    assert "Account   bootstrap: coaps://bs.example.org (psk)" in done.stdout
    assert stat.S_IMODE((tmp_path / "factory.ledger.secrets").stat().st_mode) == 0o600
    noted = events(tmp_path)
    assert [event.event for event in noted] == ["assigned", "done"]
    for event in noted:
        assert event.chip == CHIP and event.endpoint == "urn:dev:ops:32473-0001"
    for key in keys:
        assert key not in done.stdout + done.stderr
        assert key.encode() not in (tmp_path / "factory.ledger").read_bytes()

    done = factory(tmp_path, "verify", *port)
    assert done.returncode == 0, done.stderr
    assert "factory copy, accounts, no crash, what was given, its servers." in done.stdout

    # The same again changes nothing, neither on the board nor in what was given.
    before = records(tmp_path)
    done = factory(tmp_path, "provision", "factory.toml", "--serial", "0001", *port)
    assert done.returncode == 0, done.stderr
    assert records(tmp_path) == before

    # It has one identity for good, and nobody else gets it.
    done = factory(tmp_path, "provision", "factory.toml", "--serial", "0002", *port)
    assert done.returncode == 1
    assert done.stderr == (
        f"The board {CHIP} was given the endpoint urn:dev:ops:32473-0001 already, and would get "
        "urn:dev:ops:32473-0002: no board has two.\n"
    )
    with PtyBoard(tmp_path / "other", "e66038b713952136") as other:
        args = ("--serial", "0001", "--port", other.port)
        done = factory(tmp_path, "provision", "factory.toml", *args)
        assert done.returncode == 1
        assert done.stderr == (
            f"The endpoint urn:dev:ops:32473-0001 was given to the board {CHIP} already: no "
            "identity is given twice.\n"
        )
        done = factory(tmp_path, "verify", "--port", other.port)
        assert done.returncode == 1
        assert "refuses: the factory has given this board nothing yet." in done.stderr

    # Another configuration under the same name: keys stay, the rest is replaced.
    (tmp_path / "factory.toml").write_text(PSK.replace("interval = 60", "interval = 90"))
    done = factory(tmp_path, "provision", "factory.toml", "--serial", "0001", *port)
    assert done.returncode == 0, done.stderr
    (record,) = records(tmp_path)
    assert keys_of(record) == keys
    done = factory(tmp_path, "verify", *port)
    assert done.returncode == 0, done.stderr

    assert factory(tmp_path, "reset", *port).returncode == 0
    done = factory(tmp_path, "erase", *port)
    assert done.returncode == 1 and "Nobody can be asked here: say --yes." in done.stderr
    done = factory(tmp_path, "erase", "--yes", *port)
    assert done.returncode == 0, done.stderr
    done = factory(tmp_path, "status", *port)
    assert "Endpoint  none: the factory has given it nothing yet" in done.stdout
    done = factory(tmp_path, "lock", "--yes", *port)
    assert done.returncode == 1 and "the factory has given this board nothing yet" in done.stderr


def test_an_application(tmp_path: Path, board: PtyBoard) -> None:
    port = ("--port", board.port)
    app = tmp_path / "thermometer"
    (app / "sensors").mkdir(parents=True)
    done = factory(tmp_path, "app", "thermometer", *port)
    assert done.returncode == 1 and "thermometer has no files" in done.stderr
    (app / "sensors" / "ds18.py").write_text("VALUE = 21\n")
    done = factory(tmp_path, "app", "thermometer", *port)
    assert done.returncode == 1 and "it has no app.py" in done.stderr
    for value in (21, 22):  # and a newer one takes its place
        (app / "sensors" / "ds18.py").write_text(f"VALUE = {value}\n")
        (app / "app.py").write_text("from sensors.ds18 import VALUE\n" + "# long\n" * 2000)
        done = factory(tmp_path, "app", "thermometer", *port)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("2 files of thermometer are on the board at")
        board.power_off()
        code = "import os, app; print(app.VALUE, sorted(os.listdir('/')), os.listdir('/sensors'))"
        assert board.run(code) == f"{value} ['app.py', 'lib', 'rom', 'sensors'] ['ds18.py']\n"
        board.plug()
    (app / "main.py").touch()
    done = factory(tmp_path, "app", "thermometer", *port)
    assert done.returncode == 1 and "would replace the board's own" in done.stderr
    (app / "main.py").unlink()
    (app / "data.bin").write_bytes(bytes(300000))
    done = factory(tmp_path, "app", "thermometer", *port)
    assert done.returncode == 1 and "is full" in done.stderr


def test_any_board(tmp_path: Path, port: str) -> None:
    # From nothing to nothing; what boards have in common, be they of silicon or not.
    text = re.sub(r'type = "wifi"\n(.*\n)*?\n', 'type = "none"\n\n', PSK)
    (tmp_path / "factory.toml").write_text(text)
    assert factory(tmp_path, "erase", "--yes", "--port", port).returncode == 0
    done = factory(tmp_path, "status", "--port", port)
    assert "Endpoint  none" in done.stdout, done.stderr
    args = ("provision", "factory.toml", "--serial", "1", "--port", port)
    for text in (text, text.replace("interval = 60", "interval = 90")):
        (tmp_path / "factory.toml").write_text(text)
        done = factory(tmp_path, *args)
        assert done.returncode == 0, done.stderr
        assert "Endpoint  urn:dev:ops:32473-1" in done.stdout
        for command in ("verify", "reset", "verify"):
            done = factory(tmp_path, command, "--port", port)
            assert done.returncode == 0, done.stderr
    done = factory(tmp_path, "erase", "--yes", "--port", port)
    assert done.returncode == 0, done.stderr
    done = factory(tmp_path, "verify", "--port", port)
    assert "the factory has given this board nothing yet" in done.stderr


def test_certificate(authority: Path, board: PtyBoard) -> None:
    (authority / "factory.toml").write_text(CERTIFICATE)
    args = ("provision", "factory.toml", "--serial", "7", "--port", board.port)
    done = factory(authority, *args)
    assert done.returncode == 0, done.stderr
    assert "Account   1: coaps://server.example.org (certificate)" in done.stdout
    text = "".join(map(repr, [*records(authority), *events(authority)]))
    board.power_off()
    code = "import device.settings as settings; print(settings.load().state[0][0][5].hex())"  # its key
    key = board.run(code).strip()
    assert len(key) > 200 and key not in text


def test_lock_is_refused_on_stock_micropython(tmp_path: Path, board: PtyBoard) -> None:
    (tmp_path / "factory.toml").write_text(PSK.replace("led = 25", "locked = true"))
    args = ("--serial", "1", "--port", board.port)
    done = factory(tmp_path, "provision", "factory.toml", *args)
    assert done.returncode == 1
    assert "runs stock MicroPython, which cannot be locked: flash an image" in done.stderr
    assert not records(tmp_path)
    (tmp_path / "factory.toml").write_text(PSK)
    assert factory(tmp_path, "provision", "factory.toml", *args).returncode == 0
    done = factory(tmp_path, "lock", "--yes", "--port", board.port)
    assert done.returncode == 1
    assert "refuses: stock MicroPython cannot be locked" in done.stderr


# What is wrong with boards and ports.


def test_no_port(tmp_path: Path) -> None:
    done = factory(tmp_path, "status", "--port", tmp_path / "ttyUSB0")
    assert done.returncode == 1
    assert done.stderr == f"There is no port {tmp_path}/ttyUSB0: is the board plugged in?\n"


def test_busy_port(tmp_path: Path, board: PtyBoard) -> None:
    with open(board.port, "rb", buffering=0) as other:
        fcntl.flock(other, fcntl.LOCK_EX)  # as pyserial holds an exclusive port
        done = factory(tmp_path, "status", "--port", board.port)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{board.port} is busy: another program has it open")


@pytest.mark.parametrize("port", ["/etc/passwd", "/dev/null", "/etc"])
def test_no_serial_port(tmp_path: Path, port: str) -> None:
    done = factory(tmp_path, "status", "--port", port)
    assert (done.returncode, done.stderr) == (1, f"{port} is no serial port.\n")


def test_status_for_programs(tmp_path: Path, board: PtyBoard) -> None:
    done = factory(tmp_path, "status", "--json", "--port", board.port)
    assert json.loads(done.stdout)["chip_id"] == CHIP, done.stderr


# What no board says: a command line of other firmware, a GPS receiver, and noise without a pause. Each is an
# answer to what was read, or said all the time.
OTHERS = [
    (b"ERROR: unknown command\r\n> ", True),
    (b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n", False),
    (b"\x00\xff" * 500, False),
]


class Other:
    """A device at a pseudo-terminal that is no board."""

    def __init__(self, said: bytes, asked: bool):
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._said, self._asked = said, asked
        threading.Thread(target=self._talk, daemon=True).start()

    def _talk(self) -> None:
        try:
            while not self._asked or os.read(self._master, 100):
                os.write(self._master, self._said)  # which waits until it is read
        except OSError:
            pass


@pytest.mark.parametrize(("said", "asked"), OTHERS, ids=["other firmware", "GPS", "noise"])
def test_not_micropython(tmp_path: Path, said: bytes, asked: bool) -> None:
    port = Other(said, asked).port
    done = factory(tmp_path, "status", "--port", port)
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        (
            f"What is on {port} does not answer as MicroPython does: it has other firmware, it is no "
            "board, or it hangs.\n"
        ),
    )


def test_a_batch_does_not_wait_for_what_is_no_board(tmp_path: Path) -> None:
    # Ctrl-C, before it is known that it is none.
    (tmp_path / "factory.toml").write_text(PSK)
    (tmp_path / "boards.csv").write_text("serial\n1\n")
    args = ("batch", "factory.toml", "boards.csv", "--json", "--port", Other(*OTHERS[1]).port)
    process = subprocess.Popen(
        tool.command("lwm2m_factory", *args),
        cwd=tmp_path,
        env=tool.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines = Lines(process.stdout)
    lines.wait(lambda: '"reading"' in lines.text(), "that it reads")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 3, lines.text()
    lines.join()
    process.stdout.close()
    told = [json.loads(line)["event"] for line in lines.lines]
    assert told == ["waiting", "reading", "waiting", "end"]
    assert not events(tmp_path)


# Starts when it is first spoken to, as an ESP32 whose port is opened, and needs longer for it than what
# says nothing is given.
SLOW = """\
import sys, time
print(">>> ", end="")
sys.stdin.read(1)
print("ets Jul 29 2019 12:21:46\\r\\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\\r")
time.sleep(20)
try:
    import rawrepl
    while True:
        rawrepl.run()
except ImportError:
    pass
"""


def test_a_board_that_starts_slowly(tmp_path: Path) -> None:
    with PtyBoard(tmp_path / "board", CHIP, main=SLOW) as board:
        done = factory(tmp_path, "status", "--port", board.port)
    assert done.returncode == 0, done.stderr
    assert f"Chip      {CHIP}" in done.stdout
    assert done.stderr == f"The board on {board.port} is starting …\n"


def test_a_start_that_is_told_before_the_prompt_is_asked_for() -> None:
    # As a board may say it between two of our bytes.
    board, port = pty.openpty()
    line = Line(os.ttyname(port), 115200)
    said = b"rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\n"
    os.write(board, said)
    eventually(lambda: line.serial.in_waiting >= len(said), "that it is there")
    with pytest.raises(TransportError):
        line.enter_raw_repl(timeout_overall=0)
    assert line.is_starting()
    line.close()
    os.close(port)
    os.close(board)


def test_errors_that_are_no_text(tmp_path: Path, board: PtyBoard) -> None:
    # As a board may print what it was told.
    code = "import sys\nsys.stdout.buffer.write(b'\\x04\\xff\\x1b[2J\\x04')"
    with Board(str(board.port)) as found:
        with pytest.raises(FactoryError, match=r"failed: \\xff\\x1b\[2J"):
            found._guard(found._transport.exec, code)


# Ports. What is at them is stood for, as there is none here.

PORTS = [
    # name, USB's numbers, maker, product, number; what is said of it
    ("ttyACM0", 0x2E8A, 0x0005, "MicroPython", "Board in FS mode", "0002"),
    ("ttyACM1", 0x1546, 0x01A7, "u-blox AG", "u-blox 7 - GPS/GNSS Receiver", None),
    ("ttyUSB0", 0x10C4, 0xEA60, None, "CP2102N \x1b[2J", None),
    ("ttyS0", None, None, None, None, None),
]


@pytest.fixture
def usb(monkeypatch) -> "list[str]":
    """The ports of those of PORTS that the test names."""
    there = []

    def comports():
        for name, *values in PORTS:
            if name in there:
                port = ListPortInfo(f"/dev/{name}")
                port.vid, port.pid, port.manufacturer, port.product, port.serial_number = values
                yield port

    monkeypatch.setattr(ports.list_ports, "comports", comports)
    return there


def test_ports(usb, capsys) -> None:
    assert cli.main(["ports"]) == 0
    assert capsys.readouterr().out == "There is no serial port.\n"
    usb += [port[0] for port in PORTS]
    assert cli.main(["ports"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "/dev/ttyACM0  a board?   MicroPython Board in FS mode (2e8a:0005), serial number 0002",
        "/dev/ttyACM1  not tried  u-blox AG u-blox 7 - GPS/GNSS Receiver (1546:01a7)",
        "/dev/ttyS0  not tried  not of USB",
        r"/dev/ttyUSB0  a board?   Silicon Labs, a bridge CP2102N \x1b[2J (10c4:ea60)",
    ]
    assert cli.main(["ports", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["board"] for each in told] == [True, False, False, True]


def test_only_what_looks_like_a_board_is_opened(usb) -> None:
    with pytest.raises(FactoryError, match="No board is there: plug one in"):
        ports.only_port(None)
    usb += ["ttyACM1", "ttyS0"]
    with pytest.raises(FactoryError, match="What is at /dev/ttyACM1 does not look like a"):
        ports.only_port(None)
    assert ports.only_port("/dev/ttyACM1") == "/dev/ttyACM1"
    usb.append("ttyACM0")
    assert ports.only_port(None) == "/dev/ttyACM0"
    usb.append("ttyUSB0")
    assert ports.ports() == ["/dev/ttyACM0", "/dev/ttyUSB0"]
    with pytest.raises(FactoryError, match="choose with --port from /dev/ttyACM0, /dev/ttyU"):
        ports.only_port(None)


def test_other_firmware(tmp_path: Path) -> None:
    with PtyBoard(tmp_path / "board", ours=False) as board:
        done = factory(tmp_path, "status", "--port", board.port)
    assert done.returncode == 1
    assert re.fullmatch(
        rf"The board on {board.port} runs MicroPython, but not this project's firmware \(.*\): "
        r"flash an image, or copy the packages into its /lib\.\n",
        done.stderr,
    )


@pytest.mark.parametrize(
    ("protocol", "sentence"),
    [(0, "is too old for this tool: flash a newer"), (2, "is newer than this tool: update the")],
)
def test_other_version(tmp_path: Path, board: PtyBoard, protocol: int, sentence: str) -> None:
    board.power_off()
    code = f"""\
os.mkdir("device")
with open("device/factory.py", "w") as f:
    f.write("PROTOCOL = {protocol}")
"""
    board.run(code)
    board.plug()
    done = factory(tmp_path, "status", "--port", board.port)
    assert done.returncode == 1
    assert f"The firmware of the board on {board.port} {sentence}" in done.stderr


def test_disk_full(tmp_path: Path, board: PtyBoard) -> None:
    (tmp_path / "factory.toml").write_text(PSK)
    args = ("provision", "factory.toml", "--serial", "1", "--port", board.port)
    assert factory(tmp_path, *args).returncode == 0
    board.power_off()
    before = board.run(GIVEN)
    board.run(FILL)
    board.plug()
    (tmp_path / "factory.toml").write_text(PSK.replace("interval = 60", f'text = "{"x" * 3000}"'))
    done = factory(tmp_path, *args)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"The file system of the board on {board.port} is full: remove files from it.\n"
    )
    last = events(tmp_path)[-1]
    assert last.event == "failed" and "is full" in last.details["error"]
    board.power_off()
    assert board.run(GIVEN) == before
    assert board.run("print(os.listdir('/lwm2m-store'))") == "['factory']\n"
    board.run("for name in os.listdir('full'): os.remove('full/' + name)")
    board.plug()
    done = factory(tmp_path, *args)
    assert done.returncode == 0, done.stderr


def test_a_main_program_that_runs(tmp_path: Path, board: PtyBoard) -> None:
    # It is interrupted, and runs again behind the tool.
    with Board(str(board.port)) as found:
        found._transport.exit_raw_repl()
        found._transport.serial.write(b"while True: print(17)\r\n\r\n")
        assert found._transport.read_until(1, b"17\n17\n").endswith(b"17\n")
    with Board(str(board.port)) as found:
        assert found.status()["chip_id"] == CHIP


# The cable is pulled.


@pytest.fixture
def identities(tmp_path: Path):
    """The old and the new configuration of a board: two provisioning files."""

    def made(text: str) -> bytes:
        path = tmp_path / "c.toml"
        path.write_text(text)
        found = config.load(path)
        return identity.make(found, {"serial": "1", "chip_id": CHIP, "mac": ""}).data

    new = PSK.replace("interval = 60", "interval = 90").replace("server.example", "new.example")
    return made(PSK), made(new)


def provisioned(board: PtyBoard, data: bytes) -> str:
    board.power_off()
    board.plug()
    with Board(str(board.port)) as found:
        found.provision(data)
    board.power_off()
    return board.run(GIVEN)


def sweep(
    board: PtyBoard, old: bytes, new: bytes, step: int, power: bool, first: int = 1
) -> "tuple[int, int, int]":
    """Pull the cable after each step-th byte; returns how often the old and new were there."""
    states = {provisioned(board, data): name for data, name in ((new, "new"), (old, "old"))}
    assert len(states) == 2
    flash = board.flash.read_bytes()
    board.plug()
    with Board(str(board.port)) as found:
        found.provision(new)
    total = board.passed
    counts = {"old": 0, "new": 0}
    for cut in range(first, total, step):
        board.power_off()
        board.flash.write_bytes(flash)
        board.plug(cut, power)
        try:
            with Board(str(board.port)) as found:
                found.provision(new)
            done = True
        except Unplugged as e:
            assert "went silent: was the cable pulled?" in str(e) or "There is no port" in str(e)
            done = False
        board.wait()
        if not power:
            # Plugged in again, the board answers.
            board.plug()
            with Board(str(board.port)) as found:
                status = found.status()
                assert found.selftest()["ok"]
        board.power_off()
        found = board.run(GIVEN)
        assert found in states, (cut, found)
        assert states[found] == "new" or not done, cut
        counts[states[found]] += 1
        if not power:
            assert status["endpoint"] and status["fault"] is None
        assert board.run("print(os.listdir('/lwm2m-store'))") == "['factory']\n", cut
    return counts["old"], counts["new"], total


@pytest.mark.parametrize("power", [True, False], ids=["power", "link"])
def test_cable_pulled_after_each_nth_byte(board, identities, power: bool) -> None:
    step = int(os.environ.get("CABLE_STEP", "29"))
    old, new, total = sweep(board, *identities, step, power, first=1 if power else 22)
    assert old > 10 and new > 10
    print(f"{total} bytes; pulled {old + new} times: {old} old, {new} new, 0 lost")


def test_damage_on_the_line_is_seen(tmp_path: Path, board: PtyBoard, identities) -> None:
    old, new = identities
    before = provisioned(board, old)
    board.plug()
    with Board(str(board.port)) as found:
        send: Callable = found._transport.fs_writefile

        def damaged(path: str, data: bytes) -> None:
            send(path, data[:100] + b"?" + data[101:])

        found._transport.fs_writefile = damaged
        with pytest.raises(
            FactoryError, match=r"What arrived at the board .* is not what was sent"
        ):
            found.provision(new)
    board.power_off()
    assert board.run(GIVEN) == before


def test_image_reads_what_the_board_stores(board: PtyBoard, identities) -> None:
    provisioned(board, identities[0])
    data = bytes.fromhex(
        board.run("print(open('/lwm2m-store/factory/accounts', 'rb').read().hex())")
    )
    assert data == identities[0]
    assert image.unpack(data).endpoint == "urn:dev:ops:32473-1"
