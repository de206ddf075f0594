"""The device cases of OMA's enabler test specification (LightweightM2M-1.1-int-N) as a table of steps.

test_ets.py drives it. As a program it prints the table of tests/README.md, where it stands between two
comments, and with --write puts it there:

    python tests/interop/ets.py --write

Periods are shorter than the specification's, ids of instances are ours, and its slips (POST for the Write
of a resource, Observe 1 for 0) are mended. Every account is under DTLS with a pre-shared key, as its
configuration C.1 has it, where nothing else is said.
"""

import math
import re
import sys
from pathlib import Path
from typing import Any, Callable, NamedTuple

FORMATS = {"TEXT": 0, "CBOR": 60, "SENML_JSON": 110, "SENML_CBOR": 112, "TLV": 11542}

Step = Callable[[Any], None]  # of a World of test_ets.py; it asserts


class Case(NamedTuple):
    number: int
    title: str
    does: str  # what is done, and what must be seen
    steps: "tuple[Step, ...]"
    note: str  # with steps, what is not as the specification has it; without, why there are none


def case(number, title, does, *steps, note=""):
    return Case(number, title, does, steps, note)


def left(number, title, why):
    """One that is not done."""
    return Case(number, title, "", (), why)


# --- What must be seen


def holds(found, wanted):
    """Whether an answer has what is wanted: of a dict at least that; anything, where it is an Ellipsis."""
    if wanted is Ellipsis:
        return found is not None
    if callable(wanted):
        return wanted(found)
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            holds(found.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, float):
        return math.isclose(found, wanted)
    return found == wanted


def check(found, wanted):
    assert holds(found, wanted), (found, wanted)


# --- Steps


def ask(command, code, wanted=None, **args):
    """Leshan's server asks that of the client, and gets this. server: 2 for the second one."""

    def step(world):
        answer = world.ask(command, **args)
        assert answer["code"] == code, (command, args, answer)
        if wanted is not None:
            check(answer.get("content"), wanted)
        format = args.get("accept", args.get("format"))
        if format and "content" in answer:
            assert answer["content_format"] == FORMATS[format], answer

    return step


def read(path, wanted=None, format=None, code="2.05"):
    return ask("read", code, wanted, path=path, format=format)


def write(path, value, format=None, code="2.04", **args):
    return ask("write", code, path=path, value=value, format=format, **args)


def update(path, value, format=None, code="2.04"):
    """A Write that leaves alone what it does not name."""
    return write(path, value, format, code, partial=True)


def execute(path, code="2.04"):
    return ask("execute", code, path=path)


def attributes(path, text, code="2.04", **args):
    return ask("write_attributes", code, path=path, attributes=text, **args)


def observe(path, wanted=None):
    return ask("observe", "2.05", wanted, path=path)


def read_composite(wanted, *paths):
    return ask("read_composite", "2.05", wanted, paths=paths, format="SENML_CBOR")


def write_composite(values):
    return ask("write_composite", "2.04", values=values)


def observe_composite(wanted, *paths):
    return ask("observe_composite", "2.05", wanted, paths=paths)


def discover(path, *links, whole=True, **args):
    """The links, whose attributes may be in any order. whole=False: others may be there too."""

    def step(world):
        answer = world.ask("discover", path=path, **args)
        assert answer["code"] == "2.05", answer
        found = [_link(link) for link in answer["links"]]
        wanted = [_link(link) for link in links]
        assert found == wanted if whole else all(link in found for link in wanted), found

    return step


def _link(text):
    path, *attributes = text.split(";")
    return path, sorted(attributes)


def heard(kind, server=1, **details):
    """Leshan's server tells of this, with these details."""
    return lambda world: world.heard(kind, lambda event: holds(event, details), server)


def notified(path, wanted=..., after=0):
    """The next notification that is so, at least that many seconds after mark()."""

    def step(world):
        world.heard("notification", lambda e: e["path"] == path and holds(e["content"], wanted))
        assert world.since_mark() >= after

    return step


def notified_composite(wanted, after=0):
    def step(world):
        world.heard("composite_notification", lambda e: holds(e["content"], wanted))
        assert world.since_mark() >= after

    return step


def mark(world):
    """Times are counted from here."""
    world.mark()


def silent(kind):
    """No such event of the server: what the client has sent before its next answer would be there."""

    def step(world):
        world.ask("read", path="/3/0/16")
        assert not world.events(kind)

    return step


def resets(path):
    """Leshan forgets that observation, and resets its next notification."""
    return lambda world: world.ask("cancel", path=path, passive=True)


def said(event, **details):
    """The client tells its application of this."""
    return lambda world: world.device.wait_event(event, **details)


def sets(path, value):
    """The device's application does."""
    return lambda world: world.device.set(path, value)


def sends(*paths, to=(1,)):
    """Send, which goes to the servers with these short ids."""

    def step(world):
        assert world.device.call("send", paths) == list(to)

    return step


def registered(**config):
    """The client is started with a factory account, and registers."""

    def step(world):
        world.start(**config)
        world.device.wait_event("REG_REGISTERED")
        world.heard("registered")

    return step


def starts(**config):
    return lambda world: world.start(**config)


def restarts(world):
    """The client has asked for a restart of its board, which comes without a word to anybody."""
    world.restart()


def disable(world):
    """Execute of Disable, of whose answer Leshan may lose sight in the de-registration."""
    world.disable()


def forgets(world):
    """The second server is started anew, and knows of no client."""
    world.forget()


