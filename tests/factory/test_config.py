"""The configuration: what is read from it, and the sentence for everything that is wrong."""

import ast
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from harness.micropython import micropython
from harness.tool import factory
from lwm2m_factory import FactoryError, identity, image, package
from samples import CERTIFICATE, PSK, VALUES, check_refused, load

NETWORKS = [
    ('type = "none"', {"type": "none"}),
    ('type = "wifi"\nssid = "x"', {"type": "wifi", "ssid": "x", "address": "dhcp"}),
    (
        (
            'type = "ppp"\nuart = 1\ntx = 4\nrx = 5\napn = "iot"\npin = "0000"\n'
            'chat = [["AT", "OK", 2], ["ATD*99#", "CONNECT", 30.5]]'
        ),
        {
            "type": "ppp",
            "uart": 1,
            "tx": 4,
            "rx": 5,
            "baud": 115200,
            "apn": "iot",
            "pin": "0000",
            "chat": [["AT", "OK", 2], ["ATD*99#", "CONNECT", 30.5]],
        },
    ),
    (
        'type = "ppp"\nuart = 1\nuser = "iot"\npassword = "x y"\nauth = "chap"',
        {
            "type": "ppp",
            "uart": 1,
            "baud": 115200,
            "user": "iot",
            "password": "x y",
            "auth": "chap",
        },
    ),
    (
        'type = "ppp"\nuart = 1\nuser = "iot"',
        {
            "type": "ppp",
            "uart": 1,
            "baud": 115200,
            "user": "iot",
            "password": "",
            "auth": "pap",
        },
    ),
    (
        (
            'type = "ethernet"\nmdc = 23\nphy = "LAN8720"\n[network.address]\nip = "192.0.2.7"\n'
            'mask = "255.255.255.0"\ngateway = "192.0.2.1"\ndns = "192.0.2.2"'
        ),
        {
            "type": "ethernet",
            "mdc": 23,
            "phy": "LAN8720",
            "address": {
                "ip": "192.0.2.7",
                "mask": "255.255.255.0",
                "gateway": "192.0.2.1",
                "dns": "192.0.2.2",
            },
        },
    ),
]
SERVER = '[[server]]\nshort_id = 1\nuri = "coap://127.0.0.1"\n'


@pytest.mark.parametrize(("text", "network"), NETWORKS)
def test_network(tmp_path: Path, text: str, network: dict) -> None:
    found = load(tmp_path, f'endpoint = "x"\n[network]\n{text}\n{SERVER}')
    assert found.settings == {"network": network}
    assert image.unpack(identity.make(found, {}).data).settings == {"network": network}


def test_sleep(tmp_path: Path) -> None:
    text = f'endpoint = "x"\n[network]\ntype = "none"\n{SERVER}queue = true\n[sleep]\n'
    found = load(tmp_path, text + 'mode = "light"\n').settings["sleep"]
    assert found == {"mode": "light", "awake": 93}
    found = load(tmp_path, text + 'mode = "deep"\nawake = 10\npin = 4\n').settings["sleep"]
    assert found == {"mode": "deep", "awake": 10, "pin": 4}
    for wrong, words in (
        ('mode = "lite"\n', 'mode must be one of off, light, deep; did you mean "light"?'),
        ("awake = 10\n", "mode is missing"),
        ('mode = "deep"\nawake = 0\n', "awake must be from 1 to 3600"),
        ('mode = "deep"\npins = 4\n', "pins is unknown: did you mean pin?"),
    ):
        with pytest.raises(FactoryError, match=re.escape(words)):
            load(tmp_path, text + wrong)
    awake = text.replace("queue = true\n", "")
    assert load(tmp_path, awake + 'mode = "off"\n').settings["sleep"]["mode"] == "off"
    with pytest.raises(FactoryError, match=r"server\[1\]\.queue must be true"):
        load(tmp_path, awake + 'mode = "deep"\n')


