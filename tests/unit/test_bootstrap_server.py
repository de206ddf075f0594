# The Bootstrap Server: sessions by hand-written datagrams, and with the real client.
# heapsize: 800K

import binascii
import gc
import io

import dtls_certs as certs
import lwm2m
import lwm2m.bootstrap_server as bs
import lwm2m.rpk as rpk
import lwm2m.server as server
from lwm2m.bootstrap_server import FAILED, FINISHED, STARTED
from lwm2m.credentials import Credentials
from lwm2m.table import plan
from servers import Peer, Session, World, idle, payload
from ucoap import ACK, CON, DELETE, GET, POST, PUT, RST, Writer

PORT = 5783
URI = "coap://10.0.0.2:5683"
BS_URI = "coap://10.0.0.2:%d" % PORT

# What a client of LwM2M 1.1 that has nothing but its bootstrap account says to Discover (LwM2M
# 1.1 6.1.7.3), and one of 1.0 (LwM2M 1.0 5.2.7.3).
FRESH = b'</>;lwm2m=1.1,</0/0>;uri="coap://10.0.0.2:5783",</1>,</3/0>'
FRESH_10 = b'lwm2m="1.0",</0/0>,</1>,</3/0>'

# TLV by hand from LwM2M 1.1 7.4.3: type and length, id, value.
URI_TLV = b"\xc8\x00\x14" + URI.encode()  # 20 bytes
SECURITY_TLV = (
    URI_TLV
    + b"\xc1\x01\x00"  # Bootstrap-Server: false
    + b"\xc1\x02\x03"  # Security Mode: NoSec
    + b"\xc0\x03\xc0\x04\xc0\x05"  # empty
    + b"\xc1\x0a\x01"  # Short Server ID 1
)
SERVER_TLV = (
    b"\xc1\x00\x01"  # Short Server ID 1
    b"\xc2\x01\x01\x2c"  # Lifetime 300 s
    b"\xc1\x06\x01"  # Notification Storing
    b"\xc1\x07U"  # Binding
)
UNMUTED_TLV = SERVER_TLV + b"\xc1\x17\x00"  # Mute Send: false; not of LwM2M 1.0
ACCOUNT_TLV = (
    b"\xc8\x00\x14"
    + BS_URI.encode()
    + b"\xc1\x01\x01"  # Bootstrap-Server: true
    + b"\xc1\x02\x03\xc0\x03\xc0\x04\xc0\x05"
    + b"\xc1\x0b\x0a"  # Client Hold Off Time 10 s
    + b"\xc2\x0c\x0e\x10"  # Account Timeout 3600 s
)


class Log:
    """A BootstrapServer in a World, and what it tells."""

    def __init__(self, on_request=None, world=None, **settings):
        self.world = world or World()
        self.events = []
        self.answers = []
        self.raised = []
        self.server = bs.BootstrapServer(
            PORT,
            on_request=on_request,
            on_event=lambda event, session: self.events.append(
                (event, session.endpoint, session.code, session.text)
            ),
            net=self.world,
            **settings,
        )
        self.server.engine.on_exception = self.raised.append

    def answered(self, session, code, text):
        self.answers.append((code, text))


def session(log, endpoint="dev", address=("10.0.0.9", 9)):
    """Let a peer ask to be bootstrapped: (the peer, the Session)."""
    peer = Peer(log.world, PORT, address)
    m = peer.ask(POST, "bs", "ep=%s&pct=11542" % endpoint)
    assert m.code == 0x44 and not payload(m)
    peer.seen -= 1  # the first operation, if there is one, is yet to be got
    found = log.server.sessions[endpoint]
    if not found.exchange:
        peer.got()
    return peer, found


def request(peer):
    """The one request that has come: (method, path, Accept or Content-Format, payload), and it."""
    found = peer.got()
    assert len(found) == 1, len(found)
    m = found[0]
    assert m.type == CON
    format = m.uint(17) if m.code == GET else m.uint(12)
    return (m.code, "/" + "/".join(m.strings(11)), format, payload(m)), m


def serve(peer, answers):
    """Answer requests in turn: {(method, path): (code, payload, format)}; returns them."""
    seen = []
    while True:
        found = peer.got()
        if not found:
            return seen
        assert len(found) == 1  # one at a time
        m = found[0]
        what = m.code, "/" + "/".join(m.strings(11))
        seen.append(what + (payload(m),))
        default = {GET: (0x45, FRESH), PUT: (0x44, b""), POST: (0x44, b""), DELETE: (0x42, b"")}
        answer = answers.get(what, default[m.code])
        peer.answer(m, answer[0], answer[1])


def accept(session):
    return True


# --- The request


def test_request_bytes():
    # Annotated by hand from RFC 7252 3 and LwM2M 1.1 6.1.7.1.
    log = Log(accept)
    peer = Peer(log.world, PORT)
    peer.raw(b"\x41\x02\x00\x07\x99\xb2bs\x46ep=dev\x09pct=11542")
    assert log.world.sent[0][2] == b"\x61\x44\x00\x07\x99"
    assert log.events == [(STARTED, "dev", 0, "")]
    # The same again gets the same answer, and no new session, even if the engine has forgotten it.
    first = log.server.sessions["dev"]
    peer.raw(b"\x41\x02\x00\x07\x99\xb2bs")
    assert log.world.sent[1][2] == log.world.sent[0][2]
    log.server.engine.drop(peer.address)
    peer.raw(b"\x41\x02\x00\x07\x99\xb2bs\x46ep=dev\x09pct=11542")
    assert log.world.sent[2][2] == log.world.sent[0][2]
    assert log.server.sessions["dev"] is first and len(log.events) == 1


def test_request_refused():
    for code, method, path, query in (
        (0x80, POST, "bs", ""),
        (0x80, POST, "bs", "ep="),
        (0x80, POST, "bs", "ep=\x07"),
        (0x80, POST, "bs", "ep=unknown"),
        (0x80, POST, "bs", "ep=\u202edev"),
        (0x80, POST, "bs", "ep=dev\x9b"),
        (0x80, POST, "bs", "ep=dev&pct=tlv"),
        (0x85, GET, "bs", "ep=dev"),
        (0x85, PUT, "bs", "ep=dev"),
        (0xA1, GET, "bspack", "ep=dev"),  # LwM2M 1.2 6.1.7.7: not implemented
        (0x84, POST, "rd", "ep=dev"),
        (0x84, GET, "", ""),
    ):
        log = Log(lambda session: session.endpoint == "dev")
        m = Peer(log.world, PORT).ask(method, path, query)
        assert m.code == code, (method, path, query, m.code)
        assert not log.server.sessions and not log.events
    # Without a format, as LwM2M 1.0 does, and with one. One that is not written here is a
    # preference, not an error: two C clients give up, or fall back to LwM2M 1.0, on 4.15.
    for query in ("ep=dev", "ep=dev&pct=11542", "ep=dev&pct=110", "ep=dev&pct=112"):
        assert Peer(log.world, PORT).ask(POST, "bs", query).code == 0x44
    assert not log.raised
    # Nobody decides, so nobody is served.
    assert Peer(Log().world, PORT).ask(POST, "bs", "ep=dev").code == 0x80


def test_application_raises():
    def fail(session):
        session.finish()
        raise KeyError("x")

    log = Log(fail)
    assert Peer(log.world, PORT).ask(POST, "bs", "ep=dev").code == 0xA0
    assert not log.server.sessions and len(log.raised) == 1


def test_who_decides():
    # on_request first: True and False are final, None leaves it to the table.
    table = {"a": ACCOUNT, "*": ACCOUNT}
    answers = {"a": None, "b": False, "c": True, "d": None}
    log = Log(lambda session: answers[session.endpoint], accounts=table)
    for endpoint, code, busy in (("a", 0x44, 1), ("b", 0x80, 0), ("c", 0x44, 0), ("d", 0x44, 1)):
        m = Peer(log.world, PORT, (endpoint, 1)).ask(POST, "bs", "ep=" + endpoint)
        assert m.code == code
        if code == 0x44:
            assert len(log.server.sessions[endpoint].queue) == busy
    # Operations that were called count as True.
    log = Log(lambda session: session.discover(), accounts=table)
    peer, found = session(log)
    assert request(peer)[0][:3] == (GET, "/", 40) and len(found.queue) == 1


def test_bounded():
    log = Log(accept, max_sessions=2)
    session(log, "a", ("10.0.0.1", 1))
    session(log, "b", ("10.0.0.2", 1))
    assert Peer(log.world, PORT).ask(POST, "bs", "ep=c").code == 0xA3
    session(log, "a", ("10.0.0.1", 1))  # a known one may come again
    assert sorted(log.server.sessions) == ["a", "b"]


# --- Sessions


