"""An image of role station on an emulated RP2040: a Bootstrap Server and a LwM2M Server with DTLS, over PPP,
for clients on this machine.
"""

import json
import re
import secrets
from types import SimpleNamespace

import pytest
from builds import build_firmware
from harness.board import BOARD, HOST_S, Board
from harness.keys import psk
from harness.leshan import SERVER_AND_CLIENT, Leshan
from harness.lines import Process
from harness.processes import LeshanClient
from test_board import PPP

BS_PORT, PORT = 5784, 5684  # on the board
CLIENTS = 10

STATION = """
import gc, json
import lwm2m.bootstrap_server as bs
import lwm2m.server as server
from lwm2m.credentials import Credentials

given = json.loads(%r)
keys = Credentials()
for identity in given["keys"]:
    key = bytes.fromhex(given["keys"][identity])
    keys.create(identity.encode(), (0, identity.encode(), b"", key))


def on_client(event, client):
    if event == server.REGISTERED:
        gc.collect()
        print("registered", client.endpoint, gc.mem_free())
        lwm2m_server.read(client, "/3/0/0", told)


def told(client, code, format, payload):
    print("read", client.endpoint, "%%d.%%02d" %% (code >> 5, code & 31), bytes(payload))


bootstrap = bs.BootstrapServer(%d, accounts=given["accounts"])
lwm2m_server = server.Server(
    %d, net=bootstrap.net, on_client=on_client, credentials=keys, identities=given["identities"]
)
print("listening", ppp.ipconfig("addr4")[0])
bootstrap.step(-1)
"""


class Station:
    """A board that is one, for clients with these endpoint names; keys are new each time."""

    def __init__(self, board: Board, endpoints: "list[str]"):
        self.board = board
        board.wait_for("usb")
        self.bootstrap_uri = f"coaps://127.0.0.1:{board.ppp.publish(BS_PORT)}"
        self.uri = f"coaps://127.0.0.1:{board.ppp.publish(PORT)}"
        self.keys = {name: secrets.token_bytes(16) for name in endpoints}
        given = {"accounts": {}, "keys": {}, "identities": {}}
        for name in endpoints:
            key = secrets.token_hex(16)
            here = f"{name} here"
            security = {"mode": "psk", "identity": here, "key": key}
            given["accounts"][name] = {
                "security": {
                    "mode": "psk",
                    "identity": f"id of {name}",
                    "key": self.keys[name].hex(),
                },
                "servers": [
                    {"short_id": 1, "uri": self.uri, "lifetime": 600, "security": security}
                ],
            }
            given["keys"][here] = key
            given["identities"][here] = name
        board.begin(PPP + STATION % (json.dumps(given), BS_PORT, PORT))
        board.expect(r"listening 10\.64\.0\.2")

    def free(self) -> "dict[str, int]":
        """Bytes of heap that were free when each had registered."""
        found = re.findall(rb"registered (\S+) (\d+)", bytes(self.board.output))
        return {name.decode(): int(free) for name, free in found}


@pytest.fixture
def board(tmp_path):
    with Board(tmp_path / "flash.bin", build_firmware.image(BOARD, "station")) as board:
        yield board


def test_ten_clients_at_once(board, tmp_path) -> None:
    endpoints = [f"dev-{n}" for n in range(CLIENTS)]
    station = Station(board, endpoints)
    devices = [
        {"endpoint": name, "uri": station.bootstrap_uri, "key": station.keys[name].hex()}
        for name in endpoints
    ]
    (tmp_path / "fleet").write_text(json.dumps(devices))
    with Process("secure_fleet.py", tmp_path / "fleet", role="full", heap="16M") as fleet:
        for name in endpoints:
            fleet.says(f"registered {name} ", HOST_S)
        for name in endpoints:
            board.expect(r"read \S+ 2\.05 b'MicroPython'\r\n", HOST_S)
    read = re.findall(rb"read (\S+) 2\.05", bytes(board.output))
    assert sorted(read) == sorted(name.encode() for name in endpoints)
    free = station.free()
    assert sorted(free) == sorted(endpoints)
    print("free heap, of a station with ten clients:", min(free.values()))
    board.send(b"\x03")
    out, error = board.end()
    assert "KeyboardInterrupt" in error
    said = bytes(board.output)
    for key in station.keys.values():
        assert key.hex().encode() not in said and key not in said


def test_leshans_client(board) -> None:
    endpoint = "leshan-device"
    station = Station(board, [endpoint])
    Leshan.build()
    with Leshan(SERVER_AND_CLIENT) as leshan:
        client = LeshanClient(SimpleNamespace(server=leshan), endpoint)
        known = psk(f"id of {endpoint}", station.keys[endpoint])
        with client:
            client.start(
                bootstrap_uri=station.bootstrap_uri,
                preferred_format="TLV",
                retry_ms=60_000,
                **known.client,
            )
            client.wait_event("client_bootstrapped", timeout=HOST_S)
            client.wait_event("client_registered", uri=station.uri, timeout=HOST_S)
            board.expect(rf"registered {endpoint} \d+\r\n", HOST_S)
            board.expect(rf"read {endpoint} 2\.05 b'Leshan'\r\n", HOST_S)
