# What is left of a crash, and of a network that fails: in words, and in files.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Module guard loads it when there is something to tell.

import io
import json
import sys
from micropython import const
import device.port
import device.settings as settings
from device.guard import Guard

# Of a reset, by module guard's numbers.
_REASONS = const((
    "power", "watchdog", "reset", "crash", "asked", "safe mode", "panic", "brownout", "sleep",
))  # fmt: skip

_CRASH_FILE = const("/crash")
_NETWORK_FILE = const("/network")
_FRAMES = const(8)
_MESSAGE = const(160)  # characters
# Exceptions whose messages have names of the source in them, and no values.
_TOLD = (AttributeError, ImportError, MemoryError, NameError)
_WIFI = const(("Wifi", "WiFi", "Wi-F"))  # how messages about it begin


def crashed(e):
    """Keep what is left of an exception, and say it (returns list of str)."""
    lines = describe(e)
    said = message(e)
    _keep(_CRASH_FILE, [lines, said] if said else lines)
    if said:
        lines[0] += ": " + said
    return lines


def network_failed(e, write):
    """Why an attempt to connect has failed: that in words, what message() adds, and whether it was kept
    for report(), as write allows."""
    text = describe(e)[0]
    return text, message(e), write and _keep(_NETWORK_FILE, text)


def report(port=device.port):
    """What the factory tool shows: a dict."""
    guard = Guard(port)
    lines, said = crash()
    found = {
        "reset": _REASONS[guard.reason],
        "failed_starts": guard.failed,
        "crash": lines,
        "network_fault": _read(_NETWORK_FILE),
    }
    if said and not _locked():
        found["message"] = said
    return found


def describe(e):
    """An exception in words without secrets: a list of str, what it is, then where, inmost first.

    A message may have anything in it: kept are the number of an OSError, messages that the
    interpreter makes of names in the source, and those about Wi-Fi, which are the port's constants
    ("Wifi Internal State Error") or module lan's.
    """
    text = type(e).__name__
    if isinstance(e, OSError) and isinstance(e.errno, int):
        text += " %d" % e.errno
    elif _is_told(e):
        text += ": %s" % e
    lines = [text]
    buffer = io.StringIO()
    sys.print_exception(e, buffer)
    for line in reversed(buffer.getvalue().split("\n")):
        if line.startswith('  File "') and len(lines) <= _FRAMES:
            lines.append(line[7:].replace('"', "")[-80:])
    return lines


def _is_told(e):
    # Whether the message is one that may be kept anywhere.
    return type(e) in _TOLD or (type(e) in (OSError, RuntimeError) and str(e)[:4] in _WIFI)


def message(e):
    """What an exception says that describe() leaves out, a str, escaped and bounded; None on a locked
    board. Who is at the REPL of another one could read all that may be in it."""
    if _locked() or _is_told(e):
        return None
    return repr(str(e))[1:-1][:_MESSAGE] or None


def _locked():
    area = settings.area()
    return bool(area and area.locked())


def crash():
    """What crashed() has kept: its lines, and the message; None for what is not there."""
    kept = _read(_CRASH_FILE)
    return kept if kept and isinstance(kept[0], list) else (kept, None)


def _keep(name, found):
    # Let a file of the folder have that, as JSON. Returns whether it was written.
    try:
        text = json.dumps(found)
        if _read(name) == found:  # flash is not to wear from the same again and again
            return False
        with open(settings.FOLDER + name, "w") as f:
            f.write(text)
        return True
    except Exception:  # there is no file system, or no memory
        return False


def _read(name):
    # What _keep() has kept, or None.
    try:
        with open(settings.FOLDER + name) as f:
            return json.load(f)
    except (OSError, ValueError):  # none, or cut while it was written
        return None
