"""libcoap's programs with ours: DTLS, each built with GnuTLS and with OpenSSL, our client and its
servers; and bodies in blocks, without DTLS.
"""

import base64
import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import zlib
from pathlib import Path

import pytest
from builds import stage, steps
from harness.awaited import PATIENCE_S
from harness.keys import certs, psk, rpk, x509
from harness.lines import Lines
from harness.processes import Device, Servers

ENDPOINT = "device-1"
KEYS = psk(ENDPOINT, b"a-key-for-libcoap")
WRONG = psk(ENDPOINT, b"not-the-one-it-has")
PINNED = x509()
BY_CA = x509(server=certs.CA, usage=2)
UNKNOWN = psk("device-2", b"a-key-for-libcoap")
STRANGER = x509(certs.SELF, certs.SELF_KEY)
FOREIGN = x509(server=certs.SELF, usage=2)
ONCE = {"17": 1, "18": 0, "20": 1}  # one attempt to register is all
# How long our client waits for a server that says nothing any more: all that it says before has come
# by then, on a busy machine too.
SILENT_MS = 10000
# With GnuTLS it closes the session after 5 s.
SILENT = (
    "wrong pre-shared key or identity, or no answer any more",
    "the peer has closed the session",
)


def program(name, build):
    path = shutil.which("%s-%s" % (name, build))
    assert path, "This needs %s-%s: apt-get install libcoap3-bin" % (name, build)
    return path


class Libcoap:
    """A server of libcoap, and what it says."""

    def __init__(self, name, build, *options):
        port = two_ports()
        command = [program(name, build), "-v", "7", "-A", "127.0.0.1", "-p", str(port), *options]
        self.uri = "coaps://127.0.0.1:%d" % (port + 1)
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._said = Lines(self._process.stdout)

    def expect(self, pattern):
        self._said.wait(lambda: re.search(pattern, self._said.text()), pattern)

    def __enter__(self):
        self.expect("created DTLS endpoint")
        return self

    def __exit__(self, kind, error, trace):
        self._process.kill()
        self._process.wait()
        self._said.join()
        self._process.stdout.close()


def two_ports():
    """A free port with another one behind it: libcoap has CoAP on the one and DTLS on the other."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                try:
                    other.bind(("127.0.0.1", port + 1))
                except (OSError, OverflowError):
                    continue
        return port


def certificate_options(folder, certificate, key):
    """For a program's own certificate with its key, and the CA of its peers."""
    text = base64.encodebytes(key).decode()
    own = ssl.DER_cert_to_PEM_cert(certificate)
    own += "-----BEGIN PRIVATE KEY-----\n%s-----END PRIVATE KEY-----\n" % text
    (folder / "own.pem").write_text(own)
    (folder / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(certs.CA))
    return "-c", str(folder / "own.pem"), "-C", str(folder / "ca.pem")


@pytest.fixture
def certificates(tmp_path):
    return certificate_options(tmp_path, certs.SERVER, certs.SERVER_KEY)


def options(keys, certificates):
    if keys.account["2"] == 2:
        return certificates
    return "-k", bytes.fromhex(keys.account["5"]["hex"]).decode()


def device(uri, keys, **config):
    server = {"short_id": 1, "uri": uri, "keys": keys.account, "settings": ONCE}
    return Device(ENDPOINT, servers=[server], **config)


BUILDS = pytest.mark.parametrize("build", ["gnutls", "openssl"])
KINDS = pytest.mark.parametrize("keys", [KEYS, PINNED, BY_CA], ids=["psk", "pinned", "ca"])


@BUILDS
@KINDS
def test_register_with_its_resource_directory(build, keys, certificates):
    # It takes a LwM2M registration for one of its own (RFC 9176 5); POST to an entry is an update.
    with Libcoap("coap-rd", build, *options(keys, certificates)) as server:
        with device(server.uri, keys) as client:
            client.wait_event("REG_REGISTERED")
            client.set("/1/0/1", 500)
            client.wait_event("REG_UPDATING")
            client.wait_event("REG_REGISTERED")
            client.end()
            assert client.names()[-1] == "REG_UNREGISTERED"


