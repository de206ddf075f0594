# heapsize: 4M
#
# Power cuts at every block operation of a download, of an installation, of the starts of a trial and
# of its end, each torn in three ways, on every file system. After each the device starts with the old
# application or the new one, whole, and goes on from there.

import lwm2m.package
from flash import GARBAGE, HALF, KINDS, NOTHING, fill, mounted, unfill
from lwm2m.package import Fault
from lwm2m.slots import Slots
from packages import KEYS, TARGET, files, package

# test_p256.py is about signatures, and they take long.
lwm2m.package.verify = lambda digest, signature, key: True

TEARS = (NOTHING, HALF, GARBAGE)
FOLDER = "/flash/update"

OLD = {"app.py": b"VERSION = 2\n" * 50, "lib/a.py": b"a" * 3000}
NEW = {"app.py": b"VERSION = 3\n" * 90, "lib/b.py": b"b" * 5000, "lib/c.py": b""}
PACKAGES = package(OLD, 2), package(NEW, 3, flags=1)


made = None  # the last Slots


def slots():
    global made
    made = Slots(FOLDER, KEYS, TARGET)
    return made


def install(data):
    def action():
        slots().start()
        made.begin()
        for at in range(0, len(data), 1024):
            made.write(data[at : at + 1024])
        made.end()
        while not made.unpack():
            pass
        made.switch()

    return action


def start():
    slots().start()


def keep():
    slots()
    made.start()
    if made.on_trial():
        made.keep()


def crash():
    slots().start("a crash")


def fail():
    slots()
    made.start()
    made.fail("no good")


def reset():
    slots().factory_reset()


def run(kind, flash, action):
    """The action on a device, whose power may be cut. Returns whether it was done."""
    with mounted(kind, flash):
        try:
            action()
            return True
        except (OSError, Fault, UnicodeError):  # the last where FAT's names are torn
            # As Update does; where power has gone nothing is written, and no file stays open that
            # would be closed when its file system is no more.
            made.drop()
            return False


def content(folder):
    """What an application is: {name: content}, or None for the factory's."""
    return None if folder is None else files(folder)


def started(kind, flash):
    """(application that is run, whether on trial, result) after a start."""
    with mounted(kind, flash):
        folder = slots().start()
        try:
            return content(folder), made.on_trial(), made.result()[0]
        except (OSError, UnicodeError) as e:
            return e, made.on_trial(), made.result()[0]


def prepared(kind, *actions):
    flash = kind.format(96 if not kind.fat else None)
    for action in actions:
        assert run(kind, flash, action)
        flash = flash.copy()
    return flash


OLD_KEPT = (install(PACKAGES[0]), keep)


def sweep(name, before, action, outcomes):
    """Cut the action of a device after `before` at each of its operations; then start it again.

    outcomes: (application, whether on trial) of what may come then, the last one of them when all
    was done.
    """
    for kind in KINDS:
        base = prepared(kind, *before)
        whole = base.copy()
        assert run(kind, whole, action)
        assert started(kind, whole.copy())[:2] == outcomes[-1], name
        counts = [0] * len(outcomes)
        lost = 0
        for cut in range(whole.ops):
            for tear in TEARS:
                flash = base.copy()
                flash.cut = cut
                flash.tear = tear
                run(kind, flash, action)
                assert flash.dead
                flash = flash.copy()
                where = (name, kind.name, cut, tear)
                try:
                    found = started(kind, flash)
                except OSError:  # the file system cannot be mounted
                    found = (None, None, 0)
                if found[:2] in outcomes:
                    counts[outcomes.index(found[:2])] += 1
                else:
                    lost += 1
                    assert kind.fat, (where, found)
                    continue
                # It takes another one, whatever was left behind.
                if tear != cut % 3:
                    continue
                again = run(kind, flash, install(PACKAGES[1]))
                assert again or kind.fat or found[1], where
                if again:
                    assert started(kind, flash)[:2] == (NEW, True), where
        print(
            "%s, %s: %d operations, %d cuts: %s, %d lost"
            % (name, kind.name, whole.ops, whole.ops * len(TEARS), counts, lost)
        )


def test_installation():
    sweep("installation", OLD_KEPT, install(PACKAGES[1]), ((OLD, False), (NEW, True)))


def test_first_installation():
    sweep("first installation", (), install(PACKAGES[1]), ((None, False), (NEW, True)))