def test_table_session():
    # All datagrams of a session with a fresh client: the fewest there can be, by hand.
    account = {
        "servers": [{"short_id": 1, "uri": URI, "lifetime": 300}],
        "bootstrap": {"uri": BS_URI, "hold_off": 10, "account_timeout": 3600},
    }
    for listed in (FRESH, FRESH_10):
        log = Log(accounts={"dev": account})
        peer, found = session(log)
        got, m = request(peer)
        assert got == (GET, "/", 40, b"")
        peer.answer(m, 0x45, listed, 40)
        assert found.version == ("1.1" if listed is FRESH else "1.0")
        got, m = request(peer)
        # Two instances: type 00, id of 8 bits, length of 8 bits; the account where it was.
        account_entry = b"\x08\x00" + bytes([len(ACCOUNT_TLV)]) + ACCOUNT_TLV
        server_entry = b"\x08\x01" + bytes([len(SECURITY_TLV)]) + SECURITY_TLV
        assert got[:3] == (PUT, "/0", 11542)
        assert got[3] in (account_entry + server_entry, server_entry + account_entry)
        peer.answer(m, 0x44)
        got, m = request(peer)
        expected = UNMUTED_TLV if listed is FRESH else SERVER_TLV
        assert got == (PUT, "/1/0", 11542, expected)
        peer.answer(m, 0x44)
        got, m = request(peer)
        assert got == (POST, "/bs", None, b"")
        assert log.events == [(STARTED, "dev", 0, "")]
        peer.answer(m, 0x44)
        assert not peer.got()
        assert log.events == [(STARTED, "dev", 0, ""), (FINISHED, "dev", 0x44, "")]
        assert not log.server.sessions and not found.live
        # 5 exchanges, and a doubled acknowledgement changes nothing.
        assert len(log.world.sent) == 5
        peer.answer(m, 0x44)
        log.world.wait(300)
        assert len(log.world.sent) == 5 and len(log.events) == 2


ACCOUNT = {"servers": [{"short_id": 1, "uri": URI, "lifetime": 300}]}
TWO = {"servers": [{"short_id": 1, "uri": URI}, {"short_id": 2, "uri": URI}]}


def test_table_over_old_accounts():
    # (what Discover lists, table entry, [methods and paths that follow]): accounts are replaced
    # where they are, new ones take the places of old ones, and what is left over is deleted.
    for listed, account, expected in (
        (b"</0/0>,</0/1>;ssid=1,</1/0>;ssid=1", ACCOUNT, [(PUT, "/0/1"), (PUT, "/1/0")]),
        (b"</0/5>,</0/7>;ssid=1,</1/3>;ssid=1", ACCOUNT, [(PUT, "/0/7"), (PUT, "/1/3")]),
        (b"</0/1>,</0/0>;ssid=9,</1/4>;ssid=9", ACCOUNT, [(PUT, "/0/0"), (PUT, "/1/4")]),
        (b"</0/0>,</1>", TWO, [(PUT, "/0"), (PUT, "/1")]),
        (
            b"</0/0>,</0/1>;ssid=8,</0/2>;ssid=1,</1/0>;ssid=8,</1/1>;ssid=1",
            ACCOUNT,
            [(DELETE, "/0/1"), (PUT, "/0/2"), (DELETE, "/1/0"), (PUT, "/1/1")],
        ),
        (
            b"</0/0>,</0/1>;ssid=8,</0/2>;ssid=9,</0/3>;ssid=7,</1/0>;ssid=8",
            ACCOUNT,
            [(DELETE, "/0"), (PUT, "/0/1"), (PUT, "/1/0")],
        ),
        # An inconsistent client: a short id twice, a /1 instance without one.
        (
            b"</0/0>,</0/1>;ssid=1,</0/2>;ssid=1,</1/0>,</1/1>;ssid=1",
            ACCOUNT,
            [(DELETE, "/0/2"), (PUT, "/0/1"), (DELETE, "/1/0"), (PUT, "/1/1")],
        ),
        # No bootstrap account at all.
        (b"</3/0>", ACCOUNT, [(PUT, "/0/0"), (PUT, "/1/0")]),
    ):
        log = Log(accounts={"*": account})
        peer, found = session(log)
        seen = serve(peer, {(GET, "/"): (0x45, b"</>;lwm2m=1.1," + listed)})
        paths = [what[:2] for what in seen]
        assert paths == [(GET, "/")] + expected + [(POST, "/bs")], (listed, paths)
        assert log.events[-1][0] == FINISHED


def test_several_instances_one_by_one():
    # A client that does not take an object at once, and accounts too long for one datagram.
    log = Log(accounts={"*": TWO})
    peer, found = session(log)
    seen = serve(peer, {(PUT, "/0"): (0x80, b"an instance, please"), (PUT, "/1"): (0x85, b"")})
    assert [what[:2] for what in seen] == [
        (GET, "/"),
        (PUT, "/0"),
        (PUT, "/0/1"),
        (PUT, "/0/2"),
        (PUT, "/1"),
        (PUT, "/1/0"),
        (PUT, "/1/1"),
        (POST, "/bs"),
    ]
    assert log.events[-1][0] == FINISHED
    # /0 takes 3 * 41 bytes, /1 3 * 18.
    three = {"servers": TWO["servers"] + [{"short_id": 3, "uri": URI}]}
    log = Log(accounts={"*": three}, size=128)
    peer, found = session(log)
    seen = serve(peer, {})
    assert [what[:2] for what in seen] == [
        (GET, "/"),
        (PUT, "/0/1"),
        (PUT, "/0/2"),
        (PUT, "/0/3"),
        (PUT, "/1"),
        (POST, "/bs"),
    ]


def test_table_failures():
    # The first refusal ends a session of the table, with the client's code and words.
    for what in ((PUT, "/0/1"), (PUT, "/1/0"), (POST, "/bs")):
        log = Log(accounts={"*": ACCOUNT})
        peer, found = session(log)
        seen = serve(peer, {what: (0x86, b"two bootstrap server accounts")})
        assert seen[-1][:2] == what
        assert log.events[1:] == [(FAILED, "dev", 0x86, "two bootstrap server accounts")]
        assert not log.server.sessions
    log = Log(accounts={"*": ACCOUNT})
    peer, found = session(log)
    listed = b"</0/0>,</0/1>;ssid=8,</0/2>;ssid=9"
    seen = serve(peer, {(GET, "/"): (0x45, listed), (DELETE, "/0/2"): (0x80, b"keep")})
    assert [what[:2] for what in seen] == [(GET, "/"), (DELETE, "/0/2")]
    assert log.events[1:] == [(FAILED, "dev", 0x80, "keep")]
    # Neither Discover nor Delete.
    log = Log(accounts={"*": ACCOUNT})
    peer, found = session(log)
    serve(peer, {(GET, "/"): (0x85, b""), (DELETE, "/"): (0x85, b"never")})
    assert log.events[1:] == [(FAILED, "dev", 0x85, "never")]


def test_discover_refused():
    # The table then deletes /. The bootstrap account stays, often at /0/0: new ones are written
    # from 1 on.
    for code in (0x80, 0x84, 0x85, 0xA1):
        log = Log(accounts={"*": TWO})
        peer, found = session(log)
        seen = serve(peer, {(GET, "/"): (code, b"")})
        assert [what[:2] for what in seen] == [
            (GET, "/"),
            (DELETE, "/"),
            (PUT, "/0"),
            (PUT, "/1"),
            (POST, "/bs"),
        ]
        assert seen[2][2][:2] == b"\x08\x01" and b"\x08\x02" in seen[2][2]
        assert b"\x08\x00" not in seen[2][2]
        assert seen[3][2][:2] == b"\x08\x00"
        assert log.events[-1][0] == FINISHED
    # An account of the bootstrap server is written over the one that is presumed there.
    log = Log(accounts={"*": {"servers": ACCOUNT["servers"], "bootstrap": {"uri": BS_URI}}})
    peer, found = session(log)
    seen = serve(peer, {(GET, "/"): (0x85, b""), (PUT, "/0"): (0x85, b"")})
    assert [what[:2] for what in seen][2:] == [
        (PUT, "/0"),
        (PUT, "/0/0"),
        (PUT, "/0/1"),
        (PUT, "/1/0"),
        (POST, "/bs"),
    ]
    assert BS_URI.encode() in seen[3][2] and URI.encode() in seen[4][2]
    # An application is told to.
    log = Log(accept)
    peer, found = session(log)
    found.add_server(1, URI, callback=log.answered)
    serve(peer, {(GET, "/"): (0x85, b"not here")})
    code, text = log.answers[0]
    assert code == 0x85 and "not here" in text and 'delete("/")' in text
    found.delete("/", log.answered)
    found.add_server(1, URI, callback=log.answered)
    found.add_server(2, URI, callback=log.answered)
    found.remove_server(1, log.answered)
    seen = serve(peer, {(GET, "/"): (0x85, b"")})
    assert log.answers[1:] == [(0x42, ""), (0x44, ""), (0x44, ""), (0x42, "")]
    assert [what[:2] for what in seen] == [
        (DELETE, "/"),
        (GET, "/"),
        (PUT, "/0/1"),
        (PUT, "/1/0"),
        (PUT, "/0/2"),
        (PUT, "/1/1"),
        (DELETE, "/0/1"),
        (DELETE, "/1/0"),
    ]
    # What is written in bytes cannot be told from what was there before.
    found.write("/0/0", SECURITY_TLV, log.answered)
    found.add_server(3, URI, callback=log.answered)
    serve(peer, {(GET, "/"): (0x85, b"")})
    assert log.answers[-1][0] == 0x85


