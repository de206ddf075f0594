# What Finish looks at: each fault as the only one, beside its nearest valid neighbour.

import dtls_certs as certs
import lwm2m
from lwm2m.consistency import inconsistency
from lwm2m.objects import base_objects, split_uri
from lwm2m.security import security_fault
from ucoap import PUT
from world import Provisioner, Registrar, World, account, dump, encode, instances, server

TLV = 11542
COAP = "coap://server:5683"
COAPS = "coaps://server:5684"
DER = b"\x30\x03\x02\x01\x05"  # a SEQUENCE, as all of mode 2 is

# Nearest neighbours: each Security Mode as it has to be.
_NOSEC = {0: COAP, 2: 3, 3: b"", 4: b"", 5: b""}
_PSK = {0: COAPS, 2: 0, 3: b"identity", 4: b"", 5: b"key"}
_RPK = {0: COAPS, 2: 1, 3: certs.CLIENT_PUBLIC, 4: certs.SERVER_PUBLIC, 5: certs.CLIENT_KEY}
_CERTIFICATE = {0: COAPS, 2: 2, 3: DER, 4: DER, 5: DER}

_FAULTS = (
    # neighbour, what is different, a word of the diagnostic payload. They hold for the account of
    # a server and for that of a bootstrap server.
    # 3. The URI scheme is secure, the mode is NoSec or keys are missing.
    (_NOSEC, {0: COAPS}, "NoSec"),
    (_PSK, {2: 3}, "NoSec"),
    (_PSK, {3: b""}, "Identity"),
    (_PSK, {3: None}, "Identity"),
    (_PSK, {5: b""}, "Secret Key"),
    (_PSK, {5: None}, "Secret Key"),
    (_PSK, {3: None, 4: None, 5: None}, "Identity"),
    (_RPK, {3: b""}, "Identity"),
    (_RPK, {5: b""}, "Secret Key"),
    (_CERTIFICATE, {5: None}, "Secret Key"),
    (_CERTIFICATE, {2: 3, 3: b"", 4: b"", 5: b""}, "NoSec"),
    # 4. The scheme is not secure, there is a mode or there are keys.
    (_NOSEC, {2: 0}, "NoSec"),
    (_NOSEC, {2: 1}, "NoSec"),
    (_NOSEC, {2: 2}, "NoSec"),
    (_NOSEC, {3: b"identity"}, "keys"),
    (_NOSEC, {4: DER}, "keys"),
    (_NOSEC, {5: b"key"}, "keys"),
    (_PSK, {0: COAP}, "NoSec"),
    (_RPK, {0: COAP}, "NoSec"),
    (_CERTIFICATE, {0: COAP}, "NoSec"),
    # 6. Mode and keys do not fit each other.
    (_PSK, {2: 1}, "DER"),
    (_PSK, {2: 2}, "DER"),
    (_RPK, {3: b"identity"}, "DER"),
    (_RPK, {4: b""}, "DER"),
    (_RPK, {4: None}, "DER"),
    (_RPK, {4: b"\x04\x01\x02"}, "DER"),  # a bare point
    (_RPK, {5: b"key"}, "DER"),
    # A raw public key that is cut, has a byte too many, or is something else, and another pair's.
    (_RPK, {3: certs.CLIENT_PUBLIC[:-1]}, "Public Key is no"),
    (_RPK, {3: certs.CLIENT}, "Public Key is no"),
    (_RPK, {4: certs.SERVER_PUBLIC + b"\0"}, "Server Public Key is no"),
    (_RPK, {4: bytes(32), 13: 1}, "Server Public Key is no"),  # its digest
    (_RPK, {5: certs.CLIENT_KEY[:-1]}, "Secret Key is no"),
    (_RPK, {5: certs.SERVER_KEY}, "another Public Key"),
    (_CERTIFICATE, {3: b"-----BEGIN CERTIFICATE-----"}, "DER"),
    (_CERTIFICATE, {4: b""}, "DER"),
    (_CERTIFICATE, {5: b"\x00"}, "DER"),
    # Modes that there are not, or not in this build.
    (_CERTIFICATE, {2: 4}, "not supported"),
    (_PSK, {2: 5}, "not supported"),
    # Schemes that this build cannot do, and what is no URI.
    (_NOSEC, {0: "coap+tcp://server:5683"}, "coap://"),
    (_PSK, {0: "coaps+tcp://server:5684"}, "coap://"),
    (_NOSEC, {0: "http://server"}, "coap://"),
    (_NOSEC, {0: "server"}, "coap://"),
    (_NOSEC, {0: ""}, "coap://"),
    (_NOSEC, {0: "coap://"}, "coap://"),
    (_NOSEC, {0: "coap://:5683"}, "coap://"),
    (_NOSEC, {0: "coap://server:0"}, "coap://"),
    (_NOSEC, {0: "coap://server:65536"}, "coap://"),
    (_NOSEC, {0: "coap://server:x"}, "coap://"),
    # Mandatory resources are missing.
    (_NOSEC, {0: None}, "missing"),
    (_NOSEC, {2: None}, "missing"),
    (_PSK, {2: None}, "missing"),
)