def test_start_of_a_trial():
    # The start that is cut may have been counted, or not; so it is with the first of three.
    before = OLD_KEPT + (install(PACKAGES[1]),)
    sweep("start on trial", before, start, ((NEW, True),))


def test_last_start_of_a_trial():
    # Three have been taken: the next one is the old application.
    before = OLD_KEPT + (install(PACKAGES[1]), start, start, start)
    sweep("trial used up", before, start, ((OLD, False),))


def test_keep():
    before = OLD_KEPT + (install(PACKAGES[1]), start)
    sweep("keep", before, keep, ((NEW, True), (NEW, False)))


def test_crash():
    before = OLD_KEPT + (install(PACKAGES[1]), start)
    sweep("roll-back after a crash", before, crash, ((NEW, True), (OLD, False)))


def test_fail():
    before = OLD_KEPT + (install(PACKAGES[1]), start)
    sweep("roll-back that was asked for", before, fail, ((NEW, True), (OLD, False)))


def test_factory_reset():
    sweep("factory reset", OLD_KEPT, reset, ((OLD, False), (None, False)))


def test_power_that_fails_again_and_again():
    # At the same operation of each start: the trial is over after three that were counted, and a
    # start that is never counted never runs the new application.
    for kind in KINDS:
        base = prepared(kind, *(OLD_KEPT + (install(PACKAGES[1]),)))
        whole = base.copy()
        run(kind, whole, start)
        for cut in range(whole.ops + 1):
            flash = base
            ran = 0
            for _ in range(6):
                flash = flash.copy()
                flash.cut = cut
                flash.tear = HALF
                with mounted(kind, flash):
                    if slots().start() == FOLDER + "/1" and not flash.dead:
                        ran += 1
            assert ran <= 3, (kind.name, cut, ran)
            if not kind.fat and not ran:
                assert started(kind, flash.copy())[0] in (OLD, NEW)


def test_an_operation_that_fails():
    # Flash that refuses one, with power staying on: it is told, and nothing is switched.
    for kind in KINDS:
        base = prepared(kind, *OLD_KEPT)
        whole = base.copy()
        assert run(kind, whole, install(PACKAGES[1]))
        refused = 0
        for at in range(whole.ops):
            flash = base.copy()
            flash.fail = at
            done = run(kind, flash, install(PACKAGES[1]))
            found = started(kind, flash.copy())[:2]
            refused += not done
            assert found == ((NEW, True) if done else (OLD, False)) or kind.fat, (kind.name, at)
        print("one operation fails, %s: %d, %d told" % (kind.name, whole.ops, refused))


def test_a_start_that_cannot_be_counted():
    # Flash that refuses an operation of a start on trial: then it is the old application, and is
    # not taken for the new one, whatever comes.
    for kind in KINDS:
        base = prepared(kind, *(OLD_KEPT + (install(PACKAGES[1]),)))
        whole = base.copy()
        assert run(kind, whole, start)
        uncounted = 0
        for at in range(whole.ops):
            flash = base.copy()
            flash.fail = at
            with mounted(kind, flash):
                folder = slots().start()
                assert made.on_trial() == (folder == FOLDER + "/1"), (kind.name, at)
                assert made.installed() == ("app", "3.0" if made.on_trial() else "2.0")
                if not made.on_trial():
                    uncounted += 1
                    made.fail("flash")
                    assert content(slots().start()) == OLD
        assert uncounted or kind.fat, kind.name


def test_flash_that_is_full():
    for kind in KINDS[:3]:
        flash = prepared(kind, *OLD_KEPT)
        with mounted(kind, flash):
            fill("/flash/full")
            try:
                install(PACKAGES[1])()
                raise AssertionError("it was taken")
            except Fault as e:
                assert e.args[0] == 2, e.args
            except OSError as e:
                assert e.errno == 28  # what Update makes result 2 of
            made.drop()
            unfill("/flash/full")
        assert started(kind, flash)[:2] == (OLD, False)
        assert run(kind, flash, install(PACKAGES[1]))
        assert started(kind, flash)[:2] == (NEW, True)


def test_flash_that_loses_what_it_is_given():
    # Cells that are worn out, and say that all is well: it is read back.
    kind = KINDS[0]
    flash = prepared(kind, *OLD_KEPT)
    with mounted(kind, flash):
        slots().begin()
        made.write(PACKAGES[1])
        flash.lose = True
        try:
            made.end()
            raise AssertionError("it was taken")
        except (Fault, OSError):
            made.drop()
