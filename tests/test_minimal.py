"""A client without lwm2m-bootstrap and lwm2m-observe: accounts of the factory, and smaller; what an
image of role minimal has beside it: pre-shared keys, but no certificates; and role client, which
observes without lwm2m-attributes.
"""

import pytest
from builds import stage
from builds.steps import ROOT
from harness.certs import certs
from harness.lines import Process
from harness.micropython import UNIT, image_lib, lib_dir, micropython
from harness.ports import free_port

FACTORY = """
import lwm2m
from world import Registrar, World

world = World()
registrar = Registrar(world)
client = world.client()
client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
world.run(400)
print(world.story())
print(registrar.requests[0].payload)  # TLV only, of which servers are told nothing
print(hex(registrar.read("/3/0", 112).code), registrar.read("/3/0", 112).text)
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


COMPOSITE = """
import lwm2m
from world import Registrar, World

world = World()
registrar = Registrar(world)
client = world.client()
client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
world.run(5)
for code in (5, 7):
    for payload in (b"[]", b"[%s]" % bytes(2000)):  # in one datagram, and in blocks
        print(hex(registrar.ask(code, "/", payload, 110).code))
        assert not client.core.engine.incoming
try:
    client.send(["/3/0/16"])
except AttributeError as e:
    print(e)
"""

INSTANCES = """
import lwm2m
from lwm2m.model import R, STR, W, Object
from world import Registrar, World

world = World()
registrar = Registrar(world)
client = world.client()
client.add_object(Object(1000, (0, R | W | STR), {0: {0: "a"}}, multiple=True))
client.add_server(1, "coap://server", lwm2m.SEC_NONE, 300)
world.run(5)
print([hex(registrar.read(path, 40).code) for path in ("/3", "/3/0", "/3/0/0", "/2000", "/0")])
tlv = b"\\xc1\\x00b"
print([hex(registrar.ask(2, path, tlv, 11542).code) for path in ("/1000", "/3", "/2000")])
print([hex(registrar.ask(4, path).code) for path in ("/1000/0", "/3/0", "/1000/1")])
print(registrar.read("/1000/0/0").text)
"""

ALONE = """
import lwm2m
import lwm2m.management as management
from ucoap import Error
from ucoap.engine import Reply

client = lwm2m.Client("alone")
device = client.core.objects[3]
for path in ((3, 0), (3, 0, 0)):
    for accept in (None, 0, 112, 11542):
        try:
            management.answer(device, path, device.flags(0), accept, Reply())
        except Error as e:
            print(hex(e.code))
print(client.step(1))
client.close()
"""


@pytest.fixture(scope="module")
def minimal(tmp_path_factory):
    """{flavour: folder} with role minimal, and what an application gives accounts with."""
    folder = tmp_path_factory.mktemp("minimal")
    manifest = folder / "manifest.py"
    manifest.write_text(f'include("{stage.ROLES}/minimal.py")\nrequire("lwm2m-accounts")\n')
    listed = stage.modules(manifest)
    stage.merge(listed, folder / "src")
    stage.compiled(listed, folder / "mpy")
    return {flavour: folder / flavour for flavour in ("src", "mpy")}


def run(script, lib):
    done = micropython("-c", script, lib=lib)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("flavour", ["src", "mpy"])
def test_composite_operations_are_refused(minimal, flavour):
    # With the first of several blocks, before that has a place.
    wanted = ["0x85"] * 4 + ["send: needs package lwm2m-composite"]
    assert run(COMPOSITE, minimal[flavour]) == wanted


def test_the_core_by_itself_has_no_format(tmp_path):
    # Package lwm2m with nothing but what it requires; LwM2M 1.1 6.3.1: 4.06 Not Acceptable.
    stage.compiled(stage.modules(ROOT / "lib" / "lwm2m" / "manifest.py"), tmp_path)
    assert not (tmp_path / "lwm2m" / "tlv.mpy").exists()
    assert run(ALONE, tmp_path) == ["0x86"] * 8 + ["0"]


@pytest.mark.parametrize("flavour", ["src", "mpy"])
def test_instances_are_the_clients_own(minimal, flavour):
    # Without lwm2m-instances: what is not there is 4.04 (LwM2M 1.1 6.3), what cannot be done 4.05.
    assert run(INSTANCES, minimal[flavour]) == [
        str(["0x85", "0x85", "0x85", "0x84", "0x81"]),
        str(["0x85", "0x85", "0x84"]),
        str(["0x85", "0x85", "0x84"]),
        "a",
    ]


@pytest.mark.parametrize("flavour", ["src", "mpy"])
def test_factory_accounts(minimal, flavour):
    assert run(FACTORY, minimal[flavour]) == [
        "['REG_REGISTERING 1', 'REG_REGISTERED 1', 'REG_UPDATING 1', 'REG_REGISTERED 1']",
        """b'</>;rt="oma.lwm2m",</1/0>,</3/0>'""",
        "0x86 no Content-Format 112",
        "['POST /rd?ep=dev&lt=300&lwm2m=1.1&b=U', 'POST /rd/1']",
        "MicroPython",
        "None",
        "0x85",
        "0xa3",
        "0",
        "['REG_FAILED 1', 'REG_REGISTERING 1', 'REG_REGISTERED 1', 'REG_UNREGISTERED 1']",
    ]


@pytest.mark.parametrize("flavour", ["src", "mpy"])
def test_bootstrap_server_is_refused_in_words(minimal, flavour):
    lines = run(REFUSED, minimal[flavour])
    assert "lwm2m-bootstrap" in lines[0]
    assert lines[1].startswith("4.04") and lines[2].startswith("4.04")
    assert lines[3] == "0"


def test_smaller():
    minimal, client = (lib_dir("mpy", role) / "lwm2m" for role in ("minimal", "client"))
    assert not (minimal / "bootstrap.mpy").exists() and not (minimal / "observe.mpy").exists()

    def size(folder):
        return sum(path.stat().st_size for path in folder.glob("*.mpy"))

    assert size(client) - size(minimal) > 4000


# --- An image of role minimal

SECURE = """
import lwm2m
import sys

