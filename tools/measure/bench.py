"""Measure what the client and the servers take, print a table, and write it to build/bench.json.

Times depend on the machine and are given as ratios within this run; all else is exact. What an
emulated board takes, bench_board.py says how it is counted.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Tuple

from builds import bundle, stage
from builds.steps import BUILD, ROOT, rel
from harness import keys, processes
from harness.leshan import (
    BOOTSTRAP_SERVER,
    SERVER_AND_CLIENT,
    Leshan,
    accounts,
)
from harness.lines import Process
from harness.micropython import UNIT, environment, lib_dir, micropython
from harness.ports import HOST, free_ports
from harness.udp_relay import Datagram, UdpRelay

from cryptography.hazmat.primitives.asymmetric import ec
from lwm2m_factory import package

from . import bench_board, bench_factory

SERVER = ROOT / "lib" / "lwm2m-server" / "examples" / "server.py"
ROLLOUT = ROOT / "lib" / "lwm2m-server" / "examples" / "rollout.py"
PROGRAMS = Path(__file__).with_name("programs")
ENDPOINT = "bench-device"
SECURE_ENDPOINT = "device-1"  # the common name of the tests' certificate
SECURE = (  # of the bootstrap server, and of the server
    (
        "PSK and CCM_8",
        keys.psk(SECURE_ENDPOINT, b"sixteen-byte-key"),
        keys.psk(SECURE_ENDPOINT, b"another-such-key"),
    ),
    ("raw public keys and CCM_8", keys.rpk(), keys.rpk()),
    ("X.509 and CCM_8", keys.x509(), keys.x509()),
)
# Datagrams and bytes to be reached with Leshan: raw public keys are to take 30 % less than X.509.
SECURE_GOALS = ((26, 2269), (26, 3780), (None, 5629))
FROZEN = BUILD / "unix32" / "micropython"  # 32-bit, the client frozen, mbedTLS on its heap
STOCK = BUILD / "stock32" / "micropython"  # likewise, with nothing of ours frozen
NAME = 7  # bytes of an entry in MicroPython's tables of names: pointer, hash, length
LARGE_HEAP = 1_000_000
HEAP_STEP = 128  # bytes, the precision of the least heap
RUNS = 5  # of what is timed
CLIENTS = 100  # at once, for the bootstrap server
GROWN = 300  # at once, of programs/growth.py
HANDSHAKES = 50  # at once, with pre-shared keys
FORMATS = {
    0: "text",
    60: "CBOR",
    110: "SenML JSON",
    112: "SenML CBOR",
    11542: "TLV",
    11544: "LwM2M CBOR",
}
SHARED_KEY = "sixteen-byte-key"
SESSION_HEAP = 9 * 1024  # bytes, with pre-shared keys
PUSHED_KB = 100  # an update


@dataclasses.dataclass
class Row:
    what: str
    value: float
    unit: str
    most: Optional[float] = None  # what is to be reached
    least: Optional[float] = None

    def missed(self) -> bool:
        over = self.most is not None and self.value > self.most
        return over or (self.least is not None and self.value < self.least)

    def goal(self) -> str:
        most = "" if self.most is None else f"  at most {self.most:g}"
        return most + ("" if self.least is None else f"  at least {self.least:g}")


def device(
    uri: str, heap: int, secure: "Optional[keys.Keys]" = None, *more: str
) -> "Optional[dict]":
    """Run the bench's client in a heap of that many bytes; None where it did not register."""
    endpoint = SECURE_ENDPOINT if secure else ENDPOINT
    command = [str(FROZEN), "-X", f"heapsize={heap}", str(PROGRAMS / "device.py"), endpoint, uri]
    command += more
    given = json.dumps(secure.account) if secure else ""
    env = dict(os.environ, MICROPYPATH=".frozen")
    done = subprocess.run(
        command, env=env, input=given, capture_output=True, text=True, timeout=60
    )
    # Anything else that it prints is a failure that it has got over.
    return json.loads(done.stdout) if done.stdout.startswith('{"registered"') else None


