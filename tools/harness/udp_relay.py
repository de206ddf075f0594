"""A relay on loopback that counts what goes through it: a free local port ⇄ a target's port.

with UdpRelay(5783) as relay:
    ...  # a client talks to relay.port
print(relay.datagrams, relay.payload_bytes, relay.record)
"""

import selectors
import socket
import threading
import time
from typing import NamedTuple

_LOOPBACK = "127.0.0.1"
_MAX = 65535


class Datagram(NamedTuple):
    at: float  # seconds of time.monotonic()
    to_target: bool  # from a client to the target, else back
    data: bytes
    client: tuple  # the client's address


class UdpRelay:
    def __init__(self, target_port, lose=None):
        self._lose = lose  # f() -> whether the next datagram is lost
        self.rebind = None  # f(Datagram) -> whether, as soon as it has passed, forget(True) comes
        self.record = []  # every Datagram, oldest first; read it once the exchange is over
        self.target_port = target_port
        self._upstream = {}  # client's address: our socket towards the target, so that it can tell clients apart
        self._closed = set()  # those that nothing comes through any more
        self._local = self._socket()
        self.port = self._local.getsockname()[1]
        self._wake, self._waker = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._selector.register(self._local, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)

    @staticmethod
    def _socket():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((_LOOPBACK, 0))
        return s

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self._waker.send(b"\0")
        self._thread.join()
        sockets = [key.fileobj for key in self._selector.get_map().values()]
        self._selector.close()
        for s in (self._waker, *sockets):
            s.close()

    def forget(self, wholly=False):
        """Let every client come from another address from now on, as a NAT does after a pause.

        wholly: what the target sends to the old address does not arrive.
        """
        if wholly:
            self._closed.update(self._upstream.values())
        self._upstream = {}

    def wait_for_silence(self, seconds):
        """Wait until nothing has passed for so long."""
        while True:
            left = self.record[-1].at + seconds - time.monotonic() if self.record else 0
            if left <= 0:
                return
            time.sleep(left)

    @property
    def datagrams(self):
        return len(self.record)

    @property
    def payload_bytes(self):
        """Of UDP: without the headers of IP and UDP."""
        return sum(len(datagram.data) for datagram in self.record)

    def _run(self):
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._wake:
                    return
                try:
                    self._pass_on(key.fileobj, key.data)
                except ConnectionError:
                    pass  # nobody listens there just now; as on a real network, the datagram is lost

    def _pass_on(self, source, client):
        data, address = source.recvfrom(_MAX)
        to_target = source is self._local
        passed = Datagram(time.monotonic(), to_target, data, address if to_target else client)
        self.record.append(passed)
        if (self._lose and self._lose()) or source in self._closed:
            return
        if to_target:
            if address not in self._upstream:
                self._upstream[address] = self._socket()
                self._selector.register(self._upstream[address], selectors.EVENT_READ, address)
            self._upstream[address].sendto(data, (_LOOPBACK, self.target_port))
        else:
            self._local.sendto(data, client)
        if self.rebind and self.rebind(passed):
            self.forget(True)
