# heapsize: 4M
#
# Power cuts at every block operation of a commit, each torn in three ways, on every file system.
# After each the device starts with the old accounts or the new ones, whole.

import io
import struct
from accounts import AGAIN, BOOTSTRAPPED, ENDPOINT, FACTORY, PURGED, stored
from flash import GARBAGE, HALF, KINDS, NOTHING, mounted
from lwm2m.store import Store, pack

TEARS = (NOTHING, HALF, GARBAGE)
FOLDER = "/flash/lwm2m"


def prepare(kind, *states):
    """A device that was provisioned with the first state, and has committed the others."""
    flash = kind.format()
    with mounted(kind, flash):
        for i, state in enumerate(states):
            store = Store(FOLDER)
            (store.commit if i else store.provision)(ENDPOINT, state)
    return flash


def commit(state):
    def action(store):
        store.load(ENDPOINT)
        store.commit(ENDPOINT, state)

    return action


def run(kind, flash, action):
    """The action on a device, whose power may be cut. Returns whether it was said to be done."""
    with mounted(kind, flash):
        try:
            action(Store(FOLDER))
            return True
        except OSError:
            return False


def start(kind, flash):
    """What the device starts with: (state, text)."""
    with mounted(kind, flash):
        return Store(FOLDER).load(ENDPOINT)


def operations(kind, base, action):
    flash = base.copy()
    assert run(kind, flash, action)
    return flash


def sweep(name, prepared, action, old, new, kinds=KINDS):
    """Cut an action of a prepared device at each of its operations; then start it again."""
    for kind in kinds:
        base = prepared(kind)
        whole = operations(kind, base, action)
        assert start(kind, whole) == (new, None)
        olds = 0
        for cut in range(whole.ops):
            for tear in TEARS:
                flash = base.copy()
                flash.cut = cut
                flash.tear = tear
                done = run(kind, flash, action)
                assert flash.dead
                flash = flash.copy()
                state, text = start(kind, flash)
                where = (name, kind.name, cut, tear, text)
                assert state == old or state == new, where
                # What was said to be stored is.
                assert state == new or not done, where
                # It is mended by now, with nothing left to say, and goes on as ever.
                assert start(kind, flash) == (state, None), where
                assert run(kind, flash, action), where
                assert start(kind, flash) == (new, None), where
                olds += state == old
        print(
            "%s, %s: %d erases, %d programs; %d cuts, %d with the old state, 0 lost"
            % (name, kind.name, whole.erases, whole.programs, whole.ops * len(TEARS), olds)
        )


def test_first_factory_write():
    # FAT writes its table of clusters and its directories here, and a torn one can take the file
    # system with it; on a factory line it is formatted again then.
    def provision(store):
        store.provision(ENDPOINT, FACTORY)

    for kind in KINDS:
        base = kind.format()
        whole = operations(kind, base, provision)
        formats = 0
        for cut in range(whole.ops):
            for tear in TEARS:
                flash = base.copy()
                flash.cut = cut
                flash.tear = tear
                done = run(kind, flash, provision)
                flash = flash.copy()
                state, text = start(kind, flash)
                where = (kind.name, cut, tear, text)
                assert state is None or state == stored(FACTORY), where
                assert not done or state, where
                if not run(kind, flash, provision):
                    assert kind.fat, where
                    formats += 1
                    flash = kind.format()
                    assert run(kind, flash, provision)
                assert start(kind, flash) == (stored(FACTORY), None), where
        print(
            "first factory write, %s: %d erases, %d programs; %d cuts, 0 with half an account, "
            "%d to be formatted again"
            % (kind.name, whole.erases, whole.programs, whole.ops * len(TEARS), formats)
        )


def test_bootstrap():
    sweep(
        "bootstrap commit",
        lambda kind: prepare(kind, FACTORY),
        commit(BOOTSTRAPPED),
        stored(FACTORY),
        stored(BOOTSTRAPPED),
    )


def test_bootstrap_with_the_second_copy_later():
    def action(store):
        store.load(ENDPOINT)
        store.commit(ENDPOINT, BOOTSTRAPPED, True)
        store.mirror()

    old, new = stored(FACTORY), stored(BOOTSTRAPPED)
    sweep("second copy later", lambda kind: prepare(kind, FACTORY), action, old, new)


def test_bootstrap_again():
    sweep(
        "re-bootstrap",
        lambda kind: prepare(kind, FACTORY, BOOTSTRAPPED),
        commit(AGAIN),
        stored(BOOTSTRAPPED),
        stored(AGAIN),
    )


def test_purge():
    sweep(
        "account purge",
        lambda kind: prepare(kind, FACTORY, BOOTSTRAPPED),
        commit(PURGED),
        stored(BOOTSTRAPPED),
        stored(PURGED),
    )


def test_factory_reset():
    def reset(store):
        store.load(ENDPOINT)
        store.factory_reset()

    sweep(
        "factory reset",
        lambda kind: prepare(kind, FACTORY, BOOTSTRAPPED, AGAIN),
        reset,
        stored(AGAIN),
        stored(FACTORY),
    )


