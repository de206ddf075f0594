"""One board's part of the configuration: its endpoint name, its accounts with their keys, its settings."""

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

from . import FactoryError, certificates, image
from .accounts import MODES, Bootstrap
from .config import Account, Config
from .patterns import BOARD_VALUES, endpoint_fault, fill, key_fault, names_in

_MAX_IDENTITY = 128  # bytes, RFC 4279 5.1


@dataclass
class Identity:
    """What one board gets. record: what `export` needs of it, with keys, in JSON."""

    endpoint: str
    data: bytes = field(repr=False)  # the provisioning file
    record: dict = field(repr=False)


def endpoint_of(config: Config, values: Dict[str, str]) -> str:
    """The endpoint name of a board with these values; FactoryError where they make none."""
    for name in names_in(config.endpoint):
        if not values.get(name) or (name == "mac" and not values[name].strip("0:-. ")):
            raise FactoryError(
                f"The endpoint name needs {{{name}}}, which this board does not have."
                if name in BOARD_VALUES
                else f"The endpoint name needs {{{name}}}: it is not given."
            )
    endpoint = fill(config.endpoint, values)
    text = endpoint_fault(endpoint)
    if text:
        raise FactoryError(f"The endpoint name {endpoint!r} {text}")
    return endpoint


def make(config: Config, values: Dict[str, str], earlier: Optional[dict] = None) -> Identity:
    """Make a board's identity. earlier: its record, where it is given again; the keys stay."""
    endpoint = endpoint_of(config, values)
    told = {name: values[name] for name in values if name not in BOARD_VALUES}
    values = dict(values, endpoint=endpoint)
    keys = {}
    for each in (*earlier["accounts"], *earlier["given"]) if earlier else ():
        if each["security"]["mode"] in ("psk", "rpk"):
            keys[_place(each)] = each["security"]["key"]
    state = {0: {}, 1: {}}
    record = {"endpoint": endpoint, "values": told, "accounts": [], "given": []}
    for given, accounts in ((False, config.accounts), (True, config.given)):
        for account in accounts:
            found = _record(account, given)
            kept = keys.get(_place(found))
            resources = _secure(account, values, kept, found["security"], given)
            record["given" if given else "accounts"].append(found)
            if not given:
                _put(state, account, resources)
    if config.access:
        state[2] = config.access
    data = image.pack(endpoint, state, config.settings)
    record["sha256"] = hashlib.sha256(data).hexdigest()
    return Identity(endpoint, data, record)


def completed(config: Config, record: dict) -> Identity:
    """What a board was given, and what its bootstrap server is to give it by the configuration of now."""
    values = {name: record.get(name, "") for name in (*BOARD_VALUES, "endpoint")}
    values.update(record.get("values", {}))
    given = []
    for account in config.given:
        found = _record(account, True)
        _secure(account, values, None, found["security"], True)
        given.append(found)
    return Identity(record["endpoint"], b"", dict(record, given=given))


def _place(record: dict) -> Tuple:
    return record.get("short_id"), record["given"], record["security"]["mode"]


def _record(account: Account, given: bool) -> dict:
    table = account.table
    found = {"uri": table.uri, "given": given, "security": {"mode": table.security.mode}}
    if isinstance(table, Bootstrap):
        found["hold_off"], found["account_timeout"] = table.hold_off, table.account_timeout
    else:
        found["short_id"] = table.short_id
        found["lifetime"] = table.lifetime
        found["binding"] = "UQ" if table.queue else "U"
        found["store_notifications"] = table.store_notifications
        found["mute_send"] = table.mute_send
    return found


def _secure(
    account: Account, values: Dict[str, str], kept: Optional[str], record: dict, given: bool
) -> dict:
    # The resources 3 to 5 and the optional ones of /0; the record gets what export needs. kept:
    # the pre-shared or private key that it had before.
    security = account.table.security
    if security.mode == "psk":
        name = f"{account.name}.security"
        identity_ = _filled(security.identity, values, f"{name}.identity")
        if not 0 < len(identity_.encode()) <= _MAX_IDENTITY:
            raise FactoryError(f"{name}.identity must have from 1 to {_MAX_IDENTITY} bytes.")
        key = security.key
        if key == "random":
            key = kept or secrets.token_hex(security.key_bytes)
        else:
            key = _filled(key, values, f"{name}.key")
            text = key_fault(key)
            if text:
                raise FactoryError(f"{name}.key {text}")
        record["identity"] = identity_
        record["key"] = key.lower()
        return {3: identity_.encode(), 4: b"", 5: bytes.fromhex(key), **security.resources()}
    if security.mode == "rpk":
        if kept:
            private = bytes.fromhex(kept)
            public = certificates.public_of(private)
        else:
            public, private = certificates.make_pair()
        record["public_key"] = public.hex()
        record["server_public_key"] = security.server_public_key.hex()
        record["key"] = private.hex()
        return {3: public, 4: security.server_public_key, 5: private, **security.resources()}
    if security.mode == "certificate":
        certificate, key = security.authority.issue(values["endpoint"])
        options, expected = security.resources(), security.expected()
        record["certificate"] = certificate.hex()
        if given:  # the bootstrap server needs all of it; else the key is the board's alone
            record["key"] = key.hex()
            record["server_certificate"] = expected.hex()
            for name, rid in (("matching", 13), ("sni", 14), ("usage", 15)):
                if rid in options:
                    record[name] = options[rid]
            if security.cipher_suites:
                record["ciphers"] = security.cipher_suites
        return {3: certificate, 4: expected, 5: key, **options}
    return {3: b"", 4: b"", 5: b""}


def _filled(pattern: str, values: Dict[str, str], name: str) -> str:
    try:
        return fill(pattern, values)
    except KeyError as e:
        raise FactoryError(f"{name} needs {{{e.args[0]}}}: it is not given.") from None


def _put(state: image.State, account: Account, resources: dict) -> None:
    iid = len(state[0])
    table = account.table
    own = isinstance(table, Bootstrap)
    state[0][iid] = {0: table.uri, 1: own, 2: MODES[table.security.mode], **resources}
    if own:
        state[0][iid].update({11: table.hold_off, 12: table.account_timeout})
    else:
        state[0][iid][10] = table.short_id
        state[1][len(state[1])] = table.resources()
