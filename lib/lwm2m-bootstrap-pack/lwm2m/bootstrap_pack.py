# Bootstrap-Pack-Request (LwM2M 1.2 6.1.7.7): a client asks for all of its accounts, and gets them in the
# answer. Module bootstrap has the attempts, transaction what is changed; where a server has no pack, or
# one that does not fit together, it goes on with the Bootstrap-Request.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import ACCEPT, CONTENT_FORMAT, GET, Error
from ucoap.engine import TIMEOUT
import lwm2m.model as model
from . import optional
from .account import failure, uri_options
from .management import format_module

_SENML_JSON = const(110)
_SENML_CBOR = const(112)
_LWM2M_CBOR = const(11544)

_BOOTSTRAP_ID = const(65535)
_REQUESTED = const(3)  # of Bootstrap.state

_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_UNSUPPORTED = const(0x8F)
_INTERNAL = const(0xA0)

# Events; the same numbers in the package's __init__.
_BS_PENDING = const(7)
_BS_FAILED = const(9)


class _Part:
    # A cursor over what a pack has of one object.

    def __init__(self, payload, format, oid):
        self._cursor = format_module(format).Cursor(payload, (), format)
        self.oid = oid
        self.iid = self.rid = self.riid = -1
        self.leaf = True
        self.value = self._cursor.value

    def next(self):
        cursor = self._cursor
        while cursor.next():
            if cursor.oid == self.oid:
                self.iid, self.rid, self.riid = cursor.iid, cursor.rid, cursor.riid
                return True
        return False


def request(b, now):
    """Ask for a pack. b: the Bootstrap. Raises as Engine.request() does."""
    core = b.core
    account = b.account
    # acc tells the instances of the account itself, which are not to be taken (LwM2M 1.2.1).
    queries = "ep=" + core.endpoint, "acc=</0/%d>" % b.account_iid()
    options = uri_options(account.uri, "bspack", queries)
    options.append((ACCEPT, _SENML_CBOR))

    def answered(x, code, m, payload):
        _answered(b, x, code, m, payload)

    core.engine.request(now, account, GET, options, b"", answered, core.coap_of(account))


def _answered(b, x, code, m, payload):
    core = b.core
    if x.peer is not b.account or b.state != _REQUESTED:
        return  # an operation has come before
    try:
        if code == TIMEOUT:
            return b.fail(*failure(code, payload))
        try:
            if code == _CONTENT:
                return _apply(b, m.uint(CONTENT_FORMAT), payload)
        except Error as e:  # LwM2M 1.2 6.1.6: then it is to ask to be bootstrapped
            b.undo()
            core.event(_BS_FAILED, _BOOTSTRAP_ID, None, e.code, True, e.text)
            core.event(_BS_PENDING, _BOOTSTRAP_ID)
        b.pack = None
        b.request(core.now)
    except Exception as e:  # MemoryError, or of the store; all is as before
        b.fail(_INTERNAL, True, None)
        if core.engine.on_exception and not isinstance(e, MemoryError):
            core.engine.on_exception(e)


def _apply(b, format, payload):
    # Each object that is in it has the instances of the pack, and no others, but for the bootstrap server
    # account; the objects that are not in it stay as they are.
    if format not in (_SENML_JSON, _SENML_CBOR, _LWM2M_CBOR):
        raise Error(_UNSUPPORTED, "a pack in no format that was asked for")
    objects = b.core.objects
    transaction = optional("transaction")
    oids = []
    cursor = format_module(format).Cursor(payload, (), format)
    while cursor.next():
        if not cursor.leaf:
            raise Error(_BAD_REQUEST, "a name without a value")
        if cursor.oid not in oids:
            oids.append(cursor.oid)
    for oid in sorted(oids):
        obj = objects.get(oid)
        if not obj or not obj.bootstrap:
            raise Error(_BAD_REQUEST, "/%d is not to be written" % oid)
        path = (oid,)
        found = model.decode(objects, path, _Part(payload, format, oid), True)
        transaction.delete(b, path, obj)
        transaction.write(b, path, obj, None, None, found)
    transaction.finish(b)
