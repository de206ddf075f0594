"""Packages for updates: made and signed by the tool, looked at as the device does."""

import hashlib
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from harness import tool
from harness.micropython import UNIT, micropython
from lwm2m_factory import FactoryError, package


def pem(path: Path, curve: ec.EllipticCurve, password: bytes = b"") -> Path:
    sealed = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    path.write_bytes(
        ec.generate_private_key(curve).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed
        )
    )
    return path


@pytest.fixture
def place(tmp_path: Path):
    """A folder with an application and two vendor keys."""
    (tmp_path / "app" / "sub").mkdir(parents=True)
    (tmp_path / "app" / "app.py").write_text("VERSION = 2\n" * 100)
    (tmp_path / "app" / "sub" / "more.mpy").write_bytes(bytes(range(256)))
    (tmp_path / "app" / ".hidden").touch()
    for name in ("one", "two"):
        pem(tmp_path / f"{name}.pem", ec.SECP256R1())
    return tmp_path


def make(place: Path, *more: str) -> Path:
    done = tool.factory(
        place, "package", "app", "-o", "app.lwp", "--target", "board", "--number", "2", *more
    )
    assert done.returncode == 0, done.stderr
    return place / "app.lwp"


def public(place: Path, name: str) -> str:
    done = tool.factory(place, "public-key", f"{name}.pem")
    assert len(done.stdout.strip()) == 128, done.stderr
    return done.stdout.strip()


