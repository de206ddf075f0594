# Raw public keys: the module by itself, and sessions over a network in memory.
# heapsize: 2M

import tls
from binascii import unhexlify

import dtls_certs as certs
import lwm2m.dtls as dtls
import lwm2m.rpk as module
from dtls_net import (
    CERTIFICATES,
    CLIENT_ID,
    KEY,
    PSK,
    RAW,
    Client,
    Network,
    Socket,
    rpk,
    x509,
)
from lwm2m.credentials import raw_keys
from lwm2m.dtls_server import Listener

UNAUTHORIZED = 0x81  # 4.01

SERVER = certs.SERVER_PUBLIC
CLIENT = certs.CLIENT_PUBLIC
OTHER = certs.SELF_PUBLIC

# The pair of RFC 6979 A.2.5.
X = unhexlify("60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6")
Y = unhexlify("7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299")
D = unhexlify("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")

# Another curve (openssl genpkey, secp384r1): a SubjectPublicKeyInfo and PKCS #8.
P384 = unhexlify(
    "3076301006072a8648ce3d020106052b81040022036200042b9ec0c27f069b7704acd3b20076aef16acb90f6"
    "bb21ea8682853b2b30b2f196f5ce62051f6b25348fe0b950eca03a47284708edb57d422afe0392f9ff6e350d"
    "44d329b8249d7fe8fd70850532e7fb3706e02f76db4663981ba167dbe25b3867"
)
P384_KEY = unhexlify(
    "3081b6020100301006072a8648ce3d020106052b8104002204819e30819b0201010430e7235c9a570d114b38"
    "224d13cbe25b17feec80e4a6ea23c15ca8f4b3f32b28fda5a7c7252f46300526d25da6f00f75dba164036200"
    "042b9ec0c27f069b7704acd3b20076aef16acb90f6bb21ea8682853b2b30b2f196f5ce62051f6b25348fe0b9"
    "50eca03a47284708edb57d422afe0392f9ff6e350d44d329b8249d7fe8fd70850532e7fb3706e02f76db4663"
    "981ba167dbe25b3867"
)


# --- Keys


def test_what_the_reference_has():
    # x, y and the secret number become what object 0 carries, which mbedTLS can read.
    key, secret = raw_keys(X, Y, D)
    assert raw_keys(X, Y) == (key, None)
    assert key == SERVER[:27] + X + Y
    assert (len(key), len(secret)) == (91, 138)
    context = tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT)
    context.raw_public_keys = True
    context.load_cert_chain(key, secret)
    assert module.fault(key, key, secret) is None
    assert secret[:36] + certs.SERVER_KEY[36:] == certs.SERVER_KEY  # as openssl writes them
    for parts in ((X[1:], Y, D), (X, Y + b"\0", D), (X, Y, D[1:])):
        try:
            raw_keys(*parts)
            raise AssertionError
        except ValueError as e:
            assert "32 bytes each" in e.args[0]


def test_identity():
    # openssl dgst -sha256 of the SubjectPublicKeyInfo.
    wanted = b"5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4"
    assert module.identity(raw_keys(X, Y)[0]) == wanted
    for other in (b"", CLIENT[:-1], CLIENT + b"\0", P384, certs.CLIENT, certs.CLIENT[:91]):
        assert module.identity(other) is None


