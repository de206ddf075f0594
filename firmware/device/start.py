# How a board starts: what the factory has given it, the button, safe mode; then the client and the
# application.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Module main gives its heap back behind that: nothing of it may be called later.

import time
import lwm2m
import device.settings as settings
from device.console import Console
from device.guard import optional
from lwm2m.net import address
from micropython import const
from ucoap.engine import diff

_HELD = const(100)  # ticks of the button
_EVENTS = const(2)  # how much the console tells, as module main has it

# Of module guard.
_TICK_MS = const(100)
_LOOKUP_MS = const(60000)
_ASKED = const(4)
_RETRY = const(5)

# What module led shows.
_OFF = const(0)
_UNPROVISIONED = const(1)
_REGISTERED = const(4)
_SAFE = const(6)


def begin(board):
    """Find out what is to be run on a board, of module main: what the factory has given it
    (settings.Settings); None where that is nothing."""
    port, guard, led = board.port, board.guard, board.led
    guard.led = led
    port.every(_TICK_MS, guard.tick)
    safe_ms = guard.begin()
    fault = "the factory has given this board nothing yet"
    copy = None
    try:
        copy = settings.load()
    except ValueError as e:
        fault = str(e)
    values = copy.values if copy else {}
    board.level = values.get("console", _EVENTS)
    if values.get("led") is not None:
        led.set = port.led(values["led"])
    reserved = settings.area()
    if reserved and not reserved.locked():
        reserved = None
    board.console = Console(guard, board.running, lwm2m.Net.now(), reserved)
    if values.get("button") is not None and _held(led, port.button(values["button"])):
        store = settings.store()
        store.load(copy.endpoint)
        store.factory_reset()
        updates = _updates(values)
        if updates:
            updates.slots.factory_reset()
        guard.break_in()
        safe_ms = 0
        print("The factory's accounts are back.")
        if board.started and board.started[0]:
            guard.reset(_ASKED)  # what runs is an update's
    if not copy:
        guard.break_in()  # there is nothing that could fail
        led.show(_UNPROVISIONED)
        print(fault)
        if reserved:
            _wait(board, -1)
        return None
    if safe_ms:
        led.show(_SAFE)
        print("Safe mode for %d s, after failed starts." % (safe_ms // 1000))
        _wait(board, safe_ms)
        guard.reset(_RETRY)
    guard.watch()
    guard.hold(_LOOKUP_MS)
    return copy


def _held(led, button):
    # Whether a button is held for ten seconds from now on; button() is 0 while it is.
    led.show(_REGISTERED)
    for _ in range(_HELD):
        if button():
            break
        time.sleep_ms(_TICK_MS)
    else:
        return True
    led.show(_OFF)
    return False


def _wait(board, ms):
    # Only take commands; for ever where negative.
    since = lwm2m.Net.now()
    while ms < 0 or diff(lwm2m.Net.now(), since) < ms:
        board.pause()


def set_up(board, copy):
    """Let the board have the client, the application and the network."""
    guard = board.guard
    values = board.values = copy.values
    net = lwm2m.Net(guard.patient(address))
    diagnostics = lwm2m.optional("diagnostics")
    if diagnostics:
        board.diagnostics = diagnostics.Diagnostics(net)
    device = board.device()
    store = settings.store()
    updates = board.updates = _updates(values)
    if updates:
        device[5] = board.factory_reset
    updated = updates and updates.choose(guard.reason, board.started)
    try:
        import app

        board.app = app
    except ImportError as e:
        if updated or "'app'" not in str(e):
            raise
    credentials = getattr(board.app, "credentials", None)
    client = board.client = lwm2m.Client(
        copy.endpoint,
        board.on_event,
        net,
        device,
        store=store,
        credentials=credentials and credentials(),
    )
    if diagnostics:
        from device.record import report

        known = report(board.port)
        stack = optional("stack")
        stack = stack and stack.paint()
        board.diagnostics.start(client, store, known["crash"], known["reset"], stack)
    if board.app:
        board.app.setup(client, values.get("app") or {})
    if updates:
        updates.take(client, board.app, guard)
    given = values.get("sleep")
    if given and given["mode"] != "off" and lwm2m.optional("queue"):
        sleep = optional("sleep")
        if sleep:
            board.sleep = sleep.Sleep(given, board.port, guard, board.app, say=board.say)
            board.sleep.begin()
    board.begin_network(values["network"])


def _updates(values):
    # None where the factory wants none; what it has given may be for another image, too.
    given = values.get("update")
    update = given and optional("update")
    return update and update.Updates(given)
