"""The C stack of the image of role full, an RP2040's 8 KB: what every operation leaves of it.

The board itself tells how much nothing has used since its start (/26300/0/11). What an update takes,
test_update.py asks in the same way.
"""

import shutil

from harness.board import HOST_S, Board
from harness.from_factory import ENDPOINT, exported, provision
from harness.processes import Servers

LEAST = 1536  # bytes
APP = """
import lwm2m
from lwm2m.ipso import Sensor
from lwm2m.model import E, FLOAT, INT, R, STR, W, Object

asked = []

def read():
    return 20.5 + len(asked)

sensor = Sensor(3303, "Cel", read=read)
rows = Object(26250, (0, R | W | INT, 1, R | W | STR, 2, E),
    {0: {0: 1, 1: "x", 2: asked.append}}, multiple=True, persist=(0, 1))

def setup(client, settings):
    client.add_object(sensor)
    client.add_object(rows)

def turn(client):
    if asked:
        sensor.measure()
        asked.clear()
        print("sent to", client.send(["/3303/0/5700", "/3/0/15", "/26250"]))

def on_event(event):
    print(event.type, str(event))
"""
ROW = {"hex": "c10005c2017979"}  # TLV: 5, "yy"
# Method of our server, path, arguments, options, code.
OPERATIONS = (
    *[("read", "/3", [], {"accept": accept}, "2.05") for accept in (110, 112, 11542, 11544)],
    ("read", "/3303/9", [], {}, "4.04"),
    ("discover", "/3303", [], {}, "2.05"),
    (
        "write_attributes",
        "/3303/0/5700",
        [{"pmin": 1, "pmax": 60, "gt": 20.75, "st": 0.5}],
        {},
        "2.04",
    ),
    ("observe", "/3303/0/5700", [], {}, "2.05"),
    ("observe_composite", ["/3303/0/5700", "/3/0/15", "/26250"], [], {}, "2.05"),
    ("read_composite", ["/3303/0/5700", "/3/0", "/1"], [], {}, "2.05"),
    ("write_composite", {"/26250/0/0": 3, "/3/0/15": "Europe/Berlin"}, [], {}, "2.04"),
    ("write_composite", {"/26250/0/0": 3, "/3/0/99": 1}, [], {}, "4.04"),
    ("create", "/26250", [ROW], {}, "2.01"),
    ("write", "/26250/0", [ROW], {"format": 11542, "replace": False}, "2.04"),
    ("write", "/26250/0", [{"hex": "c10005c20579"}], {"format": 11542}, "4.00"),
    ("write", "/3/0/15", ["x" * 2000], {}, "2.04"),  # in blocks
    ("read", "/3/0", [], {"accept": 110}, "2.05"),  # likewise
    ("write", "/1/0/1", [600], {}, "2.04"),
    ("execute", "/26250/0/2", [], {}, "2.04"),
    ("execute", "/1/0/8", [], {}, "2.04"),
    ("execute", "/1/0/9", [], {}, "2.04"),  # a new bootstrap: nothing comes behind it
)


def test_every_operation(of_full, tmp_path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    servers = Servers({}, {})
    with Board(shutil.copy(of_full, tmp_path / "flash.bin")) as board:
        provision(board, tmp_path, servers.bootstrap_port, servers.port, app)
        board.kill()
        accounts, clients = exported(tmp_path)
        with servers.know(accounts, clients):
            servers.accounts(accounts)
            board.start()
            servers.wait_event("REGISTERED", HOST_S, endpoint=ENDPOINT)
            for call, path, args, options, code in OPERATIONS:
                answer = servers.call(call, ENDPOINT, path, *args, **options)
                assert answer["code"] == code, (call, path, answer)
                if (call, path) == ("execute", "/26250/0/2"):
                    servers.wait_event("SENT", HOST_S, endpoint=ENDPOINT)
                    servers.wait_event("NOTIFICATION", HOST_S, path="/3303/0/5700")
                if path == "/1/0/8":
                    servers.wait_event("UPDATED", HOST_S, endpoint=ENDPOINT)
                if path == "/1/0/9":
                    servers.wait_event("REGISTERED", HOST_S, endpoint=ENDPOINT)
                left = int(servers.call("read", ENDPOINT, "/26300/0/11")["text"])
                assert LEAST <= left < 8192, (call, path)
