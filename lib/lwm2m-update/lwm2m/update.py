# Firmware Update (object 5, version 1.0; LwM2M 1.1 E.6): packages by push and by pull.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from ucoap import CONTENT_FORMAT, POST, PUT, Error
from . import optional
from .model import INT, MULTI, OPAQUE, STR, E, M, Object, R, W, path_of, resolve
from .package import Fault

# Event.type: an update has come on; text says how far, or why not. path is /5/0.
EVENT_UPDATE = const(21)

# State (/5/0/3).
_IDLE = const(0)
_DOWNLOADING = const(1)
_DOWNLOADED = const(2)
_UPDATING = const(3)

# Update Result (/5/0/5).
_NO_FLASH = const(2)
_NO_RAM = const(3)
_LOST = const(4)
_FAILED = const(8)
_PROTOCOL = const(9)

_ENOSPC = const(28)

_REGISTERED = const(4)  # of Account.state
_WRITE = const(2)  # of model's operations

_SETTLE = const(5)  # s, for the notification of state 3 to be acknowledged
_ASK = const(60)  # s, until the application is asked again
_FRESH = const(900)  # s for which it counts that a server has answered; registering pauses so long
_LOOK = const(30)  # s
_KEEP = const(5)  # s for which a new application has to go on once it is registered

# What poll() is about.
_NOTHING = const(0)
_ASKING = const(1)  # state 2: Update was executed, the application has a say
_UNPACKING = const(2)  # state 3
_SETTLING = const(3)
_TRYING = const(4)  # state 3: the new application runs

_CHANGED = const(0x44)
_BAD_REQUEST = const(0x80)
_NOT_ALLOWED = const(0x85)
_INCOMPLETE = const(0x88)
_TOO_LARGE = const(0x8D)
_OCTETS = const(42)  # Content-Formats (LwM2M 1.1 7.4)
_TLV = const(11542)

_UNSUPPORTED = const(0x8F)
_INTERNAL = const(0xA0)
_UNAVAILABLE = const(0xA3)

# fmt: off
_RESOURCES = (
    0, OPAQUE | W | M,  # Package
    1, STR | R | W | M,  # Package URI
    2, E | M,  # Update
    3, INT | R | M,  # State
    5, INT | R | M,  # Update Result
    6, STR | R,  # PkgName
    7, STR | R,  # PkgVersion
    8, INT | R | MULTI,  # Firmware Update Protocol Support: 0 CoAP, 1 CoAPS
    9, INT | R | M,  # Firmware Update Delivery Method: 1 push, 2 both
)
# fmt: on


