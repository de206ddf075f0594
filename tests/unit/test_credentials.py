# Security data in RAM.

from lwm2m.credentials import Credentials

KEY = b"\x01secret\xff"
PSK = (0, b"device-1", b"", KEY)
X509 = (2, b"0certificate", b"0server", b"0private")
URI = "coaps://server.example.org:5684"


def test_each_operation():
    keys = Credentials()
    assert keys.read(URI) == (0x84, None)
    assert keys.check(URI, 0) == keys.check(URI, 2) == 0x84
    assert keys.delete(URI) == 0x84
    assert keys.create(URI, PSK) == 0
    assert keys.read(URI) == (0, PSK)
    assert keys.check(URI, 0) == 0
    assert keys.check(URI, 1) == keys.check(URI, 2) == 0x84
    # What is there is not replaced.
    assert keys.create(URI, X509) == 0x86
    assert keys.read(URI) == (0, PSK)
    assert keys.delete(URI) == 0
    assert keys.read(URI) == (0x84, None)
    assert keys.create(URI, X509) == 0
    assert keys.read(URI) == (0, X509)
    assert keys.check(URI, 2) == 0 and keys.check(URI, 0) == 0x84


def test_whole_names():
    # The reference's sample compares as much as the shorter one has.
    keys = Credentials()
    keys.create("coaps://a", PSK)
    keys.create("coaps://a:56", X509)
    for name in ("coaps://", "coaps://a:5", "coaps://a:567", "COAPS://a", "", b"coaps://a"):
        assert keys.read(name) == (0x84, None), name
    assert keys.read("coaps://a") == (0, PSK)
    assert keys.delete("coaps://a") == 0
    assert keys.read("coaps://a:56") == (0, X509)


def test_servers_and_clients():
    # A server has them by identity: bytes, of any value.
    keys = Credentials()
    for identity in (b"device-1", b"\xff\x00", b""):
        assert keys.create(identity, (0, identity, b"", KEY)) == 0
    assert keys.read(b"\xff\x00") == (0, (0, b"\xff\x00", b"", KEY))
    assert keys.read("device-1") == (0x84, None)


def test_copies():
    # What comes as a view of a datagram is kept, and not the datagram; what is left out is empty.
    datagram = bytearray(b"identitysecret")
    view = memoryview(datagram)
    keys = Credentials()
    assert keys.create(URI, (0, view[:8], None, view[8:])) == 0
    datagram[:] = bytes(14)
    assert keys.read(URI) == (0, (0, b"identity", b"", b"secret"))


def test_no_data():
    keys = Credentials()
    for data in ((3, b"", b"", b""), (0, b"a", b"b"), (4,) + X509[1:], ()):
        try:
            keys.create(URI, data)
            raise AssertionError(data)
        except ValueError as e:
            assert "data must be" in str(e)
    assert keys.read(URI) == (0x84, None)


def test_keep():
    keys = Credentials()
    names = ("coaps://a", "coaps://a#1", "coaps://a#12", "coaps://b#2", b"id#1")
    for name in names:
        keys.create(name, PSK)
    keys.keep(("coaps://a#12", "coaps://c#9"))
    assert [name for name in names if not keys.read(name)[0]] == [
        "coaps://a",
        "coaps://a#12",
        b"id#1",
    ]
    keys.keep(())
    assert keys.read("coaps://a#12") == (0x84, None)
    assert keys.read("coaps://a") == (0, PSK)


def test_out_of_memory():
    class Huge:
        def __len__(self):
            return 1 << 30

        def __iter__(self):
            raise MemoryError

    keys = Credentials()
    assert keys.create(URI, (2, b"0", b"0", Huge())) == 0xA0
    assert keys.read(URI) == (0x84, None)


def test_no_key_in_the_repr():
    keys = Credentials()
    keys.create(URI, PSK)
    for text in (repr(keys), str(keys), "%s %r" % (keys, keys)):
        assert "secret" not in text and "device-1" not in text
