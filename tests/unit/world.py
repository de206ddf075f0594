# A world for a client: a clock that jumps to the next thing to happen, a network that loses,
# doubles and delays datagrams, and servers that a test drives. All of it follows from one seed.
#
# World is the `net` of a real Client. Servers speak CoAP through ucoap's Engine; what they answer
# and ask is the test's.

from ucoap import ACCEPT, CONTENT_FORMAT, GET, POST, URI_PATH, URI_QUERY, Writer, path_options
from ucoap.engine import Engine
import lwm2m
import lwm2m.tlv as tlv
from lwm2m.client import Client
import lwm2m.model as model
from lwm2m.objects import split_uri

MASK = 0x3FFFFFFF

# Names of the events, for a test's story; those of observations are of a module that is optional.
NAMES = {14: "OBSERVATION_STARTED", 15: "OBSERVATION_NOTIFICATION"}
NAMES.update({16: "OBSERVATION_NOTIFICATION_ACKED", 17: "OBSERVATION_NOTIFICATION_FAILED"})
NAMES.update({18: "OBSERVATION_CANCELED", 19: "STORE", 20: "EVALUATION_PERIOD", 21: "UPDATE"})
for _n in range(1, len(lwm2m.EVENTS)):
    NAMES[_n] = lwm2m.EVENTS[_n][6:]


class Random:
    """Pseudo-random numbers of a seed: xorshift, as Marsaglia has it for 32 bits."""

    def __init__(self, seed):
        self.state = seed * 2654435761 & 0xFFFFFFFF or 1
        for _ in range(4):
            self.bits()

    def bits(self):
        x = self.state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self.state = x
        return x >> 2

    def below(self, n):
        return self.bits() % n


class Connection:
    """What a client has opened to a server: an address of its own."""

    def __init__(self, role, account, server):
        self.role = role
        self.account = account
        self.server = server  # None: nobody is there
        self.open = True


