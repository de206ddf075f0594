# heapsize: 1M
#
# The application in two slots: packages that are taken and refused, what is run after a start, trial
# and roll-back. test_slots_cuts.py cuts the power at each operation.

import os
from lwm2m.package import Fault
from lwm2m.slots import Slots, _remove
from packages import KEYS, TARGET, content, files, package

FOLDER = "/tmp/lwm2m-slots-%d" % id(object())
FILES = {"app.py": b"VERSION = 2\n", "sub/more.py": bytes(range(256)) * 9, "empty": b""}


def fresh():
    _remove(FOLDER)
    return again()


def again(**more):
    """The device after a restart."""
    return Slots(FOLDER, KEYS, TARGET, **more)


def give(slots, data, piece=1024):
    slots.begin()
    for at in range(0, len(data), piece):
        slots.write(data[at : at + piece])
    slots.end()


def install(slots, data, piece=1024):
    give(slots, data, piece)
    while not slots.unpack():
        pass
    slots.switch()


def refused(result, words, data, slots=None):
    slots = slots or fresh()
    try:
        install(slots, data)
    except Fault as e:
        assert e.args[0] == result and words in e.args[1], e.args
        slots.drop()
        assert not slots.on_trial()
        return
    raise AssertionError("it was taken: " + words)


def test_a_package():
    for flags in (0, 1):
        for piece in (1, 64, 163, 164, 165, 1024, 100000):
            slots = fresh()
            assert slots.start() is None and slots.installed() == ("", "")
            install(slots, package(FILES, flags=flags), piece)
            assert again().on_trial()
            assert files(FOLDER + "/0") == FILES
            assert "new" not in os.listdir(FOLDER)
    slots = again()
    assert slots.start() == FOLDER + "/0"
    assert slots.installed() == ("app", "2.0")
    slots.keep()
    assert slots.result() == (1, "")
    for _ in range(5):
        slots = again()
        assert slots.start("a crash") == FOLDER + "/0" and not slots.on_trial()
        assert slots.result() == (1, "")


def test_two_after_one_another():
    slots = fresh()
    for number in range(2, 6):
        install(slots, package({"app.py": b"%d" % number}, number))
        slots = again()
        folder = slots.start()
        assert folder == FOLDER + "/%d" % (number & 1)
        assert files(folder) == {"app.py": b"%d" % number}
        slots.keep()
        assert slots.installed() == ("app", "%d.0" % number)


def test_a_trial():
    # Each start takes one away; after three the version before is back, with result and reason.
    slots = fresh()
    install(slots, package(FILES))
    slots = again()
    slots.start()
    slots.keep()
    install(slots, package({"app.py": b"3"}, 3))
    for _ in range(3):
        slots = again()
        assert slots.start() == FOLDER + "/1" and slots.on_trial()
        assert slots.installed() == ("app", "3.0")
    slots = again()
    assert slots.start() == FOLDER + "/0" and not slots.on_trial()
    assert slots.result() == (8, "it did not last")
    assert slots.installed() == ("app", "2.0")
    assert again().start() == FOLDER + "/0"
    assert again().result() == (8, "it did not last")
    # The next one is tried, and clears the result.
    install(slots, package({"app.py": b"4"}, 4))
    assert again().start() == FOLDER + "/1"
    assert again().result() == (0, "")


def test_what_ends_a_trial():
    for by in ("start", "fail"):
        slots = fresh()
        install(slots, package(FILES))
        slots = again()
        if by == "start":
            assert slots.start("watchdog") is None
        else:
            assert slots.start() == FOLDER + "/0"
            slots.fail("watchdog")
        slots = again()
        assert slots.start() is None and slots.installed() == ("", "")
        assert slots.result() == (8, "watchdog")