def _changed(data, at):
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def test_fault():
    # Without the public key; and SEC 1, which mbedTLS takes too.
    lone = b"\x30\x41" + certs.CLIENT_KEY[3:27] + b"\x04\x27\x30\x25" + certs.CLIENT_KEY[31:68]
    sec1 = b"\x30\x77" + certs.CLIENT_KEY[31:68] + b"\xa0\x0a" + certs.CLIENT_KEY[17:27]
    sec1 += certs.CLIENT_KEY[68:]
    for key in (certs.CLIENT_KEY, lone, sec1):
        assert module.fault(CLIENT, SERVER, key) is None
    bad_key = "no SubjectPublicKeyInfo of P-256"
    for key in (
        b"0",
        CLIENT[:-1],
        CLIENT + b"\0",
        CLIENT[27:],
        b"\x04" + CLIENT[27:],
        _changed(CLIENT, 1),
        _changed(CLIENT, 22),  # another curve
        _changed(CLIENT, 26),  # a compressed point, or none
        _changed(CLIENT, 27),  # not on the curve
        _changed(CLIENT, 90),
        CLIENT[:27] + b"\xff" * 64,  # beyond the field
        CLIENT[:27] + bytes(64),
        P384,
        certs.CLIENT,
    ):
        assert module.fault(key, SERVER, certs.CLIENT_KEY) == "the Public Key is " + bad_key
        assert module.fault(CLIENT, key, certs.CLIENT_KEY) == "the Server Public Key is " + bad_key
    for key in (
        b"0",
        b"0\x00",
        CLIENT,
        P384_KEY,
        certs.CLIENT_KEY[:-1],
        certs.CLIENT_KEY + b"\0",
        b"\x30\x20" + certs.CLIENT_KEY[36:68],
    ):
        assert module.fault(CLIENT, SERVER, key) == "the Secret Key is no PKCS #8 of P-256"
    text = "the Secret Key is of another Public Key"
    assert module.fault(CLIENT, SERVER, certs.SERVER_KEY) == text


# --- Sessions


def raw(*more, **options):
    """Options of a listener with a raw public key, and others."""
    found = dict(RAW)
    for each in more + (options,):
        found.update(each)
    return found


def talk(network, client):
    assert client.events == ["up"], client.events
    client.session.send(b"ping")
    network.pump()
    session, data = network.received.pop()
    assert data == b"ping"
    network.listener.sendto(b"pong", session)
    network.pump()
    assert client.events.pop() == b"pong"
    return session


def test_both_suites():
    for number, name in ((0xC0AE, "CCM-8"), (0xC02B, "GCM-SHA256")):
        network = Network(**RAW)
        client = network.client("a", rpk(r16={0: number}))
        assert client.session.tls.cipher()[0] == "TLS-ECDHE-ECDSA-WITH-AES-128-" + name
        session = talk(network, client)
        assert session.identity == CLIENT_ID


def test_the_handshake_on_the_wire():
    network = Network(**RAW)
    talk(network, network.client("a", rpk()))
    sent = b"".join([data for source, target, data in network.log if source])
    came = b"".join([data for source, target, data in network.log if target])
    # RFC 7250 4: both types, one each, in lists of the client and by themselves of the server.
    assert b"\0\x13\0\2\1\2\0\x14\0\2\1\2" in sent
    assert b"\0\x13\0\1\2\0\x14\0\1\2" in came
    # RFC 7250 3: one key with one length. Neither side sends a name of a CA.
    assert b"\0\0\x5b" + CLIENT in sent
    assert b"\0\0\x5b" + SERVER in came
    # One third less than with the certificates of test_dtls, which have 384 and 427 bytes.
    other = Network(**CERTIFICATES)
    talk(other, other.client("a", x509()))
    sizes = [sum([len(entry[2]) for entry in each.log[:6]]) for each in (network, other)]
    assert sizes[0] < 0.7 * sizes[1], sizes


def test_beside_the_others_in_one_context():
    known = raw(psk={b"device-1": KEY})
    for options in (known, raw(known, CERTIFICATES)):
        network = Network(**options)
        assert talk(network, network.client("a", rpk())).identity == CLIENT_ID
        assert talk(network, network.client("b", PSK)).identity == b"device-1"
        if "cert" in options:
            assert talk(network, network.client("c", x509())).identity == b"device-1"
            other = network.client("d", x509(r3=certs.SELF, r5=certs.SELF_KEY))
            assert other.events[0][0] == UNAUTHORIZED


def alert_of(network):
    """The number of the one alert in the clear (RFC 5246 7.2), and who has sent it."""
    alerts = []
    for source, target, data in network.log:
        if data[0] == 21 and not data[4]:
            assert data[13] == 2  # fatal
            alerts.append((data[14], "server" if source is None else "client"))
    assert len(alerts) == 1, (alerts, network.log[-1])
    return alerts[0]


_NOT_ACCEPTED = "the server does not accept the raw public key (alert %d)"


