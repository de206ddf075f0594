# The Bootstrap Server (LwM2M 1.1 6.1). Module table has its clients' accounts, bootstrap_session the
# operations on a client.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import ACCEPT, CONTENT_FORMAT, GET, POST, URI_PATH, Error, path_options
from .bootstrap_session import FAILED, FINISHED, STARTED, Session
from .clients import credentials_of
from .packs import pack
from .server_core import Role, check_function, check_number
from .table import check_accounts, load_accounts  # noqa: F401 - load_accounts
from .texts import queries

_EXCHANGE_LIFETIME = const(247)  # s, RFC 7252 4.8.2: how long a client waits for an operation

_BYTES = const(1000)  # of heap that a session takes while its client has yet to answer

_CHANGED = const(0x44)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_NOT_FOUND = const(0x84)
_NOT_ALLOWED = const(0x85)
_TOO_LARGE = const(0x8D)
_NOT_IMPLEMENTED = const(0xA1)
_UNAVAILABLE = const(0xA3)


class BootstrapServer(Role):
    """A Bootstrap Server, driven by step(); for clients of LwM2M 1.0, 1.1 and 1.2.

    Beside the settings that server_core.Role has:

    on_request(session) -> True where it has called the session's operations, or will do so
        before 247 s have passed; False refuses the client, with 4.00; None leaves it to accounts
        unless operations were called.
    accounts: the table, see module table and load_accounts(); who does not stand in it is refused.
        A client of LwM2M 1.2 may get its account in one answer, a Bootstrap-Pack, where there is no
        on_request: the session that on_event() is told of has no operations then, and whether the
        client likes what it has got is not known.
    on_event(event, session): STARTED, FINISHED or FAILED, which session.code and session.text
        explain. All three functions may be None.
    credentials, identities: without credentials those in the table are taken,
        the fields "security" of its entries: one with a pre-shared key makes the port one of
        coaps, where who has none cannot come; one with a certificate or a raw public key is a
        ValueError without certificate or raw_public_key. Without identities they are the table's
        too, and any other identity may be the endpoint of its own name, if the table gives that to
        nobody. Who is not the endpoint it says is refused with 4.00.
    max_sessions: at once; others get 5.03.

    sessions is {endpoint: Session}: one a client, as a client that asks again has restarted.
    Nothing is kept of a client that is refused.
    """

    session_idle = 600

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
        credentials=None,
        certificate=None,
        raw_public_key=None,
        identities=None,
        **settings,
    ):
        check_number("max_sessions", max_sessions, 1, 65535)
        check_function("on_request", on_request)
        check_function("on_event", on_event)
        others = identities is None
        if accounts is not None:
            check_accounts(accounts)
            keys, names = credentials_of(accounts)
            if credentials is None:
                credentials = keys
            if others and names:
                identities = names
                if certificate is None and _has(accounts, "certificate"):
                    raise ValueError("the table has clients with certificates: give certificate")
                if raw_public_key is None and _has(accounts, "rpk"):
                    raise ValueError(
                        "the table has clients with raw public keys: give raw_public_key"
                    )
        self.on_request = on_request
        self.on_event = on_event
        self.accounts = accounts
        super().__init__(
            port,
            host,
            net,
            max_sessions,
            _BYTES,
            max_sessions,
            others,
            credentials,
            certificate,
            raw_public_key,
            identities,
            size=size,
            **settings,
        )
        self.room = size - 16  # for the payload of a Write, in one datagram
        self.sessions = self.entries

    def close(self):
        """Close the socket; sessions end without a word."""
        for session in self.sessions.values():
            session.live = False
        super().close()

    def _lost(self, session):
        # The client has to begin again.
        self.end(session, FAILED, _UNAVAILABLE, "DTLS: %s" % session.peer.text)

    # --- Bootstrap-Request (LwM2M 1.1 6.1.7.1)

    def _begin(self, peer, m, now):
        raise Error(_NOT_FOUND if m.strings(URI_PATH) != ["bs"] else _TOO_LARGE)

    def _pack(self, peer, m, reply):
        # Bootstrap-Pack-Request (LwM2M 1.2 6.1.7.7). Nothing is kept of it.
        if not self.accounts:
            raise Error(_NOT_IMPLEMENTED, "no Bootstrap-Pack here")
        if m.code != GET or self.on_request:
            raise Error(_NOT_ALLOWED)
        found = queries(m)
        endpoint = self.endpoint(found, peer, _BAD_REQUEST)
        account = self.accounts.get(endpoint) or self.accounts.get("*")
        if not account:
            raise Error(_BAD_REQUEST, "unknown endpoint")
        pack(account, m.uint(ACCEPT), found.get("acc", ""), reply)
        old = self.sessions.get(endpoint)
        if old and old.peer == peer:
            self.end(old, FAILED, _UNAVAILABLE, "the client has started again")
        session = Session(self, endpoint, peer, m.mid)
        session.live = False
        session.version = "1.2"
        session.code = _CONTENT
        self._calls.append((self.on_event, STARTED, session))
        self._calls.append((self.on_event, FINISHED, session))
        return _CONTENT

    def _handle(self, peer, m, payload, reply, now):
        if m.strings(URI_PATH) == ["bspack"]:
            return self._pack(peer, m, reply)
        if m.strings(URI_PATH) != ["bs"]:
            raise Error(_NOT_FOUND)
        if m.code != POST:
            raise Error(_NOT_ALLOWED)
        found = queries(m)
        endpoint = self.endpoint(found, peer, _BAD_REQUEST)
        # What format the client would like is no matter (LwM2M 1.1 6.1.7.1): all of them take TLV.
        if not found.get("pct", "0").isdigit():
            raise Error(_BAD_REQUEST, "pct must be a number")
        old = self.sessions.get(endpoint)
        if old and old.peer == peer and old.mid == m.mid:
            return _CHANGED  # the same request: others have pushed it out of the engine's memory
        session = Session(self, endpoint, peer, m.mid)
        try:
            if not self._accept(session):
                raise Error(_BAD_REQUEST, "unknown endpoint")
            if not old:
                self._make_room(peer)
        except Exception:
            session.live = False
            raise
        if old:
            # None of its operations may get into the new session: it would be taken for one.
            self.end(old, FAILED, _UNAVAILABLE, "the client has started again")
            if self.secure and old.peer is not peer:
                self._drop(old.peer)
        self._enter(session, peer)
        self._calls.append((self._start, session))
        return _CHANGED

    def _accept(self, session):
        answer = None
        if self.on_request:
            answer = self.on_request(session)
        if answer is None and self.accounts and not session.queue:
            account = self.accounts.get(session.endpoint) or self.accounts.get("*")
            if account:
                session.provide(account)
        return session.queue if answer is None else answer

    def _start(self, session):
        self.call(self.on_event, STARTED, session)
        session.start()

    def _expire(self, session, text):
        self.end(session, FAILED, _UNAVAILABLE, text or "no operation in time")

    # --- What sessions call

    def request(self, session, request):
        method, path, format, payload, _ = request
        options = path_options(path)
        if format is not None:
            options.append((ACCEPT if method == GET else CONTENT_FORMAT, format))
        return self.engine.request(
            self.now(), session.peer, method, options, payload, session.answered
        )

    def idle(self, session):
        """A session waits for the application."""
        self.expire_after(session, _EXCHANGE_LIFETIME)

    def end(self, session, event, code, text):
        session.live = False
        session.code = code
        session.text = text
        if session.exchange:
            self.engine.abandon(session.exchange, self.now())
        if self.sessions.get(session.endpoint) is session:
            self.sessions.pop(session.endpoint)
            self._depart(session)
        if event == FINISHED and self.secure and session.peer not in self._at:
            # A client that hears that its session is over need not keep it in case that the Finish,
            # whose answer is here, comes again.
            self._calls.append((self._drop, session.peer))
        self.call(self.on_event, event, session)


def _has(accounts, mode):
    for account in accounts.values():
        security = account.get("security")
        if security and security["mode"] == mode:
            return True
    return False
