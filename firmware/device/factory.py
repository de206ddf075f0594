# What the factory tool calls on a board, over the REPL. Each function prints one line of JSON:
# {"ok": true, …}, or {"ok": false, "error": "a sentence"}. None of them prints a key.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import hashlib
import json
import machine
import os
import sys
from lwm2m.consistency import inconsistency
from lwm2m.objects import base_objects
from lwm2m.store import Store
from micropython import const
import device.settings as settings
from device.link import find_driver
from device.port import memory, serial_number

PROTOCOL = const(1)  # goes up when the tool has to know
_ENOSPC = const(28)
# fmt: off
_PINS = const((  # what is the number of a GPIO, in the settings of network, board and sleep
    "tx", "rx", "rts", "cts", "mdc", "mdio", "reset", "power", "cs", "int", "ref_clk",
    "led", "button", "pin",
))
# fmt: on


def _command(f):
    # Let a function that returns a dict, or raises what is wrong, print its line instead.
    def run(*args):
        try:
            answer = f(*args)
            answer["ok"] = True
        except ValueError as e:
            answer = {"ok": False, "error": str(e)}
        except OSError as e:
            text = "the file system is full" if e.errno == _ENOSPC else "flash fails: %r" % e
            answer = {"ok": False, "error": text}
        except MemoryError:
            answer = {"ok": False, "error": "the board is out of memory"}
        print(json.dumps(answer))

    return run


@_command
def install(path, sha256):
    """Take the provisioning file at path, whose SHA-256 is that, in hexadecimal, as factory copy.

    What the client has stored is cleared. It is checked before anything is changed, and then it is
    the old configuration or the new one, whenever power is cut.
    """
    settings.finish()
    if _digest(open(path, "rb"), True) != sha256:
        raise ValueError("the file has not arrived as it was sent")
    try:
        copy = settings.parse(Store(settings.FOLDER, path).factory())
    except ValueError as e:
        raise ValueError(str(e).replace("the factory copy", "the file"))
    text = _fault(copy) or _wiring(copy.values) if copy else "the file is empty"
    if text:
        raise ValueError(text)
    os.rename(path, settings.FOLDER + "/ready")
    settings.finish()
    settings.remove("/network")  # it is of the settings before
    copy = settings.load()
    return {"endpoint": copy.endpoint, "sha256": _digest(_open())}


@_command
def status(running=None):
    """What this board is, and what it has.

    running: what main.py knows, while it runs: "uptime", s; "registered", short ids of servers, and
    "since", for how many s; "error", the last failure in words; "signal", dBm.
    """
    import lwm2m

    implementation = sys.implementation
    reserved = settings.area()
    answer = {
        "protocol": PROTOCOL,
        "firmware": globals().get("__version__"),
        "library": getattr(lwm2m, "__version__", None),
        "micropython": "%d.%d.%d" % implementation[1][:3],
        "board": getattr(implementation, "_machine", sys.platform),
        "image": "ours" if reserved else "stock",
        "memory": memory()[1],
        "chip_id": _chip_id(),
        "mac": _mac(),
        "endpoint": None,
        "accounts": [],
        "locked": bool(reserved and reserved.locked()),
        "sha256": None,
        "fault": None,
    }
    answer.update(running or {"registered": None})
    try:
        from device.record import report

        answer["guard"] = report()
    except (ImportError, AttributeError):
        pass
    try:
        copy = settings.load()
    except ValueError as e:
        answer["fault"] = str(e)
        return answer
    if copy:
        state, answer["fault"] = settings.store().load(copy.endpoint, _amiss)
        accounts = (state or {}).get(0, {})
        answer["endpoint"] = copy.endpoint
        answer["sha256"] = _digest(_open())
        for iid in sorted(accounts):
            values = accounts[iid]
            short_id = None if values.get(1) else values.get(10)
            account = {"short_id": short_id, "uri": values.get(0), "mode": values.get(2)}
            answer["accounts"].append(account)
    return answer


