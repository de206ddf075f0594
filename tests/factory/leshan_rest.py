"""The REST calls of Leshan's demo servers, as its SecurityServlet and BootstrapServlet have them, over stores
that a test chooses: dicts, or those of a running Leshan.
"""

import http.server
import json
import socket
import threading
from typing import Callable, Optional
from urllib.parse import unquote


class Rest:
    """with Rest() as rest: at rest.url. bootstraps: whether it is the bootstrap server's. who: a header
    that a front of it wants.

    on_security(info), on_config(endpoint, config): what takes them besides; raises ValueError to refuse.
    """

    def __init__(
        self,
        bootstraps: bool = True,
        who: Optional[str] = None,
        on_security: Callable = lambda info: None,
        on_config: Callable = lambda endpoint, config: None,
    ):
        self.securities: dict = {}
        self.configs: dict = {}
        self.calls = 0  # that were not asked with GET
        self.drop_after: Optional[int] = None  # calls, after which nobody answers any more
        self.bootstraps = bootstraps
        self.who = who and who.split(": ")
        self.on_security = on_security
        self.on_config = on_config

    def __enter__(self):
        rest = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args) -> None:
                pass

            def do_GET(self) -> None:
                self._answer(*rest.get(self.path))

            def do_PUT(self) -> None:
                self._change(rest.put)

            def do_POST(self) -> None:
                self._change(rest.post)

            def _change(self, change) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if rest.drop_after is not None and rest.calls >= rest.drop_after:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                rest.calls += 1
                try:
                    self._answer(*change(self.path, body))
                except ValueError as e:
                    self._answer(400, str(e))

            def _answer(self, status: int, said: object) -> None:
                if rest.who and self.headers.get(rest.who[0]) != rest.who[1]:
                    status, said = 401, ""
                data = (said if isinstance(said, str) else json.dumps(said)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc) -> None:
        self._server.shutdown()
        self._server.server_close()

    def get(self, path: str) -> "tuple[int, object]":
        if path.rstrip("/") == "/api/security/clients":
            return 200, list(self.securities.values())
        if path == "/api/bootstrap" and self.bootstraps:
            return 200, {name: _told(config) for name, config in self.configs.items()}
        return 404, "not found"

    def put(self, path: str, info: dict) -> "tuple[int, object]":
        if path.rstrip("/") != "/api/security/clients":
            return 400, ""
        details = info["tls"].get("details", {})
        for each in self.securities.values():
            identity = each["tls"].get("details", {}).get("identity")
            if (
                identity
                and identity == details.get("identity")
                and each["endpoint"] != info["endpoint"]
            ):
                raise ValueError(f"PSK Identity {identity} is already used")
        self.on_security(info)
        self.securities[info["endpoint"]] = info
        return 200, ""

    def post(self, path: str, config: dict) -> "tuple[int, object]":
        endpoint = unquote(path[len("/api/bootstrap/") :])
        if not self.bootstraps or not endpoint or "/" in endpoint:
            return 400, "endpoint name should be specified in the URL, nothing more"
        self.on_config(endpoint, config)
        self.configs[endpoint] = config
        return 200, ""


def _told(value: object, name: str = "") -> object:
    # As its serializers write: bytes without a sign, a binding as a text.
    if isinstance(value, dict):
        return {key: _told(each, key) for key, each in value.items()}
    if name == "binding":
        return "".join(value)
    if isinstance(value, list) and value and all(type(each) is int for each in value):
        return [each & 0xFF for each in value]
    return value
