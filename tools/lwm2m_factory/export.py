"""What servers have to know of the boards, out of the file of kept, one board at a time.

Every form is streamed: the memory that it takes does not depend on how many boards there are.
All files but labels have keys in them, and the mode 0600.
"""

import contextlib
import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional
from urllib.parse import quote
from xml.sax.saxutils import escape

import segno

from . import FactoryError, config, identity, ledger
from .files import private, private_folder
from .text import printable

# Leshan's names of Security Modes.
_MAX_NAME = 200  # of a file
_LESHAN_USAGES = (
    "CA_CONSTRAINT",
    "SERVICE_CERTIFICATE_CONSTRAINT",
    "TRUST_ANCHOR_ASSERTION",
    "DOMAIN_ISSUER_CERTIFICATE",
)
_LESHAN_MODES = {"psk": "PSK", "rpk": "RPK", "certificate": "X509", "none": "NO_SEC"}


def leshan(kept: ledger.Ledger, out: Path, short_id: Optional[int]) -> Dict[str, int]:
    """A folder with what Leshan's demo servers take. Returns how many entries each file has.

    bootstrapStore.json: the file of its bootstrap server's store (data/bootstrapStore.json).
    bootstrap.rest and server.rest: calls of the REST interfaces of its two servers, a line of
    JSON each: method, path and body.
    """
    private_folder(out)
    counts = {}
    for name, lines, more in (
        ("bootstrapStore.json", _object(_configs(kept)), 1),
        ("bootstrap.rest", _bootstrap_calls(kept), 0),
        ("server.rest", _server_calls(kept, short_id), 0),
    ):
        counts[name] = _write(out / name, lines, more, empty=True)
    return counts


def bootstrap_server(kept: ledger.Ledger, out: Path, short_id: Optional[int]) -> Dict[str, int]:
    """The table of accounts of our Bootstrap Server (module lwm2m.table)."""
    return {out.name: _write(out, _object(_accounts(kept)), 1)}


class Nothing(FactoryError):
    """No board has what is to be exported."""


def nothing(kept: ledger.Ledger, form: str, short_id: Optional[int]) -> FactoryError:
    """Why there is nothing to export."""
    ids = set()
    first = None
    for record in kept.records():
        first = record
        ids.update(a.get("short_id") for a in record["accounts"] + record["given"])
    if first is None:
        why = "no board was given anything yet"
    elif form == "bootstrap-server" or (form == "leshan" and short_id is None and None not in ids):
        why = "no board has an account of a bootstrap server, which [bootstrap] gives"
    elif short_id is not None and short_id not in ids:
        listed = ", ".join(map(str, sorted(ids - {None})))
        why = f"no board has an account of server {short_id}: choose from {listed}"
    else:
        why = "no board has a key or a certificate for that server"
    return FactoryError(f"There is nothing to export: {why}.")


def server(kept: ledger.Ledger, out: Path, short_id: Optional[int]) -> Dict[str, int]:
    """The table of clients of our LwM2M Server (module lwm2m.clients)."""
    return {out.name: _write(out, _object(_clients(kept, short_id)), 1)}


def csv_file(kept: ledger.Ledger, out: Path, short_id: Optional[int]) -> Dict[str, int]:
    """A line for each account of each board."""
    return {out.name: _write(out, _csv(kept), 1)}


def labels(kept: ledger.Ledger, out: Path, short_id: Optional[int]) -> Dict[str, int]:
    """A folder with a label for each board, SVG: its endpoint name as a QR code, and its numbers."""
    count = 0
    try:
        out.mkdir(parents=True, exist_ok=True)
        for record in kept.records():
            path = out / f"{_file_name(record['endpoint'])}.svg"
            _check_replaceable(path)
            path.write_text(label(record), encoding="utf-8")
            count += 1
    except OSError as e:
        raise FactoryError(f"{out} cannot be written: {e.strerror}.") from None
    return {out.name: count}


