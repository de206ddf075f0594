# The Bootstrap Server (LwM2M 1.1 6.1): sessions with clients. Module table has their accounts.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import (
    ACCEPT,
    CONTENT_FORMAT,
    DELETE,
    GET,
    POST,
    PUT,
    URI_PATH,
    Error,
    code_text,
    path_options,
)
import lwm2m.tlv as tlv
from .management import LINK, TLV
from .objects import SECURITY, SERVER
from .server_core import Port, check_path, encode, links, queries
from .clients import credentials_of
from .table import (
    bootstrap_account,
    check_accounts,
    check_short_id,
    load_accounts,  # noqa: F401 - for applications
    plan,
    server_account,
)

# What on_event() is told.
STARTED = const(1)
FINISHED = const(2)
FAILED = const(3)

_EXCHANGE_LIFETIME = const(247)  # s, RFC 7252 4.8.2: how long a client waits for an operation

_IDLE = const(600)  # s, after which a silent DTLS session is dropped

_INSTANCE = const(0)  # of tlv's entries

_DELETED = const(0x42)
_CHANGED = const(0x44)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_NOT_FOUND = const(0x84)
_NOT_ALLOWED = const(0x85)
_NOT_ACCEPTABLE = const(0x86)
_INTERNAL = const(0xA0)
_UNAVAILABLE = const(0xA3)

_DISCOVER = (GET, "/", LINK, b"", None)
_FINISH = (POST, "/bs", None, b"", None)


