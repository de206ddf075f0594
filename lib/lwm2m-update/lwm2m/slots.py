# What updates bring, in slots, and which of them is run: downloads, trial and roll-back.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# A folder has
#   new       a package as it comes
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
# The state is {65535: {0: {…}, 1: of slot 0, 2: of slot 1, 4 and 5: of 3 and 4}}. Of 0: 0 the slot
# that is run, 1 the one on trial, both 2 for none; 2 the starts that the trial has left, 3 and 4
# result (/5/0/5) and reason of the last update, 5 the vendor keys that are not trusted, 6 the number
# of the application that was kept last, 7 the slot that was kept last, 8 the number of the program
# that was. Of a slot: 0 name, 1 version, 2 number of its package, 3 the keys that it revokes, 4 its
# kind.

import os
from binascii import crc32
from hashlib import sha256
from micropython import const
from .package import HEAD, Fault, Package
from .store import Store

_NONE = const(2)  # of two slots
_PROGRAM = const(3)  # the first of the program's slots
_FILES = const(1)  # kinds of packages
_IMAGE = const(3)
_STARTS = const(3)
_PIECE = const(512)
_SPARE = const(16384)  # bytes of flash that stay free, for the accounts and folders
_STATE = const(1024)  # bytes
_OBJECT = const(65535)
_DIR = const(0x4000)
_ENOENT = const(2)

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

    def __init__(self, folder, keys, target, number=0, places=None):
        self._folder = folder
        self._keys = keys
        self._target = target
        self._number = number
        self._places = places or {}
        self._store = Store(folder + "/state", size=_STATE)
        found = self._store.load("update")[0] or {}
        state = {0: {0: _NONE, 1: _NONE, 2: 0, 3: 0, 4: "", 5: 0, 6: 0, 7: _NONE, 8: 0}}
        state[1] = state[2] = {0: "", 1: "", 2: 0, 3: 0, 4: _FILES}
        state.update(found.get(_OBJECT, {}))
        self._state = state
        self._file = None  # `new`, or an image in its place, while it is written or read
        self._slot = 0  # of the package that comes
        self._head = b""  # of the package that comes, as far as it has
        self._package = None  # the Package of `new`, when its header has been found to be right
        self._at = 0  # bytes of what is behind the header that were written, or unpacked
        self._source = None  # what is unpacked
        self._out = None  # the file that is written
        self._name = None  # its path
        self._left = 0  # bytes of it that are to come
        self._crc = 0  # of those that have

    # --- What is run

    def start(self, fault=None):
        """The folder of the application that is to be run, None for the factory's.

        Called once, before anything of it is run. fault: what has ended the start before, in words,
        where it was not asked for: then a trial is over.
        """
        main = self._state[0]
        if self.on_trial():
            slot = main[_TRIAL]
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
        slot = main[_TRIAL] if main[_TRIAL] < _NONE else main[_RUN]
        if slot < _NONE:
            place = self._place(slot)
            return place.path(slot) if place else self._path(slot)

    def _place(self, slot):
        return self._places.get(self._state[1 + slot].get(4))

    def _path(self, slot):
        return "%s/%d" % (self._folder, slot)

    def on_trial(self):
        return self._state[0][_TRIAL] != _NONE

    def keep(self):
        """The trial has succeeded. Raises OSError; then it is still on."""
        main = self._state[0]
        slot = main[_TRIAL]
        values = self._state[1 + slot]
        changes = {_TRIAL: _NONE, _RESULT: _SUCCESS, _REASON: "", _LAST: slot}
        changes[_REVOKED] = main[_REVOKED] | values[3]
        place = self._place(slot)
        if place:
            place.keep(slot)
        if slot > _NONE:
            changes[_PROGRAM_NUMBER] = values[2]
        else:
            changes[_RUN] = slot
            changes[_NUMBER] = values[2]
        self._change(changes)

    def fail(self, reason):
        """The trial has failed: the next start() is the application before. Raises nothing: where
        flash refuses, the count of starts in it ends the trial."""
        self.note(_FAILED, reason, {_TRIAL: _NONE})

    def factory_reset(self):
        """Go back to the factory's application, at the next start(). What is older than what was
        kept last stays refused. Raises OSError."""
        self._change({_RUN: _NONE, _TRIAL: _NONE, _LAST: _NONE, _RESULT: 0, _REASON: ""})

    def result(self):
        """(result, reason) of the last update."""
        return self._state[0][_RESULT], self._state[0][_REASON]

    def note(self, result, reason="", changes=()):
        """Keep a result. Raises nothing."""
        if changes or self.result() != (result, reason):
            changes = dict(changes)
            changes[_RESULT] = result
            changes[_REASON] = reason[:120]
            try:
                self._change(changes)
            except (OSError, MemoryError):
                self._state[0].update(changes)

    def installed(self):
        """(name, version) of what is on trial, or was kept last; None: all is the factory's."""
        main = self._state[0]
        slot = main[_TRIAL if self.on_trial() else _LAST]
        if slot != _NONE:
            values = self._state[1 + slot]
            return values[0], values[1]

    def _change(self, changes, slot=None, values=None):
        # Nothing has changed where it raises.
        state = dict(self._state)
        state[0] = dict(state[0])
        state[0].update(changes)
        if slot is not None:
            state[1 + slot] = values
        self._store.commit("update", {_OBJECT: state})
        self._state = state

    # --- A download

    def begin(self):
        """A package begins; what was there of another goes, and the last one's result. Raises
        OSError."""
        self.drop()
        self.note(0)
        _remove(self._path(self._spare()))
        self._head = b""
        _mkdir(self._folder)

    def write(self, data):
        """More of it. Raises Fault, OSError; then it is of no use any more."""
        if not self._package:
            n = HEAD - len(self._head)
            self._head += data[:n]
            data = data[n:]
            if len(self._head) < HEAD:
                return
            self._accept()
        self._at += len(data)
        if self._at > self._package.size:
            raise Fault(_INTEGRITY, "longer than it says")
        self._file.write(data)

    def _accept(self):
        # The header is there: nothing is written before it was found to be right.
        main = self._state[0]
        package = Package(self._head)
        if package.kind == _IMAGE:
            number = main[_PROGRAM_NUMBER]
        else:
            number = max(main[_NUMBER], self._number)
        package.check(self._head, self._keys, main[_REVOKED], self._target, number)
        if package.deflated:
            try:
                import deflate  # noqa: F401
            except ImportError:
                raise Fault(_TYPE, "this port does not inflate")
        slot = self._spare()
        if package.kind == _FILES:
            found = os.statvfs(self._folder)
            if found[1] * found[3] < package.size + package.whole + _SPARE:
                raise Fault(_NO_FLASH, "no room for it")
            self._file = open(self._folder + "/new", "wb")
        else:
            place = self._places.get(package.kind)
            if not place:
                raise Fault(_TYPE, "no place for such an image")
            slot = place.spare(slot)
            self._file = place.open(slot, package.size)
            if package.kind == _IMAGE:
                slot += _PROGRAM
        self._slot = slot
        self._package = package
        self._at = 0

    def end(self):
        """All of it has come. Raises Fault where it is not what its header says, OSError."""
        package = self._package
        if not package or self._at < package.size:
            raise Fault(_INTEGRITY, "it ends too soon")
        self._file.close()
        if package.kind == _FILES:
            f = open(self._folder + "/new", "rb")
        else:
            f = self._places[package.kind].read(self._slot % _PROGRAM, package.size)
        self._file = f
        found = sha256()
        while True:  # as it is in flash
            data = f.read(_PIECE)
            if not data:
                break
            found.update(data)
        if found.digest() != package.digest:
            raise Fault(_INTEGRITY, "its content is not what was signed")

    def drop(self):
        """Forget the package. Raises nothing."""
        self._package = self._source = None
        for f in (self._file, self._out):
            try:
                if f:
                    f.close()
            except OSError:
                pass
        self._file = self._out = None
        try:
            os.remove(self._folder + "/new")
        except OSError:  # there is none
            pass

    # --- Its installation

    def _spare(self):
        # The slot that is not run.
        return int(self._state[0][_RUN] == 0)

    def unpack(self):
        """Put a piece of the package into the spare slot. Returns whether that was the last one.

        Raises Fault, OSError.
        """
        package = self._package
        if package.kind != _FILES:  # it is in its place
            return True
        if not self._source:
            _remove(self._path(self._spare()))
            _mkdir(self._path(self._spare()))
            self._file.seek(0)
            self._source = self._file
            self._at = self._left = 0
            if package.deflated:
                import deflate

                self._source = deflate.DeflateIO(self._file, deflate.ZLIB)
        elif self._left:
            data = self._read(min(self._left, _PIECE))
            self._out.write(data)
            self._crc = crc32(data, self._crc)
            self._left -= len(data)
        elif self._out:
            self._out.close()
            self._out = None
            self._compare()
        elif self._at < package.whole:
            head = self._read(5)
            self._left = int.from_bytes(head[1:], "big")
            name = self._read(head[0])
            if self._left > package.whole - self._at or not _is_name(name):
                raise Fault(_INTEGRITY, "a file that cannot be")
            parts = str(name, "utf-8").split("/")
            path = self._path(self._spare())
            for part in parts[:-1]:
                path += "/" + part
                _mkdir(path)
            self._name = path + "/" + parts[-1]
            self._out = open(self._name, "wb")
            self._crc = 0
        else:
            return True
        return False

    def _read(self, n):
        # n bytes of what is unpacked.
        out = b""
        if self._at + n <= self._package.whole:
            try:
                while len(out) < n:
                    data = self._source.read(n - len(out))
                    if not data:
                        break
                    out += data
            except (OSError, EOFError) as e:
                if (
                    isinstance(e, OSError) and e.errno != 22
                ):  # EINVAL is deflate's: no zlib in there
                    raise
        if len(out) < n:
            raise Fault(_INTEGRITY, "it cannot be unpacked")
        self._at += n
        return out

    def _compare(self):
        # Whether a file in flash is what was written.
        crc = 0
        with open(self._name, "rb") as f:
            while True:
                data = f.read(_PIECE)
                if not data:
                    break
                crc = crc32(data, crc)
        if crc != self._crc:
            raise Fault(_FAILED, "flash does not hold what was written")

    def switch(self):
        """Put what was unpacked on trial, at the next start(). Raises OSError."""
        package = self._package
        slot = self._slot
        values = {0: package.name, 1: package.version, 2: package.number, 3: package.revoked}
        values[4] = package.kind
        self._change({_TRIAL: slot, _LEFT: _STARTS, _RESULT: 0, _REASON: ""}, slot, values)
        place = self._place(slot)
        if place:
            try:
                place.switch(slot)
            except OSError:
                self._change({_TRIAL: _NONE})
                raise
        self.drop()


def _is_name(name):
    # Letters, digits and _-. in parts that begin with no dot, as the packing tool has it.
    last = 47
    for c in name:
        if not (48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or c in b"_-./"):
            return False
        if last == 47 and (c == 47 or c == 46):
            return False
        last = c
    return last != 47


def _mkdir(path):
    # With all folders that it is in.
    at = 1
    while at > 0:
        at = path.find("/", at + 1)
        try:
            os.mkdir(path if at < 0 else path[:at])
        except OSError:  # it is there; if not, open() tells
            pass


def _remove(path):
    # A file, or a folder with what is in it. Raises OSError.
    try:
        folder = os.stat(path)[0] & _DIR
    except OSError as e:
        if e.errno == _ENOENT:
            return
        raise
    if not folder:
        return os.remove(path)
    for name in os.listdir(path):
        _remove(path + "/" + name)
    os.rmdir(path)
