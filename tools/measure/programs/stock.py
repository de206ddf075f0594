# What make bench runs as a board with stock MicroPython: stock.py FOLDER ENDPOINT URI-of-the-server
#
# FOLDER/main.py runs as it does there, over modules that are .mpy files, until it is registered without
# security. Prints MicroPython's count of names then, and as JSON what heap it has, above the prompt's, and what
# it is with the modules that certificates want.

import gc
import micropython
import sys

gc.collect()
prompt = gc.mem_alloc()

folder, endpoint, uri = sys.argv[1:]
sys.path[0] = folder  # this folder's device.py is no package


class Module:
    pass


def held():
    gc.collect()
    return gc.mem_alloc() - prompt


def setup(client, values):
    pass


def on_event(event):
    if event.type == 3:  # lwm2m.EVENT_REG_REGISTERED
        plain = held()
        micropython.qstr_info()
        for name in ("lwm2m.dtls", "lwm2m.x509", "device.clock"):
            __import__(name)

        print('{"plain": %d, "certificates": %d}' % (plain, held()))
        sys.exit()


app = Module()
app.setup = setup
app.on_event = on_event
sys.modules["app"] = app

import device.port  # noqa: E402
import device.settings  # noqa: E402

device.port.serial_number = lambda: "e66038b713952135"
state = {
    0: {0: {0: uri, 1: False, 2: 3, 3: b"", 4: b"", 5: b"", 10: 1}},
    1: {0: {0: 1, 1: 300, 6: True, 7: "U"}},
}
given = device.settings.Settings(endpoint, state, {"network": {"type": "none"}})
device.settings.load = lambda: given


class Store(device.settings.Store):
    def load(self, endpoint, check=None):
        return state, None


device.settings.store = Store
import main  # noqa: E402

board = main._Board(device.port, main.Guard(device.port))  # run() would take the exit for a crash
import device.start  # noqa: E402

device.start.set_up(board, device.start.begin(board))
main.forget("start")
client = board.client
while True:
    if board.ready() is not None:
        client.step(1)
    board.turn()
