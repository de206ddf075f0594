# Firmware Update (object 5, version 1.0; LwM2M 1.1 E.6): packages by push and by pull.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import CONTENT_FORMAT, PUT, Error
from . import optional
from .model import Object, path_of
from .package import Fault

# Event.type: an update has come on; text says how far, or why not. path is /5/0.
EVENT_UPDATE = const(21)

# State (/5/0/3).
_IDLE = const(0)
_DOWNLOADING = const(1)
_DOWNLOADED = const(2)
_UPDATING = const(3)

# Update Result (/5/0/5).
_SUCCESS = const(1)
_NO_FLASH = const(2)
_NO_RAM = const(3)
_LOST = const(4)
_TYPE = const(6)
_FAILED = const(8)
_PROTOCOL = const(9)

_ENOSPC = const(28)

_REGISTERED = const(4)  # of Account.state

_SETTLE = const(5)  # s, for the notification of state 3 to be acknowledged
_ASK = const(60)  # s, until the application is asked again
_FRESH = const(900)  # s for which it counts that a server has answered; registering pauses so long
_LOOK = const(30)  # s
_KEEP = const(5)  # s for which a new application has to go on once it is registered

# What poll() is about.
_NOTHING = const(0)
_UNPACKING = const(1)  # state 3
_TRYING = const(2)  # state 3: the new application runs
_ASKING = const(3)  # state 2: Update was executed, the application has a say

_ZERO = const(b"\0")  # stands for no package, as an empty one does

_CHANGED = const(0x44)
_BAD_REQUEST = const(0x80)
_NOT_ALLOWED = const(0x85)
_INCOMPLETE = const(0x88)
_TOO_LARGE = const(0x8D)
_OCTETS = const(42)  # Content-Formats (LwM2M 1.1 7.4)
_TLV = const(11542)
_OLD_TLV = const(1542)

_UNSUPPORTED = const(0x8F)
_INTERNAL = const(0xA0)
_UNAVAILABLE = const(0xA3)

# Flags and types of resources (model.py).
_STR = const(1)
_INT = const(2)
_OPAQUE = const(6)
_R = const(0x10)
_W = const(0x20)
_E = const(0x40)
_MULTI = const(0x80)
_M = const(0x100)

# fmt: off
_RESOURCES = (
    0, _OPAQUE | _W | _M,  # Package
    1, _STR | _R | _W | _M,  # Package URI
    2, _E | _M,  # Update
    3, _INT | _R | _M,  # State
    5, _INT | _R | _M,  # Update Result
    6, _STR | _R,  # PkgName
    7, _STR | _R,  # PkgVersion
    8, _INT | _R | _MULTI,  # Firmware Update Protocol Support: 0 CoAP, 1 CoAPS
    9, _INT | _R | _M,  # Firmware Update Delivery Method: 1 push, 2 both
)
# fmt: on


class Download:
    """The sink of one package. Another one that has begun, or a reset, ends it."""

    def __init__(self, update, tlv):
        self._update = update
        self._tlv = tlv  # whether it is in a TLV entry, whose head is yet to come

    def write(self, data):
        """More has come. Raises Error."""
        update = self._update
        if update.sink is not self:
            raise Error(_INCOMPLETE)
        try:
            if self._tlv:
                # The type of the entry says how long its head is (LwM2M 1.1 7.4.3).
                self._tlv = False
                kind = data[0]
                if kind & 0xE7 != 0xC0 or data[1] or not kind & 0x18:
                    raise Fault(_TYPE, "not of /5/0/0")
                data = data[2 + (kind >> 3 & 3) :]
            update.slots.write(data)
        except Exception as e:
            update.refuse(e)

    def close(self, whole):
        """All has come, or the rest will not. Raises Error where it is no good."""
        update = self._update
        if update.sink is not self:
            return
        if whole:
            try:
                update.slots.end()
            except Exception as e:
                update.refuse(e)
            update.end(_DOWNLOADED, 0, "a package is there")
        elif not update.pull:  # which tries again
            update.end(_IDLE, _LOST, "the package has not come")