def test_discover_malformed():
    for listed in (
        b"</0/0",
        b"</0/0>;ssid=x",
        b"</0/0>;ssid=70000",
        b"</0/99999>",
        b"</0/->",
        b"</1/>;ssid=1",
        b"\xff\xfe",
        b"<" * 500,
        b'</0/0>;uri="',
        b",",
    ):
        log = Log(accept)
        peer, found = session(log)
        found.add_server(1, URI, callback=log.answered)
        serve(peer, {(GET, "/"): (0x45, listed)})
        code, text = log.answers[0]
        assert code == 0x86 and text.startswith("the answer to Discover is malformed"), text
        assert found.live
        # The table deletes instead.
        log = Log(accounts={"*": ACCOUNT})
        peer, found = session(log)
        seen = serve(peer, {(GET, "/"): (0x45, listed)})
        assert [what[:2] for what in seen][:2] == [(GET, "/"), (DELETE, "/")]
        assert log.events[-1][0] == FINISHED
        assert not log.raised
    # Odd, but not malformed.
    for listed in (b"", b"</>", b"</0>,</0/0/0>;ssid=1,</x>,</21/0>;ssid=5", b"</0/0>;ssid=65535"):
        log = Log(accept)
        peer, found = session(log)
        found.add_server(1, URI, callback=log.answered)
        serve(peer, {(GET, "/"): (0x45, listed)})
        assert log.answers == [(0x44, "")]


def test_high_level():
    log = Log(accept)
    peer, found = session(log)
    listed = b'</>;lwm2m=1.1,</0/2>;uri="x",</0/0>;ssid=5,</1/1>;ssid=5'
    answers = {(GET, "/"): (0x45, listed)}
    found.add_server(1, URI, lifetime=300, callback=log.answered)
    assert serve(peer, answers) == [
        (GET, "/", b""),
        (PUT, "/0/1", SECURITY_TLV),  # the lowest that is free: 0 is server 5, 2 the account
        (PUT, "/1/0", UNMUTED_TLV),
    ]
    # Again: over what was written, without another Discover.
    found.add_server(1, URI, lifetime=300, callback=log.answered)
    assert serve(peer, answers) == [(PUT, "/0/1", SECURITY_TLV), (PUT, "/1/0", UNMUTED_TLV)]
    found.remove_server(5, log.answered)
    assert [what[:2] for what in serve(peer, answers)] == [(DELETE, "/0/0"), (DELETE, "/1/1")]
    found.remove_server(5, log.answered)
    assert not serve(peer, answers)
    found.add_bootstrap_server(BS_URI, 10, 3600, callback=log.answered)
    assert serve(peer, answers) == [(PUT, "/0/2", ACCOUNT_TLV)]
    found.remove_bootstrap_server(log.answered)
    assert serve(peer, answers) == [(PUT, "/0/2/12", b"\xc1\x0c\x01")]
    found.add_server(2, URI, callback=log.answered, binding="UQ")
    seen = serve(peer, answers)
    assert [what[:2] for what in seen] == [(PUT, "/0/0"), (PUT, "/1/1")]
    # Short Server ID 2, 86400 s in 4 bytes, true, "UQ", false
    text = b"\xc1\x00\x02\xc4\x01\x00\x01\x51\x80\xc1\x06\x01\xc2\x07UQ\xc1\x17\x00"
    assert seen[1][2] == text
    found.add_server(2, URI, store_notifications=False, mute_send=True)
    assert serve(peer, answers)[1][2].endswith(b"\xc1\x06\x00\xc1\x07U\xc1\x17\x01")
    assert log.answers == [
        (0x44, ""),
        (0x44, ""),
        (0x42, ""),
        (0x84, "the client has no server with Short Server ID 5"),
        (0x44, ""),
        (0x44, ""),
        (0x44, ""),
    ]
    # A client without a bootstrap account.
    log.answers.clear()
    peer, found = session(log)
    answers = {(GET, "/"): (0x45, b"</>;lwm2m=1.1,</0/0>;ssid=5,</1/1>;ssid=5")}
    found.remove_bootstrap_server(log.answered)
    serve(peer, answers)
    assert log.answers == [(0x84, "the client has no bootstrap server account")]
    found.add_bootstrap_server(BS_URI, 10, 3600, callback=log.answered)
    assert serve(peer, answers) == [(PUT, "/0/1", ACCOUNT_TLV)]
    found.add_bootstrap_server(BS_URI, 10, callback=log.answered)
    assert serve(peer, answers) == [(PUT, "/0/1", ACCOUNT_TLV[:-4])]  # without 12


def test_security():
    log = Log(accept)
    peer, found = session(log)
    uri = "coaps://10.0.0.2:5684"
    for key in ("00ff10", b"\x00\xff\x10"):
        security = {"mode": "psk", "identity": "dev", "key": key}
        found.add_server(1, uri, security=security)
        seen = serve(peer, {})
        assert seen[-2][2] == (
            b"\xc8\x00\x15"
            + uri.encode()
            + b"\xc1\x01\x00\xc1\x02\x00\xc3\x03dev\xc0\x04\xc3\x05\x00\xff\x10\xc1\x0a\x01"
        )
    found.add_server(1, URI, security={"mode": "none"})
    assert len(serve(peer, {})) == 2


def test_refusal_in_the_middle():
    # With a callback the application decides, without one the session ends.
    log = Log(accept)
    peer, found = session(log)
    found.add_server(1, URI, callback=log.answered)
    found.finish(log.answered)
    seen = serve(peer, {(PUT, "/0/1"): (0x80, b"no \xff"), (POST, "/bs"): (0x86, b"nothing")})
    assert [what[:2] for what in seen] == [(GET, "/"), (PUT, "/0/1"), (POST, "/bs")]
    assert log.answers == [(0x80, ""), (0x86, "nothing")] and found.live
    found.delete("/3")
    found.finish(log.answered)
    serve(peer, {(DELETE, "/3"): (0x85, "not my 3°".encode())})
    assert log.events[1:] == [(FAILED, "dev", 0x85, "not my 3°")]
    assert not found.live and len(log.answers) == 2
    for call in (found.finish, found.discover, lambda: found.remove_server(1)):
        try:
            call()
            raise AssertionError
        except ValueError as e:
            assert "the session with dev has ended" in str(e)


def test_mended_in_the_callback():
    # 4.06 to Finish, another operation and Finish again, all from its callback.
    log = Log(accept)
    peer, found = session(log)

    def finished(session, code, text):
        log.answers.append((code, text))
        if code == 0x86:
            session.add_server(1, URI, callback=log.answered)
            session.finish(finished)

    found.add_bootstrap_server(BS_URI, callback=log.answered)
    found.finish(finished)
    turn = [0]
    while True:
        got = peer.got()
        if not got:
            break
        m = got[0]
        if m.code == POST:
            turn[0] += 1
            if turn[0] == 1:
                peer.answer(m, 0x86, b"only a bootstrap server account")
                continue
        peer.answer(m, 0x45 if m.code == GET else 0x44, FRESH if m.code == GET else b"")
    assert turn == [2]
    assert log.answers == [
        (0x44, ""),
        (0x86, "only a bootstrap server account"),
        (0x44, ""),
        (0x44, ""),
    ]
    assert log.events[1:] == [(FINISHED, "dev", 0x44, "")]


def test_low_level():
    log = Log(accept)
    peer, found = session(log)
    for call, expected, answer in (
        (lambda: found.discover("/", log.answered), (GET, "/", 40, b""), (0x45, b"</0>")),
        (lambda: found.discover("/3", log.answered), (GET, "/3", 40, b""), (0x45, b"</3/0>")),
        (lambda: found.read("/1", log.answered), (GET, "/1", 11542, b""), (0x45, b"\x00\x00")),
        (lambda: found.read("/2/0", log.answered), (GET, "/2/0", 11542, b""), (0x85, b"")),
        (
            lambda: found.write("/3/0/15", b"CET", log.answered, format=0),
            (PUT, "/3/0/15", 0, b"CET"),
            (0x44, b""),
        ),
        (
            lambda: found.write("/1/0", {0: 1, 1: 300, 6: True, 7: "U"}, log.answered),
            (PUT, "/1/0", 11542, SERVER_TLV),
            (0x41, b""),  # not what LwM2M says, but a success
        ),
        (lambda: found.write("/0", b"", log.answered), (PUT, "/0", 11542, b""), (0x80, b"no")),
        (lambda: found.delete("/", log.answered), (DELETE, "/", None, b""), (0x42, b"")),
        (lambda: found.delete("/1", log.answered), (DELETE, "/1", None, b""), (0x42, b"")),
        (lambda: found.delete("/0/5", log.answered), (DELETE, "/0/5", None, b""), (0x84, b"")),
        (lambda: found.finish(log.answered), (POST, "/bs", None, b""), (0x44, b"")),
    ):
        call()
        got, m = request(peer)
        assert got == expected
        peer.answer(m, answer[0], answer[1])
    assert log.answers == [
        (0x45, b"</0>"),
        (0x45, b"</3/0>"),
        (0x45, b"\x00\x00"),
        (0x85, ""),
        (0x44, ""),
        (0x44, ""),
        (0x80, "no"),
        (0x42, ""),
        (0x42, ""),
        (0x84, ""),
        (0x44, ""),
    ]
    assert log.events[-1] == (FINISHED, "dev", 0x44, "")


