# A client on a board whose flash, and whose credentials, outlast its power; and the servers of its world.

import os

import lwm2m
from flash import Lfs2, mounted
from lwm2m.context import EVENT_STORE
from lwm2m.store import Store
from world import Provisioner, Registrar, World, account, server

FOLDER = "/flash/lwm2m"
KIND = Lfs2(256)
MODES = (0, 1, 2, 3)
PSK = lwm2m.SEC_PRE_SHARED_KEY
URI = "coaps://server:5684"
BS_URI = "coaps://bs:5784"

BS_KEY = b"the bootstrap server's"
KEY = b"the first key"
KEY_2 = b"the second key"


class Board:
    """A board with its flash, its credentials, and the servers in its world. One has power."""

    mounted = None  # the flash of that one

    def __init__(self, credentials=None, flash=None, device=None):
        self.flash = flash or KIND.format()
        self.credentials = credentials
        self.device = device
        self.power_on()

    def power_on(self, *objects):
        """Reset: nothing is left but flash and credentials. Returns the client."""
        self.power_off()
        self.world = world = World(modes=MODES)
        self.registrar = Registrar(world, 5684)
        self.provisioner = Provisioner(world, 5784)
        world.open = self._open
        self.keys = []  # of the connections that were opened
        Board.mounted = mounted(KIND, self.flash)
        Board.mounted.__enter__()
        self.store = Store(FOLDER)
        self.client = world.client(
            store=self.store, credentials=self.credentials, device=self.device
        )
        for obj in objects:
            self.client.add_object(obj)
        return self.client

    def power_off(self):
        if Board.mounted:
            Board.mounted.__exit__()
            Board.mounted = None

    def _open(self, role, account, now):
        self.keys.append(role.keys(account))
        return World.open(self.world, role, account, now)

    def request(self):
        """Let the client ask for a bootstrap."""
        assert self.world.run(5, lambda: self.provisioner.requests)
        self.world.run(1)

    def bootstrap(self, key=KEY, short_id=1):
        """A whole session, but for Finish."""
        self.request()
        assert self.provisioner.delete("/0").code == 0x42
        assert self.provisioner.delete("/1").code == 0x42
        self.write(1, key, short_id)

    def write(self, iid, key, short_id, uri=URI):
        assert self.provisioner.write("/0/%d" % iid, psk(short_id, key, uri)).code == 0x44
        assert self.provisioner.write("/1/%d" % iid, server(short_id)).code == 0x44

    def finish(self):
        """Finish, and wait for the registration."""
        assert self.provisioner.finish().code == 0x44
        self.registered()

    def registered(self):
        assert self.world.run(5, lambda: self.client.core.accounts[0].state == 4)

    def stored(self):
        return Store(FOLDER).load("dev")[0]

    def seq(self):
        Store.load(self.store, "dev")
        return self.store._seq

    def put(self, n, data):
        """Let a file of the store be that: slot 0 or 1, or 2, the factory copy."""
        path = self.store._files[n]
        for folder in (FOLDER, path[: -len("/accounts")]):
            try:
                os.mkdir(folder)
            except OSError:
                pass
        with open(path, "wb") as f:
            f.write(data + bytes(4096 - len(data)))

    def texts(self):
        return [event.text for _, event in self.world.events if event.type == EVENT_STORE]


def psk(short_id, key, uri=URI, identity=b"dev"):
    values = account(short_id, uri, 0)
    values.update({3: identity, 5: key})
    return values


def refused(error, f, *args, **kwargs):
    try:
        f(*args, **kwargs)
    except error as e:
        return str(e)
    assert False, "it was not refused"


def add_bootstrap_server(client):
    client.add_bootstrap_server(BS_URI, PSK, security={3: b"factory", 5: BS_KEY})


def board(credentials=None, **kwargs):
    found = Board(credentials, **kwargs)
    add_bootstrap_server(found.client)
    return found