class _Session:
    def __init__(self, modes=(0, 1, 2, 3)):
        self.world = World(modes=modes)
        self.registrar = Registrar(self.world)
        self.provisioner = Provisioner(self.world)
        self.client = self.world.client()
        self.client.add_bootstrap_server("coap://bs:5783", lwm2m.SEC_NONE)
        assert self.world.run(5, lambda: self.provisioner.requests)
        self.world.run(1)

    def put(self, oid, iid, values):
        """Write an instance resource by resource, as what is missing would be refused at once."""
        assert self.provisioner.delete("/%d/%d" % (oid, iid)).code in (0x42, 0x80)
        for rid in values:
            if values[rid] is not None:
                data = encode({rid: values[rid]})
                answer = self.provisioner.ask(PUT, "/%d/%d/%d" % (oid, iid, rid), data, TLV)
                assert answer.code == 0x44, (oid, iid, rid, answer.text)

    def refused(self, *words):
        """Finish is 4.06 and says why, and nothing comes of it."""
        before = dump(self.client)
        answer = self.provisioner.finish()
        assert answer.code == 0x86, (words, answer.code)
        for word in words:
            assert word in answer.text, (word, answer.text)
        assert dump(self.client) == before
        self.world.run(1)
        assert not [e for _, e in self.world.events if e.type == lwm2m.EVENT_BS_FINISHED]

    def accepted(self):
        answer = self.provisioner.finish()
        assert answer.code == 0x44, answer.text
        self.world.run(1)
        assert [e for _, e in self.world.events if e.type == lwm2m.EVENT_BS_FINISHED]


def _with(neighbour, changes, **more):
    values = dict(neighbour)
    values.update(changes)
    return values


def _server_account(values):
    return _with(values, {1: False, 10: 1})


def test_faults_of_a_server_account():
    for neighbour, changes, word in _FAULTS:
        session = _Session()
        session.put(1, 0, server(1))
        session.put(0, 1, _server_account(_with(neighbour, changes)))
        session.refused(word, "/0/1")
        # Mended, it passes.
        session.put(0, 1, _server_account(neighbour))
        session.accepted()


def test_faults_of_a_bootstrap_account():
    for neighbour, changes, word in _FAULTS:
        session = _Session()
        session.put(1, 0, server(1))
        session.put(0, 1, account(1))
        # A new one, in whose place the old one goes: Delete / keeps that, and hides its id.
        assert session.provisioner.delete("/0").code == 0x42
        session.put(0, 1, account(1))
        session.put(0, 4, _with({1: True}, _with(neighbour, changes)))
        session.refused(word, "/0/4")
        for rid in neighbour:
            data = encode({rid: neighbour[rid]})
            answer = session.provisioner.ask(PUT, "/0/4/%d" % rid, data, TLV)
            assert answer.code == 0x44, answer.text
        session.accepted()
        assert sorted(session.client.core.objects[0].instances) == [1, 4]


