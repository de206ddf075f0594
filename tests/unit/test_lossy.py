# Bootstrap and registration over a network that loses 30 % each way, doubles, delays and reorders:
# 200 seeded runs, on the clock of the world.

from ucoap import DELETE, POST, PUT
import lwm2m
from world import Provisioner, Registrar, World, account, encode, server, servers_of

TLV = 11542
_DAY = 86400
_SEEDS = 200


class _Operator(Provisioner):
    """A bootstrap server that provisions whoever asks, and anew whoever asks again."""

    def __init__(self, world):
        super().__init__(world)
        self.passed = 0  # sessions whose Finish was answered with 2.04
        self.failed = 0  # operations that were not answered in time
        self.refused = []  # codes of other answers

    def answer(self, request, reply):
        # A session that this client had before is over.
        for x in list(self.engine._exchanges):
            self.engine.cancel(x)
        self._next(request.connection, 0)
        return 0x44

    def _next(self, connection, n):
        steps = (
            (DELETE, "/0", b"", None, 0x42),
            (DELETE, "/1", b"", None, 0x42),
            (PUT, "/0/0", encode(account(1)), TLV, 0x44),
            (PUT, "/1/0", encode(server(1, 300)), TLV, 0x44),
            (POST, "/bs", b"", None, 0x44),
        )
        method, path, payload, format, wanted = steps[n]

        def answered(answer):
            if answer.code == 0:
                self.failed += 1
            elif answer.code != wanted:
                self.refused.append((path, answer.code))
            elif n + 1 < len(steps):
                self._next(connection, n + 1)
            else:
                self.passed += 1

        self.connection = connection
        self.start(method, path, payload, format, callback=answered)


def _run(seed):
    """One run; returns (s until registered, whether the client or the server found the session
    passed more often)."""
    world = World(seed=seed + 1, start=seed * 5368709)  # all over the 30 bits, some wrap
    world.loss = 30
    world.double = 15
    world.delay = (10, 3000)
    registrar = Registrar(world)
    operator = _Operator(world)
    client = world.client()
    client.add_bootstrap_server("coap://bs:5783", lwm2m.SEC_NONE)
    bootstrap = client.core.bootstrap
    start_timeout = bootstrap.start_timeout  # called once a Finish has passed
    passed = []  # the connections of sessions whose Finish was executed, and passed

    def counted():
        start_timeout()
        passed.append(bootstrap.account.connection)

    bootstrap.start_timeout = counted
    done = []
    world.watch = lambda event: (
        done.append(world.time) if event.type == lwm2m.EVENT_REG_REGISTERED else None
    )
    world.run(_DAY, lambda: done)
    assert done, seed
    # No Finish was executed twice in one session.
    for i in range(len(passed)):
        assert passed[i] not in passed[i + 1 :], seed
    # Whatever the server thinks of the session, the client has the account and is managed.
    assert servers_of(client) == {0: server(1, 300)}
    disagree = len(passed) - operator.passed
    # It lasts: nothing that is still in flight, or comes again, undoes it.
    client.core.on_event = None
    assert world.run(_DAY, lambda: registrar.location and not world.flight and _idle(client))
    world.loss = world.double = 0
    world.run(900)
    assert registrar.location and _idle(client), seed
    assert servers_of(client) == {0: server(1, 300)}
    assert registrar.read("/1/0/0").text == "1"
    return done[0] / 1000, disagree


def _idle(client):
    # Registered, and nothing under way.
    accounts = client.core.accounts
    return accounts and accounts[0].location and not client.core.engine._exchanges


def _quarter(first):
    return [_run(seed) for seed in range(first, first + _SEEDS // 4)]


_results = []


def test_a_first_quarter():
    _results.extend(_quarter(0))


def test_b_second_quarter():
    _results.extend(_quarter(50))


def test_c_third_quarter():
    _results.extend(_quarter(100))


def test_d_fourth_quarter():
    _results.extend(_quarter(150))


def test_e_all():
    # At least 95 % within 15 minutes, all within a day (asserted in each run).
    results = _results if len(_results) == _SEEDS else [_run(seed) for seed in range(_SEEDS)]
    soon = [seconds for seconds, _ in results if seconds <= 900]
    assert len(soon) >= 190, len(soon)
    # The runs are as hard as they are meant to be: in some the server never learned that its
    # session had passed, in some the first attempt failed.
    assert [d for _, d in results if d > 0]
    assert [s for s, _ in results if s > 300]
