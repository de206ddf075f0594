# package_check.py PACKAGE TARGET NUMBER REVOKED KEY...: what the device says of a package's header.

import sys
from binascii import unhexlify
from lwm2m.package import Fault, Package
from lwm2m.slots import Slots


class Nowhere:
    """A place for what is no files."""

    def spare(self, slot):
        return slot

    def open(self, slot, size, at):
        return self

    def write(self, data):
        pass

    def close(self):
        pass


with open(sys.argv[1], "rb") as f:
    head = f.read(164)
keys = [unhexlify(key) for key in sys.argv[5:]]
places = {2: Nowhere(), 3: Nowhere()}
slots = Slots("%s.slots" % sys.argv[1], keys, sys.argv[2], int(sys.argv[3]), places)
slots._state[0][5] = int(sys.argv[4])
try:
    slots.begin()
    slots.write(head)
    found = slots._package
    assert isinstance(found, Package)
    print(sys.argv[2], found.number, found.name, found.version, found.size, found.whole)
except Fault as e:
    print(*e.args)
slots.drop()