def test_factory_write_again():
    sweep(
        "factory write again",
        lambda kind: prepare(kind, FACTORY),
        lambda store: store.provision(ENDPOINT, BOOTSTRAPPED),
        stored(FACTORY),
        stored(BOOTSTRAPPED),
    )


def test_sequence_number_wraps():
    def prepared(kind):
        flash = prepare(kind, FACTORY)
        with mounted(kind, flash):
            store = Store(FOLDER)
            store.load(ENDPOINT)
            store._seq = 0xFFFE
            store.commit(ENDPOINT, BOOTSTRAPPED)
            with open(FOLDER + "/0/accounts", "rb") as f:
                assert f.read(6)[4:] == b"\xff\xff"
        return flash

    old, new = stored(BOOTSTRAPPED), stored(AGAIN)
    sweep("number wraps", prepared, commit(AGAIN), old, new, KINDS[1:])


def test_records_of_a_newer_release():
    # They are carried along: whichever state is there after a cut, they are too.
    record = struct.pack(">4HBH", 65535, 0, 0, 0, 0xC0, 7) + b"to come"

    def prepared(kind):
        flash = prepare(kind, FACTORY)
        with mounted(kind, flash):
            for slot in ("/0", "/1"):
                with open(FOLDER + slot + "/accounts", "r+b") as f:
                    f.write(pack(ENDPOINT, BOOTSTRAPPED, 7, record))
        flash.power_on()
        return flash

    def action(store):
        store.load(ENDPOINT)
        assert store._rest == record
        store.commit(ENDPOINT, AGAIN)

    old, new = stored(BOOTSTRAPPED), stored(AGAIN)
    sweep("records of a newer release", prepared, action, old, new, KINDS[1:3])


def test_first_commit_with_the_factory_copy_elsewhere():
    # Nothing is there before, so that FAT's table of clusters and directories are written.
    kind = KINDS[0]
    flash = prepare(kind, FACTORY)
    with mounted(kind, flash), open(FOLDER + "/factory/accounts", "rb") as f:
        partition = f.read()

    def start(kind, flash):
        with mounted(kind, flash):
            return Store(FOLDER, lambda: io.BytesIO(partition)).load(ENDPOINT)[0]

    def run(kind, flash):
        with mounted(kind, flash):
            try:
                store = Store(FOLDER, lambda: io.BytesIO(partition))
                store.commit(ENDPOINT, BOOTSTRAPPED)
                return True
            except OSError:
                return False

    for kind in KINDS:
        base = kind.format()
        whole = base.copy()
        assert run(kind, whole)
        formats = 0
        for cut in range(whole.ops):
            for tear in TEARS:
                flash = base.copy()
                flash.cut = cut
                flash.tear = tear
                run(kind, flash)
                flash = flash.copy()
                state = start(kind, flash)
                where = (kind.name, cut, tear)
                assert state == stored(BOOTSTRAPPED) or state == stored(FACTORY), where
                if not run(kind, flash):
                    assert kind.fat, where
                    formats += 1
        print(
            "first commit, factory copy elsewhere, %s: %d cuts, 0 lost, %d to be formatted again"
            % (kind.name, whole.ops * len(TEARS), formats)
        )


def test_cut_while_mending():
    # A cut of a commit, and another one while the next start mends the slot.
    action = commit(AGAIN)
    for kind in KINDS:
        base = prepare(kind, FACTORY, BOOTSTRAPPED)
        whole = operations(kind, base, action)
        total = 0
        for cut in range(whole.ops):
            for tear in TEARS:
                torn = base.copy()
                torn.cut = cut
                torn.tear = tear
                run(kind, torn, action)
                torn = torn.copy()
                mended = torn.copy()
                state, text = start(kind, mended)
                for second in range(0, mended.ops, 1 if mended.ops < 20 else 7):
                    flash = torn.copy()
                    flash.cut = second
                    flash.tear = TEARS[(cut + second) % 3]
                    assert start(kind, flash)[0] == state
                    found, text = start(kind, flash.copy())
                    assert found == state, (kind.name, cut, tear, second, flash.tear, text)
                    total += 1
        assert total
        print("cut while mending, %s: %d pairs of cuts, 0 lost" % (kind.name, total))


def test_operation_that_fails():
    # Flash that refuses one operation, with power staying on: a commit that raises has changed
    # nothing, one that does not has.
    action = commit(AGAIN)
    for kind in KINDS:
        base = prepare(kind, FACTORY, BOOTSTRAPPED)
        whole = operations(kind, base, action)
        raised = 0
        for fail in range(whole.ops):
            flash = base.copy()
            flash.fail = fail
            done = run(kind, flash, action)
            state, text = start(kind, flash.copy())
            assert state == stored(AGAIN if done else BOOTSTRAPPED), (kind.name, fail, text)
            raised += not done
        assert raised
        print("one operation fails, %s: %d times, %d raised" % (kind.name, whole.ops, raised))
