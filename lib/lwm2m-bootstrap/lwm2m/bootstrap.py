# The client's side of the Bootstrap interface (LwM2M 1.1 6.1).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Here are its attempts and their times; what a server changes in a session is module transaction's.

from micropython import const
from ucoap import Error
from lwm2m import forget, optional
from lwm2m.account import Account, failure, uri_options

_BOOTSTRAP_ID = const(65535)
_BOOTSTRAP = const(1)  # of Core.state
_MANAGEMENT = const(2)
_CONNECTED = const(2)  # of Account.state
_EXCHANGE_LIFETIME = const(247)  # s, RFC 7252 4.8.2

# A failed attempt is followed by others as a registration is: the defaults of /1/x/17 and 18.
_RETRY_COUNT = const(5)
_RETRY_TIMER = const(60)

# Of CoAP, as ucoap has them; LwM2M 1.1 7.4.
_POST = const(2)

_CHANGED = const(0x44)
_UNAUTHORIZED = const(0x81)
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


class Bootstrap:
    """Bootstrap attempts and sessions of a Core; core calls what has no underscore."""

    # Of LwM2M 1.2 only: the module, while a Bootstrap-Pack is to be asked for.
    pack = None
    timeout = _EXCHANGE_LIFETIME  # s without an operation, after which a session has failed

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
        self.backup = {}  # {object: its instances before the session}; module transaction's
        self.covered = 0  # likewise

    def account_iid(self):
        """The instance id of the bootstrap server account, or -1."""
        return account_of(self.core.objects[0].instances)

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
            core.begin()
            core._fresh = False
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
            forget("transaction")  # last, as they take memory
            forget("consistency")
        elif state == _WAITING and self._due <= core.seconds:
            self._connect(now)
        elif state == _RUNNING and self._due <= core.seconds:
            self.fail(_UNAVAILABLE, True, "no operation in time")
        elif state == _IDLE:
            if 0 <= self._close_due <= core.seconds:
                self._close()
            if 0 <= self.purge_due <= core.seconds:
                self.purge_due = -1
                iid = self.account_iid()
                if iid >= 0:
                    core.objects[0].remove(iid)
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
            self._enter(_RUNNING, self.timeout)
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
            if core.accounts:  # they are as they were
                core.state = _MANAGEMENT
                core._stale = True
            else:
                core.begin()
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
        seconds = core.objects[0].instances.get(self.account_iid(), {}).get(12)
        self.purge_due = core.after(seconds or -1)

    # --- Sessions

    def undo(self):
        """Put back what was there before the session."""
        for obj in self.backup:
            obj.instances = self.backup[obj]
        self.backup.clear()
        self.covered = 0

    def check(self, account):
        """Raise Error 4.01 where a request is not of a session under way."""
        if account is not self.account or not _REQUESTED <= self.state <= _RUNNING:
            raise Error(_UNAUTHORIZED, "no bootstrap session")

    def handle(self, account, m, payload, reply):
        """Serve a request of the bootstrap server. Returns the response code; raises Error."""
        self.check(account)
        self._enter(_RUNNING, self.timeout)
        return optional("transaction").handle(self, m, payload, reply)


def account_of(instances):
    for iid in instances:
        if instances[iid].get(1):
            return iid
    return -1
