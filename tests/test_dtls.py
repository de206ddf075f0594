"""DTLS between processes on loopback: ours, openssl's s_server and s_client, and GnuTLS's programs."""

import base64
import ctypes
import ctypes.util
import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import signal
import subprocess
import threading

import pytest
from harness.awaited import PATIENCE_S, eventually
from builds.steps import ROOT
from harness.certs import certs
from harness.micropython import UNIT, command, environment, lib_dir
from harness.ports import free_port
from harness.udp_relay import UdpRelay

PEER = ROOT / "tests" / "dtls_peer.py"
KEY = bytes(range(0x41, 0x51))
PSK = {"2": 0, "3": "x:" + b"device-1".hex(), "5": "x:" + KEY.hex()}
X509 = {"2": 2, "3": "c:CLIENT", "4": "c:SERVER", "5": "c:CLIENT_KEY"}
RPK = {"2": 1, "3": "c:CLIENT_PUBLIC", "4": "c:SERVER_PUBLIC", "5": "c:CLIENT_KEY"}
X509_CA = {**X509, "4": "c:CA", "15": 2, "14": "server.example.org"}

# How long a client waits for a server that says nothing any more: all that it says before has come
# by then, on a busy machine too.
SILENT_MS = 10000

openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
gnutls = pytest.mark.skipif(not shutil.which("gnutls-serv"), reason="gnutls-bin is not installed")