def test_update(tmp_path: Path) -> None:
    keys = []
    for name in ("one", "two"):
        key = ec.generate_private_key(ec.SECP256R1())
        keys.append(package.raw_key(key.public_key()).hex())
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (tmp_path / f"{name}.pem").write_bytes(public)
    text = f'endpoint = "x"\n[network]\ntype = "none"\n{SERVER}[update]\n'
    more = 'target = "board"\nkeys = ["one.pem", "two.pem"]\n'
    found = load(tmp_path, text + more + "number = 3\n").settings["update"]
    assert found == {"target": "board", "keys": keys, "number": 3}
    found = load(tmp_path, text + 'target = "b"\nkeys = ["two.pem"]\n').settings["update"]
    assert found == {"target": "b", "keys": keys[1:], "number": 0}
    for more, words in (
        ('keys = ["one.pem"]\n', "target is missing"),
        ('target = "12345678901234567"\nkeys = ["one.pem"]\n', "must have from 1 to 16 bytes"),
        ('target = "b"\nkeys = []\n', "must name one or two files"),
        ('target = "b"\nkeys = [1]\n', "must name one or two files"),
        ('target = "b"\nkeys = ["three.pem"]\n', "three.pem cannot be read"),
        ('target = "b"\nkeys = ["factory.toml"]\n', "is no public key in PEM"),
        ('target = "b"\nkeys = ["one.pem"]\nnumber = -1\n', "number"),
        ('target = "b"\nkeys = ["one.pem"]\ntarget2 = 1\n', "target2"),
    ):
        with pytest.raises(FactoryError, match=words):
            load(tmp_path, text + more)