def test_raw_public_key(tmp_path):
    # Of its builds the one with GnuTLS has them, for its server. It takes any key of a client.
    text = base64.encodebytes(certs.SERVER_KEY).decode()
    own = "-----BEGIN PRIVATE KEY-----\n%s-----END PRIVATE KEY-----\n" % text
    text = base64.encodebytes(certs.SERVER_PUBLIC).decode()
    own += "-----BEGIN PUBLIC KEY-----\n%s-----END PUBLIC KEY-----\n" % text
    (tmp_path / "raw.pem").write_text(own)
    with Libcoap("coap-server", "gnutls", "-M", str(tmp_path / "raw.pem")) as server:
        with device(server.uri, rpk()) as client:
            failed = client.wait_event("REG_FAILED")  # as it has no registration interface
            assert (failed["code"], failed["internal"]) == ("4.04", False)
        with device(server.uri, rpk(server=certs.SELF_PUBLIC)) as client:
            failed = client.wait_event("REG_FAILED")
            assert failed["text"] == "the server's raw public key is not the account's"


@BUILDS
@KINDS
def test_its_server_has_no_registration_interface(build, keys, certificates):
    with Libcoap("coap-server", build, *options(keys, certificates)) as server:
        with device(server.uri, keys) as client:
            failed = client.wait_event("REG_FAILED")
            assert (failed["code"], failed["internal"]) == ("4.04", False)
            assert failed["text"] == "Not Found"  # libcoap's words


@BUILDS
@pytest.mark.parametrize(
    "keys, code, text",
    [
        (WRONG, "5.03", SILENT),
        (STRANGER, "4.01", "the server does not accept the certificate"),
        (FOREIGN, "4.01", "the server's certificate is not signed by the CA"),
    ],
    ids=["wrong-key", "certificate-of-nobody", "server-of-another-ca"],
)
def test_a_handshake_fails(build, keys, code, text, certificates):
    with Libcoap("coap-server", build, *certificates, *options(KEYS, certificates)) as server:
        with device(server.uri, keys, handshake_ms=SILENT_MS) as client:
            failed = client.wait_event("REG_FAILED")
            assert (failed["code"], failed["internal"]) == (code, True)
            assert failed["text"].startswith(text)


# --- Its client with our server: no LwM2M client, but an answer of ours is the proof of a session


