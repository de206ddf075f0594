# The bootstrap server of make bench: bootstrap_server.py ACCOUNTS.json PORT HOST

import sys

from lwm2m.bootstrap_server import BootstrapServer, load_accounts

accounts = load_accounts(sys.argv[1])
server = BootstrapServer(int(sys.argv[2]), sys.argv[3], accounts=accounts, max_sessions=128)
print("Listening on port %s" % sys.argv[2])
server.step(-1)