def unasked(world):
    """The bootstrap server has not been asked for anything."""
    assert not world.leshan.bootstrap.events()


class Op(NamedTuple):
    """What Leshan's bootstrap server does in a session."""

    operation: str
    path: str = "/"
    value: Any = None  # or a function of the World
    code: str = "2.04"
    wanted: Any = None  # in the answer: its content, or links


def session(*operations, trigger=None, finish="2.04"):
    """A bootstrap session, with Finish at its end. trigger: the step that leads to it, where that is not
    the start of a client which has a bootstrap account only."""
    return lambda world: world.session(operations, trigger or starts(bare=True), finish)


def piece(*texts):
    """Each of these is in one of the links."""
    return lambda links: all(any(text in link for link in links) for text in texts)


def pushes(code="2.04", **terms):
    """Leshan's server writes a package to /5/0/0. terms: what is special about it."""
    return lambda world: world.push(code, **terms)


def update_state(state, result):
    """/5/0/3 and /5/0/5."""
    return read("/5/0", {"3": state, "5": result}, "TLV")


# --- What the cases have in common

# C.1 to C.12: what a client of World.start() has.
DEVICE = {"0": "MicroPython", "1": "Model", "2": "0001", "3": "1.0", "13": 1367491215}
DEVICE.update({"14": "+02:00", "15": "Europe/Paris"})
LIFETIME = 300
SERVER = {"0": 1, "1": LIFETIME, "6": True, "7": "U"}
IDENTITIES = {str(i): "identity %d" % i for i in range(4)}  # /16/0/0
SOURCES = ("</3/0/6>;dim=2", "</3/0/7>;dim=2", "</3/0/8>;dim=2")

# C.13: it has a bootstrap account only, as /0/0; this gives it a server.
ACCOUNTS = (
    Op("write", "/0", lambda world: {"0": world.bootstrap_account(), "1": world.account()}),
    Op("write", "/1", {"0": SERVER}),
)
BOTH = Op("discover", "/", code="2.05", wanted=piece("</0/0>", "</0/1>;ssid=1", "</1/0>;ssid=1"))
# For one that has a server's account already.
OTHERS = (
    Op("delete", "/0", code="2.02"),
    Op("delete", "/1", code="2.02"),
    Op("write", "/0/5", lambda world: world.account()),
    Op("write", "/1/5", {**SERVER, "1": 77}),
)
NEW = heard("registered", lifetime=77)
OLD = {"1": LIFETIME, "6": True, "7": "U"}  # what a server may write of SERVER

# --- The cases

BOOTSTRAP = [
    case(
        0,
        "Client Initiated Bootstrap",
        "PUT /0, PUT /1, Discover /, Finish: 2.04, both accounts are shown, it registers",
        session(*ACCOUNTS, BOTH),
        heard("registered", lifetime=LIFETIME),
    ),
    case(
        1,
        "Full Bootstrap, PSK",
        "the same, then Read /3/0",
        session(*ACCOUNTS, BOTH),
        heard("registered"),
        read("/3/0", {"0": "MicroPython"}),
    ),
    case(
        2,
        "Full Bootstrap, certificates",
        "the same with certificates for both servers",
        session(*ACCOUNTS, BOTH),
        heard("registered"),
        read("/3/0", {"0": "MicroPython"}),
    ),
    left(3, "Bootstrap from Smartcard", "A board here has no smart card."),
    case(
        4,
        "Bootstrap Delete",
        "DELETE /0, DELETE /1, Discover, Read /1: only the bootstrap account is there",
        session(
            *ACCOUNTS,
            Op("delete", "/0", code="2.02"),
            Op("delete", "/1", code="2.02"),
            Op("discover", "/", code="2.05", wanted=lambda links: "ssid" not in str(links)),
            Op("discover", "/0", code="2.05", wanted=piece("</0/0>")),
            Op("read", "/1", code="2.05", wanted=lambda found: found == {}),
            *ACCOUNTS,
        ),
        heard("registered"),
        note="Finish without a server is refused, so the accounts are written anew before it.",
    ),
    case(
        5,
        "Server Initiated Bootstrap",
        "Execute /1/0/9: 2.04, it asks its bootstrap server and registers with the new account",
        registered(bootstrap=True),
        session(*OTHERS, trigger=execute("/1/0/9")),
        NEW,
    ),
    case(
        6,
        "Bootstrap Sequence",
        "with a server's account the bootstrap server is not asked, without one it is",
        registered(bootstrap=True),
        unasked,
        session(*OTHERS, trigger=execute("/1/0/9")),
        NEW,
        session(*ACCOUNTS),
        heard("registered", lifetime=LIFETIME),
    ),
    case(
        7,
        "Fallback to Bootstrap",
        "the account's server does not answer: the bootstrap server is asked",
        session(*OTHERS, trigger=starts(bootstrap=True, dead=True)),
        NEW,
    ),
    case(
        8,
        "Bootstrap Read",
        "Read /1 and /2: 2.05",
        session(
            Op("read", "/1", code="2.05", wanted=lambda found: found == {}),
            Op("read", "/2", code="2.05", wanted=lambda found: found == {}),
            *ACCOUNTS,
            Op("read", "/1", code="2.05", wanted={"0": SERVER}),
        ),
        heard("registered"),
    ),
    case(
        9,
        "Bootstrap and Configuration Consistency",
        "PUT /1/0/5 alone, Finish: 4.06",
        session(Op("write", "/1/0/5", 60), finish="4.06"),
    ),
    left(10, "Bootstrap with EST", "The client has no EST."),
    left(11, "Bootstrap with OSCORE (1.2)", "The client has no OSCORE."),
    left(12, "Bootstrap-Pack (1.2)", "Leshan has none."),
]