def test_low_level_is_counted():
    # What is written and deleted by hand between high-level operations.
    listed = {
        (GET, "/"): (0x45, b"</>;lwm2m=1.1,</0/0>,</0/1>;ssid=1,</1/1>;ssid=1,</1/2>;ssid=2")
    }

    def paths(*calls):
        log = Log(accept)
        peer, found = session(log)
        found.add_bootstrap_server(BS_URI)  # which discovers
        serve(peer, listed)
        for call in calls:
            call(found)
        found.add_server(3, URI)
        return [what[:2] for what in serve(peer, listed)]

    assert paths() == [(PUT, "/0/2"), (PUT, "/1/0")]
    values = {0: URI, 1: False, 2: 3, 10: 3}
    assert paths(lambda s: s.write("/0/7", values), lambda s: s.write("/1/9", {0: 3})) == [
        (PUT, "/0/7"),
        (PUT, "/1/9"),
        (PUT, "/0/7"),
        (PUT, "/1/9"),
    ]
    assert paths(lambda s: s.delete("/")) == [(DELETE, "/"), (PUT, "/0/1"), (PUT, "/1/0")]
    assert paths(lambda s: s.delete("/0"), lambda s: s.delete("/3")) == [
        (DELETE, "/0"),
        (DELETE, "/3"),
        (PUT, "/0/1"),
        (PUT, "/1/0"),
    ]
    assert paths(lambda s: s.delete("/0/1"), lambda s: s.delete("/0/9")) == [
        (DELETE, "/0/1"),
        (DELETE, "/0/9"),
        (PUT, "/0/1"),
        (PUT, "/1/0"),
    ]
    # Bytes, and resources that tell whose an instance is: it is discovered anew.
    again = [(GET, "/"), (PUT, "/0/2"), (PUT, "/1/0")]
    assert paths(lambda s: s.write("/0/7", SECURITY_TLV)) == [(PUT, "/0/7")] + again
    assert paths(lambda s: s.write("/1/2/0", b"3", format=0)) == [(PUT, "/1/2/0")] + again
    assert paths(lambda s: s.write("/1/2/1", b"60", format=0)) == [(PUT, "/1/2/1")] + again[1:]
    assert paths(lambda s: s.write("/3/0/15", b"x", format=0)) == [(PUT, "/3/0/15")] + again[1:]


def test_wrong_arguments():
    log = Log(accept)
    peer, found = session(log)
    psk = {"mode": "psk", "identity": "x", "key": "00"}
    for call, text in (
        (lambda: found.add_server(0, URI), "short_id must be a whole number from 1 to 65534"),
        (lambda: found.add_server(65535, URI), "short_id must be a whole number from 1 to 65534"),
        (lambda: found.add_server("1", URI), "short_id must be a whole number from 1 to 65534"),
        (lambda: found.remove_server(0), "short_id must be a whole number from 1 to 65534"),
        (lambda: found.add_server(1, "http://x"), "uri must be coap://host"),
        (lambda: found.add_server(1, None), "uri must be coap://host"),
        (
            lambda: found.add_server(1, URI, -1),
            "lifetime must be a whole number from 0 to 2147483647",
        ),
        (
            lambda: found.add_server(1, URI, 1.5),
            "lifetime must be a whole number from 0 to 2147483647",
        ),
        (
            lambda: found.add_server(1, URI, True),
            "lifetime must be a whole number from 0 to 2147483647",
        ),
        (lambda: found.add_server(1, URI, binding="S"), 'binding must be "U" or "UQ"'),
        (lambda: found.add_server(1, URI, mute_send=None), "mute_send must be true or false"),
        (
            lambda: found.add_server(1, URI, store_notifications=1),
            "store_notifications must be true or false",
        ),
        (
            lambda: found.add_server(1, URI, security=psk),
            "coap:// without NoSec",
        ),
        (lambda: found.add_server(1, "coaps://x"), "coaps:// with NoSec"),
        (lambda: found.add_server(1, URI, security="psk"), "security must be an object"),
        (lambda: found.add_bootstrap_server(URI, -1), "hold_off must be a whole number"),
        (lambda: found.add_bootstrap_server(URI, 0, -1), "account_timeout must be a whole number"),
        (lambda: found.apply({}), "servers must be a list of one or more"),
        (lambda: found.apply(None), "the account must be an object"),
        (lambda: found.discover("/1/0"), "must have 0 to 1 numbers"),
        (lambda: found.discover("1"), "must have 0 to 1 numbers"),
        (lambda: found.read("/"), "must have 1 to 2 numbers"),
        (lambda: found.write("/", b""), "must have 1 to 3 numbers"),
        (lambda: found.write("/0/x", b""), "must be of numbers from 0 to 65535"),
        (lambda: found.write("/3/0", {0: 1}), "as bytes"),
        (lambda: found.write("/1", {0: 1}), "as bytes"),
        (lambda: found.write("/1/0", {99: 1}), "no resource 99"),
        (lambda: found.delete("/0/0/1"), "must have 0 to 2 numbers"),
    ):
        try:
            call()
        except ValueError as e:
            assert text in str(e), (text, str(e))
        else:
            raise AssertionError(text)
    assert not peer.got() and not found.queue


# --- Time


def test_client_stops_answering():
    log = Log(accounts={"*": ACCOUNT})
    peer, found = session(log)
    m = request(peer)[1]
    peer.answer(m, 0x45, FRESH)
    log.world.wait(31)  # 2 to 3 s, doubled four times: the last of 5 is sent by then or soon
    assert log.server.sessions
    log.world.wait(62)  # MAX_TRANSMIT_WAIT is 93 s
    assert log.events[1:] == [(FAILED, "dev", 0xA3, "no answer")]
    assert not log.server.sessions
    assert len(peer.got()) == 5
    # A callback is told too, what was queued behind it is not sent; a reset is no answer either.
    log = Log(accept)
    peer, found = session(log)
    found.delete("/", log.answered)
    found.finish(log.answered)
    peer.empty(RST, peer.got()[0].mid)
    assert log.answers == [(0xA3, "no answer")]
    assert log.events[1:] == [(FAILED, "dev", 0xA3, "no answer")]
    assert not peer.got()


def test_idle_session():
    # LwM2M 1.1 6.1.7: a client waits EXCHANGE_LIFETIME, 247 s, and so does the server.
    log = Log(accept)
    log.world.time = 0x3FFFFFFF - 100000
    peer, found = session(log)
    log.world.wait(240)
    assert found.live
    found.discover("/", log.answered)
    peer.answer(peer.got()[0], 0x45, FRESH)
    log.world.wait(246)
    assert found.live
    log.world.wait(2)
    assert log.events[1:] == [(FAILED, "dev", 0xA3, "no operation in time")]
    assert not log.server.sessions and not found.live
    # Not while an operation is under way.
    log = Log(accept)
    peer, found = session(log)
    log.world.wait(240)
    found.finish()
    log.world.wait(93)
    assert log.events[1:] == [(FAILED, "dev", 0xA3, "no answer")]


def test_client_restarts():
    # A new message id: what was under way ends, and nothing of it is sent again.
    for address in (("10.0.0.9", 9), ("10.0.0.9", 10)):
        log = Log(accept)
        peer, old = session(log)
        old.delete("/", log.answered)
        old.finish(log.answered)
        m = peer.got()[0]
        log.world.time += 5000
        again = Peer(log.world, PORT, address)
        assert again.ask(POST, "bs", "ep=dev").code == 0x44
        new = log.server.sessions["dev"]
        assert new is not old and not old.live and new.live
        assert log.events == [
            (STARTED, "dev", 0, ""),
            (FAILED, "dev", 0xA3, "the client has started again"),
            (STARTED, "dev", 0, ""),
        ]
        n = len(log.world.sent)
        new.finish(log.answered)
        assert len(log.world.sent) == n + 1
        log.world.wait(3)
        for source, target, data in log.world.sent[n:]:
            assert target == address and data[1] == POST
        peer.answer(m, 0x42)  # late
        assert not log.answers and new.live


def test_many_at_once():
    log = Log(accounts={"*": ACCOUNT}, max_sessions=40)
    peers = [session(log, "dev%d" % i, ("10.0.0.%d" % i, 1))[0] for i in range(40)]
    assert len(log.server.sessions) == 40
    for step in range(4):
        for peer in peers:
            peer.seen = 0
            mine = peer.got()
            m = mine[-1]
            peer.answer(m, 0x45 if m.code == GET else 0x44, FRESH if m.code == GET else b"")
    assert not log.server.sessions
    assert [event[0] for event in log.events].count(FINISHED) == 40


def test_callbacks_that_raise():
    def fail(*args):
        raise KeyError("x")

    log = Log(accept)
    log.server.on_event = fail
    peer, found = session(log)
    found.delete("/", fail)
    found.finish(fail)
    serve(peer, {})
    assert not log.server.sessions and not found.live
    assert len(log.raised) == 4  # STARTED, two callbacks, FINISHED


def test_idle_step_allocates_nothing():
    log = Log(accept)
    peer, found = session(log)
    assert idle(log.server, log.world.now()) == 247000


def test_hostile():
    # Unknown peers leave nothing behind, nor push out a session that lives.
    log = Log(lambda session: session.endpoint == "dev", max_sessions=8)
    peer, found = session(log)
    world = log.world

    def flood(n):
        for i in range(n):
            address = ("10.%d.%d.%d" % (i >> 16, i >> 8 & 255, i & 255), 1 + i % 60000)
            data = b"\x41\x02" + (i & 0xFFFF).to_bytes(2, "big") + b"\x01\xb2bs\x48ep=x%05d" % i
            log.server.receive(address, data, world.now())
            world.sent.clear()
            world.left.clear()
        gc.collect()
        return gc.mem_alloc()

    used = flood(100)  # what the engine remembers, bounded, is full now
    assert flood(10000) - used < 256
    assert list(log.server.sessions) == ["dev"] and found.live and len(log.events) == 1
    # What may go to addresses that have not answered yet was used up: it is sent once more.
    peer.seen = 0
    found.finish(log.answered)
    assert not peer.got()
    log.world.wait(3)
    peer.answer(peer.got()[0], 0x44)
    assert log.answers == [(0x44, "")] and not log.raised


