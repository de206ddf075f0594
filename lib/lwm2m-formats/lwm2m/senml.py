# SenML (RFC 8428, LwM2M 1.1 7.4.4, 7.4.6) whatever it is written in: names and records.
# What reads the items of a record is cbor's Reader, or senml_json's.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from .cbor import ARRAY, MAP, bad, fit, head, put

# Labels (RFC 8428 6); an object link has a text for one.
_BASE_NAME = const(-2)
_BASE_TIME = const(-3)
_BASE_VALUE = const(-5)
_VERSION = const(-1)
_NAME = const(0)
_TEXT = const(3)
_TIME = const(6)
_LINK = const("vlo")

# The label of a value of each data type, as model has them: vs 3, v 2, vb 4, vd 8; link 9.
_LABELS = const(b"\0\3\2\2\2\4\x08\2\x09")
# And the other way, for what has no definition here.
_TYPES = const(b"\0\0\2\1\5\0\0\0\6\x08")
_VALUES = const(0x31C)  # a bit for each
_LINK_LABEL = const(9)

_TYPE = const(15)
_STR = const(1)
_INT = const(2)
_FLOAT = const(4)
_ETCH = const(320)  # and 322: null deletes (RFC 8790)
_MAX_ID = const(65535)  # of nothing (LwM2M 1.1 7.1)


class Sink:
    """Writes values as records in CBOR to a bytearray; senml_json's overrides _begin() and _pair().

    time: s, None or what is to be said with the next record, and holds from there on.
    """

    def __init__(self, out, format=None):
        self._out = out
        self._at = len(out)  # where the array's head goes
        self._count = 0
        self._oid = self._iid = -1  # that the base name says
        self.time = None

    def open(self, iid, rid):
        return 0

    def close(self, at):
        pass

    def value(self, oid, iid, rid, riid, flags, value):
        new = oid != self._oid or iid != self._iid
        time = self.time
        self._begin(2 + new + (time is not None))
        if new:
            self._oid = oid
            self._iid = iid
            self._pair(_BASE_NAME, _STR, "/%d/%d/" % (oid, iid))
        if time is not None:
            self._pair(_BASE_TIME, _FLOAT if type(time) is float else _INT, time)
            self.time = None
        self._pair(_NAME, _STR, "%d" % rid if riid < 0 else "%d/%d" % (rid, riid))
        label = _LABELS[flags & _TYPE]
        self._pair(_LINK if label == _LINK_LABEL else label, flags, value)

    def name(self, path):
        """A record that is a name only, as a composite request has it."""
        self._begin(1)
        self._pair(_NAME, _STR, path)

    def _begin(self, fields):
        self._count += 1
        head(self._out, MAP, fields)

    def _pair(self, label, flags, value):
        put(self._out, _STR if label == _LINK else _INT, label)
        put(self._out, flags, value)

    def end(self):
        count = bytearray()
        head(count, ARRAY, self._count)
        self._out[self._at : self._at] = count


class Cursor:
    """The records of a pack, one after the other, as tlv's Cursor gives values.

    reader: open(kind), more(left, kind), label(), value(label), skip(), end(). path: the request's.
    Where it is (), as in a composite request, records may be names without values: leaf is False
    there, and path() is of any length. time: s, as the record says it (RFC 8428 4.5.3).
    """

    def __init__(self, reader, path, format):
        self._reader = reader
        self._names = not path
        self._null = format >= _ETCH
        self._base = ""
        self._base_time = 0
        self._left = reader.open(ARRAY)
        self._label = 0  # of the value
        self._value = None
        self.time = 0
        self.leaf = False
        self._go("/")

    def next(self):
        r = self._reader
        if not r.more(self._left, ARRAY):
            r.end()
            self._left = 0
            return False
        self._left -= 1
        name = ""
        time = 0
        seen = 0  # a bit for each label
        left = r.open(MAP)
        while r.more(left, MAP):
            left -= 1
            label = r.label()
            if label == _LINK:
                label = _LINK_LABEL
            if type(label) is not int or not -6 <= label <= _LINK_LABEL:
                if type(label) is str and label[-1:] == "_":
                    bad("%s is not understood" % label)  # RFC 8428 4.4
                r.skip()
                continue
            if seen >> label + 6 & 1:
                bad("a label twice")
            seen |= 1 << label + 6
            if label == _BASE_VALUE:
                bad("no base values here")
            if not (-3 <= label <= _NAME or label == _TIME or _VALUES >> max(label, 0) & 1):
                r.skip()
                continue
            value = r.value(label)
            given = type(value)
            if label == _NAME or label == _BASE_NAME:
                if given is not str:
                    bad("a name is no text")
                if label == _NAME:
                    name = value
                else:
                    self._base = value
            elif label > _NAME and label != _TIME:
                self._label = label
                self._value = value
            elif given is not int and given is not float:
                bad("a time or version is no number")
            elif label == _TIME:
                time = value
            elif label == _BASE_TIME:
                self._base_time = value
            elif value > 10:
                bad("a later SenML")
        self._go(self._base + name)
        self.time = self._base_time + time
        values = seen >> 6 & _VALUES
        if values & values - 1:
            bad("two values in a record")
        self.leaf = values != 0
        if self.leaf:
            if self.rid < 0:
                bad("a value of no resource")
            if self._value is None and not self._null:
                bad("null")
        elif not self._names:
            bad("a name without a value")
        return True

    def _go(self, name):
        if name[:1] != "/" or len(name) > 24:
            bad("a name is no path")
        ids = [-1, -1, -1, -1]
        n = 0
        if len(name) > 1:
            for part in name[1:].split("/"):
                if n > 3 or not part.isdigit() or int(part) >= _MAX_ID:
                    bad("a name is no path")
                ids[n] = int(part)
                n += 1
        self._depth = n
        self.oid, self.iid, self.rid, self.riid = ids

    def path(self):
        """Where it is, as a tuple of up to four ints."""
        return (self.oid, self.iid, self.rid, self.riid)[: self._depth]

    def value(self, flags):
        """The value, of the type in a resource's flags; None for null, which deletes.

        Without a type in flags it is what the record says, a number that is whole an int.
        """
        flags = flags or _TYPES[self._label]
        label = _LABELS[flags & _TYPE]
        if self._label != label and self._value is not None:
            if label != _LINK_LABEL or self._label != _TEXT:  # Leshan writes a link as text
                bad("no value of that type")
        return fit(flags, self._value)
