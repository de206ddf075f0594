"""Run firmware/main.py and an application on this machine, with a factory's configuration.

What a board has in its flash is in build/device: accounts outlast a restart, as they do there. The network
is this machine's, whatever [network] says.
"""

import argparse
import getpass
import hashlib
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from builds.steps import BUILD, rel
from harness.micropython import command, environment, lib_dir
from lwm2m_factory import FactoryError, config, identity

PROGRAM = Path(__file__).parent / "programs" / "board.py"
VALUES = {"chip_id": "0" * 16, "mac": "020000000001"}  # of a board that is none
_CRASH = 3  # device.guard's


def provision(folder: Path, path: Path, serial: str) -> identity.Identity:
    """Give the board its identity; the keys that were made before stay. FactoryError, in words."""
    found = config.load(path, ("serial",), lambda file: getpass.getpass(f"Password of {file}: "))
    found = replace(found, settings={**found.settings, "network": {"type": "none"}})
    record = folder / "record.json"
    earlier = json.loads(record.read_text()) if record.exists() else None
    values = {**VALUES, "serial": serial}
    if earlier and earlier["endpoint"] != identity.endpoint_of(found, values):
        shutil.rmtree(folder)  # this is another board
        earlier = None
    made = identity.make(found, values, earlier)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "lwm2m-store").mkdir(exist_ok=True)
    if earlier is None or earlier["sha256"] != made.record["sha256"]:
        new = folder / "lwm2m-store" / "new"
        new.write_bytes(made.data)
        digest = hashlib.sha256(made.data).hexdigest()
        done = subprocess.run(
            **process(folder, folder, "install", new, digest), capture_output=True, text=True
        )
        answer = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"ok": False}
        if not answer["ok"]:
            raise FactoryError(f"The device refuses: {answer.get('error', done.stderr.strip())}.")
        record.touch(0o600)
        record.write_text(json.dumps(made.record))
    return made


def process(folder: Path, app: Path, *args: object) -> dict:
    return {
        "args": command(PROGRAM, folder, app, *args),
        "env": environment(lib_dir("src")),
    }


def run(folder: Path, app: Path) -> int:
    """Run the device until it ends, starting it again after each reset that was asked for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the device's
    while True:
        status = subprocess.call(
            **process(folder, app, "run"),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        if status != -signal.SIGKILL:
            return status
        word = folder / "word"
        if int(word.read_text()) >> 6 & 7 == _CRASH:
            word.unlink()  # it begins anew: no safe mode while an application is tried out
            print("The device has crashed: mend the application, and start it again.")
            return 1
        print("The device restarts.", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("app", type=Path, help="the application, a file named app.py")
    parser.add_argument("config", type=Path, help="the factory's configuration, TOML")
    parser.add_argument("--serial", default="0001", help="what {serial} is (%(default)s)")
    parser.add_argument("--folder", type=Path, default=BUILD / "device", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.app.name != "app.py" or not args.app.is_file():
        sys.exit(f"{args.app} is no application: name a file app.py with APP=.")
    folder = args.folder.resolve()
    try:
        made = provision(folder, args.config, args.serial)
    except FactoryError as e:
        sys.exit(str(e))
    print(f"{made.endpoint}: its flash is {rel(folder)}, its keys are in record.json there.")
    print("Ctrl-C ends it.", flush=True)
    sys.exit(run(folder, args.app.resolve().parent))


if __name__ == "__main__":
    main()
