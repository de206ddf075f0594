# Accounts in flash, safe against power cuts.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# There are two slots and a factory copy, files of one form, big-endian:
#   "LwA", version of the body, sequence number (2 bytes), length of the body (2), CRC-32 of the
#   body and of what stands before the CRC (4); the body; zeros.
# What stands before the body is the same in every version. The body: length (1) and name of the
# endpoint; then for each instance, its resources and their instances one record: ids of object,
# instance, resource and resource instance (2 each), kind and type (1), length (2), value.
# Types and values are those of module tlv, 0 that of what has none; a record tells its type, as who
# reads it need not have the object's definition (yet). It is flat: there is no depth that could be
# too much. Of two records for the same the later one counts. A whole number from 2^63 on has kinds
# of its own and type 0: the first release has none of that size, and fails where it reads one.
#
# Releases: each reads what the one before it has written, and what the next one writes, so that
# neither an update nor a roll-back loses accounts. Therefore
# - the version stays 1 as long as what is new can be skipped. A record of an unknown kind or type
#   is, and is carried along as it stands, behind the others, until a factory reset. So its maker
#   must expect that the accounts have changed meanwhile. It has object 65535 and type 0: the first
#   release takes it for an instance of nothing then, and does not carry it along;
# - what a known resource may be is widened in one release, and written by the next one;
# - a version 2 is read by one release, and written by the next one. A slot of a version that is
#   unknown stays as it is until there is something to store.
# tests/data/store has what each release has written.
#
# A commit goes to one slot, is read back, and then goes to the other slot too, so that one of the
# two is whole at any moment. Two copies of the new state outlast a byte that goes bad, where a
# copy of the one before would keep keys that were replaced, and bring them back.
#
# Each file has a folder of its own and is overwritten in place. On FAT a commit thus writes
# nothing but the slot's own data sectors and its folder's, where a torn sector does no harm to the
# other slot; sectors must not be smaller than what the flash erases at once, nor clusters smaller
# than a slot. littlefs never overwrites: there the slot changes at once, when it is closed.

import os
import struct
from binascii import crc32
from micropython import const
import lwm2m.tlv as tlv

_MAGIC = const(b"LwA")
_VERSION = const(1)
_HEAD = const(12)
_RECORD = const(11)  # bytes before its value
_PIECE = const(64)  # bytes that are compared, or filled with zeros, at once

# Kinds of records.
_INSTANCE = const(0)
_RESOURCE = const(0x10)
_RESOURCE_INSTANCE = const(0x20)
_WIDE = const(0x40)  # the resource of a number from 2^63 on
_WIDE_INSTANCE = const(0x80)

# Some of tlv's data types.
_INT = const(2)
_UINT = const(3)
_FLOAT = const(4)
_OBJLNK = const(8)
_TYPE = const(15)

_FACTORY = const(2)  # the third of the files
_NAMES = const(("slot 0", "slot 1", "the factory copy"))

_ENOENT = const(2)
_EIO = const(5)
_EFBIG = const(27)