def ask(build, uri, *options):
    """The code that coap-client gets, None where it gets none."""
    command = [program("coap-client", build), "-v", "6", "-B", "30", *options, uri + "/none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    found = re.search(r"\b[245]\.\d\d\b", done.stdout + done.stderr)
    return found and found[0]


@BUILDS
def test_its_client_with_a_pre_shared_key(build):
    with Servers(clients={ENDPOINT: KEYS}) as servers:
        for keys, refusal in ((KEYS, None), (WRONG, "wrong key"), (UNKNOWN, "unknown identity")):
            key = bytes.fromhex(keys.client["key"]).decode()
            code = ask(build, servers.uri, "-u", keys.client["identity"], "-k", key)
            assert code == (None if refusal else "4.04")
            if refusal:
                servers.wait_event("REFUSED", identity=keys.client["identity"], text=refusal)


@BUILDS
def test_its_client_with_a_certificate(build, tmp_path):
    with Servers(clients={ENDPOINT: PINNED}) as servers:
        known = certificate_options(tmp_path, certs.CLIENT, certs.CLIENT_KEY)
        assert ask(build, servers.uri, *known) == "4.04"
        stranger = certificate_options(tmp_path, certs.SELF, certs.SELF_KEY)
        assert ask(build, servers.uri, *stranger) is None
        # GnuTLS gives no certificate to a server that asks for one of another CA (RFC 5246 7.4.4).
        refusals = {
            "gnutls": "the client has no certificate or raw public key",
            "openssl": "the client's certificate is not signed by the CA",
        }
        servers.wait_event("REFUSED", text=refusals[build])


# --- Bodies in blocks, of which the engine has both roles (blocks.py), without DTLS

LARGE = b"".join(b"%9d\n" % i for i in range(100_000))  # what blocks.py has, too


@contextlib.contextmanager
def blocks(*args):
    """blocks.py with these arguments, in a heap that the million bytes do not fit in."""
    path = [str(stage.stage("full")[1]), ".frozen"]
    program = Path(__file__).with_name("blocks.py")
    command = [steps.BUILD / "unix" / "micropython", "-X", "heapsize=200K", program, *args]
    with subprocess.Popen(
        command,
        env=dict(os.environ, MICROPYPATH=os.pathsep.join(path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def blocks_uri():
    port = two_ports()
    with blocks("server", str(port)) as process:
        assert process.stdout.readline() == "ready\n"
        yield "coap://127.0.0.1:%d" % port
        process.terminate()
        assert process.stdout.read() == ""  # no traceback


def coap_client(*options):
    done = subprocess.run(
        [program("coap-client", "notls"), "-v", "4", "-B", "100", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    return done.stdout


@pytest.mark.parametrize("lost", [(), ("-l", "2,5,9")], ids=["", "with loss"])
@pytest.mark.parametrize("size", ["16", "32", "64", "1024", None])
def test_its_client_reads_what_changes(blocks_uri, tmp_path, size, lost):
    out = tmp_path / "clock"
    options = ["-b", size] if size else []
    for _ in range(1 if lost else 3):
        coap_client(*options, *lost, "-o", str(out), blocks_uri + "/clock")
        read = out.read_bytes()
        assert len(read) == 3000 and len(set(read)) == 1


def test_its_client_observes_what_changes(blocks_uri, tmp_path):
    out = tmp_path / "clock"
    coap_client("-s", "3", "-b", "64", "-o", str(out), blocks_uri + "/clock")
    read = out.read_bytes()
    assert len(read) >= 3 * 3000 and len(read) % 3000 == 0
    seen = [read[at : at + 3000] for at in range(0, len(read), 3000)]
    assert all(len(set(one)) == 1 for one in seen)
    assert len(set(seen)) >= 3


@pytest.mark.parametrize("lost", [(), ("-l", "2,50,51")], ids=["", "with loss"])
def test_its_client_puts_a_megabyte(blocks_uri, tmp_path, lost):
    package = tmp_path / "package"
    package.write_bytes(LARGE)
    said = coap_client("-m", "put", "-f", str(package), *lost, blocks_uri + "/package")
    assert said.strip() == "%d %08x" % (len(LARGE), zlib.crc32(LARGE))


def test_its_client_gets_a_megabyte(blocks_uri, tmp_path):
    out = tmp_path / "package"
    coap_client("-o", str(out), blocks_uri + "/package")
    assert out.read_bytes() == LARGE


def test_its_client_puts_what_is_not_wanted(blocks_uri, tmp_path):
    package = tmp_path / "package"
    package.write_bytes(LARGE)
    started = time.monotonic()
    for path in ("/clock", "/nothing"):
        options = ("-m", "put", "-f", str(package), blocks_uri + path)
        assert "not in blocks" in coap_client(*options)
    assert time.monotonic() - started < 5


def test_its_server_takes_a_megabyte_and_gives_it_back():
    port = two_ports()
    command = [program("coap-server", "notls"), "-A", "127.0.0.1", "-p", str(port), "-v", "7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            while b"created UDP" not in server.stdout.readline():
                assert server.poll() is None
            threading.Thread(target=server.stdout.read, daemon=True).start()
            with blocks("client", str(port)) as process:
                assert process.communicate(timeout=120)[0] == "41 45 the same\n"
        finally:
            server.kill()
