# The client as a state machine: registrations (LwM2M 1.1 6.2) and what servers ask for.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# No socket and no clock: receive() takes a datagram and a time, poll() does what is due,
# next_ms() says when that is. Connections are opened, closed and written to through `net`.

from micropython import const
from ucoap import Error, path_options
from ucoap.engine import Engine, diff
import lwm2m.management as management
from . import forget, optional
from lwm2m.account import Account, failure, uri_options
from lwm2m.objects import base_objects, object_links, server_id

_MASK = const(0x3FFFFFFF)
_MAX_SLEEP_MS = const(86400000)  # far below the six days that a difference of times can tell

_MAX_SECONDS = const(0x0FFFFFFF)  # eight years, which leaves room in a small int

_MAX_TRANSMIT_WAIT = const(93)  # s, RFC 7252 4.8.2

_DAY = const(86400)  # s
_VAIN = const(300)  # s, doubled with each bootstrap for a server that still fails, until the next

_MAX_REST = const(600)  # s, until it begins again when all have failed: at first 1 s, 2, 4, …
_REPETITIONS = const(1)  # MAX_RETRANSMIT of what is tried again without an answer

_AGAIN = const(8)  # s, until it registers anew over a new connection; spread, as others do so too

_FETCH = const(5)  # the least method of a composite operation
# Of CoAP, as ucoap has them; LwM2M 1.1 7.4.
_POST = const(2)
_DELETE = const(4)
_LOCATION_PATH = const(8)
_URI_PATH = const(11)
_CONTENT_FORMAT = const(12)
_URI_QUERY = const(15)
_LINK = const(40)
_SENML_CBOR = const(112)
_TLV = const(11542)

_NO_ERROR = const(0)
_UNAUTHORIZED = const(0x81)
_NOT_ALLOWED = const(0x85)
_NOT_ACCEPTABLE = const(0x86)
_PRECONDITION = const(0x8C)
_INTERNAL = const(0xA0)
_UNAVAILABLE = const(0xA3)

_BOOTSTRAP_ID = const(65535)  # stands for the bootstrap server in events

# States of the client.
_INITIAL = const(0)
_BOOTSTRAP = const(1)
_MANAGEMENT = const(2)
_CLOSED = const(3)

# States of an account, as module account has them.
_DISCONNECTED = const(0)
_CONNECTING = const(1)
_CONNECTED = const(2)
_REGISTERING = const(3)
_REGISTERED = const(4)
_UPDATING = const(5)
_DEREGISTERING = const(6)
_FAILED = const(7)

# The optional parts that an image may have, by their modules. Bootstrap and context are commanded,
# and are attributes.
_PARTS = const(("observe", "composite", "access", "v12"))

# Events; the same numbers in the package's __init__.
_REG_UNREGISTERED = const(1)
_REG_REGISTERING = const(2)
_REG_REGISTERED = const(3)
_REG_UPDATING = const(4)
_REG_FAILED = const(5)
_REG_UPDATE_FAILED = const(6)
_READ = const(12)
_SERVER_SETTING_CHANGED = const(13)


class Event:
    """What has happened; an attribute that does not belong to the type is None. str() has it in words
    where there is package lwm2m-words, else the type.

    type: EVENT_…. short_id: the Short Server ID; 65535 is the bootstrap server, 0 none.
    lifetime: s, 0 for infinite (REG_…). code: a CoAP code and internal: True where this client
    made it up (5.03 no answer, 4.06 a malformed one, 5.00 out of memory), False where the peer
    sent it (REG_FAILED, REG_UPDATE_FAILED, BS_FAILED). path: a tuple of ints. value: of a
    setting (SERVER_SETTING_CHANGED); whether a notification is kept to be sent later
    (OBSERVATION_NOTIFICATION_FAILED). text: the reason in words, where there is one; where
    internal is False they are the peer's, to be shown as %r only. counter: of notifications,
    min_period and max_period: s (OBSERVATION_…; EVALUATION_PERIOD, between looks at a value).
    """

    # Core.event() makes them.

    def __str__(self):
        words = optional("words")
        return words.words(self) if words else str(self.type)