class Session:
    """One client being bootstrapped. on_request(session) and callbacks call its operations.

    Each operation is queued and carried out when those before it are through: one confirmable
    request at a time. Its callback(session, code, text) gets the client's answer: code as CoAP
    has it (2.04 is 0x44), text the words of a refusal, such as those of 4.06 to Finish, or ""; of
    discover() and read(), text is the payload, as bytes. Other operations, and finish() again,
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

    def __init__(self, server, endpoint, peer, mid):
        self.endpoint = endpoint
        self.peer = peer  # its address, as net has them, or its DTLS session
        self.version = None  # of LwM2M, as Discover tells it: "1.0" or "1.1"
        self.code = 0  # why the session has ended
        self.text = ""
        self.mid = mid  # of its Bootstrap-Request
        self.due = -1  # s, when it has been idle for too long
        self.queue = []  # (generator, callback) of each operation, the first one under way
        self.exchange = None  # its request
        self.live = True
        self.started = False  # its request has been answered
        self.finished = False  # and so has its Finish
        self._server = server
        self._busy = False  # an operation, or its callback, is under way
        # What the client has: {instance id: Short Server ID, 0 for the bootstrap account} of
        # object 0 and of 1. None where it is yet to be discovered.
        self._ids = None
        self._cleared = False  # all of it but the bootstrap account was deleted
        self._request = None  # as operations make them; the one under way

    # --- High-level operations

    def add_server(self, short_id, uri, lifetime=86400, security=None, callback=None, binding="U"):
        """Add a server account, or replace the one with this short_id."""
        account = server_account("", short_id, uri, lifetime, security, binding)
        self._add(self._add_server(*account), callback)

    def remove_server(self, short_id, callback=None):
        """Remove a server account."""
        check_short_id("", short_id)
        self._add(self._remove_server(short_id), callback)

    def add_bootstrap_server(
        self, uri, hold_off=0, account_timeout=0, security=None, callback=None
    ):
        """Add the account of the bootstrap server, or replace it: a client has one."""
        values = bootstrap_account("", uri, hold_off, account_timeout, security)
        self._add(self._add_bootstrap_server(values), callback)

    def remove_bootstrap_server(self, callback=None):
        """Let the account of the bootstrap server end after Finish."""
        self._add(self._remove_bootstrap_server(), callback)

    def apply(self, account, callback=None):
        """Give the client an account as the table has it, and Finish.

        Server accounts that do not stand there are removed; what is not a server account is let
        be. Takes the fewest datagrams that are safe with any client: one Discover, a Delete of
        an instance, or of /0 or /1 where several are to go, a Write each of /0 and /1, Finish.
        A new account takes the place of one that would go, so that mostly none is deleted.
        """
        plan("", account)
        self._add(self._apply(account), callback)

    # --- Low-level operations

    def discover(self, path="/", callback=None):
        """Bootstrap-Discover / or /o."""
        check_path(path, 0, 1)
        self._add(_one((GET, path, LINK, b"", None)), callback)

    def read(self, path, callback=None):
        """Bootstrap-Read /1 or /2, or an instance of them, in TLV."""
        check_path(path, 1, 2)
        self._add(_one((GET, path, TLV, b"", None)), callback)

    def write(self, path, value, callback=None, format=TLV):
        """Bootstrap-Write /o, /o/i or /o/i/r.

        value: bytes in that Content-Format; or of an instance of /0 or /1 {resource id: value}.
        """
        numbers = check_path(path, 1, 3)
        if isinstance(value, dict):
            if len(numbers) != 2 or numbers[0] > 1:
                raise ValueError("give %s as bytes: a dict is for /0/x and /1/x" % path)
            request = _put(numbers[0], numbers[1], value)
        else:
            request = PUT, path, format, value, None
        self._add(_one(request), callback)

    def delete(self, path="/", callback=None):
        """Bootstrap-Delete /, /o or /o/i."""
        check_path(path, 0, 2)
        self._add(_one((DELETE, path, None, b"", None)), callback)

    def finish(self, callback=None):
        """Bootstrap-Finish: the client checks what it has got. 2.04 ends the session."""
        self._add(_one(_FINISH), callback)

    # --- How they are carried out
    #
    # An operation is a generator of requests that is sent the answers to them, (code, payload),
    # and returns the last of them, or words of our own in place of the payload. A request is
    # (method, path, Accept or Content-Format, payload, what it writes to /0 or /1 as {instance
    # id: Short Server ID}, None if that is not known).

    def _add(self, operation, callback):
        if not self.live:
            raise ValueError("the session with %s has ended" % self.endpoint)
        self.queue.append((operation, callback))
        if self.started and not self._busy:
            self._advance(None)

    def start(self):
        """The request has been answered: operations may begin."""
        self.started = True
        self._advance(None)

    def answered(self, x, code, m, payload):
        """Engine's word on the request under way."""
        self.exchange = None
        self._advance(self._count(code, payload))

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
                text = _words(text)
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

    def _count(self, code, payload):
        # Keep count of what the request under way has changed. A success by another name, such
        # as a Write that is answered 2.01, is one.
        method, path, _, _, written = self._request
        if code >> 5 != 2:
            return code, payload
        if method == GET:
            return _CONTENT, payload
        if method == POST:
            self.finished = True
            return _CHANGED, payload
        numbers = check_path(path, 0, 3)
        if method == PUT:
            if numbers[0] < 2:
                if self._ids and written:
                    self._ids[numbers[0]].update(written)
                elif len(numbers) < 3 or numbers[2] in ((1, 10), (0,))[numbers[0]]:
                    self._ids = None
                    self._cleared = False
            return _CHANGED, payload
        if not numbers:
            self._cleared = True
        for oid in (0, 1) if self._ids else ():
            ids = self._ids[oid]
            if not numbers or numbers == [oid]:
                for iid in list(ids):
                    if ids[iid]:  # the bootstrap account stays
                        ids.pop(iid)
            elif numbers[0] == oid:
                ids.pop(numbers[1], None)
        return _DELETED, payload

    def _know(self):
        # Let _ids be what the client has. Returns None, or what is to be said.
        if self._ids:
            return None
        code, payload = yield _DISCOVER
        if code == _CONTENT:
            try:
                self.version, self._ids = _discovered(payload)
            except ValueError as e:
                return _NOT_ACCEPTABLE, "the answer to Discover is malformed: %s" % e
            return None
        if self._cleared:
            self._ids = {}, {}
            return None
        text = 'the client does not tell what it has (Discover: %s): delete("/") first'
        return code, text % (_words(payload) or code_text(code))

    def _add_server(self, short_id, security, server):
        result = yield from self._know()
        if not result:
            result = yield _put(0, _place(self._ids[0], short_id), security)
            if result[0] == _CHANGED:
                result = yield _put(1, _place(self._ids[1], short_id), server)
        return result

    def _remove_server(self, short_id):
        result = yield from self._know()
        if result:
            return result
        result = _NOT_FOUND, "the client has no server with Short Server ID %d" % short_id
        for oid in (0, 1):
            iid = _find(self._ids[oid], short_id)
            if iid >= 0:
                result = yield DELETE, "/%d/%d" % (oid, iid), None, b"", None
                if result[0] != _DELETED:
                    break
        return result

    def _add_bootstrap_server(self, values):
        result = yield from self._know()
        if not result:
            result = yield _put(0, _place(self._ids[0], 0), values)
        return result

    def _remove_bootstrap_server(self):
        result = yield from self._know()
        if result:
            return result
        iid = _find(self._ids[0], 0)
        if iid < 0:
            return _NOT_FOUND, "the client has no bootstrap server account"
        return (yield PUT, "/0/%d/12" % iid, TLV, encode(SECURITY, {12: 1}), None)

    def _apply(self, account):
        result = yield from self._know()
        if result:
            result = yield DELETE, "/", None, b"", None
            if result[0] != _DELETED:
                return result
            self._ids = {}, {}
        for oid in (0, 1):
            wanted, stale = _choose(oid, self._ids[oid], account)
            if stale:
                path = "/%d/%d" % (oid, stale[0]) if len(stale) == 1 else "/%d" % oid
                result = yield DELETE, path, None, b"", None
                if result[0] != _DELETED:
                    return result
            requests = _put_all(oid, wanted, self._server.room)
            while requests:
                request = requests.pop(0)
                result = yield request
                if result[0] in (_BAD_REQUEST, _NOT_ALLOWED) and request[1].count("/") == 1:
                    # Not several instances at once, then.
                    requests = _put_all(oid, wanted, 0)
                elif result[0] != _CHANGED:
                    return result
        return (yield _FINISH)


