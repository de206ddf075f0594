"""Secrets at rest: encrypted where the factory has given a passphrase, so that a stolen ledger is no stolen fleet.

The passphrase makes a key with Scrypt (RFC 7914), which encrypts the random key that encrypts the
records, each with AES-GCM and bound to its board.
"""

import json
import secrets
from typing import Optional

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from . import FactoryError

_N, _R, _P = 1 << 15, 8, 1  # of Scrypt: 32 MB, a tenth of a second
_NONCE = 12  # bytes
_WRAPPED = b"key"  # what the encrypted key is bound to


class Seal:
    """Encrypts records, or, without a key, leaves them as they are."""

    def __init__(self, key: Optional[bytes] = None):
        self._cipher = AESGCM(key) if key else None

    def close(self, data: bytes, about: str) -> bytes:
        """about: what it belongs to; it opens for nothing else."""
        if not self._cipher:
            return data
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, data, about.encode())

    def open(self, data: bytes, about: str) -> bytes:
        """ValueError where it is damaged, or belongs to something else."""
        if not self._cipher:
            return data
        try:
            return self._cipher.decrypt(data[:_NONCE], data[_NONCE:], about.encode())
        except InvalidTag:
            raise ValueError from None


def make(passphrase: str) -> "tuple[Seal, str]":
    """A new seal, and what has to be kept to open it again with the passphrase."""
    key, salt, nonce = (
        secrets.token_bytes(32),
        secrets.token_bytes(16),
        secrets.token_bytes(_NONCE),
    )
    outer = AESGCM(_derived(passphrase, salt, _N, _R, _P))
    wrapped = nonce + outer.encrypt(nonce, key, _WRAPPED)
    kept = {"salt": salt.hex(), "n": _N, "r": _R, "p": _P, "key": wrapped.hex()}
    return Seal(key), json.dumps(kept)


def again(passphrase: str, kept: str) -> Seal:
    """The seal that was made before; FactoryError where the passphrase is another one."""
    found = json.loads(kept)
    outer = AESGCM(
        _derived(passphrase, bytes.fromhex(found["salt"]), found["n"], found["r"], found["p"])
    )
    wrapped = bytes.fromhex(found["key"])
    try:
        return Seal(outer.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _WRAPPED))
    except InvalidTag:
        raise FactoryError("That is not the passphrase of this ledger's secrets.") from None


def _derived(passphrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(passphrase.encode())
