"""Our client gets its accounts from Leshan's bootstrap server; the cases of Leshan's own BootstrapTest and more."""

import socket
import time

import pytest
from harness.awaited import PATIENCE_S
from harness.leshan import accounts
from harness.processes import Managed

# Of a server that is not there: after 50 ms + 100 ms without an answer there is none (RFC 7252 4.8).
QUICK = [50, 100, 1]
BEGAN = int(time.time())


def security(uri, short_id=1, **others):
    """A /0 instance of a server without security."""
    return {"0": uri, "1": False, "2": 3, "10": short_id, **others}


def server(short_id=1, lifetime=60, **others):
    """A /1 instance."""
    return {"0": short_id, "1": lifetime, "6": False, "7": "U", **others}


def write(path, value, **others):
    return {"operation": "write", "path": path, "value": value, **others}


def undated(servers):
    """Instances of /1 without Last Bootstrapped (12), a time since these tests have begun."""
    for instance in servers.values():
        assert BEGAN <= instance.pop("12") <= time.time()
    return servers


def ask(operation, path="/"):
    return {"operation": operation, "path": path}


class Bootstrapping:
    """Leshan's bootstrap server and our client, which knows that one only."""

    def __init__(self, leshan, endpoint, start):
        self._leshan = leshan
        self._endpoint = endpoint
        self._start = start
        self.uri = leshan.bootstrap_uri
        self.server_uri = leshan.server_uri

    def configure(self, **config):
        self._leshan.bootstrap.call("configure", endpoint=self._endpoint, config=config)

    def sequence(self, *requests):
        self._leshan.bootstrap.call("sequence", endpoint=self._endpoint, requests=requests)

    def start(self, **config):
        return self._start(bootstrap_uri=self.uri, **config)

    def wait_event(self, kind, **details):
        return self._leshan.bootstrap.wait_event(kind, endpoint=self._endpoint, **details)

    def finished(self):
        """Wait for the end of a session that must succeed; its (operation, path, code)s."""
        self.wait_event("session_finished")
        return self.operations()

    def operations(self):
        return [(r["operation"], r.get("path"), r["code"]) for r in self.responses()]

    def responses(self):
        return self._leshan.bootstrap.events("response")

    def registered(self):
        return self._leshan.server.wait_event("registered", endpoint=self._endpoint)

    def again(self, device):
        """Let the server execute the Bootstrap-Request Trigger, when what came before is forgotten."""
        self._leshan.bootstrap.clear_events()
        path = "/1/%s/9" % min(device.object(1))
        done = Managed(device, self._leshan.server)("execute", path)
        assert done["code"] == "2.04"


@pytest.fixture
def bootstrapping(leshan, endpoint, device):
    return Bootstrapping(leshan, endpoint, device)