class Store:
    """Accounts in flash.

    folder: where, on any mounted file system. Not /lwm2m: boards search / for modules first, and
    would take the folder for the package. factory: the factory copy where it is not
    folder/factory/accounts: the path of the file, or a function that opens it as open(path, "rb") does.
    size: bytes that a slot takes from the start. FAT writes its table of clusters when a file
    grows, where a power cut does most harm: let it be more than is ever stored.

    A state is {object id: {instance id: {resource id: value}}}, with values as model.Object has
    them, but for functions; an object without instances is left out. What the owner wants to keep
    beside its objects can stand under 65535, which is no object's id.
    """

    def __init__(self, folder="/lwm2m-store", factory=None, size=4096):
        factory = factory or folder + "/factory/accounts"
        self._files = [folder + "/0/accounts", folder + "/1/accounts", factory]
        self._size = size
        self._endpoint = None  # of the last load()
        self._newest = -1  # the slot that holds what was committed last, or -1
        self._used = 0  # its sequence number
        self._seq = -1  # the newest one of all
        self._rest = b""  # the records of that slot that are carried along
        self.single = False  # whether mirror() has something to do
        self.commits = 0  # since the start

    # --- What the owner calls

    def load(self, endpoint, check=None):
        """Returns (state, text).

        The state is None where there is none. The text is None where nothing is wrong, or a
        sentence that says what is wrong and what is used instead. check(state): what is wrong
        with a state, in words, or None: then the older slot, or the factory copy, is used. A slot
        that is damaged is mended if it can be. One that is whole, but of no use to this firmware,
        may be so to another, and stays until there is something to store.
        """
        faults = []
        found = self._read(0, faults), self._read(1, faults)
        newer = int(not found[0])
        if found[0] and found[1]:  # the numbers wrap
            newer = int(0 < _seq(found[1]) - _seq(found[0]) & 0xFFFF < 0x8000)
        mend = None not in found
        self._endpoint = endpoint
        self._newest = -1
        self._seq = _seq(found[newer]) if found[newer] else -1
        self._rest = b""
        state = None
        for slot in (newer, 1 - newer):
            data = found[slot]
            body = data and self._parse(slot, data, faults, endpoint, check)
            if not body:
                mend = mend and not data
                continue
            self._newest = slot
            self._used = _seq(data)
            used = "slot %d is used" % slot
            if body[0]:
                state = body[1]
                self._rest = body[2]
            if mend:
                try:
                    self._put(1 - slot, data)
                except (OSError, MemoryError) as e:
                    if faults:  # it stays as it is; the next load() tries again
                        faults.append("slot %d cannot be written: %r" % (1 - slot, e))
            break
        if state is None:
            body = self._copy(faults, endpoint, check)
            used = "the factory copy is used" if body else "there are no accounts"
            state = body and body[1]
        return state, "; ".join(faults + [used]) if faults else None

    def factory(self):
        """The factory copy, (endpoint, state), or None where there is none.

        Raises ValueError, in words, where it is damaged.
        """
        faults = []
        body = self._copy(faults)
        if faults:
            raise ValueError(faults[0])
        return body and body[:2]

    def commit(self, endpoint, state, later=False):
        """Replace what is stored. Returns whether anything else was.

        later: leave the second copy to mirror(), which takes about as long. Raises OSError where
        it cannot be written, ValueError where it has a value that cannot be stored, MemoryError;
        then what was stored still is.
        """
        # No endpoint's: what factory_reset() leaves.
        if endpoint and endpoint != self._endpoint:
            self.load(endpoint)
        data = pack(endpoint, state, self._used, self._rest if endpoint else b"")
        slot = self._newest
        changed = slot < 0 or not self._holds(slot, data)
        if changed:
            slot = int(slot == 0)
            seq = self._seq + 1 & 0xFFFF
            _seal(data, seq)
            try:
                self._put(slot, data)
            except (OSError, MemoryError) as e:
                try:  # it may be whole, and must not be found as the newest then
                    self._put(slot, bytes(_HEAD))
                except (OSError, MemoryError):
                    pass
                raise e
            self._newest = slot
            self._used = self._seq = seq
            self.single = True
            self.commits += 1
        if not later:
            self.mirror(data)
        return changed

    def mirror(self, data=None):
        """Make the second copy, where commit() has left that for later. Raises nothing: it is
        stored, if only once; the next load() tries again."""
        if self.single:
            self.single = False
            try:
                self._put(1 - self._newest, data or self._read(self._newest, []) or b"")
            except (OSError, MemoryError):
                pass

    def factory_reset(self, check=None):
        """Let load() give the factory copy, from now until the next commit. check: as load().

        Raises ValueError where that is damaged or of no use, or OSError; then nothing has changed.
        """
        faults = []
        self._copy(faults, self._endpoint, check)
        if faults:
            raise ValueError(faults[0])
        self.commit("", {})
        self._rest = b""

    def provision(self, endpoint, state):
        """Write the factory copy, and the same as the state. Raises as commit() does."""
        if not isinstance(self._files[_FACTORY], str):
            raise ValueError("the factory copy is read by a function: write it where that looks")
        self.commit(endpoint, state)
        self._put(_FACTORY, pack(endpoint, state))

    # --- Files

    def _read(self, slot, faults):
        # What a file has, head and body: b"" where that is nothing, or is not whole, None where it
        # cannot be told. What is wrong is added to faults; that there is nothing is not wrong.
        try:
            file = self._files[slot]
            with open(file, "rb") if isinstance(file, str) else file() as f:
                head = f.read(_HEAD)
                if not any(head):
                    return b""
                n = _HEAD + (head[6] << 8 | head[7])
                if f.seek(0, 2) >= n:  # nothing is allocated for a length that is not there
                    f.seek(0)
                    data = f.read(n)
                    if data[:3] == _MAGIC and data[8:_HEAD] == _crc(data):
                        return data
        except (OSError, MemoryError) as e:
            if isinstance(e, OSError) and e.errno == _ENOENT:
                return b""
            faults.append(_NAMES[slot] + " cannot be read: %r" % e)
            return None
        except Exception:  # it ends in its head
            pass
        faults.append(_NAMES[slot] + " is damaged")
        return b""

    def _parse(self, slot, data, faults, endpoint=None, check=None):
        # What a whole file has for an endpoint, or for any one: (endpoint, state, records that are
        # carried along), or None. What is wrong is added to faults.
        fault = "is damaged"
        try:
            if data[3] == _VERSION:
                found = unpack(data)
                if endpoint is None or found[0] in ("", endpoint):
                    text = check and found[0] and check(found[1])
                    if not text:
                        return found
                    fault = "is of no use: " + text
                else:
                    fault = "is of endpoint " + found[0]
            else:
                fault = "is of another version"
        except Exception:  # of all that can be wrong with bytes, or no memory for them
            pass
        faults.append("%s %s" % (_NAMES[slot], fault))

    def _copy(self, faults, endpoint=None, check=None):
        data = self._read(_FACTORY, faults)
        return self._parse(_FACTORY, data, faults, endpoint, check) if data else None

    def _holds(self, slot, data):
        # Whether a file begins with that.
        try:
            with open(self._files[slot], "rb") as f:
                for i in range(0, len(data), _PIECE):
                    part = data[i : i + _PIECE]
                    if f.read(len(part)) != part:
                        return False
            return True
        except OSError:
            return False

    def _put(self, slot, data):
        # Let a file begin with that, if it does not, and have zeros behind it. Raises OSError.
        if self._holds(slot, data):
            return
        file = self._files[slot]
        try:
            f = open(file, "r+b")
        except OSError as e:
            if e.errno != _ENOENT:
                raise
            for i in range(1, len(file)):
                if file[i] == "/":
                    try:
                        os.mkdir(file[:i])
                    except OSError:  # it is there; if not, open() tells
                        pass
            f = open(file, "wb")
        with f:
            left = max(f.seek(0, 2), self._size) - len(data)
            f.seek(0)
            f.write(data)
            zeros = bytes(_PIECE)
            while left > 0:  # no key of before stays behind the body
                left -= f.write(zeros if left > _PIECE else zeros[:left])
            f.flush()
        if not self._holds(slot, data):
            raise OSError(_EIO)


