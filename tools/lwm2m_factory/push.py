"""A fleet registered with a running Leshan, by the REST calls of its demo servers.

The bootstrap server's: GET and PUT /api/security/clients/, GET /api/bootstrap, POST /api/bootstrap/ENDPOINT.
The LwM2M server's are the first two. What is there already stays, so that the same command goes on where
it was ended.
"""

import collections
import json
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import quote, urlsplit

import urllib3

from . import FactoryError, export, ledger, schema

_SECURITY = "/api/security/clients/"
_BOOTSTRAP = "/api/bootstrap"
_TIMEOUT_S = 30
_SHOWN = 10  # endpoint names

# urllib3, as it keeps a connection open over a million calls, which urllib does not, and tries again where
# one that was idle has gone.


class Done(NamedTuple):
    """What came of it: endpoint names are those of what is there already, but is not the same."""

    new: int
    there: int
    replaced: int
    other: List[str]


class Server:
    """A Leshan demo server at a URL. headers: what it is told of who we are."""

    def __init__(self, url: str, headers: Dict[str, str]):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise FactoryError(f"--push must be http://host:port or https://host:port, not {url}.")
        self.url = url.rstrip("/")
        self.is_open = parts.scheme == "http" and parts.hostname not in (
            "localhost",
            "127.0.0.1",
            "::1",
        )
        self._headers = headers
        self._pool = urllib3.PoolManager(
            timeout=_TIMEOUT_S, retries=urllib3.Retry(connect=2, read=2, redirect=0, status=0)
        )

    def call(self, method: str, path: str, body: Optional[dict] = None) -> bytes:
        found = self._request(method, path, body)
        if found.status >= 400:
            raise self._refused(method, path, found)
        return found.data

    def has(self, path: str) -> bool:
        """Whether it has something there."""
        found = self._request("GET", path, None)
        if found.status not in (200, 404):
            raise self._refused("GET", path, found)
        return found.status == 200

    def listed(self, path: str) -> object:
        """What it has there, from JSON."""
        try:
            return json.loads(self.call("GET", path))
        except ValueError:
            raise FactoryError(
                f"{self.url}{path} does not answer as Leshan's demo servers do: is it one?"
            ) from None

    def _request(self, method: str, path: str, body: Optional[dict]) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(
                method, self.url + path, json=body, headers=self._all_headers(body), redirect=False
            )
        except urllib3.exceptions.HTTPError as e:
            reason = getattr(e, "reason", None) or e
            raise FactoryError(
                f"{self.url} cannot be reached ({type(reason).__name__}). What it has been told stays; "
                "the same command goes on."
            ) from None

    def _all_headers(self, body: Optional[dict]) -> Dict[str, str]:
        return {**self._headers, **({"Content-Type": "application/json"} if body else {})}

    def _refused(self, method: str, path: str, found: urllib3.BaseHTTPResponse) -> FactoryError:
        if found.status in (401, 403):
            return FactoryError(
                f"{self.url} asks who you are ({found.status}): give its cookie or token with --headers."
            )
        said = found.data.decode(errors="backslashreplace").strip()[:200]
        return FactoryError(
            f"{self.url} refuses {method} {path} ({found.status}{': ' if said else ''}{said})."
        )


def headers(path: Path) -> Dict[str, str]:
    """The headers in a file, as HTTP has them: "Cookie: …" or "Authorization: …", a line each."""
    try:
        schema.check_mode(path)
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as e:
        raise FactoryError(f"{path} cannot be read: {e.strerror}.") from None
    found = {}
    for n, line in enumerate(lines, 1):
        name, colon, value = line.partition(":")
        if line.strip():
            if not colon or not name.strip():
                raise FactoryError(f"{path}, line {n}: a header is a name, a colon and a value.")
            found[name.strip()] = value.strip()
    return found


def push(
    kept: ledger.Ledger,
    server: Server,
    short_id: Optional[int],
    replace: bool,
    step: Callable[[int], None] = lambda count: None,
) -> Done:
    """Tell a server of all boards. replace: also where it has something else of one. step(count of boards)."""
    bootstraps = server.has(_BOOTSTRAP)
    there = {_SECURITY: _securities(server)}
    if bootstraps:
        there[_BOOTSTRAP] = server.listed(_BOOTSTRAP)
    counts = collections.Counter()
    other = []
    for n, record in enumerate(kept.records()):
        step(n)
        endpoint = record["endpoint"]
        fates = set()
        for kind, method, path, body in _calls(record, bootstraps, short_id):
            had = there[kind].get(endpoint)
            if had is not None and _is_same(body, had):
                fates.add("there")
            elif had is not None and not replace:
                fates.add("other")
            else:
                server.call(method, path, body)
                fates.add("new" if had is None else "replaced")
        # A board is what the worst of its calls has come to.
        fate = next(
            (each for each in ("other", "replaced", "new", "there") if each in fates), None
        )
        counts[fate] += 1
        if fate == "other":
            other.append(endpoint)
    return Done(counts["new"], counts["there"], counts["replaced"], other)


def _securities(server: Server) -> Dict[str, dict]:
    found = server.listed(_SECURITY)
    return {each.get("endpoint"): each for each in found}


def _calls(
    record: dict, bootstraps: bool, short_id: Optional[int]
) -> "Iterator[Tuple[str, str, str, dict]]":
    # What is told (where it is listed), and how.
    if bootstraps:
        security, config = export.leshan_bootstrap(record)
    else:
        security, config = export.leshan_server(record, short_id), None
    if security:
        yield _SECURITY, "PUT", _SECURITY, security
    if config:
        yield _BOOTSTRAP, "POST", f"{_BOOTSTRAP}/{quote(record['endpoint'], safe='')}", config


def _is_same(sent: object, found: object) -> bool:
    # Leshan tells more than it was told, its bytes without a sign, and a binding as a text.
    if isinstance(sent, dict):
        return isinstance(found, dict) and all(
            key in found and _is_same(value, found[key]) for key, value in sent.items()
        )
    if isinstance(sent, list) and isinstance(found, str):
        return "".join(map(str, sent)) == found
    if isinstance(sent, list):
        return (
            isinstance(found, list) and len(sent) == len(found) and all(map(_is_same, sent, found))
        )
    if isinstance(sent, int) and isinstance(found, int) and not isinstance(sent, bool):
        return sent == found or sent + 256 == found
    return sent == found


def sentences(done: Done, url: str) -> List[str]:
    """What came of it, in words."""
    found = [
        f"{url}: {done.new} new, {done.there} there already"
        + (f", {done.replaced} replaced" if done.replaced else "")
        + "."
    ]
    if done.other:
        names = ", ".join(done.other[:_SHOWN])
        more = len(done.other) - _SHOWN
        found.append(
            f"It has something else of {len(done.other)} boards, and keeps that without --yes: {names}"
            + (f" and {more} more." if more > 0 else ".")
        )
    return found