class BootstrapServer:
    """A Bootstrap Server, driven by step(); for clients of LwM2M 1.0 and 1.1.

    port, host: where it listens; OSError where it cannot. "::" is IPv6.
    on_request(session) -> True where it has called the session's operations, or will do so
        before 247 s have passed; False refuses the client, with 4.00; None leaves it to accounts
        unless operations were called.
    accounts: the table, see module table and load_accounts(); who does not stand in it is refused.
    on_event(event, session): STARTED, FINISHED or FAILED, which session.code and session.text
        explain. All three functions may be None.
    net: shared by roles that are to run in one loop; a Net by default.
    credentials, certificate, identities, on_refused: as Server has them, but that who is not the
        endpoint it says is refused with 4.00. Without credentials those in the table are taken,
        the fields "security" of its entries: one with a pre-shared key makes the port one of
        coaps, where who has none cannot come; one with a certificate is a ValueError without
        certificate. Without identities they are the table's too, and any other identity may be
        the endpoint of its own name, if the table gives that to nobody.
    max_sessions: at once; others get 5.03. size: bytes of the largest datagram sent. body: of the
        largest value in blocks, either way.

    sessions is {endpoint: Session}: one a client, as a client that asks again has restarted.
    Nothing is kept of a client that is refused. engine.settings are CoAP's times,
    engine.on_exception gets what the application's functions raise; it prints it by default.
    """

    def __init__(
        self,
        port=5683,
        host="0.0.0.0",
        on_request=None,
        on_event=None,
        accounts=None,
        net=None,
        max_sessions=32,
        size=1152,
        body=4096,
        credentials=None,
        certificate=None,
        identities=None,
        on_refused=None,
    ):
        others = identities is None
        if accounts is not None:
            check_accounts(accounts)
            keys, names = credentials_of(accounts)
            if credentials is None:
                credentials = keys
            if others and names:
                identities = names
                if certificate is None and _certified(accounts):
                    raise ValueError("the table has clients with certificates: give certificate")
        self.on_request = on_request
        self.on_event = on_event
        self.accounts = accounts
        self.status = 0  # net's own
        self.sessions = {}
        self.room = size - 16  # for the payload of a Write, in one datagram
        self._max_sessions = max_sessions
        self._asked = []  # sessions whose request is being answered
        self._port = Port(
            self,
            self._handle,
            net,
            host,
            port,
            credentials,
            certificate,
            identities,
            others,
            on_refused,
            sessions=max_sessions,
            idle=_IDLE,
            size=size,
            body=body,
            seen=max_sessions,
        )
        self.engine = self._port.engine
        self.net = self._port.net
        self.call = self._port.call
        self.report = self._port.report

    # --- The loop

    def step(self, seconds=0):
        """Run for that many seconds; one pass where 0, for ever where negative. Returns 0."""
        return self.net.step(self, seconds)

    def stop(self):
        """Let the step() under way return; for a callback to call."""
        self.net.stop()

    def close(self):
        """Close the socket; sessions end without a word."""
        self._port.close(self)
        for session in self.sessions.values():
            session.live = False
        self.sessions = {}

    def next_ms(self, now=None):
        """Milliseconds until step() has something to do if nothing comes from the network."""
        return self._port.next_ms(now)

    def poll(self, now):
        """Do what is due."""
        port = self._port
        if port.poll(now):
            for session in list(self.sessions.values()):
                if 0 <= session.due <= port.seconds:
                    self.end(session, FAILED, _UNAVAILABLE, "no operation in time")
                elif session.due >= 0:
                    port.alarm(session.due)
        return 0

    def receive(self, peer, data, now):
        """Take a datagram."""
        self._port.tick(now)
        self.engine.receive(peer, data, now)
        while self._asked:
            session = self._asked.pop(0)
            self.call(self.on_event, STARTED, session)
            session.start()

    def disconnected(self, dtls):
        """A DTLS session has ended: the client has to begin again."""
        for session in list(self.sessions.values()):
            if session.peer is dtls:
                self.end(session, FAILED, _UNAVAILABLE, "DTLS: %s" % dtls.text)
        self.engine.drop(dtls)

    # --- Bootstrap-Request (LwM2M 1.1 6.1.7.1)

    def _handle(self, peer, m, payload, reply, now):
        if m.strings(URI_PATH) != ["bs"]:
            raise Error(_NOT_FOUND)
        if m.code != POST:
            raise Error(_NOT_ALLOWED)
        found = queries(m)
        endpoint = self._port.endpoint(found, peer, _BAD_REQUEST)
        # What the client likes best (LwM2M 1.1 6.1.7.1). To refuse that would cost each client an
        # exchange: it is written TLV, which those that have SenML read too.
        if not found.get("pct", "0").isdigit():
            raise Error(_BAD_REQUEST, "pct must be a number")
        old = self.sessions.get(endpoint)
        if old is None:
            if len(self.sessions) >= self._max_sessions:
                raise Error(_UNAVAILABLE, "too many sessions")
        elif old.peer == peer and old.mid == m.mid:
            return _CHANGED  # the same request: others have pushed it out of the engine's memory
        session = Session(self, endpoint, peer, m.mid)
        if not self._accept(session):
            raise Error(_BAD_REQUEST, "unknown endpoint")
        if old:
            # None of its operations may get into the new session: it would be taken for one.
            self.end(old, FAILED, _UNAVAILABLE, "the client has started again")
            if self._port.secure and old.peer is not peer:
                self._port.drop(old.peer)
        self.sessions[endpoint] = session
        self._asked.append(session)
        return _CHANGED

    def _accept(self, session):
        answer = None
        if self.on_request:
            answer = self.on_request(session)
        if answer is None and self.accounts and not session.queue:
            account = self.accounts.get(session.endpoint) or self.accounts.get("*")
            if account:
                session.apply(account)
        return session.queue if answer is None else answer

    # --- What sessions call

    def request(self, session, request):
        method, path, format, payload, _ = request
        options = path_options(path)
        if format is not None:
            options.append((ACCEPT if method == GET else CONTENT_FORMAT, format))
        return self.engine.request(
            self.net.now(), session.peer, method, options, payload, session.answered
        )

    def idle(self, session):
        """A session waits for the application."""
        session.due = self._port.after(_EXCHANGE_LIFETIME)
        self._port.alarm(session.due)

    def end(self, session, event, code, text):
        session.live = False
        session.code = code
        session.text = text
        if session.exchange:
            self.engine.abandon(session.exchange, self.net.now())
        if self.sessions.get(session.endpoint) is session:
            self.sessions.pop(session.endpoint)
        self.call(self.on_event, event, session)


