# What make bench runs for the flash: commits.py, with tests/unit in the path.
#
# Bootstraps a client whose store is on a file system in RAM, twice, the second time with another
# key, and prints as JSON what the second Finish has written: commits, erased blocks, programmed
# pieces. The Store's slots are those of the first one.

import json

import lwm2m
from flash import Fat, Lfs2, mounted
from world import Provisioner, Registrar, World, account, server

_URI = "coaps://server:5684"


def bootstrap(world, provisioner, key):
    provisioner.requests.clear()
    assert world.run(5, lambda: provisioner.requests)
    world.run(1)
    values = account(1, _URI, lwm2m.SEC_PRE_SHARED_KEY)
    values.update({3: b"device-1", 5: key})
    for request in (provisioner.delete("/0"), provisioner.delete("/1")):
        assert request.code == 0x42
    assert provisioner.write("/0/1", values).code == 0x44
    assert provisioner.write("/1/1", server(1)).code == 0x44


def measure(kind):
    flash = kind.format()
    with mounted(kind, flash):
        world = World(modes=(0, 3))
        registrar = Registrar(world, 5684)
        provisioner = Provisioner(world, 5783)
        store = lwm2m.Store("/flash/lwm2m")
        client = world.client(store=store)
        client.add_bootstrap_server("coap://bs:5783", lwm2m.SEC_NONE)
        bootstrap(world, provisioner, b"the first key")
        assert provisioner.finish().code == 0x44
        assert world.run(5, lambda: registrar.location)
        registrar.execute("/1/1/9")
        bootstrap(world, provisioner, b"the second key")
        seq = store._seq
        flash.power_on()  # from here on it counts
        assert provisioner.finish().code == 0x44
        world.run(60)
        return [store._seq - seq, flash.erases, flash.programs]


print(json.dumps({"littlefs": measure(Lfs2(256)), "FAT": measure(Fat(False))}))
