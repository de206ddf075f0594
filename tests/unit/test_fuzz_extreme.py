# heapsize: 2M
# 50,000 well-formed messages with extreme meaning, and mutants of them, at a client: nothing is raised,
# what is asked is answered, the accounts are whole, no memory is lost, and what it sends by itself is a
# few requests a second.

from lwm2m.consistency import inconsistency
from extreme import Extremes
from fuzz import TIMES, Case, heap, mutant
from world import dump

_COUNT = 25000 * TIMES  # in each of the two functions
_WARM_UP = 5000  # of them
_SLACK = 2048  # bytes by which the heap may differ: a stale word may keep a datagram or two
_MUTANTS = 5  # one message of so many
_JUMPS = (1, 1, 1, 1, 2, 2, 10, 60, 300, 4000, 90000)  # s


def _whole(core):
    # What is in the objects can be there.
    for oid in (0, 1, 3, 1000):
        obj = core.objects[oid]
        for iid in obj.instances:
            assert 0 <= iid < 65535
            for rid in obj.instances[iid]:
                obj.check(rid, obj.instances[iid][rid])


class _Rate:
    """No more than a few requests a second, whatever is asked of the client."""

    def __init__(self, case):
        self._case = case
        self._heard = 0
        self._since = case.world.time

    def look(self):
        case = self._case
        self._heard += len(case.registrar.requests) + len(case.provisioner.requests)
        case.registrar.requests.clear()
        case.provisioner.requests.clear()

    def check(self):
        self.look()
        seconds = (self._case.world.time - self._since) // 1000
        assert self._heard <= 3 * seconds + 10, (self._heard, seconds)
        self._heard = 0
        self._since = self._case.world.time


def _jump(case, rate):
    left = _JUMPS[case.random.below(len(_JUMPS))]
    if left > 300:  # in one go, as if the device had slept
        case.world.sleep(left)
        left = 1
    while left > 0:  # in steps, as what servers have heard is kept
        case.world.run(min(left, 100))
        left -= 100
        rate.look()
        for server in (case.registrar, case.provisioner):
            server.heard.clear()
        case.world.connections.clear()
        case.world.statuses.clear()


def _registered(case):
    core, world = case.core, case.world

    def done():
        return core.state == 2 and core.accounts and core.accounts[0].location

    # A trigger may have led to the bootstrap server, which does nothing: 247 s, and back.
    if not (done() or world.run(300, done)):
        # It has set its own account to what nobody can use, or Disabled itself for years.
        case.reset()
        core.restart()
        core.weary = core._rest = 0  # as with an account that has changed
        assert world.run(300, done)
    return core.accounts[0]


def test_of_a_server():
    case = Case(21)
    case.settle()
    random, world, core = case.random, case.world, case.core
    extremes = Extremes(random)
    rate = _Rate(case)
    pool = []
    answered = changed = least = 0
    for n in range(_COUNT):
        account = _registered(case)
        data = extremes.change() if random.below(2) else extremes.message()
        pool.append(data)
        if len(pool) > 30:
            pool.pop(0)
        good = n % _MUTANTS
        if not good:
            data = mutant(random, pool)
        rate.look()
        world.sent.clear()
        case.feed(account, data)
        if good:
            # An ACK of this message, with a code or empty, or a reset: there is no silence.
            assert world.sent, data
            answered += 1
        assert core.objects[0].instances is case.given[0][1]
        if n % 20 == 19:
            _jump(case, rate)
            rate.check()
            _whole(core)
            changed += case.state() != case.accounts
        if n % 200 == 199:
            case.reset()
        if n % _WARM_UP == _WARM_UP - 1:
            pool.clear()
            case.settle()
            rate = _Rate(case)
            if least:
                assert heap() <= least + _SLACK, (n, heap() - least)
            else:
                least = heap()
    assert answered > _COUNT // 2 and changed
    _registered(case)
    answer = case.registrar.read("/1/0/0")
    assert answer.text == "1", (answer.code, answer.payload)


def test_of_a_bootstrap_server():
    case = Case(22)
    case.settle()
    random, world, core = case.random, case.world, case.core
    bootstrap = core.bootstrap
    extremes = Extremes(random)
    before = dump(case.client)
    rate = _Rate(case)
    pool = []
    passed = changed = least = 0
    for n in range(_COUNT):
        if n % 50 == 0:
            core.restart()  # what was done in the session is undone with it
            assert dump(case.client) == before
            core.begin()
            core._fresh = False
            assert bootstrap.start()
            case.provisioner.requests.clear()
            world.connections.clear()
            assert world.run(5, lambda: case.provisioner.requests)
            world.run_ms(50)
        peer = bootstrap.account
        if peer is None or peer.connection is None:
            continue
        if random.below(20) == 0:
            data = extremes.message(["bs"])
        else:
            data = extremes.message()
        pool.append(data)
        if len(pool) > 30:
            pool.pop(0)
        good = n % _MUTANTS
        if not good:
            data = mutant(random, pool)
        world.sent.clear()
        case.feed(peer, data)
        assert world.sent or not good, data
        _whole(core)
        if core.state != 1:
            # It was a valid Finish: what it found passes, and the client works with it.
            assert inconsistency(core.objects, (3,)) is None
            _jump(case, rate)
            passed += 1
            core.restart()
            case.reset()
            bootstrap.purge_due = -1
            core.vain.clear()
            assert dump(case.client) == before
            core._fresh = False
        elif not n % 10:
            changed += dump(case.client) != before
        if n % _WARM_UP == _WARM_UP - 1:
            pool.clear()
            core.restart()
            case.settle()
            if least:
                assert heap() <= least + _SLACK, (n, heap() - least)
            else:
                least = heap()
    assert changed > 100 and passed
