"""The provisioning file that a board gets: accounts and settings in the form of lwm2m.store.

The device's own modules make, read and check it. They are loaded from the checkout's lib/, or from
where pip has put a copy of them, with a stand-in for MicroPython's module `micropython`.
"""

import importlib.util
import io
import json
import sys
import types
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Tuple

from . import FactoryError

# {object id: {instance id: {resource id: value}}}
State = Dict[int, Dict[int, Dict[int, object]]]

SETTINGS = 65535, 1, 0  # where the settings lie in a state: JSON in a str
SLOT = 4096  # bytes, what a board has for it

_HERE = Path(__file__).resolve().parent


# Packages of lib/ whose modules are wanted, by the name under which they are imported.
_PACKAGES = {
    "ucoap": ("ucoap",),
    "lwm2m": (
        "lwm2m",
        "lwm2m-consistency",
        "lwm2m-rpk",
        "lwm2m-security",
        "lwm2m-store",
        "lwm2m-tlv",
    ),
}


def _folder(package: str, name: str) -> str:
    packed = _HERE / "_lib" / package
    return str(packed if packed.exists() else _HERE.parents[1] / "lib" / package / name)


def _load(name: str, packages: Tuple[str, ...]) -> None:
    # By its folders: a search path would show the manifests and examples beside them too.
    folders = [_folder(package, name) for package in packages]
    spec = importlib.util.spec_from_file_location(
        name, f"{folders[0]}/__init__.py", submodule_search_locations=folders
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


if "micropython" not in sys.modules:
    _shim = types.ModuleType("micropython")
    _shim.const = lambda value: value
    sys.modules["micropython"] = _shim
for _name, _packages in _PACKAGES.items():
    if _name not in sys.modules:
        _load(_name, _packages)

import lwm2m.consistency as consistency  # noqa: E402
import lwm2m.objects as objects  # noqa: E402
import lwm2m.store as store  # noqa: E402

MODES = (0, 1, 2, 3)  # Security Modes that devices with lwm2m-x509 and lwm2m-rpk can do


class Content(NamedTuple):
    """What a provisioning file says."""

    endpoint: str
    state: State
    settings: dict


def fault(state: State) -> Optional[str]:
    """What is wrong with the accounts, by the check that a client makes at Finish; or None.

    A bootstrap server account alone is enough here.
    """
    found = objects.base_objects(None)
    for oid in (0, 1):
        found[oid].instances = state.get(oid, {})
    return consistency.inconsistency(found, MODES, enough=False)


def pack(endpoint: str, state: State, settings: dict) -> bytes:
    """The provisioning file. FactoryError where the accounts are inconsistent or it is too long."""
    oid, iid, rid = SETTINGS
    text = fault(state)
    if text:
        raise FactoryError(f"The accounts are inconsistent: {text}.")
    whole = dict(state)
    whole[oid] = {iid: {rid: json.dumps(settings, ensure_ascii=False, separators=(",", ":"))}}
    data = bytes(store.pack(endpoint, whole))
    if len(data) > SLOT:
        raise FactoryError(
            f"The configuration takes {len(data)} bytes, a board has {SLOT} for it: give it fewer "
            "or shorter certificates and settings."
        )
    return data


def unpack(data: bytes) -> Content:
    """What a provisioning file says; FactoryError where it is damaged."""
    oid, iid, rid = SETTINGS
    try:
        endpoint, state = store.Store("", lambda: io.BytesIO(data)).factory()
        settings = json.loads(state.pop(oid)[iid][rid])
    except (ValueError, KeyError, TypeError):
        raise FactoryError("It is damaged, or no provisioning file.") from None
    return Content(endpoint, state, settings)
