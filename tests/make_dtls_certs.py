"""Write tests/unit/dtls_certs.py: certificates and raw public keys for the DTLS tests, made with openssl.

They are valid from 2020 to 2120, but for those whose name says otherwise. Run it again to have others:
build/venv/bin/python tests/make_dtls_certs.py
"""

import base64
import hashlib
import subprocess
import tempfile
import textwrap
from pathlib import Path

OUT = Path(__file__).parent / "unit" / "dtls_certs.py"

_CONFIG = """
[ca]
default_ca = it
[it]
new_certs_dir = .
database = index.txt
serial = serial.txt
default_md = sha256
policy = any
unique_subject = no
[any]
organizationName = optional
commonName = supplied
"""
_GOOD = ("20200101000000Z", "21200101000000Z")
_LEAF = "basicConstraints = CA:FALSE\n"
_SERVER = _LEAF + "subjectAltName = DNS:server.example.org, DNS:*.example.net, IP:127.0.0.1\n"
_NAMES = ", ".join(f"DNS:host-{i:02}.subdomain.example.org" for i in range(28))

# name: (key, signed by, subject, dates, extensions)
CERTIFICATES = {
    "CA": ("ca", "ca", "/CN=Test CA", _GOOD, "basicConstraints = critical, CA:TRUE\n"),
    "SERVER": ("server", "ca", "/O=Test/CN=server", _GOOD, _SERVER),
    "SERVER_EXPIRED": (
        "server",
        "ca",
        "/CN=server",
        ("20200101000000Z", "20210101000000Z"),
        _SERVER,
    ),
    "SERVER_FUTURE": (
        "server",
        "ca",
        "/CN=server",
        ("21100101000000Z", "21200101000000Z"),
        _SERVER,
    ),
    "SERVER_BIG": ("server", "ca", "/CN=server", _GOOD, _LEAF + f"subjectAltName = {_NAMES}\n"),
    "SELF": ("self", "self", "/CN=server.example.org", _GOOD, "basicConstraints = CA:TRUE\n"),
    "CLIENT": ("client", "ca", "/O=somebody-else/CN=device-1", _GOOD, _LEAF),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        parts = make(Path(folder))
    text = [
        "# Made by tests/make_dtls_certs.py: DER certificates, private keys (PKCS#8) and public ones of the tests.",
        "",
        "from binascii import a2b_base64",
        "",
    ]
    for name, data in parts.items():
        lines = textwrap.wrap(base64.b64encode(data).decode(), 88)
        text += [f"{name} = a2b_base64(", *(f'    "{line}"' for line in lines), ")"]
    for name, bits in (("SERVER", 256), ("SERVER", 384), ("SERVER", 512), ("CA", 256)):
        digest = hashlib.new(f"sha{bits}", parts[name]).hexdigest()
        text.append(f'{name}_SHA{bits} = "{digest}"')
    OUT.write_text("\n".join(text) + "\n")


def make(folder: Path) -> "dict[str, bytes]":
    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    (folder / "ca.cnf").write_text(_CONFIG)
    (folder / "index.txt").touch()
    (folder / "serial.txt").write_text("1000\n")
    parts = {}
    for key in ("ca", "server", "self", "client"):
        curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        openssl("genpkey", *curve, "-out", f"{key}.pem")
        openssl("pkcs8", "-topk8", "-nocrypt", "-in", f"{key}.pem", "-outform", "DER", "-out", key)
        if key != "ca":
            parts[f"{key.upper()}_KEY"] = (folder / key).read_bytes()
            openssl("pkey", "-in", f"{key}.pem", "-pubout", "-outform", "DER", "-out", "public")
            parts[f"{key.upper()}_PUBLIC"] = (folder / "public").read_bytes()
    for name, (key, signer, subject, (start, end), extensions) in CERTIFICATES.items():
        (folder / "ext.cnf").write_text(extensions)
        openssl("req", "-new", "-key", f"{key}.pem", "-subj", subject, "-out", "request.pem")
        by = ("-selfsign",) if key == signer else ("-cert", "CA.pem")
        dates = ("-startdate", start, "-enddate", end)
        openssl(
            *("ca", "-batch", "-notext", "-config", "ca.cnf", "-extfile", "ext.cnf", *dates, *by),
            *("-keyfile", f"{signer}.pem", "-in", "request.pem", "-out", f"{name}.pem"),
        )
        openssl("x509", "-in", f"{name}.pem", "-outform", "DER", "-out", name)
        parts[name] = (folder / name).read_bytes()
    return parts


if __name__ == "__main__":
    main()