FORMS: Dict[str, Callable[[ledger.Ledger, Path, Optional[int]], Dict[str, int]]] = {
    "leshan": leshan,
    "bootstrap-server": bootstrap_server,
    "server": server,
    "csv": csv_file,
    "labels": labels,
}


_FOLDERS = ("leshan", "labels")


def is_there(form: str, out: Path) -> bool:
    """Whether an export would replace something. FactoryError for what is never replaced."""
    if form in _FOLDERS and out.is_dir():
        return any(out.iterdir())
    _check_replaceable(out)
    return out.exists()


def _check_replaceable(path: Path) -> None:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise FactoryError(f"{path} is no file that can be replaced: name another one.")


def _file_name(endpoint: str) -> str:
    # Where two could have the same, on a file system without case or when cut, a digest tells them.
    name = quote(endpoint, safe="")
    if endpoint == endpoint.lower() and len(name) <= _MAX_NAME and not name.startswith("."):
        return name
    digest = hashlib.sha256(endpoint.encode()).hexdigest()[:16]
    return f"{name.lstrip('.')[:_MAX_NAME]}-{digest}"


def _write(path: Path, lines: Iterable[str], more: int, empty: bool = False) -> int:
    # Under another name until it is whole. more: so many of the lines are no entries; empty: it may
    # have none.
    _check_replaceable(path)
    if not path.parent.is_dir():
        raise FactoryError(f"{path} cannot be written: there is no folder {path.parent}.")
    new = path.with_name(path.name + ".new")
    count = -more
    try:
        with private(new) as f:
            with io.TextIOWrapper(f, encoding="utf-8", newline="") as text:
                for line in lines:
                    text.write(line)
                    count += 1
        if not count and not empty:
            raise Nothing
        new.replace(path)
    except OSError as e:
        raise FactoryError(f"{path} cannot be written: {e.strerror}.") from None
    finally:
        with contextlib.suppress(OSError):
            new.unlink()
    return count


def _object(pairs: "Iterator[tuple[str, dict]]") -> Iterator[str]:
    # A JSON object, an entry a line; the end counts as one more.
    lead = "{\n"
    for name, value in pairs:
        yield f"{lead}{_json(name)}: {_json(value)}"
        lead = ",\n"
    yield "\n}\n" if lead == ",\n" else "{}\n"


def _json(value) -> str:
    return json.dumps(value, ensure_ascii=False)


def _bootstrap_account(record: dict) -> Optional[dict]:
    for account in record["accounts"]:
        if "short_id" not in account:
            return account
    return None


def complete(kept: ledger.Ledger, form: str, load: Callable[[List[str]], config.Config]) -> None:
    """Take what bootstrap servers are to give boards from the configuration, where the ledger does not
    have it yet. load: gives that, for the names that boards have values of."""
    if form not in ("leshan", "bootstrap-server"):
        return
    found = None
    for record in kept.records():
        if _bootstrap_account(record) is None or record["given"]:
            continue
        found = found or load(list(record.get("values", {})))
        if not found.given:
            return
        with kept.book() as book:
            book.assign(record["chip_id"], identity.completed(found, record), completed=True)


def _given(record: dict) -> List[dict]:
    # What the bootstrap server is to give this board; [] where it has no bootstrap account.
    if _bootstrap_account(record) is None:
        return []
    if not record["given"]:
        raise FactoryError(
            f"{record['endpoint']} has a bootstrap account, but the configuration does not say "
            "what the bootstrap server is to give it: add a [[bootstrap.server]]."
        )
    return record["given"]


def _server_account(record: dict, short_id: Optional[int]) -> Optional[dict]:
    # The account of the server that is exported for.
    found = [a for a in record["accounts"] + record["given"] if "short_id" in a]
    if short_id is not None:
        found = [account for account in found if account["short_id"] == short_id]
    if len(found) > 1:
        listed = ", ".join(str(account["short_id"]) for account in found)
        raise FactoryError(
            f"{record['endpoint']} has accounts of several servers: choose with --short-id from "
            f"{listed}."
        )
    return found[0] if found else None