def test_digest_of_a_certificate():
    # With a Matching Type (/0/x/13) but 0 the Server Public Key is a digest, which is no DER.
    digest = bytes(32)
    session = _Session()
    session.put(1, 0, server(1))
    session.put(0, 1, _server_account(_with(_CERTIFICATE, {4: digest, 13: 0})))
    session.refused("DER", "/0/1")
    for changes in ({4: b"", 13: 1}, {4: digest, 13: 1, 3: digest}, {4: digest, 13: 1, 5: digest}):
        session.put(0, 1, _server_account(_with(_CERTIFICATE, changes)))
        session.refused("DER", "/0/1")
    session.put(0, 1, _server_account(_with(_CERTIFICATE, {4: digest, 13: 1})))
    session.accepted()


def test_no_account():
    # 1. no server account at all; 2. only a bootstrap server account. The first cannot happen in
    # a session, which there is none of without that account.
    objects = base_objects(None)
    assert inconsistency(objects, (3,)) == "no server account"
    objects[0].instances = {0: account(None)}
    assert inconsistency(objects, (3,)) == "only a bootstrap server account"
    objects[0].instances = {1: account(1)}
    objects[1].instances = {0: server(1)}
    assert inconsistency(objects, (3,)) is None
    objects[0].instances = {0: account(None), 1: account(1)}
    assert inconsistency(objects, (3,)) is None
    session = _Session()
    session.refused("only a bootstrap server account")
    session.put(0, 1, account(1))
    session.put(1, 0, server(1))
    session.accepted()


def test_deleted_server_account():
    session = _Session()
    session.put(0, 1, account(1))
    session.put(1, 0, server(1))
    assert session.provisioner.delete("/").code == 0x42
    session.refused("only a bootstrap server account")


def test_two_bootstrap_accounts():
    # Refused at the Write already; should there be two all the same, Finish finds them.
    objects = base_objects(None)
    objects[1].instances = {0: server(1)}
    objects[0].instances = {0: account(None), 1: account(1), 2: account(None)}
    assert inconsistency(objects, (3,)) == "two bootstrap server accounts"
    objects[0].instances.pop(2)
    assert inconsistency(objects, (3,)) is None
    session = _Session()
    answer = session.provisioner.write("/0/2", account(None))
    assert answer.code == 0x80 and "/0/0 is the bootstrap server account" == answer.text


def test_binding():
    # 5. The URI asks for a transport that Binding does not have.
    for binding in ("T", "S", "SQ", "N", "TQ"):
        session = _Session()
        session.put(0, 1, account(1))
        session.put(1, 0, server(1, binding=binding))
        session.refused("/1/0/7", "U")
        session.put(1, 0, server(1, binding="U"))
        session.accepted()
    for binding in ("U", "UQ", "UT", "TU", "US", "UQS"):
        session = _Session()
        session.put(0, 1, account(1))
        session.put(1, 0, server(1, binding=binding))
        session.accepted()


def test_binding_of_a_secure_account():
    session = _Session()
    session.put(0, 1, _server_account(_PSK))
    session.put(1, 0, server(1, binding="T"))
    session.refused("/1/0/7")
    session.put(1, 0, server(1))
    session.accepted()


def test_modes_of_this_build():
    # What is right by itself is not if this build cannot do it.
    for neighbour, mode in ((_PSK, 0), (_RPK, 1), (_CERTIFICATE, 2)):
        session = _Session(modes=[m for m in (0, 1, 2, 3) if m != mode])
        session.put(0, 1, _server_account(neighbour))
        session.put(1, 0, server(1))
        session.refused("not supported", "%d" % mode)
        session.put(0, 1, account(1))
        session.accepted()


def test_short_server_ids():
    for short_id in (0, 65535, None):
        session = _Session()
        session.put(1, 0, server(1))
        session.put(0, 1, _with(account(1), {10: short_id}))
        session.refused("/0/1/10")
        session.put(0, 1, account(1))
        session.accepted()
    for short_id in (1, 65534):
        session = _Session()
        session.put(1, 0, server(short_id))
        session.put(0, 1, account(short_id))
        session.accepted()