REGISTRATION = [
    case(
        101,
        "Initial Registration",
        "ep, lt, lwm2m, b and the object list without /0 and /21",
        starts(),
        heard(
            "registered",
            lifetime=LIFETIME,
            version="1.1",
            binding="U",
            links=lambda links: "</1/0>" in links and not piece("</0", "</21")(links),
        ),
    ),
    case(
        102,
        "Registration Update",
        "Write /1/0/1 = 20: Update with lt=20; the next one comes within 20 s",
        registered(),
        write("/1/0/1", 20),
        heard("updated", lifetime=20),
        heard("updated", lifetime=20),
        silent("unregistered"),
    ),
    case(
        103,
        "Deregistration",
        "Execute /1/0/4: 2.04, it de-registers",
        registered(),
        disable,
        heard("unregistered", expired=False),
    ),
    case(
        104,
        "Registration Update Trigger",
        "lifetime 20: Execute /1/0/8: 2.04, Update; it is still registered after 20 s",
        registered(lifetime=20),
        execute("/1/0/8"),
        heard("updated", lifetime=20),
        heard("updated"),
        heard("updated"),
        silent("unregistered"),
    ),
    case(
        105,
        "Discarded Registration Update",
        "the server forgets the client: Update gets 4.04, it registers",
        registered(second=True),
        forgets,
        sets("/1/1/1", 400),
        said("REG_UPDATE_FAILED", short_id=2, code="4.04", internal=False),
        said("REG_REGISTERED", short_id=2),
    ),
    left(106, "Registration over TCP", "The client has UDP only."),
    case(
        107,
        "Extending the lifetime",
        "lifetime 10: Write /1/0/1 = 20: Update with lt=20, and the next one in time",
        registered(lifetime=10),
        mark,
        write("/1/0/1", 20),
        heard("updated", lifetime=20),
        heard("updated", lifetime=20),
        silent("unregistered"),
    ),
    case(
        108,
        "Turn on Queue Mode",
        "registered with b=U&Q: the server knows",
        starts(queue=True),
        heard("registered", binding="U", queue_mode=True),
    ),
    left(
        109,
        "Behaviour in Queue Mode",
        "Not in this suite: test_sleep.py lets a client sleep, with Leshan, 20 times.",
    ),
    left(110, "Profile ID (1.2)", "The client has no profile ids, which are optional."),
    left(111, "Profile ID with an object list (1.2)", "As 110."),
]

READ = [
    case(
        201,
        "Querying basic information, text",
        "Read /3/0/0, 1, 2 as text",
        registered(),
        read("/3/0/0", DEVICE["0"], "TEXT"),
        read("/3/0/1", DEVICE["1"], "TEXT"),
        read("/3/0/2", DEVICE["2"], "TEXT"),
    ),
    case(
        203,
        "Querying basic information, TLV",
        "Read /3/0 as TLV",
        registered(),
        read("/3/0", {"0": ..., "1": ..., "2": ..., "3": ..., "11": {"0": 0}, "16": "U"}, "TLV"),
    ),
    case(
        204,
        "Querying basic information, JSON",
        "Read /3/0 as JSON of LwM2M 1.0",
        registered(),
        read("/3/0", format="JSON", code="4.06"),
        note="4.06: a client of 1.1 must not use that format (11543).",
    ),
    case(
        211,
        "Querying basic information, CBOR",
        "Read /1/0/0, 6, 7 as CBOR",
        registered(),
        read("/1/0/0", 1, "CBOR"),
        read("/1/0/6", True, "CBOR"),
        read("/1/0/7", "U", "CBOR"),
    ),
    *[
        case(
            number,
            "Querying basic information, " + name,
            "Read /1, /3/0, /3/0/16, /3/0/11/0 as " + name,
            registered(),
            read("/1", {"0": SERVER}, format),
            read("/3/0", {"0": DEVICE["0"], "11": {"0": 0}}, format),
            read("/3/0/16", "U", format),
            read("/3/0/11/0", 0, format),
        )
        for number, name, format in (
            (231, "SenML JSON", "SENML_JSON"),
            (232, "SenML CBOR", "SENML_CBOR"),
        )
    ],
    case(
        221,
        "Security object",
        "Read /0, Write /0/0/0, Write-Attributes /0: 4.01",
        registered(),
        read("/0", code="4.01"),
        write("/0/0/0", "coap://127.0.0.1", "TEXT", code="4.01"),
        attributes("/0", "pmin=30&pmax=45", code="4.01"),
    ),
    case(
        222,
        "Read of an object",
        "Read /1 and /3",
        registered(),
        read("/1", {"0": SERVER}),
        read("/3", {"0": {"0": DEVICE["0"], "16": "U"}}),
    ),
    case(
        223,
        "Read of an instance",
        "Read /1/0 and /3/0",
        registered(),
        read("/1/0", SERVER),
        read("/3/0", {"0": DEVICE["0"], "16": "U"}),
    ),
    case(
        224,
        "Read of a resource",
        "Read /1/0/0, 1, 6, 7 and /3/0/16",
        registered(),
        *[read("/1/0/" + rid, SERVER[rid]) for rid in SERVER],
        read("/3/0/16", "U"),
    ),
    case(
        225,
        "Read of a resource instance",
        "Read /3/0/11/0: just that",
        registered(),
        read("/3/0/11/0", 0),
    ),
    case(
        229,
        "Read-Composite",
        "/3, /1/0, /16/0/0/0",
        registered(),
        read_composite(
            {"/3": {"0": {"0": DEVICE["0"]}}, "/1/0": SERVER, "/16/0/0/0": IDENTITIES["0"]},
            *("/3", "/1/0", "/16/0/0/0"),
        ),
        note="Not with /1/0/1 and /3/0/11/0, as Leshan's server asks for nothing twice.",
    ),
    case(
        235,
        "Read-Composite of the root",
        "/: all that can be read, no /0, /21, /23",
        registered(),
        read_composite(
            {"/": lambda found: {"1", "3", "16"} <= set(found) and not {"0", "21"} & set(found)},
            "/",
        ),
    ),
    case(
        236,
        "Read-Composite of what is there in part",
        "/3/0/16, /3339/0/5522, /3353/0/6030: those that are not there are left out",
        registered(),
        read_composite(
            {"/3/0/16": "U", "/3339/0/5522": None, "/3353/0/6030": None},
            *("/3/0/16", "/3339/0/5522", "/3353/0/6030"),
        ),
    ),
    case(
        237,
        "Read without Accept",
        "Read /1 and /3: 2.05 in a format of the client's choice",
        registered(),
        read("/1", {"0": SERVER}),
        read("/3", {"0": {"16": "U"}}),
    ),
    case(
        280,
        "Read-Composite of some resources",
        "/3/0/16, /3/0/11/0, /1/0: just these",
        registered(),
        read_composite(
            {"/3/0/16": "U", "/3/0/11/0": 0, "/1/0": SERVER}, "/3/0/16", "/3/0/11/0", "/1/0"
        ),
    ),
    case(
        281,
        "Read-Composite with an executable resource",
        "/1/0/1, /1/0/7, /1/0/8: the last one is left out",
        registered(),
        read_composite(
            {"/1/0/1": LIFETIME, "/1/0/7": "U", "/1/0/8": None}, "/1/0/1", "/1/0/7", "/1/0/8"
        ),
    ),
]

