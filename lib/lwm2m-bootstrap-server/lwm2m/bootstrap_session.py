# A session of the Bootstrap Server with one client (LwM2M 1.1 6.1): its operations, one at a time.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import DELETE, GET, PUT
from .server_core import LINK, TLV, check_format, check_function, check_path
from .texts import words
from .table import bootstrap_account, check_short_id, plan, server_account
import lwm2m.bootstrap_operations as operations

# What on_event() is told.
STARTED = const(1)
FINISHED = const(2)
FAILED = const(3)

_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_INTERNAL = const(0xA0)
_UNAVAILABLE = const(0xA3)


class Session:
    """One client being bootstrapped. on_request(session) and callbacks call its operations.

    Each operation is queued and carried out when those before it are through: one confirmable
    request at a time. Its callback(session, code, text) gets the client's answer: code as CoAP
    has it (2.04 is 0x44), text the words of a refusal, such as those of 4.06 to Finish, or "", as the
    client has sent them (texts.printable() before they are printed); of discover() and read(), text
    is the payload, as bytes. Other operations, and finish() again,
    may be called in there. 5.03 is our own: the client did not answer, which ends the session;
    4.04 and 4.06 of the high-level operations may be our own too, and say so in words. With
    callback None anything but success ends the session. Wrong arguments are ValueError, and so
    is an operation in a session that has ended.

    The high-level operations first Discover what the client has, once a session, and keep count
    of what is written and deleted after that (other than by write() with bytes on /0 or /1: then
    they Discover anew). A client that refuses to tell has to be deleted first: delete("/").

    add_server() writes, under the ids that the server's accounts have, or the lowest free ones:
        /0/x/0 Server URI: uri               /0/x/1 Bootstrap-Server: false
        /0/x/2 Security Mode: 3, NoSec       /0/x/3, 4, 5 identity and keys: empty
        /0/x/10 Short Server ID: short_id
        /1/y/0 Short Server ID: short_id     /1/y/1 Lifetime: 86400 s
        /1/y/6 Notification Storing: true    /1/y/7 Binding: U
        /1/y/23 Mute Send: false, where Discover tells of LwM2M 1.1 or later
    remove_server() deletes the /0 and the /1 instance with that Short Server ID.
    add_bootstrap_server() writes, over the account the client has (the /0 instance that Discover
    lists without Short Server ID), or where it has none under the lowest free id:
        /0/x/0 Server URI: uri               /0/x/1 Bootstrap-Server: true
        /0/x/2 Security Mode: 3, NoSec       /0/x/3, 4, 5 identity and keys: empty
        /0/x/11 Client Hold Off Time: 0 s    /0/x/12 Account Timeout: only if it is not 0
    remove_bootstrap_server() writes /0/x/12 Account Timeout: 1 s, as the account cannot be
    deleted; it goes one second after Finish.
    With security, such as {"mode": "psk", "identity": …, "key": …}, /0/x/2 to 5 and 13 to 16 are
    what the table's field of that name makes of it; what is not text may be given as bytes.
    """

    # Attributes that come later would let their table grow, and leave a hole among those of other
    # sessions: MicroPython then looks for room from there on, past all of them, again and again.
    def __init__(self, server, endpoint, peer, mid):
        self.endpoint = endpoint
        self.peer = peer  # its address, as net has them, or its DTLS session
        self.version = None  # of LwM2M, as Discover tells it: "1.0" or "1.1"
        self.code = 0  # why the session has ended
        self.text = ""
        self.mid = mid  # of its Bootstrap-Request
        self.heard = False  # whether anything of the client has come that shows where it is
        self.last = 0  # s, when that was, or when it has begun
        self.due = -1  # s, when it has been idle for too long
        self.queue = []  # (generator, callback) of each operation, the first one under way
        self.exchange = None  # its request
        self.live = True
        self.finished = False  # its Finish has been answered
        # What the client has: {instance id: Short Server ID, 0 for the bootstrap account} of
        # object 0 and of 1. None where it is yet to be discovered; False where it is not known,
        # but all of it except the bootstrap account was deleted.
        self.ids = None
        self._server = server
        # Whether an operation or its callback is under way, or the request is to be answered first.
        self._busy = True
        self._request = None  # as operations make them; the one under way

    # --- High-level operations

    def add_server(
        self,
        short_id,
        uri,
        lifetime=86400,
        security=None,
        callback=None,
        binding="U",
        store_notifications=True,
        mute_send=False,
    ):
        """Add a server account, or replace the one with this short_id."""
        account = server_account(
            "", short_id, uri, lifetime, security, binding, store_notifications, mute_send
        )
        self._add(operations.add_server(self, *account), callback)

    def remove_server(self, short_id, callback=None):
        """Remove a server account."""
        check_short_id("", short_id)
        self._add(operations.remove_server(self, short_id), callback)

    def add_bootstrap_server(
        self, uri, hold_off=0, account_timeout=0, security=None, callback=None
    ):
        """Add the account of the bootstrap server, or replace it: a client has one."""
        values = bootstrap_account("", uri, hold_off, account_timeout, security)
        self._add(operations.add_bootstrap_server(self, values), callback)

    def remove_bootstrap_server(self, callback=None):
        """Let the account of the bootstrap server end after Finish."""
        self._add(operations.remove_bootstrap_server(self), callback)

    def apply(self, account, callback=None):
        """Give the client an account as the table has it, and Finish.

        Server accounts that do not stand there are removed; what is not a server account is let
        be. Takes the fewest datagrams that are safe with any client: one Discover, a Delete of
        an instance, or of /0 or /1 where several are to go, a Write each of /0 and /1, Finish.
        A new account takes the place of one that would go, so that mostly none is deleted.
        """
        plan("", account)
        self.provide(account, callback)

    def provide(self, account, callback=None):
        """As apply(), with an account that was looked at before."""
        self._add(operations.apply(self, account, self._server.room), callback)

    # --- Low-level operations

    def discover(self, path="/", callback=None):
        """Bootstrap-Discover / or /o."""
        check_path(path, 0, 1)
        self._add(operations.one((GET, path, LINK, b"", None)), callback)

    def read(self, path, callback=None):
        """Bootstrap-Read /1 or /2, or an instance of them, in TLV."""
        check_path(path, 1, 2)
        self._add(operations.one((GET, path, TLV, b"", None)), callback)

    def write(self, path, value, callback=None, format=TLV):
        """Bootstrap-Write /o, /o/i or /o/i/r.

        value: bytes in that Content-Format; or of an instance of /0 or /1 {resource id: value}.
        """
        numbers = check_path(path, 1, 3)
        if isinstance(value, dict):
            if len(numbers) != 2 or numbers[0] > 1:
                raise ValueError("give %s as bytes: a dict is for /0/x and /1/x" % path)
            request = operations.put(numbers[0], numbers[1], value)
        else:
            check_format(format)
            if not isinstance(value, (bytes, bytearray)):
                raise ValueError("give %s as bytes" % path)
            request = PUT, path, format, value, None
        self._add(operations.one(request), callback)

    def delete(self, path="/", callback=None):
        """Bootstrap-Delete /, /o or /o/i."""
        check_path(path, 0, 2)
        self._add(operations.one((DELETE, path, None, b"", None)), callback)

    def finish(self, callback=None):
        """Bootstrap-Finish: the client checks what it has got. 2.04 ends the session."""
        self._add(operations.one(operations.FINISH), callback)

    # --- How they are carried out

    def _add(self, operation, callback):
        check_function("callback", callback)
        if not self.live:
            raise ValueError("the session with %s has ended" % self.endpoint)
        self.queue.append((operation, callback))
        if not self._busy:
            self._advance(None)

    def start(self):
        """The request has been answered: operations may begin."""
        self._advance(None)

    def answered(self, x, code, m, payload):
        """Engine's word on the request under way."""
        self.exchange = None
        if m:
            self._server.heard(self)
        self._advance(operations.count(self, self._request, code, payload))

    def _advance(self, answer):
        # Let the operation under way have its answer, and go on until a request is on its way.
        server = self._server
        self._busy = True
        self.due = -1
        while self.queue and self.live:
            operation, callback = self.queue[0]
            lost = answer is not None and answer[0] < 0x40
            try:
                if lost:
                    code, text = _UNAVAILABLE, "no answer"
                else:
                    self._request = operation.send(answer)
                    self.exchange = server.request(self, self._request)
                    return
            except StopIteration as e:
                code, text = e.value
            except Exception as e:
                server.report(e)
                code, text = _INTERNAL, "%s" % e
            answer = None
            self.queue.pop(0)
            if code >= _BAD_REQUEST and not isinstance(text, str):
                text = words(text)
            elif code < _BAD_REQUEST and code != _CONTENT:
                text = ""
            server.call(callback, self, code, text)
            if self.finished:
                server.end(self, FINISHED, code, text)
            elif lost or (code >= _BAD_REQUEST and callback is None):
                server.end(self, FAILED, code, text)
        self._busy = False
        if self.live:
            server.idle(self)
