# Operations that wait until a client in queue mode is awake (LwM2M 1.1 6.5).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import OBSERVE, Error

_INTERNAL = const(0xA0)
_UNAVAILABLE = const(0xA3)

_DAY_MS = const(86400000)


class Waiting:
    """What a Server has not sent yet, in order. A role of its net, for the time that is over.

    They go out one at a time, each when the one before has its answer, so that none is sent to a
    client that has fallen asleep meanwhile.
    """

    def __init__(self, server):
        self.server = server
        self.held = []  # (operation, code, options, payload, token, s at which its time is over)
        server.net.add(self)

    def close(self):
        self.server.net.remove(self)

    def count(self, client):
        n = 0
        for entry in self.held:
            n += entry[0].client is client
        return n

    def add(self, operation, code, options, payload, token):
        if (OBSERVE, 0) in options:  # what is observed anew is not to be told twice
            for entry in self.held:
                old = entry[0]
                if old.client is operation.client and old.path == operation.path:
                    if (OBSERVE, 0) in entry[2]:
                        self.held.remove(entry)
                        break
        due = self.server.seconds + self.server.wait
        self.held.append((operation, code, options, payload, token, due))

    def remove(self, operation):
        """Forget one, without a word."""
        for entry in self.held:
            if entry[0] is operation:
                self.held.remove(entry)
                return

    def release(self, client):
        """Send the first that waits for a client, if it is awake and has nothing else to answer."""
        server = self.server
        if client.peer is None or not client.awake:
            return
        for other in client.operations:
            if not other.active:
                return
        for entry in self.held:
            operation = entry[0]
            if operation.client is client:
                self.held.remove(entry)
                try:
                    server.begin(operation, *entry[1:5])
                except Error as e:
                    server.call(operation.callback, client, _INTERNAL, None, e.text.encode())
                    server.call(self.release, client)
                return

    def forget(self, client):
        """A client has gone."""
        for entry in list(self.held):
            if entry[0].client is client:
                self._fail(entry, b"the client has gone")

    def _fail(self, entry, text):
        self.held.remove(entry)
        operation = entry[0]
        self.server.call(operation.callback, operation.client, _UNAVAILABLE, None, text)

    # --- As a role of a Net

    def poll(self, now):
        server = self.server
        server.now()
        while self.held and self.held[0][5] <= server.seconds:
            self._fail(self.held[0], b"the client did not wake in time")
        return 0

    def next_ms(self, now):
        if not self.held:
            return _DAY_MS
        return min(max(self.held[0][5] - self.server.seconds, 0) * 1000, _DAY_MS)