def test_packages_that_are_refused():
    good = package(FILES)
    refused(6, "this form", b"x" * 1000)
    refused(6, "this form", package(FILES, magic=b"LwA"))
    refused(6, "this form", package(FILES, form=2))
    refused(6, "this form", package(FILES, kind=0))
    refused(6, "this form", package(FILES, kind=4))
    refused(6, "no place for", package(b"romfs", kind=2))
    refused(6, "no place for", package(b"image", kind=3))
    refused(6, "target", package(FILES, target="boar"))
    refused(6, "target", package(FILES, target="board2"))
    refused(5, "nobody", package(FILES, key=2))
    refused(5, "signature", package(FILES, secret=99))
    refused(5, "signature", package(FILES, key=1, secret=1234567))
    refused(5, "signature", good[:100] + bytes(64) + good[164:])
    refused(5, "content", good[:-1] + b"x")
    refused(5, "content", package(FILES, digest=bytes(32)))
    refused(5, "too soon", good[:-1])
    refused(5, "too soon", good[:164])
    refused(5, "too soon", good[:100])
    refused(5, "longer", good + b"x")
    # Headers that lie, rightly signed.
    refused(5, "unpacked", package(FILES, whole=len(content(FILES)) + 1))
    refused(5, "unpacked", package(FILES, whole=len(content(FILES)) - 1))
    refused(5, "unpacked", package(b"\x06\xff\xff\xff\xffapp.py"))
    refused(5, "unpacked", package(b"\x06\0\0\0\0app"))
    for body in (b"no zlib at all, for sure", content(FILES)):
        slots = fresh()
        try:
            install(slots, package(FILES, flags=1, body=body))
            raise AssertionError("it was taken")
        except OSError:  # deflate's EINVAL
            slots.drop()
        assert not slots.on_trial()


def test_names_that_lead_out_of_the_slot():
    for name in ("..", "../a", "a/../b", "../../lwm2m-store/0/accounts"):
        refused(5, "unpacked", package({name: b"x"}))
        assert os.listdir(FOLDER) in ([], ["0"]) and not files(FOLDER)
    # What is no name of a file is none for the file system either; the rest lies in the slot.
    for name in ("", "/", "a/", "."):
        slots = fresh()
        try:
            install(slots, package({name: b"x"}))
            raise AssertionError("it was taken: " + name)
        except OSError:
            slots.drop()
        assert not slots.on_trial()
    for name in ("/a", "a//b", ".a", "a b"):
        install(fresh(), package({name: b"x"}))
        assert list(files(FOLDER + "/0").values()) == [b"x"]


def test_older():
    slots = fresh()
    install(slots, package(FILES, 5))
    slots = again()
    slots.start()
    slots.keep()
    refused(8, "older", package(FILES, 4), slots)
    slots.factory_reset()
    slots = again()
    assert slots.start() is None and slots.result() == (0, "")
    refused(8, "older", package(FILES, 4), slots)
    install(slots, package(FILES, 5))  # as old is not older
    slots = again()
    slots.start("crash")
    install(slots, package(FILES, 4, flags=2))
    slots = again()
    assert slots.start()
    slots.keep()
    assert slots.installed() == ("app", "4.0")
    # The factory's counts too, also that of an image that came later.
    refused(8, "older", package(FILES, 4), Slots(FOLDER + "/x", KEYS, TARGET, 5))
    refused(8, "older", package(FILES, 8), again(number=9))
    install(again(number=9), package(FILES, 9))


def test_a_key_is_revoked():
    # When its package is kept, not before.
    slots = fresh()
    install(slots, package(FILES, 2, key=1, revoked=1))
    slots = again()
    slots.start("crash")
    install(slots, package(FILES, 2, key=0))
    slots = again()
    slots.start()
    slots.keep()
    install(slots, package(FILES, 3, key=1, revoked=1))
    slots = again()
    slots.start()
    slots.keep()
    for _ in range(2):
        refused(5, "nobody", package(FILES, 4, key=0), slots)
        slots.factory_reset()
        slots = again()
    install(slots, package(FILES, 4, key=1))


def test_without_keys():
    slots = Slots(FOLDER, [], TARGET)
    refused(5, "nobody", package(FILES), slots)


def test_what_a_cut_download_leaves():
    slots = fresh()
    data = package(FILES)
    slots.begin()
    slots.write(data[:1000])
    slots = again()
    assert slots.start() is None
    install(slots, data)
    assert again().start() == FOLDER + "/0"
    # What is in a slot that is not run goes with the next package.
    slots = again()
    slots.start("crash")
    install(slots, package({"other.py": b""}))
    assert files(FOLDER + "/0") == {"other.py": b""}


def test_state_that_is_damaged():
    # Both copies: then it is the factory's, and says nothing of a trial.
    slots = fresh()
    install(slots, package(FILES))
    slots = again()
    slots.start()
    slots.keep()
    for slot in ("0", "1"):
        with open(FOLDER + "/state/%s/accounts" % slot, "r+b") as f:
            f.write(b"rubbish")
    slots = again()
    assert slots.start() is None and slots.result() == (0, "")
    _remove(FOLDER)
