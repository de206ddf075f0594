# What tests of formats share.

from binascii import unhexlify
from ucoap import Error


def octets(text):
    return unhexlify(text.replace(" ", "").replace("\n", ""))


def code_of(f, *args):
    try:
        f(*args)
    except Error as e:
        assert e.text
        return e.code
    return 0