SOME = {"2": 101, "3": 1010, "5": 2000, "6": False, "7": "U"}

WRITE = [
    case(
        205,
        "Setting basic information, text",
        "Write /1/0/2, 3, 5 as text; Read",
        registered(),
        *[write("/1/0/" + rid, SOME[rid], "TEXT") for rid in ("2", "3", "5")],
        read("/1/0", {rid: SOME[rid] for rid in ("2", "3", "5")}),
    ),
    case(
        212,
        "Setting basic information, CBOR",
        "Write /1/0/2, 3, 6 as CBOR; Read",
        registered(),
        *[write("/1/0/" + rid, SOME[rid], "CBOR") for rid in ("2", "3", "6")],
        read("/1/0", {rid: SOME[rid] for rid in ("2", "3", "6")}),
    ),
    *[
        case(
            number,
            title,
            "POST /1/0 with five resources; Read; PUT /1/0 with the old values; Read",
            registered(),
            update("/1/0", SOME, "TLV"),
            read("/1/0", SOME, "TLV"),
            write("/1/0", OLD, "TLV"),
            read("/1/0", {**SERVER, "2": None, "3": None, "5": None}, "TLV"),
        )
        for number, title in (
            (215, "Setting basic information, TLV"),
            (551, "Setting of the Server object"),
        )
    ],
    case(
        220,
        "Setting basic information, JSON",
        "POST /1/0 as JSON of LwM2M 1.0",
        registered(),
        update("/1/0", SOME, "JSON", code="4.15"),
        read("/1/0", SERVER),
        note="4.15: a client of 1.1 must not use that format (11543).",
    ),
    *[
        case(
            number,
            "Setting basic information, " + name,
            "POST /1/0, Write /16/0/0/0 and /1/0/1 as " + name + ": Update with lt; Read",
            registered(),
            update("/1/0", {"1": 61, "6": False}, format),
            heard("updated", lifetime=61),
            write("/16/0/0/0", "test_value", format),
            write("/1/0/1", 63, format),
            heard("updated", lifetime=63),
            read("/1/0", {"1": 63, "6": False}, format),
            read("/16/0/0", {**IDENTITIES, "0": "test_value"}, format),
        )
        for number, name, format in (
            (233, "SenML CBOR", "SENML_CBOR"),
            (234, "SenML JSON", "SENML_JSON"),
        )
    ],
    case(
        226,
        "Write, partial update",
        "POST /1/0 with 1 and 6: 2.04, Update; Read",
        registered(),
        update("/1/0", {"1": 61, "6": False}),
        heard("updated", lifetime=61),
        read("/1/0", {**SERVER, "1": 61, "6": False}),
    ),
    case(
        227,
        "Write, replace",
        "PUT /1/0/1 = 63: 2.04, Update",
        registered(),
        write("/1/0/1", 63),
        heard("updated", lifetime=63),
        read("/1/0/1", 63),
    ),
    case(
        228,
        "Write of a resource instance",
        "PUT /16/0/0/1: 2.04; Read of it alone",
        registered(),
        write("/16/0/0/1", "test", "TEXT"),
        read("/16/0/0/1", "test"),
        read("/16/0/0", {**IDENTITIES, "1": "test"}),
    ),
    case(
        230,
        "Write-Composite",
        "/1/0/1, /1/0/6, /16/0/0/0 to 3: 2.04, Update; Read",
        registered(),
        write_composite(
            {"/1/0/1": 61, "/1/0/6": False, **{"/16/0/0/%d" % i: "new" for i in range(4)}}
        ),
        heard("updated", lifetime=61),
        read("/1/0", {"1": 61, "6": False}),
        read("/16/0/0", {str(i): "new" for i in range(4)}),
    ),
    case(
        256,
        "Write that fails",
        "PUT /1/0/0 = 123: 4.05, the value is as before",
        registered(),
        write("/1/0/0", 123, code="4.05"),
        read("/1/0/0", 1),
    ),
    case(
        257,
        "Write-Composite of several objects",
        "/1/0/2, /1/0/6, /3/0/13: 2.04; Read",
        registered(),
        write_composite({"/1/0/2": 101, "/1/0/6": False, "/3/0/13": 1790000000}),
        read("/1/0", {"2": 101, "6": False}),
        read("/3/0/13", lambda found: 0 <= found - 1790000000 < 1000),
        note="Not with 0 for /3/0/13, as a time of 1970 is what a clock has that was never set.",
    ),
]

