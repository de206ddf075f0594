"""Packages for devices under test, signed here, and the applications in them."""

from cryptography.hazmat.primitives.asymmetric import ec
from lwm2m_factory import package

TARGET = "board"
KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]

APP = """\
from lwm2m.model import INT, R, Object
def setup(client, settings):
    client.add_object(Object(3200, (5501, R | INT), {{0: {{5501: {number}}}}}))
{more}"""

CRASHES = "    raise ValueError('no good')\n"
HANGS = """
def turn(client):
    print("HANGS")
    while True:
        pass
"""
FAILS = """
def selftest():
    return "the sensor is silent"
"""


def made(number: int, more: str = "", deflated: bool = True, **terms) -> bytes:
    files = [("app.py", APP.format(number=number, more=more).encode())]
    files.append(("data/filling", bytes(range(256)) * 20))
    found = package.Terms(
        **{"target": TARGET, "number": number, "version": f"{number}.0", **terms}
    )
    return package.signed(package.build(files, found, deflated), KEYS[found.key])


def settings(target: str = TARGET) -> dict:
    """[update] of a factory's configuration, for such packages."""
    keys = [package.raw_key(key.public_key()).hex() for key in KEYS]
    return {"target": target, "keys": keys, "number": 1}