def least_heap(uri: str, prompt: int) -> int:
    """Bytes of heap above the bare prompt's in which the whole run succeeds."""
    fails, works = 4096, LARGE_HEAP
    while works - fails > HEAP_STEP:
        middle = (fails + works) // 2
        if device(uri, middle):
            works = middle
        else:
            fails = middle
    return works - prompt


def turns(record: List[Datagram]) -> float:
    """Seconds that passed on the client's side: from a datagram to it to its next one."""
    total = 0.0
    last = None
    for datagram in record:
        if datagram.to_target and last is not None:
            total += datagram.at - last
        last = None if datagram.to_target else datagram.at
    return total


def until_registered(first: UdpRelay, second: UdpRelay) -> List[Datagram]:
    """What goes from a run's first datagram through the first relay, a Bootstrap-Request or a
    ClientHello, to the 2.01 that answers its registration through the second."""
    start = next(i for i, datagram in enumerate(first.record) if datagram.to_target)
    begin = first.record[start].at
    registration = []
    for datagram in second.record:
        # The server may still answer the de-registration of the run before.
        if datagram.at > begin and (registration or datagram.to_target):
            registration.append(datagram)
            # Under DTLS it is the first that has application data (RFC 5246 6.2.1).
            created = datagram.data[0] == 23 or datagram.data[1] == 0x41
            if not datagram.to_target and created:
                break
    # What goes to the bootstrap server behind that ends its session.
    end = registration[-1].at
    before = [datagram for datagram in first.record[start:] if datagram.at <= end]
    return sorted(before + registration, key=lambda datagram: datagram.at)


def round_trips(record: List[Datagram]) -> int:
    """How often the client has to wait for an answer: changes of direction, towards the client."""
    there = [datagram.to_target for datagram in record]
    return sum(before and not after for before, after in zip(there, there[1:]))


def exchange(
    name: str,
    uri: str,
    relays: "Tuple[UdpRelay, ...]",
    goals: "Tuple[Optional[int], Optional[int]]",  # datagrams, bytes
    secure: "Optional[keys.Keys]" = None,
) -> Iterator[Row]:
    """Rows of bootstrap and registration with one pair of servers, through the relays."""
    seconds = []
    for _ in range(RUNS):
        for relay in relays:
            relay.record.clear()
        if device(uri, LARGE_HEAP, secure) is None:
            raise SystemExit(f"The bench's client did not register with {name}'s server.")
        record = until_registered(*relays)
        seconds.append(turns(record))
    yield Row(f"datagrams, {name}", len(record), "", goals[0])
    size = sum(len(datagram.data) for datagram in record)
    yield Row(f"UDP payload, {name}", size, "B", goals[1])
    yield Row(f"round trips, {name}", round_trips(record), "")
    ms = statistics.median(seconds) * 1000
    most = None if secure else 50
    yield Row(f"time on the client's side, {name}", round(ms, 1), "ms", most)


def with_leshan() -> Iterator[Row]:
    Leshan.build()
    with Leshan(BOOTSTRAP_SERVER) as bootstrap, Leshan(SERVER_AND_CLIENT) as server:
        from_bootstrap = bootstrap.call("start", **keys.SERVER)
        from_server = server.call("start_server", **keys.SERVER)

        def configure(endpoint: str, **account: object) -> None:
            bootstrap.call("configure", endpoint=endpoint, config=accounts(**account))

        with UdpRelay(from_bootstrap["port"]) as first, UdpRelay(from_server["port"]) as second:
            configure(ENDPOINT, server_uri=f"coap://{HOST}:{second.port}")
            uri = f"coap://{HOST}:{first.port}"
            yield from exchange("Leshan", uri, (first, second), (14, 760))
        for (name, account, then), goals in zip(SECURE, SECURE_GOALS):
            bootstrap.call("secure", endpoint=SECURE_ENDPOINT, **account.secure)
            server.call("secure", endpoint=SECURE_ENDPOINT, **then.secure)
            with contextlib.ExitStack() as stack:
                ports = [started["secure_port"] for started in (from_bootstrap, from_server)]
                relays, uris = secure_relays(stack, *ports)
                configure(SECURE_ENDPOINT, server_uri=uris[1], keys=then.leshan)
                yield from exchange(f"Leshan, {name}", uris[0], relays, goals, account)