OPERATIONS = [
    *[
        case(
            number,
            title,
            "Execute /3/0/4: 2.04, it restarts and registers",
            registered(),
            execute("/3/0/4"),
            restarts,
            heard("registered"),
        )
        for number, title in ((241, "Execute of Reboot"), (655, "Device Reboot"))
    ],
    case(
        260,
        "Discover",
        "Discover /3, /3/0, /3/0/7 with attributes of /3 and /3/0/7: dimensions; each level its own",
        registered(),
        discover("/3", "</3>", "</3/0>", *SOURCES, whole=False),
        attributes("/3", "pmin=10&pmax=200"),
        discover("/3/0", "</3/0>;pmin=10;pmax=200", *SOURCES, whole=False),
        attributes("/3/0/7", "lt=1&gt=6&st=1"),
        discover("/3/0", "</3/0>;pmin=10;pmax=200", "</3/0/7>;dim=2;lt=1;gt=6;st=1", whole=False),
        discover(
            "/3/0/7",
            "</3/0/7>;dim=2;pmin=10;pmax=200;lt=1;gt=6;st=1",
            "</3/0/7/0>",
            "</3/0/7/1>",
        ),
    ),
    case(
        261,
        "Discover of a multiple resource",
        "attributes of /3, /3/0, /3/0/11/0; Discover /3/0/11: inherited ones and its instances' own",
        registered(),
        attributes("/3", "pmin=10&pmax=200"),
        attributes("/3/0", "pmax=320"),
        attributes("/3/0/11/0", "pmax=100&epmin=1&epmax=20"),
        said("EVALUATION_PERIOD", path="/3/0/11/0", min_period=1, max_period=20),
        discover(
            "/3/0/11",
            "</3/0/11>;dim=1;pmin=10;pmax=320",
            "</3/0/11/0>;pmax=100;epmin=1;epmax=20",
        ),
    ),
    left(264, "Discover with depth 1 (1.2)", "Leshan's Discover has no depth."),
    left(266, "Discover with depths 2 and 3 (1.2)", "As 264."),
    *[
        case(
            number,
            title,
            "Create /16/1 with two identities: 2.01; Discover: dim=2; Read /16",
            registered(),
            ask("create", "2.01", path="/16", instances={"1": {"0": {"0": "one", "1": "two"}}}),
            discover("/16/1", "</16/1>", "</16/1/0>;dim=2", whole=False),
            read("/16", {"0": {"0": IDENTITIES}, "1": {"0": {"0": "one", "1": "two"}}}),
            heard("updated", links=piece("</16/1>")),
        )
        for number, title in ((270, "Create"), (1630, "Create Portfolio"))
    ],
    *[
        case(
            number,
            title,
            "Delete of all instances of /16: 2.02; Discover /16: </16> only",
            registered(),
            ask("delete", "2.02", path="/16/0"),
            discover("/16", "</16>"),
            read("/16", lambda found: found == {}),
        )
        for number, title in ((290, "Delete"), (1635, "Delete Portfolio"))
    ],
]

