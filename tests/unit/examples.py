# The example client of the specification, as it answers GET /3/0 (LwM2M 1.1 7.4.3.1).

from binascii import unhexlify

DEVICE_TLV = unhexlify(
    """
c8 00 14 4f70656e204d6f62696c6520416c6c69616e6365
c8 01 16 4c69676874776569676874204d324d20436c69656e74
c8 02 09 333435303030313233
c3 03 312e30
86 06 41 00 01 41 01 05
88 07 08 42 00 0ed8 42 01 1388
87 08 41 00 7d 42 01 0384
c1 09 64
c1 0a 0f
83 0b 41 00 00
c4 0d 5182428f
c6 0e 2b30323a3030
c1 10 55
""".replace(" ", "").replace("\n", "")
)
DEVICE_VALUES = {
    0: "Open Mobile Alliance",
    1: "Lightweight M2M Client",
    2: "345000123",
    3: "1.0",
    6: {0: 1, 1: 5},
    7: {0: 3800, 1: 5000},
    8: {0: 125, 1: 900},
    9: 100,
    10: 15,
    11: {0: 0},
    13: 1367491215,
    14: "+02:00",
    16: "U",
}