def on_event(event):
    if event.type in (lwm2m.EVENT_REG_REGISTERED, lwm2m.EVENT_REG_FAILED):
        print(event.type == lwm2m.EVENT_REG_REGISTERED, event.text)
        client.stop()

client = lwm2m.Client("device-1", on_event)
uri = "coaps://127.0.0.1:%(port)d"
keys = {3: b"device-1", 5: b"secret of it"}
certificates = {3: %(certificate)r, 4: %(server)r, 5: %(key)r}
for mode in %(modes)s:
    try:
        client.add_server(1, uri, mode, 300, security=certificates)
    except ValueError as e:
        print(e)
client.add_server(1, uri, lwm2m.SEC_PRE_SHARED_KEY, 300, security=keys)
client.step(-1)
client.close()
print("lwm2m.dtls" in sys.modules, "lwm2m.x509" in sys.modules)
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return image_lib(tmp_path_factory.mktemp("image"), "minimal", "lwm2m-accounts")


def secure(lib, modes):
    """What SECURE prints, with a server that has its pre-shared key. modes: those tried before it."""
    port = free_port()
    given = '{"port": %d, "psk": {"device-1": "x:%s"}}' % (port, b"secret of it".hex())
    with Process(ROOT / "tests" / "dtls_peer.py", "server", given, heap="2M") as server:
        server.wait_for("ready")
        names = ("certificate", "CLIENT"), ("server", "SERVER"), ("key", "CLIENT_KEY")
        values = {name: getattr(certs, constant) for name, constant in names}
        values.update(port=port, modes=modes)
        done = micropython("-c", SECURE % values, lib=lib)
        assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
        server.wait_for("registered device-1")
    return done.stdout.splitlines()


def test_image_has_pre_shared_keys_and_no_certificates(image):
    assert not (image / "lwm2m" / "x509.mpy").exists()
    assert secure(image, "(lwm2m.SEC_CERTIFICATE, lwm2m.SEC_RAW_PUBLIC_KEY)") == [
        "4.06 Security Mode 2 is not supported",
        "4.06 Security Mode 1 is not supported",
        "True None",
        "True False",
    ]


def test_pre_shared_keys_leave_certificates_unloaded():
    assert secure(lib_dir("mpy"), "()") == ["True None", "True False"]


# --- Role client, without lwm2m-attributes

WITHOUT = """
from test_attributes import Case

case = Case()
print(case.write("/3442/0/120", "pmin=1"), case.write("/3442/0", "pmin=1"))
print(case.discover("/3442/0/120"))
print(hex(case.server.ask(1, "/3442/0/120", more=((6, 0), (15, "pmin=1"))).code))
case.observe("/3442/0/120")
case.set(120, 7)
print(case.world.run(5, lambda: len(case.answers) == 2), case.answers[-1][1].text)
"""


@pytest.mark.parametrize("flavour", ["src", "mpy"])
def test_observations_without_attributes(flavour):
    lib = lib_dir(flavour, "client")
    assert not list(lib.glob("lwm2m/attributes.*"))
    done = micropython(UNIT / "run.py", "test_observe", lib=lib)
    assert "FAIL" not in done.stdout and done.stdout.endswith("DONE\n"), done.stdout
    assert run(WITHOUT, lib) == [
        "(133, 'no attributes here') (133, 'no attributes here')",
        "[('/3442/0/120', set())]",
        "0x80",
        "True 7",
    ]