def secure_relays(
    stack: contextlib.ExitStack, *ports: int
) -> "Tuple[Tuple[UdpRelay, ...], List[str]]":
    """A relay for each port, until the stack is closed, and their URIs."""
    relays = tuple(stack.enter_context(UdpRelay(port)) for port in ports)
    return relays, [f"coaps://{HOST}:{relay.port}" for relay in relays]


@contextlib.contextmanager
def own_servers(
    uri: "Optional[Callable[[int], str]]", given: "Optional[dict]" = None
) -> "Iterator[Tuple[int, int]]":
    """Our two servers, and their ports.

    uri(port of the server) -> what the accounts have; or a whole table of accounts.
    """
    ports = tuple(free_ports(2))
    table = BUILD / "bench-accounts.json"
    if given is None:
        server = {"short_id": 1, "uri": uri(ports[1]), "lifetime": 300}
        given = {"*": {"servers": [server]}}
    table.write_text(json.dumps(given))
    with contextlib.ExitStack() as stack:
        for program, args in (
            (PROGRAMS / "bootstrap_server.py", [table, ports[0], HOST]),
            (SERVER, [ports[1], HOST]),
        ):
            stack.enter_context(Process(program, *args, heap="8M")).says("Listening")
        yield ports


def with_own() -> Iterator[Row]:
    with UdpRelay(0) as second, own_servers(lambda port: f"coap://{HOST}:{second.port}") as ports:
        second.target_port = ports[1]
        with UdpRelay(ports[0]) as first:
            uri = f"coap://{HOST}:{first.port}"
            yield from exchange("ours", uri, (first, second), (None, None))
            yield from heap(uri)
        yield from many(f"coap://{HOST}:{ports[0]}", CLIENTS)


def with_own_secure() -> Iterator[Row]:
    for name, account, then in SECURE:
        tables = ({SECURE_ENDPOINT: known} for known in (account, then))
        with processes.Servers(*tables) as servers, contextlib.ExitStack() as stack:
            relays, uris = secure_relays(stack, servers.bootstrap_port, servers.port)
            server = {"short_id": 1, "uri": uris[1], "lifetime": 300, "security": then.ours}
            servers.accounts({SECURE_ENDPOINT: {"servers": [server]}})
            yield from exchange(f"ours, {name}", uris[0], relays, (None, None), account)
            # One with a server it knows, and the same without security, differ by the session.
            with own_servers(lambda port: f"coap://{HOST}:{port}") as ports:
                plain = device(f"coap://{HOST}:{ports[1]}", LARGE_HEAP, None, "server")
            uri = f"coaps://{HOST}:{servers.port}"
            held = device(uri, LARGE_HEAP, then, "server")
            if plain is None or held is None:
                raise SystemExit("The bench's client did not register with our server.")
            goal = SESSION_HEAP if name.startswith("PSK") else None
            size = held["held"] - plain["held"]
            yield Row(f"heap of a DTLS session, 32 bit, {name}", size, "B", goal)
    table = {
        f"bench-{n}": {
            "servers": [{"short_id": 1, "uri": f"coap://{HOST}:5683"}],
            "security": {"mode": "psk", "key": SHARED_KEY.encode().hex()},
        }
        for n in range(HANDSHAKES)
    }
    with own_servers(None, table) as ports:
        yield from many(f"coaps://{HOST}:{ports[0]}", HANDSHAKES, "secure ", SHARED_KEY)


# What a wake-up sends, and how many datagrams that is to take.
WAKE_UPS = {"update": 2, "notification": 1, "confirmed": 2, "send": 2}
NOTIFICATION = 64  # bytes of UDP payload, with pre-shared keys and a connection id


