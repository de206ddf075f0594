# Bootstrap-Pack-Request (LwM2M 1.2 6.1.7.7), client's side: what is asked for, what a pack changes, and when
# the client asks to be bootstrapped instead.

import lwm2m
from lwm2m.management import format_module
from lwm2m.model import INT, STR, Object, R, W
from lwm2m.objects import SECURITY, SERVER
from ucoap import CON, GET, POST
from world import Provisioner, Registrar, World, account, dump, server, servers_of
import lwm2m.model as model

JSON = 110
CBOR = 112
LWM2M_CBOR = 11544

# Of the account that _records() gives, as SenML JSON by hand (RFC 8428 5).
_SECURITY = (
    '{"bn":"/0/1/","n":"0","vs":"coap://server:5683"},{"n":"1","vb":false},{"n":"2","v":3},'
    '{"n":"10","v":1}'
)
_SERVER = (
    '{"bn":"/1/0/","n":"0","v":1},{"n":"1","v":300},{"n":"6","vb":true},{"n":"7","vs":"U"},'
    '{"n":"23","vb":false}'
)


def _pack(*parts):
    return ("[%s]" % ",".join(parts)).encode()


GOOD = _pack(_SECURITY, _SERVER)


class _Packer(Provisioner):
    """A bootstrap server that has a pack, or a code in its place."""

    code = 0x45
    format = JSON
    pack = GOOD

    def answer(self, request, reply):
        if request.path.endswith("/bspack"):
            if self.code == 0x45:
                reply.content_format = self.format
            reply.payload = self.pack
            return self.code
        return self.accepted


class _Case:
    """A client of LwM2M 1.2 with a bootstrap server account of that instance id, and other objects."""

    def __init__(
        self, code=0x45, pack=GOOD, format=JSON, own=0, version="1.2", uri="coap://bs:5783"
    ):
        self.world = World()
        self.registrar = Registrar(self.world)
        self.provisioner = _Packer(self.world)
        self.provisioner.code = code
        self.provisioner.pack = pack
        self.provisioner.format = format
        self.client = self.world.client(version=version)
        self.client.add_bootstrap_server(uri, lwm2m.SEC_NONE)
        self.objects = self.client.core.objects
        self.objects[0].instances = {own: self.objects[0].instances[0]}
        self.kept = Object(
            1000,
            (
                0,
                STR | R | W,
            ),
            {0: {0: "kept"}},
            bootstrap=True,
        )
        self.other = Object(1001, (0, INT | R | W, 1, STR | R | W), {5: {0: 5}}, bootstrap=True)
        self.client.add_object(self.kept)
        self.client.add_object(self.other)
        self.before = dump(self.client)

    def run(self):
        """Until the client is registered, or has asked to be bootstrapped; [what it asked for]."""
        provisioner = self.provisioner
        self.world.run(5, lambda: self.registrar.location or len(provisioner.requests) > 1)
        self.world.run(1)
        return [request.path for request in provisioner.requests]

    def texts(self):
        """The words of the events that told of a failure."""
        return [e.text for _, e in self.world.events if e.type == lwm2m.EVENT_BS_FAILED]


def test_the_request():
    case = _Case(own=4, uri="coap://bs:5783/tenant?a=b")
    assert case.run() == ["/tenant/bspack"]
    request = case.provisioner.requests[0]
    assert (request.code, request.type) == (GET, CON) and not request.payload
    assert request.query == ["a=b", "ep=dev", "acc=</0/4>"]
    # Only as LwM2M 1.2, and with the module.
    for version in ("1.0", "1.1"):
        case = _Case(version=version)
        assert case.run()[0] == "/bs"


def test_bootstrapped_by_a_pack():
    case = _Case()
    assert case.run() == ["/bspack"]
    assert case.world.story() == [
        "BS_PENDING",
        "BS_FINISHED",
        "REG_REGISTERING 1",
        "REG_REGISTERED 1",
    ]
    assert case.world.datagrams == 4
    assert case.objects[0].get(0, 1) is True  # its own account has stayed
    assert servers_of(case.client) == {0: {0: 1, 1: 300, 6: True, 7: "U", 23: False}}
    assert abs(case.objects[1].get(0, 12) - case.objects[3].get(0, 13)) < 60
    assert case.kept.instances == {0: {0: "kept"}} and case.other.instances == {5: {0: 5}}
    # The connection to the bootstrap server ends by itself.
    case.world.run(300)
    assert not case.world.connections[0].open and not case.world.statuses