def device(place: Path, target: str = "board", number: int = 1, revoked: int = 0) -> str:
    keys = public(place, "one"), public(place, "two")
    done = micropython(
        UNIT / "package_check.py", place / "app.lwp", target, number, revoked, *keys
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_signed_by_the_tool(place):
    made = make(place, "--key", "one.pem", "--name", "thermo", "--app-version", "2.0.1")
    data = made.read_bytes()
    whole = zlib.decompress(data[164:])
    first = b"VERSION = 2\n" * 100
    assert whole == (
        b"\6" + len(first).to_bytes(4, "big") + b"app.py" + first
        + b"\x0c" + (256).to_bytes(4, "big") + b"sub/more.mpy" + bytes(range(256))
    )  # fmt: skip
    assert data[68:100] == hashlib.sha256(data[164:]).digest()
    assert device(place) == f"board 2 thermo 2.0.1 {len(data) - 164} {len(whole)}"
    assert device(place, "other") == "6 for another target"
    assert device(place, number=2).startswith("board 2")
    assert device(place, number=3) == "8 older than what is installed"
    assert device(place, revoked=1) == "5 signed by nobody that is trusted"
    assert device(place, revoked=2).startswith("board 2")


def test_a_romfs_image(place):
    # What is in it is what mpremote puts into one.
    for name in ("a.py", "sub/deep/one.py", "sub/deep/two.py", "sub/other/three.py"):
        (place / "app" / name).parent.mkdir(exist_ok=True)
        (place / "app" / name).write_text(f"# {name}")
    (place / "app" / ".hidden").unlink()
    made = make(place, "--key", "one.pem", "--romfs").read_bytes()
    command = [sys.executable, "-m", "mpremote", "romfs", "--no-mpy", "-o", place / "romfs"]
    subprocess.run([*command, "build", place / "app"], check=True, stdout=subprocess.DEVNULL)
    assert made[164:] == (place / "romfs").read_bytes()
    assert made[4:6] == b"\2\0"
    assert device(place).startswith("board 2")


def test_with_a_library(place):
    lib = place / "bundle" / "board" / "lib"
    for name in ("device/main.mpy", "lwm2m/__init__.mpy", "ucoap/__init__.mpy"):
        (lib / name).parent.mkdir(parents=True)
        (lib / name).write_text(name)
    for name in ("boot.py", "main.py"):  # no update changes these
        (lib.parent / name).touch()
    for folder in ("bundle", "bundle/board"):
        made = make(place, "--key", "one.pem", "--library", folder, "--plain").read_bytes()[164:]
        names, at = [], 0
        while at < len(made):
            size = int.from_bytes(made[at + 1 : at + 5], "big")
            names.append(made[at + 5 : at + 5 + made[at]].decode())
            at += 5 + made[at] + size
        assert names == [
            "app.py",
            "device/main.mpy",
            "lwm2m/__init__.mpy",
            "sub/more.mpy",
            "ucoap/__init__.mpy",
        ]
        assert device(place).startswith("board 2")

    def refusal(*more: str) -> str:
        out = ("-o", "x.lwp", "--target", "board", "--number", "2")
        done = tool.factory(place, "package", *out, *more)
        assert done.returncode == 1 and not (place / "x.lwp").exists()
        return done.stderr.strip()

    files_only = "A library comes as files, with the folder of an application."
    assert refusal("app", "--library", "bundle", "--romfs") == files_only
    assert refusal("app/app.py", "--library", "bundle") == files_only
    no_bundle = "app is no bundle: make bundle makes one, as build/bundle/ROLE."
    assert refusal("app", "--library", "app") == no_bundle
    assert refusal("app/sub", "--library", "bundle") == (
        "There is no app.py: a library comes with the application that it runs."
    )
    (place / "app" / "device").mkdir()
    (place / "app" / "device" / "main.mpy").touch()
    assert refusal("app", "--library", "bundle") == (
        "device/main.mpy is in the application and in the library."
    )
    (lib / "ucoap" / "__init__.mpy").unlink()
    assert refusal("app", "--library", "bundle").startswith("bundle is no bundle")


def test_a_program_of_an_esp32(place):
    program = b"\xe9" + bytes(31) + bytes.fromhex("3254cdab") + bytes(range(200))
    (place / "app.bin").write_bytes(program)
    out = ("-o", "app.lwp", "--target", "board", "--number", "2")
    done = tool.factory(place, "package", "app.bin", *out, "--key", "one.pem")
    assert done.returncode == 0, done.stderr
    made = (place / "app.lwp").read_bytes()
    assert made[4:6] == b"\3\0" and made[164:] == program
    assert device(place).startswith("board 2")
    for content, words in (
        (b"UF2\n" + bytes(508), "no second place"),
        (b"\xe9" + bytes(400), "no program of an ESP32"),
        (b"", "no program of an ESP32"),
    ):
        (place / "app.bin").write_bytes(content)
        done = tool.factory(place, "package", "app.bin", *out)
        assert done.returncode == 1 and words in done.stderr, done.stderr


def test_signed_by_the_other_key(place):
    make(place, "--key", "two.pem", "--slot", "1", "--revoke", "0", "--older")
    assert device(place, number=9).startswith("board 2")
    assert device(place, revoked=2) == "5 signed by nobody that is trusted"
    make(place, "--key", "two.pem", "--slot", "0")
    assert device(place) == "5 its signature is wrong"


def test_signed_elsewhere(place):
    made = make(place)
    assert device(place) == "5 its signature is wrong"
    done = tool.factory(
        place, "package", "app", "-o", "app.lwp", "--target", "board", "--number", "2"
    )
    digest = bytes.fromhex(done.stdout.split()[-1])
    key = serialization.load_pem_private_key((place / "one.pem").read_bytes(), None)
    signature = key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    raw = b"".join(n.to_bytes(32, "big") for n in utils.decode_dss_signature(signature))
    for each in (signature, raw):
        make(place)
        (place / "signature").write_bytes(each)
        done = tool.factory(place, "sign", "app.lwp", "--signature", "signature")
        assert done.returncode == 0, done.stderr
        assert device(place).startswith("board 2")
    before = made.read_bytes()
    done = tool.factory(
        place, "sign", "app.lwp", "--signature", "signature", "--public", "two.pem"
    )
    assert done.returncode == 1 and "another key's signature" in done.stderr
    assert made.read_bytes() == before
    (place / "signature").write_bytes(b"\x30\x00")
    done = tool.factory(place, "sign", "app.lwp", "--signature", "signature")
    assert done.returncode == 1 and "no signature" in done.stderr


def test_every_bit_of_the_header_is_signed(place):
    made = make(place, "--key", "one.pem")
    good = made.read_bytes()
    for i in (0, 3, 4, 5, 6, 7, 8, 12, 16, 20, 36, 52, 68, 99, 100, 163):
        made.write_bytes(good[:i] + bytes((good[i] ^ 1,)) + good[i + 1 :])
        assert device(place)[0] in "56", i


def test_keys_that_are_none(place):
    pem(place / "k1.pem", ec.SECP256K1())
    (place / "rubbish.pem").write_text("rubbish")
    for name, words in (
        ("k1", "no key of P-256"),
        ("rubbish", "no private key"),
        ("absent", "cannot be read"),
    ):
        done = tool.factory(
            place, "package", "app", "-o", "x", "--target", "board", "--number", "2",
            "--key", f"{name}.pem",
        )  # fmt: skip
        assert done.returncode == 1 and words in done.stderr, done.stderr
        assert not (place / "x").exists()


def test_a_key_with_a_password(tmp_path):
    path = pem(tmp_path / "key.pem", ec.SECP256R1(), b"secret")
    assert package.load_key(path, lambda path: "secret").curve.name == "secp256r1"
    with pytest.raises(FactoryError, match="password"):
        package.load_key(path, lambda path: "other")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": ""}, "target must be"),
        ({"target": "x" * 17}, "target must be"),
        ({"version": "1" * 17}, "version must be"),
        ({"number": -1}, "number must be"),
        ({"number": 1 << 32}, "number must be"),
        ({"revoked": 1}, "cannot revoke itself"),
    ],
)
def test_terms_that_cannot_be(change, words):
    terms = package.Terms(**{"target": "board", "number": 1, "version": "1", **change})
    with pytest.raises(FactoryError, match=words):
        package.build([("app.py", b"")], terms)


def test_folders_that_cannot_be(tmp_path):
    with pytest.raises(FactoryError, match="no folder"):
        package.files(tmp_path / "absent")
    with pytest.raises(FactoryError, match="no files"):
        package.files(tmp_path)
    (tmp_path / "not so.py").touch()
    with pytest.raises(FactoryError, match="cannot go into a package"):
        package.files(tmp_path)