def _certified(accounts):
    for account in accounts.values():
        security = account.get("security")
        if security and security["mode"] == "certificate":
            return True
    return False


# --- What a client has


def _discovered(payload):
    # The answer to Discover /: (version of LwM2M, Session._ids). Raises ValueError.
    version = None
    ids = {}, {}
    for path, attributes in links(payload):
        version = version or attributes.get("lwm2m")
        numbers = (path or "").split("/")[1:]
        if len(numbers) == 2 and numbers[0] in ("0", "1"):
            oid = int(numbers[0])
            short_id = attributes.get("ssid", "0")
            for number in (numbers[1], short_id):
                if not number.isdigit() or len(number) > 5 or int(number) > 65535:
                    raise ValueError("</%s>;ssid=%s" % ("/".join(numbers), short_id))
            short_id = int(short_id)
            if short_id in (0, 65535):  # none: of object 0 the bootstrap account
                short_id = 65535 if oid else 0
            ids[oid][int(numbers[1])] = short_id
    return version, ids


def _id_of(oid, values):
    # Short Server ID of an instance's values; 0 for the bootstrap account, 65535 for none.
    if oid:
        return values.get(0, 65535)
    return 0 if values.get(1) else values.get(10, 65535)


def _find(ids, short_id):
    # The lowest instance with that Short Server ID, or -1.
    for iid in sorted(ids):
        if ids[iid] == short_id:
            return iid
    return -1