def test_who_may_not():
    # The account, the listener, the alert and whose it is, what the client and the server say.
    unknown = raw(known=lambda who: False)
    pinned = "the server's raw public key is not the account's"
    for security, options, alert, text, refused in (
        (
            rpk(r4=OTHER),
            RAW,
            (49, "client"),
            pinned,
            "the client does not accept the raw public key",
        ),
        (rpk(r4=CLIENT), RAW, (49, "client"), pinned, "the client does not accept"),
        (rpk(r4=P384), RAW, (49, "client"), pinned, "the client does not accept"),
        (rpk(r4=certs.SERVER), RAW, (49, "client"), pinned, "the client does not accept"),
        (
            rpk(r3=OTHER, r5=certs.SELF_KEY),
            RAW,
            (49, "server"),
            _NOT_ACCEPTED % 49,
            "unknown raw public key",
        ),
        (rpk(), unknown, (49, "server"), _NOT_ACCEPTED % 49, "unknown raw public key"),
        # The public key of somebody else, without the private one.
        (
            rpk(r5=certs.SELF_KEY),
            RAW,
            (51, "server"),
            "the server takes the key for wrong",
            "wrong key",
        ),
        # Who has certificates only, on either side.
        (
            rpk(),
            CERTIFICATES,
            (43, "client"),
            "the server has no raw public key that can be used here",
            "the client does not accept the certificate (alert 43)",
        ),
        (x509(), RAW, (43, "server"), "the server does not accept the certificate (alert 43)", ""),
        (x509(), raw(psk={b"a": KEY}), (43, "server"), "does not accept", ""),
    ):
        network = Network(**options)
        client = network.client("a", security)
        assert alert_of(network) == alert, (alert_of(network), alert)
        assert text in client.failure(), client.events
        assert client.events[0][0] == UNAUTHORIZED
        assert len(network.refused) == 1 and refused in network.refused[0], network.refused
        assert not network.received and not network.gone


def test_a_port_without_them():
    class Context:
        def __init__(self, kind):
            pass

    class Tls:
        PROTOCOL_DTLS_CLIENT = PROTOCOL_DTLS_SERVER = 0
        SSLContext = Context

    before = dtls.tls
    dtls.tls = Tls
    try:
        network = Network()
        client = network.client("a", rpk())
        text = "this port's DTLS has no raw public keys (Security Mode 1)"
        assert client.events == [(UNAUTHORIZED, text)]
    finally:
        dtls.tls = before


def test_keys_that_cannot_be_read():
    text = "this client's raw public key or its private key cannot be read"
    for changes in ({"r3": P384}, {"r3": b"0\x03abc"}, {"r5": b"0\x03abc"}, {"r3": CLIENT[:-1]}):
        network = Network(**RAW)
        client = Client(network, "a", rpk(**changes))
        network.pump()
        assert client.events == [(UNAUTHORIZED, text)], changes
        assert not network.log


def test_what_a_listener_refuses():
    for options, text in (
        (raw(raw=(SERVER[:-1], certs.SERVER_KEY)), "the Public Key is no SubjectPublicKeyInfo"),
        (raw(raw=(P384, P384_KEY)), "the Public Key is no SubjectPublicKeyInfo"),
        (raw(raw=(certs.SERVER, certs.SERVER_KEY)), "the Public Key is no SubjectPublicKeyInfo"),
        (raw(raw=(SERVER, certs.SELF_KEY)), "is of another Public Key"),
        (raw(CERTIFICATES, raw=(OTHER, certs.SELF_KEY)), "is not of the server's raw"),
    ):
        try:
            Listener(Socket(None), None, **options)
            raise AssertionError(text)
        except ValueError as e:
            assert text in e.args[0], e.args


def test_an_exception_in_the_check_ends_the_session():
    network = Network(**RAW)
    client = Client(network, "a", rpk())
    client.session.check.expected = None  # len() of it raises
    network.pump()
    assert client.failure() == "the server's raw public key could not be checked"
    assert alert_of(network) == (49, "client")


def test_each_datagram_lost_once():
    for n in range(6):
        network = Network(**RAW)
        network.lose = lambda source, target, data: len(network.log) == n + 1
        client = network.client("a", rpk())
        network.repeat(lambda: client.events == ["up"])
        network.lose = None
        talk(network, client)
