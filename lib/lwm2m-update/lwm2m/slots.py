# What updates bring, in slots, and which of them is run: downloads, trial and roll-back.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# A folder has
#   new       a package as it comes; pull, how far one has that the device fetches (lwm2m-pull)
#   0 and 1   the slots: the files of an application each, where it has come as files
#   state     a Store, which says what is run; nothing else does
# A download goes to `new`. The slot that is not run is filled out of it, file by file, each read
# back. Then one commit of the Store puts that slot on trial, with the starts that it has; each start
# takes one away before anything of it is run, so that power which fails again and again ends a
# trial too. Another commit keeps it, or goes back. Whatever else a power cut leaves counts for
# nothing, and goes with the next download.
#
# An image, of ROMFS or of the whole program, goes to its place at once (module device.places of the
# firmware says what a place is), a sector at a time, and is looked at there. A ROMFS image is an
# application in a slot, like files. The whole program has slots of its own, 3 and 4, and it is the
# boot loader that goes back.
#
# A later release reads and writes what is kept here as this one does: on stock MicroPython it is always the
# factory's that chooses what is run (device.launch).
#
# The state is {65535: {0: {…}, 1: of slot 0, 2: of slot 1, 4 and 5: of 3 and 4}}. Of 0: 0 the slot
# that is run, 1 the one on trial, both 2 for none; 2 the starts that the trial has left, 3 and 4
# result (/5/0/5) and reason of the last update, 5 the vendor keys that are not trusted, 6 the number
# of the application that was kept last, 7 the slot that was kept last, 8 the number of the program
# that was. Of a slot: 0 name, 1 version, 2 number of its package, 3 the keys that it revokes, 4 its
# kind.

import os
from hashlib import sha256
from micropython import const
from .package import Fault, Package
from .store import Store

_NONE = const(2)  # of two slots
_PROGRAM = const(3)  # the first of the program's slots
_STARTS = const(3)
_PIECE = const(512)
_SPARE = const(16384)  # bytes of flash that stay free, for the accounts and folders
_STATE = const(1024)  # bytes
_OBJECT = const(65535)
_ENOENT = const(2)

_HEAD = const(164)  # bytes
_FILES = const(1)  # kinds of packages
_IMAGE = const(3)
_DEFLATED = const(1)  # flags
_OLDER = const(2)

# Keys of the state.
_RUN = const(0)
_TRIAL = const(1)
_LEFT = const(2)
_RESULT = const(3)
_REASON = const(4)
_REVOKED = const(5)
_NUMBER = const(6)
_LAST = const(7)
_PROGRAM_NUMBER = const(8)

# Update Result (/5/0/5).
_SUCCESS = const(1)
_NO_FLASH = const(2)
_INTEGRITY = const(5)
_TYPE = const(6)
_FAILED = const(8)