def test_pairs():
    # Each /1 instance needs one /0 instance of the same short id, not the bootstrap server's.
    def lonely_security(session):
        session.put(0, 2, account(2))

    def lonely_server(session):
        session.put(1, 1, server(2))

    def same_security(session):
        session.put(0, 2, account(1, "coap://other"))

    def same_server(session):
        session.put(1, 1, server(1, 60))

    for fault, words in (
        (lonely_security, ("/0/2", "id 2")),
        (lonely_server, ("/1/1", "id 2")),
        (same_security, ("/0/2", "twice")),
        (same_server, ("/1/1", "twice")),
    ):
        session = _Session()
        session.put(0, 1, account(1))
        session.put(1, 0, server(1))
        fault(session)
        session.refused(*words)
        # The neighbour: the other half is there too.
        session.put(0, 2, account(2))
        session.put(1, 1, server(2))
        session.accepted()


def test_pairs_without_any_other():
    session = _Session()
    session.put(0, 1, account(1))
    session.refused("id 1")
    session = _Session()
    session.put(1, 0, server(1))
    session.refused("id 1")
    session.put(0, 1, account(1))
    session.accepted()


def test_missing_in_the_server_object():
    for rid in (0, 1, 6, 7):
        session = _Session()
        session.put(0, 1, account(1))
        session.put(1, 0, _with(server(1), {rid: None}))
        session.refused("/1/0", "resource %d is missing" % rid)
        session.put(1, 0, server(1))
        session.accepted()


def test_missing_bootstrap_flag():
    session = _Session()
    session.put(1, 0, server(1))
    session.put(0, 1, _with(account(1), {1: None}))
    session.refused("/0/1", "resource 1 is missing")
    session.put(0, 1, account(1))
    session.accepted()


# What a value cannot be by itself is refused where it comes in: in a Write, 4.00, and where it does
# not come in one, as of flash or the factory, in words.
_VALUES = (
    # object, resource, values that cannot be, values that can
    (0, 2, (-1, 256), (3,)),
    (0, 10, (-1, 65536), (1, 65534)),
    (0, 11, (-1, 1 << 31, 1 << 63), (0, 1, 0x7FFFFFFF)),
    (0, 12, (-1, 1 << 31), (0, 0x7FFFFFFF)),
    (0, 13, (4, 255), (0, 3)),
    (0, 15, (4,), (0, 3)),
    (1, 0, (-1, 0, 65535, 65536), (1,)),
    (1, 1, (-1, 1 << 31, 99999999999), (0, 1, 0x7FFFFFFF)),
    (1, 2, (-1, 1 << 31), (0, 60)),
    (1, 3, (-1,), (0, 60)),
    (1, 5, (-1,), (0, 86400)),
    (1, 7, ("", "Q", "U&ep=other", "U U", "UU", "u", "UX"), ("U", "UQ", "UT")),
    (1, 13, (1 << 31,), (0,)),
    (1, 17, (0, 1 << 31), (1,)),
    (1, 18, (1 << 31,), (0, 60)),
    (1, 20, (0,), (1,)),
)


def test_values_that_cannot_be():
    session = _Session()
    session.put(0, 1, account(1))
    session.put(1, 0, server(1))
    before = dump(session.client)
    iids = 1, 0
    for oid, rid, wrong, right in _VALUES:
        for value in wrong:
            path = "/%d/%d/%d" % (oid, iids[oid], rid)
            answer = session.provisioner.ask(PUT, path, encode({rid: value}), TLV)
            assert answer.code == 0x80, (path, value)
            assert "/%d/x/%d" % (oid, rid) in answer.text or "malformed" in answer.text, (
                answer.text
            )
            assert dump(session.client) == before, (path, value)
            # Not from flash either.
            objects = base_objects(None)
            objects[0].instances = {1: account(1)}
            objects[1].instances = {0: server(1)}
            objects[oid].instances[iids[oid]][rid] = value
            text = inconsistency(objects, (3,))
            assert text.startswith("/%d/%d/%d " % (oid, iids[oid], rid)), text
    for oid, rid, wrong, right in _VALUES:
        for value in right:
            if rid not in (0, 2, 10):  # which others depend on
                path = "/%d/%d/%d" % (oid, iids[oid], rid)
                answer = session.provisioner.ask(PUT, path, encode({rid: value}), TLV)
                assert answer.code == 0x44, (path, value, answer.text)
    session.accepted()