class World:
    """The clock, the network and the servers.

    start: ms, what the client's clock tells at the beginning. modes: the Security Modes that the
    network says it can do.
    """

    port = 0  # as Net's

    def __init__(self, seed=1, start=0, modes=(3,)):
        self.random = Random(seed)
        self.rng = self.random.bits
        self.start = start
        self.time = 0  # ms since the beginning
        self.modes = modes
        self.loss = 0  # percent, each way
        self.double = 0  # percent
        self.delay = (5, 5)  # ms, least and most; they overtake each other
        self.up = True  # what open() answers; an exception is raised
        self.datagrams = 0  # sent, both ways
        self.bytes = 0
        self.flight = []  # (when, connection, to the client, datagram), soonest first
        self.servers = {}  # {port: Server}
        self.connections = []  # all that were opened
        self.roles = []
        self.events = []  # (ms, Event)
        self.watch = None  # f(event): what the application does in its callback
        self.statuses = []  # (ms, status) of what poll() returned but NO_ERROR
        self.stopped = False
        self.quiet = False  # whether what the client sends goes nowhere; its code is kept:
        self.code = -1
        self.sent = []  # the client's last datagrams, a few

    # --- What Client and Core want of a net

    def now(self):
        return self.start + self.time & MASK

    def add(self, role):
        role.status = 0
        self.roles.append(role)

    def remove(self, role):
        if role in self.roles:
            self.roles.remove(role)

    def lookup(self, host, port):
        return 2, (host, port)

    def _find(self, account):
        # Where an account's server is: its port.
        _, host, port, _ = split_uri(account.uri)
        account.peer = self.lookup(host, port) + (self.port or 0xC000,)
        return port

    def open(self, role, account, now):
        if isinstance(self.up, Exception):
            raise self.up
        port = self._find(account)
        account.connection = Connection(role, account, self.servers.get(port))
        self.connections.append(account.connection)
        return self.up

    def close(self, account):
        account.connection.open = False

    def suspend(self, account):
        account.connection.open = False
        account.connection = None
        return b""

    def resume(self, role, account, data, now):
        # From where it was: open() gives it another address.
        if isinstance(self.up, Exception):
            return False
        port = self._find(account)
        for connection in reversed(self.connections):
            if connection.server is self.servers.get(port) and not connection.open:
                connection.role = role
                connection.account = account
                connection.open = True
                account.connection = connection
                return self.up
        return False

    def send(self, account, datagram):
        assert account.connection.open
        if self.quiet:
            self.code = datagram[1]
            return
        if len(self.sent) > 5:
            self.sent.pop(0)
        self.sent.append(bytes(datagram))
        self.post(account.connection, False, datagram)

    def next_ms(self, now):
        return min(role.next_ms(now) for role in self.roles)

    def stop(self):
        self.stopped = True

    def step(self, role, seconds):
        """As Net.step(), on this clock."""
        role.status = 0
        self.stopped = False
        self.run(seconds if seconds >= 0 else 1 << 40, lambda: role.status or self.stopped)
        status = role.status
        role.status = 0
        return status

    # --- The network

    def post(self, connection, up, datagram):
        """Send a datagram; up: to the client."""
        self.datagrams += 1
        self.bytes += len(datagram)
        least, most = self.delay
        for _ in range(2 if self.random.below(100) < self.double else 1):
            if self.random.below(100) >= self.loss:
                when = self.time + least + self.random.below(most - least + 1)
                i = len(self.flight)
                while i and self.flight[i - 1][0] > when:
                    i -= 1
                self.flight.insert(i, (when, connection, up, bytes(datagram)))

    def _arrive(self):
        when, connection, up, data = self.flight.pop(0)
        if up:
            if connection.open:
                connection.role.receive(connection.account, data, self.now())
        elif connection.server:
            connection.server.receive(connection, data, self.now())

    def sleep(self, seconds):
        """Let time pass in which nobody looks at the clock."""
        self.time += seconds * 1000

    def deaf(self):
        """What is in flight is lost."""
        self.flight.clear()

    # --- Time

    def run(self, seconds=0, until=None):
        """Let that many seconds pass, or stop when until() is true; returns whether it was."""
        return self.run_ms(int(seconds * 1000), until)

    def run_ms(self, ms, until=None):
        end = self.time + ms
        passes = 0
        while True:
            now = self.now()
            for role in self.roles:
                status = role.poll(now)
                if status:
                    role.status = status
                    self.statuses.append((self.time, status))
            for port in self.servers:
                self.servers[port].engine.poll(now)
            if until and until():
                return True
            wait = end - self.time
            for role in self.roles:
                wait = min(wait, role.next_ms(now))
            for port in self.servers:
                least = self.servers[port].engine.next_ms(now)
                if least >= 0:
                    wait = min(wait, least)
            if self.flight:
                wait = min(wait, max(self.flight[0][0] - self.time, 0))
            assert wait >= 0, wait
            passes = 0 if wait else passes + 1
            assert passes < 200, "it does not come to rest"
            self.time += wait
            if self.flight and self.flight[0][0] <= self.time:
                self._arrive()
            elif self.time >= end and passes > 3:
                return False

    # --- The client

    def client(self, endpoint="dev", **kwargs):
        client = Client(endpoint, self._on_event, net=self, **kwargs)
        client.core.engine.on_exception = _raise
        return client

    def _on_event(self, event):
        self.events.append((self.time, event))
        if self.watch:
            self.watch(event)

    def story(self):
        """The events so far, as "NAME" with the short id unless it is the bootstrap server's;
        they are forgotten."""
        names = []
        for _, event in self.events:
            name = NAMES[event.type]
            names.append(name if event.short_id == 65535 else "%s %d" % (name, event.short_id))
        self.events.clear()
        return names

    def last(self, type):
        """The last Event of that type."""
        for _, event in reversed(self.events):
            if event.type == type:
                return event

    def times(self, type):
        """When events of that type happened, in s, rounded down."""
        return [ms // 1000 for ms, event in self.events if event.type == type]


def _raise(e):
    raise e


class Request:
    """What a server was sent."""

    def __init__(self, time, connection, m, payload):
        self.time = time
        self.connection = connection
        self.code = m.code
        self.segments = m.strings(URI_PATH)
        self.path = "/" + "/".join(self.segments)
        self.query = m.strings(URI_QUERY)
        self.format = m.uint(CONTENT_FORMAT)
        self.payload = payload
        self.type = m.type
        self.token = m.token


class Answer:
    """What a client answered; code 0: nothing came."""

    def __init__(self, code, m, payload):
        self.code = code
        self.format = m.uint(CONTENT_FORMAT) if m else None
        self.payload = bytes(payload)
        self.location = "/" + "/".join(m.strings(8)) if m else None
        self.observe = m.uint(6) if m else None
        self.text = str(self.payload, "utf-8") if self.format in (None, 0, 40) else None


class Server:
    """A server at a port. answer(request, reply) -> response code, a method or an attribute."""

    settings = None

    def __init__(self, world, port):
        self.world = world
        self.engine = Engine(self._send, self._handle, world.rng)
        self.engine.on_exception = _raise
        self.requests = []
        self.connection = None  # of the last request: the client's address
        self.silent = False  # whether it answers nothing
        self.heard = []  # ms, when each datagram came
        world.servers[port] = self

    def _send(self, connection, datagram):
        self.world.post(connection, True, datagram)

    def receive(self, connection, data, now):
        self.heard.append(self.world.time)
        if not self.silent:
            self.engine.receive(connection, data, now)

    def _handle(self, connection, m, payload, reply, now):
        request = Request(self.world.time, connection, m, bytes(payload))
        self.requests.append(request)
        self.connection = connection
        return self.answer(request, reply)

    def start(self, code, path, payload=b"", format=None, accept=None, callback=None, more=()):
        """Send a request; callback(Answer)."""
        options = [option for option in more if option[0] < URI_PATH]
        options += path_options(path, URI_PATH)
        if format is not None:
            options.append((CONTENT_FORMAT, format))
        options += [option for option in more if option[0] == URI_QUERY]
        if accept is not None:
            options.append((ACCEPT, accept))
        options += [option for option in more if option[0] > ACCEPT]

        def answered(x, code, m, payload):
            if callback:
                callback(Answer(code, m, payload))

        return self.engine.request(
            self.world.now(), self.connection, code, options, payload, answered, self.settings
        )

    def ask(self, code, path, payload=b"", format=None, accept=None, more=()):
        """Send a request and let the world run until there is an Answer."""
        answers = []
        self.start(code, path, payload, format, accept, answers.append, more)
        assert self.world.run(400, lambda: answers), "no end of the exchange"
        return answers[0]

    def read(self, path, accept=None):
        return self.ask(GET, path, accept=accept)

    def execute(self, path, payload=b""):
        return self.ask(POST, path, payload, 0 if payload else None)


class Registrar(Server):
    """A LwM2M server that registers everybody."""

    def __init__(self, world, port=5683):
        super().__init__(world, port)
        self.location = 0  # of the registration; 0 for none
        self.count = 0  # of registrations
        self.registered = 0x41
        self.updated = 0x44
        self.words = b""  # of a refusal

    def answer(self, request, reply):
        if request.path.endswith("/rd"):
            if self.registered == 0x41:
                self.count += 1
                self.location = self.count
                reply.location = ("rd", str(self.location))
            reply.payload = self.words
            return self.registered
        if request.path != "/rd/%d" % self.location:
            return 0x84
        if request.code == POST:
            return self.updated
        self.location = 0
        return 0x42

    def paths(self):
        """What was asked so far, as "POST /rd?ep=dev&..."; it is forgotten."""
        found = []
        for r in self.requests:
            query = "?" + "&".join(r.query) if r.query else ""
            found.append("%s %s%s" % (("GET", "POST", "PUT", "DELETE")[r.code - 1], r.path, query))
        self.requests.clear()
        return found


class Provisioner(Server):
    """A bootstrap server, whose operations a test sends."""

    def __init__(self, world, port=5783):
        super().__init__(world, port)
        self.accepted = 0x44

    def answer(self, request, reply):
        return self.accepted

    def write(self, path, values):
        return self.ask(3, path, values if isinstance(values, bytes) else encode(values), 11542)

    def delete(self, path):
        return self.ask(4, path)

    def finish(self):
        return self.ask(POST, "/bs")


# Kinds of TLV entries (LwM2M 1.1 7.4.3).
INSTANCE = 0
RESOURCE_INSTANCE = 1
MULTIPLE = 2
RESOURCE = 3


def encode(values, kind=RESOURCE):
    """{id: value} as TLV, by the Python type: int, str, bytes, bool; a dict is an instance or a
    multiple resource of them."""
    out = bytearray()
    for id in sorted(values):
        value = values[id]
        k = kind
        if isinstance(value, dict):
            k = MULTIPLE if kind == RESOURCE else kind
        at = tlv.begin(out, k, id)
        if isinstance(value, dict):
            inner = RESOURCE_INSTANCE if kind == RESOURCE else RESOURCE
            out.extend(encode(value, inner))
        else:
            t = {bool: model.BOOL, int: model.INT, str: model.STR}.get(type(value), model.OPAQUE)
            tlv.encode(out, t, value)
        tlv.end(out, at)
    return bytes(out)


def instances(values):
    """{instance id: {resource id: value}} as TLV."""
    return encode(values, INSTANCE)


def account(short_id, uri="coap://server:5683", mode=3, **more):
    """The values of a /0 instance; short_id None: of a bootstrap server."""
    values = {0: uri, 1: short_id is None, 2: mode, 3: b"", 4: b"", 5: b""}
    if short_id is not None:
        values[10] = short_id
    return values


def server(short_id, lifetime=300, binding="U"):
    """The values of a /1 instance."""
    return {0: short_id, 1: lifetime, 6: True, 7: binding}


def servers_of(client):
    """The instances of the Server object without Last Bootstrapped, which is of the clock."""
    instances = client.core.objects[1].instances
    return {
        iid: {rid: instances[iid][rid] for rid in instances[iid] if rid != 12} for iid in instances
    }


def dump(client):
    """The TLV of all instances of all objects, to compare: {(object id, instance id): bytes}.
    Of /3/0, whose values change by themselves, the resource ids."""
    objects = client.core.objects
    found = {}
    for oid in objects:
        for iid in objects[oid].instances:
            out = bytearray()
            if oid == 3:
                out.extend(bytes(sorted(objects[3].instances[iid])))
            else:
                model.encode(tlv.Sink(out), objects[oid], (oid, iid), 15)
            found[oid, iid] = bytes(out)
    return found


def datagram(type, code, mid, path, payload=b"", format=None, accept=None, token=b"tk", query=""):
    """A request as bytes."""
    w = Writer(1152)
    w.start(type, code, mid, token)
    for number, part in path_options(path, URI_PATH):
        w.option(number, part)
    if format is not None:
        w.option(CONTENT_FORMAT, format)
    for number, part in path_options(query, URI_QUERY):
        w.option(number, part)
    if accept is not None:
        w.option(ACCEPT, accept)
    w.payload(payload)
    return w.message()
