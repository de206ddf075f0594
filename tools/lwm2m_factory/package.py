"""Packages for updates over the air: files of an application, a ROMFS image of them, or an ESP32's
program; signed. lib/lwm2m-update reads them, and its package.py says what they look like.
"""

import hashlib
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from mpremote.romfs import VfsRomWriter

from . import FactoryError

_SIGNED = 100
_HEAD = 164
_FILES = 1
_ROMFS = 2
_PROGRAM = 3
_DEFLATED = 1
_OLDER = 2
_WINDOW_BITS = 12  # 4 KB, which the device has to have as heap
_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", re.ASCII)


@dataclass(frozen=True)
class Terms:
    """What a package says of itself."""

    target: str
    number: int
    version: str
    name: str = ""
    key: int = 0  # of the two vendor keys
    revoked: int = 0  # a bit for each
    older: bool = False  # whether it may replace what has a larger number


def files(folder: Path) -> List[Tuple[str, bytes]]:
    """(name, content) of all files in a folder but hidden ones and __pycache__, sorted."""
    if not folder.is_dir():
        raise FactoryError(f"{folder} is no folder.")
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_dir() or "__pycache__" in parts or any(p.startswith(".") for p in parts):
            continue
        name = "/".join(parts)
        if len(name) > 63 or not _NAME.fullmatch(name):
            raise FactoryError(
                f"{path} cannot go into a package: use letters, digits, _, - and dots, at most 63."
            )
        found.append((name, path.read_bytes()))
    if not found:
        raise FactoryError(f"{folder} has no files.")
    return found


def with_library(app: List[Tuple[str, bytes]], bundle: Path) -> List[Tuple[str, bytes]]:
    """An application's files, and beside them the library and firmware of a bundle: its folder, or the board/ in it."""
    board = bundle / "board" if (bundle / "board").is_dir() else bundle
    library = files(board / "lib") if (board / "lib").is_dir() else []
    names = {name for name, _ in library}
    if not {"device/main.mpy", "lwm2m/__init__.mpy", "ucoap/__init__.mpy"} <= names:
        raise FactoryError(f"{bundle} is no bundle: make bundle makes one, as build/bundle/ROLE.")
    own = {name for name, _ in app}
    if not own & {"app.py", "app.mpy"}:
        raise FactoryError(
            "There is no app.py: a library comes with the application that it runs."
        )
    both = sorted(own & names)
    if both:
        raise FactoryError(f"{both[0]} is in the application and in the library.")
    return sorted(app + library)


def romfs(listed: List[Tuple[str, bytes]], terms: Terms) -> bytes:
    """A package of a ROMFS image with these files, sorted, that is yet to be signed."""
    writer = VfsRomWriter()
    inside: List[str] = []
    for name, content in listed:
        *folders, last = name.split("/")
        common = 0
        while common < min(len(inside), len(folders)) and inside[common] == folders[common]:
            common += 1
        for _ in inside[common:]:
            writer.closedir()
        for folder in folders[common:]:
            writer.opendir(folder)
        inside = folders
        writer.mkfile(last, content)
    for _ in inside:
        writer.closedir()
    body = bytes(writer.finalise())
    return _with_head(_ROMFS, 0, body, len(body), terms)


def program(path: Path, terms: Terms) -> bytes:
    """A package of an ESP32's program, a file, that is yet to be signed."""
    try:
        body = path.read_bytes()
    except OSError as e:
        raise FactoryError(f"{path} cannot be read: {e.strerror}.") from None
    if body[:4] == b"UF2\n":
        raise FactoryError(
            f"{path} is an image of a Pico, which has no second place for one: flash it over USB, and "
            "let updates bring the application."
        )
    # What a program of ESP-IDF begins with, and its description behind the first segment's head.
    if body[:1] != b"\xe9" or body[32:36] != b"\x32\x54\xcd\xab":
        raise FactoryError(
            f"{path} is no program of an ESP32: give the micropython.bin of its build, not what esptool "
            "flashes, which has boot loader and partition table in it."
        )
    return _with_head(_PROGRAM, 0, body, len(body), terms)