class Process:
    """A program whose output is read as it comes."""

    def __init__(self, command, **kwargs):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **kwargs,
        )
        self.output = b""
        self._seen = 0
        self._changed = threading.Condition()
        self._over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while not self._over:
            data = os.read(self.process.stdout.fileno(), 65536)
            with self._changed:
                self.output += data
                self._over = not data
                self._changed.notify_all()

    def expect(self, pattern):
        """Wait for a pattern in what it prints, beyond what was waited for before; its match."""

        def found():
            match = re.compile(pattern.encode()).search(self.output, self._seen)
            assert match or not self._over, f"it ended without {pattern!r}:\n{self.output}"
            return match

        with self._changed:
            match = eventually(found, repr(pattern), lambda: repr(self.output), self._changed)
            self._seen = match.end()
            return match

    def say(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def stop(self):
        self.process.kill()
        self.process.wait()
        self._reader.join()


@pytest.fixture
def start():
    """start(command) -> Process, or start(what, **options) for dtls_peer.py."""
    processes = []

    def start(what, env=None, heap="2M", **options):
        if isinstance(what, str):
            env = {**environment(lib_dir("mpy"), UNIT), **(env or {})}
            what = command(PEER, what, json.dumps(options), heap=heap)
        processes.append(Process(what, env=env))
        return processes[-1]

    yield start
    for process in processes:
        process.stop()


@pytest.fixture
def pem(tmp_path):
    """pem("SERVER") -> the path of a certificate or key as openssl has it."""

    def pem(name):
        data = getattr(certs, name)
        path = tmp_path / f"{name}.pem"
        if name.endswith("KEY"):
            text = base64.encodebytes(data).decode()
            path.write_text(f"-----BEGIN PRIVATE KEY-----\n{text}-----END PRIVATE KEY-----\n")
        elif name.endswith("PUBLIC"):
            text = base64.encodebytes(data).decode()
            path.write_text(f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n")
        else:
            path.write_text(ssl.DER_cert_to_PEM_cert(data))
        return str(path)

    return pem


def s_server(start, port, *options):
    process = start(["openssl", "s_server", "-dtls1_2", "-accept", f"127.0.0.1:{port}", *options])
    process.expect("ACCEPT")
    return process


def s_client(start, port, *options):
    return start(["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", *options])


def psk_options(cipher, key=KEY, identity="device-1"):
    return (
        *("-psk", key.hex(), "-psk_identity", identity),
        *("-cipher", f"{cipher}:@SECLEVEL=0"),
    )


def plain(start, port, security, handshake_ms=45000, count=1, text="hello\n"):
    return start(
        "plain", port=port, security=security, handshake_ms=handshake_ms, count=count, text=text
    )


# --- Our client with openssl's server


@openssl
@pytest.mark.parametrize("listen", [(), ("-listen",)], ids=["direct", "cookie"])
@pytest.mark.parametrize("cipher", ["CCM-8", "CBC-SHA256"])
def test_psk_with_openssl_server(start, cipher, listen):
    port = free_port()
    name = "PSK-AES128-" + cipher.replace("CCM-8", "CCM8")
    server = s_server(start, port, "-nocert", *psk_options(name), *listen)
    client = plain(start, port, PSK)
    client.expect(f"up TLS-PSK-WITH-AES-128-{cipher}\n")
    server.expect("CIPHER is " + name)
    server.expect("hello\n")
    server.say(b"good day\n")
    client.expect(r"got b'good day\\n'")


@openssl
@pytest.mark.parametrize(
    ("certificate", "security"),
    [
        ("SERVER", X509),
        ("SERVER", X509_CA),
        ("SERVER", {**X509, "4": "x:" + certs.SERVER_SHA256, "13": 1}),
        ("SELF", {**X509, "4": "c:SELF"}),
        # In many small fragments, which mbedTLS puts together.
        ("SERVER_BIG", {**X509, "4": "c:SERVER_BIG"}),
    ],
    ids=["pinned", "ca", "digest", "self-signed", "fragments"],
)
def test_certificate_with_openssl_server(start, pem, certificate, security):
    port = free_port()
    key = pem("SELF_KEY" if certificate == "SELF" else "SERVER_KEY")
    server = s_server(
        *(start, port, "-cert", pem(certificate), "-key", key, "-mtu", "300"),
        # With -CAfile it would send the CA's certificate too.
        *("-verifyCAfile", pem("CA"), "-Verify", "1", "-verify_return_error"),
        *("-cipher", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"),
    )
    client = plain(start, port, security)
    client.expect("up TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8\n")
    server.expect("CN = device-1")
    server.expect("hello\n")
    server.say(b"good day\n")
    client.expect(r"got b'good day\\n'")


def test_close_notify(start):
    # s_server cannot do it with DTLS (it closes its socket before): so the library itself.
    name = ctypes.util.find_library("ssl")
    if not name:
        pytest.skip("OpenSSL's library is not installed")
    lib = ctypes.CDLL(name)
    for function in (
        lib.DTLS_server_method,
        lib.SSL_CTX_new,
        lib.SSL_new,
        lib.BIO_s_mem,
        lib.BIO_new,
    ):
        function.restype = ctypes.c_void_p
    pointer = ctypes.c_void_p
    look_up = ctypes.CFUNCTYPE(
        ctypes.c_uint, pointer, ctypes.c_char_p, ctypes.POINTER(ctypes.c_char), ctypes.c_uint
    )

    @look_up
    def key(session, identity, buffer, size):
        for i in range(len(KEY)):
            buffer[i] = KEY[i : i + 1]
        return len(KEY)

    context = pointer(lib.SSL_CTX_new(pointer(lib.DTLS_server_method())))
    lib.SSL_CTX_set_cipher_list(context, b"PSK-AES128-CCM8:@SECLEVEL=0")
    lib.SSL_CTX_set_psk_server_callback(context, key)
    session = pointer(lib.SSL_new(context))
    coming, going = (pointer(lib.BIO_new(pointer(lib.BIO_s_mem()))) for _ in range(2))
    lib.SSL_set_bio(session, coming, going)
    lib.SSL_set_options(session, ctypes.c_uint64(1 << 12))  # SSL_OP_NO_QUERY_MTU
    lib.SSL_ctrl(session, 17, ctypes.c_long(1400), None)  # SSL_CTRL_SET_MTU
    lib.SSL_set_accept_state(session)
    buffer = ctypes.create_string_buffer(2048)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(PATIENCE_S)
        client = plain(start, s.getsockname()[1], PSK)
        n = 0
        while n <= 0:
            data, address = s.recvfrom(2048)
            lib.BIO_write(coming, data, len(data))
            n = lib.SSL_read(session, buffer, 2048)
            if n <= 0:
                going_n = lib.BIO_read(going, buffer, 2048)
                if going_n > 0:
                    s.sendto(buffer.raw[:going_n], address)
        assert buffer.raw[:n] == b"hello\n"
        lib.SSL_shutdown(session)
        n = lib.BIO_read(going, buffer, 2048)
        s.sendto(buffer.raw[:n], address)
        client.expect("down a3 the peer has closed the session")
    lib.SSL_free(session)
    lib.SSL_CTX_free(context)


@openssl
def test_what_openssl_server_refuses(start, pem):
    def refused(text, security, *options, handshake_ms=45000):
        port = free_port()
        server = s_server(start, port, *options)
        plain(start, port, security, handshake_ms).expect(text)
        server.stop()

    ccm = psk_options("PSK-AES128-CCM8", key=KEY + b"x")
    text = "down a3 wrong pre-shared key or identity, or no answer any more"  # it says nothing about a key
    refused(text, PSK, "-nocert", *ccm, handshake_ms=SILENT_MS)
    other = psk_options("PSK-AES256-CCM8")
    refused("down 81 the server accepts none of the cipher suites", PSK, "-nocert", *other)
    own = ("-cert", pem("SERVER"), "-key", pem("SERVER_KEY"), "-Verify", "1")
    own += ("-verify_return_error", "-cipher", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0")
    text = "down 81 the server does not accept the certificate .alert 48."
    refused(text, X509, *own, "-CAfile", pem("SELF"))
    text = "down 81 the server's certificate is for another name than example.com"
    refused(text, {**X509_CA, "14": "example.com"}, *own, "-CAfile", pem("CA"))
    # Two certificates of 1,580 bytes: more than mbedTLS's buffer (mbedtls_lwm2m.h) has room for.
    big = ("-cert", pem("SERVER_BIG"), "-CAfile", pem("CA"), *own[2:], "-mtu", "1400")
    refused("down a3 a message of the handshake is too long", {**X509, "4": "c:SERVER_BIG"}, *big)


# --- openssl's client with our server


@openssl
@pytest.mark.parametrize("cipher", ["PSK-AES128-CCM8", "PSK-AES128-CBC-SHA256"])
def test_psk_with_openssl_client(start, cipher):
    port = free_port()
    server = start("echo", port=port, psk={"device-1": "x:" + KEY.hex()}, cert=None)
    server.expect("ready")
    client = s_client(start, port, *psk_options(cipher))
    client.expect("Cipher is " + cipher)
    client.say(b"hello\n")
    server.expect(r"got b'device-1' b'hello\\n'")
    client.expect("echo hello\n")
    client.say(b"Q\n")  # close_notify
    server.expect("gone b'device-1' the peer has closed the session")


@openssl
def test_certificate_with_openssl_client(start, pem):
    port = free_port()
    server = start("echo", port=port, psk=None, cert="c:SERVER")
    server.expect("ready")
    for mtu in ("1400", "300"):
        client = s_client(
            *(start, port, "-cert", pem("CLIENT"), "-key", pem("CLIENT_KEY"), "-mtu", mtu),
            *("-CAfile", pem("CA"), "-verify_return_error"),
            *("-verify_hostname", "server.example.org"),
            *("-cipher", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"),
        )
        client.expect("Verify return code: 0")
        client.say(b"hello\n")
        server.expect(r"got b'device-1' b'hello\\n'")
        client.expect("echo hello\n")


@openssl
def test_what_our_server_refuses(start, pem):
    port = free_port()
    server = start("echo", port=port, psk={"device-1": "x:" + KEY.hex()}, cert="c:SERVER")
    server.expect("ready")
    s_client(start, port, *psk_options("PSK-AES128-CCM8", key=KEY + b"x")).expect("alert")
    server.expect("refused b'device-1' wrong key")
    s_client(start, port, *psk_options("PSK-AES128-CCM8", identity="device-2")).expect("alert")
    server.expect("refused b'device-2' unknown identity")
    ecdsa = ("-cipher", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0")
    s_client(start, port, *ecdsa).expect("alert")
    server.expect("refused None the client has no certificate")
    self_signed = ("-cert", pem("SELF"), "-key", pem("SELF_KEY"))
    s_client(start, port, *self_signed, *ecdsa).expect("alert")
    server.expect("refused b'server.example.org' the client's certificate is not signed by the CA")
    s_client(start, port, "-cipher", "PSK-AES256-CCM8:@SECLEVEL=0", "-psk", "00").expect("alert")
    server.expect("refused None ")
    # It goes on.
    client = s_client(start, port, *psk_options("PSK-AES128-CCM8"))
    client.expect("Cipher is PSK-AES128-CCM8")
    client.say(b"hello\n")
    client.expect("echo hello\n")


# --- Raw public keys with GnuTLS, which openssl 3.0 does not have


def gnutls_options(pem, name, suite):
    priority = "NONE:+VERS-DTLS1.2:+ECDHE-ECDSA:+%s:+AEAD:+SIGN-ECDSA-SHA256:+GROUP-SECP256R1"
    priority += ":+COMP-NULL:+CTYPE-SRV-RAWPK:+CTYPE-CLI-RAWPK"
    return (
        *("--udp", "--priority", priority % suite),
        *("--rawpkkeyfile", pem(f"{name}_KEY"), "--rawpkfile", pem(f"{name}_PUBLIC")),
    )


GNUTLS_SUITES = pytest.mark.parametrize(
    ("suite", "number", "cipher"),
    [("AES-128-CCM-8", 0xC0AE, "CCM-8"), ("AES-128-GCM", 0xC02B, "GCM-SHA256")],
)


@gnutls
@GNUTLS_SUITES
def test_raw_public_key_with_gnutls_server(start, pem, suite, number, cipher):
    port = free_port()
    own = gnutls_options(pem, "SERVER", suite)
    server = start(["gnutls-serv", "--port", str(port), "--require-client-cert", "--echo", *own])
    server.expect("listening on IPv4")
    wrong = plain(start, port, {**RPK, "4": "c:SELF_PUBLIC"})
    wrong.expect("down 81 the server's raw public key is not the account's")
    client = plain(start, port, {**RPK, "16": {"0": number}})
    client.expect(f"up TLS-ECDHE-ECDSA-WITH-AES-128-{cipher}\n")
    client.expect(r"got b'hello\\n'")


@gnutls
@GNUTLS_SUITES
def test_raw_public_key_with_gnutls_client(start, pem, suite, number, cipher):
    port = free_port()
    server = start("echo", port=port, psk=None, cert=None, raw=True)
    server.expect("ready")

    def gnutls_cli(name):
        options = gnutls_options(pem, name, suite)
        client = ["gnutls-cli", "--port", str(port), "--no-ca-verification", "--insecure"]
        return start([*client, *options, "127.0.0.1"])

    gnutls_cli("SELF").expect("Fatal error")
    server.expect("refused .* unknown raw public key")
    client = gnutls_cli("CLIENT")
    client.expect("Handshake was completed")
    client.say(b"hello\n")
    identity = hashlib.sha256(certs.CLIENT_PUBLIC).hexdigest()
    server.expect(rf"got b'{identity}' b'hello\\n'")
    client.expect("echo hello\n")


# --- Ours with ours


def echo(start, port, **options):
    options = {"psk": {"device-1": "x:" + KEY.hex()}, "cert": "c:SERVER", "raw": True, **options}
    server = start("echo", port=port, **options)
    server.expect("ready")
    return server


def test_fifty_handshakes_at_once(start):
    port = free_port()
    server = echo(start, port, half_open=50)
    client = plain(start, port, PSK, count=50)
    client.expect("all have got their echo")
    assert client.output.count(b"up TLS-PSK-WITH-AES-128-CCM-8\n") == 50
    assert client.output.count(b"down") == 0
    server.expect("got b'device-1' b'hello")


def once(datagrams):
    """Of a handshake's datagrams, those that are not sent again (which mbedTLS does after a second).

    A repeated message has the same type and number (RFC 6347 4.2.2); one that begins with
    ChangeCipherSpec is the last of its side.
    """
    return list(
        {(d.to_target, d.data[0], d.data[13], d.data[17:19]): d for d in datagrams}.values()
    )


@pytest.mark.parametrize(
    ("security", "limit"),
    [
        # By RFC 6347 4 and RFC 5246 7.4, a record's header (13) and a message's (12) before each:
        # ClientHello 2 + 32 + 1 + 1 + 2 and two suites and a signal (6) + 2 + 2 and
        # signature_algorithms for six pairs (18) = 66, twice, the second time with a cookie of 32;
        # HelloVerifyRequest 2 + 1 + 32; ServerHello 2 + 32 + 1 + 32 + 2 + 1 and renegotiation_info
        # (7) = 77; ServerHelloDone; ClientKeyExchange 2 + 8; ChangeCipherSpec 13 + 1 and Finished
        # 13 + 8 + 12 + 12 + 8, twice. And connection_id (RFC 9146 3), 5 bytes in both ClientHellos
        # and 11 in ServerHello, the id of 6 and the type within in the client's Finished.
        (PSK, 2 * (25 + 71) + 32 + (25 + 35) + (25 + 88) + 25 + (25 + 10) + 2 * (14 + 53) + 7),
        # Two certificates of 812 bytes besides, and what names the curve, signs and verifies.
        (X509, 2000),
        # Keys of 91 bytes in their place: 30 % less than the 1,870 that certificates take here.
        (RPK, 1300),
    ],
    ids=["psk", "x509", "rpk"],
)
def test_datagrams(start, security, limit):
    port = free_port()
    echo(start, port)
    with UdpRelay(port) as relay:
        client = plain(start, relay.port, security, text="x" * 100)
        client.expect("got b'echo xxx")
        handshake = once(d for d in relay.record if d.data[0] in (20, 22))
        data = [d for d in relay.record if d.data[0] in (23, 25)]
    assert len(handshake) == 6
    assert sum(len(d.data) for d in handshake) <= limit
    # 13 bytes of header, 8 of nonce and 8 of tag (RFC 6655 3) around each datagram; what the client
    # sends has a connection id of 6 bytes and, in it, the true type (RFC 9146 4): content type 25.
    assert [(d.data[0], len(d.data)) for d in data] == [(25, 100 + 29 + 7), (23, 105 + 29)]


def lwm2m_server(start, port):
    server = start("server", port=port, psk={"device-1": "x:" + KEY.hex()})
    server.expect("ready")
    return server


def lwm2m_client(start, port, security=PSK, lifetime=86400, attempts=30):
    return start("client", port=port, given=security, lifetime=lifetime, attempts=attempts)


def test_registration(start):
    port = free_port()
    server = lwm2m_server(start, port)
    with UdpRelay(port) as relay:
        # No step waits for the server, which stands still until the client has sent its hello again.
        server.process.send_signal(signal.SIGSTOP)
        client = lwm2m_client(start, relay.port)
        eventually(lambda: len(relay.record) > 1, "a second ClientHello")
        server.process.send_signal(signal.SIGCONT)
        assert int(client.expect(r"EVENT_REG_REGISTERING.* in step (\d+)\n")[1]) > 10
        client.expect("EVENT_REG_REGISTERED")
    server.expect("registered device-1 b'device-1'")


def test_handshake_fails(start):
    # The registration is tried again (/1/x/17); the reason comes with the last failure.
    port = free_port()
    lwm2m_server(start, port)
    wrong = {**PSK, "5": "x:" + (KEY + b"x").hex()}
    client = lwm2m_client(start, port, wrong, attempts=2)
    client.expect("EVENT_REG_FAILED 81 the server takes the key for wrong")


def test_server_restarts(start):
    port = free_port()
    server = lwm2m_server(start, port)
    client = lwm2m_client(start, port, lifetime=4)  # updates every two seconds
    client.expect("EVENT_REG_REGISTERED")
    server.stop()
    server = lwm2m_server(start, port)
    client.expect("EVENT_REG_UPDATE_FAILED a3")
    client.expect("EVENT_REG_REGISTERED")
    server.expect("registered device-1 b'device-1'")


def test_client_restarts(start):
    port = free_port()
    server = lwm2m_server(start, port)
    for _ in range(2):
        client = lwm2m_client(start, port)
        client.expect("EVENT_REG_REGISTERED")
        server.expect("registered device-1 b'device-1'")
        client.stop()


@pytest.mark.parametrize("security", [PSK, X509, RPK], ids=["psk", "x509", "rpk"])
def test_address_changes(start, security):
    # As behind a NAT that has forgotten, again and again: the session goes on, and so does what the
    # server says; no handshake and no registration follow.
    port = free_port()
    server = echo(start, port)
    with UdpRelay(port) as relay:
        client = start("roaming", port=relay.port, security=security)
        client.expect("up")
        for n in range(5):
            relay.forget()
            client.say(b"\n")
            client.expect(f"got b'echo {n}'")
        hellos = sum(d.data[0] == 22 and d.data[13] == 1 for d in relay.record)
    assert hellos == 2  # the second with the cookie
    assert server.output.count(b"gone") == 0


def test_registration_outlasts_a_new_address(start):
    port = free_port()
    server = lwm2m_server(start, port)
    with UdpRelay(port) as relay:
        client = lwm2m_client(start, relay.port, lifetime=4)  # updates every two seconds
        client.expect("EVENT_REG_REGISTERED")
        server.expect("registered")
        for _ in range(3):
            relay.forget()
            client.expect("EVENT_REG_UPDATING")
            client.expect("EVENT_REG_REGISTERED")
            server.expect("updated device-1 b'device-1'")
        assert sum(d.data[0] == 22 and d.data[13] == 1 for d in relay.record) == 2


def test_address_changes_without_ids(start):
    # As behind a NAT that has forgotten, with a server that has no ids: it does not know the new
    # address.
    port = free_port()
    server = start("server", port=port, psk={"device-1": "x:" + KEY.hex()}, ids=False)
    server.expect("ready")
    with UdpRelay(port) as relay:
        client = lwm2m_client(start, relay.port, lifetime=4)
        client.expect("EVENT_REG_REGISTERED")
        server.expect("registered")
        relay.forget()
        client.expect("EVENT_REG_UPDATE_FAILED a3")
        client.expect("EVENT_REG_REGISTERED")
        server.expect("registered device-1 b'device-1'")


def test_no_server(start):
    client = plain(start, free_port(), PSK, handshake_ms=1000)
    client.expect("down a3 no answer")


def test_clock_not_set(start, tmp_path):
    # As on a board without a battery: mbedTLS itself takes every certificate for one of the future.
    source = tmp_path / "clock.c"
    source.write_text(
        "#include <sys/time.h>\n#include <time.h>\n"
        "time_t time(time_t *t) { if (t) { *t = 946684803; } return 946684803; }\n"
        "int gettimeofday(struct timeval *restrict tv, void *restrict tz) {\n"
        "    struct timespec ts; (void)tz; clock_gettime(CLOCK_MONOTONIC, &ts);\n"
        "    tv->tv_sec = 946684803; tv->tv_usec = ts.tv_nsec / 1000; return 0; }\n"
    )
    library = tmp_path / "clock.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    port = free_port()
    echo(start, port)
    env = {"LD_PRELOAD": str(library)}
    options = {"port": port, "handshake_ms": 45000, "count": 1, "text": "hello"}
    start("plain", env, security=X509_CA, **options).expect(
        "down 81 the clock is not set, which Certificate Usage 2 needs"
    )
    start("plain", env, security=X509, **options).expect("got b'echo hello'")
    start("plain", env, security={**X509, "4": "c:SELF"}, **options).expect(
        "down 81 the server's certificate is not the account's"
    )


def test_keys_are_not_printed(start):
    port = free_port()
    server = lwm2m_server(start, port)
    wrong = KEY + b"x"
    outputs = []
    for key in (KEY, wrong):
        client = lwm2m_client(start, port, {**PSK, "5": "x:" + key.hex()}, attempts=2)
        client.expect("EVENT_REG_(REGISTERED|FAILED)")
        outputs.append(client)
    for process in (server, *outputs):
        process.stop()
        for key in (KEY, wrong):
            for form in (key, key.hex().encode(), base64.b64encode(key)[:-2]):
                assert form.lower() not in process.output.lower()


def test_sha512_of_certificates(start):
    process = start("digests")
    for n in (0, 1, 110, 111, 112, 127, 128, 129, 239, 240, 450):
        data = bytes(i & 255 for i in range(n))
        expected = f"{hashlib.sha384(data).hexdigest()} {hashlib.sha512(data).hexdigest()}"
        process.expect(f"{n} {expected}\n")
