"""The keys of the tests under DTLS: as an account of our client has them, as Leshan has them, and how
one that was printed is found.

Certificates are those of tests/unit/dtls_certs.py: CLIENT's common name is device-1.
"""

import base64
from typing import NamedTuple

from .certs import certs

SECRETS = [certs.CLIENT_KEY, certs.SERVER_KEY, certs.SELF_KEY]  # that no process may print


class Keys(NamedTuple):
    account: dict  # {resource id: value} of /0/x of our client
    leshan: dict  # fields of a security instance of Leshan's bootstrap server
    client: dict  # arguments of Leshan's client
    secure: dict  # arguments of the command secure of Leshan's servers
    ours: dict  # "security" of an account in our Bootstrap Server's table
    known: dict  # "security" of a client in our servers' tables


def psk(identity, key):
    SECRETS.append(key)
    named = identity.encode().hex()
    return Keys(
        account={"2": 0, "3": {"hex": named}, "5": {"hex": key.hex()}},
        leshan={"securityMode": "PSK", "publicKeyOrId": named, "secretKey": key.hex()},
        client={"identity": identity, "key": key.hex()},
        secure={"identity": identity, "key": key.hex()},
        ours={"mode": "psk", "identity": identity, "key": key.hex()},
        known={"mode": "psk", "identity": identity, "key": key.hex()},
    )


def x509(
    certificate=certs.CLIENT,
    key=certs.CLIENT_KEY,
    server=certs.SERVER,
    usage=None,
    name="device-1",
):
    """With the server's certificate pinned, or, with usage 2, that of its CA. name: the common name."""
    account = {"2": 2, "3": certificate, "4": server, "5": key}
    account = {rid: v if rid == "2" else {"hex": v.hex()} for rid, v in account.items()}
    leshan = {"securityMode": "X509", "publicKeyOrId": certificate.hex()}
    leshan.update({"secretKey": key.hex(), "serverPublicKey": server.hex()})
    if usage is not None:
        account["15"] = usage
        leshan["certificateUsage"] = {2: "TRUST_ANCHOR_ASSERTION"}[usage]
    client = {"certificate": certificate.hex(), "private_key": key.hex()}
    ours = {"mode": "certificate", "certificate": certificate.hex(), "key": key.hex()}
    ours["server_certificate"] = server.hex()
    if usage is not None:
        ours["usage"] = usage
    return Keys(
        account=account,
        leshan=leshan,
        client={**client, "server_certificate": server.hex()},
        secure={"certificate": True},
        ours=ours,
        known={"mode": "certificate", "name": name},
    )


def rpk(public=certs.CLIENT_PUBLIC, key=certs.CLIENT_KEY, server=certs.SERVER_PUBLIC):
    """With a raw public key, and the server's."""
    given = {"3": public.hex(), "4": server.hex(), "5": key.hex()}
    leshan = {"securityMode": "RPK", "publicKeyOrId": public.hex()}
    leshan.update({"secretKey": key.hex(), "serverPublicKey": server.hex()})
    return Keys(
        account={"2": 1, **{rid: {"hex": value} for rid, value in given.items()}},
        leshan=leshan,
        client={
            "public_key": public.hex(),
            "private_key": key.hex(),
            "server_public_key": server.hex(),
        },
        secure={"public_key": public.hex()},
        ours={
            "mode": "rpk",
            "public_key": public.hex(),
            "server_public_key": server.hex(),
            "key": key.hex(),
        },
        known={"mode": "rpk", "public_key": public.hex()},
    )


# What servers have for clients with certificates, and with raw public keys.
SERVER = {
    "certificate": certs.SERVER.hex(),
    "private_key": certs.SERVER_KEY.hex(),
    "trusted": certs.CA.hex(),
}


RAW_SERVER = {"public_key": certs.SERVER_PUBLIC.hex(), "private_key": certs.SERVER_KEY.hex()}


def printed(text):
    """Whether a key is in what a process has printed: as it is, in hex or in base64."""
    text = text.lower()
    for key in SECRETS:
        # Of a private key, PKCS#8 of P-256, the 32 bytes that are the secret.
        secret = key[36:68] if len(key) > 64 else key
        raw = repr(secret)[2:-1].lower()  # as Python prints bytes
        coded = [base64.b64encode(key), base64.b64encode(secret)[:-2]]
        if raw in text or secret.decode("latin-1").lower() in text or secret.hex() in text:
            return True
        if any(form.decode().lower() in text for form in coded):
            return True
    return False