# What is replaced in PSK or CERTIFICATE, and the sentence behind the file's name.
WRONG = [
    (
        PSK,
        'endpoint = "urn',
        'end_point = "urn',
        "line 1, column 1: end_point is unknown: did you mean endpoint?",
    ),
    (
        PSK,
        "{serial}",
        "{serail}",
        ("line 1, column 1: endpoint has {serail}: choose from {chip_id}, {mac}, {serial}."),
    ),
    (PSK, "{serial}", "{serial", "line 1, column 1: endpoint has a brace that is no {name}."),
    (
        PSK,
        "ops:",
        "ops: ",
        "line 1, column 1: endpoint must not have spaces or control characters.",
    ),
    (PSK, "ssid = ", "sid = ", "line 5, column 1: network.sid is unknown: did you mean ssid?"),
    (PSK, '"line 3"', "3", "line 5, column 1: network.ssid must be a text in quotes."),
    (PSK, '"line 3"', '""', "line 5, column 1: network.ssid is empty."),
    (
        PSK,
        "correct horse",
        "horse",
        ("line 6, column 1: network.password must have from 8 to 63 characters (WPA)."),
    ),
    (
        PSK,
        '"DE"',
        '"de"',
        'line 7, column 1: network.country must be two capital letters, such as "DE".',
    ),
    (
        PSK,
        '"wifi"',
        '"wiffi"',
        (
            'line 4, column 1: network.type must be one of wifi, ppp, ethernet, none; did you mean "wifi"?'
        ),
    ),
    (
        PSK,
        'country = "DE"',
        'address = "static"',
        (
            'line 7, column 1: network.address must be "dhcp", or a table of ip, mask, gateway and dns.'
        ),
    ),
    (
        PSK,
        'country = "DE"',
        'address = { ip = "1.2.3" }',
        (
            "line 7, column 1: network.address.mask is missing.\n"
            "line 7, column 1: network.address.gateway is missing.\n"
            "line 7, column 1: network.address.dns is missing.\n"
            'line 7, column 13: network.address.ip must be an IPv4 address, such as "192.0.2.7".'
        ),
    ),
    (PSK, "led = 25", "led = true", "line 10, column 1: board.led must be a whole number."),
    (PSK, "led = 25", "led = 256", "line 10, column 1: board.led must be from 0 to 255."),
    (PSK, "led = 25", "leds = 25", "line 10, column 1: board.leds is unknown: did you mean led?"),
    (PSK, "led = 25", "console = 4", "line 10, column 1: board.console must be from 0 to 3."),
    (
        PSK,
        "interval = 60",
        "interval = 1979-05-27",
        ("line 13, column 1: app.interval must be made of texts, numbers, true and false."),
    ),
    *(
        (
            PSK,
            "interval = 60",
            f"interval = {text}",
            "line 13, column 1: app.interval must be made of texts, numbers, true and false.",
        )
        for text in ("inf", "nan", "[1, -inf]", "{ a = nan }")
    ),
    (
        PSK,
        "hold_off = 5",
        "hold_off = -1",
        ("line 17, column 1: bootstrap.hold_off must be from 0 to 2147483647."),
    ),
    (
        PSK,
        "hold_off = 5",
        "hold_of = 5",
        ("line 17, column 1: bootstrap.hold_of is unknown: did you mean hold_off?"),
    ),
    (
        PSK,
        "coaps://bs.",
        "coap://bs.",
        (
            "line 20, column 1: bootstrap.security.mode must be none with a coap:// URI; or make it coaps://."
        ),
    ),
    (
        PSK,
        '[[bootstrap.server]]\nshort_id = 7\nuri = "coaps://later.example.org"\nsecurity.mode = "psk"\n',
        "",
        (
            "line 15, column 1: bootstrap.server is missing: give a [[bootstrap.server]], which the bootstrap "
            "server is to give boards and `export` hands over, or server = [] where that is none of "
            "this tool's business."
        ),
    ),
    (
        PSK,
        "coaps://bs.",
        "http://bs.",
        ("line 16, column 1: bootstrap.uri must be coap://host:port or coaps://host:port."),
    ),
    (
        PSK,
        "short_id = 101",
        "short_id = 65535",
        ("line 28, column 1: server[1].short_id must be from 1 to 65534."),
    ),
    (
        PSK,
        'mode = "psk"\nid',
        'mode = "none"\nid',
        (
            "line 34, column 1: server[1].security.mode must be psk, rpk or certificate with a coaps:// URI.\n"
            "line 35, column 1: server[1].security.identity is unknown: choose from mode.\n"
            "line 36, column 1: server[1].security.key_bytes is unknown: choose from mode."
        ),
    ),
    (
        PSK,
        "key_bytes = 32",
        "key_bytes = 8",
        ("line 36, column 1: server[1].security.key_bytes must be from 16 to 64."),
    ),
    (
        PSK,
        "key_bytes = 32",
        'key = "0011"',
        (
            "line 36, column 1: server[1].security.key has 2 bytes: a key "
            "has from 16 to 64 bytes, which are 32 to 128 hexadecimal digits."
        ),
    ),
    (
        PSK,
        "key_bytes = 32",
        'key = "001"',
        (
            "line 36, column 1: server[1].security.key has 3 digits: two "
            "make a byte, so the number must be even."
        ),
    ),
    (
        PSK,
        "key_bytes = 32",
        'key = "secret!!"',
        ("line 36, column 1: server[1].security.key must be hexadecimal."),
    ),
    (
        PSK,
        "{chip_id}",
        "{psk}",
        (
            "line 35, column 1: server[1].security.identity has {psk}: choose from "
            "{chip_id}, {mac}, {serial}, {endpoint}."
        ),
    ),
    (
        PSK,
        "[[server]]",
        '[[server]]\nshort_id = 101\nuri = "coap://x"\n[[server]]',
        "line 31, column 1: server[2].short_id 101 is there twice.",
    ),
    (
        PSK,
        "[server.security]",
        "[servers.security]",
        (
            "line 27, column 1: server[1].security must be psk, rpk or certificate with a coaps:// URI.\n"
            "line 33, column 1: servers is unknown: did you mean server?"
        ),
    ),
    (
        PSK,
        "queue = true",
        "mute_send = 1",
        "line 31, column 1: server[1].mute_send must be true or false.",
    ),
    *[
        (PSK, "[[bootstrap.server]]", f"[[access]]\n{text}\n[[bootstrap.server]]", sentence)
        for text, sentence in (
            ("instance = 0", "line 22, column 1: access[1].object is missing."),
            ("object = 0", "line 23, column 1: access[1].object must be from 1 to 65534."),
            (
                "object = 3\ninstance = 65535",
                "line 24, column 1: access[1].instance must be from 0 to 65534.",
            ),
            (
                "object = 3\nowner = 0",
                "line 24, column 1: access[1].owner must be from 1 to 65534.",
            ),
            (
                "object = 3\nowners = 1",
                "line 24, column 1: access[1].owners is unknown: did you mean owner?",
            ),
            (
                "object = 3\nrights = 1",
                "line 24, column 1: access[1].rights must be a table: [access.rights].",
            ),
            (
                "object = 3\ninstance = 0\nrights = { 2 = 'RC' }",
                "line 25, column 12: access[1].rights.2 must be of the letters RWED, in quotes.",
            ),
            (
                "object = 3\nrights = { 2 = 'R' }",
                "line 24, column 12: access[1].rights.2 must be of the letters C, in quotes.",
            ),
            (
                "object = 3\ninstance = 0\nrights = { 2 = 1 }",
                "line 25, column 12: access[1].rights.2 must be of the letters RWED, in quotes.",
            ),
            *[
                (
                    f"object = 3\ninstance = 0\nrights = {{ {name} = 'R' }}",
                    f"line 25, column 12: access[1].rights.{name} is no short_id from 1 to 65534, nor default.",
                )
                for name in ("0", "07", "65535", "all", "-1")
            ],
            (
                "object = 3\ninstance = 0\n[[access]]\nobject = 3\ninstance = 0",
                "line 25, column 1: access[2] is there twice for that object and instance.",
            ),
        )
    ],
    (PSK, "lifetime = 300", "lifetime = 300 s", "line 30, column 16: this is no TOML."),
    (
        CERTIFICATE,
        "[0xC0AE]",
        '["x"]',
        (
            "line 15, column 18: server[1].security.cipher_suites[1] must be one of IANA's numbers, "
            "such as 0xC0A8."
        ),
    ),
    (
        CERTIFICATE,
        "sni",
        "key",
        "line 14, column 1: server[1].security.key is unknown: did you mean ca_key?",
    ),
]