# Our own servers.


def _accounts(kept: ledger.Ledger) -> "Iterator[tuple[str, dict]]":
    for record in kept.records():
        given = _given(record)
        if given:
            servers = []
            for account in given:
                one = {key: account[key] for key in ("short_id", "uri", "lifetime", "binding")}
                one.update(_reporting(account))
                if account["security"]["mode"] != "none":
                    one["security"] = account["security"]
                servers.append(one)
            entry = {"servers": servers}
            security = _proof(_bootstrap_account(record)["security"])
            if security:
                entry["security"] = security
            yield record["endpoint"], entry


def _reporting(account: dict) -> dict:
    # A board of before these were kept has their defaults.
    defaults = {"store_notifications": True, "mute_send": False}
    return {key: account.get(key, default) for key, default in defaults.items()}


def _proof(security: dict) -> Optional[dict]:
    # How a client proves who it is, as module lwm2m.clients has it.
    if security["mode"] == "psk":
        return security
    if security["mode"] == "rpk":
        return {"mode": "rpk", "public_key": security["public_key"]}
    return {"mode": "certificate"} if security["mode"] == "certificate" else None


def _clients(kept: ledger.Ledger, short_id: Optional[int]) -> "Iterator[tuple[str, dict]]":
    for record in kept.records():
        account = _server_account(record, short_id)
        security = account and _proof(account["security"])
        if security:
            yield record["endpoint"], {"security": security}


# Leshan's.


def _configs(kept: ledger.Ledger) -> "Iterator[tuple[str, dict]]":
    for record in kept.records():
        given = _given(record)
        if given:
            yield record["endpoint"], _config(given)


def _config(given: List[dict]) -> dict:
    # Leshan's BootstrapConfig. The instance ids of /0 are chosen by Discover, as the bootstrap
    # server's own account has one of them.
    config = {
        "autoIdForSecurityObject": True,
        "toDelete": ["/0", "/1"],
        "servers": {},
        "security": {},
    }
    for iid, account in enumerate(given):
        security = account["security"]
        reporting = _reporting(account)
        config["servers"][str(iid)] = {
            "shortId": account["short_id"],
            "lifetime": account["lifetime"],
            "binding": list(account["binding"]),
            "notifIfDisabled": reporting["store_notifications"],
            "muteSend": reporting["mute_send"],
        }
        config["security"][str(iid)] = {
            "uri": account["uri"],
            "bootstrapServer": False,
            "securityMode": _LESHAN_MODES[security["mode"]],
            "publicKeyOrId": _signed(
                security.get("identity", "").encode()
                or bytes.fromhex(security.get("certificate") or security.get("public_key", ""))
            ),
            "serverPublicKey": _signed(
                bytes.fromhex(
                    security.get("server_certificate") or security.get("server_public_key", "")
                )
            ),
            "secretKey": _signed(bytes.fromhex(security.get("key", ""))),
            "serverId": account["short_id"],
        }
        if security.get("matching"):
            raise FactoryError(
                "Leshan gives out whole certificates only: matching_type must be exact for it."
            )
        if "usage" in security:
            config["security"][str(iid)]["certificateUsage"] = _LESHAN_USAGES[security["usage"]]
        if "sni" in security:
            config["security"][str(iid)]["sni"] = security["sni"]
    return config


def _signed(data: bytes) -> List[int]:
    # As Java has bytes.
    return [byte - 256 if byte > 127 else byte for byte in data]


def _call(method: str, path: str, body: dict) -> str:
    return _json({"method": method, "path": path, "body": body}) + "\n"


def _bootstrap_calls(kept: ledger.Ledger) -> Iterator[str]:
    for record in kept.records():
        security, config = leshan_bootstrap(record)
        if security:
            yield _call("PUT", "/api/security/clients/", security)
        if config:
            path = f"/api/bootstrap/{quote(record['endpoint'], safe='')}"
            yield _call("POST", path, config)


