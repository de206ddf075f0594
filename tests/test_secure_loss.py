"""Bootstrap and registration over DTLS on a network that loses datagrams, in real time.

mbedTLS looks at the clock of the machine, so there is no other time to simulate. Fifty devices are
under way at once; each has a network of its own, whose losses follow from a seed. With the seeds 0
to 49 all register as well, but one of them after 334 s: there a server's request is lost or
unanswered seven times, and its client waits for another one for EXCHANGE_LIFETIME.
"""

import contextlib
import json
import random
import time

from harness.lines import Process
from harness.ports import free_ports
from harness.udp_relay import UdpRelay

SEEDS = range(100, 150)
LOSS = 0.2  # each way
# A handshake or an exchange that fails is followed by another one a minute later, and a bootstrap
# session by the next one after EXCHANGE_LIFETIME (247 s): with what a busy machine adds to the losses,
# room for a few of them.
PATIENCE_S = 1200


def key(generator):
    return generator.randbytes(16).hex()


def test_all_register(tmp_path):
    bootstrap_port, port = free_ports(2)
    accounts, devices, keys, identities = {}, [], {}, {}
    with contextlib.ExitStack() as stack:
        relays = []

        def relay(target, generator):
            lossy = UdpRelay(target, lambda: generator.random() < LOSS)
            relays.append(stack.enter_context(lossy))
            return f"coaps://127.0.0.1:{lossy.port}"

        for seed in SEEDS:
            generator = random.Random(seed)
            name = f"dev-{seed}"
            first, second = key(generator), key(generator)
            devices.append(
                {"endpoint": name, "uri": relay(bootstrap_port, generator), "key": first}
            )
            server = {
                "short_id": 1,
                "uri": relay(port, generator),
                "lifetime": 3600,
                "security": {"mode": "psk", "identity": f"{name} here", "key": second},
            }
            security = {"mode": "psk", "identity": f"id of {name}", "key": first}
            accounts[name] = {"security": security, "servers": [server]}
            keys[f"{name} here"] = second
            identities[f"{name} here"] = name
        config = {
            "bootstrap_port": bootstrap_port,
            "port": port,
            "accounts": accounts,
            "keys": keys,
            "identities": identities,
        }
        (tmp_path / "station").write_text(json.dumps(config))
        (tmp_path / "fleet").write_text(json.dumps(devices))
        station = stack.enter_context(
            Process("secure_station.py", tmp_path / "station", role="full", heap="16M")
        )
        station.says("listening")
        start = time.monotonic()
        fleet = stack.enter_context(
            Process("secure_fleet.py", tmp_path / "fleet", role="full", heap="16M")
        )
        for device in devices:
            left = PATIENCE_S - (time.monotonic() - start)
            fleet.says(f"registered {device['endpoint']} ", max(left, 0.01))
        seconds = time.monotonic() - start
        datagrams = sum(one.datagrams for one in relays)
        failures = sum(line.startswith("failed") for line in fleet.lines)
        print(
            f"{len(devices)} of {len(SEEDS)} registered in {seconds:.0f} s, {datagrams} datagrams,"
        )
        print(f"{failures} attempts that failed before")
        output = "\n".join(station.lines + fleet.lines)
        for device in devices:
            assert device["key"] not in output