def test_values_of_another_type():
    # A slot with a right CRC may have them (and once stopped Client() with TypeError).
    for oid, rid, value in (
        (0, 0, b"coap://server"),
        (0, 0, None),
        (0, 1, 0),
        (0, 2, "3"),
        (0, 3, "identity"),
        (0, 10, True),
        (0, 10, 1.0),
        (0, 16, 7),
        (0, 16, {0: "x"}),
        (0, 16, {-1: 7}),
        (0, 17, (0, 1, 2)),
        (0, 17, (0, "0")),
        (1, 1, b"300"),
        (1, 1, {0: 300}),
        (1, 6, 1),
        (1, 7, b"U"),
    ):
        objects = base_objects(None)
        objects[0].instances = {1: account(1)}
        objects[1].instances = {0: server(1)}
        objects[oid].instances[1 - oid][rid] = value
        text = inconsistency(objects, (3,))
        assert text and text.startswith("/%d/%d/%d " % (oid, 1 - oid, rid)), (
            oid,
            rid,
            value,
            text,
        )


def test_several_servers():
    session = _Session()
    both = {1: account(1), 2: _with(account(2), {0: "coap://server:5002"})}
    assert session.provisioner.write("/0", instances(both)).code == 0x44
    assert session.provisioner.write("/1", instances({0: server(1), 1: server(2)})).code == 0x44
    # One of them is at fault: the whole is.
    session.put(0, 2, _with(account(2), {5: b"key"}))
    session.refused("/0/2")
    session.put(0, 2, both[2])
    session.accepted()


def test_uris():
    for uri, parts in (
        ("coap://host", ("coap", "host", 5683, "")),
        ("coaps://host", ("coaps", "host", 5684, "")),
        ("COAP://host", ("coap", "host", 5683, "")),
        ("coap://host:1", ("coap", "host", 1, "")),
        ("coap://host:65535/", ("coap", "host", 65535, "")),
        ("coap://host:", ("coap", "host", 5683, "")),  # RFC 3986 3.2.3 lets the port be empty
        ("coap://10.0.0.1/a/b?c=d&e", ("coap", "10.0.0.1", 5683, "a/b?c=d&e")),
        ("coap://host?x=/y", ("coap", "host", 5683, "?x=/y")),
        ("coap://[::1]", ("coap", "::1", 5683, "")),
        # Percent-encoding (RFC 7252 6.4), and the zone of an address (RFC 6874).
        ("coap://[fe80::1%25eth0]:7", ("coap", "fe80::1%eth0", 7, "")),
        ("coap://h%6fst/a%2Fb?c%26d", ("coap", "host", 5683, "a%2Fb?c%26d")),
        ("coaps://[2001:db8::1]:7/p", ("coaps", "2001:db8::1", 7, "p")),
    ):
        assert split_uri(uri) == parts, uri
    for uri in (
        "",
        "host",
        "coap:host",
        "coap:/host",
        "://host",
        "coap://",
        "coap:///path",
        "coap://:5683",
        "coap://host:0",
        "coap://host:65536",
        "coap://host:-1",
        "coap://host:x",
        "coap://host:1:2",
        "coap://::1",
        "coap://[::1",
        "coap://[::1]5683",
        "coap://[]",
        "coap://user@host",
        "coap://host#fragment",
        "coap://host/a b",
        'coap://host/">',
        "coap://host\n",
        "coap+tcp://host",
        "coaps+ws://host",
        "tel:1",
        "coap://host/%",
        "coap://host/%2",
        "coap://host/%zz",
        "coap://host?%ff",  # no UTF-8
        "coap://%",
    ):
        assert split_uri(uri) is None, uri


def test_faults_tell_no_secrets():
    secret = b"\x31top secret"
    for neighbour, changes, word in _FAULTS:
        values = _with(neighbour, changes)
        if values.get(0) is None or values.get(2) is None:
            continue
        if values.get(5):
            values[5] = secret
        text = security_fault(values, (0, 1, 2, 3))
        assert text and "secret" not in text
