# Sessions that are saved and go on later, over a network in memory; net_of() has what of a Net they
# need. With real sockets, in processes that end: test_resume.py of CPython.
# heapsize: 2M

import dtls_certs as certs
import lwm2m.net as net
import lwm2m.resume as resume
from dtls_net import CERTIFICATES, KEY, PSK, RAW, Client, Network, Socket, rpk, x509
from lwm2m.core import Account

CHECK = 16  # bytes before what tls has saved: the check value
KINDS = (PSK, rpk(), x509(), x509(r4=certs.CA, r15=2))


def network_of_all(**options):
    return Network(psk={b"device-1": KEY}, **CERTIFICATES, **RAW, **options)


class Net(net.Net):
    """Opens connections in the network, from another address each time."""

    ports = 0

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.full = False  # whether there is no memory to register one

    def open(self, role, account, now, begin):
        Net.ports += 1
        sock = Socket(self.network, "port %d" % Net.ports)
        session = begin(role, account, sock, "server.example.org", now, 45000, ())
        if self.full:
            session.close()
            raise MemoryError
        account.connection = session
        self.network.clients[sock.address] = role


class Resumed(Client):
    """A client of dtls_net.py that has gone on from bytes."""

    def __init__(self, network, security, data, short_id=1):
        self.events = []
        self.account = Account(security, short_id)
        self.good = Net(network).resume(self, self.account, data, network.now)
        self.session = self.account.connection


def forget():
    """What a reset does."""
    resume._loaded.clear()


def numbers(log, source):
    """(epoch, number) of the records from somewhere that are encrypted."""
    found = []
    for where, _, data in log:
        if where == source and data[0] in (23, 25, 21) and data[4]:
            found.append(bytes(data[3:11]))
    return found


def talk(network, client):
    """A request and its answer: the server's side."""
    client.session.send(b"ping")
    network.pump()
    session, got = network.received.pop()
    assert got == b"ping"
    network.listener.sendto(b"pong", session)
    network.pump()
    assert client.events.pop() == b"pong"
    return session


def test_goes_on():
    for security in KINDS:
        network = network_of_all()
        client = network.client("a", security)
        session = talk(network, client)
        sent = numbers(network.log, "a")
        handshake = len([1 for _, _, data in network.log if data[0] == 22])
        for turn in range(5):
            network.log.clear()
            data = resume.save(client.session)
            assert data and client.session.tls is None and not network.log
            client.session.close()
            assert not network.log  # without close_notify
            forget()
            client = Resumed(network, security, data)
            assert client.good and client.session.up
            assert talk(network, client) is session
            assert session.address == client.session.sock.address
            # Two datagrams, and no number twice.
            assert len(network.log) == 2
            sent += numbers(network.log, session.address)
        assert len(set(sent)) == len(sent) >= 6 and handshake
        assert network.gone == []
        client.session.close()
        network.pump()
        assert network.gone == [session]


def test_size():
    # What fits beside the rest in 2,048 bytes of an ESP32's RTC memory.
    for security, size in ((PSK, 240), (x509(), 272), (rpk(), 272)):
        network = network_of_all()
        client = network.client("a", security)
        talk(network, client)
        data = resume.save(client.session)
        assert len(data) <= size, len(data)
        for secret in (KEY, certs.CLIENT_KEY[-32:], b"device-1", b"server.example.org"):
            assert secret not in data


def test_what_a_server_sends_meanwhile_is_lost_and_nothing_else():
    network = network_of_all()
    client = network.client("a")
    session = talk(network, client)
    data = resume.save(client.session)
    network.clients.pop("a")
    network.listener.sendto(b"are you asleep?", session)
    network.pump()
    client = Resumed(network, PSK, data)
    assert talk(network, client) is session


def test_replayed_records_are_not_taken_again():
    network = network_of_all()
    client = network.client("a")
    talk(network, client)
    old = [data for source, _, data in network.log if source is None and data[0] == 23]
    client = Resumed(network, PSK, resume.save(client.session))
    for data in old:
        client.session.receive(None, data, network.now)
    assert client.events == []
    talk(network, client)


def test_each_byte_changed():
    # mbedTLS would load most of these.
    for security in KINDS[:3]:
        network = network_of_all()
        client = network.client("a", security)
        talk(network, client)
        data = resume.save(client.session)
        changed = bytearray(data)
        for i in range(len(data)):
            for bit in (0x01, 0x80):
                changed[i] ^= bit
                again = Resumed(network, security, bytes(changed))
                assert not again.good and again.account.connection is None, i
                changed[i] ^= bit
        for n in range(len(data)):
            assert not Resumed(network, security, data[:n]).good, n
        assert not Resumed(network, security, data + b"\0").good
        assert Resumed(network, security, data).good