REPORTING = [
    *[
        case(
            number,
            title,
            "pmin=1, pmax=3 on /3/0/7, pmin=2, pmax=4 on /3/0/8; Observe: notifications within these",
            registered(),
            read("/3/0/6", {"0": 5, "1": 1}),
            attributes("/3/0/7", "pmin=1&pmax=3"),
            attributes("/3/0/8", "pmin=2&pmax=4"),
            mark,
            observe("/3/0/7", {"0": 5000, "1": 3800}),
            observe("/3/0/8", {"0": 500, "1": 125}),
            sets("/3/0/7", {"0": 5100, "1": 3800}),
            notified("/3/0/7", {"0": 5100}, after=1),
            notified("/3/0/7", {"0": 5100}, after=1 + 3),
            notified("/3/0/8", {"0": 500}, after=4),
        )
        for number, title in ((301, "Observation and Notification"), (660, "Device, observation"))
    ],
    case(
        302,
        "Cancel Observation by Reset",
        "of /3/0/7, then of /3/0/8: each stops",
        registered(),
        observe("/3/0/7"),
        observe("/3/0/8"),
        resets("/3/0/7"),
        sets("/3/0/7", {"0": 5100, "1": 3800}),
        said("OBSERVATION_CANCELED", path="/3/0/7"),
        sets("/3/0/8", {"0": 510, "1": 125}),
        notified("/3/0/8", {"0": 510}),
        resets("/3/0/8"),
        sets("/3/0/8", {"0": 520, "1": 125}),
        said("OBSERVATION_CANCELED", path="/3/0/8"),
        sets("/3/0/7", {"0": 5200, "1": 3800}),
        silent("notification"),
    ),
    case(
        303,
        "Cancel Observation by Observe 1",
        "of /3/0/7 and /3/0/8: each stops",
        registered(),
        observe("/3/0/7"),
        observe("/3/0/8"),
        ask("cancel", "2.05", path="/3/0/7"),
        ask("cancel", "2.05", path="/3/0/8"),
        sets("/3/0/7", {"0": 5100, "1": 3800}),
        sets("/3/0/8", {"0": 510, "1": 125}),
        silent("notification"),
    ),
    case(
        304,
        "Observe-Composite",
        "pmin=2, pmax=3 on /1/0/1; /1/0/1, /3/0/11/0, /3/0/16: all three, and again within these",
        registered(),
        attributes("/1/0/1", "pmin=2&pmax=3"),
        mark,
        observe_composite(
            {"/1/0/1": LIFETIME, "/3/0/11/0": 0, "/3/0/16": "U"}, "/1/0/1", "/3/0/11/0", "/3/0/16"
        ),
        notified_composite({"/1/0/1": LIFETIME, "/3/0/11/0": 0, "/3/0/16": "U"}, after=3),
        sets("/1/0/1", 301),
        notified_composite({"/1/0/1": 301, "/3/0/11/0": 0, "/3/0/16": "U"}, after=3 + 2),
    ),
    case(
        305,
        "Cancel Observation-Composite",
        "2.05, and silence",
        registered(),
        observe_composite({"/1/0/1": LIFETIME}, "/1/0/1", "/3/0/16"),
        ask("cancel_composite", "2.05", {"/1/0/1": LIFETIME}),
        sets("/1/0/1", 301),
        heard("updated", lifetime=301),
        silent("composite_notification"),
    ),
    case(
        306,
        "Send",
        "the client sends /3/0: 2.04, the server has it",
        registered(),
        sends("/3/0"),
        heard("sent", data=lambda data: data[0]["values"]["/3/0/0"] == DEVICE["0"]),
        said("SENT", code="2.04"),
    ),
    case(
        307,
        "Muting Send",
        "/1/0/23 = true: nothing is sent; false: again",
        registered(),
        write("/1/0/23", True),
        sends("/3/0/0", to=()),
        write("/1/0/23", False),
        sends("/3/0/0"),
        heard("sent"),
    ),
    case(
        308,
        "Observe-Composite and Create",
        "pmin=2, pmax=3 on /16/0; /16/0, /16/1; Create /16/1: first the one, then both",
        registered(),
        attributes("/16/0", "pmin=2&pmax=3"),
        mark,
        observe_composite({"/16/0": {"0": IDENTITIES}, "/16/1": None}, "/16/0", "/16/1"),
        ask("create", "2.01", path="/16", instances={"1": {"0": {"0": "one"}}}),
        notified_composite({"/16/0": {"0": IDENTITIES}, "/16/1": {"0": {"0": "one"}}}, after=2),
    ),
    case(
        309,
        "Observe-Composite and Delete",
        "the same, then Delete /16/1: from then on /16/0 only",
        registered(),
        ask("create", "2.01", path="/16", instances={"1": {"0": {"0": "one"}}}),
        observe_composite({"/16/1": {"0": {"0": "one"}}}, "/16/0", "/16/1"),
        ask("delete", "2.02", path="/16/1"),
        notified_composite({"/16/0": {"0": IDENTITIES}, "/16/1": None}),
    ),
    case(
        310,
        "Observe-Composite with attributes",
        "/1/0/1, /3/0; then pmax=1 on /3: one each second",
        registered(),
        mark,
        observe_composite({"/1/0/1": LIFETIME, "/3/0": {"16": "U"}}, "/1/0/1", "/3/0"),
        attributes("/3", "pmax=1"),
        *[
            notified_composite({"/1/0/1": LIFETIME, "/3/0": {"16": "U"}}, after=n)
            for n in (1, 2, 3)
        ],
    ),
    case(
        311,
        "Send of some resources",
        "the client sends /1/0/1, /3/0/11/0",
        registered(),
        sends("/1/0/1", "/3/0/11/0"),
        heard("sent", data=[{"values": {"/1/0/1": LIFETIME, "/3/0/11/0": 0}}]),
    ),
    left(
        312,
        "Observe with attributes (1.2)",
        "Leshan has none; test_observers.py has it with aiocoap.",
    ),
    left(313, "Observe with attributes over attached ones (1.2)", "As 312."),
]

