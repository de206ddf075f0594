# Accounts in flash, safe against power cuts.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# There are two slots and a factory copy, files of one form, big-endian:
#   "LwA", version of the body, sequence number (2 bytes), length of the body (2), CRC-32 of the
#   body and of what stands before the CRC (4); the body; zeros.
# What stands before the body is the same in every version. The body: length (1) and name of the
# endpoint; then for each instance, its resources and their instances one record: ids of object,
# instance, resource and resource instance (2 each), kind and type (1), length (2), value.
# Types and values are those of module tlv; a record tells its type, as who reads it need not have
# the object's definition (yet). It is flat: there is no depth that could be too much.
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

_MAGIC = b"LwA"
_VERSION = const(1)
_HEAD = const(12)
_ZEROS = b"\0" * 64

# Kinds of records.
_INSTANCE = const(0)
_RESOURCE = const(0x10)
_RESOURCE_INSTANCE = const(0x20)

_INT = const(2)  # of tlv's data types

_FACTORY = const(2)  # the third of the files

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
        self._files = [folder + name + "/accounts" for name in ("/0", "/1", "/factory")]
        if factory:
            self._files[_FACTORY] = factory
        self._size = size
        self._endpoint = None  # of the last load()
        self._newest = -1  # the slot that holds what was committed last, or -1
        self._seq = 0  # the newest sequence number
        self.single = False  # whether mirror() has something to do

    # --- What the owner calls

    def load(self, endpoint):
        """Returns (state, text).

        The state is None where there is none. The text is None where nothing is wrong, or a
        sentence that says what is wrong and what is used instead. The slot that is wrong is
        mended if it can be.
        """
        faults = []
        seqs = (self._read(0, faults), self._read(1, faults))
        newer = seqs[0] < 0 or (seqs[1] >= 0 and 0 < seqs[1] - seqs[0] & 0xFFFF < 0x8000)
        self._endpoint = endpoint
        self._seq = seqs[newer]
        self._newest = -1
        state = None
        used = ""
        for slot in (int(newer), int(not newer)):
            body = seqs[slot] >= 0 and self._read(slot, faults, endpoint)
            if body:
                self._newest = slot
                used = "slot %d is used" % slot
                if body[0]:
                    state = body[1]
                try:
                    self._commit(body, False, faults)
                except (OSError, MemoryError):
                    pass  # faults has why the other slot is not used; it stays as it is
                break
        if state is None:
            body = self._read(_FACTORY, faults, endpoint)
            used = "there are no accounts"
            if body:
                used = "the factory copy is used"
                state = body[1]
        return state, "; ".join(faults + [used]) if faults else None

    def factory(self):
        """The factory copy, (endpoint, state), or None where there is none.

        Raises ValueError, in words, where it is damaged.
        """
        faults = []
        body = self._read(_FACTORY, faults, "", True)
        if faults:
            raise ValueError(faults[0])
        return body

    def commit(self, endpoint, state, later=False):
        """Replace what is stored. Returns whether anything else was.

        later: leave the second copy to mirror(), which takes about as long. Raises OSError where
        it cannot be written, ValueError where it has a value that cannot be stored, MemoryError;
        then what was stored still is.
        """
        if endpoint != self._endpoint:
            self.load(endpoint)
        return self._commit((endpoint, state), later)

    def mirror(self):
        """Make the second copy, where commit() has left that for later. Raises nothing: it is
        stored, if only once; the next load() tries again."""
        if self.single:
            self.single = False
            try:
                with open(self._files[self._newest], "rb") as f:
                    head = f.read(_HEAD)
                    # At once, as FAT has one buffer for reading and writing.
                    body = f.read(struct.unpack(">H", head[6:8])[0])
                self._put(1 - self._newest, head, _both(head, body))
            except (OSError, MemoryError):
                pass

    def factory_reset(self):
        """Let load() give the factory copy, from now until the next commit.

        Raises ValueError where that is damaged, or OSError; then nothing has changed.
        """
        faults = []
        self._read(_FACTORY, faults, self._endpoint)
        if faults:
            raise ValueError(faults[0])
        self._commit(("", {}))  # no endpoint's: what factory_reset() leaves

    def provision(self, endpoint, state):
        """Write the factory copy, and the same as the state. Raises as commit() does."""
        if not isinstance(self._files[_FACTORY], str):
            raise ValueError("the factory copy is read by a function: write it where that looks")
        self.commit(endpoint, state)
        body = endpoint, state
        head = _header(0, *_sum(body))
        self._put(_FACTORY, head, _pieces(head, body))

    # --- Files

    def _read(self, slot, faults, endpoint=None, any_endpoint=False):
        # Without an endpoint: the sequence number of a slot that is whole, or -1. With one: what
        # the slot holds, (endpoint, state), or None. What is wrong with it is added to faults;
        # that there is nothing is not wrong.
        nothing = -1 if endpoint is None else None
        fault = "is damaged"
        try:
            file = self._files[slot]
            with open(file, "rb") if isinstance(file, str) else file() as f:
                head = f.read(_HEAD)
                if not any(head):
                    return nothing
                if head[:3] != _MAGIC or not _is_whole(f, head):
                    raise ValueError
                seq, n = struct.unpack(">HH", head[4:8])
                if endpoint is None:
                    return seq
                if head[3] != _VERSION:
                    fault = "is of another version"
                    raise ValueError
                f.seek(_HEAD)
                body = _decode(f, n)
                if body[0] not in ("", endpoint) and not any_endpoint:
                    fault = "is of endpoint " + body[0]
                    raise ValueError
                return body
        except OSError as e:
            if e.errno == _ENOENT:
                return nothing
            fault = "cannot be read: %r" % e
        except Exception:  # of all that can be wrong with bytes, or no memory for it
            pass
        faults.append(("slot 0 ", "slot 1 ", "the factory copy ")[slot] + fault)
        return nothing

    def _write(self, slot, pieces):
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
            left = max(f.seek(0, 2), self._size)
            f.seek(0)
            for data in pieces:
                left -= f.write(data)
            while left > 0:  # no key of before stays behind the body
                left -= f.write(_ZEROS if left > 64 else _ZEROS[:left])
            f.flush()

    def _holds(self, slot, body):
        # Whether a file has that body, which has the same length and CRC.
        with open(self._files[slot], "rb") as f:
            f.seek(_HEAD)
            for data in _encode(body):
                if f.read(len(data)) != data:
                    return False
        return True

    def _has(self, slot, head):
        # Whether a file is whole, and has that head.
        try:
            with open(self._files[slot], "rb") as f:
                return f.read(_HEAD) == head and _is_whole(f, head)
        except OSError:
            return False

    def _put(self, slot, head, pieces):
        # Let a file be what has that head, if it is not. Raises OSError.
        if not self._has(slot, head):
            self._write(slot, pieces)
            if not self._has(slot, head):
                raise OSError(_EIO)

    def _commit(self, body, later=False, faults=None):
        n, crc = _sum(body)
        slot = self._newest
        head = _header(self._seq, n, crc)
        changed = slot < 0 or not self._has(slot, head) or not self._holds(slot, body)
        if changed:
            slot = int(slot == 0)
            seq = self._seq + 1 & 0xFFFF
            head = _header(seq, n, crc)
            try:
                self._put(slot, head, _pieces(head, body))
            except (OSError, MemoryError) as e:
                try:  # it may be whole, and must not be found as the newest then
                    self._write(slot, (bytes(_HEAD),))
                except (OSError, MemoryError):
                    pass
                raise e
            self._newest = slot
            self._seq = seq
        self.single = later
        if later:
            return changed
        try:
            self._put(1 - slot, head, _pieces(head, body))
        except (OSError, MemoryError) as e:
            # It is stored, if only once; the next load() tries again.
            if faults is not None:
                faults.append("slot %d cannot be written: %r" % (1 - slot, e))
        return changed


