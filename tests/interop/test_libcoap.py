"""DTLS with libcoap's programs, each built with GnuTLS and with OpenSSL: our client and its servers."""

import base64
import re
import shutil
import socket
import ssl
import subprocess

import pytest
from harness.awaited import PATIENCE_S
from harness.keys import certs, psk, x509
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
            "gnutls": "the client has no certificate",
            "openssl": "the client's certificate is not signed by the CA",
        }
        servers.wait_event("REFUSED", text=refusals[build])
