"""A client without lwm2m-bootstrap and lwm2m-observe: accounts of the factory, and smaller."""

import pytest
from conftest import lib_dir, micropython

FACTORY = """
import lwm2m
from world import Registrar, World

world = World()
registrar = Registrar(world)
client = world.client()
client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
world.run(400)
print(world.story())
print(registrar.paths())
print(registrar.read("/3/0/0").text)
print(registrar.ask(1, "/1/0/1", more=((6, 0),)).observe)  # Observe is a plain read here
print(hex(registrar.execute("/1/0/9").code))  # there is nobody to bootstrap from
registrar.registered = 0x83
registrar.updated = 0x84
print(hex(client.step(1000)))
registrar.registered = 0x41
print(client.step(10))
client.close()
print(world.story()[-4:])
"""

REFUSED = """
import lwm2m
from world import World

client = World().client()
for f in (
    lambda: client.add_bootstrap_server("coap://bs", lwm2m.SEC_NONE),
    lambda: client.remove_bootstrap_server(),
    lambda: client.set_hold_off(5),
):
    try:
        f()
    except ValueError as e:
        print(e.args[0])
print(client.step(5))
"""


def run(script, flavour, role="minimal"):
    done = micropython("-c", script, flavour=flavour, role=role, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("flavour", ["src", "mpy"])
def test_factory_accounts(flavour):
    assert run(FACTORY, flavour) == [
        "['REG_REGISTERING 1', 'REG_REGISTERED 1', 'REG_UPDATING 1', 'REG_REGISTERED 1']",
        "['POST /rd?ep=dev&lt=300&lwm2m=1.1&b=U', 'POST /rd/1']",
        "MicroPython",
        "None",
        "0x85",
        "0xa3",
        "0",
        "['REG_FAILED 1', 'REG_REGISTERING 1', 'REG_REGISTERED 1', 'REG_UNREGISTERED 1']",
    ]


@pytest.mark.parametrize("flavour", ["src", "mpy"])
def test_bootstrap_server_is_refused_in_words(flavour):
    lines = run(REFUSED, flavour)
    assert "lwm2m-bootstrap" in lines[0]
    assert lines[1].startswith("4.04") and lines[2].startswith("4.04")
    assert lines[3] == "0"


def test_smaller():
    minimal, client = (lib_dir("mpy", role) / "lwm2m" for role in ("minimal", "client"))
    assert not (minimal / "bootstrap.mpy").exists() and not (minimal / "observe.mpy").exists()

    def size(folder):
        return sum(path.stat().st_size for path in folder.glob("*.mpy"))

    assert size(client) - size(minimal) > 4000