@pytest.mark.parametrize(
    ("text", "old", "new", "sentence"), WRONG, ids=[f"{row[2]}: {row[3]}" for row in WRONG]
)
def test_wrong(authority: Path, text: str, old: str, new: str, sentence: str) -> None:
    check_refused(authority, text, old, new, sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            'user = "iot"\nauth = "eap"',
            "line 6, column 1: network.auth must be one of pap, chap; did you mean",
        ),
        ('password = "x"', "line 5, column 1: network.password needs a user beside it."),
        ('auth = "pap"', "line 5, column 1: network.auth needs a user beside it."),
        (f'user = "{"x" * 256}"', "line 5, column 1: network.user must have at most 255 bytes."),
    ],
)
def test_wrong_login(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(FactoryError) as caught:
        load(tmp_path, f'endpoint = "x"\n[network]\ntype = "ppp"\nuart = 1\n{text}\n{SERVER}')
    assert str(caught.value).startswith(f"{tmp_path}/factory.toml, {sentence}")


ACCESS = """
[[access]]
object = 3
instance = 0
owner = 101
rights = { 7 = "RW", default = "R", 9 = "" }

[[access]]
object = 3303
rights.7 = "C"
"""


def test_access(tmp_path: Path) -> None:
    found = load(tmp_path, PSK + ACCESS)
    made = identity.make(found, VALUES)
    assert image.unpack(made.data).state[2] == {
        0: {0: 3, 1: 0, 2: {7: 3, 0: 1, 9: 0}, 3: 101},
        1: {0: 3303, 1: 65535, 2: {7: 16}, 3: 65535},
    }
    assert 2 not in image.unpack(identity.make(load(tmp_path, PSK), VALUES).data).state
    # The client of an image with lwm2m-access has it.
    out = tmp_path / "accounts"
    out.write_bytes(made.data)
    program = f"""
import lwm2m
from lwm2m.store import Store

store = Store({str(tmp_path / "store")!r}, lambda: open({str(out)!r}, "rb"))
client = lwm2m.Client({made.endpoint!r}, store=store)
print(client.core.objects[2].instances)
"""
    done = micropython("-c", program, timeout=60)
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout) == image.unpack(made.data).state[2]


