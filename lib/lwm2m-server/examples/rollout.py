# A LwM2M Server that brings a package to all clients that register: a few at a time, and no further
# ones when too many have failed.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# rollout.py PACKAGE [PORT [HOST [AT_ONCE [FAILURES]]]]
#
# PACKAGE is one of lwm2m-factory package. AT_ONCE clients are updated at the same time; at FAILURES
# percent of those that were tried no other one is begun.

import sys

from lwm2m.program import say, serve
from lwm2m.server import EXPIRED, REGISTERED, Server
from ucoap import code_text

# What becomes of a client.
WAITING = 0
UNDER_WAY = 1
INSTALLING = 2  # it restarts
DONE = 3
FAILED = 4

_NAMES = ("waiting", "under way", "installing", "done", "failed")

_CHANGED = 0x44
_CONTENT = 0x45
_SUCCESS = 1  # of Update Result (/5/0/5)

_HEAD = 68  # bytes of a package's header, of which the last 16 are its version


class Package:
    """A package for one client: what write() reads block by block, and how far that is."""

    def __init__(self, path, endpoint):
        self._file = open(path, "rb")
        self._endpoint = endpoint
        self._told = 0  # percent
        self.size = self._file.seek(0, 2)

    def read(self, at, n):
        percent = min(at + n, self.size) * 100 // self.size
        if percent >= self._told + 10:
            self._told = percent
            say("%s: %d %%" % (self._endpoint, percent))
        self._file.seek(at)
        return self._file.read(n)

    def close(self):
        self._file.close()


class Rollout:
    """Brings a package to a server's clients."""

    def __init__(self, path, at_once=2, failures=20):
        with open(path, "rb") as f:
            self.version = str(f.read(_HEAD)[-16:].rstrip(b"\0"), "utf-8")
        self.server = None
        self.states = {}  # {endpoint: what becomes of it}
        self._waiting = []  # endpoints, in the order in which they came
        self._path = path
        self._at_once = at_once
        self._failures = failures
        self._packages = {}  # {endpoint: its Package, while it is sent}

    def count(self, state):
        return sum(state == other for other in self.states.values())

    def on_client(self, event, client):
        state = self.states.get(client.endpoint)
        if event == REGISTERED:
            if state == INSTALLING:
                # It is on trial for a while: then its state is Idle.
                self.server.observe(client, "/5/0/3", self._on_state)
            elif state is None and any(path == "/5/0" for path, _ in client.links):
                self._waiting.append(client.endpoint)
                self._enter(client, WAITING)
        elif event == EXPIRED and state in (UNDER_WAY, INSTALLING):
            self._fail(client, "it has not been heard of in its lifetime")

    def _enter(self, client, state, text=""):
        self.states[client.endpoint] = state
        say("%s: %s%s" % (client.endpoint, _NAMES[state], text and ", " + text))
        if state >= DONE and client.endpoint in self._packages:
            self._packages.pop(client.endpoint).close()
        self._next()

    def _fail(self, client, text):
        self._enter(client, FAILED, text)

    def _next(self):
        # Begin with as many as may be under way.
        failed = self.count(FAILED)
        tried = failed + self.count(DONE)
        if failed and failed * 100 >= self._failures * tried:
            return say("Stopped: %d of %d have failed" % (failed, tried))
        while self._waiting:
            if self.count(UNDER_WAY) + self.count(INSTALLING) >= self._at_once:
                break
            endpoint = self._waiting.pop(0)
            client = self.server.clients.get(endpoint)
            if client:
                self.states[endpoint] = UNDER_WAY
                self.server.read(client, "/5/0/7", self._on_version)
            else:
                self.states.pop(endpoint)  # it has gone, and may come again

    def _on_version(self, client, code, format, payload):
        if code != _CONTENT:
            self._fail(client, "Read /5/0/7: " + code_text(code))
        elif payload == self.version.encode():
            self._enter(client, DONE, "it had it")
        else:
            # Whatever somebody else has left there goes first (LwM2M 1.1 E.6).
            self.server.write(client, "/5/0/0", b"\0", self._on_reset)

    def _on_reset(self, client, code, format, payload):
        if code != _CHANGED:
            return self._fail(client, "reset: " + code_text(code))
        package = self._packages[client.endpoint] = Package(self._path, client.endpoint)
        self.server.write(client, "/5/0/0", package, self._on_package)

    def _on_package(self, client, code, format, payload):
        self._packages.pop(client.endpoint).close()
        if code != _CHANGED:
            return self._fail(client, "%s %s" % (code_text(code), str(payload, "utf-8")))
        self.server.execute(client, "/5/0/2", callback=self._on_update)

    def _on_update(self, client, code, format, payload):
        if code != _CHANGED:
            return self._fail(client, "Update: " + code_text(code))
        self._enter(client, INSTALLING)

    def _on_state(self, client, code, format, payload):
        if code == _CONTENT and payload == b"0" and self.states[client.endpoint] == INSTALLING:
            self.server.read(client, "/5/0/5", self._on_result)

    def _on_result(self, client, code, format, payload):
        if code == _CONTENT and payload == b"%d" % _SUCCESS:
            self._enter(client, DONE)
        else:
            self._fail(client, "result %s" % str(payload, "utf-8"))


def main(path, port=5683, host="0.0.0.0", at_once=2, failures=20):
    def make():
        rollout = Rollout(path, int(at_once), int(failures))
        rollout.server = Server(int(port), host, rollout.on_client)
        return rollout.server

    serve(make, port)


if __name__ == "__main__":
    main(*sys.argv[1:])