SECURITY = [
    case(
        401,
        "UDP with pre-shared keys",
        "it registers; Read /3/0 over DTLS",
        registered(),
        read("/3/0", {"0": DEVICE["0"]}),
    ),
    case(
        402,
        "UDP with certificates",
        "it registers; Read /3/0 over DTLS",
        registered(),
        read("/3/0", {"0": DEVICE["0"]}),
    ),
    case(
        403,
        "Certificate with a wrong host name",
        "the handshake ends",
        starts(name="other.example"),
        said("REG_FAILED", code="4.01", internal=True),
    ),
    left(404, "TCP with pre-shared keys", "The client has UDP only."),
    left(405, "OSCORE", "The client has no OSCORE."),
    left(406, "TCP with certificates", "The client has UDP only."),
    case(
        950,
        "Registration with two servers",
        "one Register each",
        registered(second=True),
        heard("registered", server=2),
    ),
    case(
        951,
        "Attributes of two servers",
        "each writes others to /3/0: Discover shows each its own",
        registered(second=True),
        heard("registered", server=2),
        attributes("/3/0", "pmin=2&pmax=10"),
        attributes("/3/0", "pmin=15&pmax=50", server=2),
        discover("/3/0", "</3/0>;pmin=2;pmax=10", whole=False),
        discover("/3/0", "</3/0>;pmin=15;pmax=50", whole=False, server=2),
    ),
]


def counted(found):
    return found > 0


TIMES = {"13": 1790000000, "14": "+03:00", "15": "Europe/Kiev"}

OBJECTS = [
    case(
        556,
        "Server, Registration Update Trigger",
        "as 104",
        registered(),
        execute("/1/0/8"),
        heard("updated", lifetime=LIFETIME),
    ),
    case(
        651,
        "Device, settings",
        "POST /3/0 with 13, 14, 15; Read; PUT the old values; Read",
        registered(),
        update("/3/0", TIMES),
        read("/3/0", {**TIMES, "13": ...}),
        write("/3/0", {rid: DEVICE[rid] for rid in TIMES}),
        read("/3/0", {"14": DEVICE["14"], "15": DEVICE["15"]}),
    ),
    case(652, "Device, firmware version", "Read /3/0/3", registered(), read("/3/0/3", "1.0")),
    case(
        680,
        "Device, Create",
        "POST /3: 4.05",
        registered(),
        ask("create", "4.05", path="/3", instances={"1": {"14": "+02:00"}}),
    ),
    case(
        685,
        "Device, Delete",
        "DELETE /3/0: 4.05",
        registered(),
        ask("delete", "4.05", path="/3/0"),
    ),
    case(
        701,
        "Connectivity Monitoring, Read",
        "Read /4/0: the mandatory ones",
        registered(),
        read("/4/0", {"0": 21, "1": {"0": 21}, "2": -61, "4": {"0": "192.0.2.7"}}),
    ),
    case(
        710,
        "Connectivity Monitoring, observation",
        "pmin=1, pmax=2 on /4/0; Observe: notifications",
        registered(),
        attributes("/4/0", "pmin=1&pmax=2"),
        mark,
        observe("/4/0"),
        sets("/4/0/2", -80),
        notified("/4/0", {"2": -80}, after=1),
        notified("/4/0", {"2": -80}, after=1 + 2),
    ),
    case(
        801,
        "Location, Read",
        "Read /6/0: the mandatory ones",
        registered(),
        read("/6/0", {"0": 48.5, "1": 16.25, "5": 1790000000}),
    ),
    case(
        810,
        "Location, observation",
        "pmin=1, pmax=2 on /6/0; Observe: notifications",
        registered(),
        attributes("/6/0", "pmin=1&pmax=2"),
        mark,
        observe("/6/0"),
        sets("/6/0/0", 48.75),
        notified("/6/0", {"0": 48.75, "1": 16.25}, after=1),
        notified("/6/0", {"0": 48.75}, after=1 + 2),
    ),
    case(
        901,
        "Connectivity Statistics, collection",
        "Execute /7/0/6, Read, Execute /7/0/7, Read /7/0: what was collected",
        registered(),
        execute("/7/0/6"),
        read("/3"),
        read("/7/0", {"5": counted}),
        execute("/7/0/7"),
        read("/7/0", {"2": ..., "3": ..., "5": counted}),
    ),
    case(
        905,
        "Connectivity Statistics, period",
        "Write /7/0/8; Read",
        registered(),
        write("/7/0/8", 3600),
        read("/7/0/8", 3600),
    ),
    case(
        910,
        "Connectivity Statistics, observation",
        "pmin=1, pmax=2 on /7/0; Observe: notifications",
        registered(),
        execute("/7/0/6"),
        attributes("/7/0", "pmin=1&pmax=2"),
        mark,
        observe("/7/0"),
        notified("/7/0", {"5": counted}, after=1),
        notified("/7/0", {"5": counted}, after=2),
    ),
    case(
        1900,
        "BinaryAppDataContainer, observation",
        "Observe /19/0/0; the application has data: a notification",
        registered(),
        observe("/19/0/0", {"0": {"hex": "00"}}),
        sets("/19/0/0", {"0": {"hex": "00"}, "1": {"hex": "c0ffee"}}),
        notified("/19/0/0", {"0": {"hex": "00"}, "1": {"hex": "c0ffee"}}),
    ),
    case(
        1901,
        "BinaryAppDataContainer, data of a server's",
        "Write /19/1/0: 2.04, the application has it",
        registered(),
        write("/19/1/0", {"0": {"hex": "0102"}}),
        said("WRITTEN", path="/19/1/0", value={"0": {"hex": "0102"}}),
    ),
    left(2000, "Event Log (object 20)", "The client has no object 20; its log is /26300/0/10."),
    left(2001, "Event Log (object 20)", "As 2000."),
]