def test_another_build_of_mbedtls():
    # Its version and options are in what it has saved (-0x5F00); the check value is right.
    network = network_of_all()
    client = network.client("a")
    talk(network, client)
    data = resume.save(client.session)
    for i in (CHECK, CHECK + 1, CHECK + 2, CHECK + 4, CHECK + 6):
        changed = bytearray(data)
        changed[i] ^= 1
        digest = resume._digest(client, client.account)
        digest.update(changed[CHECK:])
        changed[:CHECK] = digest.digest()[:CHECK]
        again = Resumed(network, PSK, bytes(changed))
        assert not again.good and again.account.connection is None, i
    assert Resumed(network, PSK, data).good


def test_another_account():
    def change(security, **changes):
        values = dict(security)
        values.update({int(name[1:]): changes[name] for name in changes})
        return values

    for security, others in (
        (
            PSK,
            (
                {"r0": "coaps://server.example.org:5685"},
                {"r0": "coaps://server.example.com"},
                {"r3": b"device-2"},
                {"r3": b"device-", "r4": b"1"},  # the same bytes in another place
                {"r5": KEY + b"x"},
                {"r5": b""},
                {"r2": 1},
            ),
        ),
        (rpk(), ({"r4": certs.SELF_PUBLIC}, {"r3": certs.SELF_PUBLIC}, {"r5": certs.SELF_KEY})),
        (
            x509(),
            (
                {"r4": certs.CA},
                {"r4": certs.CA, "r15": 2},
                {"r15": 2},
                {"r14": "server"},
                {"r13": 1},
            ),
        ),
    ):
        network = network_of_all()
        client = network.client("a", security)
        talk(network, client)
        data = resume.save(client.session)
        for other in others:
            again = Resumed(network, change(security, **other), data)
            assert not again.good and again.account.connection is None, other
        assert not Resumed(network, security, data, 2).good
        assert Resumed(network, security, data).good


def test_only_once():
    network = network_of_all()
    client = network.client("a")
    talk(network, client)
    data = resume.save(client.session)
    assert resume.save(client.session) is None
    again = Resumed(network, PSK, data)
    assert again.good
    assert not Resumed(network, PSK, data).good
    # Nor for an account that has a connection.
    newer = resume.save(again.session)
    assert not Net(network).resume(again, again.account, newer, network.now)
    # Where there was no way to open it, it has not been used.
    nowhere = Net(network)
    nowhere.open = lambda *args: 1 // 0
    again.account.connection = None
    assert not nowhere.resume(again, again.account, newer, network.now)
    client = Resumed(network, PSK, newer)
    assert client.good
    talk(network, client)
    # Where it was opened, and there was no memory for the rest, its end has been told: a number.
    newest = resume.save(client.session)
    client.account.connection = None
    full = Net(network)
    full.full = True
    assert not full.resume(client, client.account, newest, network.now)
    assert not Resumed(network, PSK, newest).good


class _WithoutIds:
    def __init__(self, context):
        self.wrap_socket = context.wrap_socket


def test_what_cannot_be_saved():
    def security(**changes):
        values = dict(PSK)
        values.update({int(name[1:]): changes[name] for name in changes})
        return values

    network = network_of_all(lose=lambda source, target, data: data[0] == 20)
    client = Client(network, "a", PSK)
    for moment in range(2):
        assert resume.fault(client.session) == "its handshake is not over"
        assert resume.save(client.session) is None
        network.pump()
    # Somebody has forged a Finished, and it is not over for that.
    forged = b"\x16\xfe\xfd\x00\x01" + bytes(6) + b"\x00\x20" + bytes(32)
    client.session.receive(None, forged, network.now)
    assert client.session.up
    assert resume.fault(client.session) == "its handshake is not over"
    assert resume.save(client.session) is None
    client.session.close()
    assert resume.fault(client.session) == "it is over"
    assert resume.save(client.session) is None
    network = network_of_all()
    client = network.client("a", security(r16={0: 0x00AE}))
    talk(network, client)
    assert "CBC" in resume.fault(client.session)
    assert resume.save(client.session) is None
    talk(network, client)  # it lives on
    network = network_of_all()
    network.listener._context = _WithoutIds(network.listener._context)
    client = network.client("a")
    talk(network, client)
    assert "no connection ids" in resume.fault(client.session)
    assert resume.save(client.session) is None
    talk(network, client)
    network = network_of_all()
    client = network.client("a")
    client.keys = lambda account: 1 // 0  # a store of keys that has failed
    assert resume.fault(client.session) is None and resume.save(client.session) is None
    talk(network, client)


def test_gcm():
    security = dict(PSK)
    security[16] = {0: 0x00A8}
    network = network_of_all()
    client = network.client("a", security)
    talk(network, client)
    assert "GCM" in client.session.tls.cipher()[0]
    client = Resumed(network, security, resume.save(client.session))
    talk(network, client)


def test_server_that_has_forgotten():
    # Nothing warns; what owns the session has its own patience.
    network = network_of_all()
    client = network.client("a")
    session = talk(network, client)
    data = resume.save(client.session)
    session.silent = True
    network.listener.drop(session)
    client = Resumed(network, PSK, data)
    assert client.good
    client.session.send(b"ping")
    network.pump()
    assert network.received == client.events == []
    client.session.close()
    network.pump()
    talk(network, network.client("b"))
