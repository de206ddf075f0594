# Send: values that servers get without having asked (LwM2M 1.1 6.4), client.send(…).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import POST, Error, code_text
from . import optional
from .account import failure, uri_options
from .composite import gather
from .management import format_module
from .model import resolve

_SENML_JSON = const(110)
_SENML_CBOR = const(112)

# That a server has yet to answer; further ones do not go to it.
_MAX_SENDS = const(4)

_DISCONNECTED = const(0)  # of Account.state
_REGISTERED = const(4)
_UPDATING = const(5)

_READ = const(1)  # of model's operations
_MUTE = const(23)  # a resource of /1

_NO_SEC = const(3)  # a Security Mode (/0/x/2)

_CHANGED = const(0x44)
_UNAVAILABLE = const(0xA3)


def send(client, paths, callback=None, server=None, confirmable=True):
    """Send the values of paths, such as "/3303/0/5700" or "/3", to the servers that want them.

    That are those which are registered and not muted: Mute Send (/1/x/23) is False, and not absent.
    Each gets what it may read, of instances that it knows of. server: a Short Server ID, for that
    one only.
    callback(short_id, code, text): what each has answered; 2.04 (0x44) is good, text has the words
    of a refusal. 5.03 (0xA3) is our own: there was no answer, or the connection has ended.
    confirmable: whether it is repeated until the server has it. One that is not may be lost, and saves
    what would be sent again.

    Returns the Short Server IDs of those that it goes to; not to one that has four others to
    answer. Raises ValueError for what cannot be read.
    """
    core = client.core
    if core.version == "1.0":
        raise ValueError("5.01 LwM2M 1.0 has no Send")
    if not isinstance(paths, (list, tuple)) or not (callback is None or callable(callback)):
        raise ValueError("4.00 paths are a list, the callback is a function")
    if server is not None and type(server) is not int:
        raise ValueError("4.00 the server is a Short Server ID")
    format = _SENML_CBOR if optional("senml_cbor") else _SENML_JSON
    found = [_path(core, path) for path in paths]
    if not found:
        raise ValueError("4.00 there are no paths to send")
    part = _part(core)
    sent = []
    for account in core.accounts:
        if server is not None and account.short_id != server:
            continue
        if _muted(core, account) or part.count(account) >= _MAX_SENDS:
            continue
        out = bytearray()
        try:
            sink = format_module(format).Sink(out, format)
            for path in found:
                gather(core, part.may, account, path, sink)
            if not out:
                continue
            sink.end()
        except Error as e:
            raise ValueError("%s %s" % (code_text(e.code), e.text))
        part.send(account, out, format, callback, client.net.now(), confirmable)
        sent.append(account.short_id)
    return sent


def _path(core, text):
    # The ids of a path that can be read.
    ids = text.split("/")[1:] if isinstance(text, str) and text.startswith("/") else ()
    for part in ids:
        if not part.isdigit() or len(part) > 5:
            ids = ()
    if not 0 < len(ids) < 5:
        raise ValueError("4.00 %s is no path, such as /3303/0/5700" % (text,))
    path = tuple([int(part) for part in ids])
    try:
        resolve(core.objects, path, _READ)
    except Error as e:
        raise ValueError("%s %s cannot be read" % (code_text(e.code), text))
    return path


def _muted(core, account):
    if account.state != _REGISTERED and account.state != _UPDATING:
        return True
    return core.objects[1].instances[account.server_iid].get(_MUTE, True)


def _part(core):
    # The part of a client that has sent before, or a new one.
    for part in core.parts:
        if isinstance(part, Sends):
            return part
    part = Sends(core)
    core.parts.append(part)
    return part


class _Send:
    def __init__(self, account, callback):
        self.account = account
        self.callback = callback
        self.exchange = None
        self.lost = False  # whether the connection that it went over has ended


class Sends:
    """What servers have yet to answer: a part, as module account has it."""

    def __init__(self, core):
        self.core = core
        self._sends = []

    def may(self, account, oid, iid, operation):
        """Whether a server may be sent an instance: it knows of it, and has the right to read it."""
        may = self.core.may
        return "</%d/%d>" % (oid, iid) in account.links and (
            not may or may(account, oid, iid, operation)
        )

    def count(self, account):
        n = 0
        for each in self._sends:
            n += each.account is account
        return n

    def send(self, account, payload, format, callback, now, confirmable):
        options = uri_options(account.uri, "dp", (), format)
        each = _Send(account, callback)
        each.exchange = self.core.engine.request(
            now, account, POST, options, payload, self._answered, account.settings, confirmable
        )
        self._sends.append(each)

    def _answered(self, x, code, m, payload):
        for each in self._sends:
            if each.exchange is x:
                self._sends.remove(each)
                text = None
                if code != _CHANGED:
                    code, internal, text = failure(code, payload)
                    if internal and not x.type and each.account.security.get(2) != _NO_SEC:
                        # As observe does: an Update finds out whether the server knows the session.
                        each.account.due = self.core.seconds
                return self._tell(each, code, text)

    def _tell(self, each, code, text):
        if each.callback:
            try:
                each.callback(each.account.short_id, code, text)
            except Exception as e:
                if self.core.engine.on_exception:
                    self.core.engine.on_exception(e)

    def poll(self, now):
        for each in self._sends:
            if each.lost:
                self._sends.remove(each)
                self.core.engine.cancel(each.exchange)
                self._tell(each, _UNAVAILABLE, "the connection has ended")
                break  # which may have changed the list; next_ms() is 0 for the others

    def next_ms(self, now, least):
        for each in self._sends:
            if each.lost:
                return 0
        return least

    def moved(self, account):
        if account.state == _DISCONNECTED:
            for each in self._sends:
                if each.account is account:
                    each.lost = True

    def changed(self, oid, iid, rid):
        pass

    def handle(self, account, m, payload, reply, now):
        return 0