@_command
def selftest():
    """Whether what the factory has given fits together, and what the application says."""
    copy = _given()
    text = _fault(copy)
    if text:
        raise ValueError(text)
    done = ["factory copy", "accounts"]
    try:
        import app
    except ImportError as e:
        if "'app'" not in str(e):
            raise ValueError("the application does not start: %s" % e)
        app = None
    test = getattr(app, "selftest", None)
    if test:
        try:
            text = test()
        except Exception as e:
            text = repr(e)
        if text:
            raise ValueError("the application: %s" % text)
        done.append("application")
    return {"endpoint": copy.endpoint, "tested": done}


@_command
def reset():
    """Back to the factory's accounts."""
    copy = _given()
    store = settings.store()
    store.load(copy.endpoint)
    store.factory_reset(_amiss)
    return {"endpoint": copy.endpoint}


@_command
def erase():
    """Forget everything that the factory has given, and what has come of it."""
    for name in ("/new", "/ready", "/0/accounts", "/1/accounts", "/crash", "/network"):
        settings.remove(name)
    reserved = settings.area()
    if reserved:
        reserved.erase()
    else:
        settings.remove("/factory/accounts")
    return {}


@_command
def lock():
    """Close the REPL, from its next line on; only an image of this project can."""
    reserved = settings.area()
    if not reserved:
        raise ValueError("stock MicroPython cannot be locked: flash an image of this project")
    copy = _given()
    try:
        import device.lock  # noqa: F401
    except ImportError:
        raise ValueError("this image's role cannot be locked: flash one of role client")
    reserved.lock()
    return {"endpoint": copy.endpoint, "locked": reserved.locked()}


def _given():
    copy = settings.load()
    if not copy:
        raise ValueError("the factory has given this board nothing yet")
    return copy


def _fault(copy):
    # What is wrong with the network or the accounts; their check is the one at Bootstrap-Finish, but
    # that a bootstrap server account is enough.
    kind = copy.values["network"]["type"]
    if kind != "none":
        find_driver(kind)
    if not copy.state.get(0):
        return "no account"
    if not copy.state.get(1):
        try:
            import lwm2m.bootstrap
        except ImportError:
            return "there is a bootstrap server account only, and no package lwm2m-bootstrap here"
    if 2 in copy.state:
        try:
            import lwm2m.access  # noqa: F401
        except ImportError:
            return "there is Access Control, and no package lwm2m-access here"
    from lwm2m.security import Modes

    return _amiss(copy.state, Modes())


def _wiring(values):
    # What is wrong with the pins and the UART, or None: they are tried, and MicroPython's port knows.
    if not hasattr(machine, "Pin"):  # the unix port
        return None
    network = values["network"]
    used = {}
    try:
        for section, table in (
            ("network.", network),
            ("board.", values),
            ("sleep.", values.get("sleep", {})),
        ):
            for name in _PINS:
                number = table.get(name)
                if isinstance(number, int):  # the PIN of a SIM is none
                    name = section + name
                    if number in used:
                        raise ValueError("that is " + used[number])
                    used[number] = name
                    machine.Pin(number)
        if network["type"] == "ppp":
            from device.ppp import open_uart

            name = "network.uart"
            number = network["uart"]
            open_uart(network, machine)  # and left so, as PPP may be running on it
    except Exception as e:  # an ESP32 has OSError, too
        return "%s is %d: %s" % (name, number, e)


def _amiss(state, modes=(0, 1, 2, 3)):
    # What is wrong with the accounts of a state, or None. modes: Security Modes (/0/x/2).
    objects = base_objects(None)
    for oid in (0, 1):
        objects[oid].instances = state.get(oid, {})
    return inconsistency(objects, modes, None, False)


def _open():
    reserved = settings.area()
    return reserved.open() if reserved else open(settings.FOLDER + "/factory/accounts", "rb")


def _digest(file, all=False):
    # SHA-256, in hexadecimal, of a file; without all, of what its head says to be in it.
    digest = hashlib.sha256()
    with file as f:
        data = f.read(12)
        left = int.from_bytes(data[6:8], "big")
        while data:
            digest.update(data)
            data = f.read(64 if all else min(left, 64))
            left -= len(data)
    return digest.digest().hex()


def _chip_id():
    try:
        return serial_number()
    except AttributeError:
        return None


def _mac():
    # Of the Wi-Fi interface; boards without it have none.
    try:
        from device.lan import mac

        return mac().hex()
    except Exception:  # ImportError, or what a port makes of a chip that is not there
        return None