class Download:
    """The sink of one package. Another one that has begun, or a reset, ends it."""

    def __init__(self, update, tlv):
        self._update = update
        self._tlv = tlv  # whether it is in a TLV entry, whose head is yet to come

    def write(self, data):
        if self._tlv:
            # The type of the entry says how long its head is (LwM2M 1.1 7.4.3).
            self._tlv = False
            kind = data[0]
            if kind & 0xE7 != 0xC0 or data[1] or not kind & 0x18:
                raise Error(_BAD_REQUEST, "not of /5/0/0")
            data = data[2 + (kind >> 3 & 3) :]
        self._update.take(self, data)

    def close(self, whole):
        self._update.close(self, whole)


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
        self._client = client
        self._core = core = client.core
        self.slots = slots
        self.may_update = may_update
        self.by_itself = by_itself
        if not core.objects[3].instances[0].get(4):
            raise ValueError("an update needs a Reboot: Client(…, device={4: …})")
        self._trial_s = trial_s
        self._sink = None  # the Download under way
        self._pull = None  # the Pull under way
        self._failed = False  # whether what is there could not be installed
        self._step = _NOTHING
        self._due = -1  # s, when that goes on
        self._good = False  # on trial: whether it is registered
        self._heard = -1  # s, on trial: when a server has last answered
        self._then = core.seconds  # and when its time was last counted
        self._spent = 0  # s of it
        slots.drop()  # a package that was not installed before the restart
        result, text = slots.result()
        name, version = slots.installed() or ("", "")
        pull = optional("pull")
        values = {
            0: lambda: b"",
            1: "",
            3: _IDLE,
            5: result,
            6: name,
            7: version,
            8: {0: 0, 1: 1} if 0 in core.net.modes else {0: 0},
            9: 2 if pull else 1,
        }
        if not pull:
            values.pop(8)
        if version:
            core.objects[3].set(0, 3, version)
        if slots.on_trial():
            values[3] = _UPDATING
            self._go(_TRYING)
        self._object = obj = Object(5, _RESOURCES, {0: values})
        obj.on_check = self._check
        obj.on_write = self._written
        obj.on_execute = self._execute
        core.parts.append(self)
        client.add_object(obj)
        if text:
            self._tell(text)

    # --- The application's

    def keep(self):
        """The new application works: its trial is over."""
        self._good = self.by_itself = True
        self._go(self._step)

    def fail(self, reason):
        """The new application does not work: go back to the one before."""
        if self.slots.on_trial():
            self.slots.fail(reason)
            self._restart()

    def _restart(self):
        self._core.objects[3].instances[0][4](b"")

    # --- State

    def _go(self, step, seconds=0):
        self._step = step
        self._due = self._core.after(seconds)

    def _state(self):
        return self._object.instances[0][3]

    def _enter(self, state, result=0, text=""):
        # The one place where state and result change.
        obj = self._object
        if obj.instances[0][5] != result:
            obj.set(0, 5, result)
        if obj.instances[0][3] != state:
            obj.set(0, 3, state)
        if text:
            self._tell(text)

    def _tell(self, text):
        self._core.event(EVENT_UPDATE, 0, path=(5, 0), value=self._state(), text=text)

    def _reset(self):
        # To Idle, whatever is under way (an empty package or URI).
        self._end(_IDLE, 0)
        if self._object.instances[0][1]:
            self._object.set(0, 1, "")

    def _end(self, state, result, text=""):
        # What is under way is over.
        self._sink = None
        self._failed = False
        self._step = _NOTHING
        if self._pull:
            pull = self._pull
            self._pull = None
            pull.stop()
        if state == _IDLE:
            self.slots.drop()
        self._enter(state, result, text)

    # --- What servers write

    def begin(self, account, m, now):
        if path_of(m) != (5, 0, 0):
            return None
        format = m.uint(CONTENT_FORMAT)
        if format not in (None, _OCTETS, _TLV, 1542):
            raise Error(_UNSUPPORTED, "a package is opaque")
        self._ready(b"..")
        return self._start(format == _TLV or format == 1542)

    def handle(self, account, m, payload, reply, now):
        if m.code not in (PUT, POST) or path_of(m) != (5, 0, 0):
            return 0
        if not isinstance(payload, Download):
            if m.code == PUT:  # a short one, which management reads
                return 0
            resolve(self._core.objects, (5, 0, 0), _WRITE, self._core.may, account)
            self._check(0, {0: payload})
            self._written(0, {0: payload})
        return _CHANGED

    def _ready(self, package):
        # Raises Error where no package may begin, or none be given up.
        state = self._state()
        if state == _UPDATING:
            raise Error(_NOT_ALLOWED, "updating")
        if package.strip(b"\0") and state != _IDLE and not self._failed:
            raise Error(_BAD_REQUEST, "there is a package: write an empty one before another")

    def _check(self, iid, values):
        if 0 in values and 1 in values:
            raise Error(_BAD_REQUEST, "a package or a URI")
        package = values.get(0)
        self._ready(values.get(1, "").encode() if package is None else package)

    def _written(self, iid, values):
        if 1 in values:
            uri = values[1]
            return self._begin_pull(uri) if uri else self._reset()
        package = values.get(0)
        if package is None:
            return
        if not package or package == b"\0":
            return self._reset()
        sink = self._start(False)
        sink.write(package)
        sink.close(True)

    def _start(self, tlv):
        # A package begins.
        self._end(_IDLE, 0)
        sink = self._open(tlv)
        self._enter(_DOWNLOADING)
        return sink

    def _open(self, tlv):
        try:
            self.slots.begin()
        except Exception as e:
            self._refuse(e)
        self._sink = sink = Download(self, tlv)
        return sink

    def take(self, sink, data):
        """A Download's word: more has come. Raises Error."""
        if sink is not self._sink:
            raise Error(_INCOMPLETE, "given up")
        try:
            self.slots.write(data)
        except Exception as e:
            self._refuse(e)

    def close(self, sink, whole):
        """A Download's word: all has come, or the rest will not. Raises Error where it is no good."""
        if sink is not self._sink:
            return
        if not whole:
            if not self._pull:  # which tries again
                self._end(_IDLE, _LOST, "the package has not come")
            return
        try:
            self.slots.end()
        except Exception as e:
            self._refuse(e)
        self._end(_DOWNLOADED, 0, "a package is there")

    def _refuse(self, e):
        # What an exception means for the package, and to its server. Raises Error.
        code = _BAD_REQUEST
        if isinstance(e, Fault):
            result, text = e.result, e.text
        else:
            result, text = _FAILED, repr(e)
            code = _INTERNAL
            if isinstance(e, MemoryError):
                result, text = _NO_RAM, "out of memory"
            elif isinstance(e, OSError) and e.errno == _ENOSPC:
                result, text = _NO_FLASH, "no room for it"
            elif not isinstance(e, OSError):
                self._end(_IDLE, result)
                raise e  # a fault of ours
        if result == _NO_FLASH:
            code = _TOO_LARGE
        self._end(_IDLE, result, "refused: " + text)
        raise Error(code, text)

    # --- Pull

    def _begin_pull(self, uri):
        self._end(_IDLE, 0)
        module = optional("pull")
        if not module:
            return self._enter(_IDLE, _PROTOCOL)
        try:
            self._pull = module.Pull(self, self._core, uri)
        except Fault as e:
            return self._enter(_IDLE, e.result, "refused: " + e.text)
        self._enter(_DOWNLOADING)

    def open(self):
        """Pull's word: a sink for the package from its beginning. Raises Error."""
        return self._open(False)

    def lost(self, result, text):
        """Pull's word: the package does not come."""
        if self._pull:
            self._end(_IDLE, result, "refused: " + text)

    # --- Update

    def _execute(self, iid, rid, argument):
        if self._state() != _DOWNLOADED:
            raise Error(_NOT_ALLOWED, "there is no package")
        if self._failed:
            raise Error(_NOT_ALLOWED, "it has failed on this device: write it anew")
        if self._step == _NOTHING:
            self._go(_ASKING)

    def _ask(self):
        # Whether the application lets it be replaced.
        try:
            return not self.may_update or self.may_update()
        except Exception as e:
            self._core.engine.on_exception(e)

    def _install(self):
        # A piece of it at a time, and the switch when state 3 has been told.
        try:
            if self._step == _SETTLING:
                self.slots.switch()
                self._step = _NOTHING  # there is nothing more, until the restart
                return self._restart()
            if self.slots.unpack():
                self._step = _SETTLING
        except Exception as e:
            if not isinstance(e, (Fault, OSError, MemoryError)):
                self._core.engine.on_exception(e)
            text = "not installed: " + (e.text if isinstance(e, Fault) else repr(e))
            self._step = _NOTHING
            self._failed = True
            self.slots.note(_FAILED, text)
            self._enter(_DOWNLOADED, _FAILED, text)

    def _try(self):
        # The new application is on trial.
        core = self._core
        self._go(_TRYING, _LOOK)
        if self._good and self.by_itself:
            try:
                self.slots.keep()
            except OSError as e:  # it is tried again
                return core.engine.on_exception(e)
            self._step = _NOTHING
            return self._enter(_IDLE, 1, "the new application is kept")
        if self._heard >= 0 and core.seconds - self._heard < _FRESH:
            self._spent += min(core.seconds - self._then, _LOOK)
        self._then = core.seconds
        if self._spent >= self._trial_s:
            self.fail("not registered in time")

    # --- What a part has

    def poll(self, now):
        if self._pull:
            self._pull.poll(now)
        step = self._step
        if step == _UNPACKING:
            self._install()
        elif step and self._due <= self._core.seconds:
            if step == _SETTLING:
                self._install()
            elif step == _TRYING:
                self._try()
            elif self._ask():
                self._enter(_UPDATING, 0, "it is installed")
                self._go(_UNPACKING, _SETTLE)
            else:
                self._go(_ASKING, _ASK)

    def next_ms(self, now, least):
        if self._pull:
            least = self._pull.next_ms(least)
        if self._step == _UNPACKING:
            return 0
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
        if self._pull:
            self._pull.moved(account)
