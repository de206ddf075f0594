# A package that the device fetches (/5/0/1): coap, and coaps with the keys of an account.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import os
from binascii import crc32
from micropython import const
from ucoap import GET, Error
from ucoap.block import Transfer
from .account import Account, uri_options
from .objects import split_uri
from .package import Fault

_CONNECTED = const(2)  # of Account.state
_DISCONNECTED = const(0)

_CONTENT = const(0x45)
_INCOMPLETE = const(0x88)

# Update Result (/5/0/5).
_LOST = const(4)
_URI = const(7)
_PROTOCOL = const(9)

_DOWNLOADING = const(1)  # /5/0/3
_HEAD = const(164)  # bytes of a package's header
_SECTOR = const(4096)  # bytes; of so many each it is noted how far a package has come

_TIMES = const(5)  # that it is tried
_PAUSE = const(30)  # s, at first; it doubles


def resume(update, core):
    """Go on with the package that a restart has cut off; returns whether there is one.

    Beside the slots lies its note: CRC-32 of what follows (4 bytes); how many bytes behind the header
    are in flash (4), a multiple of sectors; length of the ETag (1); ETag, header, URI.
    """
    try:
        with open(update.slots.folder + "/pull", "rb") as f:
            data = f.read()
        head = 9 + data[8]
        if crc32(data[4:]) != int.from_bytes(data[:4], "big"):
            return False
        uri = str(data[head + _HEAD :], "utf-8")
        update.pull = pull = Pull(update, core, uri)
        at = int.from_bytes(data[4:8], "big")
        pull.go_on(data[9:head], at, update.open(False, data[head : head + _HEAD], at))
    except (OSError, ValueError, IndexError, Fault, Error):
        return False
    core.objects[5].set(0, 1, uri)
    update.enter(_DOWNLOADING, 0)
    return True


class Pull:
    """One package on its way from a URI. Raises Fault where that cannot be.

    update: an Update, whose open() and end() it calls. It is a sink itself, before the update's, as it
    notes how far the package has come.
    """

    def __init__(self, update, core, uri):
        self._update = update
        self._core = core
        parts = split_uri(uri)
        if not parts:
            scheme, mark, _ = uri.partition("://")
            if mark and scheme.lower() not in ("coap", "coaps"):
                raise Fault(_PROTOCOL, "neither coap nor coaps")
            raise Fault(_URI, "no URI")
        security = {0: uri, 2: 3}
        if parts[0] == "coaps":
            security = None
            instances = core.objects[0].instances
            for iid in instances:
                other = split_uri(instances[iid][0])
                if other and other[:3] == parts[:3]:
                    security = instances[iid]
            if not security:
                raise Fault(_URI, "no account has keys for that host and port")
        # Beside the servers' accounts, so that it has no state of theirs; a connection of one that
        # is leaving is closed when it is lost, and told to the parts.
        self._account = account = Account(security, 0)
        account.uri = uri
        self._left = _TIMES
        self._transfer = None  # what has come, or is on its way
        self._sink = None  # where it goes
        self._skip = 0  # bytes that come once more
        self._noted = 0  # bytes behind the header
        self._due = core.seconds
        self._asked = False
        self._from = 0  # bytes that had come before it was asked for the last time
        self._text = ""  # why it did not come the last time

    def poll(self, now):
        core = self._core
        account = self._account
        if 0 <= self._due <= core.seconds:
            if not self._left:
                return self._lost(_LOST, self._text)
            self._due = -1
            self._left -= 1
            core.leaving.append(account)
            if not core.connect(account, now):
                self._failed("no connection")
        if account.state == _CONNECTED and not self._asked:
            self._asked = True
            try:
                t = self._transfer
                if not (t and t.at and t.etag):  # without, nothing tells what belongs together
                    self._sink = self._update.open(False)
                    self._skip = self._noted = 0
                    t = self._transfer = Transfer(None)
                t.sink = self
                self._from = t.at
                core.engine.request(
                    now,
                    account,
                    GET,
                    uri_options(account.uri, "", ()),
                    b"",
                    self._answered,
                    account.settings,
                    got=t,
                )
            except Error:  # the update knows
                pass

    def next_ms(self, least):
        if self._account.state == _CONNECTED and not self._asked:
            return 0
        return self._core.until(self._due, least)

    def moved(self, account):
        # The connection is gone, and nobody here has closed it.
        if account is self._account and account.state == _DISCONNECTED and self._due < 0:
            self._again("the connection was lost")

    def stop(self):
        """No more of it, ever."""
        self._stop()
        try:
            os.remove(self._update.slots.folder + "/pull")
        except OSError:  # there is none
            pass

    def _stop(self):
        core = self._core
        self._due = 0  # what moved() hears is ours
        if self._account in core.leaving:
            core.leaving.remove(self._account)
        if self._account.connection is not None:
            core.disconnect(self._account)

    def _lost(self, result, text):
        self._update.end(0, result, "refused: " + text)

    # --- The package

    def go_on(self, etag, at, sink):
        """After a restart: it is there up to `at`, behind its header. What is asked for begins at the
        same place of the whole, so that a header's length of it is there already."""
        self._transfer = t = Transfer(None)
        t.etag = etag
        t.at = self._noted = at
        self._skip = _HEAD
        self._sink = sink

    def write(self, data):
        n = min(self._skip, len(data))
        self._skip -= n
        self._sink.write(data[n:])
        slots = self._update.slots
        at = slots.at // _SECTOR * _SECTOR
        if at > self._noted and self._transfer.etag:
            self._noted = at
            try:
                self._note(slots, at)
            except OSError:  # then it begins anew after a restart
                pass

    def _note(self, slots, at):
        if hasattr(slots.file, "flush"):  # a file; what is written to a place is there
            slots.file.flush()
        etag = self._transfer.etag
        data = at.to_bytes(4, "big") + bytes((len(etag),)) + etag + slots.head
        data += self._account.uri.encode()
        with open(slots.folder + "/pull", "wb") as f:
            f.write(crc32(data).to_bytes(4, "big") + data)

    def close(self, whole):
        self._sink.close(whole)

    def _answered(self, x, code, m, payload):
        if code == _CONTENT:  # its sink has told the update
            return
        if code >> 5 == 4:
            self._transfer = None
            if self._from:  # it is another one now, or cannot go on: from its beginning
                self._asked = False
                return
            if code != _INCOMPLETE:
                return self._lost(_URI, "the server has no such package")
        self._failed("no answer")

    def _failed(self, text):
        self._stop()
        self._again(text)

    def _again(self, text):
        # All else is poll()'s, as it takes memory.
        core = self._core
        t = self._transfer
        if t and t.etag and t.at > self._from:  # it gets on
            self._left = _TIMES - 1
        self._asked = False
        self._text = text
        self._due = core.after(core.spread(_PAUSE << _TIMES - 1 - self._left) if self._left else 0)