def build(listed: List[Tuple[str, bytes]], terms: Terms, deflated: bool = True) -> bytes:
    """A package of files that is yet to be signed."""
    whole = b"".join(
        struct.pack(">BI", len(name), len(content)) + name.encode() + content
        for name, content in listed
    )
    body = whole
    if deflated:
        squeezed = zlib.compressobj(9, zlib.DEFLATED, _WINDOW_BITS)
        body = squeezed.compress(whole) + squeezed.flush()
        if len(body) >= len(whole):
            body, deflated = whole, False
    return _with_head(_FILES, _DEFLATED * deflated, body, len(whole), terms)


def _with_head(kind: int, flags: int, body: bytes, whole: int, terms: Terms) -> bytes:
    if not 0 <= terms.number < 1 << 32:
        raise FactoryError("The number must be from 0 to 4294967295.")
    if terms.revoked >> terms.key & 1:
        raise FactoryError("A key cannot revoke itself.")
    head = struct.pack(
        ">3s5B3I16s16s16s32s",
        b"LwP",
        1,
        kind,
        flags | _OLDER * terms.older,
        terms.key,
        terms.revoked,
        terms.number,
        len(body),
        whole,
        _field("target", terms.target),
        _field("name", terms.name),
        _field("version", terms.version),
        hashlib.sha256(body).digest(),
    )
    return head + bytes(_HEAD - _SIGNED) + body


def _field(name: str, value: str) -> bytes:
    data = value.encode()
    if len(data) > 16 or "\0" in value or (not data and name == "target"):
        raise FactoryError(f"The {name} must be a text of at most 16 bytes.")
    return data


def digest(package: bytes) -> bytes:
    """What is to be signed: the SHA-256 of a package's header, the signature aside."""
    if package[:4] != b"LwP\1" or len(package) < _HEAD:
        raise FactoryError("That is no package.")
    return hashlib.sha256(package[:_SIGNED]).digest()


def load_key(path: Path, ask: Callable[[Path], str]) -> ec.EllipticCurvePrivateKey:
    """A vendor's private key, PEM. ask: for its password, where it has one."""
    try:
        data = path.read_bytes()
        try:
            key = serialization.load_pem_private_key(data, None)
        except TypeError:  # it is encrypted
            key = serialization.load_pem_private_key(data, ask(path).encode())
    except OSError as e:
        raise FactoryError(f"{path} cannot be read: {e.strerror}.") from None
    except ValueError:
        raise FactoryError(
            f"{path} is no private key in PEM, or its password is another."
        ) from None
    return _checked(path, key, ec.EllipticCurvePrivateKey)


def load_public(path: Path) -> ec.EllipticCurvePublicKey:
    """A vendor's public key, PEM; out of a private one too, where that has no password."""
    try:
        data = path.read_bytes()
        if b"PRIVATE" in data:
            return load_key(path, lambda path: "").public_key()
        key = serialization.load_pem_public_key(data)
    except OSError as e:
        raise FactoryError(f"{path} cannot be read: {e.strerror}.") from None
    except ValueError:
        raise FactoryError(f"{path} is no public key in PEM.") from None
    return _checked(path, key, ec.EllipticCurvePublicKey)


def _checked(path: Path, key, kind):
    if not isinstance(key, kind) or key.curve.name != "secp256r1":
        raise FactoryError(
            f"{path} is no key of P-256: make one with openssl ecparam -genkey -name prime256v1."
        )
    return key


def raw_key(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as devices have it: x and y, 64 bytes."""
    numbers = key.public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def signed(package: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The package with that key's signature."""
    made = key.sign(digest(package), ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    return with_signature(package, made)


def with_signature(
    package: bytes, signature: bytes, key: Optional[ec.EllipticCurvePublicKey] = None
) -> bytes:
    """The package with a signature that was made elsewhere: DER, or r and s, of 32 bytes each.

    key: whose it must be, where that is known.
    """
    try:
        if len(signature) == 64:
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        else:
            r, s = utils.decode_dss_signature(signature)
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    except (ValueError, OverflowError):
        raise FactoryError("That is no signature of P-256: give DER, or r and s.") from None
    if key:
        try:
            der = utils.encode_dss_signature(r, s)
            key.verify(der, digest(package), ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        except InvalidSignature:
            raise FactoryError("That is another key's signature, or another package's.") from None
    digest(package)  # it is one
    return package[:_SIGNED] + raw + package[_HEAD:]