def test_noise():
    # Nothing that comes raises, and nothing is kept of it.
    log = Log(accounts={"dev": TWO}, max_sessions=4)
    world = log.world
    start = b"\x41\x02\x00\x07\x99\xb2bs\x46ep=dev\x09pct=11542"
    for turn in range(400):
        peer = Peer(world, PORT)
        peer.raw(start[:2] + turn.to_bytes(2, "big") + start[4:])
        for _ in range(6):
            got = peer.got()
            m = got[-1] if got else None
            if m is None or m.type == ACK or m.type == RST:
                continue
            good = bytes([0x60 | len(m.token), 0x45 if m.code == GET else 0x44])
            good += m.mid.to_bytes(2, "big") + m.token
            if m.code == GET:
                good += b"\xff" + FRESH
            for _ in range(10):
                bad = bytearray(good)
                for _ in range(1 + world.rng() % 3):
                    bad[world.rng() % len(bad)] = world.rng() >> 8 & 0xFF
                peer.raw(bytes(bad[: len(bad) - (world.rng() >> 8) % 8]))
            peer.raw(good)
        world.time += 250000
        log.server.poll(world.now())
        world.sent.clear()
        world.left.clear()
        log.events.clear()
        if turn % 50 == 49:
            world.time += 400000
            log.server.poll(world.now())
            log.server.poll(world.now())
            log.events.clear()
            assert not log.server.sessions
            gc.collect()
            if turn == 99:  # what grows once has grown: tables, names
                used = gc.mem_alloc()
    assert not log.raised
    assert gc.mem_alloc() - used < 1000


# --- The table


def test_table_errors():
    good = {"short_id": 1, "uri": URI, "lifetime": 60}

    def servers(**changes):
        entry = dict(good)
        entry.update(changes)
        return {"dev-1": {"servers": [entry]}}

    def secure(**security):
        return servers(uri="coaps://x", security=security)

    def x509(**security):
        entry = {"certificate": "3000", "server_certificate": "3000", "key": "3000"}
        entry.update(security)
        return secure(mode="certificate", **entry)

    def own(endpoint, **security):
        return {endpoint: {"servers": [good], "security": security}}

    twice = own("dev-1", mode="psk", key="00", identity="i")
    twice.update(own("dev-2", mode="certificate", name="i"))
    try:
        bs.check_accounts(twice)
        raise AssertionError
    except ValueError as e:  # in whatever order
        assert "security is that of endpoint" in str(e) and "dev-1" in str(e) and "dev-2" in str(e)
    for table, text in (
        ([], "the table of accounts must be an object, whose names are endpoint names"),
        ({"": ACCOUNT}, "the table of accounts has an endpoint without a name"),
        ({1: ACCOUNT}, "the table of accounts has an endpoint without a name"),
        ({"dev-1": 5}, 'endpoint "dev-1" must be an object'),
        ({"dev-1": {}}, 'endpoint "dev-1": servers must be a list of one or more'),
        ({"dev-1": {"servers": []}}, 'endpoint "dev-1": servers must be a list of one or more'),
        ({"dev-1": {"servers": {}}}, 'endpoint "dev-1": servers must be a list of one or more'),
        ({"dev-1": {"server": []}}, 'endpoint "dev-1": there is no field "server"'),
        ({"dev-1": {"servers": [1]}}, 'endpoint "dev-1": servers[0] must be an object'),
        (
            servers(lifetime="60"),
            'endpoint "dev-1": servers[0].lifetime must be a whole number from 0 to 2147483647',
        ),
        (
            servers(short_id=None),
            'endpoint "dev-1": servers[0].short_id must be a whole number from 1 to 65534',
        ),
        (
            servers(uri="10.0.0.1"),
            'endpoint "dev-1": servers[0].uri must be coap://host[:port] or coaps://host[:port]',
        ),
        (servers(binding="T"), 'endpoint "dev-1": servers[0].binding must be "U" or "UQ"'),
        (
            servers(mute_send="no"),
            'endpoint "dev-1": servers[0].mute_send must be true or false',
        ),
        (
            servers(store_notifications=0),
            'endpoint "dev-1": servers[0].store_notifications must be true or false',
        ),
        (servers(life=1), 'endpoint "dev-1": servers[0]: there is no field "life"'),
        (servers(security="psk"), 'endpoint "dev-1": servers[0].security must be an object'),
        (
            servers(uri="coaps://x"),
            'endpoint "dev-1": servers[0]: coaps:// with NoSec',
        ),
        (
            secure(mode="PSK"),
            'endpoint "dev-1": servers[0].security.mode must be one of: certificate, none, psk, rpk',
        ),
        (
            secure(mode=["psk"]),
            'endpoint "dev-1": servers[0].security.mode must be one of: certificate, none, psk, rpk',
        ),
        (
            secure(mode="none", key="00"),
            'endpoint "dev-1": servers[0].security: there is no field "key"',
        ),
        (
            x509(certificate="x"),
            (
                'endpoint "dev-1": servers[0].security.certificate must be DER, '
                "in hexadecimal digits or base64"
            ),
        ),
        (
            x509(key="MI"),
            'endpoint "dev-1": servers[0].security.key must be DER, in hexadecimal digits or base64',
        ),
        (
            x509(server_certificate="3003", matching=1),
            (
                'endpoint "dev-1": servers[0].security.server_certificate must be a digest of '
                "32 bytes, hexadecimal"
            ),
        ),
        (
            x509(matching=4),
            'endpoint "dev-1": servers[0].security.matching must be a whole number from 0 to 3',
        ),
        (
            x509(usage="3"),
            'endpoint "dev-1": servers[0].security.usage must be a whole number from 0 to 3',
        ),
        (
            x509(sni=""),
            'endpoint "dev-1": servers[0].security.sni must be a string that is not empty',
        ),
        (
            x509(ciphers=[65536]),
            (
                'endpoint "dev-1": servers[0].security.ciphers must be a list of '
                "IANA's numbers of suites"
            ),
        ),
        (
            x509(ciphers=7),
            (
                'endpoint "dev-1": servers[0].security.ciphers must be a list of '
                "IANA's numbers of suites"
            ),
        ),
        (
            x509(identity="a"),
            'endpoint "dev-1": servers[0].security: there is no field "identity"',
        ),
        (
            secure(mode="rpk", public_key="3000", key="3000"),
            (
                'endpoint "dev-1": servers[0].security.server_public_key must be DER, '
                "in hexadecimal digits or base64"
            ),
        ),
        (
            own("dev-1", mode="none"),
            'endpoint "dev-1": security.mode must be one of: certificate, psk, rpk',
        ),
        (own("dev-1"), 'endpoint "dev-1": security.mode must be one of: certificate, psk, rpk'),
        (
            own("dev-1", mode="psk"),
            'endpoint "dev-1": security.key must be hexadecimal digits, two a byte',
        ),
        (
            own("dev-1", mode="psk", key="00", identity=""),
            'endpoint "dev-1": security.identity must be a string that is not empty',
        ),
        (
            own("dev-1", mode="certificate", name=5),
            'endpoint "dev-1": security.name must be a string that is not empty',
        ),
        (
            own("dev-1", mode="certificate", key="00"),
            'endpoint "dev-1": security: there is no field "key"',
        ),
        (
            own("*", mode="psk", key="00"),
            'endpoint "*": security is of one endpoint, not of every other one',
        ),
        (
            secure(mode="psk", key="00"),
            'endpoint "dev-1": servers[0].security.identity must be a string that is not empty',
        ),
        (
            secure(mode="psk", identity="a", psk="00"),
            'endpoint "dev-1": servers[0].security: there is no field "psk"',
        ),
        (
            {"dev-1": {"servers": [good, good]}},
            'endpoint "dev-1": servers[1].short_id 1 is there twice',
        ),
        (
            {"dev-1": {"servers": [good], "bootstrap": {"uri": URI, "hold_off": "1"}}},
            'endpoint "dev-1": bootstrap.hold_off must be a whole number from 0 to 2147483647',
        ),
        (
            {"dev-1": {"servers": [good], "bootstrap": {"hold_off": 1}}},
            'endpoint "dev-1": bootstrap.uri must be coap://host[:port] or coaps://host[:port]',
        ),
        (
            {"*": {"servers": [good], "bootstrap": {"uri": URI, "short_id": 1}}},
            'endpoint "*": bootstrap: there is no field "short_id"',
        ),
    ):
        for use in (
            bs.check_accounts,
            lambda table: bs.BootstrapServer(accounts=table, net=World()),
        ):
            try:
                use(table)
            except ValueError as e:
                assert str(e) == text, str(e)
            else:
                raise AssertionError(text)
    # A key is in no error.
    for key in ("5e", "5ecret", "5ec", "", 5, None):
        try:
            bs.check_accounts(secure(mode="psk", identity="a", key=key))
        except ValueError as e:
            text = (
                'endpoint "dev-1": servers[0].security.key must be hexadecimal digits, two a byte'
            )
            assert key != "5e" and str(e) == text
        else:
            assert key == "5e"
        try:
            bs.check_accounts(own("dev-1", mode="psk", key=key))
        except ValueError as e:
            text = 'endpoint "dev-1": security.key must be hexadecimal digits, two a byte'
            assert key != "5e" and str(e) == text
        else:
            assert key == "5e"