def asleep() -> Iterator[Row]:
    for kind, name in (("none", "no security"), ("psk", "PSK, CCM_8 and connection id")):
        port = free_ports(1)[0]
        with UdpRelay(port) as relay, Process(
            PROGRAMS / "sleep.py", port, relay.port, kind, heap="4M", stdin=subprocess.PIPE
        ) as program:
            stdin = program.process.stdin
            program.wait_for("ready")
            for what, most in WAKE_UPS.items():
                stdin.write(f"{what}\n".encode())
                stdin.flush()
                program.wait_for("asleep")
                relay.record.clear()
                stdin.write(b"go\n")
                stdin.flush()
                size = int(program.wait_for("done ").split()[1])
                yield Row(f"datagrams of a wake-up: {what}, {name}", len(relay.record), "", most)
                payload = sum(len(datagram.data) for datagram in relay.record)
                most = NOTIFICATION if what == "notification" and kind == "psk" else None
                yield Row(f"UDP payload of it: {what}, {name}", payload, "B", most)
            stdin.close()
            yield Row(f"what outlasts the sleep, {name}", size, "B", 2044)


def many(uri: str, count: int, kind: str = "", *key: str) -> Iterator[Row]:
    found = printed("clients.py", uri, count, *key, heap="16M")
    if found["done"] != count:
        raise SystemExit(f"Only {found['done']} of {count} clients were bootstrapped.")
    rate = count / found["ms"] * 1000
    what = f"{kind}bootstraps in a second, {count} clients at once (this machine)"
    yield Row(what, round(rate), "")


def flash() -> Iterator[Row]:
    for kind, (commits, erases, programs) in printed("commits.py").items():
        yield Row(f"commits to flash of a bootstrap, {kind}", commits, "", 1)
        yield Row(f"blocks that it erases, {kind}", erases, "")
        yield Row(f"pieces that it programs, {kind}", programs, "")


def printed(program: str, *args: object, heap: str = "8M") -> dict:
    """What a program of ours prints, with our library: JSON."""
    done = micropython(PROGRAMS / program, *args, flavour="mpy", heap=heap, check=True)
    return json.loads(done.stdout)


def parse_rate() -> Iterator[Row]:
    ratios = []
    for _ in range(RUNS):
        found = printed("parse.py", heap="2M")
        ratios.append(found["parse"] / found["plain"])
    rate = 1e6 / found["parse"]
    yield Row("requests that the engine serves in a second (this machine)", round(rate), "")
    yield Row("one of them, in loops over its bytes", round(statistics.median(ratios), 1), "loops")