class Slots:
    """The slots in a folder.

    keys: the vendors' public keys, up to two, of 64 bytes each. target: str, what packages for this
    device say. number: of the application that the factory has given; an update's is not less.
    places: {kind of package: where it goes}, of those that are no files.
    """

    def __init__(self, folder, keys, target, number=0, places={}):
        self.folder = folder
        self._known = keys, target, number
        self.places = places
        self._store = Store(folder + "/state", size=_STATE)
        state = {0: {0: _NONE, 1: _NONE, 2: 0, 3: 0, 4: "", 5: 0, 6: 0, 7: _NONE, 8: 0}}
        state.update((self._store.load("update")[0] or {}).get(_OBJECT, {}))
        self._state = state
        self._package = None  # the Package that comes, when its header has been found to be right
        self.file = self._work = None

    # --- What is run

    def start(self, fault=None):
        """The folder of the application that is to be run, None for the factory's.

        Called once, before anything of it is run. fault: what has ended the start before, in words,
        where it was not asked for: then a trial is over.
        """
        main = self._state[0]
        slot = main[_TRIAL]
        if slot != _NONE:
            place = self._place(slot)
            try:
                left = slot > _NONE or not fault  # a program that runs has had no start to fail
                if left:
                    left = place.start(slot % _PROGRAM) if place else main[_LEFT]
                if not left:
                    self.fail(fault or "it did not last")
                elif not place:
                    self._change({_LEFT: left - 1})
            except (OSError, MemoryError):  # what cannot be counted is not tried
                main[_TRIAL] = _NONE
        main = self._state[0]
        slot = main[_TRIAL]
        if slot >= _NONE:
            slot = main[_RUN]
        if slot < _NONE:
            place = self._place(slot)
            return place.path(slot) if place else self._path(slot)

    def _place(self, slot):
        return self.places.get(self._state[1 + slot][4])

    def _path(self, slot):
        return "%s/%d" % (self.folder, slot)

    def on_trial(self):
        return self._state[0][_TRIAL] != _NONE

    def keep(self):
        """The trial has succeeded. Raises OSError; then it is still on."""
        main = self._state[0]
        slot = main[_TRIAL]
        values = self._state[1 + slot]
        place = self._place(slot)
        if place:
            place.keep(slot)
        changes = {_TRIAL: _NONE, _RESULT: _SUCCESS, _REASON: "", _LAST: slot}
        changes[_REVOKED] = main[_REVOKED] | values[3]
        if slot > _NONE:
            changes[_PROGRAM_NUMBER] = values[2]
        else:
            changes[_RUN] = slot
            changes[_NUMBER] = values[2]
        self._change(changes)

    def fail(self, text, result=_FAILED):
        """Keep why an update has failed, in words. A trial is over: the next start() is the application before.

        Raises nothing: where flash refuses, the count of starts in it ends a trial.
        """
        if self.on_trial() or self.result() != (result, text):
            changes = {_TRIAL: _NONE, _RESULT: result, _REASON: text[:120]}
            try:
                self._change(changes)
            except (OSError, MemoryError):
                self._state[0].update(changes)

    def factory_reset(self):
        """Go back to the factory's application, at the next start(). What is older than what was
        kept last stays refused. Raises OSError."""
        self._change({_RUN: _NONE, _TRIAL: _NONE, _LAST: _NONE, _RESULT: 0, _REASON: ""})

    def result(self):
        """(result, reason) of the last update."""
        main = self._state[0]
        return main[_RESULT], main[_REASON]

    def installed(self):
        """(name, version) of what is on trial, or was kept last; empty: all is the factory's."""
        main = self._state[0]
        slot = main[_TRIAL]
        if slot == _NONE:
            slot = main[_LAST]
        values = self._state.get(1 + slot) or {0: "", 1: ""}
        return values[0], values[1]

    def _change(self, changes, more={}):
        # Nothing has changed where it raises.
        state = dict(self._state)
        state.update(more)
        state[0] = main = dict(state[0])
        main.update(changes)
        self._store.commit("update", {_OBJECT: state})
        self._state = state

    # --- A download

    def begin(self, head=b"", at=0):
        """A package begins; what was there of another goes, and the last one's result. Raises
        OSError.

        head, at: or it goes on after a restart, with its header, behind that many bytes, which are
        in flash: a multiple of a page. Raises Fault, too.
        """
        self._slot = int(self._state[0][_RUN] == 0)  # the one that is not run
        self.head = head
        self.at = at  # bytes of what is behind the header that were written
        if at:
            return self._accept()
        self.drop()
        self.fail("", 0)
        _remove(self._path(self._slot))

    def write(self, data):
        """More of it. Raises Fault, OSError; then it is of no use any more."""
        if not self._package:
            n = _HEAD - len(self.head)
            self.head += data[:n]
            data = data[n:]
            if len(self.head) < _HEAD:
                return
            self._accept()
        self.at += len(data)
        if self.at > self._package.size:
            raise Fault(_INTEGRITY, "longer than it says")
        self.file.write(data)

    def _accept(self):
        # The header is there: nothing is written before it was found to be right.
        main = self._state[0]
        keys, target, number = self._known
        package = Package(self.head, keys, main[_REVOKED], target)
        kind = package.kind
        number = main[_PROGRAM_NUMBER] if kind == _IMAGE else max(main[_NUMBER], number)
        if package.number < number and not package.flags & _OLDER:
            raise Fault(_FAILED, "older than what is installed")
        size = package.size
        path = self.folder + "/new"
        _folders(path)
        if kind == _FILES:
            found = os.statvfs(self.folder)
            if found[1] * found[3] < size + package.whole + _SPARE:
                raise Fault(_NO_FLASH, "no room for it")
            self.file = f = open(path, "r+b" if self.at else "wb")
            f.seek(self.at)
        else:
            place = self.places.get(kind)
            if not place:
                raise Fault(_TYPE, "no place for such an image")
            slot = self._slot = place.spare(self._slot)
            self.file = place.open(slot, size, self.at)
            if kind == _IMAGE:
                self._slot += _PROGRAM
        self._package = package

    def end(self):
        """All of it has come. Raises Fault where it is not what its header says, OSError."""
        package = self._package
        if not package or self.at < package.size:
            raise Fault(_INTEGRITY, "it ends too soon")
        self.file.close()
        if package.kind == _FILES:
            f = open(self.folder + "/new", "rb")
        else:
            f = self.places[package.kind].read(self._slot % _PROGRAM, package.size)
        self.file = f
        if _digest(f) != package.digest:
            raise Fault(_INTEGRITY, "its content is not what was signed")
        self._work = self._unpack(f, package) if package.kind == _FILES else ()

    def drop(self):
        """Forget the package. Raises nothing."""
        self._package = None
        for f in (self._work, self.file):
            try:
                if f:
                    f.close()
            except OSError:
                pass
        self.file = self._work = None
        try:
            _remove(self.folder + "/new")
        except OSError:
            pass

    # --- Its installation

    def unpack(self):
        """Put a piece of the package into the spare slot. Returns whether that was the last one.

        Raises Fault, OSError, and what port and names make of a package that is none.
        """
        for _ in self._work:
            return False
        return True

    def _unpack(self, f, package):
        # A generator that does a piece each time.
        f.seek(0)
        if package.flags & _DEFLATED:
            import deflate

            f = deflate.DeflateIO(f, deflate.ZLIB)
        left = package.whole
        while left:
            head = _read(f, 5)
            n = int.from_bytes(head[1:], "big")
            left -= 5 + head[0] + n
            name = str(_read(f, head[0]), "utf-8")
            if left < 0 or ".." in name:
                raise Fault(_INTEGRITY, "it cannot be unpacked")
            name = self._path(self._slot) + "/" + name
            _folders(name)
            sum = sha256()
            with open(name, "wb") as out:
                while n:
                    data = _read(f, min(n, _PIECE))
                    out.write(data)
                    sum.update(data)
                    n -= len(data)
                    yield
            with open(name, "rb") as out:
                if _digest(out) != sum.digest():
                    raise Fault(_FAILED, "flash does not hold what was written")
            yield

    def switch(self):
        """Put what was unpacked on trial, at the next start(). Raises OSError."""
        package = self._package
        slot = self._slot
        values = {0: package.name, 1: package.version, 2: package.number, 3: package.revoked}
        values[4] = package.kind
        changes = {_TRIAL: slot, _LEFT: _STARTS, _RESULT: 0, _REASON: ""}
        self._change(changes, {1 + slot: values})
        place = self._place(slot)
        if place:
            try:
                place.switch(slot)
            except OSError:
                self._change({_TRIAL: _NONE})
                raise
        self.drop()


def _digest(f):
    # Of a file to its end.
    found = sha256()
    while True:
        data = f.read(_PIECE)
        if not data:
            return found.digest()
        found.update(data)


def _read(f, n):
    data = f.read(n)
    if len(data) < n:
        raise Fault(_INTEGRITY, "it cannot be unpacked")
    return data


def _folders(path):
    # Make all that a file is in.
    at = 0
    while True:
        at = path.find("/", at + 1)
        if at < 0:
            return
        try:
            os.mkdir(path[:at])
        except OSError:  # it is there; if not, open() tells
            pass


def _remove(path):
    # A file, or a folder with what is in it. Raises OSError.
    try:
        os.remove(path)
    except OSError as e:
        if e.errno == _ENOENT:
            return
        for name in os.listdir(path):
            _remove(path + "/" + name)
        os.rmdir(path)