def test_certificates_in_the_table():
    # Every form in which they may be given, and every field (LwM2M 1.1 E.1).
    data = b"0\x82\x01\x00" + bytes(range(256))
    text = binascii.b2a_base64(data).decode()
    for given in (data, text, text.strip(), text[:60] + "\n" + text[60:], data.hex()):
        security = {
            "mode": "certificate",
            "certificate": given,
            "server_certificate": "300100",
            "key": b"0\x01\x02",
            "usage": 2,
            "matching": 0,
            "sni": "server.example.org",
            "ciphers": [0xC0AE, 0xC023],
        }
        account = {"short_id": 7, "uri": "coaps://h", "security": security}
        _, servers = plan("", {"servers": [account]})
        short_id, values, _ = servers[0]
        assert values == {
            0: "coaps://h",
            1: False,
            2: 2,
            3: data,
            4: b"0\x01\x00",
            5: b"0\x01\x02",
            10: 7,
            13: 0,
            14: "server.example.org",
            15: 2,
            16: {0: 0xC0AE, 1: 0xC023},
        }
    # Only what is needed; a digest in place of a certificate.
    for matching, size in ((1, 32), (2, 48), (3, 64)):
        security = {"mode": "certificate", "certificate": "3000", "key": "3000"}
        security.update(matching=matching, server_certificate="ab" * size)
        values, _ = plan(
            "", {"servers": [ONE], "bootstrap": {"uri": "coaps://h", "security": security}}
        )
        assert values == {
            0: "coaps://h",
            1: True,
            2: 2,
            3: b"0\x00",
            4: b"\xab" * size,
            5: b"0\x00",
            11: 0,
            13: matching,
        }
    keys = certs.CLIENT_PUBLIC, certs.SERVER_PUBLIC, certs.CLIENT_KEY
    security = {"mode": "rpk", "public_key": keys[0], "server_public_key": keys[1], "key": keys[2]}
    account = {"short_id": 7, "uri": "coaps://h", "security": security}
    values = plan("", {"servers": [account]})[1][0][1]
    assert (values[2], values[3], values[4], values[5]) == (1,) + keys
    security["server_public_key"] = "3001"
    try:
        plan("", {"servers": [account]})
        raise AssertionError
    except ValueError as e:
        text = "servers[0]: the Server Public Key is no SubjectPublicKeyInfo of P-256"
        assert e.args[0] == text


def test_certificates_are_written():
    # TLV by hand from LwM2M 1.1 7.4.3.
    log = Log(accept)
    peer, found = session(log)
    security = {"mode": "certificate", "certificate": "3001", "key": "3003"}
    security.update(server_certificate="3002", usage=3, sni="a.b", ciphers=[0xC0AE])
    found.add_server(1, "coaps://h", security=security, callback=log.answered)
    seen = serve(peer, {})
    assert seen[1] == (
        PUT,
        "/0/1",
        (
            b"\xc8\x00\x09coaps://h"
            b"\xc1\x01\x00\xc1\x02\x02\xc2\x030\x01\xc2\x040\x02\xc2\x050\x03"
            b"\xc1\x0a\x01"
            b"\xc3\x0ea.b"
            b"\xc1\x0f\x03"
            b"\x86\x10\x44\x00\x00\x00\xc0\xae"
        ),  # multiple; its instance 0, of four bytes
    ), seen[1]


def test_mute_send():
    # (what Discover answers, the table's field, how /1/x ends): a client of 1.1 that has no /1/x/23 is
    # muted (LwM2M 1.1 E.2); one of 1.0, or that does not tell, is not written what it cannot have.
    false, true, without = b"\x07U\xc1\x17\x00", b"\x07U\xc1\x17\x01", b"\x07U"
    for answer, given, end in (
        ((0x45, FRESH), {}, false),
        ((0x45, FRESH), {"mute_send": False}, false),
        ((0x45, FRESH), {"mute_send": True}, true),
        ((0x45, b"</>;lwm2m=1.2,</0/0>"), {}, false),
        ((0x45, b"</0/0>"), {}, without),
        ((0x45, FRESH_10), {"mute_send": True}, without),
        ((0x85, b""), {}, without),
    ):
        one = dict(ACCOUNT["servers"][0])
        one.update(given)
        log = Log(accounts={"dev": {"servers": [one]}})
        peer, found = session(log)
        seen = serve(peer, {(GET, "/"): answer})
        assert seen[-1][:2] == (POST, "/bs")
        assert seen[-2][2].endswith(end), (answer, given, seen[-2])
    # A client of ours that was given its account so can send.
    story = Story()
    assert story.world.run(story.registered, 1)
    assert story.client.send(["/3/0/16"]) == [1]


def test_load_accounts():
    text = """{
  "dev-1": {"servers": [{"short_id": 1, "uri": "coap://h"}]},
  "*": {
    "servers": [{"short_id": 9, "uri": "coaps://h", "lifetime": 0, "binding": "UQ",
                 "security": {"mode": "psk", "identity": "i", "key": "3031"}}],
    "bootstrap": {"uri": "coap://b", "hold_off": 1, "account_timeout": 2, "security": null}
  }
}"""
    table = bs.load_accounts(io.StringIO(text))
    assert sorted(table) == ["*", "dev-1"]
    log = Log(accounts=table)
    peer, found = session(log, "other")
    seen = serve(peer, {})
    # TLV by hand: 9, no lifetime, true, UQ, false
    written = b"\xc1\x00\x09\xc1\x01\x00\xc1\x06\x01\xc2\x07UQ\xc1\x17\x00"
    assert (PUT, "/1/0", written) in seen
    for bad, line in (
        (text.replace('"*"', "*"), 3),
        ("", 1),
        ('{"a":\n\ntru}', 3),
        (text[:-3], 7),
    ):
        try:
            bs.load_accounts(io.StringIO(bad))
        except ValueError as e:
            assert str(e) == "the table of accounts is not JSON: look at line %d" % line, str(e)
        else:
            raise AssertionError(bad)
    try:
        bs.load_accounts("/no/such/accounts.json")
        raise AssertionError
    except OSError as e:
        assert "cannot read /no/such/accounts.json" in str(e)


# --- DTLS: peers are sessions with an identity


ONE = {"short_id": 1, "uri": URI}
TABLE = {
    "dev": {"servers": [ONE], "security": {"mode": "psk", "identity": "id-1", "key": "6b31"}},
    "dev-2": {"servers": [ONE], "security": {"mode": "psk", "key": b"k2"}},
    "dev-3": {"servers": [ONE], "security": {"mode": "certificate", "name": "cn-3"}},
    "dev-4": {"servers": [ONE]},
    "*": {"servers": [ONE]},
}
CERTIFICATE = ("certificate", "key", "ca")


class Secure(Log):
    """A Log of a server with DTLS."""

    def __init__(self, on_request=None, **settings):
        self.refused = []
        super().__init__(
            on_request, on_refused=lambda *args: self.refused.append(args), **settings
        )
        self.listener = self.world.listeners[PORT]

    def ask(self, identity, query, address=("10.0.0.9", 9)):
        peer = Peer(self.world, PORT, Session(identity, address))
        return peer, peer.ask(POST, "bs", query)


def test_identities_of_the_table():
    for identity, query, endpoint in (
        (b"id-1", "ep=dev", "dev"),
        (b"id-1", "", "dev"),  # LwM2M 1.1 6.1.7.1
        (b"id-1", "ep=id-1", None),
        (b"id-1", "ep=dev-2", None),
        (b"id-1", "ep=dev-4", None),
        (b"dev-2", "ep=dev-2", "dev-2"),
        (b"cn-3", "ep=dev-3", "dev-3"),
        (b"cn-3", "ep=cn-3", None),
        # Who is not in there may be who it says, unless that is somebody else.
        (b"dev-4", "ep=dev-4", "dev-4"),
        (b"another", "ep=another", "another"),
        (b"another", "", "another"),
        (b"dev", "ep=dev", None),
        (b"dev-3", "ep=dev-3", None),
        (b"dev", "", None),
        (b"another", "ep=dev-4", None),
        (b"another", "ep=*", None),
        (None, "ep=dev-4", None),
        (None, "", None),
        (b"\xff", "ep=dev", None),
    ):
        log = Secure(accounts=TABLE, certificate=CERTIFICATE)
        _, m = log.ask(identity, query)
        assert m.code == (0x44 if endpoint else 0x80), (identity, query, hex(m.code))
        assert list(log.server.sessions) == ([endpoint] if endpoint else [])
        if not endpoint:
            assert not log.events and len(log.refused) == ("ep" in query)
            for name in ("dev", "id-1", "cn-3"):
                assert name not in payload(m)
    options = log.listener.options
    assert (options["cert"], options["key"], options["ca"]) == CERTIFICATE
    assert options["idle"] == 600
    keys = options["psk"]
    assert keys.get(b"id-1") == b"k1" and keys.get(b"dev-2") == b"k2"
    for identity in (b"dev", b"dev-3", b"cn-3", b"dev-4", b"*"):
        assert keys.get(identity) is None, identity