def _free(ids, taken=()):
    iid = 0
    while iid in ids or iid in taken:
        iid += 1
    return iid


def _place(ids, short_id):
    # Where an instance with that Short Server ID goes: over the old one, or to a free id.
    iid = _find(ids, short_id)
    return _free(ids) if iid < 0 else iid


def _choose(oid, ids, account):
    # Where the accounts of a table's entry go: {instance id: (Short Server ID, TLV)}, and the
    # instances that are left and belong to none of them.
    bootstrap, servers = plan("", account)
    wanted = {}
    if bootstrap and not oid:
        wanted[_place(ids, 0)] = 0, bytes(encode(SECURITY, bootstrap))
    new = []
    for short_id, security, server in servers:
        iid = _find(ids, short_id)
        found = short_id, bytes(encode(SERVER, server) if oid else encode(SECURITY, security))
        if iid < 0:
            new.append(found)
        else:
            wanted[iid] = found
    stale = [iid for iid in sorted(ids) if ids[iid] and iid not in wanted]
    for found in new:
        wanted[stale.pop(0) if stale else _free(ids, wanted)] = found
    return wanted, stale


# --- Requests


def _one(request):
    # The operation that is one request.
    return (yield request)


def _put(oid, iid, values):
    written = {iid: _id_of(oid, values)}
    return PUT, "/%d/%d" % (oid, iid), TLV, encode(SERVER if oid else SECURITY, values), written


def _put_all(oid, wanted, room):
    # Write instances: at once where that takes up to so many bytes, otherwise one by one.
    if len(wanted) > 1:
        payload = bytearray()
        written = {}
        for iid in wanted:
            written[iid] = wanted[iid][0]
            at = tlv.begin(payload, _INSTANCE, iid)
            payload.extend(wanted[iid][1])
            tlv.end(payload, at)
        if len(payload) <= room:
            return [(PUT, "/%d" % oid, TLV, payload, written)]
    return [
        (PUT, "/%d/%d" % (oid, iid), TLV, wanted[iid][1], {iid: wanted[iid][0]})
        for iid in sorted(wanted)
    ]


def _words(payload):
    # A diagnostic payload as str.
    try:
        return str(payload, "utf-8")
    except ValueError:
        return ""