class Update:
    """Object 5 of a client: a part, as module account has it.

    slots: a Slots, whose start() has been called. may_update() -> whether the application can be
    replaced now, as to battery and time of day; it is asked each minute until it says so. The device
    is restarted by Reboot (/3/0/4). trial_s: for how long a new application may go on unregistered;
    what counts is time in which a server has answered, if only with a refusal.

    by_itself: whether a new application is kept when it is registered, and goes on for five seconds;
    where not, when keep() is called.

    After a restart the state is Idle. A package that could not be installed leaves state 2 with
    result 8, as the ETS has it, but is not tried again: Update is 4.05 until it is written anew,
    which needs no reset then. So a server that executes Update whenever it hears of state 2 does
    not go round in circles, and one that only writes finds no door shut.
    """

    def __init__(self, client, slots, may_update=None, trial_s=900, by_itself=True):
        self._core = core = client.core
        self.slots = slots
        self.may_update = may_update
        self.by_itself = by_itself
        device = core.objects[3]
        self._restart = device.instances[0].get(4)
        if not self._restart:
            raise ValueError("an update needs a Reboot: Client(…, device={4: …})")
        self.trial_s = trial_s
        self.sink = None  # the Download under way
        self.pull = None  # the Pull under way
        self._failed = False  # whether what is there could not be installed
        self._step = _NOTHING
        self._good = False  # on trial: whether it is registered
        self._heard = -_FRESH  # s, on trial: when a server has last answered
        self._then = core.seconds  # and when its time was last counted
        self._spent = 0  # s of it
        result, text = slots.result()
        name, version = slots.installed()
        pull = optional("pull")
        values = {
            0: lambda: b"",
            1: "",
            3: _IDLE,
            5: result,
            6: name,
            7: version,
            9: 1,
        }
        if pull:
            values[9] = 2
            values[8] = {0: 0, 1: 1} if 0 in core.net.modes else {0: 0}
        if version:
            device.set(0, 3, version)
        if slots.on_trial():
            values[3] = _UPDATING
            self._go(_TRYING, 0)
        self._object = obj = Object(5, _RESOURCES, {0: values})
        obj.on_check = self._check
        obj.on_write = self._written
        obj.on_execute = self._execute
        core.parts.append(self)
        client.add_object(obj)
        if text:
            self.enter(values[3], result, text)
        if not (pull and pull.resume(self, core)):
            slots.drop()  # a package that was not installed before the restart

    # --- The application's

    def keep(self):
        """The new application works: its trial is over."""
        self._good = self.by_itself = True
        self._due = self._core.seconds

    def fail(self, text):
        """The new application does not work, as the text says: go back to the one before."""
        if self.slots.on_trial():
            self.slots.fail(text)
            self._restart(b"")

    # --- State

    def _go(self, step, seconds):
        self._step = step
        self._due = self._core.after(seconds)  # s, when that goes on

    def enter(self, state, result, text=""):
        """The one place where state and result change."""
        self._object.set(0, 5, result)
        self._object.set(0, 3, state)
        if text:
            self._core.event(EVENT_UPDATE, 0, path=(5, 0), value=state, text=text)

    def end(self, state, result, text=""):
        """What is under way is over."""
        self.sink = None
        self._failed = False
        self._step = _NOTHING
        pull = self.pull
        self.pull = None
        if pull:
            pull.stop()
        if state == _IDLE:
            self.slots.drop()
        self.enter(state, result, text)

    # --- What servers write

    def begin(self, account, m, now):
        if m.code != PUT or path_of(m) != (5, 0, 0):
            return None
        format = m.uint(CONTENT_FORMAT)
        if format not in (None, _OCTETS, _TLV, _OLD_TLV):
            raise Error(_UNSUPPORTED)
        self._check(0, {0: b".."})
        return self._start(format in (_TLV, _OLD_TLV))

    def handle(self, account, m, payload, reply, now):
        # A short one goes the way of all values, to _check() and _written().
        return _CHANGED if isinstance(payload, Download) else 0

    def _check(self, iid, values):
        # Raises Error where no package may begin, or none be given up.
        state = self._object.instances[0][3]
        if state == _UPDATING:
            raise Error(_NOT_ALLOWED, "updating")
        if 0 in values and 1 in values:
            raise Error(_BAD_REQUEST, "a package or a URI")
        wanted = values.get(1) or values.get(0, b"").strip(_ZERO)
        if wanted and state != _IDLE and not self._failed:
            raise Error(_BAD_REQUEST, "there is a package: write an empty one before another")

    def _written(self, iid, values):
        uri = values.get(1)
        package = values.get(0, b"")
        if uri:
            self._begin_pull(uri)
        elif package.strip(_ZERO):
            sink = self._start(False)
            sink.write(package)
            sink.close(True)
        else:  # a reset, whatever is under way
            self.end(_IDLE, 0)
            self._object.set(0, 1, "")

    def _start(self, tlv):
        # A package begins.
        self.end(_IDLE, 0)
        self.enter(_DOWNLOADING, 0)
        return self.open(tlv)

    def open(self, tlv, *more):
        """A sink for a package; Pull asks, too. more: of Slots.begin(). Raises Error."""
        try:
            self.slots.begin(*more)
        except Exception as e:
            self.refuse(e)
        self.sink = sink = Download(self, tlv)
        return sink

    def refuse(self, e):
        """What an exception means for the package, and to its server. Raises Error."""
        code = _INTERNAL
        result = _FAILED
        text = repr(e)
        if isinstance(e, Fault):
            result, text = e.args
            code = _BAD_REQUEST
        elif isinstance(e, MemoryError):
            result = _NO_RAM
        elif isinstance(e, OSError) and e.errno == _ENOSPC:
            result = _NO_FLASH
        if result == _NO_FLASH:
            code = _TOO_LARGE
        self.end(_IDLE, result)
        # From here, where the C stack is deep already; a call takes 300 B of an RP2040's 8 KB.
        self._core.event(EVENT_UPDATE, 0, path=(5, 0), value=_IDLE, text="refused: " + text)
        raise Error(code, text)

    # --- Pull

    def _begin_pull(self, uri):
        self.end(_IDLE, 0)
        module = optional("pull")
        if not module:
            return self.enter(_IDLE, _PROTOCOL)
        try:
            self.pull = module.Pull(self, self._core, uri)
            self.enter(_DOWNLOADING, 0)
        except Fault as e:
            self.enter(_IDLE, e.args[0], e.args[1])

    # --- Update

    def _execute(self, iid, rid, argument):
        if self._object.instances[0][3] != _DOWNLOADED:
            raise Error(_NOT_ALLOWED, "there is no package")
        if self._failed:
            raise Error(_NOT_ALLOWED, "it has failed on this device: write it anew")
        if not self._step:
            self._go(_ASKING, 0)

    def _install(self):
        # A piece of it at a time, then the switch.
        slots = self.slots
        try:
            if slots.unpack():
                slots.switch()
                self._step = _NOTHING  # there is nothing more, until the restart
                self._restart(b"")
        except Exception as e:
            text = "not installed: " + (e.args[1] if isinstance(e, Fault) else repr(e))
            self._step = _NOTHING
            self._failed = True
            slots.fail(text)
            self.enter(_DOWNLOADED, _FAILED, text)

    # --- What a part has

    def poll(self, now):
        if self.pull:
            self.pull.poll(now)
        step = self._step
        seconds = self._core.seconds
        if not step or self._due > seconds:
            return
        try:
            if step == _UNPACKING:
                self._install()
            elif step == _TRYING:
                self._go(step, _LOOK)
                if self._good and self.by_itself:
                    self.slots.keep()
                    self._step = _NOTHING
                    self.enter(_IDLE, _SUCCESS, "the new application is kept")
                else:
                    if seconds - self._heard < _FRESH:
                        self._spent += min(seconds - self._then, _LOOK)
                    self._then = seconds
                    if self._spent >= self.trial_s:
                        self.fail("not registered in time")
            else:
                self._go(step, _ASK)
                if not self.may_update or self.may_update():
                    self.enter(_UPDATING, 0, "it is installed")
                    self._go(_UNPACKING, _SETTLE)
        except Exception as e:  # the application's, or of flash: it is tried again
            self._core.engine.on_exception(e)

    def next_ms(self, now, least):
        if self.pull:
            least = self.pull.next_ms(least)
        return self._core.until(self._due, least) if self._step else least

    def changed(self, oid, iid, rid):
        pass

    def moved(self, account):
        if account.state == _REGISTERED:
            if not self._good and self._step == _TRYING:
                self._go(_TRYING, _KEEP)
            self._good = True
        elif account.code not in (0, _INTERNAL, _UNAVAILABLE):
            self._heard = self._core.seconds  # it was refused by a server
        if self.pull:
            self.pull.moved(account)
