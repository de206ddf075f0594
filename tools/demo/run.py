"""Show a device being bootstrapped, registered and managed: three processes on this machine.

The bootstrap server, the server and the client are the examples of their packages. The client
talks to both servers through relays, which count the datagrams. With --flow reference both servers
are one process, which bootstraps as the reference does: by its high-level operations, and then
another client by the low-level ones.
"""

import argparse
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, List, Optional, Tuple

from builds.steps import BUILD, MICROPYTHON, ROOT
from harness.micropython import environment, lib_dir
from harness.ports import HOST, free_port
from harness.udp_relay import UdpRelay
from lwm2m_factory.text import printable

from .security import MODES, Security

CLIENT = ROOT / "lib" / "lwm2m" / "examples" / "client.py"
SERVER = ROOT / "lib" / "lwm2m-server" / "examples" / "server.py"
BOOTSTRAP_SERVER = ROOT / "lib" / "lwm2m-bootstrap-server" / "examples" / "bootstrap_server.py"
REFERENCE_FLOW = BOOTSTRAP_SERVER.with_name("reference_flow.py")
VALUES = 4  # of the sensor, to be seen
LIFETIME = 60  # s
PATIENCE_S = 60
QUIET_S = 0.2
COLOURS = {"bootstrap server": "33", "server": "36", "servers": "36", "client": "32"}


class Failed(Exception):
    """The demonstration cannot go on; the sentence says why."""


class Show:
    """The processes, and what they print."""

    def __init__(self) -> None:
        self.processes: "dict[str, subprocess.Popen]" = {}
        self._seen: "List[Tuple[str, Optional[str]]]" = []  # None: it has ended
        self._lines: "queue.Queue[Tuple[str, Optional[str]]]" = queue.Queue()
        self._env = environment(lib_dir("mpy"))

    def start(self, name: str, program: Path, *args: object) -> None:
        process = subprocess.Popen(
            [str(MICROPYTHON), str(program), *map(str, args)],
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process, which then ends the others
        )
        self.processes[name] = process
        assert process.stdout is not None
        threading.Thread(target=self._read, args=(name, process.stdout), daemon=True).start()

    def _read(self, name: str, stream: "IO[bytes]") -> None:
        for line in stream:
            self._lines.put((name, line.decode(errors="backslashreplace").rstrip("\n")))
        self._lines.put((name, None))

    def until(self, name: str, text: Optional[str], times: int = 1) -> None:
        """Print what comes, until that process has said that so often, or with None has ended."""
        end = time.monotonic() + PATIENCE_S
        while sum(who == name and said(line, text) for who, line in self._seen) < times:
            try:
                who, line = self._lines.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                raise Failed(f"The {name} did not say «{text}» within {PATIENCE_S} s.") from None
            self._seen.append((who, line))
            if line is not None:
                say(who, line)
            elif text is not None:
                status = self.processes[who].wait()
                if status or who == name:
                    raise Failed(f"The {who} has ended with status {status}.")

    def interrupt(self, name: str) -> None:
        """End a process as Ctrl-C would, and wait for it."""
        self.processes[name].send_signal(signal.SIGINT)
        self.until(name, None)

    def end(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()


def said(line: Optional[str], text: Optional[str]) -> bool:
    return line is None if text is None else line is not None and text in line


def say(who: str, line: str) -> None:
    name = f"{who:>16}"
    if sys.stdout.isatty():
        name = f"\033[{COLOURS[who]}m{name}\033[0m"
    print(f"{name} | {printable(line)}", flush=True)  # with what peers have sent in it


def demonstrate(
    show: Show, security: Security, bootstrap_port: int, port: int
) -> Tuple[float, List[UdpRelay]]:
    """Returns the seconds that it took, from the client's start to its end, and the relays."""
    with UdpRelay(bootstrap_port) as first, UdpRelay(port) as second:
        accounts = security.accounts(uri(security, second), LIFETIME)
        own = security.bootstrap_server
        show.start("bootstrap server", BOOTSTRAP_SERVER, accounts, bootstrap_port, HOST, *own)
        show.until("bootstrap server", "Listening")
        show.start("server", SERVER, port, HOST, *security.server)
        show.until("server", "Listening")
        seconds = run_client(show, security, first, second, "server", "Temperature", VALUES)
        show.interrupt("server")
        show.interrupt("bootstrap server")
        return seconds, [first, second]


def demonstrate_reference(
    show: Show, security: Security, bootstrap_port: int, port: int, level: str
) -> Tuple[float, List[UdpRelay]]:
    """As demonstrate(), by the operations of a level: "high" or "low"."""
    print(f"By the {level}-level operations:", flush=True)
    with UdpRelay(bootstrap_port) as first, UdpRelay(port) as second:
        accounts = security.accounts(uri(security, second), LIFETIME, uri(security, first))
        ports = (bootstrap_port, port, HOST)
        show.start("servers", REFERENCE_FLOW, accounts, level, *ports, *security.server)
        show.until("servers", "Listening")
        seconds = run_client(show, security, first, second, "servers", "has the account")
        show.interrupt("servers")
        return seconds, [first, second]


def uri(security: Security, relay: UdpRelay) -> str:
    return f"{security.scheme}://{HOST}:{relay.port}"


def run_client(
    show: Show,
    security: Security,
    first: UdpRelay,
    second: UdpRelay,
    server: str,
    text: str,
    times: int = 1,
) -> float:
    """Let a client run until that server has said the text so often; returns the seconds."""
    start = time.monotonic()
    show.start("client", CLIENT, uri(security, first), *security.client)
    show.until(server, text, times)
    # Ctrl-C in the middle of a DTLS record ends the session without a de-registration.
    second.wait_for_silence(QUIET_S)
    show.interrupt("client")
    show.until(server, "de-registered")
    return time.monotonic() - start


def port_number(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is no port: give a number from 1 to 65535")
    return int(text)


def flow(text: str) -> str:
    if text != "reference":
        raise argparse.ArgumentTypeError(
            f"there is no flow {text}: it is reference, or left out for the table's"
        )
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--security", choices=MODES, default="psk", help="of all connections")
    parser.add_argument("--flow", type=flow, help="reference: how the reference bootstraps")
    parser.add_argument("--bootstrap-port", type=port_number, help="the bootstrap server's")
    parser.add_argument("--port", type=port_number, help="the server's; else free ones")
    args = parser.parse_args()
    bootstrap_port = args.bootstrap_port or free_port()
    port = args.port or free_port()
    if port == bootstrap_port:
        sys.exit("The two servers need different ports.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seconds = 0.0
    relays: "List[UdpRelay]" = []
    for level in ("high", "low") if args.flow else (None,):
        show = Show()
        security = Security(args.security, BUILD / "run")
        try:
            if level:
                took = demonstrate_reference(show, security, bootstrap_port, port, level)
            else:
                took = demonstrate(show, security, bootstrap_port, port)
        except Failed as e:
            show.end()
            sys.exit(str(e))
        except KeyboardInterrupt:
            show.end()
            sys.exit("\nStopped; all processes have ended.")
        finally:
            show.end()
        seconds += took[0]
        relays += took[1]
    datagrams = sum(relay.datagrams for relay in relays)
    size = sum(relay.payload_bytes for relay in relays)
    print(f"Done in {seconds:.1f} s: {datagrams} datagrams, {size} bytes of UDP payload.")


if __name__ == "__main__":
    main()