def test_what_makes_a_port_secure():
    def port(**settings):
        log = Log(accept, **settings)
        options = log.world.listeners[PORT].options if log.world.listeners else {}
        return sorted(name for name in ("psk", "cert", "raw") if name in options)

    psk = {"dev": TABLE["dev"], "*": TABLE["*"]}
    certified = {"dev": TABLE["dev-3"]}
    assert port(accounts={"*": TABLE["*"]}) == []
    assert port(accounts={"dev": {"servers": [ONE], "security": None}}) == []
    assert port(accounts=psk) == ["psk"]
    assert port(accounts=certified, certificate=CERTIFICATE) == ["cert"]
    assert port(accounts=TABLE, certificate=CERTIFICATE) == ["cert", "psk"]
    assert port(credentials=Credentials()) == ["psk"]
    security = {"mode": "rpk", "public_key": certs.CLIENT_PUBLIC}
    raw = {"dev": {"servers": [ONE], "security": security}}
    pair = certs.SERVER_PUBLIC, certs.SERVER_KEY
    assert port(accounts=raw, raw_public_key=pair) == ["raw"]
    log = Secure(accept, accounts=raw, raw_public_key=pair)
    known = log.listener.options["known"]
    assert known(rpk.identity(certs.CLIENT_PUBLIC))
    assert not known(rpk.identity(certs.SELF_PUBLIC))
    # Without identities any other name is its own; that is not for a key which anybody can make.
    log = Secure(accept, raw_public_key=pair)
    assert not log.listener.options["known"](rpk.identity(certs.CLIENT_PUBLIC))
    # Those that are given take the place of the table's.
    log = Secure(accept, accounts=psk, credentials=Credentials())
    assert log.listener.options["psk"].get(b"id-1") is None
    # What would leave somebody without security, or out.
    for settings, text in (
        ({"accounts": certified}, "give certificate"),
        ({"accounts": TABLE}, "give certificate"),
        ({"accounts": raw}, "give raw_public_key"),
        ({"raw_public_key": pair + (b"",)}, "must be (public key, private key)"),
        ({"identities": {}}, "give credentials, certificate or raw_public_key"),
    ):
        try:
            port(**settings)
        except ValueError as e:
            assert text in str(e), str(e)
        else:
            raise AssertionError(settings)


def test_identities_that_are_given():
    log = Secure(accept, accounts=TABLE, certificate=CERTIFICATE, identities={"x": ["a", "b"]})
    for identity, query, code in (
        (b"x", "ep=a", 0x44),
        (b"x", "ep=b", 0x44),
        (b"x", "ep=x", 0x80),
        (b"x", "", 0x80),
        (b"id-1", "ep=dev", 0x80),
        (b"a", "ep=a", 0x80),
    ):
        assert log.ask(identity, query)[1].code == code, (identity, query)


def test_endpoint_is_checked_first():
    # Neither what is wrong with the rest, nor who is known, is told to somebody else.
    asked = []
    log = Secure(asked.append, accounts=TABLE, certificate=CERTIFICATE)
    answers = set()
    for query in (
        "ep=dev-2",
        "ep=dev-2&pct=x",
        "ep=nobody",
        "ep=nobody&pct=x",
    ):
        _, m = log.ask(b"id-1", query)
        assert m.code == 0x80
        answers.add(bytes(payload(m)))
    assert len(answers) == 1 and not asked and not log.server.sessions
    assert log.refused[0] == (("10.0.0.9", 9), b"id-1", "endpoint dev-2 is not its own")


def test_a_session_of_dtls_ends():
    log = Secure(accounts=TABLE, certificate=CERTIFICATE)
    peer, m = log.ask(b"id-1", "ep=dev")
    assert len(log.server.engine._exchanges.of) == 1  # a Discover is on its way
    peer.address.text = "idle for too long"
    log.server.disconnected(peer.address)
    assert log.events[-1] == (FAILED, "dev", 0xA3, "DTLS: idle for too long")
    assert not log.server.sessions and not log.server.engine._exchanges.of
    assert peer.address not in log.server.engine.seen
    # It begins again.
    again, m = log.ask(b"id-1", "ep=dev")
    assert m.code == 0x44 and log.server.sessions["dev"].peer is again.address


def test_asks_again_over_a_new_session():
    log = Secure(accounts=TABLE, certificate=CERTIFICATE)
    peer, _ = log.ask(b"id-1", "ep=dev")
    again, _ = log.ask(b"id-1", "ep=dev")
    assert log.listener.dropped == [peer.address]
    assert [event[0] for event in log.events] == [STARTED, FAILED, STARTED]
    assert peer.address not in log.server.engine.seen
    again.seen -= 1  # the first operation is yet to be got
    seen = serve(again, {})
    assert seen[-1][:2] == (POST, "/bs") and log.events[-1][0] == FINISHED
    # With the answer to Finish the session of DTLS is over, too: the client need not wait for more.
    assert log.listener.dropped == [peer.address, again.address]
    assert again.address not in log.server.engine.seen
    # Over the same session nothing is dropped.
    other, _ = log.ask(b"dev-2", "ep=dev-2")
    other.ask(POST, "bs", "ep=dev-2")
    assert len(log.listener.dropped) == 2


# --- With the real client, and the real server


class Story:
    """A client that knows the Bootstrap Server, which sends it to the LwM2M Server."""

    def __init__(self, on_request=None, drop=(), account=ACCOUNT, version="1.1", accounts=None):
        self.world = World(drop)
        self.client_events = []
        self.sessions = []
        if accounts is None:
            accounts = {} if on_request else {"*": account}
        self.bs = bs.BootstrapServer(
            PORT,
            on_request=on_request,
            on_event=lambda event, session: self.sessions.append(
                (event, session.code, session.text)
            ),
            accounts=accounts,
            net=self.world,
        )
        self.registrations = []
        self.server = server.Server(
            5683, on_client=lambda event, client: self.registrations.append(event), net=self.world
        )
        self.client = lwm2m.Client(
            "dev",
            on_event=lambda event: self.client_events.append(event.type),
            net=self.world,
            version=version,
        )
        self.client.add_bootstrap_server(BS_URI, lwm2m.SEC_NONE)

    def registered(self):
        return (
            "dev" in self.server.clients and self.client_events[-1] == lwm2m.EVENT_REG_REGISTERED
        )


def test_story():
    for version in ("1.0", "1.1"):
        story = Story(version=version)
        assert story.world.run(story.registered, 1)
        assert story.sessions == [(STARTED, 0, ""), (FINISHED, 0x44, "")]
        assert story.registrations == [server.REGISTERED]
        assert story.server.clients["dev"].lifetime == 300
        assert story.client_events == [
            lwm2m.EVENT_BS_PENDING,
            lwm2m.EVENT_BS_FINISHED,
            lwm2m.EVENT_REG_REGISTERING,
            lwm2m.EVENT_REG_REGISTERED,
        ]
        # 5 exchanges to be bootstrapped, and one to register.
        assert len(story.world.sent) == 12, len(story.world.sent)


# --- Bootstrap-Pack (LwM2M 1.2 6.1.7.7)

# The records of a pack with a server account beside /0/0, by hand from RFC 8428 5, as SenML JSON.
PACK = (
    b'[{"bn":"/0/1/","n":"0","vs":"coap://10.0.0.2:5683"},{"n":"1","vb":false},{"n":"2","v":3},'
    b'{"n":"3","vd":""},{"n":"4","vd":""},{"n":"5","vd":""},{"n":"10","v":1},'
    b'{"bn":"/1/0/","n":"0","v":1},{"n":"1","v":300},{"n":"6","vb":true},{"n":"7","vs":"U"},'
    b'{"n":"23","vb":false}]'
)


def _ask_pack(log, query, accept=None, address=("10.0.0.9", 9)):
    # A peer's Bootstrap-Pack-Request, and what it gets: code, Content-Format, payload.
    peer = Peer(log.world, PORT, address)
    w = Writer(512)
    w.start(CON, GET, 7, b"tk")
    w.option(11, "bspack")
    for part in query.split("&"):
        w.option(15, part)
    if accept is not None:
        w.option(17, accept)
    peer.raw(w.message())
    m = peer.got()[0]
    return m.code, m.uint(12), bytes(payload(m))


