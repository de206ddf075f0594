# verify_lines.py: says of each line "digest signature key" (hexadecimal) whether that is right.

import sys
from binascii import unhexlify
from lwm2m.p256 import verify

for line in sys.stdin:
    digest, signature, key = [unhexlify(word) for word in line.split(" ")[:3]]
    print(int(verify(digest, signature, key)))
