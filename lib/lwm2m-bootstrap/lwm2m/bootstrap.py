# The client's side of the Bootstrap interface (LwM2M 1.1 6.1).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# A session is one transaction. An operation never changes an instance, or an object's dict of
# instances, in place: it makes a new one and puts it there as its last step. What was there when
# the session began is kept, and put back unless a Finish passes.

from micropython import const
from ucoap import Error
import lwm2m.management as management
from lwm2m import optional
from lwm2m.account import Account, failure, uri_options
from lwm2m.consistency import inconsistency
from lwm2m.model import missing, path_of
from lwm2m.objects import server_id

_BOOTSTRAP_ID = const(65535)
_UNDATED = const(65535)  # no resource's id: in place of /1/x/12 where no clock told the time
_BOOTSTRAP = const(1)  # of Core.state
_CONNECTED = const(2)  # of Account.state
_EXCHANGE_LIFETIME = const(247)  # s, RFC 7252 4.8.2

# A failed attempt is followed by others as a registration is: the defaults of /1/x/17 and 18.
_RETRY_COUNT = const(5)
_RETRY_TIMER = const(60)

# Of CoAP, as ucoap has them; LwM2M 1.1 7.4.
_GET = const(1)
_POST = const(2)
_PUT = const(3)
_DELETE = const(4)
_URI_PATH = const(11)
_ACCEPT = const(17)
_LINK = const(40)

_DELETED = const(0x42)
_CHANGED = const(0x44)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_NOT_FOUND = const(0x84)
_NOT_ALLOWED = const(0x85)
_NOT_ACCEPTABLE = const(0x86)
_INTERNAL = const(0xA0)
_UNAVAILABLE = const(0xA3)

# Events; the same numbers in the package's __init__.
_BS_PENDING = const(7)
_BS_FINISHED = const(8)
_BS_FAILED = const(9)

# States.
_IDLE = const(0)  # no session; the last one's connection may still be open
_WAITING = const(1)  # for the hold-off or the next attempt
_CONNECTING = const(2)
_REQUESTED = const(3)  # the Bootstrap-Request has gone out
_RUNNING = const(4)  # it was answered, or an operation came
_FINISHED = const(5)  # the answer to Finish is going out
_EXHAUSTED = const(6)  # no attempt is left

# What a Delete on / or /0 means to the bootstrap server account, which survives it.
_REPLACEABLE = const(1)  # a new one may be written under any instance id
_HIDDEN = const(2)  # and its instance id is free for others, as nobody has discovered it since


