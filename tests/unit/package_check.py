# package_check.py PACKAGE TARGET NUMBER REVOKED KEY...: what the device says of a package's header.

import sys
from binascii import unhexlify
from lwm2m.package import HEAD, Fault, Package

with open(sys.argv[1], "rb") as f:
    head = f.read(HEAD)
try:
    found = Package(head)
    keys = [unhexlify(key) for key in sys.argv[5:]]
    found.check(head, keys, int(sys.argv[4]), sys.argv[2], int(sys.argv[3]))
    print(found.target, found.number, found.name, found.version, found.size, found.whole)
except Fault as e:
    print(e.result, e.text)