FIRMWARE = [
    case(
        751,
        "Firmware Update, Read",
        "Read /5/0: state 0, result 0, delivery method",
        registered(update="host"),
        read("/5/0", {"3": 0, "5": 0, "8": ..., "9": 2}, "TLV"),
    ),
    case(
        755,
        "Package",
        "Write /5/0/0 = 0x00: state 0, result 0; a package: 2, 0",
        registered(update="host"),
        write("/5/0/0", {"hex": "00"}, "OPAQUE"),
        update_state(0, 0),
        pushes(),
        update_state(2, 0),
    ),
    case(
        756,
        "Package URI",
        'Write /5/0/1 = "": state 0, result 0; a URI: 2, 0',
        registered(update="host"),
        write("/5/0/1", "", "TEXT"),
        update_state(0, 0),
        lambda world: world.pull(),
        said("UPDATE", text="a package is there"),
        update_state(2, 0),
    ),
    case(
        760,
        "Firmware Update, observation",
        "Observe /5/0/3; a package: it is told of state 2",
        registered(update="host"),
        attributes("/5/0", "pmin=1&pmax=2"),
        observe("/5/0/3", 0),
        pushes(),
        notified("/5/0/3", 2),
    ),
    case(
        770,
        "Update by push",
        "reset, a package in blocks, Execute /5/0/2, restart: state 0, result 1, a new /3/0/3",
        registered(update="host"),
        read("/3/0/3", "1.0"),
        write("/5/0/0", {"hex": "00"}, "OPAQUE"),
        pushes(),
        update_state(2, 0),
        execute("/5/0/2"),
        restarts,
        heard("registered"),
        said("UPDATE", text="the new application is kept"),
        update_state(0, 1),
        read("/3/0/3", "2.0"),
    ),
    case(
        771,
        "Update by pull",
        "the same by a URI, of libcoap's server",
        registered(update="host"),
        lambda world: world.pull(),
        said("UPDATE", text="a package is there"),
        execute("/5/0/2"),
        restarts,
        heard("registered"),
        said("UPDATE", text="the new application is kept"),
        update_state(0, 1),
        read("/3/0/3", "2.0"),
    ),
    case(
        772,
        "Update in a wrong state",
        "Execute /5/0/2 without a package: 4.05, nothing changes",
        registered(update="host"),
        execute("/5/0/2", code="4.05"),
        update_state(0, 0),
    ),
    case(
        773,
        "Not enough storage",
        "a package larger than its flash: state 0, result 2",
        registered(update="small"),
        pushes("4.13", filling=100_000),
        update_state(0, 2),
        read("/3/0/3", "1.0"),
    ),
    left(
        774,
        "Out of memory",
        "A package goes to flash as it comes, so that a large one takes no more memory than a small one.",
    ),
    left(
        775,
        "Connection lost during a download",
        "It is given up after minutes; tests/unit/test_update_pull.py has them on a clock of its own.",
    ),
    case(
        776,
        "Integrity",
        "a package whose signature is wrong: state 0, result 5",
        registered(update="host"),
        pushes("4.00", damaged=True),
        update_state(0, 5),
        read("/3/0/3", "1.0"),
    ),
    case(
        777,
        "Unsupported package",
        "a package for another kind of device: state 0, result 6",
        registered(update="host"),
        pushes("4.00", target="another"),
        update_state(0, 6),
        read("/3/0/3", "1.0"),
    ),
    case(
        778,
        "Invalid URI",
        "Write of what is no URI: state 0, result 7",
        registered(update="host"),
        write("/5/0/1", "coap://", "TEXT"),
        update_state(0, 7),
        read("/3/0/3", "1.0"),
    ),
    case(
        779,
        "Installation fails",
        "a signed package that cannot be unpacked; Execute /5/0/2: state 2, result 8, /3/0/3 as before",
        registered(update="host"),
        pushes(file="../app.py"),
        update_state(2, 0),
        execute("/5/0/2"),
        said("UPDATE", text="not installed: it cannot be unpacked"),
        update_state(2, 8),
        read("/3/0/3", "1.0"),
    ),
    case(
        780,
        "Unsupported protocol",
        "a URI of HTTP: state 0, result 9",
        registered(update="host"),
        write("/5/0/1", "http://127.0.0.1/package", "TEXT"),
        update_state(0, 9),
        note="The specification has the number and no text.",
    ),
]

EMPTY = (202, 210, 271, 555, 560, 565, 566, 656, 657, 661, 670)

CASES = sorted(
    BOOTSTRAP
    + REGISTRATION
    + READ
    + WRITE
    + OPERATIONS
    + REPORTING
    + SECURITY
    + OBJECTS
    + FIRMWARE
)

# --- The table of tests/README.md

BEGIN, END = "<!-- Made by interop/ets.py --write -->\n", "<!-- Its end -->"


def table():
    lines = ["| number | case | what is done and seen | result |", "|---|---|---|---|"]
    for c in CASES:
        result = ("passes" if c.steps else "not done") + (": " + c.note if c.note else "")
        lines.append("| %d | %s | %s | %s |" % (c.number, c.title, c.does, result))
    lines.append("")
    return "\n".join(lines)


def main():
    path = Path(__file__).parents[1] / "README.md"
    text = path.read_text()
    made = re.sub("(?<=%s).*?(?=%s)" % (BEGIN, END), lambda match: table(), text, flags=re.DOTALL)
    if "--write" in sys.argv:
        path.write_text(made)
    elif made != text:
        sys.exit("tests/README.md has another table: python tests/interop/ets.py --write")


if __name__ == "__main__":
    main()