class Core:
    """The client without its clock and sockets.

    net: open(core, account, now) -> True when connected, False when connected() will be called;
        sets account.connection; raises OSError. close(account). send(account, datagram). modes:
        contains the Security Modes (/0/x/2) that it can do. now(), next_ms(now), stop(): as Net has
        them.
    on_event(event) or None. rng() -> 30 random bits. device: {resource id: value} of /3/0.
    """

    def __init__(self, endpoint, net, on_event, rng, device, version):
        self.endpoint = endpoint
        self.version = version
        # The Content-Format that servers are told to use.
        self.format = _TLV
        if version != "1.0" and optional("senml_cbor"):
            self.format = _SENML_CBOR
            forget("senml_cbor")  # it was only asked for
        self.net = net
        self.on_event = on_event
        self._rng = rng
        self.engine = Engine(net.send, self._handle, rng, begin=self._begin_body)
        self.objects = base_objects(device, version)  # {object id: Object}
        self.objects[1].on_execute = self._execute
        self.accounts = []
        self.coap = {}  # {short id: CoAP settings other than the default}
        self.state = _INITIAL
        self._lost = False  # whether the clock cannot be told
        self.status = _NO_ERROR  # net's own: what poll() has returned and step() is to
        self.seconds = 0  # since the start
        self._ms = 0  # and the rest of it
        self.now = None  # ms, of the last call
        self.last = 0  # s, when a datagram came
        self.vain = {}  # {short id: bootstraps for a server that could not be registered with}
        self.weary = 0  # times that all have failed since a server was there
        self._rest = 0  # s, when it may begin again, having failed
        self.leaving = []  # accounts that are gone, but for the answer to their de-registration
        self._fresh = True  # whether to look for accounts
        self._stale = False  # whether a server may have to be told of a change
        self.context = None  # a Context, where accounts are kept over a reset
        # A client without lwm2m-bootstrap has factory accounts only.
        module = optional("bootstrap")
        self.bootstrap = module and module.Bootstrap(self)
        # may(account, object id, instance id, operation), as model's resolve() has it; a part's.
        self.may = None
        # As module account has them: what the image has, then what the application adds.
        self.parts = []
        for name in _PARTS:
            module = optional(name)
            if module:
                self.parts.append(module.part(self))
        changed = self.changed  # made once
        for oid in self.objects:
            self.objects[oid].on_change = changed

    # --- Time

    def tick(self, now):
        """Let the time in seconds keep up with now (ms, masked to 30 bits)."""
        ms = 0 if self.now is None else diff(now, self.now)
        self.now = now
        if ms < 0:  # it went backwards, or it is six days since the last call
            self._lost = True
            return
        self._ms += ms
        if self._ms >= 1000:
            self.seconds += self._ms // 1000
            self._ms %= 1000

    def after(self, seconds):
        """The time in seconds, that many from now, rounded up to a whole one; -1 for -1."""
        if seconds <= 0:
            return self.seconds if not seconds else -1
        return self.seconds + min(seconds, _MAX_SECONDS) + (self._ms > 0)

    def spread(self, seconds):
        """That many seconds, give or take a quarter, or a fleet would come back in step."""
        return seconds - seconds // 4 + (seconds * (self._rng() & 0x3FF) >> 11)

    def until(self, due, least):
        """The less of least and the ms until `due` (s); of either, -1 is never."""
        if due < 0:
            return least
        # Capped in seconds first, as ms of a long lifetime would not fit in a small int.
        ms = max(min(due - self.seconds, _MAX_SLEEP_MS // 1000) * 1000 - self._ms, 0)
        return ms if least < 0 or ms < least else least

    # --- What the owner calls

    def receive(self, account, data, now):
        """Take a datagram that came over an account's connection."""
        self.tick(now)
        self.last = self.seconds
        self.engine.receive(account, data, now)

    def poll(self, now):
        """Do what is due. Returns NO_ERROR, 5.03 when no server can be reached any more, or 5.00
        when the clock went backwards. After an error it starts afresh; after 5.03s in a row with one
        attempt each, and waits in between that grow to 10 minutes."""
        self.tick(now)
        if self._lost:
            self._lost = False
            self.restart()
            return _INTERNAL
        self.engine.poll(now)
        if self.bootstrap and self.bootstrap.poll(now):
            return self._give_up()
        if self._fresh and self._rest <= self.seconds:
            self._begin()
        if self.state != _MANAGEMENT:
            return _NO_ERROR
        for part in self.parts:  # which may change what servers are told of
            part.poll(now)
        if self._stale:
            self._find_stale()
        failed = 0
        fallback = None
        for account in self.accounts:
            try:
                self._poll(account, now)
            except MemoryError:
                self._refused(account, _INTERNAL, True, "out of memory")
            if account.state == _FAILED:
                failed += 1
                if account.code and self._may_bootstrap(account):
                    fallback = account
            if self.state != _MANAGEMENT:  # a bootstrap was triggered
                return _NO_ERROR
        if self.accounts and failed == len(self.accounts):
            if not (fallback and self.bootstrap.start()):
                return self._give_up()
        elif failed:
            self._try_failed()
        return _NO_ERROR

    def _try_failed(self):
        # Others are well: a server that has failed is tried again in a day, or with the bootstrap that
        # its failure leads to (/1/x/16).
        for account in self.accounts:
            if account.state == _FAILED and 0 <= account.due <= self.seconds:
                self._enter(account, _DISCONNECTED, 0)
                if self._may_bootstrap(account):
                    self.vain[account.short_id] = self.vain.get(account.short_id, 0) + 1
                    self.bootstrap.start(True)
                    return

    def _give_up(self):
        self._rest = self.after(self.spread(min(1 << self.weary, _MAX_REST)))
        self.weary = min(self.weary + 1, 10)
        self.restart()
        return _UNAVAILABLE

    def next_ms(self, now):
        """Milliseconds until poll() has something to do; at most a day."""
        self.tick(now)
        least = self.engine.next_ms(now)
        if self._fresh:
            least = self.until(self._rest, least)
        if self.bootstrap:
            least = self.bootstrap.next_ms(least)
        if self.state == _MANAGEMENT:
            if self._stale:
                return 0
            for account in self.accounts:
                if account.action and account.state != _REGISTERING:
                    return 0
                if account.state == _CONNECTED and account.due <= self.seconds:
                    return 0
                if (
                    account.state <= _CONNECTED
                    or account.state == _REGISTERED
                    or account.state == _FAILED
                ):
                    least = self.until(account.due, least)
            for part in self.parts:
                least = part.next_ms(now, least)
        return _MAX_SLEEP_MS if least < 0 else min(least, _MAX_SLEEP_MS)

    def connected(self, account, now):
        """Net's word that a connection it was opening is up."""
        if account.state == _CONNECTING:
            self._enter(account, _CONNECTED)

    def disconnected(self, account, code, text, now):
        """Net's word that a connection failed or was lost, and why."""
        if account.short_id == _BOOTSTRAP_ID:
            self.bootstrap.disconnected(account, code, text)
        elif account in self.leaving:
            self._left(account)
        elif account.state == _REGISTERED:
            self.disconnect(account, self.spread(_AGAIN))
        elif account.state != _FAILED:
            self._refused(account, code, True, text)

    def close(self, now):
        """De-register everywhere; `leaving` has what is yet to be answered, and with the last answer
        net is stopped. Nothing begins anew before begin()."""
        while self.accounts:
            self.remove(self.accounts.pop(), now)
        self.restart()
        self._fresh = False
        self.state = _CLOSED

    def event(
        self,
        type,
        short_id,
        account=None,
        code=None,
        internal=None,
        text=None,
        path=None,
        value=None,
        counter=None,
        periods=(None, None),
    ):
        """Tell the application; account: whose lifetime to tell with it.

        Raises nothing: what the application raises is reported, and without memory for it an
        event is lost. (Hence no **details, whose dict is made before anything can be caught.)
        """
        if self.on_event:
            try:
                event = Event()
                event.type = type
                event.short_id = short_id
                event.lifetime = self._setting(account, 1, 86400) if account else None
                event.code = code
                event.internal = internal
                event.text = text
                event.path = path
                event.value = value
                event.counter = counter
                event.min_period, event.max_period = periods
                self.on_event(event)
            except Exception as e:
                if self.engine.on_exception:
                    self.engine.on_exception(e)

    # --- Accounts

    def _begin(self):
        # Factory bootstrap first (LwM2M 1.1 6.1.2): servers, if there are any.
        self._fresh = False
        try:
            for iid in sorted(self.objects[1].instances):
                self.add_account(iid)
        except MemoryError:
            self.restart()
            raise
        if self.accounts:
            self.state = _MANAGEMENT
        elif self.bootstrap:
            self.bootstrap.start()

    def begin(self):
        """Drop all servers, without a word to them; poll() makes the accounts anew, and registers or
        bootstraps."""
        while self.accounts:
            self.disconnect(self.accounts.pop())
        self.state = _INITIAL
        self._fresh = True

    def restart(self):
        """Undo a bootstrap session too."""
        if self.bootstrap:
            self.bootstrap.stop()
        self.begin()

    def add_account(self, server_iid):
        """Make the account of a /1 instance, where there is a /0 instance with its short id."""
        short_id = server_id(self.objects[1], server_iid)
        security = self.objects[0]
        for iid in security.instances:
            if server_id(security, iid) == short_id:
                settings = self.coap.get(short_id)
                account = Account(security.instances[iid], short_id, server_iid, settings)
                account.version = self.version
                self._enter(account, _DISCONNECTED, self._setting(account, 14, 0))
                self.accounts.append(account)
                return

    def remove(self, account, now):
        """De-register (LwM2M 1.1 6.2.3), and close when that is answered, or nobody answers."""
        if account.state == _REGISTERED or account.state == _UPDATING:
            self.engine.drop(account)
            self.event(_REG_UNREGISTERED, account.short_id, account)
            self._enter(account, _DISCONNECTED)
            try:
                self.leaving.append(account)
                self.engine.request(
                    now,
                    account,
                    _DELETE,
                    account.location,
                    b"",
                    lambda x, code, m, payload: self._left(x.peer),
                    account.settings,
                )
                return
            except Exception:  # Error, MemoryError: the server finds out when the lifetime is over
                pass
        self._left(account)

    def _left(self, account):
        if account in self.leaving:
            self.leaving.remove(account)
            if self.state == _CLOSED and not self.leaving:
                self.net.stop()
        self.disconnect(account)

    def _enter(self, account, state, seconds=-1):
        # The one place where an account's state changes. seconds: until its time is over, -1: never.
        account.state = state
        account.due = self.after(seconds)
        if seconds >= 0 and state <= _CONNECTED:  # whatever it is told, it registers once a second
            account.due = max(account.due, account.rest)
        for part in self.parts:
            part.moved(account)

    def disconnect(self, account, seconds=-1):
        """Close an account's connection; in that many seconds it opens again, with -1 never.

        Needs no memory.
        """
        self.engine.drop(account)
        if account.connection is not None:
            self.net.close(account)
            account.connection = None
        account.location = None
        self._enter(account, _DISCONNECTED, seconds)

    def connect(self, account, now):
        """Open an account's connection. Returns whether that can be; its state says if it is up."""
        self._enter(account, _CONNECTING)
        try:
            if self.net.open(self, account, now):
                self._enter(account, _CONNECTED)
            return True
        except Exception:  # OSError, MemoryError
            return False

    def coap_of(self, account):
        """CoAP's settings of a request to an account: what has failed is repeated less when it is
        tried again, or repetitions of a whole fleet would meet a server that comes back."""
        if not (self.weary or account.code):
            return account.settings
        ms, percent, n = account.settings or self.engine.settings
        return ms, percent, min(n, _REPETITIONS)

    def keys(self, account):
        """(mode, public, server's public, secret) of an account: /0/x/2 to 5, for net."""
        security = account.security
        if self.context and self.context.keys:
            return self.context.keys.read(security)
        return security[2], security.get(3), security.get(4), security.get(5)

    def _setting(self, account, rid, default):
        values = self.objects[1].instances.get(account.server_iid)
        value = values.get(rid) if values else None
        return default if value is None else value

    # --- Registration (LwM2M 1.1 6.2)

    def _links(self, account):
        # The object list of a registration. TLV is what every server may take for granted; Wakaama's
        # refuses its number, and lists.
        plain = self.format == _TLV or account.version == "1.0"
        ct = "" if plain else ";ct=%d" % self.format
        return '</>;rt="oma.lwm2m"%s,' % ct + object_links(self.objects)

    def _poll(self, account, now):
        action = account.action
        if action and account.state != _REGISTERING:
            # What a server executed on /1, after it has had its answer.
            account.action = 0
            if action == 9:
                self.bootstrap.start(True)
            elif account.state == _REGISTERED or account.state == _UPDATING:
                if action == 8:
                    account.due = self.seconds
                else:
                    self.engine.drop(account)
                    self._enter(account, _DEREGISTERING)
                    self._request(account, _DELETE, account.location, "", now)
        if account.state == _DISCONNECTED and 0 <= account.due <= self.seconds:
            if self._in_turn(account) and not self.connect(account, now):
                self._failed(account, _UNAVAILABLE, True, "no connection")
        if account.state == _CONNECTED and account.due <= self.seconds:
            self._register(account, now)
        elif account.state == _REGISTERED and 0 <= account.due <= self.seconds:
            self._update(account, now)

    def _in_turn(self, account):
        # /1/x/13 and 15: servers with an order register one after another, the lowest first,
        # and one that fails may bar those behind it.
        order = self._setting(account, 13, -1)
        if order < 0 or account.links:  # it has had its turn
            return True
        for other in self.accounts:
            if 0 <= self._setting(other, 13, -1) < order:
                if other.state != _REGISTERED and other.state != _UPDATING:
                    if other.state != _FAILED:
                        account.due = -1
                        return False
                    if self._setting(other, 15, False):
                        self._enter(account, _FAILED)
                        return False
        return True

    def _register(self, account, now):
        self._enter(account, _REGISTERING)
        account.rest = self.after(1)
        self.event(_REG_REGISTERING, account.short_id, account)
        account.lifetime = self._setting(account, 1, 86400)
        account.binding = self._setting(account, 7, "U")
        account.links = self._links(account)
        queries = ["ep=" + self.endpoint, "lt=%d" % account.lifetime, "lwm2m=" + account.version]
        queries += account.bound().split("&")
        options = uri_options(account.uri, "rd", queries, _LINK)
        self._request(account, _POST, options, account.links, now)

    def _request(self, account, code, options, payload, now):
        try:
            self.engine.request(
                now,
                account,
                code,
                options,
                payload.encode(),
                self._answered,
                self.coap_of(account),
            )
        except Error:
            self._refused(account, _INTERNAL, True, "the request does not fit")

    def _answered(self, x, code, m, payload):
        # The answer to what _request() has sent.
        account = x.peer
        good = 0x41 if account.state == _REGISTERING else 0x44
        internal = False
        text = None
        try:
            if code == good:
                if code == 0x41:
                    account.location = location = []
                    for part in m.strings(_LOCATION_PATH):
                        location.append((_URI_PATH, part))
                if account.location:
                    return self._registered(account)
            code, internal, text = failure(code, payload)
        except Exception as e:  # Error, MemoryError; a tuple of them would need memory itself
            internal = True
            code = _NOT_ACCEPTABLE if isinstance(e, Error) else _INTERNAL
        self._refused(account, code, internal, text)

    def _refused(self, account, code, internal, text):
        # What _request() has sent, or was to send, has failed.
        if account.state == _DEREGISTERING:
            self.event(_REG_UNREGISTERED, account.short_id, account)
            self.disconnect(account, self._setting(account, 5, 86400))
        elif account.state == _UPDATING:
            self.event(_REG_UPDATE_FAILED, account.short_id, account, code, internal, text)
            if internal:
                account.code = code
                return self.disconnect(account, self.spread(_AGAIN))
            # The server is there, and has the session, but not the registration any more.
            self._enter(account, _DISCONNECTED)
            account.location = None
            self._enter(account, _CONNECTED, 0)
        elif code == _PRECONDITION and not internal and account.version != "1.0":
            # LwM2M 1.1 6.2.1: it has not that version. Perhaps the one before.
            account.version = "1.1" if account.version == "1.2" else "1.0"
            self._enter(account, _CONNECTED, 0)
        else:
            self._failed(account, code, internal, text)

    def _registered(self, account):
        self.weary = 0
        if account.code:  # which whatever has failed has set
            account.attempts = account.sequences = account.code = 0
        self.vain.pop(account.short_id, 0)
        if self.bootstrap:
            self.bootstrap.vain = 0
        self._enter(account, _REGISTERED)
        lifetime = account.lifetime
        if lifetime:  # rounded down, as the server has counted since it answered
            lead = min(lifetime // 2, _MAX_TRANSMIT_WAIT)
            account.due = self.seconds + min(lifetime - lead, _MAX_SECONDS)
        self._stale = True  # what changed meanwhile goes out with an update
        self._let_next()
        self.event(_REG_REGISTERED, account.short_id, account)

    def _let_next(self):
        # A server has registered or failed: those that waited for their turn look again.
        for account in self.accounts:
            if account.state == _FAILED and not account.code:  # it was barred by another
                self._enter(account, _DISCONNECTED)
            if account.state == _DISCONNECTED and account.due < 0:
                account.due = self.seconds

    def _failed(self, account, code, internal, text):
        # An attempt to register has failed: /1/x/17 to 20 say what is next.
        account.code = code
        account.attempts += 1
        wait = -1
        if self.weary:  # it has had all of its attempts before
            pass
        elif internal or code >> 5 != 4 or not self._may_bootstrap(account):
            if account.attempts < self._setting(account, 17, 5):
                wait = max(self._setting(account, 18, 60), 1) << min(account.attempts - 1, 20)
            else:
                account.attempts = 0
                account.sequences += 1
                if account.sequences < self._setting(account, 20, 1):
                    wait = max(self._setting(account, 19, 86400), 1)
        if wait >= 0:
            return self.disconnect(account, self.spread(min(wait, _MAX_SECONDS)))
        self.disconnect(account)
        wait = _DAY
        if self._may_bootstrap(account):  # the less it has helped, the longer until the next
            n = self.vain.get(account.short_id, 0)
            wait = min(_VAIN << min(n, 9), _DAY) if n else 0
        self._enter(account, _FAILED, self.spread(wait))
        self._let_next()
        self.event(_REG_FAILED, account.short_id, account, code, internal, text)

    def _may_bootstrap(self, account):
        # /1/x/16, where there is a bootstrap server.
        bootstrap = self.bootstrap
        return bootstrap and bootstrap.account_iid() >= 0 and self._setting(account, 16, True)

    def _find_stale(self):
        # Whose registration is not what it was told: LwM2M 1.1 6.2.2 wants an update.
        for account in self.accounts:
            if account.state == _REGISTERED and (
                account.links != self._links(account)
                or account.lifetime != self._setting(account, 1, 86400)
                or account.binding != self._setting(account, 7, "U")
            ):
                account.due = self.seconds
        self._stale = False

    def _update(self, account, now):
        self._enter(account, _UPDATING)
        options = list(account.location)
        lifetime = self._setting(account, 1, 86400)
        if lifetime != account.lifetime:
            options.append((_URI_QUERY, "lt=%d" % lifetime))
            account.lifetime = lifetime
        binding = self._setting(account, 7, "U")
        if binding != account.binding:
            account.binding = binding
            options += path_options(account.bound(), _URI_QUERY)
        links = self._links(account)
        payload = ""
        if links != account.links:
            account.links = payload = links
            options.insert(len(account.location), (_CONTENT_FORMAT, _LINK))
        self.event(_REG_UPDATING, account.short_id, account)
        self._request(account, _POST, options, payload, now)

    # --- Requests of servers

    def _handle(self, account, m, payload, reply, now):
        if account.short_id == _BOOTSTRAP_ID:
            return self.bootstrap.handle(account, m, payload, reply)
        self._check(account)
        for part in self.parts:
            code = part.handle(account, m, payload, reply, now)
            if code:
                return code
        return management.handle(self, account, m, payload, reply)

    def _check(self, account):
        # Whether a server is served.
        if not _REGISTERING <= account.state <= _UPDATING:
            raise Error(_UNAUTHORIZED)
        if self.state != _MANAGEMENT:
            raise Error(_UNAVAILABLE, "bootstrapping")

    def _begin_body(self, account, m, now):
        # The first of several blocks of a request's body, which takes no place if it has no right to.
        # Returns the sink that a part gives for it, if one does.
        if account.short_id == _BOOTSTRAP_ID:
            self.bootstrap.check(account)
        else:
            self._check(account)
            if m.code < _FETCH or not optional("composite"):  # whose paths are in the body
                management.begin(self, account, m)
            for part in self.parts:
                sink = hasattr(part, "begin") and part.begin(account, m, now)
                if sink:
                    return sink

    def on_request(self, account, what, path):
        """A server has had something done: an EVENT_… of objects."""
        if what != _READ:
            self._stale = True
        self.event(what, account.short_id, path=path)

    def _execute(self, iid, rid, argument):
        # /1/x/4, 8 and 9: done by poll(), when the answer has gone out.
        if rid == 9 and not (self.bootstrap and self.bootstrap.account_iid() >= 0):
            raise Error(_NOT_ALLOWED, "no bootstrap server account")
        for account in self.accounts:
            if account.server_iid == iid:
                account.action = rid

    def changed(self, oid, iid, rid):
        """A value has changed, or with rid -1 the object's instances have."""
        for part in self.parts:
            part.changed(oid, iid, rid)
        if rid < 0:
            self._stale = True
        elif oid == 1 and self.state == _MANAGEMENT:
            self._stale = True
            for account in self.accounts:
                if account.server_iid == iid:
                    try:
                        path = oid, iid, rid
                    except MemoryError:  # the write has been done, and is not to fail any more
                        return
                    value = self.objects[1].instances[iid].get(rid)
                    self.event(_SERVER_SETTING_CHANGED, account.short_id, path=path, value=value)
