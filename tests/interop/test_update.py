"""Leshan's server updates our application as its page does, which writes TLV unless another format was
chosen there, and executes; packages are fetched from libcoap's server, too.
"""

import os
import signal
import subprocess

import pytest
from harness.awaited import PATIENCE_S
from test_libcoap import Libcoap, program
from test_firmware import Board
from updates import APP, CRASHES, made, settings

BOTH = pytest.mark.parametrize("format", ["TLV", "OPAQUE"])


class Updated:
    """A device that runs firmware/main.py, and Leshan's server, which manages it."""

    def __init__(self, board, leshan, endpoint):
        self.board = board
        self.server = leshan.server
        self.endpoint = endpoint

    def __call__(self, command, path, **args):
        return self.server.call(command, endpoint=self.endpoint, path=path, **args)

    def push(self, data, format):
        """The answer to a Write of the package, as (code, diagnostic)."""
        args = {"value": {"hex": data.hex()}, "format": format, "timeout_ms": PATIENCE_S * 1000}
        answer = self("write", "/5/0/0", **args)
        return answer["code"], answer.get("diagnostic")

    def start(self, says=""):
        self.board.start(60000)
        if says:
            self.board.said.wait_for("Update: " + says)
        self.server.wait_event("registered", endpoint=self.endpoint)

    def update(self):
        """Execute /5/0/2, and start it again behind its restart."""
        assert self("observe", "/5/0/3")["content"] == 2
        assert self("execute", "/5/0/2")["code"] == "2.04"
        assert self("execute", "/5/0/2")["code"] in ("2.04", "4.05")  # a hasty one, or doubled
        told = self.server.wait_event("notification", endpoint=self.endpoint, path="/5/0/3")
        assert told["content"] == 3
        assert self.board.ended() == -signal.SIGKILL

    def state(self):
        return self("read", "/5/0/3")["content"], self("read", "/5/0/5")["content"]

    def version(self):
        return self("read", "/3200/0/5501", format="TEXT")["content"]


@pytest.fixture
def updated(leshan, endpoint, tmp_path):
    security = {0: leshan.server_uri, 1: False, 2: 3, 3: b"", 4: b"", 5: b"", 10: 1}
    state = {0: {0: security}, 1: {0: {0: 1, 1: 300, 6: True, 7: "U"}}}
    with Board(tmp_path / "board") as board:
        board.install(state, {"update": settings()}, endpoint)
        board.app(APP.format(number=1, more=""))
        found = Updated(board, leshan, endpoint)
        found.start()
        yield found


@BOTH
def test_push(updated, format):
    assert updated.version() == "1"
    more = "# " + os.urandom(9000).hex() + "\n"
    assert updated.push(made(2, more, deflated=False), format) == ("2.04", None)
    assert updated.state() == (2, 0)
    updated.update()
    updated.start("the new application is kept")
    assert updated.version() == "2"
    assert updated.state() == (0, 1)
    assert updated("read", "/5/0/7")["content"] == updated("read", "/3/0/3")["content"] == "2.0"


@BOTH
def test_packages_that_are_refused_and_a_reset(updated, format):
    assert updated.push(made(2, target="other"), format) == ("4.00", "for another target")
    assert updated.state() == (0, 6)
    assert updated.push(made(2)[:-1], format) == ("4.00", "it ends too soon")
    assert updated.state() == (0, 5)
    assert updated.push(made(2), format)[0] == "2.04"
    code, text = updated.push(made(3), format)
    assert code == "4.00" and "write an empty one" in text
    assert updated.state() == (2, 0)
    # A reset: an empty package, or one byte 0, or an empty URI.
    assert updated.push(b"\0", format)[0] == "2.04"
    assert updated.state() == (0, 0)
    assert updated.push(made(3), format)[0] == "2.04"
    text = "TLV" if format == "TLV" else "TEXT"
    assert updated("write", "/5/0/1", value="", format=text)["code"] == "2.04"
    assert updated.state() == (0, 0)


def test_a_bad_application_rolls_back(updated):
    assert updated.push(made(2, CRASHES), "OPAQUE") == ("2.04", None)
    updated.update()
    updated.board.start(60000)
    assert updated.board.ended() == -signal.SIGKILL
    updated.start("it crashed")
    assert updated.version() == "1"
    assert updated.state() == (0, 8)


def test_pull_from_libcoap(updated, tmp_path):
    more = "# " + os.urandom(9000).hex() + "\n"
    (tmp_path / "package").write_bytes(made(2, more, deflated=False))
    with Libcoap("coap-server", "gnutls", "-d", "4", "-k", "key") as depot:
        # Its server keeps what is put into it.
        port = int(depot.uri.rpartition(":")[2]) - 1
        uri = "coap://127.0.0.1:%d/app.lwp" % port
        client = [program("coap-client", "gnutls"), "-m", "put", "-B", "60"]
        client += ["-f", str(tmp_path / "package"), uri]
        subprocess.run(client, check=True, timeout=PATIENCE_S)
        assert updated("write", "/5/0/1", value=uri + "x")["code"] == "2.04"
        updated.board.said.wait_for("Update: refused: the server has no such package")
        assert updated.state() == (0, 7)
        assert updated("write", "/5/0/1", value=uri)["code"] == "2.04"
        updated.board.said.wait_for("Update: a package is there")
        assert updated("read", "/5/0/1")["content"] == uri
    updated.update()
    updated.start("the new application is kept")
    assert updated.version() == "2"
    assert updated.state() == (0, 1)
