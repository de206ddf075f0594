# Credentials in a secure element: keys are read from it when a connection is made, and never enter
# the client's objects or the file system.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import struct


class SecureElement:
    # chip: slots, their number; read(slot) -> bytes, empty where nothing is; write(slot, bytes).

    def __init__(self, chip):
        self._chip = chip

    def _find(self, peer):
        for slot in range(self._chip.slots):
            record = self._chip.read(slot) or bytes(69)
            name, mode, n, m = struct.unpack("<64sBHH", record[:69])
            if name.rstrip(b"\0") == peer.encode():
                keys = record[69:]
                return slot, (mode, keys[:n], keys[n : n + m], keys[n + m :])
        return -1, None

    def read(self, peer):
        data = self._find(peer)[1]
        return (0, data) if data else (0x84, None)

    def check(self, peer, mode):
        data = self._find(peer)[1]
        return 0 if data and data[0] == mode else 0x84

    def create(self, peer, data):
        mode, public, server_public, secret = data
        if self._find(peer)[0] >= 0:
            return 0x86
        slot = self._find("")[0]
        if slot < 0 or len(peer.encode()) > 64:
            return 0xA0
        head = struct.pack("<64sBHH", peer.encode(), mode, len(public), len(server_public))
        self._chip.write(slot, head + public + server_public + secret)
        return 0

    def delete(self, peer):
        slot = self._find(peer)[0]
        if slot < 0:
            return 0x84
        self._chip.write(slot, b"")
        return 0