class Bootstrap:
    """Bootstrap attempts and sessions of a Core; core calls what has no underscore."""

    # Of LwM2M 1.2 only: the module, while a Bootstrap-Pack is to be asked for.
    pack = None

    def __init__(self, core):
        self.core = core
        self.state = _IDLE
        self.account = None  # with the connection of the session under way, or the last one
        self._due = 0  # s, when the state's time is over
        self._close_due = -1  # s, when the last session's connection is closed
        self.purge_due = -1  # s, Bootstrap-Server Account Timeout
        self.vain = 0  # sessions that have passed since a server was last registered with
        self._attempts = 0  # failed ones
        self._usable = False  # whether there are servers to go back to
        self._format = True  # whether to tell the preferred Content-Format
        self._backup = {}  # {object: its instances before the session}
        self._covered = 0  # 0, _REPLACEABLE or _HIDDEN

    def account_iid(self):
        """The instance id of the bootstrap server account, or -1."""
        return _account_of(self.core.objects[0].instances)

    # --- Attempts

    def start(self, usable=False):
        """Begin to bootstrap. Returns False where there is no bootstrap server account, or where
        its sessions pass and yet no server registers this client.

        usable: regular servers work. They are not served meanwhile, but keep their registrations;
        one failed attempt leads back to them.
        """
        iid = self.account_iid()
        if iid < 0 or self.vain >= _RETRY_COUNT:
            return False
        core = self.core
        if core.context:
            core.context.flush(False)
        if not usable:
            core.drop_accounts()
        core.state = _BOOTSTRAP
        self._usable = usable
        self._format = core.version != "1.0"
        if core.version == "1.2":
            self.pack = optional("bootstrap_pack")
        self._attempts = 0
        wait = core.objects[0].get(iid, 11, 0)
        if self.vain > 1:  # or bootstraps would follow each other without a pause
            wait += core.spread(_RETRY_TIMER << self.vain - 2)
        self._enter(_WAITING, wait)
        core.event(_BS_PENDING, _BOOTSTRAP_ID)
        return True

    def stop(self):
        """End a session, if there is one, without a word; everything is as before it."""
        self._close()
        self.state = _IDLE
        self.vain = 0

    def poll(self, now):
        """Do what is due. Returns whether the last attempt has failed."""
        core = self.core
        state = self.state
        if state == _FINISHED:
            self.state = _IDLE
            self._close_due = core.after(_EXCHANGE_LIFETIME)
            core.weary = 0
            core.event(_BS_FINISHED, _BOOTSTRAP_ID)
            core.begin()
        elif state == _WAITING and self._due <= core.seconds:
            self._connect(now)
        elif state == _RUNNING and self._due <= core.seconds:
            self.fail(_UNAVAILABLE, True, "no operation in time")
        elif state == _IDLE:
            if 0 <= self._close_due <= core.seconds:
                self._close()
            if 0 <= self.purge_due <= core.seconds:
                iid = self.account_iid()
                if iid >= 0:
                    instances = dict(core.objects[0].instances)
                    instances.pop(iid)
                    core.objects[0].instances = instances
                    core.changed(0, iid, -1)
                self.purge_due = -1
        if self._connected():
            self.request(now)
        return self.state == _EXHAUSTED

    def next_ms(self, least):
        """The less of least and the ms until poll() has something to do; -1 is never."""
        core = self.core
        if self.state >= _FINISHED or self._connected():
            return 0
        if self.state == _WAITING or self.state == _RUNNING:
            return core.until(self._due, least)
        if self.state == _IDLE:
            return core.until(self.purge_due, core.until(self._close_due, least))
        return least

    def _enter(self, state, seconds):
        self.state = state
        self._due = self.core.after(seconds)

    def _connected(self):
        return self.state == _CONNECTING and self.account.state == _CONNECTED

    def _connect(self, now):
        core = self.core
        self._close()
        security = core.objects[0].instances[self.account_iid()]
        self.account = Account(security, _BOOTSTRAP_ID, None, core.coap.get(_BOOTSTRAP_ID))
        self.state = _CONNECTING
        if not core.connect(self.account, now):
            self.fail(_UNAVAILABLE, True, "no connection")

    def disconnected(self, account, code, text):
        if account is self.account:
            if _CONNECTING <= self.state <= _RUNNING:
                self.fail(code, True, text)
            else:
                self._close()

    def request(self, now):
        """Send the Bootstrap-Request (LwM2M 1.1 6.1.7.1), or what may save it."""
        core = self.core
        self.state = _REQUESTED
        try:
            if self.pack:
                return self.pack.request(self, now)
            queries = ["ep=" + core.endpoint]
            if self._format:
                queries.append("pct=%d" % core.format)
            options = uri_options(self.account.uri, "bs", queries)
            core.engine.request(
                now, self.account, _POST, options, b"", self._answered, core.coap_of(self.account)
            )
        except Exception:  # Error, MemoryError; a tuple of them would need memory itself
            self.fail(_INTERNAL, True, "the request does not fit")

    def _answered(self, x, code, m, payload):
        if self.state != _REQUESTED:
            return  # an operation has come before the answer, and counts as one
        if code == _CHANGED:
            self._enter(_RUNNING, _EXCHANGE_LIFETIME)
        elif self._format and code >> 5 == 4:
            self._format = False  # a server of LwM2M 1.0 may not know pct
            self.request(self.core.now)
        else:
            try:
                self.fail(*failure(code, payload))
            except MemoryError:
                self.fail(_INTERNAL, True, None)

    def fail(self, code, internal, text):
        """An attempt has failed, for that reason; all is as before it."""
        core = self.core
        self._close()
        self._attempts += 1
        self.state = _EXHAUSTED
        if self._usable:
            self.state = _IDLE
            core.resume()
        elif self._attempts < _RETRY_COUNT and not core.weary:
            self._enter(_WAITING, core.spread(_RETRY_TIMER << self._attempts - 1))
        core.event(_BS_FAILED, _BOOTSTRAP_ID, None, code, internal, text)
        if self.state == _WAITING:
            core.event(_BS_PENDING, _BOOTSTRAP_ID)

    def _close(self):
        # The end of a session: what it has changed, and no Finish made last, is undone.
        self.undo()
        self._close_due = -1
        if self.account:
            self.core.disconnect(self.account)
            self.account = None

    def start_timeout(self):
        """Begin Bootstrap-Server Account Timeout (/0/x/12), where the account has one."""
        core = self.core
        seconds = core.objects[0].instances.get(self.account_iid(), {}).get(12) or 0
        self.purge_due = core.after(seconds) if seconds > 0 else -1

    # --- The transaction

    def undo(self):
        """Put back what was there before the session."""
        for obj in self._backup:
            obj.instances = self._backup[obj]
        self._backup.clear()
        self._covered = 0

    def _put(self, changes):
        # Put new dicts of instances in place: (object, instances) each; the last step of an
        # operation, and the only one that has effect.
        for obj, _ in changes:
            if obj not in self._backup:
                self._backup[obj] = obj.instances
        for obj, instances in changes:
            obj.instances = instances

    # --- Operations

    def handle(self, account, m, payload, reply):
        """Serve a request of the bootstrap server. Returns the response code; raises Error."""
        self.check(account)
        self._enter(_RUNNING, _EXCHANGE_LIFETIME)
        code = m.code
        if code == _POST and m.strings(_URI_PATH) == ["bs"]:
            return self.finish()
        path = path_of(m)
        obj = None
        if path:
            obj = self.core.objects.get(path[0])
            if not obj:
                raise Error(_NOT_FOUND if code == _GET else _BAD_REQUEST, "no such object")
        accept = m.uint(_ACCEPT)
        if code == _GET and accept == _LINK:
            return self._discover(path, obj, reply)
        if code == _GET and self.core.version != "1.0":
            return self._read(path, obj, accept, reply)
        if code == _DELETE:
            return self.delete(path, obj)
        if code == _PUT:
            return self.write(path, obj, m, payload)
        raise Error(_NOT_ALLOWED)

    def check(self, account):
        """Raise Error 4.01 where a request is not of a session under way."""
        if account is not self.account or not _REQUESTED <= self.state <= _RUNNING:
            raise Error(_UNAUTHORIZED, "no bootstrap session")

    def _discover(self, path, obj, reply):
        # LwM2M 1.1 6.1.7.3.
        if len(path) > 1:
            raise Error(_BAD_REQUEST)
        objects = self.core.objects if obj is None else {obj.id: obj}
        version = self.core.version
        root = 'lwm2m="1.0",' if version == "1.0" else "</>;lwm2m=%s," % version
        reply.content_format = _LINK
        reply.payload = root + management.object_links(objects, self._attributes)
        self._covered = min(self._covered, _REPLACEABLE)
        return _CONTENT

    def _attributes(self, obj, iid):
        text = ""
        if obj.id < 2:
            short_id = server_id(obj, iid)
            if short_id != _BOOTSTRAP_ID and short_id is not None:
                text = ";ssid=%d" % short_id
            if obj.id == 0 and self.core.version != "1.0":
                text += ';uri="%s"' % obj.instances[iid].get(0, "")
        return text

    def _read(self, path, obj, accept, reply):
        # LwM2M 1.1 6.1.7.4.
        if len(path) > 2:
            raise Error(_BAD_REQUEST)
        if not path or path[0] not in (1, 2):
            raise Error(_UNAUTHORIZED if path and path[0] == 0 else _NOT_ALLOWED)
        if len(path) == 2 and path[1] not in obj.instances:
            raise Error(_NOT_FOUND)
        management.answer(obj, path, 0, accept, reply, 0x0F)
        return _CONTENT

    def delete(self, path, obj):
        """LwM2M 1.1 6.1.7.6. Raises Error."""
        if len(path) > 2:
            raise Error(_BAD_REQUEST)
        objects = self.core.objects
        changes = []
        for oid in objects if obj is None else path[:1]:
            obj = objects[oid]
            old = obj.instances
            kept = self.account_iid() if oid == 0 else -1
            if len(path) == 2:
                if path[1] not in old or not obj.bootstrap or path[1] == kept:
                    raise Error(_BAD_REQUEST, "not to be deleted")
                new = dict(old)
                new.pop(path[1])
            elif obj.bootstrap:
                new = {kept: old[kept]} if kept >= 0 else {}
            else:
                continue
            changes.append((obj, new))
        self._put(changes)
        if not path or path == (0,):
            self._covered = _HIDDEN
        return _DELETED

    def write(self, path, obj, m, payload, found=None):
        """LwM2M 1.1 6.1.7.5. found: what is written, as model's decode() has it. Raises Error."""
        n = len(path)
        if not 1 <= n <= 3 or not obj.bootstrap or (n == 3 and not obj.flags(path[2]) & 0x0F):
            raise Error(_BAD_REQUEST, "not to be written")
        if found is None:
            found = management.decode(self.core.objects, m, payload, path, True)
        found = found.get(obj.id) or {}
        instances = dict(obj.instances)
        covered = self._covered
        if not found:
            found = {path[1] if n > 1 else -1: {}}
        for iid in found:
            values = found[iid]
            iid = max(iid, 0)
            text = missing(obj, values)
            if n == 3:
                if path[2] not in values:
                    raise Error(_BAD_REQUEST, "the resource of the path is missing")
                if covered != _HIDDEN or obj.id or iid != _account_of(instances):
                    old = instances.get(iid)
                    if old:
                        values = dict(old)
                        values.update(found[iid])
            elif text:
                raise Error(_BAD_REQUEST, "/%d/%d: %s" % (obj.id, iid, text))
            if obj.id == 0:
                covered = _make_room(instances, iid, values, covered)
            instances[iid] = values
        self._put(((obj, instances),))
        self._covered = covered
        return _CHANGED

    def finish(self):
        """Check the accounts, and store them (LwM2M 1.1 6.1.7.7). Raises Error."""
        core = self.core
        text = inconsistency(core.objects, core.net.modes, core.context)
        if text:
            raise Error(_NOT_ACCEPTABLE, text)
        server = core.objects[1]
        rid = 12  # Last Bootstrapped
        try:
            time = core.objects[3].get(0, 13)
            server.check(rid, time)
        except Exception:  # the accounts are not to be wrong because the clock is
            rid, time = _UNDATED, True
        instances = {}
        for iid in server.instances:
            instances[iid] = values = dict(server.instances[iid])
            values.pop(12, None)
            values.pop(_UNDATED, None)
            values[rid] = time
        self._put(((server, instances),))
        if core.context:  # from here on a power cut finds the new accounts
            text = core.context.commit()
            if text:
                raise Error(_INTERNAL, text)
        self.start_timeout()
        self._backup.clear()
        self._covered = 0
        self.state = _FINISHED
        self.vain += 1
        return _CHANGED


def _account_of(instances):
    for iid in instances:
        if instances[iid].get(1):
            return iid
    return -1


def _make_room(instances, iid, values, covered):
    # There is one bootstrap server account. It cannot be overwritten or doubled, but it gives
    # way to what a server writes that has deleted it. Returns the new `covered`.
    old = _account_of(instances)
    new = values.get(1)
    if old < 0 or (old == iid) == bool(new):
        return 0 if new else covered
    if covered < (_REPLACEABLE if new else _HIDDEN):
        raise Error(_BAD_REQUEST, "/0/%d is the bootstrap server account" % old)
    if new:
        instances.pop(old)
        return 0
    free = 0
    while free in instances:
        free += 1
    instances[free] = instances[old]
    return covered