def _sum(body):
    # Length and CRC of a body.
    n = crc = 0
    for data in _encode(body):
        n += len(data)
        crc = crc32(data, crc)
    if n > 0xFFFF:
        raise OSError(_EFBIG)
    return n, crc


def _header(seq, n, crc):
    head = _MAGIC + struct.pack(">BHH", _VERSION, seq, n)
    return head + struct.pack(">I", crc32(head, crc))


def _is_whole(f, head):
    # Whether what comes in a file behind its head has the head's length and CRC.
    left, crc = struct.unpack(">HI", head[6:])
    check = 0
    while left:
        data = f.read(min(left, 64))
        if not data:
            return False
        left -= len(data)
        check = crc32(data, check)
    return crc32(head[:8], check) == crc


def _pieces(head, body):
    yield head
    yield from _encode(body)


def _both(head, body):
    yield head
    yield body


# --- The body, piece by piece, so that there is no copy of it in RAM


def _encode(body):
    # Sorted, so that the same is the same.
    endpoint, state = body
    data = endpoint.encode()
    yield bytes((len(data),)) + data
    for oid in sorted(state):
        for iid in sorted(state[oid]):
            values = state[oid][iid]
            yield _record(_INSTANCE, oid, iid, 0, 0, {})
            for rid in sorted(values):
                value = values[rid]
                yield _record(_RESOURCE, oid, iid, rid, 0, value)
                if isinstance(value, dict):
                    for riid in sorted(value):
                        yield _record(_RESOURCE_INSTANCE, oid, iid, rid, riid, value[riid])


def _record(kind, oid, iid, rid, riid, value):
    # As the numbers of tlv's types; 0 is a multiple resource. ValueError for any other type.
    t = (dict, str, int, 0, float, bool, bytes, 0, tuple).index(type(value))
    data = bytearray()
    if t:
        tlv.encode(data, t, value)
    if t == _INT and tlv.decode(t, data) != value:
        raise ValueError("an int of more than 64 bits cannot be stored")
    return struct.pack(">4HBH", oid, iid, rid, riid, kind | t, len(data)) + data


def _decode(f, left):
    n = f.read(1)[0]
    endpoint = str(f.read(n), "utf-8")
    left -= 1 + n
    state = {}
    while left:
        oid, iid, rid, riid, t, n = struct.unpack(">4HBH", f.read(11))
        left -= 11 + n
        if left < 0:  # nothing is allocated for a length that is not there
            raise ValueError
        data = f.read(n)
        value = tlv.decode(t, data) if t & 15 else {}
        values = state.setdefault(oid, {}).setdefault(iid, {})
        if t & _RESOURCE:
            values[rid] = value
        elif t & _RESOURCE_INSTANCE:
            values[rid][riid] = value
    return endpoint, state