@pytest.mark.parametrize("format", [None, "TLV", "SENML_CBOR", "SENML_JSON"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_bootstrap_and_register(bootstrapping, version, format):
    config = accounts(bootstrapping.server_uri)
    if format:
        config["contentFormat"] = format
    bootstrapping.configure(**config)
    device = bootstrapping.start(version=version)

    # 1.0 does not have the query pct, which says what the automatic choice is to be.
    initiated = bootstrapping.wait_event("session_initiated")
    assert initiated.get("preferred_format") == ("SENML_CBOR" if version == "1.1" else None)
    assert bootstrapping.finished() == [
        ("delete", "/0", "2.02"),
        ("delete", "/1", "2.02"),
        ("write", "/0/1", "2.04"),
        ("write", "/1/0", "2.04"),
        ("finish", None, "2.04"),
    ]
    writes = [r for r in bootstrapping.responses() if r["operation"] == "write"]
    written = format or ("SENML_CBOR" if version == "1.1" else "TLV")
    assert [r["format"] for r in writes] == [written, written]
    registered = bootstrapping.registered()
    assert (registered["lifetime"], registered["version"]) == (300, version)

    device.wait_event("REG_REGISTERED")
    assert device.events == [
        {"event": "BS_PENDING", "short_id": 65535},
        {"event": "BS_FINISHED", "short_id": 65535},
        {"event": "REG_REGISTERING", "short_id": 1, "lifetime": 300},
        {"event": "REG_REGISTERED", "short_id": 1, "lifetime": 300},
    ]
    held = device.object(0)
    assert (held["0"]["0"], held["0"]["1"]) == (bootstrapping.uri, True)
    about = {"0": bootstrapping.server_uri, "1": False, "2": 3, "10": 1}
    assert about.items() <= held["1"].items()
    assert device.object(1)["0"]["1"] == 300


def test_a_format_that_the_client_does_not_have_is_refused(bootstrapping):
    bootstrapping.configure(**accounts(bootstrapping.server_uri), contentFormat="JSON")
    bootstrapping.start()
    assert bootstrapping.wait_event("session_failed")["cause"] == "FINISH_FAILED"
    assert bootstrapping.operations() == [
        ("delete", "/0", "2.02"),
        ("delete", "/1", "2.02"),
        ("write", "/0/1", "4.15"),
        ("write", "/1/0", "4.15"),
        ("finish", None, "4.06"),
    ]


def test_write_all_of_several_servers_and_access_control(
    bootstrapping, leshan, other_server, endpoint
):
    other, other_uri = other_server
    bootstrapping.configure(
        toDelete=["/"],
        contentFormat="TLV",  # which can say that a multiple resource is empty
        security={
            "0": {"uri": bootstrapping.uri, "securityMode": "NO_SEC", "bootstrapServer": True},
            "1": {"uri": bootstrapping.server_uri, "securityMode": "NO_SEC", "serverId": 1},
            "2": {"uri": other_uri, "securityMode": "NO_SEC", "serverId": 2},
        },
        servers={
            "0": {"shortId": 1, "lifetime": 300, "defaultMinPeriod": 1, "binding": ["U", "Q"]},
            "1": {
                "shortId": 2,
                "lifetime": 86400,
                "defaultMinPeriod": None,
                "defaultMaxPeriod": 60,
            },
        },
        acls={
            "0": {
                "objectId": 3,
                "objectInstanceId": 0,
                "acls": {"1": 15, "2": 1},
                "AccessControlOwner": 1,
            },
            "7": {"objectId": 1, "objectInstanceId": 0, "acls": {}, "AccessControlOwner": 65535},
        },
    )
    device = bootstrapping.start()
    operations = bootstrapping.finished()
    assert {(path, code) for operation, path, code in operations if operation == "write"} == {
        (path, "2.04") for path in ("/0/0", "/0/1", "/0/2", "/1/0", "/1/1", "/2/0", "/2/7")
    }
    one, two = bootstrapping.registered(), other.wait_event("registered", endpoint=endpoint)
    assert (one["lifetime"], one["queue_mode"]) == (300, True)
    assert (two["lifetime"], two["queue_mode"]) == (86400, False)
    assert one["links"][1:] == ["</1/0>", "</1/1>", "</2/0>", "</2/7>", "</3/0>"]
    told = [device.wait_event("REG_REGISTERED") for _ in range(2)]
    assert {event["short_id"]: event["lifetime"] for event in told} == {1: 300, 2: 86400}

    # ETS 950: each of the two has its registration, and Access Control is in force.
    for managed, written in (
        (Managed(device, leshan.server), "2.04"),
        (Managed(device, other), "4.01"),
    ):
        assert managed("read", "/2")["content"] == {
            "0": {"0": 3, "1": 0, "2": {"1": 15, "2": 1}, "3": 1},
            "7": {"0": 1, "1": 0, "2": {}, "3": 65535},
        }
        # One of the accounts is nobody's, and of the other /2 says nothing.
        assert managed("read", "/1")["content"] == {}
        assert managed("read", "/1/1")["code"] == "4.01"
        assert managed("read", "/3/0/0")["code"] == "2.05"
        assert managed("write", "/3/0/14", value="+02:00")["code"] == written


def test_delete_of_the_root_keeps_the_bootstrap_account_and_the_device(bootstrapping):
    bootstrapping.configure(**accounts(bootstrapping.server_uri))
    device = bootstrapping.start()
    bootstrapping.registered()
    account = device.object(0)["0"]

    bootstrapping.sequence(
        write("/2/0", {"0": 3, "1": 0, "3": 1}),
        ask("delete", "/"),
        ask("discover", "/"),
        write("/0/1", security(bootstrapping.server_uri)),
        write("/1/0", server()),
    )
    bootstrapping.again(device)
    assert bootstrapping.finished()[1] == ("delete", "/", "2.02")
    assert bootstrapping.responses()[2]["links"] == [
        "</>;lwm2m=1.1",
        '</0/0>;uri="%s"' % bootstrapping.uri,
        "</1>",
        "</2>",
        "</3/0>",
    ]
    assert device.object(0)["0"] == account
    assert bootstrapping.registered()["lifetime"] == 60

    bootstrapping.configure(**accounts(bootstrapping.server_uri, lifetime=61))
    bootstrapping.again(device)  # through the account that survived
    bootstrapping.finished()
    assert bootstrapping.registered()["lifetime"] == 61


@pytest.mark.parametrize("path", ["/0/0", "/3/0"])
def test_delete_of_what_must_survive_is_refused_by_name(bootstrapping, path):
    account = [
        write("/0/1", security(bootstrapping.server_uri)),
        write("/1/0", server()),
    ]
    bootstrapping.sequence(*account, ask("delete", path), ask("delete", "/3"))
    device = bootstrapping.start()
    assert bootstrapping.finished()[2:4] == [("delete", path, "4.00"), ("delete", "/3", "2.02")]
    bootstrapping.registered()
    device.wait_event("REG_REGISTERED")
    assert set(device.object(0)) == {"0", "1"}


def test_discover_the_root_and_single_objects(bootstrapping):
    bootstrapping.sequence(
        ask("discover", "/"),
        write("/0/2", security(bootstrapping.server_uri, 7)),
        write("/1/5", server(7)),
        *[ask("discover", path) for path in ("/", "/0", "/1", "/3", "/2", "/4")],
        *[ask("discover", path) for path in ("/1/5", "/3/0", "/3/0/0")],
    )
    bootstrapping.start()
    bootstrapping.finished()
    listed = {}
    refused = {}
    for response in bootstrapping.responses():
        if response["operation"] == "discover":
            listed.setdefault(response["path"], []).append(response.get("links"))
            refused[response["path"]] = response["code"]
    # LwM2M 1.1 6.1.7.3: the version first; an object without instances by its id.
    root = "</>;lwm2m=1.1"
    bootstrap_account = '</0/0>;uri="%s"' % bootstrapping.uri
    account = '</0/2>;ssid=7;uri="%s"' % bootstrapping.server_uri
    assert listed["/"] == [
        [root, bootstrap_account, "</1>", "</2>", "</3/0>"],
        [root, bootstrap_account, account, "</1/5>;ssid=7", "</2>", "</3/0>"],
    ]
    assert listed["/0"] == [[root, bootstrap_account, account]]
    assert listed["/1"] == [[root, "</1/5>;ssid=7"]]
    assert listed["/3"] == [[root, "</3/0>"]]
    assert listed["/2"] == [[root, "</2>"]]
    assert refused["/4"] == "4.04"  # an object that it does not have
    assert (refused["/1/5"], refused["/3/0"], refused["/3/0/0"]) == ("4.00", "4.00", "4.00")


def test_read_accounts_in_the_session(bootstrapping):
    acl = {"0": 3, "1": 0, "2": {"1": 15}, "3": 1}
    account = server(7, 90)
    bootstrapping.sequence(
        ask("read", "/1"),
        write("/0/1", security(bootstrapping.server_uri, 7)),
        write("/1/4", account),
        write("/2/3", acl),
        *[ask("read", path) for path in ("/1", "/1/4", "/2", "/2/3")],
        *[ask("read", path) for path in ("/0", "/0/1", "/3", "/3/0", "/1/5")],
    )
    bootstrapping.start()
    bootstrapping.finished()
    reads = [r for r in bootstrapping.responses() if r["operation"] == "read"]
    assert [(r["path"], r["content"]) for r in reads[:5]] == [
        ("/1", {}),
        ("/1", {"4": account}),
        ("/1/4", account),
        ("/2", {"3": acl}),
        ("/2/3", acl),
    ]
    # LwM2M 1.1 6.1.7.4: nothing but /1 and /2 may be read, not even by a bootstrap server.
    codes = {r["path"]: r["code"] for r in reads[5:]}
    for path in ("/0", "/0/1", "/3", "/3/0"):
        assert codes[path] in ("4.01", "4.05"), path
    assert codes["/1/5"] == "4.04"


def test_write_an_object_an_instance_and_resources(bootstrapping):
    uri = bootstrapping.server_uri
    bootstrapping.sequence(
        write("/0", {"3": security(uri, 1), "4": security(uri, 2)}),
        write("/1", {"0": server(1), "1": server(2)}),
        write("/0", {"3": security(uri, 9)}),  # leaves /0/4 as it is
        ask("delete", "/0/4"),
        ask("delete", "/1/1"),
        write("/1/0", server(1, 70, **{"2": 3})),
        write("/1/0", server(1, 71)),  # without resource 2, which goes
        write("/1/0/1", 555, format="TLV"),
        write("/1/0/0", 9, format="TEXT"),  # read-only to a regular server
        write("/1/0/3", 44, format="TEXT"),
    )
    device = bootstrapping.start()
    assert {code for operation, path, code in bootstrapping.finished()} == {"2.02", "2.04"}
    assert bootstrapping.registered()["lifetime"] == 555
    held = undated(device.object(1))
    assert held == {"0": {"0": 9, "1": 555, "3": 44, "6": False, "7": "U"}}
    assert set(device.object(0)) == {"0", "3"}
    device.wait_event("REG_REGISTERED", short_id=9)


def test_a_write_without_a_mandatory_resource_is_refused(bootstrapping):
    account = server()
    account.pop("7")
    bootstrapping.sequence(
        write("/0/1", security(bootstrapping.server_uri)), write("/1/0", account)
    )
    bootstrapping.start()
    bootstrapping.wait_event("session_failed")
    assert bootstrapping.operations()[1:] == [("write", "/1/0", "4.00"), ("finish", None, "4.06")]
    assert "resource 7" in bootstrapping.responses()[1]["diagnostic"]


def test_a_write_to_what_a_bootstrap_server_may_not_write_is_refused(bootstrapping):
    bootstrapping.sequence(
        write("/3/0", {"14": "+02:00"}),
        write("/4", {"0": {"0": 1}}),
        write("/0/1", security(bootstrapping.server_uri)),
        write("/1/0", server()),
    )
    bootstrapping.start()
    assert bootstrapping.finished()[:2] == [("write", "/3/0", "4.00"), ("write", "/4", "4.00")]


def test_automatic_instance_ids_go_around_the_bootstrap_account(bootstrapping):
    # At first the account is /0/0, so that Leshan writes /0/1; then it is /0/1, and Leshan writes /0/0.
    config = {
        "autoIdForSecurityObject": True,
        "toDelete": ["/1"],
        "security": {
            "0": {"uri": bootstrapping.server_uri, "securityMode": "NO_SEC", "serverId": 4}
        },
        "servers": {"0": {"shortId": 4, "lifetime": 100}},
    }
    bootstrapping.configure(**config)
    device = bootstrapping.start()
    assert bootstrapping.finished() == [
        ("discover", "/", "2.05"),
        ("delete", "/1", "2.02"),
        ("write", "/0/1", "2.04"),
        ("write", "/1/0", "2.04"),
        ("finish", None, "2.04"),
    ]
    bootstrapping.registered()

    account = {"0": bootstrapping.uri, "1": True, "2": 3}
    bootstrapping.sequence(
        ask("delete", "/"),
        write("/0/1", account),
        write("/0/3", security(bootstrapping.server_uri, 4)),
        write("/1/0", server(4)),
    )
    bootstrapping.again(device)
    bootstrapping.finished()
    bootstrapping.registered()
    assert [iid for iid, held in device.object(0).items() if held["1"]] == ["1"]

    bootstrapping.configure(**{**config, "toDelete": ["/0", "/1"]})
    bootstrapping.again(device)
    assert ("write", "/0/0", "2.04") in bootstrapping.finished()
    assert bootstrapping.registered()["lifetime"] == 100
    held = device.object(0)
    assert set(held) == {"0", "1"}
    assert (held["0"]["10"], held["1"]["1"]) == (4, True)


def test_bootstrap_again_with_chosen_instance_ids(bootstrapping):
    bootstrapping.configure(**accounts(bootstrapping.server_uri))
    device = bootstrapping.start()
    first = bootstrapping.registered()

    bootstrapping.configure(
        toDelete=["/0", "/1"],
        security={
            "22": {"uri": bootstrapping.server_uri, "securityMode": "NO_SEC", "serverId": 333}
        },
        servers={"65534": {"shortId": 333, "lifetime": 400}},
    )
    bootstrapping.again(device)
    assert bootstrapping.finished()[2:4] == [
        ("write", "/0/22", "2.04"),
        ("write", "/1/65534", "2.04"),
    ]
    again = bootstrapping.registered()
    assert again["replaces"] in (first["id"], None)
    assert again["links"][1:] == ["</1/65534>", "</3/0>"]
    device.wait_event("REG_REGISTERED", short_id=333)
    assert set(device.object(0)) == {"0", "22"}
    assert set(device.object(1)) == {"65534"}


def test_the_trigger_of_a_bootstrap_is_answered_before_it_begins(bootstrapping):
    bootstrapping.configure(**accounts(bootstrapping.server_uri))
    device = bootstrapping.start()
    bootstrapping.registered()
    device.wait_event("REG_REGISTERED")
    told = len(device.events)
    bootstrapping.configure(**accounts(bootstrapping.server_uri, lifetime=200))
    bootstrapping.again(device)  # asserts 2.04
    bootstrapping.finished()
    assert bootstrapping.registered()["lifetime"] == 200
    device.wait_event("REG_REGISTERED")
    names = ["BS_PENDING", "BS_FINISHED", "REG_REGISTERING", "REG_REGISTERED"]
    assert device.names()[told:] == names


def test_the_trigger_without_a_bootstrap_account_is_refused(managed):
    assert managed("execute", "/1/0/9")["code"] == "4.05"
    assert managed("read", "/3/0/0")["code"] == "2.05"


def test_a_second_bootstrap_account_is_refused(bootstrapping):
    account = {"uri": bootstrapping.uri, "securityMode": "NO_SEC", "bootstrapServer": True}
    config = accounts(bootstrapping.server_uri)
    config["security"] = {"0": account, "1": config["security"]["1"], "2": account}
    bootstrapping.configure(**config)
    device = bootstrapping.start()
    operations = bootstrapping.finished()
    assert ("write", "/0/0", "2.04") in operations  # in place of the old one
    assert ("write", "/0/2", "4.00") in operations
    bootstrapping.registered()
    assert set(device.object(0)) == {"0", "1"}


def test_an_undeleted_bootstrap_account_is_not_overwritten(bootstrapping):
    account = {"0": bootstrapping.uri, "1": True, "2": 3}
    bootstrapping.sequence(
        write("/0/5", account),
        write("/0/0", security(bootstrapping.server_uri)),
        write("/0/1", security(bootstrapping.server_uri)),
        write("/1/0", server()),
    )
    device = bootstrapping.start()
    codes = [code for operation, path, code in bootstrapping.finished()]
    assert codes == ["4.00", "4.00", "2.04", "2.04", "2.04"]
    bootstrapping.registered()
    assert device.object(0)["0"]["0"] == bootstrapping.uri


def test_an_unknown_endpoint_is_told_with_leshans_words(bootstrapping):
    device = bootstrapping.start()
    failed = device.wait_event("BS_FAILED")
    assert failed == {
        "event": "BS_FAILED",
        "short_id": 65535,
        "code": "4.00",
        "internal": False,
        "text": "no bootstrap config",
    }
    device.wait_event("BS_PENDING")  # of the next attempt
    # One request with pct, one without it, for a server of LwM2M 1.0.
    assert bootstrapping.wait_event("session_initiated")["preferred_format"] == "SENML_CBOR"
    assert "preferred_format" not in bootstrapping.wait_event("session_initiated")
    for _ in range(2):
        assert bootstrapping.wait_event("session_failed")["cause"] == "NO_BOOTSTRAP_CONFIG"


def test_a_request_without_an_endpoint_name_is_refused(leshan):
    # CON POST, message id 0x1234, token 0x99, Uri-Path "bs" (option 11, 2 bytes): RFC 7252 3. Our
    # client always sends its name.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE_S)
        s.sendto(b"\x41\x02\x12\x34\x99\xb2bs", ("127.0.0.1", leshan.bootstrap_port))
        answer = s.recv(1500)
    assert answer[0] == 0x61  # ACK, a token of one byte
    assert answer[1] == 0x80  # 4.00
    assert answer[2:5] == b"\x12\x34\x99"
    assert not leshan.bootstrap.events("session_authorized")


def test_a_bootstrap_server_that_is_not_there(leshan, device, endpoint):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        uri = "coap://127.0.0.1:%d" % deaf.getsockname()[1]
        ours = device(bootstrap_uri=uri, coap={"65535": QUICK})
        failed = ours.wait_event("BS_FAILED")
        assert (failed["code"], failed["internal"]) == ("5.03", True)
        ours.wait_event("BS_PENDING")


INCONSISTENT = {
    # Each: what it writes in place of a good /0/1 and /1/0, a word of the diagnostic payload.
    "no-server-account": (None, None, "bootstrap"),
    "secure-uri-without-security": ({"0": "coaps://127.0.0.1:5684"}, {}, "NoSec"),
    "security-without-secure-uri": ({"2": 0}, {}, "without NoSec"),
    "keys-without-secure-uri": ({"3": {"hex": "6964"}, "5": {"hex": "00ff"}}, {}, "keys"),
    "transport-that-binding-lacks": ({}, {"7": "T"}, "/1/0/7"),
    "pre-shared-key-missing": (
        {"0": "coaps://127.0.0.1:5684", "2": 0, "3": {"hex": "6964"}},
        {},
        "Secret Key",
    ),
    "certificate-missing": ({"0": "coaps://127.0.0.1:5684", "2": 2}, {}, "Public Key"),
    "server-without-security": ({"10": 2}, {}, "short server id"),
    "short-id-of-nobody": ({"10": 0}, {}, "/0/1/10"),
}


@pytest.mark.parametrize("fault", INCONSISTENT)
def test_inconsistent_accounts_are_refused_in_words_and_can_be_mended(bootstrapping, fault):
    security_fault, server_fault, word = INCONSISTENT[fault]
    good = [
        write("/0/1", security(bootstrapping.server_uri)),
        write("/1/0", server()),
    ]
    bad = []
    if security_fault is not None:
        bad = [
            write("/0/1", {**security(bootstrapping.server_uri), **security_fault}),
            write("/1/0", {**server(), **server_fault}),
        ]
    bootstrapping.sequence(*bad, ask("finish"), *good)
    device = bootstrapping.start()
    operations = bootstrapping.finished()
    written = [("write", "/0/1", "2.04"), ("write", "/1/0", "2.04")]
    refused, accepted = ("finish", None, "4.06"), ("finish", None, "2.04")
    assert operations == [*(written if bad else []), refused, *written, accepted]
    assert word in bootstrapping.responses()[len(bad)]["diagnostic"]
    assert bootstrapping.registered()["lifetime"] == 60
    device.wait_event("REG_REGISTERED")
    assert "BS_FAILED" not in device.names()


def test_a_session_that_fails_leaves_the_accounts_as_they_were(bootstrapping):
    bootstrapping.configure(**accounts(bootstrapping.server_uri))
    device = bootstrapping.start()
    bootstrapping.registered()
    before = device.object(0), device.object(1)

    bootstrapping.sequence(ask("delete", "/"), write("/1/3", server(5)))
    bootstrapping.again(device)
    assert bootstrapping.wait_event("session_failed")["cause"] == "FINISH_FAILED"
    assert set(device.object(1)) == {"3"}
    device.call("remove_bootstrap_server")  # ends the session; it would time out in 247 s
    assert bootstrapping.registered()["lifetime"] == 300
    accounts_now = device.object(0)
    assert accounts_now == {iid: before[0][iid] for iid in accounts_now}
    assert set(accounts_now) == {"1"}
    assert device.object(1) == before[1]