def test_formats():
    for format in (JSON, CBOR, LWM2M_CBOR):
        out = bytearray()
        sink = format_module(format).Sink(out, format)
        model.encode(sink, Object(0, SECURITY, {1: account(1)}), (0,), 0x0F, last=False)
        model.encode(sink, Object(1, SERVER, {0: server(1)}), (1,), 0x0F)
        case = _Case(pack=bytes(out), format=format)
        assert case.run() == ["/bspack"], format
        assert servers_of(case.client) == {0: server(1)}
        assert case.objects[0].instances[1] == account(1)


def test_what_a_pack_replaces():
    # Objects that are in it have its instances only; resources that nobody knows are left out.
    more = '{"bn":"/1001/7/","n":"0","v":7},{"n":"1","vs":"new"},{"n":"99","v":1}'
    case = _Case(pack=_pack(more, _SERVER, _SECURITY))
    assert case.run() == ["/bspack"]
    assert case.other.instances == {7: {0: 7, 1: "new"}}
    assert case.kept.instances == {0: {0: "kept"}}
    # A server's old account goes.
    case.provisioner.pack = _pack(
        _SECURITY.replace('/0/1/"', '/0/9/"').replace('"v":1}', '"v":2}'),
        _SERVER.replace('/1/0/"', '/1/3/"').replace('"n":"0","v":1}', '"n":"0","v":2}'),
    )
    assert case.registrar.execute("/1/0/9").code == 0x44
    assert case.world.run(5, lambda: case.registrar.count == 2)
    assert sorted(case.objects[0].instances) == [0, 9] and sorted(case.objects[1].instances) == [3]


def test_the_bootstrap_server_account():
    # (where it is, what the pack has at /0; where it is then, and its URI)
    own = '{"bn":"/0/%d/","n":"0","vs":"coap://other:5783"},{"n":"1","vb":true},{"n":"2","v":3}'
    at_0 = _SECURITY.replace('/0/1/"', '/0/0/"')
    for old, parts, iid, uri in (
        (0, (_SECURITY,), 0, "coap://bs:5783"),
        (7, (_SECURITY,), 7, "coap://bs:5783"),
        (0, (at_0,), 1, "coap://bs:5783"),  # it makes room
        (0, (own % 0, _SECURITY), 0, "coap://other:5783"),
        (0, (own % 5, _SECURITY), 5, "coap://other:5783"),
        (0, (at_0, own % 1), 1, "coap://other:5783"),
    ):
        case = _Case(pack=_pack(*(parts + (_SERVER,))), own=old)
        assert case.run() == ["/bspack"], parts
        found = case.objects[0].instances
        accounts = [(i, found[i][0]) for i in found if found[i][1]]
        assert accounts == [(iid, uri)] and len(found) == 2, (old, parts, found)


def test_no_pack():
    # What a server may say that has none for this client, and others.
    for code in (0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x8F, 0xA0, 0xA1, 0xA3, 0x44, 0x41):
        case = _Case(code, b"")
        assert case.run() == ["/bspack", "/bs"], code
        assert case.world.story() == ["BS_PENDING"], code
        assert dump(case.client) == case.before
        request = case.provisioner.requests[1]
        assert request.code == POST and request.query == ["ep=dev", "pct=112"]
        # The session that follows is as any other.
        assert case.provisioner.write("/0/1", account(1)).code == 0x44
        assert case.provisioner.write("/1/0", server(1)).code == 0x44
        assert case.provisioner.finish().code == 0x44
        assert case.world.run(5, lambda: case.registrar.location)