def test_pack():
    # (query, Accept; code, Content-Format, and what the payload is or has in it)
    two = {"servers": TWO["servers"], "bootstrap": {"uri": BS_URI}}
    accounts = {"dev": ACCOUNT, "two": two}
    for query, asked, code, format, found in (
        ("ep=dev", 110, 0x45, 110, PACK),
        ("ep=dev&acc=</0/0>", 110, 0x45, 110, PACK),
        ("ep=dev&acc=</0/5>,</21/0>", 110, 0x45, 110, PACK.replace(b"/0/1/", b"/0/0/")),
        ("ep=dev&acc=</21/0>", 110, 0x45, 110, PACK),
        ("ep=dev&acc=</0/99999>", 110, 0x45, 110, PACK.replace(b"/0/1/", b"/0/0/")),
        ("ep=dev", None, 0x45, 112, b"\x8c\xa3"),  # 12 records, the first a map of three
        ("ep=dev", 112, 0x45, 112, b"\x8c\xa3"),
        ("ep=dev", 11544, 0x45, 11544, b"\xbf\x82\x00\x01\xbf\x00"),
        ("ep=two&acc=</0/1>", 110, 0x45, 110, b'"/0/1/","n":"0","vs":"coap://10.0.0.2:5783"'),
        ("ep=two&acc=</0/1>", 110, 0x45, 110, b'"/0/2/"'),
        ("ep=dev", 11542, 0x86, None, b"110, 112 or 11544"),
        ("ep=dev", 0, 0x86, None, b"110, 112 or 11544"),
        ("ep=dev&acc=<", 110, 0x80, None, b"acc must be links"),
        ("ep=dev&acc=</0/0>x", 110, 0x80, None, b"acc must be links"),
        ("ep=other", 110, 0x80, None, b"unknown endpoint"),
        ("ep=", 110, 0x80, None, b"ep, the endpoint name"),
        ("pct=112", 110, 0x80, None, b"ep, the endpoint name"),
        ("ep=\x9b", 110, 0x80, None, b"control characters"),
    ):
        log = Log(accounts=accounts)
        got = _ask_pack(log, query, asked)
        assert got[:2] == (code, format) and found in got[2], (query, asked, got)
        told = [event[:2] for event in log.events]
        name = query[3:6]
        assert told == ([(STARTED, name), (FINISHED, name)] if code == 0x45 else []), told
        assert not log.server.sessions and not log.raised
        if found is PACK:
            assert got[2] == PACK, got[2]
    # Another method, and where an application asks for operations.
    log = Log(accounts=accounts)
    assert Peer(log.world, PORT).ask(POST, "bspack", "ep=dev").code == 0x85
    log = Log(accept, accounts=accounts)
    assert _ask_pack(log, "ep=dev")[0] == 0x85 and not log.events
    # With DTLS only who is the endpoint gets it.
    security = {"mode": "psk", "identity": "i", "key": b"k"}
    log = Log(accounts={"dev": {"servers": [ONE], "security": security}, "x": ACCOUNT})
    for identity, query, code in (
        (b"i", "ep=dev", 0x45),
        (b"i", "acc=</0/0>", 0x45),
        (b"i", "ep=x", 0x80),
        (b"y", "ep=dev", 0x80),
    ):
        assert _ask_pack(log, query, 110, Session(identity))[0] == code, (identity, query)
    # A session that the client had begun is over.
    log = Log(accounts={"dev": ACCOUNT})
    session(log)
    assert _ask_pack(log, "ep=dev")[0] == 0x45
    assert not log.server.sessions and FAILED in [event[0] for event in log.events]


def test_story_pack():
    # Bootstrap and registration in four datagrams.
    story = Story(version="1.2")
    assert story.world.run(story.registered, 1)
    assert len(story.world.sent) == 4, len(story.world.sent)
    assert story.sessions == [(STARTED, 0x45, ""), (FINISHED, 0x45, "")]
    assert story.server.clients["dev"].version == "1.2"
    assert story.client_events == [
        lwm2m.EVENT_BS_PENDING,
        lwm2m.EVENT_BS_FINISHED,
        lwm2m.EVENT_REG_REGISTERING,
        lwm2m.EVENT_REG_REGISTERED,
    ]
    core = story.client.core
    assert sorted(core.objects[0].instances) == [0, 1] and core.objects[0].get(0, 1)
    values = dict(core.objects[1].instances[0])
    assert abs(values.pop(12) - core.objects[3].get(0, 13)) < 60  # Last Bootstrapped
    assert values == {0: 1, 1: 300, 6: True, 7: "U", 23: False}
    # A second one, with another server; and the account's new bootstrap server.
    n = len(story.world.sent)
    new = {"servers": [{"short_id": 7, "uri": URI, "lifetime": 60}]}
    new["bootstrap"] = {"uri": BS_URI, "hold_off": 1}
    story.bs.accounts = {"*": new}
    client = story.server.clients["dev"]
    story.server.execute(client, "/1/0/9")
    assert story.world.run(lambda: client.lifetime == 60 and story.registered(), 5)
    assert len(story.world.sent) - n == 6
    assert sorted(core.objects[0].instances) == [0, 1] and core.objects[0].get(0, 11) == 1
    assert core.objects[1].get(0, 0) == 7


def test_story_pack_refused():
    # Where there is none, the client asks to be bootstrapped: two datagrams more.
    def on_request(session):
        session.apply(ACCOUNT)

    for accounts in ({}, {"dev": ACCOUNT}):  # 5.01, 4.05
        story = Story(on_request, version="1.2", accounts=accounts)
        assert story.world.run(story.registered, 1)
        assert len(story.world.sent) == 14, len(story.world.sent)
        assert story.client_events.count(lwm2m.EVENT_BS_FAILED) == 0
    for version in ("1.0", "1.1"):  # who is not of 1.2 does not ask for it
        story = Story(version=version)
        assert story.world.run(story.registered, 1)
        assert len(story.world.sent) == 12


def test_story_pack_with_each_datagram_lost():
    for lost in range(4):
        story = Story(drop=(lost,), version="1.2")
        assert story.world.run(story.registered, 4), lost
        assert story.registrations == [server.REGISTERED], lost
        assert story.client_events.count(lwm2m.EVENT_BS_FINISHED) == 1


def test_story_with_each_datagram_lost():
    # Whichever is lost, once: all ends well, nothing happens twice, and within the time that one
    # retransmission takes (ACK_TIMEOUT is 2 to 3 s).
    for lost in range(12):
        story = Story(drop=(lost,))
        over = [(STARTED, 0, ""), (FINISHED, 0x44, "")]
        assert story.world.run(lambda: story.registered() and len(story.sessions) > 1, 4), lost
        assert story.sessions == over, (lost, story.sessions)
        assert story.registrations == [server.REGISTERED], lost
        assert story.client_events.count(lwm2m.EVENT_BS_FINISHED) == 1


def test_story_again_with_old_accounts():
    # A second bootstrap, triggered by the server, of a client that has accounts.
    story = Story()
    assert story.world.run(story.registered, 1)
    n = len(story.world.sent)
    story.bs.accounts = {"*": {"servers": [{"short_id": 7, "uri": URI, "lifetime": 60}]}}
    client = story.server.clients["dev"]
    story.server.execute(client, "/1/0/9")
    assert story.world.run(lambda: client.lifetime == 60 and story.registered(), 5)
    assert story.sessions[2:] == [(STARTED, 0, ""), (FINISHED, 0x44, "")]
    # Execute, the session (7 takes the place of 1) and the registration.
    assert len(story.world.sent) - n == 14
    objects = story.client.core.objects
    assert sorted(objects[0].instances) == [0, 1] and sorted(objects[1].instances) == [0]
    assert objects[1].get(0, 0) == 7


def test_story_of_the_document():
    # Delete everything, write a new bootstrap account, then a server; Finish (the project's
    # document), from a client whose old account has instance id 0, and one where it has 5.
    for iid in (0, 5):
        codes = []

        def on_request(session):
            def log(session, code, text):
                codes.append((code, text))

            session.delete("/", log)
            session.add_bootstrap_server(BS_URI, 1, callback=log)
            session.add_server(1, URI, 300, callback=log)
            session.finish(log)
            return True

        story = Story(on_request)
        security = story.client.core.objects[0]
        security.instances = {iid: security.instances[0]}
        assert story.world.run(story.registered, 1)
        assert codes == [(0x42, ""), (0x44, ""), (0x44, ""), (0x44, "")]
        assert sorted(security.instances) == ([0, 1] if iid == 0 else [0, 5])
        assert security.get(iid, 11) == 1


def test_story_mended():
    # The client's own 4.06 and its words, mended in the callback.
    heard = []

    def finished(session, code, text):
        heard.append((code, text))
        if code == 0x86:
            session.add_server(1, URI, 300)
            session.finish(finished)

    def on_request(session):
        session.add_bootstrap_server(BS_URI)
        session.finish(finished)

    story = Story(on_request)
    assert story.world.run(story.registered, 1)
    assert heard[0][0] == 0x86 and "bootstrap server account" in heard[0][1]
    assert heard[1:] == [(0x44, "")]
    assert story.sessions == [(STARTED, 0, ""), (FINISHED, 0x44, "")]


def test_story_account_removed():
    # The bootstrap account is purged one second after Finish.
    def on_request(session):
        session.add_server(1, URI, 300)
        session.remove_bootstrap_server()
        session.finish()

    story = Story(on_request)
    assert story.world.run(story.registered, 1)
    story.world.wait(3)
    assert [s[1] for s in story.client.core.objects[0].instances.values()] == [False]


def test_story_server_removed():
    def on_request(session):
        session.add_server(1, URI, 300)
        session.add_server(2, "coap://10.0.0.2:9999", 300)
        session.remove_server(2)
        session.finish()

    story = Story(on_request)
    assert story.world.run(story.registered, 1)
    objects = story.client.core.objects
    assert len(objects[0].instances) == 2 and len(objects[1].instances) == 1


def test_story_with_two_servers():
    # Several at once in one Write.
    account = {
        "servers": [
            {"short_id": 1, "uri": URI, "lifetime": 300},
            {"short_id": 2, "uri": URI, "lifetime": 300},
        ],
        "bootstrap": {"uri": BS_URI, "hold_off": 2},
    }
    story = Story(account=account)
    registered = lwm2m.EVENT_REG_REGISTERED
    assert story.world.run(lambda: story.client_events.count(registered) == 2, 1)
    assert len(story.world.sent) == 14  # the second registration
    assert story.client.core.objects[0].get(0, 11) == 2
