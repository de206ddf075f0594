# The reference's flow (examples/reference_flow.py of lwm2m-bootstrap-server): what the client is asked, in
# order, and what it has when its session is over.

import sys

import lwm2m
from lwm2m.bootstrap_server import FINISHED, BootstrapServer
from lwm2m.client import Client
from servers import World
from ucoap import CON, URI_PATH, Message

BS = "coap://10.0.0.2:5783"
NEW = "coap://10.0.0.3:5783"
SERVER = "coap://10.0.0.2:5683"
ACCOUNT = {
    "bootstrap": {"uri": NEW, "hold_off": 7},
    "servers": [{"short_id": 1, "uri": SERVER, "lifetime": 60}],
}
METHODS = ("", "GET", "POST", "PUT", "DELETE")


def _flow(name):
    """The requests that a client gets by that function of the example, and the client, 5 s later."""
    sys.path.append(__file__.rsplit("/", 3)[0] + "/lib/lwm2m-bootstrap-server/examples")
    try:
        import reference_flow
    finally:
        sys.path.pop()
    world = World()
    events = []

    def on_request(session):
        getattr(reference_flow, name)(session, ACCOUNT)
        return True

    BootstrapServer(
        5783, on_request=on_request, on_event=lambda event, s: events.append(event), net=world
    )
    client = Client("dev", net=world)
    client.add_bootstrap_server(BS, lwm2m.SEC_NONE)
    client.add_server(9, SERVER, lwm2m.SEC_NONE)  # an old one, which is not there
    client.core.objects[1].instances[0].update({17: 1, 20: 1})
    assert world.run(lambda: FINISHED in events, 600)
    world.wait(5)
    asked = []
    for source, _, datagram in world.sent:
        m = Message()
        assert m.parse(datagram)
        if source == 5783 and m.type == CON:
            asked.append("%s /%s" % (METHODS[m.code], "/".join(m.strings(URI_PATH))))
    return asked, client


def _check(client):
    # The old account has gone, the new ones are there, and stay.
    assert sorted(client.servers()) == [1, 65535]
    security = client.core.objects[0].instances
    accounts = {security[iid][0]: security[iid] for iid in security}
    assert sorted(accounts) == [SERVER, NEW]
    assert accounts[NEW][1] is True and accounts[NEW][2] == 3 and accounts[NEW][11] == 7
    assert not accounts[NEW].get(12)  # Account Timeout: it does not end
    assert accounts[SERVER][1] is False and accounts[SERVER][10] == 1
    (registration,) = client.core.objects[1].instances.values()
    assert registration[0] == 1 and registration[1] == 60 and registration[7] == "U"


def test_by_high_level_operations():
    asked, client = _flow("by_high_level")
    assert asked == [
        "DELETE /",
        "GET /",  # once, for all that come
        "PUT /0/0/12",
        "PUT /0/0",
        "PUT /0/1",
        "PUT /1/0",
        "PUT /0/2",
        "PUT /1/1",
        "DELETE /0/2",
        "DELETE /1/1",
        "POST /bs",
    ]
    _check(client)


def test_by_low_level_operations():
    asked, client = _flow("by_low_level")
    assert asked == [
        "GET /",
        "DELETE /",
        "PUT /0/0",
        "PUT /0/1",
        "PUT /1/0",
        "GET /1/0",
        "GET /",
        "POST /bs",
    ]
    _check(client)