def _seq(data):
    return data[4] << 8 | data[5]


# --- The form of a file


def pack(endpoint, state, seq=0, rest=b""):
    """A file's head and body, a bytearray. rest: records as they stand, behind the others.

    Raises ValueError where a value cannot be stored, OSError where it is too long.
    """
    data = bytearray(_HEAD)
    name = endpoint.encode()
    data.append(len(name))
    data.extend(name)
    for oid in sorted(state):  # sorted, so that the same is the same
        for iid in sorted(state[oid]):
            values = state[oid][iid]
            _begin(data, oid, iid, 0, 0, _INSTANCE)
            for rid in sorted(values):
                value = values[rid]
                if not isinstance(value, dict):
                    _append(data, oid, iid, rid, 0, _RESOURCE, value)
                    continue
                _begin(data, oid, iid, rid, 0, _RESOURCE)
                for riid in sorted(value):
                    _append(data, oid, iid, rid, riid, _RESOURCE_INSTANCE, value[riid])
    data.extend(rest)
    if len(data) - _HEAD > 0xFFFF:
        raise OSError(_EFBIG)
    _seal(data, seq)
    return data


def _seal(data, seq):
    # Write the head of a file with that body.
    struct.pack_into(">3sBHH", data, 0, _MAGIC, _VERSION, seq & 0xFFFF, len(data) - _HEAD)
    data[8:_HEAD] = _crc(data)


def _crc(data):
    view = memoryview(data)
    return struct.pack(">I", crc32(view[:8], crc32(view[_HEAD:])))


def _begin(out, oid, iid, rid, riid, t):
    # Append the head of a record to a bytearray.
    out.extend(struct.pack(">4HBH", oid, iid, rid, riid, t, 0))


def _append(out, oid, iid, rid, riid, kind, value):
    # Append a value's record. Its data type is by Python's: who stores it need not have the object's
    # definition.
    try:
        t = (0, str, int, 0, float, bool, bytes, 0, tuple).index(type(value))
    except ValueError:
        raise ValueError("a value of type %s cannot be stored" % type(value).__name__)
    kind |= t
    if t == _INT and not -1 <= value >> 63 <= 0:
        # Beyond 64 bits it can only be a number of type FLOAT.
        t = _FLOAT
        kind += _FLOAT - _INT
        if value >> 63 == 1:
            t = _UINT
            kind = _WIDE if kind < _RESOURCE_INSTANCE else _WIDE_INSTANCE
    _begin(out, oid, iid, rid, riid, kind)
    at = len(out)
    tlv.encode(out, t, value)
    struct.pack_into(">H", out, at - 2, len(out) - at & 0xFFFF)


def unpack(data):
    """What a whole file has: (endpoint, state, bytes: the records that are carried along).

    Raises ValueError, KeyError, TypeError and what struct and tlv do.
    """
    body = memoryview(data)[_HEAD:]
    at = 1 + body[0]
    if at > len(body):
        raise ValueError
    endpoint = str(body[1:at], "utf-8")
    state = {}
    rest = b""
    while at < len(body):
        oid, iid, rid, riid, t, n = struct.unpack_from(">4HBH", body, at)
        start = at + _RECORD
        end = start + n
        if end > len(body):
            raise ValueError
        if t == _WIDE or t == _WIDE_INSTANCE:
            t = t >> 2 | _UINT  # the kind that it would have
        if (
            t == _INSTANCE
            or _RESOURCE <= t <= _RESOURCE | _OBJLNK
            or _RESOURCE_INSTANCE < t <= _RESOURCE_INSTANCE | _OBJLNK
        ):
            values = state.setdefault(oid, {}).setdefault(iid, {})
            if t != _INSTANCE:
                value = tlv.decode(t, body[start:end]) if t & _TYPE else {}
                if t < _RESOURCE_INSTANCE:
                    values[rid] = value
                else:
                    values[rid][riid] = value
        else:
            rest += bytes(body[at:end])
        at = end
    return endpoint, state, rest