def leshan_bootstrap(record: dict) -> "tuple[dict | None, dict | None]":
    """A board as Leshan's bootstrap server is told of it: its SecurityInfo and its BootstrapConfig."""
    given = _given(record)
    if not given:
        return None, None
    account = _bootstrap_account(record)
    return _security_info(record["endpoint"], account["security"]), _config(given)


def _server_calls(kept: ledger.Ledger, short_id: Optional[int]) -> Iterator[str]:
    for record in kept.records():
        security = leshan_server(record, short_id)
        if security:
            yield _call("PUT", "/api/security/clients/", security)


def leshan_server(record: dict, short_id: Optional[int]) -> Optional[dict]:
    """A board as Leshan's LwM2M server is told of it: its SecurityInfo."""
    account = _server_account(record, short_id)
    return account and _security_info(record["endpoint"], account["security"])


def _security_info(endpoint: str, security: dict) -> Optional[dict]:
    if security["mode"] == "psk":
        details = {"identity": security["identity"], "key": security["key"]}
        return {"endpoint": endpoint, "tls": {"mode": "psk", "details": details}}
    if security["mode"] == "rpk":
        details = {"key": security["public_key"]}
        return {"endpoint": endpoint, "tls": {"mode": "rpk", "details": details}}
    if security["mode"] == "certificate":
        return {"endpoint": endpoint, "tls": {"mode": "x509"}}
    return None


# CSV.


def _csv(kept: ledger.Ledger) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text)

    def line(*values: object) -> str:
        text.seek(0)
        text.truncate()
        writer.writerow([_text(str(value)) for value in values])
        return text.getvalue()

    yield line(
        *("endpoint", "chip_id", "account", "in_board", "uri", "mode", "identity", "key"),
        *("certificate", "public_key"),
    )
    for record in kept.records():
        for account in record["accounts"] + record["given"]:
            security = account["security"]
            yield line(
                record["endpoint"],
                record["chip_id"],
                account.get("short_id", "bootstrap"),
                "no" if account["given"] else "yes",
                account["uri"],
                security["mode"],
                security.get("identity", ""),
                # A private key that is in the board is nobody else's.
                ""
                if security["mode"] == "rpk" and not account["given"]
                else security.get("key", ""),
                security.get("certificate", ""),
                security.get("public_key", ""),
            )


def _text(value: str) -> str:
    # A spreadsheet computes what begins so, and could be made to call programs.
    return "'" + value if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


# Labels: 40 mm by 15 mm, in tenths of a millimetre.


def label_file(record: dict, path: Path) -> None:
    """A board's label in a file."""
    _check_replaceable(path)
    try:
        path.write_text(label(record), encoding="utf-8")
    except OSError as e:
        raise FactoryError(f"{path} cannot be written: {e.strerror}.") from None


def label(record: dict) -> str:
    """A board's label, SVG."""
    code = segno.make(record["endpoint"], micro=False)
    texts = [record["endpoint"]]
    numbers = dict(record, serial=record.get("values", {}).get("serial"))
    for name, key in (("SN", "serial"), ("Chip", "chip_id"), ("MAC", "mac")):
        if numbers.get(key):
            texts.append(f"{name} {numbers[key]}")
    lines = "".join(
        f'<text x="152" y="{30 + 30 * n}" font-size="{18 if n else 20}" '
        f'textLength="{min(240, 11 * len(text))}" lengthAdjust="spacingAndGlyphs">'
        f"{escape(printable(text))}</text>"
        for n, text in enumerate(texts)
    )
    svg = code.svg_inline(border=2, omitsize=True).replace(
        "<svg ", '<svg x="0" y="0" width="150" height="150" ', 1
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="40mm" height="15mm" '
        f'viewBox="0 0 400 150" font-family="sans-serif">{svg}{lines}</svg>\n'
    )
