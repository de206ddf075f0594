"""What the configuration makes of a board: its accounts, its keys, and the file that it gets."""

import json
from pathlib import Path

import pytest
from lwm2m_factory import FactoryError, identity, image
from samples import PSK, VALUES, load


def test_pre_shared_keys(tmp_path: Path) -> None:
    found = load(tmp_path, PSK)
    made = identity.make(found, VALUES)
    endpoint, state, settings = image.unpack(made.data)
    assert endpoint == made.endpoint == "urn:dev:ops:32473-0001"
    keys = [state[0][iid].pop(5) for iid in (0, 1)]
    assert [len(key) for key in keys] == [16, 32]
    assert state == {
        0: {
            0: {
                0: "coaps://bs.example.org",
                1: True,
                2: 0,
                3: b"urn:dev:ops:32473-0001",
                4: b"",
                11: 5,
                12: 0,
            },
            1: {
                0: "coaps://server.example.org",
                1: False,
                2: 0,
                3: b"e66038b713952135",
                4: b"",
                10: 101,
            },
        },
        1: {0: {0: 101, 1: 300, 6: True, 7: "UQ", 23: False}},
    }
    assert settings == {
        "network": {
            "type": "wifi",
            "ssid": "line 3",
            "password": "correct horse",
            "country": "DE",
            "address": "dhcp",
        },
        "led": 25,
        "app": {"interval": 60},
    }
    record = made.record
    assert [each["security"]["key"] for each in record["accounts"]] == [k.hex() for k in keys]
    later = record["given"][0]
    assert later["short_id"] == 7 and len(later["security"]["key"]) == 32
    for key in (*keys, bytes.fromhex(later["security"]["key"])):
        assert key.hex() not in repr(made) and key not in repr(made).encode()
    json.dumps(record)

    # Other boards get other keys; the same board, given again, keeps its own.
    other = identity.make(found, dict(VALUES, serial="0002"))
    assert not set(_keys(other.record)) & set(_keys(record))
    again = identity.make(found, VALUES, record)
    assert _keys(again.record) == _keys(record)
    assert again.data == made.data


def _keys(record: dict) -> "list[str]":
    return [each["security"]["key"] for each in record["accounts"] + record["given"]]


def test_given_key(tmp_path: Path) -> None:
    text = PSK.replace("key_bytes = 32", 'key = "{psk}"')
    found = load(tmp_path, text, columns=("serial", "psk"))
    assert found.names() == ["serial", "psk"]
    made = identity.make(found, dict(VALUES, psk="00112233445566778899AABBCCDDEEFF"))
    key = image.unpack(made.data).state[0][1][5]
    assert key == bytes.fromhex("00112233445566778899aabbccddeeff")
    with pytest.raises(FactoryError) as caught:
        identity.make(found, dict(VALUES, psk="00112233"))
    assert str(caught.value).startswith("server[1].security.key has 4 bytes: a key has from 16 to")
    with pytest.raises(FactoryError, match=r"security.key needs \{psk\}: it is not given"):
        identity.make(found, VALUES)


def test_endpoint_needs_what_the_board_lacks(tmp_path: Path) -> None:
    found = load(tmp_path, PSK.replace("{serial}", "{mac}"))
    for mac in (
        "",
        "000000000000",
        "00:00:00:00:00:00",
    ):  # a Pico W's before its interface was active
        with pytest.raises(FactoryError, match=r"needs \{mac\}, which this board does not have\."):
            identity.make(found, dict(VALUES, mac=mac))


def test_too_long(tmp_path: Path) -> None:
    found = load(tmp_path, PSK.replace("interval = 60", f'text = "{"x" * 4000}"'))
    with pytest.raises(FactoryError, match="a board has 4096 for it"):
        identity.make(found, VALUES)


def test_damaged_file(tmp_path: Path) -> None:
    data = identity.make(load(tmp_path, PSK), VALUES).data
    for i in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[i] ^= 4
        with pytest.raises(FactoryError, match="damaged"):
            image.unpack(bytes(damaged))
        with pytest.raises(FactoryError, match="damaged"):
            image.unpack(data[:i])
