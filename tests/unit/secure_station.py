# Both servers in one process, over DTLS with pre-shared keys, for test_secure_loss.py:
# secure_station.py FILE, of {"bootstrap_port", "port", "accounts", "keys": {identity: key in hex},
# "identities": {identity: endpoint}} for the LwM2M Server.

import json
import sys

import lwm2m.bootstrap_server as bs
import lwm2m.server as server
from lwm2m.credentials import Credentials

with open(sys.argv[1]) as f:
    config = json.load(f)
keys = Credentials()
for identity, key in config["keys"].items():
    keys.create(identity.encode(), (0, identity.encode(), b"", bytes.fromhex(key)))
bootstrap = bs.BootstrapServer(
    config["bootstrap_port"], "127.0.0.1", accounts=config["accounts"], max_sessions=64
)
lwm2m_server = server.Server(
    config["port"],
    "127.0.0.1",
    net=bootstrap.net,
    credentials=keys,
    identities=config["identities"],
)
# More patience than RFC 7252's defaults: where the server gives up, the client waits for another
# 247 s, which would only make the test longer.
bootstrap.engine.settings = lwm2m_server.engine.settings = (500, 150, 6)
print("listening")
bootstrap.step(-1)