def printed_32(program: str, *args: str, heap: str = "16M") -> object:
    """What a program of ours prints under the 32-bit build, with our library as .mpy: JSON."""
    command = [str(FROZEN), "-X", f"heapsize={heap}", str(PROGRAMS / program), *args]
    done = subprocess.run(
        command, env=environment(lib_dir("mpy")), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def reports() -> Iterator[Row]:
    found = printed_32("reports.py", heap="1M")
    for number, name in FORMATS.items():
        for kind, (datagrams, size) in zip(
            ("confirmable", "not confirmable"), found["notification"][str(number)]
        ):
            what = f"a notification of a float in {name}, {kind}"
            yield Row(f"datagrams of {what}", datagrams, "")
            yield Row(f"UDP payload of {what}", size, "B")
    for name, what in (
        ("observation", "an observation in SenML CBOR"),
        ("attributes", "the attributes of a path"),
        ("instance", "an object instance of two resources"),
        ("server", "a server, registered"),
    ):
        yield Row(f"heap of {what}, 32 bit", found[name], "B")
    for name, what in (
        ("read", "a Read of 4 KB"),
        ("composite", "a Read-Composite of 20 paths"),
    ):
        yield Row(f"heap that has to be free for {what}, 32 bit", found[name], "B")


def packages() -> Iterator[Row]:
    """Where code is no frozen code: what stock boards lack."""
    for manifest in sorted(ROOT.glob("lib/*/manifest.py"), key=lambda path: path.parent.name):
        listed = stage.modules(manifest)
        own, required = (
            ",".join(module_name(one.target) for one in listed if one.own is is_own)
            for is_own in (True, False)
        )
        command = [str(STOCK), "-X", "heapsize=16M", str(PROGRAMS / "imported.py"), required, own]
        done = subprocess.run(
            command, env=environment(lib_dir("mpy")), capture_output=True, text=True, check=True
        )
        # A table of names has room for as many as all before it: whose names happen to need one more is
        # chance, so each package is charged for the entries that it fills.
        (names, tables), (names_after, tables_after) = [
            (int(count), int(total) - int(data))
            for count, data, total in re.findall(
                r"n_qstr=(\d+), n_str_data_bytes=(\d+), n_total_bytes=(\d+)", done.stdout
            )
        ]
        size = int(done.stdout.splitlines()[-1]) - (tables_after - tables)
        size += NAME * (names_after - names)
        yield Row(f"heap of {manifest.parent.name} as .mpy, 32 bit", size, "B")


def module_name(target: str) -> str:
    """The name that a module is imported by: of lwm2m/core.py, lwm2m.core."""
    return target[: -len(".py")].replace("/__init__", "").replace("/", ".")


def growth() -> Iterator[Row]:
    found = printed_32("growth.py")
    for name, of, most in (
        ("bootstrap", "a session that waits for its client", 1024),
        ("registration", "a registered client", 700),
    ):
        ratio = found[name]["many"] / found[name]["alone"]
        what = f"CPU of a {name} among {GROWN}, by that of one alone"
        yield Row(what, round(ratio, 2), "", 1.3)
        yield Row(f"heap of {of}, 32 bit", found[name]["bytes"], "B", most)


def stock() -> Iterator[Row]:
    # No goal: a stock ESP32 has 64 KB before MicroPython takes what mbedTLS would need.
    with own_servers(None, {}) as ports:
        for role in ("minimal", "client"):
            board = bundle.make(role) / "board"
            command = [str(STOCK), "-X", f"heapsize={LARGE_HEAP}", str(PROGRAMS / "stock.py")]
            command += [str(board), f"stock-{role}", f"coap://{HOST}:{ports[1]}"]
            env = dict(os.environ, MICROPYPATH=str(board / "lib"))
            done = subprocess.run(
                command, env=env, capture_output=True, text=True, timeout=60, check=True
            )
            found = json.loads(done.stdout.splitlines()[-1])  # behind what the console says
            of = f"the bundle of role {role}, 32 bit"
            yield Row(f"heap held when registered, {of}", found["plain"], "B")
            names = re.search(r"n_total_bytes=(\d+)", done.stdout)
            yield Row(f"of it the names of its modules, {of}", int(names[1]), "B")
            yield Row(f"the same with what certificates load, {of}", found["certificates"], "B")


def heap(uri: str) -> Iterator[Row]:
    found = device(uri, LARGE_HEAP)
    if found is None:
        raise SystemExit("The bench's client did not register with our server.")
    yield Row("heap held when registered, 32 bit", found["held"], "B", 15584)
    yield Row("allocated by 100 idle steps", found["idle"], "B", 0)
    yield Row("allocated by a Read of /3/0, 32 bit", found["read"], "B")
    least = least_heap(uri, found["prompt"])
    yield Row("least heap above the prompt's, 32 bit", least, "B", 28 * 1024)


def pushed() -> Iterator[Row]:
    """Rows of an update by push, by the example of our server."""
    vendor = ec.generate_private_key(ec.SECP256R1())
    files = [("app.mpy", os.urandom(PUSHED_KB * 1024))]  # which nothing deflates
    made = package.signed(package.build(files, package.Terms("bench", 1, "1")), vendor)
    path = BUILD / "bench.lwp"
    path.write_bytes(made)
    key = package.raw_key(vendor.public_key()).hex()
    of = f"a push of {PUSHED_KB} KB"
    for kind in ("", "flash"):
        port = free_ports(1)[0]
        with Process(ROLLOUT, path, port, HOST, heap="8M") as server, UdpRelay(port) as relay:
            server.says("Listening")
            command = [str(FROZEN), "-X", "heapsize=8M", str(PROGRAMS / "push.py")]
            command += [ENDPOINT, f"coap://{HOST}:{relay.port}", key, *([kind] if kind else [])]
            env = environment(lib_dir("mpy"), UNIT)
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            if not kind:
                what = f"heap at the peak of {of}, above the registered client's, 32 bit"
                yield Row(what, found["heap"], "B", 6 * 1024)
                what = "the same, but while its signature is verified, 32 bit"
                yield Row(what, found["unverified"], "B")
                record = relay.record
                size = sum(len(datagram.data) for datagram in record)
                yield Row(f"datagrams for each KB of {of}", round(len(record) / PUSHED_KB, 2), "")
                yield Row(f"UDP payload for each KB of {of}", round(size / PUSHED_KB), "B")
            else:
                yield Row(f"sectors that {of} erases, installed, littlefs", found["erases"], "")
                yield Row("pieces that it programs, littlefs", found["programs"], "")


def with_board() -> Iterator[Row]:
    found = bench_board.figures()
    of = "emulated RP2040"
    yield Row(f"flash, {of}", found["flash"], "B")
    yield Row(f"heap free at the prompt, {of}", found["prompt"], "B")
    yield Row(f"heap free when registered over DTLS, {of}", found["free"], "B", least=150 * 1024)
    yield Row(f"least heap in which it registers over DTLS, {of}", found["peak"], "B")
    for name, what in (
        ("registered", "from reset to registered"),
        ("idle", "of an idle step(0)"),
        ("read", "of a step(0) that serves a Read of /3/0"),
        *[
            (f"read_{number}", f"of a step(0) that serves a Read of /3 in {name}")
            for number, name in bench_board.FORMATS.items()
        ],
        ("notification", "of a step(0) that sends a notification"),
        ("handshake", "of a DTLS handshake, PSK and CCM_8"),
    ):
        yield Row(f"instructions {what}, {of}", round(found[name] / 1000), "k")
    for name, what in (
        ("stack", "from the start until it is registered, handshakes and commit included"),
        ("stack_x509", "until it is registered by X.509"),
        ("stack_read", "in a Read of /3/0"),
        ("stack_write", "in a Write of /3/0/15"),
        ("stack_blocks", "in a Write of 2,000 B, in blocks"),
        ("stack_blocks_read", "in a Read of more than a block"),
        ("stack_notify", "in an observation and a notification"),
    ):
        yield Row(f"C stack that stays free {what}, {of}", found[name], "B", least=1536)
    ms = found["verifying"] / 125e3
    what = "time without service in an update, to verify it, at 125 MHz, "
    yield Row(what + of, round(ms), "ms")
    ms = found["longest"] / 125e3
    what = "longest step(0) without handshakes and a Finish at 125 MHz, "
    yield Row(what + of, round(ms, 1), "ms", 50)
    ms = found["collecting"] / 125e3
    yield Row("a collection of the heap beside that at 125 MHz, " + of, round(ms, 1), "ms")
    ms = found["finish"] / 125e3
    yield Row("step(0) in which a Finish is stored at 125 MHz, " + of, round(ms, 1), "ms")


def with_factory() -> Iterator[Row]:
    return bench_factory.rows(Row)


def table(rows: List[Row]) -> str:
    width = max(len(row.what) for row in rows)
    lines = []
    for row in rows:
        missed = "  MISSED" if row.missed() else ""
        lines.append(f"{row.what:{width}}  {row.value:>9g} {row.unit:5}{row.goal()}{missed}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    rows = [
        row
        for part in (
            with_leshan,
            with_own,
            with_own_secure,
            asleep,
            growth,
            stock,
            reports,
            packages,
            flash,
            pushed,
            parse_rate,
            with_board,
            with_factory,
        )
        for row in part()
    ]
    print(table(rows))
    out = BUILD / "bench.json"
    machine = {"machine": platform.machine(), "system": platform.platform(terse=True)}
    rows_out = [dataclasses.asdict(row) for row in rows]
    out.write_text(json.dumps({**machine, "rows": rows_out}, indent=1) + "\n")
    print(f"Written to {rel(out)}.")
    if any(row.missed() for row in rows):
        sys.exit("Some goals were missed.")


if __name__ == "__main__":
    main()