def test_all_faults_at_once(tmp_path: Path) -> None:
    # Of every kind: shape, names, bounds, what fields must be together. In the file's order.
    text = (
        'endpoint = "{serail}"\n'
        '[network]\n  type = "ppp"\n  uart = 9\n  tx = 3\n  rx = 3\n'
        "  chat = [\n"
        '    ["AT", "OK", 2],\n'
        '    ["AT", "OK"],\n'
        "  ]\n"
        "[appp]\n"
        "[[server]]\n"
        'short_id = 1\nuri = "coaps://x"\nsecurity = { mode = "psk", key_bits = 128, key = "xyz" }\n'
        "[[server]]\n"
        'short_id = 1\nuri = "coap://x"\nlifetime = "1 h"\n'
        "[bootstrap]\n"
        'uri = "coap://b"\n'
        'server = [{ short_id = 1, uri = "http://x", delay = 1 }, 2]\n'
    )
    (tmp_path / "factory.toml").write_text(text)
    done = factory(tmp_path, "check", "factory.toml")
    assert done.returncode == 1
    assert done.stderr.replace("factory.toml, line ", "").splitlines() == [
        "1, column 1: endpoint has {serail}: choose from {chip_id}, {mac}, {serial}.",
        "4, column 3: network.uart must be from 0 to 7.",
        "6, column 3: network.rx is 3, as network.tx: each has its own pin.",
        '9, column 5: network.chat[2] must be ["send", "expect", seconds].',
        "11, column 1: appp is unknown: did you mean app?",
        "15, column 28: server[1].security.key_bits is unknown: did you mean key_bytes?",
        "15, column 44: server[1].security.key must be hexadecimal.",
        "17, column 1: server[2].short_id 1 is there twice.",
        "19, column 1: server[2].lifetime must be a whole number.",
        "22, column 27: bootstrap.server[1].uri must be coap://host:port or coaps://host:port.",
        "22, column 45: bootstrap.server[1].delay cannot be given by a bootstrap server's export.",
        "22, column 58: bootstrap.server[2] must be a table.",
    ]
    assert "xyz" not in done.stderr


# In place of [network] in a configuration that is right otherwise.
TABLES = [
    ("", 'line 1, column 1: network is missing: give a [network]; its type may be "none".'),
    ("network = 1", "line 2, column 1: network must be a table: [network]."),
    ("[[network]]", "line 2, column 1: network must be a table: [network]."),
    ("[network]", "line 2, column 1: network.type is missing."),
    ("[network]\ntype = 1", "line 3, column 1: network.type must be a text in quotes."),
    (
        '[network]\ntype = "none"\n[server]\n[board]\nled = 1',
        "line 4, column 1: server must be a list of tables: [[server]].",
    ),
    (
        '[network]\ntype = "none"\n[update]\nkeys = 1\ntarget = 1',
        (
            "line 5, column 1: update.keys must name one or two files.\n"
            "line 6, column 1: update.target must be a text in quotes."
        ),
    ),
]


@pytest.mark.parametrize(("text", "sentence"), TABLES, ids=[row[1] for row in TABLES])
def test_tables(tmp_path: Path, text: str, sentence: str) -> None:
    rest = "" if "[server]" in text else f"\n{SERVER}"
    right = f'endpoint = "x"\n[network]{rest}'
    check_refused(tmp_path, right, right, f'endpoint = "x"\n{text}{rest}', sentence)