# (a pack, its format, words of the reason). All is as before, and the client asks to be bootstrapped.
_BAD = (
    (b"", JSON, ""),
    (b"[", JSON, ""),
    (b"[]", JSON, "only a bootstrap server account"),
    (GOOD, 11542, "no format that was asked for"),
    (GOOD, 0, "no format that was asked for"),
    (GOOD, None, "no format that was asked for"),
    (GOOD, CBOR, "malformed"),
    (b"\x80", CBOR, "only a bootstrap server account"),
    (b"\xa0", LWM2M_CBOR, "only a bootstrap server account"),
    (GOOD[:-1], JSON, ""),
    (GOOD + b"x", JSON, ""),
    (_pack(_SECURITY), JSON, "short server id 1 has no pair"),
    (_pack(_SERVER), JSON, "short server id 1 has no pair"),
    (_pack(_SECURITY, _SERVER, _SERVER), JSON, "a value twice"),
    (_pack(_SECURITY, _SERVER, '{"n":"1"}'), JSON, "a name without a value"),
    (_pack(_SECURITY, _SERVER, '{"n":"1","v":null}'), JSON, ""),
    (
        _pack(_SECURITY, _SERVER.replace("300", '"300"').replace('"v":"', '"vs":"')),
        JSON,
        "of that type",
    ),
    (_pack(_SECURITY, _SERVER.replace("300", "-1")), JSON, "/1/x/1 must be a whole number"),
    (_pack(_SECURITY, _SERVER.replace('"U"', '"T"')), JSON, "asks for U, not T"),
    (_pack(_SECURITY, '{"bn":"/1/0/","n":"0","v":1}'), JSON, "/1/0: resource 1 is missing"),
    (_pack(_SECURITY.replace("coap:", "coaps:"), _SERVER), JSON, "coaps:// with NoSec"),
    (_pack(_SECURITY.replace('"v":3', '"v":0'), _SERVER), JSON, "coap:// without NoSec"),
    (_pack(_SECURITY.replace('"v":1}', '"v":0}'), _SERVER), JSON, "/0/1/10 must be from 1"),
    (_pack(_SECURITY.replace("false", "true"), _SERVER), JSON, "no pair"),
    (_pack(_SECURITY, _SERVER, '{"bn":"/3/0/","n":"15","vs":"UTC"}'), JSON, "/3 is not to be"),
    (_pack(_SECURITY, _SERVER, '{"bn":"/4444/0/","n":"1","v":1}'), JSON, "/4444 is not to be"),
    (_pack(_SECURITY, _SERVER, '{"bn":"/1001/0/","n":"0","vs":"x"}'), JSON, "of that type"),
    (_pack(_SECURITY, _SERVER, '{"bn":"/1001/0/","n":"0/0","v":1}'), JSON, "single or multiple"),
    (_pack(_SECURITY, _SERVER, '{"bn":"/65535/0/","n":"0","v":1}'), JSON, "no path"),
    (_pack(_SECURITY, _SERVER, '{"bn":"/0/65535/","n":"0","v":1}'), JSON, "no path"),
)


def test_a_bad_pack():
    for pack, format, words in _BAD:
        case = _Case(pack=pack, format=format)
        assert case.run() == ["/bspack", "/bs"], (pack, format)
        texts = case.texts()
        assert len(texts) == 1 and words in texts[0], (pack, format, texts)
        assert case.world.story() == ["BS_PENDING", "BS_FAILED", "BS_PENDING"]
        assert dump(case.client) == case.before, pack
    # Cut at every byte.
    for n in range(len(GOOD)):
        case = _Case(pack=GOOD[:n])
        assert case.run() == ["/bspack", "/bs"], n
        assert dump(case.client) == case.before


def test_a_pack_in_blocks():
    text = '{"bn":"/1001/7/","n":"1","vs":"%s"}' % ("long" * 400)
    case = _Case(pack=_pack(text, _SECURITY, _SERVER))
    assert case.run() == ["/bspack"] and case.world.datagrams > 4
    assert case.registrar.location
    assert case.other.instances == {7: {1: "long" * 400}}


def test_no_answer():
    # As with /bs: the attempt has failed, and the next one asks for a pack again.
    case = _Case()
    case.provisioner.silent = True
    assert case.world.run(200, case.texts)
    assert case.texts() == ["no answer"]
    assert dump(case.client) == case.before
    case.provisioner.silent = False
    assert case.world.run(200, lambda: case.registrar.location)
    assert [request.path for request in case.provisioner.requests] == ["/bspack"]


def test_an_operation_comes_first():
    # A server that has taken the request for one to be bootstrapped: what it writes counts.
    case = _Case(code=0)  # it answers later
    assert case.world.run(5, lambda: case.provisioner.requests)
    case.world.run(1)
    assert case.provisioner.write("/0/1", account(1)).code == 0x44
    assert case.provisioner.write("/1/0", server(1)).code == 0x44
    assert case.provisioner.finish().code == 0x44
    assert case.world.run(5, lambda: case.registrar.location)


def test_no_memory():
    case = _Case()
    transaction = lwm2m.optional("transaction")
    write = transaction.write

    def starved(*args):
        transaction.write = write
        raise MemoryError

    transaction.write = starved
    assert case.world.run(200, case.texts)
    assert dump(case.client) == case.before
    assert case.world.run(200, lambda: case.registrar.location)  # the next attempt


def test_while_registered():
    # Triggered by a server: one whose pack is no good leaves the client with what it has.
    case = _Case()
    case.run()
    case.provisioner.pack = _pack(
        _SECURITY.replace('"v":1}', '"v":2}')
    )  # /1 stays, and has no pair
    case.provisioner.accepted = 0x80
    before = dump(case.client)
    assert case.registrar.execute("/1/0/9").code == 0x44
    assert case.world.run(20, lambda: len(case.texts()) == 2)
    case.world.run(5)
    assert dump(case.client) == before and case.registrar.count == 1
    assert case.registrar.read("/1/0/1").text == "300"
